"""Rules that reshape the activations of a deep net besides drawing its weights: deep kernel shaping and tailored activations."""

from collections.abc import Callable

from fanin.activations import Activation
from fanin.distributions import DeltaOrthogonal, Distribution
from fanin.draws.layout import block_shape
from fanin.errors import FaninValueError
from fanin.reshaping import Reshaped, shaped, tailored, tailored_leaky
from fanin.rules.arguments import Nonlinearity, number_check, whole_check
from fanin.rules.fans import axes_of, fan
from fanin.rules.promise import Promise, forward, spectrum
from fanin.rules.requirement import Requirement
from fanin.rules.rule import rule
from fanin.slots import Slot

RECTIFIERS = ("relu", "leaky_relu", "prelu")


def _depth(slot: Slot, name: str, depth: int | None) -> int:
    """Number of activations in a row."""
    if depth is not None:
        return depth
    if slot.chain is None or slot.chain.length < 2:
        raise FaninValueError(
            f"{name}: {slot.name!r} is not part of a traced plain chain, so the number of activations in a row is not known; give "
            "depth"
        )
    return slot.chain.length - 1


def _met(slot: Slot, nonlinearity: Activation | None) -> Activation | None:
    """The activation behind the layer; None where there is none: a watched pass has seen it, whatever `nonlinearity` says (a head)."""
    watched = slot.chain is not None or slot.op is not None
    return slot.activation and (nonlinearity or slot.activation) if watched else nonlinearity or slot.activation


def _size(slot: Slot, name: str) -> float:
    """The singular value of the weight."""
    fan(slot, "fan_geo_avg", name)
    _, out, in_, _ = block_shape(axes_of(slot, name))
    return max(1.0, out / in_) ** 0.5


def _promises(slot: Slot, name: str, g: Reshaped | None) -> tuple[Promise, ...]:
    axes = axes_of(slot, name)
    promised = (spectrum(_size(slot, name)),)
    if axes.receptive_field > 1:
        return promised
    return (*promised, forward(1.0, g.activation if g else None))


def _needs(slot: Slot, solved: Callable[[], Reshaped | None]) -> tuple[Requirement, ...]:
    """The activation behind a weight; biases and scales beside it stand before the same one, and ask for nothing themselves."""
    g = solved() if slot.role == "weight" else None
    return () if g is None else (Requirement("activation", slot.name, g.gain, g.spec),)


def _dks(slot: Slot, slope: float, nonlinearity: Activation | None, depth: int | None) -> Reshaped | None:
    f, layers = _met(slot, nonlinearity), _depth(slot, "dks", depth)
    return None if f is None else shaped(f, slope ** (1.0 / layers))


@rule(
    promise=lambda slot, slope, nonlinearity, depth: _promises(slot, "dks", _dks(slot, slope, nonlinearity, depth)),
    requires=lambda slot, slope, nonlinearity, depth: _needs(slot, lambda: _dks(slot, slope, nonlinearity, depth)),
    checks={"slope": number_check("a finite number above 1", lambda x: x > 1), "depth": whole_check(1, optional=True)},
    samples=({"depth": 20}, {"depth": 50, "nonlinearity": "tanh"}),
)
def dks(slot: Slot, slope: float = 1.5, nonlinearity: Nonlinearity = None, depth: int | None = None) -> Distribution:
    """Deep kernel shaping: scaled orthogonal weights, and activations reshaped so that a deep net keeps apart what it is shown.

    The net's correlation map has slope `slope` at 1 (how fast like inputs part), takes 0 to 0, and every layer keeps the size
    of its signal, to first order even where that size is off. The activation becomes gain · (f(scale x + shift) + offset); its
    four numbers are solved for (`fanin.reshaping.shaped`). For ReLU a leaky ReLU is solved for, as the authors advise.

    Formula:
        W[:, :, centre] = max(√(out / in), 1) · Q, and f reshaped to Q(1) = Q'(1) = 1, C(0) = 0, C'(1) = slope^(1 / depth)

    Args:
        slope: ζ, C'(1) of the whole net, above 1.
        nonlinearity: f; where nothing is said, the activation that the trace found.
        depth: number of activations in a row; where nothing is said, that of the traced chain. In a net with branches, the most on
            any path.

    Raises:
        FaninValueError: where the depth is not known, or no four numbers reshape the activation so.

    Promise:
        All singular values are max(√(out / in), 1), and E[y²] = 1 for inputs that came through the reshaped activation.

    Requires:
        The activation behind the layer is reshaped: the requirement's detail says how (`fanin.reshaping.Reshaped.parse`).

    Paper:
        Martens et al. 2021, "Rapid training of deep neural networks without skip connections or normalization layers using deep
        kernel shaping", sections 6 and 8.

    Example:
        >>> from fanin.slots import Axes, Slot
        >>> slot = Slot("0.weight", (64, 64), "float32", "weight", axes=Axes.parse("oi", (64, 64)))
        >>> dks(nonlinearity="tanh", depth=50).requires(slot)[0].detail[:27]
        'reshaped(tanh, scale=0.1284'
    """
    _depth(slot, "dks", depth)
    _size(slot, "dks")
    return DeltaOrthogonal(axes_of(slot, "dks"), scale_out=True)


