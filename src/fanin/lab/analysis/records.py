"""What an analysis finds, as records that reports draw."""

from dataclasses import dataclass, field
from typing import Literal

from fanin.lab.statistics import Estimate, Interval, Profile, Survival, Tested, Verdict
from fanin.lab.study.records import AxisValue, Expectation
from fanin.records import Record

ChosenBy = Literal["held-out score", "training loss", "the only one"]
State = Literal["came out", "did not come out", "cannot be said"]


@dataclass(frozen=True)
class LrPoint(Record):
    """All runs of one method at one learning rate.

    Attributes:
        lr: the learning rate.
        held: held-out score of the runs that did not diverge, with its interval.
        overall: mean of the same over all runs, those that diverged with what the constant prediction scores: the learning
            rate is chosen by it.
        test: as `held`, on the test part; nothing is chosen by it.
        runs: done, diverged ones among them.
        diverged: how many of them.
        diverged_share: with Wilson's interval.
        eligible: whether it has enough runs to be chosen (half as many as the learning rate with the most).
    """

    lr: float
    held: Estimate
    overall: float
    test: Estimate
    runs: int
    diverged: int
    diverged_share: Estimate
    eligible: bool = True


@dataclass(frozen=True)
class LrWidth(Record):
    """The learning rates around the best one that serve nearly as well.

    Attributes:
        low, high: the least and the greatest of them.
        decades: log10(high / low).
        tolerance: how much less than the best still counts: 5 % of the way from the constant prediction to the best.
        open: whether the range reaches an end of the axis, so that it may be wider than what was measured.
    """

    low: float
    high: float
    decades: float
    tolerance: float
    open: bool


@dataclass(frozen=True)
class Cell(Record):
    """One method in one context, at its own best learning rate.

    Attributes:
        plan: what was run.
        method: what it is called over all contexts: the plan, or its text in the study where variables differ by context.
        lr: the learning rate chosen, NaN where no run is done.
        chosen_by: what it was chosen by.
        lrs: every learning rate, rising.
        edge: "smallest" or "largest" where the chosen one is an end of the axis and better than all others, else "".
        width: None where the best learning rate has learned nothing: it scores about what a constant does.
        keys: of the runs done at the chosen learning rate, in the order of `seeds`.
        seeds: of these runs.
        scores: test score of each of these runs, a diverged one with what the constant prediction scores.
        diverged, failed, missing: runs at the chosen learning rate that diverged, have no result, are not done yet.
        metrics: test metrics of the runs that did not diverge, by name: mean and interval.
        overall: mean of the same over all runs, those that diverged with what the constant prediction scores.
        diverged_share: with Wilson's interval.
        survival: steps to the target score, None where there is no target.
        seconds: of a run.
        summary: medians of the figures of the curves ("area", "gap", "spike", …) over the runs that did not diverge.
    """

    plan: str
    method: str
    lr: float
    chosen_by: ChosenBy
    lrs: tuple[LrPoint, ...]
    edge: str
    width: LrWidth | None
    keys: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    diverged: int
    failed: int
    missing: int
    metrics: dict[str, Estimate]
    overall: dict[str, float]
    diverged_share: Estimate
    survival: Survival | None
    seconds: Interval
    summary: dict[str, float] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """Runs done at the chosen learning rate."""
        return len(self.keys)


@dataclass(frozen=True)
class Pair(Record):
    """One method against another in one context, seed by seed, each at its own best learning rate.

    Attributes:
        plan, other: the methods; differences are the first's score less the second's.
        seeds: that both have.
        verdict: corrected over all comparisons of the context.
        role: "baseline" (other is the study's first method) or "best two".
        in_disguise: whether a difference at their own learning rates goes away where the loser takes the winner's: then
            it was the learning rate's, and does not count as shown.
        target: log-rank test of the steps to the target, None where there is no target.
    """

    plan: str
    other: str
    seeds: tuple[int, ...]
    verdict: Verdict
    role: Literal["baseline", "best two"] = "baseline"
    in_disguise: bool = False
    target: Tested | None = None


