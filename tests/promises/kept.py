"""The test of promises, whatever the framework: which cells of a rule are broken, at the precision that a test can afford."""

from collections.abc import Sequence

from tests.promises.measure import Layer, allowed, measurable, measure, promises

from fanin.rules.rule import FACTORIES, FACTS

REDRAWS = 3
TOLERANCE = 0.02  # and five standard errors of the mean of few redraws, at least SPREAD; docs/promises.md is finer
SPREAD = 0.015
MOST = 40
THINNED = 3  # a rule's first form is measured on every layer, each further one on a third of them, in turns
EXACT = ("spectrum", "values")
OWN = [name for name, factory in FACTORIES.items() if factory.__module__.startswith("fanin.rules.")]


def broken(name: str, layers: Sequence[Layer], forms: int | None = None) -> tuple[int, list[str]]:
    """How many promises of a rule were measured, and those that do not hold, in words.

    Args:
        forms: how many of the rule's forms (samples of its arguments) to measure, None for all. Where another test
            measures all of them, a second framework needs one: the numbers are the same, the layers are what differs.
            (docs/promises.md has every form on every layer of every framework.)
    """
    seen, wrong = 0, []
    for number, sample in enumerate(FACTS[name].samples[:forms]):
        rule = FACTORIES[name](**sample)
        for each in layers if number == 0 else layers[number % THINNED :: THINNED]:
            served = promises(rule, each)
            if served is None:
                continue
            law, promised = served
            assert promised, f"{rule.spec} promises nothing for {each.name}: declare it (see fanin.rules.promise)"
            for promise in promised:
                if not measurable(promise, each):
                    continue
                seen += 1
                cell = measure(promise, law, each, error=SPREAD, least=REDRAWS, most=MOST)
                room = TOLERANCE + 5 * max(cell.error, SPREAD)
                if not cell.holds(allowed(promise, TOLERANCE) if promise.kind in EXACT else room):
                    wrong.append(
                        f"{rule.spec} on {each.name}: {promise.what}: {cell.ratio:.4f} ± {cell.error:.4f} of it"
                    )
    return seen, wrong
