"""Edits of Flax NNX and Keras models: put in by path, refused where they cannot be, and then a plan that requires them applies."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.keras_backend import keras

import fanin.jax
import fanin.keras
from fanin.errors import FaninTypeError, FaninValueError
from fanin.rules.requirement import Requirement

FIXUP = "fixup(per_branch=2, last=False, head=False)"
SPEC = "reshaped(tanh, scale=0.5, shift=0.0, gain=2.0, offset=0.1)"
X = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float32)


class Block(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.up, self.norm = nnx.Linear(16, 16, rngs=rngs), nnx.LayerNorm(16, rngs=rngs)
        self.down = nnx.Linear(16, 16, rngs=rngs)

    def __call__(self, x):
        return x + self.down(nnx.relu(self.norm(self.up(x))))


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.blocks, self.head = nnx.List([Block(rngs) for _ in range(3)]), nnx.Linear(16, 4, rngs=rngs)
        self.table = nnx.Embed(7, 16, rngs=rngs)

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def flax_net() -> Net:
    return Net(nnx.Rngs(0))


def keras_net() -> keras.Model:
    x = start = keras.Input((16,))
    for k in range(3):
        h = keras.layers.Dense(16, name=f"up{k}")(x)
        h = keras.layers.LayerNormalization(name=f"norm{k}")(h)
        x = keras.layers.Add()([x, keras.layers.Dense(16, name=f"down{k}")(keras.layers.ReLU()(h))])
    return keras.Model(start, keras.layers.Dense(4, name="head")(x))


CASES = {
    "flax": (fanin.jax, flax_net, "blocks.*.down", lambda m: m.head, "blocks.0.down"),
    "keras": (fanin.keras, keras_net, "down*", lambda m: m.get_layer("head"), "down0"),
}


BRANCHES = {"flax": [("blocks.*.up", "blocks.*.down")], "keras": [("up*", "down*")]}
LAST = {"flax": "blocks.{}.down", "keras": "down{}"}


def layers_of(name: str, model, k: int):
    """The layers of one branch: up, norm, down."""
    if name == "flax":
        return model.blocks[k].up, model.blocks[k].norm, model.blocks[k].down
    return tuple(model.get_layer(f"{part}{k}") for part in ("up", "norm", "down"))


def relu(value):
    return np.maximum(numbers(value), 0)


def numbers(value) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(value))


def paths(face, model) -> list[str]:
    return [slot.name for slot in face.slots(model)]


@pytest.mark.parametrize("name", CASES)
def test_rezeros_scalars_make_the_net_its_head(name: str) -> None:
    face, make, branches, head, first = CASES[name]
    model = make()
    before = paths(face, model)
    assert face.edit(model, [Requirement("branch_scalar", branches, 0.0)]) is model
    assert np.array_equal(numbers(model(X)), numbers(head(model)(X)))
    assert set(before) < set(paths(face, model))
    assert f"{first}.fanin_scale" in paths(face, model)
    face.edit(model, [Requirement("branch_scalar", branches, 0.0)])  # is there already
    assert len(paths(face, model)) == len(before) + 3
    face.init_(model, "rezero", seed=1)
    assert np.array_equal(numbers(model(X)), numbers(head(model)(X)))


@pytest.mark.parametrize("name", CASES)
def test_a_plan_that_requires_something_applies_after_the_edit_alone(name: str) -> None:
    face, make, *_ = CASES[name]
    model = make()
    plan = face.plan(model, FIXUP, branches=BRANCHES[name])
    old = numbers(model(X))
    with pytest.raises(
        FaninValueError, match=rf"no norm at .* \(and 2 more alike\); fanin.{'jax' if name == 'flax' else name}.edit"
    ):
        face.init_(model, plan)
    assert np.array_equal(numbers(model(X)), old)
    face.init_(face.edit(model, plan), plan)
    other = make()
    face.init_(other, plan.trust())  # what the model's own code does
    assert not np.allclose(numbers(model(X)), numbers(other(X)))  # its norms are still there


@pytest.mark.parametrize("name", CASES)
def test_factors_scalar_biases_and_vectors(name: str) -> None:
    face, make, _, _, first = CASES[name]
    plain, model = make(), make()
    kernel = f"{first}.kernel"
    if name == "keras":
        model.set_weights(plain.get_weights())
    layer, twin = (m.blocks[0].down if name == "flax" else m.get_layer("down0") for m in (model, plain))
    face.edit(model, [Requirement("op_scale", kernel, 0.25)])
    assert numbers(layer(X)) == pytest.approx(0.25 * numbers(twin(X)), abs=1e-6)  # its bias is zero
    face.edit(model, [Requirement("scalar_biases", kernel), Requirement("branch_vector", first, 2.0)])
    assert numbers(layer(X)) == pytest.approx(0.5 * numbers(twin(X)), abs=1e-6)
    shapes = {slot.name: slot.shape for slot in face.slots(model)}
    assert shapes[f"{first}.fanin_scale"] == (16,)
    assert shapes[f"{first}.fanin_bias_in"] == shapes[f"{first}.fanin_bias_out"] == ()


REFUSED = [
    (Requirement("branch_scalar", "nowhere"), "the model has no module 'nowhere'"),
    (Requirement("skip_weight", "{last}", 2.0), "which module of the branch takes the stream"),
    (Requirement("activation", "{last}.kernel", 1.0, SPEC), "Reshaped.parse"),
    (Requirement("branch_norm", "{norm}.scale"), "only dense layers are normed before"),
    (Requirement("op_scale", "{norm}.scale", 2.0), "does more with this weight than multiply by it"),
    (Requirement("branch_vector", "norm0"), "how many features|another scale"),  # norms of Flax say how many they have
]


@pytest.mark.parametrize(
    ("name", "need", "message"),
    [*(("flax", *refused) for refused in REFUSED[:-1]), *(("keras", *refused) for refused in REFUSED)],
)
def test_what_cannot_be_put_in(name: str, need: Requirement, message: str) -> None:
    face, make, branches, *_ = CASES[name]
    model = make()
    norm = "blocks.0.norm" if name == "flax" else "norm0"
    need = replace(need, where=need.where.format(norm=norm, last=LAST[name].format(0)))
    before = paths(face, model)
    with pytest.raises(FaninValueError, match=message):
        face.edit(model, [Requirement("branch_scalar", branches, 0.0), need])
    assert paths(face, model) == before


@pytest.mark.parametrize("face", [fanin.jax, fanin.keras])
def test_what_is_no_model_or_no_requirement(face) -> None:
    with pytest.raises(FaninTypeError, match="model=int cannot be used"):
        face.edit(3, [])
    with pytest.raises(FaninTypeError, match="give a plan, or requirements"):
        face.edit(flax_net() if face is fanin.jax else keras_net(), ["no_norm"])


def test_an_edited_flax_model_splits_merges_and_learns() -> None:
    model = fanin.jax.edit(flax_net(), [Requirement("branch_scalar", "blocks.*.down", 0.0)])
    merged = nnx.merge(*nnx.split(model))
    assert jnp.array_equal(merged(X), model(X))
    assert type(merged.blocks[0].down).__name__ == "Linear"
    assert nnx.graphdef(model) == nnx.graphdef(
        fanin.jax.edit(flax_net(), [Requirement("branch_scalar", "blocks.*.down")])
    )
    slopes = nnx.jit(nnx.grad(lambda m: (m(X) ** 2).mean()))(model)
    assert float(abs(jax.tree.leaves(slopes["blocks"][0]["down"]["fanin_scale"])[0])) > 0


def test_rows_of_a_flax_table_are_multiplied() -> None:
    model = flax_net()
    rows = model.table(jnp.arange(3))
    fanin.jax.edit(model, [Requirement("op_scale", "table.embedding", 3.0)])
    assert jnp.allclose(model.table(jnp.arange(3)), 3 * rows)


def test_an_edited_keras_model_trains_and_its_weights_go_out_and_in(tmp_path) -> None:
    needs = [
        *(Requirement("no_norm", f"norm{k}") for k in range(3)),
        Requirement("branch_scalar", "down*", 0.0),
        Requirement("scalar_biases", "up*.kernel"),
    ]
    model = fanin.keras.edit(keras_net(), needs)
    model.compile("sgd", "mse")
    model.fit(X, np.ones((5, 4)), epochs=2, verbose=0)
    assert float(numbers(model.get_layer("down0").fanin_scale)) != 0
    assert not model.get_layer("norm0").trainable_variables
    model.save_weights(tmp_path / "w.weights.h5")
    other = fanin.keras.edit(keras_net(), needs)
    other.load_weights(tmp_path / "w.weights.h5")
    assert np.allclose(numbers(other(X)), numbers(model(X)), atol=1e-6)


def test_a_keras_model_that_is_not_built() -> None:
    model = keras.Sequential([keras.layers.Dense(3, name="d")])
    with pytest.raises(FaninValueError, match="build the model first"):
        fanin.keras.edit(model, [Requirement("branch_scalar", "d")])


# -- where branches end: told, or required of each ---------------------------------------------------------------------

OF_BRANCHES = {
    "rezero": "a trainable scalar on each residual branch",
    "skipinit": "a trainable scalar on each residual branch",
    "layer_scale": "a trainable number a channel on each residual branch",
    "admin": "a factor on the skip path of each residual add",
    "deepnorm(layers=4)": "a factor on the skip path of each residual add",
    "subln(layers=4)": "a norm before the last weight of each residual branch",
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("rule", OF_BRANCHES)
def test_what_a_rule_needs_of_branches_is_required_although_nobody_sees_them(name: str, rule: str) -> None:
    face, make, *_ = CASES[name]
    model = make()
    old = numbers(model(X))
    plan = face.plan(model, rule)
    assert len(plan.architecture) == 1
    with pytest.raises(
        FaninValueError, match=f"{OF_BRANCHES[rule]}: nobody sees here where residual branches end"
    ) as error:
        face.init_(model, plan)
    assert f"{face.__name__}.edit" not in str(error.value)  # a helper that would refuse
    with pytest.raises(FaninValueError, match="say it to `plan`: branches="):
        face.edit(model, plan)
    assert np.array_equal(numbers(model(X)), old)
    face.init_(model, plan.trust())
    told = face.plan(model, rule, branches=BRANCHES[name])
    assert [need.where.removesuffix(".kernel") for need in told.architecture] == [
        LAST[name].format(k) for k in range(3)
    ]
    assert face.plan(model, rule, branches=()).architecture == ()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("rule", OF_BRANCHES)
def test_told_branches_are_edited_and_the_plan_applies(name: str, rule: str) -> None:
    """By hand, from the layers' own weights: what the edited model computes is what the paper writes."""
    face, make, _, head, _ = CASES[name]
    plain, model = make(), make()
    plan = face.plan(model, rule, branches=BRANCHES[name])
    with pytest.raises(FaninValueError, match=f"{face.__name__}.edit.model, plan. makes the edit"):
        face.init_(model, plan)
    face.init_(face.edit(model, plan), plan, seed=2)
    face.init_(plain, plan.trust(), seed=2)
    h = X
    for k in range(3):
        up, norm, down = layers_of(name, plain, k)
        u, skip, factor = relu(norm(up(h))), 1.0, 1.0
        match rule.partition("(")[0]:
            case "rezero" | "skipinit":
                factor = 0.0
            case "layer_scale":
                factor = 0.1
            case "deepnorm":
                skip = 8**0.25
            case "admin":
                skip = (1 + k) ** 0.5
            case "subln":
                u = (u - u.mean(-1, keepdims=True)) / np.sqrt(u.var(-1, keepdims=True) + 1e-5)
        h = skip * h + factor * numbers(down(u))
    assert numbers(model(X)) == pytest.approx(numbers(head(plain)(h.astype(np.float32))), rel=1e-4, abs=1e-4)
    before = paths(face, model)
    face.edit(model, plan)  # is there already
    assert paths(face, model) == before


