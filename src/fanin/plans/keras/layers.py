"""What the kinds of Keras's layers say about their own weights: role, axes, gates.

Keras stores (in, out), and the taps of a kernel before them; a depthwise kernel is a stack over its input channels, and a
transposed one has its outputs first. A shape alone tells none of this, which is why Keras's own initializers take wrong fans
there.
"""

import functools
import inspect
import math
import re
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from fanin.activations import Activation
from fanin.errors import FaninError
from fanin.plans.declared import einsum_axes
from fanin.slots import Axes, SlotRole

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
NORMS = tuple(
    getattr(layers, name)
    for name in ("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization")
    if hasattr(layers, name)  # RMSNormalization came later
)
# Layers that put their outputs through `activation`, with nothing between; in a recurrent cell the state comes in besides.
ACTING = (layers.Dense, layers.EinsumDense, *CONVOLUTIONS, *TRANSPOSED, *DEPTHWISE, *SEPARABLE)
# Gated cells: kind → what their blocks are called, how many there are
GATED: dict[type, tuple[str, int]] = {layers.LSTMCell: ("lstm", 4), layers.GRUCell: ("gru", 3)}
KERAS = ("keras.", "keras_hub.")  # packages of layers in which "bias" means a bias whatever its shape


@dataclass(frozen=True)
class Meaning:
    """What a layer says of one of its weights."""

    role: SlotRole
    axes: Axes | None = None
    parts: str | None = None
    hidden: int = 0
    activation: Activation | None = None


def meaning(layer: keras.Layer, attribute: str, shape: tuple[int, ...]) -> Meaning:
    """The meaning of one weight of a layer; without axes where its kind does not tell.

    Args:
        layer: the layer that owns it; it need not be built to the end.
        attribute: the weight's name there, such as "kernel".
        shape: of the weight.
    """
    if isinstance(layer, NORMS):
        return Meaning("norm_scale" if attribute in ("gamma", "scale") else "norm_shift")
    if isinstance(layer, layers.PReLU):
        return Meaning("scale")
    gates = gates_of(layer)
    known = _spec(layer, attribute, len(shape))
    if known is not None:
        spec, in_taps, out_taps = known
        groups = "groups" if "s" in spec and isinstance(layer, (*CONVOLUTIONS, *DEPTHWISE, *SEPARABLE)) else None
        parts, count = gates or (groups, 1)
        role: SlotRole = "embedding" if "v" in spec else "recurrent" if attribute == "recurrent_kernel" else "weight"
        if len(re.sub(r"\(.*?\)", "x", spec)) == len(shape) and shape[-1] % count == 0:
            axes = Axes.parse(spec, shape, in_taps=in_taps, out_taps=out_taps)
            acts = attribute in ("kernel", "pointwise_kernel") and isinstance(layer, ACTING)
            return Meaning(role, axes, parts, _hidden(layer), activation_of(layer.activation) if acts else None)
    named = attribute == "bias" or attribute.endswith("_bias")
    if named and (len(shape) < 2 or type(layer).__module__.startswith(KERAS)):
        return Meaning("bias", None, gates[0] if gates else None, _hidden(layer))
    return Meaning("weight" if len(shape) > 1 else "scale")


def gates_of(layer: keras.Layer) -> tuple[str, int] | None:
    """What the blocks of a gated cell's weights are, and how many; None for others."""
    if _is_conv_lstm(layer):
        return GATED[layers.LSTMCell]
    return next((found for kind, found in GATED.items() if isinstance(layer, kind)), None)


@functools.lru_cache(maxsize=256)
def activation_of(f: Any) -> Activation | None:
    """The activation that a layer has; None where it has none, or one that is not elementwise (softmax) or has weights."""
    if f is keras.activations.linear or not inspect.isfunction(f):
        return None
    try:
        return Activation.of(f)
    except FaninError:
        return None


def _spec(layer: keras.Layer, attribute: str, rank: int) -> tuple[str, float, float] | None:
    """(spec, share of the taps that meet in one output, share that one input reaches)."""
    field = "k" * (rank - 2)
    once = 1 / math.prod(strides) if isinstance(strides := getattr(layer, "strides", ()), tuple | list) else 1.0
    gates = gates_of(layer)
    outputs = f"(s{gates[1]}o)" if gates else "o"
    if _is_conv_lstm(layer) and attribute in ("kernel", "recurrent_kernel"):
        return f"{field}i{outputs}", 1.0, once if attribute == "kernel" else 1.0  # the state keeps its size
    match layer, attribute:
        case layers.Dense(), "kernel":
            return "io", 1.0, 1.0
        case layers.EinsumDense(), "kernel":
            spec = einsum_axes(layer.equation)
            return None if spec is None else (spec, 1.0, 1.0)
        case _ if isinstance(layer, SEPARABLE) and attribute == "pointwise_kernel":
            return f"{field}io", 1.0, 1.0
        case _ if (isinstance(layer, DEPTHWISE) and attribute == "kernel") or (
            isinstance(layer, SEPARABLE) and attribute == "depthwise_kernel"
        ):
            return f"{field}so", 1.0, once
        case _ if isinstance(layer, TRANSPOSED) and attribute == "kernel":
            return f"{field}oi", once, 1.0
        case _ if isinstance(layer, CONVOLUTIONS) and attribute == "kernel":
            groups = getattr(layer, "groups", 1)
            return f"{field}i" + ("o" if groups == 1 else f"(s{groups}o)"), 1.0, once
        case layers.Embedding(), "embeddings":
            return "vo", 1.0, 1.0
        case layers.Embedding(), "reverse_embeddings":
            return "io", 1.0, 1.0
        case ((layers.LSTMCell() | layers.GRUCell() | layers.SimpleRNNCell()), ("kernel" | "recurrent_kernel")):
            return f"i{outputs}", 1.0, 1.0
    return None


def _is_conv_lstm(layer: keras.Layer) -> bool:
    """Whether it is the cell of a `ConvLSTM`, which Keras does not export."""
    return any(kind.__name__ == "ConvLSTMCell" for kind in type(layer).__mro__)


def _hidden(layer: keras.Layer) -> int:
    cell = gates_of(layer) is not None or isinstance(layer, layers.SimpleRNNCell)
    return int(getattr(layer, "units", 0) or getattr(layer, "filters", 0)) if cell else 0