def _tat(
    slot: Slot, curve: float, correlation: float, nonlinearity: Activation | None, depth: int | None
) -> Reshaped | None:
    f, layers = _met(slot, nonlinearity), _depth(slot, "tat", depth)
    if f is None:
        return None
    return tailored_leaky(layers, correlation) if f.name in RECTIFIERS else tailored(f, curve / layers)


@rule(
    promise=lambda slot, curve, correlation, nonlinearity, depth: _promises(
        slot, "tat", _tat(slot, curve, correlation, nonlinearity, depth)
    ),
    requires=lambda slot, curve, correlation, nonlinearity, depth: _needs(
        slot, lambda: _tat(slot, curve, correlation, nonlinearity, depth)
    ),
    checks={
        "curve": number_check("a finite number above 0", lambda x: x > 0),
        "correlation": number_check("a number between 0 and 1, both excluded", lambda x: 0 < x < 1),
        "depth": whole_check(1, optional=True),
    },
    samples=({"depth": 30}, {"depth": 50, "nonlinearity": "softplus"}),
)
def tat(
    slot: Slot,
    curve: float = 0.3,
    correlation: float = 0.9,
    nonlinearity: Nonlinearity = None,
    depth: int | None = None,
) -> Distribution:
    """Tailored activations: scaled orthogonal weights, and activations so tailored that like inputs neither part nor collapse.

    For smooth activations the net's correlation map has slope 1 at 1 and the curvature `curve`; the activation becomes
    gain · (f(scale x + shift) + offset). For ReLU the slope of a leaky ReLU is solved for, so that the net takes uncorrelated
    inputs to `correlation`. (`fanin.reshaping.tailored`, `tailored_leaky`.)

    Formula:
        W[:, :, centre] = max(√(out / in), 1) · Q, and f reshaped to Q(1) = Q'(1) = C'(1) = 1, C''(1) = curve / depth;
        for ReLU: leaky ReLU of slope α times √(2 / (1 + α²)), C(…C(0)) = correlation

    Args:
        curve: τ, C''(1) of the whole net, above 0 (smooth activations).
        correlation: η, what the net makes of a correlation of 0 (ReLU and leaky ReLU).
        nonlinearity: f; where nothing is said, the activation that the trace found.
        depth: number of activations in a row; where nothing is said, that of the traced chain.

    Raises:
        FaninValueError: where the depth is not known, the activation has a kink (but for ReLUs), or the target has no solution (a
            few ReLUs do not reach a correlation of 0.9).

    Promise:
        All singular values are max(√(out / in), 1), and E[y²] = 1 for inputs that came through the reshaped activation.

    Requires:
        The activation behind the layer is reshaped: the requirement's detail says how (`fanin.reshaping.Reshaped.parse`).

    Paper:
        Zhang, Botev & Martens 2022, "Deep learning without shortcuts: shaping the kernel with tailored rectifiers", sections 3
        and 4.

    Example:
        >>> from fanin.slots import Axes, Slot
        >>> slot = Slot("0.weight", (64, 64), "float32", "weight", axes=Axes.parse("oi", (64, 64)))
        >>> tat(nonlinearity="relu", depth=50).requires(slot)[0].detail[:25]
        'reshaped(leaky_relu(0.430'
    """
    _depth(slot, "tat", depth)
    _size(slot, "tat")
    return DeltaOrthogonal(axes_of(slot, "tat"), scale_out=True)
