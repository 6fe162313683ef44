"""How the runs of a job start: their models constructed and initialised."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from fanin.errors import FaninError
from fanin.imports import lines_of
from fanin.lab.data import DataSet
from fanin.lab.inits import Init
from fanin.lab.inits_torch import Initialised, apply_plan, initialise, plan_of
from fanin.lab.jobs import Job
from fanin.lab.machine import is_of_the_machine
from fanin.lab.study.records import RunConfig
from fanin.lab.study.rows import RunRow
from fanin.lab.torch.construct import construct, device_of, take, takes_seed
from fanin.lab.torch.single import Loss
from fanin.lab.torch.state import random_state
from fanin.lab.torch.tensors import Orders
from fanin.lab.training import derived_seed
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
class Member:
    """A run that could be started."""

    place: int
    model: nn.Module
    given: Initialised
    seconds: float


@contextlib.contextmanager
def ending(job: Job, places: Sequence[int], rows: dict[int, RunRow]) -> Iterator[None]:
    """What is raised within ends these runs, whose rows then say why, and no other; what is the machine's fault ends all."""
    try:
        yield
    except Exception as error:
        if is_of_the_machine(error):
            raise
        rows.update({place: failure(job, place, error) for place in places})


def started(job: Job, parts: Parts, rows: dict[int, RunRow], report: Callable[[float], None]) -> list[Member]:
    """The runs that could be started; the others get their rows. Runs of a stack that start alike are started once."""
    alike: dict[Any, list[int]] = {}
    for place, config in enumerate(job.configs):
        alike.setdefault((config.plan, config.seed) if config.stacked else place, []).append(place)
    firsts: list[Member] = []
    together: dict[str, list[Member]] = {}  # of a stack, by plan, which is drawn for all of them at once
    for place, *_ in alike.values():
        begun, config = time.perf_counter(), job.configs[place]
        with ending(job, [place], rows):
            model, plan = _constructed(config, parts), _plan_of(config, parts)
            if config.stacked and plan is not None and not plan.architecture:
                member = Member(place, model, Initialised(rate_factors(plan)), time.perf_counter() - begun)
                together.setdefault(config.plan, []).append(member)
            else:
                given = _initialised(model, config, parts, plan)
                firsts.append(Member(place, model, given, time.perf_counter() - begun))
        report(0.0)
    for name, members in together.items():
        begun = time.perf_counter()
        with ending(job, [m.place for m in members], rows):
            apply_many(parts.plans[name], [m.model for m in members], [job.configs[m.place].seed for m in members])
            share = (time.perf_counter() - begun) / len(members)
            firsts += [replace(m, seconds=m.seconds + share) for m in members]
        report(0.0)
    return _for_all(job, firsts, list(alike.values()), rows)


def _for_all(
    job: Job, firsts: Sequence[Member], alike: Sequence[Sequence[int]], rows: dict[int, RunRow]
) -> list[Member]:
    """The members of all runs, from those of the first of each that start alike; failures are all of theirs."""
    first = {member.place: member for member in firsts}
    found: list[Member] = []
    for places in alike:
        member = first.get(places[0])
        if member is None:
            failed = rows[places[0]]
            rows.update({p: replace(failed, key=job.keys[p], config=job.configs[p]) for p in places})
        else:
            found += [replace(member, place=place, seconds=member.seconds / len(places)) for place in places]
    return sorted(found, key=lambda member: member.place)


def failure(job: Job, place: int, error: BaseException) -> RunRow:
    """The row of a run that raised."""
    words = " ".join(lines_of(error)[:4]) or "no message"
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
