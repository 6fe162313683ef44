"""What the statistics return: numbers with how they were got, and whether they are to be trusted."""

from dataclasses import dataclass
from typing import Literal

from fanin.records import Record

Finding = Literal["better", "worse", "no difference shown", "too few seeds to say"]


@dataclass(frozen=True)
class Interval(Record):
    """A mean with its t-interval.

    Attributes:
        mean: of the values.
        low, high: ends of the interval at `level` (NaN with fewer than two values).
        std: standard deviation of the values (n - 1; NaN with fewer than two).
        count: number of values.
        level: coverage of the interval.
        trusted: whether its coverage is within two points of `level`, as far as these values can tell.
        why: why it is not to be trusted, "" where it is.
    """

    mean: float
    low: float
    high: float
    std: float
    count: int
    level: float = 0.95
    trusted: bool = True
    why: str = ""

    @property
    def value(self) -> float:
        """The mean, by the name that every other estimate of the lab has."""
        return self.mean


@dataclass(frozen=True)
class Estimate(Record):
    """A figure with its interval.

    Attributes:
        value: of the figure.
        low, high: ends of the interval at `level` (NaN where there is none).
        level: coverage of the interval.
        count: runs that it rests on.
        method: how the interval was made, in words.
        trusted: whether its coverage is within two points of `level` as far as these data can tell
            (`benchmarks/lab_statistics.py` measures how far that is).
        why: why it is not to be trusted, "" where it is.
    """

    value: float
    low: float
    high: float
    level: float
    count: int
    method: str
    trusted: bool = True
    why: str = ""


@dataclass(frozen=True)
class Cell(Record):
    """All runs of one configuration.

    Attributes:
        metric: mean of the runs that converged, with its interval.
        diverged: share of the runs that did not, with its interval.
        median: over all runs, diverged ones counting as worse than every other (infinitely bad where half of them are).
    """

    metric: Estimate
    diverged: Estimate
    median: Estimate


@dataclass(frozen=True)
class Tested(Record):
    """What a test said.

    Attributes:
        p: two-sided p, NaN where there are too few runs for any.
        test: its name.
        statistic: of the test (its sign is that of the difference), NaN where p is.
        count: runs (pairs, where it is paired) that it rests on.
    """

    p: float
    test: str
    statistic: float
    count: int


@dataclass(frozen=True)
class Equivalence(Record):
    """Whether a difference lies within ± `margin` (two one-sided tests).

    Attributes:
        equivalent: whether both one-sided tests say so at `alpha`; the same as the (1 - 2 alpha) interval lying inside.
        p: the larger of the two one-sided p.
        low, high: the (1 - 2 alpha) interval of the mean difference.
        margin, alpha: as asked for.
        count: pairs.
    """

    equivalent: bool
    p: float
    low: float
    high: float
    margin: float
    alpha: float
    count: int


@dataclass(frozen=True)
class Verdict(Record):
    """What a comparison of one method with another says.

    Attributes:
        finding: "better", "worse", "no difference shown" (which is not "the same": see `equivalence`), or "too few seeds
            to say" (no outcome of so few seeds could have shown a difference).
        difference: mean difference (method less baseline, in the metric's own units and sign) with its interval.
        typical: Hodges-Lehmann estimate of it, which single odd seeds do not move.
        wins, ties, losses: pairs in which the method is better, equal, worse (of an unpaired comparison: of all pairs).
        test: raw p and the test's name.
        p_adjusted: after Holm's correction over `comparisons` comparisons; the finding rests on it.
        comparisons: made at once.
        alpha: p up to which a difference counts as shown.
        detectable: the smallest true difference that a test of so many seeds with this spread finds 4 times in 5.
        equivalence: whether the difference lies within the margin asked for, None where none was.
        paired: whether runs with the same seed were compared.
    """

    finding: Finding
    difference: Estimate
    typical: float
    wins: int
    ties: int
    losses: int
    test: Tested
    p_adjusted: float
    comparisons: int
    alpha: float
    detectable: float
    equivalence: Equivalence | None = None
    paired: bool = True


@dataclass(frozen=True)
class TunedVerdict(Record):
    """A verdict on two methods, each at the learning rate that it chose on validation data.

    Attributes:
        verdict: of the test scores there. A difference counts as shown only where it is also shown when the loser takes
            the winner's learning rate.
        lr, baseline_lr: the learning rates chosen.
        own_p: p of the comparison at their own learning rates alone.
        in_disguise: whether a difference at their own learning rates went away at the winner's.
    """

    verdict: Verdict
    lr: float
    baseline_lr: float
    own_p: float
    in_disguise: bool


@dataclass(frozen=True)
class Profile(Record):
    """The share of runs that score above each threshold, with a pointwise band.

    Attributes:
        thresholds: τ, rising.
        share: of runs with a score above τ, cells weighing the same.
        low, high: ends of the band at `level`, at each τ by itself.
        level: of the band.
        count: runs.
        method: how the band was made.
        trusted, why: see `Estimate`.
    """

    thresholds: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    level: float
    count: int
    method: str
    trusted: bool = True
    why: str = ""


@dataclass(frozen=True)
class Survival(Record):
    """The share of runs that have not reached the target yet (Kaplan-Meier).

    Attributes:
        times: of events, rising.
        share: not there yet, just after each time.
        low, high: ends of the band at `level`, at each time by itself.
        low_before: lower end of the band before the first time, where the share is 1.
        at_risk: runs watched until just before each time.
        events: runs that reached the target at each time.
        median: time at which half of the runs are there (infinite where fewer ever are), with its interval.
        restricted_mean: mean of min(time, horizon), with its interval.
        horizon: the time up to which the mean is taken.
        level: of band and intervals.
        runs, reached: how many there are, and how many reached the target.
        trusted, why: of the band, see `Estimate`; median and restricted mean have their own.
    """

    times: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    low_before: float
    at_risk: tuple[int, ...]
    events: tuple[int, ...]
    median: Estimate
    restricted_mean: Estimate
    horizon: float
    level: float
    runs: int
    reached: int
    trusted: bool = True
    why: str = ""


@dataclass(frozen=True)
class Seeds(Record):
    """How many seeds a wanted difference needs.

    Attributes:
        seeds: the smallest number with at least the wanted power; None where more than `most` would be needed.
        power: with that number.
        cautious: the same for the standard deviation's upper 80 % limit, where it was estimated from a pilot; None
            where it was given without one, or more than `most` would be needed.
        difference, std: as asked for.
        wanted: power asked for.
        alpha: of one test after correction for `comparisons`.
        comparisons: made at once.
        most: the largest number that was tried.
    """

    seeds: int | None
    power: float
    cautious: int | None
    difference: float
    std: float
    wanted: float
    alpha: float
    comparisons: int
    most: int


@dataclass(frozen=True)
class NullStudy(Record):
    """One method under two names, disjoint blocks of seeds, again and again.

    Attributes:
        replications: comparisons made.
        no_difference: share of them that came out as "no difference shown" (or "too few seeds to say").
        better, worse: shares of the false alarms.
        seeds: a block has.
        choices_differ: share in which the two names chose different learning rates.
        in_disguise: share in which a difference at their own learning rates went away at the winner's.
    """

    replications: int
    no_difference: float
    better: float
    worse: float
    seeds: int
    choices_differ: float
    in_disguise: float
