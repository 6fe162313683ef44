"""The runs of `fanin.compare`, carried out by the lab's driver and its executors: one run a job, its result in a file of its own."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fanin.errors import FaninError, FaninValueError
from fanin.files import write_atomically
from fanin.lab.data import DataSet
from fanin.lab.driver import StudyProgress, run_study
from fanin.lab.executors import Processes, Serial, payload_of
from fanin.lab.executors.attempt import words_of
from fanin.lab.inits import Init
from fanin.lab.jobs import Executor, Job, Payload
from fanin.lab.machine import is_of_the_machine
from fanin.lab.records import RunResult
from fanin.lab.study.grid import key_of
from fanin.lab.study.records import RunConfig, Study, TrainingSettings
from fanin.lab.study.rows import RunRow
from fanin.lab.training import Training
from fanin.lab.worker import bindings_of

CARRY_OUT = "fanin.lab.comparison_runs:carry_out"
TASK = "the factory, the loss or an init"  # the name of the task among the study's objects, as errors say it
SHOWN = 3  # lines of a list in an error of fanin's own, such as the weights that a plan does not fit


@dataclass(frozen=True, eq=False)
class Task:
    """What all runs share; a worker is sent it once.

    Attributes:
        factory: gives fresh models.
        inits: by name.
        data: in the form that the model takes.
        training: of every run.
        errors: of inits that failed, by name; in this process only.
    """

    factory: Callable[..., Any]
    inits: Mapping[str, Init]
    data: DataSet
    training: Training
    errors: dict[str, Exception] = field(default_factory=dict)

    def run(self, init: str, seed: int, report: Callable[[float], None]) -> RunResult:
        """One run of the engine; an init that failed once is not tried again with other seeds."""
        from fanin.lab import engine_torch

        if init in self.errors:
            return RunResult(init, seed, error=_words(self.errors[init]))
        try:
            return engine_torch.run(self.factory, self.inits[init], self.data, self.training, seed, report)
        except Exception as error:
            if is_of_the_machine(error):
                raise
            self.errors[init] = error
            return RunResult(init, seed, error=_words(error))


def _words(error: BaseException) -> str:
    """An exception in one line; of fanin's own with the first lines of its list."""
    more = (
        [line.strip() for line in str(error).splitlines() if line.strip()][1:] if isinstance(error, FaninError) else []
    )
    shown = more[:SHOWN] + ([f"and {len(more) - SHOWN} more"] if len(more) > SHOWN else [])
    return f"{words_of(error)} {'; '.join(shown)}".strip()


def carry_out(job: Job, payload: Payload, report: Callable[[float], None]) -> tuple[RunRow, ...]:
    """The job's run; its result stands in the study's folder before its row says so."""
    task: Task = bindings_of(payload)[TASK]
    (key,), (config,) = job.keys, job.configs
    result = task.run(config.plan, config.seed, report)
    write_atomically(_file(Path(job.folder), key), json.dumps(result.to_dict()))
    if result.error:
        return (RunRow(key, config, "failed", attempts=job.attempt + 1, error=result.error),)
    row = RunRow(
        key, config, "done", diverged=result.diverged, steps=result.steps, planned_steps=result.planned_steps,
        metrics=result.metrics, reached_at=result.reached_at, seconds=result.seconds, init_seconds=result.init_seconds,
        attempts=job.attempt + 1, note=result.note,
    )  # fmt: skip
    return (row,)


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.result.json"


def run_all(
    task: Task,
    jobs: Sequence[tuple[str, int]],
    folder: Path,
    workers: int,
    on_progress: Callable[[float], None],
    on_result: Callable[[RunResult], None],
) -> bool:
    """Carries out every (init, seed) in order; whether Ctrl-C ended it before the last one.

    Args:
        folder: new or empty, of this comparison alone.
        workers: processes; 1 trains in this one.
        on_progress: hears the number of runs done, with the share of those at work.
        on_result: hears of every run that is done, or failed for the first time.

    Raises:
        FaninValueError: something cannot be sent to another process.
    """
    configs = {key_of(config): config for config in (_config(task, init, seed) for init, seed in jobs)}
    study = Study("comparison", plans=tuple(task.inits), seeds=tuple(dict.fromkeys(seed for _, seed in jobs)))
    failed: set[str] = set()

    def heard(progress: StudyProgress) -> None:
        on_progress(progress.share * progress.total)
        for row in progress.rows:
            if not (result := _result(folder, row)).error:
                on_result(result)
            elif result.init not in failed:
                failed.add(result.init)
                on_result(result)

    executor = _executor(task, workers, len(jobs))
    return run_study(study, folder, executor, configs=configs, group=_alone, on_event=heard).interrupted


def _alone(pending: Mapping[str, RunConfig], study: Study) -> list[tuple[str, ...]]:
    """Every run a job of its own: what it gives then depends on no other, not in its last bit either."""
    return [(key,) for key in pending]


def _result(folder: Path, row: RunRow) -> RunResult:
    file = _file(folder, row.key)
    if file.exists():
        return RunResult.from_dict(json.loads(file.read_text(encoding="utf-8")))
    return RunResult(row.config.plan, row.config.seed, error=row.error)  # its process ended, again and again


def _executor(task: Task, workers: int, jobs: int) -> Executor:
    if workers == 1:
        return Serial(payload=payload_of({TASK: task}, here=True), carry_out=CARRY_OUT)
    own = {"the factory": task.factory, "the loss": task.training.loss}
    try:
        return Processes(min(workers, jobs), payload_of({**own, TASK: task}), CARRY_OUT)
    except FaninValueError as error:
        words = str(error).replace("executor='serial'", "workers=1")
        raise FaninValueError(f"workers={workers}: {words}") from error


def _config(task: Task, init: str, seed: int) -> RunConfig:
    training = task.training
    settings = TrainingSettings(
        steps=training.steps, validation=0.0, evaluations=training.evaluations, target=training.target, watch=False,
        weight_decay=float(training.weight_decay),
    )  # fmt: skip
    return RunConfig(
        "model", init, task.data.name, training.optimizer, float(training.lr), training.batch_size, seed, settings
    )
