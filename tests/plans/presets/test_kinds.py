"""Every preset on models of many kinds: it makes a plan, and what it does not know of keeps its values."""

import functools
import math
import warnings

import numpy as np
import pytest
import torch
from tests.plans.presets.nets import ids as tokens
from torch import Tensor, nn

import fanin
from fanin.draws import draw_distribution
from fanin.plans import Plan
from fanin.plans.presets import find, plan_from_preset, presets
from fanin.traces.records import Trace
from fanin.traces.torch import trace

TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
MAMBA = {"vocab_size": 50, "hidden_size": 32, "state_size": 8, "num_hidden_layers": 2}


class Scaled(nn.Module):
    """A branch that ends in LayerScale, one that ends in ReZero's scalar, and scales that end none."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(20, 64), nn.Parameter(torch.zeros(1, 10, 64))
        self.gamma, self.alpha = nn.Parameter(torch.full((64,), 1e-5)), nn.Parameter(torch.zeros(1))
        self.first, self.second, self.slope = nn.Linear(64, 64), nn.Linear(64, 64), nn.PReLU()
        self.norm, self.head, self.temperature = nn.LayerNorm(64), nn.Linear(64, 20), nn.Parameter(torch.tensor(2.66))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids) + self.position
        x = x + self.gamma * self.first(torch.relu(x))
        x = x + self.alpha * self.second(self.slope(x))
        return self.temperature * self.head(self.norm(x))


class Crossed(nn.Module):
    """Fused attention whose projections are separate, with biases of keys and values, beside a bilinear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(64, 4, batch_first=True, kdim=48, vdim=80, add_bias_kv=True)
        self.both, self.head = nn.Bilinear(64, 48, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        q, k = x[..., :64], x[..., :48]
        return self.head(self.attend(q, k, x, need_weights=False)[0] + self.both(q.contiguous(), k.contiguous()))


class Remembers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(16, 64, batch_first=True), nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0])


def hf(head: str, config: str, **options):
    transformers = pytest.importorskip("transformers")
    return getattr(transformers, head)(getattr(transformers, config)(**options))


def clip():
    text = {"vocab_size": 50, "max_position_embeddings": 10, "eos_token_id": 49, **TOWER}
    vision = {"image_size": 8, "patch_size": 4, **TOWER}
    model = hf("CLIPModel", "CLIPConfig", text_config=text, vision_config=vision, projection_dim=12)
    return model, {"input_ids": tokens(), "pixel_values": torch.randn(4, 3, 8, 8)}


KINDS = {
    "clip": clip,
    "mamba": lambda: (hf("MambaModel", "MambaConfig", **MAMBA), {"input_ids": tokens()}),
    "mamba-2": lambda: (
        hf("Mamba2Model", "Mamba2Config", **MAMBA, num_heads=4, head_dim=16, n_groups=1, chunk_size=5),
        {"input_ids": tokens()},
    ),
    "transformer": lambda: (nn.Transformer(16, 2, 2, 2, 32, batch_first=True), (torch.randn(2, 5, 16), torch.randn(2, 4, 16))),
    "scaled": lambda: (Scaled(), tokens()),
    "crossed": lambda: (Crossed(), torch.randn(2, 7, 80)),
    "lstm": lambda: (Remembers(), torch.randn(2, 3, 16)),
}  # fmt: skip


@functools.cache
def traced(kind: str) -> Trace:
    torch.manual_seed(0)
    model, batch = KINDS[kind]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return trace(model, batch)


def drawn(plan: Plan, watched: Trace, name: str) -> np.ndarray:
    shape = next(slot.shape for slot in watched.slots if slot.name == name)
    return draw_distribution(plan.entries[name].distribution, shape, seed=0, name=name, dtype="float64")


ADDED = {"rezero": {"alpha": 0.0}, "skipinit": {"alpha": 0.0}, "fixup": {"alpha": 1.0}, "layerscale": {"gamma": 0.1}}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_preset_plans_a_model_of_every_kind(kind: str) -> None:
    """None is refused; scales that a recipe is not about and biases that make step sizes are left alone, if it does not name them."""
    watched = traced(kind)
    roles = {slot.name: slot.role for slot in watched.slots}
    steps = {name for name in roles if name.endswith(("dt_bias", "dt_proj.bias"))}
    for preset in presets():
        plan = plan_from_preset(watched, preset)
        if preset.name not in ("mamba", "pytorch"):
            scales = {name for name, role in roles.items() if role == "scale" and name in plan.entries}
            assert scales == (set(ADDED.get(preset.name, {})) if kind == "scaled" else set()), preset.name
        if preset.name != "mamba":
            assert not steps & set(plan.entries), preset.name
        for name in plan.entries:
            size = math.sqrt(np.square(drawn(plan, watched, name)).mean())
            assert math.isfinite(size), (preset.name, name)
            named = preset.name == "mamba" and (name in steps or name.endswith("A_log"))  # logarithms, not sizes
            assert named or size <= 1.5, (preset.name, name)  # N(0, 1) is the largest law of any preset


