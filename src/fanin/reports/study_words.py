"""The words of a study, shared by page, Markdown and terminal: verdict first, one sentence a comparison, expectations."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fanin.lab.analysis.planning import enough_seeds
from fanin.lab.analysis.records import Cell, ContextAnalysis, Outcome, Pair, StudyAnalysis
from fanin.lab.results import StudyResults
from fanin.lab.study.records import Expectation
from fanin.reports.compared import cell_text, estimate_text, metric_text, signed
from fanin.reports.words import count, number

Level = Literal["ok", "info", "warning", "error"]
STATE_LEVELS: dict[str, Level] = {"came out": "ok", "did not come out": "error", "cannot be said": "warning"}
FINDINGS = ("better", "worse", "no difference shown", "too few seeds to say")


@dataclass(frozen=True)
class StudyVerdict:
    """The first thing to know of a study.

    Attributes:
        level: "ok" where a method is better than the baseline, "warning" where nothing is done, else "info".
        headline: one sentence.
        detail: what was run.
        sentences: one a comparison (or, with many contexts, one a method).
    """

    level: Level
    headline: str
    detail: str
    sentences: tuple[str, ...]


def study_verdict(results: StudyResults) -> StudyVerdict:
    """The verdict on a study, in words."""
    a = results.analysis
    done = [c for c in a.contexts if c.done]
    if not done:
        return StudyVerdict("warning", "No run is done yet", detail_text(results), ())
    if len(a.contexts) == 1:
        return _of_one(done[0], detail_text(results))
    return _of_many(results)


def _of_one(c: ContextAnalysis, detail: str) -> StudyVerdict:
    sentences = tuple(pair_sentence(c, pair) for pair in c.pairs)
    best = c.cell(c.best)
    if best is None:
        return StudyVerdict("warning", "No run has a score", detail, sentences)
    if not c.pairs:
        return StudyVerdict("info", f"{best.plan}: {c.score} {cell_text(best, c.score)}", detail, ())
    pair = next((p for p in c.pairs if p.plan == best.plan and p.role == "baseline"), None)
    if pair is not None and pair.verdict.finding == "better":
        return StudyVerdict("ok", pair_sentence(c, pair), detail, sentences)
    found = baseline_findings(c)
    baseline, worse = c.cells[0].plan, found["worse"]
    if best.plan == baseline and worse and len(worse) == len(c.pairs):
        others = f"{listed(worse)} {'are' if len(worse) > 1 else 'is'}"
        others = "all others are" if len(worse) == len(c.cells) - 1 > 1 else others
        return StudyVerdict(
            "info", f"{baseline} {cell_text(best, c.score)} is the best: {others} worse", detail, sentences
        )
    if all(p.verdict.finding == "too few seeds to say" for p in c.pairs):
        few = _few(len(c.pairs[0].seeds), len(c.pairs))
        return StudyVerdict("info", f"{few}: {_range(c)}, {best.plan} has the best mean", detail, sentences)
    return StudyVerdict("ok" if found["better"] else "info", _no_difference(c), detail, sentences)


def baseline_findings(c: ContextAnalysis) -> dict[str, list[str]]:
    """Finding → the methods of which it was found against the baseline."""
    pairs = [p for p in c.pairs if p.role == "baseline"]
    return {finding: [p.plan for p in pairs if p.verdict.finding == finding] for finding in FINDINGS}


def _no_difference(c: ContextAnalysis) -> str:
    """Which methods are not shown to differ from the baseline, and what was found of the others."""
    if len(c.pairs) == 1:
        return pair_sentence(c, c.pairs[0])
    found, cell = baseline_findings(c), c.cells[0]
    same = found.pop("no difference shown")
    baseline = f"{cell.plan} {cell_text(cell, c.score)}"
    parts = [f"No difference shown between {baseline} and {listed(same)}"] if same else []
    parts += [f"{finding}: {listed(plans)}" for finding, plans in found.items() if plans]
    return ("" if same else f"Against {baseline}: ") + "; ".join(parts)


def listed(names: Sequence[str], most: int = 4) -> str:
    """ "a", "a and b", "a, b and 3 more"."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1] if names else "")))


def _range(c: ContextAnalysis) -> str:
    means = [cell.overall[c.score] for cell in c.done if c.score in cell.overall]
    return f"{c.score} {metric_text(min(means))} to {metric_text(max(means))}"


