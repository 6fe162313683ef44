"""Numbers of a recipe from random words, in NumPy: the backend that is always there, and what the others must equal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.draws.bits import Stream, Words, words_of_seeds
from fanin.draws.quantile import multiply_high, normal_index, normal_index64
from fanin.draws.recipe import Recipe, Source
from fanin.draws.windows import TILE, Ranges, collapse, pieces, starts, tiles

Array = NDArray[Any]


def fill(recipe: Recipe, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: Array) -> None:
    """Write the elements that the ranges name into `out`, which has one axis for each range; in tiles."""
    if recipe.source is Source.CONSTANT:
        out[...] = _scaled(np.ones(1, dtype=np.int64), recipe, out.dtype)[0]
        return
    if not out.flags.c_contiguous:
        for where, part in pieces(ranges, TILE):
            numbers = np.empty([len(r) for r in part], dtype=out.dtype)
            fill(recipe, shape, stream, part, numbers)
            out[where] = numbers
        return
    flat = out.reshape(-1)
    ranges, shape = collapse(ranges, shape)
    low = Stream(stream.seed, stream.name, plane=1)
    for place, piece in tiles(ranges):
        words = _words(stream, piece, shape)
        if recipe.bits == 64:
            words = words.astype(np.uint64) << np.uint64(32) | _words(low, piece, shape)
        flat[place] = _scaled(_whole_numbers(words, recipe), recipe, out.dtype)


def fill_seeds(recipe: Recipe, name: str, seeds: NDArray[np.uint64], outs: Sequence[Array]) -> None:
    """Write the whole of a small weight under each of several seeds: many short arrays cost mostly the calls.

    Args:
        recipe: of 32 bits.
        name: of the weight.
        seeds: one an array.
        outs: contiguous, of one shape and dtype, at least one number each.
    """
    count, dtype = outs[0].size, outs[0].dtype
    at_once = max(1, TILE // count)
    for first in range(0, len(outs), at_once):
        some = slice(first, first + at_once)
        words = words_of_seeds(seeds[some], name, count).reshape(-1)
        numbers = _scaled(_whole_numbers(words, recipe), recipe, dtype).reshape(-1, count)
        for out, own in zip(outs[some], numbers, strict=True):
            out.reshape(-1)[:] = own


def _words(stream: Stream, piece: Ranges, shape: tuple[int, ...]) -> Words:
    """The words of the elements that a tile's ranges name, in order."""
    last = piece[-1]
    if last.step != 1 or len(last) < 4:
        return stream.at(starts(piece, shape))
    first = starts((*piece[:-1], last[:1]), shape)
    if len(first) == 1:
        return stream.range(int(first[0]), int(first[0]) + len(last))
    return stream.runs(first, len(last)).reshape(-1)


def _whole_numbers(words: Array, recipe: Recipe) -> Array:
    """k of each word (see `recipe`), as int64."""
    match recipe.source:
        case Source.UNIFORM:
            z = words.view(np.int64 if recipe.bits == 64 else np.int32) | 1
        case Source.NORMAL:
            z = _quantile(words, recipe)
        case Source.SIGN:
            z = (words >> np.uint32(31)).astype(np.int64) * 2 - 1
        case Source.BELOW:
            z = words < np.uint32(recipe.span)
        case _:
            z = words.astype(np.uint64) * np.uint64(recipe.span) >> np.uint64(32)
    z = z.astype(np.int64)
    if recipe.shift:
        z >>= recipe.shift
    if recipe.offset:
        z += recipe.offset
    return z


def _quantile(words: Array, recipe: Recipe) -> Array:
    """z of each word, as int32 or int64."""
    if recipe.whole:
        return normal_index64(words) if recipe.bits == 64 else normal_index(words)
    if recipe.bits == 64:
        index = np.uint64(recipe.low) + multiply_high(words, np.full(1, recipe.span, dtype=np.uint64))
        return np.clip(normal_index64(index), recipe.least, recipe.most)
    part = words.astype(np.uint64) * np.uint64(recipe.span) >> np.uint64(32)
    index = (part + np.uint64(recipe.low)).astype(np.uint32)
    return np.clip(normal_index(index), recipe.least, recipe.most)


def _scaled(k: NDArray[np.int64], recipe: Recipe, dtype: np.dtype[Any]) -> Array:
    """k times the scale, in the precision that the recipe's table names for this dtype."""
    if dtype == np.float64 or recipe.bits == 64:
        values = k.astype(np.float64)
        values *= recipe.scale
        return values if dtype == np.float64 else values.astype(np.float32).astype(dtype)
    return (k.astype(np.float32) * np.float32(recipe.scale)).astype(dtype)
