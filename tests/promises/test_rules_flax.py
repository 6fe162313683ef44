"""Every rule keeps its promise on the layers of Flax NNX."""

import functools

import pytest

pytest.importorskip("flax")

from tests.promises.kept import OWN, broken
from tests.promises.layers_flax import CASES, layer
from tests.promises.measure import Layer

pytestmark = pytest.mark.slow


@functools.cache
def layers() -> tuple[Layer, ...]:
    return tuple(layer(name, case) for name, case in CASES.items())


@pytest.mark.parametrize("name", OWN)
def test_a_rule_keeps_its_promise(name: str) -> None:
    _, wrong = broken(name, layers()[OWN.index(name) % 2 :: 2], forms=1)  # each layer meets every other rule
    assert not wrong, "\n".join(wrong)
