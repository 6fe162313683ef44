"""Plans: which weight is drawn from what and why; matching rules to weights, applying, saving, rendering as code."""

from fanin.plans.describe import describe, summary
from fanin.plans.matching import keep_padding, plan_from_rules
from fanin.plans.mup import mup_rules
from fanin.plans.records import Entry, Need, Plan, PlanDiff, needs_of

__all__ = [
    "Entry", "Need", "Plan", "PlanDiff", "describe", "keep_padding", "mup_rules", "needs_of", "plan_from_rules", "summary",
]  # fmt: skip
