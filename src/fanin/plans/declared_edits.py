"""Edits that a plan requires in a framework without a watched pass: found by path, put into the module that is there."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.edited import (
    BIAS_IN,
    BIAS_OUT,
    EDITED,
    FACTOR,
    HELD,
    HOLD,
    NORM,
    NORMED,
    NORMLESS,
    SCALE,
    SKIP,
    Held,
)
from fanin.plans.records import Plan
from fanin.plans.requirements import EACH, in_words, listed
from fanin.reshaping import Reshaped
from fanin.rules.requirement import Requirement

CLOSE = 1e-9  # relative, of two factors
OF_WEIGHTS = ("op_scale", "scalar_biases", "branch_norm")  # whose `where` is a weight's name
MODULES = (
    "branches=[('blocks.*.up', 'blocks.*.down')] names the modules of each branch in the order in which they are called"
)
UNSEEN = f"nobody sees here where residual branches end; say it to `plan`: {MODULES}"
BY_HAND = (
    "the model computes it in code of its own; there, call fanin.reshaping.Reshaped.parse(need.detail) in its place, with `need` "
    "this one of plan.architecture"
)


@dataclass(frozen=True)
class Site:
    """A place in a model at which an activation is computed.

    Attributes:
        function: what is called there.
        put: puts another function there.
    """

    function: Any
    put: Callable[[Any], None]


@dataclass(frozen=True)
class Face:
    """How a framework's modules are edited.

    Attributes:
        name: of the module that users call, such as "fanin.jax".
        norms: kinds of norms.
        products: kinds of modules that multiply by their weight.
        edited: a kind of module → the class of those that are edited.
        put: (module, name, shape, value) → gives it a parameter more.
        without: takes away what a norm that is taken out has no more use for.
        width: how many features a module gives, 0 where it does not say.
        inputs: extents of the last axes of its input that a dense module sums; () for other modules.
        norm: (module, name, features) → gives it a norm of so many.
        sites: modules by path → the places of activations by path.
        unfit: why a module cannot be edited at all, in words; "" where it can.
    """

    name: str
    norms: tuple[type, ...]
    products: tuple[type, ...]
    edited: Callable[[type], type]
    put: Callable[[Any, str, tuple[int, ...], float], None]
    without: Callable[[Any], None]
    width: Callable[[Any], int]
    inputs: Callable[[Any], tuple[int, ...]]
    norm: Callable[[Any, str, int], None]
    sites: Callable[[Mapping[str, Any]], Mapping[str, Site]]
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


# -- where: from requirements to modules ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """A requirement with the path of the module, or of the activation, that it is about ("" where there is none)."""

    need: Requirement
    path: str


def placed(needs: Iterable[Requirement], modules: Mapping[str, Any], sites: Mapping[str, Site]) -> list[Placed]:
    """Each requirement with its place; a pattern with every path that it matches."""
    found: list[Placed] = []
    for need in needs:
        if need.kind == "activation":
            said = need.start or need.where
            found += [Placed(replace(need, start=p), p) for p in sites if fnmatchcase(p, said)] or [Placed(need, "")]
            continue
        paths = [path for path in modules if path and fnmatchcase(path, need.where)]
        own = need.where.rpartition(".")[0]  # of a weight
        if not paths and own and (own in modules or need.kind in OF_WEIGHTS):
            paths = [path for path in modules if fnmatchcase(path, own)]
        starts = [path for path in modules if path and fnmatchcase(path, need.start)]
        for place, path in enumerate(paths):
            start = starts[place] if len(starts) == len(paths) else ""
            where = need.where if need.kind in OF_WEIGHTS else path
            found.append(Placed(replace(need, where=where, start=start), path))
        if not paths:
            found.append(Placed(need, ""))
    return found


def lacking(needs: Iterable[Requirement], modules: Mapping[str, Any], face: Face) -> list[Placed]:
    """The requirements that the model does not meet."""
    sites = face.sites(modules)
    pairs = placed([need for need in needs if not need.met_by], modules, sites)
    return [place for place in pairs if _lacks(place, modules, sites, face)]


def _lacks(place: Placed, modules: Mapping[str, Any], sites: Mapping[str, Site], face: Face) -> bool:
    """Whether the model has not got what an edit would put in; where nobody knows the branches, one that has it is enough."""
    need = place.need
    if need.detail == EACH:
        return all(_module_lacks(need, module, face) for module in modules.values())
    if need.kind == "activation":
        return place.path not in sites or str(getattr(sites[place.path].function, "spec", "")) != need.detail
    return place.path not in modules or _module_lacks(need, modules[place.path], face)


def _module_lacks(need: Requirement, module: Any, face: Face) -> bool:
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
        case "branch_norm":
            return not hasattr(module, NORM)
        case _:
            return not hasattr(module, SKIP)


# -- whether: what cannot be put in, and what to do then ---------------------------------------------------------------


def refusals(needs: Iterable[Requirement], modules: Mapping[str, Any], face: Face) -> tuple[str, ...]:
    """What to say of a model that lacks what a plan requires, one sentence each: the helper where it can make the edit, else why not."""
    places = lacking(needs, modules, face)
    if not places:
        return ()
    problems = _problems(places, modules, face)
    kinds = sorted({place.need.kind for place in places if place in problems})
    made = [place.need for place in places if place.need.kind not in kinds]
    said, ours = [], ", ".join(map(repr, kinds))
    for reason in dict.fromkeys(problems.values()):
        alike = [place.need for place in places if problems.get(place) == reason]
        said.append(f"it requires {listed(alike)}: {reason}")
    if kinds:
        said.append(f"plan.trust({ours}) says that the model's own code does {'these' if len(kinds) > 1 else 'this'}")
    if made:
        rest = f"plan.trust({ours})" if kinds else "plan"
        helper = f"{face.name}.edit(model, {rest}) makes the edit"
        own = "" if kinds else ", and plan.trust() says that the model's own code does it"
        said.append(f"it requires {listed(made)}; {helper}{own}")
    return tuple(said)


def _problems(places: Sequence[Placed], modules: Mapping[str, Any], face: Face) -> dict[Placed, str]:
    """The places at which an edit cannot be made, and why, in words."""
    sites = face.sites(modules)
    details: dict[str, set[str]] = {}
    for place in places:
        if place.need.kind == "activation":
            details.setdefault(place.path, set()).add(place.need.detail)
    found = {place: _problem(place, modules, sites, face) for place in places}
    for place in places:
        if not found[place] and place.need.kind == "activation" and len(details[place.path]) > 1:
            found[place] = f"{place.path!r} stands behind several layers, which need different activations"
    return {place: said for place, said in found.items() if said}


def _problem(place: Placed, modules: Mapping[str, Any], sites: Mapping[str, Site], face: Face) -> str:
    """Why an edit cannot be made, in words; empty where it can."""
    need, path = place.need, place.path
    if need.detail == EACH:
        return UNSEEN
    if need.kind == "activation":
        return _activation_problem(need, path)
    if path not in modules or not path:
        return f"the model has no module {need.where!r}"
    module = modules[path]
    if said := face.unfit(module):
        return said
    match need.kind:
        case "op_scale" if not isinstance(module, face.products):
            return f"{type(module).__name__} does more with this weight than multiply by it"
        case "branch_norm" if not face.inputs(module):
            return f"only dense layers are normed before, and this is {type(module).__name__}; call a norm before it"
        case "branch_scalar" | "branch_vector" if hasattr(module, SCALE):
            return "it has another scale already"
        case "branch_vector" if not (need.width or face.width(module)):
            return f"{type(module).__name__} does not say how many features it gives"
        case "skip_weight":
            return _skip_problem(need, module, modules, face)
    return ""


def _activation_problem(need: Requirement, path: str) -> str:
    if not need.detail:
        return (
            "nobody sees here which activation that is; say it to the rule by nonlinearity=, and give layers before none (a head) a "
            "rule of their own, such as delta_orthogonal()"
        )
    if not path:
        return BY_HAND
    Reshaped.parse(need.detail)  # raises for what is none
    return ""


def _skip_problem(need: Requirement, module: Any, modules: Mapping[str, Any], face: Face) -> str:
    if need.start not in modules or not need.start:
        return f"nobody sees here which module of the branch takes the stream as its input; say it by start=, or to `plan`: {MODULES}"
    if "trainable" in need.detail and not (need.width or face.width(module)):
        return f"{type(module).__name__} does not say how many features it gives"
    return face.unfit(modules[need.start])


# -- how ---------------------------------------------------------------------------------------------------------------


def edit_modules(needs: Any, modules: Mapping[str, Any], face: Face) -> None:
    """Puts in what is required, in place.

    Raises:
        FaninTypeError: those are no requirements.
        FaninValueError: something cannot be put in; all is listed, and nothing was changed.
    """
    lacked = lacking(requirements(needs), modules, face)
    places = list({(p.need.kind, p.path or p.need.where): p for p in lacked}.values())  # patterns may overlap
    problems = _problems(lacked, modules, face)
    if problems:
        wrong = "\n  ".join(f"{in_words(place.need)}: {said}" for place, said in problems.items())
        raise FaninValueError(f"the model cannot be edited, and nothing was changed:\n  {wrong}")
    sites = face.sites(modules)
    for place in places:
        if place.need.kind == "activation":
            sites[place.path].put(Reshaped.parse(place.need.detail))
        else:
            _edit(place.need, modules[place.path], modules, face)


def _edit(need: Requirement, module: Any, modules: Mapping[str, Any], face: Face) -> None:
    make_edited(module, face.edited)
    match need.kind:
        case "no_norm":
            face.without(module)
            setattr(module, NORMLESS, True)
        case "op_scale":
            setattr(module, FACTOR, float(need.value))
        case "scalar_biases":
            for name in (BIAS_IN, BIAS_OUT):
                face.put(module, name, (), 0.0)
        case "branch_norm":
            extents = face.inputs(module)
            face.norm(module, NORM, math.prod(extents))
            setattr(module, NORMED, len(extents))
        case "skip_weight":
            start, held = modules[need.start], Held(need.where)
            make_edited(start, face.edited)
            setattr(start, HOLD, (*getattr(start, HOLD, ()), held))
            setattr(module, HELD, held)
            if "trainable" in need.detail:
                face.put(module, SKIP, (need.width or face.width(module),), need.value)
            else:
                setattr(module, SKIP, float(need.value))
        case _:
            shape = () if need.kind == "branch_scalar" else (need.width or face.width(module),)
            face.put(module, SCALE, shape, need.value)


def make_edited(module: Any, edited: Callable[[type], type]) -> None:
    """Gives a module the class of edited ones, once."""
    if not hasattr(module, EDITED):
        object.__setattr__(module, "__class__", edited(type(module)))
