"""Where on its activation a deep plain chain should work: how large the signal is, and what carries it.

The signal of a chain comes through an activation f in one of three ways:

* *paired*: units come in pairs, and the next layer sees o(u) = f(u) - f(-u), the odd part of f, without mean;
* *single*: f is odd by itself (tanh), or its odd part is too weak to hand anything on (abs);
* *centred*: f is odd about a constant (sigmoid): the next layer's weights sum to zero over its inputs, so that it sees
  f - f(0), with all units, where pairs would be redundant.

φ is what is handed on (o, f, or f - f(0)), q the second moment of the signal before it. A layer keeps a part
1 - η(q) = E[φ(u) u]² / (q E[φ(u)²]) of the signal's power as a linear image of what came in (Stein's lemma), and turns
the rest into a new function of it. In a chain of L layers the parts multiply, so L η(q) measures how far the whole chain
is from a linear net, where gradients and signals are isometric at any depth. η grows with q for a smooth φ, which
asks for a small signal; but where f(0) is not 0, a small signal drowns in the constant. So: the largest useful q with
L η(q) under a budget.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fanin.activations import Activation, quadrature, table_points

Array = NDArray[np.float64]
Carrier = Literal["paired", "single", "centred"]

BUDGET = 0.5  # of L η(q): half of the power may become nonlinear on the way (measured: .1 to 1 train alike)
CONSTANT_SHARE = (
    0.02  # of the power: a larger signal is chosen as long as it takes this much more off the constant part
)
SMALLEST, LARGEST = 1e-4, 9.0  # bounds of q
GRID = tuple(float(q) for q in np.geomspace(SMALLEST, LARGEST, 95))
STEEP = 2.0  # slope of o from which weights would have to be smaller than those of an isometry
GENTLE = math.sqrt(2)  # slope that a bias may leave (measured for SELU × 100: 1.6 .94, 1.4 .97)
BIASES = tuple(side * k / 4 for k in range(1, 9) for side in (-1, 1))
LARGER = (1.0, 1.5, 2.25, 4.0, 6.25, 9.0)  # candidates above the usual second moment of 1


@dataclass(frozen=True)
class Through:
    """What becomes of a Gaussian signal of second moment q on its way through an activation.

    Attributes:
        carried: E[φ²], of what is handed on.
        curved: η, the part of the carried power that is not a linear image of the signal.
        slope: E[φ'²].
        power: E[f²], what a gradient of the next weight is multiplied by.
        own_slope: E[f'²], of the activation itself.
        constant: E[f]² / E[f²], the part of the power that is the same for every input.
    """

    carried: float
    curved: float
    slope: float
    power: float
    own_slope: float
    constant: float


@functools.lru_cache(maxsize=4096)
def through(f: Activation, carrier: Carrier, q: float) -> Through:
    """The moments of f, and of what is handed on, for a signal u ~ N(0, q)."""
    nodes, weights = quadrature()
    scale = math.sqrt(q)
    u, h = nodes * scale, 1e-3 * scale
    phi = _handed_on(f, carrier)
    with np.errstate(over="ignore", invalid="ignore"):
        y, own = phi(u), f(u)
        slope, own_slope = (phi(u + h) - phi(u - h)) / (2 * h), (f(u + h) - f(u - h)) / (2 * h)
        carried, power, mean = float(weights @ y**2), float(weights @ own**2), float(weights @ own)
        linear = float(weights @ (y * nodes))
    curved = 1 - linear**2 / carried if carried > 0 else 1.0
    return Through(
        carried=carried,
        curved=min(max(curved, 0.0), 1.0) if math.isfinite(curved) else 1.0,
        slope=float(weights @ slope**2),
        power=power,
        own_slope=float(weights @ own_slope**2),
        constant=mean**2 / power if power > 0 else 0.0,
    )


def _handed_on(f: Activation, carrier: Carrier) -> Callable[[Array], Array]:
    if carrier == "paired":
        return f.odd
    if carrier == "single":
        return f
    middle = float(f(np.zeros(1))[0])
    return lambda u: f(u) - middle


@functools.lru_cache(maxsize=256)
def carrier_of(f: Activation) -> Carrier:
    """How a chain should hand a signal through f."""
    u = table_points()
    even = f(u) + f(-u)
    middle = float(f(np.zeros(1))[0])
    if np.allclose(even, 2 * middle, rtol=1e-4, atol=1e-6):
        return "single" if abs(middle) < 1e-6 else "centred"
    if through(f, "paired", 1.0).carried < 1e-6 * through(f, "paired", 1.0).power:
        return "single"  # an even function has no odd part
    least = min(through(f, "paired", q).curved for q in (0.01, 0.1, 1.0))
    return "paired" if least < through(f, "single", 1.0).curved else "single"


@functools.lru_cache(maxsize=1024)
def working_point(f: Activation, carrier: Carrier, layers: int) -> float:
    """The second moment q of the signal before f at which a chain of this many such layers should work.

    Args:
        f: the activation.
        carrier: how its signal is handed on.
        layers: how many layers of the chain meet it.
    """
    within = [q for q in (*LARGER, *reversed(GRID)) if layers * through(f, carrier, q).curved <= BUDGET]
    if not within:
        return _least_harm(f, carrier)
    larger = [q for q in LARGER if q in within]
    if not larger:
        return within[0]
    floor = min(through(f, carrier, q).constant for q in larger) + CONSTANT_SHARE
    return next(q for q in larger if through(f, carrier, q).constant <= floor)


@functools.lru_cache(maxsize=256)
def gentler(f: Activation, layers: int) -> tuple[Activation, float]:
    """f with a bias before it, and that bias, where pairs of f are steep; f itself and 0 elsewhere.

    Weights that undo a steep o are small, and a step of training turns small weights more: a factor s on f acts as a
    learning rate s² times as large. A bias b moves both units of a pair to where f is less steep, u ± f(b ± u); their
    difference stays odd, and f(b) cancels. SELU has a slope of 2.8 for o, of 1.3 with a bias of -1.
    """
    if _steepness(f, working_point(f, "paired", layers)) <= 1.01 * STEEP:
        return f, 0.0
    for bias in BIASES:
        moved = Activation.tabulated(functools.partial(_moved, f, bias), f"{f} at {bias:g}")
        if carrier_of(moved) != "paired":
            continue
        q = working_point(moved, "paired", layers)
        if layers * through(moved, "paired", q).curved <= BUDGET and _steepness(moved, q) <= GENTLE:
            return moved, bias
    return f, 0.0


def _moved(f: Activation, bias: float, u: Array) -> Array:
    return f(u + bias)


def _steepness(f: Activation, q: float) -> float:
    """The slope of o for a signal of second moment q, as the root of what it makes of the power."""
    return math.sqrt(through(f, "paired", q).carried / q)


def _least_harm(f: Activation, carrier: Carrier) -> float:
    """Where no signal stays within the budget: the q at which gradients neither grow nor shrink (the edge of chaos).

    χ(q) = q E[φ'²] / E[φ²] is 1 there; of several such points, as for a homogeneous f, the one nearest to 1.
    """

    def harm(q: float) -> tuple[float, float]:
        t = through(f, carrier, q)
        chi = q * t.slope / t.carried if t.carried > 0 else math.inf
        return (round(abs(math.log(chi)), 2) if 0 < chi < math.inf else math.inf, abs(math.log(q)))

    return min((q for q in (1.0, *GRID) if q >= 0.01), key=harm)
