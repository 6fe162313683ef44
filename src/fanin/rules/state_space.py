"""State-space layers: HiPPO's matrix, its normal-plus-low-rank form (S4), and the diagonal ones after it (S4D).

The parameters are those that the layers store: logs of decays, frequencies, vectors in the basis of the eigenvectors. Arrays are
(…, N) for a real state and (…, N / 2) for a complex one, of which one number of each conjugate pair is kept.
"""

import functools
import math

import numpy as np

from fanin.distributions import Distribution, Formula
from fanin.errors import FaninValueError
from fanin.formulas import Places, formula
from fanin.rules.arguments import choice_check, finite_check, flag_check
from fanin.rules.mamba import ABOVE_0, check_order, log_uniform, steps_promise
from fanin.rules.places import standing
from fanin.rules.promise import Array, Promise, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot

KINDS = ("lin", "inv", "real", "legs")
PARTS = ("log_real", "real", "imag")
VECTORS = ("low_rank", "input")


def legs_matrix(n: int) -> Array:
    """HiPPO-LegS: A of x'(t) = A x(t) / t + B u(t) / t, whose state holds u's Legendre coefficients over all of its past. (n, n)."""
    root = np.sqrt(2.0 * np.arange(n) + 1.0)
    below: Array = np.tril(np.outer(root, root), -1)
    return -(below + np.diag(np.arange(1.0, n + 1.0)))


@functools.lru_cache(maxsize=32)
def legs_waves(pairs: int) -> tuple[Array, Array]:
    """The normal part of HiPPO-LegS for a state of 2 · pairs numbers: frequencies (falling), and |V* p| of the low-rank vector.

    A + p pᵀ = -½ I + S with S skew-symmetric, p_n = √(n + ½). The phase of each eigenvector is free; it is chosen so that V* p is real
    and positive, which makes V* B = √2 · V* p real too.
    """
    n = 2 * pairs
    low_rank = np.sqrt(np.arange(n) + 0.5)
    skew = legs_matrix(n) + np.outer(low_rank, low_rank) + 0.5 * np.eye(n)
    found, vectors = np.linalg.eigh(-1j * skew)
    order = np.argsort(-found)[:pairs]
    return found[order], np.abs(vectors[:, order].conj().T @ low_rank)


@formula
def legs_transition(places: Places, shape: tuple[int, ...], axes: Axes | None) -> Array:
    """HiPPO-LegS by output (row) and input (column)."""
    if axes is None:
        row, column = places[-2], places[-1]
    else:
        where = standing(places, axes)
        row, column = where.out, where.in_
    below = np.sqrt((2.0 * row + 1.0) * (2.0 * column + 1.0))
    return np.asarray(-np.where(row > column, below, np.where(row == column, row + 1.0, 0.0)), dtype=np.float64)


@formula
def legs_input(places: Places, shape: tuple[int, ...], axes: Axes | None) -> Array:
    """√(2n + 1) along the last axis."""
    return np.sqrt(2.0 * places[-1] + 1.0)


@formula
def diagonal_states(places: Places, shape: tuple[int, ...], axes: Axes | None, kind: float, part: float) -> Array:
    """One part of S4D's eigenvalues along the last axis."""
    index, pairs = places[-1], shape[-1]
    name, wanted = KINDS[int(kind)], PARTS[int(part)]
    if wanted == "imag":
        match name:
            case "lin":
                return np.asarray(math.pi * index, dtype=np.float64)
            case "inv":
                return np.asarray(2 * pairs / math.pi * (2 * pairs / (2.0 * index + 1.0) - 1.0), dtype=np.float64)
            case "legs":
                return legs_waves(pairs)[0][index]
            case _:
                return np.zeros(index.shape)
    decay = np.asarray(index + 1.0 if name == "real" else np.full(index.shape, 0.5), dtype=np.float64)
    return np.log(decay) if wanted == "log_real" else -decay


@formula
def legs_vectors(places: Places, shape: tuple[int, ...], axes: Axes | None, which: float, complex_: float) -> Array:
    """V* p or V* B of S4 along the axis of the states; with a last axis for real and imaginary parts the latter are zero."""
    axis = -2 if complex_ else -1
    made: Array = legs_waves(shape[axis])[1][places[axis]] * (math.sqrt(2.0) if VECTORS[int(which)] == "input" else 1.0)
    return np.asarray(made * (places[-1] == 0) if complex_ else made, dtype=np.float64)


