"""Rules whose variance is a number over a fan: LeCun, Xavier (Glorot), He (Kaiming), and the general form.

The gain of an activation is E[f(z)²]^(-1/2), z ~ N(0, 1): with it, pre-activations of size 1 stay of size 1. For tanh it is
1.5925. PyTorch's `calculate_gain` says 5/3 for tanh, 3/4 for SELU and 1 for sigmoid. No integral gives 5/3: the table came over
from Torch's nninit (pytorch#1172), where it stands without a source; it is near the 1.7159 of the scaled tanh of LeCun et al.
1998. The 3/4 was tried out in a forum (pytorch#50664): it makes SELU's signal shrink, whose gain is 1.
"""

import math
from collections.abc import Callable

from fanin.activations import Activation
from fanin.distributions import Distribution, Normal, TruncatedNormal, Uniform
from fanin.rules.arguments import Nonlinearity
from fanin.rules.fans import axes_of, fan, finite_gain, gain_of, kept
from fanin.rules.promise import Promise
from fanin.rules.rule import rule
from fanin.slots import Slot

MODES = tuple({"mode": mode} for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg"))
GAINS = ({}, {"nonlinearity": "tanh"})
HE = ({}, {"nonlinearity": "gelu"}, {"nonlinearity": "relu", "mode": "fan_out"})


def _keeps(mode: str) -> Callable[..., tuple[Promise, ...]]:
    """The promise of a rule with a gain or an activation, over this fan."""

    def promise(slot: Slot, gain: float | None, nonlinearity: Activation | None) -> tuple[Promise, ...]:
        return kept(slot, mode, "promise", 1.0 if gain is None else gain, nonlinearity)

    return promise


@rule(promise=lambda slot, mode: kept(slot, mode, "normal_fan"), samples=MODES)
def normal_fan(slot: Slot, mode: str = "fan_in") -> Distribution:
    """Gaussian numbers of variance 1 / N: a linear layer then keeps the second moment of its input.

    Formula:
        W ~ N(0, 1 / N)

    Args:
        mode: which fan N is: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".

    Promise:
        With "fan_in", E[y²] = E[x²]; with "fan_out", E[dx²] = E[dy²].

    Paper:
        LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", equation 16.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(normal_fan(), (300, 400), seed=0, name="w")
        >>> round(float(w.std()) * 400 ** 0.5, 2)
        1.0
    """
    return Normal(1.0 / math.sqrt(fan(slot, mode, "normal_fan")))


@rule(promise=lambda slot, mode: kept(slot, mode, "uniform_fan", 1.0 / math.sqrt(3.0)))
def uniform_fan(slot: Slot, mode: str = "fan_in") -> Distribution:
    """Uniform between ±1/√N: the default of PyTorch's `Linear` and convolutions. Its variance is 1 / (3 N) only.

    Formula:
        W ~ U(-1/√N, 1/√N)

    Args:
        mode: which fan N is: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".

    Promise:
        With "fan_in", E[y²] = ⅓ E[x²]; with "fan_out", E[dx²] = ⅓ E[dy²].

    Paper:
        The heuristic of Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural
        networks", equation 1, which the paper shows to shrink the signal.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(uniform_fan(), (300, 400), seed=0, name="w")
        >>> round(float(w.var()) * 400, 2)
        0.33
    """
    return Uniform(1.0 / math.sqrt(fan(slot, mode, "uniform_fan")))


@rule(promise=_keeps("fan_in"), samples=GAINS)
def lecun_normal(slot: Slot, gain: float | None = None, nonlinearity: Nonlinearity = None) -> Distribution:
    """Gaussian numbers of variance 1 / fan_in. With SELU, of gain 1, it keeps a deep net's signal at 1.

    Formula:
        W ~ N(0, gain² / fan_in)

    Args:
        gain: factor on the deviation (1 where nothing is said).
        nonlinearity: instead of `gain`: the activation whose exact gain to take.

    Promise:
        E[y²] = gain² E[x²]; with `nonlinearity`, E[y²] = 1 for inputs f(z), z ~ N(0, 1).

    Paper:
        LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", equation 16; Klambauer et al. 2017, "Self-normalizing
        neural networks", section 3 (SELU).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(lecun_normal(), (300, 400), seed=0, name="w")
        >>> round(float(w.std()) * 400 ** 0.5, 2)
        1.0
    """
    return Normal(_std(slot, "lecun_normal", "fan_in", gain, nonlinearity))


@rule(aliases=("caffe2_xavier",), promise=_keeps("fan_in"), samples=GAINS)
def lecun_uniform(slot: Slot, gain: float | None = None, nonlinearity: Nonlinearity = None) -> Distribution:
    """Uniform numbers of variance 1 / fan_in (Caffe2's "Xavier" is the same: He's uniform rule with slope 1).

    Formula:
        W ~ U(-b, b), b = gain · sqrt(3 / fan_in)

    Args:
        gain: factor on the deviation (1 where nothing is said).
        nonlinearity: instead of `gain`: the activation whose exact gain to take.

    Promise:
        E[y²] = gain² E[x²]; with `nonlinearity`, E[y²] = 1 for inputs f(z), z ~ N(0, 1).

    Paper:
        LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", equation 16.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(lecun_uniform(), (300, 400), seed=0, name="w")
        >>> round(float(w.std()) * 400 ** 0.5, 2)
        1.0
    """
    return _uniform(_std(slot, "lecun_uniform", "fan_in", gain, nonlinearity))


@rule(aliases=("glorot_normal",), promise=_keeps("fan_avg"), samples=GAINS)
def xavier_normal(slot: Slot, gain: float | None = None, nonlinearity: Nonlinearity = None) -> Distribution:
    """Gaussian numbers with a variance between what the forward and what the backward pass ask for.

    Formula:
        W ~ N(0, gain² · 2 / (fan_in + fan_out))

    Args:
        gain: factor on the deviation (1 where nothing is said).
        nonlinearity: instead of `gain`: the activation whose exact gain to take. PyTorch's `calculate_gain` says 5/3 for
            tanh (a number without an integral behind it, from Torch's nninit) and 3/4 for SELU (from trials); the exact
            integrals are 1.5925 and 1.

    Promise:
        The mean of E[y²] forward and E[dx²] backward is gain² (times fan_in and fan_out over their mean, each).

    Paper:
        Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", equation 12.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(xavier_normal(), (300, 500), seed=0, name="w")
        >>> round(float(w.std()) * 400 ** 0.5, 2)
        1.0
    """
    return Normal(_std(slot, "xavier_normal", "fan_avg", gain, nonlinearity))


@rule(aliases=("glorot_uniform",), promise=_keeps("fan_avg"), samples=GAINS)
def xavier_uniform(slot: Slot, gain: float | None = None, nonlinearity: Nonlinearity = None) -> Distribution:
    """Uniform numbers with a variance between what the forward and what the backward pass ask for.

    Formula:
        W ~ U(-b, b), b = gain · sqrt(6 / (fan_in + fan_out))

    Args:
        gain: factor on the deviation (1 where nothing is said).
        nonlinearity: instead of `gain`: the activation whose exact gain to take. PyTorch's `calculate_gain` says 5/3 for
            tanh (a number without an integral behind it, from Torch's nninit) and 3/4 for SELU (from trials); the exact
            integrals are 1.5925 and 1.

    Promise:
        The mean of E[y²] forward and E[dx²] backward is gain² (times fan_in and fan_out over their mean, each).

    Paper:
        Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", equation 16.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(xavier_uniform(), (300, 500), seed=0, name="w")
        >>> round(float(w.std()) * 400 ** 0.5, 2)
        1.0
    """
    return _uniform(_std(slot, "xavier_uniform", "fan_avg", gain, nonlinearity))


def _he_keeps(slot: Slot, nonlinearity: Activation | None, mode: str, a: float | None) -> tuple[Promise, ...]:
    return kept(slot, mode, "he", through=_met(slot, nonlinearity, a))


@rule(aliases=("kaiming_normal",), promise=_he_keeps, samples=HE)
def he_normal(
    slot: Slot, nonlinearity: Nonlinearity = None, mode: str = "fan_in", a: float | None = None
) -> Distribution:
    """Gaussian numbers that keep the second moment through a layer and its activation.

    The gain is E[f(z)²]^(-1/2) for z ~ N(0, 1), by quadrature, for any activation: sqrt(2) for ReLU, 1.5335 for GELU.
    For tanh it is 1.5925. PyTorch's `calculate_gain` has a table instead, with 5/3 for tanh, which no integral gives (it came
    over from Torch's nninit, without a source; with it pre-activations settle at 1.09, not 1), 3/4 for SELU (0.15 after 50
    layers), 1 for sigmoid, and no GELU.

    Formula:
        W ~ N(0, gain² / fan)

    Args:
        nonlinearity: the activation that the output meets: a name, or a function of a NumPy array. Where nothing is
            said: the slot's own activation where the trace knows one, else ReLU.
        mode: "fan_in" keeps the signal forward, "fan_out" the gradient backward; "fan_avg" and "fan_geo_avg" lie between.
        a: slope of a leaky ReLU; `nonlinearity` is then "leaky_relu".

    Promise:
        With "fan_in", E[y²] = 1 for inputs f(z), z ~ N(0, 1); with "fan_out", E[dx²] = gain² E[dy²].

    Paper:
        He, Zhang, Ren & Sun 2015, "Delving deep into rectifiers", equations 10 (forward), 14 (backward) and 15 (leaky).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(he_normal(nonlinearity="relu"), (300, 400), seed=0, name="w")
        >>> round(float(w.var()) * 400, 1)
        2.0
    """
    return Normal(_he_std(slot, "he_normal", nonlinearity, mode, a))


@rule(aliases=("kaiming_uniform",), promise=_he_keeps, samples=HE)
def he_uniform(
    slot: Slot, nonlinearity: Nonlinearity = None, mode: str = "fan_in", a: float | None = None
) -> Distribution:
    """Uniform numbers that keep the second moment through a layer and its activation.

    Formula:
        W ~ U(-b, b), b = gain · sqrt(3 / fan), gain = E[f(z)²]^(-1/2) for z ~ N(0, 1)

    Args:
        nonlinearity: the activation that the output meets: a name, or a function of a NumPy array. Where nothing is
            said: the slot's own activation where the trace knows one, else ReLU.
        mode: "fan_in" keeps the signal forward, "fan_out" the gradient backward; "fan_avg" and "fan_geo_avg" lie between.
        a: slope of a leaky ReLU; `nonlinearity` is then "leaky_relu" (sqrt(5) is PyTorch's own default: ±1/√fan_in).

    Promise:
        With "fan_in", E[y²] = 1 for inputs f(z), z ~ N(0, 1); with "fan_out", E[dx²] = gain² E[dy²].

    Paper:
        He, Zhang, Ren & Sun 2015, "Delving deep into rectifiers", equations 10 (forward), 14 (backward) and 15 (leaky).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(he_uniform(nonlinearity="relu"), (300, 400), seed=0, name="w")
        >>> round(float(w.var()) * 400, 1)
        2.0
    """
    return _uniform(_he_std(slot, "he_uniform", nonlinearity, mode, a))


def _std(slot: Slot, name: str, mode: str, gain: float | None, nonlinearity: Nonlinearity) -> float:
    """gain / √fan: what the normal and the uniform rule of one paper share."""
    return gain_of(name, gain, nonlinearity) / math.sqrt(fan(slot, mode, name))


def _uniform(std: float) -> Uniform:
    """Uniform numbers of this standard deviation."""
    return Uniform(math.sqrt(3.0) * std)


def _he_std(slot: Slot, name: str, nonlinearity: Nonlinearity, mode: str, a: float | None) -> float:
    axes_of(slot, name)
    return finite_gain(name, _met(slot, nonlinearity, a)) / math.sqrt(fan(slot, mode, name))


def _met(slot: Slot, nonlinearity: Nonlinearity, a: float | None) -> Activation:
    """The activation that He's rules are about."""
    if a is not None:
        return Activation.named("leaky_relu", a)
    if nonlinearity is not None:
        return Activation.of(nonlinearity)
    return slot.activation or Activation.named("relu")


@rule(
    promise=lambda slot, scale, mode, distribution, cut: kept(slot, mode, "variance_scaling", math.sqrt(scale)),
    samples=({}, {"scale": 2.0, "mode": "fan_avg", "distribution": "uniform"}, {"mode": "fan_geo_avg"}),
)
def variance_scaling(
    slot: Slot, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal", cut: float = 2.0
) -> Distribution:
    """The general form: a variance of scale / fan, in one of three shapes. The variance is exact, truncated or not.

    Formula:
        Var[W] = scale / fan

    Args:
        scale: variance times fan, at least 0 (1 LeCun, 2 He for ReLU, 1 with "fan_avg" Xavier).
        mode: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
        distribution: "normal", "truncated_normal" or "uniform".
        cut: where a truncated normal is cut, in sigmas of the uncut Gaussian.

    Promise:
        With "fan_in", E[y²] = scale · E[x²]; with "fan_out", E[dx²] = scale · E[dy²].

    Paper:
        The common form of LeCun 1998, Glorot & Bengio 2010 and He et al. 2015, as Keras and JAX name it.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(variance_scaling(2.0), (300, 400), seed=0, name="w")
        >>> round(float(w.var()) * 400, 1)
        2.0
    """
    std = math.sqrt(scale / fan(slot, mode, "variance_scaling"))
    if distribution == "uniform":
        return _uniform(std)
    return Normal(std) if distribution == "normal" else TruncatedNormal(std, cut)
