"""Low-rank adapters that start from the weight that they adapt, in torch: one by its tensors, or all of a model's."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fanin.draws import low_rank
from fanin.draws.torch import take_key
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.torch.shards import is_dtensor

Job = tuple[str, Tensor, Tensor, Tensor, float, str]  # name, A, B, W, scaling, axes of W


def pissa_(
    a: Tensor,
    b: Tensor,
    weight: Tensor,
    *,
    scaling: float = 1.0,
    niter: int | None = None,
    axes: str = "oi",
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Start an adapter from its weight's principal part, which is taken out of the weight; all three in place, or none.

    Computed by NumPy in float32 (float64 for float64 weights), so that all frameworks get the same numbers; what the weight keeps is
    what is left beside A and B as rounded to *their* dtype.

    Args:
        a: A, (r, in), of any floating dtype; r is the rank.
        b: B, (out, r).
        weight: W, of shape (out, in), or as `axes` says.
        scaling: s, what the layer multiplies B A with (alpha / r), above 0.
        niter: None for the exact decomposition; a number of power iterations (4, say) for the much faster randomized one.
        axes: "oi", or "io" for x @ W (transformers' `Conv1D`; PEFT's `fan_in_fan_out`).
        generator, seed, name: as everywhere in `fanin.torch`; only `niter` draws numbers.

    Returns:
        The three tensors.

    Raises:
        FaninTypeError: something is no floating-point tensor, or the weight no matrix.
        FaninValueError: shapes that do not fit, a rank that is too large (also for the weight's own rank), numbers that are not finite,
            a tensor on the meta device, a sharded or a computed one; nothing was changed.

    Formula:
        W = U S Vᵀ;  A = (S_r / s)^½ V_rᵀ,  B = U_r (S_r / s)^½,  W ← W - s · B A

    Paper:
        Meng, Wang & Zhang 2024, "PiSSA: principal singular values and singular vectors adaptation of large language models".

    Example:
        >>> layer, a, b = nn.Linear(60, 40), torch.zeros(4, 60), torch.zeros(40, 4)
        >>> x = torch.randn(8, 60)
        >>> before = layer(x)
        >>> _ = pissa_(a, b, layer.weight, scaling=2.0)
        >>> bool(torch.allclose(layer(x) + 2.0 * x @ a.T @ b.T, before, atol=1e-5))
        True
    """
    key = 0 if niter is None else take_key(generator) if seed is None else seed
    _write("pissa", [(name or "", a, b, weight, scaling, axes)], "pissa_", niter, key)
    return a, b, weight


def olora_(
    a: Tensor, b: Tensor, weight: Tensor, *, scaling: float = 1.0, axes: str = "oi"
) -> tuple[Tensor, Tensor, Tensor]:
    """Start an adapter from the QR decomposition of its weight, which keeps the rest; all three in place, or none.

    Args:
        a, b, weight, scaling, axes: as in `pissa_`.

    Returns:
        The three tensors.

    Raises:
        FaninTypeError, FaninValueError: as in `pissa_`; nothing was changed.

    Formula:
        W = Q R;  A = R[:r],  B = Q[:, :r],  W ← W - s · B A

    Paper:
        Büyükakyüz 2024, "OLoRA: orthonormal low-rank adaptation of large language models".

    Example:
        >>> layer, a, b = nn.Linear(60, 40), torch.zeros(4, 60), torch.zeros(40, 4)
        >>> _ = olora_(a, b, layer.weight)
        >>> bool(torch.allclose(b.T @ b, torch.eye(4), atol=1e-6))
        True
    """
    _write("olora", [("", a, b, weight, scaling, axes)], "olora_")
    return a, b, weight


