"""One executor for several studies."""

from collections.abc import Iterable
from dataclasses import dataclass

from fanin.lab.jobs import Event, Executor, Job


@dataclass(frozen=True, eq=False)
class Shared:
    """An executor that outlives a study: its processes have their libraries loaded when the next one begins."""

    executor: Executor

    @property
    def capacity(self) -> int:
        """Of the executor."""
        return self.executor.capacity

    def submit(self, job: Job) -> None:
        """To the executor."""
        self.executor.submit(job)

    def events(self, timeout: float) -> Iterable[Event]:
        """Of the executor."""
        return self.executor.events(timeout)

    def close(self) -> None:
        """Nothing: whoever made the executor closes it."""
