"""The arguments of rules. A name means the same in every rule, so one table checks them all."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fanin.activations import Activation
from fanin.errors import FaninTypeError, FaninValueError

Nonlinearity = str | Activation | Callable[[Any], Any] | None  # what a user may give

MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
SHAPES = ("normal", "truncated_normal", "uniform")


def as_text(value: Any) -> str:
    """An argument as it stands in a spec string."""
    if isinstance(value, Activation):
        inside = ", ".join(f"{p!r}" for p in value.parameters)
        text = f"{value.name}({inside})" if str(value) != value.name else value.name
        return f"<{text}>" if value.table is not None else repr(text)
    return repr(value)


def activation(rule: str, field: str, value: Any) -> Activation | None:
    """A name such as "relu" or "leaky_relu(0.2)", an `Activation`, or a function of a NumPy array."""
    if value is None:
        return None
    if isinstance(value, str):
        return _named(rule, field, value)
    return Activation.of(value)


def _named(rule: str, field: str, text: str) -> Activation:
    name, bracket, inside = text.partition("(")
    if not bracket:
        return Activation.named(text.strip())
    try:
        if not inside.rstrip().endswith(")"):
            raise ValueError
        parameters = [float(p) for p in inside.rstrip()[:-1].split(",")]
    except ValueError:
        raise FaninValueError(
            f"{rule}: {field}={text!r} does not parse; write a name such as 'gelu', or 'leaky_relu(0.2)'"
        ) from None
    return Activation.named(name.strip(), *parameters)


def _number(value: Any) -> float | None:
    ok = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return float(value) if ok and math.isfinite(value) else None


def _number_check(accepted: str, ok: Callable[[float], bool], optional: bool = False) -> Callable[[str, str, Any], Any]:
    def check(rule: str, field: str, value: Any) -> float | None:
        if optional and value is None:
            return None
        number = _number(value)
        if number is None or not ok(number):
            kind = FaninTypeError if not isinstance(value, int | float | np.number) else FaninValueError
            raise kind(f"{rule}: {field}={value!r} cannot be used; {field} must be {accepted}{' or None' * optional}")
        return number

    return check


def _choice_check(choices: tuple[str, ...]) -> Callable[[str, str, Any], str]:
    def check(rule: str, field: str, value: Any) -> str:
        if value not in choices:
            raise FaninValueError(
                f"{rule}: {field}={value!r} is not known; accepted are {', '.join(map(repr, choices))}"
            )
        return value

    return check


def _flag(rule: str, field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise FaninTypeError(f"{rule}: {field}={value!r} cannot be used; {field} must be True or False")
    return value


def _optional_flag(rule: str, field: str, value: Any) -> bool | None:
    return None if value is None else _flag(rule, field, value)


_any = _number_check("a finite number", lambda x: True)
_maybe = _number_check("a finite number", lambda x: True, optional=True)
_positive = _number_check("a finite number above 0", lambda x: x > 0)
_at_least_0 = _number_check("a finite number of at least 0", lambda x: x >= 0)

CHECKS: dict[str, Callable[[str, str, Any], Any]] = {
    "nonlinearity": activation,
    "mode": _choice_check(MODES),
    "distribution": _choice_check(SHAPES),
    "a": _maybe,
    "gain": _maybe,
    "std": _at_least_0,
    "scale": _at_least_0,
    "cut": _positive,
    "mean": _any,
    "value": _any,
    "low": _maybe,
    "high": _maybe,
    "bound": _number_check("a finite number of at least 0", lambda x: x >= 0, optional=True),
    "scale_out": _flag,
    "pair": _optional_flag,
    "first": _number_check("a finite number above 0", lambda x: x > 0, optional=True),
    "head": _number_check("a finite number of at least 0", lambda x: x >= 0, optional=True),
}


def check_together(rule: str, given: dict[str, Any]) -> None:
    """Raise where arguments that are fine one by one do not go together."""
    gain, nonlinearity, a = (given.get(name) for name in ("gain", "nonlinearity", "a"))
    if gain is not None and nonlinearity is not None:
        raise FaninValueError(
            f"{rule}: gain={gain!r} and nonlinearity={as_text(nonlinearity)} exclude each other; give one"
        )
    if a is not None and nonlinearity is not None and not _takes_slope(nonlinearity, a):
        raise FaninValueError(
            f"{rule}: a={a!r} is the slope of a leaky ReLU, but nonlinearity={as_text(nonlinearity)}; "
            "leave a out, or give nonlinearity='leaky_relu'"
        )
    if "bound" in given and "low" in given:
        _check_bounds(rule, given["low"], given.get("high"), given["bound"])


def _takes_slope(nonlinearity: Activation, a: float) -> bool:
    return nonlinearity.name == "leaky_relu" or (nonlinearity.name == "relu" and a == 0)


def _check_bounds(rule: str, low: float | None, high: float | None, bound: float | None) -> None:
    alone, both = bound is not None, low is not None and high is not None
    if alone == both or (alone and (low is not None or high is not None)):
        raise FaninValueError(f"{rule}: low={low!r}, high={high!r}, bound={bound!r}; give low and high, or bound alone")
    if both and high < low:  # type: ignore[operator]
        raise FaninValueError(f"{rule}: low={low!r} is above high={high!r}; low must be at most high")
