"""From runs to statistics: one summary an init, and paired differences against the first."""

from collections.abc import Sequence

from fanin.lab import stats
from fanin.lab.records import Difference, InitSummary, RunResult


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
    return InitSummary(
        init=name,
        runs=len(runs),
        diverged=sum(r.diverged for r in runs),
        failed=len(failed),
        metrics={m: stats.t_interval([r.metrics[m] for r in runs]) for m in metrics},
        seconds=stats.t_interval([r.seconds for r in runs]),
        steps_to_target=steps,
        note=failed[0].error if failed else "",
    )


def _differences(
    runs: dict[str, list[RunResult]], names: Sequence[str], metrics: Sequence[str]
) -> tuple[Difference, ...]:
    baseline, *others = names
    found: list[Difference] = []
    for metric in metrics:
        deltas = {
            name: [a.metrics[metric] - b.metrics[metric] for a, b in zip(runs[name], runs[baseline], strict=True)]
            for name in others
        }
        tests = [stats.paired_test(deltas[name]) for name in others]
        adjusted = stats.holm([p for p, _ in tests])
        for name, (p, test), corrected in zip(others, tests, adjusted, strict=True):
            d = deltas[name]
            wins, losses = sum(x > 0 for x in d), sum(x < 0 for x in d)
            ties = len(d) - wins - losses
            interval = stats.t_interval(d)
            found.append(Difference(name, baseline, metric, interval, wins, ties, losses, p, corrected, test))
    return tuple(found)
