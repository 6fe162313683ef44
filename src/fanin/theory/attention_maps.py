"""Self-attention at the start: how much the softmax of random logits averages away.

Logits l_ij = q_i · k_j / √d of independent Gaussian projections are Gaussian over draws with a variance τ², and what two keys
share cancels in the softmax. For τ = 0 each token gets the mean of the values: what tokens do not share is divided by their
number. For finite τ the weights are concentrated: the participation Σ w² is e^{τ²}/T for many tokens, and an exact integral here.
Back come three gradients: through the values, and through the logits to their queries and to their keys.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from fanin.activations import Array
from fanin.errors import FaninValueError
from fanin.records import Record
from fanin.theory.arguments import MOST_WHOLE, real
from fanin.theory.maps import _checked

POWERS = (0, 2, 3, 4)  # of a token's weight, in the softmax's moments
MOST_LOGITS = 100.0  # variance of logits up to which the participation is integrated


@dataclass(frozen=True)
class Attention(Record):
    """What one head hands on, before the residual sum.

    Attributes:
        second: E out² of one token.
        covariance: E out_i out_j of two tokens of one sequence.
        correlation: covariance / second: 1 is rank collapse.
        participation: E Σ_j w_ij²: 1 / T for uniform attention, 1 where one token takes all.
        gradient: E (∂loss/∂x)² per unit of E (∂loss/∂out)², through values, queries and keys, all tokens seeing all.
        value_gradient: the part of it that comes through the values; the whole for small logits.
    """

    second: float
    covariance: float
    correlation: float
    participation: float
    gradient: float
    value_gradient: float


def attention(
    tokens: int, q: float = 1.0, c: float = 0.0, logit_variance: float = 0.0, sigma_v: float = 1.0, sigma_o: float = 1.0
) -> Attention:
    """Second moments after softmax attention with independent random projections.

    out_i = Σ_j w_ij W_o W_v x_j. With tokens of second moment q and correlation c, E out² = σ_v² σ_o² q (c + (1 - c) P) where
    P = E Σ_j w_j² is the participation of the softmax, and two tokens' outputs share σ_v² σ_o² q (c + (1 - c) P₂), with
    P₂ = (T P)^c / T between 1/T (queries that know nothing of each other) and P (equal queries). At τ = 0 both are 1/T: one layer
    makes all tokens alike, which is rank collapse (Dong et al. 2021; Noci et al. 2022, theorem 3.2 for uniform attention).

    Backward, with independent gradients g_i of the outputs: through the values Σ_i w_ij (W_o W_v)ᵀ g_i gives σ_v² σ_o² P. Through the
    logits ∂loss/∂l_ij = w_ij (a_ij - Σ_k w_ik a_ik), a_ij = g_iᵀ W_o W_v x_j, of which only what tokens do not share counts; with
    l_ij = x_iᵀ M x_j and M of variance (τ / n q)² the queries get M Σ_j ∂l_ij x_j, the keys Mᵀ Σ_i ∂l_ij x_i, which is

        σ_v² σ_o² τ² (1 - c) ((1 - c) + 1) E[Σ w² + (Σ w²)² - 2 Σ w³].

    The first is of the tokens' differences again, as what they share drops out of the softmax; the second is of whole tokens. At
    τ = 1 and 24 tokens the logits' part is more than the values', at τ = 2 three times as much.

    Args:
        tokens: T, those that one token sees (with a causal mask: its place in the sequence).
        q: second moment of the tokens' features.
        c: correlation of two tokens, in [-1/(T-1), 1].
        logit_variance: τ² of the logits over draws: σ_q² σ_k² q² for projections of variance σ² / fan_in and a factor 1/√d. What
            keys share is of no effect: (1 - c) τ² counts.
        sigma_v, sigma_o: deviations of value and output projections, times √fan_in.

    Raises:
        FaninValueError: fewer than one token, a correlation that T tokens cannot have, or a negative variance or deviation.

    Example:
        >>> a = attention(16)
        >>> a.second, a.correlation
        (0.0625, 1.0)
        >>> round(attention(64, logit_variance=1.0).participation, 4)           # e/64 would be .0425
        0.0388
        >>> b = attention(24, logit_variance=4.0)
        >>> round(b.gradient, 2), round(b.value_gradient, 2)
        (1.12, 0.26)
    """
    _checked_tokens(tokens)
    if not -1 / max(tokens - 1, 1) - 1e-12 <= real("c", c) <= 1:
        raise FaninValueError(
            f"c={c} is not usable: {tokens} tokens have correlations from {-1 / max(tokens - 1, 1):.4g} to 1"
        )
    _checked(0.0, 0.0, 1.0, q=q, logit_variance=logit_variance, sigma_v=sigma_v, sigma_o=sigma_o)
    p, steep = _softmax_moments(tokens, (1 - c) * logit_variance)
    shared = (tokens * p) ** max(c, 0.0) / tokens
    scale = sigma_v**2 * sigma_o**2
    second, covariance = scale * q * (c + (1 - c) * p), scale * q * (c + (1 - c) * shared)
    through_logits = scale * logit_variance * (1 - c) * (2 - c) * steep
    return Attention(
        second, covariance, covariance / second if second > 0 else 0.0, p, scale * p + through_logits, scale * p
    )


def participation(tokens: int, logit_variance: float) -> float:
    """E Σ_j w_j² of the softmax w of `tokens` independent N(0, τ²) logits.

    T ∫₀^∞ s E[e^{2l - s e^l}] E[e^{-s e^l}]^{T-1} ds, from 1/S² = ∫ s e^{-sS} ds: exact for every T and τ². For many tokens it
    tends to e^{τ²} / T (the inverse participation ratio of the random energy model, Derrida 1981).

    Example:
        >>> participation(10, 0.0), round(participation(100_000, 1.0) * 100_000 / 2.718282, 3)
        (0.1, 1.0)
    """
    _checked_tokens(tokens)
    return _softmax_moments(tokens, real("logit_variance", logit_variance))[0]


@functools.lru_cache(maxsize=256)
def _softmax_moments(tokens: int, logit_variance: float) -> tuple[float, float]:
    """E Σ w² and E[Σ w² + (Σ w²)² - 2 Σ w³] of the softmax w of `tokens` independent N(0, τ²) logits.

    With φ_k(s) = E[e^{kl - s e^l}] and S = Σ e^l: E Σ w^k = T ∫ s^{k-1}/(k-1)! φ_k φ_0^{T-1} ds, and the products of two tokens' w² in
    (Σ w²)² have T (T - 1) ∫ s³/6 φ_2² φ_0^{T-2} ds.
    """
    _checked_tokens(tokens)
    _checked(0.0, 0.0, 1.0, logit_variance=logit_variance)
    if tokens == 1:
        return 1.0, 0.0
    if logit_variance <= 1e-14:
        return 1.0 / tokens, (1 - 1 / tokens) / tokens
    if logit_variance > MOST_LOGITS:
        raise FaninValueError(
            f"logit_variance={logit_variance:g} is beyond {MOST_LOGITS:g}: the largest logit takes all there"
        )
    tau = math.sqrt(logit_variance)
    log_s = np.linspace(-math.log(tokens) - tau * (tau + 12) - 40, tau * 12 + 6, 1601)
    phi = dict(zip(POWERS, _log_damped(tau, log_s), strict=True))
    step = float(log_s[1] - log_s[0])

    def integral(power: int, *parts: Array) -> float:
        """∫ s^(power - 1) / (power - 1)! Π φ φ_0^(T - their number) ds."""
        logs = power * log_s + (tokens - len(parts)) * phi[0] + sum(parts)
        with np.errstate(under="ignore"):
            return float(np.sum(np.exp(logs)) * step) / math.factorial(power - 1)

    squares = tokens * integral(2, phi[2])
    fourth = tokens * integral(4, phi[4]) + tokens * (tokens - 1) * integral(4, phi[2], phi[2])
    squares = min(max(squares, 1.0 / tokens), 1.0)
    return squares, max(squares + fourth - 2 * tokens * integral(3, phi[3]), 0.0)


def _log_damped(tau: float, log_s: Array) -> list[Array]:
    """log φ_k(s) for each k of `POWERS`, by the trapezoidal rule, which is exact to rounding for such integrands."""
    step = min(0.2, 0.2 / tau)  # e^{-s e^l} falls over a distance of 1/τ
    z = np.arange(-9.0, 9.0 + max(POWERS) * tau, step)
    with np.errstate(over="ignore", under="ignore"):
        fall = -np.exp(np.minimum(log_s[:, None] + tau * z, 700.0)) - 0.5 * z**2
        found = []
        for k in POWERS:
            exponent = fall + k * tau * z
            top = exponent.max(axis=1)
            found.append(top + np.log(np.exp(exponent - top[:, None]).sum(axis=1) * step / math.sqrt(2 * math.pi)))
    return found


def _checked_tokens(tokens: int) -> None:
    if not (isinstance(tokens, int | np.integer) and 1 <= tokens <= MOST_WHOLE):
        raise FaninValueError(
            f"tokens={tokens} is not usable; it must be a whole number of at least 1 (and at most {MOST_WHOLE})"
        )
