"""The protocol of rules: a record that turns a `Slot` into a `Distribution`.

A family is a plain function (slot, arguments) → distribution under `@rule`. The decorator makes a factory of it: the
factory checks the arguments at once and returns a `Rule`, which can be called, printed as a spec string, and written
as JSON. `@rule` is open to everybody: a rule of your own is a function in your own file.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.errors import FaninTypeError, FaninValueError
from fanin.records import Record
from fanin.rules.arguments import CHECKS, as_text, check_together
from fanin.slots import Slot

P = ParamSpec("P")

Argument = str | bool | int | float | None | Activation
Family = Callable[..., Distribution]

FAMILIES: dict[str, Family] = {}  # name → function of (slot, arguments)
FACTORIES: dict[str, Callable[..., "Rule"]] = {}  # name → what the user calls
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
) -> Callable[[Callable[Concatenate[Slot, P], Distribution]], Callable[P, Rule]]:
    """Make a rule's factory of a function (slot, arguments) → distribution; `aliases` are other names of it.

    Arguments with a name that `fanin.rules.arguments.CHECKS` knows are checked when the factory is called.

    Example:
        >>> from fanin.distributions import Normal
        >>> @rule()
        ... def tenth(slot, scale: float = 0.1):
        ...     return Normal(scale)
        >>> tenth(scale=0.2).spec
        'tenth(scale=0.2)'
        >>> del FAMILIES["tenth"], FACTORIES["tenth"]
    """

    def decorate(function: Callable[Concatenate[Slot, P], Distribution]) -> Callable[P, Rule]:
        name = function.__name__

        @functools.wraps(function)
        def factory(*args: P.args, **kwargs: P.kwargs) -> Rule:
            return Rule(name, _bind(name, args, kwargs))

        FAMILIES[name] = function
        FACTORIES[name] = factory
        ALIASES.update(dict.fromkeys(aliases, name))
        signature = inspect.signature(function)
        factory.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=list(signature.parameters.values())[1:], return_annotation=Rule
        )
        return factory

    return decorate


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
    given = {k: CHECKS[k](name, k, v) if k in CHECKS else v for k, v in bound.arguments.items()}
    check_together(name, given)
    return given
