"""All that the runs of a study say."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from fanin.lab.analysis import axes
from fanin.lab.analysis.across import across_of
from fanin.lab.analysis.cells import cell_of
from fanin.lab.analysis.expectations import judge_all
from fanin.lab.analysis.facts import larger_is_better, score_of
from fanin.lab.analysis.pairs import best_first, pairs_of
from fanin.lab.analysis.planning import power_after, power_before
from fanin.lab.analysis.records import ContextAnalysis, StudyAnalysis
from fanin.lab.analysis.warnings import warnings_of
from fanin.lab.results import StudyResults
from fanin.lab.study.records import Study
from fanin.lab.study.rows import RunRow


def analyse(results: StudyResults) -> StudyAnalysis:
    """Learning rates chosen, cells, differences, verdicts, and whether the expectations came out.

    Each method is taken at its own best learning rate: the one with the best mean held-out score over the seeds, where a
    run that diverged counts with what the best constant prediction scores. The test part is looked at there alone.

    Args:
        results: of a study, also of one that is not done: cells say how many runs are missing.
    """
    study, rows = results.study, results.rows
    configs = [row.config for row in rows]
    methods = axes.methods_of(study, configs)
    contexts = axes.contexts_of(configs)
    parts = axes.parts_of(contexts)
    varying = axes.varying_axes(parts)
    by_context: dict[object, list[RunRow]] = {}
    for row in rows:
        by_context.setdefault(axes.key_of(axes.context_of(row.config)), []).append(row)
    analysed = tuple(
        context_analysis(context, part, axes.label_of(part, varying), by_context[axes.key_of(context)], methods, study)
        for context, part in zip(contexts, parts, strict=True)
    )
    names = tuple(dict.fromkeys(methods.values()))
    across, scale = across_of(analysed, names)
    done = [row for row in rows if row.state == "done"]
    return StudyAnalysis(
        contexts=analysed,
        varying=varying,
        methods=names,
        across=across,
        scale=scale,
        outcomes=judge_all(results),
        runs=len(rows),
        done=len(done),
        diverged=sum(row.diverged for row in done),
        failed=sum(row.state == "failed" for row in rows),
        pending=sum(row.state == "pending" for row in rows),
        warnings=warnings_of(study, rows, analysed),
        failures=dict(Counter(row.error for row in rows if row.state == "failed").most_common()),
        power_before=power_before(study, max((len(c.cells) for c in analysed), default=None)),
        power_after=power_after(analysed, rows),
        notes=tuple(dict.fromkeys(f"{row.config.plan} {row.note}." for row in done if row.note)),
    )


def context_analysis(
    context: axes.Context,
    parts: axes.Context,
    label: str,
    rows: Sequence[RunRow],
    methods: Mapping[str, str],
    study: Study,
) -> ContextAnalysis:
    """All methods in one context.

    Args:
        context: axis → value.
        parts: the same with the arguments of the model as axes of their own.
        label: of it.
        rows: its runs, at every learning rate.
        methods: plan → method, in order, also those that have no run here.
        study: that they are part of.
    """
    done = [row for row in rows if row.state == "done"]
    score = score_of(done)
    better = larger_is_better(score)
    constant = next((row.summary["constant"] for row in done if "constant" in row.summary), math.nan)
    target = _target(study, done)
    cells = tuple(
        cell_of(
            plan,
            found,
            score,
            larger_is_better=better,
            held_out=study.training.validation > 0,
            constant=constant,
            target=target,
            method=method,
        )
        for plan, method in methods.items()
        if (found := [row for row in rows if row.config.plan == plan])
    )
    best = best_first(cells, score, better)
    return ContextAnalysis(
        context=context,
        parts=parts,
        label=label,
        data=rows[0].config.data,
        score=score,
        larger_is_better=better,
        constant=constant,
        target=target,
        cells=cells,
        pairs=pairs_of(cells, {row.key: row for row in done}, score, better, target),
        best=best[0].plan if best else "",
    )


def _target(study: Study, done: Sequence[RunRow]) -> float | None:
    """The score that steps are counted to: the study's, else what the runs say of their data set's own."""
    if study.training.target is not None:
        return study.training.target
    told = next((row.summary["target"] for row in done if "target" in row.summary), None)
    if told is not None:
        return told
    return math.nan if any(row.reached_at is not None for row in done) else None
