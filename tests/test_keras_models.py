"""Whole Keras models: slots with paths of the model's own, one rule for all weights, whole or not at all; real layers measured."""

import itertools
from typing import Any

import numpy as np
import pytest
from tests.keras_backend import again, array, keras, others
from tests.keras_layers import KINDS, gain

import fanin.keras as face
from fanin import rules
from fanin.distributions import Constant, Formula, Integers, Mapped, Normal
from fanin.draws import draw, draw_distribution
from fanin.errors import FaninTypeError, FaninValueError
from fanin.fingerprints import verify
from fanin.plans import Entry, Plan

layers = keras.layers


@pytest.mark.slow
@pytest.mark.parametrize("backend", others())
def test_the_other_backend(backend: str) -> None:
    again(__file__, backend)


class Block(keras.Layer):
    """A layer of a user's, with layers in attributes, a list and a dict, and without names."""

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attend = layers.MultiHeadAttention(2, 4)
        self.mix = [layers.Dense(2 * width, activation="gelu"), layers.Dense(width)]
        self.norms = {"before": layers.LayerNormalization(), "after": layers.LayerNormalization(name="final")}

    def call(self, x: Any) -> Any:
        h = self.norms["before"](x)
        x = x + self.attend(h, h)
        return self.norms["after"](x + self.mix[1](self.mix[0](x)))


