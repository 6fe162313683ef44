"""The page of a study: verdict in words first, expectations, the whole in one table, then each context folded."""

from collections.abc import Callable, Sequence
from html import escape

from fanin.lab.analysis.records import ContextAnalysis, Outcome
from fanin.lab.results import StudyResults
from fanin.reports import study_figures, study_maps, study_tables
from fanin.reports.html import fragment, page
from fanin.reports.study_figures import Drawing
from fanin.reports.study_tables import Table
from fanin.reports.study_words import (
    STATE_LEVELS,
    cell_text,
    definition,
    evidence_text,
    outcome_text,
    outcomes_headline,
    pair_sentence,
    run_again,
    study_verdict,
)
from fanin.reports.words import count

MOST_BYTES = 2_800_000  # of a page; what has no room is left out, and the page says so
MOST_LISTED = 12  # sentences of one list
# What a context shows, from everything to the table alone; a page takes the first that has room.
CUTS: tuple[tuple[str, str], ...] = (
    ("all", ""),
    ("no runs", "Single runs are not drawn behind their means."),
    ("main", "Signals, stability and confusion of single contexts are left out; the export has them."),
    ("tables", "Single contexts show their tables alone; the export has everything."),
    ("none", "Single contexts are left out; the export has them."),
)


def study_html(results: StudyResults) -> str:
    """The whole report of a study as one self-contained page, below 3 MB.

    Args:
        results: of the study, also of one that is not done.
    """
    text = ""
    for cut, said in CUTS:
        if cut != CUTS[-1][0] and _at_least(results, cut) > MOST_BYTES:
            continue
        parts = _parts(results, cut, said)
        links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in parts if title)
        text = page(f"study {results.study.name}", "".join(content for _, _, content in parts), links)
        if len(text.encode()) <= MOST_BYTES:
            break
    return text


def _at_least(results: StudyResults, cut: str) -> float:
    """Bytes that the contexts will surely take, by the first one: what cannot have room need not be drawn to see that."""
    contexts = results.analysis.contexts
    if len(contexts) < 4:
        return 0.0
    return 0.7 * len(contexts) * len(_context(results, contexts[0], cut).encode())


def study_fragment(results: StudyResults) -> str:
    """Verdict, expectations and the main figures as a piece of HTML for a notebook."""
    a = results.analysis
    inside = _verdict(results, "h3") + _expectations(a.outcomes)
    if len(a.contexts) == 1:
        d = Drawing(results, a.contexts[0], faint=False)
        inside += f'<div class="figures fill">{study_figures.score_figure(d)}{study_figures.lr_figure(d)}</div>'
        inside += table_html(study_tables.means_table(a.contexts[0]))
    else:
        inside += _overview_inside(results)
    return fragment(inside)


def _parts(results: StudyResults, cut: str, said: str) -> list[tuple[str, str, str]]:
    a = results.analysis
    parts = [("verdict", "", f'<section id="verdict">{_verdict(results, "h1")}</section>')]
    if a.outcomes:
        parts.append(
            (
                "expected",
                "Expected",
                f'<section id="expected"><h2>What was expected</h2>{_expectations(a.outcomes)}</section>',
            )
        )
    if len(a.contexts) > 1:
        inside = _overview_inside(results)
        parts.append(("overview", "Overview", f'<section id="overview"><h2>Over all contexts</h2>{inside}</section>'))
    parts.append(("results", "Results", _contexts(results, cut, said)))
    parts.append(("setting", "Setting", _setting(results)))
    return [p for p in parts if p[2]]


def _verdict(results: StudyResults, tag: str) -> str:
    a, found = results.analysis, study_verdict(results)
    question = f'<p class="detail">{escape(results.study.question)}</p>' if results.study.question else ""
    sentences = list(found.sentences) + ([a.power_after] if a.power_after else [])
    if a.outcomes:
        sentences.append(outcomes_headline(a.outcomes) + ".")
    said = _list(sentences, "says")
    warned = _list(a.warnings, "notes")
    return (
        f'<div class="verdict level-{found.level}">{question}<{tag}>{escape(found.headline)}</{tag}>{said}'
        f'<p class="detail">{escape(found.detail)}</p></div>'
        + (f'<div class="outcome level-warning" style="margin-top:14px"><b>Before you believe it</b>{warned}</div>' if warned else "")
    )  # fmt: skip


def _list(sentences: Sequence[str], style: str) -> str:
    if not sentences:
        return ""
    shown = [f"<li>{escape(s)}</li>" for s in sentences[:MOST_LISTED]]
    rest = [f"<li>{escape(s)}</li>" for s in sentences[MOST_LISTED:]]
    more = (
        f"<details><summary>{len(rest)} more</summary><ul class='{style}'>{''.join(rest)}</ul></details>"
        if rest
        else ""
    )
    return f'<ul class="{style}">{"".join(shown)}</ul>{more}'


