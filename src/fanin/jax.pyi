"""The factories of `fanin.jax`, for editors and type checkers. Written by `python -m tests.stubs`; do not edit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jax import Array

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.draws.jax_initializer import Axis, Initializer
from fanin.plans.records import Plan
from fanin.rules.requirement import Requirement
from fanin.slots import Axes, Slot

__all__: list[str]
FUNCTIONS: dict[str, Callable[..., Initializer]]

def admin(
    *,
    variance: float = 1.0,
    branch: int | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Post-norm transformers whose skip counts as much as all branches before it: early steps then disturb the output less."""

def attention_logits(
    *,
    logit_std: float = 1.0,
    heads: int = 1,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The query and key weights of softmax attention: logits q·k / √d between normed tokens start with this deviation."""

def bias_prior(
    *,
    prior: float = 0.01,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The bias of a sigmoid head (detection, multi-label) that starts every output at the same small probability."""

def bilinear(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A transposed convolution that starts as bilinear interpolation of each channel (linear in 1-D, trilinear in 3-D)."""

def bilinear_upsample(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A transposed convolution that starts as bilinear interpolation of each channel (linear in 1-D, trilinear in 3-D)."""

def caffe2_xavier(
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
    """Uniform numbers of variance 1 / fan_in (Caffe2's "Xavier" is the same: He's uniform rule with slope 1)."""

def chrono(
    *,
    t_max: float,
    t_min: float = 1.0,
    gate: int = 1,
    gates: int | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Forget gates that remember for every length of time up to the longest that the task has."""

def class_prior(
    *,
    counts: tuple[float, ...] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The bias of a softmax head that starts at the classes' frequencies: the first loss is then the entropy of the labels."""

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

def convolution_aware(
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Each output's filters, one an input, form a random orthonormal basis of filters, scaled as He's rule scales."""

def deepnorm(
    *,
    layers: float | None = None,
    stack: str = "",
    other: float | None = None,
    part: str = "",
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Post-norm transformers of up to 1,000 layers: the skip is made larger by α, and the weights of branches smaller by β."""

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

def depth_scaled(
    *,
    std: float = 0.02,
    block: int | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Less for later layers: the deviation falls with the layer's own index instead of the number of layers."""

def dirac(
    *,
    groups: int = 1,
    gain: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The convolution that hands every channel on unchanged: the identity on the centre tap, in every group."""

def dks(
    *,
    slope: float = 1.5,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    depth: int | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Deep kernel shaping: scaled orthogonal weights, and activations reshaped so that a deep net keeps apart what it is shown."""

def dplr(
    *,
    vector: str = "low_rank",
    complex_pairs: bool = False,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The vectors of S4's diagonal-plus-low-rank form of HiPPO-LegS, beside `s4d("legs", …)`."""

def edit(model: Any, needs: Plan | Iterable[Requirement]) -> Any:
    """Give a Flax NNX model what a plan requires of its architecture, in place; returns the model."""

def embedding_normal(
    *,
    std: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian rows of a given deviation; the padding row is zero."""

def embedding_scaled(
    *,
    gain: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian rows of length about 1 (variance 1 / width), as Flax draws embeddings; the padding row is zero."""

def embedding_tied(
    *,
    multiplied: bool = False,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A table that is also the head: as a head it must be of variance 1 / width, so that logits of normed signals have size 1."""

def embedding_uniform(
    *,
    bound: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Uniform rows, as Keras draws embeddings; the padding row is zero."""

def experts(
    *,
    inner: str = "he_normal",
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Experts stacked in one weight, (experts, in, out): each drawn as a weight of its own."""

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

def fixup(
    *,
    branches: float | None = None,
    per_branch: float | None = None,
    last: bool | None = None,
    head: bool | None = None,
    mode: str = "fan_out",
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Residual branches without a norm: the last weight of each is zero, the others small enough that one step changes little."""

def focal_prior(
    *,
    prior: float = 0.01,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The bias of a sigmoid head (detection, multi-label) that starts every output at the same small probability."""

def forget_bias(
    *,
    value: float = 1.0,
    gate: int = 1,
    gates: int | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The forget gate's bias at a value, the other gates at zero: at the start the cell keeps most of its state."""

def full_megatron(
    *,
    std: float = 0.02,
    cut: float = 3.0,
    branches: float | None = None,
    last: bool | None = None,
    head: bool | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Megatron's rule as OLMo has it: cut at three deviations, less for what writes to the stream, and a head of its own scale."""

def gate_blocks(
    *,
    inner: str = "orthogonal",
    gates: int | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Each gate of a fused recurrent weight drawn for itself, by a rule for all gates or one for each."""

def gated_normal(
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The weights that make gate and value of a gated layer f(W x) · (V x): the product then has the size of its input."""

def gated_out_normal(
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The weight behind a gated product f(a) · b, for gates and values of size 1: its gain is that of the product."""

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

def glu_in(
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The weights that make gate and value of a gated layer f(W x) · (V x): the product then has the size of its input."""

def glu_out(
    *,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The weight behind a gated product f(a) · b, for gates and values of size 1: its gain is that of the product."""

def goog(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """TensorFlow's EfficientNets: convolutions by He's rule over fan_out, dense layers uniform over their outputs."""

def goog_normal(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """TensorFlow's EfficientNets: convolutions by He's rule over fan_out, dense layers uniform over their outputs."""

def gpt2_residual(
    *,
    std: float = 0.02,
    branches: float | None = None,
    last: bool | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers of 0.02, and 1/√branches of it for the last weight of each residual branch."""

def hadamard(
    *,
    gain: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A Hadamard matrix: orthogonal, without chance, and every input reaches every output with the same weight."""

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

def hippo_legs(
    *,
    gain: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """HiPPO-LegS: the state holds the Legendre coefficients of all of its past."""

def hippo_legs_input(
    *,
    gain: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """HiPPO-LegS's input vector, beside `hippo_legs`."""

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

def idinit(
    *,
    tau: float = 1.0,
    epsilon: float = 1e-06,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """IDInit: the identity, repeated until it fills a layer that widens or narrows; nearly zero at the end of a residual branch."""

def impulse_attention(
    *,
    heads: int,
    height: int,
    width: int,
    kernel: int = 3,
    norm: float = 7.0,
    noise: float = 0.0018,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Queries and keys of a vision transformer with which each head starts as one tap of a convolution over the patches."""

def init_(
    model: Any,
    rules: Any,
    *,
    seed: Any = None,
    axes: Mapping[str, str | Axes] | None = None,
    branches: str | Sequence[str | tuple[str, ...]] | None = None,
) -> Any:
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

def irnn(
    *,
    gain: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The identity from state to state, for plain recurrent layers of ReLU: a state stays until something is added to it."""

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

def layer_scale(
    *,
    init: float | None = None,
    layers: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """One trainable number a channel on each branch, small at the start, so that deep transformers begin near the identity."""

def layerscale(
    *,
    init: float | None = None,
    layers: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """One trainable number a channel on each branch, small at the start, so that deep transformers begin near the identity."""

def learned_positions(
    *,
    std: float = 0.02,
    distribution: str = "truncated_normal",
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Small random numbers for positions, class tokens and registers that are added to a signal and learned."""

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
    """Uniform numbers of variance 1 / fan_in (Caffe2's "Xavier" is the same: He's uniform rule with slope 1)."""

def linspace_bias(
    *,
    low: float = 3.0,
    high: float = 6.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """xLSTM's forget gates: biases in equal steps over the heads, so that each remembers longer than the one before."""

def lora(
    *,
    option: str = "default",
    factor: str | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The two factors of a low-rank adapter, W + scaling · B A, in PEFT's options that read no data and no weight."""

def lru_gamma(
    *,
    r_min: float = 0.0,
    r_max: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The norm of a linear recurrent unit's inputs: each state then has the size of one input, however long it remembers."""

def lru_nu(
    *,
    r_min: float = 0.0,
    r_max: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The decays of a linear recurrent unit: eigenvalues uniform (by area) on the ring between two radii."""

def lru_theta(
    *,
    max_phase: float = 6.283185307179586,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The angles of a linear recurrent unit's eigenvalues, uniform up to a largest one."""

def magneto(
    *,
    layers: float | None = None,
    stack: str = "",
    other: float | None = None,
    part: str = "",
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A second norm inside each branch bounds it, so that weights may grow with depth (Magneto)."""

def mamba_a_log(
    *,
    heads: bool = False,
    low: float = 1.0,
    high: float = 16.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The log of Mamba's decays: 1 … N in every channel (S4D-Real), or one random decay a head (Mamba-2)."""

def mamba_dt_bias(
    *,
    dt_min: float = 0.001,
    dt_max: float = 0.1,
    floor: float = 0.0001,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The bias behind Mamba's step sizes: softplus of it is log-uniform, so that the channels see all time scales alike."""

def mamba_dt_weight(
    *,
    scale: float = 1.0,
    mode: str = "random",
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The projection from a low rank to Mamba's step sizes: what it adds to the bias does not grow with the rank."""

def megatron_scaled(
    *,
    std: float = 0.02,
    branches: float | None = None,
    last: bool | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers of 0.02, and 1/√branches of it for the last weight of each residual branch."""

def mica(weight: Array, rank: int, *, axes: str = "io", dtype: Any = None) -> tuple[Array, Array, Array]:
    """An adapter with B along the directions that its weight uses least, and A zero."""

def mimetic(
    *,
    heads: int,
    part: str | None = None,
    alpha: float = 0.7,
    beta: float = 0.7,
    alpha_values: float = 0.4,
    beta_values: float = 0.4,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Attention that looks like a trained one: scores favour a token itself, values come back with their sign turned."""

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

def mitchell(
    *,
    block: int | None = None,
    last: bool | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Variance 1 / fan_in, and less for what later layers write to the stream; cut at three deviations (OLMo)."""

def mup(
    *,
    base_width: float,
    optimizer: str = "adam",
    kind: str = "",
    std: float | None = None,
    gain: float | None = None,
    in_ratio: float | None = None,
    out_ratio: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The maximal update parametrization: every layer's features move as much at any width, with one learning rate."""

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

def normal_between(
    *,
    std: float,
    low: float | None = -2.0,
    high: float | None = 2.0,
    mean: float = 0.0,
    sigmas: bool = False,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers between two bounds as the frameworks draw them: `std` is the deviation *before* the cut."""

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

def ntk(
    *,
    gain: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The neural tangent kernel's parametrization: all weights are N(0, 1), and gain / √fan_in is in the op."""

def ntk_parametrization(
    *,
    gain: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The neural tangent kernel's parametrization: all weights are N(0, 1), and gain / √fan_in is in the op."""

def olmo_megatron(
    *,
    std: float = 0.02,
    cut: float = 3.0,
    branches: float | None = None,
    last: bool | None = None,
    head: bool | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Megatron's rule as OLMo has it: cut at three deviations, less for what writes to the stream, and a head of its own scale."""

def olora(
    weight: Array,
    rank: int,
    *,
    scaling: float = 1.0,
    axes: str = "io",
    dtype: Any = None,
) -> tuple[Array, Array, Array]:
    """An adapter from the QR decomposition of its weight, and the weight without it: the model starts as it was."""

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

def orthogonal_gates(
    *,
    inner: str = "orthogonal",
    gates: int | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Each gate of a fused recurrent weight drawn for itself, by a rule for all gates or one for each."""

def pissa(
    weight: Array,
    rank: int,
    *,
    scaling: float = 1.0,
    niter: int | None = None,
    axes: str = "io",
    dtype: Any = None,
    seed: int = 0,
    name: str = "",
) -> tuple[Array, Array, Array]:
    """An adapter of its weight's principal part, and the weight without it: the model starts as it was."""

def plan(
    model: Any,
    rules: Any,
    *,
    seed: Any = 0,
    axes: Mapping[str, str | Axes] | None = None,
    branches: str | Sequence[str | tuple[str, ...]] | None = None,
) -> Plan:
    """A plan for the parameters (`nnx.Param`) of a Flax NNX model; nothing is drawn."""

def qkv_blocks(
    *,
    inner: str = "xavier_uniform",
    sizes: tuple[float, ...] = (),
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Queries, keys and values drawn for themselves, stored as one weight or as three."""

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

def rezero(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """x + α F(x) with a trainable α that starts at 0: the net is the identity at the start, whatever its depth."""

def router(
    *,
    scale: float = 0.1,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The Switch transformer's rule, meant for routers: a tenth of LeCun's variance, cut at two deviations."""

def s4_log_dt(
    *,
    dt_min: float = 0.001,
    dt_max: float = 0.1,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The log of S4's step sizes, uniform: every time scale from 1 / dt_max to 1 / dt_min alike."""

def s4d(
    *,
    kind: str = "lin",
    part: str = "log_real",
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """S4D's diagonal states, in the parameters that its layers store: the log of the decays, and the frequencies."""

def scaled_uniform_orthogonal(
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
    """The weights of deep kernel shaping: orthogonal, on the centre tap of a convolution, scaled up where a layer widens."""

def selu_normal(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The weights of a self-normalizing net: with SELU, a signal of mean 0 and size 1 stays so at any depth."""

def sinusoid(
    *,
    base: float = 10000.0,
    layout: str = "interleaved",
    width: int | None = None,
    skip: int = 0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A table of sines and cosines of the position, at wavelengths from 2π to 2π · base."""

def siren(
    *,
    omega: float = 30.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The weights behind the first layer of a network of sines: each sine's argument is then a Gaussian of about size 1."""

def siren_first(
    *,
    version: str = "code",
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The first layer of a network of sines, over coordinates between -1 and 1."""

def skipinit(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A residual net without batch norm: a trainable scalar that starts at 0 ends each branch, and weights are He's."""

def slots(model: Any, *, axes: Mapping[str, str | Axes] | None = None) -> tuple[Slot, ...]:
    """What is known of each parameter (`nnx.Param`) of a Flax NNX model: name, shape, what its axes mean, role."""

def small_init(
    *,
    width: float | None = None,
    last: bool | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Xavier's rule of the widest layer of a transformer (d to 4 d) for all of them."""

def snn_normal(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The weights of a self-normalizing net: with SELU, a signal of mean 0 and size 1 stays so at any depth."""

def sparse(
    *,
    sparsity: float,
    std: float = 0.01,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Gaussian numbers, of which this share is zero: for each input the same number of outputs, at random places."""

def sparse_connections(
    *,
    connections: int = 15,
    std: float = 1.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Each unit listens to a fixed number of random inputs, with Gaussian weights: its input's size does not grow with the width."""

def stable_resnet(
    *,
    branches: float | None = None,
    last: bool | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Each of L branches adds 1/L of the stream's second moment, so that all of them together multiply it by at most e."""

def standard(
    *,
    gain: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The standard parametrization: variance 1 / fan_in everywhere, one learning rate, nothing in the op."""

def standard_parametrization(
    *,
    gain: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The standard parametrization: variance 1 / fan_in everywhere, one learning rate, nothing in the op."""

def stft(
    *,
    side: str = "real",
    window: str = "hann",
    scaling: str = "density",
    periodic: bool = False,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A 1-D convolution over one channel that starts as a short-time Fourier transform: one output a frequency."""

def subln(
    *,
    layers: float | None = None,
    stack: str = "",
    other: float | None = None,
    part: str = "",
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A second norm inside each branch bounds it, so that weights may grow with depth (Magneto)."""

def suo(
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
    """The weights of deep kernel shaping: orthogonal, on the centre tap of a convolution, scaled up where a layer widens."""

def switch_router(
    *,
    scale: float = 0.1,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The Switch transformer's rule, meant for routers: a tenth of LeCun's variance, cut at two deviations."""

def t_fixup(
    *,
    layers: float | None = None,
    stack: str = "",
    part: str = "",
    multiplied: bool = True,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A transformer without layer norm and without warm-up: value, output, feed-forward and embeddings shrink with depth."""

def tat(
    *,
    curve: float = 0.3,
    correlation: float = 0.9,
    nonlinearity: str | Activation | Callable[[Any], Any] | None = None,
    depth: int | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Tailored activations: scaled orthogonal weights, and activations so tailored that like inputs neither part nor collapse."""

def tfixup(
    *,
    layers: float | None = None,
    stack: str = "",
    part: str = "",
    multiplied: bool = True,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """A transformer without layer norm and without warm-up: value, output, feed-forward and embeddings shrink with depth."""

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

def u_mup(
    *,
    kind: str = "",
    branches: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The unit-scaled maximal update parametrization: all weights are N(0, 1), and the scale is in the op (for Adam)."""

def umup(
    *,
    kind: str = "",
    branches: float | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The unit-scaled maximal update parametrization: all weights are N(0, 1), and the scale is in the op (for Adam)."""

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

def vit(
    *,
    mode: str = "timm",
    head_bias: float = 0.0,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """Vision transformers as timm starts them, in one of its four modes, by what each weight is for."""

def wang(
    *,
    layers: float | None = None,
    width: float | None = None,
    last: bool | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """What writes to the stream, small by the number of layers itself (GPT-J, GPT-NeoX)."""

def wang_init(
    *,
    layers: float | None = None,
    width: float | None = None,
    last: bool | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """What writes to the stream, small by the number of layers itself (GPT-J, GPT-NeoX)."""

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

def zer_o(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """ZerO: zeros and ones only. The identity where a layer keeps or narrows, a Hadamard matrix where it widens, no chance."""

def zero_gamma(
    *,
    last: bool | None = None,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The scale of the last norm of each residual branch is zero, so that each block starts as the identity."""

def zero_hadamard(
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """ZerO: zeros and ones only. The identity where a layer keeps or narrows, a Hadamard matrix where it widens, no chance."""

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
