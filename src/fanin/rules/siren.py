"""Networks with sines for activations (SIREN)."""

import math

from fanin.distributions import Distribution, Uniform
from fanin.rules.arguments import choice_check, number_check
from fanin.rules.fans import axes_of, fan
from fanin.rules.promise import Promise, backward, forward, law
from fanin.rules.rule import rule
from fanin.slots import Slot

VERSIONS = ("code", "paper")
_above_0 = number_check("a finite number above 0", lambda x: x > 0)


def _moments(slot: Slot, variance: float) -> tuple[Promise, ...]:
    axes = axes_of(slot, "siren")
    return forward(variance * axes.fan_in), backward(variance * axes.fan_out), law(math.sqrt(variance))


def _hidden(slot: Slot, omega: float) -> tuple[Promise, ...]:
    """The size of ω (W x) for inputs that are sines of Gaussian numbers large against π, of second moment ½."""
    return _moments(slot, 2.0 / (omega**2 * fan(slot, "fan_in", "siren")))


def _first(slot: Slot, version: str) -> tuple[Promise, ...]:
    n = fan(slot, "fan_in", "siren_first")
    return _moments(slot, 1.0 / (3.0 * n**2) if version == "code" else 2.0 / n)


@rule(promise=_hidden, checks={"omega": _above_0}, samples=({}, {"omega": 1.0}))
def siren(slot: Slot, omega: float = 30.0) -> Distribution:
    """The weights behind the first layer of a network of sines: each sine's argument is then a Gaussian of about size 1.

    Two forms are published. In the paper's text, hidden layers are sin(W x + b) and only the first has ω₀ = 30: use omega=1.
    In its supplement (section 1.5) and its code every layer is sin(ω (W x + b)): use the ω of the layers, 30 as a rule. Both
    start the same functions; with ω in the layer its gradients, and so the steps of training, are ω times larger.

    The paper's theorem has arguments of variance 1 at every depth, from sines of second moment ½. A sine of N(0, 1) has 0.432, so
    that the variance settles where q = 1 - exp(-2q): at 0.797. (`he_uniform("sin")` holds it at 1.)

    Formula:
        W ~ U(-b, b), b = √(6 / fan_in) / ω

    Args:
        omega: the factor ω that the layer multiplies its pre-activation with; 1 where it has none.

    Promise:
        E[(ω y)²] = 2 E[x²]: 1 for inputs that are sines spread over all phases (E[x²] = ½).

    Paper:
        Sitzmann, Martel, Bergman, Lindell & Wetzstein 2020, "Implicit neural representations with periodic activation
        functions", section 3.2, and supplement, theorem 1.8 and section 1.5.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(siren(), (256, 600), seed=0, name="net.1.weight")
        >>> round(float(abs(w).max()) * 30, 2)
        0.1
    """
    return Uniform(math.sqrt(6.0 / fan(slot, "fan_in", "siren")) / omega)


@rule(promise=_first, checks={"version": choice_check(VERSIONS)}, samples=({}, {"version": "paper"}))
def siren_first(slot: Slot, version: str = "code") -> Distribution:
    """The first layer of a network of sines, over coordinates between -1 and 1.

    The layer computes sin(ω₀ (W x + b)) with ω₀ = 30, so that the sine runs through many periods over the data.

    Formula:
        W ~ U(-b, b), b = 1 / fan_in ("code", and the supplement) or √(6 / fan_in) ("paper": the text's rule for all layers)

    Args:
        version: which of the two published forms. With 2 coordinates, b is 0.5 or 1.73.

    Promise:
        E[y²] = E[x²] / (3 fan_in) ("code") or 2 E[x²] ("paper").

    Paper:
        Sitzmann, Martel, Bergman, Lindell & Wetzstein 2020, "Implicit neural representations with periodic activation
        functions", section 3.2, and the authors' code (`first_layer_sine_init`).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(siren_first(), (256, 2), seed=0, name="net.0.weight")
        >>> round(float(abs(w).max()), 1)
        0.5
    """
    n = fan(slot, "fan_in", "siren_first")
    return Uniform(1.0 / n if version == "code" else math.sqrt(6.0 / n))
