"""Whether what was expected of a study came out: judged by the records alone, every cell of the grid that it speaks of."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab.analysis import axes, reasons
from fanin.lab.analysis.cells import cell_of
from fanin.lab.analysis.facts import larger_is_better, score_of
from fanin.lab.analysis.pairs import Compared, compared, scores_of
from fanin.lab.analysis.reasons import Evidence
from fanin.lab.analysis.records import Cell, CellOutcome, Outcome, State
from fanin.lab.results import StudyResults
from fanin.lab.statistics import Verdict, t_interval
from fanin.lab.statistics.verdicts import Question, judged
from fanin.lab.study.records import Expectation, Study
from fanin.lab.study.rows import RunRow

SLACK = 1e-9  # of a bound: what sums lose in their last bits


def judge(expectation: Expectation, results: StudyResults) -> Outcome:
    """What became of one expectation.

    It came out where each cell of the grid that it speaks of did; it did not where one did not; else nothing can be said,
    nor before all of its runs are done.
    Comparisons are tested by themselves, without a correction for the others: they were written before the run; a
    difference must hold where the loser takes the winner's learning rate, too. A run that diverged counts with what the
    constant prediction scores.

    Args:
        expectation: as it was written.
        results: of its study.

    Raises:
        FaninValueError: a kind that is not known.
    """
    return _judge(expectation, results.study, _places(results))


def judge_all(results: StudyResults) -> tuple[Outcome, ...]:
    """What became of every expectation of a study."""
    places = _places(results) if results.study.expectations else []
    return tuple(_judge(e, results.study, places) for e in results.study.expectations)


@dataclass(frozen=True, eq=False)
class _Place:
    """A context, what it is called, its runs by plan, and the metrics of the user's own of which smaller is better."""

    context: axes.Context
    label: str
    runs: dict[str, list[RunRow]]
    smaller: tuple[str, ...]

    @property
    def rows(self) -> list[RunRow]:
        return [row for rows in self.runs.values() for row in rows]


def _places(results: StudyResults) -> list[_Place]:
    rows, smaller = results.rows, results.smaller
    contexts = axes.contexts_of(row.config for row in rows)
    parts = axes.parts_of(contexts)
    varying = axes.varying_axes(parts)
    labels = [axes.label_of(part, varying) for part in parts]
    by_key = {axes.key_of(c): _Place(c, label, {}, smaller) for c, label in zip(contexts, labels, strict=True)}
    for row in rows:
        by_key[axes.key_of(axes.context_of(row.config))].runs.setdefault(row.config.plan, []).append(row)
    return list(by_key.values())


def _judge(e: Expectation, study: Study, places: Sequence[_Place]) -> Outcome:
    if e.kind not in KINDS:
        raise FaninValueError(f"expectation kind={e.kind!r} must be one of {', '.join(map(repr, KINDS))}")
    spoken = [place for place in places if _speaks_of(e, place.context, study)]
    if not spoken:
        where = ", ".join(f"{name} = {value}" for name, value in e.where.items())
        return Outcome(
            e, "cannot be said", (), f"the study has no cell with {where}" if where else "the study has no cell"
        )
    cells, metric = [], e.metric or ""
    for place in spoken:
        found, used = _judge_cell(e, study, place)
        cells.append(found)
        metric = metric or used
    states: list[State] = [c.state for c in cells]
    state: State = "did not come out" if "did not come out" in states else "cannot be said"
    if all(s == "came out" for s in states):
        state = "came out"
    told = next((c for c in cells if c.state == state and state != "came out"), None)
    return Outcome(e, state, tuple(cells), told.reason if told else "", metric)


def _speaks_of(e: Expectation, context: axes.Context, study: Study) -> bool:
    """Whether a context is part of what the expectation speaks of; variables of the plan's own text are its plan's."""
    of_plan = {**axes.plan_variables(e.plan, study), **(axes.plan_variables(e.than, study) if e.than else {})}
    known: Mapping[str, object] = {**of_plan, **context}
    return all(
        name in known and axes.same_value(context.get(name, of_plan.get(name)), value)
        for name, value in e.where.items()
    )