@pytest.mark.slow
@pytest.mark.parametrize("preset", ADDED)
def test_scales_that_a_recipe_is_about_end_a_branch_and_have_its_size(preset: str) -> None:
    """ReZero's α = 0 with LayerScale at 0 on one branch would never move: both gradients are zero."""
    plan = plan_from_preset(traced("scaled"), find(preset))
    assert {name: float(plan.entries[name].distribution.value) for name in ADDED[preset]} == ADDED[preset]  # type: ignore[attr-defined]
    assert {"gamma", "alpha", "slope.weight", "temperature"} & set(plan.entries) == set(ADDED[preset])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "bias", "shape"), [
    ("mamba", "layers.1.mixer.dt_proj.bias", (64, 8)),
    ("mamba-2", "layers.1.mixer.dt_bias", (4,)),
])  # fmt: skip
def test_mambas_own_preset_draws_steps_and_decays(kind: str, bias: str, shape: tuple[int, ...]) -> None:
    """state-spaces/mamba: softplus of the bias from .001 to .1; decays 1 … N a channel, or U(1, 16) a head (mamba2.py)."""
    watched = traced(kind)
    plan = plan_from_preset(watched, find("mamba"))
    assert set(plan.entries) == {slot.name for slot in watched.slots}
    step = np.logaddexp(0.0, drawn(plan, watched, bias))
    assert 0.00099 < step.min() < step.max() < 0.101
    decays = np.exp(np.stack([
        draw_distribution(plan.entries["layers.1.mixer.A_log"].distribution, shape, seed=seed, name="A_log", dtype="float64")
        for seed in range(300)
    ]))  # fmt: skip
    if kind == "mamba":
        assert decays == pytest.approx(np.broadcast_to(np.arange(1.0, 9.0), decays.shape))
    else:
        assert 1 <= decays.min() < 1.2
        assert 15.8 < decays.max() <= 16
        assert decays.mean() == pytest.approx(8.5, abs=6 * 15 / math.sqrt(12 * decays.size))


@pytest.mark.slow
def test_a_class_token_without_an_axis_of_positions() -> None:
    plan = plan_from_preset(traced("clip"), find("he"))
    token = drawn(plan, traced("clip"), "vision_model.embeddings.class_embedding")
    assert token.shape == (16,)
    assert 0.005 < token.std() < 0.04


@pytest.mark.parametrize(("preset", "rate"), [("mup", 1.0), ("mup-sgd", 2.0)])
def test_mup_gives_positions_the_rate_of_other_vectors(preset: str, rate: float) -> None:
    """Input-like weights and vectors: lr for Adam, m lr for SGD (Yang et al. 2022, table 3; mup's MuSGD)."""
    plan = fanin.plan(Scaled(), tokens(), rules=f"{preset}(base_width=32)")
    rates = {name: plan.entries[name].lr_scale for name in ("position", "first.bias", "norm.weight", "embed.weight")}
    assert set(rates.values()) == {rate}


def test_mup_knows_recurrent_weights_and_u_mup_asks_for_their_factors() -> None:
    """From state to state a weight is hidden, also in the first layer."""
    plan = fanin.plan(Remembers(), torch.randn(2, 3, 16), rules="mup(base_width=32)")
    assert plan.entries["lstm.weight_hh_l0"].lr_scale == 0.5
    assert plan.entries["lstm.weight_ih_l0"].lr_scale == 1.0
    for preset in ("umup", "ntk"):
        needs = fanin.plan(Remembers(), torch.randn(2, 3, 16), rules=preset).architecture
        assert {need.where: need.value for need in needs}["lstm.weight_hh_l0"] == pytest.approx(1 / 8)


def test_u_mup_and_ntk_draw_positions_as_they_draw_embeddings() -> None:
    for preset, rate in (("umup", 1 / 8), ("ntk", 1.0)):
        plan = fanin.plan(Scaled(), tokens(), rules=preset)
        assert plan.entries["position"].distribution == plan.entries["embed.weight"].distribution
        assert plan.entries["position"].lr_scale == plan.entries["embed.weight"].lr_scale == pytest.approx(rate)


class Text(nn.Module):
    """Tokens and positions from two tables, a norm, one branch."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(20, 64), nn.Embedding(10, 64)
        self.branch, self.head = nn.Linear(64, 64), nn.Linear(64, 20)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        return self.head(x + self.branch(torch.relu(x)))


def test_t_fixup_requires_the_factor_on_tokens_and_not_on_positions() -> None:
    """fairseq: embed_scale · embed_tokens(…) + embed_positions(…)."""
    plan = fanin.plan(Text(), tokens(), rules="t-fixup")
    assert [(need.kind, need.where, need.value) for need in plan.architecture] == [("op_scale", "words.weight", 8.0)]
    assert plan.entries["places.weight"].distribution.std == 1 / 8  # type: ignore[attr-defined]


class Patches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 64, 4, stride=4), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.patches(x).flatten(2).mean(-1))


@pytest.mark.parametrize(("mode", "patches", "head"), [
    ("timm", 48**-0.5, 0.0), ("moco", 48**-0.5, 0.0), ("jax", 0.0, 0.0), ("reset", 48**-0.5, 64**-0.5),
])  # fmt: skip
def test_biases_in_timms_four_modes(mode: str, patches: float, head: float) -> None:
    """timm's functions for "timm" and "moco" set nn.Linear alone; "reset" calls every layer's reset_parameters."""
    entries = fanin.plan(Patches(), torch.randn(2, 3, 8, 8), rules=f"vit-{mode}").entries
    for name, bound in (("patches.bias", patches), ("head.bias", head)):
        law = entries[name].distribution
        assert getattr(law, "bound", getattr(law, "value", None)) == pytest.approx(bound)
