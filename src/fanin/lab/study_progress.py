"""Where a study stands, on the terminal: one bar and the time that is left, whatever carries its runs out."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fanin.lab.study.rows import RunRow

if TYPE_CHECKING:
    from fanin.lab.driver import StudyProgress

LINES = 30.0  # seconds between two lines where the output is kept in a file
TOLD = 5  # failed runs that are told of one by one

Show = Callable[["StudyProgress"], None]


@contextlib.contextmanager
def show_study(wanted: bool | None = None) -> Iterator[Show]:
    """A function for the `on_event` of `fanin.lab.driver.run_study`, which draws on the standard error while inside.

    Args:
        wanted: whether anything is shown; None shows it where the standard error is a terminal. Where it is not and is wanted
            all the same (the log of a batch job), a line is written now and then.
    """
    terminal = sys.stderr.isatty()
    if not (terminal if wanted is None else wanted):
        yield lambda progress: None
        return
    if not terminal:
        lines = _Lines()
        yield lines
        lines.last()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(bar_width=30), TaskProgressColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar)


def words(progress: "StudyProgress") -> str:
    """Where the study stands, in one line.

    Example:
        >>> from fanin.lab.driver import StudyProgress
        >>> words(StudyProgress(500, done=120, diverged=3, failed=1, running=4, share=0.25, left=185.0))
        '121 of 500 runs (3 diverged, 1 failed), 4 at work, about 3 min left'
    """
    counted = [f"{n} {word}" for n, word in ((progress.diverged, "diverged"), (progress.failed, "failed")) if n]
    parts = [
        f"{progress.done + progress.failed:,} of {progress.total:,} runs"
        + (f" ({', '.join(counted)})" if counted else "")
    ]
    if progress.running:
        parts.append(f"{progress.running:,} at work")
    if progress.left is not None and progress.done + progress.failed < progress.total:
        parts.append(f"{duration(progress.left)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A length of time as people say it; no more digits than an estimate has.

    Example:
        >>> duration(0.4), duration(42.0), duration(185.0), duration(8000.0), duration(400000.0)
        ('a moment', 'about 40 s', 'about 3 min', 'about 2 h 10 min', 'about 4 days 15 h')
    """
    if not math.isfinite(seconds):
        return "no end in sight"
    if seconds < 5:
        return "a moment"
    if seconds < 55:
        return f"about {5 * round(seconds / 5)} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"about {minutes} min"
    hours, rest = divmod(10 * round(minutes / 10), 60)
    if hours < 24:
        return f"about {hours} h" + (f" {rest} min" if rest else "")
    days, hours = divmod(round(minutes / 60), 24)
    return f"about {days} day{'s' if days > 1 else ''}" + (f" {hours} h" if hours else "")


def outcome(row: RunRow) -> str:
    """What became of a run, in one line."""
    name = f"{row.config.plan}, lr {row.config.lr:g}, seed {row.config.seed}"
    if row.state == "failed":
        return f"{name}: failed ({row.error})"
    if row.diverged:
        return f"{name}: diverged at step {row.steps}"
    metric = next(iter(row.held.items()), None) or next(iter(row.metrics.items()), None)
    return f"{name}: {metric[0]} {metric[1]:.3f}" if metric else name


class _Bar:
    """A bar that stands still, with failed runs told of above it."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.failed = bar, 0
        self.task = bar.add_task("starting", total=1.0)

    def __call__(self, progress: "StudyProgress") -> None:
        for row in progress.rows:
            if row.state == "failed":
                self._tell(row)
        self.bar.update(self.task, completed=progress.share, description=words(progress))

    def _tell(self, row: RunRow) -> None:
        self.failed += 1
        if self.failed <= TOLD:
            self.bar.console.print(outcome(row), markup=False, highlight=False)
        elif self.failed == TOLD + 1:
            self.bar.console.print("more runs failed; fanin lab status tells of all", markup=False, highlight=False)


class _Lines:
    """A line now and then."""

    def __init__(self) -> None:
        self.told, self.newest = time.monotonic(), ""

    def __call__(self, progress: "StudyProgress") -> None:
        self.newest = words(progress)
        if time.monotonic() - self.told >= LINES:
            self.last()

    def last(self) -> None:
        """Writes what was not written yet."""
        if self.newest:
            print(self.newest, file=sys.stderr, flush=True)
        self.told, self.newest = time.monotonic(), ""
