"""fanin in Keras: initializers give NumPy's bits, take fans from the layer that asks, and survive saving."""

import doctest
import inspect
import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.keras_backend import again, array, hidden, keras, others

import fanin.keras as face
from fanin import rules
from fanin.distributions import Normal
from fanin.draws import draw
from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.rules.rule import ALIASES, FACTORIES, FACTS
from fanin.slots import Axes

get_global_attribute = pytest.importorskip("keras.src.backend.common.global_state").get_global_attribute
layers = keras.layers

# Shapes with what their axes mean: every rule serves one at least.
SHAPES = {(24, 16): "io", (3, 3, 8, 8): "kkio", (64,): None, (8, 8): "io", (9, 1, 6): "kio", (16, 48): "i(s3o)"}
SHAPES |= {(4, 8, 6): "sio"}
SINGLE = sorted(set(FACTORIES) - {"mirrored"})
SAMPLES = {name: FACTS[name].samples or ({},) for name in SINGLE}
CASES = [(name, sample) for name in SINGLE for sample in SAMPLES[name]]


def made(name: str, sample: Any, /, **extra: Any) -> Any:
    return getattr(face, face.camel(name))(**sample, **extra)


@pytest.mark.slow
@pytest.mark.parametrize("backend", others())
def test_the_other_backend(backend: str) -> None:
    again(__file__, backend)


@pytest.mark.slow
@pytest.mark.parametrize("backend, gone", [("jax", ["torch"]), ("torch", ["jax", "flax"])])
def test_each_backend_alone(backend: str, gone: list[str]) -> None:
    pytest.importorskip(backend)
    code = (
        "import keras, fanin, fanin.keras as face\n"
        "net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, kernel_initializer='fanin>HeNormal')])\n"
        "face.init_(net, 'orthogonal', seed=0)\n"
        f"print(keras.backend.backend(), any(m in sys.modules for m in {gone!r}))"
    )
    assert hidden(gone, backend, code) == f"{backend} False"


class TestEveryRule:
    @pytest.mark.parametrize("name, sample", [(name, SAMPLES[name][0]) for name in SINGLE])
    def test_the_numbers_of_every_other_framework(self, name: str, sample: Any) -> None:
        compared = 0
        for shape, axes in SHAPES.items():
            rule = FACTORIES[name](**sample)
            own = axes if axes in ("i(s3o)", "sio") else None  # the others are what a bare shape is read as
            try:
                wanted = draw(rule, shape, seed=7, name="w", axes=axes or "oi")
            except FaninError as error:
                with pytest.raises(type(error)):
                    made(name, sample, seed=7, name="w", axes=own)(shape)
                continue
            assert np.array_equal(array(made(name, sample, seed=7, name="w", axes=own)(shape)), wanted), shape
            compared += 1
        assert compared, "no shape here is one that the rule serves, so nothing was compared"

    @pytest.mark.parametrize("name, sample", CASES)
    def test_a_config_is_plain_data_and_makes_the_same_initializer(self, name: str, sample: Any) -> None:
        first = made(name, sample, seed=2**63 + 5, axes="io", name="w")
        config = json.loads(json.dumps(first.get_config()))
        second = type(first).from_config(config)
        assert second.rule == first.rule
        assert second.get_config() == first.get_config()
        third = keras.saving.deserialize_keras_object(json.loads(json.dumps(keras.initializers.serialize(first))))
        assert type(third) is type(first)
        assert third.get_config() == first.get_config()

    def test_names_and_strings(self) -> None:
        for label, name in {**{n: n for n in SINGLE}, **ALIASES}.items():
            if name == "mirrored" or any(p.default is p.empty for p in parameters(name)) or name == "uniform":
                continue
            for text in (f"fanin>{face.camel(label)}", f"fanin_{label}"):
                found = keras.initializers.get(text)
                assert isinstance(found, face.Initializer)
                assert found.rule.name == name, text
        assert face.GlorotNormal is face.XavierNormal
        assert keras.initializers.get("he_normal").__class__.__module__.startswith("keras.")  # Keras's own stays

    def test_documentation(self) -> None:
        import fanin.plans.keras.initializers as base
        import fanin.plans.keras.layers as meanings

        for module in (face, base, meanings):
            assert doctest.testmod(module).failed == 0
        for name in SINGLE:
            cls = getattr(face, face.camel(name))
            assert "seed:" in cls.__doc__
            assert list(inspect.signature(cls).parameters)[-3:] == ["axes", "seed", "name"]

    def test_arguments_by_position_mean_what_they_mean_in_keras(self) -> None:
        assert face.Orthogonal(2.0).rule.arguments["gain"] == 2.0
        assert face.VarianceScaling(2.0, "fan_avg", "uniform").rule.arguments["mode"] == "fan_avg"
        with pytest.raises(FaninTypeError, match="too many positional"):
            face.TruncatedNormal(0.0, 0.05)  # a mean comes first there
        with pytest.raises(FaninTypeError, match="too many positional"):
            face.HeNormal(3)  # a seed there

    def test_a_rule_of_ones_own(self) -> None:
        from fanin.rules.rule import forget, rule

        @rule()
        def third_of_a_kind(slot: Any, scale: float = 0.25) -> Any:
            return Normal(scale)

        try:
            found = face.ThirdOfAKind(scale=0.5, seed=0, name="w")
            assert np.array_equal(array(found((6, 4))), draw(Normal(0.5), (6, 4), seed=0, name="w"))
            assert keras.initializers.get("fanin>ThirdOfAKind").rule.spec == "third_of_a_kind()"
        finally:
            forget("third_of_a_kind")
            face.CLASSES.pop("third_of_a_kind", None)


