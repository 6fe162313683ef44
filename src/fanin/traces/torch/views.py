"""Follows tensors through calls that only move elements: weights on their way to an op, signals on theirs."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from fanin.traces.torch import layout
from fanin.traces.torch.values import Node, Value, WeightView

# Calls that leave each element where it is; some of them cannot be replayed on a meta tensor.
COPIES = frozenset(
    ("alias", "as_tensor", "asarray", "bfloat16", "clone", "contiguous", "cpu", "cuda", "data", "double", "float")
).union(("half", "identity", "requires_grad_", "to", "type", "type_as"))
CHANGES_VALUES = frozenset(("triu", "tril", "ones_like", "zeros_like"))
PICKS_ROWS = frozenset(("getitem", "index_select", "gather"))


@dataclass(frozen=True)
class Called:
    """A call under way: what was called with what, and which values its tensors are."""

    func: Callable[..., Any]
    name: str
    in_place: bool
    kind: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: list[Value]
    value_of: Callable[[torch.Tensor], Value]


def tensors_in(arguments: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested arguments, in order."""
    if isinstance(arguments, torch.Tensor):
        yield arguments
    elif isinstance(arguments, tuple | list):
        for a in arguments:
            yield from tensors_in(a)
    elif isinstance(arguments, dict):
        for a in arguments.values():
            yield from tensors_in(a)


def moved_layout(
    shown: torch.Tensor, source: Value, called: Called, shape: tuple[int, ...], position: int
) -> torch.Tensor | None:
    """The layout of the call's output number `position`, `shown` being that of its input `source`; None where it copies."""
    if called.name in COPIES:
        return shown if tuple(shown.shape) == shape else None

    def swap(argument: Any) -> Any:
        if isinstance(argument, torch.Tensor):
            return shown if called.value_of(argument) is source else argument
        if type(argument) in (tuple, list):
            return type(argument)(swap(a) for a in argument)
        return argument

    arguments = tuple(swap(a) for a in called.args)
    if any(t is not shown for t in tensors_in(arguments)):
        return None
    result = layout.follow(shown, called.func, arguments, {k: swap(v) for k, v in called.kwargs.items()})
    if isinstance(result, tuple | list):
        result = result[position] if position < len(result) else None
    return result if isinstance(result, torch.Tensor) and tuple(result.shape) == shape else None


def weight_view(called: Called, tensor: torch.Tensor, position: int) -> WeightView | None:
    """The view that an output is of one parameter, where it was made from parameters alone."""
    sources = [v for v in called.inputs if v.view is not None]
    if not sources:
        return None
    shape = tuple(tensor.shape)
    if called.kind == "shape" and called.name not in CHANGES_VALUES:
        return _moved_view(called, sources[0], shape, position)
    same = [v for v in sources if v.shape == shape]
    if same:
        # Elementwise images (weight norm's g * v / |v|, a scale) keep the axes; the most axes win over a gain.
        view = max(same, key=lambda v: len(v.shape)).view
        assert view is not None
        return WeightView(view.name, view.layout, view.indexed, exact=False)
    only = sources[0].view
    if len(sources) == 1 and only is not None and called.kind != "reduce":
        return WeightView(only.name, None, only.indexed, exact=False)
    return None


def _moved_view(called: Called, source: Value, shape: tuple[int, ...], position: int) -> WeightView:
    view = source.view
    assert view is not None
    indexed = view.indexed or (called.name in PICKS_ROWS and _has_index(called.args[1:]))
    moved = None
    if view.layout is not None:
        moved = moved_layout(view.layout, source, called, shape, position)
        if moved is None and indexed:
            moved = _picked(view.layout, shape)
    return WeightView(view.name, moved, indexed, view.exact)


def _has_index(arguments: Any) -> bool:
    return any(t.dtype in (torch.long, torch.int, torch.bool, torch.uint8) for t in tensors_in(arguments))


def _picked(shown: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor | None:
    """The layout of rows picked along axis 0: the index axes stay where they are (stride 0)."""
    if shown.ndim == 0 or shape[len(shape) - (shown.ndim - 1) :] != tuple(shown.shape[1:]):
        return None
    return shown.select(0, 0).expand(shape)


def follow_signal(
    value: Value, called: Called, signal: Value | None, position: int, root_of: Callable[[int], Value]
) -> None:
    """Keeps, with a shape-only image of a signal, its layout over the output that it is an image of."""
    if signal is None or signal.origin is None:
        return
    root, shown = signal.origin
    moved = moved_layout(shown, signal, called, value.shape, position)
    if moved is None:
        return
    value.origin = (root, moved)
    value.unit_axis = signal.unit_axis if moved is shown else _moved_unit_axis(moved, root_of(root), value)


def unit_axis(node: Node, value: Value, signal: Value | None) -> int:
    """Which axis of an output counts units."""
    n = len(value.shape)
    if node.kind in ("conv", "conv_transpose") and node.name != "conv_tbc":
        dims = int(node.name[-2]) if node.name[-2:-1].isdigit() else n - 2
        return max(n - 1 - dims, 0)
    if node.name in ("batch_norm", "instance_norm", "group_norm") and n > 1:
        return 1
    keeps = ("pool", "pointwise", "activation", "add", "mul", "dropout", "norm", "other", "softmax", "reduce")
    if signal is not None and node.kind in keeps and len(signal.shape) == n:
        return signal.unit_axis
    return -1


def _moved_unit_axis(shown: torch.Tensor, root: Value, value: Value) -> int:
    """The axis of a shape-only image that runs along the root's units (the last axis where none does alone)."""
    axis = root.unit_axis % max(len(root.shape), 1) if root.shape else 0
    step = math.prod(root.shape[axis + 1 :])
    for i, (size, stride) in enumerate(zip(shown.shape, shown.stride(), strict=True)):
        if i > 0 and stride == step and 1 < size <= root.shape[axis]:
            return i
    return len(value.shape) - 1 if value.shape else -1
