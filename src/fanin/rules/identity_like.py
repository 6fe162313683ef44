"""Identities that reach every unit of layers that widen or narrow: Hadamard (ZerO) and padded (IDInit)."""

import math

import numpy as np

from fanin.distributions import Constant, Distribution, Formula, Identity
from fanin.draws.layout import block_shape, to_blocks
from fanin.errors import FaninValueError
from fanin.formulas import Places, formula
from fanin.rules.arguments import finite_check, number_check
from fanin.rules.fans import axes_of, fan
from fanin.rules.places import standing
from fanin.rules.promise import Array, Promise, spectrum, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot


def _matrix(slot: Slot, name: str) -> Axes:
    axes = axes_of(slot, name)
    roles = {factor.role for axis in axes.factors for factor in axis}
    if not {"out", "in"} <= roles:
        raise FaninValueError(
            f"{name} cannot fill {slot.name!r} of shape {slot.shape}: it takes a weight with an out and an in axis, but the axes "
            f"are {axes.spec!r}"
        )
    fan(slot, "fan_geo_avg", name)  # raises where an axis has no elements
    return axes


@formula
def hadamard_signs(places: Places, shape: tuple[int, ...], axes: Axes) -> Array:
    """(-1)^(ones that the binary numbers of output and input share) on the centre tap, else 0 (Sylvester's matrix)."""
    where = standing(places, axes)
    shared = np.bitwise_and(where.out, where.in_)
    for step in (32, 16, 8, 4, 2, 1):  # parity of the bits
        shared = shared ^ (shared >> step)
    signs: Array = 1.0 - 2.0 * (shared & 1).astype(np.float64)
    for tap, size in where.field:
        signs = signs * (tap == size // 2)
    return signs


@formula
def padded_identity(places: Places, shape: tuple[int, ...], axes: Axes) -> Array:
    """1 where output and input (taps included) are alike modulo the smaller of both sides, else 0."""
    where = standing(places, axes)
    column = where.in_ * axes.receptive_field + where.tap
    side = min(axes.size("out"), axes.size("in") * axes.receptive_field)
    return (where.out % side == column % side).astype(np.float64)


def _power(slot: Slot, axes: Axes) -> int:
    """The side of the Hadamard matrix."""
    _, out, in_, _ = block_shape(axes)
    side = max(out, in_)
    if side & (side - 1):
        raise FaninValueError(
            f"hadamard cannot fill {slot.name!r}: its larger side is {side}, and Hadamard matrices are drawn for powers of 2; "
            "zero_hadamard() cuts a larger one"
        )
    return side


@rule(
    promise=lambda slot, gain: (_power(slot, _matrix(slot, "hadamard")), spectrum(gain))[1:],
    checks={"gain": finite_check},
    samples=({}, {"gain": 2.0}),
)
def hadamard(slot: Slot, gain: float = 1.0) -> Distribution:
    """A Hadamard matrix: orthogonal, without chance, and every input reaches every output with the same weight.

    Formula:
        W = gain · H / √n on the centre tap, H[j, i] = (-1)^(bits that j and i share), n the larger of in and out

    Args:
        gain: the singular value.

    Raises:
        FaninValueError: where the larger of in and out is no power of 2, and for a weight without both.

    Promise:
        All singular values are gain.

    Paper:
        Sylvester 1867; as an initializer Zhao, Schäfer & Anandkumar 2022, "ZerO initialization", section 3.

    Example:
        >>> from fanin import draws
        >>> draws.draw(hadamard(), (4, 4), seed=0, name="w").tolist()[1]
        [0.5, -0.5, 0.5, -0.5]
    """
    axes = _matrix(slot, "hadamard")
    return Formula("hadamard_signs", (), axes, gain / math.sqrt(_power(slot, axes)))


def _in_last_place(slot: Slot) -> bool:
    return slot.residual is not None and slot.residual.last


def _zero_promise(slot: Slot) -> tuple[Promise, ...]:
    axes = _matrix(slot, "zero_hadamard")
    _, out, in_, _ = block_shape(axes)
    share = 0.0 if _in_last_place(slot) else 1.0 if out <= in_ else out / 2 ** math.ceil(math.log2(out))

    def sizes(weight: Array, slot: Slot) -> float:
        """The furthest any input's weights are from the promised sum of squares (over inputs that are heard)."""
        squares = np.sum(to_blocks(weight, axes) ** 2, axis=(1, 3))[:, : min(out, in_)]
        return float(np.abs(squares - share).max())

    promised = (values(0.0, sizes, f"each input's weights have {share:.4g} for their sum of squares", 1e-5),)
    return (*promised, spectrum(1.0)) if share == 1 else promised


@rule(aliases=("zer_o",), promise=_zero_promise)
def zero_hadamard(slot: Slot) -> Distribution:
    """ZerO: zeros and ones only. The identity where a layer keeps or narrows, a Hadamard matrix where it widens, no chance.

    A cut identity alone would leave the new units of a wider layer alike for ever (theorem 1 of the paper); the Hadamard matrix
    tells them apart. For sizes that are no power of 2 a larger matrix is cut: each input then keeps out / 2^⌈log₂ out⌉ of its
    size, as in the paper's code (a third is lost from 32 to 85 units). The last weight of a residual branch is zero.

    Formula:
        in ≥ out: W = I (cut);   in < out: W = I H I / 2^(m/2), m = ⌈log₂ out⌉, I cut to out × 2^m and 2^m × in;   on the centre tap

    Raises:
        FaninValueError: for a weight without an in and an out axis.

    Promise:
        The weights of every input have the sum of squares 1 (out / 2^⌈log₂ out⌉ where the layer widens, 0 at a branch's end);
        where that is 1, all singular values are 1.

    Paper:
        Zhao, Schäfer & Anandkumar 2022, "ZerO initialization: initializing neural networks with only zeros and ones", algorithm 1
        and 2.

    Example:
        >>> from fanin import draws
        >>> draws.draw(zero_hadamard(), (4, 2), seed=0, name="w").tolist()
        [[0.5, 0.5], [0.5, -0.5], [0.5, 0.5], [0.5, -0.5]]
    """
    axes = _matrix(slot, "zero_hadamard")
    if _in_last_place(slot):
        return Constant(0.0)
    _, out, in_, _ = block_shape(axes)
    if out <= in_:
        return Identity(axes)
    return Formula("hadamard_signs", (), axes, 2.0 ** (-math.ceil(math.log2(out)) / 2))


def _id_promise(slot: Slot, tau: float, epsilon: float) -> tuple[Promise, ...]:
    axes = _matrix(slot, "idinit")
    size = epsilon if _in_last_place(slot) else tau
    _, out, in_, field = block_shape(axes)

    def copies(weight: Array, slot: Slot) -> float:
        """Of the matrix (out × in · taps): rank short of full, and how unequally inputs are copied or outputs filled."""
        if not size:
            return float(np.abs(weight).max())
        matrix = to_blocks(weight, axes).reshape(-1, out, in_ * field) / size
        gram = (
            np.einsum("soi,sou->siu", matrix, matrix)
            if out >= in_ * field
            else np.einsum("soi,sui->sou", matrix, matrix)
        )
        longer, shorter = max(out, in_ * field), gram.shape[1]
        diagonal = np.einsum("sii->si", gram)
        off = np.abs(gram - np.einsum("si,ij->sij", diagonal, np.eye(shorter))).max()
        return float(max(off, np.abs(diagonal - longer / shorter).max() - 1.0, 0.0))

    return (
        values(0.0, copies, "full rank; every input is copied, or every output filled, equally often up to one", 1e-5),
    )


@rule(
    promise=_id_promise,
    checks={
        "tau": number_check("a finite number", lambda x: True),
        "epsilon": number_check("a finite number of at least 0", lambda x: x >= 0),
    },
)
def idinit(slot: Slot, tau: float = 1.0, epsilon: float = 1e-6) -> Distribution:
    """IDInit: the identity, repeated until it fills a layer that widens or narrows; nearly zero at the end of a residual branch.

    A cut identity has zero rows or columns, whose units stay without a signal or a gradient; the repeated one has full rank and
    none. A convolution is taken as the matrix out × (in · taps), the taps of one input side by side, so that neighbouring outputs look
    at different taps. (The paper reshapes so too; in which order its columns run could not be read.)

    Formula:
        W[j, c] = τ where j ≡ c mod min(out, in · taps), else 0; the last weight of a residual branch has ε in place of τ

    Args:
        tau: τ, size of the identity.
        epsilon: ε, of a branch's last weight: small but not zero, so that no unit is dead.

    Raises:
        FaninValueError: for a weight without an in and an out axis.

    Promise:
        The matrix out × (in · taps) has full rank, and orthogonal rows or columns; each input is copied, or each output filled,
        equally often up to one.

    Paper:
        Pan et al. 2025, "IDInit: a universal and stable initialization method for neural network training", section 3.

    Example:
        >>> from fanin import draws
        >>> draws.draw(idinit(), (3, 2), seed=0, name="w").tolist()
        [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    return Formula("padded_identity", (), _matrix(slot, "idinit"), epsilon if _in_last_place(slot) else tau)
