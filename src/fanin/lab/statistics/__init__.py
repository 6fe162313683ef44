"""The lab's statistics: pure functions from numbers to records, each with how far it is to be trusted."""

from fanin.lab.statistics.aggregates import (
    interquartile_mean,
    interquartile_mean_of,
    mean_of,
    mean_score,
    median_of,
    median_score,
    optimality_gap,
    optimality_gap_of,
    performance_profile,
)
from fanin.lab.statistics.bootstrap import stratified_bootstrap
from fanin.lab.statistics.cells import given_convergence
from fanin.lab.statistics.corrections import holm
from fanin.lab.statistics.improvement import improvement_of, probability_of_improvement
from fanin.lab.statistics.means import mean_interval, median_interval, skew_interval, skewness, t_interval
from fanin.lab.statistics.paired import equivalence, hodges_lehmann, paired_t, paired_test
from fanin.lab.statistics.power import detectable_difference, power, seeds_needed, simulated_power, smallest_p
from fanin.lab.statistics.records import (
    Cell,
    Equivalence,
    Estimate,
    Finding,
    Interval,
    NullStudy,
    Profile,
    Seeds,
    Survival,
    Tested,
    TunedVerdict,
    Verdict,
)
from fanin.lab.statistics.samples import permutation_test, welch_interval, welch_test
from fanin.lab.statistics.shares import wilson
from fanin.lab.statistics.survival import kaplan_meier, log_rank
from fanin.lab.statistics.tuned import Tuned, choose_lr, null_study, tuned_verdicts
from fanin.lab.statistics.verdicts import unpaired_verdict, verdict, verdicts

__all__ = [
    # one cell
    "given_convergence",
    "t_interval",
    "skew_interval",
    "median_interval",
    "mean_interval",
    "wilson",
    "skewness",
    # two methods in one cell
    "verdict",
    "verdicts",
    "unpaired_verdict",
    "tuned_verdicts",
    "choose_lr",
    "null_study",
    "paired_test",
    "paired_t",
    "hodges_lehmann",
    "equivalence",
    "holm",
    "welch_interval",
    "welch_test",
    "permutation_test",
    # seeds
    "power",
    "simulated_power",
    "seeds_needed",
    "detectable_difference",
    "smallest_p",
    # many cells
    "interquartile_mean",
    "mean_score",
    "median_score",
    "optimality_gap",
    "probability_of_improvement",
    "performance_profile",
    "stratified_bootstrap",
    "interquartile_mean_of",
    "mean_of",
    "median_of",
    "optimality_gap_of",
    "improvement_of",
    # time to a target
    "kaplan_meier",
    "log_rank",
    # records
    "Cell",
    "Equivalence",
    "Estimate",
    "Finding",
    "Interval",
    "NullStudy",
    "Profile",
    "Seeds",
    "Survival",
    "Tested",
    "Tuned",
    "TunedVerdict",
    "Verdict",
]
