"""Optimizer specs, read and checked: `sgd(momentum=0.9, nesterov=True)`, `adam(beta2=0.98)`, `adamw(weight_decay=0.1)`."""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.specs import Spec, check_arguments, parse_spec


def sgd(momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0) -> None:
    """Stochastic gradient descent (Robbins & Monro 1951), with Polyak's or Nesterov's momentum."""


def adam(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0) -> None:
    """Kingma & Ba 2015, algorithm 1; weight decay as a penalty."""


def adamw(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0) -> None:
    """Loshchilov & Hutter 2019, algorithm 2; weight decay apart from the gradient."""


OPTIMIZERS: dict[str, Callable[..., None]] = {"sgd": sgd, "adam": adam, "adamw": adamw}

# Five rates that a method's best one is likely to lie inside of, by optimizer: half a decade apart, as in the papers.
LEARNING_RATES: dict[str, tuple[float, ...]] = {
    "sgd": (0.001, 0.003, 0.01, 0.03, 0.1),
    "adam": (0.0001, 0.0003, 0.001, 0.003, 0.01),
    "adamw": (0.0001, 0.0003, 0.001, 0.003, 0.01),
}


def parse_optimizer(text: str) -> Spec:
    """The spec of an optimizer, checked.

    Args:
        text: `sgd`, `adam` or `adamw`, with arguments of theirs.

    Raises:
        FaninValueError, FaninTypeError: unknown, an argument that it does not take, or a value out of range.

    Example:
        >>> str(parse_optimizer("sgd( momentum=0.9,nesterov=True )"))
        'sgd(momentum=0.9, nesterov=True)'
    """
    spec = parse_spec(text, "optimizer")
    if spec.name not in OPTIMIZERS:
        close = difflib.get_close_matches(spec.name, OPTIMIZERS, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise FaninValueError(f"optimizer={text!r} is unknown; accepted are {', '.join(OPTIMIZERS)}{hint}")
    check_arguments(spec, OPTIMIZERS[spec.name], "optimizer")
    for name, value in spec.arguments.items():
        _check(text, name, value)
    settings = {**_defaults(spec.name), **spec.arguments}
    if settings.get("nesterov") and not settings["momentum"]:
        raise FaninValueError(f"optimizer={text!r} asks for nesterov, which needs a momentum above 0")
    return spec


def learning_rates(optimizers: Iterable[str]) -> tuple[float, ...]:
    """The rates that suit these optimizers: five of each kind, in order.

    Example:
        >>> learning_rates(["adam(beta2=0.98)"])
        (0.0001, 0.0003, 0.001, 0.003, 0.01)
    """
    return tuple(sorted({lr for text in optimizers for lr in LEARNING_RATES[parse_optimizer(text).name]}))


def _defaults(name: str) -> dict[str, Any]:
    return {n: p.default for n, p in inspect.signature(OPTIMIZERS[name]).parameters.items()}


def _check(text: str, name: str, value: Any) -> None:
    if name == "nesterov":
        if not isinstance(value, bool):
            raise FaninTypeError(f"optimizer={text!r}: nesterov must be True or False")
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaninTypeError(f"optimizer={text!r}: {name} is a {type(value).__name__}, but must be a number")
    if not math.isfinite(value) or value < 0:
        raise FaninValueError(f"optimizer={text!r}: {name} must be at least 0 and finite")
    if name in ("momentum", "beta1", "beta2") and value >= 1:
        raise FaninValueError(f"optimizer={text!r}: {name} must be below 1")
    if name == "eps" and value == 0:
        raise FaninValueError(f"optimizer={text!r}: eps must be above 0")
