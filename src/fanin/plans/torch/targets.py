"""Where a weight's values are put: a plain parameter, or the tensors that a parametrised weight is computed from."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fanin.draws.dtypes import DTYPES
from fanin.draws.memory import overlaps
from fanin.draws.torch import KINDS
from fanin.names import PARAMETRIZED, canonical_names, unwrapped_names
from fanin.plans.parts import Part
from fanin.plans.torch.memory import is_fake
from fanin.plans.torch.shards import flat_shards, is_dtensor, local_of, shard_problem, tensor_parts

POWER_STEPS = 30  # of the power iteration behind spectral norm, after its weight has been drawn anew
HOOKS = {
    "WeightNorm",
    "SpectralNorm",
}  # torch.nn.utils.weight_norm and spectral_norm: they compute the weight in a hook

Directions = Callable[[], Tensor]
Assign = Callable[[Tensor, Directions], None]


@dataclass
class Target:
    """One weight of a model, as a plan sees it.

    Attributes:
        key: equal for two names of one weight.
        tensors: everything that `assign` writes to; the first has the weight's dtype and device.
        assign: (value of the weight, function that gives random directions of the same shape) → writes it into `tensors`.
        effective: the weight as its op sees it.
        shape: of the weight as its op sees it; None for a lazy weight.
        scaled: a parametrisation that fixes the weight's scale, by name; the planned scale cannot hold.
        flat: the blocks of the weight whose numbers a flat tensor holds (FSDP1); None for tensors of the weight's own shape.
        kept: the share of the weight that a mask of `nn.utils.prune` lets through; None where there is no mask.
        snapshot: remembers what `assign` changes besides the values of `tensors`, and returns what puts it back.
    """

    key: tuple[int, str]
    tensors: tuple[Tensor, ...]
    assign: Assign
    effective: Callable[[], Tensor]
    shape: tuple[int, ...] | None
    scaled: str | None = None
    flat: list[Part] | None = None
    kept: Callable[[], float] | None = None
    snapshot: Callable[[], Callable[[], None]] = field(default=lambda: lambda: None)

    @property
    def plain(self) -> bool:
        """Whether it is a parameter that nothing stands before."""
        return not self.key[1]

    def keep(self) -> Callable[[], None]:
        """Remember everything that `assign` writes to; returns what puts it back."""
        tensors = [local_of(tensor) for tensor in self.tensors]
        old = [tensor.clone() for tensor in tensors]
        others = self.snapshot()

        def put_back() -> None:
            for tensor, values in zip(tensors, old, strict=True):
                tensor.copy_(values)
            others()

        return put_back

    @property
    def tensor(self) -> Tensor:
        """The tensor that tells dtype and device."""
        return self.tensors[0]

    @property
    def local(self) -> Tensor:
        """What this process holds of a plain weight."""
        return local_of(self.tensor)

    def parts(self) -> list[Part]:
        """The blocks of a plain weight that this process holds."""
        return tensor_parts(self.tensor) if self.flat is None else self.flat

    def problem(self, meta: bool = False) -> str | None:
        """Why this weight cannot be drawn, as the end of a sentence; None where it can. `meta`: memory comes later."""
        if self.shape is None:
            return "is lazy and has no shape yet; run one batch through the model first"
        for tensor in self.tensors:
            if is_dtensor(tensor):
                if not self.plain:
                    return "is sharded (DTensor) behind a parametrisation; apply the plan before the model is sharded"
                problem = shard_problem(tensor)
                if problem is not None:
                    return problem
                tensor = local_of(tensor)
            if tensor.is_meta and not meta:
                return "is on the meta device and has no memory; use plan.materialize(model), or model.to_empty(device=...) first"
            if is_fake(tensor):
                return "is a fake one, without memory"
            if tensor.is_inference() and not torch.is_inference_mode_enabled():
                return "is an inference tensor, which cannot be written to outside of torch.inference_mode()"
            if tensor.layout != torch.strided:
                return f"has the layout {tensor.layout}; only ordinary (strided) weights are drawn"
            if not tensor.is_contiguous() and overlaps(tensor.shape, tensor.stride()):
                return "is a view whose elements share memory (it was expanded); clone it first"
        if not self.tensor.is_floating_point():
            kind = "complex" if self.tensor.is_complex() else "integer"
            return f"is {kind} ({str(self.tensor.dtype).removeprefix('torch.')}); only real floating-point weights are drawn"
        if self.tensor.dtype not in KINDS:
            return (
                f"is {str(self.tensor.dtype).removeprefix('torch.')}; the types that are drawn are {', '.join(DTYPES)}"
            )
        return None


def find_targets(model: nn.Module) -> dict[str, Target]:
    """Every weight of the model by all of its names: the model's own, without wrappers, and canonical."""
    raw = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    shards = flat_shards(model)
    modules = dict(model.named_modules(remove_duplicate=False))  # scripted modules have no get_submodule
    bare, short = unwrapped_names(raw), canonical_names(raw)
    targets: dict[str, Target] = {}
    aliases: dict[str, list[Target]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        target = _target(modules, name, parameter)
        if target.plain and id(parameter) in shards:
            target.shape, target.flat, _ = shards[id(parameter)]
        targets[name] = target
        for alias in {bare[name], short[name]} - {name}:
            aliases.setdefault(alias, []).append(target)
    for alias, found in aliases.items():
        whole = [t for t in found if not t.plain] or found  # the weight itself, not the scale of its weight norm
        if len({t.key for t in whole}) == 1:
            targets.setdefault(alias, whole[0])
    return targets


def _target(modules: dict[str, nn.Module], name: str, parameter: Tensor) -> Target:
    path, _, attribute = name.rpartition(".")
    parts = name.split(".")
    if len(parts) >= 3 and parts[-3] == PARAMETRIZED:
        owner = modules[".".join(parts[:-3])]
        if parametrize.is_parametrized(owner, parts[-2]):
            found = _parametrized(owner, parts[-2])
            if found.tensor is parameter:
                return found
    owner = modules.get(path)  # none under FSDP.summon_full_params, which takes its prefixes off parameters' names only
    for hook in owner._forward_pre_hooks.values() if owner is not None else ():
        weight = getattr(hook, "name", None)
        if type(hook).__name__ not in HOOKS or not isinstance(weight, str):
            continue
        if attribute in (f"{weight}_v", f"{weight}_orig"):
            assert owner is not None
            return _hooked(owner, weight, hook)
    target = _plain(parameter)
    stem, orig, _ = attribute.partition("_orig")
    mask = getattr(owner, f"{stem}_mask", None) if orig else None  # of torch.nn.utils.prune
    if isinstance(mask, Tensor) and mask.shape == parameter.shape and not mask.is_meta:
        target.kept = lambda: float(mask.float().mean())
    return target


def _plain(parameter: Tensor) -> Target:
    lazy = nn.parameter.is_lazy(parameter)

    def assign(value: Tensor, directions: Directions) -> None:
        parameter.copy_(value)

    shape = None if lazy else tuple(parameter.shape)
    return Target((id(parameter), ""), (parameter,), assign, lambda: parameter, shape)


def _parametrized(owner: nn.Module, attribute: str) -> Target:
    """A weight under `torch.nn.utils.parametrize`: each right inverse is taken, and its result written in place."""
    steps = owner.parametrizations[attribute]  # type: ignore[index,union-attr]
    assert isinstance(steps, parametrize.ParametrizationList)
    originals = [steps.original] if steps.is_tensor else [getattr(steps, f"original{i}") for i in range(steps.ntensors)]

    def effective() -> Tensor:
        with _evaluating(steps):
            return steps()

    def assign(value: Tensor, directions: Directions) -> None:
        inner: Tensor | tuple[Tensor, ...] = value
        for step in reversed(list(steps)):
            if not hasattr(step, "right_inverse"):
                raise NotImplementedError(f"its parametrisation {type(step).__name__} has no right_inverse")
            inner = step.right_inverse(inner)  # type: ignore[operator]
        values = [inner] if isinstance(inner, Tensor) else list(inner)
        if type(steps[0]).__name__ == "_WeightNorm" and len(steps) == 1:
            values = list(_with_direction(values[0], values[1], directions))
        for original, new in zip(originals, values, strict=True):
            original.copy_(new)
        _settle(steps)

    def snapshot() -> Callable[[], None]:
        held = [(module, dict(module._buffers)) for module in steps.modules()]  # a right inverse may put in new ones

        def put_back() -> None:
            for module, old in held:
                module._buffers.update(old)

        return put_back

    order = sorted(originals, key=lambda t: t.numel())[::-1]  # the direction of weight norm before its scale
    buffers = tuple(steps.buffers())
    with torch.no_grad():
        shape = None if any(map(nn.parameter.is_lazy, originals)) else tuple(effective().shape)
    scaled = next((type(s).__name__.strip("_") for s in steps if "SpectralNorm" in type(s).__name__), None)
    return Target((id(owner), attribute), (*order, *buffers), assign, effective, shape, scaled, snapshot=snapshot)


def _hooked(owner: nn.Module, attribute: str, hook: object) -> Target:
    """A weight under `torch.nn.utils.weight_norm` or `spectral_norm`: a hook computes it before each forward pass."""

    def refresh() -> None:
        if type(hook).__name__ == "WeightNorm":
            setattr(owner, attribute, hook.compute_weight(owner))  # type: ignore[attr-defined]
            return
        for _ in range(POWER_STEPS):  # fresh singular vectors: stale ones would blow the weight up
            weight = hook.compute_weight(owner, do_power_iteration=True)  # type: ignore[attr-defined]
        setattr(owner, attribute, weight)

    def snapshot() -> Callable[[], None]:
        old = getattr(owner, attribute)
        return lambda: setattr(owner, attribute, old)

    if type(hook).__name__ == "WeightNorm":
        scale, direction = getattr(owner, f"{attribute}_g"), getattr(owner, f"{attribute}_v")

        def assign(value: Tensor, directions: Directions) -> None:
            norms = torch.norm_except_dim(value, 2, hook.dim)  # type: ignore[attr-defined]
            for original, new in zip((scale, direction), _with_direction(norms, value, directions), strict=True):
                original.copy_(new)
            refresh()

        tensors, scaled = (direction, scale), None
    else:
        stored = getattr(owner, f"{attribute}_orig")

        def assign(value: Tensor, directions: Directions) -> None:
            stored.copy_(value)
            refresh()

        tensors = (stored, getattr(owner, f"{attribute}_u"), getattr(owner, f"{attribute}_v"))
        scaled = "SpectralNorm"
    shape = tuple(tensors[0].shape)
    return Target(
        (id(owner), attribute),
        tensors,
        assign,
        lambda: getattr(owner, attribute),
        shape,
        scaled,
        snapshot=snapshot,
    )


def _with_direction(norms: Tensor, value: Tensor, directions: Directions) -> tuple[Tensor, Tensor]:
    """(g, v) of weight norm. A slice of zeros has no direction of its own and takes a random one, or g·v/‖v‖ is 0/0."""
    if not (norms == 0).any():
        return norms, value
    return norms, torch.where(norms == 0, directions().to(value), value)


def _settle(steps: nn.Module) -> None:
    """Bring what a parametrisation remembers (the singular vectors of spectral norm) up to its new weight."""
    if not any("SpectralNorm" in type(step).__name__ for step in steps.children()):
        return
    modes = [(m, m.training) for m in steps.modules()]
    steps.train()
    try:
        for _ in range(POWER_STEPS):
            steps()
    finally:
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, mode in modes:
            m.training = mode
