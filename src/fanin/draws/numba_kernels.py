"""The loop over the tiles of a draw, compiled by numba.

The law and the number format are part of the kernel's type, so each pair has machine code of its own, made when it is
first asked for and kept on disk.
"""

from typing import Any

import numpy as np
from numba import njit

from fanin.draws.bits import LANES, MASK, ROUNDS, TILE_WORDS, WEYL
from fanin.draws.numba_cache import kept
from fanin.draws.numba_steps import GROUP, KEYS, SCRATCH, item, late, step

U = np.uint64
TILE, GROUPS = U(TILE_WORDS), U(TILE_WORDS // LANES // GROUP)
STAGE = 8 * TILE_WORDS  # bytes: room for a tile of any format
WORK = (SCRATCH + 64 + 3 * STAGE) // 8  # 64-bit words: the scratch memory, room to align it, and three stages
KEPT = kept(nogil=True, boundscheck=False, error_model="numpy")
SHORT = TILE  # numbers: rows up to this are copied out of tiles, which neighbouring rows may share


@njit(inline="always")
def _scratch(work: Any, seed: Any) -> Any:
    """Address of the aligned scratch memory, with the keys of Philox's rounds in it."""
    start = U(work.ctypes.data)
    scratch = (start + U(63)) & ~U(63)
    first = (scratch - start) // U(8)
    work[first : first + U(KEYS // 8)] = U(0)  # the first step reads places in the table that no step has left
    low, high = seed & U(MASK), seed >> U(32)
    for turn in range(U(ROUNDS)):
        at = first + U(KEYS // 8) + U(2) * turn
        work[at] = (low + turn * U(WEYL[0])) & U(MASK)
        work[at + U(1)] = (high + turn * U(WEYL[1])) & U(MASK)
    return scratch


@KEPT
def fill_whole(law: Any, dtype: Any, version: Any, settings: Any, seed: Any, name: Any, out: Any) -> None:
    """All numbers of a weight, in place but for those behind its last whole tile.

    What `fill` does for one row, with as few arguments as there can be: handing one over takes as long as ten numbers.

    Args:
        law, dtype, version: see `fill`.
        settings: bits of the scale, the recipe's six numbers, 4 (see `numba_steps.step`), and the address of the table.
        seed: of the stream.
        name: its hash.
        out: the weight, contiguous.
    """
    work = np.empty(WORK, np.uint64)
    scratch = _scratch(work, seed)
    scale = settings.view(np.float64)[0]
    signed = settings.view(np.int64)
    numbers = (signed[1], signed[2], signed[3], signed[4], signed[5], signed[6])
    counter = (U(0), name & U(MASK), name >> U(32))
    size = U(out.size)
    count, over = size // TILE, size % TILE
    address = U(out.ctypes.data)
    stage = scratch + U(SCRATCH)
    waiting = stage + U(STAGE)
    groups = GROUPS * count
    if over:  # the first words of a tile are those of its first blocks
        groups += min(GROUPS, (over + U(GROUP - 1)) // U(GROUP))
    for done in range(groups + late(law)):
        target = waiting
        if done >= late(law):
            tile = (done - late(law)) // GROUPS
            target = stage if tile == count else address + tile * TILE * item(dtype)
            target += (done - late(law)) % GROUPS * U(GROUP) * item(dtype)
        step(law, dtype, scale, numbers, counter, U(done), settings[7], settings[8], scratch, target)
    staged = work[(stage - U(work.ctypes.data)) // U(8) :].view(out.dtype)
    for k in range(over):
        out[count * TILE + k] = staged[k]


@KEPT
def fill(
    law: Any,
    dtype: Any,
    version: Any,
    scale: Any,
    numbers: Any,
    stream: Any,
    lanes: Any,
    table: Any,
    out: Any,
    starts: Any,
    length: Any,
    stride: Any,
) -> None:
    """Row after row: numbers starts[r], starts[r] + stride, …, `length` of them.

    Whole tiles of long rows are written in place, all others by way of a stage.

    Args:
        law: see `numba_steps.step`.
        dtype: format of the numbers; `out` holds 16-bit ones as unsigned integers.
        version: tells machine code of other sources apart.
        scale: see `recipe.Recipe`.
        numbers: shift, offset, low, span - 1, least, most of the recipe.
        stream: the seed, and words 1, 2 and 3 of the blocks' counters.
        lanes: 4 (see `numba_steps.step`).
        table: of the quantile.
        out: flat, rows × length.
        starts: index in the weight of the first number of each row.
        length: of a row.
        stride: from number to number, modulo 2^64.
    """
    work = np.empty(WORK, np.uint64)
    scratch = _scratch(work, stream[0])
    counter = stream[1:]
    entries = U(table.ctypes.data)
    address = U(out.ctypes.data)
    size = U(out.size)
    stage = scratch + U(SCRATCH)
    waiting = stage + U(2 * STAGE)  # where a quantile's first steps, which have no numbers yet, write
    staged = work[(stage - U(work.ctypes.data)) // U(8) :].view(out.dtype)
    second = U(STAGE) // item(dtype)  # in `staged`
    runs = stride == U(1) and (length > SHORT or starts.size == 1)

    at, row, column = U(0), U(0), U(0)
    while at < size:
        start = starts[row] + column * stride
        first, skipped = start // TILE, start % TILE
        count, over = U(1), U(0)
        line = head = tail = stage
        if runs:
            over = (start + length) % TILE
            count = (start + length + TILE - U(1)) // TILE - first
            line = address + (at - skipped) * item(dtype)
            tail = stage + U(STAGE) if over else line + (count - U(1)) * TILE * item(dtype)
            head = stage if skipped else tail if count == U(1) else line

        for done in range(GROUPS * count + late(law)):
            target = waiting
            if done >= late(law):
                group = done - late(law)
                tile = group // GROUPS
                target = head if tile == U(0) else tail if tile + U(1) == count else line + tile * TILE * item(dtype)
                target += group % GROUPS * U(GROUP) * item(dtype)
            step(law, dtype, scale, numbers, counter, first * GROUPS + done, lanes, entries, scratch, target)

        if runs:
            if head == stage:
                for k in range(skipped, min(TILE, skipped + length)):
                    out[at + k - skipped] = staged[k]
            if over and not (head == stage and count == U(1)):
                for k in range(over):
                    out[at + length - over + k] = staged[second + k]
            at += length
            row += U(1)
        else:
            while at < size and (starts[row] + column * stride) // TILE == first:
                out[at] = staged[(starts[row] + column * stride) % TILE]
                at += U(1)
                column += U(1)
                if column == length:
                    column = U(0)
                    row += U(1)
