"""Attention that starts as a convolution: each head looks at one neighbour on the grid of patches (impulse initialization)."""

import math

import numpy as np

from fanin.distributions import Built, Distribution, Normal, Stack
from fanin.draws.layout import from_blocks, to_blocks
from fanin.errors import FaninValueError
from fanin.formulas import Source, builder
from fanin.rules.arguments import number_check, whole_check
from fanin.rules.fans import axes_of, fan
from fanin.rules.positions import sinusoids
from fanin.rules.promise import Array, Promise, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Factor, Slot


def _table(height: int, width: int, channels: int) -> Array:
    """The sinusoids of the grid, each normed over its channels: what a layer norm makes of positions alone. (places, channels)."""
    shape = (height * width, channels)
    raw = sinusoids(np.ix_(*map(np.arange, shape)), shape, None, 10000.0, 1.0, float(width), 0.0)  # type: ignore[arg-type]
    raw = raw - raw.mean(axis=1, keepdims=True)
    return raw / raw.std(axis=1, keepdims=True)


def _neighbour(head: int, kernel: int) -> tuple[int, int]:
    """The offset (down, right) of a head: all of a kernel × kernel window in turn, the middle first."""
    offsets = [(k // kernel - kernel // 2, k % kernel - kernel // 2) for k in range(kernel**2)]
    return sorted(offsets, key=lambda o: (abs(o[0]) + abs(o[1]), o))[head % kernel**2]


def _impulse(height: int, width: int, down: int, right: int) -> Array:
    """(places, places): 1 where the column's place is the row's neighbour; rows at the border have none."""
    rows, columns = np.divmod(np.arange(height * width), width)
    found = np.zeros((height * width, height * width))
    inside = (rows + down >= 0) & (rows + down < height) & (columns + right >= 0) & (columns + right < width)
    found[np.flatnonzero(inside), ((rows + down) * width + columns + right)[inside]] = 1.0
    return found


@builder
def impulse_heads(
    axes: Axes, source: Source, heads: float, height: float, width: float, kernel: float, norm: float, noise: float
) -> Array:
    """q and k, stacked (2 blocks), of which P W_qᵀ W_k Pᵀ is closest to each head's impulse, P the normed positions."""
    n, channels = int(height * width), axes.size("in")
    size = axes.size("out") // int(heads)
    positions = _table(int(height), int(width), channels)
    rank = min(size, int(np.linalg.matrix_rank(positions)))
    left, values_, right = np.linalg.svd(positions, full_matrices=False)
    inverse = right[:rank].T @ (left[:, :rank] / values_[:rank]).T  # of the strongest directions, as many as a head has
    blocks = np.empty((2, int(heads), size, channels))
    for head in range(int(heads)):
        target = _impulse(int(height), int(width), *_neighbour(head, int(kernel)))
        target = target + noise * source(f"head {head}", (n, n)) * (target == 0)
        u, s, v = np.linalg.svd(inverse @ target @ inverse.T)
        root = np.sqrt(s[:size])
        for k, part in enumerate(((u[:, :size] * root).T, root[:, None] * v[:size])):
            blocks[k, head] = norm * part / np.linalg.norm(part)
    return from_blocks(blocks.reshape(2, -1, channels, 1), axes)


def _check(slot: Slot, heads: int, height: int, width: int, kernel: int) -> Axes:
    axes = axes_of(slot, "impulse_attention")
    fan(slot, "fan_geo_avg", "impulse_attention")
    out, in_ = axes.size("out"), axes.size("in")
    if axes.size("stack") not in (2, 3) or axes.receptive_field > 1 or len(axes.factors) != 2 or len(slot.shape) != 2:
        raise FaninValueError(
            f"impulse_attention cannot fill {slot.name!r} of shape {slot.shape} (axes {axes.spec!r}); it takes a projection that "
            "makes queries and keys (and values) at once, such as '(s3o)i'"
        )
    if out % heads or in_ % 4 or heads > out:
        raise FaninValueError(
            f"impulse_attention: heads={heads} must divide the {out} outputs of {slot.name!r}, and its {in_} inputs must be a "
            "multiple of 4 (sines and cosines of two coordinates)"
        )
    if min(height, width) < kernel:
        raise FaninValueError(
            f"impulse_attention: a window of {kernel} patches does not fit a grid of {height} x {width}"
        )
    return axes


def _looks(slot: Slot, heads: int, height: int, width: int, kernel: int, norm: float, noise: float) -> Promise:
    axes = _check(slot, heads, height, width, kernel)

    def share(weight: Array, slot: Slot) -> float:
        """Of the patches that have the neighbour: those whose head gives it more than every other patch, in the mean over heads."""
        q, k = (b[..., 0].reshape(heads, -1, b.shape[1]) for b in to_blocks(weight, axes)[:2])
        positions, hits, all_ = _table(height, width, axes.size("in")), 0, 0
        for head in range(heads):
            target = _impulse(height, width, *_neighbour(head, kernel))
            logits = (positions @ q[head].T) @ (positions @ k[head].T).T
            has = target.sum(axis=1) > 0
            hits += int((logits.argmax(axis=1) == target.argmax(axis=1))[has].sum())
            all_ += int(has.sum())
        return hits / all_

    return values(1.0, share, "each head looks first at its own neighbour on the grid", 0.25)


@rule(
    promise=_looks,
    checks={
        "heads": whole_check(1),
        "height": whole_check(1),
        "width": whole_check(1),
        "kernel": whole_check(1),
        "norm": number_check("a finite number above 0", lambda x: x > 0),
        "noise": number_check("a finite number of at least 0", lambda x: x >= 0),
    },
    samples=({"heads": 2, "height": 4, "width": 4},),
)
def impulse_attention(
    slot: Slot, heads: int, height: int, width: int, kernel: int = 3, norm: float = 7.0, noise: float = 1.8e-3
) -> Distribution:
    """Queries and keys of a vision transformer with which each head starts as one tap of a convolution over the patches.

    Random taps are about as good for a convolutional net as learned ones: spread over the heads, they give attention the local
    mixing of a convolution while everything stays free to learn. The rule solves for queries and keys from the positions alone,
    so the model's positions must be the grid's sinusoids (`sinusoid(layout="halves", width=…)`), large against the tokens.

    Formula:
        for head h of offset δ_h: W_qᵀ W_k = the best approximation, of the rank of a head, of P⁺ (S_δ + noise) P⁺ᵀ, where P is the
        layer-normed positions and S_δ the shift of the grid by δ; both scaled to Frobenius norm `norm`; values ~ N(0, 1 / fan_in)

    Args:
        heads: number of heads; they take the offsets of a kernel × kernel window in turn, the middle first.
        height, width: patches of the grid.
        kernel: side of the window.
        norm: Frobenius norm of each head's query and key weight.
        noise: deviation of the noise beside the impulse, which is 1; the authors' code has 3 · 0.6 beside 1000.

    Raises:
        FaninValueError: for a weight that is no fused projection, heads that do not divide it, inputs that are no multiple of 4, or a
            grid smaller than the window.

    Promise:
        On positions alone, each head gives a patch's own neighbour more than any other patch (for at least three patches in four
        that have it; a head of small rank cannot tell all apart).

    Paper:
        Zheng, Li, Saratchandran & Lucey 2025, "Structured initialization for vision transformers", section 4 and code
        (osiriszjq/structured_initialization, `vision_transformer.py`). The code besides multiplies the positions by 18, and draws
        values and output projections by mimetic initialization (as `mimetic`, with 0.4 and 0.4); both are left to the user here.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(impulse_attention(2, 4, 4), (192, 64), seed=0, name="qkv.weight", axes="(s3o)i")
        >>> round(float((w[:32] ** 2).sum()) ** 0.5, 2)
        7.0
    """
    axes = _check(slot, heads, height, width, kernel)
    numbers = tuple(float(x) for x in (heads, height, width, kernel, norm, noise))
    both = _stacked(axes, 2)
    built = Built("impulse_heads", both, numbers)
    if axes.size("stack") == 2:
        return built
    axis = next(k for k, factors in enumerate(axes.factors) if any(f.role == "stack" for f in factors))
    block = slot.shape[axis] // 3
    return Stack((built, Normal(1.0 / math.sqrt(axes.fan_in))), (2 * block, block), axis)


def _stacked(axes: Axes, blocks: int) -> Axes:
    """The same axes with this many stacked blocks."""
    return Axes(
        tuple(tuple(Factor("stack", blocks) if f.role == "stack" else f for f in axis) for axis in axes.factors)
    )
