"""Measures a tensor on a bounded sample: plain slices with a stride, so that no random state is used."""

import math

import numpy as np
import torch

from fanin.activations import Activation
from fanin.traces.records import Signal

EXAMPLES = 32  # rows compared with each other
POSITIONS = 4  # sequence or pixel positions looked at in each
UNITS = 192  # units looked at
FLAT_SLOPE = 0.05  # a bounded activation is saturated where its slope is under this share of its largest


def take(tensor: torch.Tensor, unit_axis: int, margin: int = 0) -> np.ndarray:
    """A sample as float64 array (examples, positions, units); `margin` pixels are cut from each border."""
    x = tensor.detach()
    if x.ndim == 0:
        x = x.reshape(1, 1, 1)
    elif x.ndim == 1:
        x = x.reshape(-1, 1, 1)
    else:
        unit_axis %= x.ndim
        if unit_axis == 0:
            unit_axis = x.ndim - 1
        if margin:
            for axis in range(1, x.ndim):
                if axis != unit_axis and x.shape[axis] > 2 * margin:
                    x = x.narrow(axis, margin, x.shape[axis] - 2 * margin)
        x = _stride(x, 0, EXAMPLES)
        x = _stride(x, unit_axis, UNITS)
        x = x.movedim(unit_axis, -1)
        others = x.ndim - 2
        per_axis = max(1, round(POSITIONS ** (1 / others))) if others else 1
        for axis in range(1, x.ndim - 1):
            x = _stride(x, axis, per_axis)
        x = x.reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1])  # -1 is refused where nothing is left
    if x.is_complex():
        x = torch.view_as_real(x).flatten(-2)
    return x.to(device="cpu", dtype=torch.float64).numpy()


def _stride(x: torch.Tensor, axis: int, limit: int) -> torch.Tensor:
    """At most `limit` indices of an axis, from the middle of equal stretches: borders count as often as they are."""
    step = -(-x.shape[axis] // limit)
    return x if step <= 1 else x[(slice(None),) * axis + (slice(step // 2, None, step),)]


def measure(
    tensor: torch.Tensor,
    unit_axis: int,
    *,
    rank: bool = False,
    margin: int = 0,
    activation: Activation | None = None,
    before: np.ndarray | None = None,
) -> Signal:
    """The `Signal` of a tensor.

    Args:
        tensor: any real tensor; axis 0 counts examples.
        unit_axis: axis of the units.
        rank: compute the effective rank too.
        margin: border (pixels) left out of `second`.
        activation: the function that made it, with `before` its input's sample: gives the saturated fraction.
    """
    sample = take(tensor, unit_axis)
    finite = np.isfinite(sample)
    nonfinite = 1.0 - float(finite.mean()) if sample.size else 0.0
    if nonfinite:
        sample = np.where(finite, sample, 0.0)
    if sample.size == 0:
        nan = math.nan
        return Signal(nan, nan, nan, nan, nan, nan, nan, nan, nan, nonfinite, 0, 0, nan, nan)
    examples = sample.shape[0]
    mean, second = float(sample.mean()), float(np.mean(np.square(sample)))
    rows = sample.reshape(examples, -1)
    # The plain variance over examples is biased by 1/n; divide by n - 1 as the law of the examples asks.
    spread = math.sqrt(float(np.mean(rows.var(axis=0, ddof=1)))) if examples > 1 else math.nan
    gram = rows @ rows.T if examples > 1 else None
    interior = second
    if margin:
        cut = take(tensor, unit_axis, margin)
        interior = float(np.mean(np.square(cut[np.isfinite(cut)]))) if cut.size else second
    flat = sample.reshape(-1, sample.shape[-1])
    return Signal(
        rms=math.sqrt(second),
        mean=mean,
        std=math.sqrt(max(second - mean * mean, 0.0)),
        spread=spread,
        correlation=_correlation(gram),
        rank=_effective_rank(gram) if rank and gram is not None else math.nan,
        max_rank=float(min(examples - 1, rows.shape[1])) if examples > 1 else math.nan,
        dead=float(np.mean(np.all(flat == 0.0, axis=0))) if len(flat) > 1 else math.nan,
        saturated=_saturated(activation, before),
        nonfinite=nonfinite,
        units=tensor.shape[unit_axis] if tensor.ndim > 1 else 1,
        examples=examples,
        second=interior,
    )


def _correlation(gram: np.ndarray | None) -> float:
    if gram is None:
        return math.nan
    norms = np.sqrt(np.diag(gram))
    kept = norms > 0
    n = int(kept.sum())
    if n < 2:
        return math.nan
    cosines = gram[np.ix_(kept, kept)] / np.outer(norms[kept], norms[kept])
    return float((cosines.sum() - n) / (n * (n - 1)))


def _effective_rank(gram: np.ndarray) -> float:
    centred = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
    values = np.sqrt(np.clip(np.linalg.eigvalsh(centred), 0.0, None))
    # Rounding leaves sqrt(eps) of the largest Gram entry in directions that are empty.
    values = values[values > 1e-7 * math.sqrt(max(float(np.trace(gram)), 0.0))]
    if len(values) == 0:
        return 0.0
    shares = values / values.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _saturated(activation: Activation | None, before: np.ndarray | None) -> float:
    """Share of inputs where a bounded function is flat; NaN for unbounded ones."""
    if activation is None or before is None or before.size == 0:
        return math.nan
    ends = activation(np.array([-60.0, -50.0, 50.0, 60.0]))
    if abs(ends[0] - ends[1]) > 1e-6 or abs(ends[2] - ends[3]) > 1e-6:
        return math.nan
    h = 1e-3
    grid = np.linspace(-8, 8, 1601)
    largest = float(np.max(np.abs(activation(grid + h) - activation(grid - h))))
    slopes = np.abs(activation(before + h) - activation(before - h))
    return float(np.mean(slopes < FLAT_SLOPE * largest))


def gradient_rms(gradient: torch.Tensor) -> float:
    """Root mean square of a gradient; summed again in double precision where squares underflow in single."""
    if gradient.numel() == 0:
        return math.nan
    g = gradient.detach()
    if g.is_sparse:
        g = g.coalesce().values()
    norm = float(torch.linalg.vector_norm(g))
    if not 1e-12 < norm < 1e12:
        norm = float(torch.linalg.vector_norm(g, dtype=torch.complex128 if g.is_complex() else torch.float64))
    return norm / math.sqrt(gradient.numel())
