"""Inits with something added: `default+forget_bias`, `he_normal+zero_gamma`, `default+normal(std=0.01)@head`.

The first part starts the whole model; each further one draws the weights that its rule is for, or those that stand behind the @.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fanin.errors import FaninError, FaninValueError
from fanin.lab.specs import split_outside
from fanin.rules.recurrent import COUNT
from fanin.rules.rule import Rule
from fanin.slots import Slot


@dataclass(frozen=True)
class Place:
    """Some weights of a model.

    Attributes:
        words: what they are, in the plural.
        holds: whether a weight is one of them.
    """

    words: str
    holds: Callable[[Slot], bool]


PLACES: dict[str, Place] = {
    "weights": Place("weights", lambda s: s.role in ("weight", "recurrent")),
    "biases": Place("biases", lambda s: s.role == "bias"),
    "gate_biases": Place("biases of recurrent layers with gates", lambda s: s.role == "bias" and s.parts in COUNT),
    "recurrent": Place("weights from state to state", lambda s: s.role == "recurrent"),
    "first": Place("weights of first layers", lambda s: s.role == "weight" and s.depth == 1),
    "head": Place("weights of the head", lambda s: s.role == "weight" and s.head),
    "head_bias": Place("biases of the head", lambda s: s.role == "bias" and s.head),
    "branch_ends": Place(
        "last weights of residual branches",
        lambda s: s.role == "weight" and s.residual is not None and s.residual.last,
    ),
    "norm_scales": Place("scales of norms", lambda s: s.role == "norm_scale"),
    "scales": Place("scales of residual branches", lambda s: s.role == "scale" and s.residual is not None),
    "embeddings": Place("embeddings", lambda s: s.role == "embedding"),
    "positions": Place("weights of positions", lambda s: s.role == "position"),
}

# What rules that are not for whole models are for. Scalars that a rule of "scales" requires are put into the model.
MEANT_FOR: dict[str, str] = {
    "forget_bias": "gate_biases",
    "chrono": "gate_biases",
    "linspace_bias": "gate_biases",
    "irnn": "recurrent",
    "gate_blocks": "recurrent",
    "class_prior": "head_bias",
    "focal_prior": "head_bias",
    "zero_gamma": "norm_scales",
    "rezero": "scales",
    "skipinit": "scales",
    "layer_scale": "scales",
    "embedding_normal": "embeddings",
    "embedding_uniform": "embeddings",
    "embedding_scaled": "embeddings",
    "embedding_tied": "embeddings",
    "learned_positions": "positions",
    "sinusoid": "positions",
}
_PART = re.compile(r"\s*(?P<rule>[A-Za-z_]\w*\s*(?:\(.*\))?)\s*(?:@\s*(?P<where>[^@()]+?)\s*)?", re.DOTALL)


@dataclass(frozen=True)
class Addition:
    """A rule, and the weights that it draws.

    Attributes:
        rule: that draws them.
        where: a word of `PLACES`, or a pattern over names.
    """

    rule: Rule
    where: str

    @property
    def words(self) -> str:
        """What it draws, for messages."""
        return PLACES[self.where].words if self.where in PLACES else f"weights named {self.where!r}"

    def holds(self, slot: Slot) -> bool:
        """Whether it draws this weight."""
        if self.where in PLACES:
            return PLACES[self.where].holds(slot)
        return any(fnmatchcase(name, self.where) for name in (slot.name, *slot.names))


def split_additions(text: str) -> list[str]:
    """The parts of an init's text at its plus signs, those in brackets aside; one part where it is no sum.

    Example:
        >>> split_additions("default+forget_bias(value=1e+0)+zeros@head")
        ['default', 'forget_bias(value=1e+0)', 'zeros@head']
        >>> split_additions("plans/a+b.json")
        ['plans/a+b.json']
    """
    parts = split_outside(text, "+")
    if len(parts) == 1 or not all(_PART.fullmatch(part) for part in parts[1:]):
        return [text]
    return [part.strip() for part in parts]


def parse_addition(text: str, whole: str) -> Addition:
    """The addition that one part of an init's text says.

    Args:
        text: "rule" or "rule@where".
        whole: text of the whole init, for messages.

    Raises:
        FaninValueError: the rule is unknown, the place is, or the rule is for whole models and no place is given.

    Example:
        >>> parse_addition("zero_gamma", "he_normal+zero_gamma").words
        'scales of norms'
    """
    from fanin.rules import registry

    found = _PART.fullmatch(text)
    if found is None:
        raise FaninValueError(f"inits has {whole!r}, where {text!r} does not parse; write rule or rule@where")
    try:
        rule = registry.parse(found["rule"].strip())
    except FaninError as error:
        raise FaninValueError(f"inits has {whole!r}, where {text!r} cannot be added: {error}") from error
    where = found["where"] or MEANT_FOR.get(rule.name)
    if where is None:
        raise FaninValueError(
            f"inits has {whole!r}, but {rule.name} is for whole models, so that nothing would be left of what it is added to; "
            f"say for which weights, as in {rule.name}@head (accepted are {', '.join(PLACES)}, and patterns over names)"
        )
    if where not in PLACES and where.isidentifier():
        close = difflib.get_close_matches(where, PLACES, 1)
        if close:
            raise FaninValueError(f"inits has {whole!r}, where {where!r} is unknown; did you mean {close[0]!r}?")
    return Addition(rule, where)