def _judge_cell(e: Expectation, study: Study, place: _Place) -> tuple[CellOutcome, str]:
    label, rows = place.label, place.rows
    done = [row for row in rows if row.state == "done"]
    score = score_of(done)
    metric = e.metric or score
    constant = next((row.summary["constant"] for row in done if "constant" in row.summary), math.nan)

    def cell(plan: str | None) -> Cell | None:
        name = next((p for p in place.runs if plan is not None and axes.same_plan(p, plan)), "")
        found = place.runs.get(name, [])
        if not any(row.state == "done" for row in found):
            return None
        held_out = study.training.validation > 0
        chosen = cell_of(
            found[0].config.plan,
            found,
            score,
            larger_is_better=larger_is_better(score),
            held_out=held_out,
            constant=constant,
            lr=e.lr,
        )
        return chosen if chosen.keys else None

    if waits := _not_done(e, rows):
        return CellOutcome(label, "cannot be said", {}, waits), metric
    plan, than = cell(e.plan), cell(e.than)
    by_key = {row.key: row for row in done}
    for name, found in ((e.plan, plan), (e.than, than)):
        if found is None and name is not None:
            at = f" at a learning rate of {e.lr:g}" if e.lr is not None else ""
            return CellOutcome(label, "cannot be said", {}, f"{name} has no finished run here{at}"), metric
    assert plan is not None
    if metric != score:
        plan, than = _by(plan, metric, by_key), _by(than, metric, by_key) if than else None
        constant = _constant_of(done, metric)
    if e.kind != "diverges" and not any(metric in by_key[key].metrics for key in plan.keys):
        return CellOutcome(label, "cannot be said", {}, f"its runs have no metric {metric!r}"), metric
    larger = metric not in place.smaller and larger_is_better(metric)
    between = compared(plan, than, scores_of(rows, metric, larger), larger) if than else None
    evidence = Evidence(e, metric, larger, plan, than, constant, between)
    state, numbers, reason = KINDS[e.kind](evidence)
    return CellOutcome(label, state, numbers, "" if state == "came out" else reason), metric


def _not_done(e: Expectation, rows: Sequence[RunRow]) -> str:
    """What is still to be run of what an expectation speaks of; "" where nothing is, and it can be judged."""
    plans = [plan for plan in (e.plan, e.than) if plan is not None]
    spoken = [row for row in rows if any(axes.same_plan(row.config.plan, plan) for plan in plans)]
    spoken = [row for row in spoken if e.lr is None or math.isclose(row.config.lr, e.lr, rel_tol=1e-9)]
    left = sum(row.state == "pending" for row in spoken)
    return f"{left:,} of the {len(spoken):,} runs that it speaks of are not done yet" if left else ""


def _by(cell: Cell, metric: str, rows: Mapping[str, RunRow]) -> Cell:
    """The same runs, scored by another metric of the test part."""
    return replace(cell, scores=tuple(rows[key].metrics.get(metric, math.nan) for key in cell.keys))


def _constant_of(done: Sequence[RunRow], metric: str) -> float:
    """What the constant prediction scores in another metric: a diverged run says so, others cannot."""
    return next((row.metrics[metric] for row in done if row.diverged and metric in row.metrics), math.nan)


Judged = tuple[State, dict[str, float], str]


def _better(e: Evidence) -> Judged:
    if e.than is None or e.between is None:
        return "cannot be said", {}, "the expectation names nothing to compare with"
    deltas = e.between.differences
    numbers = e.means()
    if not deltas:
        return "cannot be said", numbers, f"{e.plan.plan} and {e.than.plan} share no seed"
    found = _verdict(e.between, e.larger)
    gain = e.sign * found.difference.value
    numbers |= {
        "difference": found.difference.value,
        "p": e.between.p,
        "wins": float(found.wins),
        "seeds": len(deltas),
    }
    if found.finding == "better" and gain >= e.by - SLACK:
        return "came out", numbers, ""
    if found.finding == "too few seeds to say":
        few = "1 seed is" if len(deltas) == 1 else f"{len(deltas)} seeds are"
        return "cannot be said", numbers, f"{few} too few to show any difference; it takes 6"
    return "did not come out", numbers, reasons.not_better(e, found, gain)


