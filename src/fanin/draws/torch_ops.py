"""Recipes in plain integer operations of PyTorch: on any device, without a compiler, the bits of `elementwise`.

A word of 32 bits lives in an int64, so that products of two words keep their upper half: int64 wraps around as uint64 does,
and a logical shift is an arithmetic one with a mask. Words of 64 bits (asked for with bits=64) use all of the int64.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fanin.draws.bits import LANES, MASK, MULTIPLIERS, ROUNDS, SIDE, TILE_WORDS, WEYL, Stream
from fanin.draws.quantile import SUBS64, table
from fanin.draws.recipe import Recipe, Source
from fanin.draws.windows import Ranges, collapse, tiles

TILES = {"cpu": 1 << 16}  # elements a tile, by the type of the device
TILE = 1 << 22  # on all others: large enough to fill a GPU, small enough that temporary memory stays below a gigabyte

Engine = Callable[[Recipe, tuple[int, ...], Stream, Ranges, Tensor], None]


def fill(
    recipe: Recipe, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: Tensor, engine: Engine | None = None
) -> None:
    """Write the elements that the ranges name into `out`, which has one axis for each range.

    Args:
        recipe: how a number is made of its word.
        shape: of the whole weight.
        stream: of the weight.
        ranges: one for each axis.
        out: of any strides.
        engine: writes a contiguous part of `out`, given flat; the operations of this file if None.
    """
    if recipe.source is Source.CONSTANT:
        out.copy_(scaled(torch.ones((), dtype=torch.int64, device=out.device), recipe, out.dtype))
        return
    size = TILES.get(out.device.type, TILE)
    if not out.is_contiguous() and out.numel() > size:  # in pieces: what a copy needs stays small
        axis = next(a for a, n in enumerate(out.shape) if n > 1)
        rows = max(1, size * out.shape[axis] // out.numel())
        for first in range(0, out.shape[axis], rows):
            part = (*ranges[:axis], ranges[axis][first : first + rows], *ranges[axis + 1 :])
            fill(recipe, shape, stream, part, out.narrow(axis, first, len(part[axis])), engine)
        return
    flat = out.view(-1) if out.is_contiguous() else out.new_empty(out.numel())
    ranges, shape = collapse(ranges, shape)
    (engine or plain)(recipe, shape, stream, ranges, flat)
    if not out.is_contiguous():
        out.copy_(flat.view(out.shape))


def plain(recipe: Recipe, shape: tuple[int, ...], stream: Stream, ranges: Ranges, flat: Tensor) -> None:
    """Write the numbers that the (collapsed) ranges name into `flat`, one axis, contiguous; in tiles."""
    low = Stream(stream.seed, stream.name, plane=1)
    for place, piece in tiles(ranges, TILES.get(flat.device.type, TILE)):
        words = _words(stream, piece, shape, flat.device)
        if recipe.bits == 64:
            words = words << 32 | _words(low, piece, shape, flat.device)
        flat[place] = scaled(whole_numbers(words, recipe), recipe, flat.dtype)


def _words(stream: Stream, piece: Ranges, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """The words of the elements that a tile's ranges name, in order, one axis."""
    last = piece[-1]
    if last.step == 1 and len(last) >= TILE_WORDS // 2:
        return _runs(stream, address((*piece[:-1], last[:1]), shape, device), len(last))
    return _at(stream, address(piece, shape, device))


