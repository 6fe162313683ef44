"""Methods compared at the learning rates that each chose on validation data, and the null study of that whole way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab.statistics.arguments import Values, count, numbers, share
from fanin.lab.statistics.paired import paired_test
from fanin.lab.statistics.records import NullStudy, Tested, TunedVerdict
from fanin.lab.statistics.verdicts import Question, differences_of, findings, judged

SHOWN = ("better", "worse")


@dataclass(frozen=True)
class Tuned:
    """One method's scores at each learning rate, the same seeds in the same order everywhere.

    Attributes:
        validation: learning rate → scores on validation data, shape (seeds,); the choice rests on their mean. NaN (a run
            that could not be scored) counts as the worst there is.
        test: learning rate → scores on test data, shape (seeds,).
    """

    validation: Mapping[float, Values]
    test: Mapping[float, Values]


def choose_lr(validation: Mapping[float, Values], *, larger_is_better: bool = True) -> float:
    """The learning rate with the best mean on validation data; the smallest of equal ones.

    Args:
        validation: learning rate → scores, shape (seeds,).
        larger_is_better: of the score.

    Example:
        >>> choose_lr({0.01: [0.8, 0.9], 0.1: [0.9, 0.9], 1.0: [0.1, 0.95]})
        0.1
    """
    if not validation:
        raise FaninValueError("validation has no learning rate, but must have at least one")
    sign = 1 if larger_is_better else -1
    means = {lr: sign * float(np.mean(numbers(f"validation[{lr}]", v, least=1))) for lr, v in validation.items()}
    return max(sorted(means), key=lambda lr: -np.inf if np.isnan(means[lr]) else means[lr])


def tuned_verdicts(
    baseline: Tuned,
    methods: Sequence[Tuned],
    *,
    larger_is_better: bool = True,
    margin: float | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
) -> tuple[TunedVerdict, ...]:
    """Each method against the baseline, each at the learning rate that it chose; corrected together after Holm.

    Two methods that are the same choose different learning rates now and then, and then differ indeed. So a difference
    counts as shown only where it is shown twice: at their own learning rates, and when the loser takes the winner's
    (the larger p of both, an intersection-union test: R. L. Berger, Technometrics 24, 1982). A method that is better at its
    best is also better than the other at that learning rate; a difference that goes away there was the learning rate's.

    Args:
        baseline, methods: scores of each, the same seeds in the same order; the same learning rates, or else the loser is
            not asked about those that it was not run with.
        larger_is_better, margin, alpha, level: as in `verdict`.

    Example:
        >>> rates, seeds = (0.01, 0.1), np.arange(8)
        >>> slow = Tuned({r: 0.80 + r + seeds / 1000 for r in rates}, {r: 0.80 + r + seeds / 1000 for r in rates})
        >>> fast = Tuned({r: 0.85 + r + seeds / 900 for r in rates}, {r: 0.85 + r + seeds / 900 for r in rates})
        >>> t = tuned_verdicts(slow, [fast])[0]; (t.verdict.finding, t.lr, t.in_disguise)
        ('better', 0.1, False)
    """
    question = Question(larger_is_better, margin, share("alpha", alpha), level)
    made = _compared(baseline, methods, question)
    alone = findings(made.differences, made.tests, [t.p for t in made.tests], question)
    both = judged(made.differences, made.tests, made.ps, question)
    return tuple(
        TunedVerdict(v, lr, made.base_lr, test.p, own in SHOWN and v.finding not in SHOWN)
        for v, own, lr, test in zip(both, alone, made.lrs, made.tests, strict=True)
    )


@dataclass(frozen=True)
class _Compared:
    """What the verdicts rest on: differences at own learning rates, their tests, and the larger p of both questions."""

    base_lr: float
    lrs: list[float]
    differences: list[np.ndarray]
    tests: list[Tested]
    ps: list[float]


def _compared(baseline: Tuned, methods: Sequence[Tuned], question: Question) -> _Compared:
    base_lr = choose_lr(baseline.validation, larger_is_better=question.larger_is_better)
    made = _Compared(base_lr, [], [], [], [])
    for i, method in enumerate(methods):
        lr = choose_lr(method.validation, larger_is_better=question.larger_is_better)
        d = _between(f"methods[{i}]", method, baseline, lr, base_lr)
        test = paired_test(d)
        made.lrs.append(lr)
        made.differences.append(d)
        made.tests.append(test)
        made.ps.append(max(test.p, _at_the_winners(method, baseline, lr, base_lr, test, question)))
    return made


def _between(name: str, method: Tuned, baseline: Tuned, lr: float, base_lr: float) -> np.ndarray:
    a, b = numbers(f"{name}.test[{lr}]", method.test[lr]), numbers(f"baseline.test[{base_lr}]", baseline.test[base_lr])
    if a.shape != b.shape:
        raise FaninValueError(f"{name} has {a.size} test scores and the baseline {b.size}, but they must be as many")
    with np.errstate(invalid="ignore"):
        return differences_of(name, a - b)


def _at_the_winners(
    method: Tuned, baseline: Tuned, lr: float, base_lr: float, test: Tested, question: Question
) -> float:
    """p of the same difference when the loser takes the winner's learning rate; 0 where that is no further question."""
    winner = lr if (test.statistic > 0) == question.larger_is_better else base_lr
    if lr == base_lr or winner not in method.test or winner not in baseline.test:
        return 0.0
    again = paired_test(_between("the loser at the winner's learning rate", method, baseline, winner, winner))
    return again.p if again.statistic * test.statistic > 0 else 1.0