def _of_many(results: StudyResults) -> StudyVerdict:
    a = results.analysis
    counts = {method: finding_counts(a.contexts, method) for method in a.methods[1:]}
    counts = {plan: found for plan, found in counts.items() if sum(found.values())}
    sentences = [f"{plan} against {a.baseline}: {_counted(found)}." for plan, found in counts.items()]
    if a.across:
        best = max(a.across, key=lambda m: m.mean.value if larger_across(a) else -m.mean.value)
        what = "interquartile mean" + (" (share of the way to a perfect score)" if a.scale == "share" else "")
        sentences.append(f"{contexts_words(a)} {best.method} has the best {what}, {estimate_text(best.mean)}.")
    detail = detail_text(results)
    if not counts:
        return StudyVerdict("info", f"{a.baseline} in {count(len(a.contexts), 'context')}", detail, tuple(sentences))
    means = {m.method: m.mean.value if larger_across(a) else -m.mean.value for m in a.across}
    best = max(counts, key=lambda p: (counts[p]["better"] - counts[p]["worse"], means.get(p, -math.inf)))
    found = counts[best]
    if found["better"] > found["worse"]:
        return StudyVerdict("ok", f"{best} against {a.baseline}: {_counted(found)}", detail, tuple(sentences))
    if any(f["worse"] for f in counts.values()):
        worst = max(counts, key=lambda p: (counts[p]["worse"] - counts[p]["better"], counts[p]["worse"]))
        text = f"Nothing does better than {a.baseline} on the whole; {worst}: {_counted(counts[worst])}"
        return StudyVerdict("info", text, detail, tuple(sentences))
    if all(f["too few seeds to say"] == sum(f.values()) for f in counts.values()):
        few = _few(len(results.study.seeds), max(len(c.pairs) for c in a.contexts))
        return StudyVerdict("info", few, detail, tuple(sentences))
    return StudyVerdict("info", f"No difference shown against {a.baseline} on the whole", detail, tuple(sentences))


def _few(seeds: int, comparisons: int) -> str:
    enough = enough_seeds(comparisons)
    made = f"{comparisons} comparisons at once" if comparisons > 1 else "one comparison"
    return f"{count(seeds, 'seed')} cannot show a difference in {made}" + (
        f" (it takes {enough})" if enough > seeds else ""
    )


def larger_across(a: StudyAnalysis) -> bool:
    """Whether larger is better of what `StudyAnalysis.across` holds: always of shares of the way, else as the score has it."""
    return a.scale == "share" or next((c.larger_is_better for c in a.contexts if c.score), True)


def contexts_words(a: StudyAnalysis) -> str:
    """Over which contexts `StudyAnalysis.across` is."""
    shared, every = a.across[0].contexts, len(a.contexts)
    return (
        f"Over all {every} contexts"
        if shared == every
        else f"Over the {shared} of {every} contexts that all have runs in"
    )


def finding_counts(contexts: Sequence[ContextAnalysis], method: str) -> dict[str, int]:
    """In how many contexts a method was found better than the baseline, worse, and so on."""
    pairs = [(c.cell(p.plan), p) for c in contexts for p in c.pairs if p.role == "baseline"]
    found = [p.verdict.finding for cell, p in pairs if cell is not None and cell.method == method]
    return {finding: found.count(finding) for finding in FINDINGS}


def _counted(found: dict[str, int]) -> str:
    total = sum(found.values())
    parts = [f"{finding} in {n}" for finding, n in found.items() if n]
    return f"{', '.join(parts)} of {count(total, 'context')}"


def pair_sentence(c: ContextAnalysis, pair: Pair) -> str:
    """One comparison: "fanin 0.912 ± 0.004 against default 0.871 ± 0.031: better in 10 of 10 seeds, p = 0.002"."""
    v = pair.verdict
    first, second = c.cell(pair.plan), c.cell(pair.other)
    assert first is not None
    assert second is not None
    both = f"{pair.plan} {cell_text(first, c.score)} against {pair.other} {cell_text(second, c.score)}"
    n = len(pair.seeds)
    if v.finding == "too few seeds to say":
        return f"{both}: too few seeds to say ({signed(v.difference.value)} over {count(n, 'seed')})"
    if pair.in_disguise:
        own = f"at their own learning rates {p_text(v.test.p)}, but with the winner's the other does as well"
        return f"No difference shown between {pair.plan} and {pair.other}: {both}; {own}"
    if v.finding == "no difference shown":
        could = (
            f"; {count(n, 'seed')} would show {metric_text(v.detectable)} 4 times in 5"
            if 0 < v.detectable < math.inf
            else ""
        )
        larger = first.lr != second.lr and v.test.p < v.p_adjusted  # than at their own learning rates
        own = f" ({v.test.p:.2g} at their own learning rates, uncorrected)" if larger else ""
        return f"No difference shown between {pair.plan} and {pair.other}: {both}, {p_text(v.p_adjusted)}{own}{could}"
    seeds = v.wins if v.finding == "better" else v.losses
    other = v.difference.value * (1 if (v.finding == "better") == c.larger_is_better else -1) < 0
    few = f"; but the mean difference, {signed(v.difference.value)}, says the opposite: a few seeds outweigh the others"
    return f"{both}: {v.finding} in {seeds} of {count(n, 'seed')}, {p_text(v.p_adjusted)}{few if other else ''}"


def p_text(p: float) -> str:
    """ "p = 0.006"; "p < 0.0001" below that."""
    if math.isnan(p):
        return "no p"
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def lr_note(cell: Cell) -> str:
    """The learning rate of a cell, with a remark where it is an end of the axis."""
    if not cell.keys:
        return "–"
    return number(cell.lr) + (f" ({cell.edge} of the grid)" if cell.edge else "")


