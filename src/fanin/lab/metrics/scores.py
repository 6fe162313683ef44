"""The one entry: metrics by name, of a model's outputs."""

import difflib
import functools
import importlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fanin.errors import FaninTypeError, FaninValueError
from fanin.imports import put_on_path
from fanin.lab.data import DEFAULT_SCORE, IGNORED
from fanin.lab.metrics import distances, labels
from fanin.lab.metrics import probabilities as p
from fanin.lab.tasks import Task

NAMES: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "precision", "recall", "f1", "loss"),
    "language": ("accuracy", "loss"),
    "regression": ("r2", "loss"),
    "multilabel": ("f1", "f1_micro", "subset_accuracy", "hamming", "loss"),
}
SCORE = DEFAULT_SCORE
HIGHER_IS_BETTER = {
    **dict.fromkeys(
        ("accuracy", "balanced_accuracy", "subset_accuracy", "precision", "recall", "f1", "auc", "r2"), True
    ),
    **{f"{name}_{kind}": True for name in ("precision", "recall", "f1") for kind in ("micro", "per_class")},
    "auc_per_class": True,
    "top_k": True,
    **dict.fromkeys(("loss", "log_loss", "perplexity", "calibration_error", "hamming", "mse", "rmse", "mae"), False),
}
_COUNTED = tuple(f"{name}{kind}" for name in ("precision", "recall", "f1") for kind in ("", "_micro", "_per_class"))
_MORE: dict[Task, tuple[str, ...]] = {
    "classification": (
        *("balanced_accuracy", *_COUNTED),
        *("top_k", "auc", "auc_per_class", "log_loss", "calibration_error"),
    ),
    "language": ("top_k", "log_loss", "perplexity", "calibration_error"),
    "regression": ("mse", "rmse", "mae"),
    "multilabel": (*_COUNTED, "auc", "auc_per_class", "log_loss"),
}

Metric = Callable[[np.ndarray, np.ndarray], float]


def available(task: Task) -> tuple[str, ...]:
    """Names that `score` takes for a task; "top_k" stands for "top_2", "top_5" and so on.

    Example:
        >>> available("regression")
        ('r2', 'loss', 'mse', 'rmse', 'mae')
    """
    return tuple(dict.fromkeys((*NAMES[task], *_MORE[task])))


def compared(task: Task, score: str) -> tuple[str, ...]:
    """The metrics that a comparison's tables have: the task's own, behind the data's score where that is none of them.

    Example:
        >>> compared("classification", "balanced_accuracy")
        ('balanced_accuracy', 'accuracy', 'precision', 'recall', 'f1', 'loss')
    """
    return tuple(dict.fromkeys((score, *NAMES[task]))) if score not in NAMES[task] else NAMES[task]


def higher_is_better(name: str) -> bool:
    """Whether a larger value of this metric is better.

    A metric of the user's own says so itself by an attribute `higher_is_better`; without one, larger is better.

    Example:
        >>> higher_is_better("f1[3]"), higher_is_better("log_loss"), higher_is_better("top_5")
        (True, False, True)
    """
    if ":" in name:
        return bool(getattr(_imported(name), "higher_is_better", True))
    return HIGHER_IS_BETTER.get(_base(name), True)


def reaches(name: str, value: float, target: float) -> bool:
    """Whether a value of a metric is as good as the target, or better; NaN never is.

    Example:
        >>> reaches("accuracy", 0.92, 0.9), reaches("rmse", 0.92, 0.9)
        (True, False)
    """
    return value >= target if higher_is_better(name) else value <= target


def _base(name: str) -> str:
    return "top_k" if re.fullmatch(r"top_\d+", name) else name.partition("[")[0]