def test_a_skip_in_a_flax_model_under_jit_and_grad_and_merged() -> None:
    plan = fanin.jax.plan(flax_net(), "admin", branches=BRANCHES["flax"])
    model, other = (fanin.jax.edit(flax_net(), plan) for _ in range(2))
    assert nnx.graphdef(model) == nnx.graphdef(other)
    assert jnp.allclose(nnx.jit(lambda m, x: m(x))(model, X), model(X), atol=1e-5)
    assert jnp.allclose(nnx.merge(*nnx.split(model))(X), model(X), atol=1e-5)
    slopes = nnx.jit(nnx.grad(lambda m: (m(X) ** 2).mean()))(model)
    assert float(abs(jax.tree.leaves(slopes["blocks"][0]["down"]["fanin_skip"])[0]).max()) > 0
    with pytest.raises(FaninValueError, match="was not preceded by a stream of the same shape"):
        model.blocks[0].down(jnp.ones((2, 16)))


def test_a_norm_over_the_heads_of_an_attention() -> None:
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, 16)), jnp.float32)

    class Attend(nnx.Module):
        def __init__(self) -> None:
            self.attn = nnx.MultiHeadAttention(4, 16, decode=False, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return x + self.attn(x)

    model = Attend()
    plan = fanin.jax.plan(model, "subln(layers=4)", branches="attn")
    assert [need.where for need in plan.architecture] == ["attn.out.kernel"]
    laws = {n: e.distribution for n, e in plan.entries.items() if n.endswith("kernel")}
    assert laws["attn.query.kernel"] == laws["attn.key.kernel"] != laws["attn.value.kernel"]
    fanin.jax.edit(model, plan)
    heads = jax.random.normal(jax.random.key(0), (2, 5, 4, 4))
    flat = heads.reshape(2, 5, 16)
    normed = (flat - flat.mean(-1, keepdims=True)) / jnp.sqrt(flat.var(-1, keepdims=True) + 1e-5)
    wanted = normed @ model.attn.out.kernel[...].reshape(16, 16) + model.attn.out.bias[...]
    assert jnp.allclose(model.attn.out(heads), wanted, atol=1e-4)
    assert model(x).shape == x.shape


def test_norms_and_skips_of_an_edited_keras_model_train_and_go_out_and_in(tmp_path) -> None:
    plan = fanin.keras.plan(keras_net(), "admin(variance=0.5)", branches=BRANCHES["keras"])
    needs = [*plan.architecture, Requirement("branch_norm", "down*.kernel")]
    model = fanin.keras.edit(keras_net(), needs)
    assert {s.role for s in fanin.keras.slots(model) if "fanin_norm" in s.name} == {"norm_scale", "norm_shift"}
    model.compile("sgd", "mse")
    model.fit(X, np.ones((5, 4)), epochs=2, verbose=0)
    assert np.ptp(numbers(model.get_layer("down1").fanin_skip)) > 0
    model.save_weights(tmp_path / "w.weights.h5")
    other = fanin.keras.edit(keras_net(), needs)
    other.load_weights(tmp_path / "w.weights.h5")
    assert np.allclose(numbers(other(X)), numbers(model(X)), atol=1e-5)


# -- activations -------------------------------------------------------------------------------------------------------

DEPTH, WIDTH = 8, 256
DKS = f"dks(depth={DEPTH}, nonlinearity='tanh')"


def flax_chain() -> nnx.Sequential:
    rngs = nnx.Rngs(0)
    return nnx.Sequential(
        *(f for _ in range(DEPTH) for f in (nnx.Linear(WIDTH, WIDTH, rngs=rngs), jnp.tanh)),
        nnx.Linear(WIDTH, WIDTH, rngs=rngs),
    )


def keras_chain(own: bool) -> keras.Model:
    layers = [keras.Input((WIDTH,))]
    for k in range(DEPTH):
        layers.append(keras.layers.Dense(WIDTH, activation="tanh" if own else None, name=f"d{k}"))
        layers += [] if own else [keras.layers.Activation("tanh", name=f"a{k}")]
    return keras.Sequential([*layers, keras.layers.Dense(WIDTH, name="head")])


CHAINS = {
    "flax": (fanin.jax, flax_chain, lambda m: m.layers, "layers.1"),
    "keras, layers with an activation": (fanin.keras, lambda: keras_chain(True), lambda m: m.layers, "d0"),
    "keras, activations as layers": (fanin.keras, lambda: keras_chain(False), lambda m: m.layers, "a0"),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("rule", [DKS, f"dks(depth={DEPTH})", f"tat(depth={DEPTH})"])
def test_reshaped_activations_keep_the_signals_size(name: str, rule: str) -> None:
    """Known are those behind layers, and that there is none behind the head; biases ask for nothing."""
    face, make, layers, first = CHAINS[name]
    model = make()
    plan = face.plan(model, rule)
    assert len(plan.architecture) == DEPTH
    assert plan.architecture[0].start == first
    with pytest.raises(FaninValueError, match=rf"\(and {DEPTH - 1} more alike\); {face.__name__}.edit"):
        face.init_(model, plan)
    face.init_(face.edit(model, plan), plan, seed=1)
    h = np.random.default_rng(1).standard_normal((64, WIDTH)).astype(np.float32)
    for layer in layers(model):
        h = layer(h)
        assert float((numbers(h) ** 2).mean()) == pytest.approx(1, abs=0.1)
    assert len(face.plan(model, rule).architecture) == DEPTH  # they are known again


def test_an_activation_that_a_flax_module_holds_is_reshaped_by_its_path() -> None:
    class Own(nnx.Module):
        def __init__(self) -> None:
            self.up, self.act = nnx.Linear(8, 8, rngs=nnx.Rngs(0)), nnx.relu

        def __call__(self, x):
            return self.act(self.up(x))

    model = Own()
    plan = fanin.jax.plan(model, DKS)
    with pytest.raises(FaninValueError, match="the model computes it in code of its own") as error:
        fanin.jax.init_(model, plan)
    assert "fanin.jax.edit" not in str(error.value)
    fanin.jax.edit(model, [replace(need, start="act") for need in plan.architecture])
    assert model.act.spec == plan.architecture[0].detail
    x = jnp.ones((2, 8))
    assert jnp.allclose(nnx.jit(lambda m: m(x))(model), model(x), atol=1e-6)


@pytest.mark.parametrize("face", [fanin.jax, fanin.keras])
def test_an_activation_that_nobody_knows_is_required_all_the_same(face) -> None:
    class Hidden(nnx.Module):
        def __init__(self) -> None:
            self.up = nnx.Linear(8, 8, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return jnp.tanh(self.up(x))

    class Layer(keras.layers.Layer):
        def build(self, shape) -> None:
            self.up = keras.layers.Dense(8)
            self.up.build(shape)

        def call(self, x):
            return keras.ops.tanh(self.up(x))

    model = Hidden() if face is fanin.jax else Layer()
    if face is fanin.keras:
        model(np.ones((1, 8), np.float32))
    plan = face.plan(model, "tat(depth=9)")
    assert [(need.kind, need.where, need.detail) for need in plan.architecture] == [("activation", "up.kernel", "")]
    with pytest.raises(FaninValueError, match="say it to the rule by nonlinearity="):
        face.init_(model, plan)


def test_one_activation_behind_layers_that_need_different_ones() -> None:
    model = nnx.Sequential(nnx.Linear(4, 4, rngs=nnx.Rngs(0)), nnx.tanh)
    needs = [Requirement("activation", "layers.1", detail=SPEC.replace("0.5", scale)) for scale in ("0.5", "0.6")]
    with pytest.raises(FaninValueError, match="stands behind several layers, which need different activations"):
        fanin.jax.edit(model, needs)


def test_a_reshaped_activation_stays_in_a_keras_configuration() -> None:
    model = keras_chain(True)
    fanin.keras.edit(model, fanin.keras.plan(model, DKS))
    again = keras.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    x = np.ones((2, WIDTH), np.float32)
    assert np.allclose(numbers(again(x)), numbers(model(x)), atol=1e-6)


def test_what_a_helper_can_make_and_what_it_cannot_are_told_apart() -> None:
    model = flax_net()
    plan = fanin.jax.plan(model, {"*": FIXUP})
    with pytest.raises(FaninValueError, match="nobody sees here where") as error:
        fanin.jax.init_(model, plan)
    assert "fanin.jax.edit(model, plan.trust('scalar_biases')) makes the edit" in str(error.value)
    rest = plan.trust("scalar_biases")
    fanin.jax.init_(fanin.jax.edit(model, rest), rest)