def _verdict(between: Compared, larger: bool) -> Verdict:
    deltas = np.array(list(between.differences.values()))
    return judged([deltas], [between.test], [between.p], Question(larger))[0]


def _no_difference(e: Evidence) -> Judged:
    if e.than is None or e.between is None:
        return "cannot be said", {}, "the expectation names nothing to compare with"
    deltas = list(e.between.differences.values())
    numbers = e.means()
    if len(deltas) < 2:
        return "cannot be said", numbers, "one pair of runs has no interval"
    if all(cell.diverged == cell.runs for cell in (e.plan, e.than)):
        return "cannot be said", numbers, "all runs of both diverged, and what stands in for their scores is the same"
    if not all(map(math.isfinite, deltas)):
        return "cannot be said", numbers, "a score is infinite, and the difference has no interval"
    interval = t_interval(deltas)
    numbers |= {"difference": interval.mean, "low": interval.low, "high": interval.high, "seeds": len(deltas)}
    if interval.low >= -e.by - SLACK and interval.high <= e.by + SLACK:
        return "came out", numbers, ""
    outside = interval.low > e.by or interval.high < -e.by
    state: State = "did not come out" if outside else "cannot be said"
    return state, numbers, reasons.not_same(e, interval, outside)


def _bound(e: Evidence, larger: bool) -> Judged:
    if e.value is None:
        return "cannot be said", {}, "the expectation gives no value to compare with"
    if lost := sum(map(math.isnan, e.plan.scores)):
        return "cannot be said", {}, f"{lost} of {e.plan.runs} runs have no number of {e.metric!r}"
    mean = e.mean(e.plan)
    given = (
        [] if e.plan.diverged else [s for s in e.plan.scores if math.isfinite(s)]
    )  # both in one have no honest interval
    interval = t_interval(given)
    numbers = {"mean": mean, "low": interval.low, "high": interval.high, "bound": e.value, "runs": e.plan.runs}
    numbers |= {"diverged": e.plan.diverged / e.plan.runs}
    missed = e.value - mean if larger else mean - e.value
    if missed <= SLACK * max(1.0, abs(e.value)):
        return "came out", numbers, ""
    return "did not come out", numbers, reasons.beyond(e, missed, interval)


def _fails(e: Evidence) -> Judged:
    diverged = e.plan.diverged / e.plan.runs
    mean = e.mean(e.plan)
    numbers = {"mean": mean, "constant": e.constant, "diverged": diverged, "runs": e.plan.runs}
    if diverged >= 0.5:
        return "came out", numbers, ""
    if math.isnan(e.constant):
        return "cannot be said", numbers, "it is not known what a constant prediction scores"
    above = e.sign * (mean - e.constant)
    if above <= e.by + SLACK:
        return "came out", numbers, ""
    return (
        "did not come out",
        numbers,
        f"its mean is {above:.3g} better than a constant prediction, not within {e.by:g}",
    )


def _trains(e: Evidence) -> Judged:
    state, numbers, reason = _fails(e)
    if state == "cannot be said":
        return state, numbers, reason
    if state == "did not come out":
        return "came out", numbers, ""
    return "did not come out", numbers, reasons.does_not_train(e)


def _diverges(e: Evidence) -> Judged:
    wanted = 0.5 if e.value is None else e.value
    share = e.plan.diverged_share
    numbers = {"diverged": share.value, "low": share.low, "high": share.high, "bound": wanted, "runs": e.plan.runs}
    if share.value >= wanted - SLACK:
        return "came out", numbers, ""
    return "did not come out", numbers, reasons.does_not_diverge(e, wanted)


KINDS: dict[str, Callable[[Evidence], Judged]] = {
    "better": _better,
    "no_difference": _no_difference,
    "at_least": lambda e: _bound(e, larger=True),
    "at_most": lambda e: _bound(e, larger=False),
    "fails": _fails,
    "trains": _trains,
    "diverges": _diverges,
}
