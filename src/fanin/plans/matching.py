"""Rules matched to weights: `plan_from_rules`.

A key is a pattern over a weight's names, a module class, or both; the last match wins. What a key is *about* decides
what it says of biases and scales that it matches along with weights: a key that matches any weight is about weights,
and gives the biases and shifts beside them zeros and the scales of norms ones (that is what `"*"` and `nn.LayerNorm`
mean to a reader). A key that matches no weight is about the scales that it matches, and one that matches only biases
is about them; but `"*"` is about weights in a model of norms, too. A key whose last component is written out (`"*.bias"`) is
about biases by name.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from fanin.distributions import Constant, Distribution, ZeroRows
from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.names import canonical_names
from fanin.plans.completed import completed
from fanin.plans.context import in_context
from fanin.plans.fits import is_zero
from fanin.plans.records import Entry, Plan
from fanin.plans.requirements import placed
from fanin.rules import parse
from fanin.rules.requirement import Requirement
from fanin.rules.rule import FACTORIES
from fanin.slots import Slot, SlotRole
from fanin.traces.records import Trace

Key = str | type | tuple[str | type, ...]
Value = Distribution | Callable[[Slot], Distribution] | str | None

# What a key is about is the first of these groups that it matches.
BIASES: frozenset[SlotRole] = frozenset({"bias", "norm_shift"})
SCALES: frozenset[SlotRole] = frozenset({"norm_scale", "scale"})
# Weights whose axes may be unknown: a pattern that meets them by the way leaves them alone where its rule cannot serve them.
VAGUE: frozenset[SlotRole] = frozenset({"position", "unused", "opaque", "other"})
WILD = set("*?[")
EVERY = "*"
SHOWN = 3  # names in a note
UNREAL = "the type is {}, and only real floating-point weights are drawn"


def plan_from_rules(trace: Trace, rules: Mapping[Any, Any], seed: int = 0, model: Any = None) -> Plan:
    """A plan from rules that the user gives.

    Args:
        trace: the watched pass: slots and their names.
        rules: key → value. A key is an fnmatch pattern over all of a weight's names ("encoder.*.weight"), a module class,
            or a tuple of them that must all match. A value is a rule, a distribution, the spec of a rule
            ("he_normal(mode='fan_out')"), or None (keep the present values). The last key that matches wins. Biases and
            shifts beside weights get zeros and scales of norms ones, unless a key is about them ("*.bias",
            "*.norm.weight": no weight matches); other scales beside weights (LayerScale, a slope of PReLU) are left alone.
            The padding row of an embedding stays zero.
        seed: the plan's seed.
        model: the model, so that a class key matches subclasses too; without it classes match by name.

    Returns:
        A plan with an entry for every weight that a key matches; the others keep their present values.

    Raises:
        FaninValueError: a key matches nothing, a spec does not parse, or a rule cannot serve a weight that it is for.
        FaninTypeError: a key or a value is none of the above.
    """
    if not isinstance(rules, Mapping):
        raise FaninTypeError(
            f"rules={rules!r} cannot be used; accepted are a mapping such as {{'*': fanin.rules.he_normal()}}, and the name of "
            "a preset"
        )
    names = _all_names(trace)
    known = _Known(trace.slots, names, _owners(trace, names, model))
    keys = [_matched(key, value, known) for key, value in rules.items()]
    lost = [repr(k.shown) + _near(k.key, known) for k in keys if not k.slots]
    if lost:
        raise FaninValueError(f"rules: {', '.join(lost)} match{'es' * (len(lost) == 1)} no weight of the model")
    gathered = Gathered(trace)
    for slot in in_context(trace).values():
        if any(slot.name in k.slots for k in keys) and not is_weight_norm_scale(slot, trace):
            gathered.add(slot, _entry(slot, keys, trace), completed(_rule_for(slot, keys), slot, trace))
    return gathered.plan(seed)


class Gathered:
    """Entries, what rules require of the architecture, and reasons why weights are left, gathered weight by weight."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.entries: dict[str, Entry] = {}
        self.left: dict[str, list[str]] = {}  # why weights that a key matches are left as they are → their names
        self.needs: list[Requirement] = []

    def add(self, slot: Slot, entry: Entry | str | None, rule: Any) -> None:
        """One weight: its entry, or why it is left; `rule` says what it requires."""
        if isinstance(entry, Entry):
            self.entries[slot.name] = entry
            self.needs += rule.requires(slot) if hasattr(rule, "requires") else ()
        elif entry:
            self.left.setdefault(entry, []).append(slot.name)

    def plan(self, seed: int) -> Plan:
        """The plan; norms that are to be taken out have no entries."""
        slots = self.trace.slots
        needs = placed(self.trace, self.needs)
        gone = {need.where for need in needs if need.kind == "no_norm"}
        out = [s.name for s in slots if s.module in gone and s.role in ("norm_scale", "norm_shift")]
        entries = {name: entry for name, entry in self.entries.items() if name not in out}
        notes = [
            _note(names, f"keep{'s its' if len(names) == 1 else ' their'} values: {why}")
            for why, names in self.left.items()
        ]
        if out:
            notes.append(
                _note(
                    out,
                    f"{'is' if len(out) == 1 else 'are'} to be taken out with {'its norm' if len(gone) == 1 else 'their norms'}",
                )
            )
        return Plan.of(slots, entries, seed=seed, notes=notes, architecture=needs)


