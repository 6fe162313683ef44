"""Every rule keeps its promise on every kind of layer that it serves, in torch. `docs/promises.md` has the same to 2 %."""

import functools

import pytest
from tests.promises.layers_torch import CASES, layer
from tests.promises.measure import Layer, allowed, measurable, measure, promises

from fanin import rules
from fanin.rules.rule import FACTORIES, FACTS, Rule

pytestmark = pytest.mark.slow

REDRAWS = 3
TOLERANCE = 0.02  # and five standard errors of the mean of few redraws, at least SPREAD
SPREAD = 0.015
OWN = [name for name, factory in FACTORIES.items() if factory.__module__.startswith("fanin.rules.")]


@functools.cache
def layers() -> tuple[Layer, ...]:
    return tuple(layer(name, case) for name, case in CASES.items())


def made(name: str) -> list[Rule]:
    return [FACTORIES[name](**sample) for sample in FACTS[name].samples]


@pytest.mark.parametrize("name", OWN)
def test_a_rule_keeps_its_promise_on_every_layer_that_it_serves(name: str) -> None:
    seen, broken = 0, []
    for rule in made(name):
        for each in layers():
            served = promises(rule, each)
            if served is None:
                continue
            law, promised = served
            assert promised, f"{rule.spec} promises nothing for {each.name}: declare it (see fanin.rules.promise)"
            for promise in promised:
                if not measurable(promise, each):
                    continue
                seen += 1
                cell = measure(promise, law, each, error=SPREAD, least=REDRAWS, most=60)
                exact = promise.kind in ("spectrum", "values")
                if not cell.holds(allowed(promise, TOLERANCE) if exact else TOLERANCE + 5 * max(cell.error, SPREAD)):
                    broken.append(f"{each.name}: {promise.what}: {cell.ratio:.4f} ± {cell.error:.4f} of it")
    assert seen, f"no layer of tests/promises/layers_torch.py can show what {name} promises: add one"
    assert not broken, f"{name}:\n" + "\n".join(broken)


def test_every_rule_is_documented() -> None:
    for info in rules.table():
        if info.family == "test_rules_torch":
            continue
        assert info.summary, info.name
        assert info.paper, f"{info.name} names no paper"
        assert info.promise, f"{info.name} does not say what it promises"
