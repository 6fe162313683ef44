"""Random orthogonal matrices as products of Householder reflectors: Haar distributed, no QR factorisation of a matrix.

Reflector k takes Gaussians x of length n - k to a multiple of the first unit vector. The product of the reflectors,
with the signs that make that multiple positive, has the Haar distribution, because it is what QR would make of a
Gaussian matrix: after k reflections the rest of the next column is again Gaussian and independent. So half of QR's work
is not done at all, and any rows or columns of the product can be made alone.

Reflectors are taken `width` at a time as I - V S⁻¹ Vᴴ (compact WY), where S is the upper triangle of VᴴV with half of
its diagonal. That S goes with the V that was computed, so the product is orthogonal to rounding whatever rounding did
to V. Written once for every framework: `ops` holds what differs (see `Ops`), all arrays have a leading batch axis.

Papers: Stewart 1980, "The efficient generation of random orthogonal matrices with an application to condition
estimators"; Mezzadri 2007, "How to generate random matrices from the classical compact groups"; Schreiber & Van Loan
1989, "A storage-efficient WY representation for products of Householder transformations"; Puglisi 1992, "Modification
of the Householder method based on the compact WY representation" (S in place of its inverse).
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from fanin.distributions import Distribution
from fanin.draws.bits import Stream
from fanin.draws.layout import Indices

PANEL = 64  # reflectors whose Gaussians lie together in the stream
STRIP = 1 << 20  # elements of a strip of the matrix that may be held besides what was asked for
AT_ONCE = 1 << 18  # Gaussians of one matrix that are drawn by one call
NARROW = 256  # a strip is not cut below this many rows or columns: each costs all of the reflectors again

Panel = Callable[[int, int], Any]  # (first reflector, how many) → their Gaussians, shape (batch, how many, n - first)


class Ops(Protocol):
    """What a framework does for the matrix families, in one dtype and on one device.

    `set`, `put` and the products may change the array in place; the caller goes on with what they return. `place` and
    `index` are tuples of slices, integers and arrays of integers, as in NumPy.
    """

    batch: int  # elements that many small matrices made at once may have

    def zeros(self, shape: tuple[int, ...]) -> Any: ...

    def gaussians(self, stream: Stream, start: int, stop: int) -> Any:
        """Gaussians start … stop - 1 of a stream."""
        ...

    def draw(self, law: Distribution, shape: tuple[int, ...], stream: Stream, ranges: tuple[range, ...]) -> Any:
        """A part of a weight of independent numbers."""
        ...

    def reflectors(self, x: Any) -> tuple[Any, Any, Any]:
        """V (as rows, each with a 1 in front), -S and the phases that a row's reflector takes it to; `x` may be overwritten."""
        ...

    def times(self, a: Any, b: Any) -> Any:
        """a @ b."""
        ...

    def solve(self, s: Any, y: Any, *, transposed: bool = False) -> Any:
        """s⁻¹ y or s⁻ᵀ y, of the upper triangle of s; `y` may be overwritten."""
        ...

    def concatenate(self, parts: list[Any], axis: int) -> Any: ...

    def set(self, c: Any, place: tuple[Any, ...], values: Any) -> Any:
        """c[place] = values."""
        ...

    def product(self, c: Any, place: tuple[Any, ...], a: Any, b: Any) -> Any:
        """c[place] = a @ b, `place` being slices."""
        ...

    def add_product(self, c: Any, place: tuple[Any, ...], a: Any, b: Any) -> Any:
        """c[place] += a @ b, `place` being slices."""
        ...

    def permute(self, x: Any, order: tuple[int, ...]) -> Any:
        """The axes in this order."""
        ...

    def flip(self, x: Any, axes: tuple[int, ...]) -> Any:
        """Turned around along these axes."""
        ...

    def put(self, out: Any, index: tuple[Any, ...], values: Any) -> Any:
        """out[index] = values, rounded to the dtype of `out` by way of float32."""
        ...

    def writes(self, out: Any) -> bool:
        """Whether results can be computed in `out`: arrays change in place, and its dtype is the one computed in."""
        ...

    def matrices(self, out: Any, axis: int, count: int, order: list[int], shape: tuple[int, int]) -> Any:
        """A view of an array as `count` matrices of this shape, or None: those that lie along an axis one behind the other,
        with the other axes in this order."""
        ...


def count(n: int, m: int) -> int:
    """How many Gaussians an (n, m) matrix is made of, n ≥ m: each panel of up to 64 reflectors k … is a row-major
    matrix of (reflectors, n - k), of which the lower triangle in front is not used."""
    full, rest = divmod(m, PANEL)
    return place(n, full * PANEL) + rest * (n - full * PANEL)


