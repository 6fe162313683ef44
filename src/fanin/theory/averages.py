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
    return _between(count, logits, 0)


def slopes(count: np.ndarray, logits: float) -> np.ndarray:
    """E Σ_j a_j² (v_j - Σ_l a_l v_l)² of each query, for unrelated values v of variance 1: the gradients of its logits.

    With S = Σ a² it is E [S + S² - 2 Σ a³]: S (1 - S) where all shares are alike, and far less where one key wins.
    """
    if logits < SMALL:
        share = shares(count, logits)
        return share * (1 - share)
    return _between(count, logits, 1)


def _between(count: np.ndarray, logits: float, which: int) -> np.ndarray:
    """Between two points of a table, in logarithms."""
    place = math.log(min(logits, LARGE)) / STEP
    low = math.floor(place)
    given = tuple(np.asarray(count, dtype=float).tolist())
    a, b = (np.log(np.maximum(_integrals(given, math.exp(STEP * k))[which], 1e-300)) for k in (low, low + 1))
    return np.exp(a + (b - a) * (place - low))


@functools.lru_cache(maxsize=512)
def _integrals(count: tuple[float, ...], logits: float) -> tuple[np.ndarray, np.ndarray]:
    """E S and E [S + S² - 2 Σ a³] by Z^-k = ∫ t^(k-1) e^(-t Z) dt / (k-1)!, Z = Σ e^l."""
    z = np.linspace(-8, 8, 241)
    w = np.exp(-0.5 * z**2)
    w /= w.sum()
    level = np.exp(math.sqrt(logits) * z)
    reach = 8 * math.sqrt(logits) + 12 + math.log(max(count))
    log_t = np.linspace(-reach, 8 * math.sqrt(logits) + 4, 321)
    t = np.exp(log_t)[:, None]
    each = np.minimum(t * level[None, :], 700.0)  # powers of t and of the level together: alone they would overflow
    decay = np.exp(-each)
    square = each * each
    twice = decay * square
    left, second, third, fourth = decay @ w, twice @ w, (twice * each) @ w, (twice * square) @ w
    n = np.asarray(count)[:, None]
    log_left = np.log(np.maximum(left, 1e-300))
    one, two = (np.exp(np.maximum(n - k, 0) * log_left) for k in (1, 2))
    step = log_t[1] - log_t[0]
    squares = (n * one * second).sum(axis=1) * step
    cubes = (n * one * third).sum(axis=1) * step / 2
    both = (n * one * fourth + n * (n - 1) * two * second**2).sum(axis=1) * step / 6
    alone = n[:, 0] <= 1
    share = np.clip(np.where(alone, 1.0, squares), 1 / n[:, 0], 1.0)
    slope = np.where(alone, 0.0, np.maximum(squares + both - 2 * cubes, 0.0))
    return share, slope


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


def growth(count: np.ndarray, share: np.ndarray, logits: tuple[float, float]) -> np.ndarray:
    """How many times more two queries weigh the same keys than uniform averages would, by the later one's `count`.

    e^c for logits of covariance c and small variance σ²; a query meets itself (c = σ²) at n E Σ a². Between the two the
    logarithm is taken in proportion to c, so that where one key wins the overlap stays below that of one query with itself.
    """
    variance, common = logits
    if not (variance > 0 and common > 0):
        return np.ones_like(share)
    return np.maximum(count * share, 1.0) ** min(common / variance, 1.0)


def overlap(count: np.ndarray, causal: bool, more: np.ndarray) -> float:
    """E Σ_j a_ij a_i'j of two different queries; `more` is their `growth`."""
    n = len(count)
    if causal and n > 1:
        # Two queries share the keys of the earlier one: 1 / the later one's number, averaged over pairs.
        both = float((2 * (np.arange(n)) / count * more).sum()) / (n * (n - 1))
    else:
        both = float(np.mean(more / count))
    return min(both, 1.0)


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
    more = growth(count, share, logits)
    kernel = tokens.averaged(value, count, causal, share, more, extra)
    level = near + apart * share + extra if kernel is None else np.diagonal(kernel)
    q = float(level.mean())
    both = overlap(count, causal, more)
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
