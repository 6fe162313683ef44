"""Slots by hand, for the tests of single rules."""

from typing import Any

from fanin.draws import draw_distribution
from fanin.rules import Rule
from fanin.slots import Axes, Slot


def slot(axes: str | None, shape: tuple[int, ...], role: Any = "weight", taps: float = 1.0, **known: Any) -> Slot:
    """A weight of this shape; `taps` is `in_taps`, one over the stride of a transposed convolution."""
    return Slot(
        "w", shape, "float32", role, axes=None if axes is None else Axes.parse(axes, shape, in_taps=taps), **known
    )


def drawn(rule: Rule, of: Slot, seed: int = 0, name: str = "w") -> Any:
    """The weight, in float64."""
    return draw_distribution(rule(of), of.shape, seed=seed, name=name, dtype="float64")


def keeps(rule: Rule, of: Slot) -> None:
    """Every promise of exact values holds on a draw."""
    weight = drawn(rule, of)
    for promise in rule.promises(of):
        if promise.measure is not None:
            assert abs(promise.measure(weight, of) - promise.value) <= max(promise.tolerance, 1e-9), promise.what
