"""A study as a notebook: the report in words, and cells that load the folder and draw it again."""

import hashlib
from typing import Any

from fanin.lab.results import StudyResults
from fanin.reports.study_markdown import study_markdown

LOAD = """from fanin.lab.results import StudyResults

results = StudyResults.load({folder!r})
results"""
PAIRS = """for context in results.analysis.contexts:
    for pair in context.pairs:
        v = pair.verdict
        print(context.label or results.study.name, pair.plan, "against", pair.other, v.finding, v.difference.value, v.p_adjusted)"""
FRAME = """frame = results.to_pandas().query("state == 'done'")
scores = ["test." + name for name in dict.fromkeys(c.score for c in results.analysis.contexts if c.score)]
by = [name for name in ("model", "data", "optimizer", "batch_size") if frame[name].nunique() > 1] + ["plan", "lr"]
means = frame.groupby(by)[[*scores, "diverged"]].mean()
means"""
CURVES = """import matplotlib.pyplot as plt

context = results.analysis.contexts[0]
for i, cell in enumerate(context.done):
    for key in cell.keys:
        points = results.curve(results.by_key[key])
        label = cell.plan if key == cell.keys[0] else None
        plt.plot([p.step for p in points], [p.held_score for p in points], color=f"C{i % 10}", alpha=0.5, label=label)
plt.title(context.label)
plt.xlabel("step")
plt.ylabel(f"held-out {context.score}")
plt.legend()
plt.show()"""
PAGE = """from fanin.reports.study_page import study_html

with open("study.html", "w", encoding="utf-8") as file:
    file.write(study_html(results))"""


def study_notebook(results: StudyResults) -> dict[str, Any]:
    """A notebook (nbformat 4.5) as a dictionary, ready for `json.dump`; its cells have no outputs until they are run.

    Args:
        results: of the study, loaded from a folder.
    """
    folder = str(results.folder) if results.folder is not None else results.study.name
    cells = [
        _cell("markdown", study_markdown(results)),
        _cell("markdown", "The same from the study's folder, to look further."),
        *(_cell("code", text) for text in (LOAD.format(folder=folder), PAIRS, FRAME, CURVES, PAGE)),
    ]
    return {
        "cells": [{**cell, "id": _id(i, cell)} for i, cell in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(kind: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True)}
    return {**cell, "execution_count": None, "outputs": []} if kind == "code" else cell


def _id(place: int, cell: dict[str, Any]) -> str:
    return hashlib.sha256(f"{place} {''.join(cell['source'])}".encode()).hexdigest()[:12]
