"""Slots from a Flax NNX model alone, without a watched pass: what NNX's kinds of modules say about their own parameters.

A kernel that `nnx.vmap` stacked has more axes in front than its module says: they are blocks. Where a parameter's axes are
not known, the slot has none, and nothing is guessed.
"""

import math
from collections.abc import Mapping
from typing import Any

from flax import nnx

from fanin.errors import FaninValueError
from fanin.plans.declared import einsum_axes
from fanin.plans.jax.flax_params import Place, find_params
from fanin.plans.places import given_axes
from fanin.slots import Axes, Slot, SlotRole

NORMS = (nnx.BatchNorm, nnx.LayerNorm, nnx.RMSNorm, nnx.GroupNorm, nnx.InstanceNorm)
FUSED: dict[type, tuple[str, int]] = {nnx.OptimizedLSTMCell: ("lstm", 4), nnx.GRUCell: ("gru", 3)}  # gates on one axis
RECURRENT = {"dense_h", "hi", "hf", "hg", "ho"}  # children of cells that multiply the state
PARTS = ("query", "key", "value")  # children of an attention whose names say what they are
CELLS = (nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell, nnx.SimpleCell)

Meaning = tuple[str, tuple[int, ...], float, float]  # spec, shape that the module says, in_taps, out_taps


def model_slots(model: Any, axes: Mapping[str, str | Axes] | None = None) -> tuple[Slot, ...]:
    """A slot for each parameter, in the model's order; those of low-rank adapters are left out.

    Args:
        model: an `nnx.Module`.
        axes: pattern over paths → what the axes of the parameters mean; the last match wins.

    Raises:
        FaninTypeError: no module, or no such mapping.
        FaninValueError: a pattern matches no parameter, or axes do not fit a shape.
    """
    places = [place for place in find_params(model) if not isinstance(place.owner, nnx.LoRA)]
    given = given_axes(axes, places, "parameter")
    return tuple(_slot(place, given.get(place.names[0])) for place in places)


def _slot(place: Place, given: str | Axes | None) -> Slot:
    shape, owner, (parent, child) = place.shape, place.owner, place.parent
    role, axes = _meaning(place, shape)
    if given is not None:
        axes = given if isinstance(given, Axes) else Axes.parse(given, shape)
        if axes.shape != shape:
            raise FaninValueError(f"axes: those of {place.names[0]!r} have the shape {axes.shape}, but it has {shape}")
        role = "embedding" if axes.spec == "vo" else "weight"
    cell = isinstance(parent, CELLS) and isinstance(owner, nnx.Linear)
    if cell and role == "weight" and child in RECURRENT:
        role = "recurrent"
    parts = FUSED[type(parent)][0] if cell and type(parent) in FUSED else None
    if role == "weight" and isinstance(parent, nnx.MultiHeadAttention) and child in PARTS:
        parts = child
    if role == "weight" and getattr(owner, "feature_group_count", 1) > 1:
        parts = "groups"
    return Slot(
        name=place.names[0],
        names=tuple(place.names) if len(place.names) > 1 else (),
        shape=shape,
        dtype=place.dtype.name,
        role=role,
        module=place.module,
        module_type=type(owner).__name__ if owner is not None else "",
        axes=axes,
        parts=parts,
        hidden=int(getattr(parent, "hidden_features", 0)) if cell else 0,
        weight=f"{place.module}.kernel".lstrip(".") if role == "bias" and hasattr(owner, "kernel") else None,
    )


def _meaning(place: Place, shape: tuple[int, ...]) -> tuple[SlotRole, Axes | None]:
    owner, attribute = place.owner, place.attribute
    if isinstance(owner, NORMS):
        return ("norm_scale" if attribute == "scale" else "norm_shift"), None
    known = _kernel(place) if attribute in ("kernel", "embedding") else None
    if known is not None:
        spec, said, in_taps, out_taps = known
        more = len(shape) - len(said)
        if more >= 0 and shape[more:] == said:
            role: SlotRole = "embedding" if isinstance(owner, nnx.Embed) else "weight"
            return role, Axes.parse("s" * more + spec, shape, in_taps=in_taps, out_taps=out_taps)
    ours = type(owner).__module__.startswith("flax.")
    if (attribute == "bias" and ours) or (
        len(shape) == 1 and (attribute.startswith("bias") or attribute.endswith("bias"))
    ):
        return "bias", None
    return ("weight" if len(shape) > 1 else "scale"), None


def _kernel(place: Place) -> Meaning | None:
    """What the owner says of its kernel; None where its kind does not tell."""
    owner, (parent, _) = place.owner, place.parent
    match owner:
        case nnx.Linear():
            _, gates = FUSED.get(type(parent), ("", 1))
            return f"i{_blocks(gates)}", (owner.in_features, owner.out_features), 1.0, 1.0
        case nnx.LinearGeneral():
            parts = tuple(owner.batch_axis.values()), tuple(owner.in_features), tuple(owner.out_features)
            spec = "".join(letter * len(part) for letter, part in zip("sio", parts, strict=True))
            return spec, parts[0] + parts[1] + parts[2], 1.0, 1.0
        case nnx.Conv():
            said = tuple(owner.kernel_shape)
            spec = "k" * (len(said) - 2) + "i" + _blocks(owner.feature_group_count)
            window = len(said) - 2
            return spec, said, 1 / _product(owner.input_dilation, window), 1 / _product(owner.strides, window)
        case nnx.ConvTranspose():
            said = tuple(owner.kernel_shape)
            spec = "k" * (len(said) - 2) + ("oi" if owner.transpose_kernel else "io")
            return spec, said, 1 / _product(owner.strides, len(said) - 2), 1.0
        case nnx.Einsum():
            spec = einsum_axes(owner.einsum_str)
            return None if spec is None else (spec, tuple(owner.kernel_shape), 1.0, 1.0)
        case nnx.Embed():
            return "vo", (owner.num_embeddings, owner.features), 1.0, 1.0
    return None


def _blocks(count: int) -> str:
    return "o" if count == 1 else f"(s{count}o)"


def _product(steps: Any, window: int) -> int:
    """Of strides or dilations: one for each axis, one for all, or none."""
    if steps is None:
        return 1
    return steps**window if isinstance(steps, int) else math.prod(steps)
