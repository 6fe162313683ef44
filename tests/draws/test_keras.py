"""Keras arrays are drawn and variables filled in place, with NumPy's bits, on the JAX, PyTorch and NumPy backends."""

import importlib.util
import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="needs keras"),
]

CODE = """
import keras, numpy as np
from fanin import rules
from fanin.draws import draw
from fanin.distributions import Normal, Orthogonal
from fanin.draws import draw_distribution
from fanin.draws.keras import draw as draw_keras, fill_, float_name
from fanin.errors import FaninTypeError
from fanin.slots import Axes

def same(variable, rule, axes, **named):
    assert fill_(variable, rule, seed=1, axes=axes, **named) is variable
    wanted = draw(rule, tuple(variable.shape), seed=1, name=named.get("name", variable.path), axes=axes)
    return bool((keras.ops.convert_to_numpy(variable) == wanted).all()) and bool(wanted.any())

dense, conv = keras.layers.Dense(8), keras.layers.Conv2D(6, 3)
dense.build((None, 16))
conv.build((None, 8, 8, 4))
assert same(dense.kernel, rules.he_normal(), "io")
assert same(dense.kernel, rules.he_normal(), "io", name="another")
assert same(dense.kernel, rules.orthogonal(), "io")
assert same(dense.bias, rules.ones(), "oi")
assert same(conv.kernel, rules.lecun_normal(), "kkio")
for law in (Normal(0.5), Orthogonal(Axes.parse("io", (16, 8)))):
    found = draw_keras(law, (16, 8), seed=2**64 - 1, name="w")
    wanted = draw_distribution(law, (16, 8), seed=2**64 - 1, name="w")
    assert (keras.ops.convert_to_numpy(found) == wanted).all()
    half = keras.ops.convert_to_numpy(draw_keras(law, (16, 8), seed=2**64 - 1, name="w", dtype="float16"))
    assert half.dtype == "float16" and (half == wanted.astype("float16")).all()
assert float_name(None) == keras.config.floatx() and float_name("bfloat16") == "bfloat16"
for dtype in ("int8", "bool", "nonsense", 3):
    try:
        float_name(dtype)
    except FaninTypeError as error:
        assert f"dtype={dtype!r} cannot be used" in str(error)
    else:
        raise AssertionError(dtype)
try:
    fill_(np.zeros(3), rules.ones(), seed=1)
except FaninTypeError as error:
    print(keras.backend.backend(), error)
"""


@pytest.mark.parametrize("backend", ["jax", "torch", "numpy"])
def test_a_layer(backend: str) -> None:
    pytest.importorskip(backend, reason=f"needs {backend}")
    environment = os.environ | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == f"{backend} variable=ndarray cannot be used; give a keras.Variable"


DISTRIBUTED = """
import keras, numpy as np
import fanin.keras as face
from fanin import rules
from fanin.draws import draw

mesh = keras.distribution.DeviceMesh((2, 2), ("batch", "model"))
layout = keras.distribution.LayoutMap(mesh)
layout[".*kernel"] = (None, "model")
keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"))

def dense(initializer):
    net = keras.Sequential([keras.Input((16,)), keras.layers.Dense(32, kernel_initializer=initializer)])
    return net, net.layers[0].kernel.value

for rule in (rules.he_normal(), rules.orthogonal(), rules.identity()):
    _, kernel = dense(face.initializer(rule, seed=3, name="k"))
    assert kernel.sharding.spec[1] == "model" and len(kernel.addressable_shards) == 4
    assert (np.asarray(kernel) == draw(rule, (16, 32), seed=3, name="k", axes="io")).all()
    net, _ = dense(face.HeNormal())
    kernel = face.init_(net, rule, seed=1).layers[0].kernel.value
    assert kernel.sharding.spec[1] == "model"
    assert np.allclose(np.asarray(kernel), draw(rule, (16, 32), seed=1, name="dense.kernel", axes="io"), atol=1e-6)
print("distributed")
"""


def test_a_model_that_keras_distributes() -> None:
    """Each device draws its own part, from an initializer and by `init_`, and the whole is what one device draws."""
    pytest.importorskip("jax", reason="needs jax")
    flags = "--xla_force_host_platform_device_count=4"
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    run = subprocess.run(
        [sys.executable, "-c", DISTRIBUTED], capture_output=True, text=True, env=environment, check=False
    )
    assert run.stdout.strip() == "distributed", run.stderr
