"""Studies made up by hand: rows as the engine writes them, with scores that a test says."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fanin.lab.records import ReferenceLine
from fanin.lab.results import StudyResults
from fanin.lab.study.records import Expectation, RunConfig, Study, TrainingSettings
from fanin.lab.study.rows import CurvePoint, LayerSignal, RunRow, Signals

CONSTANT = 0.1
STEPS = 300
LRS = (0.001, 0.003, 0.01, 0.03, 0.1)
# (plan, lr, context, seed, noise) → test score, or NaN for a run that diverges, or None for one that fails.
Scorer = Callable[[str, float, dict[str, Any], int, float], float | None]


def usual(plan: str, lr: float, context: dict[str, Any], seed: int, noise: float) -> float | None:
    """Methods named later are better; 0.01 is the best learning rate; the largest diverges for "default" now and then."""
    level = {"default": 0.85, "he_normal": 0.90, "fanin": 0.93}.get(plan, 0.88)
    if plan == "default" and lr >= 0.1 and seed % 3 == 0:
        return math.nan
    return level - 0.05 * (math.log10(lr) + 2) ** 2 + 0.01 * noise


def study(**changes: Any) -> Study:
    """A study of three methods with ten seeds."""
    usual_ones: dict[str, Any] = {
        "name": "sample",
        "question": "Which init trains best?",
        "models": ("mlp(depth=4, width=64)",),
        "plans": ("default", "he_normal", "fanin"),
        "lrs": LRS,
        "training": TrainingSettings(target=0.85),
    }
    return Study(**{**usual_ones, **changes})


def configs(s: Study) -> list[RunConfig]:
    """The grid, as `fanin.lab.study.grid` writes it: variables that plans use stay out of the context."""
    names = list(s.variables)
    found: dict[tuple[Any, ...], RunConfig] = {}
    axes = (s.models, s.data, s.optimizers, s.batch_sizes, *(s.variables[n] for n in names), s.plans, s.lrs, s.seeds)
    for model, data, optimizer, batch, *rest in itertools.product(*axes):
        values, (plan, lr, seed) = dict(zip(names, rest[:-3], strict=True)), rest[-3:]
        mine = {n: v for n, v in values.items() if not any(f"{{{n}}}" in p for p in s.plans)}
        texts = {"model": _filled(model, values), "data": _filled(data, values)}
        context = {**texts, "optimizer": optimizer, "batch_size": batch, **mine}
        config = RunConfig(
            **texts,
            plan=_filled(plan, values),
            optimizer=optimizer,
            lr=lr,
            batch_size=batch,
            seed=seed,
            training=s.training,
            context=context,
        )
        found[tuple(context.items()), config.plan, lr, seed] = config
    return list(found.values())


def _filled(text: str, values: dict[str, Any]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def results(s: Study | None = None, scorer: Scorer = usual, **changes: Any) -> StudyResults:
    """The results of a study whose scores `scorer` says; two classes, six layers, curves that rise to the score."""
    s = s or study(**changes)
    generator = np.random.default_rng(7)
    rows = [row_of(i, c, scorer, float(generator.standard_normal())) for i, c in enumerate(configs(s))]
    lines = (ReferenceLine("logistic regression", {"accuracy": 0.88, "loss": 0.4}, 0.3),)
    return StudyResults(
        study=s,
        rows=tuple(rows),
        references=dict.fromkeys(s.data, lines) if s.references else {},
        environments=({"python": "3.11.9", "fanin": "0.1", "torch": "2.4.0", "cpu": "A CPU", "cores": "2"},),
        date="2026-11-28",
        inputs={
            data: {
                "shape": [64], "train": 1212, "held": 135, "test": 450, "mean": 0.0, "std": 0.97, "least": -2.1,
                "most": 11.2, "second_moment": 0.94, "zeros": 0.06, "prior": [0.1] * 10,
            }
            for data in s.data
        },
        curve=lambda row: curve_of(row),
    )  # fmt: skip


def row_of(number: int, config: RunConfig, scorer: Scorer, noise: float) -> RunRow:
    """One row as the engine writes it."""
    key = f"{number:08x}"
    score = scorer(config.plan, config.lr, config.context, config.seed, noise)
    if score is None:
        return RunRow(key, config, "failed", error="RuntimeError: the model said no", attempts=3)
    diverged = math.isnan(score)
    value = CONSTANT if diverged else min(1.0, score)
    steps = STEPS // 5 if diverged else STEPS
    target = config.training.target
    hit = None if diverged or target is None or value < target else _reached(value, target)
    loss = 2.3 if diverged else 2.3 * (1 - value)
    part = {"accuracy": value, "f1": value - 0.01, "loss": loss}
    right = round(45 * value)
    return RunRow(
        key,
        config,
        "done",
        diverged=diverged,
        steps=steps,
        planned_steps=STEPS,
        metrics=part,
        held={"accuracy": value, "loss": loss},
        summary={
            "best": value, "final": value, "area": value * 0.9, "gap": 0.02, "spike": math.inf if diverged else 1.4,
            "first_loss": 2.3, "last_loss": math.inf if diverged else loss, "grad_norm": 0.5, "moved": 0.8, "dead": 0.1,
            "rank": 0.4, "constant": CONSTANT,
        },
        confusion=((right, 45 - right), (45 - right, right)),
        reached_at=hit,
        reached_seconds=None if hit is None else hit / 1000,
        signals=() if diverged else tuple(_signals(step, value) for step in (0, STEPS // 2, STEPS)),
        seconds=0.5,
        init_seconds=0.01,
        attempts=1,
        curve=f"curves/{key}.0.jsonl",
    )  # fmt: skip


def _signals(step: int, value: float) -> Signals:
    layers = [LayerSignal(f"layers.{i}", "ReLU", value ** (i + 1), 0.05 * i, 0.9 - 0.1 * i) for i in range(6)]
    return Signals(step, tuple(layers))


def _grid() -> list[int]:
    return [round(i * STEPS / 15) for i in range(16)]


def _reached(value: float, target: float) -> int | None:
    return next((p for p in _grid() if _rise(p, value) >= target), None)


def _rise(step: int, value: float) -> float:
    return CONSTANT + (value - CONSTANT) * min(1.0, 1.05 * (1 - math.exp(-step / 60)))


def curve_of(row: RunRow) -> tuple[CurvePoint, ...]:
    """A curve that rises to the row's score."""
    if row.state != "done":
        return ()
    value = row.metrics["accuracy"]
    points = [
        CurvePoint(
            p, p / 1000, 2.3 * math.exp(-p / 100) + 0.1, 2.3 * (1 - _rise(p, value)), _rise(p, value), 1.0, p / 400
        )
        for p in _grid()
        if p <= row.steps
    ]
    return tuple(points)


def expected(*expectations: Expectation, scorer: Scorer = usual, **changes: Any) -> StudyResults:
    """The results of a study with these expectations."""
    return results(replace(study(**changes), expectations=expectations), scorer)


def by_plan(levels: dict[str, float], spread: float = 0.01, best: float = 0.01) -> Scorer:
    """Scores around a level a method, best at one learning rate."""

    def score(plan: str, lr: float, context: dict[str, Any], seed: int, noise: float) -> float | None:
        level = levels[plan]
        return level if math.isnan(level) else level - 0.05 * (math.log10(lr / best)) ** 2 + spread * noise

    return score


def seeds(n: int) -> Sequence[int]:
    """The first n seeds, as a study holds them."""
    return tuple(range(n))
