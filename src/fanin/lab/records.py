"""What a comparison leaves behind: every run, the statistics over them, and the settings that they share."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from fanin.errors import FaninValueError
from fanin.files import write_atomically
from fanin.lab.statistics.records import Estimate, Finding, Interval
from fanin.lab.tasks import Task
from fanin.records import Record

VERSION = 2  # of the JSON that `Comparison.save` writes


@dataclass(frozen=True)
class RunResult(Record):
    """One model, drawn by one init, trained with one seed.

    Attributes:
        init: name of the init.
        seed: seed of the run; runs of different inits with the same seed form a pair.
        metrics: on the test part after the last step, by name (see `fanin.lab.metrics`). Of a diverged run: what the
            best constant prediction scores, since that is all that such a run leaves one with.
        diverged: whether the loss became NaN or infinite; the run was stopped there.
        steps: optimizer steps taken.
        planned_steps: steps that a whole run takes.
        reached_at: first evaluated step at which the target score was reached on the held-out part, None if it never was (then the run is
            censored at `planned_steps`) or no target was set.
        train_steps, train_loss: the training loss per step, thinned to a bounded number of points.
        eval_steps, eval_loss, eval_score: on the held-out part (the test part where nothing is held out), step 0 (before
            training) and the last step included.
        seconds: wall time of the run (construction, init, training and evaluation).
        init_seconds: of these, the time that the init took.
        error: why the run could not be done, "" for a run that was.
        note: what the init could not do, "" for nothing.
    """

    init: str
    seed: int
    metrics: dict[str, float] = field(default_factory=dict)
    diverged: bool = False
    steps: int = 0
    planned_steps: int = 0
    reached_at: int | None = None
    train_steps: tuple[int, ...] = ()
    train_loss: tuple[float, ...] = ()
    eval_steps: tuple[int, ...] = ()
    eval_loss: tuple[float, ...] = ()
    eval_score: tuple[float, ...] = ()
    seconds: float = 0.0
    init_seconds: float = 0.0
    error: str = ""
    note: str = ""


@dataclass(frozen=True)
class StepsToTarget(Record):
    """Steps until the target score, with runs that never reached it kept in as censored.

    Attributes:
        target: the score to reach.
        reached: number of runs that reached it.
        runs: number of runs.
        median: Kaplan-Meier median, None where fewer than half of the runs reached the target.
        restricted_mean: mean of min(steps, horizon), the area under the Kaplan-Meier curve.
        horizon: steps at which runs are censored.
    """

    target: float
    reached: int
    runs: int
    median: float | None
    restricted_mean: float
    horizon: int


@dataclass(frozen=True)
class InitSummary(Record):
    """All runs of one init.

    Attributes:
        init: name of the init.
        runs: number of runs done.
        diverged: how many of them diverged.
        failed: runs that could not be done.
        metrics: mean and interval by metric, of the runs that did not diverge; without any of those, {}.
        overall: mean of the same over all runs, those that diverged with what the constant prediction scores.
        diverged_share: share of the runs that diverged, with Wilson's interval.
        seconds: time of a run.
        steps_to_target: None where no target was set.
        note: why runs failed, "" where none did.
    """

    init: str
    runs: int
    diverged: int
    failed: int
    metrics: dict[str, Estimate]
    overall: dict[str, float]
    diverged_share: Estimate
    seconds: Interval
    steps_to_target: StepsToTarget | None = None
    note: str = ""


@dataclass(frozen=True)
class Difference(Record):
    """One metric of one init minus that of the baseline, over the seeds that both have.

    A run that diverged counts with what the constant prediction scores.

    Attributes:
        init, baseline: names of the inits.
        metric: name of the metric.
        finding: "better", "worse", "no difference shown", or "too few seeds to say", after Holm's correction.
        interval: mean of the paired differences with its interval.
        wins, ties, losses: seeds on which the init is better, equal, worse.
        p: two-sided p of the test named in `test` (NaN with fewer than six pairs, which could not show any).
        p_adjusted: the same after Holm's correction over all inits compared on this metric.
        test: "sign-flip" (exact permutation of the signs of the differences), "signed-rank" or "wilcoxon".
    """

    init: str
    baseline: str
    metric: str
    finding: Finding
    interval: Estimate
    wins: int
    ties: int
    losses: int
    p: float
    p_adjusted: float
    test: str


@dataclass(frozen=True)
class ReferenceLine(Record):
    """What an ordinary learner reaches on the same split.

    Attributes:
        name: of the learner.
        metrics: on the test part, by name.
        seconds: time to fit and predict.
        note: what was left out, "" where nothing was.
    """

    name: str
    metrics: dict[str, float]
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class Settings(Record):
    """What all runs of a comparison share.

    Attributes:
        data: name of the data set as it was asked for.
        task: kind of task.
        train_examples, test_examples: sizes of the parts.
        held_examples: size of the part that curves are measured on, 0 where that is the test part.
        classes: number of classes (0 for regression).
        input_shape: shape of one example as the model got it.
        optimizer, lr, momentum, weight_decay, batch_size: of the training.
        steps: optimizer steps of a whole run.
        epochs: the same in passes over the training part.
        loss: name of the loss.
        target: score to reach for `reached_at`, None for none.
        evaluations: number of evaluations while training, step 0 aside.
        framework: of the model, with its version.
        device: that the runs were done on.
    """

    data: str
    task: Task
    train_examples: int
    test_examples: int
    classes: int
    input_shape: tuple[int, ...]
    optimizer: str
    lr: float
    momentum: float
    weight_decay: float
    batch_size: int
    steps: int
    epochs: float
    loss: str
    target: float | None
    evaluations: int
    held_examples: int = 0
    framework: str = ""
    device: str = "cpu"


@dataclass(frozen=True)
class Comparison(Record):
    """What `fanin.compare` returns.

    Attributes:
        model: what was trained, in words.
        inits: names of the inits, in the order asked for; the first is the baseline of the differences.
        seeds: seeds asked for.
        settings: what all runs share.
        score: the metric that target, curves and verdicts speak of ("accuracy" or "r2").
        results: every run, by init and then by seed in the orders asked for.
        summaries: statistics, one an init, in the same order.
        differences: paired, each init but the first against the first, for each metric.
        references: ordinary learners on the same split.
        interrupted: whether it was stopped before all runs were done. The statistics are then over the seeds that
            every init has finished.
        seconds: wall time of the whole comparison.
        notes: what should be known beside the figures, one sentence each.
        version: of this record's JSON.
    """

    model: str
    inits: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Settings
    score: str
    results: tuple[RunResult, ...]
    summaries: tuple[InitSummary, ...]
    differences: tuple[Difference, ...]
    references: tuple[ReferenceLine, ...] = ()
    interrupted: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    version: int = VERSION

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that the runs have."""
        return next((tuple(r.metrics) for r in self.results if not r.error), ())

    def runs(self, init: str) -> tuple[RunResult, ...]:
        """The runs of one init, in the order of the seeds."""
        return tuple(r for r in self.results if r.init == init)

    def summary(self, init: str) -> InitSummary:
        """The statistics of one init."""
        for summary in self.summaries:
            if summary.init == init:
                return summary
        raise KeyError(init)

    def difference(self, init: str, metric: str | None = None) -> Difference | None:
        """The paired difference of one init against the baseline in one metric (the score unless said), if there is one."""
        wanted = metric or self.score
        return next((d for d in self.differences if d.init == init and d.metric == wanted), None)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes this record as JSON, whole or not at all; returns the path."""
        try:
            return write_atomically(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
        except OSError as error:
            raise FaninValueError(f"path={str(path)!r} cannot be written: {error.strerror}") from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Comparison":
        """The record that `save` wrote; raises `FaninValueError` for anything else, also a damaged file."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise FaninValueError(f"path={str(path)!r} cannot be read: {error.strerror}") from None
        except ValueError:
            raise FaninValueError(f"path={str(path)!r} is not a comparison: it is not whole JSON text") from None
        version = data.get("version") if isinstance(data, dict) else None
        if version != VERSION:
            raise FaninValueError(
                f"path={str(path)!r} is not a comparison that this fanin reads: "
                f"its version is {version!r}, accepted is {VERSION}"
            )
        return cls.from_dict(data)

    def __str__(self) -> str:
        from fanin.reports.terminal import comparison_text  # a result shows itself; the room above draws it

        return comparison_text(self)

    def _repr_html_(self) -> str:
        from fanin.reports.html import comparison_fragment

        return comparison_fragment(self)