def _rule_for(slot: Slot, keys: "list[_Key]") -> Any:
    """The rule that is asked what it requires: also at scales beside its weights (norms to be taken out), but not at biases there."""
    matching = [k for k in keys if slot.name in k.slots]
    meant = [k for k in matching if k.is_about(slot)]
    return None if slot.role in BIASES and not meant else (meant or matching)[-1].value


def _note(names: list[str], why: str) -> str:
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return f"{shown} {why}"


@dataclass(frozen=True)
class _Known:
    """What keys are matched against: the slots, and for each one all of its names and the classes of its owners."""

    slots: tuple[Slot, ...]
    names: dict[str, tuple[str, ...]]
    owners: dict[str, frozenset[str]]


@dataclass(frozen=True)
class _Key:
    """One key with its value and the names of the slots that it matches."""

    key: tuple[str | type, ...]
    value: Value
    slots: frozenset[str]
    about: str

    @property
    def shown(self) -> str:
        return " and ".join(part if isinstance(part, str) else part.__name__ for part in self.key)

    def is_about(self, slot: Slot) -> bool:
        """Whether the value is meant for this slot, and not for the weights beside it."""
        if self.value is None or _group(slot) == self.about:
            return True
        last = next((p.rpartition(".")[2] for p in reversed(self.key) if isinstance(p, str)), "*")
        if _group(slot) == "biases":
            return not WILD & set(last)
        return any(isinstance(p, str) and not WILD & set(p) for p in self.key)


def _group(slot: Slot) -> str:
    return "biases" if slot.role in BIASES else "scales" if slot.role in SCALES else "weights"


def _entry(slot: Slot, keys: list[_Key], trace: Trace) -> Entry | str | None:
    """The entry of one slot; where it keeps its values, why (None where the user said so)."""
    matching = [k for k in keys if slot.name in k.slots]
    meant = [k for k in matching if k.is_about(slot)]
    key = (meant or matching)[-1]
    if meant and key.value is None:
        return None
    if not slot.dtype.startswith(("float", "bfloat")):
        return UNREAL.format(slot.dtype)
    value = completed(key.value, slot, trace)
    speed = lr_scale(value, slot)
    beside = _beside(slot, key, speed)
    if not meant:
        return beside or f"{key.shown!r} is about weights, and this is a scale outside of a norm; name it to draw it"
    assert value is not None
    try:
        distribution, spec = _distribution(value, slot)
    except FaninError as error:
        if beside and key.key == ("*",):  # one rule for all, and none of them is a weight: a model of norms
            return beside
        if slot.role in VAGUE and any(WILD & set(p) for p in key.key if isinstance(p, str)):
            rule = getattr(key.value, "spec", "the rule")
            return f"{rule} does not fit the role {slot.role!r}; name a rule of its own to draw it"
        raise type(error)(f"rules: {key.shown!r} cannot serve {slot.name}: {error}") from None
    except Exception as error:  # a user's own function of a slot may raise anything
        raise FaninTypeError(
            f"rules: {key.shown!r} is given {key.value!r}, which raised {type(error).__name__} for {slot.name}; "
            "a rule is a function from a Slot to a distribution, such as fanin.rules.he_normal()"
        ) from error
    distribution = keep_padding(slot, distribution)
    return Entry(distribution, f"{spec} for {key.shown!r}" if spec else f"given for {key.shown!r}", speed)


def _beside(slot: Slot, key: _Key, speed: float) -> Entry | None:
    """What a slot gets that stands beside weights: zeros for biases, ones for scales of norms; None for others."""
    if slot.role in BIASES:
        return Entry(Constant(0.0), f"zeros beside the weights of {key.shown!r}", speed)
    if slot.role == "norm_scale":
        law = as_stored(Constant(1.0), slot)
        what = "ones" if law.value == 1 else f"{law.value:g}, so that the factor is one,"
        return Entry(law, f"{what} beside the weights of {key.shown!r}", speed)
    return None


def as_stored(law: Constant, slot: Slot) -> Constant:
    """What a scale of a norm stores, so that the factor is `law`'s: less by what the norm adds to it."""
    return Constant(law.value - slot.offset) if slot.offset else law


def lr_scale(value: Any, slot: Slot) -> float:
    """The factor on the learning rate that a rule asks for this weight; 1 for what asks for none."""
    return value.lr_scale(slot) if hasattr(value, "lr_scale") else 1.0


