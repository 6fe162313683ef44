"""Adapters that start from their weight, in Keras: every layer that has `enable_lora`."""

import numpy as np
import pytest
from tests.keras_backend import again, array, keras, others

import fanin.keras as face
from fanin.draws import low_rank
from fanin.errors import FaninTypeError, FaninValueError

OPTIONS = ("pissa", "olora", "mica")


@pytest.mark.slow
@pytest.mark.parametrize("backend", others())
def test_the_other_backend(backend):
    again(__file__, backend)


def net(dtype=None):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    made = keras.Sequential([
        keras.Input((12,), dtype="int32"), layers.Embedding(50, 24, name="table"),
        layers.EinsumDense("abc,cde->abde", output_shape=(None, 4, 8), name="heads"), layers.Reshape((12, 32)),
        layers.Conv1D(16, 3, name="conv"), layers.Flatten(), layers.Dense(30, activation="tanh", name="dense"),
        layers.Dense(5, name="head"),
    ])  # fmt: skip
    for layer in made.layers:
        if layer.name in ("table", "heads", "conv", "dense"):
            layer.enable_lora(4, lora_alpha=8)
    return made


def tokens():
    return np.random.default_rng(0).integers(0, 50, (6, 12))


def variables(model):
    return {v.path: array(v).copy() for v in model.variables}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_kind_of_layer_and_the_model_computes_what_it_did(option):
    model, x = net(), tokens()
    before, values = array(model(x)).copy(), variables(model)
    assert face.adapters_(model, option) is model
    assert np.abs(array(model(x)) - before).max() < 1e-5
    changed = {path for path, value in variables(model).items() if not np.array_equal(value, values[path])}
    ends = ("lora_kernel_a", "lora_kernel_b", "lora_embeddings_a", "lora_embeddings_b")
    ends += () if option == "mica" else ("kernel", "embeddings")
    assert changed == {path for path in values if path.endswith(ends) and "/head/" not in path}
    assert model.get_layer("dense").lora_kernel_b.trainable == (option != "mica")


@pytest.mark.parametrize("option", OPTIONS)
def test_the_numbers_are_those_of_numpy(option):
    model = net()
    dense = model.get_layer("dense")
    kernel = array(dense._kernel).copy()
    wanted = getattr(low_rank, option)(kernel.T, 4, **({} if option == "mica" else {"scaling": 2.0}))
    face.adapters_(model, option)
    for variable, expected in zip((dense.lora_kernel_a, dense.lora_kernel_b, dense._kernel), wanted, strict=True):
        assert np.array_equal(array(variable), expected.T)


def test_a_random_subspace_has_a_seed():
    one, two, three = (face.adapters_(net(), niter=1, seed=seed) for seed in (0, 0, 1))
    a, b, c = (array(m.get_layer("dense").lora_kernel_a) for m in (one, two, three))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_half_precision_keeps_its_factors_in_float32():
    layer = keras.layers.Dense(40, dtype="bfloat16")
    layer.build((None, 60))
    layer.enable_lora(4)
    before = array(keras.ops.cast(layer._kernel, "float32")).copy()
    face.adapters_(layer, "pissa")
    base = array(keras.ops.cast(layer._kernel, "float32"))
    total = base + array(layer.lora_kernel_a) @ array(layer.lora_kernel_b)
    assert np.abs(total - before).max() <= 2**-9 * 2 * np.abs(base).max()


def test_bad_models_are_refused_and_left_alone():
    model = net()
    kernel = model.get_layer("dense")._kernel
    kernel.assign(kernel * np.nan)
    values = variables(model)
    with pytest.raises(
        FaninValueError, match="'dense.kernel': weight, of shape .30, 160., must have finite numbers only"
    ):
        face.adapters_(model, "pissa")
    assert all(np.array_equal(value, values[path], equal_nan=True) for path, value in variables(model).items())
    with pytest.raises(FaninValueError, match="no layer of the model has a low-rank adapter"):
        face.adapters_(keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)]))
    with pytest.raises(FaninValueError, match="option='loftq' is not known"):
        face.adapters_(net(), "loftq")
    layer = keras.layers.Dense(8)
    layer.build((None, 6))
    layer.enable_lora(7)
    with pytest.raises(FaninValueError, match="rank=7 is too large"):
        face.adapters_(layer)
    with pytest.raises(FaninTypeError):
        face.adapters_("net")


def test_a_quantized_weight_is_refused():
    layer = keras.layers.Dense(8)
    layer.build((None, 16))
    layer.quantize("int8")
    layer.enable_lora(2)
    with pytest.raises(FaninTypeError, match="quantized"):
        face.adapters_(layer)
