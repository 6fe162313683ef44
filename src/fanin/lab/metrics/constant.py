"""What a model scores that has learned nothing: the best constant prediction."""

import math
from collections.abc import Sequence

import numpy as np

from fanin.lab.data import IGNORED, DataSet
from fanin.lab.metrics.probabilities import label_log_loss
from fanin.lab.metrics.scores import score

ABSENT = 1e-3  # examples that a class counts as having at least, so that no logarithm is infinite


def constant(data: DataSet, names: Sequence[str] = (), part: str = "test") -> dict[str, float]:
    """Metrics of the best constant of the training part: the commonest class, the mean, the more frequent of yes and no.
    The data's score comes first.

    Its logits are those of the shares of the classes in the training part, so that its "loss" (the task's own) is the
    cross-entropy with the class prior; of regression it is the variance about the training part's mean.

    Args:
        data: with its split.
        names: of further metrics, as `score` takes them ("module:function" is left out: it wants outputs of a model).
        part: "test" or "held".

    Example:
        >>> from fanin.lab.data import load
        >>> got = constant(load("digits"))
        >>> round(got["accuracy"], 2), round(got["loss"], 2)
        (0.1, 2.3)
    """
    targets = np.asarray(getattr(data, f"{part}_targets"))
    names = [name for name in (data.score, *names) if ":" not in name]
    if data.task == "regression":
        outputs = np.broadcast_to(data.train_targets.mean(0, dtype=float), targets.shape)
        loss = float(np.mean((outputs - targets) ** 2))
    elif data.task == "multilabel":
        share = np.clip(data.train_targets.mean(0, dtype=float), ABSENT, 1 - ABSENT)
        outputs = np.broadcast_to(np.log(share / (1 - share)), targets.shape)
        loss = label_log_loss(outputs, targets)
    else:
        counts = np.bincount(data.train_targets[data.train_targets != IGNORED], minlength=data.classes) + ABSENT
        logs = np.log(counts / counts.sum())
        outputs = np.broadcast_to(logs, (*targets.shape, data.classes))
        loss = float(-logs[targets[targets != IGNORED]].mean())
    found = score(data.task, outputs, targets, names)
    return {data.score: found.get(data.score, math.nan), **found, "loss": loss}
