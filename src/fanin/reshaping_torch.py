"""The known activations in torch's own operations, for activations that are reshaped."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fanin.activations import Activation
from fanin.errors import FaninValueError

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "leaky_relu": lambda x, a: F.leaky_relu(x, a),
    "relu6": F.relu6,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "silu": F.silu,
    "mish": F.mish,
    "softplus": lambda x, beta: F.softplus(x, beta, 1e6 if x.dtype == torch.float64 else 20.0),
    "elu": lambda x, a: F.elu(x, a),
    "celu": lambda x, a: F.celu(x, a),
    "selu": F.selu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "softsign": F.softsign,
    "relu_squared": lambda x: torch.relu(x).square(),
    "sin": lambda x, w: torch.sin(w * x),
    "abs": torch.abs,
    "square": torch.square,
    "logsigmoid": F.logsigmoid,
    "tanhshrink": F.tanhshrink,
    "erf": torch.erf,
    "squareplus": lambda x, b: 0.5 * (x + torch.sqrt(x * x + b)),
    "exp": torch.exp,
}


def function(f: Activation) -> Callable[[Tensor], Tensor]:
    """f as a function of tensors, differentiable.

    Raises:
        FaninValueError: f is known by a table, or has no operation in torch here.
    """
    if f.table is not None or f.name not in FUNCTIONS:
        raise FaninValueError(
            f"activation {str(f)!r} cannot be computed in torch; known are {', '.join(sorted(FUNCTIONS))}"
        )
    made = FUNCTIONS[f.name]
    return lambda x: made(x, *f.parameters)
