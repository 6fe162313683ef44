"""Layers that the models share: activations and norms by name."""

import ast
import difflib
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fanin.activations import ALIASES, KNOWN, Activation
from fanin.errors import FaninValueError

MODULES: dict[str, Callable[..., nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "relu6": nn.ReLU6,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU("tanh"),
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "elu": nn.ELU,
    "celu": nn.CELU,
    "selu": nn.SELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hardsigmoid": nn.Hardsigmoid,
    "hardswish": nn.Hardswish,
    "hardtanh": nn.Hardtanh,
    "softsign": nn.Softsign,
    "logsigmoid": nn.LogSigmoid,
    "tanhshrink": nn.Tanhshrink,
    "softshrink": nn.Softshrink,
    "hardshrink": nn.Hardshrink,
    "prelu": lambda a: nn.PReLU(init=a),
    "rrelu": nn.RReLU,
    "threshold": nn.Threshold,
}
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu_squared": lambda x: torch.relu(x).square(),
    "sin": lambda x, w: torch.sin(w * x),
    "exp": torch.exp,
    "abs": torch.abs,
    "square": torch.square,
    "squareplus": lambda x, b: 0.5 * (x + torch.sqrt(x.square() + b)),
    "sparse_plus": lambda x: torch.where(x > 1, x, 0.25 * (x + 1).clamp(0, 2).square()),
    "sparse_sigmoid": lambda x: (0.5 * (x + 1)).clamp(0, 1),
    "erf": torch.erf,
}


class Elementwise(nn.Module):
    """An activation that PyTorch has no module for, by its name in `fanin.activations`."""

    def __init__(self, name: str, *parameters: float) -> None:
        super().__init__()
        self.name, self.parameters_ = name, parameters

    def forward(self, x: Tensor) -> Tensor:
        return FUNCTIONS[self.name](x, *self.parameters_)

    def extra_repr(self) -> str:
        return ", ".join([self.name, *(f"{p:g}" for p in self.parameters_)])


def activation(text: str) -> nn.Module:
    """A fresh module of the activation that `text` names: any that fanin knows, with parameters as in "leaky_relu(0.2)".

    Raises:
        FaninValueError: the text does not parse, or the name is not known.
    """
    name, parameters = _parsed(text)
    try:
        known = Activation.named(name, *parameters)
    except FaninValueError as error:
        if ALIASES.get(name.lower(), name.lower()) in KNOWN:
            raise FaninValueError(f"activation={text!r} has too many parameters") from error
        close = difflib.get_close_matches(name, [*KNOWN, *ALIASES], 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise FaninValueError(f"activation={text!r} is unknown; accepted are {', '.join(KNOWN)}{hint}") from error
    if known.name in MODULES:
        return MODULES[known.name](*known.parameters)
    return Elementwise(known.name, *known.parameters)


def _parsed(text: object) -> tuple[str, tuple[float, ...]]:
    if isinstance(text, str):
        try:
            node = ast.parse(text.strip(), mode="eval").body
            if isinstance(node, ast.Name):
                return node.id, ()
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
                return node.func.id, tuple(float(ast.literal_eval(a)) for a in node.args)
        except (SyntaxError, ValueError, TypeError):
            pass
    raise FaninValueError(
        f"activation={text!r} does not parse; write the name of an activation, with its parameters as in 'leaky_relu(0.2)'"
    )


class ChannelNorm(nn.GroupNorm):
    """Layer norm of an image: over channels and places together, with a scale and a shift for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)


VECTOR_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
    "rms": nn.RMSNorm,
}
IMAGE_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(next(g for g in (32, 16, 8, 4, 2, 1) if channels % g == 0), channels),
    "layer": ChannelNorm,
}


def vector_norm(name: str | None, width: int) -> list[nn.Module]:
    """The norm of a layer of features, in a list that is empty for None."""
    return _norm(VECTOR_NORMS, name, width)


def image_norm(name: str | None, channels: int) -> list[nn.Module]:
    """The norm of a layer of feature maps, in a list that is empty for None."""
    return _norm(IMAGE_NORMS, name, channels)


def _norm(norms: dict[str, Callable[[int], nn.Module]], name: str | None, width: int) -> list[nn.Module]:
    if name is None:
        return []
    if name not in norms:
        raise FaninValueError(f"norm={name!r} is unknown; accepted are {', '.join(norms)} and None")
    return [norms[name](width)]


def check_whole(least: int = 1, **given: object) -> None:
    """Raises `FaninValueError` where an argument is no whole number of at least `least`."""
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise FaninValueError(f"{name}={value!r} must be a whole number of at least {least}")


def check_share(**given: object) -> None:
    """Raises `FaninValueError` where an argument is no number from 0 to below 1."""
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise FaninValueError(f"{name}={value!r} must be a number from 0 to below 1")


def dropped(share: float) -> list[nn.Module]:
    """Dropout in a list that is empty where nothing is dropped."""
    return [nn.Dropout(share)] if share else []
