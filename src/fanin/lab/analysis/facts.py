"""What is known of a metric: which way is better, and where it ends."""

import math
from collections.abc import Mapping

from fanin.errors import FaninError
from fanin.lab import metrics


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
    if ":" in metric:
        return math.nan
    if not larger_is_better(metric):
        return 1.0 if metric == "perplexity" else 0.0
    return 1.0


def score_of(held: Mapping[str, float], test: Mapping[str, float]) -> str:
    """The metric that a run's held-out part was scored by ("loss" aside); the first of the test part without one."""
    names = [*(n for n in held if n != "loss"), *(n for n in test if n != "loss"), *test]
    return names[0] if names else ""