def place(n: int, k: int) -> int:
    """The first Gaussian of the panel that starts with reflector k."""
    panels = k // PANEL
    return PANEL * (panels * n - PANEL * (panels * (panels - 1) // 2))


def width(n: int) -> int:
    """Reflectors taken at once: wide products run nearer to the processor's peak, narrow ones waste less on S.

    Measured; for small matrices the number of calls counts.
    """
    return 4 * PANEL if n >= 3072 else 2 * PANEL if n >= 768 or 128 < n <= 256 else PANEL


def unpack(ops: Ops, numbers: Any, n: int, m: int, k: int, wide: int) -> Any:
    """Reflectors k … k + wide - 1, shape (batch, wide, n - k), from the Gaussians of their panels (batch, numbers)."""
    parts, at = [], 0
    for first in range(k, k + wide, PANEL):
        rows, length = min(PANEL, m - first), n - first
        panel = numbers[:, at : at + rows * length].reshape(-1, rows, length)
        at += rows * length
        parts.append(panel)
    if len(parts) == 1:
        return parts[0]
    x = ops.zeros((numbers.shape[0], sum(p.shape[1] for p in parts), n - k))
    for index, panel in enumerate(parts):
        rows = slice(index * PANEL, index * PANEL + panel.shape[1])
        x = ops.set(x, (slice(None), rows, slice(index * PANEL, n - k)), panel)
    return x


def orthonormal(
    ops: Ops,
    stream: Stream,
    blocks: range,
    shape: tuple[int, int],
    rows: Indices,
    columns: Indices,
    scale: float = 1.0,
    out: Any = None,
) -> Any:
    """Rows and columns of random (r, c) matrices: orthonormal columns where r ≥ c, orthonormal rows where r < c.

    Args:
        ops: of the framework and dtype.
        stream: of the weight.
        blocks: which matrices of the stream, consecutive; each has its own Gaussians.
        shape: (r, c) of each of them.
        rows: which rows, ascending.
        columns: which columns, ascending.
        scale: what the matrix is multiplied by.
        out: where the result is written, if given: shape (blocks, rows, columns).

    Returns:
        Shape (blocks, rows, columns).
    """
    r, c = shape
    if not (len(blocks) and len(rows) and len(columns)):
        return ops.zeros((len(blocks), len(rows), len(columns)))
    if r < c:
        mirror = None if out is None else out.swapaxes(-1, -2)
        return _tall(ops, stream, blocks, (c, r), columns, rows, scale, mirror).swapaxes(-1, -2)
    return _tall(ops, stream, blocks, (r, c), rows, columns, scale, out)


def _tall(
    ops: Ops,
    stream: Stream,
    blocks: range,
    shape: tuple[int, int],
    rows: Indices,
    columns: Indices,
    scale: float,
    out: Any,
) -> Any:
    n, m = shape
    spans = list(_spans(n, m, int(columns[-1])))
    by_rows = sum(wide * (n - k) for k, wide in spans) * len(rows)
    by_columns = sum(wide * (n - k) * int((columns >= k).sum()) for k, wide in spans)
    batch, every = len(blocks), slice(None)
    if by_columns <= by_rows and len(rows) == n:
        c = ops.zeros((batch, n, len(columns))) if out is None else out
        return _columns(ops, _panels(ops, stream, blocks, n, m), spans, n, columns, scale, c)
    made = ops.zeros((batch, len(rows), len(columns))) if out is None else out
    lines = columns if by_columns <= by_rows else rows
    for cut in _cuts(len(lines), batch * n, batch * len(rows) * len(columns)):
        panel = _panels(ops, stream, blocks, n, m)  # a panel is overwritten when it is used
        if by_columns <= by_rows:
            kept = list(_spans(n, m, int(columns[cut][-1])))
            strip = _columns(ops, panel, kept, n, columns[cut], scale, ops.zeros((batch, n, len(columns[cut]))))
            made = ops.set(made, (every, every, cut), strip[:, as_index(rows)])
        else:
            strip = _rows(ops, panel, spans, rows[cut], scale, ops.zeros((batch, len(rows[cut]), n)))
            made = ops.set(made, (every, cut), strip[:, :, as_index(columns)])
    return made


def _panels(ops: Ops, stream: Stream, blocks: range, n: int, m: int) -> Panel:
    """Gaussians of any reflectors of these blocks: drawn when they are asked for, together for many small matrices."""
    each = count(n, m)
    first_word, last_word = blocks.start * each, blocks.stop * each
    at_once = len(blocks) > 1 or each <= AT_ONCE
    together = ops.gaussians(stream, first_word, last_word).reshape(-1, each) if at_once else None

    def panel(k: int, wide: int) -> Any:
        first = place(n, k)
        last = first + sum(min(PANEL, m - f) * (n - f) for f in range(k, k + wide, PANEL))
        if together is not None:
            return unpack(ops, together[:, first:last], n, m, k, wide)
        numbers = ops.gaussians(stream, first_word + first, first_word + last)
        return unpack(ops, numbers.reshape(1, -1), n, m, k, wide)

    return panel


def _spans(n: int, m: int, last: int) -> Iterator[tuple[int, int]]:
    """(first reflector, how many) of the products that columns up to `last` need."""
    step = width(n)
    for k in range(0, last + 1, step):
        yield k, min(step, m - k)


def _cuts(many: int, length: int, asked: int) -> list[slice]:
    """So many rows or columns in groups whose strips (lines, length) are about as large as what was asked for."""
    step = max(NARROW, max(asked, STRIP) // length)
    return [slice(k, k + step) for k in range(0, many, step)]


def as_index(lines: Indices) -> slice | Indices:
    """Ascending indices as a slice where they are evenly spaced: a view instead of a copy."""
    if not len(lines):
        return slice(0, 0)
    if lines[-1] - lines[0] == len(lines) - 1:
        return slice(int(lines[0]), int(lines[-1]) + 1)
    step = int(lines[1] - lines[0])
    return slice(int(lines[0]), int(lines[-1]) + 1, step) if (np.diff(lines) == step).all() else lines


def _columns(
    ops: Ops, panel: Panel, spans: list[tuple[int, int]], n: int, columns: Indices, scale: float, c: Any
) -> Any:
    """These columns of the product, all n rows, in `c`: reflectors applied to unit vectors, the last ones first.

    Column j is zero above row k until reflectors k … are applied, and reflectors behind j leave it alone.
    """
    every = slice(None)
    for k, wide in reversed(spans):
        new, old = (int(at) for at in np.searchsorted(columns, (k, k + wide)))
        v, s, phase = ops.reflectors(panel(k, wide))
        front, rest = v[:, :, :wide].swapaxes(1, 2), v[:, :, wide:].swapaxes(1, 2)
        top, below = slice(k, k + wide), slice(k + wide, n)
        if old < len(columns):
            behind = slice(old, None)
            z = ops.solve(s, ops.times(v.conj()[:, :, wide:], c[:, k + wide :, old:]))
            c = ops.product(c, (every, top, behind), front, z)
            c = ops.add_product(c, (every, below, behind), rest, z)
        if new < old:
            here = as_index(columns[new:old] - k)
            head = phase[:, None, here] * scale
            z = ops.solve(s, v.conj()[:, :, here] * head)
            c = ops.product(c, (every, top, slice(new, old)), front, z)
            diagonal = (every, columns[new:old], np.arange(new, old))
            c = ops.set(c, diagonal, c[diagonal] + head[:, 0])
            if k + wide < n:
                c = ops.product(c, (every, below, slice(new, old)), rest, z)
    return c


def _rows(ops: Ops, panel: Panel, spans: list[tuple[int, int]], rows: Indices, scale: float, w: Any) -> Any:
    """These rows of the product, in `w` of zeros: reflectors applied to unit vectors from the left, the first ones first.

    An element on the diagonal is about 1 until its own reflector comes, the others are small. It is kept apart till then:
    among them, it would round every later summand of a product to its own last digit (1e-6 instead of 2e-7).
    """
    every = slice(None)
    diagonal: Any = scale
    for k, wide in spans:
        v, s, phase = ops.reflectors(panel(k, wide))
        first, after = (int(at) for at in np.searchsorted(rows, (k, k + wide)))
        y = ops.times(w[:, :, k:], v.swapaxes(1, 2))
        unit = v[:, :, as_index(rows[first:] - k)].swapaxes(1, 2) * diagonal
        y = ops.set(y, (every, slice(first, None)), y[:, first:] + unit)
        z = ops.solve(s, y.swapaxes(1, 2), transposed=True).swapaxes(1, 2)
        w = ops.add_product(w, (every, every, slice(k, None)), z, v.conj())
        places = (every, np.arange(first, len(rows)), rows[first:])
        diagonal = w[places][:, :, None] + diagonal
        w = ops.set(w, places, 0.0)
        w = ops.set(w, (every, places[1][: after - first], rows[first:after]), diagonal[:, : after - first, 0])
        diagonal = diagonal[:, after - first :]
        done = (every, every, slice(k, k + wide))
        w = ops.set(w, done, w[done] * phase[:, None])
    return w