def _expectations(outcomes: Sequence[Outcome]) -> str:
    cards = []
    for outcome in outcomes:
        level = STATE_LEVELS[outcome.state]
        cells = ""
        if len(outcome.cells) > 1:
            rows = tuple(
                (c.label, c.state, evidence_text(outcome.expectation, c.numbers) or "–", c.reason or "–")
                for c in outcome.cells
            )
            table = table_html(Table("", ("cell", "outcome", "numbers", "why"), rows))
            cells = f"<details><summary>{count(len(rows), 'cell')}</summary>{table}</details>"
        cards.append(
            f'<div class="outcome level-{level}"><span class="badge">{escape(outcome.state)}</span>'
            f'<b>{escape(outcome.expectation.says)}</b><p class="soft">{escape(outcome_text(outcome))}</p>{cells}</div>'
        )
    return "".join(cards)


def _overview_inside(results: StudyResults) -> str:
    a = results.analysis
    across = study_tables.across_table(a)
    figures = study_maps.map_figures(results) + study_maps.along_figures(results) + study_maps.profile_figure(results)
    return (
        (f'<div class="figures fill">{figures}</div>' if figures else "")
        + (table_html(across) if across else "")
        + table_html(study_tables.contexts_table(a))
    )


def _contexts(results: StudyResults, cut: str, said: str) -> str:
    a = results.analysis
    note = f'<p class="lead">{escape(said)}</p>' if said else ""
    if cut == "none":
        return f'<section id="results"><h2>Results</h2>{note}</section>'
    if len(a.contexts) == 1:
        return f'<section id="results"><h2>Results</h2>{note}{_context(results, a.contexts[0], cut)}</section>'
    folded = "".join(
        f'<details class="context"><summary><b>{escape(c.label)}</b><span class="soft">{escape(_summary(c))}</span></summary>'
        f"{_list([pair_sentence(c, p) for p in c.pairs], 'says')}{_context(results, c, cut)}</details>"
        for c in a.contexts
    )
    lead = '<p class="lead">Open a context for its runs, curves, learning rates and signals.</p>'
    return f'<section id="results"><h2>Each context</h2>{lead}{note}{folded}</section>'


def _summary(c: ContextAnalysis) -> str:
    best = c.cell(c.best)
    return f"{best.plan} is the best: {cell_text(best, c.score)}" if best else "no run is done"


def _context(results: StudyResults, c: ContextAnalysis, cut: str) -> str:
    d = Drawing(results, c, faint=cut == "all")
    learners = results.references.get(c.data, ())
    tables = [study_tables.means_table(c, learners), study_tables.differences_table(c), study_tables.widths_table(c)]
    shown = "".join(table_html(t) for t in tables if t)
    if cut == "tables":
        return shown
    f = study_figures
    main = f.score_figure(d) + f.curve_figures(d) + f.lr_figure(d) + f.target_figure(d)
    text = f'<div class="figures fill">{main}</div>{shown}'
    if cut in ("all", "no runs"):
        stability = study_tables.stability_table(c)
        text += _part("Signal through depth", f.signal_figures(d))
        text += _part("Stability", f.stability_figures(d), table_html(stability) if stability else "")
        text += _part("Confusion", f.confusion_figures(d))
    return text


def _part(title: str, figures: str, more: str = "") -> str:
    if not figures and not more:
        return ""
    drawn = f'<div class="figures fill">{figures}</div>' if figures else ""
    return f'<details class="part"><summary>{title}</summary>{drawn}{more}</details>'


def _setting(results: StudyResults) -> str:
    a, s = results.analysis, results.study
    tables = (
        study_tables.inputs_table(results),
        study_tables.configuration_table(results),
        study_tables.environment_table(results),
    )
    failures = [f"{count(n, 'run')} failed: {error}" for error, n in a.failures.items()]
    notes = _list([*failures, *a.notes, *results.log], "notes")
    answer = (
        f'<h3 class="table-title">The answer that was expected</h3><p class="lead">{escape(s.answer)}</p>'
        if s.answer
        else ""
    )
    again = "\n".join(run_again(results))
    return (
        f'<section id="setting"><h2>Setting</h2>{answer}{"".join(table_html(t) for t in tables if t)}'
        f'<p class="table-note">Before the run: {escape(a.power_before)}</p>'
        f'<h3 class="table-title">Run it again</h3><pre>{escape(again)}</pre>'
        f"<details><summary>{escape(s.name)}.toml</summary><pre>{escape(definition(results))}</pre></details>"
        + (f'<h3 class="table-title">Notes</h3>{notes}' if notes else "")
        + "</section>"
    )


def table_html(table: Table, cell: Callable[[str], str] = escape) -> str:
    """A table with its title above and its note below."""
    heads = "".join(f'<th scope="col">{escape(h)}</th>' for h in table.head)
    body = "".join(
        f"<tr>{''.join(_td(table, i, j, c, cell) for j, c in enumerate(row))}</tr>" for i, row in enumerate(table.rows)
    )
    title = f'<h3 class="table-title">{escape(table.title)}</h3>' if table.title else ""
    note = f'<p class="table-note">{escape(table.note)}</p>' if table.note else ""
    label = escape(table.title or "numbers")
    return (
        f'{title}<div class="scroll wide" tabindex="0" role="region" aria-label="{label}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>{note}"
    )


def _td(table: Table, i: int, j: int, text: str, cell: Callable[[str], str]) -> str:
    styles = [
        *(["name"] if j == 0 else []),
        *(["best"] if i == table.best else []),
        *(["text"] if len(text) > 60 or (table.wrap and j) else []),
    ]
    return f'<td class="{" ".join(styles)}">{cell(text)}</td>'
