"""One job: its models constructed, initialised, trained and scored; a row a run."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fanin.errors import FaninError
from fanin.lab import metrics
from fanin.lab.data import DataSet
from fanin.lab.inits import Init
from fanin.lab.inits_torch import Initialised, apply_plan, initialise, plan_of
from fanin.lab.jobs import Job, checkpoint_file, curve_file
from fanin.lab.machine import is_of_the_machine
from fanin.lab.study.records import RunConfig
from fanin.lab.study.rows import CurvePoint, RunRow
from fanin.lab.torch.checkpoints import Checkpoints
from fanin.lab.torch.constant import constant_scores
from fanin.lab.torch.construct import construct, device_of, take, takes_seed
from fanin.lab.torch.optimizers import read_optimizer
from fanin.lab.torch.recorder import Recorder, Trainee, score_member
from fanin.lab.torch.single import Loss, Single
from fanin.lab.torch.stacked import Stack, goes_by_hand
from fanin.lab.torch.state import random_state, random_states_kept, repeatable, thread_count
from fanin.lab.torch.tensors import Orders, Tensors, tensors
from fanin.lab.torch.train import train
from fanin.lab.training import derived_seed, steps_of
from fanin.plans import Plan
from fanin.plans.torch.groups import rate_factors
from fanin.plans.torch.many import apply_many


@dataclass(frozen=True, eq=False)
class Parts:
    """What a job's runs are made of.

    Attributes:
        factory: gives a fresh model.
        init: of each run, by plan.
        data: in the form that the model takes, validation part split off.
        loss: called as loss(output, targets).
        extra: metrics of the user's own by name.
        target: score that steps are counted to, None for none.
        plans: of the inits that are a matter of the model's structure alone, by plan; filled as they are asked for.
    """

    factory: Callable[..., Any]
    init: Callable[[str], Init]
    data: DataSet
    loss: Loss
    extra: dict[str, Any]
    target: float | None = None
    plans: dict[str, Plan] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Member:
    """A run that could be started."""

    place: int
    model: nn.Module
    given: Initialised
    seconds: float


def run_job(job: Job, parts: Parts, report: Callable[[float], None]) -> tuple[RunRow, ...]:
    """Every run of the job, in its order; one that cannot be started gets a "failed" row and the others go on.

    Members of a stack whose structure differs (a plan that edits the architecture) train apart from each other. A stack
    that cannot be trained raises: one member may be at fault, and the driver halves it.
    """
    rows: dict[int, RunRow] = {}
    with thread_count(1), random_states_kept():
        for number, group in enumerate(_groups(job, _started(job, parts, rows, report))):
            places = [member.place for member in group]
            alone = _ending(job, places, rows) if len(group) == 1 else contextlib.nullcontext()
            with alone:
                rows.update(zip(places, _train(job, group, number, parts, report), strict=True))
    return tuple(rows[place] for place in range(len(job.configs)))


@contextlib.contextmanager
def _ending(job: Job, places: Sequence[int], rows: dict[int, RunRow]) -> Iterator[None]:
    """What is raised within ends these runs, whose rows then say why, and no other; what is the machine's fault ends all."""
    try:
        yield
    except Exception as error:
        if is_of_the_machine(error):
            raise
        rows.update({place: failure(job, place, error) for place in places})


def _started(job: Job, parts: Parts, rows: dict[int, RunRow], report: Callable[[float], None]) -> list[_Member]:
    """The runs that could be started; the others get their rows."""
    started: list[_Member] = []
    together: dict[str, list[_Member]] = {}  # of a stack, by plan, which is drawn for all of them at once
    for place, config in enumerate(job.configs):
        begun = time.perf_counter()
        with _ending(job, [place], rows):
            model, plan = _constructed(config, parts), _plan_of(config, parts)
            if config.stacked and plan is not None and not plan.architecture:
                member = _Member(place, model, Initialised(rate_factors(plan)), time.perf_counter() - begun)
                together.setdefault(config.plan, []).append(member)
            else:
                given = _initialised(model, config, parts, plan)
                started.append(_Member(place, model, given, time.perf_counter() - begun))
        report(0.0)
    for name, members in together.items():
        begun = time.perf_counter()
        with _ending(job, [m.place for m in members], rows):
            apply_many(parts.plans[name], [m.model for m in members], [job.configs[m.place].seed for m in members])
            share = (time.perf_counter() - begun) / len(members)
            started += [replace(m, seconds=m.seconds + share) for m in members]
        report(0.0)
    return sorted(started, key=lambda member: member.place)


def failure(job: Job, place: int, error: BaseException) -> RunRow:
    """The row of a run that raised."""
    words = " ".join(line.strip() for line in str(error).splitlines()[:4] if line.strip()) or "no message"
    said = words if isinstance(error, FaninError) else f"{type(error).__name__}: {words}"
    return RunRow(job.keys[place], job.configs[place], "failed", attempts=job.attempt + 1, error=said)


def _constructed(config: RunConfig, parts: Parts) -> nn.Module:
    model = construct(parts.factory, config.seed)
    if config.training.device != "cpu" and device_of(model).type == "cpu":
        model = model.to(config.training.device)
    return model.train()


def _initialised(model: nn.Module, config: RunConfig, parts: Parts, plan: Plan | None) -> Initialised:
    init = parts.init(config.plan)
    if init.kind == "default":  # before a batch is drawn that it has no use for
        return Initialised()
    with random_state(derived_seed(config.seed, "init")), torch.enable_grad():
        if plan is not None:
            return apply_plan(model, plan, True, config.seed)
        x, y = _first_batch(config, parts, config.seed, device_of(model))
        return initialise(model, init, x, y, parts.loss, config.seed)


def _first_batch(config: RunConfig, parts: Parts, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    rows = Orders(len(parts.data.train_inputs), config.batch_size, [seed]).rows()[0].numpy()
    return take(parts.data.train_inputs, rows, device), take(parts.data.train_targets, rows, device)


def _plan_of(config: RunConfig, parts: Parts) -> Plan | None:
    """What a rule or a preset draws the model from: a matter of its structure, so that one trace does for every seed.

    It is that of the model of seed 0, whichever run comes first in this process. None for other inits, and where the
    structure may be another one for every seed.
    """
    init = parts.init(config.plan)
    if init.kind not in ("rule", "preset") or takes_seed(parts.factory):
        return None
    if config.plan not in parts.plans:
        with random_state(derived_seed(config.seed, "init")), torch.enable_grad():
            model = construct(parts.factory, 0)
            x, y = _first_batch(config, parts, 0, device_of(model))
            parts.plans[config.plan] = plan_of(model.train(), init, x, y, parts.loss, 0)
    return parts.plans[config.plan]


def _groups(job: Job, members: Sequence[_Member]) -> list[list[_Member]]:
    """Members that can train as one stack: of one structure, as far as it shows; runs that are not stacked alone."""
    groups: dict[Any, list[_Member]] = {}
    for member in members:
        config = job.configs[member.place]
        own = member.place if not config.stacked else config.plan if member.given.note else ""
        shapes = tuple((n, tuple(t.shape), t.dtype) for n, t in member.model.state_dict().items())
        groups.setdefault((own, repr(member.model), shapes), []).append(member)
    return [sorted(group, key=lambda member: job.configs[member.place].lr) for group in groups.values()]


def _train(
    job: Job, group: Sequence[_Member], number: int, parts: Parts, report: Callable[[float], None]
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
        (folder / "curves").mkdir(parents=True, exist_ok=True)
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
    member: _Member,
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
            "rank": min((layer.rank for layer in last if math.isfinite(layer.rank)), default=math.nan),
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
