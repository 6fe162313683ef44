"""Adapters that start from their weight, as functions of JAX arrays."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import fanin.jax as face  # noqa: E402
from fanin.draws import low_rank  # noqa: E402
from fanin.errors import FaninTypeError, FaninValueError  # noqa: E402

OPTIONS = ("pissa", "olora", "mica")
W = jax.random.normal(jax.random.key(0), (60, 40))


@pytest.mark.parametrize("option", OPTIONS)
def test_the_numbers_are_those_of_numpy_laid_out_as_the_weight_is(option):
    wanted = getattr(low_rank, option)(np.asarray(W).T, 4)
    for axes, weight in (("io", W), ("oi", W.T)):
        made = getattr(face, option)(weight, 4, axes=axes)
        for array, expected in zip(made, wanted, strict=True):
            assert np.array_equal(array, expected.T if axes == "io" else expected)
            assert isinstance(array, jax.Array)


@pytest.mark.parametrize("option", ["pissa", "olora"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_layer_computes_what_it_did(option, dtype):
    w = W.astype(dtype)
    a, b, base = getattr(face, option)(w, 4, scaling=2.0, dtype="float32")
    assert (a.shape, b.shape, base.shape) == ((60, 4), (4, 40), (60, 40))
    assert (a.dtype, base.dtype) == ("float32", dtype)
    assert base.sharding == w.sharding
    off = abs(base.astype("float32") + 2.0 * a @ b - w.astype("float32")).max()
    assert off < (1e-5 if dtype == "float32" else 2**-8 * float(abs(base).max()))


def test_a_lora_layer_of_flax():
    nnx = pytest.importorskip("flax.nnx")
    layer, x = nnx.LoRALinear(60, 40, lora_rank=4, rngs=nnx.Rngs(0)), jax.random.normal(jax.random.key(1), (8, 60))
    before = layer(x)
    for option in OPTIONS:
        layer.lora.lora_a[...], layer.lora.lora_b[...], layer.kernel[...] = getattr(face, option)(layer.kernel[...], 4)
        if option != "mica":
            assert abs(layer(x) - before).max() < 1e-4
            layer.kernel[...] = layer.kernel[...] + layer.lora.lora_a[...] @ layer.lora.lora_b[...]
    assert abs(layer(x) - before).max() < 1e-4


def test_the_random_subspace_is_that_of_every_framework():
    wanted = low_rank.pissa(np.asarray(W).T, 4, niter=2, seed=5, name="w")
    assert np.array_equal(face.pissa(W, 4, niter=2, seed=5, name="w")[2].T, wanted.base)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize(
    ("weight", "rank", "error", "words"),
    [
        (W, 41, FaninValueError, "rank=41 is too large"),
        (W[None], 4, FaninTypeError, "shape .1, 60, 40.; it must be a matrix"),
        (W / 0, 4, FaninValueError, "finite numbers only"),
        (W.astype(int), 4, FaninTypeError, "dtype int32"),
    ],
)
def test_bad_input(option, weight, rank, error, words):
    with pytest.raises(error, match=f"^{option}: .*{words}"):
        getattr(face, option)(weight, rank)


def test_traced_weights_and_axes():
    with pytest.raises(FaninTypeError, match="weight is traced"):
        jax.jit(lambda w: face.pissa(w, 4))(W)
    with pytest.raises(FaninValueError, match="axes='kio'"):
        face.olora(W, 4, axes="kio")
