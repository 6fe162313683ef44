"""What one run leaves behind."""

import math
from dataclasses import dataclass, field
from typing import Literal

from fanin.lab.study.records import RunConfig
from fanin.records import Record


@dataclass(frozen=True)
class CurvePoint(Record):
    """One line of a run's append-only file: what was seen after `step` optimizer steps. NaN stands for "not measured".

    Attributes:
        step: steps done.
        seconds: of training so far (evaluations aside); of a stacked run its share of the stack's.
        train_loss: mean over the batches since the last point.
        held_loss, held_score: on the held-out part (validation, or test where nothing is held out).
        grad_norm: norm of the whole gradient of the last batch.
        moved: distance of the weights from where they started, over the norm that they started with.
    """

    step: int
    seconds: float = math.nan
    train_loss: float = math.nan
    held_loss: float = math.nan
    held_score: float = math.nan
    grad_norm: float = math.nan
    moved: float = math.nan


@dataclass(frozen=True)
class LayerSignal(Record):
    """The output of one layer (a module with weights of its own, or an activation) on a fixed batch.

    Attributes:
        name: of the module.
        kind: class name of the module.
        rms: root mean square of its output.
        dead: share of units that are constant (after an activation: that are zero) over the whole batch.
        rank: effective rank of the outputs of the examples over the most that it could be, 0 to 1
            (Roy & Vetterli 2007: exp of the entropy of the normalised singular values). None where the output goes straight into an
            activation, whose rank is the one that the next layer sees.
    """

    name: str
    kind: str
    rms: float
    dead: float
    rank: float | None


@dataclass(frozen=True)
class Signals(Record):
    """Signal through depth after `step` steps, layers in the order in which they run."""

    step: int
    layers: tuple[LayerSignal, ...]


@dataclass(frozen=True)
class RunRow(Record):
    """One run of a study, as its row in the store says.

    Attributes:
        key: hash of `config`.
        config: what the run was.
        state: "pending", "done" (also of a run that diverged: that is a result) or "failed" (no result; `error` says why).
        diverged: whether the loss became NaN or infinite, or passed the study's limit; the run was stopped there.
        steps: optimizer steps taken.
        planned_steps: of a whole run.
        metrics: on the test part, after the last step, by name. Of a diverged run: what the best constant prediction
            scores. Holds the task's own metrics, those that the study asks for, and "loss".
        held: the same on the held-out part ("loss" and the score); learning rates are chosen by it.
        summary: figures of the curve, by name: "best" and "final" held-out score, "area" under its curve (mean over the
            steps), "gap" (training score less held-out score at the end), "spike" (largest rise of the training loss
            over its running least, as a factor), "first_loss", "last_loss", "grad_norm", "moved", "dead", "rank" (the
            last three at the end; dead and rank are the worst layer's), "constant" (what the best constant scores),
            "target" (the score that steps are counted to, where there is one).
        confusion: rows true class, columns predicted class, on the test part; () where the task has no classes.
        reached_at: first evaluated step with the target score, None if never.
        reached_seconds: training time until then, None if never.
        signals: signal through depth at the start and at some later steps, the last among them.
        seconds: wall time of the run; of a stacked one its share.
        init_seconds: of these, for construction and init.
        attempts: how often it was begun.
        error: why there is no result.
        note: what the init could not do, "" for nothing.
        curve: name of the run's file of curve points, in the study's folder.
    """

    key: str
    config: RunConfig
    state: Literal["pending", "done", "failed"] = "pending"
    diverged: bool = False
    steps: int = 0
    planned_steps: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
    reached_at: int | None = None
    reached_seconds: float | None = None
    signals: tuple[Signals, ...] = ()
    seconds: float = 0.0
    init_seconds: float = 0.0
    attempts: int = 0
    error: str = ""
    note: str = ""
    curve: str = ""
