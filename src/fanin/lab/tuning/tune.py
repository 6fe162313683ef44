"""`fanin.tune`: which initialization and learning rate a model learns best with."""

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.lab import metrics
from fanin.lab.data import DataSet, load
from fanin.lab.inits import parse_init
from fanin.lab.statistics import Tuned, TunedVerdict, tuned_verdicts
from fanin.lab.study.optimizers import LEARNING_RATES, parse_optimizer
from fanin.lab.study.records import Bindings, RunConfig, Study, TrainingSettings
from fanin.lab.study.rows import RunRow
from fanin.lab.study.validate import number
from fanin.lab.training import steps_of, whole_number
from fanin.lab.tuning.records import Adjustment, Candidate, Rung, Trial, Tuning
from fanin.lab.tuning.search import KEPT, RUNGS, best_of, candidates, halve
from fanin.plans import Plan

INITS = ("default", "fanin", "he_normal", "xavier_normal", "orthogonal")
GAINS = (0.5, 0.71, 1.0, 1.41, 2.0)
KINDS = ("default", "fanin", "rule", "preset")  # of inits that are searched: drawn from laws that a gain can be put on
FRESH = 10_000  # seeds that confirm begin here: none of them was seen by the search
MODEL, DATA = "model", "data"  # names of the bindings


