"""What the watched pass writes down: values (tensors that went by) and nodes (calls), without holding any tensor."""

import weakref
from dataclasses import dataclass, field
from typing import Any

import torch

from fanin.traces.records import Made, Signal


@dataclass(frozen=True)
class Ref:
    """Stands for a tensor inside a recorded call's arguments."""

    value: int


@dataclass(frozen=True)
class Blank:
    """Stands for a tensor that was not worth keeping (a large constant)."""

    shape: tuple[int, ...]


@dataclass
class WeightView:
    """A tensor that is a view (or an elementwise image) of one parameter.

    Attributes:
        name: the parameter.
        layout: a meta tensor with the shape, strides and offset of the view over the parameter's contiguous elements,
            None where the way from the parameter could not be followed.
        indexed: picked out by an index tensor (rows of a table).
        exact: False once the values differ from the parameter's (a norm, a scale).
    """

    name: str
    layout: torch.Tensor | None
    indexed: bool = False
    exact: bool = True


@dataclass
class Value:
    """One tensor that went by.

    Attributes:
        index: position in the list of values.
        node: index of the node that made it, -1 for a source.
        source: "input", "parameter", "constant" or "" for a made one.
        data: whether it depends on a model input (or on an embedding looked up by one).
        params: parameters that it depends on without a signal in between.
        view: set where it is one parameter seen through shape-only or elementwise ops.
        unit_axis: which axis counts units.
        origin: (value, meta layout): the weight op's output that this is a shape-only image of.
        made: the arithmetic between the parameter and this value.
        scalar: the number itself, for tensors of one element that are not data.
    """

    index: int
    node: int
    source: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    data: bool
    params: frozenset[str] = frozenset()
    view: WeightView | None = None
    unit_axis: int = -1
    origin: tuple[int, torch.Tensor] | None = None
    scalar: torch.Tensor | None = None
    name: str = ""
    grad_rms: float = float("nan")
    made: tuple[Made, ...] = ()


@dataclass
class Node:
    """One call.

    Attributes:
        func, args, kwargs: the call, with `Ref` in place of tensors (kept for pointwise, shape and composite calls).
        inputs: values of all tensor arguments, in order.
        outputs: values that it returned (or wrote).
        consumed: (parameter, how) pairs, how being a small description of the role: see `consume`.
    """

    index: int
    func: Any
    name: str
    kind: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    module: str
    consumed: list["Use"] = field(default_factory=list)
    signal: Signal | None = None
    input_signal: Signal | None = None
    facts: dict[str, float] = field(default_factory=dict)


@dataclass
class Use:
    """How one call consumes one parameter.

    Attributes:
        parameter: its name.
        role: "weight", "bias", "embedding", "norm_scale", "norm_shift", "scale", "position", "recurrent" or "other".
        axes: roles of the consumed tensor's axes, one letter each (o, i, k, s, v), or None.
        layout: the view through which it was consumed.
        stride: product of the strides of a convolution (1 otherwise), `transposed` whether it is a transposed one.
        groups: groups of a convolution, stacked on the axis of the outputs (inputs when transposed).
        parts: what stacked blocks are.
        blocks: blocks stacked on the axis of the outputs (gates, q/k/v).
        hidden: hidden size of a recurrent weight.
        padding_index: of an embedding.
        indexed: rows were picked by an index tensor.
    """

    parameter: str
    role: str
    axes: str | None = None
    layout: torch.Tensor | None = None
    stride: int = 1
    transposed: bool = False
    groups: int = 1
    parts: str | None = None
    blocks: int = 1
    hidden: int = 0
    padding_index: int | None = None
    indexed: bool = False
    step: int = 0  # order inside a composite: the out projection comes after the in projection


class TensorBook:
    """Which value each live tensor is: by identity with weak references, because identities are reused."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], int, int]] = {}
        self._written: dict[int, int] = {}  # storage → value that was written into it last

    def set(self, tensor: torch.Tensor, value: int) -> None:
        """`tensor` is `value` from now on."""
        self._known[id(tensor)] = (weakref.ref(tensor), _version(tensor), value)

    def written(self, tensor: torch.Tensor, value: int) -> None:
        """A call wrote `value` into the tensor's storage."""
        self._written[_storage(tensor)] = value

    def get(self, tensor: torch.Tensor) -> tuple[int | None, int | None]:
        """(value, value written into its storage since) of a tensor; None where there is none."""
        found = self._known.get(id(tensor))
        if found is None or found[0]() is not tensor:
            return None, None
        if found[1] != _version(tensor):
            written = self._written.get(_storage(tensor))
            return found[2], written if written != found[2] else None
        return found[2], None


def _version(tensor: torch.Tensor) -> int:
    return tensor._version if not tensor.is_inference() else 0


def _storage(tensor: torch.Tensor) -> int:
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):  # sparse and other tensors without a storage of their own
        return id(tensor)
