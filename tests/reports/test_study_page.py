"""The page of a study: verdict first, everything in it, self-contained, small however large the grid is."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.lab.analysis import samples
from tests.reports.test_html import Balance, opened

from fanin.lab.results import StudyResults
from fanin.lab.study.records import Expectation, TrainingSettings
from fanin.lab.study.rows import LayerSignal, RunRow, Signals
from fanin.reports import study_figures, study_maps, study_page
from fanin.reports.study_page import study_fragment, study_html

EXPECTED = (
    Expectation("He beats the default.", "better", "he_normal", "default", by=0.02),
    Expectation("The default fails.", "fails", "default", by=0.05),
)


def one(**changes: Any) -> StudyResults:
    return samples.expected(*EXPECTED, references=True, answer="As He et al. (2015) say.", **changes)


def deep(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
    level = {"default": 0.93 - 0.02 * context["depth"], "he_normal": 0.9, "fanin": 0.93}[plan]
    return math.nan if plan == "he_normal" and lr >= 0.1 and seed % 2 else max(0.1, level + 0.01 * noise)


def many(**changes: Any) -> StudyResults:
    models = ("mlp(depth={depth}, activation='{activation}')",)
    variables = {"depth": (2, 10, 30), "activation": ("relu", "tanh")}
    return samples.expected(*EXPECTED, scorer=deep, **{"models": models, "variables": variables, **changes})


def gains(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
    gain, depth = float(plan.removeprefix("scaled(gain=").rstrip(")")), context["depth"]
    return math.nan if gain**depth > 1e4 else max(0.1, 0.95 - 0.02 * abs(math.log(gain)) * depth + 0.01 * noise)


def gain_map(**changes: Any) -> StudyResults:
    grid: dict[str, Any] = {
        "plans": ("scaled(gain={gain})",), "models": ("mlp(depth={depth})",), "lrs": (0.1,),
        "variables": {"depth": (2, 10, 30), "gain": (0.5, 1.0, 1.5, 2.0)},
    }  # fmt: skip
    return samples.results(scorer=gains, **{**grid, **changes})


PAGES = {"one": one, "many": many, "map": gain_map, "empty": lambda: samples.results(scorer=lambda *_: None)}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_well_formed_and_needs_nothing_from_outside(name: str) -> None:
    text = study_html(PAGES[name]())
    parser = Balance()
    parser.feed(text.replace("<rect", "<path"))  # a void element of SVG, as `path` is
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", text)
    assert not re.search(r"\bnan\b", re.sub(r"<script>.*", "", text.split("<main")[1], flags=re.DOTALL), re.IGNORECASE)


def test_the_verdict_comes_first_and_in_words() -> None:
    text = study_html(one())
    headline = re.search(r"<h1>(.*?)</h1>", text)
    assert headline is not None
    assert re.fullmatch(
        r"fanin 0\.\d{3} ± 0\.\d{3} against default .*: better in 10 of 10 seeds, p = 0\.0\d+", headline[1]
    )
    assert (
        text.index("<h1>")
        < text.index("What was expected")
        < text.index("Final accuracy")
        < text.index("Configuration")
    )


def test_the_page_has_every_part() -> None:
    text = study_html(one())
    for part in (
        "Final accuracy", "Accuracy through training", "Learning-rate sensitivity", "Time to target", "Confusion of fanin",
        "Rms of the outputs at the start", "Rms of the outputs half way",
        "Rms of the outputs after training", "Dead units after training", "Gradient norm",
        "Paired differences", "logistic regression", "best constant prediction", "Inputs", "Configuration",
        "Versions and hardware", "torch", "fanin lab run sample.toml", "As He et al. (2015) say.", "Which init trains best?",
    ):  # fmt: skip
        assert part in text, part


def test_every_seed_is_a_dot() -> None:
    figure = study_html(one()).split("<strong>Final accuracy</strong>")[1].split("</figure>")[0]
    assert figure.count('class="dot') == 3 * 10


def test_a_network_that_loses_to_an_ordinary_learner_is_seen_to_lose() -> None:
    results = samples.results(
        scorer=samples.by_plan(dict.fromkeys(("default", "fanin"), 0.7)), plans=("default", "fanin"), references=True
    )
    figure = study_html(results).split("<strong>Final accuracy</strong>")[1].split("</figure>")[0]
    found = re.findall(r'd="M([\d.]+) [\d.]+V[\d.]+"><title>(\w[\w ]*), mean', figure)
    means = {name: float(x) for x, name in found}
    assert means["logistic regression"] > max(means["default"], means["fanin"]) + 50
    assert "logistic regression (test part)" in study_html(results)


def test_many_contexts_are_folded_below_a_summary() -> None:
    text = study_html(many())
    assert text.count('<details class="context">') == 6
    assert "Over all contexts" in text
    assert "Accuracy against depth: relu" in text
    assert "Accuracy against depth: tanh" in text
    assert "Performance profile" in text
    assert text.index("by context") < text.index('<details class="context">')


def test_two_numeric_variables_make_a_map() -> None:
    text = study_html(gain_map())
    figure = text.split("<strong>Accuracy over depth and gain</strong>")[1].split("</figure>")[0]
    assert figure.count('class="cell"') == 3 * 4
    assert "10 of 10 diverged" in figure
    assert ">.95<" in figure


def test_names_cannot_break_out_of_the_page() -> None:
    evil = "</script><script>alert(1)</script>&\"'"
    results = samples.results(
        scorer=lambda *_: 0.5, plans=("default", evil), question=evil, seeds=samples.seeds(2), lrs=(0.1,)
    )
    text = study_html(results)
    assert "<script>alert" not in text
    parser = Balance()
    parser.feed(text.replace("<rect", "<path"))
    assert parser.open == []


def test_a_page_that_grows_too_large_drops_the_least_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    results = many(seeds=samples.seeds(6), lrs=(0.01, 0.1))
    whole = len(study_html(results).encode())
    sizes = []
    for share in (0.95, 0.6, 0.3):
        monkeypatch.setattr(study_page, "MOST_BYTES", int(share * whole))
        text = study_html(results)
        sizes.append(len(text.encode()))
        assert any(said in text for _, said in study_page.CUTS[1:])
        assert "Over all contexts" in text
    assert sizes == sorted(sizes, reverse=True)
    assert all(size <= share * whole for size, share in zip(sizes, (0.95, 0.6, 0.3), strict=True))


@pytest.mark.slow
def test_a_large_study_stays_below_three_megabytes() -> None:
    results = many(
        variables={"depth": tuple(range(1, 11)), "activation": ("relu", "tanh", "gelu")},
        seeds=samples.seeds(8),
        lrs=(0.01, 0.1),
    )
    assert len(results.rows) == 30 * 3 * 2 * 8
    assert len(study_html(results).encode()) < 3_000_000


def test_a_fragment_for_notebooks_has_styles_and_no_script() -> None:
    for results in (one(), many()):
        text = study_fragment(results)
        assert text.startswith('<div class="fanin fragment"><style>')
        assert not re.search(r"<script(?! type=\"application/json\")", text)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "scheme"), [("one", 390, "dark"), ("many", 1200, "light"), ("map", 390, "light")]
)
def test_the_page_in_a_browser(chromium: str, tmp_path: Path, name: str, width: int, scheme: str) -> None:
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with opened(chromium, study_html(PAGES[name]()), tmp_path, **options) as (page, wrong):
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        outside = page.evaluate(
            """() => [...document.querySelectorAll('svg[role=img] text')].filter(t => {
                const a = t.getBoundingClientRect(), b = t.closest('svg').getBoundingClientRect();
                return a.width && (a.left < b.left - 2 || a.right > b.right + 2 || a.top < b.top - 2 || a.bottom > b.bottom + 2);
            }).map(t => t.textContent)"""
        )
        assert outside == []
        assert wrong == []


def test_bands_are_of_the_runs_that_converged_and_the_share_that_did_not_is_said() -> None:
    """Three of ten runs diverge at the best rate of 10 layers, all of them at 30: no band over both kinds."""

    def score(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
        lost = plan == "default" and (context["depth"] == 30 or (context["depth"] == 10 and seed < 3))
        return math.nan if lost else 0.9 + 0.001 * noise

    results = samples.results(
        models=("mlp(depth={depth})",), variables={"depth": (3, 10, 30)}, lrs=(0.01, 0.1), scorer=score
    )
    middle = results.analysis.contexts[1]
    given = middle.cells[0].lrs[0].held
    assert given.count == 7
    for figure in (study_figures.lr_figure(study_figures.Drawing(results, middle)), study_maps.along_figures(results)):
        table = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", figure)]
        cells = [cell for row in table for cell in row]
        assert any(cell.endswith(" (3 of 10 diverged: 30 % (8 to 63))") and cell.startswith("0.9") for cell in cells)
    assert any(cell.startswith("0.1 (10 of 10 diverged: 100 % (") for cell in cells)
    low, high = (f"{v:.3g}" for v in (given.low, given.high))
    assert f"({low} to {high})" in study_figures.lr_figure(study_figures.Drawing(results, middle))


def test_ranks_are_drawn_of_the_layers_that_have_one_and_a_median_is_one() -> None:
    """The engine ranks what the next layer sees: a layer in front of its activation has no rank."""
    results = samples.results(plans=("default",), lrs=(0.01,), seeds=samples.seeds(2))
    rows = []
    for row, rank in zip(results.rows, (0.2, 0.4), strict=True):
        layers = [LayerSignal(f"layers.{i}", "Linear", 1.0, 0.0, rank + 0.1 * i if i % 2 else None) for i in range(6)]
        rows.append(replace(row, signals=(Signals(0, tuple(layers)),)))
    text = study_html(replace_rows(results, rows))
    figure = text.split("<strong>Effective rank at the start</strong>")[1].split("</figure>")[0]
    assert re.findall(r"<td>(\d)</td><td>(layers\.\d)</td><td>(.*?)</td>", figure) == [
        ("1", "layers.1", "0.4"),
        ("3", "layers.3", "0.6"),
        ("5", "layers.5", "0.8"),
    ]


def replace_rows(results: StudyResults, rows: Sequence[RunRow]) -> StudyResults:
    return StudyResults(results.study, tuple(rows), results.references, curve=samples.curve_of)


def test_figures_of_a_study_without_a_held_out_part_say_so() -> None:
    text = study_html(one(training=TrainingSettings(validation=0.0, target=0.85)))
    assert "Nothing was held out" in text
    assert "Test score of the runs that did not diverge" in text
    assert "Rates are chosen by the training loss." in text
    assert "have reached accuracy 0.85 on the test part" in text
    assert "held-out part" not in text


def test_a_profile_says_which_way_is_better() -> None:
    a = many().analysis
    for larger, says in ((True, "; higher is better"), (False, "; lower is better")):
        contexts = tuple(replace(c, larger_is_better=larger) for c in a.contexts)
        results = many()
        results.__dict__["analysis"] = replace(a, contexts=contexts)
        assert says in study_maps.profile_figure(results)
