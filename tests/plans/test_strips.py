"""Large matrices in strips: every number once, the numbers of the whole, and memory of a few strips."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from fanin.distributions import (
    Centred,
    DeltaOrthogonal,
    Distribution,
    Identity,
    Mirrored,
    Normal,
    Orthogonal,
    Permutations,
    Sparse,
    Stack,
    ZeroRows,
)
from fanin.draws import draw_distribution
from fanin.plans import Entry, Need, Plan, strips
from fanin.plans.parts import Part
from fanin.plans.strips import strip_axis
from fanin.slots import Axes, Pairing

TALL, WIDE, SQUARE = (Axes.parse("oi", shape) for shape in ((60, 20), (20, 60), (40, 40)))
KERNEL, GATES = Axes.parse("oikk", (16, 8, 3, 3)), Axes.parse("(s3o)i", (48, 16))
HALF = Axes.parse("oi", (20, 20))

LAWS: list[tuple[Distribution, tuple[int, ...]]] = [
    (Orthogonal(TALL), TALL.shape),
    (Orthogonal(WIDE), WIDE.shape),
    (Orthogonal(KERNEL), KERNEL.shape),
    (Orthogonal(GATES), GATES.shape),
    (DeltaOrthogonal(KERNEL), KERNEL.shape),
    (Identity(SQUARE), SQUARE.shape),
    (Mirrored(Orthogonal(HALF), SQUARE, Pairing(40), Pairing(40)), SQUARE.shape),
    (Centred(Normal(1.0), TALL), TALL.shape),
    (Stack((Orthogonal(WIDE), Normal(1.0)), (20, 30)), (50, 60)),
    (ZeroRows(Orthogonal(TALL), (1,)), TALL.shape),
    (Sparse(Normal(1.0), 7), (30, 20)),
    (Sparse(Orthogonal(TALL), 7, 1), TALL.shape),
    (Permutations(1), (30, 20)),
]


@pytest.mark.parametrize(("law", "shape"), LAWS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("strip", [1, 100, 500])
def test_strips_cover_the_weight_and_are_it(law: Distribution, shape: tuple[int, ...], strip: int) -> None:
    everything = tuple(slice(0, n) for n in shape)
    whole = draw_distribution(law, shape, seed=1, name="w")
    joined, times = np.zeros(shape, np.float32), np.zeros(shape, int)
    for piece in strips.strips(law, Part(everything, everything), strip):
        assert piece.size <= max(strip, np.prod(shape) // max(shape[a] for a in range(len(shape)) if shape[a] > 1) * 20)
        joined[piece.window] = draw_distribution(law, shape, seed=1, name="w", window=piece.window)
        times[piece.window] += 1
    assert (times == 1).all()
    assert np.abs(joined - whole).max() < 1e-6


def test_the_axis_is_the_one_that_saves() -> None:
    """Lines across the shorter side cost their share; lines that must be sorted stay whole."""
    assert strip_axis(Orthogonal(TALL), TALL.shape) == 1
    assert strip_axis(Orthogonal(WIDE), WIDE.shape) == 0
    assert strip_axis(Centred(Orthogonal(TALL), TALL), TALL.shape) == 0
    assert strip_axis(Sparse(Normal(1.0), 2, 0), (30, 20)) == 1
    assert strip_axis(Permutations(1), (30, 20)) == 0
    assert strip_axis(Permutations(0), (30,)) is None


def test_small_matrices_are_whole() -> None:
    everything = tuple(slice(0, n) for n in (4096, 4096))
    law = Orthogonal(Axes.parse("oi", (4096, 4096)))
    assert len(list(strips.strips(law, Part(everything, everything)))) == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_stream_of_strips(dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of columns are written row by row: the file holds the numbers of the whole weights, to 1e-6 (or one rounding)."""
    monkeypatch.setattr(strips, "STRIP", 300)
    monkeypatch.setattr(strips, "LINES", 100)
    plan = Plan(
        {f"w{k}": Entry(law) for k, (law, _) in enumerate(LAWS)},
        4,
        {f"w{k}": Need(shape) for k, (_, shape) in enumerate(LAWS)},
    )
    plan.stream(tmp_path / "out", dtype=dtype, threads=2)
    found = load_file(tmp_path / "out" / "model.safetensors")
    for k, (law, shape) in enumerate(LAWS):
        expected = draw_distribution(law, shape, seed=4, name=f"w{k}", dtype=dtype).astype(np.float32)
        error = np.abs(found[f"w{k}"].astype(np.float32) - expected)
        assert (error <= 1e-6 + (abs(expected) / 128 if dtype == "bfloat16" else 0)).all()


MEMORY = """
import resource, sys
from fanin.distributions import Orthogonal
from fanin.plans import Entry, Need, Plan
from fanin.slots import Axes
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
plan = Plan({"w": Entry(Orthogonal(Axes.parse("oi", (12288, 6144))))}, 0, {"w": Need((12288, 6144))})
small = Plan({"w": Entry(Orthogonal(Axes.parse("oi", (64, 64))))}, 0, {"w": Need((64, 64))})
small.stream(sys.argv[1] + "/small")
before = peak()
plan.stream(sys.argv[1] + "/large", dtype="bfloat16", threads=1)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory in kilobytes: Linux")
def test_memory_is_that_of_a_strip(tmp_path: Path) -> None:
    """A matrix of 75 million numbers (0.3 GB as computed) with less memory than itself."""
    done = subprocess.run([sys.executable, "-c", MEMORY, tmp_path], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.25
