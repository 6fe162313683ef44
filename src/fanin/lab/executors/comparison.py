"""Runs of `fanin.compare`: one after another in this process, or in a pool of spawned ones."""

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from fanin.errors import FaninError, FaninValueError
from fanin.lab.data import DataSet
from fanin.lab.executors.payload import load_modules, modules_of
from fanin.lab.inits import Init
from fanin.lab.records import RunResult
from fanin.lab.training import Training

Job = tuple[Init, int]  # and seed


@dataclass(frozen=True, eq=False)
class Task:
    """What all runs share; a worker is sent it once."""

    factory: Callable[..., Any]
    data: DataSet
    training: Training

    def run(self, init: Init, seed: int, on_step: Callable[[int], None] | None = None) -> RunResult:
        """One run of the engine of the model's framework."""
        from fanin.lab import engine_torch

        return engine_torch.run(self.factory, init, self.data, self.training, seed, on_step)


SHOWN = 3  # lines of a list in an error of fanin's own, such as the weights that a plan does not fit


def serial(
    task: Task, jobs: list[Job], errors: dict[str, Exception], on_step: Callable[[int], None] | None
) -> Generator[RunResult]:
    """Runs in order; an init that fails once (its error goes to `errors`) is not tried again with other seeds."""
    for init, seed in jobs:
        if init.name in errors:
            continue
        try:
            result = task.run(init, seed, on_step)
        except Exception as error:
            errors[init.name] = error
            result = _failure(init, seed, error)
        yield result


def _failure(init: Init, seed: int, error: BaseException) -> RunResult:
    first, *more = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    if not isinstance(error, FaninError):
        return RunResult(init.name, seed, error=f"{type(error).__name__}: {first}")
    shown = more[:SHOWN] + ([f"and {len(more) - SHOWN} more"] if len(more) > SHOWN else [])
    return RunResult(init.name, seed, error=" ".join([first, "; ".join(shown)]).strip())


def pool(task: Task, jobs: list[Job], errors: dict[str, Exception], workers: int) -> Generator[RunResult]:
    """Runs as processes finish them; leaving the loop, also by Ctrl-C, ends every process."""
    payload, modules = _pickled(task, jobs), modules_of((task.factory, task.training.loss))
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(modules, payload))
    try:
        waiting: dict[Future[RunResult], Job] = {
            executor.submit(_work, init, seed): (init, seed) for init, seed in jobs
        }
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                init, seed = waiting.pop(future)
                try:
                    result = future.result()
                except BrokenExecutor as error:
                    raise FaninError(
                        f"a worker process ended in the run of {init.name} with seed {seed} (out of memory?); "
                        "use fewer workers, or workers=1 to see the error"
                    ) from error
                except Exception as error:
                    if init.name in errors:
                        continue
                    errors[init.name] = error
                    result = _failure(init, seed, error)
                yield result
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()


def _pickled(task: Task, jobs: list[Job]) -> bytes:
    try:
        pickle.dumps(jobs)
        return pickle.dumps(task)
    except Exception as error:
        raise FaninValueError(
            f"workers: the factory, the loss or an init cannot be sent to another process ({error}); "
            "define it at the top of a module, or use workers=1"
        ) from error


_task: list[Task] = []  # of this worker


def _start(modules: dict[str, str], payload: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    load_modules(modules)
    _task.append(pickle.loads(payload))


def _work(init: Init, seed: int) -> RunResult:
    return _task[0].run(init, seed)
