"""Twins in plain torch of the functions of layers with states, attention and adapters: the same values, or the same law."""

import numpy as np
import pytest
import torch

from fanin import rules
from fanin.distributions import Built, Formula, Mapped
from fanin.draws import draw_distribution
from fanin.plans.torch.twins import twins
from fanin.slots import Axes, Slot

CPU = torch.device("cpu")
FORMULAS = [
    (rules.linspace_bias(), (5,), None),
    (rules.linspace_bias(1.0, 2.0), (1,), None),
    (rules.hippo_legs(), (6, 6), "oi"),
    (rules.hippo_legs(gain=0.1), (6, 6), "io"),
    (rules.hippo_legs(), (3, 5, 5), "soi"),
    (rules.hippo_legs(), (12, 4), "(s3o)i"),
    (rules.hippo_legs(), (3, 5, 5), None),
    (rules.hippo_legs_input(), (3, 7), None),
    (rules.dplr(), (2, 8), None),
    (rules.dplr("input", complex_pairs=True), (2, 8, 2), None),
    (rules.mamba_a_log(), (3, 16), None),
    *(
        (rules.s4d(kind, part), (2, 6), None)
        for kind in ("lin", "inv", "real", "legs")
        for part in ("log_real", "real", "imag")
    ),
]


def law_of(rule, shape, axes, name="w"):
    return rule(Slot(name, shape, "float32", "weight", axes=None if axes is None else Axes.parse(axes, shape)))


@pytest.mark.parametrize(("rule", "shape", "axes"), FORMULAS, ids=str)
def test_a_formula_has_the_same_values(rule, shape, axes):
    law = law_of(rule, shape, axes)
    assert isinstance(law, Formula)
    spec = None if law.axes is None else law.axes.spec
    made = law.gain * twins()[law.function](shape, spec, *law.arguments, device=CPU)
    wanted = draw_distribution(law, shape, seed=0, name="w", dtype="float64")
    assert made.shape == shape
    assert np.allclose(made.double().numpy(), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "rule",
    [rules.mamba_dt_bias(), rules.mamba_dt_bias(1e-6, 1e-2), rules.mamba_a_log(heads=True), rules.lru_theta()],
    ids=str,
)
def test_a_map_has_the_same_values(rule):
    law = law_of(rule, (500,), None)
    assert isinstance(law, Mapped)
    base = draw_distribution(law.base, (500,), seed=0, name="w", dtype="float64")
    made = twins()[law.function](torch.from_numpy(base), *law.arguments)
    assert np.allclose(
        made.numpy(), draw_distribution(law, (500,), seed=0, name="w", dtype="float64"), rtol=1e-6, atol=1e-6
    )


def built(law: Built, shape, seed: int) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    made = twins()[law.function](shape, law.axes.spec, *law.arguments, device=CPU, generator=generator)
    assert made.shape == shape
    return made.double().numpy()


@pytest.mark.parametrize(
    ("rule", "shape", "axes"),
    [
        (rules.chrono(100), (4000,), None),
        (rules.chrono(50, gates=3), (3000,), None),
        (rules.lru_nu(0.3, 0.9), (3000,), None),
        (rules.lru_gamma(0.3, 0.9), (3000,), None),
        (rules.mimetic(4, "qkv"), (192, 64), "(s3o)i"),
        (rules.mimetic(4, "qkv"), (64, 192), "i(s3o)"),
        (rules.mimetic(2, "v"), (64, 64), "oi"),
        (rules.mimetic(2, "out"), (64, 64), "io"),
        (rules.lora("orthogonal", "A"), (8, 300), "oi"),
        (rules.lora("orthogonal", "B"), (300, 8), "oi"),
    ],
    ids=str,
)
def test_a_builder_has_the_same_law(rule, shape, axes):
    law = law_of(rule, shape, axes)
    assert isinstance(law, Built)
    ours = [np.sort(draw_distribution(law, shape, seed=s, name="w", dtype="float64").ravel()) for s in range(20)]
    theirs = [np.sort(built(law, shape, s).ravel()) for s in range(20)]
    one, two = np.mean(ours, axis=0), np.mean(theirs, axis=0)  # quantiles
    middle = slice(len(one) // 100, -len(one) // 100)
    assert np.abs(one - two)[middle].max() < 0.12 * one.std()
    assert np.array_equal(built(law, shape, 3), built(law, shape, 3))
    assert not np.array_equal(built(law, shape, 3), built(law, shape, 4))


def test_twins_with_one_generators_state_make_the_parts_of_one_whole():
    attention, width = twins()["mimetic_projection"], 64
    value, out = (
        attention(
            (width, width), "oi", part, 4.0, 0.7, 0.7, 0.0, 0.5, device=CPU, generator=torch.Generator().manual_seed(1)
        )
        for part in (3.0, 4.0)
    )
    assert torch.allclose(out @ value, -0.5 * torch.eye(width), atol=1e-5)
    fused = attention(
        (3 * width, width),
        "(s3o)i",
        0.0,
        4.0,
        0.7,
        0.7,
        0.4,
        0.4,
        device=CPU,
        generator=torch.Generator().manual_seed(1),
    )
    query = attention(
        (width, width), "oi", 1.0, 4.0, 0.7, 0.7, 0.4, 0.4, device=CPU, generator=torch.Generator().manual_seed(1)
    )
    assert torch.equal(fused[:width], query)
    a, b = (
        twins()["disjoint_halves"](shape, "oi", factor, device=CPU, generator=torch.Generator().manual_seed(2))
        for shape, factor in (((8, 30), 0.0), ((20, 8), 1.0))
    )
    assert (b @ a).abs().max() < 1e-5
