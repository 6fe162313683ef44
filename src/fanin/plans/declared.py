"""Plans from what layers declare of their own weights, without a watched pass, for any framework.

A layer's kind tells what the axes of its kernel mean. Where it does not, the slot has none, and one error names every weight
whose rule would need them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fanin.distributions import Constant, Distribution
from fanin.errors import FaninError, FaninValueError
from fanin.plans.matching import plan_from_rules
from fanin.plans.records import Plan
from fanin.rules import parse
from fanin.rules.rule import Rule
from fanin.slots import Slot
from fanin.traces.records import Trace


def declared_plan(slots: tuple[Slot, ...], rules: Any, *, seed: int, framework: str, model: str) -> Plan:
    """A plan for slots that layers declared.

    Args:
        slots: in the model's order.
        rules: as `plan_from_rules` takes them; or one rule, distribution or text for all weights.
        seed: the plan's.
        framework: such as "jax".
        model: class name of the model.

    Raises:
        FaninValueError: no slots, weights that need axes but have none (all are listed), and what `plan_from_rules` raises.
    """
    if not slots:
        raise FaninValueError(f"model={model} has no parameters to draw")
    vague: list[Slot] = []
    each = rules if isinstance(rules, Mapping) else {"*": rules}
    given = {key: _watched(value, vague) for key, value in each.items()}
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
    made = plan_from_rules(trace, given, seed)
    if vague:
        listed = "; ".join(f"{s.name} of shape {s.shape} in {s.module_type or 'a container'}" for s in vague)
        raise FaninValueError(
            f"the layers do not tell what the axes of these weights mean: {listed}; say it by axes={{pattern: 'io'}}, "
            "or give them a rule that needs no fans"
        )
    return made


@dataclass
class _Watched:
    """A rule that notes which slots it cannot serve for want of axes, so that one error can name them all."""

    rule: Rule
    vague: list[Slot] = field(repr=False)

    def __call__(self, slot: Slot) -> Distribution:
        try:
            return self.rule(slot)
        except FaninError:
            if slot.axes is not None or len(slot.shape) < 2:
                raise
            self.vague.append(slot)
            return Constant(0.0)

    def __getattr__(self, label: str) -> Any:
        """What else the rule says of itself: its spec, what it requires, the learning rate that it asks for."""
        return getattr(self.__dict__["rule"], label)


def _watched(value: Any, vague: list[Slot]) -> Any:
    if isinstance(value, str):
        value = parse(value)
    return _Watched(value, vague) if isinstance(value, Rule) else value


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
