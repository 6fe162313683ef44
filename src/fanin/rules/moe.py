"""Mixtures of experts: a router that starts almost undecided, and experts with fans of their own."""

import math

from fanin.distributions import Distribution, NormalBetween
from fanin.errors import FaninValueError
from fanin.rules.arguments import number_check
from fanin.rules.blocks import inner_check
from fanin.rules.fans import axes_of, fan
from fanin.rules.promise import Promise, forward, law
from fanin.rules.registry import parse
from fanin.rules.rule import rule
from fanin.slots import Slot

KEPT = math.sqrt(
    1.0 - 2 * 2.0 * math.exp(-2.0) / math.sqrt(2.0 * math.pi) / math.erf(math.sqrt(2.0))
)  # .8796, of a cut at 2 σ


def _router_promise(slot: Slot, scale: float) -> tuple[Promise, ...]:
    size, axes = fan(slot, "fan_in", "router"), axes_of(slot, "router")
    std = KEPT * math.sqrt(scale / size)
    return forward(std**2 * axes.fan_in), law(std)


@rule(
    aliases=("switch_router",),
    promise=_router_promise,
    checks={"scale": number_check("a finite number above 0", lambda x: x > 0)},
    samples=({}, {"scale": 1.0}),
)
def router(slot: Slot, scale: float = 0.1) -> Distribution:
    """The Switch transformer's rule, meant for routers: a tenth of LeCun's variance, cut at two deviations.

    With logits of deviation .28 every expert gets nearly its share at the start. The paper draws *all* weights of the model so, and found
    the tenth to make large models stable; the rule can be given to them too. Its deviation is that before the cut, so the numbers have
    .88 of it.

    Formula:
        W ~ N(0, scale / fan_in), given |W| ≤ 2 √(scale / fan_in)

    Args:
        scale: 1 is the transformer's usual one.

    Raises:
        FaninValueError: for a weight without inputs.

    Promise:
        E[y²] = .774 · scale · E[x²].

    Paper:
        Fedus, Zoph & Shazeer 2022, "Switch transformers", section 2.4, table 3.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(router(), (8, 1000), seed=0, name="router.weight")
        >>> bool(abs(w).max() <= 0.02), round(float(w.std()), 4)
        (True, 0.0088)
    """
    std = math.sqrt(scale / fan(slot, "fan_in", "router"))
    return NormalBetween(std, -2.0 * std, 2.0 * std)


def _own(slot: Slot) -> Slot:
    """The slot, where its axes say that it stacks blocks."""
    axes = axes_of(slot, "experts")
    if axes.size("stack") < 2 or slot.parts == "groups":
        raise FaninValueError(
            f"experts cannot fill {slot.name!r} of shape {slot.shape} (axes {axes.spec!r}); it takes a weight that stacks experts, such as "
            "'sio' for (experts, in, out)"
        )
    return slot


@rule(
    promise=lambda slot, inner: parse(inner).promises(_own(slot)),
    checks={"inner": inner_check},
    samples=({}, {"inner": "orthogonal"}),
)
def experts(slot: Slot, inner: str = "he_normal") -> Distribution:
    """Experts stacked in one weight, (experts, in, out): each drawn as a weight of its own.

    Read from the shape, torch's fan_in of (8, 512, 2048) is a million, and JAX's LeCun rule is too small by √8 unless told the batch axis.
    Traced weights know their stack; a bare tensor needs axes, "sio" or "soi".

    Formula:
        W_e ~ inner(expert e)

    Args:
        inner: spec of the rule for each expert.

    Raises:
        FaninValueError: for a weight without stacked experts, or where the rule cannot serve one.

    Promise:
        That of the inner rule, for each expert.

    Paper:
        None; fans per expert as in the rule that is given (Shazeer et al. 2017 draw each expert as a layer of its own).

    Example:
        >>> from fanin import draws
        >>> round(float(draws.draw(experts(), (4, 50, 80), seed=0, name="w1", axes="sio").std()), 2)     # √(2 / 50)
        0.2
    """
    return parse(inner)(_own(slot))
