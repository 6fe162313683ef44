"""Whether a study can be run: every value by itself, cheap and without loading anything."""

import difflib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, get_args, get_type_hints

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.study.optimizers import parse_optimizer
from fanin.lab.study.records import Expectation, Stacking, Study, TrainingSettings

SCHEDULES = ("constant", "cosine", "linear")
KINDS: tuple[str, ...] = get_args(get_type_hints(Expectation)["kind"])
RESERVED = ("model", "plan", "data", "optimizer", "lr", "batch_size", "seed", "seeds")
LONGEST_NAME = 64
LIMIT = 2**63  # of whole numbers: what a database holds


def check_study(study: Study) -> Study:
    """The study with every value checked by itself and in its usual type; nothing is loaded.

    Raises:
        FaninValueError, FaninTypeError: a value cannot be used.

    Example:
        >>> check_study(Study("s", models=("mlp",), lrs=(-0.1,)))
        Traceback (most recent call last):
        fanin.errors.FaninValueError: lr=-0.1 must be above 0
    """
    if not isinstance(study, Study):
        raise FaninTypeError(f"study is a {type(study).__name__}, but must be a Study")
    _text("name", study.name)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", study.name) or len(study.name) > LONGEST_NAME:
        raise FaninValueError(
            f"name={study.name!r} must be made of letters, digits, - and _, {LONGEST_NAME} of them at most"
        )
    for name in ("question", "answer"):
        _text(name, getattr(study, name))
    if not isinstance(study.references, bool):
        raise FaninTypeError(f"references={study.references!r} must be true or false")
    if study.stacking not in get_args(Stacking):
        raise FaninValueError(f"stacking={study.stacking!r} must be 'auto' or 'never'")
    checked = replace(
        study,
        models=_axis("model", study.models, _text),
        plans=_axis("plan", study.plans, _text),
        data=_axis("data", study.data, _text),
        optimizers=_axis("optimizer", study.optimizers, _optimizer),
        lrs=_axis("lr", study.lrs, _rate),
        batch_sizes=_axis("batch_size", study.batch_sizes, _whole),
        seeds=_axis("seeds", study.seeds, _seed),
        variables=_variables(study.variables),
        training=check_training(study.training),
        patience=number("patience", study.patience, above=0),
        expectations=tuple(check_expectation(e, i) for i, e in enumerate(_sequence("expect", study.expectations), 1)),
    )
    for i, expectation in enumerate(checked.expectations, 1):
        if expectation.lr is not None and expectation.lr not in checked.lrs:
            raise FaninValueError(
                f"expect {i}: lr={expectation.lr:g} is not in the grid, whose rates are {_listed(checked.lrs)}"
            )
    return checked


def check_training(training: TrainingSettings) -> TrainingSettings:
    """The settings, each in its range and in its usual type.

    Raises:
        FaninValueError, FaninTypeError: a value cannot be used.
    """
    if not isinstance(training, TrainingSettings):
        raise FaninTypeError(f"training is a {type(training).__name__}, but must be a TrainingSettings")
    t = training
    if t.schedule not in SCHEDULES:
        raise FaninValueError(
            f"training.schedule={t.schedule!r} must be one of {', '.join(SCHEDULES)}{near(t.schedule, SCHEDULES)}"
        )
    if not isinstance(t.watch, bool):
        raise FaninTypeError(f"training.watch={t.watch!r} must be true or false")
    if not isinstance(t.device, str) or not re.fullmatch(r"cpu|cuda(:\d+)?", t.device):
        raise FaninValueError(f"training.device={t.device!r} must be 'cpu' or 'cuda'")
    if t.loss is not None:
        _text("training.loss", t.loss)
    return replace(
        t,
        steps=None if t.steps is None else _whole("training.steps", t.steps),
        epochs=number("training.epochs", t.epochs, above=0),
        warmup=number("training.warmup", t.warmup, least=0, below=1),
        clip=None if t.clip is None else number("training.clip", t.clip, above=0),
        weight_decay=number("training.weight_decay", t.weight_decay, least=0),
        augment=_texts("training.augment", t.augment),
        validation=number("training.validation", t.validation, least=0, below=1),
        evaluations=_whole("training.evaluations", t.evaluations),
        target=None if t.target is None else number("training.target", t.target),
        metrics=_texts("training.metrics", t.metrics),
        loss_limit=None if t.loss_limit is None else number("training.loss_limit", t.loss_limit, above=1),
    )


