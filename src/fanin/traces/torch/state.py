"""Leaves a model exactly as it was: state, modes, gradients, hooks, caches and every random state.

Parameters are not cloned beforehand (that would double the memory): a write to a protected tensor is seen by the watched
pass before it happens, and only then is a copy taken.
"""

import random
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

Containers = list | dict | set | deque


class Guard:
    """A context that puts the model, its tensors and all random states back, also after an exception."""

    def __init__(self, model: torch.nn.Module, *, seed: int) -> None:
        self.model, self.seed = model, seed
        self.changed_parameters = False
        self._copies: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._protected: dict[int, torch.Tensor] = {}

    def __enter__(self) -> "Guard":
        self._modules = [(m, dict(m.__dict__), _containers(m)) for m in self.model.modules()]
        self._gradients = [(p, p.grad) for p in self.model.parameters()]
        self._flags = [(p, p.requires_grad) for p in self.model.parameters()]
        self._random = _random_states(self.model)
        buffers = list(self.model.buffers())
        self._copies = [(b, b.detach().clone()) for b in buffers if not b.is_meta]
        for tensor in [*self.model.parameters(), *_held_tensors(self.model)]:
            if not tensor.is_meta:
                self._protected[tensor.untyped_storage()._cdata] = tensor
        for parameter in self.model.parameters():
            parameter.grad = None
        torch.manual_seed(self.seed)
        return self

    def before_write(self, target: Any) -> None:
        """Takes a copy of a protected tensor that is about to be written to."""
        for tensor in target if isinstance(target, tuple | list) else (target,):
            if isinstance(tensor, torch.Tensor) and not tensor.is_meta and tensor.layout == torch.strided:
                original = self._protected.pop(tensor.untyped_storage()._cdata, None)
                if original is not None:
                    self._copies.append((original, original.detach().clone()))
                    self.changed_parameters |= isinstance(original, torch.nn.Parameter)

    def __exit__(self, *_: object) -> None:
        for module, attributes, containers in self._modules:
            for name in list(module.__dict__):
                if name not in attributes:
                    del module.__dict__[name]
            module.__dict__.update(attributes)
            for name, copy in containers.items():
                _refill(attributes[name], copy)
        with torch.no_grad():
            for tensor, copy in self._copies:
                if not torch.equal(tensor, copy) or tensor.isnan().any():
                    tensor.copy_(copy)
        for parameter, flag in self._flags:
            parameter.requires_grad_(flag)
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        _restore_random(self._random)
        self._protected.clear()


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Puts every global random state back: a loader that shuffles, or starts workers, draws from them."""
    states = _random_states(torch.nn.Module())
    try:
        yield
    finally:
        _restore_random(states)


def _containers(module: torch.nn.Module) -> dict[str, Any]:
    """Shallow copies of the plain containers that a module holds, its registries of children and hooks included."""
    return {k: v.copy() for k, v in module.__dict__.items() if isinstance(v, Containers)}


def _refill(container: Any, copy: Any) -> None:
    if isinstance(container, list):
        if len(container) != len(copy) or any(a is not b for a, b in zip(container, copy, strict=True)):
            container[:] = copy
    elif isinstance(container, deque):
        container.clear()
        container.extend(copy)
    elif list(container) != list(copy) or (
        isinstance(container, dict) and any(container[k] is not copy[k] for k in copy)
    ):
        container.clear()
        container.update(copy)


def _held_tensors(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Tensors that modules keep as plain attributes."""
    for module in model.modules():
        for value in module.__dict__.values():
            if isinstance(value, torch.Tensor) and value.layout == torch.strided:
                yield value


def _random_states(model: torch.nn.Module) -> dict[str, Any]:
    states: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state_all()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        states["numpy"] = numpy.random.get_state()
    states["held"] = [
        (value, _generator_state(value))
        for module in model.modules()
        for value in module.__dict__.values()
        if _generator_state(value) is not None
    ]
    return states


def _generator_state(value: Any) -> Any:
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, random.Random):
        return value.getstate()
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.random.Generator):
        return value.bit_generator.state
    if numpy is not None and isinstance(value, numpy.random.RandomState):
        return value.get_state()
    return None


def _restore_random(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    random.setstate(states["python"])
    if "cuda" in states:
        torch.cuda.set_rng_state_all(states["cuda"])
    numpy = sys.modules.get("numpy")
    if numpy is not None and "numpy" in states:
        numpy.random.set_state(states["numpy"])
    for holder, state in states["held"]:
        if isinstance(holder, torch.Generator):
            holder.set_state(state)
        elif isinstance(holder, random.Random):
            holder.setstate(state)
        elif numpy is not None and isinstance(holder, numpy.random.Generator):
            holder.bit_generator.state = state
        else:
            holder.set_state(state)
