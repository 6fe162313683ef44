"""Curves of many runs: the grid that they share, their mean and its band, and how many still go on.

A run that diverged has no points any more. The mean at a step is therefore of the runs that go on there, and what is drawn says
so where their number falls: a mean that rises may have lost its worst runs.
"""

import math
from collections.abc import Sequence

import numpy as np

from fanin.lab.statistics.means import t_ends

ENDED = "Means are of the runs that go on (×: some ended since the point before)."


def grid_of(steps: Sequence[Sequence[int]]) -> Sequence[int]:
    """The steps that a whole run was looked at: those of the longest curve.

    A run that diverged was also looked at where it ended, at a step that the others do not have.
    """
    return max(steps, key=lambda s: (len(s), s[-1] if s else 0), default=())


def going_on(lines: Sequence[Sequence[float]]) -> list[int]:
    """Runs that have a finite value, at each point."""
    return np.isfinite(np.array(lines, dtype=float)).sum(0).tolist() if lines else []


def endings(lines: Sequence[Sequence[float]]) -> list[str]:
    """A remark at each point where fewer runs go on than at the one before: "7 of 10 runs go on"; "" elsewhere.

    A run goes on up to its last finite value: what nobody measured at a point (a training loss at step 0) ended nowhere.

    Example:
        >>> endings([[0.1, 0.2, 0.3], [0.1, float("nan"), float("nan")]])
        ['', '1 of 2 runs go on', '']
    """
    lasts = [max((i for i, v in enumerate(line) if math.isfinite(v)), default=-1) for line in lines]
    counts = [sum(last >= i for last in lasts) for i in range(max(map(len, lines), default=0))]
    return [
        left_text(n, len(lines)) if n < before else "" for n, before in zip(counts, [len(lines), *counts], strict=False)
    ]


def left_text(going: int, runs: int) -> str:
    """ "7 of 10 runs go on", "" where all do."""
    return f"{going} of {runs} runs go on" if going < runs else ""


def mean_band(lines: Sequence[Sequence[float]], log: bool = False) -> tuple[list[float], list[float], list[float]]:
    """Per point: mean over the runs that have it, and the 95 % t-interval (NaN with fewer than two).

    With `log`, of the logarithms (then the mean is the geometric one), so that no band reaches below zero.
    """
    x = np.array(lines, dtype=float)  # (runs, points)
    if log:
        x = np.log(np.where(x > 0, x, np.nan))
    x[~np.isfinite(x)] = np.nan
    mean, low, high = (np.full(x.shape[1], np.nan) for _ in range(3))
    counts = np.isfinite(x).sum(0)
    for n in np.unique(counts[counts > 0]):  # points that as many runs have, all at once
        at = np.flatnonzero(counts == n)
        columns = np.array([column[np.isfinite(column)] for column in x[:, at].T])
        mean[at] = columns.mean(-1)
        if n > 1:
            low[at], high[at] = t_ends(columns, 0.95)
    if log:
        mean, low, high = (np.exp(np.minimum(v, 700.0)) for v in (mean, low, high))
    return mean.tolist(), low.tolist(), high.tolist()
