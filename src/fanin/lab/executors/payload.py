"""What workers are sent once: the user's own objects, and the modules that they come from."""

import importlib
import importlib.machinery
import importlib.util
import os
import pickle
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from fanin.errors import FaninValueError
from fanin.lab.jobs import Payload

VARIABLES = ("FANIN_DATA", "FANIN_DATA_UNCHECKED", "TMPDIR", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG")

# A run has one thread; these are read when the libraries are loaded.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}


def payload_of(bindings: Mapping[str, Any] | None = None, here: bool = False) -> Payload:
    """The payload of a study whose specs name these objects.

    Args:
        here: whether jobs are carried out in this process: nothing need be sent then, so anything may be bound.

    Raises:
        FaninValueError: one of them cannot be sent to another process.
    """
    bindings = dict(bindings or {})
    if here:
        return Payload(here=bindings)
    for name, value in bindings.items():
        try:
            _pickled(value)
        except Exception as error:
            raise FaninValueError(
                f"{name} cannot be sent to another process ({error}); define it at the top of a module, "
                "or use executor='serial'"
            ) from error
    environment = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return Payload(_pickled(bindings) if bindings else b"", modules_of(bindings.values()), environment)


def _pickled(value: Any) -> bytes:
    """Objects of modules by their names; those of a notebook or a prompt, where no other process finds them, and lambdas whole."""
    typed_in = not hasattr(sys.modules["__main__"], "__file__")
    try:
        plain = pickle.dumps(value)
        if not (typed_in and b"__main__" in plain):
            return plain
    except Exception:
        if not _cloudpickle():
            raise
    if not _cloudpickle():
        raise FaninValueError(
            "it was typed into a notebook or a prompt, where only cloudpickle can take it from: pip install 'fanin[lab]'"
        )
    return importlib.import_module("cloudpickle").dumps(value)


def _cloudpickle() -> bool:
    return importlib.util.find_spec("cloudpickle") is not None


def modules_of(values: Iterable[Any]) -> dict[str, str]:
    """Files of the modules that a fresh process could not import by name (loaded from a path): name → file."""
    found = {}
    for value in values:
        name = getattr(value, "__module__", None) or getattr(type(value), "__module__", None)
        file = getattr(sys.modules.get(name or ""), "__file__", None)
        if not name or not file or name == "__main__":
            continue
        spec = importlib.machinery.PathFinder.find_spec(name) if "." not in name else None
        if "." not in name and (spec is None or spec.origin != file):
            found[name] = file
    return found


def unpack_environment(payload: Payload) -> None:
    """In a fresh worker: the variables and the modules, before anything is unpickled."""
    os.environ.update(payload.environment)
    for name, file in payload.modules.items():
        spec = importlib.util.spec_from_file_location(name, file)
        if spec and spec.loader and name not in sys.modules:
            sys.modules[name] = module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