def keep_padding(slot: Slot, distribution: Distribution) -> Distribution:
    """The distribution with an embedding's padding row left at zero."""
    if slot.padding_index is None or is_zero(distribution) or isinstance(distribution, ZeroRows):
        return distribution
    return ZeroRows(distribution, (slot.padding_index % slot.shape[0],))


def _distribution(value: Value, slot: Slot) -> tuple[Distribution, str]:
    if isinstance(value, Distribution):
        return value, ""
    assert callable(value)
    distribution = value(slot)
    if not isinstance(distribution, Distribution):
        raise FaninTypeError(f"the rule {value!r} gave {distribution!r}, but must give a distribution")
    return distribution, getattr(value, "spec", None) or getattr(value, "__name__", str(value))


def _matched(key: Any, value: Any, known: _Known) -> _Key:
    parts = key if isinstance(key, tuple) else (key,)
    if not parts or not all(isinstance(p, str | type) for p in parts):
        raise FaninTypeError(
            f"rules: the key {key!r} cannot be used; accepted are a pattern, a module class, or a tuple of both"
        )
    if isinstance(value, str):
        value = parse(value)
    if value is not None and not isinstance(value, Distribution) and not callable(value):
        raise FaninTypeError(
            f"rules: {key!r} is given {value!r}; accepted are a rule such as fanin.rules.he_normal(), a distribution, "
            "a text such as 'he_normal', or None to keep the present values"
        )
    if isinstance(value, type) or value in FACTORIES.values():
        raise FaninTypeError(
            f"rules: {key!r} is given {value!r} itself; call it, as in {getattr(value, '__name__', 'rule')}()"
        )
    slots = [s for s in known.slots if all(_matches(p, s, known) for p in parts)]
    groups = {_group(s) for s in slots}
    weights = (
        "weights" in groups or not groups or set(parts) == {EVERY}
    )  # of a model of norms, too: "*" is no name of a scale
    about = "weights" if weights else "scales" if "scales" in groups else "biases"
    return _Key(
        tuple(parts),
        value,  # type: ignore[arg-type]
        frozenset(s.name for s in slots),
        about,
    )


def _matches(part: str | type, slot: Slot, known: _Known) -> bool:
    if isinstance(part, str):
        return any(fnmatchcase(name, part) for name in known.names[slot.name])
    return not _class_names(part).isdisjoint(known.owners[slot.name])


def _all_names(trace: Trace) -> dict[str, tuple[str, ...]]:
    """All names of each slot, by its first one; the direction of a weight norm goes by the weight's own name too."""
    names = {s.name: tuple(dict.fromkeys((s.name, *s.names))) for s in trace.slots}
    short = canonical_names([name for group in names.values() for name in group])
    return {name: tuple(dict.fromkeys((*group, *(short[n] for n in group)))) for name, group in names.items()}


def _owners(trace: Trace, names: dict[str, tuple[str, ...]], model: Any) -> dict[str, frozenset[str]]:
    """For each slot, the class names of the modules that own it, with those of their base classes where the model is given."""
    owners = {s.name: {_bare_class(s.module_type)} for s in trace.slots}
    if model is None:
        return {name: frozenset(found) for name, found in owners.items()}
    parameters = [f"{path}.x" for path, _ in model.named_modules(remove_duplicate=False) if path]
    short: dict[str, str] = {
        raw.rpartition(".")[0]: bare.rpartition(".")[0] for raw, bare in canonical_names(parameters).items()
    }
    classes: dict[str, set[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        classes.setdefault(short.get(str(path), str(path)), set()).update(_qualified(c) for c in type(module).__mro__)
    for slot in trace.slots:
        modules = [name.rpartition(".")[0] for name in names[slot.name]]
        found = set().union(*(classes.get(path, set()) for path in (*modules, slot.module)))
        owners[slot.name] = found or owners[slot.name]
    return {name: frozenset(found) for name, found in owners.items()}


def _qualified(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _bare_class(name: str) -> str:
    return name.removeprefix("Parametrized")


def _class_names(kind: type) -> set[str]:
    """What a class goes by in `owners`: its full name, or, for traces without a model, its name and its subclasses'."""
    names, left = {_qualified(kind)}, [kind]
    while left:
        one = left.pop()
        names.add(one.__name__)
        left += one.__subclasses__() if one is not object and type(one) is type else []
    return names


def is_weight_norm_scale(slot: Slot, trace: Trace) -> bool:
    """Whether the slot is the scale of a weight norm, which `apply` sets together with the direction."""
    for scale, direction in ((".original0", ".original1"), ("weight_g", "weight_v")):
        if slot.name.endswith(scale):
            other = slot.name.removesuffix(scale) + direction
            return any(s.name == other for s in trace.slots)
    return False


def _near(key: tuple[str | type, ...], known: _Known) -> str:
    """The name that was perhaps meant, in brackets."""
    names = [name for group in known.names.values() for name in group]
    patterns = [p for p in key if isinstance(p, str)]
    close = difflib.get_close_matches(patterns[0], names, n=1) if patterns else []
    return f" (did you mean {close[0]!r}?)" if close else ""
