"""Every study that ships can be reported: contexts are told apart, pages are whole, expectations are judged."""

import math
from pathlib import Path

import pytest
from tests.lab.analysis import samples

from fanin.lab import studies
from fanin.lab.results import StudyResults
from fanin.lab.study import grid
from fanin.reports.study_markdown import study_markdown
from fanin.reports.study_page import study_html
from fanin.reports.study_text import study_text


def score(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
    level = sum(map(ord, plan + str(context))) % 100 / 100  # some number that differs
    return math.nan if level < 0.1 and seed % 2 else 0.5 + 0.4 * level + 0.01 * noise


def made_up(name: str) -> StudyResults:
    file = studies.shipped(name)
    study = file.small or file.full
    rows = tuple(samples.row_of(i, c, score, math.sin(i)) for i, c in enumerate(grid.configs(study)))
    inputs = samples.results(seeds=samples.seeds(1), lrs=(0.1,)).inputs["digits"]
    return StudyResults(study, rows, curve=samples.curve_of, inputs={row.config.data: inputs for row in rows})


@pytest.mark.parametrize("name", studies.names())
def test_a_shipped_study_can_be_reported(name: str, tmp_path: Path) -> None:
    results = made_up(name)
    a = results.analysis
    labels = [c.label for c in a.contexts]
    assert len(set(labels)) == len(labels)
    assert all(labels) or len(labels) == 1
    assert len(a.outcomes) == len(results.study.expectations)
    assert all(o.cells for o in a.outcomes), [o.reason for o in a.outcomes if not o.cells]
    text = study_html(results)
    assert len(text.encode()) < 3_000_000
    for expectation in results.study.expectations:
        assert expectation.says in study_markdown(results)
    assert max(map(len, study_text(results, 80).splitlines())) <= 80
