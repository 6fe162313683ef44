"""A weight was scaled by the fan of the wrong axis.

What: the deviation of a weight is exactly what a known rule gives with a fan that was read from the wrong axes of its
shape, and not what any known rule gives with the fan of the op that consumes it.

Why it hurts: the layer's gain is off by sqrt(right fan / wrong fan): a transposed convolution of 64 → 256 channels
gets a quarter of the variance it was promised, stacked experts a hundredth.

How it was measured: the right fans come from the op (Axes); the wrong ones are those that `torch.nn.init` or a
channels-last rule computes from the raw shape. Null hypothesis: std² = g² / fan for a right fan and the g of a known
rule (He's, for this activation or ReLU, with the fan in or out; Xavier's and LeCun's with any; PyTorch's default with
the fan in), or std is a round number (1, 2 or 5 times a power of ten). Tolerance: 3 standard errors of the estimated
std (sqrt((kurtosis - 1) / 4n)) and 0.5 % for rounding. A wrong fan that happens to be within 10 % of a right one is
not reported, nor weights with another law. It is a warning where the layer takes more than its share of six depth
scales (see FI402), otherwise `info`: fused q/k/v projections, layers next to norms. Silent where wrong and right fan
differ by less than 10 %, where the wrong fan of one rule is the right one of another (a square weight; He's rule with
the fans swapped, which is its fan_out mode), under 256 numbers, and for orthogonal weights.

How to fix: compute the fan from the op: `fanin.plan` does.

Papers: He et al. 2015; PyTorch issues 23854 (grouped), 166378 (fused projection), pull 30079 (transposed).
"""

import math
from collections.abc import Iterator

from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import DEPTH_SCALES, SIGMAS, number
from fanin.distributions import Distribution, Normal, Uniform
from fanin.slots import Slot
from fanin.theory import Prediction
from fanin.traces.records import Trace, WeightFacts

CODE = "FI401"
SLUG = "wrong-fan"
SEVERITY: Severity = "warning"
NEAR = 0.10  # fans this close are the same fan
ROUNDING = 0.005
SMALLEST = 256
UNIFORM_KURTOSIS = 2.1  # uniform has 1.8, a cut normal 2.4, normal 3


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for the weights that matter, one for those that do not."""
    found = [(slot, *match) for slot in trace.slots if (match := wrong_fan(trace, slot)) is not None]
    shares = {s.name: DEPTH_SCALES / len(g.judged) for g in law.segments if g.end == "output" for s in g.judged}
    for severity in ("warning", "info"):
        group = [
            f
            for f in found
            if (f[0].parts is None and abs(math.log(f[2] / f[3])) > shares.get(f[0].name, math.inf))
            == (severity == "warning")
        ]
        if group:
            yield _finding(trace, group, severity)


def wrong_fan(trace: Trace, slot: Slot) -> tuple[float, float, float] | None:
    """(g², wrong fan, right fan) where the weight's deviation shows a wrong fan, else None."""
    facts = trace.weights.get(slot.name)
    if facts is None or slot.axes is None or slot.role not in ("weight", "recurrent") or not _lawful(slot, facts):
        return None
    tolerance = ROUNDING + SIGMAS * math.sqrt(max(facts.kurtosis - 1, 0.0) / (4 * facts.sampled))
    if _round(facts.std, tolerance) or (slot.hidden and abs(math.log(3 * slot.hidden * facts.std**2)) / 2 < tolerance):
        return None  # PyTorch draws all weights of a recurrent layer for its hidden size, on purpose
    axes = slot.axes
    fan_in, fan_out = axes.fan_in, axes.fan_out
    # Both with the taps that stride leaves and without: rules in use differ, and a factor of the stride is no wrong axis.
    into, out = (fan_in, fan_in / axes.in_taps), (fan_out, fan_out / axes.out_taps)
    both = tuple((i + o) / 2 for i in into for o in out)
    squares = _squares(slot, facts)

    def explains(fan: float, square: float) -> bool:
        return fan > 0 and abs(math.log(facts.std**2 * fan / square)) / 2 < tolerance

    for square, fans in squares:
        right = {"in": into, "he": (*into, *out), "any": (*into, *out, *both)}[fans]
        if any(explains(fan, square) for fan in right):
            return None
    every = (*into, *out, *both)
    for fan, mode in _raw_fans(slot.shape):
        against = {"in": fan_in, "out": fan_out, "mean": (fan_in + fan_out) / 2}[mode]
        for square, fans in squares:
            allowed = mode == "in" or (fans == "he" and mode == "out") or fans == "any"
            known = into if fans == "in" else every
            if allowed and explains(fan, square) and all(abs(math.log(fan / r)) > NEAR for r in known):
                return square, fan, against
    return None


