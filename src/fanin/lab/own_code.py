"""The code behind the names of a study: runs are known by the names of the user's objects, which stay when their code changes."""

import contextlib
import functools
import hashlib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from fanin.errors import FaninError
from fanin.lab.models.own import is_own, own_function
from fanin.lab.store import Store
from fanin.lab.study.records import RunConfig

DIGITS = 12  # of a hash that people see


def note_changed_code(store: Store, configs: Iterable[RunConfig], bindings: Mapping[str, Any]) -> None:
    """Says in the study's log which of the user's own objects are not what they were when they first ran in this study.

    It is their own code that is looked at, not what it calls.
    """
    for name, code in code_of(configs, bindings).items():
        kept = store.choose(f"code:{name}", code)
        said = f"the code of {name} has changed since its first runs ({code}, was {kept}): finished runs are of the old code"
        if kept != code and said not in store.log():
            store.note(said)


def code_of(configs: Iterable[RunConfig], bindings: Mapping[str, Any]) -> dict[str, str]:
    """A hash of the source of each object of the user's own, by the name that the study has for it; those without source left out.

    Example:
        >>> sorted(code_of([], {"mine": inspect.getsource, "other": len}))
        ['mine']
    """
    objects = dict(bindings)
    for model in dict.fromkeys(config.model for config in configs):
        if is_own(model) and model not in objects:
            with contextlib.suppress(FaninError):  # that it cannot be found is said where it is used
                objects[model] = own_function(model)
    sources = {name: _source(value) for name, value in objects.items()}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:DIGITS] for name, text in sources.items() if text}


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
