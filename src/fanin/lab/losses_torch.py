"""Losses and predictions by kind of task, from whatever a PyTorch model gives out."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.tasks import Task

Loss = Callable[[Any, Tensor], Tensor]


def output_tensor(out: Any) -> Tensor:
    """The logits or predictions: the output itself, its `.logits`, its "logits", or the first of a tuple."""
    if isinstance(out, Tensor):
        return out
    logits = out.get("logits") if isinstance(out, dict) else getattr(out, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    if isinstance(out, list | tuple) and out and isinstance(out[0], Tensor):
        return out[0]
    raise FaninTypeError(f"the model gives a {type(out).__name__}, but must give a tensor, or something with .logits")


def cross_entropy(out: Any, targets: Tensor) -> Tensor:
    """Of logits (examples, classes) or (examples, positions, classes); of one logit an example, the binary one.

    Positions whose target is -100 (`fanin.lab.data.IGNORED`, torch's own `ignore_index`) do not count.
    """
    logits = output_tensor(out)
    if logits.dim() == targets.dim() or logits.shape[-1] == 1:
        return F.binary_cross_entropy_with_logits(logits.reshape(targets.shape), targets.to(logits.dtype))
    return F.cross_entropy(logits.flatten(0, -2) if logits.dim() > 2 else logits, targets.flatten())


def binary_cross_entropy(out: Any, targets: Tensor) -> Tensor:
    """Of logits (examples, labels) against zeros and ones, mean over both."""
    logits = _like(out, targets)
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))


def mse(out: Any, targets: Tensor) -> Tensor:
    """Mean squared error, output and targets in the same order of elements."""
    return F.mse_loss(_like(out, targets), targets)


def l1(out: Any, targets: Tensor) -> Tensor:
    """Mean absolute error, output and targets in the same order of elements."""
    return F.l1_loss(_like(out, targets), targets)


def _like(out: Any, targets: Tensor) -> Tensor:
    predictions = output_tensor(out)
    if predictions.numel() != targets.numel():
        raise FaninValueError(
            f"the model's output has shape {_shape(predictions)}, but the targets have {_shape(targets)}"
        )
    return predictions.reshape(targets.shape)


LOSSES: dict[str, tuple[Loss, tuple[Task, ...]]] = {
    "cross_entropy": (cross_entropy, ("classification", "language")),
    "bce": (binary_cross_entropy, ("multilabel",)),
    "mse": (mse, ("regression",)),
    "l1": (l1, ("regression",)),
}


def find_loss(loss: str | Loss | None, task: Task) -> tuple[str, Loss]:
    """Name and function of a loss: by name, the task's own for None, or any function of (output, targets)."""
    if loss is None:
        loss = next(name for name, (_, tasks) in LOSSES.items() if task in tasks)
    if isinstance(loss, str):
        accepted = [name for name, (_, tasks) in LOSSES.items() if task in tasks]
        if loss not in accepted:
            raise FaninValueError(
                f"loss={loss!r} does not fit {task}; accepted are {', '.join(accepted)}, or a function"
            )
        return loss, LOSSES[loss][0]
    if not callable(loss):
        raise FaninTypeError(f"loss={loss!r} must be a name or a function of (output, targets)")
    return getattr(loss, "__name__", type(loss).__name__), loss


def predict(out: Any, targets: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Predictions in the shape of the targets, and which examples have an output without NaN or infinity."""
    values = output_tensor(out)
    finite = torch.isfinite(values.reshape(len(values), -1)).all(1)
    if task == "regression":
        return values.reshape(targets.shape), finite
    if task == "multilabel":
        return (values.reshape(targets.shape) > 0).to(targets.dtype), finite
    if values.dim() == targets.dim() or values.shape[-1] == 1:
        return (values.reshape(targets.shape) > 0).long(), finite
    return values.argmax(-1), finite


def check_output(out: Any, targets: Tensor, task: Task, classes: int) -> None:
    """Raises where the output cannot be scored against the targets."""
    values = output_tensor(out)
    if task in ("regression", "multilabel"):
        _like(out, targets)
        return
    binary = task == "classification" and classes == 2 and values.numel() == targets.numel()
    whole = values.dim() == targets.dim() + 1 and values.shape[:-1] == targets.shape and values.shape[-1] >= classes
    if not (binary or whole):
        wanted = (*_shape(targets), classes)
        raise FaninValueError(
            f"the model's output for {len(targets)} examples has shape {_shape(values)}, but the data needs {wanted}"
        )


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
