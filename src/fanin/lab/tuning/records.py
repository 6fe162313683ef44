"""What tuning tries, and what it leaves behind."""

from dataclasses import dataclass

from fanin.lab import metrics
from fanin.lab.statistics.records import Verdict
from fanin.lab.study.rows import RunRow
from fanin.records import Record


@dataclass(frozen=True)
class Adjustment(Record):
    """An initialization with its sizes changed.

    Attributes:
        init: as `fanin.compare` takes it: "default", "fanin", a rule, a preset.
        gain: factor on the weights of every layer but the last one of a residual branch, which `residual` is for.
        bias: value of every bias of a layer with weights; 0 leaves them as `init` gives them.
        residual: factor on the last weight of every residual branch, `gain` aside (0 starts branches switched off).
    """

    init: str
    gain: float = 1.0
    bias: float = 0.0
    residual: float = 1.0

    @property
    def name(self) -> str:
        """In words, with all digits, since runs are told apart by it: "he_normal × 1.41, bias 0.01"."""
        words = self.init + (f" × {_exact(self.gain)}" if self.gain != 1 else "")
        words += f", bias {_exact(self.bias)}" if self.bias else ""
        return words + (f", residual × {_exact(self.residual)}" if self.residual != 1 else "")


def _exact(value: float) -> str:
    """The shortest text that is this number and no other."""
    return repr(float(value)).removesuffix(".0")


@dataclass(frozen=True)
class Candidate(Record):
    """One point of the search: how to start, and the learning rate."""

    start: Adjustment
    lr: float


@dataclass(frozen=True)
class Trial(Record):
    """What a candidate reached on one rung.

    Attributes:
        candidate: what was tried.
        score: mean over the seeds of the held-out score; a diverged run counts as the best constant prediction.
        diverged: how many of its runs diverged.
        seeds: how many runs it had.
    """

    candidate: Candidate
    score: float
    diverged: int
    seeds: int


@dataclass(frozen=True)
class Rung(Record):
    """One round of the halving: every candidate that was left, with the same budget; the best third goes on.

    Attributes:
        steps: optimizer steps of each run.
        trials: the best first.
    """

    steps: int
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Tuning(Record):
    """What `fanin.tune` returns.

    Attributes:
        model, data, optimizer: what was tuned.
        score: name of the score.
        rungs: of the search, in order.
        winner: the candidate that the search found.
        baseline: the default at the best of its own learning rates, found with the same budgets.
        confirmed: the winner against the baseline on fresh seeds, on the test part: paired differences in the score. The
            winner counts as better only where it is so at their own learning rates, and with both at the winner's.
        winner_score, baseline_score: mean test score of each on the fresh seeds.
        default_at_winners_rate: mean test score of the default at the winner's learning rate on the same seeds (its own
            score where both have one rate); None where it was not run, since the winner was not better anyway.
        in_disguise: whether the winner is better at their own learning rates, but not shown to be where the default takes
            the winner's: the difference was the learning rate's.
        mapped: the winner's init at every gain and learning rate, with the first rung's budget.
        rows: the runs that confirm.
        cost: full runs that all of it took, the map and those that confirm included.
        recommended: whether the winner is recommended: only where the fresh seeds show that it is better.
        seconds: wall time.
        notes: what should be known beside, one sentence each.
    """

    model: str
    data: str
    optimizer: str
    score: str
    rungs: tuple[Rung, ...]
    winner: Candidate
    baseline: Candidate
    confirmed: Verdict
    winner_score: float
    baseline_score: float
    mapped: tuple[Trial, ...]
    rows: tuple[RunRow, ...]
    cost: float
    recommended: bool
    default_at_winners_rate: float | None = None
    in_disguise: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def map(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[tuple[float | None, ...], ...]]:
        """Gains, learning rates, and the best held-out score of the winner's init at each pair (a row a gain).

        All had the first rung's short budget; None where a pair was not tried.
        """
        trials, better = self.mapped, max if metrics.higher_is_better(self.score) else min
        gains = tuple(sorted({t.candidate.start.gain for t in trials}))
        rates = tuple(sorted({t.candidate.lr for t in trials}))
        best: dict[tuple[float, float], float] = {}
        for trial in trials:
            place = (trial.candidate.start.gain, trial.candidate.lr)
            best[place] = better(trial.score, best.get(place, trial.score))
        return gains, rates, tuple(tuple(best.get((gain, lr)) for lr in rates) for gain in gains)

    def __str__(self) -> str:
        from fanin.reports.tuned import tuning_text  # a result shows itself; the room above draws it

        return tuning_text(self)

    def _repr_html_(self) -> str:
        from fanin.reports.tuned import tuning_fragment

        return tuning_fragment(self)