def check(names: Sequence[str], task: Task, classes: int = 0) -> None:
    """Raises `FaninValueError` for a metric that cannot be asked for here: unknown, of another task, or that does not import.

    Args:
        names: of metrics; "module:function" is one of the user's own, called as function(outputs, targets).
        task: kind of task.
        classes: number of classes, for top_k; 0 leaves that unchecked.
    """
    accepted = available(task)
    for name in names:
        if not isinstance(name, str):
            raise FaninTypeError(f"metric={name!r} is a {type(name).__name__}, but must be a name")
        if ":" in name:
            _imported(name)
            continue
        if "top_k" in accepted and (top := re.fullmatch(r"top_(\d+)", name)):
            k = int(top[1])
            if k < 1 or (classes and k > classes):
                raise FaninValueError(f"metric={name!r} must have a k from 1 to the {classes or 'number of'} classes")
            continue
        if name == "top_k" or name not in accepted:
            close = difflib.get_close_matches(name, accepted, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            hint = "; write top_5, say" if name == "top_k" and "top_k" in accepted else hint
            raise FaninValueError(
                f"metric={name!r} is unknown for {task}; accepted are {', '.join(accepted)}, and module:function{hint}"
            )


def score(
    task: Task,
    outputs: np.ndarray,
    targets: np.ndarray,
    names: Sequence[str] = (),
    functions: Mapping[str, Metric] | None = None,
) -> dict[str, float]:
    """The task's own metrics (its loss aside, which is the training's), and those that are asked for.

    Args:
        task: kind of task.
        outputs: finite logits or predictions. Classification: (n, classes), or of two classes (n,) or (n, 1); language:
            (n, positions, classes); multilabel: (n, labels), a label is predicted where it is above 0; regression: as the
            targets, or the same numbers in another shape.
        targets: as the data set has them; positions of language whose target is -100 do not count.
        names: of further metrics; one that ends in "_per_class" gives a value a class, "f1[0]", "f1[1]", …
        functions: metrics of the user's own by name.

    Raises:
        FaninValueError: a name that does not exist, or shapes that do not fit.

    Example:
        >>> outputs, targets = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 0.5]]), np.array([0, 1, 2])
        >>> got = score("classification", outputs, targets, ["top_2", "recall_per_class"])
        >>> {name: round(value, 2) for name, value in got.items()}
        {'accuracy': 0.67, 'precision': 0.5, 'recall': 0.67, 'f1': 0.56, 'top_2': 1.0,
         'recall[0]': 1.0, 'recall[1]': 1.0, 'recall[2]': 0.0}
    """
    own = {name: function for name, function in (functions or {}).items() if name in names}
    names = [name for name in names if name not in own]
    if names:
        check(names, task)
    found = _TASKS[task](outputs, targets, [name for name in names if ":" not in name])
    for name in names:
        if ":" in name:
            own[name] = _imported(name)
    # copies: one that changes what it is given must change neither the others nor the data
    return {**found, **{name: float(function(outputs.copy(), targets.copy())) for name, function in own.items()}}


def _classification(outputs: np.ndarray, targets: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    logits = _two_logits(outputs, targets)
    if logits.ndim != 2 or len(logits) != len(targets):
        raise FaninValueError(f"outputs have shape {outputs.shape}, but targets have shape {targets.shape}")
    counts = labels.Counts.of_classes(logits.argmax(1), targets, logits.shape[1])
    found = counts.main()
    for name in names:
        found |= _one(name, found, counts, logits, targets)
    return found


def _language(outputs: np.ndarray, targets: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    if outputs.shape[:-1] != targets.shape:
        raise FaninValueError(f"outputs have shape {outputs.shape}, but targets have shape {targets.shape}")
    counted = targets != IGNORED
    if not names:
        return labels.language(outputs.argmax(-1), targets)
    logits, targets = outputs[counted], targets[counted]
    found = {"accuracy": float(np.mean(logits.argmax(-1) == targets))}
    for name in names:
        found |= _one(name, found, None, logits, targets)
    return found


def _multilabel(outputs: np.ndarray, targets: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    labels.same_shape(outputs, targets)
    predicted = (outputs > 0).astype(targets.dtype)
    found = labels.multilabel(predicted, targets)
    counts = labels.Counts.of_labels(predicted, targets) if names else None
    for name in names:
        if name in ("precision", "recall"):
            found[name] = float(getattr(counts, name).mean())
        elif name == "log_loss":
            found[name] = p.label_log_loss(outputs, targets)
        elif name.startswith("auc"):
            values = p.label_auc(outputs, targets)
            found |= _by_class("auc", values) if name == "auc_per_class" else {"auc": p.mean_of_known(values)}
        else:
            found |= _one(name, found, counts, outputs, targets)
    return found


def _regression(outputs: np.ndarray, targets: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    if outputs.size != targets.size:
        raise FaninValueError(f"outputs have shape {outputs.shape}, but targets have shape {targets.shape}")
    predicted = outputs.reshape(targets.shape)
    found = {"r2": distances.r2(predicted, targets)}
    return found | {name: getattr(distances, name)(predicted, targets) for name in names if name in _MORE["regression"]}


_TASKS: dict[Task, Callable[[np.ndarray, np.ndarray, Sequence[str]], dict[str, float]]] = {
    "classification": _classification,
    "language": _language,
    "multilabel": _multilabel,
    "regression": _regression,
}


def _one(
    name: str, found: dict[str, float], counts: labels.Counts | None, logits: np.ndarray, targets: np.ndarray
) -> dict[str, float]:
    """One metric of logits (n, classes)."""
    if name in found or name == "loss":
        return {}
    if top := re.fullmatch(r"top_(\d+)", name):
        return {name: p.top_k(logits, targets, int(top[1]))}
    if name == "auc_per_class":
        return _by_class("auc", p.auc_by_class(logits, targets))
    if counts is not None and name == "balanced_accuracy":
        return {name: counts.balanced_accuracy()}
    if counts is not None and name.endswith("_micro"):
        return {name: counts.micro(name.removesuffix("_micro"))}
    if counts is not None and name.endswith("_per_class"):
        return _by_class(name.removesuffix("_per_class"), getattr(counts, name.removesuffix("_per_class")))
    return {name: getattr(p, name)(logits, targets)}


def _by_class(name: str, values: np.ndarray) -> dict[str, float]:
    return {f"{name}[{c}]": float(value) for c, value in enumerate(values)}


def _two_logits(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """One logit an example stands for the second of two classes; the first one's is 0."""
    if outputs.ndim == targets.ndim or outputs.shape[-1] == 1:
        flat = outputs.reshape(len(outputs))
        return np.stack([np.zeros_like(flat), flat], 1)
    return outputs


@functools.lru_cache(maxsize=64)
def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    put_on_path(os.getcwd())  # where models by their names are looked for, too
    try:
        function = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    except Exception as error:
        raise FaninValueError(
            f"metric={name!r} cannot be imported ({type(error).__name__}: {error}); "
            "it must be module:function, a function of (outputs, targets)"
        ) from error
    if not callable(function):
        raise FaninValueError(f"metric={name!r} is a {type(function).__name__}, but must be a function")
    return function
