"""Many independent pieces of work over a few threads, with progress, stopped at the first that fails."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from fanin.draws.backends import expect
from fanin.draws.threads import alone
from fanin.errors import FaninTypeError, FaninValueError

Progress = bool | Callable[[int, int], object] | None
Piece = tuple[int, Callable[[], object]]  # how much it counts for, and what does it

FEW = 1 << 18  # numbers: less than this is done at once, without threads
PATIENCE = 2.0  # seconds before a bar is shown unasked
AHEAD = 4  # pieces handed out a thread: a stop is obeyed soon


def thread_count(threads: int | None, default: int | None = None) -> int:
    """The number of threads: what is asked for, else `default`, OMP_NUM_THREADS, or the cores of this process."""
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, int):
            raise FaninTypeError(f"threads={threads!r} cannot be used; give a whole number of at least 1, or None")
        if threads < 1:
            raise FaninValueError(f"threads={threads!r} cannot be used; give a whole number of at least 1, or None")
        return threads
    if default is not None:
        return default
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(pieces: Iterable[Piece], total: int, threads: int, progress: Progress = None, title: str = "drawing") -> None:
    """Do every piece; raises what the first failing piece raised, after the others have stopped.

    Args:
        pieces: made one by one as they are handed out, so that there may be very many.
        total: what the pieces count for together.
        threads: how many threads.
        progress: called with (done, total) from the calling thread; True for a bar on the standard error, None for
            one where that is a terminal and the work is long, False for none.
    """
    expect(total)
    with _reporter(progress, total, title) as report:
        if threads == 1 or total <= FEW:
            done = 0
            for size, work in pieces:
                _alone(work)
                done += size
                report(done)
        else:
            _threaded(iter(pieces), threads, report)


def _alone(work: Callable[[], object]) -> None:
    """Do one piece in this thread, without the helpers that a draw would take by itself, unless it asks to be helped."""
    if getattr(work, "helped", False):
        work()
        return
    with alone():
        work()


def _threaded(pieces: Iterator[Piece], threads: int, report: Callable[[int], None]) -> None:
    stop = threading.Event()

    def guarded(work: Callable[[], object]) -> None:
        if not stop.is_set():
            _alone(work)

    done, sizes = 0, dict[Future[None], int]()
    with ThreadPoolExecutor(threads, thread_name_prefix="fanin") as pool:
        try:
            more = True
            while more or sizes:
                while more and len(sizes) < AHEAD * threads:
                    piece = next(pieces, None)
                    more = piece is not None
                    if piece is not None:
                        sizes[pool.submit(guarded, piece[1])] = piece[0]
                for future in wait(sizes, return_when=FIRST_COMPLETED).done:
                    done += sizes.pop(future)
                    future.result()
                report(done)
        except BaseException:
            stop.set()
            raise


@contextmanager
def _reporter(progress: Progress, total: int, title: str) -> Iterator[Callable[[int], None]]:
    if callable(progress):
        yield lambda done: (progress(done, total), None)[1]
    elif progress or (progress is None and sys.stderr.isatty()):
        with _bar(total, title, 0.0 if progress else PATIENCE) as report:
            yield report
    else:
        yield lambda done: None


@contextmanager
def _bar(total: int, title: str, patience: float) -> Iterator[Callable[[int], None]]:
    """A bar on the standard error that is first shown when the work has taken this long."""
    started, shown = time.monotonic(), list[Any]()

    def report(done: int) -> None:
        if not shown and time.monotonic() - started >= patience:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
            bar = Progress(*columns, console=Console(stderr=True), transient=True)
            shown.extend((bar, bar.add_task(title, total=total)))
            bar.start()
        if shown:
            shown[0].update(shown[1], completed=done)

    try:
        yield report
    finally:
        if shown:
            shown[0].stop()