@dataclass(frozen=True)
class ContextAnalysis(Record):
    """All methods in one context: one model on one data set, with one optimizer.

    Attributes:
        context: axis → value.
        parts: the same with the arguments of the model as axes of their own.
        label: what sets it apart from the other contexts, "" where it is the only one.
        data: name of the data set.
        score: the metric that the verdicts speak of, "" where no run is done.
        larger_is_better: of that metric.
        constant: what the best constant prediction scores on the test part, NaN where it is not known.
        target: score that steps are counted to, None for none.
        cells: one a method, the baseline first.
        pairs: each method against the baseline, then the two best against each other where the baseline is neither.
        best: the method with the best mean score, diverged runs counted as the constant prediction; "" where none is done.
    """

    context: dict[str, AxisValue]
    parts: dict[str, AxisValue]
    label: str
    data: str
    score: str
    larger_is_better: bool
    constant: float
    target: float | None
    cells: tuple[Cell, ...]
    pairs: tuple[Pair, ...]
    best: str

    def cell(self, name: str) -> Cell | None:
        """The cell of a plan or a method, None where it has none here."""
        return next((c for c in self.cells if name in (c.plan, c.method)), None)

    @property
    def done(self) -> tuple[Cell, ...]:
        """The cells that have a run."""
        return tuple(c for c in self.cells if c.keys)


@dataclass(frozen=True)
class Across(Record):
    """One method over all contexts.

    Attributes:
        method: its name.
        mean: interquartile mean of the scores over all contexts and seeds.
        improvement: probability that a run of it beats one of the baseline in the same context; None for the baseline.
        profile: share of runs above each score, None where it was not asked for.
        best_in: contexts in which it has the best mean.
        contexts: that it was run in.
    """

    method: str
    mean: Estimate
    improvement: Estimate | None
    profile: Profile | None
    best_in: int
    contexts: int


@dataclass(frozen=True)
class CellOutcome(Record):
    """What one cell of the grid says about an expectation.

    Attributes:
        label: of the context, "" where it is the only one.
        state: whether it came out there.
        numbers: name → figure that the state rests on.
        reason: why it did not, or why nothing can be said; "" where it came out.
    """

    label: str
    state: State
    numbers: dict[str, float] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Outcome(Record):
    """What became of an expectation.

    Attributes:
        expectation: as it was written before the run.
        state: "came out" where every cell did; "did not come out" where one did not; else "cannot be said".
        cells: one a context that it speaks of.
        reason: the likely reason where it did not come out or nothing can be said, "" otherwise.
        metric: the metric that it was judged by.
    """

    expectation: Expectation
    state: State
    cells: tuple[CellOutcome, ...]
    reason: str = ""
    metric: str = ""


@dataclass(frozen=True)
class StudyAnalysis(Record):
    """Everything that the runs of a study say.

    Attributes:
        contexts: in the order of the grid.
        varying: axes in which the contexts differ, as far as labels need them.
        methods: in the order of the study, the baseline first.
        across: one a method, () with a single context.
        scale: what the scores over all contexts are: "score" (as they are), or "share" (of the way from the constant
            prediction to a perfect score, where contexts have different data); "" with a single context.
        outcomes: one an expectation.
        runs, done, diverged, failed, pending: counts of runs.
        warnings: what should be known before anything is believed, one sentence each.
        failures: sentence → number of failed runs that it is the error of.
        notes: what inits could not do, one sentence each.
        power_before: what so many seeds can show, as it could be said before the run.
        power_after: the same with the spread that the runs had, "" where nothing can be said.
    """

    contexts: tuple[ContextAnalysis, ...]
    varying: tuple[str, ...]
    methods: tuple[str, ...]
    across: tuple[Across, ...]
    scale: Literal["score", "share", ""]
    outcomes: tuple[Outcome, ...]
    runs: int
    done: int
    diverged: int
    failed: int
    pending: int
    warnings: tuple[str, ...] = ()
    failures: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    power_before: str = ""
    power_after: str = ""

    @property
    def baseline(self) -> str:
        """The method that the others are compared with."""
        return self.methods[0] if self.methods else ""
