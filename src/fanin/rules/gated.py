"""Products of two signals: gated layers (GLU, SwiGLU, GEGLU) and the logits of attention."""

import functools
import math

import numpy as np

from fanin.activations import Activation
from fanin.distributions import Distribution, Normal, Stack
from fanin.draws.layout import to_blocks
from fanin.errors import FaninValueError
from fanin.rules.arguments import Nonlinearity, number_check, whole_check
from fanin.rules.fans import axes_of, fan, finite_gain, kept
from fanin.rules.promise import Array, Promise, forward, law, values
from fanin.rules.rule import rule
from fanin.slots import Slot


@functools.lru_cache(maxsize=256)
def product_scale(f: Activation) -> float:
    """The s with E[(f(s a) s b)²] = 1, a and b ~ N(0, 1): gate and value of size s make a product of size 1.

    Raises:
        FaninValueError: no s does it (an activation that is zero).
    """

    def excess(log_s: float) -> float:
        s = math.exp(log_s)
        moment = s**2 * f.second_moment(s**2)
        return math.log(moment) if 0 < moment < math.inf else (-math.inf if moment <= 0 else math.inf)

    low, high = math.log(1e-3), math.log(1e3)
    if not excess(low) < 0 < excess(high):
        raise FaninValueError(f"gated_normal: nonlinearity={str(f)!r} has no scale at which the product keeps size 1")
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return math.exp(low)


def _gate(slot: Slot, nonlinearity: Nonlinearity) -> Activation:
    if nonlinearity is not None:
        return Activation.of(nonlinearity)
    return slot.activation or Activation.named("silu")


def _product(slot: Slot, nonlinearity: Activation | None) -> tuple[Promise, ...]:
    axes = axes_of(slot, "gated_normal")
    f = _gate(slot, nonlinearity)
    s = product_scale(f)
    promised = kept(slot, "fan_in", "gated_normal", s)
    if axes.size("stack") != 2 or axes.receptive_field > 1 or axes.in_taps < 1:
        return promised

    def size(weight: Array, slot: Slot) -> float:
        """E[(f(g) u)²] of both halves on Gaussian inputs."""
        a, b = to_blocks(weight, axes)[..., 0]
        x = np.random.default_rng(0).standard_normal((512, a.shape[1]))
        return float(np.mean((f(x @ a.T) * (x @ b.T)) ** 2))

    return (*promised, values(1.0, size, "the product of gate and value keeps the size of its input", 0.2))


@rule(aliases=("glu_in",), promise=_product, samples=({}, {"nonlinearity": "sigmoid"}, {"nonlinearity": "gelu"}))
def gated_normal(slot: Slot, nonlinearity: Nonlinearity = None) -> Distribution:
    """The weights that make gate and value of a gated layer f(W x) · (V x): the product then has the size of its input.

    A product is of second degree, so its scale has an equation of its own: both weights share a factor s with
    s² E[f(s z)²] = 1. For SwiGLU s = 1.2688, GEGLU 1.2225, GLU (sigmoid) 1.7267, ReGLU 2^¼ = 1.1892.

    Formula:
        W, V ~ N(0, s² / fan_in), s² E[f(s z)²] = 1, z ~ N(0, 1)

    Args:
        nonlinearity: the gate's activation f; where nothing is said, the slot's own, else SiLU (SwiGLU).

    Raises:
        FaninValueError: no scale keeps the product's size (an activation that is zero).

    Promise:
        E[y²] = s² E[x²], with which E[(f(y) y')²] = 1 for inputs of size 1, y and y' being gate and value.

    Paper:
        The layers: Dauphin et al. 2017, "Language modeling with gated convolutional networks"; Shazeer 2020, "GLU variants
        improve transformer". The equation is the condition of He et al. 2015, equation 10, for the product.

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> w, v = (draws.draw(gated_normal("silu"), (800, 500), seed=0, name=n, dtype="float64") for n in ("gate", "up"))
        >>> x = np.random.default_rng(0).standard_normal((200, 500))
        >>> g = x @ w.T
        >>> round(float(np.mean((g / (1 + np.exp(-g)) * (x @ v.T)) ** 2)), 1)
        1.0
    """
    return Normal(product_scale(_gate(slot, nonlinearity)) / math.sqrt(fan(slot, "fan_in", "gated_normal")))


def _after(slot: Slot, nonlinearity: Activation | None) -> tuple[Promise, ...]:
    size = (
        nonlinearity or Activation.named("silu")
    ).second_moment() ** -0.5  # products f(a) b have no mean, so any inputs do
    return kept(slot, "fan_in", "gated_out_normal", size)


