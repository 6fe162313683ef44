"""Attention at initialization: a random average over keys.

With independent query and key weights the logits of one query are Gaussian over its keys. What all keys have in common
drops out of the softmax; what is apart has the variance σ² = scale² · d · q_query · (contrast of the keys), and

    A = E Σ_j a_j² ≈ 1 / (1 + (n - 1) exp(-σ²))        over n keys,

exact to first order in σ² (above .1 the integral itself is taken): exp(σ²) / n where that is small, 1 where one key wins. Values that have
the covariance q - s between positions come out with the second moment (q - s) + s·A: attention takes away what
tells tokens apart and keeps what they share (Dong et al. 2021; Noci et al. 2022).
"""

import functools
import math

import numpy as np

from fanin.theory import tokens
from fanin.theory.state import State
from fanin.theory.taps import Profile
from fanin.traces.records import Op

# Of a variance of logits: below the first the formula does; the table's end; its step in the log.
SMALL, LARGE, STEP = 0.1, 400.0, 0.25


def shares(count: np.ndarray, logits: float) -> np.ndarray:
    """E Σ_j a_j² of each query, over `count` keys whose logits have this variance."""
    if logits < SMALL:
        return 1 / (1 + (count - 1) * math.exp(-max(logits, 0.0)))
    # Between two points of a table, in logarithms.
    place = math.log(min(logits, LARGE)) / STEP
    low = math.floor(place)
    given = tuple(np.asarray(count, dtype=float).tolist())
    a, b = (np.log(_shares(given, math.exp(STEP * k))) for k in (low, low + 1))
    return np.exp(a + (b - a) * (place - low))


@functools.lru_cache(maxsize=512)
def _shares(count: tuple[float, ...], logits: float) -> np.ndarray:
    """n E[e^2l / (Σ e^l)²] by 1 / S² = ∫ t e^(-t S) dt."""
    z = np.linspace(-8, 8, 241)
    w = np.exp(-0.5 * z**2)
    w /= w.sum()
    level = np.exp(math.sqrt(logits) * z)
    reach = 8 * math.sqrt(logits) + 12 + math.log(max(count))
    log_t = np.linspace(-reach, 8 * math.sqrt(logits) + 4, 321)
    t = np.exp(log_t)
    decay = np.exp(-np.minimum(t[:, None] * level[None, :], 700.0))
    left, first = decay @ w, decay @ (w * level**2)
    n = np.asarray(count)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        others = np.where(n > 1, np.exp((n - 1) * np.log(np.maximum(left, 1e-300))), 1.0)
    total = (others * first * t**2).sum(axis=1) * (log_t[1] - log_t[0])
    return np.clip(np.where(n[:, 0] <= 1, 1.0, n[:, 0] * total), 1 / n[:, 0], 1.0)


@functools.lru_cache(maxsize=256)
def counts(queries: int, keys: int, causal: bool, inverse: float) -> np.ndarray:
    """How many keys each query looks at."""
    if causal:
        return np.arange(1.0, queries + 1) + (keys - queries)
    return np.full(max(queries, 1), 1 / inverse if inverse > 0 else float(keys))


def looks(op: Op, keys: int, queries: int) -> np.ndarray:
    """How many keys each query of an attention or softmax op looks at (all of them where its facts do not say)."""
    facts = op.facts
    n, m = int(facts.get("keys", keys)), int(facts.get("queries", queries))
    return counts(m, n, bool(facts.get("causal", 0.0)), facts.get("inverse_keys", 1 / max(n, 1)))


def overlap(count: np.ndarray, causal: bool, common: float) -> float:
    """E Σ_j a_ij a_i'j of two different queries whose logits have the covariance `common`."""
    n = len(count)
    if causal and n > 1:
        # Two queries share the keys of the earlier one: 1 / the later one's number, averaged over pairs.
        base = float((2 * (np.arange(n)) / count).sum()) / (n * (n - 1))
    else:
        base = float(np.mean(1 / count))
    return min(base * math.exp(min(max(common, 0.0), 50.0)), 1.0)


def logit_variance(query: State, key: State, width: float, scale: float) -> tuple[float, float]:
    """Variance over the keys of one query's logits, and their covariance between two queries."""
    apart = _apart(key)
    variance = scale**2 * width * query.q * apart
    return variance, variance * (1 - _apart(query) / query.q if query.q > 0 else 0.0)


def averaged(value: State, count: np.ndarray, causal: bool, logits: tuple[float, float], p: float) -> State:
    """What comes out of an attention with these values; `p` is the dropout of the attention's weights."""
    apart = _apart(value)
    near = max(value.q - apart, 0.0)
    share = shares(count, logits[0])
    extra = p / (1 - p) * share * value.q if 0 < p < 1 else np.zeros_like(share)
    kernel = tokens.averaged(value, count, causal, share, logits[1], extra)
    level = near + apart * share + extra if kernel is None else np.diagonal(kernel)
    q = float(level.mean())
    both = overlap(count, causal, logits[1])
    common = min(value.q - value.s, near)
    s = q - (common + max(value.q - value.s - common, 0.0) * both)
    profile: tuple[Profile, ...] = (tuple((level / q).tolist()),) if q > 0 and len(count) > 1 else ()
    apart = max(q - near - apart * both, 0.0)
    out = value.but(q=q, s=max(s, 0.0), apart=apart, noise=0.0, before=None, paired=False, profile=profile, law=None)
    return tokens.with_kernel(out, kernel)


def weights(count: np.ndarray, keys: int, logits: float) -> State:
    """The softmax itself, masked entries counted as the zeros that they are."""
    share = float(shares(count, logits).mean())
    return State(
        1 / keys, share / keys, max(share / keys - 1 / keys**2, 0.0), apart=max(share / keys - 1 / keys**2, 0.0)
    )


def _apart(x: State) -> float:
    return min(x.apart if math.isfinite(x.apart) else x.s, 2 * x.q)
