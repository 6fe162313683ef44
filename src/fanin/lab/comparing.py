"""`fanin.compare`: the same model from several inits, trained on the same data in the same order, seed by seed.

A thin face of the lab: its runs are a study of one model and one learning rate in a folder that is thrown away afterwards,
carried out by the lab's driver, executors and training loop, and judged by its statistics. As in a study, curves are measured
on a part held out of the training part, and the test part is looked at once, after the last step.
"""

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.lab import metrics
from fanin.lab.comparison_runs import Task, run_all
from fanin.lab.data import DataSet, load
from fanin.lab.inits import Init, parse_inits
from fanin.lab.progress import show_progress
from fanin.lab.records import Comparison, RunResult, Settings
from fanin.lab.summary import summarise
from fanin.lab.training import Training, steps_per_epoch, whole_number


def compare(
    factory: Callable[..., Any],
    inits: Any = ("default", "fanin"),
    data: Any = "digits",
    seeds: int | Sequence[int] = 10,
    *,
    steps: int | None = None,
    epochs: float = 15,
    optimizer: str = "sgd",
    lr: float = 0.003,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    batch_size: int = 64,
    target: float | None = None,
    validation: float = 0.1,
    evaluations: int = 30,
    loss: Any = None,
    workers: int = 1,
    threads: int = 1,
    references: bool = False,
    progress: bool | None = None,
    on_result: Callable[[RunResult], None] | None = None,
) -> Comparison:
    """Trains a model from each init with each seed, and compares them pairwise.

    Runs of one seed are constructed with the same random state, see the same batches in the same order and drop out
    the same units: the init is all that differs. No random state of the caller is changed.

    Args:
        factory: gives a fresh model at each call; takes nothing, or `seed`.
        inits: names ("default", "fanin", "lsuv", a rule such as "he_normal" or "he_normal(mode='fan_out')", a plan file
            that ends in .json), rules, plans, functions that change a model in place, or a mapping name → any of these.
            The first is the baseline of the paired differences.
        data: name of a data set (`fanin.lab.data.table()` lists them; "cifar10:5000:16" takes 5,000 examples of 16 × 16),
            a `DataSet`, or four arrays: train inputs, train targets, test inputs, test targets.
        seeds: how many (0, 1, …), or which.
        steps: optimizer steps of a run; `epochs` passes over the training part where not given.
        optimizer: "sgd", "adam" or "adamw".
        lr, momentum, weight_decay: of the optimizer.
        batch_size: examples in a step. What is left over at the end of a pass makes a smaller batch where it is at least half
            of this, else it is left out of that pass (each pass has another order): 15 epochs of digits are 285 steps.
        target: score that steps are counted to (the data set's own where not given).
        validation: share of the training part that is held out: curves and steps to the target are measured on it, and
            the test part is looked at once. 0 holds nothing out and measures them on the test part. A data set that has a
            validation part of its own keeps that.
        evaluations: how often the held-out part is looked at while training; steps to the target are known to this grain.
        loss: a name, or a function of (output, targets); the task's own where not given.
        workers: processes; 1 trains in this one. With more, `factory` must be importable by name.
        threads: of the CPU that a run uses.
        references: also fit ordinary learners (scikit-learn's) on the same split.
        progress: a bar on the terminal; only where there is one, unless said.
        on_result: called with each run as it is done.

    Returns:
        A `Comparison`. After Ctrl-C it holds the runs done so far, with `interrupted` set.

    Raises:
        FaninValueError, FaninTypeError: an argument cannot be used, or the model does not take the data.
        FaninError: no run could be done at all.

    Example:
        >>> import torch
        >>> mlp = lambda: torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
        >>> result = compare(mlp, inits=["default"], data="digits", seeds=2, epochs=1)
        >>> result.summary("default").runs
        2
    """
    start = time.perf_counter()
    seed_list = _seeds(seeds)
    chosen = parse_inits(inits)
    whole_number("workers", workers)
    dataset = load(data)
    dataset = dataset.validated(validation)
    training = _training(
        dataset,
        steps,
        epochs,
        Training(optimizer, lr, momentum, weight_decay, batch_size, 1, loss, target, evaluations, threads),
    )
    from fanin.lab import engine_torch

    fit = engine_torch.fit(factory, dataset, loss, seed_list[0])
    task = Task(factory, {init.name: init for init in chosen}, fit.data, training)
    jobs = [(init.name, seed) for seed in seed_list for init in chosen]  # by seed: a partial result has whole pairs
    results: list[RunResult] = []
    with show_progress(progress, len(jobs)) as bar, tempfile.TemporaryDirectory(prefix="fanin-compare-") as folder:

        def done(result: RunResult) -> None:
            results.append(result)
            bar.done(result)
            if on_result:
                on_result(result)

        interrupted = run_all(task, jobs, Path(folder), workers, bar.at, done)
    if results and not interrupted and all(r.error for r in results):
        raise FaninError(f"no run could be done; {results[0].init}: {results[0].error}") from task.errors.get(
            results[0].init
        )
    score = dataset.score
    names, places = metrics.compared(dataset.task, score), {init.name: i for i, init in enumerate(chosen)}
    ordered = sorted(results, key=lambda r: (places[r.init], seed_list.index(r.seed)))
    summaries, differences = summarise(ordered, list(places), names, training.target)
    settings = _settings(fit.data, training, loss)
    comparison = Comparison(
        model=fit.model,
        inits=tuple(places),
        seeds=tuple(seed_list),
        settings=replace(settings, framework=fit.framework, device=fit.device),
        score=score,
        results=tuple(ordered),
        summaries=summaries,
        differences=differences,
        interrupted=interrupted,
        notes=_notes(ordered, summaries, chosen, seed_list, interrupted, dataset.held_inputs is not None),
    )
    if references and not interrupted:
        comparison = _with_references(comparison, fit.data)
    return replace(comparison, seconds=time.perf_counter() - start)


