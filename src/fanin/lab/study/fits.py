"""Whether everything in a study's grid goes together, found out before anything runs."""

import difflib
import functools
from collections.abc import Iterable, Mapping
from typing import Any

from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.lab import metrics
from fanin.lab.analysis.axes import plan_variables, same_plan, same_value
from fanin.lab.augment import check_augmentations
from fanin.lab.data import DataSet
from fanin.lab.limits import Overdue, within
from fanin.lab.study import grid
from fanin.lab.study.records import Bindings, Expectation, RunConfig, Study
from fanin.lab.study.validate import check_study

MOST_TRIED = (
    200  # pairs of a model and a plan that are tried; where there are more, a plan that refuses makes failed runs
)
LARGEST_TRIED = 500_000  # parameters: tracing a larger model takes seconds for each plan
EXAMPLES = 8  # that a plan is tried with


def check_grid(study: Study, bindings: Bindings | None = None) -> Study:
    """The study, with every value checked and every model tried with its data and its plans; nothing is trained or written.

    Args:
        study: any.
        bindings: objects of the caller's own that its specs name.

    Raises:
        FaninValueError, FaninTypeError: the first thing that does not fit, in one sentence.
    """
    study, bindings = check_study(study), bindings or {}
    runs = grid.configs(study, bindings)
    bindings = grid.filled_bindings(study, bindings)
    for plan in grid.plans(study):
        _init(plan, bindings)
    check_expectations(study, bindings)
    _check_device(study)
    data = {name: _data(study, name, bindings) for name in dict.fromkeys(config.data for config in runs)}
    for one in data.values():
        _check_training(study, one, bindings)
    _check_metrics_expected(study, data)
    hung: set[tuple[str, str]] = set()
    for model, name in grid.models(study, bindings):
        try:
            with within():
                _check_model(model, data[name], study, bindings)
        except Overdue:  # its runs will say so, and the others go on
            hung.add((model, name))
    _try_plans([c for c in runs if (c.model, c.data) not in hung], data, study, bindings)
    return study


def check_expectations(study: Study, bindings: Bindings | None = None) -> None:
    """Raises `FaninValueError` for an expectation that speaks of something that is not in the grid."""
    contexts, plans = grid.contexts(study, bindings), grid.plans(study)
    for number, expectation in enumerate(study.expectations, 1):
        for name, plan in (("plan", expectation.plan), ("than", expectation.than)):
            if plan is not None and not any(same_plan(plan, other) for other in plans):
                raise FaninValueError(
                    f"expect {number}: {name}={plan!r} is not in the grid, whose plans are {', '.join(plans)}{_near(plan, plans)}"
                )
        _check_where(expectation, number, contexts, study)


def _check_where(e: Expectation, number: int, contexts: Iterable[grid.Context], study: Study) -> None:
    of_plan = {**plan_variables(e.plan, study), **(plan_variables(e.than, study) if e.than else {})}
    known = [{**of_plan, **context} for context in contexts]
    axes = dict.fromkeys(name for context in known for name in context)
    for name, value in e.where.items():
        if name not in axes:
            raise FaninValueError(
                f"expect {number}: where names {name!r}, which tells no parts of the grid apart; accepted are {', '.join(axes)}"
                f"{_near(name, axes)}"
            )
        values = list(dict.fromkeys(context[name] for context in known if name in context))
        if not any(same_value(v, value) for v in values):
            raise FaninValueError(
                f"expect {number}: where {name} = {value!r} is not in the grid, which has {', '.join(map(str, values))}"
            )
    if not any(all(same_value(c.get(n), v) for n, v in e.where.items()) for c in known):
        raise FaninValueError(f"expect {number}: no part of the grid has everything that where asks for")


