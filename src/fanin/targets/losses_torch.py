"""Losses that `--loss` names: of logits or predictions, or of an output that carries them as `.logits`."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from fanin.lab import losses_torch
from fanin.lab.losses_torch import output_tensor


def huber(out: Any, targets: torch.Tensor) -> torch.Tensor:
    """Huber loss with threshold 1, output and targets of the same shape."""
    return F.huber_loss(output_tensor(out), targets)


def bce(out: Any, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of logits, one a target."""
    logits = output_tensor(out)
    return F.binary_cross_entropy_with_logits(logits.reshape(targets.shape), targets.to(logits.dtype))


def nll(out: Any, targets: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of log-probabilities (examples, classes)."""
    return F.nll_loss(output_tensor(out), targets)


LOSSES: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    **{name: function for name, (function, _) in losses_torch.LOSSES.items()},
    "huber": huber,
    "bce": bce,
    "nll": nll,
}