def _with_references(comparison: Comparison, data: DataSet) -> Comparison:
    from fanin.lab.reference import reference_lines

    try:
        lines = reference_lines(data)
        told = tuple(f"{line.name}: {line.note}." for line in lines if line.note)
        return replace(comparison, references=lines, notes=(*comparison.notes, *told))
    except FaninError as error:  # all runs are done; they must not be lost
        told = f"Ordinary learners could not be fitted: {error}."
        return replace(comparison, notes=(*comparison.notes, told))
    except KeyboardInterrupt:
        return replace(comparison, notes=(*comparison.notes, "Interrupted before the ordinary learners were fitted."))


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        whole_number("seeds", seeds)
        return list(range(seeds))
    if not isinstance(seeds, list | tuple | range):
        raise FaninTypeError(f"seeds={seeds!r} is a {type(seeds).__name__}, but must be a number or a list of seeds")
    for seed in seeds:
        whole_number("seeds", seed, least=0)
    if not seeds or len(set(seeds)) < len(seeds):
        raise FaninValueError(f"seeds={list(seeds)} must be at least one seed, each once")
    return list(seeds)


def _training(data: DataSet, steps: int | None, epochs: float, training: Training) -> Training:
    if steps is None:
        if isinstance(epochs, bool) or not isinstance(epochs, int | float):
            raise FaninTypeError(f"epochs={epochs!r} is a {type(epochs).__name__}, but must be a number")
        steps = (
            round(epochs * steps_per_epoch(len(data.train_inputs), training.batch_size)) if 0 < epochs < math.inf else 0
        )
        if steps < 1:
            raise FaninValueError(f"epochs={epochs!r} must be large enough for one step, and finite")
    return replace(training, steps=steps, target=data.target if training.target is None else training.target)


def _settings(data: DataSet, training: Training, loss: Any) -> Settings:
    from fanin.lab.losses_torch import find_loss

    return Settings(
        data=data.name,
        task=data.task,
        train_examples=len(data.train_inputs),
        held_examples=0 if data.held_inputs is None else len(data.held_inputs),
        test_examples=len(data.test_inputs),
        classes=data.classes,
        input_shape=data.forms[0],
        optimizer=training.optimizer,
        lr=float(training.lr),
        momentum=float(training.momentum) if training.optimizer == "sgd" else 0.0,
        weight_decay=float(training.weight_decay),
        batch_size=training.batch_size,
        steps=training.steps,
        epochs=training.steps / steps_per_epoch(len(data.train_inputs), training.batch_size),
        loss=find_loss(loss, data.task)[0],
        target=None if training.target is None else float(training.target),
        evaluations=min(training.evaluations, training.steps),
    )


def _notes(
    results: Sequence[RunResult],
    summaries: Sequence[Any],
    inits: Sequence[Init],
    seeds: Sequence[int],
    interrupted: bool,
    held_out: bool,
) -> tuple[str, ...]:
    notes = []
    if not held_out:
        notes.append(
            "Nothing was held out: curves and steps to a target are of the test part, so let them choose nothing."
        )
    if interrupted:
        done = min((s.runs for s in summaries if not s.failed), default=0)
        notes.append(
            f"Interrupted after {len(results)} of {len(inits) * len(seeds)} runs; "
            f"the statistics are over the {done} seeds that every init has finished."
        )
    for summary in summaries:
        if summary.failed:
            notes.append(f"{summary.init} could not be run and is left out: {summary.note}")
        if summary.diverged:
            share = summary.diverged_share
            notes.append(
                f"{summary.diverged} of {summary.runs} runs of {summary.init} diverged: {100 * share.value:.0f} % "
                f"({100 * share.low:.0f} to {100 * share.high:.0f}). The means are over the others; in paired differences "
                "such a run counts as the best constant prediction."
            )
    notes += dict.fromkeys(f"{r.init} {r.note}." for r in results if r.note)
    return tuple(notes)
