"""Runs that take no time and train nothing, for tests of what happens around them; the model's text says how they end.

Rows and curves depend on the config alone, as real ones do.
"""

import errno
import hashlib
import json
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fanin.lab.jobs import Job, Payload, checkpoint_file, curve_file
from fanin.lab.study import CurvePoint, RunConfig, RunRow, Study, TrainingSettings

CARRY_OUT = "tests.lab.fake_runs:carry_out"
POINTS = 4


def study_of(models: Sequence[str] = ("ok",), seeds: int = 5, patience: float = 60.0, name: str = "fake") -> Study:
    """A study with one run a model and seed."""
    return Study(name, models=tuple(models), seeds=tuple(range(seeds)), patience=patience)


def configs_of(study: Study) -> dict[str, RunConfig]:
    """Its runs by key."""
    runs = [
        RunConfig(model, "default", "digits", "sgd", 0.1, 64, seed, study.training, context={"model": model})
        for model in study.models
        for seed in study.seeds
    ]
    return {key_of(run): run for run in runs}


def key_of(config: RunConfig) -> str:
    return hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode()).hexdigest()[:16]


def changed_training(study: Study, **values: float) -> Study:
    from dataclasses import replace

    return replace(study, training=TrainingSettings(**values))  # type: ignore[arg-type]


def carry_out(job: Job, payload: Payload, report: Callable[[float], None]) -> tuple[RunRow, ...]:
    """A row and a curve a run."""
    return tuple(_run(job, place, report) for place in range(len(job.keys)))


def _run(job: Job, place: int, report: Callable[[float], None]) -> RunRow:
    key, config = job.keys[place], job.configs[place]
    word, _, amount = config.model.partition(":")
    numbers = random.Random(key)
    path = curve_file(Path(job.folder), key, job.attempt)
    path.write_text("")
    if word == "late":
        time.sleep(float(amount))
    for step in range(POINTS):
        point = CurvePoint(step, float(step), numbers.random(), numbers.random(), numbers.random())
        with open(path, "a") as file:
            file.write(json.dumps(point.to_dict()) + "\n")
        report((place + (step + 1) / POINTS) / len(job.keys))
        if step == 1:
            _happen(word, float(amount or 0.0), job, step)
    score = math.nan if word == "nan" else numbers.random()
    metrics = {"accuracy": score, "loss": numbers.random()}
    return RunRow(
        key, config, "done", diverged=word == "nan", steps=POINTS, planned_steps=POINTS, metrics=metrics, held=metrics,
        summary={"best": numbers.random()}, attempts=job.attempt + 1, curve=f"curves/{path.name}",
    )  # fmt: skip


class Mute(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def _happen(word: str, amount: float, job: Job, step: int) -> None:
    if word == "slow":
        time.sleep(amount)
    elif word == "hang":
        time.sleep(3600)
    elif word == "raise":
        raise RuntimeError("no such layer\nand more")
    elif word == "letters":  # as the name of a file that is no UTF-8 has them
        raise FileNotFoundError("no file caf\udce9.txt")
    elif word == "mute":
        raise Mute
    elif word == "files":
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    elif word == "print":
        print("the model says so", flush=True)
    elif word == "exit":
        sys.exit(3)
    elif word == "gone":
        os._exit(4)
    elif word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "memory":
        raise MemoryError
    elif word == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    elif word == "once" and job.attempt < amount:  # dies as often as it says, then is done
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "long" and job.attempt < amount:  # the same, with a checkpoint each time
        checkpoint_file(Path(job.folder), job).write_text(str(job.attempt))
        os.kill(os.getpid(), signal.SIGKILL)
