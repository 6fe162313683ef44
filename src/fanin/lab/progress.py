"""A progress bar on the terminal, or nothing."""

import contextlib
import sys
from collections.abc import Iterator

from fanin.lab.records import RunResult


class Progress:
    """Told of every step and run; this one shows nothing."""

    def at(self, runs: float) -> None:
        """This many runs are done, with the shares of those at work."""

    def done(self, result: RunResult) -> None:
        """A run is done."""


@contextlib.contextmanager
def show_progress(wanted: bool | None, runs: int) -> Iterator[Progress]:
    """A bar on the standard error while inside; where `wanted` is None, only if that is a terminal."""
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar, runs)


class _Bar(Progress):
    def __init__(self, bar: object, runs: int):
        self.bar, self.finished = bar, 0
        self.task = bar.add_task("training", total=runs)  # type: ignore[attr-defined]

    def at(self, runs: float) -> None:
        self._show(max(runs, self.finished))

    def done(self, result: RunResult) -> None:
        self.finished += 1
        score = next(iter(result.metrics.items()), None)
        words = (
            "failed"
            if result.error
            else "diverged"
            if result.diverged
            else f"{score[0]} {score[1]:.3f}"
            if score
            else ""
        )
        self._show(self.finished, f"{result.init}, seed {result.seed}: {words}")

    def _show(self, completed: float, description: str | None = None) -> None:
        self.bar.update(self.task, completed=completed, description=description)  # type: ignore[attr-defined]
