"""BLAS by its pointers computes what NumPy computes, into whatever part of an array."""

from typing import Any

import numpy as np
import pytest
from scipy.linalg import solve_triangular

from fanin.draws import blas

DTYPES = ["float32", "float64", "complex64", "complex128"]
GENERATOR = np.random.default_rng(0)


def numbers(*shape: int, dtype: str = "float64") -> np.ndarray:
    x = GENERATOR.standard_normal(shape)
    return (x + 1j * GENERATOR.standard_normal(shape) if "complex" in dtype else x).astype(dtype)


@pytest.fixture(params=[True, False], ids=["pointers", "numpy"])
def _routines(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the pointers whatever the size, and as it is where SciPy does not have them."""
    monkeypatch.setattr(blas, "SMALL", -1)
    if not request.param:
        monkeypatch.setattr(blas, "_routine", lambda *_: None)


@pytest.mark.usefixtures("_routines")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("into", [False, True])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("sizes", [(5, 7, 3), (1, 7, 3), (5, 1, 1), (1, 1, 4)])
def test_a_product_is_added_to_a_part(
    dtype: str, into: bool, left: bool, right: bool, sizes: tuple[int, int, int]
) -> None:
    m, n, k = sizes
    whole = numbers(n + 4, m + 5, dtype=dtype).T if into else numbers(m + 5, n + 4, dtype=dtype)
    a = numbers(k, m, dtype=dtype).T if left else numbers(m, k, dtype=dtype)
    b = numbers(n, k, dtype=dtype).T if right else numbers(k, n, dtype=dtype)
    expected = whole.copy()
    expected[2 : 2 + m, 3 : 3 + n] += a @ b
    part = whole[2 : 2 + m, 3 : 3 + n]
    blas.add_product(part, a, b)
    assert np.allclose(whole, expected, rtol=1e-5, atol=1e-5)
    part[...] = np.nan
    blas.product(part, a, b)
    expected[2 : 2 + m, 3 : 3 + n] = a @ b
    assert np.allclose(whole, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("_routines")
def test_strides_that_blas_cannot_read_are_no_obstacle() -> None:
    whole, a, b = numbers(10, 12), numbers(5, 6)[:, ::2], numbers(3, 6)
    expected = whole.copy()
    expected[::2, ::2] += a @ b
    blas.add_product(whole[::2, ::2], a, b)
    assert np.allclose(whole, expected)


@pytest.mark.usefixtures("_routines")
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_all_pairs_of_rows(dtype: str) -> None:
    x = numbers(5, 9, dtype=dtype)
    assert np.allclose(np.triu(blas.upper_gram(x)), np.triu(x.conj() @ x.T), rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("_routines")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("columns", [1, 9])
def test_triangles_are_solved_in_place(dtype: str, transposed: bool, columns: int) -> None:
    """Only the upper triangle is read."""
    s, y = numbers(6, 6, dtype=dtype) + 4 * np.eye(6, dtype=dtype), numbers(6, columns, dtype=dtype)
    expected = solve_triangular(s.astype("complex128"), y, trans=int(transposed))
    blas.solve_upper(s, y, transposed=transposed)
    assert np.allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_scipy_publishes_the_pointers() -> None:
    """Fails where a new SciPy does it in another way: draws would still be right, but slower."""
    assert all(blas._routine(letter + "gemm", 13) and blas._routine(letter + "trsm", 11) for letter in "sdcz")
    assert blas._routine("ssyrk", 10)
    assert blas._routine("dsyrk", 10)
