"""Activations and norms by name."""

import copy
import pickle

import numpy as np
import pytest
import torch

from fanin.activations import ALIASES, KNOWN, Activation
from fanin.errors import FaninValueError
from fanin.lab.models.layers_torch import IMAGE_NORMS, VECTOR_NORMS, activation, image_norm, vector_norm


@pytest.mark.parametrize("name", [*KNOWN, *ALIASES])
def test_a_module_computes_what_the_name_says(name: str) -> None:
    module = activation(name).double().eval()  # rrelu draws its slope in training
    z = np.linspace(-6, 6, 101)
    found = module(torch.from_numpy(z)).detach().numpy()
    np.testing.assert_allclose(found, Activation.named(name)(z), rtol=1e-6, atol=1e-7)


def test_parameters_and_copies() -> None:
    assert activation("leaky_relu(0.2)")(torch.tensor(-1.0)) == pytest.approx(-0.2)
    sine = pickle.loads(pickle.dumps(copy.deepcopy(activation("sin(30)"))))
    assert sine(torch.tensor(0.1)) == pytest.approx(np.sin(3.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rleu", "did you mean 'relu'"),
        ("relu(1, 2)", "too many parameters"),
        ("relu(", "does not parse"),
        (3, "does not parse"),
    ],
)
def test_what_is_no_activation_is_said(text: str, message: str) -> None:
    with pytest.raises(FaninValueError, match=f"activation=.*{message}"):
        activation(text)


@pytest.mark.parametrize("name", VECTOR_NORMS)
def test_norms_of_vectors_have_unit_size(name: str) -> None:
    (norm,) = vector_norm(name, 8)
    assert float(norm(3 * torch.randn(64, 8)).square().mean().detach()) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("name", IMAGE_NORMS)
def test_norms_of_images_have_unit_size(name: str) -> None:
    (norm,) = image_norm(name, 12)
    assert float(norm(5 + 3 * torch.randn(16, 12, 4, 4)).square().mean().detach()) == pytest.approx(1, rel=0.01)
