"""Which findings a change brought, and which changes to take back for it."""

import math

from fanin.auto.chains import link_of
from fanin.auto.streams import streams
from fanin.checks.finding import Finding
from fanin.checks.report import Report
from fanin.plans import Plan
from fanin.traces.records import Trace

WEIGHT = {"info": 0.01, "warning": 1.0, "error": 10.0}  # an error outweighs any few warnings, they any few hints

MILDER = math.log(2)  # a finding is milder where the factor that it complains of is at most half of what it was
LOGS = ("log_contrast", "log_power", "log_distinct", "log_gradient", "log_growth")  # of second moments, in findings
SIZES = {"loss": 1, "logit_std": 1, "dead": 1, "saturated": 1, "memory": -1}  # and which way is worse


def harm(report: Report) -> float:
    """How bad a report is: its findings by their severity."""
    return sum(WEIGHT[f.severity] for f in report.findings)


def improved(before: Report, after: Report) -> bool:
    """Whether new weights are better than the old: fewer or less severe findings, or with the same ones milder, or a loss
    that was far above chance and has come down. Where they are not, nothing is to be changed."""
    gained = harm(before) - harm(after)
    if abs(gained) > 1e-9:
        return gained > 0
    old, new = _degrees(before), _degrees(after)
    if old.keys() != new.keys():
        return False
    changes = [old[code] - new[code] for code in old]
    if any(change < -MILDER for change in changes):
        return False
    return any(change >= MILDER for change in changes) or _excess(after) < _excess(before) / 2


def _degrees(report: Report) -> dict[str, float]:
    """How far the worst finding of each code goes, as the ln of a factor on a signal's size; 0 where it has no measure."""
    found: dict[str, float] = {}
    for finding in report.findings:
        logs = [abs(finding.measured[key]) / 2 for key in LOGS if key in finding.measured]
        sizes = [sign * _ln(finding.measured[key]) for key, sign in SIZES.items() if key in finding.measured]
        degree = next((d for d in (*logs, *sizes) if math.isfinite(d)), 0.0)
        found[finding.code] = max(found.get(finding.code, -math.inf), degree)
    return found


def _ln(value: float) -> float:
    return math.log(value) if value > 0 else math.nan


def _excess(report: Report) -> float:
    """The loss above chance, where it is more than half of chance; 0 otherwise, and where either is not known."""
    loss = report.trace.loss
    if loss is None or not (math.isfinite(loss.value) and loss.chance > 0):
        return 0.0
    excess = loss.value - loss.chance
    return excess if excess > loss.chance / 2 else 0.0


def harms(before: Report, after: Report) -> list[Finding]:
    """Findings that are there after a change and were not before, or were milder; the most severe first."""
    old: dict[str, float] = {}
    for f in before.findings:
        old[f.code] = max(old.get(f.code, 0.0), WEIGHT[f.severity])
    return [f for f in after.findings if WEIGHT[f.severity] > old.get(f.code, 0.0)]


def blamed(finding: Finding, plan: Plan) -> set[str]:
    """The plan's entries that a finding points at: weights by name, or all of a module that it names."""
    named = {n for n in plan.entries if n in finding.where}
    inside = {n for n in plan.entries for place in finding.where if place and n.startswith(f"{place}.")}
    return named | inside | (set(finding.fix.edits) & set(plan.entries))


def with_chains(names: set[str], trace: Trace) -> set[str]:
    """These weights, and all of every chain and paired stream that one of them is in: each is drawn whole or not at all."""
    groups: dict[str, set[str]] = {}
    for slot in trace.slots:
        link = link_of(slot)
        if link is not None:
            groups.setdefault(link.id, set()).add(slot.name)
    together = [*groups.values(), *(stream.names for stream in streams(trace))]
    while True:
        more = names.union(*(group for group in together if group & names))
        if more == names:
            return names
        names = more
