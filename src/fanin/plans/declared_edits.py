"""Edits that a plan requires in a framework without a watched pass: found by path, put into the module that is there.

A module that is edited keeps its place, and its weights keep their names: its class becomes one that adds what is required
around the same call, and what is trainable is a parameter beside the module's own, under the names of `fanin.torch.edit`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.records import Plan
from fanin.plans.requirements import in_words
from fanin.rules.requirement import Requirement

SCALE, FACTOR = "fanin_scale", "fanin_factor"  # the output's factor (trained), the product's factor (a number)
BIAS_IN, BIAS_OUT = "fanin_bias_in", "fanin_bias_out"  # scalars added to the input and to the output (trained)
KINDS = ("no_norm", "op_scale", "branch_scalar", "branch_vector", "scalar_biases")
OF_WEIGHTS = ("op_scale", "scalar_biases")  # whose `where` is a weight's name

Lacks = Callable[[Requirement, Any], bool]  # (requirement, module) → whether the module lacks it


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


def lacking(needs: Iterable[Requirement], modules: Mapping[str, Any], lacks: Lacks) -> list[Requirement]:
    """The requirements that the model does not meet."""
    pairs = placed([need for need in needs if not need.met_by], modules)
    return [need for need, path in pairs if path not in modules or lacks(need, modules[path])]


def to_edit(
    needs: Any, modules: Mapping[str, Any], lacks: Lacks, problem: Callable[[Requirement, Any], str]
) -> list[tuple[Requirement, Any]]:
    """What is to be put in, and into which module.

    Raises:
        FaninValueError: something cannot be put in; all is listed.
    """
    wrong, found = [], []
    for need, path in placed(requirements(needs), modules):
        if need.kind not in KINDS:
            wrong.append(f"{in_words(need)}: that is put in by hand here; known are {', '.join(KINDS)}")
        elif path not in modules or not path:
            wrong.append(f"{in_words(need)}: the model has no module {need.where!r}")
        elif need.met_by or not lacks(need, modules[path]):
            continue
        elif said := problem(need, modules[path]):
            wrong.append(f"{in_words(need)}: {said}")
        else:
            found.append((need, modules[path]))
    if wrong:
        raise FaninValueError("the model cannot be edited, and nothing was changed:\n  " + "\n  ".join(wrong))
    return found