def parameters(name: str) -> list[inspect.Parameter]:
    return list(inspect.signature(FACTORIES[name]).parameters.values())


class TestActivations:
    @pytest.mark.parametrize("name", ["gelu", "silu", "tanh", "selu", "relu", "softplus", "mish", "elu"])
    def test_keras_functions_are_recognised(self, name: str) -> None:
        assert face.HeNormal(nonlinearity=getattr(keras.activations, name)).get_config()["nonlinearity"] == name

    @pytest.mark.parametrize("name", ["softmax", "sparsemax", "log_softmax"])
    def test_functions_of_a_whole_row_are_refused(self, name: str) -> None:
        with pytest.raises(FaninValueError, match="is not elementwise"):
            face.HeNormal(nonlinearity=getattr(keras.activations, name))

    def test_layers_have_ten_digits(self) -> None:
        """A layer casts to float32 by its policy; another of its kind computes in 64 bits."""
        from fanin.activations import Activation
        from fanin.theory import moments

        for layer, known in {
            layers.ReLU(): "relu",
            layers.LeakyReLU(0.3): Activation.named("leaky_relu", 0.3),
            layers.ELU(): "elu",
            layers.Activation("tanh"): "tanh",
        }.items():
            found, exact = moments(layer), moments(known)
            assert found.digits >= 10, layer
            for moment in ("f", "f2", "df2", "fdf"):
                assert getattr(found, moment) == pytest.approx(getattr(exact, moment), rel=1e-10, abs=1e-12), layer

    def test_slopes_of_a_layers_own(self) -> None:
        layer = layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25))
        with pytest.raises(FaninValueError, match="has no slope yet; build the layer first"):
            face.HeNormal(nonlinearity=layer)
        layer.build((None, 6))
        assert face.HeNormal(nonlinearity=layer).get_config()["nonlinearity"] == "leaky_relu(0.25)"
        layer.alpha.assign(np.arange(6, dtype="float32"))
        with pytest.raises(FaninValueError, match="has slopes from 0 to 5, and a gain is of one function"):
            face.HeNormal(nonlinearity=layer)

    def test_parameters_and_functions_without_a_name_survive_a_config(self) -> None:
        assert face.HeNormal(nonlinearity="leaky_relu(0.2)").get_config()["nonlinearity"] == "leaky_relu(0.2)"
        own = face.HeNormal(nonlinearity=lambda z: np.maximum(z, 0.3 * z**3))
        config = json.loads(json.dumps(own.get_config()))
        assert face.HeNormal.from_config(config).rule == own.rule

    def test_a_layers_own_activation_is_taken_where_none_is_said(self) -> None:
        stds = {}
        for activation in ("relu", "tanh", "gelu", None, "softmax"):
            layer = layers.Dense(256, activation=activation, kernel_initializer=face.HeNormal(seed=0))
            layer.build((None, 128))
            stds[activation] = array(layer.kernel).std() * 128**0.5
        assert stds["tanh"] / stds["relu"] == pytest.approx(1.5925 / 2**0.5, rel=1e-4)
        assert stds["gelu"] / stds["relu"] == pytest.approx(1.5335 / 2**0.5, rel=1e-4)
        assert stds[None] == stds["softmax"] == stds["relu"]  # unknown: what the rule takes then


