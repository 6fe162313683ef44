"""The watched pass: a `TorchFunctionMode` that writes down each call, what it consumed and what went through.

Only what Python calls is seen. Inside scripted code, other threads and composite calls nothing is; composite calls
(attention, LSTM) are nodes of their own, and parameters that nobody was seen to consume get autograd as second witness.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from fanin.activations import KNOWN, Activation
from fanin.traces.torch import consume, expand, layout, signals
from fanin.traces.torch.ops import SILENT, kind_of, plain_name
from fanin.traces.torch.state import Guard
from fanin.traces.torch.values import Blank, Node, Ref, TensorBook, Value, WeightView

KEPT_KINDS = frozenset(("pointwise", "activation", "shape", "dropout", "softmax"))  # calls that are replayed later
RANKED = frozenset(("linear", "conv", "conv_transpose", "attention", "recurrent", "add", "norm", "embedding"))
FORWARD_ONLY = frozenset(("pointwise", "reduce", "other", "softmax", "dropout"))  # their gradients say nothing new
COPIES = frozenset(
    [
        "to",
        "type",
        "type_as",
        "float",
        "half",
        "bfloat16",
        "double",
        "cuda",
        "cpu",
        "clone",
        "contiguous",
        "requires_grad_",
        "data",
        "alias",
        "identity",
    ]
)


class Watch(TorchFunctionMode):
    """Writes down values and nodes while it is active."""

    def __init__(self, model: torch.nn.Module, names: dict[int, str], guard: Guard) -> None:
        super().__init__()
        self.values: list[Value] = []
        self.nodes: list[Node] = []
        self.book = TensorBook()
        self.guard = guard
        self.modules: list[str] = [""]
        self.gradients: dict[int, float] = {}
        self._hooks: list[Any] = []
        self._parameters = names
        self._model = model

    # -- values ------------------------------------------------------------------------------------------------

    def source(self, tensor: torch.Tensor, kind: str, name: str = "") -> Value:
        """A value that no watched call made: an input, a parameter or a constant."""
        shape = tuple(tensor.shape)
        value = Value(len(self.values), -1, kind, shape, tensor.dtype, data=kind == "input", name=name)
        if kind == "parameter":
            value.params = frozenset((name,))
            value.view = WeightView(name, layout.contiguous_layout(shape))
        if kind != "input" and tensor.numel() == 1 and not tensor.is_meta:
            value.scalar = tensor.detach().reshape(())
        self.values.append(value)
        self.book.set(tensor, value.index)
        return value

    def value_of(self, tensor: torch.Tensor) -> Value:
        """The value of a tensor; a parameter or a constant is entered when it is first seen."""
        found, written = self.book.get(tensor)
        if found is not None:
            return self.values[written if written is not None else found]
        name = self._parameters.get(id(tensor))
        if name is None and tensor.requires_grad and tensor.grad_fn is not None:
            # Made by code that the mode does not see (scripted, another thread's), from what went into it.
            value = self.source(tensor, "unseen")
            value.data, value.origin = True, (value.index, layout.contiguous_layout(value.shape))
            return value
        return self.source(tensor, "parameter" if name is not None else "constant", name or "")

    # -- modules -----------------------------------------------------------------------------------------------

    def watch_modules(self) -> Iterator[Any]:
        """Hooks that follow which module is running; the caller removes them."""
        paths = {id(module): path for path, module in self._model.named_modules()}
        hooks = torch.nn.modules.module

        def enter(module: torch.nn.Module, _: Any) -> None:
            self.modules.append(paths.get(id(module), self.modules[-1]))

        def leave(module: torch.nn.Module, _: Any, __: Any) -> None:
            if len(self.modules) > 1:
                self.modules.pop()

        yield hooks.register_module_forward_pre_hook(enter)
        yield hooks.register_module_forward_hook(leave)

    # -- calls -------------------------------------------------------------------------------------------------

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name, in_place = plain_name(func)
        if name in SILENT:
            return func(*args, **kwargs)
        if in_place or "out" in kwargs:
            self.guard.before_write(kwargs.get("out", args[0] if args else None))
        tensors = list(_tensors((args, kwargs)))
        inputs = [self.value_of(t) for t in tensors]
        kind = kind_of(name)
        before = self._before(kind, tensors, inputs)
        result = func(*args, **kwargs)
        outputs = list(_tensors(result))
        if name == "setitem" or (in_place and result is None):
            outputs = [args[0]]
        if outputs:
            self._record(func, name, in_place, kind, args, kwargs, inputs, outputs, before)
        return result

    def _before(self, kind: str, tensors: list[torch.Tensor], inputs: list[Value]) -> Any:
        """The sample of a bounded activation's input, taken before the call may overwrite it."""
        if kind != "activation" or not inputs or not inputs[0].data or not tensors[0].is_floating_point():
            return None
        return None if tensors[0].is_meta else signals.take(tensors[0], inputs[0].unit_axis)

    def _record(
        self,
        func: Callable[..., Any],
        name: str,
        in_place: bool,
        kind: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        inputs: list[Value],
        outputs: list[torch.Tensor],
        before: Any,
    ) -> None:
        data = any(v.data for v in inputs)
        params = frozenset().union(*(v.params for v in inputs if not v.data)) if inputs else frozenset()
        if not data and not params:
            for tensor in outputs:
                self.source(tensor, "constant")
            return
        if not data and not (kind == "embedding" and params):
            self._derived(func, name, kind, args, kwargs, inputs, outputs, params, in_place)
            return
        node = Node(len(self.nodes), func, name, kind, (), {}, tuple(v.index for v in inputs), (), self.modules[-1])
        call = consume.Call(name, args, kwargs, lambda t: self.value_of(t))
        node.consumed = consume.uses_of(kind, call, inputs)
        node.kind = self._refine(node, inputs)
        if kind in KEPT_KINDS or name in ("cat", "stack", "mean", "sum"):
            node.args, node.kwargs = self._template(args, inputs), self._template(kwargs, inputs)
        node.facts.update(_facts(name, call))
        node.facts.update(expand.facts(node.kind, call, inputs))
        made: list[int] = []
        for tensor in outputs:
            made.append(self._made(node, tensor, inputs, in_place, func, args, kwargs).index)
        node.outputs = tuple(made)
        self.nodes.append(node)
        main = outputs[0]
        if node.kind != "shape" and (main.is_floating_point() or main.is_complex()) and not main.is_meta:
            self._measure(node, main, call, before)

    def _refine(self, node: Node, inputs: list[Value]) -> str:
        """Kinds that depend on what the inputs are: adds and products of two signals."""
        signal_inputs = [v for v in inputs if v.data]
        distinct = {v.index for v in signal_inputs}
        weighted = any(u.role == "weight" for u in node.consumed)
        if node.kind == "pointwise" and len(distinct) >= 2:
            return {"add": "add", "radd": "add", "sub": "add", "mul": "mul", "rmul": "mul"}.get(node.name, node.kind)
        if node.kind == "linear" and not weighted:
            return "matmul"
        if node.kind == "activation" and node.name == "glu":
            return "mul"
        if any(u.role == "embedding" for u in node.consumed) and node.kind in ("shape", "other", "reduce"):
            return "embedding"
        return node.kind

    def _template(self, arguments: Any, inputs: list[Value]) -> Any:
        """The arguments with `Ref` or `Blank` in place of tensors."""
        if isinstance(arguments, torch.Tensor):
            value = self.value_of(arguments)
            known = value.data or value.params or value.scalar is not None
            return Ref(value.index) if known else Blank(tuple(arguments.shape))
        if isinstance(arguments, tuple | list) and type(arguments) in (tuple, list):
            return type(arguments)(self._template(a, inputs) for a in arguments)
        if isinstance(arguments, dict):
            return {k: self._template(v, inputs) for k, v in arguments.items()}
        return arguments

    def _made(
        self,
        node: Node,
        tensor: torch.Tensor,
        inputs: list[Value],
        in_place: bool,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Value:
        value = Value(len(self.values), node.index, "", tuple(tensor.shape), tensor.dtype, data=True)
        signal = next((v for v in inputs if v.data), None)
        value.unit_axis = _unit_axis(node, value, signal)
        if node.kind == "shape" and signal is not None:
            self._follow_signal(value, tensor, signal, func, args, kwargs)
        else:
            value.origin = (value.index, layout.contiguous_layout(value.shape))
        self.values.append(value)
        self.book.set(tensor, value.index)
        if in_place:
            self.book.written(tensor, value.index)
        return value

    def _follow_signal(
        self,
        value: Value,
        tensor: torch.Tensor,
        signal: Value,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Keeps the layout of a signal over the output that it is a shape-only image of."""
        if signal.origin is None:
            return
        root, shown = signal.origin
        if value.shape == tuple(shown.shape) and plain_name(func)[0] in COPIES:
            value.origin, value.unit_axis = (root, shown), signal.unit_axis
            return
        moved = self._follow(shown, signal, tensor, func, args, kwargs)
        if moved is not None:
            value.origin = (root, moved)
            strides = self.values[root]
            value.unit_axis = _find_unit_axis(moved, strides, value)

    def _follow(
        self,
        shown: torch.Tensor,
        signal: Value,
        tensor: torch.Tensor,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> torch.Tensor | None:
        """The layout of `tensor`, one output of `func` applied to a tensor with the layout `shown`."""

        def swap(argument: Any) -> Any:
            if isinstance(argument, torch.Tensor):
                return shown if self.value_of(argument) is signal else argument
            if type(argument) in (tuple, list):
                return type(argument)(swap(a) for a in argument)
            return argument

        if plain_name(func)[0] in ("data", "cuda", "to", "type"):
            return shown if tuple(tensor.shape) == tuple(shown.shape) else None
        arguments = tuple(swap(a) for a in args)
        if any(isinstance(a, torch.Tensor) and a is not shown for a in _tensors(arguments)):
            return None
        result = layout.follow(shown, func, arguments, {k: swap(v) for k, v in kwargs.items()})
        if isinstance(result, tuple | list):
            return self._matching_piece(result, tensor)
        return result if isinstance(result, torch.Tensor) and tuple(result.shape) == tuple(tensor.shape) else None

    def _matching_piece(self, pieces: Any, tensor: torch.Tensor) -> torch.Tensor | None:
        """Chunks are recorded one after the other: take the next piece of this shape that was not taken yet."""
        self._pieces = getattr(self, "_pieces", {})
        key = tuple((tuple(p.shape), tuple(p.stride()), p.storage_offset()) for p in pieces)
        position = self._pieces.get(key, 0)
        self._pieces[key] = (position + 1) % len(pieces)
        piece = pieces[position]
        return piece if tuple(piece.shape) == tuple(tensor.shape) else None

    def _derived(
        self,
        func: Callable[..., Any],
        name: str,
        kind: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        inputs: list[Value],
        outputs: list[torch.Tensor],
        params: frozenset[str],
        in_place: bool,
    ) -> None:
        """Tensors made from parameters alone: weights on their way to the op that consumes them."""
        views = [v for v in inputs if v.view is not None]
        for tensor in outputs:
            value = Value(len(self.values), -1, "", tuple(tensor.shape), tensor.dtype, data=False, params=params)
            if tensor.numel() == 1:
                value.scalar = tensor.detach().reshape(())
            value.view = self._derived_view(func, name, kind, args, kwargs, views, tensor)
            self.values.append(value)
            self.book.set(tensor, value.index)
            if in_place:
                self.book.written(tensor, value.index)

    def _derived_view(
        self,
        func: Callable[..., Any],
        name: str,
        kind: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        views: list[Value],
        tensor: torch.Tensor,
    ) -> WeightView | None:
        if not views:
            return None
        shape = tuple(tensor.shape)
        same = [v for v in views if v.shape == shape]
        if kind == "shape" and name not in ("triu", "tril", "ones_like", "zeros_like"):
            first = views[0]
            view = first.view
            assert view is not None
            indexed = view.indexed or (name in ("getitem", "index_select", "gather") and _has_index(args[1:]))
            if name in COPIES and first.shape == shape:
                return WeightView(view.name, view.layout, indexed, view.exact)
            moved = None
            if view.layout is not None:
                moved = self._follow(view.layout, first, tensor, func, args, kwargs)
                if moved is None and indexed:
                    moved = _picked(view.layout, shape)
            return WeightView(view.name, moved, indexed, view.exact)
        if same:
            # Elementwise images (weight norm's g * v / |v|, a scale) keep the axes; the most axes win over a gain.
            view = max(same, key=lambda v: len(v.shape)).view
            assert view is not None
            return WeightView(view.name, view.layout, view.indexed, exact=False)
        if len(views) == 1 and views[0].view is not None and kind != "reduce":
            return WeightView(views[0].view.name, None, views[0].view.indexed, exact=False)
        return None

    # -- signals -----------------------------------------------------------------------------------------------

    def _measure(self, node: Node, tensor: torch.Tensor, call: consume.Call, before: Any) -> None:
        value = self.values[node.outputs[0]]
        ranked = node.kind in RANKED
        activation = Activation(node.name, KNOWN[node.name][1]) if before is not None and node.name in KNOWN else None
        margin = _margin(node, call)
        node.signal = signals.measure(
            tensor, value.unit_axis, rank=ranked, margin=margin, activation=activation, before=before
        )
        if any(u.role in ("weight", "recurrent") for u in node.consumed):
            source = next((t for t in _tensors((call.args, call.kwargs)) if self.value_of(t).data), None)
            if source is not None and source.is_floating_point():
                node.input_signal = signals.measure(source, self.value_of(source).unit_axis)
        if tensor.requires_grad and node.kind not in FORWARD_ONLY:
            index = node.index

            def keep(gradient: torch.Tensor) -> None:
                rms = signals.gradient_rms(gradient)
                self.gradients[index] = math.hypot(self.gradients.get(index, 0.0), rms)

            self._hooks.append(tensor.register_hook(keep))

    def close(self) -> None:
        """Takes the gradient hooks off again."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()


def _tensors(arguments: Any) -> Iterator[torch.Tensor]:
    if isinstance(arguments, torch.Tensor):
        yield arguments
    elif isinstance(arguments, tuple | list):
        for a in arguments:
            yield from _tensors(a)
    elif isinstance(arguments, dict):
        for a in arguments.values():
            yield from _tensors(a)


def _has_index(arguments: Any) -> bool:
    return any(t.dtype in (torch.long, torch.int, torch.bool, torch.uint8) for t in _tensors(arguments))


def _picked(shown: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor | None:
    """The layout of rows picked along axis 0: the index axes stay where they are (stride 0)."""
    if shown.ndim == 0 or shape[len(shape) - (shown.ndim - 1) :] != tuple(shown.shape[1:]):
        return None
    row = shown.select(0, 0)
    return row.expand(shape)


def _unit_axis(node: Node, value: Value, signal: Value | None) -> int:
    """Which axis of an output counts units."""
    n = len(value.shape)
    if node.kind in ("conv", "conv_transpose") and node.name != "conv_tbc":
        dims = int(node.name[-2]) if node.name[-2:-1].isdigit() else n - 2
        return max(n - 1 - dims, 0)
    if node.name in ("batch_norm", "instance_norm", "group_norm") and n > 1:
        return 1
    if node.kind == "pool" and signal is not None:
        return signal.unit_axis
    if node.kind == "reduce" and signal is not None and n == len(signal.shape):
        return signal.unit_axis
    same = signal is not None and len(signal.shape) == n
    if node.kind in ("pointwise", "activation", "add", "mul", "dropout", "norm", "other", "softmax") and same:
        assert signal is not None
        return signal.unit_axis
    return -1


def _find_unit_axis(shown: torch.Tensor, root: Value, value: Value) -> int:
    """The axis of a shape-only image that runs along the root's units (the last axis where none does alone)."""
    axis = root.unit_axis % max(len(root.shape), 1) if root.shape else 0
    step = math.prod(root.shape[axis + 1 :])
    for i, (size, stride) in enumerate(zip(shown.shape, shown.stride(), strict=True)):
        if i > 0 and stride == step and size > 1 and size <= root.shape[axis]:
            return i
    return len(value.shape) - 1 if value.shape else -1


def _margin(node: Node, call: consume.Call) -> int:
    """Border pixels that a convolution's padding reaches."""
    if node.kind not in ("conv", "conv_transpose"):
        return 0
    weight = call.value(1, "weight")
    return max(weight.shape[2:], default=1) // 2 if weight is not None else 0


def _facts(name: str, call: consume.Call) -> dict[str, float]:
    if name.endswith("dropout"):
        return {"p": float(call.arg(1, "p", default=0.5))}
    if name in ("conv1d", "conv2d", "conv3d"):
        return {"groups": float(call.arg(6, "groups", default=1))}
    return {}
