"""Draws by compiled kernels on all cores: the bits of `elementwise`, in place.

A draw is cut into runs (a contiguous part of the weight) or groups of rows; each is one call of a kernel, which does not
hold Python's lock. How it is cut, and how many threads there are, does not change a number.
"""

import functools
import hashlib
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from fanin.distributions import Distribution
from fanin.draws import numba_kernels
from fanin.draws.bits import LANES, TILE_WORDS, Stream, name_hash
from fanin.draws.quantile import table
from fanin.draws.recipe import Recipe, Source, recipe
from fanin.draws.threads import each, threads
from fanin.draws.windows import Ranges, collapse, pieces, starts, tiles

Array = NDArray[Any]
Kernel = Callable[..., None]

SHARE = 1 << 17  # numbers: fewer are not worth a thread
SHARES = 4  # parts for each thread, so that one that is held up holds up little
PIECE = 1 << 16  # numbers that go through a temporary array at a time
KEPT = 4096  # laws and formats whose kernels are remembered
SPARSE = 8  # where fewer numbers of a tile of 256 are wanted, NumPy is faster: it makes single blocks

LAWS = {
    Source.UNIFORM: "uniform",
    Source.NORMAL: "normal",
    Source.SIGN: "signs",
    Source.BELOW: "below",
    Source.INTEGER: "integers",
}
FORMATS = {"float32": types.float32, "float64": types.float64, "bfloat16": types.uint16, "float16": types.uint16}
SINGLE = np.dtype(np.float32)
ENTRIES = table("normal32")


