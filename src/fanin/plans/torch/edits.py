"""Edits of a torch model that a plan requires: scalars on branches, factors on skips, norms taken out, activations reshaped.

All is checked before anything is changed. Modules stay where they are, and weights keep their names: an edit adds a parameter, a
buffer or a small module to a module, and a hook that uses it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.declared_edits import requirements
from fanin.plans.records import Plan
from fanin.plans.requirements import in_words
from fanin.plans.torch.architecture import (
    BIAS_IN,
    BIAS_OUT,
    FACTOR,
    NORM,
    SCALE,
    SKIP,
    missing,
    modules_of,
    place,
)
from fanin.plans.torch.hooks import (
    AddIn,
    AddOut,
    After,
    Before,
    Hold,
    Normed,
    ReshapedActivation,
    Scaled,
    Skip,
    Skipped,
)
from fanin.reshaping import Reshaped
from fanin.rules.requirement import Requirement

ORDER = (
    "no_norm", "activation", "op_scale", "branch_norm", "branch_scalar", "branch_vector", "skip_weight", "scalar_biases",
)  # fmt: skip
CHANNELS_FIRST = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)
PRODUCTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding)
Undo = Callable[[], None]


def edit(model: Any, needs: Plan | Iterable[Requirement], batch: Any = None) -> Any:
    """Give a torch model what a plan requires of its architecture, in place; returns the model.

    What the model has already is left as it is. New numbers start where the rule says (ReZero's scalars at 0), on the device and
    in the type of the module that they are in. Weights keep their names, so the plan fits the model as before.

    Args:
        model: the `torch.nn.Module` that the plan was made for.
        needs: the plan, or requirements alone (those of a plan: `plan.architecture`).
        batch: with it, one watched pass makes sure that every edited module runs; where one does not, all is undone.

    Raises:
        FaninValueError: something cannot be put in where the model computes it (a branch without a module of its own): all is
            listed, and nothing was changed.

    Example:
        >>> import fanin, torch
        >>> from torch import nn
        >>> class Block(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.up, self.down = nn.Linear(8, 8), nn.Linear(8, 8)
        ...     def forward(self, x):
        ...         return x + self.down(torch.relu(self.up(x)))
        >>> net, x = nn.Sequential(nn.Linear(8, 8), Block(), nn.Linear(8, 2)), torch.randn(4, 8)
        >>> plan = fanin.plan(net, x, rules={"*": "rezero"})
        >>> net = plan.apply(edit(net, plan))
        >>> net[1].down.fanin_scale.item()
        0.0
    """
    if not isinstance(model, nn.Module):
        raise FaninTypeError(f"model={type(model).__name__} cannot be used; the edit is made in a torch.nn.Module")
    lacking = sorted(missing(requirements(needs), model), key=lambda need: ORDER.index(need.kind))
    modules = modules_of(model)
    wrong = [problem for need in lacking if (problem := _problem(need, modules, lacking))]
    if wrong:
        raise FaninValueError("the model cannot be edited, and nothing was changed:\n  " + "\n  ".join(wrong))
    done = [EDITS[need.kind](need, model, modules) for need in lacking]
    if batch is not None and lacking:
        try:
            _check_run(model, {place(need): modules_of(model)[place(need)] for need in lacking}, batch)
        except BaseException:
            for undo in reversed(done):
                undo()
            raise
    return model


def _problem(need: Requirement, modules: dict[str, nn.Module], lacking: list[Requirement]) -> str:
    """Why an edit cannot be made, in words; empty where it can."""
    path = place(need)
    module, what = modules.get(path), in_words(need)
    if not path:
        return f"{what}: the model computes it in a module that does more than this one thing; change its code, or move it to a module"
    if module is None:
        return f"{what}: the model has no module {path!r}"
    inside = next(
        (p for p, m in modules.items() if isinstance(m, nn.MultiheadAttention) and path.startswith(f"{p}.")), ""
    )
    fused = inside or (path if isinstance(module, nn.MultiheadAttention) else "")
    if need.kind in ("scalar_biases", "branch_norm", "op_scale") and fused:
        return f"{what}: {fused!r} is an nn.MultiheadAttention, which does not call a module for this weight"
    if need.kind == "op_scale" and not _is_product(module):
        return f"{what}: {type(module).__name__} does more with this weight than multiply by it"
    if need.kind == "branch_norm" and not (isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"):
        return f"{what}: only dense layers are normed before, and this is {type(module).__name__}"
    if need.kind == "no_norm" and any(True for _ in module.children()):
        return f"{what}: {path!r} has modules of its own, so it is more than a norm"
    if need.kind == "skip_weight" and need.start not in modules:
        return f"{what}: no module of the branch takes the stream as its input"
    other = next((n for n in lacking if n.kind == need.kind and place(n) == path and n.detail != need.detail), None)
    if need.kind == "activation" and other is not None:
        return (
            f"{what}: {path!r} stands behind several layers, which need different activations; give each its own module"
        )
    return ""


def _is_product(module: nn.Module) -> bool:
    return isinstance(module, PRODUCTS) or type(module).__name__ == "Conv1D"  # transformers' own dense layer


def _check_run(model: nn.Module, edited: dict[str, nn.Module], batch: Any) -> None:
    """Raise where an edited module is not called in a pass, so that its hook does nothing."""
    from fanin.traces.torch import trace

    ran: set[str] = set()
    handles = [m.register_forward_hook(lambda *_, path=path: ran.add(path)) for path, m in edited.items()]
    try:
        trace(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    idle = sorted(set(edited) - ran)
    if idle:
        raise FaninValueError(
            f"the model cannot be edited, and nothing was changed: {', '.join(idle)} did not run as a module in a pass with this batch"
        )


def _like(model: nn.Module, module: nn.Module) -> dict[str, Any]:
    """Device and type for new numbers."""
    near = next(module.parameters(), None)
    near = near if near is not None else next(model.parameters(), torch.empty(0))
    return {"device": near.device, "dtype": near.dtype if near.is_floating_point() else torch.float32}


def _undo(module: nn.Module, names: tuple[str, ...], handles: tuple[Any, ...]) -> Undo:
    def undo() -> None:
        for handle in handles:
            handle.remove()
        for name in names:
            delattr(module, name)

    return undo


def _scale(need: Requirement, model: nn.Module, modules: dict[str, nn.Module]) -> Undo:
    module = modules[place(need)]
    shape = () if need.kind == "branch_scalar" else (need.width,)
    module.register_parameter(SCALE, nn.Parameter(torch.full(shape, need.value, **_like(model, module))))
    axis = 1 if isinstance(module, CHANNELS_FIRST) else -1
    return _undo(module, (SCALE,), (module.register_forward_hook(Scaled(axis)),))


def _biases(need: Requirement, model: nn.Module, modules: dict[str, nn.Module]) -> Undo:
    module = modules[place(need)]
    for name in (BIAS_IN, BIAS_OUT):
        module.register_parameter(name, nn.Parameter(torch.zeros((), **_like(model, module))))
    handles = (module.register_forward_pre_hook(AddIn()), module.register_forward_hook(AddOut()))
    return _undo(module, (BIAS_IN, BIAS_OUT), handles)


def _skip(need: Requirement, model: nn.Module, modules: dict[str, nn.Module]) -> Undo:
    end, start = modules[place(need)], modules[need.start]
    trained = "trainable" in need.detail
    axis = 1 if isinstance(end, CHANNELS_FIRST) else -1
    shape = (need.width,) if trained else ()
    skip = Skip(torch.full(shape, need.value, **_like(model, end)), trained, axis)
    end.register_module(SKIP, skip)
    handles = (
        start.register_forward_pre_hook(Hold(skip), with_kwargs=True),
        end.register_forward_hook(Skipped()),
    )
    return _undo(end, (SKIP,), handles)


def _norm(need: Requirement, model: nn.Module, modules: dict[str, nn.Module]) -> Undo:
    module = modules[place(need)]
    module.register_module(NORM, nn.LayerNorm(need.width, **_like(model, module)))
    return _undo(module, (NORM,), (module.register_forward_pre_hook(Normed()),))


def _factor(need: Requirement, model: nn.Module, modules: dict[str, nn.Module]) -> Undo:
    module = modules[place(need)]
    module.register_buffer(FACTOR, torch.tensor(need.value, **_like(model, module)))
    if isinstance(module, nn.Embedding):
        return _undo(module, (FACTOR,), (module.register_forward_hook(After()),))
    return _undo(module, (FACTOR,), (module.register_forward_pre_hook(Before()),))


def _without(need: Requirement, model: nn.Module, modules: dict[str, nn.Module]) -> Undo:
    return _replaced(modules, place(need), nn.Identity())


def _reshaped(need: Requirement, model: nn.Module, modules: dict[str, nn.Module]) -> Undo:
    return _replaced(modules, place(need), ReshapedActivation(Reshaped.parse(need.detail), need.detail))


def _replaced(modules: dict[str, nn.Module], path: str, new: nn.Module) -> Undo:
    """Another module in the place of this one, under every name that its parent knows it by."""
    old, parent = modules[path], modules[path.rpartition(".")[0]]
    new.train(old.training)
    names = [name for name, module in parent.named_children() if module is old]
    for name in names:
        setattr(parent, name, new)
    modules[path] = new

    def undo() -> None:
        for name in names:
            setattr(parent, name, old)
        modules[path] = old

    return undo


EDITS: dict[str, Callable[[Requirement, nn.Module, dict[str, nn.Module]], Undo]] = {
    "no_norm": _without,
    "activation": _reshaped,
    "op_scale": _factor,
    "branch_norm": _norm,
    "branch_scalar": _scale,
    "branch_vector": _scale,
    "skip_weight": _skip,
    "scalar_biases": _biases,
}
