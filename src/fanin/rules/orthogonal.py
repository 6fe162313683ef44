"""Rules that draw a random orthogonal matrix."""

from fanin.distributions import DeltaOrthogonal, Distribution, Orthogonal
from fanin.rules.arguments import Nonlinearity
from fanin.rules.fans import axes_of, fan, gain_of
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot


@rule()
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


@rule()
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


def _filled(slot: Slot, rule: str) -> Axes:
    fan(slot, "fan_geo_avg", rule)  # raises where an axis is unknown or has no elements
    return axes_of(slot, rule)
