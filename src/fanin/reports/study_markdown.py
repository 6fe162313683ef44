"""A study as Markdown, for docs/studies/: the same words and tables as the page, and nothing that changes by itself."""

from collections.abc import Sequence

from fanin.lab.analysis.records import ContextAnalysis
from fanin.lab.results import StudyResults
from fanin.reports import study_maps, study_tables
from fanin.reports.compared import metric_text
from fanin.reports.rich_parts import sparkline
from fanin.reports.study_curves import mean_curves
from fanin.reports.study_tables import Table
from fanin.reports.study_words import (
    definition,
    evidence_text,
    held_out,
    outcome_text,
    outcomes_headline,
    pair_sentence,
    run_again,
    study_verdict,
)
from fanin.reports.words import count

MARKS = {"came out": "✓", "did not come out": "✗", "cannot be said": "?"}
MOST_CONTEXTS = 40  # that are written out; the table by context has all of them


def study_markdown(results: StudyResults) -> str:
    """The report of a study as Markdown.

    Args:
        results: of the study.

    Returns:
        Text that depends on the results alone: the same rows give the same text.
    """
    a, s = results.analysis, results.study
    found = study_verdict(results)
    lines = [f"# {s.name}", ""]
    lines += [s.question, ""] if s.question else []
    lines += [
        f"**{found.headline}.**",
        "",
        *_bullets([*found.sentences, *([a.power_after] if a.power_after else [])]),
        f"{found.detail}.",
        "",
    ]
    if a.warnings:
        lines += ["Before you believe it:", "", *_bullets(a.warnings)]
    if s.answer:
        lines += ["## The answer that was expected", "", s.answer, ""]
    if a.outcomes:
        lines += [
            "## What was expected, and what came out",
            "",
            outcomes_headline(a.outcomes) + ".",
            "",
            *_outcomes(results),
        ]
    if len(a.contexts) > 1:
        lines += ["## Over all contexts", ""]
        lines += [line for table in study_maps.map_tables(results) for line in table_lines(table)]
        across = study_tables.across_table(a)
        lines += (table_lines(across) if across else []) + table_lines(study_tables.contexts_table(a))
        lines += ["## Each context", ""]
        for c in a.contexts[:MOST_CONTEXTS]:
            lines += [f"### {c.label}", "", *_bullets([pair_sentence(c, p) for p in c.pairs]), *_context(results, c)]
        if len(a.contexts) > MOST_CONTEXTS:
            lines += [f"The other {len(a.contexts) - MOST_CONTEXTS} contexts are in the table above.", ""]
    else:
        lines += ["## Results", "", *(line for c in a.contexts for line in _context(results, c))]
    return "\n".join([*lines, *_setting(results)]).rstrip() + "\n"


def _bullets(sentences: Sequence[str]) -> list[str]:
    return [*(f"- {s}" for s in sentences), ""] if sentences else []


def _outcomes(results: StudyResults) -> list[str]:
    lines = []
    for o in results.analysis.outcomes:
        lines += [f"- {MARKS[o.state]} **{o.expectation.says}** {o.state.capitalize()}: {outcome_text(o)}."]
        failed = [c for c in o.cells if c.state != "came out"]
        if len(o.cells) > 1:
            for c in failed or o.cells:
                lines.append(
                    f"  - {c.label}: " + "; ".join(filter(None, (evidence_text(o.expectation, c.numbers), c.reason)))
                )
    return [*lines, ""]


def _context(results: StudyResults, c: ContextAnalysis) -> list[str]:
    tables = [
        study_tables.means_table(c, results.references.get(c.data, ())),
        study_tables.differences_table(c),
        study_tables.widths_table(c),
        study_tables.lr_table(c),
        study_tables.stability_table(c),
    ]
    lines = [line for table in tables if table for line in table_lines(table)]
    curves = mean_curves(results, c)
    if curves:
        known = [v for line in curves.values() for v in line.mean if v == v]
        low, high = min(known), max(known)
        part = "held-out" if held_out(results) else "test"
        ends = f"{metric_text(low)} at the bottom, {metric_text(high)} at the top"
        lines += [
            f"{c.score} on {part} data through training, of the runs that go on ({ends}):",
            "",
            "```",
        ]
        wide = max(map(len, curves))
        lines += [
            f"{plan:<{wide}}  {sparkline(line.mean, 36, (low, max(high, low + 1e-9)), log=False)}  {line.left}".rstrip()
            for plan, line in curves.items()
        ]
        lines += ["```", ""]
    return lines


def _setting(results: StudyResults) -> list[str]:
    a = results.analysis
    tables = (
        study_tables.inputs_table(results),
        study_tables.configuration_table(results),
        study_tables.environment_table(results),
    )
    lines = ["## Setting", ""] + [line for table in tables if table for line in table_lines(table)]
    lines += [f"Before the run: {a.power_before}", ""]
    lines += ["Run it again:", "", "```sh", *run_again(results), "```", ""]
    lines += [f"with `{results.study.name}.toml`:", "", "```toml", definition(results).rstrip(), "```", ""]
    notes = [f"{count(n, 'run')} failed: {error}" for error, n in a.failures.items()] + [*a.notes, *results.log]
    return lines + (["Notes:", "", *_bullets(notes)] if notes else [])


def table_lines(table: Table) -> list[str]:
    """A table as lines of Markdown, its title above and its note below."""
    lines = [f"**{table.title}**", ""] if table.title else []
    lines += ["| " + " | ".join(map(_cell, table.head)) + " |", "|" + "---|" * len(table.head)]
    for i, row in enumerate(table.rows):
        cells = [f"**{_cell(c)}**" if i == table.best and c != "–" else _cell(c) for c in row]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", *([table.note, ""] if table.note else [])]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
