"""Deep autoencoders."""

import pytest
from torch import nn

from fanin.errors import FaninValueError
from fanin.lab.models.autoencoder_torch import autoencoder
from fanin.lab.models.facts import Facts


def test_the_layers_of_the_paper() -> None:
    model = autoencoder(Facts((784,), "vector", 784))
    widths = [m.out_features for m in model if isinstance(m, nn.Linear)]
    assert widths == [1000, 500, 250, 30, 250, 500, 1000, 784]
    assert isinstance(
        model[6], nn.Linear
    )  # the code is linear: no activation before or after it but those of its neighbours
    assert isinstance(model[7], nn.Linear)
    assert sum(isinstance(m, nn.ReLU) for m in model) == 6


def test_a_target_of_another_size_is_refused() -> None:
    with pytest.raises(FaninValueError, match="64 numbers, but the target has 10"):
        autoencoder(Facts((64,), "vector", 10))
