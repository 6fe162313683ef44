"""Any window of a matrix family is that window of the whole (to 1e-6), and costs about what the window does."""

import tracemalloc

import numpy as np
import pytest
from tests.draws.matrix_laws import LAWS, name, windows

from fanin.distributions import Centred, Distribution, Mirrored, Normal, Orthogonal
from fanin.draws import draw_distribution
from fanin.draws.layout import runs, to_blocks
from fanin.errors import FaninTypeError
from fanin.slots import Axes, Pairing


@pytest.mark.parametrize("case", LAWS, ids=name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_windows(case: tuple[Distribution, tuple[int, ...]], dtype: str) -> None:
    law, shape = case
    whole = draw_distribution(law, shape, seed=1, name="w", dtype=dtype)
    for window in windows(shape, 15):
        part = draw_distribution(law, shape, seed=1, name="w", dtype=dtype, window=window)
        assert part.shape == whole[window].shape
        assert abs(part - whole[window]).max(initial=0) < (1e-13 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("case", LAWS, ids=name)
def test_float32_is_close_to_float64_and_the_rest_is_float32_rounded(
    case: tuple[Distribution, tuple[int, ...]],
) -> None:
    law, shape = case
    half, single, double = (draw_distribution(law, shape, seed=1, name="w", dtype=f"float{b}") for b in (16, 32, 64))
    assert abs(single - double).max() < 1e-6
    assert np.array_equal(half, single.astype(np.float16))


@pytest.mark.parametrize("case", LAWS, ids=name)
def test_any_target_is_filled(case: tuple[Distribution, tuple[int, ...]]) -> None:
    """Transposed, and a part of a larger array."""
    law, shape = case
    whole = draw_distribution(law, shape, seed=1, name="w")
    for out in (
        np.full(shape[::-1], np.nan, dtype=np.float32).transpose(),
        np.full([n + 3 for n in shape], np.nan, dtype=np.float32)[tuple(slice(1, 1 + n) for n in shape)],
        np.full([2 * n for n in shape], np.nan, dtype=np.float32)[(slice(None, None, 2),) * len(shape)],
    ):
        draw_distribution(law, shape, seed=1, name="w", out=out)
        assert abs(out - whole).max() < 1e-6


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_weights_are_unitary(dtype: str) -> None:
    half = Axes.parse("oi", (30, 40))
    for law in (Orthogonal(half, 2.0), Mirrored(Orthogonal(half, 2.0), Axes.parse("oi", (61, 40)), Pairing(61))):
        shape = law.axes.shape
        w = draw_distribution(law, shape, seed=0, name="w", dtype=dtype)
        assert w.dtype == dtype
        assert abs(w[:30] @ w[:30].conj().T - 4 * np.eye(30)).max() < 1e-5
        assert abs(np.imag(w)).max() > 0.1
        part = draw_distribution(law, shape, seed=0, name="w", dtype=dtype, window=(slice(3, 29, 2), slice(5, 40)))
        assert abs(part - w[3:29:2, 5:]).max() < 1e-6
    with pytest.raises(FaninTypeError, match="complex64"):
        draw_distribution(Normal(1.0), (3,), seed=0, name="w", dtype="complex64")


@pytest.mark.parametrize("spec", ["oi", "io", "(s2o)i", "(os2)ik", "k(si)o", "(o2i)k"])
def test_runs_are_the_blocks_of_the_window(spec: str) -> None:
    """Every element of a window is named once, with its place in the blocks."""
    shapes = {"oi": (5, 4), "io": (5, 4), "(s2o)i": (6, 4), "(os2)ik": (6, 4, 3), "k(si)o": (3, 6, 4), "(o2i)k": (6, 3)}
    axes = Axes.parse(spec.replace("(si)", "(s3i)"), shapes[spec])
    weight = np.arange(np.prod(axes.shape)).reshape(axes.shape)
    blocks = to_blocks(weight, axes)
    for window in windows(axes.shape, 20):
        ranges = tuple(range(*part.indices(n)) for part, n in zip(window, axes.shape, strict=True))
        upward = tuple(r[::-1] if r.step < 0 else r for r in ranges)
        for most in (1, 100):
            found = np.full([len(r) for r in upward], -1)
            for run in runs(axes, upward, most):
                rows, columns, taps = run.gather()
                part = run.window
                for block, lines in zip(run.blocks, run.lines, strict=True):
                    there = np.ix_(*(line.where for line in lines))
                    assert (found[there] == -1).all()
                    found[there] = blocks[block, part.rows[rows], part.columns[columns], part.taps[taps]]
            assert np.array_equal(found, weight[tuple(slice(r.start, r.stop, r.step) for r in upward)])


SQUARE = Axes.parse("oi", (3000, 3000))  # 36 MB in float32
HALF = Axes.parse("oi", (1500, 1500))


@pytest.mark.parametrize(
    ("law", "window"),
    [
        (Orthogonal(SQUARE), (slice(100, 160),)),
        (Orthogonal(SQUARE), (slice(None), slice(100, 160))),
        (Orthogonal(SQUARE), (slice(2000, 2400), slice(100, 500))),
        (Mirrored(Orthogonal(HALF), SQUARE, Pairing(3000), Pairing(3000)), (slice(1480, 1520),)),
        (Centred(Orthogonal(SQUARE), SQUARE), (slice(100, 160), slice(0, 2))),
        (Orthogonal(Axes.parse("soi", (900, 100, 100))), (slice(70, 90),)),
    ],
)
def test_a_shard_needs_its_own_memory_and_a_panel(
    law: Orthogonal | Mirrored | Centred, window: tuple[slice, ...]
) -> None:
    draw_distribution(law, law.axes.shape, seed=0, name="w", window=(slice(0, 1),))
    tracemalloc.start()
    draw_distribution(law, law.axes.shape, seed=0, name="w", window=window)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (
        peak < 16e6
    )  # a strip of 256 lines, 3 MB; the panel of 128 reflectors, its words and its solution, 1.5 MB each


def test_a_window_of_a_mirrored_weight_draws_its_own_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows 40 … 59 and their partners are the same rows of the base; the base is asked for these, and once."""
    from fanin.draws import orthogonal as module

    asked = []
    original = module.orthonormal

    def watched(*args: object, **kwargs: object) -> object:
        asked.append((len(args[4]), len(args[5])))  # type: ignore[arg-type]
        return original(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "orthonormal", watched)
    law = Mirrored(Orthogonal(Axes.parse("oi", (100, 80))), Axes.parse("oi", (200, 160)), Pairing(200), Pairing(160))
    w = draw_distribution(law, (200, 160), seed=0, name="w", window=(slice(40, 160, 100),))
    assert asked == [(1, 80)]
    assert np.array_equal(w[0], -w[1])