class TestSeeds:
    def test_without_a_seed_two_layers_differ_though_they_share_the_instance(self) -> None:
        shared, theirs = face.HeNormal(), keras.initializers.HeNormal()
        for initializer, differ in ((shared, True), (theirs, False)):
            a, b = (layers.Dense(8, kernel_initializer=initializer) for _ in range(2))
            a.build((None, 8))
            b.build((None, 8))
            assert np.array_equal(array(a.kernel), array(b.kernel)) != differ

    def test_and_the_global_seed_decides(self) -> None:
        found = []
        for seed in (1, 1, 2):
            keras.utils.set_random_seed(seed)
            found.append([array(face.HeNormal()((4, 4))) for _ in range(2)])
        assert np.array_equal(found[0], found[1])
        assert not np.array_equal(found[0], found[2])

    def test_a_key_has_64_bits(self) -> None:
        keys = [face.HeNormal()._key() for _ in range(64)]
        assert len(set(keys)) == 64
        assert max(keys) > 2**62 > min(keys)

    def test_an_integer_repeats_itself_and_the_name_counts(self) -> None:
        one, two, other = (face.HeNormal(seed=s, name=n) for s, n in ((5, None), (5, "a"), (6, None)))
        assert np.array_equal(array(one((3, 4))), array(one((3, 4))))
        assert np.array_equal(array(one((3, 4))), array(one.clone()((3, 4))))
        assert not np.array_equal(array(one((3, 4))), array(two((3, 4))))
        assert not np.array_equal(array(one((3, 4))), array(other((3, 4))))

    def test_in_a_layer_the_name_is_that_of_the_weight(self) -> None:
        layer = layers.Dense(6, kernel_initializer=face.HeNormal(seed=3))
        layer.build((None, 5))
        assert np.array_equal(array(layer.kernel), draw(rules.he_normal(), (5, 6), seed=3, name="kernel", axes="io"))
        layer = layers.Dense(6, kernel_initializer=face.HeNormal(seed=3), name="head")
        layer.build((None, 5))
        wanted = draw(rules.he_normal(), (5, 6), seed=3, name="head.kernel", axes="io")
        assert np.array_equal(array(layer.kernel), wanted)

    def test_two_layers_that_one_seed_gives_equal_numbers_warn(self) -> None:
        """Shared or separate initializers, in one Sequential or by hand; the names of layers that lie deeper say nothing."""
        words = r"gives 'kernel' of the layers '[\w/]+' and '[\w/]+' equal numbers; .* fanin.keras.init_"
        shared = face.HeNormal(seed=11)
        kept = [layers.Dense(8, kernel_initializer=shared) for _ in range(2)]
        with pytest.warns(UserWarning, match=words):
            net = keras.Sequential([keras.Input((8,)), *kept])
        assert np.array_equal(array(net.layers[0].kernel), array(net.layers[1].kernel))
        with pytest.warns(UserWarning, match=words):
            net = keras.Sequential(
                [keras.Input((9,)), *(layers.Dense(9, kernel_initializer=face.HeNormal(seed=11)) for _ in range(2))]
            )
        attentions = [layers.MultiHeadAttention(2, 4, kernel_initializer=face.HeNormal(seed=12)) for _ in range(2)]
        attentions[0].build((None, 5, 8), (None, 5, 8))
        with pytest.warns(UserWarning, match="gives 'query.kernel'"):
            attentions[1].build((None, 5, 8), (None, 5, 8))

    def test_layers_that_differ_or_are_meant_to_be_equal_do_not_warn(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            kept = []
            for initializers in (
                [face.HeNormal(seed=21, name=name) for name in "ab"],
                [face.HeNormal(seed=seed) for seed in (22, 23)],
                [face.HeNormal(), face.HeNormal()],
                [face.Constant(0.5, seed=24), face.Constant(0.5, seed=24)],
            ):
                for initializer in initializers:
                    kept.append(layers.Dense(7, kernel_initializer=initializer))
                    kept[-1].build((None, 7))
            for name in ("first", "second"):
                kept.append(layers.Dense(7, kernel_initializer=face.HeNormal(seed=25), name=name))
                kept[-1].build((None, 7))
            net = keras.Sequential([keras.Input((7,)), layers.Dense(7, kernel_initializer=face.HeNormal(seed=26))])
            kept.append(keras.models.clone_model(net))
            assert np.array_equal(array(net.layers[0].kernel), array(kept[-1].layers[0].kernel))

    def test_a_seed_generator_goes_on(self) -> None:
        found = []
        for _ in range(2):
            initializer = face.HeNormal(seed=keras.random.SeedGenerator(4))
            found.append([array(initializer((3, 4))) for _ in range(2)])
        assert np.array_equal(found[0], found[1])
        assert not np.array_equal(found[0][0], found[0][1])

    def test_a_seed_generator_survives_a_config(self) -> None:
        first = face.HeNormal(seed=keras.random.SeedGenerator(4))
        second = face.HeNormal.from_config(json.loads(json.dumps(first.get_config())))
        assert np.array_equal(array(first((3, 4))), array(second((3, 4))))

    def test_query_key_and_value_differ_under_one_seed(self) -> None:
        def kernels(initializer: Any) -> list[Any]:
            layer = layers.MultiHeadAttention(2, 4, kernel_initializer=initializer)
            layer.build((None, 5, 8), (None, 5, 8))
            return [array(w) for w in layer.weights if w.shape == (8, 2, 4)]

        assert all(not np.array_equal(a, b) for a, b in itertools.combinations(kernels(face.HeNormal(seed=0)), 2))
        theirs = kernels(keras.initializers.HeNormal(seed=0))
        assert np.array_equal(theirs[0], theirs[1])  # Keras's own are equal there


def asked(layer: Any, shape: Any, weight: str = "kernel") -> Axes:
    """The axes that an initializer takes from a layer, read from what it hands to its rule."""
    seen = {}

    class Spy(face.Initializer):
        def law(self, slot: Any) -> Any:
            seen[slot.name.rpartition(".")[2]] = slot
            return Normal(1.0)

    for key in list(vars(layer)):
        if key.endswith("initializer"):
            setattr(layer, key, Spy())
    layer.build(shape)
    return seen[weight].axes


FANS = [  # layer, input's shape, weight, fan_in, fan_out
    (lambda: layers.Dense(5), (None, 7), "kernel", 7, 5),
    (lambda: layers.Conv1D(6, 3), (None, 9, 4), "kernel", 12, 18),
    (lambda: layers.Conv2D(6, 3, strides=3, groups=2), (None, 9, 9, 4), "kernel", 18, 3),
    (lambda: layers.Conv3D(6, (3, 2, 1)), (None, 9, 9, 9, 4), "kernel", 24, 36),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (None, 9, 9, 64), "kernel", 9, 18),
    (lambda: layers.DepthwiseConv1D(3), (None, 9, 64), "kernel", 3, 3),
    (lambda: layers.SeparableConv2D(6, 3, depth_multiplier=2), (None, 9, 9, 4), "depthwise_kernel", 9, 18),
    (lambda: layers.SeparableConv2D(6, 3, depth_multiplier=2), (None, 9, 9, 4), "pointwise_kernel", 8, 6),
    (lambda: layers.SeparableConv1D(6, 1), (None, 9, 4), "depthwise_kernel", 1, 1),
    (lambda: layers.Conv2DTranspose(32, 4, strides=2), (None, 9, 9, 16), "kernel", 16 * 16 / 4, 32 * 16),
    (lambda: layers.Conv1DTranspose(32, 4), (None, 9, 16), "kernel", 64, 128),
    (lambda: layers.Conv3DTranspose(4, 2, strides=2), (None, 3, 3, 3, 16), "kernel", 16, 32),
    (lambda: layers.EinsumDense("abc,cde->abde", (None, 4, 8)), (None, 3, 32), "kernel", 32, 32),
    (lambda: layers.EinsumDense("abde,dec->abc", (None, 32)), (None, 3, 4, 8), "kernel", 32, 32),
    (lambda: layers.EinsumDense("ebc,ecd->ebd", (None, 16)), (8, None, 32), "kernel", 32, 16),  # stacked experts
    (lambda: layers.EinsumDense("...x,xy->...y", 5), (None, 3, 7), "kernel", 7, 5),
    (lambda: layers.Embedding(50, 8), (None, 4), "embeddings", 1, 8),
    (lambda: layers.LSTMCell(6), (None, 4), "kernel", 4, 6),
    (lambda: layers.LSTMCell(6), (None, 4), "recurrent_kernel", 6, 6),
    (lambda: layers.GRUCell(6), (None, 4), "recurrent_kernel", 6, 6),
    (lambda: layers.SimpleRNNCell(6), (None, 4), "kernel", 4, 6),
]