def mica_(a: Tensor, b: Tensor, weight: Tensor, *, axes: str = "oi") -> tuple[Tensor, Tensor, Tensor]:
    """Start an adapter with B along the directions that its weight uses least, and A zero; both in place, or none.

    The weight stays as it is. B is not to be trained: its `requires_grad` is set to False.

    Args:
        a, b, weight, axes: as in `pissa_`.

    Returns:
        The three tensors.

    Raises:
        FaninTypeError, FaninValueError: as in `pissa_`; nothing was changed.

    Formula:
        W = U S Vᵀ;  A = 0,  B = the last r columns of U, frozen

    Paper:
        "Minor component adaptation (MiCA)", arXiv 2604.01694, as PEFT has it.

    Example:
        >>> layer, a, b = nn.Linear(60, 40), nn.Parameter(torch.ones(4, 60)), nn.Parameter(torch.ones(40, 4))
        >>> _ = mica_(a, b, layer.weight)
        >>> bool(a.any()), b.requires_grad
        (False, False)
    """
    _write("mica", [("", a, b, weight, 1.0, axes)], "mica_")
    return a, b, weight


def adapters_(
    module: nn.Module,
    option: str = "pissa",
    *,
    adapter: str = "default",
    niter: int | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
) -> nn.Module:
    """Start every low-rank adapter in a model from the weight that it adapts, in place, whole or not at all.

    Layers are known by what they hold: `lora_A` and `lora_B` (modules or parameters, or dicts of them by adapter), `scaling`, the weight
    in `base_layer` or their own, and `fan_in_fan_out` where it is stored (in, out): PEFT's and loralib's linear layers.

    Args:
        module: the model, or one adapted layer.
        option: "pissa", "olora" or "mica".
        adapter: which of PEFT's adapters.
        niter: as in `pissa_`, for "pissa".
        generator, seed: as everywhere in `fanin.torch`; only `niter` draws numbers, each layer's from its name in `module`.

    Returns:
        The module.

    Raises:
        FaninTypeError, FaninValueError: as in `pissa_`, with the layer's name; there is no such adapter; it is merged into its weight; a
            weight that would change is another layer's, too (tied); nothing was changed.

    Example:
        >>> layer = nn.Linear(60, 40)
        >>> layer.lora_A, layer.lora_B, layer.scaling = nn.Linear(60, 4, bias=False), nn.Linear(4, 40, bias=False), 2.0
        >>> before = layer.weight.detach().clone()
        >>> _ = adapters_(nn.Sequential(layer), "olora")
        >>> bool(torch.allclose(layer.weight + 2.0 * layer.lora_B.weight @ layer.lora_A.weight, before, atol=1e-6))
        True
    """
    jobs = [job for name, each in module.named_modules() for job in _found(name, each, adapter)]
    if not jobs:
        raise FaninValueError(f"adapters_: {type(module).__name__} has no low-rank adapter named {adapter!r}")
    if option != "mica":
        holders: dict[int, list[str]] = {}
        for name, each in module.named_modules():
            for parameter in each._parameters.values():
                holders.setdefault(id(parameter), []).append(name)
        for name, _, _, weight, _, _ in jobs:
            owners = list(dict.fromkeys(holders.get(id(weight), ())))
            if len(owners) > 1:
                raise FaninValueError(
                    f"adapters_: the weight of {name!r} is tied ({' and '.join(map(repr, owners))}); {option} would change it for all"
                )
    key = 0 if niter is None else take_key(generator) if seed is None else seed
    _write(option, jobs, "adapters_", niter, key)
    return module


def _found(name: str, layer: nn.Module, adapter: str) -> list[Job]:
    """The layer's adapter of this name: at most one."""
    a, b = (_factor(getattr(layer, factor, None), adapter) for factor in ("lora_A", "lora_B"))
    if a is None or b is None:
        return []
    if getattr(layer, "merged", False) is True:
        raise FaninValueError(f"adapters_: the adapter of {name!r} is merged into its weight; unmerge it first")
    scaling = getattr(layer, "scaling", None)
    scaling = scaling.get(adapter) if isinstance(scaling, Mapping) else scaling
    if scaling is None:
        raise FaninValueError(
            f"adapters_: {name!r} does not say what its adapter is multiplied with; it has no scaling"
        )
    weight = getattr(getattr(layer, "base_layer", layer), "weight", None)
    return [(name, a, b, weight, scaling, "io" if getattr(layer, "fan_in_fan_out", False) else "oi")]  # type: ignore[list-item]


def _factor(held: Any, adapter: str) -> Tensor | None:
    if isinstance(held, Mapping | nn.ModuleDict | nn.ParameterDict):
        if adapter not in held:
            return None
        held = held[adapter]
    return getattr(held, "weight", None) if isinstance(held, nn.Module) else held


