"""From a study to its runs: templates filled in, contexts told apart, keys made."""

import hashlib
import inspect
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fanin.errors import FaninError, FaninValueError
from fanin.lab.specs import Spec, parse_spec
from fanin.lab.study.optimizers import parse_optimizer
from fanin.lab.study.records import AxisValue, Bindings, RunConfig, Study

ENGINE = 7  # counted up whenever a run of the same config gives other numbers, so that old rows are not taken for it
MOST_RUNS = 1_000_000  # of one study: beyond, a file of rows is no longer something that a person looks through
_NAMED = re.compile(r"\{(\w+)\}")

Context = dict[str, AxisValue]


def configs(study: Study, bindings: Bindings | None = None) -> tuple[RunConfig, ...]:
    """Every run of the grid, each once.

    They come context by context, and in each seed by seed, then plan by plan and rate by rate: a part of them, from the
    first on, has every method with the same seeds.

    Args:
        study: as `fanin.lab.study.validate.check_study` takes it.
        bindings: objects of the caller's own that specs name.

    Raises:
        FaninValueError: a text that cannot be filled in, a variable that nothing takes, or too many runs.

    Example:
        >>> study = Study("s", models=("mlp(depth={depth})",), lrs=(0.01,), variables={"depth": (2, 9)}, seeds=(0, 1))
        >>> [(c.model, c.seed, c.plan) for c in configs(study)][:3]
        [('mlp(depth=2)', 0, 'default'), ('mlp(depth=2)', 0, 'fanin'), ('mlp(depth=2)', 1, 'default')]
    """
    check_size(study)
    check_variables(study, bindings)
    found: dict[str, RunConfig] = {}
    for place in _places(study, bindings):
        for seed, plan, lr in itertools.product(study.seeds, place.plans, study.lrs):
            config = RunConfig(
                place.model, plan, place.data, place.optimizer, float(lr), place.batch_size, seed, study.training,
                context=place.context,
            )  # fmt: skip
            found.setdefault(key_of(config), config)
    return tuple(found.values())


