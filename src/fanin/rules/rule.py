"""The protocol of rules: a record that turns a `Slot` into a `Distribution`.

A family is a plain function (slot, arguments) → distribution under `@rule`. The decorator makes a factory of it: the
factory checks the arguments at once and returns a `Rule`, which can be called, printed as a spec string, and written
as JSON. `@rule` is open to everybody: a rule of your own is a function in your own file.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.errors import FaninTypeError, FaninValueError
from fanin.records import Record
from fanin.rules.arguments import CHECKS, Check, as_text, check_together
from fanin.rules.promise import Promise
from fanin.rules.requirement import Requirement
from fanin.slots import Slot

P = ParamSpec("P")

Argument = str | bool | int | float | None | Activation | tuple[float, ...]
Family = Callable[..., Distribution]


@dataclass(frozen=True)
class Facts:
    """What a family declares of itself besides its function.

    Attributes:
        promise: (slot, arguments) → what it promises of this weight; None where it promises nothing.
        requires: (slot, arguments) → what the architecture must have for it; None where it fits any.
        lr_scale: (slot, arguments) → factor on the learning rate of this weight (muP); None where it asks for none.
        checks: checks of arguments that only this family has.
        samples: arguments to try it with, one mapping a try, for rules that cannot do without.
    """

    promise: Callable[..., Promise | tuple[Promise, ...]] | None = None
    requires: Callable[..., tuple[Requirement, ...]] | None = None
    lr_scale: Callable[..., float] | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)
    samples: tuple[Mapping[str, Any], ...] = ({},)


FAMILIES: dict[str, Family] = {}  # name → function of (slot, arguments)
FACTORIES: dict[str, Callable[..., "Rule"]] = {}  # name → what the user calls
FACTS: dict[str, Facts] = {}  # name → what the family declares
ALIASES: dict[str, str] = {}  # other name → name


@dataclass(frozen=True)
class Rule(Record):
    """Why a weight is drawn as it is: a named function of the slot, with its arguments filled in.

    Attributes:
        name: name of the family, such as "he_normal".
        arguments: every argument by name, defaults included.

    Example:
        >>> from fanin.rules import he_normal
        >>> he_normal(mode="fan_out").spec
        "he_normal(mode='fan_out')"
        >>> Rule.from_dict(he_normal(nonlinearity="gelu").to_dict()) == he_normal(nonlinearity="gelu")
        True
    """

    name: str
    arguments: dict[str, Argument] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in FAMILIES:
            raise FaninValueError(
                f"name={self.name!r} is not the name of a rule; known are {', '.join(sorted(FAMILIES))}"
            )
        object.__setattr__(self, "arguments", _bind(self.name, (), self.arguments))

    def __call__(self, slot: Slot) -> Distribution:
        """The distribution for this slot; raises `FaninValueError` where the rule cannot serve it."""
        return FAMILIES[self.name](slot, **self.arguments)

    def promises(self, slot: Slot) -> tuple[Promise, ...]:
        """What the rule promises of this weight; empty where it promises nothing. Raises as `__call__` does."""
        made = FACTS[self.name].promise
        found = () if made is None else made(slot, **self.arguments)
        return (found,) if isinstance(found, Promise) else tuple(found)

    def requires(self, slot: Slot) -> tuple[Requirement, ...]:
        """What the architecture must have for this weight to be drawn so; empty where the rule fits any."""
        made = FACTS[self.name].requires
        return () if made is None else tuple(made(slot, **self.arguments))

    def lr_scale(self, slot: Slot) -> float:
        """The factor on the learning rate that the rule asks for this weight: 1 but for parametrizations (muP)."""
        made = FACTS[self.name].lr_scale
        return 1.0 if made is None else float(made(slot, **self.arguments))

    @property
    def spec(self) -> str:
        """The rule as a user would write it; `fanin.rules.parse` reads it again (but for activations given as code)."""
        defaults = {p.name: p.default for p in _parameters(self.name)}
        given = {k: v for k, v in self.arguments.items() if v is not defaults[k] and v != defaults[k]}
        return f"{self.name}({', '.join(f'{k}={as_text(v)}' for k, v in given.items())})"

    def __str__(self) -> str:
        return self.spec

    def __hash__(self) -> int:
        return hash((self.name, tuple(self.arguments.items())))


def rule(
    aliases: Iterable[str] = (),
    *,
    promise: Callable[..., Promise | tuple[Promise, ...]] | None = None,
    requires: Callable[..., tuple[Requirement, ...]] | None = None,
    lr_scale: Callable[..., float] | None = None,
    checks: Mapping[str, Check] | None = None,
    samples: Iterable[Mapping[str, Any]] = ({},),
) -> Callable[[Callable[Concatenate[Slot, P], Distribution]], Callable[P, Rule]]:
    """Make a rule's factory of a function (slot, arguments) → distribution.

    Arguments are checked when the factory is called: by `checks`, else by the table `fanin.rules.arguments.CHECKS`.

    Args:
        aliases: other names of it.
        promise: (slot, the rule's arguments) → one promise, or several (see `fanin.rules.promise`).
        requires: (slot, the rule's arguments) → what the architecture must have (see `fanin.rules.requirement`).
        lr_scale: (slot, the rule's arguments) → factor on the learning rate of this weight.
        checks: argument → check (rule, argument, value) → value, for arguments that the table does not know.
        samples: arguments to measure the promise with, where the rule cannot do without any.

    Raises:
        FaninValueError: another rule has this name or one of the aliases.

    Example:
        >>> from fanin.distributions import Normal
        >>> @rule()
        ... def tenth(slot, scale: float = 0.1):
        ...     return Normal(scale)
        >>> tenth(scale=0.2).spec
        'tenth(scale=0.2)'
        >>> forget("tenth")
    """

    others = tuple(aliases)

    def decorate(function: Callable[Concatenate[Slot, P], Distribution]) -> Callable[P, Rule]:
        name = function.__name__
        _check_names(function, (name, *others))

        @functools.wraps(function)
        def factory(*args: P.args, **kwargs: P.kwargs) -> Rule:
            return Rule(name, _bind(name, args, kwargs))

        FAMILIES[name] = function
        FACTORIES[name] = factory
        FACTS[name] = Facts(promise, requires, lr_scale, dict(checks or {}), tuple(samples))
        ALIASES.update(dict.fromkeys(others, name))
        signature = inspect.signature(function)
        factory.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=list(signature.parameters.values())[1:], return_annotation=Rule
        )
        return factory

    return decorate


def _check_names(function: Family, names: tuple[str, ...]) -> None:
    """A name has one rule; the same function again (a module that is loaded anew) takes its place."""
    for name in names:
        known = FAMILIES.get(ALIASES.get(name, name))
        if known is not None and (known.__module__, known.__qualname__) != (function.__module__, function.__qualname__):
            raise FaninValueError(
                f"rule {name!r} is defined already, in {known.__module__}; give {function.__module__}'s another name"
            )


def forget(name: str) -> None:
    """Take a rule and its aliases out of the tables (for tests and notebooks)."""
    for table in (FAMILIES, FACTORIES, FACTS):
        table.pop(name, None)
    for alias in [alias for alias, of in ALIASES.items() if of == name]:
        del ALIASES[alias]


def _parameters(name: str) -> list[inspect.Parameter]:
    return list(inspect.signature(FAMILIES[name]).parameters.values())[1:]


def _bind(name: str, args: Iterable[Any], kwargs: dict[str, Any]) -> dict[str, Argument]:
    """All arguments of a family by name: defaults filled in, each one checked."""
    parameters = _parameters(name)
    takes = ", ".join(str(p.name if p.default is p.empty else f"{p.name}={as_text(p.default)}") for p in parameters)
    try:
        bound = inspect.Signature(parameters).bind(*args, **kwargs)
    except TypeError as error:
        raise FaninTypeError(f"{name}: {error}; it takes ({takes})") from None
    bound.apply_defaults()
    own = FACTS[name].checks
    checks = {k: own.get(k) or CHECKS.get(k) for k in bound.arguments}
    given = {k: v if (check := checks[k]) is None else check(name, k, v) for k, v in bound.arguments.items()}
    check_together(name, given)
    return given
