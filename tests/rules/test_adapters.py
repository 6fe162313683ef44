"""Low-rank adapters: the model starts as it was, and the factors have the laws of PEFT's options."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import fanin
from fanin import rules
from fanin.draws import draw
from fanin.errors import FaninValueError
from fanin.slots import Axes, Slot


class Adapted(nn.Module):
    def __init__(self, rank: int = 8) -> None:
        super().__init__()
        self.base = nn.Linear(60, 40)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(60, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, 40, bias=False)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + 2.0 * self.lora_B["default"](self.lora_A["default"](x))


def filled(option: str, seed: int = 0) -> tuple[Adapted, torch.Tensor]:
    torch.manual_seed(0)
    model, x = Adapted(), torch.randn(16, 60)
    return fanin.plan(model, x, rules={"*lora*": rules.lora(option)}).apply(model, seed=seed), x


@pytest.mark.parametrize("option", ["default", "gaussian", "orthogonal"])
def test_the_model_starts_as_it_was(option):
    model, x = filled(option)
    with torch.no_grad():
        assert (model(x) - model.base(x)).abs().max() < 2e-5
    assert model.lora_A["default"].weight.any()


def test_but_for_both():
    model, x = filled("both")
    with torch.no_grad():
        assert (model(x) - model.base(x)).abs().max() > 0.1


@pytest.mark.parametrize(("option", "moving"), [("default", ["B"]), ("gaussian", ["B"]), ("orthogonal", ["A", "B"])])
def test_which_factors_get_a_first_gradient(option, moving):
    model, x = filled(option)
    model(x).square().sum().backward()
    found = [f for f in "AB" if getattr(model, f"lora_{f}")["default"].weight.grad.abs().max() > 1e-6]
    assert found == moving


def test_laws_of_a():
    assert np.abs(draw(rules.lora(), (8, 400), seed=0, name="lora_A.weight")).max() == pytest.approx(1 / 20, rel=0.01)
    gaussian = draw(rules.lora("gaussian"), (16, 400), seed=0, name="lora_A.weight")
    assert gaussian.std() == pytest.approx(1 / 16, rel=0.05)
    he = draw(rules.he_uniform(a=math.sqrt(5)), (8, 400), seed=0, name="x.lora_A.weight")
    assert np.array_equal(he, draw(rules.lora(), (8, 400), seed=0, name="x.lora_A.weight"))


def test_halves_of_one_basis():
    a = draw(rules.lora("orthogonal"), (6, 50), seed=1, name="m.lora_A.default.weight", dtype="float64")
    b = draw(rules.lora("orthogonal"), (30, 6), seed=1, name="m.lora_B.default.weight", dtype="float64")
    assert np.abs(b @ a).max() < 1e-15
    assert np.linalg.matrix_rank(a) == np.linalg.matrix_rank(b) == 3
    assert np.linalg.matrix_rank(np.concatenate([a.T, b])) == 6  # together they use every direction of the rank
    assert math.sqrt(np.mean(a**2)) == pytest.approx(math.sqrt(0.5) / 10, rel=0.15)
    other = draw(rules.lora("orthogonal"), (6, 50), seed=1, name="n.lora_A.default.weight", dtype="float64")
    assert np.abs(other - a).max() > 0.01


def test_an_embeddings_factors_change_places():
    assert not draw(rules.lora(), (8, 50), seed=0, name="wte.lora_embedding_A", axes="ov").any()
    assert draw(rules.lora(), (40, 8), seed=0, name="wte.lora_embedding_B").std() == pytest.approx(1.0, rel=0.15)


def test_both_factors_of_an_embedding_are_at_work_with_both():
    """PEFT leaves them as `torch.randn` made them where `init_lora_weights` is False."""
    for name, shape, axes in (("A", (8, 500), "ov"), ("B", (500, 8), "vo")):
        weight = draw(rules.lora("both"), shape, seed=0, name=f"wte.lora_embedding_{name}", axes=axes)
        assert weight.std() == pytest.approx(1.0, rel=0.05)


def test_a_convolutions_adapter():
    a = draw(rules.lora("orthogonal"), (4, 6, 3, 3), seed=0, name="c.lora_A.weight", axes="oikk", dtype="float64")
    b = draw(rules.lora("orthogonal"), (10, 4, 1, 1), seed=0, name="c.lora_B.weight", axes="oikk", dtype="float64")
    assert np.abs(np.einsum("or,rikl->oikl", b[..., 0, 0], a)).max() < 1e-15


@pytest.mark.parametrize(
    ("rule", "shape", "axes", "name", "words"),
    [
        (rules.lora(), (8, 60), "oi", "w", "cannot be told from the name 'w'"),
        (rules.lora("orthogonal"), (7, 60), "oi", "lora_A.weight", "needs an even rank.*has rank 7"),
        (rules.lora("gaussian"), (8,), None, "lora_A.weight", "needs to know what the axes"),
        (rules.lora("orthogonal"), (10, 4, 3), "oik", "lora_B.weight", "kernel of 1"),
    ],
)
def test_bad_input(rule, shape, axes, name, words):
    with pytest.raises(FaninValueError, match=words):
        rule(Slot(name, shape, "float32", "weight", axes=Axes.parse(axes, shape) if axes else None))


def test_bad_arguments():
    with pytest.raises(FaninValueError, match="option='loftq' is not known; accepted are 'default'"):
        rules.lora("loftq")
    for option in ("pissa", "olora", "mica"):
        with pytest.raises(FaninValueError, match=f"option='{option}' is not known; .* fanin.torch.adapters_"):
            rules.lora(option)
    with pytest.raises(FaninValueError, match="factor='C' is not known"):
        rules.lora(factor="C")
