"""Weights behind arithmetic, against draws."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.theory.nets import against_draws, named
from torch import nn
from torch.nn import functional as F

from fanin import rules
from fanin.theory import predict
from fanin.traces.torch import trace as watch

Use = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Mixed(nn.Module):
    """A layer, a product with a function of a vector, and another layer."""

    def __init__(self, use: Use) -> None:
        super().__init__()
        self.use, self.w = use, nn.Parameter(torch.rand(128))
        self.a, self.b = nn.Linear(64, 128, bias=False), nn.Linear(128, 64, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.use(self.a(x), self.w))


USES: dict[str, Use] = {
    "exp": lambda h, w: h * torch.exp(w),
    "- exp": lambda h, w: h * -torch.exp(w.float()),
    "1 -": lambda h, w: h * (1 - w),
    "1 +": lambda h, w: h * (1.0 + w),
    "2 w + 1": lambda h, w: h * (w * 2 + 1)[None],
    "sigmoid": lambda h, w: h * torch.sigmoid(w),
    "softplus": lambda h, w: h * F.softplus(w),
    "added": lambda h, w: h + w.exp(),
    "divided": lambda h, w: h / (1 + w**2),
    "decay": lambda h, w: torch.exp(F.softplus(h) * -torch.exp(w)),
}
LAWS = {"normal": rules.normal(0.7), "uniform": rules.uniform(bound=1.0)}


@pytest.mark.parametrize(
    ("use", "law"), [(use, "normal") for use in USES] + [("exp", "uniform"), ("2 w + 1", "uniform")]
)
def test_a_weights_law_goes_through_what_is_done_to_it(use: str, law: str) -> None:
    torch.manual_seed(0)
    found = against_draws(Mixed(USES[use]), torch.randn(32, 64), {"*.weight": rules.lecun_normal(), "w": LAWS[law]})
    assert len(found) >= 3
    for point, measured, gradient in found:
        assert point.log_second == pytest.approx(measured, abs=0.1), point
        if math.isfinite(gradient) and use != "decay":
            assert point.log_gradient == pytest.approx(gradient, abs=0.15), point


class Scaled(nn.Module):
    """A layer whose weight is multiplied (equalized learning rates), masked, or standardised."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.w = how, nn.Parameter(torch.randn(256, 64))
        self.register_buffer("mask", (torch.rand(256, 64) < 0.3).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = {
            "scaled": lambda w: w * 0.125,
            "masked": lambda w: w * self.mask,
            "tanh": lambda w: torch.tanh(w),
            "standardised": lambda w: (w - w.mean(1, keepdim=True)) / w.std(1, keepdim=True),
        }
        return F.linear(x, made[self.how](self.w))


@pytest.mark.parametrize("how", ["scaled", "masked", "tanh", "standardised"])
def test_a_layers_weight_behind_arithmetic_is_right_or_unknown(how: str) -> None:
    torch.manual_seed(0)
    point, measured, _ = named(against_draws(Scaled(how), torch.randn(32, 64), {"w": rules.normal(0.6)}), "linear")[0]
    if how == "standardised":
        assert math.isnan(point.log_second)
        assert "w behind" in point.reason
    else:
        assert point.log_second == pytest.approx(measured, abs=0.1)


def test_parametrized_weights_have_the_law_that_the_plan_gives_them() -> None:
    """A plan sets what is stored so that the weight that comes out has the law."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(64, 128)), nn.ReLU(), nn.Linear(128, 8))
    for point, measured, _ in named(against_draws(model, torch.randn(32, 64), {"*": rules.he_normal()}), "linear"):
        assert point.log_second == pytest.approx(measured, abs=0.1)


class Shares(nn.Module):
    """The largest shares of a router, made to sum to one; or a signal over its length, its sum of squares, its deviation."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.gate = how, nn.Linear(64, 32, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.gate(x)
        if self.how == "sum":
            return (e := torch.exp(y)) / e.sum(-1, keepdim=True)
        if self.how == "top":
            e = torch.topk(torch.softmax(y, -1), 4)[0]
            return e / e.sum(-1, keepdim=True)
        if self.how == "length":
            return y / y.norm(dim=-1, keepdim=True)
        if self.how == "squares":
            return y * torch.rsqrt(y.pow(2).sum(-1, keepdim=True))
        if self.how == "reversed":
            return torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6) * y
        return (y - y.mean(-1, keepdim=True)) / y.std(-1, keepdim=True)


@pytest.mark.parametrize("how", ["sum", "top", "length", "squares", "reversed", "deviation"])
def test_a_norm_written_by_hand_is_known_by_its_statistic(how: str) -> None:
    torch.manual_seed(0)
    found = against_draws(Shares(how), torch.randn(32, 64), {"*": rules.lecun_normal()}, draws=8)
    point, measured, _ = found[-1]
    if how in ("sum", "top"):
        assert math.isnan(point.log_second)
        assert "statistic" in point.reason
    else:
        assert point.log_second == pytest.approx(measured, abs=0.05)


class Scan(nn.Module):
    """A state that each step multiplies with the same decay."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        decay, h = torch.sigmoid(self.a(x)), self.b(x[:, 0])
        for t in range(3):
            h = decay[:, t] * h + x[:, t]
        return h


def test_the_same_decay_again_and_again_is_not_predicted() -> None:
    found = named(against_draws(Scan(), torch.randn(16, 3, 64), {"*": rules.lecun_normal()}, draws=2), "mul")
    known = [math.isfinite(point.log_second) for point, _, _ in found]
    assert known == [True, False, False]
    assert "recurrence" in found[1][0].reason


def test_the_steps_are_part_of_the_trace() -> None:
    trace = watch(Mixed(USES["- exp"]), torch.randn(4, 64))
    made = next(op.made for op in trace.ops if op.made)
    assert [step.name for step in made["w"]] == ["exp", "neg"]
    again = type(trace).from_dict(trace.to_dict())
    first, second = ([p.log_second for p in predict(t, {}).curve] for t in (trace, again))
    np.testing.assert_array_equal(first, second)
