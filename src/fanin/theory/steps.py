"""A recurrent layer through time, in the limit of many units, on a sample of units.

The weights are the same at every step, so the pre-activations of one unit are a Gaussian *process* over time, with the
covariance  K(t, t') = fan σ_in² E[x_t x_t'] + H σ_hid² E[h_{t-1} h_{t'-1}] + σ_b²  (dynamical mean-field theory:
Sompolinsky et al. 1988; for gated cells Chen, Pennington & Schoenholz 2018, Can et al. 2020). The expectation over units
is taken on a sample of them whose Gaussian numbers are orthogonal and come in pairs ±, so that every covariance that
goes in comes out exactly and odd functions average to zero; only the fourth order is left to chance, from a fixed seed.
"""

import functools
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
UNITS = 1024  # sampled
LONGEST = 128  # steps that are followed; later ones are like the last of these


@dataclass(frozen=True)
class Gate:
    """One gate: power of the input weights (fan σ²), of the recurrent weights, mean and variance of the biases of each."""

    inputs: float
    hidden: float
    bias: float = 0.0
    bias_variance: float = 0.0
    hidden_bias: float = 0.0
    hidden_bias_variance: float = 0.0


@dataclass
class Steps:
    """What a layer gives: second moment, mean and covariance between steps of its state, and what each step saw."""

    q: Array
    mean: Array
    kernel: Array
    slopes: list[tuple[Array, ...]] = field(default_factory=list)


@functools.lru_cache(maxsize=4)
def _numbers(columns: int, steps: int) -> Array:
    """Gaussian numbers (steps, columns, UNITS): orthogonal over the units, in pairs ±."""
    half = UNITS // 2
    rng = np.random.default_rng(1990)
    z = rng.standard_normal((half, steps * columns))
    if steps * columns <= half:
        # Symmetric orthogonalisation keeps every number near the Gaussian that it was.
        values, vectors = np.linalg.eigh(z.T @ z / half)
        z = z @ (vectors / np.sqrt(values)) @ vectors.T
    else:
        z /= np.sqrt(np.mean(z**2, axis=0))
    z = np.concatenate([z, -z]).T.reshape(steps, columns, UNITS)
    return np.ascontiguousarray(z)


