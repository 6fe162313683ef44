"""What is behind the names of a study: its runs are known by names, which stay when code, data or a plan's file change."""

import contextlib
import functools
import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fanin.errors import FaninError
from fanin.lab.data import DataSet, load
from fanin.lab.models.own import is_own, own_function
from fanin.lab.store import Store
from fanin.lab.study.records import RunConfig
from fanin.records import Record

VALUES = (DataSet, Record, tuple, list)  # known by what they hold rather than by code: data, rules, plans
DIGITS = 12  # of a hash that people see


def note_changed(store: Store, configs: Iterable[RunConfig], bindings: Mapping[str, Any]) -> None:
    """Says in the study's log what is not as it was when its first runs in this study were made.

    Of the user's functions it is their own code that is looked at, not what they call.
    """
    configs = tuple(configs)
    looked_at = (
        ("code", "the code of {} has changed", "code", code_of(configs, bindings)),
        ("content", "{} does not hold what it held", "contents", contents_of(configs, bindings)),
    )
    for kind, what, short, found in looked_at:
        for name, digest in found.items():
            kept = store.choose(f"{kind}:{name}", digest)
            said = (
                f"{what.format(name)} since its first runs ({digest}, was {kept}): finished runs are of the old {short}"
            )
            if kept != digest and said not in store.log():
                store.note(said)


def keep_directions(store: Store, metrics: Iterable[str], bindings: Mapping[str, Any]) -> None:
    """Keeps which of the user's own metrics are better when they are smaller: an analysis has their names alone."""
    own = {name: bindings[name] for name in metrics if name in bindings}
    if own:
        smaller = [name for name, function in own.items() if not getattr(function, "higher_is_better", True)]
        store.choose("smaller", smaller, again=True)


def code_of(configs: Iterable[RunConfig], bindings: Mapping[str, Any]) -> dict[str, str]:
    """A hash of the source of each function or class of the user's own, by the name that the study has for it.

    Those without source are left out, and so are values (data sets, rules, plans), which are known by what they hold.

    Example:
        >>> sorted(code_of([], {"mine": inspect.getsource, "other": len}))
        ['mine']
    """
    objects = {name: value for name, value in bindings.items() if not isinstance(value, VALUES)}
    for spec in dict.fromkeys(spec for c in configs for spec in (c.model, *c.training.metrics, c.training.loss)):
        if spec and is_own(spec) and spec not in objects:
            with contextlib.suppress(FaninError):  # that it cannot be found is said where it is used
                objects[spec] = own_function(spec)
    sources = {name: _source(value) for name, value in objects.items()}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:DIGITS] for name, text in sources.items() if text}


def contents_of(configs: Iterable[RunConfig], bindings: Mapping[str, Any]) -> dict[str, str]:
    """A hash of what each data set holds, and each plan or rule that is not known by its text alone, by name.

    Example:
        >>> import numpy as np
        >>> found = contents_of([], {"mine": (np.zeros((3, 2)), np.zeros(3), np.zeros((2, 2)), np.zeros(2))})
        >>> sorted(found)
        ['mine']
    """
    configs = tuple(configs)
    objects: dict[str, Any] = {name: value for name, value in bindings.items() if isinstance(value, VALUES)}
    for data in dict.fromkeys(config.data for config in configs):
        with contextlib.suppress(FaninError):
            objects.setdefault(data, load(objects.get(data, data)))
    for plan in dict.fromkeys(config.plan for config in configs):
        if plan.endswith(".json") and plan not in objects:
            with contextlib.suppress(OSError):
                objects[plan] = Path(plan).read_bytes()
    return {name: _digest(value)[:DIGITS] for name, value in objects.items()}


def _digest(value: Any) -> str:
    if isinstance(value, tuple | list):
        return load(tuple(value)).checksum
    if isinstance(value, DataSet):
        return value.checksum
    content = value if isinstance(value, bytes) else json.dumps(value.to_dict(), sort_keys=True, default=repr).encode()
    return hashlib.sha256(content).hexdigest()


def _source(value: Any) -> str:
    """The text of a function or class, or of an object's class; "" where there is none to be found."""
    while isinstance(value, functools.partial):
        value = value.func
    for place in (inspect.unwrap(value) if callable(value) else value, type(value)):
        try:
            return inspect.getsource(place)
        except (TypeError, OSError):  # an object; a function that was typed in
            continue
    return ""