class Net(keras.Model):
    """A subclassed model that Keras builds by looking at it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = layers.Embedding(11, 8)
        self.blocks = [Block(8) for _ in range(2)]
        self.read = layers.Bidirectional(layers.LSTM(4))
        self.head = layers.Dense(3, name="head")

    def call(self, x: Any) -> Any:
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.read(x))


def subclassed() -> Any:
    net = Net()
    net(np.zeros((1, 5), "int32"))
    return net


def functional() -> Any:
    x = keras.Input((8, 8, 6))
    y = layers.Conv2D(8, 3, groups=2, name="stem")(x)
    y = layers.BatchNormalization()(y)
    y = layers.SeparableConv2D(8, 3)(layers.PReLU()(y))
    y = layers.Conv2DTranspose(4, 2, strides=2)(y)
    y = layers.Reshape((16, 16))(y)
    y = layers.GRU(8)(keras.Sequential([layers.Dense(8), layers.Dense(8)], name="inner")(y))
    return keras.Model(x, layers.Dense(2)(layers.Dense(8)(y)))


def weights(model: Any) -> dict[str, Any]:
    slots = face.slots(model)
    from fanin.plans.keras.paths import find_weights

    return {slot.name: place.variable for slot, place in zip(slots, find_weights(model), strict=True)}


class TestSlots:
    def test_paths_are_the_models_own_however_often_it_is_built(self) -> None:
        for make in (subclassed, functional):
            assert [s.name for s in face.slots(make())] == [s.name for s in face.slots(make())]

    def test_of_a_functional_model(self) -> None:
        found = {s.name: s.axes.spec if s.axes else s.role for s in face.slots(functional())}
        assert found == {
            "stem.kernel": "kki(s2o4)", "stem.bias": "bias",
            "batch_normalization.gamma": "norm_scale", "batch_normalization.beta": "norm_shift",
            "p_re_lu.alpha": "scale",
            "separable_conv2d.depthwise_kernel": "kkso", "separable_conv2d.pointwise_kernel": "kkio",
            "separable_conv2d.bias": "bias",
            "conv2d_transpose.kernel": "kkoi", "conv2d_transpose.bias": "bias",
            "inner.dense.kernel": "io", "inner.dense.bias": "bias",
            "inner.dense_1.kernel": "io", "inner.dense_1.bias": "bias",
            "gru.cell.kernel": "i(s3o8)", "gru.cell.recurrent_kernel": "i(s3o8)", "gru.cell.bias": "bias",
            "dense.kernel": "io", "dense.bias": "bias", "dense_1.kernel": "io", "dense_1.bias": "bias",
        }  # fmt: skip

    def test_of_a_subclassed_model(self) -> None:
        found = {s.name: s for s in face.slots(subclassed())}
        assert [n for n in found if n.endswith("kernel")] == [
            *(
                f"blocks.{k}.{name}.kernel"
                for k in range(2)
                for name in (
                    "attend.query", "attend.key", "attend.value", "attend.attention_output", "mix.0", "mix.1"
                )
            ),
            *(
                f"read.{way}_layer.cell.{name}"
                for way in ("forward", "backward")
                for name in ("kernel", "recurrent_kernel")
            ),
            "head.kernel",
        ]  # fmt: skip
        assert found["embed.embeddings"].role == "embedding"
        assert found["blocks.0.attend.query.kernel"].axes.spec == "ioo"
        assert found["blocks.0.attend.attention_output.kernel"].axes.spec == "iio"
        assert found["blocks.1.attend.query.bias"].role == "bias"
        assert str(found["blocks.0.mix.0.kernel"].activation) == "gelu"
        assert {"blocks.0.norms.before.gamma", "blocks.0.final.gamma"} <= set(found)
        recurrent = found["read.forward_layer.cell.recurrent_kernel"]
        assert (recurrent.role, recurrent.parts, recurrent.hidden) == ("recurrent", "lstm", 4)

    def test_a_layer_at_two_places_is_one(self) -> None:
        shared, x = layers.Dense(4), keras.Input((4,))
        inner = keras.Sequential([shared])
        found = face.slots(keras.Model(x, inner(shared(x))))
        assert (found[0].name, found[0].names) == (
            "dense.kernel", ("dense.kernel", "sequential.dense.kernel"),
        )  # fmt: skip
        assert len(found) == 2

    def test_bad_models(self) -> None:
        with pytest.raises(FaninTypeError, match="model=int"):
            face.slots(3)
        with pytest.raises(FaninValueError, match="has no weights yet; build the model first"):
            face.slots(keras.Sequential([layers.Dense(3)]))
        with pytest.raises(FaninValueError, match="embed.* has no weights yet"):
            face.slots(Net())


class TestInit:
    @pytest.mark.parametrize("make", [subclassed, functional])
    @pytest.mark.parametrize("rule", ["he_normal", "orthogonal"])
    def test_the_numbers_of_every_other_framework(self, make: Any, rule: str) -> None:
        model = face.init_(make(), rule, seed=3)
        found = weights(model)
        for slot in face.slots(model):
            if slot.role in ("weight", "recurrent", "embedding"):
                law = rules.parse(rule)(slot)
                assert np.array_equal(
                    array(found[slot.name]), draw_distribution(law, slot.shape, seed=3, name=slot.name)
                )
            elif slot.role != "scale" and "cell.bias" not in slot.name:
                assert (array(found[slot.name]) == (slot.role == "norm_scale")).all(), slot.name

    def test_a_plan_applies_itself(self) -> None:
        plan = face.plan(functional(), "he_normal", seed=3)
        model = functional()
        assert plan.apply(model) is model
        wanted = weights(face.init_(functional(), "he_normal", seed=3))
        assert all(np.array_equal(array(v), array(wanted[n])) for n, v in weights(model).items())
        assert verify(model, plan).same
        assert not verify(plan.apply(model, seed=4), plan).same

    @pytest.mark.parametrize("make", [subclassed, functional])
    def test_two_builds_in_one_process_get_equal_numbers(self, make: Any) -> None:
        first, second, other = (weights(face.init_(make(), "he_normal", seed=s)) for s in (5, 5, 6))
        assert list(first) == list(second)
        assert all(np.array_equal(array(first[n]), array(second[n])) for n in first)
        assert not np.array_equal(array(first[next(iter(first))]), array(other[next(iter(other))]))

    def test_layers_of_one_shape_differ(self) -> None:
        found = weights(face.init_(subclassed(), "he_normal", seed=0))
        same = [array(w) for n, w in found.items() if w.shape == (8, 2, 4)]
        assert len(same) == 6
        assert all(not np.array_equal(a, b) for a, b in itertools.combinations(same, 2))

    def test_the_forget_gate_as_keras_has_it_unless_a_rule_says_otherwise(self) -> None:
        name, model = "read.forward_layer.cell.bias", subclassed()
        gates = array(weights(face.init_(model, "he_normal"))[name]).reshape(4, 4)
        assert (gates == [[0], [1], [0], [0]]).all()
        gates = array(weights(face.init_(model, {"*": "he_normal", "*.bias": "constant(0.5)"}))[name])
        assert (gates == 0.5).all()
        plain = keras.Sequential([keras.Input((3, 4)), layers.LSTM(4, unit_forget_bias=False)])
        assert not array(weights(face.init_(plain, "he_normal"))["lstm.cell.bias"]).any()

    def test_rules_by_pattern_and_by_class(self) -> None:
        model = subclassed()
        before = array(model.embed.embeddings)
        face.init_(model, {"blocks.*": "orthogonal", layers.EinsumDense: "zeros", "head.kernel": Normal(3.0)}, seed=1)
        found = {name: array(w) for name, w in weights(model).items()}
        assert not found["blocks.0.attend.query.kernel"].any()
        assert np.allclose(found["blocks.1.mix.0.kernel"] @ found["blocks.1.mix.0.kernel"].T, np.eye(8), atol=1e-5)
        assert np.array_equal(found["head.kernel"], draw(Normal(3.0), (8, 3), seed=1, name="head.kernel"))
        assert np.array_equal(found["embed.embeddings"], before)

    def test_statistics_and_frozen_weights(self) -> None:
        model = functional()
        norm = next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization))
        norm.moving_mean.assign(np.full(8, 2.0, "float32"))
        norm.trainable = False
        face.init_(model, {"*": "he_normal", "batch_normalization.gamma": "constant(0.25)"})
        assert (array(norm.moving_mean) == 2).all()
        assert (array(norm.gamma) == 0.25).all()
        assert not next(s for s in face.slots(model) if s.name == "batch_normalization.gamma").trainable

    def test_a_low_rank_adapter_keeps_its_product_of_zero(self) -> None:
        model = keras.Sequential([keras.Input((8,)), layers.Dense(6)])
        model.layers[0].enable_lora(2)
        made = face.plan(model, "he_normal")
        assert list(made.entries) == ["dense.kernel", "dense.bias"]
        assert "adapters beside dense.kernel" in made.notes[0]

    def test_a_saved_plan_and_other_precision(self) -> None:
        def make(dtype: str) -> Any:
            return keras.Sequential([keras.Input((16,)), layers.Dense(8, dtype=dtype), layers.Dense(4, dtype=dtype)])

        made = face.plan(make("float32"), "orthogonal", seed=9)
        read = Plan.from_dict(made.to_dict())
        exact, low = (weights(face.init_(make(t), read))["dense.kernel"] for t in ("float32", "bfloat16"))
        assert keras.backend.standardize_dtype(low.dtype) == "bfloat16"
        rounded = keras.ops.cast(keras.ops.cast(exact.value, "bfloat16"), "float32")
        assert np.array_equal(array(rounded), array(keras.ops.cast(low.value, "float32")))

    def test_whole_numbers_in_a_type_that_does_not_hold_them(self) -> None:
        """They are refused; times a number they are rounded once."""
        model = keras.Sequential([keras.Input((30,)), layers.Dense(40, dtype="bfloat16", name="d")])
        before = array(keras.ops.cast(weights(model)["d.kernel"].value, "float32"))
        with pytest.raises(FaninValueError, match="whole numbers up to 3000, but bfloat16 holds those up to 256"):
            face.init_(model, Plan({"d.kernel": Entry(Integers(0, 3001))}))
        assert np.array_equal(before, array(keras.ops.cast(weights(model)["d.kernel"].value, "float32")))
        face.init_(model, Plan({"d.kernel": Entry(Integers(0, 3001), multiplier=0.1)}))
        wanted = draw_distribution(Integers(0, 3001), (30, 40), seed=0, name="d.kernel") * np.float32(0.1)
        found = keras.ops.cast(weights(model)["d.kernel"].value, "float32")
        assert np.array_equal(array(found), array(keras.ops.cast(keras.ops.cast(wanted, "bfloat16"), "float32")))

    def test_laws_that_numpy_computes(self) -> None:
        """Exact values and maps of draws have no program of their own on a backend."""
        from fanin.formulas import FORMULAS, MAPPINGS, formula, mapping

        @formula
        def places_for_keras(places: Any, shape: Any, axes: Any) -> Any:
            return places[0] * 10.0 + places[1]

        @mapping
        def cube_for_keras(numbers: Any) -> Any:
            return numbers**3

        try:
            for law in (Formula("places_for_keras", gain=0.5), Mapped(Normal(1.0), "cube_for_keras")):
                model = keras.Sequential([keras.Input((6,)), layers.Dense(4)])
                face.init_(model, {"*.kernel": law}, seed=2)
                wanted = draw_distribution(law, (6, 4), seed=2, name="dense.kernel")
                assert wanted.any()
                assert np.array_equal(array(model.layers[0].kernel), wanted)
                assert np.array_equal(array(face.Drawn(law, seed=2, name="dense.kernel")((6, 4))), wanted)
        finally:
            del FORMULAS["places_for_keras"], MAPPINGS["cube_for_keras"]


class TestWrappers:
    def test_the_inner_layer_says_what_a_kernel_means(self) -> None:
        """`SpectralNormalization` holds the kernel of the layer in it, too."""
        wrapped = layers.SpectralNormalization(layers.Dense(6))
        model = face.init_(keras.Sequential([keras.Input((8,)), wrapped]), "he_normal", seed=4)
        slot = face.slots(model)[0]
        assert (slot.name, slot.names[1:], slot.module_type, slot.axes.spec) == (
            "spectral_normalization.layer.kernel", ("spectral_normalization.kernel",), "Dense", "io",
        )  # fmt: skip
        wanted = draw(rules.he_normal(), (8, 6), seed=4, name=slot.name, axes="io")
        assert np.array_equal(array(wrapped.layer.kernel), wanted)

    def test_a_model_of_norms_alone(self) -> None:
        model = keras.Sequential([keras.Input((5,)), layers.BatchNormalization(), layers.LayerNormalization()])
        for norm in model.layers:
            norm.gamma.assign(np.full(5, 3.0, "float32"))
            norm.beta.assign(np.full(5, 3.0, "float32"))
        face.init_(model, "he_normal")
        for norm in model.layers:
            assert (array(norm.gamma) == 1).all()
            assert (array(norm.beta) == 0).all()


class Own(keras.Layer):
    """A layer whose weights nobody can know."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = self.add_weight(shape=(2, 4, 4), initializer="zeros", name="experts")
        self.mix = self.add_weight(shape=(4, 4), initializer="zeros")

    def call(self, x: Any) -> Any:
        return x