def test_float64_where_jax_has_none_is_truncated_as_keras_does_it() -> None:
    """`dtype="float64"` on JAX without jax_enable_x64: Keras's own initializers give float32 then, with JAX's warning."""
    layer = layers.Dense(6, kernel_initializer=face.HeNormal(seed=31), dtype="float64")
    theirs = layers.Dense(6, dtype="float64")
    net = keras.Sequential([keras.Input((5,), dtype="float64"), layers.Dense(6, dtype="float64", name="d")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in (layer, theirs):
            one.build((None, 5))
        face.init_(net, "he_normal", seed=3)
    exact = draw(rules.he_normal(), (5, 6), seed=31, name="kernel", axes="io", dtype="float64")
    assert array(layer.kernel).dtype == array(theirs.kernel).dtype == array(net.layers[0].kernel).dtype
    assert np.allclose(array(layer.kernel), exact, rtol=1e-6)
    named = draw(rules.he_normal(), (5, 6), seed=3, name="d.kernel", axes="io", dtype="float64")
    assert np.allclose(array(net.layers[0].kernel), named, rtol=1e-6)


class TestFans:
    @pytest.mark.parametrize("make, shape, weight, fan_in, fan_out", FANS)
    def test_of_the_layer_that_asks(self, make: Any, shape: Any, weight: str, fan_in: float, fan_out: float) -> None:
        axes = asked(make(), shape, weight)
        assert (axes.fan_in, axes.fan_out) == (fan_in, fan_out)

    def test_one_instance_for_several_weights_of_a_layer(self) -> None:
        shared = face.LecunNormal()
        layer = layers.SeparableConv2D(64, 1, depth_multiplier=32, depthwise_initializer=shared)
        layer.pointwise_initializer = shared
        layer.build((None, 4, 4, 64))
        assert array(layer.depthwise_kernel).std() == pytest.approx(1, rel=0.05)
        assert array(layer.pointwise_kernel).std() == pytest.approx(2048**-0.5, rel=0.05)

    def test_orthogonal_by_gate(self) -> None:
        layer = layers.LSTM(8, recurrent_initializer=face.Orthogonal())
        layer.build((None, 3, 5))
        for gate in np.split(array(layer.cell.recurrent_kernel), 4, axis=1):
            assert np.allclose(gate @ gate.T, np.eye(8), atol=1e-5)

    def test_a_model_that_keras_only_looked_at(self) -> None:
        """Without `build`, Keras makes the variables first and asks for numbers when no layer is being built any more."""

        class Net(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.narrow = layers.DepthwiseConv2D(3, depthwise_initializer=face.LecunNormal())
                self.wide = [layers.Conv2DTranspose(64, 4, strides=2, kernel_initializer=face.LecunNormal())]
                self.flat = layers.Reshape((-1, 64))
                self.attend = layers.MultiHeadAttention(8, 16, kernel_initializer=face.LecunNormal())

            def call(self, x: Any) -> Any:
                h = self.flat(self.wide[0](self.narrow(x)))
                return self.attend(h, h)

        for x in (np.zeros((1, 6, 6, 64), "float32"), keras.Input((6, 6, 64))):
            net = Net()
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Keras warns where it could not look
                net(x)
            assert array(net.narrow.kernel).std() == pytest.approx(1 / 3, rel=0.1)
            assert array(net.wide[0].kernel).std() == pytest.approx((64 * 4) ** -0.5, rel=0.05)
            queries = [w for w in net.attend.weights if w.shape == (64, 8, 16)]
            assert len(queries) == 3
            assert all(array(w).std() == pytest.approx(64**-0.5, rel=0.05) for w in queries)

    def test_a_variable_that_no_layer_holds(self) -> None:
        """Nothing says what its axes mean, so nothing is guessed."""
        with keras.StatelessScope():
            waiting = [keras.Variable(i, shape=(4, 6, 8)) for i in (face.Normal(std=1.0), face.LecunNormal(axes="sio"))]
        assert all(array(variable).any() for variable in waiting)
        with pytest.raises(FaninValueError, match="Keras does not tell what the axes"), keras.StatelessScope():
            keras.Variable(face.LecunNormal(), shape=(4, 6, 8))
        get_global_attribute("uninitialized_variables").clear()  # Keras would ask for the refused one again

    def test_by_hand(self) -> None:
        assert array(face.LecunNormal(seed=0)((64, 256))).std() == pytest.approx(1 / 8, rel=0.05)
        assert array(face.LecunNormal(seed=0)((3, 3, 16, 64))).std() == pytest.approx(1 / 12, rel=0.05)
        stacked = face.LecunNormal(seed=0, axes="sio")((8, 64, 64))
        assert array(stacked).std() == pytest.approx(1 / 8, rel=0.05)
        whole = face.LecunNormal(seed=0, axes=Axes.parse("oi", (256, 64)))
        assert array(whole((256, 64))).std() == pytest.approx(1 / 8, rel=0.05)
        assert type(whole).from_config(json.loads(json.dumps(whole.get_config()))).axes == whole.axes

    def test_a_layer_of_ones_own(self) -> None:
        class Own(keras.Layer):
            def __init__(self, *shape: int) -> None:
                super().__init__()
                self.w = self.add_weight(shape=shape, initializer="fanin>LecunNormal", name="w")

        assert array(Own(64, 256).w).std() == pytest.approx(1 / 8, rel=0.05)  # x @ w, as everywhere in Keras
        with pytest.raises(
            FaninValueError, match=r"the layer Own does not tell .* \(8, 4, 4\).* give the initializer axes="
        ):
            Own(8, 4, 4)


class TestSaving:
    def net(self) -> Any:
        return keras.Sequential(
            [
                keras.Input((8, 8, 4)),
                layers.Conv2D(
                    8, 3, groups=2, kernel_initializer=face.HeNormal(nonlinearity="gelu", seed=1), activation="gelu"
                ),
                layers.DepthwiseConv2D(3, depthwise_initializer="fanin>HeNormal"),
                layers.Flatten(),
                layers.Dense(3, kernel_initializer=face.Orthogonal(axes="io"), bias_initializer=face.Constant(0.5)),
                layers.Dense(2, kernel_initializer=face.Drawn(Normal(0.1), seed=keras.random.SeedGenerator(3))),
            ]
        )

    def test_a_model_in_a_file(self, tmp_path: Path) -> None:
        net = self.net()
        net.save(tmp_path / "net.keras")
        loaded = keras.saving.load_model(tmp_path / "net.keras")
        for a, b in zip(net.weights, loaded.weights, strict=True):
            assert np.array_equal(array(a), array(b))
        first = loaded.layers[0].kernel_initializer
        assert isinstance(first, face.HeNormal)
        assert first.rule.spec == "he_normal(nonlinearity='gelu')"
        assert isinstance(loaded.layers[-1].kernel_initializer.distribution, Normal)

    def test_a_cloned_model_is_drawn_anew(self) -> None:
        net = self.net()
        copy = keras.models.clone_model(net)
        assert np.array_equal(array(net.layers[0].kernel), array(copy.layers[0].kernel))  # seeded
        assert not np.array_equal(array(net.layers[1].kernel), array(copy.layers[1].kernel))

    def test_a_model_trains(self) -> None:
        net = self.net()
        net.compile("sgd", "mse")
        x, y = np.zeros((4, 8, 8, 4), "float32"), np.zeros((4, 2), "float32")
        assert np.isfinite(net.fit(x, y, verbose=0).history["loss"][0])


class TestBadInput:
    @pytest.mark.parametrize(
        "call, error, words",
        [
            (lambda: face.HeNormal(axes="kkio")((3, 4)), FaninValueError, "names 4 axes, but the shape"),
            (lambda: face.HeNormal(axes=Axes.parse("io", (3, 4)))((4, 3)), FaninValueError, r"have the shape \(3, 4\)"),
            (lambda: face.HeNormal(axes=3), FaninTypeError, "axes=3 cannot be used"),
            (lambda: face.HeNormal()((3, 4), "int32"), FaninTypeError, "dtype='int32' cannot be used"),
            (lambda: face.HeNormal()((3, 4), "complex64"), FaninTypeError, "dtype='complex64' cannot be used"),
            (lambda: face.HeNormal()((3, 4), "nonsense"), FaninTypeError, "dtype='nonsense' cannot be used"),
            (lambda: face.HeNormal()((4,)), FaninValueError, "needs to know what the axes"),
            (lambda: face.HeNormal()((-1, 4)), FaninValueError, "at least 0"),
            (lambda: face.HeNormal()("ab"), FaninTypeError, "tuple of integers"),
            (lambda: face.HeNormal(seed=-1), FaninValueError, "seed=-1 cannot be used"),
            (lambda: face.HeNormal(seed=2**64), FaninValueError, "cannot be used"),
            (lambda: face.HeNormal(seed="x"), FaninValueError, "SeedGenerator"),
            (lambda: face.HeNormal(name=3), FaninTypeError, "name=3 cannot be used"),
            (lambda: face.HeNormal(gain=2), FaninTypeError, "unexpected keyword argument 'gain'; it takes"),
            (lambda: face.HeNormal(nonlinearity="sofplus"), FaninValueError, "nonlinearity='sofplus' is not known"),
            (lambda: face.HeNormal.from_config({"mode": "fan_in", "stddev": 1}), FaninValueError, "unknown key 'stddev'"),
            (lambda: face.Drawn.from_config({"a": 1, "b": 2}), FaninValueError, "unknown keys 'a', 'b'"),
            (lambda: face.Drawn.from_config({}), FaninValueError, "Drawn: the config lacks 'distribution'"),
            (lambda: face.Normal.from_config({"seed": 1}), FaninValueError, "Normal: the config lacks 'std'"),
            (lambda: face.HeNormal.from_config(None), FaninTypeError, "HeNormal: config=None cannot be used"),
            (lambda: face.HeNormal.from_config([1]), FaninTypeError, r"config=\[1\] cannot be used"),
            (lambda: face.HeNormal.from_config({1: 2}), FaninTypeError, "cannot be used; give what get_config gave"),
            (lambda: face.HeNormal(nonlinearity=lambda z: z + 1j), FaninValueError, "gave complex numbers"),
            (lambda: face.HeNormal(nonlinearity=keras.activations.softmax), FaninValueError, "is not elementwise"),
            (lambda: face.Drawn({"kind": "Norml"}), FaninValueError, "Norml"),
            (lambda: face.Drawn(3), FaninTypeError, "distribution=3"),
            (lambda: face.initializer("he_norml"), FaninValueError, "did you mean 'he_normal'"),
            (lambda: face.initializer(3), FaninTypeError, "rule=3 cannot be used"),
            (lambda: face.initializer(rules.he_normal), FaninTypeError, "call it first"),
            (lambda: face.initializer(rules.mirrored()), FaninValueError, "several weights at once"),
            (lambda: face.HeNorml, AttributeError, "did you mean 'HeNormal'"),
            (lambda: face.Mirrored, AttributeError, "no initializer 'Mirrored'"),
        ],
    )  # fmt: skip
    def test_one_sentence(self, call: Any, error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words):
            call()

    def test_unknown_keys_in_a_file_are_named(self) -> None:
        data = keras.initializers.serialize(face.HeNormal())
        data["config"]["colour"] = "red"
        with pytest.raises(Exception, match="unknown key 'colour'"):
            keras.initializers.deserialize(data)

    def test_no_elements(self) -> None:
        with pytest.warns(UserWarning, match="no elements"):
            assert tuple(face.HeNormal()((0, 4)).shape) == (0, 4)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_low_precision_is_the_float32_number_rounded(self, dtype: str) -> None:
        exact = array(face.Orthogonal(seed=0)((16, 16)))
        low = array(keras.ops.cast(face.Orthogonal(seed=0)((16, 16), dtype), "float32"))
        assert keras.backend.standardize_dtype(face.HeNormal()((2, 2), dtype).dtype) == dtype
        assert np.array_equal(array(keras.ops.cast(keras.ops.cast(exact, dtype), "float32")), low)
