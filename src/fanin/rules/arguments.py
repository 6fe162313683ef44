"""The arguments of rules. A name means the same in every rule, so one table checks them all."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fanin.activations import Activation
from fanin.distributions import LEAST_CUT
from fanin.errors import FaninTypeError, FaninValueError

Nonlinearity = str | Activation | Callable[[Any], Any] | None  # what a user may give
Check = Callable[[str, str, Any], Any]  # (rule, argument, value) → the value to use; raises where it cannot be used

MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
SHAPES = ("normal", "truncated_normal", "uniform")
LARGEST = 2**53  # whole number that is one as a float, too


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
    try:
        return float(value) if ok and math.isfinite(value) else None
    except OverflowError:  # a whole number beyond 1e308
        return None


def number_check(accepted: str, ok: Callable[[float], bool], optional: bool = False) -> Check:
    """A check for one finite number that is `ok`; `accepted` says which, as in "a finite number above 0"."""

    def check(rule: str, field: str, value: Any) -> float | None:
        if optional and value is None:
            return None
        number = _number(value)
        if number is None or not ok(number):
            kind = FaninTypeError if not isinstance(value, int | float | np.number) else FaninValueError
            raise kind(f"{rule}: {field}={value!r} cannot be used; {field} must be {accepted}{' or None' * optional}")
        return number

    return check


def whole_check(low: int, high: int | None = None, optional: bool = False) -> Check:
    """A check for a whole number from `low` to `high` (without an end where None)."""
    span = f"from {low} to {high}" if high is not None else f"of at least {low}"

    def check(rule: str, field: str, value: Any) -> int | None:
        if optional and value is None:
            return None
        ok = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not ok or value < low or value > (LARGEST if high is None else high):
            kind = FaninValueError if ok else FaninTypeError
            raise kind(
                f"{rule}: {field}={value!r} cannot be used; {field} must be a whole number {span}{' or None' * optional}"
            )
        return int(value)

    return check


def numbers_check(accepted: str, ok: Callable[[tuple[float, ...]], bool]) -> Check:
    """A check for a row of finite numbers that is `ok`; it becomes a tuple."""

    def check(rule: str, field: str, value: Any) -> tuple[float, ...]:
        many = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)
        row = [_number(v) for v in value] if many else [None]
        given = tuple(v for v in row if v is not None)
        if len(given) != len(row) or not ok(given):
            kind = FaninValueError if many else FaninTypeError
            raise kind(f"{rule}: {field}={value!r} cannot be used; {field} must be {accepted}")
        return given

    return check


def choice_check(choices: tuple[str, ...]) -> Check:
    """A check for one of several words."""

    def check(rule: str, field: str, value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise FaninValueError(
                f"{rule}: {field}={value!r} is not known; accepted are {', '.join(map(repr, choices))}"
            )
        return value

    return check


def flag_check(rule: str, field: str, value: Any) -> bool:
    """A check for True or False."""
    if not isinstance(value, bool):
        raise FaninTypeError(f"{rule}: {field}={value!r} cannot be used; {field} must be True or False")
    return value


def _optional_flag(rule: str, field: str, value: Any) -> bool | None:
    return None if value is None else flag_check(rule, field, value)


finite_check = number_check("a finite number", lambda x: True)
_maybe = number_check("a finite number", lambda x: True, optional=True)
_positive = number_check("a finite number above 0", lambda x: x > 0)
_at_least_0 = number_check("a finite number of at least 0", lambda x: x >= 0)

CHECKS: dict[str, Check] = {
    "nonlinearity": activation,
    "mode": choice_check(MODES),
    "distribution": choice_check(SHAPES),
    "a": _maybe,
    "gain": _maybe,
    "std": _at_least_0,
    "scale": _at_least_0,
    "cut": number_check(f"a finite number of at least {LEAST_CUT:g}", lambda x: x >= LEAST_CUT),
    "mean": finite_check,
    "value": finite_check,
    "low": _maybe,
    "high": _maybe,
    "bound": number_check("a finite number of at least 0", lambda x: x >= 0, optional=True),
    "scale_out": flag_check,
    "pair": _optional_flag,
    "first": number_check("a finite number above 0", lambda x: x > 0, optional=True),
    "head": number_check("a finite number of at least 0", lambda x: x >= 0, optional=True),
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
    if "sigmas" in given and None not in (given["low"], given["high"]) and given["low"] >= given["high"]:
        raise FaninValueError(f"{rule}: low={given['low']!r} is not below high={given['high']!r}")


def _takes_slope(nonlinearity: Activation, a: float) -> bool:
    return nonlinearity.name == "leaky_relu" or (nonlinearity.name == "relu" and a == 0)


def _check_bounds(rule: str, low: float | None, high: float | None, bound: float | None) -> None:
    alone, both = bound is not None, low is not None and high is not None
    if alone == both or (alone and (low is not None or high is not None)):
        raise FaninValueError(f"{rule}: low={low!r}, high={high!r}, bound={bound!r}; give low and high, or bound alone")
    if both and high < low:  # type: ignore[operator]
        raise FaninValueError(f"{rule}: low={low!r} is above high={high!r}; low must be at most high")
