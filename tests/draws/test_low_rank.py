"""Adapters that start from their weight: what is promised of each, in every precision and whatever the scaling."""

import math

import ml_dtypes
import numpy as np
import pytest

from fanin.draws import low_rank, mica, olora, pissa
from fanin.errors import FaninError, FaninTypeError, FaninValueError

MAKE = {"pissa": pissa, "olora": olora, "mica": mica}
SHAPES = [(40, 60), (60, 40), (30, 30)]


def weight(shape=(40, 60), dtype="float64", seed=0):
    """Singular values that fall off, as a trained weight's do."""
    rng = np.random.default_rng(seed)
    u, _, v = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    return ((u * 0.8 ** np.arange(min(shape))) @ v).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scaling", [1.0, 2.0, 0.25])
@pytest.mark.parametrize("make", [pissa, olora])
def test_the_layer_computes_what_it_did(make, scaling, shape):
    w = weight(shape)
    a, b, base = make(w, 5, scaling=scaling)
    assert a.shape == (5, shape[1])
    assert b.shape == (shape[0], 5)
    assert np.abs(base + scaling * b @ a - w).max() < 1e-15
    assert np.array_equal(w, weight(shape))  # what was given stays as it was


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scaling", [1.0, 2.0])
def test_pissa_takes_the_best_approximation_out(shape, scaling):
    """Eckart and Young: no matrix of this rank leaves less; and A and B share the singular values evenly."""
    w, s = weight(shape), np.linalg.svd(weight(shape))[1]
    a, b, base = pissa(w, 4, scaling=scaling)
    assert np.linalg.norm(base, 2) == pytest.approx(s[4])
    assert np.linalg.norm(base) == pytest.approx(np.linalg.norm(s[4:]))
    assert np.linalg.matrix_rank(b @ a) == 4
    for gram in (a @ a.T, b.T @ b):
        assert np.allclose(gram, np.diag(s[:4] / scaling))
    assert np.allclose(a @ base.T, 0)  # the rest is orthogonal to both factors
    assert np.allclose(b.T @ base, 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_olora_is_the_qr_decomposition_of_the_whole_weight(shape):
    w = weight(shape)
    a, b, base = olora(w, 6)
    q, r = np.linalg.qr(w)
    signs = np.sign(np.diag(r))[:6]
    assert np.allclose(b, q[:, :6] * signs)
    assert np.allclose(a, r[:6] * signs[:, None])
    assert np.allclose(b.T @ b, np.eye(6))
    assert np.allclose(np.tril(a[:, :6], -1), 0)
    assert (np.diag(a) > 0).all()
    assert np.allclose(base[:, :6], 0)  # the first columns go into the adapter whole


def test_olora_depends_on_the_order_of_the_inputs_and_leaves_more_than_pissa():
    w = weight()
    left = [np.linalg.norm(make(w, 6).base) for make in (pissa, olora)]
    assert left[0] < 0.9 * left[1]
    order = np.random.default_rng(1).permutation(60)
    assert np.linalg.norm(olora(w[:, order], 6).base) != pytest.approx(left[1], rel=1e-3)
    assert np.linalg.norm(pissa(w[:, order], 6).base) == pytest.approx(left[0])


@pytest.mark.parametrize("shape", SHAPES)
def test_mica_takes_the_directions_that_the_weight_uses_least(shape):
    w, s = weight(shape), np.linalg.svd(weight(shape))[1]
    a, b, base = mica(w, 5)
    assert not a.any()
    assert a.shape == (5, shape[1])
    assert base is w
    assert np.allclose(b.T @ b, np.eye(5))
    assert np.allclose(np.linalg.norm(b.T @ w, axis=1), s[-5:])
    assert np.linalg.norm(b.T @ w, 2) == pytest.approx(s[-5])


@pytest.mark.parametrize("niter", [0, 2, 4])
def test_a_random_subspace_comes_close_and_closer_with_iterations(niter):
    w = weight((200, 300), "float32")
    best = np.linalg.norm(pissa(w, 8).base)
    made = pissa(w, 8, niter=niter, seed=3, name="q")
    assert np.linalg.norm(made.base) / best < (1.1 if niter == 0 else 1.0001)
    assert np.abs(made.base + made.b @ made.a - w).max() < 1e-6
    again, other = (pissa(w, 8, niter=niter, seed=seed, name="q") for seed in (3, 4))
    assert np.array_equal(again.a, made.a)
    assert not np.array_equal(other.a, made.a)


def test_with_iterations_enough_it_is_the_exact_decomposition():
    w = weight((60, 80))
    exact, fast = pissa(w, 4), pissa(w, 4, niter=20, seed=0)
    for one, two in zip(exact, fast, strict=True):
        assert np.abs(one - two).max() < 1e-10


def test_a_flat_spectrum_is_where_spare_columns_count():
    """Of a Gaussian matrix nothing stands out: with the rank's own columns alone (as torch's `svd_lowrank` has them) more is lost."""
    w = np.random.default_rng(0).standard_normal((300, 300)).astype("float32")
    best = np.linalg.norm(pissa(w, 16).base)
    narrow = low_rank.MORE
    try:
        ours = np.linalg.norm(pissa(w, 16, niter=4).base)
        low_rank.MORE = 0
        alone = np.linalg.norm(pissa(w, 16, niter=4).base)
    finally:
        low_rank.MORE = narrow
    assert best < ours < alone


@pytest.mark.parametrize(("dtype", "digit"), [("float32", 2**-24), ("float16", 2**-11), (ml_dtypes.bfloat16, 2**-8)])
@pytest.mark.parametrize("make", [pissa, olora])
def test_low_precision_is_rounded_once(make, dtype, digit):
    """The rest is what is left beside the rounded factors: the sum is off by the rounding of the rest alone."""
    w = weight((40, 60), dtype)
    a, b, base = make(w, 5, scaling=2.0)
    assert {x.dtype for x in (a, b, base)} == {w.dtype}
    total = base.astype("float64") + 2.0 * b.astype("float64") @ a.astype("float64")
    room = digit * np.abs(base.astype("float64")).max() + 5e-7 * np.abs(w.astype("float64")).max()
    assert np.abs(total - w.astype("float64")).max() <= room


def test_signs_do_not_depend_on_who_decomposes():
    for made in (pissa(weight(), 5), mica(weight(), 5)):
        assert (made.b[np.abs(made.b).argmax(axis=0), np.arange(5)] > 0).all()
    for one, two in zip(pissa(weight(), 5), pissa(-weight(), 5), strict=True):
        assert np.allclose(np.abs(one), np.abs(two))


def test_a_weight_of_small_rank():
    w = np.outer(np.arange(1.0, 9), np.arange(1.0, 7))
    assert np.abs(pissa(w, 1).base).max() < 1e-12
    with pytest.raises(FaninValueError, match="rank=2 is more than the weight's own rank of 1"):
        pissa(w, 2)
    with pytest.raises(FaninValueError, match="own rank of 0"):
        pissa(np.zeros((4, 4)), 1)
    for made in (olora(w, 3), mica(w, 3)):
        assert np.allclose(made.b.T @ made.b, np.eye(3))
    assert np.allclose(olora(w, 3).base + olora(w, 3).b @ olora(w, 3).a, w)


@pytest.mark.parametrize("option", MAKE)
@pytest.mark.parametrize(
    ("given", "rank", "error", "words"),
    [
        (weight(), 41, FaninValueError, "rank=41 is too large for a weight of shape .40, 60.; it must be at most 40"),
        (weight(), 0, FaninValueError, "rank=0 cannot be used; it must be at least 1"),
        (weight(), 2.0, FaninTypeError, "rank=2.0 cannot be used; it must be a whole number"),
        (weight(), True, FaninTypeError, "rank=True cannot be used"),
        (np.zeros((3, 4, 5)), 2, FaninTypeError, "shape .3, 4, 5.; it must be a matrix"),
        (np.zeros(3), 2, FaninTypeError, "it must be a matrix"),
        (np.zeros((0, 5)), 1, FaninValueError, "at most 0"),
        (np.full((4, 4), np.nan), 2, FaninValueError, "must have finite numbers only"),
        (np.full((4, 4), np.inf), 2, FaninValueError, "must have finite numbers only"),
        (np.ones((4, 4), int), 2, FaninTypeError, "weight has dtype int64"),
    ],
)
def test_bad_weights(option, given, rank, error, words):
    with pytest.raises(error, match=f"^{option}: .*{words}"):
        MAKE[option](given, rank)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scaling": 0.0}, "scaling=0.0 cannot be used; it must be finite and above 0"),
        ({"scaling": -1.0}, "scaling=-1.0"),
        ({"scaling": math.inf}, "scaling=inf"),
        ({"scaling": "2"}, "scaling='2'"),
        ({"niter": -1}, "niter=-1 cannot be used; it must be at least 0"),
        ({"niter": 1.5}, "niter=1.5 cannot be used; it must be a whole number"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(FaninError, match=words):
        pissa(weight(), 3, **arguments)


def test_numbers_that_a_dtype_cannot_hold():
    with pytest.raises(FaninValueError, match="A has numbers that float16 cannot hold"):
        pissa(np.diag([6e4, 1e4, 1.0]).astype("float16"), 2, scaling=1e-7)
