"""Executors by the names that the command line knows."""

import difflib
import importlib
import inspect
import os
from typing import Any

from fanin.errors import FaninValueError
from fanin.lab.jobs import Executor, Payload

# name → module and class; a class takes (workers, payload=…) and options of its own
EXECUTORS: dict[str, tuple[str, str]] = {
    "serial": ("fanin.lab.executors.serial", "Serial"),
    "processes": ("fanin.lab.executors.processes", "Processes"),
    "ray": ("fanin.lab.executors.ray", "Ray"),
    "slurm": ("fanin.lab.executors.slurm", "Slurm"),
}


def make_executor(
    name: str = "processes", workers: int | None = None, payload: Payload | None = None, **options: Any
) -> Executor:
    """The executor of that name.

    Args:
        name: "serial", "processes", "ray" or "slurm".
        workers: how many runs at once; as many as this process may use cores, unless said (a cluster: what it has).
            Nothing to "serial".
        payload: what every worker is sent once.
        options: of the executor.

    Raises:
        FaninValueError: there is no such executor, or no worker.
        FaninError: what it needs is not installed.
    """
    if name not in EXECUTORS:
        near = difflib.get_close_matches(str(name), EXECUTORS, 1)
        hint = f"; did you mean {near[0]!r}" if near else ""
        raise FaninValueError(f"executor={name!r} is unknown; accepted are {', '.join(EXECUTORS)}{hint}")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise FaninValueError(f"workers={workers!r} must be a whole number of at least 1")
    module, kind = EXECUTORS[name]
    made = getattr(importlib.import_module(module), kind)
    known = inspect.signature(made).parameters
    if unknown := [option for option in options if option not in known and "parameters" not in known]:
        raise FaninValueError(f"executor={name!r} has no option {unknown[0]!r}")
    far = name in ("ray", "slurm")
    return made(workers if far else workers or cores(), payload=payload or Payload(), **options)


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1
