"""Keras models have one fingerprint, whatever the backend."""

from typing import Any

import numpy as np
import pytest
from tests.keras_backend import again, array, keras, others

import fanin
import fanin.keras as face
from fanin.errors import FaninValueError


@pytest.mark.parametrize("backend", others())
def test_the_other_backend(backend: str) -> None:
    again(__file__, backend)


def model() -> Any:
    layers = keras.layers
    return keras.Sequential([
        keras.Input((3,)), layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(2, name="head"),
    ])  # fmt: skip


NAMES = ["dense.kernel", "dense.bias", "head.kernel", "head.bias"]
NORM = ["batch_normalization." + name for name in ("gamma", "beta", "moving_mean", "moving_variance")]


def test_weights_and_statistics_by_the_names_of_plans() -> None:
    made = model()
    made.compile("sgd", "mse")
    found = fanin.fingerprint(made)
    assert sorted(found.tensors) == sorted([*NAMES, *NORM])
    kernel = array(made.layers[-1].kernel)
    assert found.tensors["head.kernel"] == fanin.fingerprint({"head.kernel": kernel}).tensors["head.kernel"]
    made.layers[1].moving_mean.assign(np.ones(4))
    assert fanin.fingerprint(made).differences(found) == ("batch_normalization.moving_mean",)


def test_drawn_ones_are_those_of_the_plan_on_every_backend() -> None:
    made = model()
    plan = face.plan(made, "he_normal", seed=3)
    assert not fanin.verify(made, plan)
    face.init_(made, plan)
    assert fanin.verify(made, plan), "the same here is the same on every backend"
    drawn, found = fanin.fingerprint(plan).tensors, fanin.fingerprint(made).tensors
    assert {name: found[name] for name in drawn} == drawn
    assert fanin.fingerprint(face.init_(model(), plan)) == fanin.fingerprint(made), "names are the model's own"


def test_a_layer_that_stands_twice_goes_by_both_names() -> None:
    class Twice(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = keras.layers.Dense(3)
            self.second = self.first

        def call(self, x: Any) -> Any:
            return self.second(self.first(x))

    made = Twice()
    made(np.zeros((1, 3), dtype="float32"))
    plan = face.plan(made, "he_normal")
    face.init_(made, plan)
    assert fanin.verify(made, plan)
    assert len(fanin.fingerprint(made).tensors) == 2


def test_without_weights_yet() -> None:
    with pytest.raises(FaninValueError, match="has no weights yet"):
        fanin.fingerprint(keras.Sequential([keras.layers.Dense(3)]))