def _square(slot: Slot) -> Axes | None:
    """The axes that say which is out and which is in; None where the last two say it by their order."""
    axes, shape = slot.axes, slot.shape
    roles = {f.role for axis in axes.factors for f in axis} if axes is not None else set()
    by_axes = {"out", "in"} <= roles
    sides = (axes.size("out"), axes.size("in")) if by_axes and axes is not None else shape[-2:]
    if len(sides) != 2 or sides[0] != sides[1] or not sides[0] or "field" in roles:
        raise FaninValueError(
            f"hippo_legs cannot fill {slot.name!r} of shape {shape}; it takes a square matrix from state to state (or several)"
        )
    return axes if by_axes else None


def _transition_promise(slot: Slot, gain: float) -> tuple[Promise, ...]:
    axes = _square(slot)

    def error(weight: Array, slot: Slot) -> float:
        """The matrix plus its low-rank part, against a normal one: (A + p pᵀ + ½ I) and its transpose cancel."""
        from fanin.draws.layout import to_blocks

        blocks = weight.reshape(-1, *weight.shape[-2:]) if axes is None else to_blocks(weight, axes)[..., 0]
        n = blocks.shape[-1]
        low_rank = np.sqrt(np.arange(n) + 0.5)
        skew = blocks / (gain or 1.0) + np.outer(low_rank, low_rank) + 0.5 * np.eye(n)
        return float(np.abs(skew + skew.swapaxes(-1, -2)).max())

    if not gain:
        return (values(0.0, lambda weight, slot: float(np.abs(weight).max()), "every number is 0"),)
    n = slot.shape[-1]
    return (
        values(
            0.0,
            error,
            "A + p pᵀ is -½ plus a skew-symmetric matrix: all of its eigenvalues have the real part -½",
            1e-5 * n,
        ),
    )


@rule(promise=_transition_promise, checks={"gain": finite_check})
def hippo_legs(slot: Slot, gain: float = 1.0) -> Distribution:
    """HiPPO-LegS: the state holds the Legendre coefficients of all of its past.

    Formula:
        A[n, k] = -√((2n + 1)(2k + 1)) for n > k, -(n + 1) for n = k, 0 for n < k

    Args:
        gain: factor, such as a step size.

    Raises:
        FaninValueError: for a weight that is no square matrix.

    Promise:
        A is normal plus a matrix of rank one: A + p pᵀ = -½ I + S, p_n = √(n + ½), S skew-symmetric; A's eigenvalues are -1 … -N.

    Paper:
        Gu, Dao, Ermon, Rudra & Ré 2020, "HiPPO: recurrent memory with optimal polynomial projections", theorem 2; Gu, Goel & Ré 2022,
        "Efficiently modeling long sequences with structured state spaces", theorem 1.

    Example:
        >>> from fanin import draws
        >>> (draws.draw(hippo_legs(), (3, 3), seed=0, name="A") ** 2).round(3).tolist()
        [[1.0, 0.0, 0.0], [3.0, 4.0, 0.0], [5.0, 15.0, 9.0]]
    """
    return Formula("legs_transition", (), _square(slot), gain)


def _rank(slot: Slot, rule: str, least: int = 1) -> None:
    if len(slot.shape) < least or 0 in slot.shape:
        needed = (
            "a last axis of states" if least == 1 else "an axis of states and a last one of real and imaginary parts"
        )
        raise FaninValueError(f"{rule} cannot fill {slot.name!r} of shape {slot.shape}; it takes {needed}")


def _input_promise(slot: Slot, gain: float) -> Promise:
    _rank(slot, "hippo_legs_input")

    def error(weight: Array, slot: Slot) -> float:
        """A + Aᵀ = -I - B Bᵀ: what comes in is balanced by what decays."""
        rows = weight.reshape(-1, weight.shape[-1])
        matrix = legs_matrix(rows.shape[1])
        wanted = gain**2 * (-(matrix + matrix.T) - np.eye(len(matrix)))
        unlike = float(np.abs(rows - rows[0]).max())
        return max(unlike, float(np.abs(np.outer(rows[0], rows[0]) - wanted).max()))

    return values(0.0, error, "A + Aᵀ = -I - B Bᵀ with HiPPO-LegS's A", 1e-5 * gain**2 * slot.shape[-1])


