"""Windows that slide over positions: how many of a kernel's taps meet the image, where, and what zero padding leaves.

A convolution's fan counts every tap; at a border some meet padding, and a strided transposed convolution swings by phase.
Along each axis of positions a signal has a profile: its second moment there relative to its mean.
"""

import functools
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

Profile = tuple[float, ...]


class Window(NamedTuple):
    """A sliding window along one axis; `transposed` scatters where the others gather."""

    before: int
    after: int
    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    transposed: bool = False


class Passed(NamedTuple):
    """What a window does to second moments along one axis.

    Attributes:
        factor: mean over the outputs, relative to every tap meeting a mean position.
        profile: of the outputs.
        back: the same for gradients, relative to every tap reaching an output.
    """

    factor: float
    profile: Profile
    back: float


def windows(
    facts: Mapping[str, float], before: tuple[int, ...], after: tuple[int, ...], transposed: bool
) -> list[Window]:
    """The windows of an op, one an axis of positions, from its facts and the extents of those axes before and behind."""
    found = []
    for axis, (n, m) in enumerate(zip(before, after, strict=True)):
        if f"kernel {axis}" not in facts:
            return []
        labels = (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1))
        kernel, stride, padding, dilation = (int(facts.get(f"{label} {axis}", default)) for label, default in labels)
        found.append(Window(n, m, kernel, stride, padding, dilation, transposed))
    return found


@functools.lru_cache(maxsize=1024)
def pairs(window: Window) -> tuple[np.ndarray, np.ndarray]:
    """(index of the output, index of the input) of every product that is really made, taps in order."""
    place, tap = np.meshgrid(
        np.arange(window.before if window.transposed else window.after), np.arange(window.kernel), indexing="ij"
    )
    other = place * window.stride - window.padding + tap * window.dilation
    inside = (other >= 0) & (other < (window.after if window.transposed else window.before))
    return (other[inside], place[inside]) if window.transposed else (place[inside], other[inside])


@functools.lru_cache(maxsize=4096)
def passed(window: Window, profile: Profile | None, centre: bool = False) -> Passed:
    """What a kernel of independent taps does along one axis; with `centre`, only its central tap is not zero."""
    window = _central(window) if centre else window
    taps = window.kernel / (window.stride if window.transposed else 1)
    back = window.kernel / (1 if window.transposed else window.stride)
    out, inputs = pairs(window)
    power = np.ones(window.before) if profile is None else np.asarray(profile)
    sums = np.bincount(out, power[inputs], window.after) / taps
    factor = float(sums.mean()) if len(sums) else 0.0
    shape = tuple((sums / factor).tolist()) if factor > 0 else ()
    return Passed(factor, shape, len(out) / max(window.before, 1) / back)


def _central(window: Window) -> Window:
    return window._replace(kernel=1, padding=window.padding - (window.kernel // 2) * window.dilation)


@functools.lru_cache(maxsize=1024)
def overlap(window: Window, centre: bool = False) -> float:
    """Taps that two outputs have in common inside the image, mean over all pairs of outputs, as a share of the kernel."""
    window = _central(window) if centre else window
    out, inputs = pairs(window)
    meets = np.zeros((window.after, window.kernel))
    meets[out, (inputs - out * window.stride + window.padding) // window.dilation] = 1.0
    return float((meets.mean(0) ** 2).sum()) / window.kernel


@functools.lru_cache(maxsize=1024)
def inner(window: Window, low: int, high: int) -> float:
    """How many more products reach an input that is not among the first `low` and last `high` than reach any, on average."""
    reached = np.bincount(pairs(window)[1], minlength=window.before)
    inside = reached[low : window.before - high]
    return float(inside.mean() / reached.mean()) if len(inside) and reached.any() else 1.0


def adaptive(before: int, after: int) -> float:
    """How many positions an adaptive pool's window holds, on average."""
    return before / max(after, 1)


def merged(parts: list[tuple[float, tuple[Profile, ...]]]) -> tuple[Profile, ...]:
    """The profiles of a sum of signals, weighted with their second moments; () where they do not agree in extent."""
    extents = {tuple(len(axis) for axis in profile) for _, profile in parts if profile}
    total = sum(q for q, _ in parts)
    if len(extents) != 1 or not total > 0 or not math.isfinite(total):
        return ()
    axes = []
    for axis, n in enumerate(extents.pop()):
        level = np.zeros(n)
        for q, profile in parts:
            level += q / total * (np.asarray(profile[axis]) if profile else 1.0)
        axes.append(tuple(level.tolist()))
    return tuple(axes)


def bent(profile: tuple[Profile, ...], power: float) -> tuple[Profile, ...]:
    """The profile behind a function whose second moment grows like this power of the variance."""
    if power == 1 or not profile:
        return profile
    axes = []
    for axis in profile:
        level = np.maximum(np.asarray(axis), 1e-12) ** max(power, 0.0)
        axes.append(tuple((level / level.mean()).tolist()))
    return tuple(axes)
