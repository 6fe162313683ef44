"""Recipes in one pass over a CUDA tensor: Philox, quantile and rounding in a Triton kernel, the bits of `elementwise`.

A program computes some Philox blocks of a run of the stream; each block gives four numbers, 64 apart, so that the stores
of neighbouring threads are neighbours. Windows with short runs, or with steps, compute each number's block alone.
What the kernels cannot do (64-bit words, float8) is left to `torch_ops`.
"""

import contextlib
import struct
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from fanin.draws.bits import MULTIPLIERS, ROUNDS, SIDE, TILE_WORDS, WEYL, Stream
from fanin.draws.recipe import Recipe, Source
from fanin.draws.torch_ops import address, covering, device_table
from fanin.draws.windows import Ranges, tiles

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
SMALLEST_NORMAL = 2.0**-126  # GPUs may flush what is below
BLOCKS = 256  # Philox blocks a program
AT_ONCE = 1 << 24  # numbers whose addresses are held at once, where each has its own

_ROUNDS = tl.constexpr(ROUNDS)
_M0, _M1 = (tl.constexpr(m) for m in MULTIPLIERS)
_W0, _W1 = (tl.constexpr(w) for w in WEYL)
_UNIFORM, _NORMAL, _SIGN, _BELOW = (tl.constexpr(int(s)) for s in Source if s < Source.INTEGER)
# Where the kernels' numbers stand in the table of int64 that they are given.
_KEY, _COUNTER, _LOW, _SPAN, _LEAST, _MOST, _SHIFT, _OFFSET, _SCALE, _STARTS = (
    tl.constexpr(n) for n in (0, 2, 5, 6, 7, 8, 9, 10, 11, 12)
)


def can(recipe: Recipe, dtype: torch.dtype) -> bool:
    """Whether the kernels make these numbers."""
    return recipe.bits == 32 and dtype in DTYPES and abs(recipe.scale) >= SMALLEST_NORMAL


def engine(recipe: Recipe, shape: tuple[int, ...], stream: Stream, ranges: Ranges, flat: Tensor) -> None:
    """Write the numbers that the (collapsed) ranges name into `flat`, one axis, contiguous."""
    last = ranges[-1]
    bf16, double = flat.dtype == torch.bfloat16, flat.dtype == torch.float64
    target = flat.view(torch.int16) if bf16 else flat
    how = {
        "SOURCE": int(recipe.source),
        "WHOLE": recipe.whole,
        "PLAIN": recipe.shift == 0 and recipe.offset == 0,
        "DOUBLE": double,
        "BF16": bf16,
        "BLOCKS": BLOCKS,
    }
    numbers = torch.tensor(_numbers(recipe, stream, double), dtype=torch.int64, device=flat.device)
    table = device_table("normal32", flat.device)
    if last.step == 1 and len(last) >= TILE_WORDS // 2:
        first = address((*ranges[:-1], last[:1]), shape, flat.device)
        chunks = triton.cdiv(covering(len(last)) * SIDE, BLOCKS)
        with _on(flat.device):
            _runs_kernel[(len(first) * chunks,)](  # pyright: ignore[reportIndexIssue]
                target, numbers, first, table, len(last), chunks, **how
            )
        return
    for place, piece in tiles(ranges, AT_ONCE):
        index = address(piece, shape, flat.device)
        with _on(flat.device):
            _places_kernel[(triton.cdiv(len(index), BLOCKS),)](  # pyright: ignore[reportIndexIssue]
                target[place], numbers, index, table, len(index), **how
            )


