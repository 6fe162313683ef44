"""The coordinate check: flat over widths in the maximal update parametrization, steep in the standard one."""

import math

import pytest
import torch
from torch import nn

import fanin
from fanin.errors import FaninError
from fanin.lab import coordinate_check
from fanin.plans import mup_rules, plan_from_rules
from fanin.traces.torch import trace


def mlp(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(32, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 32, generator=generator)
    return x, (x @ torch.randn(32, 10, generator=generator)).argmax(-1)


def standard(model: nn.Module, x: torch.Tensor):
    return fanin.plan(model, x, rules={"*": "standard(gain=1.4)", "6.weight": "zeros"})


def maximal(model: nn.Module, x: torch.Tensor):
    watched, base = trace(model, x), trace(mlp(64), x)
    return plan_from_rules(watched, mup_rules(watched, base, gain=1.4, zero_output=True))


@pytest.mark.slow
def test_flat_in_mup_and_steep_in_the_standard_parametrization() -> None:
    """Widths 64 to 1024, five steps of Adam. Hidden layers: within 0.1 of flat, against at least 0.4."""
    widths = (64, 128, 256, 512, 1024)
    check = {p.__name__: coordinate_check(mlp, widths, p, data(), lr=3e-3, seeds=2) for p in (standard, maximal)}
    for module in ("2", "4", "6"):
        assert check["standard"].slope(module) > 0.4, str(check["standard"])
        assert abs(check["maximal"].slope(module)) < 0.1, str(check["maximal"])


def test_the_record() -> None:
    check = coordinate_check(mlp, (8, 16), standard, data(), steps=2, seeds=1)
    assert set(check.changes) == {"0", "2", "4", "6"}
    assert len(check.changes["2"]) == 2
    assert all(len(row) == 2 for row in check.changes["2"])
    low, high = check.changes["4"][-1]
    assert check.slope("4") == pytest.approx(math.log(high / low) / math.log(2))
    assert type(check).from_dict(check.to_dict()) == check
    assert "slope" in str(check)


@pytest.mark.parametrize(("change", "message"), [
    ({"widths": (8,)}, "at least two different whole numbers"),
    ({"widths": (8, 0)}, "at least two different whole numbers"),
    ({"steps": 0}, "steps=0 cannot be used"),
    ({"lr": 0}, "lr=0 cannot be used"),
    ({"optimizer": "lion"}, "optimizer='lion' is not known"),
    ({"data": 3}, "give a pair"),
    ({"factory": 3}, "must be functions"),
])  # fmt: skip
def test_what_cannot_be_used_is_named(change: dict, message: str) -> None:
    given = {"factory": mlp, "widths": (8, 16), "plan_of": standard, "data": data(), **change}
    with pytest.raises(FaninError, match=message):
        coordinate_check(**given)
