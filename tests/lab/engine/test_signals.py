import numpy as np
import pytest
import torch
from torch import nn

from fanin.lab.torch.signals import LAYERS, measure, watched


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch, self.act = nn.Linear(6, 6), nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x + self.branch(x))


def ranks(model: nn.Module, x: torch.Tensor) -> dict[str, float | None]:
    return {signal.name: signal.rank for signal in measure(model, model, x)}


def test_a_rank_is_that_of_what_the_next_layer_sees() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 5), nn.Softmax(1)
    )  # fmt: skip
    found = ranks(net, torch.randn(40, 2, 8, 8))
    assert list(found) == ["0", "1", "2", "5", "6"]  # a pool is no activation, and has no weights
    assert [name for name, rank in found.items() if rank is None] == ["1"]  # and a softmax's input is worth its own


def test_a_sum_between_a_layer_and_an_activation_leaves_the_layer_its_rank() -> None:
    assert None not in ranks(Residual(), torch.randn(20, 6)).values()


@pytest.mark.parametrize(("directions", "units"), [(1, 8), (2, 8), (8, 8), (4, 40)])
def test_the_rank_of_equally_strong_directions_is_their_number(directions: int, units: int) -> None:
    x = 3 * torch.eye(units)[torch.arange(32) % directions]
    layer = nn.Linear(units, units, bias=False)
    nn.init.eye_(layer.weight)
    assert ranks(nn.Sequential(layer), x)["0"] == pytest.approx(directions / min(32, units), rel=1e-6)


def test_what_is_not_finite_has_no_rank_and_nothing_has_rank_zero() -> None:
    layer = nn.Linear(4, 3)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    assert ranks(nn.Sequential(layer), torch.randn(8, 4)) == {"0": 0.0}
    nn.init.constant_(layer.weight, np.inf)
    assert np.isnan(ranks(nn.Sequential(layer), torch.ones(8, 4))["0"] or 0.0)


@pytest.mark.parametrize("depth", [1, 15, 16, 17, 30, 200])
def test_of_a_deep_chain_layers_stay_with_their_activations(depth: int) -> None:
    hidden = [part for _ in range(depth) for part in (nn.Linear(4, 4), nn.ReLU())]
    net = nn.Sequential(*hidden, nn.Linear(4, 2))
    kinds = [type(module) for _, module in watched(net)]
    assert kinds[-1] is nn.Linear
    assert kinds[:-1] == [nn.Linear, nn.ReLU] * (len(kinds) // 2)
    assert len(kinds) == min(2 * depth + 1, LAYERS - 1)
    assert watched(net)[0][0] == "0"
    assert watched(nn.Sequential(nn.Flatten())) == []


def test_of_layers_whose_activations_are_functions_as_many_are_looked_at() -> None:
    assert len(watched(nn.Sequential(*(nn.Linear(4, 4) for _ in range(100))))) == LAYERS
