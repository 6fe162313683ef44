"""Whole models of Flax NNX, drawn anew: the right fans by kind of module, measured; whole or not at all."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.test_jax_face import HIDDEN, run

jax = pytest.importorskip("jax", reason="needs jax")
nnx = pytest.importorskip("flax.nnx", reason="needs flax")
import jax.numpy as jnp  # noqa: E402

import fanin  # noqa: E402
import fanin.jax as face  # noqa: E402
from fanin import rules  # noqa: E402
from fanin.distributions import Constant, Integers, Normal, Stack  # noqa: E402
from fanin.errors import FaninError, FaninTypeError, FaninValueError  # noqa: E402
from fanin.plans import Entry, Plan  # noqa: E402
from fanin.plans.jax.flax_slots import model_slots  # noqa: E402


def rngs() -> Any:
    return nnx.Rngs(0)


def state(model: Any) -> dict[str, np.ndarray]:
    return {".".join(map(str, p)): np.asarray(v.get_value()) for p, v in nnx.to_flat_state(nnx.state(model, nnx.Param))}


def noise(*shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(7), shape)


@nnx.vmap(in_axes=(0,), out_axes=0)
def stacked(rngs: Any) -> Any:
    return nnx.Linear(256, 300, rngs=rngs)


@nnx.vmap(in_axes=(0, 0), out_axes=0)
def forward(model: Any, x: Any) -> Any:
    return model(x)


# Layers with inputs of second moment 1; with a variance of 1 / fan_in the outputs have it, too. What zero padding reaches is
# cut off.
LAYERS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "linear": (lambda: nnx.Linear(256, 512, rngs=rngs()), lambda m: m(noise(256, 256))),
    "conv": (
        lambda: nnx.Conv(48, 96, (3, 3), padding="VALID", rngs=rngs()),
        lambda m: m(noise(4, 10, 10, 48)),
    ),
    "conv grouped": (
        lambda: nnx.Conv(64, 128, (3, 3), feature_group_count=4, padding="VALID", rngs=rngs()),
        lambda m: m(noise(4, 10, 10, 64)),
    ),
    "conv depthwise": (
        lambda: nnx.Conv(512, 1024, (5, 5), feature_group_count=512, padding="VALID", rngs=rngs()),
        lambda m: m(noise(4, 9, 9, 512)),
    ),
    "conv strided": (
        lambda: nnx.Conv(48, 96, (4, 4), strides=2, padding="VALID", rngs=rngs()),
        lambda m: m(noise(4, 18, 18, 48)),
    ),
    "conv of one dimension, inputs dilated": (
        lambda: nnx.Conv(96, 128, (6,), input_dilation=3, padding=[(0, 0)], rngs=rngs()),
        lambda m: m(noise(16, 64, 96))[:, 5:-5],
    ),
    "conv transposed": (
        lambda: nnx.ConvTranspose(32, 96, (4, 4), strides=(2, 2), padding="VALID", rngs=rngs()),
        lambda m: m(noise(4, 12, 12, 32))[:, 2:-2, 2:-2],
    ),
    "conv transposed, kernel of the forward one": (
        lambda: nnx.ConvTranspose(32, 96, (4, 4), strides=2, padding="VALID", transpose_kernel=True, rngs=rngs()),
        lambda m: m(noise(4, 12, 12, 32))[:, 2:-2, 2:-2],
    ),
    "einsum, heads": (
        lambda: nnx.Einsum("BTD,NDH->BTNH", (8, 128, 64), rngs=rngs()),
        lambda m: m(noise(8, 32, 128)),
    ),
    "einsum, out of heads": (
        lambda: nnx.Einsum("BTNH,NHD->BTD", (8, 32, 256), rngs=rngs()),
        lambda m: m(noise(8, 32, 8, 32)),
    ),
    "einsum, experts": (
        lambda: nnx.Einsum("ETD,EDF->ETF", (4, 128, 256), rngs=rngs()),
        lambda m: m(noise(4, 64, 128)),
    ),
    "general linear": (
        lambda: nnx.LinearGeneral((8, 32), (16, 32), axis=(-2, -1), rngs=rngs()),
        lambda m: m(noise(128, 8, 32)),
    ),
    "general linear with a batch": (
        lambda: nnx.LinearGeneral(128, 256, axis=-1, batch_axis={0: 4}, rngs=rngs()),
        lambda m: m(noise(4, 64, 128)),
    ),
    "query of an attention": (
        lambda: nnx.MultiHeadAttention(8, 256, 512, decode=False, rngs=rngs()),
        lambda m: m.query(noise(128, 256)),
    ),
    "value and out of an attention": (
        lambda: nnx.MultiHeadAttention(8, 256, 512, decode=False, rngs=rngs()),
        lambda m: m.out(m.value(noise(128, 256))),
    ),
    "layers stacked by vmap": (lambda: stacked(nnx.Rngs(0).split(3)), lambda m: forward(m, noise(3, 64, 256))),
    "input of a fused cell": (
        lambda: nnx.OptimizedLSTMCell(256, 128, rngs=rngs()),
        lambda m: m.dense_i(noise(128, 256)),
    ),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_variance_of_one_over_fan_in_keeps_the_second_moment(layer: str) -> None:
    make, call = LAYERS[layer]
    model = face.init_(make(), {"*": "normal_fan"}, seed=3)
    found = float((call(model) ** 2).mean())
    assert abs(found - 1) < 0.03, found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("linear", (256, 256)),
        ("einsum, heads", (8, 32, 128)),
        ("general linear", (128, 8, 32)),
        ("conv grouped", (4, 16, 16, 64)),
        ("conv strided", (4, 20, 20, 48)),
        ("conv transposed", (4, 12, 12, 32)),
    ],
)
def test_one_over_fan_out_keeps_that_of_the_gradient(layer: str, shape: tuple[int, ...]) -> None:
    """Also where a convolution has strides or a transposed one several taps."""
    model = face.init_(LAYERS[layer][0](), {"*": "normal_fan(mode='fan_out')"}, seed=3)
    graph, params = nnx.split(model)
    out, back = jax.vjp(lambda x: nnx.merge(graph, params)(x), noise(*shape))
    (gradient,) = back(jax.random.normal(jax.random.key(9), out.shape))
    if layer in ("conv grouped", "conv strided"):  # near the border an input reaches fewer outputs
        gradient = gradient[:, 4:-4, 4:-4]
    assert abs(float((gradient**2).mean()) - 1) < 0.04


class Block(nnx.Module):
    def __init__(self, rngs: Any, width: int = 32) -> None:
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(4, width, decode=False, rngs=rngs)
        self.up = nnx.Linear(width, 2 * width, rngs=rngs)
        self.down = nnx.Linear(2 * width, width, rngs=rngs)
        self.slope = nnx.PReLU()


class Net(nnx.Module):
    """Blocks in a list, an embedding that is used twice, a batch norm, a cell."""

    def __init__(self, rngs: Any) -> None:
        self.embed = nnx.Embed(50, 32, rngs=rngs)
        self.blocks = nnx.List([Block(rngs), Block(rngs)])
        self.norm = nnx.BatchNorm(32, rngs=rngs)
        self.rnn = nnx.RNN(nnx.GRUCell(32, 16, rngs=rngs))
        self.table = self.embed.embedding


def own(*shape: int) -> Any:
    class Own(nnx.Module):
        def __init__(self) -> None:
            self.inner = nnx.Linear(3, 4, rngs=rngs())
            self.w = nnx.Param(jnp.zeros(shape))

    return Own()


class TestPlan:
    def test_every_parameter_has_a_slot_and_ties_are_one(self) -> None:
        slots = {slot.name: slot for slot in model_slots(Net(rngs()))}
        assert set(slots) == set(state(Net(rngs())))
        assert slots["embed.embedding"].names == ("embed.embedding", "table")
        assert slots["blocks.1.attention.out.kernel"].axes.spec == "iio"
        assert slots["rnn.cell.dense_i.kernel"].axes.spec == "i(s3o16)"
        assert (slots["rnn.cell.dense_h.kernel"].role, slots["rnn.cell.dense_h.kernel"].hidden) == ("recurrent", 16)
        assert slots["blocks.0.up.bias"].weight == "blocks.0.up.kernel"
        assert slots["blocks.0.slope.negative_slope"].role == "scale"

    def test_rules_by_pattern_and_by_class(self) -> None:
        made = face.plan(
            Net(rngs()),
            {
                "*": "he_normal",
                nnx.LinearGeneral: rules.orthogonal(),
                "*.down.kernel": rules.zeros(),
                "embed.*": Normal(0.5),
            },
        )
        assert made.entries["blocks.0.down.kernel"].distribution == Constant(0.0)
        assert made.entries["embed.embedding"].distribution == Normal(0.5)
        assert "orthogonal" in made.entries["blocks.0.attention.key.kernel"].reason
        assert made.entries["norm.scale"].distribution == Constant(1.0)
        assert made.entries["norm.bias"].distribution == Constant(0.0)
        assert "blocks.0.slope.negative_slope" not in made.entries

    def test_adapters_and_parametrisations_are_noted(self) -> None:
        class Two(nnx.Module):
            def __init__(self) -> None:
                self.adapted = nnx.LoRALinear(8, 8, lora_rank=2, rngs=rngs())
                self.normed = nnx.WeightNorm(nnx.Linear(8, 8, rngs=rngs()), rngs=rngs())

        model = Two()
        made = face.plan(model, "he_normal")
        assert list(made.entries) == [
            "adapted.kernel", "adapted.bias", "normed.layer_instance.kernel", "normed.layer_instance.bias",
        ]  # fmt: skip
        assert any("lora_a" in note for note in made.notes)
        assert any("WeightNorm" in note for note in made.notes)
        x, before = noise(3, 8), np.asarray(model.adapted.lora(noise(3, 8)))
        face.init_(model, made)
        assert np.array_equal(model.adapted.lora(x), before)

    def test_parameters_of_ones_own(self) -> None:
        with pytest.raises(FaninValueError, match=r"w of shape \(4, 6\) in Own"):
            face.plan(own(4, 6), "he_normal")
        made = face.plan(own(4, 6), {"*": "he_normal"}, axes={"w": "oi"})
        assert math.isclose(made.entries["w"].distribution.std, math.sqrt(2 / 6))
        assert face.plan(own(4, 6), {"*": "he_normal", "w": Normal(0.1)}).entries["w"].distribution == Normal(0.1)
        assert "w" not in face.plan(own(6), "he_normal").entries  # a vector that nothing is known of keeps its values

    BAD = (
        (lambda: face.plan(np.zeros(3), "he_normal"), "give a flax.nnx.Module"),
        (lambda: face.plan(Net(rngs()), {"*.kernle": "he_normal"}), "matches no weight"),
        (lambda: face.plan(Net(rngs()), "he_norml"), "did you mean"),
        (lambda: face.plan(Net(rngs()), 3), "accepted are a rule"),
        (lambda: face.plan(Net(rngs()), {"*": "dirac"}), "dirac"),
        (lambda: face.plan(Net(rngs()), "he_normal", axes="io"), "give a mapping"),
        (lambda: face.plan(Net(rngs()), "he_normal", axes={"nothing": "io"}), "matches no parameter"),
        (lambda: face.plan(own(4, 6), "he_normal", axes={"w": "kio"}), "names 3 axes"),
        (lambda: face.plan(nnx.Dropout(0.5), "he_normal"), "no parameters"),
        (lambda: face.init_(nnx.Linear(3, 5, rngs=rngs()), face.plan(Net(rngs()), "he_normal")), "no such parameter"),
        (
            lambda: face.init_(nnx.Linear(3, 5, rngs=rngs()), face.plan(nnx.Linear(3, 4, rngs=rngs()), "zeros")),
            "its shape",
        ),
        (lambda: face.init_(nnx.Linear(3, 5, rngs=rngs()), "he_normal", seed=-1), "seed"),
        (lambda: face.plan(Net(rngs()), "deepnorm"), "deepnorm cannot tell how many layers .* give layers="),
        (lambda: face.plan(Net(rngs()), "t_fixup()"), "t_fixup cannot tell how many layers .* give layers="),
    )

    @pytest.mark.parametrize(("call", "message"), BAD)
    def test_bad_arguments_get_one_clear_sentence(self, call: Any, message: str) -> None:
        with pytest.raises(FaninError, match=message):
            call()


class TestInit:
    def test_the_numbers_are_those_of_the_path(self) -> None:
        model = face.init_(Net(rngs()), {"*": "xavier_uniform"}, seed=2**40)
        for name, axes in (
            ("embed.embedding", "vo"),
            ("blocks.1.up.kernel", "io"),
            ("blocks.0.attention.query.kernel", "ioo"),
        ):
            found = state(model)[name]
            wanted = fanin.draw(rules.xavier_uniform(), found.shape, seed=2**40, name=name, axes=axes)
            assert found.tobytes() == wanted.tobytes()
        assert model.table is model.embed.embedding
        assert not state(model)["blocks.0.up.bias"].any()
        assert (state(model)["norm.scale"] == 1).all()

    def test_each_gate_is_orthogonal(self) -> None:
        model = face.init_(nnx.OptimizedLSTMCell(32, 32, rngs=rngs()), {"*": "orthogonal"}, seed=0)
        for gate in np.split(state(model)["dense_h.kernel"], 4, axis=1):
            assert np.allclose(gate.T @ gate, np.eye(32), atol=1e-5)

    def test_nothing_is_changed_where_anything_is_wrong(self) -> None:
        model = own(4, 6)
        before = state(model)
        with pytest.raises(FaninValueError, match="what the axes of these weights mean"):
            face.init_(model, "he_normal")
        half = nnx.Linear(4, 4, param_dtype=jnp.float16, rngs=rngs())
        old = state(half)
        with pytest.raises(FaninValueError, match="too large for float16"):
            face.init_(half, {"kernel": Normal(1.0), "bias": Constant(1e6)})
        for name, value in state(model).items():
            assert np.array_equal(value, before[name])
        assert np.array_equal(old["kernel"], state(half)["kernel"])

    def test_whole_numbers_times_a_number_are_rounded_once(self) -> None:
        model = nnx.Linear(30, 40, param_dtype=jnp.bfloat16, rngs=rngs())
        with pytest.raises(FaninValueError, match="whole numbers up to 3000, but bfloat16 holds those up to 256"):
            face.init_(model, Plan({"kernel": Entry(Integers(0, 3001))}))
        face.init_(model, Plan({"kernel": Entry(Integers(0, 3001), multiplier=0.1)}))
        wanted = fanin.draw(Integers(0, 3001), (30, 40), seed=0, name="kernel") * np.float32(0.1)
        assert np.array_equal(state(model)["kernel"], np.asarray(jnp.asarray(wanted).astype(jnp.bfloat16)))

    def test_what_the_architecture_must_have_is_asked_for(self) -> None:
        model = nnx.Linear(16, 16, rngs=rngs())
        before, made = state(model), face.plan(model, {"*": "ntk"})
        with pytest.raises(FaninValueError, match="it requires a factor of 0.25 on the product with 'kernel'"):
            face.init_(model, made)
        assert np.array_equal(state(model)["kernel"], before["kernel"])
        face.init_(model, dataclasses.replace(made, architecture=()))
        assert abs(float(model.kernel[...].std()) - 1) < 0.2

    def test_dtype_and_what_is_no_parameter_stay(self) -> None:
        model = nnx.BatchNorm(4, param_dtype=jnp.bfloat16, rngs=rngs())
        model.mean[...] = jnp.full(4, 3.0)
        face.init_(model, {"*": "normal(std=1.0)", "scale": Normal(0.1), "bias": Normal(0.1)})
        assert model.scale.get_value().dtype == jnp.bfloat16
        assert model.scale[...].any()
        assert (model.mean[...] == 3).all()

    def test_an_abstract_model_gets_values(self) -> None:
        model = nnx.eval_shape(lambda: nnx.Linear(6, 4, rngs=rngs()))
        face.init_(model, "he_normal", seed=1)
        wanted = face.init_(nnx.Linear(6, 4, rngs=rngs()), "he_normal", seed=1)
        assert np.array_equal(model.kernel[...], wanted.kernel[...])

    def test_under_jit(self) -> None:
        made = nnx.jit(lambda: face.init_(Block(rngs()), "he_normal", seed=5))()
        wanted = state(face.init_(Block(rngs()), "he_normal", seed=5))
        for name, value in state(made).items():
            assert np.array_equal(value, wanted[name]), name

    def test_a_plan_is_applied_saved_and_read(self, tmp_path: Path) -> None:
        made = face.plan(Net(rngs()), {"*": "orthogonal"}, seed=3)
        made.save(tmp_path / "plan.json")
        a, b = made.apply(Net(rngs())), Plan.load(tmp_path / "plan.json").apply(Net(nnx.Rngs(1)))
        c = state(b)
        for name, value in state(a).items():
            if name in made.entries:
                assert np.array_equal(value, c[name]), name

    def test_a_plan_holds_its_seed(self) -> None:
        made = face.plan(nnx.Linear(6, 4, rngs=rngs()), "he_normal", seed=3)
        a, b = (face.init_(nnx.Linear(6, 4, rngs=rngs()), *given) for given in ((made,), ("he_normal",)))
        c = face.init_(nnx.Linear(6, 4, rngs=rngs()), "he_normal", seed=3)
        assert np.array_equal(a.kernel[...], c.kernel[...])
        assert not np.array_equal(a.kernel[...], b.kernel[...])
        with pytest.raises(FaninTypeError):
            face.init_([1], made)


class TestInitializersInLayers:
    """`kernel_init=` and `bias_init=`."""

    def test_nnx(self) -> None:
        r = rngs()
        given = {"kernel_init": face.he_normal(), "bias_init": face.constant(0.25)}
        layers = {
            "linear": (nnx.Linear(200, 300, rngs=r, **given), 200),
            "conv": (nnx.Conv(20, 64, (3, 3), rngs=r, **given), 180),
            "einsum": (nnx.Einsum("BTD,NDH->BTNH", (8, 64, 32), rngs=r, kernel_init=face.he_normal(axes="oio")), 64),
            "cell": (nnx.SimpleCell(100, 120, rngs=r, kernel_init=face.he_normal()).dense_i, 100),
            "attention": (nnx.MultiHeadAttention(4, 128, decode=False, rngs=r, **given).query, 128),
        }
        for name, (layer, fan) in layers.items():
            assert abs(float(layer.kernel[...].std()) * math.sqrt(fan / 2) - 1) < 0.04, name
        assert (layers["linear"][0].bias[...] == 0.25).all()
        first, second = nnx.Linear(9, 9, rngs=r, **given), nnx.Linear(9, 9, rngs=r, **given)
        assert not np.array_equal(first.kernel[...], second.kernel[...])

    def test_nnx_under_jit_and_vmap(self) -> None:
        def make(rngs: Any) -> Any:
            return nnx.Linear(12, 9, kernel_init=face.orthogonal(), bias_init=face.zeros(), rngs=rngs)

        plain, jitted = make(nnx.Rngs(0)), nnx.jit(make)(nnx.Rngs(0))
        assert np.allclose(plain.kernel[...], jitted.kernel[...], atol=1e-6)
        many = nnx.vmap(make, in_axes=(0,), out_axes=0)(nnx.Rngs(0).split(3))
        for q in np.asarray(many.kernel[...]):
            assert np.allclose(q.T @ q, np.eye(9), atol=1e-5)
        assert not np.allclose(many.kernel[0], many.kernel[1])
        assert nnx.eval_shape(lambda: make(nnx.Rngs(0))).kernel.get_value().shape == (12, 9)

    def test_a_named_key_in_rngs(self) -> None:
        layer = nnx.Linear(9, 9, kernel_init=face.he_normal(), rngs=nnx.Rngs(params=face.key(0, "net")))
        assert layer.kernel[...].any()

    def test_linen(self) -> None:
        import flax.linen as nn

        class Small(nn.Module):
            @nn.compact
            def __call__(self, x: Any) -> Any:
                x = nn.Conv(64, (3, 3), kernel_init=face.he_normal(), bias_init=face.constant(0.25))(x)
                x = nn.Dense(300, kernel_init=face.xavier_uniform(), name="head")(x)
                return nn.MultiHeadDotProductAttention(4, kernel_init=face.orthogonal())(x)

        x = jnp.ones((1, 4, 4, 20))
        made = Small().init(jax.random.key(0), x)["params"]
        assert abs(float(made["Conv_0"]["kernel"].std()) * math.sqrt(180 / 2) - 1) < 0.03
        assert (made["Conv_0"]["bias"] == 0.25).all()
        assert abs(float(made["head"]["kernel"].std()) * math.sqrt(364 / 2) - 1) < 0.03
        jitted = jax.jit(Small().init)(jax.random.key(0), x)["params"]
        assert np.array_equal(made["head"]["kernel"], jitted["head"]["kernel"])


EIGHT = """
import jax, numpy as np
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import fanin.jax as face

mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto, AxisType.Auto))
wrong = []
for rule in ("he_normal", "orthogonal"):
    model, plain = (nnx.MultiHeadAttention(4, 16, decode=False, rngs=nnx.Rngs(0)) for _ in range(2))
    places = {"kernel": NamedSharding(mesh, P("a", "b")), "bias": NamedSharding(mesh, P())}
    for path, param in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        param.set_value(jax.device_put(param.get_value(), places[path[-1]]))
    nnx.update(model, nnx.from_flat_state(nnx.to_flat_state(nnx.state(model, nnx.Param))))
    face.init_(model, rule, seed=3)
    face.init_(plain, rule, seed=3)
    for (path, a), (_, b) in zip(*(nnx.to_flat_state(nnx.state(m, nnx.Param)) for m in (model, plain))):
        a, b = a.get_value(), b.get_value()
        if not a.sharding.is_equivalent_to(places[path[-1]], a.ndim) or not np.allclose(a, b, rtol=0, atol=1e-6):
            wrong.append((rule, path, str(a.sharding)))
print(wrong)
"""


@pytest.mark.slow
def test_parameters_keep_their_sharding() -> None:
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    assert run(EIGHT, **environment).strip() == "[]"


def test_groups_of_a_convolution_are_no_projections() -> None:
    """`qkv_blocks` took each of 768 groups for a projection of its own, and XLA a minute to compile them."""
    slot = model_slots(nnx.Conv(6, 6, (3, 3), feature_group_count=6, rngs=rngs()))[0]
    assert (slot.parts, slot.axes.size("stack") if slot.axes else 0) == ("groups", 6)
    law = rules.qkv_blocks()(slot)
    assert isinstance(law, Stack)
    assert (law.sizes, law.axis) == ((6,), 3)
    with pytest.raises(FaninValueError):
        rules.experts()(slot)


def test_the_main_door_says_where_flax_models_go() -> None:
    with pytest.raises(FaninTypeError, match=r"no pass of this model is watched; fanin\.jax\.plan\(model, rules\)"):
        fanin.plan(nnx.Linear(3, 4, rngs=rngs()), noise(2, 3), rules="gpt2")


class Tied(nnx.Module):
    """An embedding and a reader that share their numbers."""

    def __init__(self, reader_first: bool) -> None:
        embed = nnx.Embed(50, 32, rngs=rngs())
        reader = nnx.Linear(50, 32, use_bias=False, rngs=rngs())
        reader.kernel = embed.embedding
        if reader_first:
            self.reader, self.embed = reader, embed
        else:
            self.embed, self.reader = embed, reader


@pytest.mark.parametrize("reader_first", [False, True])
def test_of_tied_weights_the_embedding_says_what_they_mean(reader_first: bool) -> None:
    (slot,) = model_slots(Tied(reader_first))
    assert (slot.role, slot.axes.spec, slot.module, slot.module_type) == ("embedding", "vo", "embed", "Embed")
    assert sorted(slot.names) == ["embed.embedding", "reader.kernel"]
    drawn = face.init_(Tied(reader_first), "lecun_normal", seed=0).embed.embedding[...]
    assert float(drawn.std()) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("dtype", ["int8", "complex64"])
def test_weights_that_are_no_real_numbers(dtype: str) -> None:
    """As in PyTorch: refused, the biases beside them, too; a plan alone notes that they are left."""
    net = nnx.Linear(8, 8, rngs=rngs())
    net.kernel.set_value(jnp.ones((8, 8), dtype))
    net.bias.set_value(jnp.ones(8))
    kind = "integer" if dtype == "int8" else "complex"
    with pytest.raises(FaninValueError, match=rf"nothing was changed:\s+kernel is {kind} \({dtype}\); only real float"):
        face.init_(net, "he_normal", seed=0)
    assert bool((net.bias[...] == 1).all())
    assert any(f"kernel keeps its values: the type is {dtype}" in note for note in face.plan(net, "he_normal").notes)
    face.init_(net, {"bias": "constant(0.5)"})
    assert bool((net.bias[...] == 0.5).all())


def test_a_key_is_the_seed_of_its_two_words() -> None:
    drawn = [
        face.init_(nnx.Linear(8, 8, rngs=rngs()), "he_normal", seed=seed).kernel[...]
        for seed in (5, jax.random.key(5), jax.random.PRNGKey(5), face.key(5))
    ]
    assert all(bool((w == drawn[0]).all()) for w in drawn)
    large = face.plan(nnx.Linear(8, 8, rngs=rngs()), "he_normal", seed=face.key(2**40 + 3))
    assert large.seed == 2**40 + 3
    wrong = (jax.random.split(jax.random.key(0)), jnp.ones(2), jnp.int32(3), "x", -1, 1.5)
    for seed in wrong:
        with pytest.raises(FaninError, match=r"cannot be used"):
            face.init_(nnx.Linear(8, 8, rngs=rngs()), "he_normal", seed=seed)
    with pytest.raises(FaninTypeError, match="seed is a key that `jit` traces"):
        jax.jit(lambda key: face.plan(nnx.Linear(8, 8, rngs=rngs()), "he_normal", seed=key) and 0)(jax.random.key(0))


def test_a_model_of_norms_alone() -> None:
    norm = nnx.LayerNorm(6, rngs=rngs())
    norm.scale.set_value(jnp.full(6, 3.0))
    norm.bias.set_value(jnp.full(6, 3.0))
    face.init_(norm, "he_normal")
    assert bool((norm.scale[...] == 1).all())
    assert bool((norm.bias[...] == 0).all())


def test_a_model_is_drawn_where_torch_is_not_installed() -> None:
    code = HIDDEN.replace('"flax", ', "") + (
        "import sys, jax, numpy, fanin, fanin.jax as f\n"
        "from flax import nnx\n"
        "net = f.init_(nnx.Linear(8, 6, rngs=nnx.Rngs(0)), 'he_normal', seed=3)\n"
        "same = fanin.draw(fanin.rules.he_normal(), (8, 6), seed=3, name='kernel', axes='io')\n"
        "print(numpy.array_equal(net.kernel[...], same), 'torch' in sys.modules)"
    )
    assert run(code).strip() == "True False"
