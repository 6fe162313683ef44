"""Synthetic reports for the tests of what people see: built from records alone, no framework."""

import math
from dataclasses import replace

from fanin.activations import Activation
from fanin.auto import Fixed
from fanin.checks.finding import Finding, Fix
from fanin.checks.report import Curve, Report
from fanin.distributions import Normal
from fanin.lab.records import (
    Comparison,
    ReferenceLine,
    RunResult,
    Settings,
    StepsToTarget,
)
from fanin.lab.summary import summarise
from fanin.plans import Entry, Plan
from fanin.slots import Axes, ChainLink, Slot
from fanin.traces.records import InputFacts, LossFacts, Op, Signal, Trace, WeightFacts

RELU = Activation.named("relu")


def signal(rms: float, grad: float, units: int = 128) -> Signal:
    return Signal(
        rms=rms,
        mean=0.0,
        std=rms,
        spread=rms / 2,
        correlation=0.9,
        rank=3.0,
        max_rank=31.0,
        dead=0.1,
        saturated=0.0,
        nonfinite=0.0,
        units=units,
        examples=32,
        grad_rms=grad,
    )


def facts(std: float, grad: float) -> WeightFacts:
    return WeightFacts(
        std=std,
        mean=0.0,
        low=-2 * std,
        high=2 * std,
        nonfinite=0.0,
        zeros=0.0,
        kurtosis=1.8,
        sampled=4096,
        constant=False,
        grad_rms=grad,
        reached=True,
    )


def trace(depth: int = 30, gain: float = 0.58, width: int = 128) -> Trace:
    """A plain ReLU net of `depth` layers whose signal is multiplied by `gain` at each of them."""
    ops: list[Op] = []
    slots: list[Slot] = []
    weights: dict[str, WeightFacts] = {}
    for i in range(depth):
        name = f"net.{2 * i}.weight"
        last = i == depth - 1
        shape = (10 if last else width, 64 if i == 0 else width)
        grad = 1e-3 * gain ** (depth - 1 - i)
        ops.append(
            Op(
                index=len(ops),
                kind="linear",
                name="linear",
                module=f"net.{2 * i}",
                inputs=(len(ops) - 1,),
                weights=(name,),
                shape=(32, shape[0]),
                signal=signal(gain ** (i + 1), grad),
                depth=i + 1,
            )
        )
        slots.append(
            Slot(
                name=name,
                names=(name,),
                shape=shape,
                dtype="float32",
                role="weight",
                op="linear",
                op_index=len(ops) - 1,
                module=f"net.{2 * i}",
                module_type="Linear",
                axes=Axes.parse("oi", shape),
                activation=None if last else RELU,
                depth=i + 1,
                head=last,
                chain=ChainLink("net.0.weight", i, depth, after=None if last else RELU),
            )
        )
        weights[name] = facts(0.05, grad)
        if not last:
            ops.append(
                Op(
                    index=len(ops),
                    kind="activation",
                    name="relu",
                    module=f"net.{2 * i + 1}",
                    inputs=(len(ops) - 1,),
                    weights=(),
                    shape=(32, width),
                    activation=RELU,
                    signal=signal(gain ** (i + 1) / math.sqrt(2), grad),
                    depth=i + 1,
                )
            )
    return Trace(
        framework="torch",
        model="MLP",
        parameters=sum(s.size for s in slots),
        ops=tuple(ops),
        slots=tuple(slots),
        weights=weights,
        residuals=(),
        inputs=(InputFacts("input", (32, 64), "float32", True, 0.0, 1.0, -3.1, 3.0, 0.0),),
        loss=LossFacts(2.3026, "cross_entropy", 10, math.log(10), 1e-8, op=len(ops) - 1),
        backward="loss",
        training=True,
        outputs=(len(ops) - 1,),
        notes=("The batch has 32 examples; 256 were asked for.",),
    )


def curves(depth: int = 30, gain: float = 0.58) -> tuple[Curve, ...]:
    where = tuple(f"net.{2 * i}.weight" for i in range(depth))
    depths = tuple(range(1, depth + 1))
    forward = tuple(gain ** (i + 1) * (1 + 0.1 * math.sin(i)) for i in range(depth))
    backward = tuple(1e-3 * gain ** (depth - 1 - i) for i in range(depth))
    correlation = tuple(1 - 0.7 * 0.8**i for i in range(depth))

    def curve(title: str, values: tuple[float, ...], predicted: tuple[float, ...], step: float) -> Curve:
        spread = [math.exp(step * math.sqrt(i + 1)) for i in range(depth)]
        low = tuple(p / s for p, s in zip(predicted, spread, strict=True))
        high = tuple(p * s for p, s in zip(predicted, spread, strict=True))
        return Curve(title, where, depths, values, predicted, low, high)

    return (
        curve("forward rms", forward, tuple(gain ** (i + 1) for i in range(depth)), 0.1),
        curve("gradient rms", backward, backward, 0.1),
        curve("correlation", correlation, tuple([math.nan] * depth), 0.1),
    )