def fill(made: Recipe, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: Array) -> bool:
    """Write the elements that the ranges name into `out`; False, with nothing done, where NumPy must do it."""
    if made.bits == 64 or made.source is Source.CONSTANT:
        return False
    name = _format(out.dtype)
    if name and out.flags.carray and ranges == tuple(map(range, shape)):
        _fill_run(made, name, stream, out.reshape(-1), 0)
        return True
    if _sparse(*collapse(ranges, shape)):
        return False
    if name and out.flags.carray:
        _fill_flat(made, name, shape, stream, ranges, out.reshape(-1))
        return True

    def fill_piece(where: tuple[slice, ...], part: Ranges) -> None:
        numbers = np.empty([len(r) for r in part], dtype=out.dtype if name else SINGLE)
        _fill_flat(made, name or "float32", shape, stream, part, numbers.reshape(-1))
        out[where] = numbers

    each(fill_piece, list(pieces(ranges, PIECE)), out.size // SHARE)
    return True


def fill_whole(law: Distribution, shape: Any, seed: Any, name: Any, bits: int, out: Any) -> bool:
    """All of a small weight into an array of its own shape; False, with nothing done, for anything else.

    A thousand numbers take half a microsecond, and asking NumPy and Python what was given takes ten: so little is asked here,
    and whatever is out of the ordinary goes the other way, where it is looked at closely.
    """
    if type(out) is not np.ndarray or type(seed) is not int or type(name) is not str or type(shape) is not tuple:
        return False
    dtype = out.dtype
    ready = _READY.get(id(law) + id(dtype))  # a record's hash takes longer than a hundred numbers
    if ready is None or ready[0] is not law or ready[1] is not dtype:
        ready = _remembered(law, dtype)
    _, _, kernel = ready
    if kernel is None or bits != 32 or out.shape != shape or not 0 < out.size <= SHARE:
        return False
    if not out.flags.carray or not 0 <= seed < 2**64:
        return False
    flat = out if len(shape) == 1 else out.reshape(-1)
    kernel(seed, name_hash(name), flat)  # which looks at the size of a number only, not at its dtype
    return True


Ready = tuple[Distribution, np.dtype[Any], Kernel | None]
_READY: dict[int, Ready] = {}  # by identity; what is in it lives on, so that no other record gets its identity


def _remembered(law: Distribution, dtype: np.dtype[Any]) -> Ready:
    if len(_READY) >= KEPT:
        _READY.clear()
    made = _READY[id(law) + id(dtype)] = (law, dtype, _ready(law, dtype))
    return made


@functools.lru_cache(maxsize=KEPT)
def _ready(law: Distribution, dtype: np.dtype[Any]) -> Kernel | None:
    """What fills a small array with a law in a format, given the seed, the name's hash and the array."""
    name = _format(dtype)
    made = recipe(law, double=name == "float64") if name else None
    if name is None or made is None or made.bits == 64 or made.source is Source.CONSTANT:
        return None
    law_name, *rest, scale, numbers = _law(made, name)
    settings = np.array([0, *numbers, LANES, ENTRIES.ctypes.data], dtype=np.int64).view(np.uint64)
    settings.view(np.float64)[0] = scale
    return functools.partial(_short_kernel(law_name, name), law_name, *rest, settings)


def _fill_flat(made: Recipe, name: str, shape: tuple[int, ...], stream: Stream, ranges: Ranges, flat: Array) -> None:
    """A window into a flat array."""
    ranges, shape = collapse(ranges, shape)
    *outer, last = ranges
    if flat.size == 0:
        return
    if last.step == 1 and all(len(r) == 1 for r in outer):
        _fill_run(made, name, stream, flat, int(starts((*outer, last[:1]), shape)[0]))
        return
    kernel, flat, arguments = _called(made, name, stream, flat)
    stride = last.step % 2**64  # addresses wrap around, so a negative one works as well

    def fill_rows(place: slice, part: Ranges) -> None:
        firsts = starts((*part[:-1], part[-1][:1]), shape)
        kernel(*arguments, flat[place], firsts, len(part[-1]), stride)

    each(fill_rows, list(tiles(ranges, _share(flat.size))), flat.size // SHARE)


def _fill_run(made: Recipe, name: str, stream: Stream, flat: Array, start: int) -> None:
    """Numbers start, start + 1, … into a flat array."""
    kernel, flat, arguments = _called(made, name, stream, flat)

    def fill_part(begin: int, end: int) -> None:
        first = np.array([start + begin], dtype=np.uint64)
        kernel(*arguments, flat[begin:end], first, end - begin, 1)

    size = flat.size
    share, skipped = _share(size), start % TILE_WORDS
    cuts = [0, *range(share - skipped, size, share), size]  # whole tiles, so that no two threads make the same one
    each(fill_part, list(itertools.pairwise(cuts)), size // SHARE)


def _share(size: int) -> int:
    """How many numbers a job has, a multiple of a tile's."""
    wanted = max(SHARE, size // (SHARES * threads()))
    return wanted - wanted % TILE_WORDS


def _sparse(ranges: Ranges, shape: tuple[int, ...]) -> bool:
    """Whether few numbers of a tile are wanted."""
    last = ranges[-1]
    step = abs(last.step)
    if step * len(last) >= TILE_WORDS:
        return TILE_WORDS // step < SPARSE
    apart = next((r.step * math.prod(shape[a + 1 :]) for a, r in reversed([*enumerate(ranges[:-1])]) if len(r) > 1), 0)
    return len(last) * max(1, TILE_WORDS // max(1, abs(apart))) < SPARSE


def _called(made: Recipe, name: str, stream: Stream, flat: Array) -> tuple[Kernel, Array, tuple[Any, ...]]:
    """The kernel, the array as it sees it, and what it is given before that."""
    law = _law(made, name)
    return _kernel(law[0], name), flat.view(_stored(name)), (*law, (stream.seed, *stream.counter), LANES, ENTRIES)


@functools.lru_cache(maxsize=4096)
def _law(made: Recipe, name: str) -> tuple[Any, ...]:
    """Law, format, version, scale and numbers (see `numba_kernels.fill`)."""
    law = LAWS[made.source]
    if law in ("uniform", "normal") and made.whole and not made.shift and not made.offset:
        law = f"plain {law}"
    numbers = (made.shift, made.offset, made.low, made.span - 1, made.least, made.most)
    return law, name, _version(), made.scale, numbers


@functools.lru_cache(maxsize=64)
def _format(dtype: np.dtype[Any]) -> str | None:
    """The name of a format that kernels write."""
    return dtype.name if dtype.isnative and dtype.name in FORMATS else None


@functools.lru_cache(maxsize=64)
def _stored(name: str) -> np.dtype[Any]:
    """The dtype that a kernel's array has."""
    return np.dtype(FORMATS[name].name)


@functools.lru_cache(maxsize=128)
def _kernel(law: str, name: str) -> Kernel:
    """Machine code for a law and a format: from the cache on disk, or compiled now (about a second)."""
    word, stored = types.uint64, FORMATS[name]
    tags = (types.literal(law), types.literal(name), types.literal(_version()))
    numbers = (types.float64, types.UniTuple(types.int64, 6), types.UniTuple(word, 4), word)
    arrays = (types.Array(word, 1, "C", readonly=True), types.Array(stored, 1, "C"), types.Array(word, 1, "C"))
    return numba_kernels.fill.compile((*tags, *numbers, *arrays, word, word))


@functools.lru_cache(maxsize=128)
def _short_kernel(law: str, name: str) -> Kernel:
    """The same for whole small weights."""
    word, stored = types.uint64, FORMATS[name]
    tags = (types.literal(law), types.literal(name), types.literal(_version()))
    arrays = (types.Array(word, 1, "C"), word, word, types.Array(stored, 1, "C"))
    return numba_kernels.fill_whole.compile((*tags, *arrays))


@functools.cache
def _version() -> str:
    """A hash of the sources: numba looks at one file only to tell whether its cache is out of date."""
    here = Path(__file__).parent
    sources = [here / "bits.py", *sorted(here.glob("numba_*.py"))]
    return hashlib.blake2b(b"".join(file.read_bytes() for file in sources), digest_size=8).hexdigest()
