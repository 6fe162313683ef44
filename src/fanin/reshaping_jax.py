"""The known activations in JAX's own operations, for activations that are reshaped."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fanin.activations import Activation
from fanin.errors import FaninValueError

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "linear": lambda x: x,
    "relu": jax.nn.relu,
    "leaky_relu": lambda x, a: jax.nn.leaky_relu(x, a),
    "relu6": jax.nn.relu6,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "silu": jax.nn.silu,
    "mish": jax.nn.mish,
    "softplus": lambda x, beta: jax.nn.softplus(beta * x) / beta,
    "elu": lambda x, a: jax.nn.elu(x, a),
    "celu": lambda x, a: jax.nn.celu(x, a),
    "selu": jax.nn.selu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "softsign": jax.nn.soft_sign,
    "relu_squared": lambda x: jnp.square(jax.nn.relu(x)),
    "sin": lambda x, w: jnp.sin(w * x),
    "abs": jnp.abs,
    "square": jnp.square,
    "logsigmoid": jax.nn.log_sigmoid,
    "tanhshrink": lambda x: x - jnp.tanh(x),
    "erf": jax.scipy.special.erf,
    "squareplus": lambda x, b: jax.nn.squareplus(x, b),
    "exp": jnp.exp,
}


def function(f: Activation) -> Callable[[Any], Any]:
    """f as a function of arrays, differentiable and open to jit.

    Raises:
        FaninValueError: f is known by a table, or has no operation in JAX here.
    """
    if f.table is not None or f.name not in FUNCTIONS:
        raise FaninValueError(
            f"activation {str(f)!r} cannot be computed in JAX; known are {', '.join(sorted(FUNCTIONS))}"
        )
    made = FUNCTIONS[f.name]
    return lambda x: made(x, *f.parameters)
