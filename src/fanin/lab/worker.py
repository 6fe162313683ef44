"""What a worker does with a job: finds its model, data, inits and loss, and has the engine carry it out."""

import functools
import itertools
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fanin.errors import FaninError
from fanin.lab.data import DataSet, load
from fanin.lab.estimate import Kind, kind_of
from fanin.lab.inits import Init, parse_init, parse_inits
from fanin.lab.jobs import Job, Payload
from fanin.lab.limits import Overdue, within
from fanin.lab.machine import is_of_the_machine
from fanin.lab.study.records import Bindings, RunConfig, TrainingSettings
from fanin.lab.study.rows import RunRow
from fanin.records import Record

LONGEST_TIMED = 300.0  # seconds that are waited for a few steps and an evaluation of a model
WORTH_TWO = 16  # members that are better halved, so that two workers have something to do


def carry_out(job: Job, payload: Payload | None, report: Callable[[float], None]) -> tuple[RunRow, ...]:
    """A row a run, in the job's order; a run that raises gets a "failed" row.

    Args:
        payload: the study's objects; None where every spec names something that fanin knows.
        report: called with the share of the job that is done, at least at every step that takes long.
    """
    from fanin.lab.torch.job import run_job
    from fanin.lab.torch.start import failure

    bindings = bindings_of(payload)
    try:
        parts = parts_of(job.configs[0], bindings)
    except Exception as error:
        if is_of_the_machine(error):
            raise
        return tuple(failure(job, place, error) for place in range(len(job.configs)))
    return run_job(job, parts, report)


def bindings_of(payload: Payload | None) -> Bindings:
    """The study's objects, unpickled once a process."""
    if payload is not None and payload.here is not None:
        return payload.here
    return _unpacked(payload.bindings if payload else b"")


@functools.lru_cache(maxsize=4)
def _unpacked(bindings: bytes) -> Bindings:
    return pickle.loads(bindings) if bindings else {}


_last: list[tuple[Any, Bindings, Any]] = []  # of this process: runs of one model and data follow each other


def parts_of(config: RunConfig, bindings: Bindings) -> Any:
    """Factory, data, loss and inits of a run (`fanin.lab.torch.start.Parts`); the last ones are kept."""
    training = config.training
    asked = (config.model, config.data, training.validation, training.loss, training.metrics)
    if not _last or _last[0][0] != asked or _last[0][1] is not bindings:
        _last[:] = [(asked, bindings, _parts(config, bindings))]
    return _last[0][2]


def _parts(config: RunConfig, bindings: Bindings) -> Any:
    from fanin.lab.losses_torch import find_loss
    from fanin.lab.torch.construct import fit
    from fanin.lab.torch.start import Parts

    training = config.training
    data = data_of(config.data, training, bindings)
    factory = factory_of(config.model, data, bindings)
    loss = bindings.get(training.loss, training.loss) if training.loss else None
    fitted = fit(factory, data, loss, config.seed)
    extra = {name: bindings[name] for name in training.metrics if name in bindings}
    inits = functools.lru_cache(maxsize=None)(functools.partial(init_of, bindings=bindings))
    return Parts(factory, inits, fitted.data, find_loss(loss, data.task)[1], extra, data.target)


def data_of(name: str, training: TrainingSettings, bindings: Bindings) -> DataSet:
    """The data set with its validation part split off; one that has a part of its own keeps that."""
    own = bindings.get(name, name)
    data = load(own) if isinstance(own, str | DataSet) else replace(load(own), name=name)  # as errors are to call it
    return data.validated(training.validation)


def factory_of(model: str, data: DataSet, bindings: Bindings) -> Callable[..., Any]:
    """The function that gives fresh models: an object of the user's own, or a model of the lab."""
    if model in bindings:
        return bindings[model]
    from fanin.lab.models import factory

    return factory(model, data)


def init_of(plan: str, bindings: Bindings) -> Init:
    """The init that a plan's text stands for."""
    if plan not in bindings:
        return parse_init(plan)
    own = bindings[plan]
    return own if isinstance(own, Init) else parse_inits({plan: own})[0]


def grouping(configs: Mapping[str, RunConfig]) -> Callable[[Mapping[str, RunConfig], Any], list[tuple[str, ...]]]:
    """How the runs of a study make jobs, for `fanin.lab.driver.run_study(group=…)`.

    Stacks are cut from the whole grid, and what is pending of each is a job: the same whatever the number of workers,
    and however often the study was interrupted. (A member's last bit may depend on the stack that it is in: a vector
    unit rounds the odd numbers at an end otherwise than those before.)

    Args:
        configs: every run of the study by key, in the order of the grid.
    """
    whole = _jobs(configs)

    def group(pending: Mapping[str, RunConfig], study: Any = None) -> list[tuple[str, ...]]:
        known = [tuple(key for key in keys if key in pending) for keys in whole]
        seen = {key for keys in known for key in keys}
        return [keys for keys in known if keys] + [(key,) for key in pending if key not in seen]

    return group


