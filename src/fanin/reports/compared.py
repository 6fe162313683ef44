"""The words of a comparison, shared by the terminal and the page: verdict, table rows, differences."""

import math
from dataclasses import dataclass

from fanin.lab import metrics
from fanin.lab.analysis.records import Cell
from fanin.lab.records import Comparison, Difference, InitSummary, Settings, StepsToTarget
from fanin.lab.statistics import Estimate, Interval
from fanin.reports.words import count, number

DOUBTED = "†"  # behind an interval that is not to be trusted
DOUBT = "so few runs, or ones so skew or all alike, do not allow this interval to be trusted"
DOUBTED_WORDS = f"{DOUBTED} {DOUBT.capitalize()}."


@dataclass(frozen=True)
class ComparedVerdict:
    """The one thing to know of a comparison.

    Attributes:
        level: "ok" where something beats the baseline, "warning" where something is worse, "info" otherwise.
        headline: one short sentence.
        detail: what was trained, on what, how often.
    """

    level: str
    headline: str
    detail: str


def verdict(result: Comparison) -> ComparedVerdict:
    """Which init wins on the score, by paired differences against the baseline.

    The best one is that with the best mean over all runs, those that diverged with what the constant prediction scores.
    """
    baseline = result.inits[0]
    done = [s for s in result.summaries if result.score in s.overall]
    if not done:
        return ComparedVerdict("warning", "No run was finished", setting_text(result))
    best = max(done, key=lambda s: _sortable(s.overall[result.score], result.score))
    mean = cell_text(best, result.score, interval=False)
    difference = result.difference(best.init)
    if best.init == baseline or difference is None:
        level, text = "info", f"{best.init} is the best of {len(done)}: {result.score} {mean}"
    else:
        better = difference.finding == "better"
        level, finding = ("ok", "") if better else ("info", f"; {difference.finding}")
        gained = signed(difference.interval.value)
        over = "over" if metrics.higher_is_better(result.score) else "against"
        text = f"{best.init} is the best: {result.score} {mean} ({gained} {over} {baseline}{finding})"
    return ComparedVerdict(level, text, setting_text(result))


def setting_text(result: Comparison) -> str:
    """What all runs share, in one line."""
    s = result.settings
    parts = [
        result.model,
        f"{s.data} ({_parts_text(s)})",
        f"{count(len(result.seeds), 'seed')}",
        f"{s.steps:,} steps ({number(s.epochs)} epochs)",
        f"{s.optimizer} at {number(s.lr)}" + (f", momentum {number(s.momentum)}" if s.momentum else ""),
        f"batches of {s.batch_size}",
    ]
    return " · ".join(parts)


def _parts_text(s: Settings) -> str:
    if not s.held_examples:
        return f"{s.train_examples:,} + {s.test_examples:,} examples"
    return f"{s.train_examples:,} + {s.held_examples:,} held out + {s.test_examples:,} to test"


def part_text(result: Comparison) -> str:
    """The part that curves and steps to the target are measured on."""
    return "held-out part" if result.settings.held_examples else "test part"


def metric_text(value: float) -> str:
    """A metric with three decimals, "–" where there is none."""
    return number(value) if not math.isfinite(value) or abs(value) >= 100 else f"{value:z.3f}"


def signed(value: float) -> str:
    """A difference with its sign."""
    return f"+{metric_text(value)}" if value > 0 else metric_text(value).replace("-", "−")


def estimate_text(e: Estimate | Interval) -> str:
    """Value and interval: "0.912 ± 0.004"; "0.844 (0.832 to 0.849)" where it lies skew; with a † where it is not to be trusted."""
    value, mark = e.value, "" if e.trusted else DOUBTED
    if not (math.isfinite(e.low) and math.isfinite(e.high)):
        return metric_text(value)
    up, down = e.high - value, value - e.low
    small = max(up, down) < 0.0005
    if abs(up - down) <= 0.1 * max(up, down) or small:
        half = "0.000" if small and max(up, down) > 0 else metric_text((up + down) / 2)
        return f"{metric_text(value)} ± {half}{mark}"
    return f"{metric_text(value)} ({metric_text(e.low)} to {metric_text(e.high)}){mark}"


def share_text(e: Estimate) -> str:
    """A share with its interval in percent: "30 % (11 to 60)"."""
    if math.isnan(e.value):
        return "–"
    between = f" ({e.low * 100:.0f} to {e.high * 100:.0f})" if math.isfinite(e.low) else ""
    return f"{e.value * 100:.0f} %{between}"


def cell_text(cell: Cell | InitSummary, metric: str, interval: bool = True) -> str:
    """A metric of the runs that did not diverge, and how many did: "0.871 ± 0.031 (3 of 10 diverged)"."""
    if not cell.runs:
        return "–"
    if cell.diverged == cell.runs:
        return f"(all {cell.runs} diverged)" if cell.runs > 1 else "(diverged)"
    if metric not in cell.metrics:
        text = "–"
    else:
        text = estimate_text(cell.metrics[metric]) if interval else metric_text(cell.metrics[metric].value)
    return text + (f" ({cell.diverged} of {cell.runs} diverged)" if cell.diverged else "")


def diverged_text(cell: Cell | InitSummary) -> str:
    """How many runs diverged, and the share: "3 of 10: 30 % (11 to 60)"."""
    return f"{cell.diverged} of {cell.runs}: {share_text(cell.diverged_share)}" if cell.runs else "–"


def doubted(result: Comparison) -> bool:
    """Whether an interval that is shown is not to be trusted."""
    shown = [e for s in result.summaries for e in s.metrics.values()] + [d.interval for d in result.differences]
    return any(not e.trusted and math.isfinite(e.low) for e in shown)


def steps_text(steps: StepsToTarget | None) -> str:
    """Median steps to the target, and how many runs got there where not all did."""
    if steps is None:
        return "–"
    if steps.reached == 0:
        return f"never (0 of {steps.runs})"
    median = f"{steps.median:,.0f}" if steps.median is not None else f"> {steps.horizon:,}"
    return median + ("" if steps.reached == steps.runs else f" ({steps.reached} of {steps.runs} runs)")


def difference_text(difference: Difference) -> str:
    """A paired difference with its interval, the seeds on which it is better, and p after Holm's correction."""
    i = difference.interval
    mark = "" if i.trusted else DOUBTED
    between = f" ({signed(i.low)} to {signed(i.high)}){mark}" if math.isfinite(i.low) else ""
    n = difference.wins + difference.ties + difference.losses
    p = f", p {number(difference.p_adjusted, 2)}" if math.isfinite(difference.p_adjusted) else ""
    return f"{signed(i.value)}{between}, better on {difference.wins} of {count(n, 'seed')}{p}"


def has_target(result: Comparison) -> bool:
    """Whether steps to a target were counted."""
    return any(s.steps_to_target is not None for s in result.summaries)


def _sortable(value: float, metric: str) -> float:
    if math.isnan(value):
        return -math.inf
    return value if metrics.higher_is_better(metric) else -value
