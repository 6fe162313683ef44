"""Whether a torch model has what a plan requires of its architecture, and the names under which `fanin.torch.edit` puts it in.

An edit adds parameters and buffers to the modules that are there, under names of their own, and hooks that use them: no weight
changes its name, and `state_dict`, `deepcopy` and `pickle` work as before. These names are the convention by which `apply` knows an
edit again; a model of one's own that follows it needs no edit.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.names import canonical_names
from fanin.plans.edited import BIAS_IN, BIAS_OUT, FACTOR, NORM, SCALE, SKIP
from fanin.plans.requirements import listed
from fanin.rules.requirement import Requirement

CLOSE = 1e-5  # relative, of numbers that are kept in the model's own precision


def check_architecture(needs: Iterable[Requirement], model: nn.Module) -> None:
    """Raise one error that lists what the model lacks."""
    lacking = missing(needs, model)
    if lacking:
        raise FaninValueError(
            f"the plan needs an architecture that this model does not have, and nothing was changed: {listed(lacking)}; "
            "fanin.torch.edit(model, plan) makes the edit, and plan.trust() says that the model's own code does it"
        )


def missing(needs: Iterable[Requirement], model: nn.Module) -> list[Requirement]:
    """The requirements that the model does not meet."""
    needs = tuple(needs)
    if not needs:
        return []
    modules, parameters = modules_of(model), dict(model.named_parameters(remove_duplicate=False))
    names = set(canonical_names(list(parameters)).values()) | set(parameters)
    return [need for need in needs if not _is_met(need, modules, names)]


def modules_of(model: nn.Module) -> dict[str, nn.Module]:
    """Modules by their paths without wrappers' prefixes."""
    paths = [path for path, _ in model.named_modules(remove_duplicate=False)]
    short = canonical_names([f"{path}.x" if path else "x" for path in paths])
    found: dict[str, nn.Module] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        found.setdefault(path, module)
        found.setdefault(short[f"{path}.x" if path else "x"].rpartition(".")[0], module)
    return found


def put_in(need: Requirement) -> tuple[str, ...]:
    """Names of the trainable scalars by which a model meets a requirement: its own, or those of the edit."""
    if need.met_by:
        return (need.met_by,)
    names = {"branch_scalar": (SCALE,), "branch_vector": (SCALE,), "scalar_biases": (BIAS_IN, BIAS_OUT)}.get(
        need.kind, ()
    )
    return tuple(f"{place(need)}.{name}" for name in names)


def owner_path(name: str) -> str:
    """The module that a weight belongs to, seen from outside of a parametrisation."""
    return name.partition(".parametrizations.")[0] if ".parametrizations." in name else name.rpartition(".")[0]


def place(need: Requirement) -> str:
    """The path of the module that a requirement is about."""
    if need.kind in ("scalar_biases", "branch_norm", "op_scale"):
        return owner_path(need.where)
    return need.start if need.kind == "activation" else need.where


def _is_met(need: Requirement, modules: dict[str, nn.Module], names: set[str]) -> bool:
    if need.met_by and need.met_by in names:
        return True
    module = modules.get(place(need))
    if need.kind == "no_norm":
        return module is None or isinstance(module, nn.Identity)
    if module is None or not place(need):
        return False
    match need.kind:
        case "branch_scalar":
            return _size(module, SCALE) == 1
        case "branch_vector":
            return _size(module, SCALE) == need.width
        case "scalar_biases":
            return _size(module, BIAS_IN) == 1 and _size(module, BIAS_OUT) == 1
        case "skip_weight":
            return isinstance(getattr(module, SKIP, None), nn.Module)
        case "branch_norm":
            return isinstance(getattr(module, NORM, None), nn.Module)
        case "op_scale":
            factor = getattr(module, FACTOR, None)
            return isinstance(factor, Tensor) and abs(float(factor) - need.value) <= CLOSE * abs(need.value)
        case "activation":
            return getattr(module, "spec", None) == need.detail
    return False


def _size(module: Any, name: str) -> int:
    found = getattr(module, name, None)
    return found.numel() if isinstance(found, Tensor) else 0