def key_of(config: RunConfig) -> str:
    """Sixteen hexadecimal digits that stand for everything that the run's numbers depend on.

    The context is left out: it says how the run is shown. Objects of the user's own are known by their names alone.
    """
    content = {name: value for name, value in config.to_dict().items() if name != "context"}
    text = json.dumps({"engine": ENGINE, **content}, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def contexts(study: Study, bindings: Bindings | None = None) -> tuple[Context, ...]:
    """Every context of the grid, in order: what is never pooled."""
    return tuple(place.context for place in _places(study, bindings))


def plans(study: Study) -> tuple[str, ...]:
    """The text of every method, its variables filled in, in order."""
    return tuple(dict.fromkeys(filled for text in study.plans for filled in _fillings(text, study.variables)))


def models(study: Study, bindings: Bindings | None = None) -> tuple[tuple[str, str], ...]:
    """Every model with every data set that it is trained on, in order."""
    return tuple(dict.fromkeys((place.model, place.data) for place in _places(study, bindings)))


def run_count(study: Study, bindings: Bindings | None = None) -> int:
    """How many runs the grid has; quicker than making them."""
    cells = sum(len(place.plans) for place in _places(study, bindings))
    return cells * len(study.lrs) * len(study.seeds)


def grid_size(study: Study) -> int:
    """Points of the grid, before those that are the same run are found; cheap, however many there are."""
    axes = (study.models, study.plans, study.data, study.optimizers, study.lrs, study.batch_sizes, study.seeds)
    return math.prod(len(axis) for axis in (*axes, *study.variables.values()))


def check_size(study: Study) -> None:
    """Raises `FaninValueError` where a study has more runs than any store of rows is for."""
    size = grid_size(study)
    if size > MOST_RUNS:
        raise FaninValueError(
            f"the study has {size:,} runs, more than {MOST_RUNS:,}; take fewer values on some axes, or make it several studies"
        )


def check_variables(study: Study, bindings: Bindings | None = None) -> None:
    """Raises `FaninValueError` for a variable that changes nothing, and for a text that names none of the study's."""
    texts = {"model": study.models, "plan": study.plans, "data": study.data, "optimizer": study.optimizers}
    named: set[str] = set()
    for axis, values in texts.items():
        for text in values:
            for name in _NAMED.findall(text):
                if name not in study.variables:
                    known = ", ".join(study.variables) or "none"
                    raise FaninValueError(f"{axis}={text!r} names {{{name}}}, but the grid's variables are {known}")
                named.add(name)
    for name in study.variables:
        if name not in named and not any(_takes(text, name, bindings) for text in study.models):
            raise FaninValueError(
                f"grid.{name} changes nothing: no text holds {{{name}}}, and no model has it as an argument that its text leaves open"
            )


def filled_bindings(study: Study, bindings: Bindings) -> Bindings:
    """The bindings, with the user's own factories under every text that the grid's models have once they are filled in:
    `net(depth=3)` is `net` with that argument."""
    found = dict(bindings)
    for model, _ in models(study, bindings):
        if model not in found and (spec := _bound_spec(model, bindings)) is not None:
            found[model] = partial(bindings[spec.name], **spec.arguments)
    return found


@dataclass(frozen=True, eq=False)
class _Place:
    """One point of the grid, seeds, plans and rates aside."""

    model: str
    data: str
    optimizer: str
    batch_size: int
    plans: tuple[str, ...]
    context: Context


def _places(study: Study, bindings: Bindings | None) -> Iterator[_Place]:
    """The contexts in order. A variable makes a context of its own for those models, data and optimizers that it changes;
    one that plans alone use is part of the methods that are compared within a context."""
    texts = itertools.product(study.models, study.data, study.optimizers, study.batch_sizes)
    everywhere = _names(*study.models, *study.plans, *study.data, *study.optimizers)
    in_plans = _names(*study.plans)
    for model, data, optimizer, size in texts:
        used = _names(model, data, optimizer)
        free = {n for n in study.variables if n not in everywhere and _takes(model, n, bindings)}
        for values in _assignments({n: v for n, v in study.variables.items() if n in used | free}):
            filled = _filled_model(model, values, {n: v for n, v in values.items() if n in free}, bindings)
            context: Context = {
                "model": filled,
                "data": _fill(data, values),
                "optimizer": str(parse_optimizer(_fill(optimizer, values))),
                "batch_size": size,
                **{n: value for n, value in values.items() if n not in in_plans},
            }
            methods = dict.fromkeys(
                text for plan in study.plans for text in _fillings(_fill(plan, values), study.variables)
            )
            yield _Place(filled, str(context["data"]), str(context["optimizer"]), size, tuple(methods), context)


def _names(*texts: str) -> set[str]:
    return {name for text in texts for name in _NAMED.findall(text)}


def _assignments(variables: Mapping[str, tuple[AxisValue, ...]]) -> Iterator[Context]:
    for values in itertools.product(*variables.values()):
        yield dict(zip(variables, values, strict=True))


def _fillings(text: str, variables: Mapping[str, tuple[AxisValue, ...]]) -> Iterator[str]:
    names = dict.fromkeys(_NAMED.findall(text))
    for values in _assignments({name: variables[name] for name in names if name in variables}):
        yield _fill(text, values)


def _fill(text: str, values: Mapping[str, AxisValue]) -> str:
    return _NAMED.sub(lambda m: str(values[m[1]]) if m[1] in values else m[0], text)


def _filled_model(text: str, values: Context, free: Context, bindings: Bindings | None) -> str:
    """The model's text with its variables filled in, and with those that it takes as arguments, in one form."""
    filled = _fill(text, values)
    if filled in (bindings or {}) and not free:
        return filled
    place, colon, rest = filled.partition("(")[0].rpartition(":")
    inside = filled[len(place) + len(colon) :] if colon else filled
    dotted, dot, _ = rest.rpartition(".") if colon else ("", "", "")
    spec = parse_spec(inside[len(dotted) + len(dot) :], "model").with_defaults(**free)
    return f"{place}{colon}{dotted}{dot}{spec}"


def _takes(text: str, name: str, bindings: Bindings | None) -> bool:
    """Whether a model has an argument of this name that its text leaves open."""
    bare = _NAMED.sub("0", text)
    try:
        inside = bare if ":" not in bare.partition("(")[0] else f"f{bare[bare.find('(') :] if '(' in bare else ''}"
        if name in parse_spec(inside, "model").arguments:
            return False
        return name in _parameters(bare, bindings)
    except FaninError:
        return False  # the model's own fault is told where models are checked


def _parameters(text: str, bindings: Bindings | None) -> tuple[str, ...]:
    spec = _bound_spec(text, bindings or {})
    if spec is not None:
        return tuple(inspect.signature(_callable(bindings or {}, spec.name)).parameters)
    from fanin.lab.models import takes

    return takes(text)


def _callable(bindings: Bindings, name: str) -> Callable[..., Any]:
    return bindings[name]


def _bound_spec(text: str, bindings: Bindings) -> Spec | None:
    """The spec of a model that is an object of the user's own, None for others."""
    if text in bindings:
        return Spec(text)
    try:
        spec = parse_spec(text, "model")
    except FaninValueError:
        return None
    return spec if spec.name in bindings else None


def with_seeds(study: Study, count: int) -> Study:
    """The same study with the seeds 0, 1, … of another number."""
    return replace(study, seeds=tuple(range(count)))
