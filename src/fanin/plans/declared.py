"""Plans from what layers declare of their own weights, without a watched pass, for any framework.

A layer's kind tells what the axes of its kernel mean. Where it does not, the slot has none, and one error names every weight
whose rule would need them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fanin.activations import Activation
from fanin.distributions import Constant, Distribution
from fanin.errors import FaninError, FaninValueError
from fanin.plans.branches import Branch, on_branches, placed_on, told_branches
from fanin.plans.matching import plan_from_rules
from fanin.plans.presets import Preset, find, is_preset, plan_from_preset
from fanin.plans.presets.unwatched import refuse_unseen
from fanin.plans.records import Plan
from fanin.plans.requirements import asked, of_each_branch
from fanin.rules import parse
from fanin.rules.requirement import Requirement
from fanin.rules.rule import ALIASES, FACTORIES, Rule
from fanin.slots import Slot
from fanin.traces.records import Trace

UNSEEN = (
    "no pass saw which activations stand within the residual branches: a rule that makes up for the activation before a weight counts "
    "none there"
)


@dataclass(frozen=True)
class Followed:
    """What a model's structure tells of the activation behind a module.

    Attributes:
        site: where it is computed; "" where there is none.
        activation: which it is; None where that is not known, or there is none.
    """

    site: str = ""
    activation: Activation | None = None


def declared_plan(
    slots: tuple[Slot, ...],
    rules: Any,
    *,
    seed: int,
    framework: str,
    model: str,
    branches: Any = None,
    followed: Mapping[str, Followed] | None = None,
) -> Plan:
    """A plan for slots that layers declared.

    Args:
        slots: in the model's order.
        rules: as `plan_from_rules` takes them; or one rule, distribution or text for all weights; or a preset or its name, where no
            rule has that name.
        seed: the plan's.
        framework: such as "jax".
        model: class name of the model.
        branches: the modules of each residual branch, as `told_branches` takes them; None where nobody says it: then what a rule
            requires of branches is required of each, wherever they are.
        followed: path of a module → what the model's structure tells of the activation behind it.

    Raises:
        FaninValueError: no slots, weights that need axes but have none (all are listed), a preset that needs what only a watched pass
            tells, and what `told_branches` and `plan_from_rules` raise.
    """
    if not slots:
        raise FaninValueError(f"model={model} has no parameters to draw")
    told: tuple[Branch, ...] = () if branches is None else told_branches(branches, slots)
    slots, known = on_branches(slots, told), followed or {}
    trace = Trace(
        framework=framework,
        model=model,
        parameters=sum(slot.size for slot in slots),
        ops=(),
        slots=slots,
        weights={},
        residuals=(),
        inputs=(),
        loss=None,
        backward="none",
        training=True,
    )
    preset = _preset(rules)
    vague: list[Slot] = []
    if preset is not None:
        refuse_unseen(preset, slots, branches is not None)
        made = plan_from_preset(trace, preset, seed)
    else:
        each = rules if isinstance(rules, Mapping) else {"*": rules}
        given = {key: _watched(value, vague, branches is None, known) for key, value in each.items()}
        made = plan_from_rules(trace, given, seed)
    if vague:
        listed = "; ".join(f"{s.name} of shape {s.shape} in {s.module_type or 'a container'}" for s in vague)
        raise FaninValueError(
            f"the layers do not tell what the axes of these weights mean: {listed}; say it by axes={{pattern: 'io'}}, "
            "or give them a rule that needs no fans"
        )
    needs = placed_on(made.architecture, told, slots, {path: f.site for path, f in known.items()})
    return replace(made, architecture=needs, notes=(*made.notes, *_notes(slots, told)))


def _preset(rules: Any) -> Preset | None:
    """The preset that is meant; a name that is also a rule's is the rule, where that needs nothing more to be said ("mup" does)."""
    if isinstance(rules, Preset):
        return rules
    if not isinstance(rules, str) or not is_preset(rules):
        return None
    name = rules.partition("(")[0].strip()
    if name not in FACTORIES and name not in ALIASES:
        return find(rules)
    try:
        parse(rules)
    except FaninError:
        if "(" in rules:
            raise
        return find(rules)
    return None


def _notes(slots: Sequence[Slot], told: Sequence[Branch]) -> list[str]:
    known = {slot.name: slot for slot in slots}
    inner = [n for b in told for n in [n for n in b.slots if known[n].role == "weight"][1:]]
    return [UNSEEN] if any(known[name].input_activation is None for name in inner) else []


@dataclass
class _Watched:
    """A rule as a model without a watched pass asks it.

    It notes which slots it cannot serve for want of axes, so that one error can name them all; and what it would require of a
    residual branch or an activation that nobody sees, the plan requires, too: else it would be a plan that does not do what
    the rule promises.
    """

    rule: Rule
    vague: list[Slot] = field(repr=False)
    untold: bool
    followed: Mapping[str, Followed] = field(repr=False)

    def __call__(self, slot: Slot) -> Distribution:
        try:
            return self.rule(slot)
        except FaninError:
            if slot.axes is not None or len(slot.shape) < 2:
                raise
            self.vague.append(slot)
            return Constant(0.0)

    def requires(self, slot: Slot) -> tuple[Requirement, ...]:
        """What the rule requires, with what it would require if this weight ended a branch, or met an activation."""
        after = self.followed.get(slot.module)
        seen = slot if after is None or slot.activation is not None else replace(slot, activation=after.activation)
        found = self.rule.requires(seen)
        kinds = {need.kind for need in found}
        if self.untold:
            found += of_each_branch(self.rule, seen)
        if seen.activation is None and (after is None or after.site) and "activation" not in kinds:
            more = asked(self.rule, replace(slot, activation=Activation.named("tanh")))
            found += tuple(Requirement("activation", slot.name) for n in more if n.kind == "activation")
        return found

    def __getattr__(self, label: str) -> Any:
        """What else the rule says of itself: its spec, the learning rate that it asks for."""
        return getattr(self.__dict__["rule"], label)


def _watched(value: Any, vague: list[Slot], untold: bool, followed: Mapping[str, Followed]) -> Any:
    if isinstance(value, str):
        value = parse(value)
    return _Watched(value, vague, untold, followed) if isinstance(value, Rule) else value


def einsum_axes(equation: str | None) -> str | None:
    """The axes of the second operand of an einsum: contracted ones are inputs, ones shared by all three stacked blocks.

    Args:
        equation: such as "BTNH,NHD->BTD"; None where it is known only when the layer is called.

    Returns:
        A spec as `Axes.parse` takes; None where the equation does not tell.

    Example:
        >>> einsum_axes("BTNH,NHD->BTD"), einsum_axes("ETD,EDF->ETF"), einsum_axes("...d,df->...f")
        ('iio', 'sio', 'io')
    """
    if equation is None:
        return None
    operands, _, result = equation.replace(" ", "").partition("->")
    inputs, _, kernel = operands.partition(",")
    if not kernel or "." in kernel or len(set(kernel)) != len(kernel):
        return None
    return "".join("i" if c not in result else "s" if c in inputs else "o" for c in kernel)
