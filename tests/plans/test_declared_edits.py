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

FIXUP = "fixup(branches=3, per_branch=2, last=False, head=False)"
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
    plan = face.plan(model, FIXUP)
    old = numbers(model(X))
    with pytest.raises(
        FaninValueError, match=rf"no norm at .* \(and 2 more alike\); fanin.{'jax' if name == 'flax' else name}.edit"
    ):
        face.init_(model, plan)
    assert np.array_equal(numbers(model(X)), old)
    face.init_(face.edit(model, plan), plan)
    other = make()
    face.init_(other, plan.trust("no_norm"))  # what the model's own code does
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
    (Requirement("skip_weight", "x"), "put in by hand here"),
    (Requirement("op_scale", "{norm}.scale", 2.0), "does more with this weight than multiply by it"),
    (Requirement("branch_vector", "norm0"), "how many features|another scale"),  # norms of Flax say how many they have
]


@pytest.mark.parametrize(
    ("name", "need", "message"),
    [*(("flax", *refused) for refused in REFUSED[:3]), *(("keras", *refused) for refused in REFUSED)],
)
def test_what_cannot_be_put_in(name: str, need: Requirement, message: str) -> None:
    face, make, branches, *_ = CASES[name]
    model = make()
    need = replace(need, where=need.where.format(norm="blocks.0.norm" if name == "flax" else "norm0"))
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
