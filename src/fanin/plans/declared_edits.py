"""Edits that a plan requires in a framework without a watched pass: found by path, put into the module that is there.

A module that is edited keeps its place, and its weights keep their names: its class becomes one that adds what is required
around the same call, and what is trainable is a parameter beside the module's own, under the names of `fanin.torch.edit`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.records import Plan
from fanin.plans.requirements import in_words
from fanin.rules.requirement import Requirement

SCALE, FACTOR = "fanin_scale", "fanin_factor"  # the output's factor (trained), the product's factor (a number)
BIAS_IN, BIAS_OUT = "fanin_bias_in", "fanin_bias_out"  # scalars added to the input and to the output (trained)
KINDS = ("no_norm", "op_scale", "branch_scalar", "branch_vector", "scalar_biases")
CLOSE = 1e-9  # relative, of two factors
OF_WEIGHTS = ("op_scale", "scalar_biases")  # whose `where` is a weight's name

NORMLESS, EDITED = "fanin_normless", "fanin_edited"  # marks of a norm that is taken out, and of a class that edits made


@dataclass(frozen=True)
class Face:
    """How a framework's modules are edited.

    Attributes:
        norms: kinds of norms.
        products: kinds of modules that multiply by their weight.
        edited: a kind of module → the class of those that are edited.
        put: (module, name, shape, value) → gives it a parameter more.
        without: takes away what a norm that is taken out has no more use for.
        width: how many features a module gives, 0 where it does not say.
        unfit: why a module cannot be edited at all, in words; "" where it can.
    """

    norms: tuple[type, ...]
    products: tuple[type, ...]
    edited: Callable[[type], type]
    put: Callable[[Any, str, tuple[int, ...], float], None]
    without: Callable[[Any], None]
    width: Callable[[Any], int]
    unfit: Callable[[Any], str]


def requirements(needs: Any) -> tuple[Requirement, ...]:
    """Those of a plan, or the given ones.

    Raises:
        FaninTypeError: they are neither.
    """
    found = needs.architecture if isinstance(needs, Plan) else tuple(needs) if isinstance(needs, Iterable) else (needs,)
    if not all(isinstance(need, Requirement) for need in found):
        raise FaninTypeError("needs cannot be used; give a plan, or requirements such as plan.architecture")
    return tuple(found)


def placed(needs: Sequence[Requirement], modules: Mapping[str, Any]) -> list[tuple[Requirement, str]]:
    """Each requirement with the path of the module that it is about; a pattern with every path that it matches ("" where none)."""
    found: list[tuple[Requirement, str]] = []
    for need in needs:
        paths = [path for path in modules if path and fnmatchcase(path, need.where)]
        own = need.where.rpartition(".")[0]  # of a weight
        if not paths and own and (own in modules or need.kind in OF_WEIGHTS):
            paths = [path for path in modules if fnmatchcase(path, own)]
        found += [(replace(need, where=path if need.kind not in OF_WEIGHTS else need.where), path) for path in paths]
        if not paths:
            found.append((need, ""))
    return found


def lacking(needs: Iterable[Requirement], modules: Mapping[str, Any], face: Face) -> list[Requirement]:
    """The requirements that the model does not meet."""
    pairs = placed([need for need in needs if not need.met_by], modules)
    return [need for need, path in pairs if path not in modules or _lacks(need, modules[path], face)]


def edit_modules(needs: Any, modules: Mapping[str, Any], face: Face) -> None:
    """Puts in what is required, in place.

    Raises:
        FaninTypeError: those are no requirements.
        FaninValueError: something cannot be put in; all is listed, and nothing was changed.
    """
    for need, module in _to_edit(needs, modules, face):
        if not hasattr(module, EDITED):
            object.__setattr__(module, "__class__", face.edited(type(module)))
        match need.kind:
            case "no_norm":
                face.without(module)
                setattr(module, NORMLESS, True)
            case "op_scale":
                setattr(module, FACTOR, float(need.value))
            case "scalar_biases":
                for name in (BIAS_IN, BIAS_OUT):
                    face.put(module, name, (), 0.0)
            case _:
                face.put(module, SCALE, () if need.kind == "branch_scalar" else (face.width(module),), need.value)


def _to_edit(needs: Any, modules: Mapping[str, Any], face: Face) -> list[tuple[Requirement, Any]]:
    """What is to be put in, and into which module; raises where something cannot."""
    wrong, found = [], []
    for need, path in placed(requirements(needs), modules):
        if need.kind not in KINDS:
            wrong.append(f"{in_words(need)}: that is put in by hand here; known are {', '.join(KINDS)}")
        elif path not in modules or not path:
            wrong.append(f"{in_words(need)}: the model has no module {need.where!r}")
        elif need.met_by or not _lacks(need, modules[path], face):
            continue
        elif said := _problem(need, modules[path], face):
            wrong.append(f"{in_words(need)}: {said}")
        else:
            found.append((need, modules[path]))
    if wrong:
        raise FaninValueError("the model cannot be edited, and nothing was changed:\n  " + "\n  ".join(wrong))
    return found


def _lacks(need: Requirement, module: Any, face: Face) -> bool:
    """Whether a module has not got what an edit would put in."""
    match need.kind:
        case "no_norm":
            return isinstance(module, face.norms) and not getattr(module, NORMLESS, False)
        case "op_scale":
            return abs(getattr(module, FACTOR, 1.0) - need.value) > CLOSE * abs(need.value)
        case "branch_scalar" | "branch_vector":
            scale = getattr(module, SCALE, None)
            return scale is None or (len(scale.shape) == 0) != (need.kind == "branch_scalar")
        case "scalar_biases":
            return not hasattr(module, BIAS_IN)
    return True


def _problem(need: Requirement, module: Any, face: Face) -> str:
    """Why an edit cannot be made, in words; empty where it can."""
    if said := face.unfit(module):
        return said
    if need.kind == "op_scale" and not isinstance(module, face.products):
        return f"{type(module).__name__} does more with this weight than multiply by it"
    if need.kind == "branch_vector" and not face.width(module):
        return f"{type(module).__name__} does not say how many features it gives"
    if need.kind in ("branch_scalar", "branch_vector") and hasattr(module, SCALE):
        return "it has another scale already"
    return ""


def edited_class(kind: type, call: str, lookup: type, value: Callable[[Any], Any], **methods: Any) -> type:
    """A subclass of a kind of module, under its name, whose call does around the kind's own what was put into the module.

    It has one base and no slots: the class of a module that is there can be changed to one of the same layout only.

    Args:
        kind: the module's class.
        call: name of the method that is called with the input first.
        lookup: the framework's table of rows: its output is multiplied, where others' input is.
        value: a parameter → its numbers.
        methods: more that it has.
    """
    own = getattr(kind, call)

    def around(self: Any, first: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(self, NORMLESS, False):
            return first
        factor, table = getattr(self, FACTOR, None), isinstance(self, lookup)
        if factor is not None and not table:
            first = first * factor
        if hasattr(self, BIAS_IN):
            first = first + value(getattr(self, BIAS_IN))
        given = own(self, first, *args, **kwargs)
        out = given[0] if isinstance(given, tuple) else given
        if factor is not None and table:
            out = out * factor
        if hasattr(self, SCALE):
            out = out * value(getattr(self, SCALE))
        if hasattr(self, BIAS_OUT):
            out = out + value(getattr(self, BIAS_OUT))
        return (out, *given[1:]) if isinstance(given, tuple) else out

    said = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(kind)(kind.__name__, (kind,), {**said, EDITED: True, call: around, **methods})
