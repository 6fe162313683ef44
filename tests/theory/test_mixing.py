"""Attention whose inputs are not just queries, keys and values in a row, against draws."""

import math

import pytest
import torch
from tests.theory.nets import against_draws, named
from torch import nn
from torch.nn import functional as F

from fanin import rules


class Biased(nn.Module):
    """Fused attention with a table of relative positions; `shared` takes keys and values from one weight, `late` hides keys."""

    def __init__(self, shared: bool = False, late: bool = False) -> None:
        super().__init__()
        self.shared, self.late = shared, late
        self.q, self.k, self.v, self.o = (nn.Linear(64, 64, bias=False) for _ in range(4))
        self.table = nn.Embedding(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, _ = x.shape
        k = self.k(x)
        v = k if self.shared else self.v(x)
        q, k, v = (y.view(n, t, 4, 16).transpose(1, 2) for y in (self.q(x), k, v))
        at = torch.arange(t)
        bias = self.table((at[:, None] - at[None, :]).clamp(-8, 7) + 8).permute(2, 0, 1)[None]
        if self.late:
            bias = bias.masked_fill(torch.ones(t, t).triu(1).bool(), torch.finfo(bias.dtype).min)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.o(y.transpose(1, 2).reshape(n, t, 64))


@pytest.mark.parametrize(
    ("size", "shared", "late"), [(0.02, False, False), (2.0, False, False), (0.02, True, False), (1.0, False, True)]
)
def test_an_attention_averages_its_values_and_a_bias_sharpens_it(size: float, shared: bool, late: bool) -> None:
    torch.manual_seed(0)
    batch = torch.randn(8, 12, 64)
    given = {"*.weight": rules.lecun_normal(), "table.weight": rules.normal(size)}
    found = against_draws(Biased(shared, late), batch, given, draws=12)
    for point, measured, gradient in found:
        if point.name == "masked_fill":
            assert math.isnan(point.log_second)
            assert "hide" in point.reason
            continue
        assert point.log_second == pytest.approx(measured, abs=0.12), point
        if math.isfinite(gradient) and not shared:
            assert point.log_gradient == pytest.approx(gradient, abs=0.25), point
    assert len(named(found, "attention")) == 1


class Memory(nn.Module):
    """Attention called with its parts in another order, over keys of another length."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(64, 4, batch_first=True)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        small, large = batch[:, :6], 3 * batch[:, 6:]
        return self.inner(value=large, key=small, query=small, need_weights=False)[0]


def test_values_are_found_by_name() -> None:
    torch.manual_seed(0)
    batch = torch.randn(8, 12, 64)
    found = against_draws(Memory(), batch, {"*": rules.lecun_normal(), "*.bias": rules.zeros()}, draws=12)
    point, measured, _ = named(found, "attention")[0]
    assert point.log_second == pytest.approx(measured, abs=0.15)


def test_queries_that_are_their_own_keys_are_not_predicted() -> None:
    class Self(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q = nn.Linear(64, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q = self.q(x)
            return F.scaled_dot_product_attention(q, q, x)

    found = against_draws(Self(), torch.randn(4, 12, 64), {"*": rules.lecun_normal()}, draws=1)
    point, _, _ = named(found, "attention")[0]
    assert math.isnan(point.log_second)
    assert "one signal" in point.reason
