"""Studies written as TOML, such that reading gives them back."""

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import Any

from fanin.lab.study.parse import AXES
from fanin.lab.study.records import Expectation, Study, TrainingSettings


def study_text(study: Study) -> str:
    """The study as the text of a study file; `fanin.lab.study.parse.parse_study` reads it back to the same study.

    Example:
        >>> print(study_text(Study("s", models=("mlp",), seeds=(0, 1))))
        name = "s"
        <BLANKLINE>
        [grid]
        model = "mlp"
        plan = ["default", "fanin"]
        data = "digits"
        optimizer = "sgd(momentum=0.9)"
        lr = [0.001, 0.003, 0.01, 0.03, 0.1]
        batch_size = 64
        seeds = 2
        <BLANKLINE>
    """
    lines = _fields(study, Study, ("name", "question", "answer", "references", "patience", "stacking"))
    grid = {name: getattr(study, field) for name, field in AXES.items() if name != "seeds"} | study.variables
    lines += ["", "[grid]", *(f"{_key(name)} = {_axis(values)}" for name, values in grid.items())]
    counted = study.seeds == tuple(range(len(study.seeds)))
    lines.append(f"seeds = {_value(len(study.seeds) if counted else study.seeds)}")
    training = _fields(study.training, TrainingSettings)
    if training:
        lines += ["", "[training]", *training]
    for expectation in study.expectations:
        lines += ["", "[[expect]]", *_fields(expectation, Expectation)]
    return "\n".join(lines) + "\n"


def _fields(record: Any, kind: type, names: Iterable[str] = ()) -> list[str]:
    """A line for each field that is not as it is by default; None is what is left out."""
    chosen = tuple(names)
    lines = []
    for field in dataclasses.fields(kind):
        value = getattr(record, field.name)
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        if value is not None and value != default and (not chosen or field.name in chosen):
            lines.append(f"{field.name} = {_value(value)}")
    return lines


def _axis(values: tuple[Any, ...]) -> str:
    return _value(values[0] if len(values) == 1 else values)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_value(v)}" for name, v in value.items()) + "}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else str(value)


def _key(name: str) -> str:
    return name if name.replace("_", "a").replace("-", "a").isalnum() and name.isascii() else json.dumps(name)