class TestRefusals:
    def model(self) -> Any:
        return keras.Sequential([keras.Input((4,)), layers.Dense(4), Own()])

    @pytest.mark.parametrize(
        "rule, axes, words",
        [
            ("he_normal", None, r"own\.experts of shape \(2, 4, 4\) in Own; own\.mix of shape \(4, 4\) in Own"),
            ("he_normal", {"*.experts": "io"}, "names 2 axes, but the shape"),
            ("he_normal", {"nothing": "io"}, "'nothing' matches no weight"),
            ({"dense.kernel": "he_normal", "nothing.*": "zeros"}, None, "'nothing.*' matches no weight"),
            ({"dense.kernel": "dirac"}, None, "cannot serve dense.kernel"),
            ("he_norml", None, "did you mean"),
        ],
    )
    def test_nothing_is_changed(self, rule: Any, axes: Any, words: str) -> None:
        model = self.model()
        before = [array(w).copy() for w in model.weights]
        with pytest.raises(FaninValueError, match=words):
            face.init_(model, rule, axes=axes)
        assert all(np.array_equal(a, array(w)) for a, w in zip(before, model.weights, strict=True))

    def test_a_plan_for_another_model(self) -> None:
        model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
        before = array(model.layers[0].kernel).copy()
        other = face.plan(keras.Sequential([keras.Input((5,)), layers.Dense(4), layers.Dense(2)]), "he_normal")
        with pytest.raises(
            FaninValueError, match=r"(?s)nothing was changed:.*\(4, 4\), but the plan is for \(5, 4\).*dense_1"
        ):
            face.init_(model, other)
        huge = Plan({"dense.kernel": Entry(Constant(1e39)), "dense.bias": Entry(Constant(1.0))})
        with pytest.raises(FaninValueError, match="too large for float32"):
            face.init_(model, huge)
        assert np.array_equal(array(model.layers[0].kernel), before)

    @pytest.mark.parametrize("seed", ["x", -1, 2**64, 1.5])
    def test_seeds(self, seed: Any) -> None:
        model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
        before = array(model.layers[0].kernel).copy()
        with pytest.raises((FaninTypeError, FaninValueError), match="seed="):
            face.init_(model, "he_normal", seed=seed)
        assert np.array_equal(array(model.layers[0].kernel), before)

    def test_a_key_of_jax_is_no_seed(self) -> None:
        jax = pytest.importorskip("jax")
        model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
        with pytest.raises((FaninTypeError, FaninValueError), match="seed="):
            face.init_(model, "he_normal", seed=jax.random.key(0))

    @pytest.mark.parametrize("mode", ["int8", "int4"])
    def test_quantised_weights(self, mode: str) -> None:
        """As in PyTorch: refused, the biases beside them, too; a plan alone notes that they are left."""
        model = keras.Sequential([keras.Input((8,)), layers.Dense(8), layers.Dense(4)])
        model.layers[0].quantize(mode)
        before = [array(w).copy() for w in model.weights]
        words = r"nothing was changed:\s+dense\.kernel is integer \(int8\); only real floating-point weights are drawn"
        for rule in ("he_normal", {"dense.*": "he_normal"}, {layers.Dense: "he_normal"}):
            with pytest.raises(FaninValueError, match=words):
                face.init_(model, rule)
        assert all(np.array_equal(a, array(w)) for a, w in zip(before, model.weights, strict=True))
        made = face.plan(model, "he_normal")
        assert "dense.kernel" not in made.entries
        assert any("dense.kernel keeps its values: the type is int8" in note for note in made.notes)
        face.init_(model, {"dense_1.*": "he_normal"}, seed=1)
        assert np.array_equal(
            array(model.layers[1].kernel), draw(rules.he_normal(), (8, 4), seed=1, name="dense_1.kernel", axes="io")
        )

    def test_a_model_of_quantised_weights_alone(self) -> None:
        model = keras.Sequential([keras.Input((8,)), layers.Dense(8), layers.Dense(4)])
        model.quantize("int8")
        with pytest.raises(FaninValueError, match=r"dense\.kernel is integer \(int8\).*\s+dense_1\.kernel is integer"):
            face.init_(model, "he_normal")
        assert sorted(face.plan(model, "he_normal").entries) == ["dense.bias", "dense_1.bias"]

    def test_axes_by_hand(self) -> None:
        model = face.init_(self.model(), "lecun_normal", axes={"*.experts": "sio", "*.mix": "io"}, seed=0)
        assert array(weights(model)["own.experts"]).any()