def _near(word: str, accepted: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(accepted), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _check_device(study: Study) -> None:
    if study.training.device == "cpu":
        return
    import torch

    if not torch.cuda.is_available():
        raise FaninValueError(
            f"training.device={study.training.device!r} is not there: this machine has no GPU that torch can use"
        )


def _data(study: Study, name: str, bindings: Bindings) -> DataSet:
    from fanin.lab.worker import data_of

    return data_of(name, study.training, bindings)


def _check_training(study: Study, data: DataSet, bindings: Bindings) -> None:
    from fanin.lab.losses_torch import find_loss

    training = study.training
    check_augmentations(training.augment, data)
    metrics.check([data.score, *(n for n in training.metrics if n not in bindings)], data.task, data.classes)
    for name in training.metrics:
        if name in bindings and not callable(bindings[name]):
            kind = type(bindings[name]).__name__
            raise FaninTypeError(f"metric={name!r} is a {kind}, but must be a function of (outputs, targets)")
        if name in bindings and name in metrics.available(data.task):
            raise FaninValueError(f"metric={name!r} is a function of your own, but also a metric of the lab; rename it")
    try:
        find_loss(bindings.get(training.loss, training.loss) if training.loss else None, data.task)
    except FaninError as error:
        raise FaninValueError(f"training.{error} (data={data.name!r})") from error


def _check_metrics_expected(study: Study, data: Mapping[str, DataSet]) -> None:
    """An expectation's metric must be one that the runs of its data have."""
    for number, e in enumerate(study.expectations, 1):
        if e.metric is None:
            continue
        for name, one in data.items():
            if "data" in e.where and not same_value(e.where["data"], name):
                continue
            had = (*metrics.NAMES[one.task], one.score, *study.training.metrics)
            base, bracket, _ = e.metric.partition("[")
            if bracket and f"{base}_per_class" in had:
                had += tuple(f"{base}[{c}]" for c in range(one.classes))
            if e.metric not in had:
                raise FaninValueError(
                    f"expect {number}: metric={e.metric!r} is not measured on {name}; measured are {', '.join(dict.fromkeys(had))} "
                    f"(training.metrics adds others){_near(e.metric, had)}"
                )


@functools.lru_cache(maxsize=1024)
def _parsed(plan: str) -> Any:
    from fanin.lab.inits import parse_init

    return parse_init(plan)


def _init(plan: str, bindings: Bindings) -> Any:
    if plan in bindings:
        from fanin.lab.worker import init_of

        return init_of(plan, bindings)
    try:
        return _parsed(plan)
    except FaninValueError as error:
        said = (
            str(error).replace("inits has ", "plan=", 1)
            if str(error).startswith("inits has ")
            else f"plan={plan!r}: {error}"
        )
        raise FaninValueError(said) from error


def _check_model(model: str, data: DataSet, study: Study, bindings: Bindings) -> None:
    from fanin.lab.models import check, factory

    loss = study.training.loss or ""
    if model not in bindings:
        check(model, data)
    if model in bindings or loss in bindings:  # a loss of the user's own may not take what a model of the lab gives
        from fanin.lab.torch.construct import fit

        try:
            fit(
                bindings.get(model) or factory(model, data),
                data,
                bindings.get(loss, study.training.loss),
                study.seeds[0],
            )
        except FaninError as error:
            raise FaninValueError(f"model={model!r}: {error}") from error


def _try_plans(runs: Iterable[RunConfig], data: Mapping[str, DataSet], study: Study, bindings: Bindings) -> None:
    """Builds each model once for each plan that might refuse it."""
    pairs = dict.fromkeys((c.model, c.data, c.plan) for c in runs)
    tried = [pair for pair in pairs if _init(pair[2], bindings).kind in ("rule", "preset", "plan", "sum")][:MOST_TRIED]
    left_out: set[tuple[str, str]] = set()
    for model, name, plan in tried:
        if (model, name) in left_out:
            continue
        try:
            with within():
                small = _try_plan(model, data[name], plan, study, bindings)
        except Overdue:
            small = False
        if not small:
            left_out.add((model, name))


def _try_plan(model: str, data: DataSet, plan: str, study: Study, bindings: Bindings) -> bool:
    """Whether the model is small enough to be tried; raises where the plan refuses it."""
    from fanin.lab.inits_torch import initialise
    from fanin.lab.losses_torch import find_loss
    from fanin.lab.torch.construct import construct, device_of, fit, take
    from fanin.lab.torch.state import random_state
    from fanin.lab.worker import factory_of

    factory = factory_of(model, data, bindings)
    loss = bindings.get(study.training.loss or "", study.training.loss)
    built = construct(factory, study.seeds[0])
    if sum(p.numel() for p in built.parameters()) > LARGEST_TRIED:
        return False
    shaped = fit(factory, data, loss, study.seeds[0]).data
    built.train()
    x, y = (take(a, slice(EXAMPLES), device_of(built)) for a in (shaped.train_inputs, shaped.train_targets))
    try:
        with random_state(study.seeds[0]):
            initialise(built, _init(plan, bindings), x, y, find_loss(loss, data.task)[1], study.seeds[0])
    except FaninError as error:
        raise FaninValueError(f"plan={plan!r} cannot be used on model={model!r}: {error}") from error
    return True
