"""Presets against the truth: what the libraries' own models hold, measured."""

import functools
import math
import os
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import fanin
from fanin.draws import draw_distribution
from fanin.errors import FaninError
from fanin.plans.presets import find, plan_from_preset, presets
from fanin.plans.presets.records import CRITERIA
from fanin.plans.presets.table import read
from fanin.traces.torch import trace

TEXT = {"vocab_size": 256, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128,
        "max_position_embeddings": 64}  # fmt: skip


def ids() -> torch.Tensor:
    return torch.randint(3, 256, (2, 8), generator=torch.Generator().manual_seed(0))


def hf(head: str, config: str, **options):
    def build():
        transformers = pytest.importorskip("transformers")
        return getattr(transformers, head)(getattr(transformers, config)(**options)), {"input_ids": ids()}

    return build


class Defaults(nn.Module):
    """One of each of torch's layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(200, 48)
        self.conv, self.grouped = nn.Conv1d(48, 64, 3, padding=1), nn.Conv1d(64, 64, 3, padding=1, groups=4)
        self.norm, self.slope = nn.LayerNorm(64), nn.PReLU()
        self.attention = nn.MultiheadAttention(64, 4, batch_first=True)
        self.cross = nn.MultiheadAttention(64, 4, batch_first=True, kdim=48, vdim=40, add_bias_kv=True)
        self.both, self.lstm = nn.Bilinear(64, 30, 64), nn.LSTM(64, 80, batch_first=True, proj_size=60)
        self.head = nn.Linear(60, 50)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.slope(self.grouped(self.conv(self.embed(x).mT))).mT)
        h = self.attention(h, h, h, need_weights=False)[0]
        h = self.cross(h, h[..., :48], h[..., :40], need_weights=False)[0]
        return self.head(self.lstm(self.both(h, h[..., :30].contiguous()))[0])


TRUTH = {
    "gpt2": hf("GPT2LMHeadModel", "GPT2Config", vocab_size=256, n_embd=64, n_layer=3, n_head=4, n_positions=64),
    "llama": hf("LlamaForCausalLM", "LlamaConfig", **TEXT),
    "bert": hf("BertForMaskedLM", "BertConfig", **TEXT),
    "pytorch": lambda: (Defaults(), ids() % 200),
}


@functools.cache
def traced(name: str):
    torch.manual_seed(0)
    model, batch = TRUTH[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model, trace(model, batch)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTH)
def test_a_preset_draws_what_the_library_draws(name: str) -> None:
    """Every weight: the library's own deviation and mean, within five standard errors of both draws."""
    model, watched = traced(name)
    plan = plan_from_preset(watched, find(name))
    stored = dict(model.named_parameters())
    assert set(plan.entries) == {s.name for s in watched.slots}, plan.notes
    wrong = []
    for key, entry in plan.entries.items():
        theirs = stored[key].detach().double()
        ours = torch.from_numpy(draw_distribution(entry.distribution, tuple(theirs.shape), seed=1, name=key)).double()
        a, b = float(theirs.square().mean().sqrt()), float(ours.square().mean().sqrt())
        if abs(a - b) > 5 * max(a, b) / math.sqrt(theirs.numel()) + 1e-9:
            wrong.append(f"{key}: {a:.4g} stored, {b:.4g} from {entry.reason}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_gpt2s_residual_scaling_is_really_there() -> None:
    """transformers did not apply it until 2026 (transformers#47458): both sides are measured, and they are 1/√6 of the rest."""
    model, watched = traced("gpt2")
    plan = plan_from_preset(watched, find("gpt2"))
    for key in ("transformer.h.1.attn.c_proj.weight", "transformer.h.1.mlp.c_proj.weight"):
        assert plan.entries[key].distribution.std == pytest.approx(0.02 / math.sqrt(6))  # type: ignore[attr-defined]
        assert float(model.get_parameter(key).std()) == pytest.approx(0.02 / math.sqrt(6), rel=0.05)


@pytest.mark.slow
def test_flax_and_keras_have_these_defaults() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    jax, keras = pytest.importorskip("jax"), pytest.importorskip("keras")
    linear = pytest.importorskip("flax.nnx.nn.linear")
    model = nn.Sequential(
        nn.Embedding(200, 48), nn.Linear(48, 300), nn.Unflatten(-1, (3, 10, 10)), nn.Flatten(0, 1), nn.Conv2d(3, 40, 5)
    )
    watched = trace(model, ids() % 200)
    laws = {name: plan_from_preset(watched, find(name)).entries for name in ("flax", "keras", "tensorflow")}

    def built(layer, shape: tuple[int | None, ...]):
        layer.build(shape)
        return layer

    def ours(name: str, key: str, shape: tuple[int, ...]) -> float:
        return float(draw_distribution(laws[name][key].distribution, shape, seed=0, name=key).std())

    key = jax.random.key(0)
    theirs = {
        ("flax", "1.weight"): linear.default_kernel_init(key, (48, 300)),
        ("flax", "0.weight"): linear.default_embed_init(key, (200, 48)),
        ("keras", "1.weight"): built(keras.layers.Dense(300), (None, 48)).kernel,
        ("keras", "0.weight"): built(keras.layers.Embedding(200, 48), (None, 8)).embeddings,
        ("keras", "4.weight"): built(keras.layers.Conv2D(40, 5), (None, 10, 10, 3)).kernel,
    }
    shapes = {"0.weight": (200, 48), "1.weight": (300, 48), "4.weight": (40, 3, 5, 5)}
    for (name, weight), drawn in theirs.items():
        shape = shapes[weight]
        wanted = float(np.asarray(keras.ops.convert_to_numpy(drawn) if name == "keras" else drawn).std())
        assert ours(name, weight, shape) == pytest.approx(wanted, rel=0.03), (name, weight)
    assert {k: e.distribution for k, e in laws["tensorflow"].items()} == {
        k: e.distribution for k, e in laws["keras"].items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("preset", presets(), ids=lambda p: p.name)
def test_every_preset_serves_models_of_other_kinds(preset) -> None:
    """A preset is for any traced model: nothing is refused, and what it says nothing of is noted."""
    for name in TRUTH:
        _, watched = traced(name)
        if preset.name == "t-fixup" and not watched.residuals:  # its embeddings depend on the number of layers
            with pytest.raises(FaninError, match="give layers="):
                plan_from_preset(watched, preset)
            continue
        plan = plan_from_preset(watched, preset)
        noted = " ".join(plan.notes)
        left = [s.name for s in watched.slots if s.name not in plan.entries]
        assert not left or "keep" in noted or "taken out" in noted
        assert len(plan.entries) > len(watched.slots) / 3


class Translator(nn.Module):
    """Four layers of an encoder, two of a decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(30, 32), nn.Linear(32, 30)
        self.both = nn.Transformer(32, 4, 4, 2, 64, batch_first=True)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.head(self.both(self.embed(source), self.embed(target)))


def test_encoder_and_decoder_get_numbers_of_their_own() -> None:
    """N = 4 and M = 2 come from the graph; the papers' tables say what follows."""
    watched = trace(Translator(), (torch.randint(0, 30, (2, 7)), torch.randint(0, 30, (2, 5))))

    def gain(preset: str, name: str) -> float:
        law = plan_from_preset(watched, find(preset)).entries[name].distribution
        out, in_ = watched.slot(name).shape
        return law.std / math.sqrt(2 / (out + in_))

    first, last = "both.encoder.layers.0.linear1.weight", "both.decoder.layers.1.linear2.weight"
    cross = "both.decoder.layers.0.multihead_attn.out_proj.weight"
    assert gain("deepnorm", first) == pytest.approx(0.87 * (4**4 * 2) ** (-1 / 16))
    assert gain("deepnorm", last) == gain("deepnorm", cross) == pytest.approx((12 * 2) ** -0.25)
    skips = {need.where: need.value for need in plan_from_preset(watched, find("deepnorm")).architecture}
    assert skips["both.encoder.layers.3.dropout2"] == pytest.approx(0.81 * (4**4 * 2) ** (1 / 16))
    assert skips["both.decoder.layers.0.dropout2"] == pytest.approx((3 * 2) ** 0.25)
    assert gain("subln", first) == pytest.approx(math.sqrt(math.log(6) * math.log(8) / 3))
    assert gain("subln", last) == pytest.approx(math.sqrt(math.log(6)))
    assert gain("t-fixup", first) == pytest.approx(0.67 * 4**-0.25)
    assert gain("t-fixup", last) == pytest.approx((9 * 2) ** -0.25)
    table = plan_from_preset(watched, find("t-fixup")).entries["embed.weight"].distribution
    assert table.std == pytest.approx((9 * 2) ** -0.25 / math.sqrt(32))  # the decoder's factor, with its depth
    deviation = plan_from_preset(watched, find("olmo")).entries[last].distribution.std
    assert deviation == pytest.approx(1 / math.sqrt(64 * 2 * 2))  # layer 1, the second one
    assert plan_from_preset(watched, find("neox")).entries[last].distribution.std == pytest.approx(2 / (2 * 32**0.5))


def test_every_preset_says_what_it_is() -> None:
    for preset in presets():
        assert preset.title, preset.name
        assert preset.source, preset.name
        assert preset.assumes, preset.name
        assert preset.verified, preset.name
        assert preset.recipes, preset.name
    assert {"pytorch", "keras", "flax", "tensorflow", "gpt2", "llama", "olmo", "megatron", "neox", "deepnorm", "t-fixup",
            "vit-timm", "vit-jax", "vit-moco", "mamba", "mup", "fixup", "rezero", "torchtitan"} <= {p.name for p in presets()}  # fmt: skip
    assert set(CRITERIA) >= {key for p in presets() for r in p.recipes for key in (*r.words, *r.flags)}


class Mlp(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))


def test_by_name_with_numbers_and_as_one_rule() -> None:
    model, x = Mlp(), torch.randn(8, 16)
    assert fanin.plan(model, x, rules="gpt2(std=0.5)").entries["0.weight"].distribution.std == 0.5
    assert fanin.plan(model, x, rules=find("gpt2", std=0.5)) == fanin.plan(model, x, rules="gpt2(std=0.5)")
    assert fanin.plan(model, x, rules="he_uniform").entries == fanin.plan(model, x, rules={"*": "he_uniform"}).entries
    assert fanin.plan(model, x, rules="deepnorm()").entries == fanin.plan(model, x, rules={"*": "deepnorm()"}).entries


@pytest.mark.parametrize(("rules", "message"), [
    ("gpt3", r"neither a preset nor a rule; did you mean 'gpt2'\?"),
    ("gpt2(sd=1)", "has no parameter sd; it takes std"),
    ("gpt2(std=)", "does not parse"),
    ("gpt2(1)", "does not parse"),
    ("gpt2(std='a')", "must be a finite number"),
    ("llama(std=__import__('os'))", "does not parse"),
    (3, "rules=3 cannot be used"),
])  # fmt: skip
def test_what_cannot_be_used_is_named(rules, message: str) -> None:
    with pytest.raises(FaninError, match=message):
        fanin.plan(Mlp(), torch.randn(8, 16), rules=rules)


@pytest.mark.parametrize(("text", "message"), [
    ("title = ", "is not TOML"),
    ('title = "t"', "lacks"),
    ('title = "t"\nsource = "s"\nassumes = "a"\nverified = "v"\n[[weights]]\nrole = "weight"', "not one of rule and keep"),
    ('title = "t"\nsource = "s"\nassumes = "a"\nverified = "v"\n[[weights]]\nrolle = "weight"\nrule = "zeros"', "unknown .'rolle'."),
])  # fmt: skip
def test_a_file_that_does_not_keep_to_the_schema(text: str, message: str) -> None:
    with pytest.raises(FaninError, match=message):
        read("mine", text)
