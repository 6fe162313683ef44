"""Sparse weights: the same number of zeros in each line, at random places."""

import math

import numpy as np

from fanin.distributions import Distribution, Normal, Sparse, Stack
from fanin.draws.layout import to_blocks
from fanin.errors import FaninValueError
from fanin.rules.arguments import number_check, whole_check
from fanin.rules.fans import axes_of, fan
from fanin.rules.promise import Array, Promise, law, values
from fanin.rules.rule import rule
from fanin.slots import Axes, AxisRole, Slot


def _dense(slot: Slot, name: str) -> Axes:
    axes = axes_of(slot, name)
    roles = {factor.role for axis in axes.factors for factor in axis}
    if axes.receptive_field > 1 or not {"out", "in"} <= roles:
        raise FaninValueError(
            f"{name} cannot fill {slot.name!r} of shape {slot.shape} (axes {axes.spec!r}); it takes a dense weight with an out "
            "and an in axis"
        )
    fan(slot, "fan_geo_avg", name)  # raises where an axis has no elements
    return axes


def _lines(slot: Slot, name: str, axes: Axes, role: AxisRole, std: float, zeros: int) -> Distribution:
    """`zeros` zeros among the places of this role, in each line along its axis; stacked blocks each by themselves."""
    found = [k for k, axis in enumerate(axes.factors) if any(factor.role == role for factor in axis)]
    axis = axes.factors[found[0]]
    roles = tuple(factor.role for factor in axis)
    one = Sparse(Normal(std), zeros, found[0])
    if len(found) == 1 and roles == (role,):
        return one
    if len(found) == 1 and roles == ("stack", role):
        return Stack((one,) * axis[0].size, (axis[1].size,) * axis[0].size, found[0])
    raise FaninValueError(
        f"{name} cannot fill {slot.name!r}: its {role} is spread over the axes {axes.spec!r}; zeros are counted along one axis"
    )


def _counts(axes: Axes, line: int, kept: int) -> Promise:
    def furthest(weight: Array, slot: Slot) -> float:
        return float(np.abs((to_blocks(weight, axes) != 0).sum(axis=line) - kept).max())

    what = "output has that many connections to inputs" if line == 2 else "input has that many connections to outputs"
    return values(0.0, furthest, f"each {what}: {kept}")


def _columns(slot: Slot, sparsity: float, std: float) -> tuple[Promise, ...]:
    axes = _dense(slot, "sparse")
    out = axes.size("out")
    kept = out - math.ceil(sparsity * out)
    return _counts(axes, 1, kept), law(std * math.sqrt(kept / out))


def _rows(slot: Slot, connections: int, std: float) -> tuple[Promise, ...]:
    axes = _dense(slot, "sparse_connections")
    in_ = axes.size("in")
    kept = min(connections, in_)
    return _counts(axes, 2, kept), law(std * math.sqrt(kept / in_))


@rule(
    promise=_columns,
    checks={"sparsity": number_check("a number from 0 to 1", lambda x: 0 <= x <= 1)},
    samples=({"sparsity": 0.9}, {"sparsity": 0.25, "std": 1.0}),
)
def sparse(slot: Slot, sparsity: float, std: float = 0.01) -> Distribution:
    """Gaussian numbers, of which this share is zero: for each input the same number of outputs, at random places.

    As `torch.nn.init.sparse_`, which counts along the columns of an (out, in) weight: each input then reaches as many
    outputs as the others, but an output may be left without any input (of 10 × 10 at 0.9, one output in three is). What the paper
    limits is the *incoming* connections of each unit: see `sparse_connections`.

    Formula:
        for each input, ceil(sparsity · out) of the weights to its outputs are 0, the others ~ N(0, std²)

    Args:
        sparsity: share of zeros, from 0 to 1.
        std: deviation of the numbers that are not zero.

    Raises:
        FaninValueError: for a convolution, and for a weight without an in and an out axis.

    Promise:
        Each input has the same number of connections; the numbers, zeros included, have deviation std · √(kept / out).

    Paper:
        Martens 2010, "Deep learning via Hessian-free optimization", section 5 (there for the inputs of each unit).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(sparse(0.75), (8, 3), seed=0, name="w")
        >>> (w != 0).sum(0).tolist()
        [2, 2, 2]
    """
    axes = _dense(slot, "sparse")
    return _lines(slot, "sparse", axes, "out", std, math.ceil(sparsity * axes.size("out")))


@rule(promise=_rows, checks={"connections": whole_check(1)}, samples=({}, {"connections": 40, "std": 0.5}))
def sparse_connections(slot: Slot, connections: int = 15, std: float = 1.0) -> Distribution:
    """Each unit listens to a fixed number of random inputs, with Gaussian weights: its input's size does not grow with the width.

    Formula:
        for each output, `connections` weights ~ N(0, std²) at random inputs, all others 0

    Args:
        connections: how many inputs each output has, at least 1; all of them where there are fewer.
        std: deviation of their weights.

    Raises:
        FaninValueError: for a convolution, and for a weight without an in and an out axis.

    Promise:
        Each output has exactly that many connections; the numbers have deviation std · √(connections / in).

    Paper:
        Martens 2010, "Deep learning via Hessian-free optimization", section 5: 15 incoming connections, biases 0 (½ for tanh).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(sparse_connections(3), (4, 100), seed=0, name="w")
        >>> (w != 0).sum(1).tolist()
        [3, 3, 3, 3]
    """
    axes = _dense(slot, "sparse_connections")
    return _lines(slot, "sparse_connections", axes, "in", std, max(0, axes.size("in") - connections))
