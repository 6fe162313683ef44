"""From runs to statistics: one summary an init, and paired differences against the first.

As in a study, a metric's mean and interval are those of the runs that converged, and the share that diverged stands apart: one
interval over both has no honest coverage (`fanin.lab.statistics.given_convergence`).
"""

import math
from collections.abc import Sequence

from fanin.lab import metrics as measures
from fanin.lab import stats
from fanin.lab.records import Difference, InitSummary, RunResult
from fanin.lab.statistics import mean_interval, t_interval, verdicts, wilson


def summarise(
    results: Sequence[RunResult], inits: Sequence[str], metrics: Sequence[str], target: float | None
) -> tuple[tuple[InitSummary, ...], tuple[Difference, ...]]:
    """Statistics over the seeds that every init has finished (inits that could not be run at all left aside).

    Args:
        inits: names in order; the first that could be run is the baseline.
        metrics: names of the metrics.
        target: score that `steps to target` asks for, or None.
    """
    done = {(r.init, r.seed): r for r in results if not r.error}
    running = [name for name in inits if any(key[0] == name for key in done)]
    seeds = list(dict.fromkeys(r.seed for r in results))
    whole = [seed for seed in seeds if all((name, seed) in done for name in running)]
    runs = {name: [done[name, seed] for seed in whole if (name, seed) in done] for name in inits}
    failed = {name: [r for r in results if r.init == name and r.error] for name in inits}
    summaries = tuple(_summary(name, runs[name], failed[name], metrics, target) for name in inits)
    differences = _differences(runs, running, metrics) if len(whole) and running else ()
    return summaries, differences


def _summary(
    name: str, runs: list[RunResult], failed: list[RunResult], metrics: Sequence[str], target: float | None
) -> InitSummary:
    steps = None
    if target is not None:
        horizon = max((r.planned_steps for r in runs), default=0)
        steps = stats.steps_to_target(target, [r.reached_at for r in runs], horizon)
    whole = [r for r in runs if not r.diverged]
    diverged = len(runs) - len(whole)
    return InitSummary(
        init=name,
        runs=len(runs),
        diverged=diverged,
        failed=len(failed),
        metrics={m: mean_interval([r.metrics[m] for r in whole]) for m in metrics if whole},
        overall={m: math.fsum(r.metrics[m] for r in runs) / len(runs) for m in metrics if runs},
        diverged_share=wilson(diverged, len(runs)),
        seconds=t_interval([r.seconds for r in runs]),
        steps_to_target=steps,
        note=failed[0].error if failed else "",
    )


def _differences(
    runs: dict[str, list[RunResult]], names: Sequence[str], metrics: Sequence[str]
) -> tuple[Difference, ...]:
    baseline, *others = names
    found: list[Difference] = []
    for metric in metrics:
        deltas = {name: _deltas(runs[name], runs[baseline], metric) for name in others}
        deltas = {name: found for name, found in deltas.items() if found}
        told = verdicts(list(deltas.values()), larger_is_better=measures.higher_is_better(metric))
        found += [
            Difference(
                name, baseline, metric, v.finding, v.difference, v.wins, v.ties, v.losses, v.test.p, v.p_adjusted, v.test.test
            )
            for name, v in zip(deltas, told, strict=True)
        ]  # fmt: skip
    return tuple(found)


def _deltas(runs: list[RunResult], others: list[RunResult], metric: str) -> list[float]:
    """Paired differences; infinite losses of two runs that diverged have none."""
    found = [a.metrics[metric] - b.metrics[metric] for a, b in zip(runs, others, strict=True)]
    return [d for d in found if not math.isnan(d)]
