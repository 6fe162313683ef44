"""Matrix products into a part of an array, in place: the BLAS that SciPy is linked to, called by its pointers.

NumPy's `c += a @ b` makes the product as an array of its own and then reads it again. BLAS adds while it computes,
to any rectangle of a larger array. SciPy publishes the pointers for Cython (`scipy.linalg.cython_blas`); where they do
not look as expected, NumPy does the work. The functions release the interpreter's lock.

All large products go this way, those too that NumPy could do as well: NumPy has a BLAS of its own, and the threads of two
of them, taking turns, wait for each other's to stop spinning (measured: up to thirty times slower on two busy cores).
"""

import ctypes
import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

LETTERS = {"f": "s", "d": "d", "F": "c", "D": "z"}  # of each dtype's character
INT = b"int *"  # what a pointer to a size is called in the signatures that SciPy publishes
STEP = ctypes.sizeof(ctypes.c_int)
FLAGS = {letter: ctypes.c_char(letter.encode()) for letter in "NTLR"}
AT = {letter: ctypes.addressof(flag) for letter, flag in FLAGS.items()}
SMALL = 1 << 18  # multiplications: BLAS does not use threads for so few, and NumPy calls it faster

Array = NDArray[Any]


@functools.cache
def _routine(name: str, arguments: int) -> Callable[..., None] | None:
    """A BLAS routine that takes this many pointers, or None."""
    capsule = getattr(importlib.import_module("scipy.linalg.cython_blas"), "__pyx_capi__", {}).get(name)
    if capsule is None:
        return None
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    signature = api.PyCapsule_GetName(capsule)
    if not signature.startswith(b"void (char *") or INT not in signature or signature.count(b",") != arguments - 1:
        return None
    pointer = api.PyCapsule_GetPointer(capsule, signature)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(pointer)


def _orientation(a: Array) -> tuple[bool, int] | None:
    """Whether a matrix is stored by columns, and how far its lines lie apart; None where BLAS cannot read it."""
    rows, columns = a.strides[0] // a.itemsize, a.strides[1] // a.itemsize
    if (columns == 1 or a.shape[1] == 1) and rows >= max(1, a.shape[1]):
        return False, rows
    if (rows == 1 or a.shape[0] == 1) and columns >= max(1, a.shape[0]):
        return True, columns
    return None


def product(c: Array, a: Array, b: Array) -> None:
    """c = a @ b for matrices of one dtype; c may be a part of a larger array, by rows or by columns."""
    if not _multiply(c, a, b, add=False):
        c[...] = a @ b


def add_product(c: Array, a: Array, b: Array) -> None:
    """c += a @ b, likewise."""
    if not _multiply(c, a, b, add=True):
        c += a @ b


def _multiply(c: Array, a: Array, b: Array, *, add: bool) -> bool:
    if is_small(a, b) or c.dtype.char not in LETTERS:
        return False
    into = _orientation(c)
    if into is not None and into[0]:
        c, a, b = c.T, b.T, a.T
        into = False, into[1]
    left, right, routine = _orientation(a), _orientation(b), _routine(LETTERS[c.dtype.char] + "gemm", 13)
    if into is None or left is None or right is None or routine is None:
        return False
    # BLAS counts by columns: a matrix by rows is to it the transpose, and so it is asked for cᵀ = bᵀ aᵀ.
    sizes = (ctypes.c_int * 6)(c.shape[1], c.shape[0], a.shape[1], right[1], left[1], into[1])
    n, m, k, ldb, lda, ldc = range(ctypes.addressof(sizes), ctypes.addressof(sizes) + ctypes.sizeof(sizes), STEP)
    zero, one = _constants(c.dtype.char)
    turned = (AT["T" if right[0] else "N"], AT["T" if left[0] else "N"])
    before = one if add else zero
    routine(*turned, n, m, k, one, b.ctypes.data, ldb, a.ctypes.data, lda, before, c.ctypes.data, ldc)
    return True


def is_small(a: Array, b: Array) -> bool:
    """Whether a product (or one of each pair, where there are several) is left to NumPy."""
    return a.shape[-2] * a.shape[-1] * b.shape[-1] <= SMALL


def upper_gram(x: Array) -> Array:
    """The upper triangle of conj(x) xᵀ, x by rows and contiguous; what lies below it is not defined."""
    s = np.empty((len(x), len(x)), dtype=x.dtype)
    routine = _routine(LETTERS[x.dtype.char] + "syrk", 10) if x.dtype.kind == "f" else None
    if routine is None or not x.flags.c_contiguous or is_small(x, s):
        product(s, x.conj(), x.T)
        return s
    sizes = (ctypes.c_int * 3)(len(x), x.shape[1], x.shape[1])
    n, k, lda = range(ctypes.addressof(sizes), ctypes.addressof(sizes) + ctypes.sizeof(sizes), STEP)
    zero, one = _constants(x.dtype.char)
    routine(AT["L"], AT["T"], n, k, one, x.ctypes.data, lda, zero, s.ctypes.data, n)
    return s


def solve_upper(s: Array, y: Array, *, transposed: bool = False) -> None:
    """y = s⁻¹ y, or s⁻ᵀ y, in place; s upper triangular and y by rows, both contiguous and of one dtype."""
    routine = _routine(LETTERS[y.dtype.char] + "trsm", 11) if y.flags.c_contiguous and s.flags.c_contiguous else None
    if routine is None:
        from scipy.linalg import solve_triangular

        y[...] = solve_triangular(s, y, trans=int(transposed), check_finite=False)
        return
    # To BLAS: yᵀ = yᵀ s⁻ᵀ, and what it reads as s is sᵀ, a lower triangle.
    sizes = (ctypes.c_int * 4)(y.shape[1], y.shape[0], max(1, s.shape[0]), max(1, y.shape[1]))
    n, m, lds, ldy = range(ctypes.addressof(sizes), ctypes.addressof(sizes) + ctypes.sizeof(sizes), STEP)
    flags = (AT["R"], AT["L"], AT["T" if transposed else "N"], AT["N"])
    routine(*flags, n, m, _constants(y.dtype.char)[1], s.ctypes.data, lds, y.ctypes.data, ldy)


@functools.cache
def _pair(char: str) -> Array:
    return np.arange(2).astype(char)


@functools.cache
def _constants(char: str) -> tuple[int, int]:
    """Where a 0 and a 1 of this dtype lie."""
    pair = _pair(char)
    return pair.ctypes.data, pair.ctypes.data + pair.itemsize