def _on(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Triton starts kernels on the thread's current device, which in a pool of threads is the first one, not the tensor's."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def _numbers(recipe: Recipe, stream: Stream, double: bool) -> list[int]:
    scale = recipe.scale if double else float(np.float32(recipe.scale))
    (bits,) = struct.unpack("<q", struct.pack("<d", scale))
    bounds = (recipe.low, recipe.span, recipe.least, recipe.most, recipe.shift, recipe.offset)
    return [*stream.key, *stream.counter, *bounds, bits]


@triton.jit
def _runs_kernel(
    out, numbers, first, table, length, chunks, SOURCE: tl.constexpr, WHOLE: tl.constexpr, PLAIN: tl.constexpr,
    DOUBLE: tl.constexpr, BF16: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """Whole tiles of the stream that cover each run of `length` numbers; what lies outside of the run is not stored."""
    program = tl.program_id(0)
    run = program // chunks
    start = tl.load(first + run)
    block = (program % chunks).to(tl.int64) * BLOCKS + tl.arange(0, BLOCKS)
    w0, w1, w2, w3 = _philox((start >> 8 << 6) + block, numbers)
    place = (block >> 6) * 256 + (block & 63) - (start & 255)
    base = out + run.to(tl.int64) * length
    _store(base, place, length, w0, numbers, table, SOURCE, WHOLE, PLAIN, DOUBLE, BF16)
    _store(base, place + 64, length, w1, numbers, table, SOURCE, WHOLE, PLAIN, DOUBLE, BF16)
    _store(base, place + 128, length, w2, numbers, table, SOURCE, WHOLE, PLAIN, DOUBLE, BF16)
    _store(base, place + 192, length, w3, numbers, table, SOURCE, WHOLE, PLAIN, DOUBLE, BF16)


@triton.jit
def _store(
    base, at, length, word, numbers, table, SOURCE: tl.constexpr, WHOLE: tl.constexpr, PLAIN: tl.constexpr,
    DOUBLE: tl.constexpr, BF16: tl.constexpr,
):  # fmt: skip
    value = _value(word, numbers, table, SOURCE, WHOLE, PLAIN, DOUBLE, BF16)
    tl.store(base + at, value, mask=(at >= 0) & (at < length))


@triton.jit
def _places_kernel(
    out, numbers, index, table, length, SOURCE: tl.constexpr, WHOLE: tl.constexpr, PLAIN: tl.constexpr,
    DOUBLE: tl.constexpr, BF16: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """One number for each index."""
    at = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)
    inside = at < length
    i = tl.load(index + at, mask=inside, other=0)
    w0, w1, w2, w3 = _philox((i >> 8 << 6) | (i & 63), numbers)
    lane = (i >> 6) & 3
    word = tl.where(lane < 2, tl.where(lane == 0, w0, w1), tl.where(lane == 2, w2, w3))
    tl.store(out + at, _value(word, numbers, table, SOURCE, WHOLE, PLAIN, DOUBLE, BF16), mask=inside)


@triton.jit
def _philox(block, numbers):
    """The four words of each block (int64)."""
    k0 = tl.load(numbers + _KEY).to(tl.uint32)
    k1 = tl.load(numbers + _KEY + 1).to(tl.uint32)
    zero = (block - block).to(tl.uint32)
    c0 = block.to(tl.uint32)
    c1 = (block >> 32).to(tl.uint32) | tl.load(numbers + _COUNTER).to(tl.uint32)
    c2 = zero + tl.load(numbers + _COUNTER + 1).to(tl.uint32)
    c3 = zero + tl.load(numbers + _COUNTER + 2).to(tl.uint32)
    m0 = zero + _M0
    m1 = zero + _M1
    for _ in tl.static_range(_ROUNDS):
        h0 = tl.umulhi(c0, m0)
        h1 = tl.umulhi(c2, m1)
        d0 = h1 ^ c1 ^ k0
        d2 = h0 ^ c3 ^ k1
        c1 = c2 * m1
        c3 = c0 * m0
        c0 = d0
        c2 = d2
        k0 = k0 + _W0
        k1 = k1 + _W1
    return c0, c1, c2, c3


@triton.jit
def _value(
    word, numbers, table, SOURCE: tl.constexpr, WHOLE: tl.constexpr, PLAIN: tl.constexpr, DOUBLE: tl.constexpr,
    BF16: tl.constexpr,
):  # fmt: skip
    """The number of a word, as it is stored."""
    if SOURCE == _UNIFORM:
        z = word.to(tl.int32, bitcast=True) | 1
    elif SOURCE == _NORMAL:
        if WHOLE:
            z = _quantile(word, table)
        else:
            span = (word - word) + tl.load(numbers + _SPAN).to(tl.uint32)
            z = _quantile(tl.load(numbers + _LOW).to(tl.uint32) + tl.umulhi(word, span), table)
            z = tl.maximum(z, tl.load(numbers + _LEAST).to(tl.int32))
            z = tl.minimum(z, tl.load(numbers + _MOST).to(tl.int32))
    elif SOURCE == _SIGN:
        z = (word >> 31).to(tl.int32) * 2 - 1
    elif SOURCE == _BELOW:
        z = (word < tl.load(numbers + _SPAN).to(tl.uint32)).to(tl.int32)
    else:
        span = (word - word) + tl.load(numbers + _SPAN).to(tl.uint32)
        z = tl.umulhi(word, span).to(tl.int32)
    scale = tl.load(numbers + _SCALE).to(tl.float64, bitcast=True)
    if DOUBLE:
        k = z.to(tl.int64)
        if not PLAIN:
            k = (k >> tl.load(numbers + _SHIFT)) + tl.load(numbers + _OFFSET)
        value = k.to(tl.float64) * scale
    else:
        k = z
        if not PLAIN:
            k = (k >> tl.load(numbers + _SHIFT).to(tl.int32)) + tl.load(numbers + _OFFSET).to(tl.int32)
        value = k.to(tl.float32) * scale.to(tl.float32)
        if BF16:  # to nearest, ties to even, by hand: older compilers cut off
            bits = value.to(tl.uint32, bitcast=True)
            value = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).to(tl.int16)
    return value


@triton.jit
def _quantile(index, table):
    """z in units of 2^-28 of 32-bit indices; see `quantile`."""
    upper = (index >> 31) != 0
    u = (tl.where(upper, ~index, index) << 1) | 1
    lead = (u & ~(u >> 1)).to(
        tl.float32
    )  # without the bit after the leading one it is not rounded into the next octave
    octave = (lead.to(tl.uint32, bitcast=True) >> 23) - 127
    level = u << (31 - octave)
    entry = tl.load(table + ((octave << 7) | ((level >> 24) & 127)).to(tl.int32))
    x = level << 8
    low = entry.to(tl.uint32)
    high = (entry >> 32).to(tl.uint32)
    c2 = high >> 20
    slope = ((high << 12) | (low >> 20)) - ((tl.umulhi(c2, x) << 11) | ((c2 * x) >> 21))
    z = ((low - (tl.umulhi(slope, x) >> 11)) & 0x7FFFFFFF).to(tl.int32)
    return tl.where(upper, z, -z)
