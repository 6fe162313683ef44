"""Successive halving over starts and learning rates (Jamieson & Talwalkar 2016; Li et al. 2018)."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab.tuning.records import Adjustment, Candidate, Rung, Trial

KEPT = 3  # of so many candidates one goes on to the next rung, which trains so many times longer
RUNGS = 3

Runner = Callable[[Sequence[Candidate], int], Sequence[Trial]]  # candidates, steps → a trial each


def candidates(starts: Sequence[Adjustment], lrs: Sequence[float], most: int, seed: int = 0) -> tuple[Candidate, ...]:
    """What the first rung tries: every start at every learning rate, or an even sample of them where that is too many.

    The default and every start without changes are always among them, at every learning rate: the search must not lose
    against what it began with for want of a try.

    Args:
        starts: initializations.
        lrs: learning rates.
        most: candidates, at most.
        seed: of the sample.

    Raises:
        FaninValueError: even the plain starts are too many.
    """
    plain = [Candidate(s, lr) for s in starts if s == Adjustment(s.init) for lr in lrs]
    others = [Candidate(s, lr) for s in starts if s != Adjustment(s.init) for lr in lrs]
    if len(plain) > most:
        raise FaninValueError(
            f"budget allows {most} candidates, but every init at every learning rate makes {len(plain)}; "
            "give a larger budget, fewer inits or fewer learning rates"
        )
    room = most - len(plain)
    if len(others) > room:
        order = np.random.Generator(np.random.Philox(seed)).permutation(len(others))[:room]
        others = [others[i] for i in sorted(order)]
    return (*plain, *others)


def budgets(steps: int) -> tuple[int, ...]:
    """Optimizer steps of the rungs; the last is a whole run."""
    return tuple(max(1, math.ceil(steps / KEPT ** (RUNGS - 1 - k))) for k in range(RUNGS))


def halve(
    first: Sequence[Candidate], steps: int, run: Runner, baseline: str = "default", larger_is_better: bool = True
) -> tuple[Rung, ...]:
    """Runs rung after rung; of each, the best third goes on, and the best one of the baseline's besides.

    Args:
        first: the candidates.
        steps: of a whole run.
        run: trains each of some candidates for so many steps.
        baseline: init that stays in the race, so that it is tuned with the same care as the winner.
        larger_is_better: of the score.
    """
    if not any(c.start.init == baseline for c in first):
        raise FaninValueError(f"the baseline {baseline!r} must be among the inits")
    left, rungs = list(first), []
    for number, budget in enumerate(budgets(steps)):
        trials = sorted(run(left, budget), key=lambda t: (-sortable(t.score, larger_is_better), t.candidate.lr))
        rungs.append(Rung(budget, tuple(trials)))
        if number == RUNGS - 1:
            break
        keep = max(2, len(left) // KEPT)
        ahead = [trial.candidate for trial in trials[:keep]]
        own = [trial.candidate for trial in trials if trial.candidate.start.init == baseline][: max(1, keep // KEPT)]
        left = ahead + [candidate for candidate in own if candidate not in ahead]
    return tuple(rungs)


def best_of(rung: Rung, init: str | None = None) -> Candidate:
    """The best candidate of a rung, of one init where it is given."""
    return next(t.candidate for t in rung.trials if init is None or t.candidate.start.init == init)


def sortable(score: float, larger_is_better: bool) -> float:
    """The larger the better, whichever way the score goes; NaN is the worst there is."""
    if math.isnan(score):
        return -math.inf
    return score if larger_is_better else -score
