"""Buffers of models on the meta device: what a constructor computes there (rotary frequencies, running means) is lost.

It is computed anew by the module's own functions for that, on a stand-in of the module whose weights have no memory.
A value counts only where two runs, from different contents and random states, agree: then nothing but the module's
configuration went into it. What no function restores is named; nothing is ever left to chance.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fanin.plans.torch.shards import local_of

# Functions without arguments by which modules compute their buffers: torch's own, torchtune's, and common names.
RESETS = ("reset_running_stats", "reset_buffers", "reset_parameters", "_reset_parameters", "rope_init", "_init_buffers")
INHERITED = "_init_weights"  # transformers: a function of the model that is called with each of its modules
CONTENTS = (0.0078125, 113.0)  # two that no function leaves behind by chance

Restore = Callable[[nn.Module], object]


@dataclass(frozen=True)
class Lost:
    """One module with tensors on the meta device that are not parameters: by name, buffers and plain attributes."""

    path: str
    module: nn.Module
    names: tuple[str, ...]


def lost_buffers(model: nn.Module) -> list[Lost]:
    """Every module with buffers, or tensors among its attributes, that have no memory."""
    found = []
    for path, module in model.named_modules():
        names = [n for n, b in module._buffers.items() if b is not None and b.is_meta]
        names += [n for n, value in vars(module).items() if isinstance(value, Tensor) and value.is_meta]
        if names:
            found.append(Lost(path, module, tuple(names)))
    return found


def restored(
    model: nn.Module, restore: Restore | None = None
) -> tuple[list[tuple[Lost, dict[str, Tensor]]], list[str]]:
    """The values of all lost buffers, on the CPU, and the names of those that nothing restores."""
    values, left = [], []
    for lost in lost_buffers(model):
        found: dict[str, Tensor] = {}
        for way in _ways(model, lost, restore):
            missing = [n for n in lost.names if n not in found]
            if not missing:
                break
            found.update(_computed(lost.module, missing, way))
        kind = type(lost.module).__name__
        left += [f"{lost.path}.{n} ({kind})".lstrip(".") for n in lost.names if n not in found]
        values.append((lost, found))
    return values, left


def unlike_computed(model: nn.Module, restore: Restore | None = None) -> list[str]:
    """Names of buffers in memory that hold something else than the modules' own functions compute, or NaN."""
    found = garbage(model.named_modules(), {id(p) for p in model.parameters()}, lambda tensor: False)
    for path, module in model.named_modules():
        held = {n: local_of(b) for n, b in module._buffers.items() if b is not None and not b.is_meta}
        for way in _ways(model, Lost(path, module, tuple(held)), restore) if held else ():
            computed = _computed(module, list(held), way)
            found += [f"{path}.{n}".lstrip(".") for n, b in computed.items() if not torch.equal(b, held.pop(n).cpu())]
    return list(dict.fromkeys(found))


def put(values: list[tuple[Lost, dict[str, Tensor]]], device: Any) -> None:
    """Write the restored values into the model."""
    placed: dict[int, Tensor] = {}  # a buffer that modules share stays shared
    for lost, found in values:
        for name, value in found.items():
            old = lost.module._buffers.get(name, vars(lost.module).get(name))
            new = placed.setdefault(id(old), value.to(device))
            if name in lost.module._buffers:
                lost.module._buffers[name] = new
            else:
                setattr(lost.module, name, new)


def restart_statistics(modules: Iterable[nn.Module], drawn: set[int], done: Callable[[Tensor], bool]) -> None:
    """Running statistics of modules whose own weights are all drawn anew start again: they are of the weights before.

    After `to_empty()` and `skip_init` they are whatever was in memory.

    Args:
        modules: where to look.
        drawn: ids of what was drawn.
        done: whether a tensor is marked as one whose values are to stay.
    """
    for module in modules:
        own = list(module.parameters(recurse=False))
        restart = getattr(module, RESETS[0], None)
        if own and callable(restart) and all(id(p) in drawn for p in own) and not any(map(done, module.buffers())):
            restart()


def garbage(modules: Iterable[tuple[str, nn.Module]], drawn: set[int], done: Callable[[Tensor], bool]) -> list[str]:
    """Names of what cannot be values: parameters that are not drawn and buffers with NaN, variances below zero."""
    found = []
    for path, module in modules:
        own = [(n, p) for n, p in module.named_parameters(recurse=False) if id(p) not in drawn]
        for name, tensor in (*own, *module.named_buffers(recurse=False)):
            if done(tensor) or not tensor.is_floating_point() or tensor.is_meta or nn.parameter.is_lazy(tensor):
                continue
            values = local_of(tensor)
            values = (
                values if values.element_size() > 1 else values.float()
            )  # float8 has hardly an operation of its own
            if values.isnan().any() or (name == "running_var" and (values < 0).any()):
                found.append(f"{path}.{name}".lstrip("."))
    return found


def _ways(model: nn.Module, lost: Lost, restore: Restore | None) -> Iterator[Restore]:
    if restore is not None:
        yield restore
    for name in RESETS:
        if callable(getattr(type(lost.module), name, None)):
            yield lambda shadow, name=name: getattr(shadow, name)()
    parts = lost.path.split(".") if lost.path else []
    for depth in range(len(parts), -1, -1):
        above = model.get_submodule(".".join(parts[:depth]))
        function = getattr(above, INHERITED, None)
        if callable(function):
            yield function
            return


def _computed(module: nn.Module, names: list[str], way: Restore) -> dict[str, Tensor]:
    runs = []
    for seed, content in enumerate(CONTENTS):
        shadow = _shadow(module)
        for name in names:
            old = module._buffers.get(name, vars(module).get(name))
            assert isinstance(old, Tensor)
            new = torch.full(old.shape, bool(seed) if old.dtype == torch.bool else content, device="cpu").to(old.dtype)
            if name in shadow._buffers:
                shadow._buffers[name] = new
            else:
                vars(shadow)[name] = new
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            try:
                way(shadow)
            except Exception:  # it may need what a stand-in has not; then it is no way
                return {}
        runs.append({n: shadow._buffers.get(n, vars(shadow).get(n)) for n in names})
    return {n: runs[0][n] for n in names if _agree(module, n, runs[0][n], runs[1][n])}


def _agree(module: nn.Module, name: str, a: Any, b: Any) -> bool:
    old = module._buffers.get(name, vars(module).get(name))
    assert isinstance(old, Tensor)
    if not isinstance(a, Tensor) or not isinstance(b, Tensor) or a.is_meta or b.is_meta:
        return False
    return a.shape == b.shape == old.shape and a.dtype == old.dtype and torch.equal(a, b)


def _shadow(module: nn.Module) -> nn.Module:
    """The module again, with weights on the meta device: what its functions do to it, they do not do to the model."""
    shadow = copy.copy(module)
    shadow.__dict__ = dict(module.__dict__)
    shadow._parameters = {
        n: None if p is None else nn.Parameter(torch.empty(p.shape, dtype=p.dtype, device="meta"), p.requires_grad)
        for n, p in module._parameters.items()
    }
    shadow._buffers = {n: b if b is None or b.is_meta else b.detach().clone() for n, b in module._buffers.items()}
    shadow._modules = {n: None if m is None else _shadow(m) for n, m in module._modules.items()}
    return shadow
