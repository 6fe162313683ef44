"""A plan for a Flax NNX model from rules, by `plans.matching`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flax import nnx

from fanin.distributions import Constant, Distribution
from fanin.errors import FaninError, FaninValueError
from fanin.plans.jax.flax_params import find_params
from fanin.plans.jax.flax_slots import model_slots
from fanin.plans.matching import plan_from_rules
from fanin.plans.records import Plan
from fanin.rules import parse
from fanin.rules.rule import Rule
from fanin.slots import Axes, Slot
from fanin.traces.records import Trace


def plan_model(model: Any, rules: Any, *, seed: int = 0, axes: Mapping[str, str | Axes] | None = None) -> Plan:
    """See `fanin.jax.plan`."""
    slots = model_slots(model, axes)
    if not slots:
        raise FaninValueError(f"model={type(model).__name__} has no parameters (nnx.Param) to draw")
    vague: list[Slot] = []
    if isinstance(rules, Mapping):
        given = {key: _watched(value, vague) for key, value in rules.items()}
    else:
        given = {"*": _watched(rules, vague)}
    trace = Trace(
        framework="jax",
        model=type(model).__name__,
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
            f"the modules do not tell what the axes of these parameters mean: {listed}; say it by axes={{pattern: 'io'}}, "
            "or give them a rule that needs no fans"
        )
    return replace(made, notes=(*made.notes, *_notes(model)))


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

    @property
    def spec(self) -> str:
        return self.rule.spec


def _watched(value: Any, vague: list[Slot]) -> Any:
    if isinstance(value, str):
        value = parse(value)
    return _Watched(value, vague) if isinstance(value, Rule) else value


def _notes(model: Any) -> list[str]:
    """What of the model stands between a parameter and its effect, or is left out."""
    notes = []
    adapters = [place.names[0] for place in find_params(model) if isinstance(place.owner, nnx.LoRA)]
    if adapters:
        notes.append(f"{', '.join(adapters)} keep their values: an adapter starts from a product that is zero")
    for path, module in nnx.iter_modules(model):
        if isinstance(module, nnx.WeightNorm | nnx.SpectralNorm):
            name = ".".join(map(str, path)) or "the model"
            notes.append(
                f"the scale within {name} is fixed by {type(module).__name__}: the plan decides the direction only"
            )
    return notes
