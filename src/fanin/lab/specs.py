"""Specs: a name with arguments, as studies write models and optimizers: `mlp(depth=30, activation='relu')`."""

import ast
import difflib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fanin.errors import FaninValueError


@dataclass(frozen=True)
class Spec:
    """A name and its arguments; `str` gives it back in one form, whatever the spaces and quotes it was written with.

    Attributes:
        name: what is asked for.
        arguments: by name, in the order given: numbers, text, booleans, None, or lists of them.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({inside})" if inside else self.name

    def with_defaults(self, **defaults: Any) -> "Spec":
        """The same with arguments that it does not give itself."""
        return Spec(self.name, {**self.arguments, **{k: v for k, v in defaults.items() if k not in self.arguments}})


def parse_spec(text: str, what: str = "spec") -> Spec:
    """The spec that `text` says; nothing is run.

    Args:
        text: `name` or `name(argument=value, …)`; values are literals.
        what: how errors call it ("model").

    Raises:
        FaninValueError: it does not parse.

    Example:
        >>> str(parse_spec("mlp( depth = 30,activation=\\"relu\\")"))
        "mlp(depth=30, activation='relu')"
    """
    example = "write name or name(argument=value, …)"
    if not isinstance(text, str):
        raise FaninValueError(f"{what}={text!r} is a {type(text).__name__}, but must be text; {example}")
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return Spec(node.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
            pairs = [(k.arg, ast.literal_eval(k.value)) for k in node.keywords]
            if all(name for name, _ in pairs) and len({name for name, _ in pairs}) == len(pairs):
                return Spec(node.func.id, {str(name): value for name, value in pairs})
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    raise FaninValueError(f"{what}={text!r} does not parse; {example}")


def split_outside(text: str, mark: str) -> list[str]:
    """The parts of a text at a mark, those in brackets aside.

    Example:
        >>> split_outside("he_normal(a=0.1, mode='fan_out'), fanin", ",")
        ["he_normal(a=0.1, mode='fan_out')", ' fanin']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def check_arguments(spec: Spec, function: Callable[..., Any], what: str, skip: Iterable[str] = ()) -> None:
    """Raises `FaninValueError` where `function` does not take one of the spec's arguments, or needs one more.

    Args:
        what: how errors call the spec ("model").
        skip: parameters that are given by the caller, not by the spec.
    """
    parameters = {n: p for n, p in inspect.signature(function).parameters.items() if n not in set(skip)}
    for name in spec.arguments:
        if name not in parameters:
            close = difflib.get_close_matches(name, parameters, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            accepted = ", ".join(parameters) or "none"
            raise FaninValueError(f"{what}={str(spec)!r} has no argument {name!r}; accepted are {accepted}{hint}")
    missing = [n for n, p in parameters.items() if p.default is p.empty and n not in spec.arguments]
    if missing:
        raise FaninValueError(f"{what}={str(spec)!r} needs {', '.join(missing)}")