def null_study(
    method: Tuned,
    seeds: int = 10,
    *,
    replications: int = 1000,
    larger_is_better: bool = True,
    alpha: float = 0.05,
    seed: int = 0,
) -> NullStudy:
    """One method under two names, disjoint blocks of its seeds, again and again: how often a difference is shown.

    Each name chooses its learning rate on its own block, and `tuned_verdicts` compares the blocks as if they were pairs
    (which is right: without shared seeds their differences are as symmetric about zero). No difference must come out at
    least 94 % of the time, or verdicts of this data are not worth their p.

    Args:
        method: scores at each learning rate, at least two blocks of seeds.
        seeds: of one block.
        replications: random pairs of blocks. They are drawn from the same runs, so that beyond some hundred more of them
            say little more about a method of a few dozen runs.
        larger_is_better, alpha: as in `verdict`.
        seed: of the drawing.

    Example:
        >>> scores = np.random.default_rng(0).normal(0.9, 0.01, 60)
        >>> null_study(Tuned({0.1: scores}, {0.1: scores}), replications=200).no_difference >= 0.94
        True
    """
    count("seeds", seeds, least=1)
    count("replications", replications, least=1)
    validation = {lr: numbers(f"validation[{lr}]", v) for lr, v in method.validation.items()}
    test = {lr: numbers(f"test[{lr}]", v) for lr, v in method.test.items()}
    runs = {v.size for v in (*validation.values(), *test.values())}
    if len(runs) != 1 or min(runs) < 2 * seeds:
        raise FaninValueError(
            f"method has {sorted(runs)} runs a learning rate, but must have one number of at least {2 * seeds}"
        )
    question = Question(larger_is_better, None, share("alpha", alpha))
    generator = np.random.default_rng(count("seed", seed))
    words, alone, differ = [], [], 0
    for _ in range(replications):
        order = generator.permutation(min(runs))
        a, b = (
            Tuned({lr: v[block] for lr, v in validation.items()}, {lr: v[block] for lr, v in test.items()})
            for block in (order[:seeds], order[seeds : 2 * seeds])
        )
        made = _compared(a, [b], question)
        words += findings(made.differences, made.tests, made.ps, question)
        alone += findings(made.differences, made.tests, [t.p for t in made.tests], question)
        differ += made.lrs[0] != made.base_lr
    better, worse = words.count("better"), words.count("worse")
    return NullStudy(
        replications=replications,
        no_difference=(replications - better - worse) / replications,
        better=better / replications,
        worse=worse / replications,
        seeds=seeds,
        choices_differ=differ / replications,
        in_disguise=sum(w not in SHOWN and own in SHOWN for w, own in zip(words, alone, strict=True)) / replications,
    )
