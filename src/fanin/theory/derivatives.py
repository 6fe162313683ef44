"""Derivatives, kinks and jumps of the known activations: a table of facts, so that their Gaussian integrals are exact.

An entry has the derivative as a function of z and the activation's parameters, the points where f or a derivative of it
is not smooth (the ends of the quadrature's panels), and the jumps of f itself as (place, value below, value above).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fanin.activations import SELU_ALPHA, SELU_SCALE, Array, _normal_cdf, _sigmoid, _softplus

Jump = tuple[float, float, float]


@dataclass(frozen=True)
class Derivative:
    """What is known of one activation's smoothness.

    Attributes:
        df: f'(z), elementwise, of z and the activation's parameters.
        kinks: the parameters → places where f is not smooth.
        jumps: the parameters → (place, value below, value above) where f itself jumps.
    """

    df: Callable[..., Array]
    kinks: Callable[..., tuple[float, ...]] = lambda *_: ()
    jumps: Callable[..., tuple[Jump, ...]] = lambda *_: ()


def _at(*places: float) -> Callable[..., tuple[float, ...]]:
    return lambda *_: places


def _density(z: Array) -> Array:
    return np.exp(-0.5 * np.square(z)) / math.sqrt(2 * math.pi)


def _sech2(z: Array) -> Array:
    """1 - tanh² without its cancellation."""
    e = np.exp(-2 * np.abs(z))
    return 4 * e / np.square(1 + e)


def _step(z: Array) -> Array:
    return np.where(z > 0, 1.0, 0.0)


def _leaky(z: Array, a: float) -> Array:
    return np.where(z > 0, 1.0, a)


def _within(z: Array, low: float, high: float) -> Array:
    return np.where((z > low) & (z < high), 1.0, 0.0)


def _gelu_tanh(z: Array) -> Array:
    c = math.sqrt(2 / math.pi)
    inner = c * (z + 0.044715 * z**3)
    return _sigmoid(2 * inner) + 0.5 * z * _sech2(inner) * c * (1 + 3 * 0.044715 * np.square(z))


def _swish(z: Array, beta: float) -> Array:
    s = _sigmoid(beta * z)
    return s * (1 + beta * z * _sigmoid(-beta * z))


def _mish(z: Array) -> Array:
    inner = _softplus(z)
    return np.tanh(inner) + z * _sech2(inner) * _sigmoid(z)


def _sigmoid_slope(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    return e / np.square(1 + e)


def _squareplus(z: Array, b: float) -> Array:
    root = np.sqrt(np.square(z) + b)
    return np.where(z > 0, 0.5 * (1 + z / root), 0.5 * b / (root * (root - np.minimum(z, 0.0))))


def _exp_below(z: Array) -> Array:
    return np.exp(np.minimum(z, 0.0))


DERIVATIVES: dict[str, Derivative] = {
    "linear": Derivative(lambda z: np.ones_like(z)),
    "relu": Derivative(_step, _at(0.0)),
    "leaky_relu": Derivative(_leaky, _at(0.0)),
    "relu6": Derivative(lambda z: _within(z, 0.0, 6.0), _at(0.0, 6.0)),
    "gelu": Derivative(lambda z: _normal_cdf(z) + z * _density(z)),
    "gelu_tanh": Derivative(_gelu_tanh),
    "quick_gelu": Derivative(lambda z: _swish(z, 1.702)),
    "silu": Derivative(lambda z: _swish(z, 1.0)),
    "mish": Derivative(_mish),
    "softplus": Derivative(lambda z, beta: _sigmoid(beta * z)),
    "elu": Derivative(lambda z, a: np.where(z > 0, 1.0, a * _exp_below(z)), _at(0.0)),
    "celu": Derivative(lambda z, a: np.where(z > 0, 1.0, _exp_below(z / a)), _at(0.0)),
    "selu": Derivative(lambda z: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * _exp_below(z)), _at(0.0)),
    "tanh": Derivative(_sech2),
    "sigmoid": Derivative(_sigmoid_slope),
    "hardsigmoid": Derivative(lambda z: _within(z, -3.0, 3.0) / 6, _at(-3.0, 3.0)),
    "hardswish": Derivative(lambda z: np.where(z >= 3, 1.0, _within(z, -3.0, 3.0) * (z / 3 + 0.5)), _at(-3.0, 3.0)),
    "hardtanh": Derivative(lambda z: _within(z, -1.0, 1.0), _at(-1.0, 1.0)),
    "softsign": Derivative(lambda z: 1 / np.square(1 + np.abs(z)), _at(0.0)),
    "relu_squared": Derivative(lambda z: 2 * np.maximum(z, 0.0), _at(0.0)),
    "sin": Derivative(lambda z, w: w * np.cos(w * z)),
    "exp": Derivative(np.exp),
    "abs": Derivative(np.sign, _at(0.0)),
    "square": Derivative(lambda z: 2 * z),
    "logsigmoid": Derivative(lambda z: _sigmoid(-z)),
    "tanhshrink": Derivative(lambda z: np.square(np.tanh(z))),
    "softshrink": Derivative(lambda z, a: np.where(np.abs(z) > a, 1.0, 0.0), lambda a: (-a, a)),
    "hardshrink": Derivative(
        lambda z, a: np.where(np.abs(z) > a, 1.0, 0.0), lambda a: (-a, a), lambda a: ((-a, -a, 0.0), (a, 0.0, a))
    ),
    "squareplus": Derivative(_squareplus),
    "sparse_plus": Derivative(lambda z: np.clip(0.5 * (z + 1), 0.0, 1.0), _at(-1.0, 1.0)),
    "sparse_sigmoid": Derivative(lambda z: 0.5 * _within(z, -1.0, 1.0), _at(-1.0, 1.0)),
    "erf": Derivative(lambda z: 2 / math.sqrt(math.pi) * np.exp(-np.square(z))),
    "prelu": Derivative(_leaky, _at(0.0)),
    "rrelu": Derivative(lambda z, low, high: _leaky(z, 0.5 * (low + high)), _at(0.0)),
    "threshold": Derivative(
        lambda z, t, value: np.where(z > t, 1.0, 0.0),
        lambda t, value: (t,),
        lambda t, value: ((t, value, t),) if value != t else (),
    ),
}
