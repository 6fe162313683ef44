"""The axes of a study: its methods, its contexts, what sets contexts apart, and what stands in for {variables}."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from fanin.errors import FaninValueError
from fanin.lab.specs import parse_spec
from fanin.lab.study.records import AxisValue, RunConfig, Study

Context = dict[str, AxisValue]
# Axes that others often decide ("model" holds the depth that the axis "depth" has): labels name them only where they must.
DECIDED = ("model", "data", "optimizer", "batch_size")
SPEAKING = ("model", "data", "optimizer", "activation")  # axes whose values say by themselves what they are


def context_of(config: RunConfig) -> Context:
    """Everything of a run but its plan, learning rate and seed."""
    if config.context:
        return dict(config.context)
    return {"model": config.model, "data": config.data, "optimizer": config.optimizer, "batch_size": config.batch_size}


def contexts_of(configs: Iterable[RunConfig]) -> list[Context]:
    """The contexts, in the order in which they first occur."""
    return list({key_of(c): c for c in map(context_of, configs)}.values())


def key_of(context: Mapping[str, AxisValue]) -> tuple[tuple[str, AxisValue], ...]:
    """A context as something that a dictionary can be asked by."""
    return tuple(context.items())


def parts_of(contexts: Sequence[Mapping[str, AxisValue]]) -> list[Context]:
    """The contexts with the arguments of their models as axes of their own.

    What one context says of a model and another leaves out is False there ("no norm"), or "default" where it is a number.

    Example:
        >>> parts_of([{"model": "mlp(depth=30, norm='batch')"}, {"model": "mlp(depth=9)"}])
        [{'model': 'mlp', 'depth': 30, 'norm': 'batch'}, {'model': 'mlp', 'depth': 9, 'norm': False}]
    """
    parts = [_with_arguments(c) for c in contexts]
    known: dict[AxisValue, dict[str, AxisValue]] = {}  # model → its arguments
    for context, part in zip(contexts, parts, strict=True):
        known.setdefault(part.get("model", ""), {}).update({n: v for n, v in part.items() if n not in context})
    for part in parts:
        for name, value in known[part.get("model", "")].items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            part.setdefault(name, "default" if number else False)
    return parts


def _with_arguments(context: Mapping[str, AxisValue]) -> Context:
    try:
        spec = parse_spec(str(context.get("model", "")), "model")
    except FaninValueError:  # a factory of the user's own
        return dict(context)
    plain = {n: v if isinstance(v, str | int | float) else str(v) for n, v in spec.arguments.items() if v is not None}
    return {**context, "model": spec.name, **{n: v for n, v in plain.items() if n not in context}}


def varying_axes(contexts: Sequence[Context]) -> tuple[str, ...]:
    """The axes that tell the contexts apart, without those that the others decide.

    Example:
        >>> varying_axes([{"model": "mlp(depth=2)", "data": "digits", "depth": 2},
        ...               {"model": "mlp(depth=9)", "data": "digits", "depth": 9}])
        ('depth',)
    """
    names = list(dict.fromkeys(name for c in contexts for name in c))
    kept = [n for n in names if len({c.get(n) for c in contexts}) > 1]
    for name in DECIDED:
        others = [n for n in kept if n != name and all(n in c for c in contexts)]
        if name in kept and others and _distinct(contexts, others) == _distinct(contexts, kept):
            kept = [n for n in kept if n != name]
    return tuple(kept)


def _distinct(contexts: Sequence[Context], names: Sequence[str]) -> int:
    return len({tuple(c.get(n) for n in names) for c in contexts})


def label_of(context: Mapping[str, AxisValue], varying: Sequence[str]) -> str:
    """What sets a context apart, in few words: "depth 30, relu, norm batch"."""
    return ", ".join(axis_text(n, context[n]) for n in varying if n in context)


def axis_text(name: str, value: AxisValue) -> str:
    """One axis with its value."""
    if isinstance(value, bool):
        return name.replace("_", " ") if value else f"no {name.replace('_', ' ')}"
    if isinstance(value, str):
        return value if name in SPEAKING else f"{name.replace('_', ' ')} {value}"
    return f"{name.replace('_', ' ')} {value:g}"


def plans_of(study: Study, configs: Iterable[RunConfig]) -> tuple[str, ...]:
    """The methods in the order of the study: by the text that each was written as, then as they first occur."""
    seen = list(dict.fromkeys(c.plan for c in configs))
    return tuple(sorted(seen, key=lambda plan: (_place(plan, study), seen.index(plan))))


def methods_of(study: Study, configs: Sequence[RunConfig]) -> dict[str, str]:
    """Plan → method, in the order of `plans_of`.

    A plan whose text has variables is one method over all contexts ("fixup(depth={depth})") where no context has two such
    plans; where one has, they are what is compared, and each is a method of its own.
    """
    families = {plan: plan_family(plan, study) for plan in plans_of(study, configs)}
    seen: dict[tuple[object, str], set[str]] = {}
    for c in configs:
        seen.setdefault((key_of(context_of(c)), families[c.plan]), set()).add(c.plan)
    apart = {family for (_, family), plans in seen.items() if len(plans) > 1}
    return {plan: plan if family in apart else family for plan, family in families.items()}


def _place(plan: str, study: Study) -> int:
    for i, template in enumerate(study.plans):
        if bindings_of(plan, template, study.variables) is not None:
            return i
    return len(study.plans)


def plan_family(plan: str, study: Study) -> str:
    """The text that a method was written as in the study, with its {variables}; the method itself where there is none."""
    for template in study.plans:
        if bindings_of(plan, template, study.variables) is not None:
            return template
    return plan


def plan_variables(plan: str, study: Study) -> Context:
    """The variables that a method's text stands for: {"gain": 1.5} of "scaled(gain=1.5)"."""
    for template in study.plans:
        found = bindings_of(plan, template, study.variables)
        if found is not None:
            return found
    return {}


def bindings_of(text: str, template: str, variables: Mapping[str, Sequence[AxisValue]]) -> Context | None:
    """What must be filled into `template` to get `text`; None where nothing gives it.

    Example:
        >>> bindings_of("scaled(gain=1.5)", "scaled(gain={gain})", {"gain": (1.0, 1.5)})
        {'gain': 1.5}
    """
    names = [n for n in dict.fromkeys(re.findall(r"\{(\w+)\}", template)) if n in variables]
    if not names:
        return {} if _plain(text) == _plain(template) else None
    for values in itertools.product(*(variables[n] for n in names)):
        filled = template
        for name, value in zip(names, values, strict=True):
            filled = filled.replace(f"{{{name}}}", str(value))
        if _plain(filled) == _plain(text):
            return dict(zip(names, values, strict=True))
    return None


def _plain(text: str) -> str:
    """A spec without what its writing may differ in."""
    return re.sub(r"\s+", "", text).replace('"', "'")


def same_value(a: AxisValue | None, b: AxisValue) -> bool:
    """Whether two values of an axis are the same, however they were written (3 and 3.0, spaces and quotes in specs)."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return float(a) == float(b)
    return a is not None and _plain(str(a)) == _plain(str(b))


def same_plan(a: str, b: str) -> bool:
    """Whether two texts name one method."""
    return _plain(a) == _plain(b)
