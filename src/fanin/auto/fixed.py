"""What a fix returns: before, after, the plan, what was undone and what is left."""

from dataclasses import dataclass, field
from typing import Any

from fanin.checks.finding import Finding
from fanin.checks.report import Report
from fanin.plans import Plan


@dataclass(frozen=True)
class Fixed:
    """A model mended and measured again.

    Attributes:
        before: the report of the model as it was.
        after: the report of the model as it is now.
        plan: what was drawn anew, with a reason each; `plan.apply(other)` mends another copy of the model.
        undone: (name of the weight, reason) of each change that was taken back because it did not help.
        model: the model itself, with its new weights.
    """

    before: Report
    after: Report
    plan: Plan
    undone: tuple[tuple[str, str], ...] = ()
    model: Any = field(default=None, repr=False, compare=False)

    @property
    def left(self) -> tuple[Finding, ...]:
        """What could not be mended: the findings of the model as it is now."""
        return self.after.findings

    @property
    def mended(self) -> tuple[Finding, ...]:
        """The findings that are gone."""
        codes = {f.code for f in self.after.findings}
        return tuple(f for f in self.before.findings if f.code not in codes)

    @property
    def ok(self) -> bool:
        """Whether nothing at or above "warning" is left."""
        return self.after.ok

    def __str__(self) -> str:
        from fanin.reports.terminal import fixed_text  # a result shows itself; the room above draws it

        return fixed_text(self)

    def _repr_html_(self) -> str:
        from fanin.reports.html import fixed_fragment

        return fixed_fragment(self)