@rule(promise=_input_promise, checks={"gain": finite_check})
def hippo_legs_input(slot: Slot, gain: float = 1.0) -> Distribution:
    """HiPPO-LegS's input vector, beside `hippo_legs`.

    Formula:
        B[…, n] = √(2n + 1)

    Args:
        gain: factor.

    Raises:
        FaninValueError: for a weight without axes or elements.

    Promise:
        A + Aᵀ = -I - B Bᵀ.

    Paper:
        Gu, Dao, Ermon, Rudra & Ré 2020, theorem 2.

    Example:
        >>> from fanin import draws
        >>> (draws.draw(hippo_legs_input(), (4,), seed=0, name="B") ** 2).round(3).tolist()
        [1.0, 3.0, 5.0, 7.0]
    """
    _rank(slot, "hippo_legs_input")
    return Formula("legs_input", (), None, gain)


def _s4d_promise(slot: Slot, kind: str, part: str) -> tuple[Promise, ...]:
    _rank(slot, "s4d")
    n = slot.shape[-1]

    def rows(weight: Array) -> Array:
        return weight.reshape(-1, n)

    def sums(weight: Array, slot: Slot) -> float:
        decays = np.exp(rows(weight)) if part == "log_real" else -rows(weight)
        return float(np.abs(decays.sum(axis=1) / wanted - 1.0).max())

    if part != "imag":
        # of n states all, or of n conjugate pairs the share of the normal part
        wanted = -np.trace(legs_matrix(n)) if kind == "real" else n / 2.0
        return (
            values(
                0.0,
                sums,
                "the decays add up to those of HiPPO's matrix (of its normal part where they are complex)",
                1e-5,
            ),
        )
    return (_waves_promise(kind, n),)


def _waves_promise(kind: str, n: int) -> Promise:
    """What is promised of the frequencies."""
    if kind == "lin":
        return values(
            0.0,
            lambda weight, slot: float(np.abs(np.exp(2j * weight) - 1.0).max()),
            "every state makes whole turns in a time of 2: a Fourier basis",
            1e-5 * n,
        )
    if kind == "real":
        return values(0.0, lambda weight, slot: float(np.abs(weight).max()), "no state turns")
    exact, _ = legs_waves(n)

    def against_hippo(weight: Array, slot: Slot) -> float:
        """The fastest state's frequency over that of HiPPO-LegS's normal part."""
        return float((weight.reshape(-1, n).max(axis=1) / exact[0]).mean())

    def energy(weight: Array, slot: Slot) -> float:
        """Σ of squared frequencies over ‖A + p pᵀ + ½ I‖² of HiPPO-LegS, which they share with no rounding of eigenvectors."""
        half = np.sqrt(np.arange(2 * n) + 0.5)
        skew = np.tril(np.outer(half, half), -1)
        return float((2.0 * weight.reshape(-1, n) ** 2).sum(axis=1).mean() / (2.0 * (skew**2).sum()))

    if kind == "legs":
        return values(1.0, energy, "frequencies of the size of HiPPO's normal part", 1e-5)
    return values(1.0, against_hippo, "the fastest state turns like HiPPO's, asymptotically", 0.25 if n > 1 else 1.0)


@rule(
    promise=_s4d_promise,
    checks={"kind": choice_check(KINDS), "part": choice_check(PARTS)},
    samples=({"kind": "real"}, {"part": "real"}, *({"kind": kind, "part": "imag"} for kind in KINDS)),
)
def s4d(slot: Slot, kind: str = "lin", part: str = "log_real") -> Distribution:
    """S4D's diagonal states, in the parameters that its layers store: the log of the decays, and the frequencies.

    S4 of state-spaces stores `A_real` (its log) and `A_imag`, positive, one of each conjugate pair: (H, N / 2); S4D-Real has N real
    states and no frequencies. The decays of Mamba are S4D-Real's (`mamba_a_log`).

    Formula:
        A_n = -½ ± i ω_n, n = 0 … N / 2 - 1
        lin: ω = π n;   inv: ω = (N / π) (N / (2n + 1) - 1);   legs: frequencies of the normal part of HiPPO-LegS, falling
        real: A_n = -(n + 1)

    Args:
        kind: "lin", "inv", "real" or "legs".
        part: what this weight holds: "log_real" (log of the decay), "real" (minus the decay) or "imag" (ω).

    Raises:
        FaninValueError: for a weight without axes or elements.

    Promise:
        lin: e^(At) is a Fourier basis over a time of 2, under a decay of ½; inv: the fastest state turns like that of HiPPO-LegS's
        normal part as N grows; legs: the frequencies are those; real: the decays are HiPPO-LegS's eigenvalues.

    Paper:
        Gu, Gupta, Goel & Ré 2022, "On the parameterization and initialization of diagonal state space models", section 4; code
        `state-spaces/s4`.

    Example:
        >>> from fanin import draws
        >>> [round(float(w), 4) for w in draws.draw(s4d("inv", "imag"), (2,), seed=0, name="A_imag")]     # N = 4
        [3.8197, 0.4244]
    """
    _rank(slot, "s4d")
    return Formula("diagonal_states", (float(KINDS.index(kind)), float(PARTS.index(part))))


