"""A pool of spawned processes, each of which may die without the others."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing import connection, resource_tracker

from fanin.errors import FaninError
from fanin.lab.executors import child
from fanin.lab.executors.attempt import CARRY_OUT, START
from fanin.lab.executors.payload import ONE_THREAD
from fanin.lab.jobs import Died, Event, Finished, Job, Payload, Stepped

GAP = 5.0  # seconds between two looks after which it is the driver that was stopped (Ctrl-Z), and its workers with it
STILLBORN = 3  # workers in a row that end before they are ready: something is wrong with all of them
SHOT = 30  # the same of workers that were killed: whoever kills may go on to kill others, or stop


class _Worker:
    """One process: the driver's end of its pipe, its job, and when it was last heard of."""

    def __init__(self, payload: Payload, carry_out: str):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=child.main, args=(theirs, payload, carry_out, os.getpid()), name="fanin worker", daemon=True
        )
        with _variables(ONE_THREAD | payload.environment), _no_interrupt():
            self.process.start()
        theirs.close()  # else its end would not be seen
        self.job: Job | None = None
        self.ready, self.began, self.share, self.heard = False, False, 0.0, time.monotonic()

    def begin(self, job: Job) -> None:
        self.job, self.share, self.heard = job, 0.0, time.monotonic()
        with contextlib.suppress(OSError):  # it has just died: `events` will see it
            self.pipe.send(job)

    @property
    def silence(self) -> float:
        return time.monotonic() - self.heard

    @property
    def patience(self) -> float:
        """Its first job has a framework to import before it can take a step."""
        return max(self.job.patience if self.job else 0.0, 0.0 if self.began else START)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Processes:
    """Carries jobs out in spawned processes of this machine, one thread each.

    A worker that ends, or that gives no sign of life for as long as its job's patience, is replaced; the others go on. All of
    them end when this process does, however it ends.

    Args:
        workers: how many.
        payload: what each is sent once.
        carry_out: "module:function" that carries a job out.
    """

    def __init__(self, workers: int, payload: Payload | None = None, carry_out: str = CARRY_OUT):
        self.workers, self.payload, self.carry_out = workers, payload or Payload(), carry_out
        self._pool: list[_Worker] = []
        self._waiting: deque[Job] = deque()
        self._stillborn = 0
        self._looked = time.monotonic()

    @property
    def capacity(self) -> int:
        """Twice the workers, so that one that is done finds its next job at once."""
        return 2 * self.workers

    @property
    def processes(self) -> tuple[int, ...]:
        """Ids of the worker processes."""
        return tuple(worker.process.pid or 0 for worker in self._pool)

    def submit(self, job: Job) -> None:
        """Takes a job over."""
        self._waiting.append(job)
        self._hand_out()

    def events(self, timeout: float) -> Iterable[Event]:
        """What workers said, and which of them ended.

        Raises:
            FaninError: workers end before they are ready, one after another.
        """
        found = list(self._heard())
        if not found:
            handles = [h for worker in self._pool for h in (worker.pipe, worker.process.sentinel)]
            if handles:
                connection.wait(handles, min(timeout, self._patience()))
            else:
                time.sleep(timeout if not self._waiting else 0.0)
            found = list(self._heard())
        return found

    def close(self) -> None:
        """Ends every worker, idle ones by their own exit."""
        self._waiting.clear()
        for worker in self._pool:
            if worker.job is None and worker.ready:
                with contextlib.suppress(OSError):
                    worker.pipe.send(None)
            else:
                worker.process.kill()
        for worker in self._pool:
            worker.process.join(2.0)
            worker.kill()
        self._pool.clear()

    def _heard(self) -> Iterator[Event]:
        now, before = time.monotonic(), self._looked
        self._looked = now
        if now - before > GAP:  # silence counts only while somebody listens
            for worker in self._pool:
                worker.heard += now - before
        for worker in list(self._pool):
            ended = not worker.process.is_alive()  # asked first: what it said before it ended is in the pipe now
            yield from self._messages(worker)
            if worker not in self._pool:
                continue
            if ended or worker.pipe.closed:
                yield from self._bury(worker)
            elif worker.job and worker.silence > worker.patience:
                why = f"it made no step in {worker.patience:g} s"
                job, worker.job = worker.job, None
                self._pool.remove(worker)
                worker.kill()
                yield Died(job, why, hung=True, share=worker.share)
        self._hand_out()

    def _messages(self, worker: _Worker) -> Iterator[Event]:
        while True:
            try:
                if not worker.pipe.poll():
                    return
                said = worker.pipe.recv()
            except (EOFError, OSError):
                worker.process.join()
                worker.pipe.close()
                return
            worker.heard = time.monotonic()
            if said == "ready":
                worker.ready, self._stillborn = True, 0
                continue
            worker.began = True
            if worker.job is None:
                continue
            if isinstance(said, Finished | Died):
                worker.job = None
                if isinstance(said, Died) and not said.raised:  # it ends itself
                    self._pool.remove(worker)
                    worker.kill()
                self._hand_out()
                yield said
                if worker.pipe.closed:
                    return
            else:
                worker.share = said
                yield Stepped(worker.job, said)

    def _bury(self, worker: _Worker) -> Iterator[Event]:
        self._pool.remove(worker)
        worker.kill()
        if not worker.ready:
            self._stillborn += 1
            if worker.job:  # not begun
                self._waiting.appendleft(worker.job)
            if self._stillborn >= (SHOT if (worker.process.exitcode or 0) < 0 else STILLBORN):
                raise FaninError(
                    f"worker processes end before they are ready ({_end_of(worker.process.exitcode)}); in a script, put the "
                    "call under `if __name__ == \"__main__\":`, or use executor='serial' to see the error"
                )
        elif worker.job:
            yield Died(worker.job, f"its process {_end_of(worker.process.exitcode)}", share=worker.share)

    def _hand_out(self) -> None:
        """Gives waiting jobs to idle workers, and starts workers where there are more jobs than those."""
        idle = [worker for worker in self._pool if worker.job is None and worker.process.is_alive()]
        while self._waiting and idle:
            idle.pop().begin(self._waiting.popleft())
        while self._waiting and len(self._pool) < self.workers:
            worker = _Worker(self.payload, self.carry_out)
            self._pool.append(worker)
            worker.begin(self._waiting.popleft())

    def _patience(self) -> float:
        left = [worker.patience - worker.silence for worker in self._pool if worker.job]
        return max(0.0, min(left, default=60.0)) + 0.01


def _end_of(status: int | None) -> str:
    if status is None or status >= 0:
        return f"ended with exit status {status}"
    memory = " (out of memory?)" if -status == getattr(signal, "SIGKILL", 9) else ""
    return f"was killed by signal {-status}{memory}"


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """A process that is started inside does not see Ctrl-C before it can say that it wants none; here it comes afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # else the first start starts it too, and that lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Variables that a process started inside gets."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
