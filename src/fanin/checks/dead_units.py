"""Units that are zero for every example.

What: more units of a ReLU-like layer are exactly zero on the whole batch than chance and the examples' likeness
explain.

Why it hurts: such a unit has no gradient. Unless other layers move its input back, it never learns, and the layer is
narrower than it looks; a layer whose units are all dead cuts everything before it off.

How it was measured: the fraction of units that are zero for each of the k examples (and at each looked-at position).
Null hypothesis: weights and biases are symmetric about zero (lopsided biases are left out), so that a unit is dead
with the chance that k Gaussians of the correlation ρ are all negative, ∫ φ(z) Φ(-√(ρ / (1 - ρ)) z)ᵏ dz (2⁻ᵏ for
unrelated examples, one half for equal ones: a deep net's units are not dead because its examples look alike; that is
FI203). Tolerance: 3 deviations of a binomial fraction over the units, 3 of the correlation's own fluctuation between
redraws, and 0.05 for pairs that differ in likeness (measured on He nets). Only layers with a law are judged;
convolutions see many positions, so that the null is generous. Silent up to 15 % killed units of 64 on 32 examples:
benchmarks/check_power.py.

How to fix: biases at zero (or slightly above), weights of mean zero; leaky ReLU or GELU have no dead units.

Papers: Lu, Shin, Su & Karniadakis 2020, Dying ReLU and Initialization; Glorot, Bordes & Bengio 2011.
"""

import math
from collections.abc import Iterator

import numpy as np

from fanin.activations import Activation
from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import SIGMAS, number
from fanin.distributions import Constant, Distribution, Normal
from fanin.theory import Prediction
from fanin.theory.forward import WEIGHT_KINDS
from fanin.theory.gaussian import orthant
from fanin.traces.records import INPUT, Op, Signal, Trace

CODE = "FI205"
SLUG = "dead-units"
SEVERITY: Severity = "warning"
UNLIKE = 0.05  # what examples of unequal likeness add to the fraction that is dead by chance


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for all such layers."""
    found: list[tuple[str, Signal, float, float]] = []
    for op, activation, base in law.forward.activations:
        if op.signal is None or not op.signal.dead > 0 or not kills(activation):
            continue
        source = _weight_before(trace, law, base)
        k, units = op.signal.examples, max(op.signal.units, 1)
        if source is None or k < 2:
            continue
        weight, correlation, deviation = source
        chance = orthant(k, 1 - (1 - correlation) * math.exp(-SIGMAS * deviation))
        limit = min(chance + UNLIKE + SIGMAS * math.sqrt(chance * (1 - chance) / units + 1 / units**2), 1 - 0.5 / units)
        if op.signal.dead > limit:
            found.append((weight, op.signal, chance, limit))
    if found:
        yield _finding(trace, law, found)


def kills(f: Activation) -> bool:
    """Whether f is zero for everything below zero, and not above."""
    return bool(np.all(f(np.array([-5.0, -1.0, -0.1])) == 0.0)) and float(f(np.array([1.0]))[0]) != 0.0


def _weight_before(trace: Trace, law: Prediction, base: int) -> tuple[str, float, float] | None:
    """(weight, correlation of what the activation reads, deviation of its log) of the weight op that feeds it."""
    likeness = None
    while base != INPUT:
        here = trace.ops[base]
        state = law.states[here.index]
        if here.kind == "norm" and state is not None and likeness is None:
            likeness = state.correlation
        if here.kind in WEIGHT_KINDS:
            weight, x = law.forward.weight_of(here), law.forward.arriving(here)
            if weight is None or x is None or not x.q > 0 or state is None:
                return None
            if likeness is None:
                # Biases that lean to neither side make examples alike, and so are part of the null.
                even = _even_biases(trace, here)
                x, measured = (state, here.signal) if even else (x, here.module_input)
                likeness = x.correlation
                if measured is not None and measured.rms > 0 and math.isfinite(measured.spread):
                    likeness = max(likeness, 1 - (measured.spread / measured.rms) ** 2)
            return weight.name, min(max(likeness, 0.0), 1.0), math.sqrt(x.var_r)
        if here.kind not in ("norm", "shape", "pointwise", "dropout") or len(here.inputs) != 1:
            return None
        base = here.inputs[0]
    return None


def _even_biases(trace: Trace, op: Op) -> bool:
    """Whether the op's biases reach about as far above zero as below: then they make examples alike, but kill no unit by rule."""
    facts = [trace.weights[n] for n in op.weights if n in trace.weights and trace.slot(n).role == "bias"]
    return all(max(-f.low, f.high) < 2 * min(-f.low, f.high) for f in facts if not (f.constant and f.low == 0))


def _finding(trace: Trace, law: Prediction, found: list[tuple[str, Signal, float, float]]) -> Finding:
    weight, signal, chance, limit = max(found, key=lambda f: f[1].dead - f[2])
    names = tuple(dict.fromkeys((weight, *(f[0] for f in found))))
    everything = signal.dead >= 1 - 0.5 / max(signal.units, 1)
    edits: dict[str, Distribution] = {}
    for slot in (trace.slot(n) for n in names):
        edits |= {s.name: Constant(0.0) for s in trace.slots if s.role == "bias" and s.weight == slot.name}
        if slot.axes is not None and slot.trainable and law.laws[slot.name].mean != 0 and slot.axes.fan_in > 0:
            edits[slot.name] = Normal(math.sqrt(2 / slot.axes.fan_in))
    more = f" (and too many of {len(names) - 1} more layers)" if len(names) > 1 else ""
    return Finding(
        CODE,
        SLUG,
        "error" if everything else SEVERITY,
        names,
        f"{number(100 * signal.dead)} % of the {signal.units} units behind {weight} are zero for every example{more}; "
        f"chance explains {number(100 * chance)} %.",
        {"dead": signal.dead, "layers": float(len(names))},
        {"dead": chance, "limit": limit},
        "A unit that is never above zero has no gradient: it does not learn.",
        Fix("Set the biases to zero and draw the weights with mean zero.", edits),
    )
