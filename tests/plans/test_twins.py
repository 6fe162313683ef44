"""The named functions in plain torch agree with their originals, in every layout of a weight."""

import numpy as np
import pytest
import torch

from fanin import rules
from fanin.distributions import Formula
from fanin.draws import draw_distribution
from fanin.plans.torch.twins import twins
from fanin.slots import Axes, Slot

FORMULAS = [
    (rules.bilinear_upsample(), (6, 6, 4, 3), "iokk"),
    (rules.bilinear_upsample(), (6, 1, 4), "(s6o)ik"),
    (rules.bilinear_upsample(), (6, 4, 5), "(s3i)ok"),
    (rules.hadamard(), (16, 8), "oi"),
    (rules.hadamard(gain=3.0), (5, 4, 8, 3), "koik"),
    (rules.zero_hadamard(), (27, 5, 3), "(s3o)ik"),
    (rules.idinit(), (7, 3), "oi"),
    (rules.idinit(), (3, 7), "io"),
    (rules.idinit(tau=0.5), (24, 3, 3, 3), "(s2o)ikk"),
    (rules.stft(), (9, 1, 12), "oik"),
    (rules.stft(side="imag", window="blackman", scaling="spectrum", periodic=True), (20, 1, 9), "kio"),
    (rules.sinusoid(), (30, 8), "vo"),
    (rules.sinusoid(layout="halves", base=100.0), (1, 30, 8), "svo"),
    (rules.sinusoid(width=5, skip=2), (32, 12), "vo"),
    (rules.class_prior((5, 3, 1, 1)), (4,), None),
]


@pytest.mark.parametrize(("rule", "shape", "axes"), FORMULAS, ids=lambda x: str(x))
def test_a_formula_has_the_same_values(rule, shape, axes):
    slot = Slot("w", shape, "float32", "weight", axes=None if axes is None else Axes.parse(axes, shape))
    law = rule(slot)
    assert isinstance(law, Formula)
    spec = None if law.axes is None else law.axes.spec
    made = law.gain * twins()[law.function](shape, spec, *law.arguments, device=torch.device("cpu"))
    assert made.shape == shape
    assert np.allclose(
        made.numpy(), draw_distribution(law, shape, seed=0, name="w", dtype="float64"), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(("axes", "shape"), [("(s2o)i", (48, 16)), ("i(s2o)", (16, 48))])
def test_impulses_without_noise_are_the_same_queries_and_keys(axes, shape):
    """Up to the sign that a singular vector is free to have, which the product of query and key does not show."""
    slot = Slot("w", shape, "float32", "weight", axes=Axes.parse(axes, shape))
    law = rules.impulse_attention(3, 4, 4, noise=0.0)(slot)
    made = twins()[law.function](shape, axes, *law.arguments, device=torch.device("cpu"), generator=None).numpy()
    ours = draw_distribution(law, shape, seed=0, name="w", dtype="float64")
    if axes.startswith("i"):
        made, ours = made.T, ours.T
    for head in range(3):
        q, k = slice(8 * head, 8 * head + 8), slice(24 + 8 * head, 32 + 8 * head)
        assert np.allclose(made[q].T @ made[k], ours[q].T @ ours[k], atol=1e-4)


def test_impulses_with_noise_keep_their_size_and_differ_by_generator():
    slot = Slot("w", (48, 16), "float32", "weight", axes=Axes.parse("(s2o)i", (48, 16)))
    law = rules.impulse_attention(3, 4, 4)(slot)
    made = [
        twins()[law.function](
            (48, 16), "(s2o)i", *law.arguments, device=torch.device("cpu"), generator=torch.Generator().manual_seed(s)
        )
        for s in (0, 0, 1)
    ]
    assert torch.equal(made[0], made[1])
    assert not torch.allclose(made[0].abs(), made[2].abs(), atol=1e-6)
    assert torch.allclose(torch.linalg.norm(made[0].reshape(6, 8, 16), dim=(1, 2)), torch.full((6,), 7.0))