def _jobs(configs: Mapping[str, RunConfig]) -> list[tuple[str, ...]]:
    stacks: dict[Any, list[str]] = {}
    for key, config in configs.items():
        alike = (*kind_of(config), repr(config.training), config.together)
        stacks.setdefault(alike if config.stacked else key, []).append(key)
    places = {key: place for place, key in enumerate(configs)}
    chunks = [chunk for keys in stacks.values() for chunk in _cut(keys, [configs[key] for key in keys])]
    return sorted((tuple(chunk) for chunk in chunks), key=lambda keys: places[keys[0]])


def _cut(keys: Sequence[str], configs: Sequence[RunConfig]) -> list[list[str]]:
    """Runs that may train together, as stacks: runs of one seed, which share its batches and often its start, in one.

    Parts are of nearly one size: two where there is enough for two workers, more where a stack would be too large.
    """
    of_seed: dict[int, list[str]] = {}
    for key, config in zip(keys, configs, strict=True):
        of_seed.setdefault(config.seed, []).append(key)
    most = configs[0].together or len(keys)
    least = 2 if len(keys) >= WORTH_TWO else 1
    whole = most // max(map(len, of_seed.values()))  # seeds in a stack
    if whole == 0 or len(of_seed) < least:  # the runs of one are too many, or all there is
        ordered = [key for own in of_seed.values() for key in own]
        return _evenly(ordered, max(least, -(-len(keys) // most)))
    parts = _evenly(list(of_seed.values()), max(least, -(-len(of_seed) // whole)))
    return [list(itertools.chain.from_iterable(part)) for part in parts]


def _evenly(things: list[Any], parts: int) -> list[list[Any]]:
    """So many parts of nearly one size."""
    cuts = [round(i * len(things) / parts) for i in range(parts + 1)]
    return [things[a:b] for a, b in itertools.pairwise(cuts)]


def with_stacking(
    configs: Iterable[RunConfig], chosen: dict[Kind, int], bindings: Bindings, never: bool = False
) -> tuple[RunConfig, ...]:
    """The runs with `stacked` and `together` set; choices that are not in `chosen` yet are made and put there, for the study to keep.

    Args:
        configs: runs, `stacked` not set.
        chosen: how many train together, 0 for alone, as was chosen before, by kind of run; changed in place.
        never: choose against stacks wherever nothing is chosen yet.
    """
    found = []
    for config in configs:
        kind = kind_of(config)
        if kind not in chosen:
            chosen[kind] = 0 if never else members_together(config, bindings)
        found.append(replace(config, stacked=chosen[kind] > 0, together=chosen[kind]))
    return tuple(found)


def members_together(config: RunConfig, bindings: Bindings) -> int:
    """How many runs of this model, data, optimizer and batch size are trained in one stack at most, 0 for alone.

    It depends on what the model is, not on how fast this machine is today, so that the answer is the same every time.
    """
    from fanin.lab.torch.stackable import members_of

    if config.training.augment:
        return 0
    try:
        with within():
            return members_of(parts_of(config, bindings), config)
    except Overdue:
        return 0
    except Exception as error:  # such a model makes failed runs, and is no reason to stop here
        if is_of_the_machine(error):
            raise
        return 0


@dataclass(frozen=True)
class Cost(Record):
    """What a study will take.

    Attributes:
        runs: how many.
        steps: of the optimizer, in all runs together.
        seconds: of one core of this machine, about.
        stacked: runs that train in stacks.
    """

    runs: int
    steps: int
    seconds: float
    stacked: int


def estimate(configs: Iterable[RunConfig], bindings: Bindings) -> Cost:
    """What these runs will take on this machine, from a few timed steps of each kind of run.

    Args:
        configs: with `stacked` set (see `with_stacking`).

    Raises:
        FaninError: a few steps and an evaluation take longer than `LONGEST_TIMED`.
    """
    from fanin.lab.torch.cost import seconds_of_run

    kinds: dict[Any, list[RunConfig]] = {}
    for config in configs:
        kinds.setdefault((*kind_of(config), config.training), []).append(config)
    runs = steps = stacked = 0
    seconds = 0.0
    for alike in kinds.values():
        members = len(_cut([""] * len(alike), alike)[0])
        try:
            with within(LONGEST_TIMED):
                own_steps, own_seconds = seconds_of_run(alike[0], parts_of(alike[0], bindings), members)
        except Overdue:
            raise FaninError(
                f"model={alike[0].model!r} takes longer than {LONGEST_TIMED:.0f} s for a few steps and an evaluation"
            ) from None
        runs += len(alike)
        steps += own_steps * len(alike)
        seconds += own_seconds * len(alike)
        stacked += len(alike) * alike[0].stacked
    return Cost(runs, steps, seconds, stacked)
