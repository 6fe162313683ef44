"""What a run that diverged is scored as: the best constant of the training part, by the run's own loss."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fanin.lab import metrics
from fanin.lab.data import IGNORED, DataSet
from fanin.lab.losses_torch import LOSSES, find_loss


def constant_scores(
    data: DataSet,
    part: str,
    loss: Callable[[Any, Tensor], Tensor],
    names: Sequence[str] = (),
    extra: Mapping[str, Callable[..., Any]] | None = None,
) -> dict[str, float]:
    """Metrics of the best constant prediction on a part; its loss is infinite where `loss` does not take such outputs.

    Args:
        part: "test" or "held" (the test part where nothing is held out).
        names: further metrics.
        extra: metrics of the user's own; NaN, since a constant has no outputs of a model.
    """
    if part == "held" and data.held_targets is None:
        part = "test"
    scored = {**metrics.constant(data, names, part), **dict.fromkeys(extra or (), math.nan)}
    if loss is find_loss(None, data.task)[1]:
        return scored
    try:
        scored["loss"] = _loss(data, part, loss)
    except Exception:  # a loss of the user's own, that wants more than a tensor of logits
        scored["loss"] = math.inf
    return scored


def _loss(data: DataSet, part: str, loss: Callable[[Any, Tensor], Tensor]) -> float:
    targets = torch.tensor(np.asarray(getattr(data, f"{part}_targets")))
    if data.task == "regression":
        best = torch.tensor(data.train_targets.mean(0, dtype=float)).float()
        if loss is LOSSES["l1"][0]:
            best = torch.tensor(np.median(data.train_targets, 0)).float()
        return float(loss(best.expand(targets.shape), targets))
    counts = np.bincount(data.train_targets[data.train_targets != IGNORED], minlength=data.classes) + 1e-3
    logs = torch.tensor(np.log(counts / counts.sum())).float()
    return float(loss(logs.expand(*targets.shape, -1), targets))
