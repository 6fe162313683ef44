"""Rules that draw a random orthogonal matrix."""

import math

from fanin.activations import Activation
from fanin.distributions import DeltaOrthogonal, Distribution, Orthogonal
from fanin.draws.layout import block_shape
from fanin.rules.arguments import Nonlinearity
from fanin.rules.fans import axes_of, fan, gain_of
from fanin.rules.promise import Promise, forward, spectrum
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot


def _isometric(
    slot: Slot, gain: float | None, nonlinearity: Activation | None, scale_out: bool, delta: bool
) -> tuple[Promise, ...]:
    """All singular values alike; and the mean square of an output, where each input meets each output once."""
    axes = _filled(slot, "orthogonal")
    size = gain_of("orthogonal", gain, nonlinearity)
    _, out, in_, field = block_shape(axes)
    columns = in_ if delta else in_ * field
    value = size * (math.sqrt(max(1.0, out / columns)) if scale_out else 1.0)
    found: tuple[Promise, ...] = (spectrum(value),)
    if field == 1:
        share = 1.0 if scale_out else min(1.0, columns / out)
        found += (forward(share * (1.0 if nonlinearity else size**2), nonlinearity),)
    return found


def _promise(slot: Slot, gain: float | None, nonlinearity: Activation | None, scale_out: bool) -> tuple[Promise, ...]:
    return _isometric(slot, gain, nonlinearity, scale_out, delta=False)


def _delta_promise(
    slot: Slot, gain: float | None, nonlinearity: Activation | None, scale_out: bool
) -> tuple[Promise, ...]:
    return _isometric(slot, gain, nonlinearity, scale_out, delta=True)


SAMPLES = ({}, {"nonlinearity": "relu", "scale_out": True})


@rule(promise=_promise, samples=SAMPLES)
def orthogonal(
    slot: Slot, gain: float | None = None, nonlinearity: Nonlinearity = None, scale_out: bool = False
) -> Distribution:
    """A random orthogonal matrix (Haar): all singular values equal, so that no direction of the signal dies in depth.

    The matrix is (out) × (in · receptive field); rectangular ones have orthonormal rows or columns; stacked blocks
    (gates, experts, groups) get one matrix each.

    Formula:
        W = gain · Q, QᵀQ = I or QQᵀ = I

    Args:
        gain: the singular value (1 where nothing is said).
        nonlinearity: instead of `gain`: the activation whose exact gain to take.
        scale_out: multiply by sqrt(max(1, out / in)), which keeps the mean square per unit where a layer widens.

    Promise:
        All singular values are gain (times sqrt(out / in) where a layer widens, with `scale_out`).

    Paper:
        Saxe, McClelland & Ganguli 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
        networks"; Martens et al. 2021, "Rapid training of deep neural networks without skip connections or
        normalization layers using deep kernel shaping" (`scale_out`, there with the same square root).

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> q = draws.draw(orthogonal(), (64, 64), seed=0, name="w", dtype="float64")
        >>> bool(abs(q @ q.T - np.eye(64)).max() < 1e-12)
        True
    """
    return Orthogonal(_filled(slot, "orthogonal"), gain_of("orthogonal", gain, nonlinearity), scale_out)


@rule(promise=_delta_promise, samples=SAMPLES)
def delta_orthogonal(
    slot: Slot, gain: float | None = None, nonlinearity: Nonlinearity = None, scale_out: bool = False
) -> Distribution:
    """A convolution that is a random orthogonal matrix on its centre tap and zero elsewhere: exact isometry over space.

    On a dense weight it is the same as `orthogonal`.

    Formula:
        W[:, :, centre] = gain · Q, all other taps 0

    Args:
        gain: the singular value (1 where nothing is said).
        nonlinearity: instead of `gain`: the activation whose exact gain to take.
        scale_out: multiply by sqrt(max(1, out / in)), which keeps the mean square per unit where a layer widens.

    Promise:
        All singular values are gain (times sqrt(out / in) where a layer widens, with `scale_out`).

    Paper:
        Xiao et al. 2018, "Dynamical isometry and a mean field theory of CNNs: how to train 10,000-layer vanilla
        convolutional neural networks".

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> w = draws.draw(delta_orthogonal(), (8, 8, 3, 3), seed=0, name="conv.weight", axes="oikk", dtype="float64")
        >>> bool(abs(w[:, :, 1, 1] @ w[:, :, 1, 1].T - np.eye(8)).max() < 1e-12), int((w != 0).sum())
        (True, 64)
    """
    return DeltaOrthogonal(
        _filled(slot, "delta_orthogonal"), gain_of("delta_orthogonal", gain, nonlinearity), scale_out
    )


@rule(
    aliases=("suo",),
    promise=lambda slot, gain, nonlinearity: _isometric(slot, gain, nonlinearity, True, delta=True),
    samples=({}, {"nonlinearity": "tanh"}),
)
def scaled_uniform_orthogonal(slot: Slot, gain: float | None = None, nonlinearity: Nonlinearity = None) -> Distribution:
    """The weights of deep kernel shaping: orthogonal, on the centre tap of a convolution, scaled up where a layer widens.

    The same as `delta_orthogonal(scale_out=True)`. Each unit then has the mean square of the units before, whatever the widths.

    Formula:
        W[:, :, centre] = gain · max(√(out / in), 1) · Q, all other taps 0

    Args:
        gain: factor on the singular value (1 where nothing is said).
        nonlinearity: instead of `gain`: the activation whose exact gain to take.

    Promise:
        All singular values are gain · max(√(out / in), 1), and E[y²] = gain² E[x²].

    Paper:
        Martens et al. 2021, "Rapid training of deep neural networks without skip connections or normalization layers using
        deep kernel shaping", section 2 (SUO distribution). The `dks` package's PyTorch face reads a Linear's (out, in) as
        (in, out), so that its E[y²] is off by in / out squared.

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> w = draws.draw(scaled_uniform_orthogonal(), (64, 16), seed=0, name="w", dtype="float64")
        >>> np.linalg.svd(w, compute_uv=False).round(6)[[0, -1]].tolist()
        [2.0, 2.0]
    """
    size = gain_of("scaled_uniform_orthogonal", gain, nonlinearity)
    return DeltaOrthogonal(_filled(slot, "scaled_uniform_orthogonal"), size, scale_out=True)


def _filled(slot: Slot, rule: str) -> Axes:
    fan(slot, "fan_geo_avg", rule)  # raises where an axis is unknown or has no elements
    return axes_of(slot, rule)
