"""Small nets against draws: what several tests of predictions share."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import nn

import fanin
from fanin.theory import predict
from fanin.theory.prediction import Point
from fanin.traces.torch import signals
from fanin.traces.torch import trace as watch

SAMPLED = ("EXAMPLES", "POSITIONS", "UNITS")


@contextmanager
def whole() -> Iterator[None]:
    """Signals are measured on every element, not on a sample."""
    before = [getattr(signals, name) for name in SAMPLED]
    try:
        for name in SAMPLED:
            setattr(signals, name, 1 << 40)
        yield
    finally:
        for name, value in zip(SAMPLED, before, strict=True):
            setattr(signals, name, value)


def against_draws(
    model: nn.Module, batch: Any, given: dict[Any, Any], draws: int = 20
) -> list[tuple[Point, float, float]]:
    """(prediction, ln of the mean second moment over draws, the same of the gradient) of each op that was measured."""
    first = watch(model, batch)
    plan = fanin.plan(model, batch, rules=given)
    curve = predict(first, plan).curve
    second: dict[int, list[tuple[float, float]]] = {}
    with whole():
        for seed in range(draws):
            plan.apply(model, seed=seed)
            for op in watch(model, batch, seed=seed).ops:
                if op.signal is not None:
                    second.setdefault(op.index, []).append((op.signal.rms**2, op.signal.grad_rms**2))
    found = []
    for point in curve:
        if point.index in second:
            logs = [math.log(m) if m > 0 else math.nan for m in np.mean(second[point.index], axis=0)]
            found.append((point, logs[0], logs[1]))
    return found


def named(found: list[tuple[Point, float, float]], name: str) -> list[tuple[Point, float, float]]:
    """Those of the ops of this name, or of this kind."""
    return [row for row in found if name in (row[0].name, row[0].kind)]