def detail_text(results: StudyResults) -> str:
    """What was run, in one line."""
    a, s = results.analysis, results.study
    parts = [f"{a.done:,} of {a.runs:,} runs" if a.done < a.runs else f"{count(a.runs, 'run')}"]
    parts[0] += f", {a.diverged:,} diverged" if a.diverged else ""
    parts.append(f"{count(len(a.methods), 'method')}")
    parts += (
        [f"{len(a.contexts)} contexts ({', '.join(a.varying)})"] if len(a.contexts) > 1 else _context_words(a.contexts)
    )
    parts.append(f"{count(len(s.lrs), 'learning rate')}")
    parts.append(f"{count(len(s.seeds), 'seed')}")
    parts.append(f"{time_text(results.seconds)} of computing")
    return " · ".join(parts)


def _context_words(contexts: Sequence[ContextAnalysis]) -> list[str]:
    return (
        [str(contexts[0].context[n]) for n in ("model", "data", "optimizer") if n in contexts[0].context]
        if contexts
        else []
    )


def held_out(results: StudyResults) -> bool:
    """Whether a part was held out; else everything "held-out" was measured on the test part."""
    return results.study.training.validation > 0


def time_text(seconds: float) -> str:
    """ "42 s", "12 min", "3.4 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{number(seconds, 2)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def outcome_text(outcome: Outcome) -> str:
    """What became of an expectation, with the numbers where there is one cell, and counts where there are many."""
    if not outcome.cells:
        return outcome.reason
    if len(outcome.cells) == 1:
        return "; ".join(
            filter(None, (evidence_text(outcome.expectation, outcome.cells[0].numbers), outcome.cells[0].reason))
        )
    states = [c.state for c in outcome.cells]
    counted = ", ".join(f"{s} in {states.count(s)}" for s in STATE_LEVELS if s in states)
    where = next((c for c in outcome.cells if c.state == outcome.state and c.reason), None)
    told = f"; {where.label}: {where.reason}" if where else ""
    return f"{counted} of {len(states)} cells{told}"


def evidence_text(e: Expectation, numbers: dict[str, float]) -> str:
    """The numbers that an outcome rests on, in words; "" where there are none."""
    if not numbers:
        return ""
    n = {name: metric_text(value) for name, value in numbers.items()}
    if "other mean" in n and "difference" not in n:
        return f"{n['mean']} against {n['other mean']}"
    if e.kind == "better":
        seeds = count(int(numbers["seeds"]), "seed")
        won = f"better in {numbers['wins']:.0f} of {seeds}, {p_text(numbers['p'])}"
        return f"{n['mean']} against {n['other mean']}: {signed(numbers['difference'])}, {won}"
    if e.kind == "no_difference":
        between = f"{signed(numbers['low'])} to {signed(numbers['high'])}"
        seeds = count(int(numbers["seeds"]), "seed")
        return f"{n['mean']} against {n['other mean']}: {signed(numbers['difference'])} ({between}), {seeds}"
    runs = count(int(numbers["runs"]), "run")
    diverged = f", {100 * numbers['diverged']:.0f} % diverged" if numbers["diverged"] else ""
    if e.kind in ("at_least", "at_most"):
        between = f" ({n['low']} to {n['high']})" if math.isfinite(numbers["low"]) else ""
        return f"mean {n['mean']}{between} of {runs}{diverged}, {e.kind.replace('_', ' ')} {n['bound']} expected"
    if e.kind == "diverges":
        share = f"{100 * numbers['diverged']:.0f} % of {runs} diverged"
        between = f" ({100 * numbers['low']:.0f} to {100 * numbers['high']:.0f})"
        return f"{share}{between}, at least {100 * numbers['bound']:.0f} % expected"
    return f"mean {n['mean']} of {runs}{diverged}; a constant prediction scores {n['constant']}"


def outcomes_headline(outcomes: Sequence[Outcome]) -> str:
    """ "3 of 4 expectations came out, 1 did not"."""
    states = [o.state for o in outcomes]
    total = len(states)
    words = [f"{states.count('came out')} of {count(total, 'expectation')} came out"]
    words += [f"{n} did not" for n in [states.count("did not come out")] if n]
    words += [f"of {n} nothing can be said" for n in [states.count("cannot be said")] if n]
    return ", ".join(words)


def run_again(results: StudyResults) -> tuple[str, ...]:
    """The commands that run the study again from its definition (see `definition`), and show it.

    A study with objects of the user's own needs the file that they are in, and its seeds, which the command line may have said.
    """
    name, seeds = results.study.name, results.study.seeds
    what = f"{name}.toml"
    if results.source:
        counted = f" --seeds {len(seeds)}" if seeds == tuple(range(len(seeds))) else ""
        what = shlex.quote(results.source) + counted
    return (f"fanin lab run {what} --out {name}", f"fanin lab report {name} --html {name}.html")


def definition(results: StudyResults) -> str:
    """The study as a study file."""
    from fanin.lab.study.write import study_text

    return study_text(results.study)
