"""How many threads a draw may use, and running its parts on them. Numbers do not depend on either."""

import functools
import operator
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from fanin.errors import FaninTypeError, FaninValueError

_here = threading.local()  # .busy: this thread runs a part already, so it takes no helpers for parts of that part
_chosen: list[int] = []  # the user's number of threads, if there is one


def threads() -> int:
    """How many threads a draw may use: what `set_threads` was given, else the processors this process may run on."""
    return _chosen[0] if _chosen else _processors()


def set_threads(count: int | None) -> None:
    """Let draws use this many threads; None: one for each processor that the process may run on.

    Raises:
        FaninTypeError, FaninValueError: `count` is not an integer of at least 1.
    """
    if count is not None:
        try:
            count = operator.index(count)
        except TypeError:
            raise FaninTypeError(f"threads={count!r} cannot be used; give an integer of at least 1, or None") from None
        if count < 1:
            raise FaninValueError(f"threads={count} cannot be used; give an integer of at least 1, or None")
    _chosen[:] = [] if count is None else [count]


def each(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], limit: int) -> None:
    """Call `function(*job)` for every job, on at most `limit` threads, this one among them.

    Raises:
        Whatever the function raises; jobs that have not begun by then may be left out.
    """
    helpers = min(limit, threads(), len(jobs)) - 1
    if helpers < 1 or getattr(_here, "busy", False):
        for job in jobs:
            function(*job)
        return
    left = iter(jobs)  # the iterator of a sequence hands out each job once, whichever thread asks

    def work() -> None:
        with alone():
            for job in left:
                function(*job)

    others = [_pool(threads()).submit(work) for _ in range(helpers)]
    try:
        work()
    finally:
        running = [other for other in others if not other.cancel()]
        errors = [error for other in running if (error := other.exception())]
    if errors:
        raise errors[0]


@contextmanager
def alone() -> Iterator[None]:
    """Draws made inside, by this thread, take no helpers: the caller shares its work out over threads itself."""
    before = getattr(_here, "busy", False)
    _here.busy = True
    try:
        yield
    finally:
        _here.busy = before


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.lru_cache(maxsize=1)
def _pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="fanin-draws")


if hasattr(os, "register_at_fork"):  # a child process has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
