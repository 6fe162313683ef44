"""The rest of a checkpoint: what a plan leaves alone in a torch model, for `Plan.stream(path, model)`."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fanin.errors import FaninTypeError, FaninValueError
from fanin.names import plain_names
from fanin.plans.parts import Window
from fanin.plans.records import Plan
from fanin.plans.safetensors import TYPES
from fanin.plans.stream import Drawn, Item
from fanin.plans.torch import buffers
from fanin.plans.torch.apply import checked
from fanin.plans.torch.memory import as_array
from fanin.plans.torch.shards import is_dtensor
from fanin.plans.torch.targets import find_targets


@dataclass(frozen=True)
class Values:
    """Numbers of a tensor that is in memory."""

    tensor: Tensor
    whole: bool = False

    def values(self, window: Window) -> np.ndarray[Any, Any]:
        """The numbers of one window, as bytes in the order of the file."""
        return as_array(self.tensor[window].contiguous().cpu())


def with_rest(plan: Plan, model: Any, items: list[Item], dtype: str | None) -> list[Item]:
    """The plan's tensors and the model's others, in the model's order."""
    if not isinstance(model, nn.Module):
        raise FaninTypeError(f"model={type(model).__name__} cannot be used; give a torch.nn.Module, or None")
    targets = find_targets(model)
    chosen = checked(plan, targets, meta=True)
    behind = [name for name, _, target in chosen if not target.plain]
    if behind:
        raise FaninValueError(
            f"{behind[0]} is behind a parametrisation, so its numbers cannot be streamed; apply the plan and save the model"
        )
    planned = {id(target.tensor): item for (_, _, target), item in zip(chosen, items, strict=True)}
    state = _state(model)
    short = plain_names(list(state))
    found: list[Item] = []
    lacking: list[str] = []
    seen: set[int] = set()
    for raw, tensor in state.items():
        if id(tensor) in seen:  # tied: it goes by its first name, as everywhere
            continue
        seen.add(id(tensor))
        name, item = short[raw], planned.get(id(tensor))
        if item is not None:
            kind = dtype or str(tensor.dtype).removeprefix("torch.")
            found.append(_named(item, name, kind))
        elif tensor.is_meta or is_dtensor(tensor):
            lacking.append(name)
        else:
            found.append(Item(name, _type(name, tensor), tuple(tensor.shape), Values(tensor.detach())))
    if lacking:
        raise FaninValueError(
            f"the plan has no entry for {', '.join(lacking[:5])}{' and more' * (len(lacking) > 5)}, and the model has no values "
            "for them, or shards only; nothing was written"
        )
    return found


def _state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name; buffers without values are computed again."""
    values, _ = buffers.restored(model)
    computed = {(id(lost.module), name): value for lost, found in values for name, value in found.items()}
    state = dict[str, Tensor](model.named_parameters(remove_duplicate=False))
    for path, module in model.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                state[f"{path}.{name}".lstrip(".")] = computed.get((id(module), name), buffer)
    return state


def _named(item: Item, name: str, dtype: str) -> Item:
    """The same numbers under the name that the checkpoint has for them, in the model's type."""
    assert isinstance(item.source, Drawn)
    return replace(item, name=name, dtype=dtype, source=replace(item.source, dtype=dtype))


def _type(name: str, tensor: Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in TYPES or tensor.layout != torch.strided:
        raise FaninValueError(f"{name} is {tensor.layout} of {kind}, which the format does not have")
    return kind
