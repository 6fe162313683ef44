"""Tables of positions: sinusoids, and small random numbers to be learned."""

import math

import numpy as np
from numpy.typing import NDArray

from fanin.distributions import Distribution, Formula, Normal, TruncatedNormal
from fanin.errors import FaninValueError
from fanin.formulas import Places, formula
from fanin.rules.arguments import choice_check, number_check, whole_check
from fanin.rules.promise import Array, Promise, law, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot

LAYOUTS = ("interleaved", "halves")


def _waves(position: Array, channel: NDArray[np.int64], channels: int, base: float, halves: bool) -> Array:
    """sin and cos of position / base^(2 i / channels); i is the pair of the channel."""
    half = channels // 2
    pair, odd = (channel % half, channel // half) if halves else (channel // 2, channel % 2)
    angle = position / base ** (2.0 * pair / channels)
    return np.where(odd == 0, np.sin(angle), np.cos(angle))


@formula
def sinusoids(
    places: Places, shape: tuple[int, ...], axes: Axes | None, base: float, halves: float, width: float, skip: float
) -> Array:
    """The waves of each position; on a grid of this width, half of the channels tell the column and half the row."""
    position, channel, channels = places[-2].astype(np.float64) - skip, places[-1], shape[-1]
    if not width:
        made = _waves(position, channel, channels, base, bool(halves))
    else:
        half = channels // 2
        column, row = np.mod(position, width), np.floor_divide(position, width)
        made = np.where(
            channel < half,
            _waves(column, channel % half, half, base, bool(halves)),
            _waves(row, channel % half, half, base, bool(halves)),
        )
    return np.where(position < 0, 0.0, made)


def _table(slot: Slot, parts: int) -> None:
    """A table (…, positions, channels) whose channels can be cut into this many parts; raises for other shapes."""
    if len(slot.shape) < 2 or math.prod(slot.shape[:-2]) != 1 or not slot.size:
        raise FaninValueError(
            f"sinusoid cannot fill {slot.name!r} of shape {slot.shape}; it takes a table of shape (positions, channels), with "
            "axes of length 1 before them at most"
        )
    if slot.shape[-1] % parts:
        raise FaninValueError(
            f"sinusoid: the {slot.shape[-1]} channels of {slot.name!r} cannot be cut into sines and cosines; it takes a "
            f"multiple of {parts}"
        )


def _grid(slot: Slot, width: int | None, skip: int) -> None:
    _table(slot, 4 if width else 2)
    if width and (slot.shape[-2] - skip) % width:
        raise FaninValueError(
            f"sinusoid: width={width} does not divide the {slot.shape[-2] - skip} positions of {slot.name!r} into rows"
        )


def _shifts(slot: Slot, base: float, layout: str, width: int | None, skip: int) -> Promise:
    """The inner product of two positions depends on their distance alone."""
    _grid(slot, width, skip)

    def furthest(weight: Array, slot: Slot) -> float:
        table = weight.reshape(slot.shape[-2:])[skip:]
        gram = table @ table.T / (slot.shape[-1] / 2)
        n = len(table)
        rows, columns = (n, 1) if not width else (n // width, width)
        gram = gram.reshape(rows, columns, rows, columns)
        worst = np.abs(np.einsum("abab->ab", gram) - 1.0).max()
        if rows > 1:
            worst = max(worst, np.abs(gram[1:, :, 1:] - gram[:-1, :, :-1]).max())
        if columns > 1:
            worst = max(worst, np.abs(gram[:, 1:, :, 1:] - gram[:, :-1, :, :-1]).max())
        return float(worst)

    return values(
        0.0, furthest, "inner products depend on the distance of two positions alone; all have the same size", 1e-5
    )


@rule(
    promise=_shifts,
    checks={
        "base": number_check("a finite number above 1", lambda x: x > 1),
        "layout": choice_check(LAYOUTS),
        "width": whole_check(1, optional=True),
        "skip": whole_check(0),
    },
    samples=({}, {"layout": "halves"}, {"width": 4, "layout": "halves"}),
)
def sinusoid(
    slot: Slot, base: float = 10000.0, layout: str = "interleaved", width: int | None = None, skip: int = 0
) -> Distribution:
    """A table of sines and cosines of the position, at wavelengths from 2π to 2π · base.

    Formula:
        W[p, 2i] = sin(p / base^(2i / d)), W[p, 2i + 1] = cos(p / base^(2i / d)), d the channels

    Args:
        base: ratio of the longest wavelength to the shortest.
        layout: "interleaved" (sine and cosine next to each other, as in the paper) or "halves" (all sines first: tensor2tensor,
            MAE, timm).
        width: positions in a row of a grid, row by row: half of the channels then tell the column, half the row (as in MAE).
        skip: how many positions at the start are no places and stay zero (class tokens).

    Raises:
        FaninValueError: for a shape that is no table, an odd number of channels (a grid takes multiples of 4), or positions that
            the width does not divide.

    Promise:
        All positions have size √(d / 2), and inner products depend on the distance of two positions alone.

    Paper:
        Vaswani et al. 2017, "Attention is all you need", section 3.5; He et al. 2022, "Masked autoencoders", section A.1 (grid).

    Example:
        >>> from fanin import draws
        >>> draws.draw(sinusoid(), (2, 4), seed=0, name="pos", axes="vo", dtype="float64").round(3).tolist()
        [[0.0, 1.0, 0.0, 1.0], [0.841, 0.54, 0.01, 1.0]]
    """
    _grid(slot, width, skip)
    return Formula("sinusoids", (base, float(layout == "halves"), float(width or 0), float(skip)))


@rule(
    promise=lambda slot, std, distribution: law(std),
    checks={"distribution": choice_check(("truncated_normal", "normal"))},
    samples=({}, {"std": 0.01, "distribution": "normal"}),
)
def learned_positions(slot: Slot, std: float = 0.02, distribution: str = "truncated_normal") -> Distribution:
    """Small random numbers for positions, class tokens and registers that are added to a signal and learned.

    Any shape will do, as no number depends on its place: a table (positions, channels), a grid (1, rows, columns, channels), one
    token (channels).

    Formula:
        W ~ N(0, std²), cut at two sigmas of the uncut Gaussian and scaled back to std ("truncated_normal")

    Args:
        std: the deviation that the numbers have. It is to be small against the tokens they are added to: 0.02 in ViT and BERT;
            GPT-2 takes 0.01.
        distribution: "truncated_normal" or "normal".

    Raises:
        FaninValueError: for a single number, and for a shape without elements.

    Promise:
        The numbers have this deviation.

    Paper:
        Devlin et al. 2019, "BERT", and Dosovitskiy et al. 2021, "An image is worth 16x16 words", section 3.1 and code (0.02).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(learned_positions(), (1, 197, 768), seed=0, name="pos_embed", axes="svo")
        >>> round(float(w.std()), 3)
        0.02
    """
    if not slot.shape or not slot.size:
        raise FaninValueError(
            f"learned_positions cannot fill {slot.name!r} of shape {slot.shape}; it takes at least one axis, the channels, with "
            "numbers in it"
        )
    return TruncatedNormal(std) if distribution == "truncated_normal" else Normal(std)
