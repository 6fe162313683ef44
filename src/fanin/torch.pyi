"""The functions of `fanin.torch`, for editors and type checkers. Written by `python -m tests.stubs`; do not edit."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fanin.activations import Activation
from fanin.plans.records import Plan
from fanin.rules.requirement import Requirement
from fanin.slots import Axes

__all__: list[str]
FUNCTIONS: dict[str, Callable[..., Tensor]]

def adapters_(
    module: nn.Module,
    option: str = "pissa",
    *,
    adapter: str = "default",
    niter: int | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
) -> nn.Module:
    """Start every low-rank adapter in a model from the weight that it adapts, in place, whole or not at all."""

def admin_(
    tensor: Tensor,
    *,
    variance: float = 1.0,
    branch: int | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Post-norm transformers whose skip counts as much as all branches before it: early steps then disturb the output less."""

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

def chrono_(
    tensor: Tensor,
    *,
    t_max: float,
    t_min: float = 1.0,
    gate: int = 1,
    gates: int | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Forget gates that remember for every length of time up to the longest that the task has."""

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

def deepnorm_(
    tensor: Tensor,
    *,
    layers: float | None = None,
    stack: str = "",
    other: float | None = None,
    part: str = "",
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Post-norm transformers of up to 1,000 layers: the skip is made larger by α, and the weights of branches smaller by β."""

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

def depth_scaled_(
    tensor: Tensor,
    *,
    std: float = 0.02,
    block: int | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Less for later layers: the deviation falls with the layer's own index instead of the number of layers."""

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

def dplr_(
    tensor: Tensor,
    *,
    vector: str = "low_rank",
    complex_pairs: bool = False,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The vectors of S4's diagonal-plus-low-rank form of HiPPO-LegS, beside `s4d("legs", …)`."""

def edit(model: Any, needs: Plan | Iterable[Requirement], batch: Any = None) -> Any:
    """Give a torch model what a plan requires of its architecture, in place; returns the model."""

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

def experts_(
    tensor: Tensor,
    *,
    inner: str = "he_normal",
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Experts stacked in one weight, (experts, in, out): each drawn as a weight of its own."""

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

def fixup_(
    tensor: Tensor,
    *,
    branches: float | None = None,
    per_branch: float | None = None,
    last: bool | None = None,
    head: bool | None = None,
    mode: str = "fan_out",
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Residual branches without a norm: the last weight of each is zero, the others small enough that one step changes little."""

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

def forget_bias_(
    tensor: Tensor,
    *,
    value: float = 1.0,
    gate: int = 1,
    gates: int | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The forget gate's bias at a value, the other gates at zero: at the start the cell keeps most of its state."""

def full_megatron_(
    tensor: Tensor,
    *,
    std: float = 0.02,
    cut: float = 3.0,
    branches: float | None = None,
    last: bool | None = None,
    head: bool | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Megatron's rule as OLMo has it: cut at three deviations, less for what writes to the stream, and a head of its own scale."""

def gate_blocks_(
    tensor: Tensor,
    *,
    inner: str = "orthogonal",
    gates: int | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Each gate of a fused recurrent weight drawn for itself, by a rule for all gates or one for each."""

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

def gpt2_residual_(
    tensor: Tensor,
    *,
    std: float = 0.02,
    branches: float | None = None,
    last: bool | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian numbers of 0.02, and 1/√branches of it for the last weight of each residual branch."""

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

def hippo_legs_(
    tensor: Tensor,
    *,
    gain: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """HiPPO-LegS: the state holds the Legendre coefficients of all of its past."""

def hippo_legs_input_(
    tensor: Tensor,
    *,
    gain: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """HiPPO-LegS's input vector, beside `hippo_legs`."""

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
    noise: float = 0.0018,
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
    branches: str | Sequence[str | tuple[str, ...]] | None = None,
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

def irnn_(
    tensor: Tensor,
    *,
    gain: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The identity from state to state, for plain recurrent layers of ReLU: a state stays until something is added to it."""

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

def layer_scale_(
    tensor: Tensor,
    *,
    init: float | None = None,
    layers: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """One trainable number a channel on each branch, small at the start, so that deep transformers begin near the identity."""

def layerscale_(
    tensor: Tensor,
    *,
    init: float | None = None,
    layers: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """One trainable number a channel on each branch, small at the start, so that deep transformers begin near the identity."""

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

def linspace_bias_(
    tensor: Tensor,
    *,
    low: float = 3.0,
    high: float = 6.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """xLSTM's forget gates: biases in equal steps over the heads, so that each remembers longer than the one before."""

def lora_(
    tensor: Tensor,
    *,
    option: str = "default",
    factor: str | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The two factors of a low-rank adapter, W + scaling · B A, in PEFT's options that read no data and no weight."""

def lru_gamma_(
    tensor: Tensor,
    *,
    r_min: float = 0.0,
    r_max: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The norm of a linear recurrent unit's inputs: each state then has the size of one input, however long it remembers."""

def lru_nu_(
    tensor: Tensor,
    *,
    r_min: float = 0.0,
    r_max: float = 1.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The decays of a linear recurrent unit: eigenvalues uniform (by area) on the ring between two radii."""

def lru_theta_(
    tensor: Tensor,
    *,
    max_phase: float = 6.283185307179586,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The angles of a linear recurrent unit's eigenvalues, uniform up to a largest one."""

def magneto_(
    tensor: Tensor,
    *,
    layers: float | None = None,
    stack: str = "",
    other: float | None = None,
    part: str = "",
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A second norm inside each branch bounds it, so that weights may grow with depth (Magneto)."""

def mamba_a_log_(
    tensor: Tensor,
    *,
    heads: bool = False,
    low: float = 1.0,
    high: float = 16.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The log of Mamba's decays: 1 … N in every channel (S4D-Real), or one random decay a head (Mamba-2)."""

def mamba_dt_bias_(
    tensor: Tensor,
    *,
    dt_min: float = 0.001,
    dt_max: float = 0.1,
    floor: float = 0.0001,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The bias behind Mamba's step sizes: softplus of it is log-uniform, so that the channels see all time scales alike."""

def mamba_dt_weight_(
    tensor: Tensor,
    *,
    scale: float = 1.0,
    mode: str = "random",
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The projection from a low rank to Mamba's step sizes: what it adds to the bias does not grow with the rank."""

def megatron_scaled_(
    tensor: Tensor,
    *,
    std: float = 0.02,
    branches: float | None = None,
    last: bool | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian numbers of 0.02, and 1/√branches of it for the last weight of each residual branch."""

def mica_(a: Tensor, b: Tensor, weight: Tensor, *, axes: str = "oi") -> tuple[Tensor, Tensor, Tensor]:
    """Start an adapter with B along the directions that its weight uses least, and A zero; both in place, or none."""

def mimetic_(
    tensor: Tensor,
    *,
    heads: int,
    part: str | None = None,
    alpha: float = 0.7,
    beta: float = 0.7,
    alpha_values: float = 0.4,
    beta_values: float = 0.4,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Attention that looks like a trained one: scores favour a token itself, values come back with their sign turned."""

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

def mitchell_(
    tensor: Tensor,
    *,
    block: int | None = None,
    last: bool | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Variance 1 / fan_in, and less for what later layers write to the stream; cut at three deviations (OLMo)."""

def mup_(
    tensor: Tensor,
    *,
    base_width: float,
    optimizer: str = "adam",
    kind: str = "",
    std: float | None = None,
    gain: float | None = None,
    in_ratio: float | None = None,
    out_ratio: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The maximal update parametrization: every layer's features move as much at any width, with one learning rate."""

def new_rows_(
    tensor: Tensor,
    old: int,
    *,
    spread: float = 1e-09,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Fill the rows of a table that were added for new tokens, from the mean and the covariance of the old ones, in place."""

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

def normal_between_(
    tensor: Tensor,
    *,
    std: float,
    low: float | None = -2.0,
    high: float | None = 2.0,
    mean: float = 0.0,
    sigmas: bool = False,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Gaussian numbers between two bounds as the frameworks draw them: `std` is the deviation *before* the cut."""

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

def ntk_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The neural tangent kernel's parametrization: all weights are N(0, 1), and gain / √fan_in is in the op."""

def ntk_parametrization_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The neural tangent kernel's parametrization: all weights are N(0, 1), and gain / √fan_in is in the op."""

def olmo_megatron_(
    tensor: Tensor,
    *,
    std: float = 0.02,
    cut: float = 3.0,
    branches: float | None = None,
    last: bool | None = None,
    head: bool | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Megatron's rule as OLMo has it: cut at three deviations, less for what writes to the stream, and a head of its own scale."""

def olora_(
    a: Tensor,
    b: Tensor,
    weight: Tensor,
    *,
    scaling: float = 1.0,
    axes: str = "oi",
) -> tuple[Tensor, Tensor, Tensor]:
    """Start an adapter from the QR decomposition of its weight, which keeps the rest; all three in place, or none."""

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

def orthogonal_gates_(
    tensor: Tensor,
    *,
    inner: str = "orthogonal",
    gates: int | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Each gate of a fused recurrent weight drawn for itself, by a rule for all gates or one for each."""

def pissa_(
    a: Tensor,
    b: Tensor,
    weight: Tensor,
    *,
    scaling: float = 1.0,
    niter: int | None = None,
    axes: str = "oi",
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Start an adapter from its weight's principal part, which is taken out of the weight; all three in place, or none."""

def qkv_blocks_(
    tensor: Tensor,
    *,
    inner: str = "xavier_uniform",
    sizes: tuple[float, ...] = (),
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Queries, keys and values drawn for themselves, stored as one weight or as three."""

def rezero_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """x + α F(x) with a trainable α that starts at 0: the net is the identity at the start, whatever its depth."""

def router_(
    tensor: Tensor,
    *,
    scale: float = 0.1,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The Switch transformer's rule, meant for routers: a tenth of LeCun's variance, cut at two deviations."""

def s4_log_dt_(
    tensor: Tensor,
    *,
    dt_min: float = 0.001,
    dt_max: float = 0.1,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The log of S4's step sizes, uniform: every time scale from 1 / dt_max to 1 / dt_min alike."""

def s4d_(
    tensor: Tensor,
    *,
    kind: str = "lin",
    part: str = "log_real",
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """S4D's diagonal states, in the parameters that its layers store: the log of the decays, and the frequencies."""

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
    """The weights behind the first layer of a network of sines: each sine's argument is then a Gaussian of about size 1."""

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

def skipinit_(
    tensor: Tensor,
    *,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A residual net without batch norm: a trainable scalar that starts at 0 ends each branch, and weights are He's."""

def small_init_(
    tensor: Tensor,
    *,
    width: float | None = None,
    last: bool | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Xavier's rule of the widest layer of a transformer (d to 4 d) for all of them."""

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

def stable_resnet_(
    tensor: Tensor,
    *,
    branches: float | None = None,
    last: bool | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Each of L branches adds 1/L of the stream's second moment, so that all of them together multiply it by at most e."""

def standard_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The standard parametrization: variance 1 / fan_in everywhere, one learning rate, nothing in the op."""

def standard_parametrization_(
    tensor: Tensor,
    *,
    gain: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The standard parametrization: variance 1 / fan_in everywhere, one learning rate, nothing in the op."""

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

def subln_(
    tensor: Tensor,
    *,
    layers: float | None = None,
    stack: str = "",
    other: float | None = None,
    part: str = "",
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A second norm inside each branch bounds it, so that weights may grow with depth (Magneto)."""

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

def switch_router_(
    tensor: Tensor,
    *,
    scale: float = 0.1,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The Switch transformer's rule, meant for routers: a tenth of LeCun's variance, cut at two deviations."""

def t_fixup_(
    tensor: Tensor,
    *,
    layers: float | None = None,
    stack: str = "",
    part: str = "",
    multiplied: bool = True,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A transformer without layer norm and without warm-up: value, output, feed-forward and embeddings shrink with depth."""

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

def tfixup_(
    tensor: Tensor,
    *,
    layers: float | None = None,
    stack: str = "",
    part: str = "",
    multiplied: bool = True,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """A transformer without layer norm and without warm-up: value, output, feed-forward and embeddings shrink with depth."""

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

def u_mup_(
    tensor: Tensor,
    *,
    kind: str = "",
    branches: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The unit-scaled maximal update parametrization: all weights are N(0, 1), and the scale is in the op (for Adam)."""

def umup_(
    tensor: Tensor,
    *,
    kind: str = "",
    branches: float | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The unit-scaled maximal update parametrization: all weights are N(0, 1), and the scale is in the op (for Adam)."""

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

def vit_(
    tensor: Tensor,
    *,
    mode: str = "timm",
    head_bias: float = 0.0,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Vision transformers as timm starts them, in one of its four modes, by what each weight is for."""

def wang_(
    tensor: Tensor,
    *,
    layers: float | None = None,
    width: float | None = None,
    last: bool | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """What writes to the stream, small by the number of layers itself (GPT-J, GPT-NeoX)."""

def wang_init_(
    tensor: Tensor,
    *,
    layers: float | None = None,
    width: float | None = None,
    last: bool | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """What writes to the stream, small by the number of layers itself (GPT-J, GPT-NeoX)."""

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

def zero_gamma_(
    tensor: Tensor,
    *,
    last: bool | None = None,
    axes: str | Axes | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The scale of the last norm of each residual branch is zero, so that each block starts as the identity."""

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
