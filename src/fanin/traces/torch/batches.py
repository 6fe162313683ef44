"""Calls a model on a batch as its user would, and makes the scalar that the backward pass starts from."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from fanin.errors import FaninTypeError, FaninValueError
from fanin.traces.records import InputFacts
from fanin.traces.torch.state import random_state_kept


class ForwardError(FaninValueError):
    """The model's forward (or the loss) raised; `__cause__` is the user's own exception, `where` the module's path."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where


def first_batch(batch: Any, targets: Any, loss: Any) -> tuple[Any, Any]:
    """(batch, targets): a loader gives its first batch, and with a loss a pair is (inputs, targets)."""
    if isinstance(batch, (torch.Tensor | tuple | dict, Mapping)):
        return batch, targets
    if isinstance(batch, list):
        return tuple(batch), targets
    if batch is None:
        raise FaninValueError(
            "batch=None cannot be used; give a tensor, a tuple, a dict or a loader that fits the model"
        )
    if not hasattr(batch, "__iter__") or isinstance(batch, str | bytes) or hasattr(batch, "__array__"):
        hint = "; torch.as_tensor(batch) makes one" if hasattr(batch, "__array__") else ""
        raise FaninTypeError(
            f"batch is of type {type(batch).__name__}, but must be a tensor, a tuple, a dict or a loader of such{hint}"
        )
    with random_state_kept():
        first = next(iter(batch), None)
    if first is None:
        raise FaninValueError("batch is an empty loader; it must give at least one batch")
    if isinstance(first, list | tuple):
        if len(first) == 2 and targets is None and loss is not None:
            return (tuple(first[0]) if isinstance(first[0], list) else first[0]), first[1]
        return (first[0] if len(first) == 1 else tuple(first)), targets
    return first, targets


def call_model(model: torch.nn.Module, batch: Any) -> Any:
    """model(batch), model(*batch) or model(**batch), by the batch's type."""
    if isinstance(batch, Mapping):
        return model(**batch)
    if isinstance(batch, tuple):
        return model(*batch)
    return model(batch)


def batch_tensors(batch: Any, name: str = "input") -> Iterator[tuple[str, torch.Tensor]]:
    """The batch's tensors with their places in words."""
    if isinstance(batch, torch.Tensor):
        yield name, batch
    elif isinstance(batch, Mapping):
        for key, value in batch.items():
            yield from batch_tensors(value, str(key))
    elif isinstance(batch, tuple | list):
        for i, value in enumerate(batch):
            yield from batch_tensors(value, f"{name}[{i}]" if len(batch) > 1 else name)


def on_meta(batch: Any) -> Any:
    """The batch with every tensor on the meta device; everything else is kept as it is."""
    if isinstance(batch, torch.Tensor):
        return batch.detach().to("meta")
    if isinstance(batch, Mapping):
        return {key: on_meta(value) for key, value in batch.items()}
    if type(batch) in (tuple, list):
        return type(batch)(on_meta(value) for value in batch)
    return batch


def check_batch(batch: Any) -> None:
    """Raises `FaninValueError` for a batch without tensors, or with NaN in it."""
    tensors = list(batch_tensors(batch))
    if not tensors:
        raise FaninValueError(
            f"batch of type {type(batch).__name__} holds no tensor; give a tensor, a tuple or a dict of them"
        )
    for name, tensor in tensors:
        _check_finite("batch", name, tensor)
        if tensor.numel() == 0:
            raise FaninValueError(
                f"batch: {name} of shape {tuple(tensor.shape)} has no elements; give at least one example"
            )


def _check_finite(argument: str, name: str, tensor: torch.Tensor) -> None:
    if tensor.is_floating_point() and not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
        bad = int((~torch.isfinite(tensor)).sum())
        raise FaninValueError(
            f"{argument}: {name} of shape {tuple(tensor.shape)} holds {bad} values that are NaN or infinite; "
            "clean the data first"
        )


def output_tensors(output: Any) -> Iterator[torch.Tensor]:
    """The tensors of a model's output, in order."""
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from output_tensors(value)
    elif isinstance(output, tuple | list):
        for value in output:
            yield from output_tensors(value)
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for field in dataclasses.fields(output):
            yield from output_tensors(getattr(output, field.name))


def loss_of(output: Any, targets: Any, loss: Callable[..., Any] | None) -> torch.Tensor | None:
    """loss(out, targets), or loss(out), or the output's own `.loss`; None where there is none."""
    if loss is not None:
        if not callable(loss):
            raise FaninTypeError(
                f"loss={loss!r} cannot be used; it must be a function of (output, targets) or of (output)"
            )
        value = loss(output) if targets is None else loss(output, targets)
        if not isinstance(value, torch.Tensor):
            raise FaninTypeError(f"loss gave a {type(value).__name__}, but must give a tensor with one element")
        if value.is_complex():
            raise FaninTypeError("loss gave a complex number, but must give a real one; take .abs() or .real of it")
        if value.numel() != 1:
            raise FaninValueError(
                f"loss gave shape {tuple(value.shape)}, but must give one number; reduce it, e.g. with .mean()"
            )
        if not value.is_meta and not bool(torch.isfinite(value).all()):  # NaN may stand for a target that is not known
            for name, tensor in batch_tensors(targets, "target"):
                _check_finite("targets", name, tensor)
        return value if value.ndim == 0 else value.reshape(())
    if targets is not None:
        raise FaninValueError("targets are given without a loss; give loss=, a function of (output, targets)")
    own = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if not isinstance(own, torch.Tensor) or own.numel() != 1:
        return None
    return own if own.ndim == 0 else own.reshape(())


def probe_of(output: Any) -> torch.Tensor | None:
    """A fixed random projection of the output, for a backward pass without a loss."""
    generator = torch.Generator().manual_seed(0)
    total = None
    for tensor in output_tensors(output):
        if tensor.requires_grad and tensor.is_floating_point() and tensor.numel():
            signs = torch.randint(0, 2, tuple(tensor.shape), generator=generator).to(tensor.device, tensor.dtype)
            part = (tensor * (2 * signs - 1)).sum() / math.sqrt(tensor.numel())
            total = part if total is None else total + part
    return total


def input_facts(name: str, tensor: torch.Tensor, op: int) -> InputFacts:
    """Facts of one tensor of the batch, over all of its elements."""
    nan = math.nan
    shape, dtype = tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")
    if not tensor.is_floating_point() or tensor.is_meta:
        return InputFacts(name, shape, dtype, False, nan, nan, nan, nan, 0.0, nan, op)
    x = tensor.detach().double()
    spread = nan
    if x.ndim >= 2 and x.shape[0] > 1:
        axes = [0, *range(2, x.ndim)] if x.ndim >= 3 and x.ndim != 3 else list(range(x.ndim - 1))
        deviations = x.std(dim=axes)
        kept = deviations[deviations > 0]
        if kept.numel() > 1:
            spread = float(kept.max() / kept.median())
    low, high = (float(v) for v in torch.aminmax(x))
    return InputFacts(name, shape, dtype, True, float(x.mean()), float(x.std(correction=0)), low, high, 0.0, spread, op)
