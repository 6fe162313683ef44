"""The functions of `fanin.torch`, for editors and type checkers. Written by `python -m tests.stubs`; do not edit."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fanin.activations import Activation
from fanin.slots import Axes

__all__: list[str]
FUNCTIONS: dict[str, Callable[..., Tensor]]

def attention_logits_(
    tensor: Tensor,
    *,
    logit_std: float = 1.0,
    heads: int = 1,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The query and key weights of softmax attention: logits q·k / √d between normed tokens start with this deviation."""

def bias_prior_(
    tensor: Tensor,
    *,
    prior: float = 0.01,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The bias of a sigmoid head (detection, multi-label) that starts every output at the same small probability."""

def bilinear_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A transposed convolution that starts as bilinear interpolation of each channel (linear in 1-D, trilinear in 3-D)."""

def bilinear_upsample_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A transposed convolution that starts as bilinear interpolation of each channel (linear in 1-D, trilinear in 3-D)."""

def caffe2_xavier_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Uniform numbers of variance 1 / fan_in (Caffe2's "Xavier" is the same: He's uniform rule with slope 1)."""

def class_prior_(
    tensor: Tensor,
    *,
    counts: tuple[float, ...] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The bias of a softmax head that starts at the classes' frequencies: the first loss is then the entropy of the labels."""

def constant_(
    tensor: Tensor,
    value: float,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """One value everywhere."""

def convolution_aware_(
    tensor: Tensor,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Each output's filters, one an input, form a random orthonormal basis of filters, scaled as He's rule scales."""

def delta_orthogonal_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    scale_out: bool = False,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A convolution that is a random orthogonal matrix on its centre tap and zero elsewhere: exact isometry over space."""

def dirac_(
    tensor: Tensor,
    groups: int = 1,
    *,
    gain: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The convolution that hands every channel on unchanged: the identity on the centre tap, in every group."""

def dks_(
    tensor: Tensor,
    *,
    slope: float = 1.5,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    depth: int | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Deep kernel shaping: scaled orthogonal weights, and activations reshaped so that a deep net keeps apart what it is shown."""

def embedding_normal_(
    tensor: Tensor,
    *,
    std: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian rows of a given deviation; the padding row is zero."""

def embedding_scaled_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian rows of length about 1 (variance 1 / width), as Flax draws embeddings; the padding row is zero."""

def embedding_tied_(
    tensor: Tensor,
    *,
    multiplied: bool = False,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A table that is also the head: as a head it must be of variance 1 / width, so that logits of normed signals have size 1."""

def embedding_uniform_(
    tensor: Tensor,
    *,
    bound: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Uniform rows, as Keras draws embeddings; the padding row is zero."""

def eye_(
    tensor: Tensor,
    *,
    gain: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The identity of a dense weight, cut off or filled with zeros where in and out differ; one for each stacked block."""

def focal_prior_(
    tensor: Tensor,
    *,
    prior: float = 0.01,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The bias of a sigmoid head (detection, multi-label) that starts every output at the same small probability."""

def gated_normal_(
    tensor: Tensor,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The weights that make gate and value of a gated layer f(W x) · (V x): the product then has the size of its input."""

def gated_out_normal_(
    tensor: Tensor,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The weight behind a gated product f(a) · b, for gates and values of size 1: its gain is that of the product."""

def glorot_normal_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian numbers with a variance between what the forward and what the backward pass ask for."""

def glorot_uniform_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Uniform numbers with a variance between what the forward and what the backward pass ask for."""

def glu_in_(
    tensor: Tensor,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The weights that make gate and value of a gated layer f(W x) · (V x): the product then has the size of its input."""

def glu_out_(
    tensor: Tensor,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The weight behind a gated product f(a) · b, for gates and values of size 1: its gain is that of the product."""

def goog_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """TensorFlow's EfficientNets: convolutions by He's rule over fan_out, dense layers uniform over their outputs."""

def goog_normal_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """TensorFlow's EfficientNets: convolutions by He's rule over fan_out, dense layers uniform over their outputs."""

def hadamard_(
    tensor: Tensor,
    *,
    gain: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A Hadamard matrix: orthogonal, without chance, and every input reaches every output with the same weight."""

def he_normal_(
    tensor: Tensor,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    mode: str = "fan_in",
    a: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian numbers that keep the second moment through a layer and its activation."""

def he_uniform_(
    tensor: Tensor,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    mode: str = "fan_in",
    a: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Uniform numbers that keep the second moment through a layer and its activation."""

def identity_(
    tensor: Tensor,
    *,
    gain: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The identity of a dense weight, cut off or filled with zeros where in and out differ; one for each stacked block."""

def idinit_(
    tensor: Tensor,
    *,
    tau: float = 1.0,
    epsilon: float = 1e-06,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """IDInit: the identity, repeated until it fills a layer that widens or narrows; nearly zero at the end of a residual branch."""

def impulse_attention_(
    tensor: Tensor,
    *,
    heads: int,
    height: int,
    width: int,
    kernel: int = 3,
    norm: float = 7.0,
    noise: float = 0.003,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Queries and keys of a vision transformer with which each head starts as one tap of a convolution over the patches."""

def init_(
    module: nn.Module,
    rule: Any,
    *,
    seed: int | None = None,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Draw the weights of a module and its children from one rule, in place; biases become zeros, scales of norms ones."""

def init_weights(
    module: nn.Module,
    plan: Plan,
    *,
    root: nn.modules.module.Module | None = None,
    seed: int | None = None,
    device: Any = None,
) -> nn.Module:
    """Draw a module's weights from a plan, but for those that are marked as initialized already."""

def kaiming_normal_(
    tensor: Tensor,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    mode: str = "fan_in",
    a: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian numbers that keep the second moment through a layer and its activation."""

def kaiming_uniform_(
    tensor: Tensor,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    mode: str = "fan_in",
    a: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Uniform numbers that keep the second moment through a layer and its activation."""

def learned_positions_(
    tensor: Tensor,
    *,
    std: float = 0.02,
    distribution: str = "truncated_normal",
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Small random numbers for positions, class tokens and registers that are added to a signal and learned."""

def lecun_normal_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian numbers of variance 1 / fan_in. With SELU, of gain 1, it keeps a deep net's signal at 1."""

def lecun_uniform_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Uniform numbers of variance 1 / fan_in (Caffe2's "Xavier" is the same: He's uniform rule with slope 1)."""

def mirrored_(
    tensors: Sequence[Tensor],
    nonlinearity: Any = "relu",
    *,
    first: float | None = None,
    head: float | None = None,
    gain: float | None = None,
    pair: bool | None = None,
    axes: Sequence[str | Axes | None] | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    names: Sequence[str] | None = None,
) -> list[Tensor]:
    """Fill the weights of a plain chain in place with mirrored halves ("looks-linear"); see `fanin.rules.mirrored`."""

def normal_(
    tensor: Tensor,
    *,
    std: float,
    mean: float = 0.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Independent Gaussian numbers of a given deviation."""

def normal_fan_(
    tensor: Tensor,
    *,
    mode: str = "fan_in",
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian numbers of variance 1 / N: a linear layer then keeps the second moment of its input."""

def ones_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """One everywhere: scales of norms."""

def orthogonal_(
    tensor: Tensor,
    gain: float | None = None,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    scale_out: bool = False,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A random orthogonal matrix (Haar): all singular values equal, so that no direction of the signal dies in depth."""

def scaled_uniform_orthogonal_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The weights of deep kernel shaping: orthogonal, on the centre tap of a convolution, scaled up where a layer widens."""

def selu_normal_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The weights of a self-normalizing net: with SELU, a signal of mean 0 and size 1 stays so at any depth."""

def sinusoid_(
    tensor: Tensor,
    *,
    base: float = 10000.0,
    layout: str = "interleaved",
    width: int | None = None,
    skip: int = 0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A table of sines and cosines of the position, at wavelengths from 2π to 2π · base."""

def siren_(
    tensor: Tensor,
    *,
    omega: float = 30.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The weights behind the first layer of a network of sines: each sine's argument is then a standard Gaussian."""

def siren_first_(
    tensor: Tensor,
    *,
    version: str = "code",
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The first layer of a network of sines, over coordinates between -1 and 1."""

def snn_normal_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The weights of a self-normalizing net: with SELU, a signal of mean 0 and size 1 stays so at any depth."""

def sparse_(
    tensor: Tensor,
    sparsity: float,
    std: float = 0.01,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian numbers, of which this share is zero: for each input the same number of outputs, at random places."""

def sparse_connections_(
    tensor: Tensor,
    *,
    connections: int = 15,
    std: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Each unit listens to a fixed number of random inputs, with Gaussian weights: its input's size does not grow with the width."""

def stft_(
    tensor: Tensor,
    *,
    side: str = "real",
    window: str = "hann",
    scaling: str = "density",
    periodic: bool = False,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A 1-D convolution over one channel that starts as a short-time Fourier transform: one output a frequency."""

def suo_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The weights of deep kernel shaping: orthogonal, on the centre tap of a convolution, scaled up where a layer widens."""

def take_key(generator: torch.Generator | None = None) -> int:
    """One number from 0 to 2**64 - 1 out of a generator (torch's default one, if None)."""

def tat_(
    tensor: Tensor,
    *,
    curve: float = 0.3,
    correlation: float = 0.9,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    depth: int | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Tailored activations: scaled orthogonal weights, and activations so tailored that like inputs neither part nor collapse."""

def truncated_normal_(
    tensor: Tensor,
    *,
    std: float,
    cut: float = 2.0,
    mean: float = 0.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian numbers cut off symmetrically, rescaled so that `std` is the deviation that the numbers really have."""

def uniform_(
    tensor: Tensor,
    *,
    low: float | None = None,
    high: float | None = None,
    bound: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Independent numbers, uniform between two bounds: `low` and `high`, or -`bound` and `bound`."""

def uniform_fan_(
    tensor: Tensor,
    *,
    mode: str = "fan_in",
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Uniform between ±1/√N: the default of PyTorch's `Linear` and convolutions. Its variance is 1 / (3 N) only."""

def variance_scaling_(
    tensor: Tensor,
    *,
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    cut: float = 2.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The general form: a variance of scale / fan, in one of three shapes. The variance is exact, truncated or not."""

def xavier_normal_(
    tensor: Tensor,
    gain: float | None = None,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian numbers with a variance between what the forward and what the backward pass ask for."""

def xavier_uniform_(
    tensor: Tensor,
    gain: float | None = None,
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Uniform numbers with a variance between what the forward and what the backward pass ask for."""

def zer_o_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """ZerO: zeros and ones only. The identity where a layer keeps or narrows, a Hadamard matrix where it widens, no chance."""

def zero_hadamard_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """ZerO: zeros and ones only. The identity where a layer keeps or narrows, a Hadamard matrix where it widens, no chance."""

def zeros_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Zero everywhere: biases, and last weights of residual branches that are to start as the identity."""
