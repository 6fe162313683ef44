"""The functions of `fanin.torch`, for editors and type checkers. Written by `python -m tests.stubs`; do not edit."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fanin.activations import Activation
from fanin.slots import Axes

__all__: list[str]
FUNCTIONS: dict[str, Callable[..., Tensor]]

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
    *,
    gain: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The convolution that hands every channel on unchanged: the identity on the centre tap, in every group."""

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
    """Uniform numbers of variance 1 / fan_in."""

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

def take_key(generator: torch.Generator | None = None) -> int:
    """One number from 0 to 2**64 - 1 out of a generator (torch's default one, if None)."""

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

def zeros_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Zero everywhere: biases, and last weights of residual branches that are to start as the identity."""
