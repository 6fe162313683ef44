"""One attempt at a job in this process, and what its end means."""

import importlib
from collections.abc import Callable
from typing import Protocol

from fanin.errors import FaninError
from fanin.imports import lines_of
from fanin.lab.jobs import Died, Finished, Job, Payload
from fanin.lab.machine import is_full, is_out_of_memory, is_worn_out
from fanin.lab.study.rows import RunRow

CARRY_OUT = "fanin.lab.worker:carry_out"
START = 120.0  # seconds that a worker may take to start: it imports a framework, on a busy machine


class CarryOut(Protocol):
    """Trains the runs of a job; reports the share that is done now and then, as a sign of life."""

    def __call__(self, job: Job, payload: Payload, report: Callable[[float], None]) -> tuple[RunRow, ...]: ...


def find(name: str) -> CarryOut:
    """The function that "module:function" names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def attempt(
    carry_out: CarryOut, job: Job, payload: Payload, report: Callable[[float], None]
) -> tuple[Finished | Died, BaseException | None]:
    """The outcome of a job and the exception behind it: what a job does, it never does to the study.

    Memory, disk and open files are the machine's or the process's: such an end says nothing about the run. Whatever else is
    raised will be again.
    """
    shares = [0.0]

    def heard(share: float) -> None:
        shares[0] = share
        report(share)

    try:
        return Finished(job, tuple(carry_out(job, payload, heard))), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a model of the user's may call sys.exit
        if is_out_of_memory(error):
            return Died(job, "it ran out of memory", share=shares[0]), error
        if is_full(error):
            return Died(job, f"the disk is full ({error})", share=shares[0], full=True), error
        return Died(job, words_of(error), share=shares[0], raised=not is_worn_out(error)), error


def words_of(error: BaseException) -> str:
    """An exception in one line."""
    first = next(iter(lines_of(error)), "no message")
    return first if isinstance(error, FaninError) else f"{type(error).__name__}: {first}"