def tune(
    factory: Callable[..., Any],
    data: Any = "digits",
    *,
    inits: Sequence[str] = INITS,
    gains: Sequence[float] = GAINS,
    biases: Sequence[float] = (0.0,),
    residuals: Sequence[float] | None = None,
    lrs: Sequence[float] | None = None,
    optimizer: str = "sgd(momentum=0.9)",
    steps: int | None = None,
    epochs: float = 15,
    batch_size: int = 64,
    loss: str | None = None,
    budget: int = 60,
    seeds: int = 2,
    confirm: int = 10,
    validation: float = 0.2,
    workers: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> Tuning:
    """Searches initialization (rule, gain, bias, residual scale) and learning rate together, and confirms what it found.

    Successive halving on held-out data: many candidates with a ninth of the steps, the best third with a third, the best
    of these with all. The model's default stays in the race with learning rates of its own. The winner is then run
    against the default on seeds that the search has not seen, and recommended only where the test part shows that it is
    better: at their own learning rates, and again with the default at the winner's rate, since a difference that goes away
    there was the learning rate's.

    Args:
        factory: gives a fresh model at each call.
        data: as `fanin.compare` takes it.
        inits: initializations to try; "default" must be among them.
        gains: factors on the weights, "default" aside.
        biases: values of the biases of layers with weights; 0 leaves them as each init has them. They are not searched
            unless more than one is given: each further value makes as many candidates again, and the budget then tries
            fewer gains.
        residuals: factors on the last weight of residual branches; 1, 0.5 and 0 where the model has any, else 1 alone.
        lrs: learning rates; two more than a study's own on either side where not given.
        optimizer: such as "sgd(momentum=0.9)".
        steps, epochs, batch_size, loss: of a whole run.
        budget: what the search may cost, in whole runs.
        seeds: runs of each candidate.
        confirm: fresh seeds for the winner and for the default.
        validation: share of the training part that the search looks at; data with a validation part of its own keep that.
        workers: processes; with more than one, `factory` must be importable by name.
        progress: told (what, runs done, runs in all) now and then.

    Raises:
        FaninValueError, FaninTypeError: an argument cannot be used.

    Example:
        >>> import torch
        >>> mlp = lambda: torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 10))
        >>> found = tune(mlp, "digits:300", inits=["default", "xavier_normal"], lrs=[0.001, 0.1], steps=18, budget=6,
        ...              seeds=1, confirm=6)
        >>> found.baseline.start.name, found.winner.lr
        ('default', 0.1)
    """
    begun = time.perf_counter()
    counts = {"budget": budget, "seeds": seeds, "confirm": confirm, "batch_size": batch_size, "workers": workers}
    _check(inits, gains, biases, residuals, lrs, counts if steps is None else {**counts, "steps": steps})
    number("epochs", epochs, above=0)
    if loss is not None and not isinstance(loss, str):
        raise FaninTypeError(f"loss={loss!r} is a {type(loss).__name__}, but must be the name of a loss")
    parse_optimizer(optimizer)
    dataset = load(data)
    if number("validation", validation, least=0, below=1) == 0 and dataset.held_inputs is None:
        raise FaninValueError("validation=0.0 must be above 0: without it the search would look at the test part")
    training = TrainingSettings(
        steps=steps, epochs=epochs, loss=loss, validation=validation, evaluations=3, watch=False
    )
    search = _Search(factory, dataset, optimizer, training, batch_size, seeds, workers, progress)
    rates = tuple(dict.fromkeys(lrs)) if lrs is not None else _rates(optimizer)
    scales = tuple(residuals) if residuals is not None else (1.0, 0.5, 0.0) if search.has_branches() else (1.0,)
    starts = _starts(inits, gains, biases, scales)
    # each rung costs as much as the first: a third of the candidates, three times the steps
    first = candidates(starts, rates, most=budget * KEPT ** (RUNGS - 1) // (RUNGS * seeds))
    score, larger = dataset.score, metrics.higher_is_better(dataset.score)
    rungs = halve(first, search.steps, search.trials, larger_is_better=larger)
    winner, baseline = best_of(rungs[-1]), best_of(rungs[-1], "default")
    mapped = search.map(winner.start, gains, rates, rungs[0])
    rows = search.confirm((winner, baseline), confirm)
    own = verdicts_of(winner, baseline, rows, score)
    if own.verdict.finding == "better" and winner.lr != baseline.lr:
        rows += search.confirm((Candidate(baseline.start, winner.lr),), confirm)
    found = verdicts_of(winner, baseline, rows, score)
    means = [float(np.mean(scores_of(rows, c, score))) for c in (winner, baseline)]
    at_winners = list(scores_of(rows, Candidate(baseline.start, winner.lr), score))
    return Tuning(
        model=search.words,
        data=dataset.name,
        optimizer=optimizer,
        score=score,
        rungs=rungs,
        winner=winner,
        baseline=baseline,
        confirmed=found.verdict,
        winner_score=means[0],
        baseline_score=means[1],
        default_at_winners_rate=float(np.mean(at_winners)) if at_winners else None,
        in_disguise=found.in_disguise,
        mapped=mapped,
        rows=rows,
        cost=search.cost / search.steps,
        recommended=found.verdict.finding == "better",
        seconds=time.perf_counter() - begun,
        notes=(*_notes(rungs, winner, baseline, rates), *search.failures),
    )


def scores_of(rows: Sequence[RunRow], candidate: Candidate, score: str) -> tuple[float, ...]:
    """Test scores of a candidate's runs in the order of the seeds; () where it has none."""
    own = [r for r in rows if r.config.plan == candidate.start.name and r.config.lr == candidate.lr]
    return tuple(r.metrics[score] for r in sorted(own, key=lambda r: r.config.seed))


def verdicts_of(winner: Candidate, baseline: Candidate, rows: Sequence[RunRow], score: str) -> TunedVerdict:
    """The winner against the baseline, also where the loser takes the winner's learning rate, as far as that was run."""

    def tuned(candidate: Candidate) -> Tuned:
        scores = {lr: scores_of(rows, Candidate(candidate.start, lr), score) for lr in (winner.lr, baseline.lr)}
        return Tuned({candidate.lr: (0.0,)}, {lr: found for lr, found in scores.items() if found})

    return tuned_verdicts(tuned(baseline), [tuned(winner)], larger_is_better=metrics.higher_is_better(score))[0]


def winning_plan(result: Tuning, factory: Callable[..., Any], data: Any, *, loss: str | None = None) -> Plan | None:
    """What the winner draws a model's weights from, for `apply` or a file; None where it keeps the model's own weights.

    Args:
        result: of `tune`.
        factory, data, loss: as `tune` was given them.
    """
    from fanin.lab.torch.construct import construct
    from fanin.lab.tuning.adjusted_torch import Adjusted

    search = _Search(factory, load(data), result.optimizer, TrainingSettings(loss=loss), 64, 1, 1, None)
    return Adjusted(result.winner.start, *search.batch, search.loss).plan(construct(factory, 0).train())


def _check(
    inits: Sequence[str],
    gains: Sequence[float],
    biases: Sequence[float],
    residuals: Sequence[float] | None,
    lrs: Sequence[float] | None,
    counts: Mapping[str, int],
) -> None:
    if isinstance(inits, str) or not isinstance(inits, Iterable):
        raise FaninTypeError(f"inits={inits!r} is a {type(inits).__name__}, but must be a list of names")
    for init in inits:
        if not isinstance(init, str):
            raise FaninTypeError(f"inits holds a {type(init).__name__}, but must hold names, rules or presets as text")
        if parse_init(init).kind not in KINDS:
            raise FaninValueError(f"inits holds {init!r}, which cannot be tuned; accepted are {', '.join(KINDS)}")
    if "default" not in inits:
        raise FaninValueError(f"inits={list(inits)} must have 'default' among them: the winner is held against it")
    for name, values in (("gains", gains), ("biases", biases), ("residuals", residuals or ()), ("lrs", lrs or ())):
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise FaninTypeError(f"{name}={values!r} is a {type(values).__name__}, but must be a list of numbers")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, Real):
                raise FaninTypeError(f"{name} holds {value!r}, but must hold numbers")
    for name, values, least in (
        ("gains", gains, True),
        ("lrs", (1.0,) if lrs is None else lrs, True),
        ("residuals", (0,) if residuals is None else residuals, False),
    ):
        bad = [v for v in values if not np.isfinite(v) or v < 0 or (least and v == 0)]
        if bad or not len(values):
            raise FaninValueError(
                f"{name}={list(values)} must be numbers {'above' if least else 'from'} 0, at least one"
            )
    if not all(np.isfinite(biases)) or not len(biases):
        raise FaninValueError(f"biases={list(biases)} must be finite numbers, at least one")
    for name, value in counts.items():
        whole_number(name, value)


def _rates(optimizer: str) -> tuple[float, ...]:
    own = LEARNING_RATES[parse_optimizer(optimizer).name]
    return (own[0] / 10, own[0] / 3, *own, own[-1] * 3, own[-1] * 10)


def _starts(
    inits: Sequence[str], gains: Sequence[float], biases: Sequence[float], residuals: Sequence[float]
) -> tuple[Adjustment, ...]:
    found = [Adjustment(init) for init in inits]
    for init in inits:
        if init != "default":
            found += [Adjustment(init, g, b, r) for g in gains for b in biases for r in residuals]
    return tuple(dict.fromkeys(found))


def _notes(rungs: Sequence[Rung], winner: Candidate, baseline: Candidate, rates: Sequence[float]) -> tuple[str, ...]:
    notes = []
    for name, candidate in (("winner", winner), ("default", baseline)):
        if len(rates) > 1 and candidate.lr in (min(rates), max(rates)):
            side = "smallest" if candidate.lr == min(rates) else "largest"
            notes.append(f"The {name}'s learning rate is the {side} that was tried: a wider range may do better.")
    gains = [t.candidate.start.gain for t in rungs[0].trials if t.candidate.start.init == winner.start.init]
    if len(set(gains)) > 1 and winner.start.gain in (min(gains), max(gains)):
        notes.append("The winner's gain is at the end of those that were tried.")
    lost = sum(t.diverged for t in rungs[0].trials)
    if lost:
        notes.append(f"{lost} of the first rung's runs diverged; they count as the best constant prediction.")
    return tuple(notes)


@dataclass(eq=False)
class _Search:
    """Runs candidates of one model on one data set, each rung as a small study of its own."""

    factory: Callable[..., Any]
    data: DataSet
    optimizer: str
    training: TrainingSettings
    batch_size: int
    seeds: int
    workers: int
    progress: Callable[[str, int, int], None] | None
    cost: float = 0.0  # optimizer steps so far
    failures: dict[str, None] = field(default_factory=dict)  # why runs gave no score, a sentence each

    def __post_init__(self) -> None:
        from fanin.lab.losses_torch import find_loss
        from fanin.lab.torch.construct import fit

        split = self.data.validated(self.training.validation)
        fitted = fit(self.factory, split, self.training.loss, 0)
        self.words, self.loss = fitted.model, find_loss(self.training.loss, self.data.task)[1]
        rows = slice(min(self.batch_size, len(split.train_inputs)))
        self.batch = np.array(fitted.data.train_inputs[rows]), np.array(fitted.data.train_targets[rows])
        self.steps = steps_of(self.training, len(split.train_inputs), self.batch_size)

    def has_branches(self) -> bool:
        from fanin.lab.torch.construct import construct
        from fanin.lab.tuning.adjusted_torch import has_branches

        return has_branches(construct(self.factory, 0), *self.batch, self.loss)

    def trials(self, some: Sequence[Candidate], steps: int) -> list[Trial]:
        """What each candidate reaches in so many steps, by its held-out score."""
        rows = self._rows(some, range(self.seeds), steps, f"rung of {steps} steps")
        score, found = self.data.score, []
        for candidate in some:
            own = [r for r in rows if r.config.plan == candidate.start.name and r.config.lr == candidate.lr]
            done = [r.held[score] for r in own if r.state == "done"]
            mean = float(np.mean(done)) if done else float("nan")
            found.append(Trial(candidate, mean, sum(r.diverged for r in own), len(done)))
        failed = next((r for r in rows if r.state == "failed"), None)
        inits = {c.start.name: c.start.init for c in some}
        told = (f"{inits[r.config.plan]} could not be run: {r.error}" for r in rows if r.state == "failed")
        self.failures |= dict.fromkeys(told)
        if failed is not None and not any(t.seeds for t in found):
            raise FaninError(f"no run could be done; {failed.config.plan}: {failed.error}")
        return found

    def map(self, start: Adjustment, gains: Sequence[float], rates: Sequence[float], rung: Rung) -> tuple[Trial, ...]:
        """The start at every gain and learning rate, what the rung has tried already included."""
        wanted = [Candidate(replace(start, gain=gain), lr) for gain in sorted({*gains, 1.0}) for lr in rates]
        tried = {trial.candidate: trial for trial in rung.trials}
        missing = [candidate for candidate in wanted if candidate not in tried]
        tried |= {trial.candidate: trial for trial in (self.trials(missing, rung.steps) if missing else ())}
        return tuple(tried[candidate] for candidate in wanted)

    def confirm(self, some: Sequence[Candidate], count: int) -> tuple[RunRow, ...]:
        """Whole runs of each on fresh seeds."""
        rows = self._rows(list(dict.fromkeys(some)), range(FRESH, FRESH + count), self.steps, "fresh seeds")
        failed = next((r for r in rows if r.state != "done"), None)
        if failed is not None:
            raise FaninError(f"{failed.config.plan} could not be confirmed: {failed.error}")
        return rows

    def _rows(self, some: Sequence[Candidate], seeds: Sequence[int], steps: int, what: str) -> tuple[RunRow, ...]:
        from fanin.lab.study.grid import key_of
        from fanin.lab.worker import grouping, with_stacking

        settings = replace(self.training, steps=steps)
        plain = [
            RunConfig(MODEL, c.start.name, DATA, self.optimizer, c.lr, self.batch_size, seed, settings)
            for seed in seeds
            for c in some
        ]
        bindings = self._bindings(some)
        configs = {key_of(c): c for c in with_stacking(plain, {}, bindings)}
        self.cost += steps * len(configs)
        with tempfile.TemporaryDirectory() as folder:
            rows = _run(Path(folder), configs, bindings, self.workers, grouping(configs), self._told(what))
        return tuple(rows[key] for key in configs)

    def _told(self, what: str) -> Callable[[Any], None] | None:
        if self.progress is None:
            return None
        tell = self.progress
        return lambda event: tell(what, event.done + event.failed, event.total)

    def _bindings(self, some: Sequence[Candidate]) -> Bindings:
        from fanin.lab.tuning.adjusted_torch import Adjusted

        starts = {c.start.name: c.start for c in some if c.start != Adjustment("default")}
        own = {name: Adjusted(start, *self.batch, self.loss) for name, start in starts.items()}
        return {MODEL: self.factory, DATA: self.data, **own}


def _run(
    folder: Path,
    configs: Mapping[str, RunConfig],
    bindings: Bindings,
    workers: int,
    group: Any,
    on_event: Callable[[Any], None] | None,
) -> dict[str, RunRow]:
    """Every run of a rung by key."""
    from fanin.lab.driver import run_study
    from fanin.lab.store import Store

    name = "serial" if workers == 1 else "processes"
    found = run_study(
        Study("tune"), folder / "study", name, configs=configs, group=group, workers=workers, bindings=bindings,
        on_event=on_event,
    )  # fmt: skip
    if found.interrupted:
        raise KeyboardInterrupt
    with Store.open(folder / "study", readonly=True) as store:
        return {row.key: row for row in store.rows()}
