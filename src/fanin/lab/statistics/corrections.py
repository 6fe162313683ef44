"""Many tests at once."""

import math
from collections.abc import Sequence


def holm(ps: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down correction: adjusted p values in the order given; NaN stays NaN and counts as no test.

    The chance of even one false alarm among all tests stays below the alpha that adjusted p are compared with.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    tests = sorted((p, i) for i, p in enumerate(ps) if not math.isnan(p))
    adjusted = [math.nan] * len(ps)
    running = 0.0
    for rank, (p, i) in enumerate(tests):
        running = max(running, min(1.0, p * (len(tests) - rank)))
        adjusted[i] = running
    return tuple(adjusted)
