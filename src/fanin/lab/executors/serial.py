"""Runs one after another in this process: the simplest executor, and the one to debug with."""

from collections import deque
from collections.abc import Callable, Iterable

from fanin.lab.executors import attempt
from fanin.lab.jobs import Event, Job, Payload, Stepped


class Serial:
    """Carries jobs out here, in the order in which they come. A job that hangs cannot be ended.

    Args:
        workers: taken so that all executors are made alike; it is always one.
        payload: for the jobs.
        carry_out: "module:function" that carries one out.
    """

    capacity = 1

    def __init__(self, workers: int = 1, payload: Payload | None = None, carry_out: str = attempt.CARRY_OUT):
        self.payload, self.carry_out = payload or Payload(), carry_out
        self.on_step: Callable[[Stepped], None] | None = None  # called while a job is at work: `events` is busy then
        self._waiting: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Takes a job over; `events` carries it out."""
        self._waiting.append(job)

    def events(self, timeout: float) -> Iterable[Event]:
        """Carries one job out."""
        if not self._waiting:
            return ()
        job = self._waiting.popleft()
        outcome, _ = attempt.attempt(
            attempt.find(self.carry_out), job, self.payload, lambda share: self._heard(job, share)
        )
        return (outcome,)

    def _heard(self, job: Job, share: float) -> None:
        if self.on_step:
            self.on_step(Stepped(job, share))

    def close(self) -> None:
        """Forgets the jobs that wait."""
        self._waiting.clear()