# -- the work ----------------------------------------------------------------------------------------------------------


def _write(option: str, jobs: Sequence[Job], face: str, niter: int | None = None, seed: int = 0) -> None:
    """Check all, then compute and write one after another; where one fails, those that were written get their values back."""
    for job in jobs:
        _check(option, job, face, niter)
    kept: list[tuple[Tensor, Tensor]] = []
    try:
        with torch.no_grad():
            for job in jobs:
                for tensor, values in _values(option, job, face, niter, seed):
                    kept.append((tensor, tensor.detach().to("cpu", copy=True)))
                    tensor.copy_(values)
    except BaseException:
        with torch.no_grad():
            for tensor, old in kept:
                tensor.copy_(old)
        raise
    if option == "mica":
        for job in jobs:
            if job[2].is_leaf:
                job[2].requires_grad_(False)


def _check(option: str, job: Job, face: str, niter: int | None) -> None:
    name, a, b, weight, scaling, axes = job
    what = _what(face, name)
    for label, tensor in (("a", a), ("b", b), ("weight", weight)):
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            given = str(tensor.dtype) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise FaninTypeError(f"{what}: {label}={given} cannot be used; give a floating-point tensor")
        if tensor.is_meta or is_dtensor(tensor):
            where = "on the meta device and has no values" if tensor.is_meta else "sharded, and the whole is needed"
            raise FaninValueError(f"{what}: {label} is {where}; load the whole weight first")
        if tensor.grad_fn is not None and not tensor._is_view():
            raise FaninValueError(f"{what}: {label} is computed from others, so what is written to it would be lost")
    if axes not in ("oi", "io"):
        raise FaninValueError(f"{what}: axes={axes!r} cannot be used; accepted are 'oi' and 'io'")
    shape = tuple(weight.shape) if axes == "oi" else tuple(weight.shape)[::-1]
    rank = a.shape[0] if a.ndim == 2 else 0
    if len(shape) == 2 and (rank < 1 or a.shape[1] != shape[1] or tuple(b.shape) != (shape[0], rank)):
        raise FaninValueError(
            f"{what}: a of shape {tuple(a.shape)} and b of shape {tuple(b.shape)} are no adapter of a weight of shape "
            f"{tuple(weight.shape)}; they must be (r, {shape[1]}) and ({shape[0]}, r)"
        )
    low_rank.check(option, shape, rank, scaling, niter, what)
    if not torch.isfinite(weight.detach().to(_wide(weight))).all():
        raise FaninValueError(f"{what}: weight, of shape {tuple(weight.shape)}, must have finite numbers only")


def _values(option: str, job: Job, face: str, niter: int | None, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Each tensor with what is to be written to it."""
    name, a, b, weight, scaling, axes = job
    what, wide = _what(face, name), _wide(weight)
    known = weight.detach().to("cpu", wide)
    matrix = (known if axes == "oi" else known.T).numpy()
    made = low_rank.factors(option, matrix, a.shape[0], scaling=scaling, niter=niter, seed=seed, name=name, what=what)
    stored = [_rounded(torch.from_numpy(values), tensor, what) for tensor, values in zip((a, b), made, strict=True)]
    found = [(a, stored[0]), (b, stored[1])]
    if option != "mica":
        rounded = [values.to(wide).numpy() for values in stored]
        base = torch.from_numpy(low_rank.residual(matrix, rounded[0], rounded[1], scaling))
        found.append((weight, _rounded(base if axes == "oi" else base.T, weight, what)))
    return found


def _rounded(values: Tensor, target: Tensor, what: str) -> Tensor:
    """The values in the target's dtype; raises where it cannot hold them."""
    made = values.to(target.dtype)
    if not torch.isfinite(made.to(values.dtype)).all():
        raise FaninValueError(f"{what}: an adapter of this weight has numbers that {target.dtype} cannot hold")
    return made


def _what(face: str, name: str) -> str:
    return f"{face}: {name!r}" if name else face


def _wide(weight: Tensor) -> torch.dtype:
    return torch.float64 if weight.dtype == torch.float64 else torch.float32
