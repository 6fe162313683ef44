"""Rules by name: `get`, `parse`, `table`, `explain`."""

import ast
import difflib
import functools
import importlib.metadata
import inspect
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from fanin.errors import FaninTypeError, FaninValueError
from fanin.records import Record
from fanin.rules.arguments import as_text
from fanin.rules.rule import ALIASES, FACTORIES, Rule

GROUP = "fanin.rules"  # of the entry points by which packages offer rules


@functools.cache
def load_all() -> tuple[str, ...]:
    """Load the rules that installed packages offer by entry points; the names of the entry points that were loaded.

    One that cannot be loaded is left out, with a warning that says why: it must not take the others away.
    """
    loaded = []
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name):
        try:
            point.load()
        except Exception as error:  # somebody else's module may raise anything
            warnings.warn(f"rules of {point.value!r} cannot be loaded: {type(error).__name__}: {error}", stacklevel=2)
            continue
        loaded.append(point.name)
    return tuple(loaded)


@dataclass(frozen=True)
class RuleInfo(Record):
    """One row of `fanin rules`.

    Attributes:
        name: name of the rule.
        signature: its arguments with their defaults, such as "(gain=None, nonlinearity=None)".
        aliases: other names of it.
        summary: first sentence of its documentation.
        formula: what it draws.
        paper: where it comes from.
        promise: what it promises.
        requires: what the architecture must have; empty where it fits any.
        family: the file that holds it.
    """

    name: str
    signature: str
    aliases: tuple[str, ...]
    summary: str
    formula: str
    paper: str
    family: str
    promise: str = ""
    requires: str = ""


def resolve_name(name: str) -> str:
    """The rule's own name for a name or an alias, with or without PyTorch's trailing underscore."""
    if not isinstance(name, str):
        raise FaninTypeError(f"name={name!r} cannot be used; give the name of a rule, such as 'he_normal'")
    plain = name.strip().rstrip("_").lower()
    if ALIASES.get(plain, plain) not in FACTORIES:
        load_all()
    found = ALIASES.get(plain, plain)
    if found not in FACTORIES:
        near = difflib.get_close_matches(plain, [*FACTORIES, *ALIASES], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(FACTORIES))}"
        raise FaninValueError(f"rule {name!r} is not known; {hint}")
    return found


def get(name: str) -> Callable[..., Rule]:
    """The factory of this name or alias; raises `FaninValueError` for an unknown one. `parse` reads arguments too.

    Example:
        >>> get("kaiming_normal_")(mode="fan_out").spec
        "he_normal(mode='fan_out')"
    """
    if isinstance(name, str) and "(" in name:
        raise FaninValueError(
            f"name={name!r} has arguments; use fanin.rules.parse({name!r}), which gives the rule itself"
        )
    return FACTORIES[resolve_name(name)]


def parse(spec: str) -> Rule:
    """The rule that a text such as "he_normal" or "he_normal(mode='fan_out')" names; no code is run.

    Raises:
        FaninValueError: where the text does not parse (the message points at the character), names no known rule, or has
            arguments that the rule does not take.

    Example:
        >>> parse("orthogonal(gain=2)").spec
        'orthogonal(gain=2.0)'
    """
    if not isinstance(spec, str):
        raise FaninTypeError(f"spec={spec!r} cannot be used; give a text such as \"he_normal(mode='fan_out')\"")
    try:
        tree = ast.parse(spec, mode="eval").body
    except SyntaxError as error:
        raise _at(spec, (error.offset or 1) - 1, error.msg) from None
    except ValueError as error:  # a null character
        raise _at(spec, 0, str(error)) from None
    if isinstance(tree, ast.Name):
        return get(tree.id)()
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        raise _at(spec, tree.col_offset, "it must be a rule's name, with or without arguments in brackets")
    factory = get(tree.func.id)
    args = [_literal(spec, node) for node in tree.args]
    kwargs = {}
    for keyword in tree.keywords:
        if keyword.arg is None:
            raise _at(spec, keyword.value.col_offset - 2, "arguments must be written out")
        kwargs[keyword.arg] = _literal(spec, keyword.value)
    try:
        return factory(*args, **kwargs)
    except FaninTypeError as error:
        raise FaninValueError(str(error)) from None


def _literal(spec: str, node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        text = ast.get_source_segment(spec, node) or ""
        hint = f", write {text!r} with quotes" if isinstance(node, ast.Name) else ""
        raise _at(
            spec, node.col_offset, f"an argument must be a number, a text in quotes, True, False or None{hint}"
        ) from None


def _at(spec: str, offset: int, why: str) -> FaninValueError:
    offset = max(0, min(offset, len(spec)))
    return FaninValueError(
        f"rule {spec!r} does not parse at character {offset + 1}: {why}\n  {spec}\n  {' ' * offset}^"
    )


def table() -> tuple[RuleInfo, ...]:
    """Every rule, by family and name.

    Example:
        >>> [info.paper for info in table() if info.name == "xavier_normal"][0][:22]
        'Glorot & Bengio 2010, '
    """
    load_all()
    rows = [_info(name) for name in FACTORIES]
    return tuple(sorted(rows, key=lambda row: (row.family, row.name)))


def _info(name: str) -> RuleInfo:
    factory = FACTORIES[name]
    text = inspect.getdoc(factory) or ""
    parameters = inspect.signature(factory).parameters.values()
    shown = ", ".join(p.name if p.default is p.empty else f"{p.name}={as_text(p.default)}" for p in parameters)
    return RuleInfo(
        name=name,
        signature=f"({shown})",
        aliases=tuple(sorted(alias for alias, of in ALIASES.items() if of == name)),
        summary=text.split("\n\n")[0].replace("\n", " "),
        formula=section(text, "Formula"),
        paper=section(text, "Paper"),
        family=factory.__module__.rpartition(".")[2],
        promise=section(text, "Promise"),
        requires=section(text, "Requires"),
    )


def section(text: str, title: str) -> str:
    """The words under "Title:" in a docstring, on one line; empty where there is no such section."""
    found = re.search(rf"^{title}:\n((?:[ ]+\S.*\n?|\n)+)", text, re.MULTILINE)
    return " ".join(found.group(1).split()) if found else ""


def doc_parts(factory: Callable[..., Rule]) -> tuple[str, str, str, str]:
    """A rule's documentation, cut where a face puts its own words in: summary, body, lines of arguments, what comes after them.

    The example is left out: it is about the rule, not about the face's function.
    """
    text = (inspect.getdoc(factory) or "").partition("\nExample:")[0].rstrip()
    head, found, tail = text.partition("\nArgs:\n")
    if not found:
        head, paper, tail = text.partition("\nPaper:\n")
        tail = f"\nPaper:\n{tail}" if paper else ""
    own, _, rest = tail.partition("\n\n") if found else ("", "", tail)
    summary, _, body = head.partition("\n\n")
    return summary, body.strip("\n"), f"{own}\n" if own else "", rest.strip("\n")


def explain(name: str) -> str:
    """What `fanin explain RULE` prints: the rule's signature and its documentation."""
    info = _info(resolve_name(name))
    also = f"\nAlso: {', '.join(info.aliases)}" if info.aliases else ""
    return f"fanin.rules.{info.name}{info.signature}{also}\n\n{inspect.getdoc(FACTORIES[info.name])}\n"
