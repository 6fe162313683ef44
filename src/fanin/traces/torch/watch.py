"""The watched pass: a `TorchFunctionMode` that writes down each call, what it consumed and what went through.

Only what Python calls is seen. Inside scripted code, other threads and composite calls nothing is; composite calls
(attention, LSTM) are nodes of their own, and parameters that nobody was seen to consume get autograd as second witness.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from fanin.activations import KNOWN, Activation
from fanin.traces.torch import consume, expand, geometry, layout, made, signals
from fanin.traces.torch.ops import SILENT, kind_of, plain_name
from fanin.traces.torch.state import Guard
from fanin.traces.torch.values import Blank, Node, Ref, TensorBook, Value, WeightView
from fanin.traces.torch.views import Called, follow_signal, tensors_in, unit_axis, weight_view

KEPT_KINDS = frozenset(("pointwise", "activation", "shape", "dropout", "softmax"))  # calls that are replayed later
RANKED = frozenset(("linear", "conv", "conv_transpose", "attention", "recurrent", "add", "norm", "embedding"))
FORWARD_ONLY = frozenset(("pointwise", "reduce", "other", "softmax", "dropout"))  # their gradients say nothing new


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
        self.faults: dict[str, str] = {}  # fanin's own, a sentence each
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
        fault: Exception | None = None
        called, before = None, None
        try:
            called, before = self._prepared(func, args, kwargs)
        except Exception as error:  # fanin's own: the user's call goes on
            fault = error
        result = func(*args, **kwargs)
        nodes, values = len(self.nodes), len(self.values)
        if called is not None:
            try:
                self._record(called, result, before)
            except Exception as error:
                fault = error
        if fault is not None:
            self._own_fault(func, fault)
            if len(self.nodes) == nodes:
                self._unseen(result, values)
        return result

    def _prepared(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Called | None, Any]:
        """What has to be known of a call before it runs; (None, None) for calls that are not written down."""
        name, in_place = plain_name(func)
        if name in SILENT:
            return None, None
        if in_place or "out" in kwargs:
            self.guard.before_write(kwargs.get("out", args[0] if args else None))
        tensors = list(tensors_in((args, kwargs)))
        inputs = [self.value_of(t) for t in tensors]
        called = Called(func, name, in_place, kind_of(name), args, kwargs, inputs, self.value_of)
        return called, _before(called, tensors)

    def _record(self, called: Called, result: Any, before: Any) -> None:
        outputs = list(tensors_in(result))
        if called.name == "setitem" or (called.in_place and result is None):
            outputs = [called.args[0]]
        if not outputs:
            return
        data = any(v.data for v in called.inputs)
        params = frozenset[str]().union(*(v.params for v in called.inputs if not v.data))
        if not data and not params:
            for tensor in outputs:
                self.source(tensor, "constant")
        elif not data and called.kind != "embedding":
            self._derive(called, outputs, params)
        else:
            self._add_node(called, outputs, before)

    def _own_fault(self, func: Callable[..., Any], error: Exception) -> None:
        """A call that fanin failed to write down: said in the trace's notes, never blamed on the model."""
        name = getattr(func, "__qualname__", None) or getattr(func, "__name__", str(func))
        words = str(error).splitlines()[0] if str(error) else "no message"
        self.faults.setdefault(
            f"{name} {type(error).__name__}",
            f"fanin failed to watch {name} ({type(error).__name__}: {words}): the trace goes on without that call. "
            "This is a fault in fanin itself; please report it.",
        )

    def _unseen(self, result: Any, values: int) -> None:
        """Enters what a call gave that could not be written down, as a signal of unknown origin."""
        for value in self.values[values:]:
            value.node = -1  # entered for a node that was never made
        with contextlib.suppress(Exception):
            for tensor in tensors_in(result):
                value = self.source(tensor, "unseen")
                value.data, value.origin = True, (value.index, layout.contiguous_layout(value.shape))

    def _derive(self, called: Called, outputs: list[torch.Tensor], params: frozenset[str]) -> None:
        """Tensors made from parameters alone: weights on their way to the op that consumes them."""
        steps = made.steps(called, self.modules[-1])
        for position, tensor in enumerate(outputs):
            value = Value(len(self.values), -1, "", tuple(tensor.shape), tensor.dtype, data=False, params=params)
            if tensor.numel() == 1:
                value.scalar = tensor.detach().reshape(())
            value.view = weight_view(called, tensor, position)
            value.made = steps
            self._enter(value, tensor, called.in_place)

    def _add_node(self, called: Called, outputs: list[torch.Tensor], before: Any) -> None:
        inputs = called.inputs
        node = Node(
            len(self.nodes), called.func, called.name, called.kind, (), {}, tuple(v.index for v in inputs), (),
            self.modules[-1],
        )  # fmt: skip
        call = consume.Call(called.name, called.args, called.kwargs, self.value_of)
        node.consumed = consume.uses_of(called.kind, call, inputs)
        node.kind = _refine(node, inputs)
        if called.kind in KEPT_KINDS:
            node.args, node.kwargs = self._template(called.args), self._template(called.kwargs)
        node.facts.update(_facts(called.name, call))
        node.facts.update(expand.facts(node.kind, call, inputs))
        node.facts.update(geometry.facts(node.kind, call, inputs))
        signal = next((v for v in inputs if v.data), None)
        made: list[int] = []
        for position, tensor in enumerate(outputs):
            value = Value(len(self.values), node.index, "", tuple(tensor.shape), tensor.dtype, data=True)
            value.unit_axis = unit_axis(node, value, signal)
            if node.kind == "shape":
                follow_signal(value, called, signal, position, self.values.__getitem__)
            else:
                value.origin = (value.index, layout.contiguous_layout(value.shape))
            self._enter(value, tensor, called.in_place)
            made.append(value.index)
        node.outputs = tuple(made)
        self.nodes.append(node)
        main = outputs[0]
        if node.kind != "shape" and (main.is_floating_point() or main.is_complex()) and not main.is_meta:
            self._measure(node, main, call, before)

    def _enter(self, value: Value, tensor: torch.Tensor, in_place: bool) -> None:
        self.values.append(value)
        self.book.set(tensor, value.index)
        if in_place:
            self.book.written(tensor, value.index)

    def _template(self, arguments: Any) -> Any:
        """The arguments with `Ref` or `Blank` in place of tensors."""
        if isinstance(arguments, torch.Tensor):
            value = self.value_of(arguments)
            known = value.data or value.params or value.scalar is not None
            return Ref(value.index) if known else Blank(tuple(arguments.shape))
        if type(arguments) in (tuple, list):
            return type(arguments)(self._template(a) for a in arguments)
        if isinstance(arguments, dict):
            return {k: self._template(v) for k, v in arguments.items()}
        return arguments

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
            source = next((t for t in tensors_in((call.args, call.kwargs)) if self.value_of(t).data), None)
            if source is not None and source.is_floating_point():
                node.input_signal = signals.measure(source, self.value_of(source).unit_axis)
        if tensor.requires_grad and node.kind not in FORWARD_ONLY:
            index = node.index

            def keep(gradient: torch.Tensor) -> None:
                try:
                    rms = signals.gradient_rms(gradient)
                except Exception as error:  # fanin's own, in the midst of the user's backward pass
                    self._own_fault(signals.gradient_rms, error)
                else:
                    self.gradients[index] = math.hypot(self.gradients.get(index, 0.0), rms)

            self._hooks.append(tensor.register_hook(keep))

    def close(self) -> None:
        """Takes the gradient hooks off again."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()


def _before(called: Called, tensors: list[torch.Tensor]) -> Any:
    """The sample of an activation's input, taken before the call may overwrite it."""
    first = called.inputs[0] if called.inputs else None
    if called.kind != "activation" or first is None or not first.data:
        return None
    if tensors[0].is_meta or not tensors[0].is_floating_point():
        return None
    return signals.take(tensors[0], first.unit_axis)


