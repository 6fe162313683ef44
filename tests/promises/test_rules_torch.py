"""Every rule keeps its promise on every kind of layer that it serves, in torch. `docs/promises.md` has the same to 2 %."""

import functools

import pytest
from tests.promises.kept import OWN, broken
from tests.promises.layers_torch import CASES, layer
from tests.promises.measure import Layer

from fanin import rules

pytestmark = pytest.mark.slow


@functools.cache
def layers() -> tuple[Layer, ...]:
    return tuple(layer(name, case) for name, case in CASES.items())


@pytest.mark.parametrize("name", OWN)
def test_a_rule_keeps_its_promise_on_every_layer_that_it_serves(name: str) -> None:
    seen, wrong = broken(name, layers())
    assert seen, f"no layer of tests/promises/layers_torch.py can show what {name} promises: add one"
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", OWN)
def test_a_rule_says_what_it_promises_and_where_it_comes_from(name: str) -> None:
    info = next(info for info in rules.table() if info.name == name)
    assert info.summary
    assert info.paper, f"{name} names no paper"
    assert info.promise, f"{name} does not say what it promises"
