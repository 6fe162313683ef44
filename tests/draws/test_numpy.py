"""`draw`: what it returns, what it leaves alone, and what it says about arguments that it cannot use."""

import math
import random
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.draws.laws import laws

from fanin import rules
from fanin.distributions import (
    Bernoulli,
    Constant,
    Distribution,
    Integers,
    Normal,
    NormalBetween,
    Orthogonal,
    Permutations,
    Signs,
    Sparse,
    Stack,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from fanin.draws import backends, draw, draw_distribution
from fanin.errors import FaninError, FaninTypeError
from fanin.slots import Axes

N = 400_000
# law, mean, standard deviation, fourth standardised moment
MOMENTS = [
    (Normal(2.0, 1.0), 1.0, 2.0, 3.0),
    (Uniform(2.0, -1.0), -1.0, 2.0 / 3**0.5, 1.8),
    (TruncatedNormal(0.02), 0.0, 0.02, 2.365),
    (TruncatedNormal(3.0, 1.0, 5.0), 5.0, 3.0, 1.9385),
    (TruncatedNormal(1e-3, 1e-5, 0.0), 0.0, 1e-3, 1.8),  # a cut this narrow is uniform, and takes 64 bits
    (NormalBetween(2.0, 0.0, math.inf), 2.0 * (2 / math.pi) ** 0.5, 2.0 * (1 - 2 / math.pi) ** 0.5, 3.8692),
    (Signs(0.5), 0.0, 0.5, 1.0),
    (Bernoulli(0.25, 2.0), 0.5, 0.75**0.5, 7 / 3),
    (Integers(-2, 3), 0.0, 2**0.5, 1.7),
]


@pytest.mark.parametrize(("law", "mean", "std", "fourth"), MOMENTS)
def test_moments(law: Distribution, mean: float, std: float, fourth: float) -> None:
    x = draw_distribution(law, (N,), seed=0, name="w", dtype="float64")
    noise = 5 / N**0.5
    assert abs(x.mean() - mean) < noise * std
    assert x.std() == pytest.approx(std, rel=noise)
    assert (((x - mean) / std) ** 4).mean() == pytest.approx(fourth, rel=0.03)


@given(laws())
def test_equal_arguments_give_equal_numbers(case: tuple[Distribution, tuple[int, ...]]) -> None:
    law, shape = case
    first = draw_distribution(law, shape, seed=9, name="w")
    draw_distribution(Normal(1.0), (3,), seed=9, name="something else between")
    assert draw_distribution(law, shape, seed=9, name="w").tobytes() == first.tobytes()


def test_another_process_gives_the_same_numbers() -> None:
    """No number depends on Python's hash, which differs from process to process."""
    code = (
        "from fanin import rules; from fanin.draws import draw; "
        "print(draw(rules.orthogonal(), (9, 7), seed=1, name='w').tobytes().hex())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == draw(rules.orthogonal(), (9, 7), seed=1, name="w").tobytes().hex()


def test_seeds_and_names_are_independent() -> None:
    drawn = [
        draw_distribution(Normal(1.0), (N,), seed=seed, name=name)
        for seed, name in ((0, "a"), (1, "a"), (0, "b"), (1, "b"))
    ]
    correlation = np.corrcoef(drawn) - np.eye(4)
    assert abs(correlation).max() < 5 / N**0.5


@given(laws())
def test_no_random_state_is_read_or_changed(case: tuple[Distribution, tuple[int, ...]]) -> None:
    law, shape = case
    states: list[Any] = []
    drawn = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (the global state is the point)
        before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        drawn.append(draw_distribution(law, shape, seed=0, name="w").tobytes())
        states.append(before == (random.getstate(), np.random.get_state()[1].tolist()))  # noqa: NPY002
    assert states == [True, True]
    assert drawn[0] == drawn[1]


@given(laws())
def test_lower_precision_is_the_float32_number_rounded(case: tuple[Distribution, tuple[int, ...]]) -> None:
    law, shape = case
    half, single, double = (
        draw_distribution(law, shape, seed=0, name="w", dtype=t) for t in ("float16", "float32", "float64")
    )
    assert (half.dtype, single.dtype, double.dtype) == (np.float16, np.float32, np.float64)
    # float32 rounds twice, the whole number and its product, and the scale was rounded before
    assert np.allclose(single, double, rtol=2.0**-22, atol=2.0**-20 * np.abs(double).max(initial=0.0))
    assert np.array_equal(half, single.astype(np.float16))


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_the_formats_of_ml_dtypes(name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="NumPy has no bfloat16 of its own")
    single = draw_distribution(Normal(1.0), (1000,), seed=0, name="w")
    low = draw_distribution(Normal(1.0), (1000,), seed=0, name="w", dtype=name)
    assert np.array_equal(low, single.astype(getattr(ml_dtypes, name)))


def test_64_bits_refine_the_same_numbers() -> None:
    for law in (Normal(1.0), Normal(1.0, 3.0), Uniform(2.0), TruncatedNormal(1.0)):
        coarse, fine = (
            draw_distribution(law, (10_000,), seed=0, name="w", dtype="float64", bits=bits) for bits in (32, 64)
        )
        assert abs(coarse - fine).max() < 1e-5  # the outermost cell of 32 bits is wide
        assert np.median(abs(coarse - fine)) < 1e-8
        assert (coarse != fine).any()


def test_float16_is_rounded_by_way_of_float32() -> None:
    """Twice, as a framework does that casts a float32 weight: one number in some thousands is another than directly."""
    half, single, double = (
        draw_distribution(Normal(1.0), (N,), seed=0, name="w", dtype=t) for t in ("float16", "float32", "float64")
    )
    assert np.array_equal(half, single.astype(np.float16))
    assert not np.array_equal(half, double.astype(np.float16))


def test_out_is_filled_in_place() -> None:
    law, shape = Normal(1.0), (300, 500)
    whole = draw_distribution(law, shape, seed=0, name="w")
    out = np.full(shape, np.nan, dtype=np.float32)
    assert draw_distribution(law, shape, seed=0, name="w", out=out) is out
    assert np.array_equal(out, whole)
    transposed = np.full((500, 300), np.nan, dtype=np.float32)
    draw_distribution(law, shape, seed=0, name="w", out=transposed.T)
    assert np.array_equal(transposed.T, whole)
    row = np.empty(500, dtype=np.float64)
    draw_distribution(law, shape, seed=0, name="w", window=(7,), out=row)
    assert np.array_equal(row.astype(np.float32), whole[7])


def test_temporary_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends.State, "engine", None)
    monkeypatch.setattr(backends.State, "drawn", 0)  # loading numba, which earlier tests may bring near, takes 30 MB
    out = np.empty(5_000_000, dtype=np.float32)
    draw_distribution(Normal(1.0), (10,), seed=0, name="warm")
    tracemalloc.start()
    draw_distribution(Normal(1.0), out.shape, seed=0, name="w", out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6  # 40 MB in float64


def test_stacked_parts_are_independent_and_in_place() -> None:
    law = Stack((Normal(1.0), Constant(1.0), Normal(1.0)), (4, 2, 4), axis=1)
    w = draw_distribution(law, (3, 10), seed=0, name="w")
    assert (w[:, 4:6] == 1).all()
    assert not np.intersect1d(w[:, :4], w[:, 6:]).size


def test_a_stacked_part_has_its_own_law() -> None:
    """Two gates of a recurrent weight: zeros first, then an orthogonal matrix, whole."""
    law = Stack((Constant(0.0), Orthogonal(Axes.parse("oi", (6, 6)))), (4, 6))
    w = draw_distribution(law, (10, 6), seed=0, name="w", dtype="float64")
    assert not w[:4].any()
    assert np.allclose(w[4:] @ w[4:].T, np.eye(6))


@pytest.mark.parametrize("low", [-0.7, 0.0, 1.5, 6.5, 7.0])
def test_a_gaussian_between_two_bounds(low: float) -> None:
    law = NormalBetween(1.0, low, low + 0.8)
    x = draw_distribution(law, (100_000,), seed=0, name="w", dtype="float64")
    assert low <= x.min() <= x.max() <= low + 0.8
    assert stats.kstest(x, stats.truncnorm(low, low + 0.8).cdf).pvalue > 1e-3


@given(st.integers(0, 2), st.integers(1, 6))
def test_every_line_has_its_zeros(axis: int, zeros: int) -> None:
    shape = (6, 7, 8)
    x = draw_distribution(Sparse(Normal(1.0), zeros, axis), shape, seed=zeros, name="w")
    assert ((x == 0).sum(axis=axis) == zeros).all()
    whole = draw_distribution(Normal(1.0), shape, seed=zeros, name="w")
    assert np.array_equal(x[x != 0], whole[x != 0])


def test_zeros_fall_anywhere() -> None:
    x = draw_distribution(Sparse(Normal(1.0), 3, 0), (12, 40_000), seed=0, name="w")
    assert abs((x == 0).mean(axis=1) - 0.25).max() < 5 * (0.25 * 0.75 / 40_000) ** 0.5


def test_every_order_is_equally_likely() -> None:
    orders = draw_distribution(Permutations(), (60_000, 4), seed=0, name="w").astype(int)
    assert np.array_equal(np.sort(orders, axis=1), np.broadcast_to(np.arange(4), orders.shape))
    counts = np.unique(orders @ [64, 16, 4, 1], return_counts=True)[1]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert len(counts) == 24


def test_zero_rows_leave_the_others_alone() -> None:
    w = draw_distribution(Normal(1.0), (5, 4), seed=0, name="w")
    z = draw_distribution(ZeroRows(Normal(1.0), (1, 3)), (5, 4), seed=0, name="w")
    assert not z[[1, 3]].any()
    assert np.array_equal(z[[0, 2, 4]], w[[0, 2, 4]])


def test_a_rule_and_its_distribution_are_the_same_draw() -> None:
    by_rule = draw(rules.he_normal(nonlinearity="relu"), (256, 128), seed=0, name="fc1.weight")
    by_law = draw(Normal((2 / 128) ** 0.5), (256, 128), seed=0, name="fc1.weight")
    assert np.allclose(by_rule, by_law, rtol=1e-6)
    transposed = draw(rules.he_normal(nonlinearity="relu"), (128, 256), seed=0, name="fc1.weight", axes="io")
    assert transposed.std() == pytest.approx(by_law.std(), rel=0.02)


def test_biases_need_no_axes() -> None:
    assert not draw(rules.zeros(), (64,), seed=0, name="bias").any()
    assert draw(rules.zeros(), (), seed=0, name="scalar").shape == ()


READ_ONLY = np.empty((4, 5), np.float32)
READ_ONLY.setflags(write=False)
ORTHOGONAL = Orthogonal(Axes.parse("oi", (4, 4)))
BAD: list[tuple[dict[str, Any], str]] = [
    ({"rule": "he_normal"}, "rule='he_normal' cannot be used; give a rule"),
    ({"shape": (4, -1)}, "every extent must be at least 0"),
    ({"shape": ("a",)}, "shape must be a tuple of integers"),
    ({"name": 3}, "name must be a string"),
    ({"seed": -1}, "seed must be an integer"),
    ({"dtype": "int32"}, "accepted are float64, float32, float16, bfloat16"),
    ({"bits": 16}, "bits=16 cannot be used; accepted are 32 and 64"),
    ({"rule": ORTHOGONAL}, r"Orthogonal: its axes have the shape \(4, 4\), but the weight 'w' has \(4, 5\)"),
    ({"rule": Stack((Normal(1.0),), (3,))}, "do not add up"),
    ({"rule": ZeroRows(Normal(1.0), (4,))}, r"rows=\(4,\) are not all rows"),
    ({"rule": Constant(1e6), "dtype": "float16"}, "too large for float16"),
    ({"out": np.empty((4, 4), np.float32)}, r"out has the shape \(4, 4\), but the window has \(4, 5\)"),
    ({"out": np.empty((4, 5), np.int64)}, "accepted are float64, float32, float16, bfloat16"),
    ({"out": READ_ONLY}, "out is read-only"),
    ({"shape": (2**40, 2**40)}, r"fewer than 2\*\*63 numbers"),
    ({"rule": NormalBetween(1.0, 30.0, 31.0)}, r"must hold a share of more than 2\*\*-44"),
    ({"rule": Sparse(Normal(1.0), 5)}, "zeros=5 is more than the 4 numbers of a line"),
    ({"rule": Permutations(2)}, "axis=2 is not an axis of a weight of shape"),
    ({"rule": rules.he_normal(), "axes": 3}, "axes=3 cannot be used; give a text"),
    ({"rule": rules.he_normal(), "axes": Axes.parse("oi", (5, 4))}, "axes='oi' are of the shape"),
    ({"rule": rules.he_normal(), "axes": "oik"}, "names 3 axes, but the shape"),
    ({"rule": rules.he_normal(), "shape": (4,)}, "he_normal needs to know what the axes of 'w'"),
    ({"rule": rules.he_normal(), "shape": (0, 4), "axes": "io"}, "has fan_in 0, because an axis has no elements"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_arguments_get_one_clear_sentence(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"rule": Normal(1.0), "shape": (4, 5), "seed": 0, "name": "w"} | changes
    with pytest.raises(FaninError, match=message):
        draw(**arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(-0.1), "Normal: std=-0.1"),
        (lambda: Uniform(float("nan")), "Uniform: bound=nan"),
        (lambda: TruncatedNormal(1.0, float("nan")), "TruncatedNormal: cut=nan"),
        (lambda: NormalBetween(1.0, float("nan"), 1.0), "NormalBetween: low=nan"),
        (lambda: NormalBetween(1.0, 2.0, 2.0), "NormalBetween"),
        (lambda: NormalBetween(1.0, 2.0, 1.0), "NormalBetween"),
    ],
)
def test_distributions_that_cannot_be_are_refused_before_any_draw(make: Any, message: str) -> None:
    with pytest.raises(FaninError, match=message):
        make()


@pytest.mark.parametrize("law", [Normal(0.0, 2.0), Uniform(0.0, 2.0), NormalBetween(0.0, 1.0, 3.0, 2.0)])
def test_without_spread_there_is_a_constant(law: Any) -> None:
    assert (draw(law, (300, 7), seed=0, name="w") == 2.0).all()


def test_rules_of_orthogonal_weights_draw_complex_ones() -> None:
    for dtype in ("complex64", np.complex64, np.dtype("complex64")):
        w = draw(rules.orthogonal(), (6, 8), seed=0, name="w", dtype=dtype)
        assert w.dtype == np.complex64
        assert abs(w @ w.conj().T - np.eye(6)).max() < 1e-6
    assert (draw(rules.orthogonal(), (6, 8), seed=0, name="w", out=np.empty((6, 8), np.complex64)) == w).all()
    with pytest.raises(FaninTypeError, match="complex are orthogonal weights only, accepted are float64"):
        draw(rules.he_normal(), (6, 8), seed=0, name="w", dtype="complex64")
