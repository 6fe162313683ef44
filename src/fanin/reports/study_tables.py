"""The tables of a study as text in cells, for every format."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fanin.lab.analysis.records import ContextAnalysis, LrPoint, StudyAnalysis
from fanin.lab.records import ReferenceLine
from fanin.lab.results import StudyResults
from fanin.lab.statistics import Estimate, Survival
from fanin.reports.compared import (
    DOUBTED,
    DOUBTED_WORDS,
    cell_text,
    diverged_text,
    estimate_text,
    metric_text,
    share_text,
    signed,
)
from fanin.reports.study_words import contexts_words, finding_counts, lr_note, p_text, time_text
from fanin.reports.words import number

MOST_METRICS = 6  # columns of the table of means; all of them are in the export
TESTS = {  # of paired differences, as `fanin.lab.statistics.paired_test` calls them
    "sign-flip": "the exact sign-flip test of the mean",
    "signed-rank": "the exact test of the signed ranks",
    "wilcoxon": "Wilcoxon's signed-rank test",
}
STABILITY = {
    "area": "mean held-out score while training",
    "gap": "gap",
    "spike": "largest spike",
    "grad_norm": "gradient norm",
    "moved": "moved",
    "dead": "dead units",
    "rank": "rank",
}


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        title: what it shows.
        head: names of the columns.
        rows: as many cells each; the first names the row.
        best: index of the row to stress, None for none.
        note: one sentence below it.
        wrap: whether long texts in its cells are broken into lines.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: int | None = None
    note: str = ""
    wrap: bool = False


def own_metrics(c: ContextAnalysis) -> list[str]:
    """The metrics that have a column: the score first, those of single classes left out."""
    names = list(dict.fromkeys(n for cell in c.cells for n in cell.overall if "[" not in n))
    return [n for n in (c.score, *(n for n in names if n != c.score)) if n in names][:MOST_METRICS]


def means_table(c: ContextAnalysis, references: Sequence[ReferenceLine] = ()) -> Table:
    """One row a method at its best learning rate, ordinary learners below."""
    metrics = own_metrics(c)
    head = ["method", "learning rate", *metrics, "diverged", *(["steps to target"] if c.target is not None else [])]
    rows = []
    for cell in c.cells:
        first, *rest = metrics or [c.score]
        values = [cell_text(cell, first)]
        values += [estimate_text(cell.metrics[m]) if m in cell.metrics else "–" for m in rest]
        steps = [survival_text(cell.survival)] if c.target is not None else []
        rows.append((cell.plan, lr_note(cell), *values, diverged_text(cell), *steps, metric_text(cell.seconds.mean)))
    for r in references:
        values = [metric_text(r.metrics[m]) if m in r.metrics else "–" for m in metrics or [c.score]]
        steps = ["–"] if c.target is not None else []
        rows.append((f"{r.name} (no network)", "–", *values, "–", *steps, metric_text(r.seconds)))
    if math.isfinite(c.constant) and not any("constant" in r.name for r in references):
        blank = ["–"] * (len(metrics or [c.score]) - 1 + 1 + (c.target is not None))
        rows.append(("best constant prediction", "–", metric_text(c.constant), *blank, "–"))
    best = next((i for i, cell in enumerate(c.cells) if cell.plan == c.best), None)
    note = f"Mean and 95 % interval over the runs that did not diverge, on the test part, at {_chosen(c)}."
    note += _doubts(rows)
    note += "".join(f" {r.name}: {r.note}." for r in references if r.note)
    return Table("Means", (*head, "seconds a run"), tuple(rows), best, note)


def _chosen(c: ContextAnalysis) -> str:
    """Which learning rate the figures of a context are at."""
    by = {cell.chosen_by for cell in c.done}
    if "training loss" in by:
        return "the learning rate that the training loss chose"
    return "the learning rate that held-out data chose" if "held-out score" in by else "the only learning rate"


def _doubts(rows: Sequence[Sequence[str]]) -> str:
    """The footnote of a table with intervals that are not to be trusted."""
    doubted = any(DOUBTED in text for row in rows for text in row)
    return f" {DOUBTED_WORDS}" if doubted else ""


def survival_text(s: Survival | None) -> str:
    """Median steps to the target, and how many runs got there where not all did."""
    if s is None:
        return "–"
    if s.reached == 0:
        return f"never (0 of {s.runs})"
    median = f"{s.median.value:,.0f}" if math.isfinite(s.median.value) else f"> {s.horizon:,.0f}"
    return median + ("" if s.reached == s.runs else f" ({s.reached} of {s.runs} runs)")


def differences_table(c: ContextAnalysis) -> Table | None:
    """Every comparison of a context."""
    rows = []
    for pair in c.pairs:
        v = pair.verdict
        rows.append(
            (
                f"{pair.plan} − {pair.other}",
                signed(v.difference.value),
                _between(v.difference),
                f"{v.wins} of {len(pair.seeds)}",
                p_text(v.p_adjusted).removeprefix("p = ").removeprefix("p "),
                v.finding,
                metric_text(v.detectable),
                *([p_text(pair.target.p).removeprefix("p = ").removeprefix("p ")] if pair.target else ["–"] * (c.target is not None)),
            )
        )  # fmt: skip
    if not rows:
        return None
    head = ("methods", c.score, "95 % interval", "better in", "p", "finding", "could have shown")
    head += ("p of steps to target",) if c.target is not None else ()
    made = "one comparison" if len(rows) == 1 else f"{len(rows)} comparisons"
    power = "the true difference that so many seeds would have shown 4 times in 5"
    tests = " or ".join(dict.fromkeys(TESTS[pair.verdict.test.test] for pair in c.pairs))
    rates = (
        " (the larger p of both at their own learning rates and both at the winner's)"
        if len(c.cells[0].lrs) > 1
        else ""
    )
    note = (
        f"Seed by seed, diverged runs with what the constant prediction scores. p of {tests}{rates}, after Holm's correction over "
        f"the {made} here. The last {'but one ' if c.target is not None else ''}column is {power}"
        + ("; the last is the log-rank test's p, which is not corrected." if c.target is not None else ".")
        + _doubts(rows)
    )
    return Table("Paired differences", head, tuple(rows), None, note)


def _between(e: Estimate) -> str:
    """The interval of a difference, with a † where it is not to be trusted."""
    if not math.isfinite(e.low):
        return "–"
    return f"{signed(e.low)} to {signed(e.high)}" + ("" if e.trusted else DOUBTED)


def widths_table(c: ContextAnalysis) -> Table | None:
    """How wide the range of good learning rates is."""
    rows = []
    for cell in c.done:
        w = cell.width
        if w is None or len(cell.lrs) < 2:
            continue
        rows.append(
            (
                cell.plan,
                number(cell.lr),
                f"{number(w.low)} to {number(w.high)}" if w.decades else "none",
                ("at least " if w.open and w.decades else "") + f"{w.decades:.1f}",
            )
        )
    if not rows:
        return None
    note = "The learning rates around the best one that lose at most 5 % of what it gains over the constant prediction."
    return Table(
        "Range of good learning rates", ("method", "best", "nearly as good", "decades"), tuple(rows), None, note
    )


def lr_table(c: ContextAnalysis) -> Table | None:
    """Held-out score of every method at every learning rate."""
    lrs = sorted({p.lr for cell in c.cells for p in cell.lrs})
    if len(lrs) < 2:
        return None
    rows = []
    for cell in c.done:
        points = {p.lr: p for p in cell.lrs if p.runs}
        rows.append((cell.plan, *(_at(points.get(lr)) for lr in lrs)))
    note = "Mean over all runs, diverged ones with what the constant prediction scores; in brackets how many diverged."
    part = (
        "Test" if any(cell.chosen_by == "training loss" for cell in c.done) else "Held-out"
    )  # then nothing was held out
    return Table(f"{part} {c.score} by learning rate", ("method", *map(number, lrs)), tuple(rows), None, note)


def _at(point: LrPoint | None) -> str:
    if point is None:
        return "–"
    return metric_text(point.overall) + (f" ({point.diverged})" if point.diverged else "")


def stability_table(c: ContextAnalysis) -> Table | None:
    """Medians of the figures of the curves, one row a method."""
    names = [n for n in STABILITY if any(n in cell.summary for cell in c.done)]
    if not names:
        return None
    rows = [
        (cell.plan, *(metric_text(cell.summary.get(n, math.nan)) for n in names)) for cell in c.done if cell.summary
    ]
    note = (
        "Medians over the runs that did not diverge: score on training less held-out data at the end; the training loss "
        "over its least before, at its worst; norm of the last gradient; distance of the weights from their start over the "
        "norm that they started with; units of the worst layer that are constant; effective rank of the worst layer."
    )
    return Table("Stability", ("method", *(STABILITY[n] for n in names)), tuple(rows), None, note) if rows else None


def contexts_table(a: StudyAnalysis) -> Table:
    """Score of every method in every context, with what was found against the baseline: ▲ better, ▼ worse."""
    marks = {"better": " ▲", "worse": " ▼"}
    rows = []
    for c in a.contexts:
        found = {p.plan: p.verdict.finding for p in c.pairs if p.role == "baseline"}
        here = [c.cell(m) for m in a.methods]
        cells = [(cell, marks.get(found.get(cell.plan if cell else "", ""), "")) for cell in here]
        rows.append((c.label, *(cell_text(cell, c.score) + mark if cell else "–" for cell, mark in cells)))
    scores = list(dict.fromkeys(c.score for c in a.contexts if c.score))
    note = f"▲ better, ▼ worse than {a.baseline}, seed by seed, corrected after Holm within each row." + _doubts(rows)
    return Table(f"{_capital(', '.join(scores))} by context", ("context", *a.methods), tuple(rows), None, note)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def across_table(a: StudyAnalysis) -> Table | None:
    """Every method over all contexts."""
    if not a.across:
        return None
    rows = []
    for m in a.across:
        found = finding_counts(a.contexts, m.method)
        rows.append(
            (
                m.method,
                estimate_text(m.mean),
                share_text(m.improvement) if m.improvement else "–",
                f"{m.best_in} of {m.contexts}",
                f"{found['better']} / {found['worse']}" if m.improvement else "–",
            )
        )
    what = "interquartile mean" + (" (share of the way to a perfect score)" if a.scale == "share" else "")
    head = ("method", what, f"beats {a.baseline}", "best mean in", "better / worse in")
    note = (
        f"{contexts_words(a)} and over all seeds, diverged runs with what the constant prediction scores: the mean of the "
        f"middle half of the runs; the probability that a run beats one of {a.baseline} in the same context (ties count as half); "
        "contexts in which it has the best mean; contexts in which a difference was shown."
    )
    return Table("Over all contexts", head, tuple(rows), None, note + _doubts(rows))


def inputs_table(results: StudyResults) -> Table | None:
    """What was measured on the inputs of each data set."""
    rows = []
    for data in dict.fromkeys(c.data for c in results.analysis.contexts):
        s = results.input_statistics(data)
        if not s:
            continue
        prior = s.get("prior") or ()
        rows.append(
            (
                data,
                " × ".join(str(n) for n in s["shape"]) or "scalar",
                f"{s['train']:,} / {s['held']:,} / {s['test']:,}",
                f"{number(s['mean'] if abs(s['mean']) > 1e-6 * s['std'] else 0.0)} ± {number(s['std'])}",
                f"{number(s['least'])} to {number(s['most'])}",
                number(s["second_moment"]),
                f"{100 * s['zeros']:.0f} %",
                f"{100 * min(prior):.0f} to {100 * max(prior):.0f} %" if prior else "–",
            )
        )
    if not rows:
        return None
    head = ("data", "shape", "train / held out / test", "mean ± std", "range", "mean square", "zeros", "classes")
    note = "Of the training inputs; a mean square of 1 is what He's and Xavier's rules take it to be."
    return Table("Inputs", head, tuple(rows), None, note)


def configuration_table(results: StudyResults) -> Table:
    """The grid and the training, one row a setting."""
    s, t = results.study, results.study.training
    listed = {
        "model": s.models, "plan": s.plans, "data": s.data, "optimizer": s.optimizers,
        "learning rate": tuple(number(lr) for lr in s.lrs), "batch size": s.batch_sizes, **s.variables,
        "seeds": (f"{len(s.seeds)}: {_span(s.seeds)}",),
    }  # fmt: skip
    rows = [(name, ", ".join(str(v) for v in values)) for name, values in listed.items()]
    rows.append(("length", f"{t.steps:,} steps" if t.steps else f"{number(t.epochs)} epochs"))
    rest = {
        k: v for k, v in t.to_dict().items() if k not in ("steps", "epochs") and v not in (None, [], "", 0.0, False)
    }
    rows += [(k.replace("_", " "), ", ".join(map(str, v)) if isinstance(v, list) else str(v)) for k, v in rest.items()]
    rows.append(("stacking", f"{s.stacking}; {sum(r.config.stacked for r in results.rows):,} runs stacked"))
    return Table("Configuration", ("setting", "value"), tuple(rows), wrap=True)


def _span(seeds: Sequence[int]) -> str:
    whole = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds))


def environment_table(results: StudyResults) -> Table | None:
    """Versions and hardware, where the study ran, and for how long."""
    rows = [(name, value) for name, value in results.environment.items() if name != "host"]
    if results.date:
        rows.append(("date", results.date))
    rows.append(("computing", f"{time_text(results.seconds)} of one thread, all runs together"))
    if len({tuple(sorted(e.items())) for e in results.environments}) > 1:
        rows.append(("sessions", f"{len(results.environments)}, in different environments: see the notes"))
    return Table("Versions and hardware", ("what", "value"), tuple(rows), wrap=True)
