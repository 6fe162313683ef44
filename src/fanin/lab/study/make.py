"""Studies made in Python, with the caller's own models, plans, data, losses and metrics."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.study.grid import filled_bindings
from fanin.lab.study.optimizers import learning_rates
from fanin.lab.study.parse import parse_study
from fanin.lab.study.records import Bindings, Study, TrainingSettings
from fanin.lab.study.validate import check_study, first_seeds
from fanin.lab.study.write import study_text

AXES = ("models", "plans", "data")  # that may hold objects


def make_study(
    name: str,
    *,
    models: Any,
    plans: Any = ("default", "fanin"),
    data: Any = "digits",
    optimizers: Any = "sgd(momentum=0.9)",
    lrs: Any = None,
    batch_sizes: Any = 64,
    variables: Mapping[str, Any] | None = None,
    seeds: Any = 10,
    loss: str | Callable[..., Any] | None = None,
    metrics: Any = (),
    training: TrainingSettings | None = None,
    **options: Any,
) -> tuple[Study, Bindings]:
    """A study, and the objects that it names.

    A study holds texts alone, so that it can be kept, sent and compared; objects of the caller's own are known in it by name.

    Args:
        name: of the study.
        models, plans, data: what a study file takes, or a mapping name → object: factories of fresh models; rules, plans,
            presets, functions of a model; data sets or four arrays. Values that are texts stand for themselves.
        optimizers, lrs, batch_sizes: one value, or several (a list, or an array of NumPy's); five rates that suit the
            optimizers where none are given.
        variables: name → values, of further axes. A factory gets those that it has parameters for.
        seeds: how many, or which.
        loss: a name, or a function of (output, targets).
        metrics: names, or a mapping name → function of (outputs, targets); larger is better unless the function has the
            attribute `higher_is_better = False`.
        training: the rest of how runs are trained.
        options: further fields of `Study`: question, answer, expectations, references, patience, stacking.

    Returns:
        The study, checked by itself, and the bindings that `fanin.lab.study.session.run` and others take with it.

    Raises:
        FaninValueError, FaninTypeError: an argument cannot be used.

    Example:
        >>> import torch
        >>> def net(width=16):
        ...     return torch.nn.Sequential(torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10))
        >>> study, bindings = make_study("mine", models={"net": net}, variables={"width": [16, 32]}, seeds=2)
        >>> study.models, sorted(bindings)
        (('net',), ['net', 'net(width=16)', 'net(width=32)'])
    """
    bindings: Bindings = {}
    texts: dict[str, tuple[str, ...]] = {}
    bound: dict[str, str] = {}  # name → the axis that gave it a meaning
    for axis, value in zip(AXES, (models, plans, data), strict=True):
        texts[axis] = _names(axis, value, bindings)
        bound = {**dict.fromkeys(bindings, axis), **bound}
    for axis, names in texts.items():
        for text in names:
            if bound.get(text, axis) != axis:
                raise FaninValueError(
                    f"{axis} names {text!r}, which is an object of {bound[text]}; give that another name"
                )
    chosen = training or TrainingSettings()
    if callable(loss):
        loss = _bind(bindings, "loss", getattr(loss, "__name__", "loss"), loss)
    if loss is not None:
        chosen = replace(chosen, loss=loss)
    if metrics:
        chosen = replace(chosen, metrics=(*chosen.metrics, *_names("metrics", metrics, bindings)))
    kinds = _listed(optimizers)
    study = check_study(
        Study(
            name,
            **texts,
            optimizers=kinds,
            lrs=learning_rates(kinds) if lrs is None else _listed(lrs),
            batch_sizes=_listed(batch_sizes),
            variables={n: _listed(v) for n, v in (variables or {}).items()},
            seeds=_seeds(seeds),
            training=chosen,
            **options,
        )
    )
    return study, filled_bindings(study, bindings)


def same_as_text(study: Study) -> bool:
    """Whether a study file can say the study, word for word.

    Example:
        >>> same_as_text(Study("s", models=("mlp",)))
        True
    """
    return parse_study(study_text(study)).full == check_study(study)


def _seeds(seeds: Any) -> tuple[Any, ...]:
    several = isinstance(seeds, list | tuple | range) or np.ndim(seeds)
    return _listed(seeds) if several else first_seeds(_listed(seeds)[0])


def _names(axis: str, value: Any, bindings: Bindings) -> tuple[str, ...]:
    """The texts of an axis; objects are bound to their names."""
    if isinstance(value, Mapping):
        for name, own in value.items():
            if axis == "models" and isinstance(own, str) and own != name:
                raise FaninTypeError(
                    f"models gives {name!r} the text {own!r}, but must give a factory; write the text itself"
                )
        return tuple(
            own if isinstance(own, str) and own == str(name) else _bind(bindings, axis, str(name), own)
            for name, own in value.items()
        )
    if isinstance(value, str):
        return (value,)
    if callable(value) and hasattr(value, "__name__"):
        return (_bind(bindings, axis, value.__name__, value),)
    values = _listed(value)
    for one in values:
        if not isinstance(one, str) and not (callable(one) and hasattr(one, "__name__")):
            raise FaninTypeError(f"{axis} holds a {type(one).__name__} without a name; give a mapping name → object")
    return tuple(n for one in values for n in _names(axis, one, bindings))


def _bind(bindings: Bindings, axis: str, name: str, value: Any) -> str:
    if not name.isidentifier():
        raise FaninValueError(f"{axis} holds {name!r}, but a name of an object must be made of letters, digits and _")
    if bindings.setdefault(name, value) is not value:
        raise FaninValueError(f"{axis} gives {name!r} a second meaning; give each object a name of its own")
    return name


def _listed(value: Any) -> tuple[Any, ...]:
    """One value, or several, as a tuple; NumPy's numbers as Python's, which a study can hold."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    values = tuple(value) if isinstance(value, list | tuple | range) else (value,)
    return tuple(one.item() if isinstance(one, np.generic) else one for one in values)
