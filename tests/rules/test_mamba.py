"""Mamba's parameters, on bare weights and on the layers of `transformers`."""

import numpy as np
import pytest
import torch

import fanin
from fanin import rules
from fanin.draws import draw
from fanin.errors import FaninValueError
from fanin.slots import Slot


def drawn(rule, shape, axes="o"):
    return draw(rule, shape, seed=0, name="w", dtype="float64", axes=axes)


def test_steps_are_log_uniform_behind_softplus():
    steps = np.sort(np.logaddexp(0.0, drawn(rules.mamba_dt_bias(0.002, 0.5), (3000,))))
    uniform = (np.log(steps) - np.log(0.002)) / np.log(250)
    assert uniform[0] >= -1e-9
    assert uniform[-1] <= 1 + 1e-9
    assert np.abs(uniform - (np.arange(3000) + 0.5) / 3000).max() < 2.23 / np.sqrt(3000)


def test_steps_below_the_floor_are_raised_to_it():
    steps = np.logaddexp(0.0, drawn(rules.mamba_dt_bias(1e-6, 1e-2, floor=1e-4), (2000,)))
    assert steps.min() == pytest.approx(1e-4, rel=1e-9)
    assert np.mean(steps < 1.0001e-4) == pytest.approx(0.5, abs=0.05)


def test_single_precision_is_enough_for_the_smallest_steps():
    bias = draw(rules.mamba_dt_bias(), (2000,), seed=0, name="w").astype(np.float64)
    exact = drawn(rules.mamba_dt_bias(), (2000,))
    assert np.abs(np.logaddexp(0.0, bias) / np.logaddexp(0.0, exact) - 1).max() < 1e-4


@pytest.mark.parametrize("rank", [4, 16, 64])
def test_what_is_added_to_the_bias_does_not_grow_with_the_rank(rank):
    w = drawn(rules.mamba_dt_weight(), (4000, rank), "oi")
    y = w @ np.random.default_rng(0).standard_normal((rank, 8))
    assert np.mean(y**2) == pytest.approx(1 / 3, rel=0.5 if rank == 4 else 0.3)
    assert np.mean(w**2) * rank == pytest.approx(1 / 3, rel=0.03)


def test_a_state_of_each_decay():
    assert np.exp(drawn(rules.mamba_a_log(), (3, 16), "oi")) == pytest.approx(np.tile(np.arange(1.0, 17.0), (3, 1)))
    decays = np.exp(drawn(rules.mamba_a_log(heads=True), (2000,)))
    assert 1 <= decays.min() < 1.1
    assert 15.9 < decays.max() <= 16
    assert decays.mean() == pytest.approx(8.5, abs=0.4)


def test_bad_input():
    with pytest.raises(FaninValueError, match=r"dt_min=1.0 is above dt_max=0.1"):
        rules.mamba_dt_bias(1.0, 0.1)(Slot("b", (3,), "float32", "bias"))
    with pytest.raises(FaninValueError, match="low=20.0 is above high=16.0"):
        rules.mamba_a_log(heads=True, low=20)(Slot("b", (3,), "float32", "scale"))
    with pytest.raises(FaninValueError, match="has no axes"):
        rules.mamba_a_log()(Slot("b", (), "float32", "scale"))
    with pytest.raises(FaninValueError, match="dt_min"):
        rules.mamba_dt_bias(dt_min=0.0)
    with pytest.raises(FaninValueError, match="mode"):
        rules.mamba_dt_weight(mode="zeros")


RULES = {
    "*.A_log": rules.mamba_a_log(),
    "*.D": rules.ones(),
    "*.dt_proj.weight": rules.mamba_dt_weight(),
    "*.dt_proj.bias": rules.mamba_dt_bias(),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("blanket", [{}, {"*": "normal(std=0.02)"}])
def test_the_rules_reach_the_parameters_of_transformers_by_name(blanket):
    """Also beside a blanket rule, which in several libraries has undone the step sizes."""
    transformers = pytest.importorskip("transformers")
    config = transformers.MambaConfig(vocab_size=50, hidden_size=32, state_size=8, num_hidden_layers=2)
    model = transformers.MambaForCausalLM(config)
    ids = torch.randint(0, 50, (2, 6), generator=torch.Generator().manual_seed(0))
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    fanin.plan(model, ids, rules={**blanket, **RULES}).apply(model, seed=0)
    for layer in model.backbone.layers:
        mixer = layer.mixer
        assert torch.allclose(mixer.A_log.exp(), torch.arange(1.0, 9.0).expand(64, 8))
        assert (mixer.D == 1).all()
        steps = torch.nn.functional.softplus(mixer.dt_proj.bias)
        assert steps.min() > 0.00099
        assert steps.max() < 0.101
        assert mixer.dt_proj.weight.abs().max() <= 2**-0.5  # rank 32 / 16
        kept = 7.0 if not blanket else 0.0
        assert (mixer.conv1d.bias == kept).all()


@pytest.mark.filterwarnings("ignore")
def test_and_those_of_mamba_2():
    transformers = pytest.importorskip("transformers")
    config = transformers.Mamba2Config(
        vocab_size=50,
        hidden_size=32,
        state_size=8,
        num_hidden_layers=1,
        num_heads=8,
        head_dim=8,
        n_groups=1,
        chunk_size=4,
    )
    model = transformers.Mamba2ForCausalLM(config)
    ids = torch.randint(0, 50, (2, 8), generator=torch.Generator().manual_seed(0))
    given = {"*.A_log": rules.mamba_a_log(heads=True), "*.D": "ones", "*.dt_bias": rules.mamba_dt_bias()}
    fanin.plan(model, ids, rules=given).apply(model, seed=0)
    mixer = model.backbone.layers[0].mixer
    assert 1 <= mixer.A_log.exp().min() < mixer.A_log.exp().max() <= 16
    assert torch.nn.functional.softplus(mixer.dt_bias).max() < 0.101
