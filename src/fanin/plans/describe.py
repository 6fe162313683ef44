"""Plans and distributions in words: one line a distribution, one table a plan."""

import itertools
import re
import shutil
import textwrap
from collections.abc import Sequence

from fanin.distributions import (
    Built,
    Centred,
    Constant,
    DeltaOrthogonal,
    Distribution,
    Formula,
    Identity,
    Mapped,
    Mirrored,
    Normal,
    Orthogonal,
    Stack,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from fanin.plans.groups import Group, group_entries
from fanin.plans.records import Entry, Plan, PlanDiff
from fanin.plans.requirements import listed

NAME_WIDTH = 44  # names longer than this are cut in the middle
SHORT_NAME = 24  # to which they are cut where columns are few
REASON = 24  # columns that are kept for the reasons


def describe(distribution: Distribution) -> str:
    """A distribution in a few characters.

    Example:
        >>> describe(Normal(0.0884))
        'N(0, 0.0884²)'
        >>> describe(Stack((Constant(0.0), Constant(1.0), Constant(0.0), Constant(0.0)), (8, 8, 8, 8)))
        '0 | 1 | 2 × 0'
    """
    match distribution:
        case Normal():
            return _number(distribution.mean) if distribution.std == 0 else _normal(distribution)
        case TruncatedNormal():
            return f"{_normal(distribution)} cut at ±{_number(distribution.cut)}σ"
        case Uniform(bound=bound, mean=mean):
            return f"U(±{_number(bound)})" if mean == 0 else f"U({_number(mean - bound)}, {_number(mean + bound)})"
        case Constant(value=value):
            return _number(value)
        case Identity(gain=gain):
            return _times("identity", gain)
        case Orthogonal():
            return _times(_blocks("orthogonal", distribution), distribution.gain) + _widening(distribution)
        case DeltaOrthogonal():
            return _times(_blocks("delta-orthogonal", distribution), distribution.gain) + _widening(distribution)
        case (
            Formula(function=name, arguments=arguments, gain=gain)
            | Built(function=name, arguments=arguments, gain=gain)
        ):
            text = _called(name, arguments)
            return text if gain == 1 else _times(text, gain)
        case Mapped(base=base, function=name, arguments=arguments):
            return f"{_called(name, arguments)} of {describe(base)}"
        case Centred(base=base):
            return f"centred {describe(base)}"
        case Mirrored(base=base):
            return f"mirrored {describe(base)}"
        case Stack(parts=parts):
            runs = [(text, len(list(run))) for text, run in itertools.groupby(describe(part) for part in parts)]
            return " | ".join(text if count == 1 else f"{count} × {text}" for text, count in runs)
        case ZeroRows(base=base, rows=rows):
            return f"{describe(base)}, row{'s' * (len(rows) > 1)} {', '.join(map(str, rows))} zero"
    return str(distribution)


def _called(name: str, arguments: tuple[float, ...]) -> str:
    """A named function with its numbers, as words."""
    inside = f"({', '.join(map(_number, arguments))})" if arguments else ""
    return name.replace("_", " ") + inside


def summary(entry: Entry) -> str:
    """An entry's distribution with its multiplier and its factor on the learning rate, in a few characters.

    Example:
        >>> summary(Entry(Normal(0.02), "as in GPT-2", lr_scale=0.5))
        'N(0, 0.02²), lr × 0.5'
    """
    text = describe(entry.distribution)
    if entry.multiplier != 1:
        text = f"{_number(entry.multiplier)} × ({text})"
    return text if entry.lr_scale == 1 else f"{text}, lr × {_number(entry.lr_scale)}"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")


def _normal(distribution: Normal | TruncatedNormal) -> str:
    return f"N({_number(distribution.mean)}, {_number(distribution.std)}²)"


def _times(text: str, gain: float) -> str:
    return f"{text} × {_number(gain)}"


def _blocks(text: str, distribution: Orthogonal | DeltaOrthogonal) -> str:
    blocks = distribution.axes.size("stack")
    return text if blocks == 1 else f"{blocks} blocks {text}"


def _widening(distribution: Orthogonal | DeltaOrthogonal) -> str:
    return " per unit" if distribution.scale_out else ""


def plan_text(plan: Plan, width: int | None = None) -> str:
    """The plan as a table: one row for each weight, or for each family of weights that differ in a number only.

    Args:
        plan: the plan.
        width: columns to keep to; those of the terminal where not given, 80 where there is none. A reason that does
            not fit beside its weight goes below it.
    """
    groups = group_entries(plan)
    if not groups:
        return "an empty plan: every weight keeps its values"
    width = width or shutil.get_terminal_size((80, 24)).columns
    rows = [(g.title, _shape(plan, g), _group_summary(g), _group_reason(g)) for g in groups]
    count = len(plan.entries)
    heading = f"plan for {count} weight{'s' * (count != 1)}, seed {plan.seed}"
    notes = [line for note in plan.notes for line in _wrapped(f"note: {note}", width, "  ")]
    if plan.architecture:
        notes += _wrapped(f"needs: {listed(plan.architecture)}", width, "  ")
    return "\n".join([heading, "", *_table(("weight", "shape", "drawn from", "why"), rows, width), *notes])


def diff_text(diff: PlanDiff) -> str:
    """The difference line by line: + added, - removed, ~ changed."""
    if not diff:
        return "no difference"
    lines = [f"+ {name}: {summary(entry)}{_because(entry)}" for name, entry in diff.added.items()]
    lines += [f"- {name}: {summary(entry)}{_because(entry)}" for name, entry in diff.removed.items()]
    for name, (before, after) in diff.changed.items():
        old, new = summary(before), summary(after)
        lines.append(f"~ {name}: {old} → {new}{_because(after)}" if old != new else _fine_change(name, before, after))
    if diff.seeds[0] != diff.seeds[1]:
        lines.append(f"~ seed: {diff.seeds[0]} → {diff.seeds[1]}")
    return "\n".join(lines)


def _fine_change(name: str, before: Entry, after: Entry) -> str:
    """A change that the short text does not show: the reason only, or digits beyond the third."""
    if before.distribution == after.distribution and before.reason != after.reason:
        return f"~ {name}: {summary(before)}, the reason only: {before.reason!r} → {after.reason!r}"
    return f"~ {name}: {before.distribution} → {after.distribution}"


def _because(entry: Entry) -> str:
    return f"  ({entry.reason})" if entry.reason else ""


def _shape(plan: Plan, group: Group) -> str:
    shapes = {plan.requires[name].shape for name in group.names if name in plan.requires}
    if len(shapes) != 1:
        return "various" if shapes else ""
    return "×".join(map(str, shapes.pop())) or "scalar"


def _group_summary(group: Group) -> str:
    return " / ".join(dict.fromkeys(summary(entry) for entry in group.entries))


def _group_reason(group: Group) -> str:
    reasons = list(dict.fromkeys(entry.reason for entry in group.entries))
    return (
        reasons[0] if len(reasons) == 1 else f"{reasons[0]} … {reasons[-1]}" if len(reasons) == 2 else _common(reasons)
    )


def _common(reasons: Sequence[str]) -> str:
    """Reasons that differ in numbers only, with dots for the numbers; otherwise the first and how many more."""
    forms = {re.sub(r"\d+(\.\d+)?(e-?\d+)?", "…", reason) for reason in reasons}
    return forms.pop() if len(forms) == 1 else f"{reasons[0]} (and {len(reasons) - 1} more reasons)"


def _shorten(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    half = (most - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    others = sum(max(len(row[k]) for row in (heading, *rows)) + 2 for k in (1, 2))
    most = min(NAME_WIDTH, max(SHORT_NAME, width - others))
    rows = [(_shorten(row[0], most), *row[1:]) for row in rows]
    widths = [max(len(row[k]) for row in (heading, *rows)) for k in range(3)]
    taken = widths[0] + widths[1] + 4
    widths[2] = max(len(heading[2]), min(widths[2], width - taken - REASON - 2))  # what is longer reaches over the edge
    lines: list[str] = []
    for *cells, why in (heading, ["─" * w for w in (*widths, len(heading[-1]))], *rows):
        start = "  ".join(cell.ljust(w) for cell, w in zip(cells, widths, strict=True))
        if len(start) == taken + widths[2] and len(start) + 2 + len(why) <= width:
            lines.append(f"{start}  {why}".rstrip())
        else:
            lines += [start.rstrip(), *_wrapped(why, width, " " * 4, " " * 4)]
    return lines


def _wrapped(text: str, width: int, indent: str, first: str = "") -> list[str]:
    wrapper = textwrap.TextWrapper(max(width, 40), break_long_words=False, break_on_hyphens=False)
    wrapper.initial_indent, wrapper.subsequent_indent = first, indent
    return wrapper.wrap(text)
