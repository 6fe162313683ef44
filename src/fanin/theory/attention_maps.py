"""Self-attention at the start: how much the softmax of random logits averages away.

Logits l_ij = q_i · k_j / √d of independent Gaussian projections are Gaussian over draws with a variance τ², and what two keys
share cancels in the softmax. For τ = 0 each token gets the mean of the values: what tokens do not share is divided by their
number. For finite τ the weights are concentrated: the participation Σ w² is e^{τ²}/T for many tokens, and an exact integral here.
"""

import math
from dataclasses import dataclass

import numpy as np

from fanin.errors import FaninValueError
from fanin.records import Record

MOST_LOGITS = 100.0  # variance of logits up to which the participation is integrated


@dataclass(frozen=True)
class Attention(Record):
    """What one head hands on, before the residual sum.

    Attributes:
        second: E out² of one token.
        covariance: E out_i out_j of two tokens of one sequence.
        correlation: covariance / second: 1 is rank collapse.
        participation: E Σ_j w_ij²: 1 / T for uniform attention, 1 where one token takes all.
        gradient: E (∂loss/∂x)² that comes back through the values, per unit of E (∂loss/∂out)², in units of the projections.
    """

    second: float
    covariance: float
    correlation: float
    participation: float
    gradient: float


def attention(
    tokens: int, q: float = 1.0, c: float = 0.0, logit_variance: float = 0.0, sigma_v: float = 1.0, sigma_o: float = 1.0
) -> Attention:
    """Second moments after softmax attention with independent random projections.

    out_i = Σ_j w_ij W_o W_v x_j. With tokens of second moment q and correlation c, E out² = σ_v² σ_o² q (c + (1 - c) P) where
    P = E Σ_j w_j² is the participation of the softmax, and two tokens' outputs share σ_v² σ_o² q (c + (1 - c) P₂), with
    P₂ = (T P)^c / T between 1/T (queries that know nothing of each other) and P (equal queries). At τ = 0 both are 1/T: one layer
    makes all tokens alike, which is rank collapse (Dong et al. 2021; Noci et al. 2022, theorem 3.2 for uniform attention).

    Args:
        tokens: T, those that one token sees (with a causal mask: its place in the sequence).
        q: second moment of the tokens' features.
        c: correlation of two tokens, in [-1/(T-1), 1].
        logit_variance: τ² of the logits over draws: σ_q² σ_k² q² for projections of variance σ² / fan_in and a factor 1/√d. What
            keys share is of no effect: (1 - c) τ² counts.
        sigma_v, sigma_o: deviations of value and output projections, times √fan_in.

    Raises:
        FaninValueError: fewer than one token, a correlation that T tokens cannot have, or a negative variance.

    Example:
        >>> a = attention(16)
        >>> a.second, a.correlation
        (0.0625, 1.0)
        >>> round(attention(64, logit_variance=1.0).participation, 4)           # e/64 would be .0425
        0.0388
    """
    if tokens < 1:
        raise FaninValueError(f"tokens={tokens} is not usable; it must be at least 1")
    if not -1 / max(tokens - 1, 1) - 1e-12 <= c <= 1:
        raise FaninValueError(
            f"c={c} is not usable: {tokens} tokens have correlations from {-1 / max(tokens - 1, 1):.4g} to 1"
        )
    if q < 0 or logit_variance < 0:
        raise FaninValueError(f"q={q} and logit_variance={logit_variance} must be at least 0")
    p = participation(tokens, (1 - c) * logit_variance)
    shared = (tokens * p) ** max(c, 0.0) / tokens
    scale = sigma_v**2 * sigma_o**2
    second, covariance = scale * q * (c + (1 - c) * p), scale * q * (c + (1 - c) * shared)
    return Attention(second, covariance, covariance / second if second > 0 else 0.0, p, scale * p)


def participation(tokens: int, logit_variance: float) -> float:
    """E Σ_j w_j² of the softmax w of `tokens` independent N(0, τ²) logits.

    T ∫₀^∞ s E[e^{2l - s e^l}] E[e^{-s e^l}]^{T-1} ds, from 1/S² = ∫ s e^{-sS} ds: exact for every T and τ². For many tokens it
    tends to e^{τ²} / T (the inverse participation ratio of the random energy model, Derrida 1981).

    Example:
        >>> participation(10, 0.0), round(participation(100_000, 1.0) * 100_000 / 2.718282, 3)
        (0.1, 1.0)
    """
    if tokens == 1:
        return 1.0
    if logit_variance <= 1e-14:
        return 1.0 / tokens
    if logit_variance > MOST_LOGITS:
        raise FaninValueError(
            f"logit_variance={logit_variance:g} is beyond {MOST_LOGITS:g}: the largest logit takes all there"
        )
    tau = math.sqrt(logit_variance)
    z = np.arange(-9.0, 9.0 + 2 * tau, 0.01)  # the trapezoidal rule is exact to rounding for Gaussian integrands
    weight = np.exp(-0.5 * z**2) * (0.01 / math.sqrt(2 * math.pi))
    shifted = np.exp(-0.5 * (z - 2 * tau) ** 2) * (0.01 / math.sqrt(2 * math.pi))  # e^{2l} moves the Gaussian by 2 τ
    log_s = np.linspace(-math.log(tokens) - tau * (tau + 12) - 40, tau * 12 + 6, 1601)
    with np.errstate(under="ignore", over="ignore"):
        kept = np.exp(-np.exp(np.minimum(log_s[:, None] + tau * z[None, :], 700.0)))
        alone = kept @ shifted * math.exp(2 * tau**2)
        others = np.exp((tokens - 1) * np.log(np.maximum(kept @ weight, 1e-300)))
        integrand = np.exp(2 * log_s) * alone * others
    return float(min(max(tokens * np.sum(integrand) * (log_s[1] - log_s[0]), 1.0 / tokens), 1.0))
