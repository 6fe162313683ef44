"""A limit on how long a model of the user's may take when it is tried before a study: one that hangs is left to the runs.

Workers are ended from outside; here the user's code runs in the driver itself, and is ended by an alarm of its main thread.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

LONGEST = 60.0  # seconds for one try: whatever takes longer is neither checked nor timed
AGAIN = 1.0  # seconds after which the alarm rings again: an exception may be lost in a callback


class Overdue(BaseException):
    """The limit is over; not an `Exception`, which the user's code may catch."""


@contextlib.contextmanager
def within(seconds: float | None = None) -> Iterator[None]:
    """Raises `Overdue` (after `LONGEST`, unless said) in what takes longer, if it is Python code of the main thread.

    Example:
        >>> import itertools
        >>> with contextlib.suppress(Overdue), within(0.05):
        ...     for _ in itertools.count():
        ...         pass
    """
    here = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "setitimer") or not here or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return
    within_it = True

    def ring(number: int, frame: Any) -> None:
        if within_it:
            raise Overdue

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LONGEST if seconds is None else seconds, AGAIN)
    try:
        yield
    finally:
        within_it = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
