"""Different layers hold the same random numbers.

What: two or more weights of equal shape, drawn at random, are equal number for number, though they are different
weights.

Why it hurts: the layers are copies (`copy.deepcopy`, `nn.TransformerEncoder`, one seed used twice, a shard's seed
that ignores its rank). Copies in depth apply the same map again and again, which narrows the signal faster than
independent draws do; copies side by side get equal gradients and stay copies.

How it was measured: a hash of each weight's numbers. Null hypothesis: weights are drawn independently; two
independent draws of even 8 float32 numbers agree with a chance under 1e-40, so there is no tolerance. Healthy
equalities are left out: tied weights (one weight with two names), biases, constants (zeros, ones, identity tables),
frozen copies (target networks) and small weights under 8 numbers. Weights that share a base and have gradients of
their own, such as an ensemble started from one point on purpose, are reported: ignore the finding there. The check is
silent as soon as one number in the sample differs.

How to fix: initialize each layer anew after copying it, for example by applying a plan.

Papers: PyTorch issues 72253 and 86274 (`nn.TransformerEncoder` copies one layer).
"""

from collections import defaultdict
from collections.abc import Iterator

from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import listed, number
from fanin.distributions import Distribution, Normal, Uniform
from fanin.slots import Slot
from fanin.theory import Prediction
from fanin.traces.records import Trace, WeightFacts

CODE = "FI102"
SLUG = "identical-layers"
SEVERITY: Severity = "warning"
SMALLEST = 8  # numbers


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for all groups of copies."""
    groups: dict[tuple[str, tuple[int, ...]], list[Slot]] = defaultdict(list)
    for slot in trace.slots:
        facts = trace.weights.get(slot.name)
        if facts is not None and facts.digest and _random(slot, facts):
            groups[facts.digest, slot.shape].append(slot)
    copies = [group for group in groups.values() if len(group) > 1]
    if not copies:
        return
    where = tuple(s.name for group in copies for s in group)
    numbers = sum(s.size for group in copies for s in group[1:])
    most = max(len(group) for group in copies)
    edits: dict[str, Distribution] = {s.name: _same_law(trace.weights[s.name]) for group in copies for s in group}
    yield Finding(
        CODE,
        SLUG,
        SEVERITY,
        where,
        f"{len(where)} weights are copies of {len(copies)} ({numbers:,} numbers, up to {most} layers alike): "
        f"{listed(s.name for s in max(copies, key=len))} are equal.",
        {"copies": float(len(where) - len(copies)), "groups": float(len(copies)), "layers": float(most)},
        {"copies": 0.0},
        f"Independent draws never agree. Copies in depth apply one map {number(most)} times; copies side by side stay copies.",
        Fix("Draw each of them anew: the edits keep the law that the numbers have now.", edits),
    )


def _random(slot: Slot, facts: WeightFacts) -> bool:
    weighs = slot.role in ("weight", "recurrent", "embedding", "position")
    return (
        weighs
        and slot.trainable
        and not facts.constant
        and facts.zeros < 0.5
        and slot.size >= SMALLEST
        and facts.std > 0
    )


def _same_law(facts: WeightFacts) -> Distribution:
    if facts.kurtosis < 2.1:  # uniform has 1.8, normal 3
        return Uniform(facts.std * 3**0.5, facts.mean if abs(facts.mean) > facts.std / 10 else 0.0)
    return Normal(facts.std)
