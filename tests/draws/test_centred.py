"""Centred weights: each output's weights sum to zero over its inputs, and the rest is as the base has it."""

import numpy as np
import pytest

from fanin.distributions import Centred, DeltaOrthogonal, Distribution, Orthogonal
from fanin.draws import draw_distribution
from fanin.slots import Axes


@pytest.mark.parametrize(
    ("spec", "shape"), [("oi", (12, 20)), ("io", (20, 12)), ("oikk", (6, 8, 3, 3)), ("(s3o)i", (12, 16))]
)
def test_outputs_do_not_see_what_all_inputs_share(spec: str, shape: tuple[int, ...]) -> None:
    axes = Axes.parse(spec, shape)
    kind = DeltaOrthogonal if "k" in spec else Orthogonal
    law = Centred(kind(axes, 2.0), axes)
    w = draw_distribution(law, shape, seed=1, name="w", dtype="float64")
    assert np.abs(w.sum(axis=0 if spec == "io" else 1)).max() < 1e-12
    assert Distribution.from_dict(law.to_dict()) == law


def test_all_other_directions_keep_their_size() -> None:
    axes = Axes.parse("oi", (30, 30))
    w = draw_distribution(Centred(Orthogonal(axes, 4.0), axes), (30, 30), seed=0, name="w", dtype="float64")
    values = np.linalg.svd(w, compute_uv=False)
    assert values[:-1] == pytest.approx(4.0)
    assert values[-1] == pytest.approx(0.0, abs=1e-12)


def test_a_window_is_the_same_window_of_the_whole() -> None:
    axes = Axes.parse("oi", (10, 14))
    law = Centred(Orthogonal(axes), axes)
    whole = draw_distribution(law, (10, 14), seed=3, name="w")
    part = draw_distribution(law, (10, 14), seed=3, name="w", window=(slice(2, 5), slice(None, None, 2)))
    # a smaller product may be rounded otherwise: some BLAS kernels treat its edge apart
    assert np.abs(part - whole[2:5, ::2]).max() <= 1e-6