@rule(aliases=("glu_out",), promise=_after, samples=({}, {"nonlinearity": "sigmoid"}))
def gated_out_normal(slot: Slot, nonlinearity: Nonlinearity = None) -> Distribution:
    """The weight behind a gated product f(a) · b, for gates and values of size 1: its gain is that of the product.

    The two factors are independent, so E[(f(a) b)²] = E[f(a)²] E[b²]: SwiGLU has the gain of SiLU, 1.6765, a plain GLU that of
    the sigmoid, 1.8462. Where gate and value are drawn by `gated_normal` the product has size 1 already: use `lecun_normal`.

    Formula:
        W ~ N(0, gain² / fan_in), gain = E[(f(a) b)²]^(-1/2), a and b ~ N(0, 1) independent

    Args:
        nonlinearity: the gate's activation f; SiLU where nothing is said.

    Promise:
        E[y²] = E[x²] / E[(f(a) b)²]: 1 for products f(a) b of Gaussian numbers of size 1.

    Paper:
        Shazeer 2020, "GLU variants improve transformer" (the layers); He et al. 2015, equation 10 (the condition).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(gated_out_normal("silu"), (300, 400), seed=0, name="down.weight")
        >>> round(float(w.std()) * 400 ** 0.5, 1)
        1.7
    """
    f = nonlinearity or Activation.named("silu")
    return Normal(
        finite_gain("gated_out_normal", Activation.of(f)) / math.sqrt(fan(slot, "fan_in", "gated_out_normal"))
    )


def _logits(slot: Slot, logit_std: float, heads: int) -> tuple[Promise, ...]:
    axes = axes_of(slot, "attention_logits")
    _check_heads(slot, heads)
    n = fan(slot, "fan_in", "attention_logits")
    if not _fused(slot):
        return forward(logit_std * axes.fan_in / n), law(math.sqrt(logit_std / n))

    def deviation(weight: Array, slot: Slot) -> float:
        """Of q·k / √(size of a head) over independent Gaussian tokens, exactly, for these weights."""
        q, k = (b[..., 0].reshape(heads, -1, b.shape[1]) for b in to_blocks(weight, axes)[:2])
        variances = [np.sum((a @ a.T) * (b @ b.T)) / len(a) for a, b in zip(q, k, strict=True)]
        return math.sqrt(float(np.mean(variances)))

    return (
        values(logit_std, deviation, f"logits of deviation {logit_std:g} between Gaussian tokens", 0.1 * logit_std),
    )


def _fused(slot: Slot) -> bool:
    """Whether the weight holds q, k and v (or q and k) one after the other."""
    return slot.axes is not None and slot.axes.size("stack") in (2, 3) and slot.axes.receptive_field == 1


def _check_heads(slot: Slot, heads: int) -> None:
    out = axes_of(slot, "attention_logits").size("out")
    if out % heads:
        raise FaninValueError(f"attention_logits: heads={heads} does not divide the {out} outputs of {slot.name!r}")


@rule(
    promise=_logits,
    checks={"logit_std": number_check("a finite number above 0", lambda x: x > 0), "heads": whole_check(1)},
    samples=({}, {"logit_std": 0.25, "heads": 4}),
)
def attention_logits(slot: Slot, logit_std: float = 1.0, heads: int = 1) -> Distribution:
    """The query and key weights of softmax attention: logits q·k / √d between normed tokens start with this deviation.

    A softmax over n logits of deviation σ spreads over about n · exp(-σ²) of them: 1 is gentle, 3 sharp. A logit is a product,
    so each of q and k takes the square root of σ; 1 / √fan_in each gives σ = 1, whatever the width and the heads.

    Formula:
        W_q, W_k ~ N(0, σ / fan_in); the values of a fused projection ~ N(0, 1 / fan_in)

    Args:
        logit_std: σ, the deviation of the logits, above 0, where they are scaled by 1 / √d (d the size of a head).
        heads: number of heads (for the promise alone: it does not change the numbers).

    Raises:
        FaninValueError: where the heads do not divide the outputs.

    Promise:
        E[q²] = E[k²] = σ E[x²], so that q·k / √d of independent tokens of size 1 has deviation σ.

    Paper:
        Vaswani et al. 2017, "Attention is all you need", section 3.2.1 and footnote 4 (the variance of q·k).

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> q, k = (draws.draw(attention_logits(2.0), (64, 256), seed=0, name=n, dtype="float64") for n in "qk")
        >>> x = np.random.default_rng(0).standard_normal((300, 256))
        >>> round(float(((x @ q.T) @ (x @ k.T).T / 8).std()), 1)
        2.0
    """
    _check_heads(slot, heads)
    n = fan(slot, "fan_in", "attention_logits")
    law = Normal(math.sqrt(logit_std / n))
    axes = axes_of(slot, "attention_logits")
    if axes.size("stack") != 3 or not _fused(slot) or logit_std == 1:
        return law
    axis = next(k for k, factors in enumerate(axes.factors) if any(f.role == "stack" for f in factors))
    if tuple(f.role for f in axes.factors[axis]) not in (("stack", "out"), ("stack",)):
        raise FaninValueError(
            f"attention_logits: q, k and v of {slot.name!r} are not one after the other (axes {axes.spec!r})"
        )
    block = slot.shape[axis] // 3
    return Stack((law, law, Normal(1.0 / math.sqrt(n))), (block,) * 3, axis)
