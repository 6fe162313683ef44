"""Keras variables are filled in place on the JAX and PyTorch backends, with NumPy's bits."""

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
from fanin.draws.keras import fill_
from fanin.errors import FaninTypeError

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
try:
    fill_(np.zeros(3), rules.ones(), seed=1)
except FaninTypeError as error:
    print(keras.backend.backend(), error)
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_layer(backend: str) -> None:
    pytest.importorskip(backend, reason=f"needs {backend}")
    environment = os.environ | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == f"{backend} variable=ndarray cannot be used; give a keras.Variable"
