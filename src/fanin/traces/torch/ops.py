"""The kind of each function of PyTorch (a table in `ops.toml`), and plain names for what the mode is handed."""

import tomllib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

_LISTS = {
    kind: frozenset(names.split())
    for kind, names in tomllib.loads(files("fanin.traces.torch").joinpath("ops.toml").read_text()).items()
}
SILENT = _LISTS.pop("silent")  # asked of tensors all the time, and never part of the graph
_KINDS = {name: kind for kind, names in _LISTS.items() for name in names}


def kind_of(name: str) -> str:
    """The kind of the function with this plain name ("other" where it is not in the table)."""
    return _KINDS.get(name, "other")


_names: dict[Any, tuple[str, bool]] = {}


def plain_name(func: Callable[..., Any]) -> tuple[str, bool]:
    """The function's plain name, and whether it writes to its first argument.

    `x += y`, `torch.add` and `Tensor.__radd__` are all "add"; a property's getter has the property's name.
    """
    found = _names.get(func)
    if found is None:
        found = _names[func] = _plain_name(func)
    return found


def _plain_name(func: Callable[..., Any]) -> tuple[str, bool]:
    name = getattr(func, "__name__", "") or type(func).__name__
    if name in ("__get__", "__set__", "__delete__"):
        owner = getattr(func, "__self__", None)
        attribute = getattr(owner, "__name__", None) or getattr(getattr(owner, "fget", None), "__name__", "")
        return (str(attribute), False) if name == "__get__" else (f"set_{attribute}", True)
    overload = getattr(func, "_schema", None)
    if overload is not None:  # torch.ops.aten.*: an overload or a packet
        name = overload.name.split("::")[-1]
    elif "OpOverloadPacket" in type(func).__name__:
        name = str(func).split(".")[-1]
    in_place = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
    if name.startswith("__") and name.endswith("__") and name not in SILENT:
        inner = name[2:-2]
        if inner.startswith("i") and inner[1:] in _AUGMENTED:
            return inner[1:].replace("truediv", "div"), True
        return inner.replace("truediv", "div"), in_place
    return (name[:-1] if in_place else name), in_place


_AUGMENTED = frozenset(("add", "sub", "mul", "truediv", "pow", "floordiv", "mod", "and", "or", "xor", "matmul"))
