"""What is known of a metric: which way is better, and where it ends."""

import math
import re
from collections.abc import Sequence

from fanin.errors import FaninError
from fanin.lab import metrics
from fanin.lab.study.rows import RunRow

LEARNED = 0.05  # of the way from the constant prediction to a perfect score: below it, nothing has been learned


def larger_is_better(metric: str) -> bool:
    """Whether a larger value of the metric is better; of a metric whose module is not there any more, it is taken to be.

    Example:
        >>> larger_is_better("accuracy"), larger_is_better("perplexity")
        (True, False)
    """
    try:
        return metrics.higher_is_better(metric)
    except (FaninError, ImportError):
        return True


def perfect(metric: str) -> float:
    """The best value that the metric can have, NaN where it is not known.

    Example:
        >>> perfect("f1[3]"), perfect("loss"), perfect("mine:score")
        (1.0, 0.0, nan)
    """
    base = "top_k" if re.fullmatch(r"top_\d+", metric) else metric.partition("[")[0]
    if base not in metrics.HIGHER_IS_BETTER:  # of the user's own
        return math.nan
    if not larger_is_better(metric):
        return 1.0 if metric == "perplexity" else 0.0
    return 1.0


def floor_of(metric: str, constant: float) -> float:
    """The score below which nothing was learned: 5 % of the way from the best constant prediction to a perfect score.

    Example:
        >>> round(floor_of("accuracy", 0.1), 3)
        0.145
    """
    return constant + LEARNED * (perfect(metric) - constant)


def score_of(rows: Sequence[RunRow]) -> str:
    """The metric that the held-out part is scored by: a run's first one ("loss" aside); "" where no run is done.

    Runs that did not diverge are asked first.
    """
    done = sorted((row for row in rows if row.state == "done" and row.metrics), key=lambda row: row.diverged)
    for row in done[:1]:
        names = [*(n for n in row.held if n != "loss"), *(n for n in row.metrics if n != "loss"), *row.metrics]
        return names[0]
    return ""
