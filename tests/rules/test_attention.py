"""Queries, keys and values as three weights, and attention that mimics trained ones, on torch's attention."""

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

D, HEADS = 64, 4


class Attend(nn.Module):
    def __init__(self, **given) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(D, HEADS, batch_first=True, **given)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.attn(x, x, x, need_weights=False)[0]


def filled(given: dict, seed: int = 0) -> nn.MultiheadAttention:
    model = Attend()
    x = torch.randn(2, 5, D, generator=torch.Generator().manual_seed(0))
    return fanin.plan(model, x, rules=given).apply(model, seed=seed).attn


def test_fused_projections_are_as_large_as_separate_ones():
    fused = filled({"*in_proj_weight": rules.qkv_blocks()}).in_proj_weight.detach()
    apart = draw(rules.qkv_blocks(), (D, D), seed=0, name="q_proj.weight")
    assert float(fused.abs().max()) == pytest.approx(math.sqrt(6 / (2 * D)), rel=1e-2)
    assert np.abs(apart).max() == pytest.approx(math.sqrt(6 / (2 * D)), rel=1e-2)
    torchs = float(nn.MultiheadAttention(D, HEADS).in_proj_weight.detach().abs().max())
    assert torchs == pytest.approx(math.sqrt(6 / (4 * D)), rel=1e-2)  # the trap


def test_grouped_queries():
    w = draw(
        rules.qkv_blocks("xavier_uniform; zeros; ones", sizes=(64, 16, 16)), (96, D), seed=0, name="qkv_proj.weight"
    )
    assert np.abs(w[:64]).max() == pytest.approx(math.sqrt(6 / 128), rel=1e-2)
    assert not w[64:80].any()
    assert (w[80:] == 1).all()


def mimetic(seed: int = 0, **given) -> tuple[np.ndarray, ...]:
    attn = filled(
        {"*in_proj_weight": rules.mimetic(HEADS, **given), "*out_proj.weight": rules.mimetic(HEADS, **given)}, seed
    )
    return (
        *attn.in_proj_weight.detach().double().numpy().reshape(3, D, D),
        attn.out_proj.weight.detach().double().numpy(),
    )


def test_scores_favour_the_token_itself():
    q, k, _, _ = mimetic()
    tokens = np.random.default_rng(0).standard_normal((40, D))
    for head in range(HEADS):
        rows = slice(head * D // HEADS, (head + 1) * D // HEADS)
        product = q[rows].T @ k[rows]
        assert (
            np.trace(product) / D > 0.7 / HEADS
        )  # of the whole trace, beta · d, at least the head's share of directions
        scores = (tokens @ q[rows].T) @ (tokens @ k[rows].T).T
        own = np.diag(scores).mean()
        others = (scores.sum() - np.diag(scores).sum()) / (40 * 39)
        assert own > 3 * abs(others)


def test_values_come_back_with_their_sign_turned():
    _, _, v, out = mimetic()
    product = out @ v
    noise = product + 0.4 * np.eye(D)
    assert np.diag(product).mean() == pytest.approx(-0.4, abs=4 * 0.4 / D)
    assert noise.std() == pytest.approx(0.4 / math.sqrt(D), rel=0.06)
    # what untransposed ports get has the same eigenvalues, but is no such sum
    assert abs(np.diag(v @ out)).std() > 1.2 * np.diag(product).std()


def test_without_noise_the_products_are_the_identity():
    q, k, v, out = mimetic(alpha=0.0, beta=1.0, alpha_values=0.0, beta_values=0.5)
    assert np.abs(out @ v + 0.5 * np.eye(D)).max() < 1e-5
    for head in range(HEADS):
        rows = slice(head * D // HEADS, (head + 1) * D // HEADS)
        product = q[rows].T @ k[rows]
        assert np.abs(product @ product - product).max() < 1e-5  # a projection on the head's directions
        assert np.trace(product) == pytest.approx(D / HEADS, rel=1e-5)


def test_separate_projections_are_the_fused_ones():
    fused = draw(rules.mimetic(HEADS), (3 * D, D), seed=5, name="blocks.0.attn.qkv.weight", axes="(s3o)i")
    for index, name in enumerate(("q_proj", "k_proj", "v_proj")):
        one = draw(rules.mimetic(HEADS), (D, D), seed=5, name=f"blocks.0.attn.{name}.weight")
        assert np.array_equal(one, fused[index * D : (index + 1) * D])
    stored = draw(rules.mimetic(HEADS), (D, 3 * D), seed=5, name="blocks.0.attn.c_attn.weight", axes="i(s3o)")
    assert np.array_equal(stored, fused.T)
    other = draw(rules.mimetic(HEADS), (3 * D, D), seed=5, name="blocks.1.attn.qkv.weight", axes="(s3o)i")
    assert np.abs(fused - other).max() > 0.1


@pytest.mark.parametrize(
    ("rule", "shape", "axes", "name", "words"),
    [
        (rules.mimetic(4), (64, 64), "oi", "w", "cannot be told from the name 'w'"),
        (rules.mimetic(4, "q"), (64, 32), "oi", "w", "same width"),
        (rules.mimetic(4, "qkv"), (64, 64), "oi", "w", "same width"),
        (rules.mimetic(5, "q"), (64, 64), "oi", "w", "heads=5 does not divide the width 64"),
        (rules.qkv_blocks(sizes=(64, 64, 16)), (192, 64), "oi", "w", "cannot be cut into queries"),
        (rules.qkv_blocks("zeros; zeros"), (192, 64), "(s3o)i", "w", "names 2 rules for 3 blocks"),
    ],
)
def test_bad_input(rule, shape, axes, name, words):
    with pytest.raises(FaninValueError, match=words):
        rule(Slot(name, shape, "float32", "weight", axes=Axes.parse(axes, shape)))


def test_bad_arguments():
    with pytest.raises(FaninValueError, match="heads=0"):
        rules.mimetic(0)
    with pytest.raises(FaninValueError, match="part='values' is not known"):
        rules.mimetic(2, "values")
    with pytest.raises(FaninValueError, match="sizes"):
        rules.qkv_blocks(sizes=(64, 1.5))