def _refine(node: Node, inputs: list[Value]) -> str:
    """Kinds that depend on what the inputs are: adds and products of two signals."""
    distinct = {v.index for v in inputs if v.data}
    if node.kind == "pointwise" and len(distinct) >= 2:
        return {"add": "add", "radd": "add", "sub": "add", "mul": "mul", "rmul": "mul"}.get(node.name, node.kind)
    if node.kind == "linear" and not any(u.role == "weight" for u in node.consumed):
        return "matmul"
    if node.kind == "activation" and node.name == "glu":
        return "mul"
    if any(u.role == "embedding" for u in node.consumed) and node.kind in ("shape", "other", "reduce"):
        return "embedding"
    return node.kind


def _margin(node: Node, call: consume.Call) -> int:
    """Border pixels that a convolution's padding reaches."""
    if node.kind not in ("conv", "conv_transpose"):
        return 0
    weight = call.value(1, "weight")
    return max(weight.shape[2:], default=1) // 2 if weight is not None else 0


DROPS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout")  # alpha dropout keeps a signal's size
EPS_POSITION = {"batch_norm": 7, "instance_norm": 7, "layer_norm": 4, "group_norm": 4, "rms_norm": 3}


def _facts(name: str, call: consume.Call) -> dict[str, float]:
    if name in DROPS:
        return {"p": float(call.arg(1, "p", default=0.5)) if call.arg(2, "train", "training", default=True) else 0.0}
    if name in ("conv1d", "conv2d", "conv3d"):
        return {"groups": float(call.arg(6, "groups", default=1))}
    if name in EPS_POSITION:
        eps = call.arg(EPS_POSITION[name], "eps")
        return {"eps": float(eps)} if isinstance(eps, float) else {}
    if name in ("lstm", "gru", "rnn_tanh", "rnn_relu") and isinstance(call.args[-1], bool):
        shape = call.args[0].shape  # (steps, examples, units), or examples first where the last argument says so
        return {"steps": float(shape[1 if call.args[-1] else 0])} if len(shape) == 3 else {}
    return {}
