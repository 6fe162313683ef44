"""The words of a comparison, shared by the terminal and the page: verdict, table rows, differences."""

import math
from dataclasses import dataclass

from fanin.lab.records import Comparison, Difference, Interval, StepsToTarget
from fanin.lab.statistics.power import smallest_p
from fanin.reports.words import count, number

ALPHA = 0.05  # p, after Holm's correction, up to which a difference counts as shown


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
    """Which init wins on the score, by paired differences against the baseline."""
    baseline = result.inits[0]
    done = [s for s in result.summaries if result.score in s.metrics and s.runs]
    if not done:
        return ComparedVerdict("warning", "No run was finished", setting_text(result))
    best = max(done, key=lambda s: _sortable(s.metrics[result.score].mean))
    mean = metric_text(best.metrics[result.score].mean)
    difference = result.difference(best.init)
    if best.init == baseline or difference is None:
        level, text = "info", f"{best.init} is the best of {len(done)}: {result.score} {mean}"
    else:
        level, finding = _finding(result, difference)
        text = f"{best.init} is the best: {result.score} {mean} ({signed(difference.interval.mean)} over {baseline}{finding})"
    return ComparedVerdict(level, text, setting_text(result))


def _finding(result: Comparison, difference: Difference) -> tuple[str, str]:
    """What the paired test says of the best init, corrected for how many were compared: the level, and words behind the difference."""
    compared = [d for d in result.differences if d.metric == result.score]
    if difference.p_adjusted <= ALPHA:
        return "ok", ""
    runs = difference.wins + difference.ties + difference.losses
    if len(compared) * smallest_p(runs) > ALPHA:
        return "info", "; too few seeds to say"
    return "info", "; no difference shown"


def setting_text(result: Comparison) -> str:
    """What all runs share, in one line."""
    s = result.settings
    parts = [
        result.model,
        f"{s.data} ({s.train_examples:,} + {s.test_examples:,} examples)",
        f"{count(len(result.seeds), 'seed')}",
        f"{s.steps:,} steps ({number(s.epochs)} epochs)",
        f"{s.optimizer} at {number(s.lr)}" + (f", momentum {number(s.momentum)}" if s.momentum else ""),
        f"batches of {s.batch_size}",
    ]
    return " · ".join(parts)


def metric_text(value: float) -> str:
    """A metric with three decimals, "–" where there is none."""
    return number(value) if not math.isfinite(value) or abs(value) >= 100 else f"{value:.3f}"


def signed(value: float) -> str:
    """A difference with its sign."""
    return f"+{metric_text(value)}" if value > 0 else metric_text(value).replace("-", "−")


def interval_text(interval: Interval) -> str:
    """Mean and half width: "0.966 ± 0.004"."""
    if not math.isfinite(interval.low):
        return metric_text(interval.mean)
    return f"{metric_text(interval.mean)} ± {metric_text((interval.high - interval.low) / 2)}"


def steps_text(steps: StepsToTarget | None) -> str:
    """Median steps to the target, and how many runs got there where not all did."""
    if steps is None:
        return "–"
    if steps.reached == 0:
        return f"never (0 of {steps.runs})"
    median = f"{steps.median:,.0f}" if steps.median is not None else f"> {steps.horizon:,}"
    return median + ("" if steps.reached == steps.runs else f" ({steps.reached} of {steps.runs} runs)")


def difference_text(difference: Difference) -> str:
    """A paired difference with its interval, the seeds won, and p after Holm's correction."""
    i = difference.interval
    between = f" ({signed(i.low)} to {signed(i.high)})" if math.isfinite(i.low) else ""
    n = difference.wins + difference.ties + difference.losses
    p = f", p {number(difference.p_adjusted, 2)}" if math.isfinite(difference.p_adjusted) else ""
    return f"{signed(i.mean)}{between}, larger on {difference.wins} of {count(n, 'seed')}{p}"


def has_target(result: Comparison) -> bool:
    """Whether steps to a target were counted."""
    return any(s.steps_to_target is not None for s in result.summaries)


def _sortable(value: float) -> float:
    return -math.inf if math.isnan(value) else value
