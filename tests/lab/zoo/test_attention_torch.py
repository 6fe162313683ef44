"""Transformer blocks."""

import math

import pytest
import torch

from fanin.lab.models.attention_torch import Attention, Block


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_the_formula_of_the_paper(causal: bool) -> None:
    torch.manual_seed(0)
    layer, x = Attention(6, 2, causal), torch.randn(2, 5, 6)
    heads = []
    for h in range(2):
        q, k, v = (part(x)[..., 3 * h : 3 * h + 3] for part in (layer.query, layer.key, layer.value))
        scores = q @ k.transpose(1, 2) / math.sqrt(3)
        if causal:
            scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -math.inf)
        heads.append(scores.softmax(-1) @ v)
    torch.testing.assert_close(layer(x), layer.out(torch.cat(heads, -1)))


@pytest.mark.parametrize("norm", ["pre", "post", None])
def test_a_block_whose_branches_are_zero_hands_its_input_on(norm: str | None) -> None:
    block, x = Block(8, 2, norm=norm), torch.randn(2, 5, 8)
    with torch.no_grad():
        for last in (block.attention.out, block.feed[-1]):
            last.weight.zero_()
            last.bias.zero_()
    expected = torch.nn.functional.layer_norm(x, (8,)) if norm == "post" else x
    torch.testing.assert_close(block(x), expected, atol=1e-4, rtol=1e-4)
