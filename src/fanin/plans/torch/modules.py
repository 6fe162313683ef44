"""Slots from a module alone, without a watched pass: what the kinds of `torch.nn` say about their own weights.

This knows less than a trace (no activation, no chain, no residual place) and only torch's own kinds; where a weight's
axes are not known it says so and guesses nothing.
"""

import math
from collections.abc import Callable

from torch import nn

from fanin.errors import FaninValueError
from fanin.names import ORIGINAL, PARAMETRIZED, canonical_names
from fanin.plans.torch.architecture import owner_path
from fanin.plans.torch.targets import Target, find_targets
from fanin.slots import Axes, Slot, SlotRole

GATES: dict[type[nn.Module], int] = {
    nn.RNN: 1,
    nn.RNNCell: 1,
    nn.GRU: 3,
    nn.GRUCell: 3,
    nn.LSTM: 4,
    nn.LSTMCell: 4,
}
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
CONVOLUTIONS = nn.modules.conv._ConvNd
TRANSPOSED = nn.modules.conv._ConvTransposeNd


def module_slots(module: nn.Module, leave: Callable[[Target], bool] = lambda target: False) -> tuple[Slot, ...]:
    """A slot for each weight whose meaning its module tells, in the model's order.

    Of the modules that hold a tied weight an embedding tells its meaning: what is looked up also decides how large a row is, and
    which one stays zero. Where none is one, the first that is known does.

    Args:
        module: the model.
        leave: weights that it is true of have no slot.

    Raises:
        FaninValueError: weights of two or more dimensions whose modules are not known; all are listed.
    """
    targets = find_targets(module)
    raw = [name for name, _ in module.named_parameters(remove_duplicate=False)]
    short = canonical_names(raw)
    names: dict[tuple[int, str], list[str]] = {}
    for name in raw:
        target = targets.get(short[name])
        if target is None or target.shape is None:
            raise FaninValueError(f"{name} has no shape yet; run one batch through the module first")
        if not leave(target):
            names.setdefault(target.key, []).append(name)
    slots: list[Slot] = []
    unknown: list[str] = []
    for own in names.values():
        target = targets[short[own[0]]]
        assert target.shape is not None
        owners = [_owner(module, name, short[name]) for name in own]
        known = [(owner, found) for owner, at in owners if (found := _meaning(owner, at, target.shape)) is not None]
        if not known:
            if len(target.shape) > 1:
                unknown.append(f"{short[own[0]]} of shape {target.shape} in {type(owners[0][0]).__name__}")
            continue
        known.sort(key=lambda pair: pair[1][0] != "embedding")
        owner, (role, axes) = known[0]
        padding = [getattr(o, "padding_idx", None) for o, (of, _) in known if of == "embedding"]
        every = list(dict.fromkeys(short[name] for name in own))
        slots.append(
            Slot(
                name=every[0],
                names=tuple(every) if len(every) > 1 else (),
                shape=target.shape,
                dtype=str(target.tensor.dtype).removeprefix("torch."),
                role=role,
                module=owner_path(every[0]),
                module_type=type(owner).__name__,
                axes=axes,
                padding_index=next((index for index in padding if index is not None), None),
            )
        )
    if unknown:
        raise FaninValueError(
            f"the modules do not tell what the axes of these weights mean: {'; '.join(unknown)}; "
            "use fanin.plan(model, batch), which watches the ops, or fill them by hand with axes="
        )
    return tuple(slots)


def _owner(module: nn.Module, raw: str, short: str) -> tuple[nn.Module, str]:
    """The module that a weight belongs to, and its attribute there (the one in effect, for a parametrised weight)."""
    parts = raw.split(".")
    if len(parts) >= 3 and parts[-3] == PARAMETRIZED and ORIGINAL.fullmatch(parts[-1]):
        return module.get_submodule(".".join(parts[:-3])), parts[-2]
    return module.get_submodule(raw.rpartition(".")[0]), short.rpartition(".")[2]


def _meaning(owner: nn.Module, attribute: str, shape: tuple[int, ...]) -> tuple[SlotRole, Axes | None] | None:
    """(role, axes) of one weight of a module; None where its kind does not tell."""
    if isinstance(owner, NORMS):
        return ("norm_scale" if attribute == "weight" else "norm_shift"), None
    if attribute.startswith("bias") or attribute.endswith("_bias"):
        return ("bias", None) if len(shape) == 1 or isinstance(owner, nn.MultiheadAttention) else None
    if len(shape) < 2:  # a scalar that an edit has put beside a weight
        return None
    gates = next((n for kind, n in GATES.items() if isinstance(owner, kind)), None)
    field = "k" * (len(shape) - 2)
    match owner:
        case nn.Linear():
            return "weight", Axes.parse("oi", shape)
        case nn.Bilinear():
            return "weight", Axes.parse("oii", shape)
        case TRANSPOSED():
            taps = 1 / math.prod(owner.stride)
            return "weight", Axes.parse(f"{_blocks(owner.groups, 'i')}o{field}", shape, in_taps=taps)
        case CONVOLUTIONS():
            taps = 1 / math.prod(owner.stride)
            return "weight", Axes.parse(f"{_blocks(owner.groups, 'o')}i{field}", shape, out_taps=taps)
        case nn.Embedding() | nn.EmbeddingBag():
            return "embedding", Axes.parse("vo", shape)
        case nn.MultiheadAttention():
            return "weight", Axes.parse("(s3o)i" if attribute == "in_proj_weight" else "oi", shape)
    if gates is not None:
        stacked = _blocks(1 if "weight_hr" in attribute else gates, "o")
        return ("recurrent" if "weight_hh" in attribute else "weight"), Axes.parse(f"{stacked}i", shape)
    return None


def _blocks(count: int, letter: str) -> str:
    return letter if count == 1 else f"(s{count}{letter})"
