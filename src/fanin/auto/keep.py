"""Which weights are to keep their present values: patterns, frozen weights, pretrained ones."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fanin.errors import FaninTypeError, FaninValueError
from fanin.slots import Slot
from fanin.traces.records import Trace, WeightFacts

FRESH_KURTOSIS = ((1.8, 0.15), (2.37, 0.2), (3.0, 0.25))  # uniform, normal cut at two sigmas, normal; and tolerances
LEAST = 256  # elements below which a weight's values do not tell where they come from


@dataclass(frozen=True)
class Kept:
    """Names of slots to leave alone, and a note on each kind."""

    names: frozenset[str]
    notes: tuple[str, ...]


def kept(trace: Trace, keep: Iterable[str] | str) -> Kept:
    """The slots that `keep` names.

    Raises:
        FaninValueError: a pattern matches no weight.
        FaninTypeError: `keep` is not made of strings.
    """
    patterns = (keep,) if isinstance(keep, str) else tuple(keep)
    names: set[str] = set()
    notes: list[str] = []
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise FaninTypeError(
                f"keep={pattern!r} cannot be used; give patterns over weight names, 'pretrained' or 'frozen'"
            )
        found = _matching(trace, pattern)
        if not found and pattern not in ("pretrained", "frozen"):
            known = ", ".join(s.name for s in trace.slots[:3])
            raise FaninValueError(f"keep={pattern!r} matches no weight; the model has {known}, …")
        names |= {s.name for s in found}
        many = f"{len(found)} weight{'s' * (len(found) != 1)}"
        notes.append(f"{many} kept as asked (keep={pattern!r}).")
    return Kept(frozenset(names), tuple(notes))


def _matching(trace: Trace, pattern: str) -> list[Slot]:
    if pattern == "frozen":
        return [s for s in trace.slots if not s.trainable]
    if pattern == "pretrained":
        return _pretrained(trace)
    return [s for s in trace.slots if any(fnmatchcase(n, pattern) for n in (s.name, *s.names))]


def _pretrained(trace: Trace) -> list[Slot]:
    """Slots of modules with a weight whose values no initializer draws; frozen ones too."""
    worn = {s.module for s in trace.slots if _worn(s, trace.weights.get(s.name))}
    return [s for s in trace.slots if s.module in worn or not s.trainable]


def _worn(slot: Slot, facts: WeightFacts | None) -> bool:
    """Whether a matrix has neither the kurtosis of a fresh draw nor an exact structure (orthogonal, mirrored, constant)."""
    if facts is None or slot.role not in ("weight", "recurrent", "embedding") or facts.sampled < LEAST:
        return False
    structured = (
        facts.constant or facts.zeros > 0.2 or facts.mirrored_in or facts.mirrored_out or facts.orthogonality < 0.3
    )
    doubt = 4 * (24 / facts.sampled) ** 0.5
    return not structured and all(abs(facts.kurtosis - k) > tolerance + doubt for k, tolerance in FRESH_KURTOSIS)
