"""The signal through depth, measured beside predicted, as curves for reports."""

import math
from collections.abc import Callable

from fanin.checks.report import Curve
from fanin.theory import Prediction, predict
from fanin.theory.state import State
from fanin.traces.records import Signal, Trace

BAND = 2.0  # deviations
Point = tuple[float, float, float, float]  # measured, predicted, low, high


def curves(trace: Trace, *, law: Prediction | None = None) -> tuple[Curve, ...]:
    """Curves "forward rms", "spread", "correlation" and "gradient rms": one point for each weight op on a signal.

    The band is what 95 % of redraws of the same laws stay in; NaN where theory or measurement has no word.
    """
    law = law or predict(trace)
    makers: tuple[tuple[str, Callable[[Prediction, int], Point]], ...] = (
        ("forward rms", _rms),
        ("spread", _spread),
        ("correlation", _correlation),
        ("gradient rms", _gradient),
    )
    ops = law.weight_ops()
    names = tuple(_name(law, i) for i in ops)
    depths = tuple(trace.ops[i].depth for i in ops)
    found = []
    for title, point in makers:
        points = [point(law, i) for i in ops]
        if any(math.isfinite(p[0]) for p in points):
            measured, predicted, low, high = (tuple(column) for column in zip(*points, strict=True))
            found.append(Curve(title, names, depths, measured, predicted, low, high))
    return tuple(found)


def _name(law: Prediction, index: int) -> str:
    weight = law.forward.weight_of(law.trace.ops[index])
    return weight.name if weight is not None else law.trace.ops[index].module


def _parts(law: Prediction, index: int) -> tuple[Signal | None, State | None]:
    return law.trace.ops[index].signal, law.states[index]


def _banded(measured: float, square: float, variance: float) -> Point:
    if not (square >= 0 and math.isfinite(square)):
        return measured, math.nan, math.nan, math.nan
    reach = math.exp(min(BAND * math.sqrt(max(variance, 0.0)) / 2, 300.0))
    rms = math.sqrt(square)
    return measured, rms, rms / reach, rms * reach


def _rms(law: Prediction, index: int) -> Point:
    signal, state = _parts(law, index)
    measured = signal.rms if signal is not None else math.nan
    return _banded(measured, state.q, state.var_q) if state is not None else _banded(measured, math.nan, 0.0)


def _spread(law: Prediction, index: int) -> Point:
    signal, state = _parts(law, index)
    measured = signal.spread if signal is not None else math.nan
    return _banded(measured, state.s, state.var_s) if state is not None else _banded(measured, math.nan, 0.0)


def _correlation(law: Prediction, index: int) -> Point:
    signal, state = _parts(law, index)
    measured = signal.correlation if signal is not None else math.nan
    if state is None or not state.q > 0:
        return measured, math.nan, math.nan, math.nan
    share, reach = state.s / state.q, math.exp(min(BAND * math.sqrt(max(state.var_r, 0.0)), 300.0))
    return measured, 1 - share, max(1 - share * reach, -1.0), 1 - share / reach


def _gradient(law: Prediction, index: int) -> Point:
    signal = law.trace.ops[index].signal
    measured = signal.grad_rms if signal is not None else math.nan
    return _banded(measured, law.gradients[0][index], law.gradients[1][index])