def _quantiles(columns: int) -> Array:
    """Numbers for what is fixed over time: standard Gaussian, stratified."""
    from scipy.special import ndtri

    rng = np.random.default_rng(1997)
    strata = ndtri((np.arange(UNITS // 2) + 0.5) / (UNITS // 2))
    strata /= math.sqrt(float(np.mean(strata**2)))
    fixed = np.stack([strata[rng.permutation(len(strata))] for _ in range(columns)])
    return np.asarray(np.concatenate([fixed, -fixed], axis=1), dtype=np.float64)


def through_time(kind: str, gates: list[Gate], shared: float, apart: float, steps: int, uniform: bool = True) -> Steps:
    """The state of a recurrent layer at each step, from zero.

    Args:
        kind: "lstm" (input, forget, cell, output), "gru" (reset, update, new), "rnn_tanh" or "rnn_relu".
        gates: one a block, in that order.
        shared: covariance of the input between two steps.
        apart: the input's second moment at one step less that.
        steps: how many.
        uniform: whether biases are uniform rather than Gaussian numbers.
    """
    steps = min(steps, LONGEST)
    g = len(gates)
    columns = 2 * g if kind == "gru" else g
    z = _numbers(columns, steps)
    noise = _noise(g, steps)
    fixed, bias = _fixed(gates, shared, uniform)
    into = np.sqrt([x.inputs for x in gates])[:, None]
    over = np.sqrt([x.hidden for x in gates])[:, None]
    h, c = np.zeros(UNITS), np.zeros(UNITS)
    past = np.zeros((steps, UNITS))
    kernel, lower = np.zeros((steps, steps)), np.zeros((steps, steps))
    found = Steps(np.zeros(steps), np.zeros(steps), kernel)
    for t in range(steps):
        recurrent = np.zeros((g, UNITS))
        if t:
            _extend(lower, kernel, t - 1)
            recurrent = over * np.tensordot(lower[t - 1, :t], z[:t, :g], axes=1)
        inputs = into * (math.sqrt(max(apart, 0.0)) * noise[t]) + fixed
        h, c, seen = _cell(kind, inputs, recurrent, bias, h, c)
        past[t] = h
        found.slopes.append(seen)
        row = past[: t + 1] @ h / UNITS
        kernel[t, : t + 1] = kernel[: t + 1, t] = row
        found.q[t], found.mean[t] = row[t], float(h.mean())
    found.q = np.maximum(_lines(steps) @ found.q, 0.0)
    return found


@functools.lru_cache(maxsize=8)
def _lines(steps: int) -> Array:
    """The matrix that puts each step onto the straight line through a third of the steps around it.

    The sample's own chance lasts a few steps; what it hides moves more slowly, the later the more.
    """
    matrix = np.zeros((steps, steps))
    for t in range(steps):
        around = np.arange(max(0, t - t // 3), min(steps, t + t // 3 + 1))
        x = around - t
        center, spread = x.mean(), max(float(np.sum((x - x.mean()) ** 2)), 1e-300)
        matrix[t, around] = 1 / len(x) - center * (x - center) / spread
    return matrix


@functools.lru_cache(maxsize=4)
def _noise(gates: int, steps: int) -> Array:
    rng = np.random.default_rng(1998)
    z = rng.standard_normal((steps, gates, UNITS // 2))
    z /= np.sqrt(np.mean(z**2, axis=-1, keepdims=True))
    return np.concatenate([z, -z], axis=-1)


def _fixed(gates: list[Gate], shared: float, uniform: bool) -> tuple[Array, Array]:
    """(what each gate's input adds at every step alike, the bias beside the recurrent weights)."""
    static = _quantiles(3 * len(gates))
    g = len(gates)
    if uniform:
        from scipy.special import ndtr

        static[g:] = (2 * ndtr(static[g:]) - 1) * math.sqrt(3)
    both = math.sqrt(max(shared, 0.0)) * np.sqrt([x.inputs for x in gates])[:, None] * static[:g]
    own = np.array([[x.bias] for x in gates]) + np.sqrt([[x.bias_variance] for x in gates]) * static[g : 2 * g]
    beside = np.array([[x.hidden_bias] for x in gates])
    beside = beside + np.sqrt([[x.hidden_bias_variance] for x in gates]) * static[2 * g :]
    return both + own, beside


def _extend(lower: Array, kernel: Array, t: int) -> None:
    """One more row of the Cholesky factor."""
    row = np.zeros(t)
    if t:
        from scipy.linalg import solve_triangular

        row = solve_triangular(lower[:t, :t], kernel[t, :t], lower=True, check_finite=False)
    rest = kernel[t, t] - float(row @ row)
    lower[t, :t] = row
    lower[t, t] = math.sqrt(max(rest, 1e-12 * max(float(kernel[t, t]), 1e-300)))


def _cell(
    kind: str, inputs: Array, recurrent: Array, bias: Array, h: Array, c: Array
) -> tuple[Array, Array, tuple[Array, ...]]:
    """One step of the sampled units; the third is what the way back needs."""
    if kind == "lstm":
        i, f, _, o = _sigmoid(inputs + recurrent + bias)
        new = np.tanh(inputs[2] + recurrent[2] + bias[2])
        before, c = c, f * c + i * new
        squashed = np.tanh(c)
        return o * squashed, c, (i, f, new, o, squashed, before)
    if kind == "gru":
        r, u = _sigmoid(inputs[:2] + recurrent[:2] + bias[:2])
        new = np.tanh(inputs[2] + r * (recurrent[2] + bias[2]))
        return (1 - u) * new + u * h, c, (r, u, new, recurrent[2] + bias[2], h)
    a = inputs[0] + recurrent[0] + bias[0]
    return (np.tanh(a), c, (1 - np.tanh(a) ** 2,)) if kind == "rnn_tanh" else (np.maximum(a, 0.0), c, ((a > 0) * 1.0,))


def back_through_time(kind: str, gates: list[Gate], found: Steps, arriving: Array) -> tuple[Array, Array]:
    """The gradient on its way back through the steps, on the sampled units.

    The weights of the way back are unrelated to those of the way forward (Schoenholz et al. 2017; Yang 2020), but the same at
    every step: what the state gets back is a Gaussian process over time too, which matters where a cell carries one
    gradient along and hands parts of it to the weights again and again.

    Args:
        kind, gates, found: of the way forward.
        arriving: covariance (steps, steps) of the gradient that the state gets from above.

    Returns:
        Covariances (steps, steps) of the gradient of each step's input, times inputs over fan_out (a product with the power
        of the input weights has been taken, one with inputs for outputs has not), and of the state's gradient.
    """
    steps = len(found.q)
    over = np.sqrt([x.hidden for x in gates])[:, None]
    into = np.sqrt([x.inputs for x in gates])[:, None]
    z = _numbers(1, steps)[:, 0]
    total, lower = np.zeros((steps, steps)), np.zeros((steps, steps))
    back, given = np.zeros((steps, len(gates) * UNITS)), np.zeros((steps, len(gates) * UNITS))
    carry = np.zeros(UNITS)
    for place in range(steps):
        t = steps - 1 - place
        row = arriving[t, ::-1][: place + 1].copy()
        if place:
            row[1:] += back[:place] @ back[place - 1] / UNITS
        total[place, : place + 1] = total[: place + 1, place] = row
        _extend(lower, total, place)
        g = lower[place, : place + 1] @ z[: place + 1]
        recurrent, inner, carry = _cell_back(kind, found.slopes[t], g, carry)
        back[place] = (over * recurrent).ravel()
        given[place] = (into * inner).ravel()
    return (given @ given.T / UNITS)[::-1, ::-1], total[::-1, ::-1]


def _cell_back(kind: str, seen: tuple[Array, ...], g: Array, carry: Array) -> tuple[Array, Array, Array]:
    """(gradients that the recurrent weights take back, those of the pre-activations, what the cell itself carries back)."""
    if kind == "lstm":
        i, f, new, o, squashed, before = seen
        cell = g * o * (1 - squashed**2) + carry
        inner = np.stack(
            [cell * new * i * (1 - i), cell * before * f * (1 - f), cell * i * (1 - new**2), g * squashed * o * (1 - o)]
        )
        return inner, inner, cell * f
    if kind == "gru":
        r, u, new, recurrent, before = seen
        here = g + carry
        newly = here * (1 - u) * (1 - new**2)
        reset, update = newly * recurrent * r * (1 - r), here * (before - new) * u * (1 - u)
        return np.stack([reset, update, newly * r]), np.stack([reset, update, newly]), here * u
    inner = (g * seen[0])[None]
    return inner, inner, carry


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))
