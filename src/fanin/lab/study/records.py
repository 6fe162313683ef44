"""What a study is: its grid, how its runs are trained, and what was expected of it before it was run."""

from dataclasses import dataclass, field
from typing import Any, Literal

from fanin.records import Record

# One value of an axis; text may hold {variables}, which stand for the axes of the same name.
AxisValue = str | int | float | bool
Stacking = Literal["auto", "never"]


@dataclass(frozen=True)
class TrainingSettings(Record):
    """How every run of a study is trained; part of each run's key.

    Attributes:
        steps: optimizer steps, or None: `epochs` decide.
        epochs: passes over the training part.
        loss: a name, or None for the task's own.
        schedule: "constant", "cosine" (to zero at the last step) or "linear".
        warmup: share of the steps over which the learning rate rises from zero.
        clip: largest norm of the whole gradient, None for no clipping.
        weight_decay: of the optimizer.
        augment: names of augmentations of the training images ("flip", "crop"), in order.
        validation: share of the training part that is held out: learning rates are chosen on it and curves measured.
            0 holds nothing out: the curves are then measured on the test part, and nothing may be chosen by them. A data set
            with a validation part of its own keeps that.
        evaluations: times that the held-out part is looked at, the one before training aside.
        target: score that `steps to target` asks for; None for the data set's own.
        watch: whether gradient norms, weight movement, dead units and ranks are recorded.
        metrics: metrics of the test part beside the task's own, by name.
        device: "cpu", or "cuda": part of what a run is, since its last bits depend on it.
        loss_limit: a run whose training loss exceeds this many times its first one counts as diverged (and is stopped);
            None stops at NaN and infinity only.
    """

    steps: int | None = None
    epochs: float = 15.0
    loss: str | None = None
    schedule: str = "constant"
    warmup: float = 0.0
    clip: float | None = None
    weight_decay: float = 0.0
    augment: tuple[str, ...] = ()
    validation: float = 0.1
    evaluations: int = 15
    target: float | None = None
    watch: bool = True
    metrics: tuple[str, ...] = ()
    device: str = "cpu"
    loss_limit: float | None = None


@dataclass(frozen=True)
class Expectation(Record):
    """What was expected before the study was run; never edited after it.

    Attributes:
        says: the expectation in one sentence.
        kind: "better" (plan's metric is larger than than's by at least `by`, and a paired test shows it),
            "no_difference" (the interval of the paired difference lies within ± `by`),
            "at_least" / "at_most" (plan's mean against `value`), "fails" (plan's mean is within `by` of what the best
            constant prediction scores, or at least half of its runs diverged), "trains" (the opposite of fails),
            "diverges" (at least the share `value` of plan's runs diverged).
        plan: the plan that it speaks of, as its text in the grid (after variables are filled in).
        than: the plan that it is compared with, where the kind compares.
        metric: name of the metric; None for the data's score.
        by: the least difference, or the tolerance, in the metric's units.
        value: the bound of "at_least", "at_most", "diverges".
        where: axis → value: the part of the grid that it speaks of; each cell in it must come out.
        lr: a learning rate, or None for each plan's own best one (chosen on validation data).
    """

    says: str
    kind: Literal["better", "no_difference", "at_least", "at_most", "fails", "trains", "diverges"]
    plan: str
    than: str | None = None
    metric: str | None = None
    by: float = 0.0
    value: float | None = None
    where: dict[str, AxisValue] = field(default_factory=dict)
    lr: float | None = None


@dataclass(frozen=True)
class Study(Record):
    """A grid of runs, and the question that it answers.

    Attributes:
        name: of the study: letters, digits, "-" and "_".
        question: what it asks, one sentence.
        models: model specs such as "mlp(depth={depth}, width=64)", or "module:factory"; see `fanin.lab.models`.
        plans: inits as `fanin.compare` takes them: "default", "fanin", "lsuv", a rule, a preset, a plan file. The first
            is the baseline of the differences.
        data: data sets as `fanin.lab.load` takes them.
        optimizers: such as "sgd(momentum=0.9)", "adam", "adamw(weight_decay=0.1)".
        lrs: learning rates, each > 0.
        batch_sizes: examples in a step.
        variables: further axes: name → values. A {name} in the text of a model, plan or data set stands for them; one that
            no text names is an argument of every model that takes it.
        seeds: of the runs: every cell gets the same.
        training: what all runs share.
        references: whether scikit-learn's ordinary learners are fitted on the same split.
        expectations: written before the run.
        patience: seconds without one step after which a run counts as hung.
        stacking: "auto" trains many small models of one shape at once where that pays; "never" does not.
        answer: the expected answer in words, and the papers that it comes from.
    """

    name: str
    question: str = ""
    models: tuple[str, ...] = ()
    plans: tuple[str, ...] = ("default", "fanin")
    data: tuple[str, ...] = ("digits",)
    optimizers: tuple[str, ...] = ("sgd(momentum=0.9)",)
    lrs: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1)
    batch_sizes: tuple[int, ...] = (64,)
    variables: dict[str, tuple[AxisValue, ...]] = field(default_factory=dict)
    seeds: tuple[int, ...] = tuple(range(10))
    training: TrainingSettings = TrainingSettings()
    references: bool = False
    expectations: tuple[Expectation, ...] = ()
    patience: float = 300.0
    stacking: Stacking = "auto"
    answer: str = ""


@dataclass(frozen=True)
class RunConfig(Record):
    """Everything that one run's numbers depend on; `fanin.lab.study.grid.key_of` hashes it.

    Attributes:
        model, plan, data, optimizer: specs with every variable filled in.
        lr: learning rate.
        batch_size: examples in a step.
        seed: of construction, draws, data order and training.
        training: the study's.
        stacked: whether the run is trained together with others of its shape (its last bits depend on that).
        together: how many of them a stack has at most; 0 where nothing says.
        context: axis → value of everything but plan, lr and seed: cells that differ in these are never pooled. It holds
            "model", "data", "optimizer", "batch_size", and those variables that no plan's text uses.
    """

    model: str
    plan: str
    data: str
    optimizer: str
    lr: float
    batch_size: int
    seed: int
    training: TrainingSettings
    stacked: bool = False
    together: int = 0
    context: dict[str, AxisValue] = field(default_factory=dict)


Bindings = dict[str, Any]  # name → an object of the user's own (factory, init, data set, loss, metric) that specs name