class TestPromise:
    """E[y²] = 2 E[x²] behind He's rule for ReLU, on every kind of layer."""

    @pytest.mark.parametrize("name", KINDS)
    def test_he(self, name: str) -> None:
        kind = KINDS[name]
        measured, error = gain(kind, lambda: face.HeNormal(nonlinearity="relu"), draws=24)
        promised = 2.0**kind.weights
        print(f"{name}: {measured:.3f} ± {error:.3f}, promised {promised:g}")
        assert abs(measured - promised) < 4 * error + 1e-3
        assert error < 0.06 * promised  # so that a wrong fan cannot hide

    @pytest.mark.parametrize("name, theirs", [("DepthwiseConv2D", 2 / 64), ("Conv2DTranspose", 2 * 16 / 64 / 4)])
    def test_keras_own_rule_beside_it(self, name: str, theirs: float) -> None:
        """Keras reads the fan of a depthwise kernel off all channels, and takes a transposed one's outputs for inputs."""
        measured, error = gain(KINDS[name], keras.initializers.HeNormal, draws=24)
        print(f"{name}: Keras's own {measured:.4f} ± {error:.4f} instead of 2")
        assert abs(measured - theirs) < 4 * error + 1e-3

    def test_the_gates_of_recurrent_cells(self) -> None:
        rng = np.random.default_rng(0)
        for cell in (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell):
            found = []
            for _ in range(24):
                rule = face.LecunNormal()
                layer = cell(48, kernel_initializer=rule, recurrent_initializer=rule)
                layer.build((None, 32))
                x, h = rng.standard_normal((16, 32)), rng.standard_normal((16, 48))
                found.append(
                    [((x @ array(layer.kernel)) ** 2).mean(), ((h @ array(layer.recurrent_kernel)) ** 2).mean()]
                )
            mean, error = np.mean(found, axis=0), np.std(found, axis=0) / 24**0.5
            assert (np.abs(mean - 1) < 4 * error + 1e-3).all(), cell
            assert (error < 0.04).all()

    def test_the_scores_of_attention(self) -> None:
        """Queries of E[q²] = 1 for E[x²] = 1, for each head."""
        rng, found = np.random.default_rng(0), []
        for _ in range(24):
            layer = layers.MultiHeadAttention(4, 16, kernel_initializer=face.LecunNormal())
            layer.build((None, 5, 64), (None, 5, 64))
            x = rng.standard_normal((16, 64))
            kernels = [array(w) for w in layer.weights if w.shape == (64, 4, 16)]
            found.append([(np.einsum("bc,chd->bhd", x, k) ** 2).mean() for k in kernels])
        mean, error = np.mean(found, axis=0), np.std(found, axis=0) / 24**0.5
        assert mean.shape == (3,)
        assert (np.abs(mean - 1) < 4 * error + 1e-3).all()
        assert (error < 0.04).all()


def test_groups_of_a_convolution_are_no_experts() -> None:
    for layer in (layers.Conv2D(6, 3, groups=3), layers.DepthwiseConv2D(3)):
        layer.build((None, 8, 8, 6))
        slot = next(s for s in face.slots(layer) if s.role == "weight")
        assert slot.parts == "groups"
        with pytest.raises(FaninValueError):
            rules.experts()(slot)
