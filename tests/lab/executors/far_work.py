"""What the tests of executors on other machines share: a study that is run here and there, and what came of it."""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.lab import fake_runs

from fanin.lab.driver import RunSummary, run_study
from fanin.lab.executors import Serial
from fanin.lab.jobs import Job, Payload
from fanin.lab.store import Store
from fanin.lab.study.rows import CurvePoint, RunRow

BOUND = "tests.lab.executors.far_work:bound"


def run(
    folder: Path, executor: Any, *models: str, seeds: int = 2, patience: float = 60.0, **options: Any
) -> tuple[RunSummary, tuple[RunRow, ...]]:
    """Runs a study of fake models, and reads its rows."""
    study = fake_runs.study_of(models, seeds, patience)
    summary = run_study(study, folder, executor, configs=fake_runs.configs_of(study), group=_each, **options)
    with Store.open(folder, readonly=True) as store:
        return summary, store.rows()


def _each(pending: Mapping[str, Any], study: Any) -> list[tuple[str, ...]]:
    """A job a run: fake models are in no stack."""
    return [(key,) for key in pending]


def results(folder: Path) -> list[tuple[RunRow, tuple[CurvePoint, ...]]]:
    """Rows and curves, without what may differ between a run that was disturbed and one that was not."""
    with Store.open(folder, readonly=True) as store:
        return [(replace(row, attempts=0, seconds=0.0, curve=""), store.curve(row)) for row in store.rows()]


def undisturbed(folder: Path, *models: str, seeds: int = 2) -> list[tuple[RunRow, tuple[CurvePoint, ...]]]:
    """The same study's rows and curves when it is run in this process, with nothing happening to it."""
    run(folder, Serial(carry_out="tests.lab.executors.far_work:calm"), *models, seeds=seeds)
    return results(folder)


def calm(job: Job, payload: Payload, report: Callable[[float], None]) -> tuple[RunRow, ...]:
    """As if every attempt were a late one."""
    rows = fake_runs.carry_out(replace(job, attempt=99), payload, report)
    return tuple(rows)


def bound(job: Job, payload: Payload, report: Callable[[float], None]) -> tuple[RunRow, ...]:
    """Has the user's own object say the metric."""
    own = pickle.loads(payload.bindings)["own"]
    return tuple(replace(row, metrics={"accuracy": own()}) for row in fake_runs.carry_out(job, payload, report))