def _dplr_promise(slot: Slot, vector: str, complex_pairs: bool) -> tuple[Promise, ...]:
    _rank(slot, "dplr", 2 if complex_pairs else 1)
    n = slot.shape[-2] if complex_pairs else slot.shape[-1]

    def energy(weight: Array, slot: Slot) -> float:
        """Squared size of the vector, both of each pair counted, over that in HiPPO's own basis (V is unitary)."""
        squares = 2.0 * np.square(weight).reshape(-1, weight.shape[-1] * (n if complex_pairs else 1)).sum(axis=1)
        matrix = legs_matrix(2 * n)
        own = -np.trace(matrix) - n  # Σ (n + ½) over 2n states
        return float(squares.mean() / (own * (2.0 if vector == "input" else 1.0)))

    return (values(1.0, energy, "the vector has its size in HiPPO's own basis", 1e-5),)


@rule(
    promise=_dplr_promise,
    checks={"vector": choice_check(VECTORS), "complex_pairs": flag_check},
    samples=({}, {"vector": "input"}),
)
def dplr(slot: Slot, vector: str = "low_rank", complex_pairs: bool = False) -> Distribution:
    """The vectors of S4's diagonal-plus-low-rank form of HiPPO-LegS, beside `s4d("legs", …)`.

    A = V (Λ - P P*) V*, with Λ the eigenvalues of the normal part. The phase of an eigenvector is free and drops out of the layer's
    kernel. Here it is chosen so that P is real and positive, and B = √2 P with it; numerical solvers return any phase, and the code of S4
    then cuts imaginary parts of B at ±2, which with this choice are zero.

    Formula:
        P = V* √(n + ½),  B = V* √(2n + 1) = √2 P,  V the eigenvectors of A + p pᵀ, p_n = √(n + ½)

    Args:
        vector: "low_rank" (P) or "input" (B).
        complex_pairs: whether the last axis, of 2, holds real and imaginary parts (`torch.view_as_real`), the states being before it.

    Raises:
        FaninValueError: for a weight without such axes.

    Promise:
        P and B have the size that they have in HiPPO's own basis; with `s4d("legs")` the eigenvalues of Λ - P P* are -1 … -N.

    Paper:
        Gu, Goel & Ré 2022, "Efficiently modeling long sequences with structured state spaces", theorem 1; code `state-spaces/s4`
        (`nplr`).

    Example:
        >>> from fanin import draws
        >>> p = draws.draw(dplr(), (2,), seed=0, name="P")           # N = 4: Σ |P|² over both of each pair = 8
        >>> round(float(2 * (p**2).sum()), 4)
        8.0
    """
    _rank(slot, "dplr", 2 if complex_pairs else 1)
    if complex_pairs and slot.shape[-1] != 2:
        raise FaninValueError(
            f"dplr: complex_pairs=True needs a last axis of 2 (real, imaginary), but {slot.name!r} has the shape {slot.shape}"
        )
    return Formula("legs_vectors", (float(VECTORS.index(vector)), float(complex_pairs)))


@rule(
    promise=lambda slot, dt_min, dt_max: steps_promise("s4_log_dt", slot, dt_min, dt_max, "exp"),
    checks={"dt_min": ABOVE_0, "dt_max": ABOVE_0},
)
def s4_log_dt(slot: Slot, dt_min: float = 1e-3, dt_max: float = 0.1) -> Distribution:
    """The log of S4's step sizes, uniform: every time scale from 1 / dt_max to 1 / dt_min alike.

    Formula:
        log Δ ~ U(log dt_min, log dt_max)

    Args:
        dt_min, dt_max: the smallest and the largest step.

    Raises:
        FaninValueError: where dt_min is above dt_max.

    Promise:
        e^W is log-uniform between dt_min and dt_max.

    Paper:
        Gu et al. 2022, S4 and S4D, code (`init_dt`); S5 and Mega share it.

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> step = np.exp(draws.draw(s4_log_dt(), (1000,), seed=0, name="log_dt"))
        >>> bool(step.min() >= 0.00099), bool(step.max() <= 0.101)
        (True, True)
    """
    check_order("s4_log_dt", dt_min, dt_max)
    return log_uniform(dt_min, dt_max)
