"""What the best constant of the training part scores: all that a run that diverged leaves one with."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fanin.lab.data import DataSet
from fanin.lab.torch.recorder import score_member

RARE = 1e-3  # examples that a class without any is taken to have, so that its log frequency stays finite


def constant_scores(
    train_y: Tensor,
    y: Tensor,
    data: DataSet,
    loss: Callable[[Any, Tensor], Tensor],
    names: Sequence[str] = (),
    extra: Mapping[str, Callable[..., Any]] | None = None,
) -> dict[str, float]:
    """Metrics on targets `y` of one output for all: log frequencies of the classes, log odds of the labels, or the mean.

    The loss is infinite where the loss function does not take such outputs.
    """
    out = constant_output(train_y, data).expand(
        *y.shape[: 1 if data.task in ("regression", "multilabel") else y.dim()], -1
    )
    if data.task in ("regression", "multilabel"):
        out = out.reshape(len(y), *y.shape[1:])
    try:
        value = float(loss(out, y))
    except Exception:  # a loss of the user's own, that wants more than a tensor of logits
        value = math.inf
    scored = score_member(data.task, out, y.cpu().numpy(), 0.0, names, extra)
    assert scored is not None
    return {**scored, "loss": value}


def constant_output(train_y: Tensor, data: DataSet) -> Tensor:
    """That output for one example (or position), flat."""
    if data.task == "regression":
        return train_y.double().mean(0).float().reshape(-1)
    if data.task == "multilabel":
        share = train_y.double().mean(0).clamp(1e-6, 1 - 1e-6)
        return torch.logit(share).float().reshape(-1)
    counts = torch.bincount(train_y.reshape(-1), minlength=data.classes).double() + RARE
    return (counts / counts.sum()).log().float()