def finding(code: str = "FI301", severity: str = "error", **changes: object) -> Finding:
    values: dict[str, object] = {
        "code": code,
        "slug": "vanishing-gradient",
        "severity": severity,
        "where": tuple(f"net.{2 * i}.weight" for i in range(29)),
        "message": "The gradient shrinks by 0.58 at each of 30 layers and reaches the first weight 8.0e6 times smaller.",
        "measured": {"gain_per_layer": 0.58, "first_over_last": 1.25e-7},
        "expected": {"gain_per_layer": 1.0, "low": 0.94, "high": 1.06},
        "why": "Layers that get no gradient do not learn: the first 20 stay as they were drawn.",
        "fix": Fix("Draw the weights as a mirrored orthogonal chain.", {"net.0.weight": Normal(0.125)}),
    }
    return Finding(**{**values, **changes})  # type: ignore[arg-type]


def report(depth: int = 30, gain: float = 0.58, *, clean: bool = False) -> Report:
    """A report with an error, a warning and a remark, or with nothing."""
    findings = (
        finding(),
        finding(
            "FI401",
            "warning",
            slug="wrong-gain",
            message="29 weights are drawn with deviation 0.051, but ReLU asks for 0.125 <here> & there.",
            measured={"gain": 0.58},
            expected={"gain": 1.4142},
            why="Each layer loses 42 % of its signal.",
            fix=Fix("Use he_normal(nonlinearity='relu')."),
        ),
        finding(
            "FI502", "info", slug="input-not-normalised", where=(), measured={}, expected={}, fix=Fix("Standardise.")
        ),
    )
    return Report("model.py:mlp", trace(depth, gain), () if clean else findings, curves(depth, gain), 0.42)


REACHED = {"default": 0, "he_normal": 1, "fanin": 5}


def comparison(seeds: int = 5, *, interrupted: bool = False) -> Comparison:
    """Three inits, one of which learns nothing and one of which diverges once."""
    results: list[RunResult] = []
    for init, level in (("default", 0.1), ("he_normal", 0.8), ("fanin", 0.96)):
        runs = []
        for seed in range(seeds):
            diverged = init == "he_normal" and seed == 3
            final = 0.1 if diverged else level + 0.004 * (seed - 2) * (init != "default")
            steps = tuple(range(0, 301, 20))
            score = tuple(final * min(1.0, 0.1 + s / 200) for s in steps)
            runs.append(
                RunResult(
                    init,
                    seed,
                    {"accuracy": final, "precision": final, "recall": final, "f1": final, "loss": 2.4 * (1.01 - final)},
                    diverged,
                    300,
                    300,
                    reached_at=200 if final > 0.9 else None,
                    train_steps=steps,
                    train_loss=tuple(2.4 * (1.01 - s) for s in score),
                    eval_steps=steps,
                    eval_loss=tuple(2.4 * (1.01 - s) for s in score),
                    eval_score=score,
                    seconds=1.0,
                )
            )
        results += runs
    inits = ("default", "he_normal", "fanin")
    made, differences = summarise(results, inits, tuple(results[0].metrics), 0.9)
    steps_to = {i: StepsToTarget(0.9, REACHED[i], seeds, 200.0 if i == "fanin" else None, 250.0, 300) for i in inits}
    summaries = [replace(s, steps_to_target=steps_to[s.init]) for s in made]
    settings = Settings(
        data="digits",
        task="classification",
        train_examples=1212,
        test_examples=450,
        classes=10,
        input_shape=(64,),
        optimizer="sgd",
        lr=0.003,
        momentum=0.9,
        weight_decay=0.0,
        batch_size=64,
        steps=300,
        epochs=14.3,
        loss="cross_entropy",
        target=0.9,
        evaluations=15,
        held_examples=135,
    )
    return Comparison(
        "model.py:mlp",
        inits,
        tuple(range(seeds)),
        settings,
        "accuracy",
        tuple(results),
        tuple(summaries),
        tuple(differences),
        references=(ReferenceLine("logistic regression", {"accuracy": 0.95, "loss": 0.2}, 0.3),),
        interrupted=interrupted,
        seconds=12.0,
        notes=("Two runs shared a core.",),
    )


def fixed() -> Fixed:
    """A fix that mended the error and the warning, undid one change and left the remark."""
    before = report()
    after_findings = (before.findings[2],)
    after = Report(before.target, trace(gain=0.99), after_findings, curves(gain=0.99), 0.4)
    slots = before.trace.slots
    plan = Plan.of(slots, {s.name: Entry(Normal(0.125), "isometry: gain 1.41 for relu <fan 128>") for s in slots})
    return Fixed(before, after, plan, (("net.4.weight", "it made FI201 worse"),))