def address(ranges: Ranges, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Flat index of every element that the ranges name, in order, int64, shape (product of lengths,)."""
    flat = torch.zeros(1, dtype=torch.int64, device=device)
    for r, n in zip(ranges, shape, strict=True):
        axis = torch.arange(len(r), dtype=torch.int64, device=device) * r.step + r.start
        flat = (flat[:, None] * n + axis).view(-1)
    return flat


def covering(length: int) -> int:
    """How many tiles of the stream hold a run of this length, wherever it starts."""
    return (length + TILE_WORDS - 2) // TILE_WORDS + 1


def _runs(stream: Stream, first: Tensor, length: int) -> Tensor:
    """`length` words from each start: whole tiles that cover the run, then what is wanted of them."""
    skip = first & (TILE_WORDS - 1)
    aligned = not bool(skip.any())
    count = -(-length // TILE_WORDS) if aligned else covering(length)
    tile = (first >> 8)[:, None] + torch.arange(count, device=first.device)
    block = (tile << 6)[..., None] + torch.arange(SIDE, device=first.device)
    words = torch.stack(_philox(stream, block), dim=2).view(len(first), count * TILE_WORDS)
    if len(first) == 1:
        return words[0, int(skip[0]) : int(skip[0]) + length]
    if not aligned:
        words = words.gather(1, skip[:, None] + torch.arange(length, device=first.device))
    return words[:, :length].reshape(-1)


def _at(stream: Stream, index: Tensor) -> Tensor:
    """Words at any places, one axis."""
    block, lane = (index >> 8 << 6) | (index & (SIDE - 1)), (index >> 6) & (LANES - 1)
    return torch.stack(_philox(stream, block)).gather(0, lane[None])[0]


def _philox(stream: Stream, block: Tensor) -> list[Tensor]:
    """The four words of each block."""
    upper, *name = stream.counter
    k0, k1 = stream.key
    c0, c1 = block & MASK, (block >> 32) | upper
    c2, c3 = (torch.full_like(block, word) for word in name)
    for _ in range(ROUNDS):
        c0, c2 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c1 = c1 ^ (c2 >> 32 & MASK) ^ k0
        c3 = c3 ^ (c0 >> 32 & MASK) ^ k1
        c0, c1, c2, c3 = c1, c2 & MASK, c3, c0 & MASK
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return [c0, c1, c2, c3]


def whole_numbers(words: Tensor, recipe: Recipe) -> Tensor:
    """k of each word (see `recipe`), int64."""
    match recipe.source:
        case Source.UNIFORM:
            z = (words if recipe.bits == 64 else signed(words)) | 1
        case Source.NORMAL:
            z = _quantile(words, recipe)
        case Source.SIGN:
            z = (words >> 31) * 2 - 1
        case Source.BELOW:
            z = (words < recipe.span).to(torch.int64)
        case _:
            z = words * recipe.span >> 32 & MASK
    if recipe.shift:
        z = z >> recipe.shift
    return z + recipe.offset if recipe.offset else z


def signed(words: Tensor) -> Tensor:
    """32-bit words read as signed numbers."""
    return (words ^ 2**31) - 2**31


def _quantile(words: Tensor, recipe: Recipe) -> Tensor:
    wide = recipe.bits == 64
    if recipe.whole:
        return normal_index64(words) if wide else normal_index(words)
    low, span = _int64(recipe.low), _int64(recipe.span)
    if wide:
        z = normal_index64(multiply_high(words, torch.tensor(span, device=words.device)) + low)
    else:
        z = normal_index(((words * span >> 32) + low) & MASK)
    return z.clamp(recipe.least, recipe.most)


def normal_index(index: Tensor) -> Tensor:
    """z in units of 2^-28 of 32-bit indices; see `quantile`."""
    upper = index >> 31
    u = (index ^ upper * MASK) << 1 | 1
    octave = _octave(u)
    level = u << (31 - octave)
    entry = device_table("normal32", index.device)[octave << 7 | level >> 24 & 127]
    x = level << 8 & MASK
    slope = (entry >> 20) - ((entry >> 52 & 0xFFF) * x >> 21) & MASK
    z = entry - (slope * x >> 43 & 0x1FFFFF) & 0x7FFFFFFF
    return z * (2 * upper - 1)


def normal_index64(index: Tensor) -> Tensor:
    """z in units of 2^-59 of 64-bit indices."""
    upper = index >> 63  # 0 or -1
    u = (index ^ upper) << 1 | 1
    high = u >> 32 & MASK
    octave = torch.where(high > 0, 32 + _octave(high.clamp(min=1)), _octave((u & MASK).clamp(min=1)))
    level = u << (63 - octave)
    row = device_table("normal64", index.device)[octave << SUBS64 | level >> (63 - SUBS64) & 2**SUBS64 - 1]
    x = level << (1 + SUBS64)
    z = row[..., 7]
    for k in range(6, -1, -1):
        z = row[..., k] - multiply_high(z, x)
    return z * (-2 * upper - 1)


def _octave(u: Tensor) -> Tensor:
    """The place of the leading one of 32-bit numbers above zero.

    The bit after the leading one is cleared, so that the conversion cannot round up into the next octave.
    """
    return (u & ~(u >> 1)).to(torch.float32).view(torch.int32).to(torch.int64) - (127 << 23) >> 23


def multiply_high(a: Tensor, b: Tensor) -> Tensor:
    """The upper 64 bits of products of 64-bit numbers without sign."""
    a0, a1, b0, b1 = a & MASK, a >> 32 & MASK, b & MASK, b >> 32 & MASK
    cross = a1 * b0 + (a0 * b0 >> 32 & MASK)
    return a1 * b1 + (cross >> 32 & MASK) + (a0 * b1 + (cross & MASK) >> 32 & MASK)


def scaled(k: Tensor, recipe: Recipe, dtype: torch.dtype) -> Tensor:
    """k times the scale, in the precision that the recipe's table names for this dtype."""
    if dtype == torch.float64 or recipe.bits == 64:
        values = k.to(torch.float64) * recipe.scale
        return values if dtype == torch.float64 else cast(values.to(torch.float32), dtype)
    return cast(k.to(torch.float32) * float(np.float32(recipe.scale)), dtype)


def cast(values: Tensor, dtype: torch.dtype) -> Tensor:
    """float32 rounded to a narrower dtype. PyTorch's float8_e4m3fn, which has no infinity, ends at 448; ours goes on to NaN."""
    if dtype == torch.float8_e4m3fn:
        values = torch.where(values.abs() > 464, torch.copysign(torch.full_like(values, torch.nan), values), values)
    return values.to(dtype)


@functools.lru_cache(maxsize=16)
def device_table(name: str, device: torch.device) -> Tensor:
    """A table of `quantile` as int64, kept on the device."""
    return torch.from_numpy(table(name).view(np.int64).copy()).to(device)


def _int64(word: int) -> int:
    """A number of 64 bits as the int64 with the same bits (what PyTorch takes)."""
    return word - 2**64 if word >= 2**63 else word


def orders(shape: tuple[int, ...], axis: int, stream: Stream, ranges: Ranges, device: torch.device) -> Tensor:
    """What `permutations.orders` gives, on the device."""
    along = (*ranges[:axis], range(shape[axis]), *ranges[axis + 1 :])
    sizes = [len(r) for r in along]
    places = torch.argsort(_at(stream, address(along, shape, device)).view(sizes), dim=axis, stable=True)
    numbers = torch.arange(shape[axis], device=device).view([-1 if a == axis else 1 for a in range(len(shape))])
    order = torch.empty_like(places).scatter_(axis, places, numbers.expand(places.shape))
    wanted = ranges[axis]
    return order.index_select(axis, torch.arange(len(wanted), device=device) * wanted.step + wanted.start)
