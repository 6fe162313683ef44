"""Plans and single rules as a module's own initialization: `init_weights` and `init_`, for the places where frameworks want one.

`plan.apply` draws everything that a plan names. These two are for code that initializes what it has just built, and so they
leave alone what is marked as done: weights that transformers has loaded (`_is_hf_initialized`), and those that their
authors protect from a second initialization (`_no_reinit`, Mamba's).
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from fanin.distributions import Distribution
from fanin.draws.torch import check_generator, take_key
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.branches import Branch, on_branches, placed_on, told_branches
from fanin.plans.matching import keep_padding
from fanin.plans.records import Entry, Plan
from fanin.plans.requirements import EACH, listed, of_each_branch
from fanin.plans.torch import buffers
from fanin.plans.torch.apply import apply, checked
from fanin.plans.torch.architecture import check_architecture, missing
from fanin.plans.torch.modules import module_slots
from fanin.plans.torch.shards import is_dtensor
from fanin.plans.torch.targets import find_targets
from fanin.rules import parse
from fanin.rules.requirement import Requirement
from fanin.rules.rule import FACTORIES, Rule
from fanin.slots import Slot

GUARDS = ("_is_hf_initialized", "_no_reinit")  # set on a parameter whose values are to stay


def guarded(tensor: Tensor) -> bool:
    """Whether a parameter is marked as one whose values are to stay."""
    return any(getattr(tensor, guard, False) for guard in GUARDS)


def init_weights(
    module: nn.Module,
    plan: Plan,
    *,
    root: nn.Module | None = None,
    seed: int | None = None,
    device: Any = None,
) -> nn.Module:
    """Draw a module's weights from a plan, but for those that are marked as initialized already.

    With `root` it is a function of one module at a time, as `model.apply` and FSDP's `param_init_fn` call it: the module's own
    parameters are drawn (not its children's), under the names that they have in the root, so that the numbers are those of
    `plan.apply(root)`. Weights that are tied are drawn with the first module that holds them.

    Parameters on the meta device are given memory first, and buffers that a constructor computed there are computed again
    (see `Plan.materialize`). Memory from `to_empty()` or `skip_init` holds whatever was there, and nothing tells it from values: of
    what the plan does not draw, running statistics of norms whose own weights are drawn start again, and NaN is warned of. Give
    the model while it is on the meta device instead; where it is not, tie weights again after `to_empty()`, which unties them.

    Left alone are parameters with `_is_hf_initialized` (loaded by transformers) or `_no_reinit` set.
    Where the model is one of transformers', what was drawn is marked, so that its own `_init_weights` does not draw it again.

    Args:
        module: the whole model that the plan was made for; or, with `root`, any module in it.
        plan: see `fanin.plan`.
        root: the whole model.
        seed: instead of the plan's own.
        device: where parameters on the meta device get memory: the GPU where there is one, else the CPU, if None.

    Returns:
        The module.

    Raises:
        FaninTypeError: `module` or `root` is no module, or `plan` no plan.
        FaninValueError: the plan does not fit the model, or `module` is not in `root`; nothing was changed.

    Example:
        >>> import functools
        >>> import fanin
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> plan = fanin.plan(net, torch.randn(5, 4))
        >>> _ = net.apply(functools.partial(init_weights, plan=plan, root=net))
        >>> first = net[0].weight.clone()
        >>> bool((init_weights(net, plan)[0].weight == first).all())
        True
    """
    for label, value in (("module", module), *((("root", root),) if root is not None else ())):
        if not isinstance(value, nn.Module):
            raise FaninTypeError(f"init_weights: {label}={type(value).__name__} cannot be used; give a torch.nn.Module")
    if not isinstance(plan, Plan):
        raise FaninTypeError(f"init_weights: plan={type(plan).__name__} cannot be used; give a fanin.plans.Plan")
    whole = module if root is None else root
    if root is None:
        _check_whole(module, plan)
    part = _part(plan, whole, None if root is None else module, seed)
    check_architecture(plan.architecture, whole)
    if root is None and any(p.is_meta for p in module.parameters()):
        part.materialize(module, device=_device(device))
    else:
        if root is not None:
            _allocate(module, root, part, device)
        apply(part, whole)
    targets = find_targets(whole)
    drawn = [tensor for name in part.entries for tensor in targets[name].tensors]
    own = [(path, each) for path, each in whole.named_modules() if root is None or each is module]
    _restart("init_weights", own, drawn)
    if hasattr(whole, "_init_weights"):
        for tensor in drawn:
            tensor._is_hf_initialized = True  # type: ignore[attr-defined]
    return module


def _restart(what: str, modules: list[tuple[str, nn.Module]], drawn: list[Tensor]) -> None:
    """Statistics of what was drawn start again; a warning names what is left without a value."""
    buffers.restart_statistics([each for _, each in modules], {id(tensor) for tensor in drawn}, guarded)
    left = buffers.garbage(modules, {id(tensor) for tensor in drawn}, guarded)
    if left:
        warnings.warn(
            f"{what} does not draw {', '.join(left)}, and they hold NaN or a variance below zero: after to_empty() or skip_init they "
            "are what was in memory; fill them, or give init_weights the model while it is on the meta device, where buffers are "
            "computed again",
            stacklevel=4,
        )


def _check_whole(module: nn.Module, plan: Plan) -> None:
    """Raise where no weight of the plan is in the module: without `root` it is the whole model, not one of its modules."""
    known = find_targets(module)
    if plan.entries and not any(name in known for name in plan.entries):
        raise FaninValueError(
            f"init_weights: module={type(module).__name__} has no such weight as the plan names ({next(iter(plan.entries))}, …); as a "
            "function of one module at a time (model.apply, param_init_fn) it takes root=model"
        )


def _part(plan: Plan, whole: nn.Module, module: nn.Module | None, seed: int | None) -> Plan:
    """The plan without what is guarded and, where a module is given, without what others hold."""
    own: set[int] | None = None
    if module is not None:
        if not any(each is module for each in whole.modules()):
            raise FaninValueError(
                f"init_weights: module={type(module).__name__} is not in root, the {type(whole).__name__}; give the model that holds it"
            )
        own = {id(p) for p in module.parameters(recurse=False)}
    targets = find_targets(whole)
    kept = []
    for name in plan.entries:
        target = targets.get(name)
        if target is None:
            kept += [name] if own is None else []  # `apply` says that the model has no such weight
        elif not any(map(guarded, target.tensors)) and (own is None or any(id(t) in own for t in target.tensors)):
            kept.append(name)
    return Plan(
        {name: plan.entries[name] for name in kept},
        plan.seed if seed is None else seed,
        {name: plan.requires[name] for name in kept if name in plan.requires},
        architecture=plan.architecture,
    )


def _device(device: Any) -> torch.device:
    if device is not None:
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _allocate(module: nn.Module, root: nn.Module, part: Plan, device: Any) -> None:
    """Memory for what one module holds itself on the meta device."""
    own = [(n, p) for n, p in module._parameters.items() if p is not None and p.is_meta]
    lost = [name for name, b in module.named_buffers(recurse=False) if b is not None and b.is_meta]
    if not own and not lost:
        return
    targets = find_targets(root)
    covered = {id(t) for name in part.entries for t in targets[name].tensors}
    bare = [name for name, p in own if id(p) not in covered]
    if bare:
        raise FaninValueError(
            f"the plan has no entry for {', '.join(bare)} of a {type(module).__name__}, which would be left without values; "
            "nothing was changed"
        )
    values, left = [], []
    for found, numbers in buffers.restored(module)[0]:
        if found.path == "":
            values.append((found, numbers))
            left += [name for name in found.names if name not in numbers]
    if left:
        raise FaninValueError(
            f"{', '.join(left)} of a {type(module).__name__} would be left without values: no function of the module computes "
            "them again; nothing was changed"
        )
    place = _device(device)
    for _, old in own:
        new = nn.Parameter(torch.empty_like(old, device=place), old.requires_grad)
        vars(new).update(vars(old))  # pyright: ignore[reportAttributeAccessIssue]
        for each in root.modules():  # tied weights stay tied
            held = [name for name, p in each._parameters.items() if p is old]
            each._parameters.update(dict.fromkeys(held, new))
    buffers.put(values, place)


def init_(
    module: nn.Module,
    rule: Any,
    *,
    seed: int | None = None,
    generator: torch.Generator | None = None,
    branches: str | Sequence[str | tuple[str, ...]] | None = None,
) -> nn.Module:
    """See `fanin.torch.init_`."""
    if not isinstance(module, nn.Module):
        raise FaninTypeError(f"init_: module={type(module).__name__} cannot be used; give a torch.nn.Module")
    if isinstance(rule, str):
        rule = parse(rule)
    if not isinstance(rule, Distribution) and not callable(rule):
        raise FaninTypeError(f"init_: rule={rule!r} cannot be used; give a rule, a distribution, or a rule's text")
    check_generator(generator)
    if seed is None and any(is_dtensor(p) for p in module.parameters()):
        raise FaninValueError(
            "init_: the module is sharded (DTensor), and processes that take seeds of their own would not agree; give seed="
        )
    slots = module_slots(module, leave=lambda target: any(map(guarded, target.tensors)))
    told = () if branches is None else told_branches(branches, slots)
    slots = on_branches(slots, told)
    if not slots and any(map(guarded, module.parameters())):
        warnings.warn(f"init_: every weight is marked as done ({' or '.join(GUARDS)}); nothing was drawn", stacklevel=4)
    zeros, ones = FACTORIES["zeros"](), FACTORIES["ones"]()

    def law(slot: Slot) -> Distribution:
        return keep_padding(slot, rule if isinstance(rule, Distribution) else rule(slot))  # type: ignore[arg-type]

    by_role: dict[str, Callable[[Slot], Any]] = {"bias": zeros, "norm_shift": zeros, "norm_scale": ones}
    entries = {s.name: Entry(by_role.get(s.role, law)(s), "init_") for s in slots}
    if isinstance(rule, Rule):
        _check_requirements(module, rule, slots, told, untold=branches is None)
    plan = Plan.of(slots, entries, seed=0 if seed is None else seed)
    if seed is None:
        checked(plan, find_targets(module))  # what is refused takes no random number
        plan = replace(plan, seed=take_key(generator))
    apply(plan, module)
    targets = find_targets(module)
    _restart("init_", list(module.named_modules()), [t for name in plan.entries for t in targets[name].tensors])
    return module


def _check_requirements(
    module: nn.Module, rule: Rule, slots: Sequence[Slot], told: Sequence[Branch], untold: bool
) -> None:
    """Raise where the rule needs more of the architecture than the module has; untold branches may be anywhere."""
    needs: list[Requirement] = []
    for slot in slots:
        if slot.role not in ("bias", "norm_shift"):
            needs += rule.requires(slot) + (of_each_branch(rule, slot) if untold else ())
    lacking = missing(dict.fromkeys(placed_on(needs, told, slots, {})), module)
    if lacking:
        unseen = any(need.detail == EACH for need in lacking)
        raise FaninValueError(
            f"init_: {rule.spec} needs an architecture that this module does not have, and nothing was changed: {listed(lacking)}; "
            + ("branches= says which modules are a branch, and () that there is none; or " if unseen else "")
            + "make a plan with fanin.plan(model, batch, rules=...), which fanin.torch.edit(model, plan) puts into the model, or whose "
            "plan.trust() says that the model's own code does it"
        )