def _lawful(slot: Slot, facts: WeightFacts) -> bool:
    ok = (
        not facts.constant
        and facts.std > 0
        and slot.size >= SMALLEST
        and facts.zeros < 0.1
        and not facts.orthogonality < 0.3
    )
    return ok and not (facts.mirrored_in or facts.mirrored_out) and abs(facts.mean) < facts.std / 10


def _squares(slot: Slot, facts: WeightFacts) -> list[tuple[float, str]]:
    """(g², which fans the rule uses) of the rules that draw from a law of this kurtosis."""
    squares = [(1.0, "any"), (2.0, "he")]  # LeCun and Xavier; He
    if facts.kurtosis < UNIFORM_KURTOSIS:
        squares.append((1 / 3, "in"))  # PyTorch's default
    elif facts.kurtosis < 2.6:  # a normal cut at two sigmas, without the correction of its variance
        squares += [(0.7737, "any"), (2 * 0.7737, "he")]
    if slot.activation is not None and math.isfinite(slot.activation.gain):
        squares.append((slot.activation.gain**2, "he"))
        if slot.activation.name == "tanh":
            squares.append((25 / 9, "any"))
    return squares


def _raw_fans(shape: tuple[int, ...]) -> list[tuple[float, str]]:
    """Fans that are commonly read from a raw shape: (out, in, …field) as torch does, and (…field, in, out)."""
    if len(shape) < 2:
        return []
    field, front = math.prod(shape[2:]), math.prod(shape[:-2])
    pairs = [(shape[1] * field, shape[0] * field), (front * shape[-2], front * shape[-1])]
    return [(float(x), m) for i, o in pairs for x, m in ((i, "in"), (o, "out"), ((i + o) / 2, "mean"))]


def _round(std: float, tolerance: float) -> bool:
    """Whether the deviation is 1, 2 or 5 times a power of ten, also as a normal cut at two sigmas leaves it."""
    for x in (std, std / 0.8796):
        digit = x / 10 ** math.floor(math.log10(x))
        if any(abs(math.log(digit / d)) < tolerance for d in (1, 2, 5, 10)):
            return True
    return False


def _finding(trace: Trace, group: list[tuple[Slot, float, float, float]], severity: Severity) -> Finding:
    slot, square, wrong, right = max(group, key=lambda f: abs(math.log(f[2] / f[3])))
    edits: dict[str, Distribution] = {}
    for each, g, _, fan in group:
        if each.trainable:
            std = math.sqrt(g / fan)
            uniform = trace.weights[each.name].kurtosis < UNIFORM_KURTOSIS
            edits[each.name] = Uniform(std * math.sqrt(3)) if uniform else Normal(std)
    more = f" (and {len(group) - 1} more weights)" if len(group) > 1 else ""
    parts = f", {slot.parts} fused into one weight," if slot.parts else ""
    return Finding(
        CODE,
        SLUG,
        severity,
        tuple(f[0].name for f in group),
        f"{slot.name} {list(slot.shape)}{parts} was drawn for a fan of {number(wrong)}, but its op ({slot.op}) has "
        f"{number(right)}: its gain is off by {number(math.sqrt(right / wrong))}{more}.",
        {"std": trace.weights[slot.name].std, "fan": wrong},
        {"std": math.sqrt(square / right), "fan": right},
        "The rule keeps a signal's scale only with the number of products that the op sums.",
        Fix("Use the fan of the op that consumes the weight, not of its shape.", edits),
    )
