"""The factories of `fanin.jax`, for editors and type checkers. Written by `python -m tests.stubs`; do not edit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax import Array

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.draws.jax_initializer import Axis, Initializer
from fanin.plans.records import Plan
from fanin.slots import Axes, Slot

__all__: list[str]
FUNCTIONS: dict[str, Callable[..., Initializer]]

def constant(
    value: float,
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """One value everywhere."""

def delta_orthogonal(
    gain: float | None = None,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    scale_out: bool = False,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A convolution that is a random orthogonal matrix on its centre tap and zero elsewhere: exact isometry over space."""

def dirac(
    *,
    gain: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The convolution that hands every channel on unchanged: the identity on the centre tap, in every group."""

def eye(
    *,
    gain: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The identity of a dense weight, cut off or filled with zeros where in and out differ; one for each stacked block."""

def glorot_normal(
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers with a variance between what the forward and what the backward pass ask for."""

def glorot_uniform(
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Uniform numbers with a variance between what the forward and what the backward pass ask for."""

def he_normal(
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    mode: str = "fan_in",
    a: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers that keep the second moment through a layer and its activation."""

def he_uniform(
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    mode: str = "fan_in",
    a: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Uniform numbers that keep the second moment through a layer and its activation."""

def identity(
    *,
    gain: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The identity of a dense weight, cut off or filled with zeros where in and out differ; one for each stacked block."""

def init_(model: Any, rules: Any, *, seed: int | None = None, axes: Mapping[str, str | Axes] | None = None) -> Any:
    """Draw the parameters of a Flax NNX model anew, in place, whole or not at all; returns the model."""

def initializer(
    rule: str | Distribution | Callable[[Slot], Distribution],
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The initializer of a rule, a distribution, or the text of a rule."""

def kaiming_normal(
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    mode: str = "fan_in",
    a: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers that keep the second moment through a layer and its activation."""

def kaiming_uniform(
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    mode: str = "fan_in",
    a: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Uniform numbers that keep the second moment through a layer and its activation."""

def key(seed: Any, name: str = "") -> Array:
    """The JAX key of one seed and one weight's name: what is drawn with it has the numbers of `fanin.draw(seed=, name=)`."""

def lecun_normal(
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers of variance 1 / fan_in. With SELU, of gain 1, it keeps a deep net's signal at 1."""

def lecun_uniform(
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Uniform numbers of variance 1 / fan_in."""

def mirrored(
    units: Sequence[int],
    nonlinearity: Any = "relu",
    *,
    first: float | None = None,
    head: float | None = None,
    gain: float | None = None,
    pair: bool | None = None,
    dtype: Any = None,
) -> list[Initializer]:
    """The initializers of a plain chain of weights with mirrored halves ("looks-linear"); see `fanin.rules.mirrored`."""

def normal(
    std: float,
    *,
    mean: float = 0.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Independent Gaussian numbers of a given deviation."""

def normal_fan(
    *,
    mode: str = "fan_in",
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers of variance 1 / N: a linear layer then keeps the second moment of its input."""

def ones(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """One everywhere: scales of norms."""

def orthogonal(
    gain: float | None = None,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    scale_out: bool = False,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A random orthogonal matrix (Haar): all singular values equal, so that no direction of the signal dies in depth."""

def plan(model: Any, rules: Any, *, seed: int = 0, axes: Mapping[str, str | Axes] | None = None) -> Plan:
    """A plan for the parameters (`nnx.Param`) of a Flax NNX model; nothing is drawn."""

def random_normal(
    *,
    std: float,
    mean: float = 0.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Independent Gaussian numbers of a given deviation."""

def random_uniform(
    *,
    low: float | None = None,
    high: float | None = None,
    bound: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Independent numbers, uniform between two bounds: `low` and `high`, or -`bound` and `bound`."""

def trunc_normal(
    *,
    std: float,
    cut: float = 2.0,
    mean: float = 0.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers cut off symmetrically, rescaled so that `std` is the deviation that the numbers really have."""

def truncated_normal(
    *,
    std: float,
    cut: float = 2.0,
    mean: float = 0.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers cut off symmetrically, rescaled so that `std` is the deviation that the numbers really have."""

def uniform(
    *,
    low: float | None = None,
    high: float | None = None,
    bound: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Independent numbers, uniform between two bounds: `low` and `high`, or -`bound` and `bound`."""

def uniform_fan(
    *,
    mode: str = "fan_in",
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Uniform between ±1/√N: the default of PyTorch's `Linear` and convolutions. Its variance is 1 / (3 N) only."""

def variance_scaling(
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    *,
    cut: float = 2.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The general form: a variance of scale / fan, in one of three shapes. The variance is exact, truncated or not."""

def xavier_normal(
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers with a variance between what the forward and what the backward pass ask for."""

def xavier_uniform(
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Uniform numbers with a variance between what the forward and what the backward pass ask for."""

def zeros(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Zero everywhere: biases, and last weights of residual branches that are to start as the identity."""