def check_expectation(expectation: Expectation, count: int = 1) -> Expectation:
    """The expectation, with all that its kind needs.

    Args:
        count: which one it is, for errors.
    """
    e, place = expectation, f"expect {count}"
    if not isinstance(e, Expectation):
        raise FaninTypeError(f"{place} is a {type(e).__name__}, but must be an Expectation")
    if e.kind not in KINDS:
        raise FaninValueError(f"{place}: kind={e.kind!r} must be one of {', '.join(KINDS)}{near(e.kind, KINDS)}")
    for name in ("says", "plan", *(n for n in ("than", "metric") if getattr(e, n) is not None)):
        _text(f"{place}: {name}", getattr(e, name))
    if not e.says.strip():
        raise FaninValueError(f"{place}: says is empty, but must say in one sentence what is expected")
    compares = e.kind in ("better", "no_difference")
    if compares and e.than is None:
        raise FaninValueError(f"{place}: kind={e.kind!r} needs than, the plan that it is compared with")
    if not compares and e.than is not None:
        raise FaninValueError(f"{place}: kind={e.kind!r} compares with nothing; leave than out")
    if compares and e.than == e.plan:
        raise FaninValueError(f"{place}: than={e.than!r} is the plan itself")
    if e.kind in ("at_least", "at_most") and e.value is None:
        raise FaninValueError(f"{place}: kind={e.kind!r} needs a value")
    if e.value is not None and e.kind not in ("at_least", "at_most", "diverges"):
        raise FaninValueError(f"{place}: kind={e.kind!r} takes no value; its tolerance is by")
    if e.kind == "diverges" and e.value is not None:
        number(f"{place}: value", e.value, least=0, most=1)
    by = number(f"{place}: by", e.by, least=0)
    if e.kind == "no_difference" and by == 0:
        raise FaninValueError(f"{place}: kind='no_difference' needs by, the largest difference that does not matter")
    if not isinstance(e.where, dict):
        raise FaninTypeError(f"{place}: where must be a table of axis = value")
    value = None if e.value is None else number(f"{place}: value", e.value)
    return replace(e, by=by, value=value, lr=None if e.lr is None else _rate(f"{place}: lr", e.lr))


def number(
    name: str, value: Any, *, above: float = -math.inf, least: float = -math.inf, below: float = math.inf,
    most: float = math.inf,
) -> float:  # fmt: skip
    """A finite number in a range; raises with the name of what it is."""
    if isinstance(value, str):
        raise FaninTypeError(
            f"{name}={value!r} is a number written as text; write it without quotes"
            if is_number(value)
            else f"{name}={value!r} is text, but must be a number"
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaninTypeError(f"{name}={value!r} must be a number")
    if not (math.isfinite(value) and above < value < below and least <= value <= most):
        bounds = [f"above {above:g}"] if above > -math.inf else [f"at least {least:g}"] if least > -math.inf else []
        bounds += [f"below {below:g}"] if below < math.inf else [f"at most {most:g}"] if most < math.inf else []
        raise FaninValueError(f"{name}={value!r} must be {' and '.join(bounds) or 'finite'}")
    return float(value)


def near(word: Any, accepted: Sequence[str]) -> str:
    """ "; did you mean 'cosine'?" where one of the accepted words is like this one."""
    close = difflib.get_close_matches(str(word), accepted, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def is_number(text: str) -> bool:
    """Whether a text is a number in quotes."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _axis(name: str, values: Any, check: Callable[[str, Any], Any]) -> tuple[Any, ...]:
    values = _sequence(name, values)
    if not values:
        raise FaninValueError(f"{name} has no value, but an axis needs at least one")
    checked = tuple(check(name, value) for value in values)
    for i, value in enumerate(checked):
        if any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in checked[:i]):
            raise FaninValueError(f"{name} has {value!r} twice")
    return checked


def _sequence(name: str, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, tuple | list | range):
        raise FaninTypeError(f"{name} is a {type(values).__name__}, but must be a tuple of values")
    return tuple(values)


def _texts(name: str, values: Any) -> tuple[str, ...]:
    values = (values,) if isinstance(values, str) else _sequence(name, values)
    return _axis(name, values, _text) if values else ()


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise FaninTypeError(f"{name}={value!r} is a {type(value).__name__}, but must be text")
    return value


def _optimizer(name: str, value: Any) -> str:
    if isinstance(value, str) and "{" in value:
        return value  # checked once its variables are filled in
    return str(parse_optimizer(value))


def _rate(name: str, value: Any) -> float:
    return number(name, value, above=0)


def _whole(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FaninTypeError(f"{name}={value!r} must be a whole number")
    if value < least:
        raise FaninValueError(f"{name}={value} must be at least {least}")
    if value >= LIMIT:
        raise FaninValueError(f"{name}={value} must be below 2**63")
    return value


def _seed(name: str, value: Any) -> int:
    return _whole(name, value, least=0)


def _variables(variables: Any) -> dict[str, tuple[Any, ...]]:
    if not isinstance(variables, dict):
        raise FaninTypeError(f"variables is a {type(variables).__name__}, but must be a mapping of name to values")
    for name in variables:
        if not isinstance(name, str) or not name.isidentifier():
            raise FaninValueError(f"variable {name!r} must be a name of letters, digits and _")
        if name in RESERVED:
            raise FaninValueError(f"variable {name!r} is the name of an axis; give it another one")
    return {name: _axis(name, values, _plain) for name, values in variables.items()}


def _plain(name: str, value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise FaninTypeError(f"{name} holds {value!r}, but must hold text, numbers, or true and false")
    if isinstance(value, float) and not math.isfinite(value):
        raise FaninValueError(f"{name}={value!r} must be finite")
    return value


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
