"""One job: its models constructed, initialised, trained and scored; a row a run."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fanin.lab import metrics
from fanin.lab.data import DataSet
from fanin.lab.jobs import Job, checkpoint_file, curve_file
from fanin.lab.machine import is_of_the_machine
from fanin.lab.study.records import RunConfig
from fanin.lab.study.rows import CurvePoint, RunRow
from fanin.lab.torch.checkpoints import Checkpoints
from fanin.lab.torch.constant import constant_scores
from fanin.lab.torch.construct import device_of
from fanin.lab.torch.optimizers import read_optimizer
from fanin.lab.torch.recorder import Recorder, Trainee, score_member
from fanin.lab.torch.single import Single
from fanin.lab.torch.stacked import Stack, goes_by_hand
from fanin.lab.torch.start import Member, Parts, ending, failure, started
from fanin.lab.torch.state import random_states_kept, repeatable, thread_count
from fanin.lab.torch.tensors import Tensors, tensors
from fanin.lab.torch.train import train
from fanin.lab.training import derived_seed, steps_of


def run_job(job: Job, parts: Parts, report: Callable[[float], None]) -> tuple[RunRow, ...]:
    """Every run of the job, in its order; one that cannot be started gets a "failed" row and the others go on.

    Members of a stack whose structure differs (a plan that edits the architecture) train apart from each other. A stack
    that cannot be trained raises: one member may be at fault, and the driver halves it.
    """
    rows: dict[int, RunRow] = {}
    with thread_count(1), random_states_kept():
        for number, group in enumerate(_groups(job, started(job, parts, rows, report))):
            places = [member.place for member in group]
            alone = ending(job, places, rows) if len(group) == 1 else contextlib.nullcontext()
            with alone:
                rows.update(zip(places, _train(job, group, number, parts, report), strict=True))
    return tuple(rows[place] for place in range(len(job.configs)))


def _groups(job: Job, members: Sequence[Member]) -> list[list[Member]]:
    """Members that can train as one stack: of one structure, as far as it shows; runs that are not stacked alone."""
    groups: dict[Any, list[Member]] = {}
    structures: dict[int, Any] = {}  # of each model that is there
    for member in members:
        config, model = job.configs[member.place], member.model
        own = member.place if not config.stacked else config.plan if member.given.note else ""
        if id(model) not in structures:
            shapes = tuple((n, tuple(t.shape), t.dtype) for n, t in model.state_dict().items())
            structures[id(model)] = repr(model), shapes
        groups.setdefault((own, *structures[id(model)]), []).append(member)
    plans = list(dict.fromkeys(config.plan for config in job.configs))

    def order(
        member: Member,
    ) -> tuple[float, int]:  # rates in slices (see `optimizers.Updates`), seeds in turns (`Orders`)
        config = job.configs[member.place]
        return config.lr, plans.index(config.plan)

    return [sorted(group, key=order) for group in groups.values()]


def _train(
    job: Job, group: Sequence[Member], number: int, parts: Parts, report: Callable[[float], None]
) -> list[RunRow]:
    """Rows of a group, the `number`-th of its job."""
    begun = time.perf_counter()
    places = [member.place for member in group]
    configs = [job.configs[place] for place in places]
    keys = tuple(job.keys[place] for place in places)
    folder = Path(job.folder) if job.folder else None
    device = device_of(group[0].model)
    data = _tensors(parts.data, device)
    steps = steps_of(configs[0].training, len(data.train_x), configs[0].batch_size)
    files = None
    if folder is not None:
        (folder / "curves").mkdir(exist_ok=True)  # not the study's folder: whoever has removed it does not want it back
        files = [curve_file(folder, key, job.attempt) for key in keys]
    recorder = Recorder(configs, files, parts.data.task, steps, score=parts.data.score)
    trainee = trainee_of(configs, [m.model for m in group], [m.given.lr_scales for m in group], parts)
    checkpoints = Checkpoints(checkpoint_file(folder, job, number) if folder else None, keys)
    seeds = tuple(config.seed for config in configs)
    with repeatable(device):
        train(trainee, recorder, data, configs[0].batch_size, seeds, checkpoints, report)
        scored = _scores(trainee, recorder, data, parts, configs)
    share = (time.perf_counter() - begun) / len(group)
    rows = []
    for k, (member, found) in enumerate(zip(group, scored, strict=True)):
        if isinstance(found, Exception):
            rows.append(failure(job, member.place, found))
        else:
            rows.append(_row(job, member, recorder, k, found, files, share))
    target = parts.target if configs[0].training.target is None else configs[0].training.target
    return [
        row if row.error else _with_target(row, recorder.points[k], target, recorder.score)
        for k, row in enumerate(rows)
    ]


_kept: dict[Any, tuple[DataSet, Tensors]] = {}  # the last data set of this process


def _tensors(data: DataSet, device: torch.device) -> Tensors:
    found = _kept.get(str(device))
    if found is None or found[0] is not data:
        _kept[str(device)] = found = (data, tensors(data, device))
    return found[1]


def trainee_of(
    configs: Sequence[RunConfig], models: Sequence[nn.Module], scales: Sequence[dict[str, float]], parts: Parts
) -> Trainee:
    """The models with their optimizer: a stack (of one too, where that is faster), or the one model alone.

    Args:
        configs: of the runs.
        models: initialised, one a run.
        scales: factors on the learning rate by parameter name, one dictionary a run.
    """
    training = configs[0].training
    rule = read_optimizer(configs[0].optimizer, training.weight_decay)
    by_hand = not training.augment and goes_by_hand(models[0], parts.loss)  # images are augmented one model's at a time
    if configs[0].stacked or by_hand:
        return Stack(models, parts.loss, rule, [c.lr for c in configs], scales, training.clip)
    seed = derived_seed(configs[0].seed, "evaluation")
    return Single(models[0], parts.loss, rule, configs[0].lr, scales[0], training.clip, seed)


@dataclass(frozen=True)
class _Scored:
    """One member after its last step.

    Attributes:
        diverged: whether it has no finite outputs; its metrics are then those of the best constant prediction.
        test, held: metrics.
        seen: score on training examples.
        constant: score of the best constant prediction on the test part.
        confusion: on the test part.
    """

    diverged: bool
    test: dict[str, float]
    held: dict[str, float]
    seen: float
    constant: float
    confusion: tuple[tuple[int, ...], ...]


def _scores(
    trainee: Trainee, recorder: Recorder, data: Tensors, parts: Parts, configs: Sequence[RunConfig]
) -> list[_Scored | Exception]:
    """Of each member; what was raised where its outputs cannot be scored (a metric of the user's own may refuse some)."""
    task, names = parts.data.task, configs[0].training.metrics
    name = parts.data.score
    names = tuple(n for n in names if n not in parts.extra)
    places = ((data.test_x, data.test_y), (data.held_x, data.held_y), (data.seen_x, data.seen_y))
    (test_losses, test), (held_losses, held), (seen_losses, seen) = (trainee.evaluate(x, y) for x, y in places)
    test_y, held_y, seen_y = (y.cpu().numpy() for _, y in places)
    worst_test = constant_scores(parts.data, "test", parts.loss, names, parts.extra)
    worst_held = constant_scores(parts.data, "held", parts.loss)
    on_seen = recorder.scores(seen, seen_y, seen_losses)
    found: list[_Scored | Exception] = []
    for k in range(trainee.members):
        alive = bool(recorder.alive[k])
        try:
            on_test = (
                score_member(task, test[k], test_y, float(test_losses[k]), names, parts.extra, name) if alive else None
            )
        except Exception as error:
            if is_of_the_machine(error):
                raise
            found.append(error)
            continue
        on_held = score_member(task, held[k], held_y, float(held_losses[k]), score=name) if alive else None
        diverged = on_test is None or on_held is None
        confusion: tuple[tuple[int, ...], ...] = ()
        if not diverged and task == "classification":
            table = metrics.confusion(test[k].float().cpu().numpy(), test_y, parts.data.classes)
            confusion = tuple(tuple(int(v) for v in row) for row in table)
        last = (worst_test, worst_held) if on_test is None or on_held is None else (on_test, on_held)
        seen_score = on_seen[k][1] if alive else math.nan
        found.append(_Scored(diverged, *last, seen_score, worst_test[name], confusion))
    return found


def _row(
    job: Job,
    member: Member,
    recorder: Recorder,
    k: int,
    scored: _Scored,
    files: Sequence[Path] | None,
    share: float,
) -> RunRow:
    config, key = job.configs[member.place], job.keys[member.place]
    return RunRow(
        key,
        config,
        "done",
        diverged=scored.diverged,
        steps=int(recorder.steps[k]),
        planned_steps=recorder.planned,
        metrics=scored.test,
        held=scored.held,
        summary=_summary(recorder, k, scored),
        confusion=scored.confusion,
        signals=tuple(recorder.signals[k]),
        seconds=share + member.seconds,
        init_seconds=member.seconds,
        attempts=job.attempt + 1,
        note=member.given.note,
        curve="" if files is None else f"curves/{files[k].name}",
    )


def _with_target(row: RunRow, points: Sequence[CurvePoint], target: float | None, score: str) -> RunRow:
    if target is None:
        return row
    row = replace(row, summary={**row.summary, "target": target})
    reached = next((p for p in points if metrics.reaches(score, p.held_score, target)), None)
    if reached is None or row.diverged:
        return row
    return replace(row, reached_at=reached.step, reached_seconds=reached.seconds)


def _summary(recorder: Recorder, k: int, scored: _Scored) -> dict[str, float]:
    points = recorder.points[k]
    held = [p.held_score for p in points if math.isfinite(p.held_score)]
    best = max if metrics.higher_is_better(recorder.score) else min
    figures = {
        "best": best(held, default=math.nan),
        "final": points[-1].held_score if points else math.nan,
        "area": _area(recorder, k),
        "gap": scored.seen - points[-1].held_score if points else math.nan,
        "spike": float(recorder.spike[k]),
        "first_loss": float(recorder.first[k]),
        "last_loss": float(recorder.last[k]),
        "constant": scored.constant,
        "members": len(recorder.configs),
    }
    if recorder.watch and points:
        last = recorder.signals[k][-1].layers if recorder.signals[k] else ()
        figures |= {
            "grad_norm": points[-1].grad_norm,
            "moved": points[-1].moved,
            "dead": max((layer.dead for layer in last), default=math.nan),
            "rank": min((s.rank for s in last if s.rank is not None and math.isfinite(s.rank)), default=math.nan),
        }
    return figures


def _area(recorder: Recorder, k: int) -> float:
    """Mean of the held-out score over the steps (trapezoids); a run that diverged keeps its last finite score."""
    known = [(p.step, p.held_score) for p in recorder.points[k] if math.isfinite(p.held_score)]
    if not known:
        return math.nan
    steps = [step for step, _ in known] + [recorder.planned]
    scores = [score for _, score in known] + [known[-1][1]]
    return float(np.trapezoid(scores, steps)) / recorder.planned if recorder.planned else math.nan
