"""JAX arrays and Flax models: hashed where they lie, with the names that plans have."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import fanin  # noqa: E402
import fanin.jax as face  # noqa: E402
from fanin.errors import FaninTypeError, FaninValueError  # noqa: E402

FOUR = """
import jax, numpy as np, fanin
from fanin.fingerprints import jax as module
from jax.sharding import NamedSharding, PartitionSpec as P

mesh = jax.make_mesh((2, 2), ("a", "b"))
sizes = []
take = module.as_bits
module.as_bits = lambda values: (sizes.append(values.size), take(values))[1]
wrong = []
for dtype in ("float32", "bfloat16"):
    for shape in ((8, 6), (4, 2, 10)):
        values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        plain = jax.numpy.asarray(values, dtype)
        wanted = fanin.fingerprint({"w": np.asarray(plain)})
        for spec, share in ((P("a", "b"), 4), (P("a"), 2), (P(None, "b"), 2), (P(("a", "b")), 4), (P(), 1)):
            sizes.clear()
            found = fanin.fingerprint({"w": jax.device_put(plain, NamedSharding(mesh, spec))})
            if found != wanted or max(sizes) != values.size // share or sum(sizes) != values.size:
                wrong.append((dtype, shape, spec, sizes[:]))
print(wrong)
"""


def test_parts_on_several_devices_are_hashed_apart() -> None:
    """None is larger than what one device holds, and copies count once."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", FOUR],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("value", [1.5, np.arange(6.0).reshape(2, 3), np.zeros((0, 4)), np.array([True, False])])
def test_a_plain_array_is_one_of_numpys(value: Any) -> None:
    array = jnp.asarray(value)
    assert fanin.fingerprint({"a": {"w": array}}) == fanin.fingerprint({"a.w": np.asarray(array)})


def test_random_keys_have_none() -> None:
    with pytest.raises(FaninTypeError, match="k is no array"):
        fanin.fingerprint({"k": jax.random.key(0)})


class TestFlax:
    nnx = pytest.importorskip("flax.nnx")

    def model(self) -> Any:
        nnx = self.nnx

        class Net(nnx.Module):
            def __init__(self, rngs: Any) -> None:
                self.up = nnx.Linear(4, 6, rngs=rngs)
                self.norm = nnx.BatchNorm(6, rngs=rngs)
                self.drop = nnx.Dropout(0.5, rngs=rngs)
                self.down = nnx.Linear(6, 4, use_bias=False, rngs=rngs)
                self.again = self.up

        return Net(nnx.Rngs(0))

    def test_parameters_and_statistics(self) -> None:
        model = self.model()
        found = fanin.fingerprint(model)
        arrays = {
            "up.kernel": model.up.kernel, "up.bias": model.up.bias, "norm.scale": model.norm.scale,
            "norm.bias": model.norm.bias, "norm.mean": model.norm.mean, "norm.var": model.norm.var,
            "down.kernel": model.down.kernel,
        }  # fmt: skip
        assert found == fanin.fingerprint({name: np.asarray(value[...]) for name, value in arrays.items()})
        model.norm.mean[...] = jnp.ones(6)
        assert fanin.fingerprint(model).differences(found) == ("norm.mean",)

    def test_they_are_those_of_the_plan(self) -> None:
        model = self.model()
        plan = face.plan(model, "he_normal", seed=4)
        assert not fanin.verify(model, plan)
        face.init_(model, plan)
        assert fanin.verify(model, plan)
        drawn = fanin.fingerprint(plan).tensors
        assert {name: fanin.fingerprint(model).tensors[name] for name in drawn} == drawn
        model.up.kernel[...] = model.up.kernel[...].at[1, 2].add(1.0)
        assert [(w.name, w.count) for w in fanin.verify(model, plan).different] == [("up.kernel", 1)]

    def test_without_values(self) -> None:
        with pytest.raises(FaninValueError, match="bias is a ShapeDtypeStruct and has no values"):
            fanin.fingerprint(self.nnx.eval_shape(self.model))

    def test_statistics_without_values(self) -> None:
        """A plan gives an abstract model its parameters; the running mean is still a shape."""
        model = self.nnx.eval_shape(lambda: self.nnx.BatchNorm(3, rngs=self.nnx.Rngs(0)))
        for variable in (model.scale, model.bias):
            variable.set_value(jnp.zeros(3))
        with pytest.raises(FaninValueError, match="mean is a ShapeDtypeStruct and has no values"):
            fanin.fingerprint(model)
