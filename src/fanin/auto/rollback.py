"""Which findings a change brought, and which changes to take back for it."""

from fanin.auto.chains import link_of
from fanin.checks.finding import Finding
from fanin.checks.report import Report
from fanin.plans import Plan
from fanin.traces.records import Trace

WEIGHT = {"info": 0.01, "warning": 1.0, "error": 10.0}  # an error outweighs any few warnings, they any few hints


def harm(report: Report) -> float:
    """How bad a report is: its findings by their severity."""
    return sum(WEIGHT[f.severity] for f in report.findings)


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
    """These weights, and all of every chain that one of them is in: a chain is drawn whole or not at all."""
    chains = {s.name: link_of(s) for s in trace.slots}
    ids = {link.id for name, link in chains.items() if name in names and link is not None}
    return names | {name for name, link in chains.items() if link is not None and link.id in ids}
