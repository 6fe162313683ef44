"""Rules whose variance is a number over a fan: LeCun, Xavier (Glorot), He (Kaiming), and the general form."""

import math

from fanin.activations import Activation
from fanin.distributions import Distribution, Normal, TruncatedNormal, Uniform
from fanin.rules.arguments import Nonlinearity
from fanin.rules.fans import axes_of, fan, finite_gain, gain_of
from fanin.rules.rule import rule
from fanin.slots import Slot


@rule()
def normal_fan(slot: Slot, mode: str = "fan_in") -> Distribution:
    """Gaussian numbers of variance 1 / N: a linear layer then keeps the second moment of its input.

    Formula:
        W ~ N(0, 1 / N)

    Args:
        mode: which fan N is: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".

    Paper:
        LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", equation 16.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(normal_fan(), (300, 400), seed=0, name="w")
        >>> round(float(w.std()) * 400 ** 0.5, 2)
        1.0
    """
    return Normal(1.0 / math.sqrt(fan(slot, mode, "normal_fan")))


@rule()
def uniform_fan(slot: Slot, mode: str = "fan_in") -> Distribution:
    """Uniform between ±1/√N: the default of PyTorch's `Linear` and convolutions. Its variance is 1 / (3 N) only.

    Formula:
        W ~ U(-1/√N, 1/√N)

    Args:
        mode: which fan N is: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".

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


@rule()
def lecun_normal(slot: Slot, gain: float | None = None, nonlinearity: Nonlinearity = None) -> Distribution:
    """Gaussian numbers of variance 1 / fan_in. With SELU, of gain 1, it keeps a deep net's signal at 1.

    Formula:
        W ~ N(0, gain² / fan_in)

    Args:
        gain: factor on the deviation (1 where nothing is said).
        nonlinearity: instead of `gain`: the activation whose exact gain to take.

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


@rule()
def lecun_uniform(slot: Slot, gain: float | None = None, nonlinearity: Nonlinearity = None) -> Distribution:
    """Uniform numbers of variance 1 / fan_in.

    Formula:
        W ~ U(-b, b), b = gain · sqrt(3 / fan_in)

    Args:
        gain: factor on the deviation (1 where nothing is said).
        nonlinearity: instead of `gain`: the activation whose exact gain to take.

    Paper:
        LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", equation 16.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(lecun_uniform(), (300, 400), seed=0, name="w")
        >>> round(float(w.std()) * 400 ** 0.5, 2)
        1.0
    """
    return _uniform(_std(slot, "lecun_uniform", "fan_in", gain, nonlinearity))


@rule(aliases=("glorot_normal",))
def xavier_normal(slot: Slot, gain: float | None = None, nonlinearity: Nonlinearity = None) -> Distribution:
    """Gaussian numbers with a variance between what the forward and what the backward pass ask for.

    Formula:
        W ~ N(0, gain² · 2 / (fan_in + fan_out))

    Args:
        gain: factor on the deviation (1 where nothing is said).
        nonlinearity: instead of `gain`: the activation whose exact gain to take. PyTorch's `calculate_gain` says 5/3 for
            tanh and 3/4 for SELU; the exact integrals are 1.5925 and 1.

    Paper:
        Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", equation 12.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(xavier_normal(), (300, 500), seed=0, name="w")
        >>> round(float(w.std()) * 400 ** 0.5, 2)
        1.0
    """
    return Normal(_std(slot, "xavier_normal", "fan_avg", gain, nonlinearity))


@rule(aliases=("glorot_uniform",))
def xavier_uniform(slot: Slot, gain: float | None = None, nonlinearity: Nonlinearity = None) -> Distribution:
    """Uniform numbers with a variance between what the forward and what the backward pass ask for.

    Formula:
        W ~ U(-b, b), b = gain · sqrt(6 / (fan_in + fan_out))

    Args:
        gain: factor on the deviation (1 where nothing is said).
        nonlinearity: instead of `gain`: the activation whose exact gain to take. PyTorch's `calculate_gain` says 5/3 for
            tanh and 3/4 for SELU; the exact integrals are 1.5925 and 1.

    Paper:
        Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", equation 16.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(xavier_uniform(), (300, 500), seed=0, name="w")
        >>> round(float(w.std()) * 400 ** 0.5, 2)
        1.0
    """
    return _uniform(_std(slot, "xavier_uniform", "fan_avg", gain, nonlinearity))


@rule(aliases=("kaiming_normal",))
def he_normal(
    slot: Slot, nonlinearity: Nonlinearity = None, mode: str = "fan_in", a: float | None = None
) -> Distribution:
    """Gaussian numbers that keep the second moment through a layer and its activation.

    The gain is E[f(z)²]^(-1/2) for z ~ N(0, 1), by quadrature, for any activation: sqrt(2) for ReLU, 1.5335 for GELU.
    (PyTorch's `calculate_gain` has a table instead, with 5/3 for tanh, 3/4 for SELU, 1 for sigmoid, and no GELU.)

    Formula:
        W ~ N(0, gain² / fan)

    Args:
        nonlinearity: the activation that the output meets: a name, or a function of a NumPy array. Where nothing is
            said: the slot's own activation where the trace knows one, else ReLU.
        mode: "fan_in" keeps the signal forward, "fan_out" the gradient backward; "fan_avg" and "fan_geo_avg" lie between.
        a: slope of a leaky ReLU; `nonlinearity` is then "leaky_relu".

    Paper:
        He, Zhang, Ren & Sun 2015, "Delving deep into rectifiers", equations 10 (forward), 14 (backward) and 15 (leaky).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(he_normal(nonlinearity="relu"), (300, 400), seed=0, name="w")
        >>> round(float(w.var()) * 400, 1)
        2.0
    """
    return Normal(_he_std(slot, "he_normal", nonlinearity, mode, a))


@rule(aliases=("kaiming_uniform",))
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
    if a is not None:
        chosen = Activation.named("leaky_relu", a)
    elif nonlinearity is not None:
        chosen = Activation.of(nonlinearity)
    else:
        chosen = slot.activation or Activation.named("relu")
    return finite_gain(name, chosen) / math.sqrt(fan(slot, mode, name))


@rule()
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
