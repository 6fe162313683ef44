"""Which parameter a call consumes, as what, and through which axes."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import torch

from fanin.traces.torch.values import Use, Value

Lookup = Callable[[Any], Value | None]  # from an argument to its value


class Call:
    """A call's arguments by name or position."""

    def __init__(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], lookup: Lookup) -> None:
        self.name, self.args, self.kwargs, self.lookup = name, args, kwargs, lookup

    def arg(self, position: int, *names: str, default: Any = None) -> Any:
        """The argument at `position`, or by any of `names`."""
        for name in names:
            if name in self.kwargs:
                return self.kwargs[name]
        return self.args[position] if position < len(self.args) else default

    def value(self, position: int, *names: str) -> Value | None:
        """The value of that argument, None where it is no tensor."""
        argument = self.arg(position, *names)
        return self.lookup(argument) if isinstance(argument, torch.Tensor) else None


def uses_of(kind: str, call: Call, inputs: Iterable[Value]) -> list[Use]:
    """How this call consumes parameters; empty where it consumes none."""
    params = [v for v in inputs if v.params and not v.data]
    find = _BY_KIND.get(kind)
    if find is not None:
        found = list(find(call))
        known = {use.parameter for use in found}
        for value in params:  # an argument that no finder knows, such as a bias table given as attention mask
            indexed = value.view is not None and value.view.indexed
            found += [u for u in _uses(value, "embedding" if indexed else "other") if u.parameter not in known]
        return found
    if kind in ("pointwise", "activation", "concat", "shape", "other", "reduce", "softmax", "dropout", "pool", "loss"):
        return list(_elementwise(kind, call, params, [v for v in inputs if v.data]))
    return []


def _uses(value: Value | None, role: str, axes: str | None = None, **facts: Any) -> Iterator[Use]:
    """One use for each parameter behind a value."""
    if value is None or not value.params or value.data:
        return
    if value.view is not None:
        view = value.view
        fits = axes is not None and view.layout is not None and view.layout.ndim == len(axes)
        yield Use(view.name, role, axes if fits else None, view.layout if fits else None, indexed=view.indexed, **facts)
    for name in sorted(value.params - ({value.view.name} if value.view else set())):
        yield Use(name, "scale" if value.view is not None else role, **({} if value.view is not None else facts))


def _stacked(value: Value | None, tail: str) -> str:
    return "s" * (len(value.shape) - len(tail)) + tail if value is not None else tail


def _product(left: Value | None, right: Value | None) -> Iterator[Use]:
    """Uses of `left @ right`."""
    if right is not None and right.params and not right.data and (left is None or left.data or not left.params):
        n = len(right.shape)
        yield from _uses(right, "weight", "i" if n == 1 else _stacked(right, "io"))
    elif left is not None and left.params and not left.data:
        n = len(left.shape)
        yield from _uses(left, "weight", "i" if n == 1 else _stacked(left, "oi"))


def _linear(call: Call) -> Iterator[Use]:
    name = call.name
    if name == "linear":
        weight = call.value(1, "weight")
        yield from _uses(weight, "weight", "i" if weight is not None and len(weight.shape) == 1 else "oi")
        if (source := call.value(0, "input")) is not None and not source.data:
            yield from _uses(source, "position")
        yield from _uses(call.value(2, "bias"), "bias", "o")
    elif name == "einsum":
        yield from _einsum(call)
    elif name in ("addmm", "addmv", "baddbmm", "addbmm"):
        bias = call.value(0, "input", "self")
        yield from _uses(bias, "bias", "o" if bias is not None and len(bias.shape) == 1 else None)
        yield from _product(call.value(1, "mat1", "batch1", "mat"), call.value(2, "mat2", "batch2", "vec"))
    elif name == "bilinear":
        yield from _uses(call.value(2, "weight"), "weight", "oii")
        yield from _uses(call.value(3, "bias"), "bias", "o")
    elif name == "tensordot":
        yield from _tensordot(call)
    elif name in ("_grouped_mm", "grouped_mm"):
        yield from _product(call.value(0, "self", "input"), call.value(1, "mat2", "other"))
        yield from _uses(call.value(3, "bias"), "bias")
    elif name == "rmatmul":
        yield from _product(call.value(1, "other"), call.value(0, "self", "input"))
    else:
        yield from _product(call.value(0, "input", "self"), call.value(1, "other", "mat2", "tensor", "vec", "vec2"))


def _einsum(call: Call) -> Iterator[Use]:
    equation = call.arg(0, "equation")
    if not isinstance(equation, str):
        return
    operands = call.args[1] if len(call.args) == 2 and isinstance(call.args[1], list | tuple) else call.args[1:]
    values = [call.lookup(o) if isinstance(o, torch.Tensor) else None for o in operands]
    left, _, out = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if "->" not in equation:
        letters = [c for c in left if c.isalpha()]
        out = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    for i, value in enumerate(values):
        if value is None or value.data or not value.params or i >= len(terms):
            continue
        others = "".join(t for j, t in enumerate(terms) if j != i)
        term = terms[i].replace("...", "")
        if "..." in terms[i]:
            term = "." * (len(value.shape) - len(term)) + term
        axes = "".join(_einsum_letter(c, others, out) for c in term)
        role = "weight" if "i" in axes or "o" in axes else "scale"
        yield from _uses(value, role, axes if role == "weight" else None)


def _einsum_letter(letter: str, others: str, out: str) -> str:
    if letter == ".":
        return "s"
    if letter in out:
        return "s" if letter in others else "o"
    return "i"


def _tensordot(call: Call) -> Iterator[Use]:
    a, b, dims = call.value(0, "a"), call.value(1, "b"), call.arg(2, "dims", default=2)
    if a is None or b is None:
        return
    for value, own, first in ((a, 0, False), (b, 1, True)):
        n = len(value.shape)
        if isinstance(dims, int):
            contracted = set(range(dims)) if first else set(range(n - dims, n))
        else:
            axes = dims[own]
            contracted = {d % n for d in ((axes,) if isinstance(axes, int) else axes)}
        yield from _uses(value, "weight", "".join("i" if d in contracted else "o" for d in range(n)))


def _strides(stride: Any, dims: int) -> int:
    if isinstance(stride, int):
        return stride**dims
    return math.prod(stride) if len(stride) > 1 else int(stride[0]) ** dims


def _conv(call: Call) -> Iterator[Use]:
    weight = call.value(1, "weight")
    if weight is None:
        return
    dims = len(weight.shape) - 2
    letters = "kio" if call.name == "conv_tbc" else "oi" + "k" * dims
    stride = 1 if call.name == "conv_tbc" else _strides(call.arg(3, "stride", default=1), dims)
    groups = 1 if call.name == "conv_tbc" else int(call.arg(6, "groups", default=1))
    if call.name == "convolution":
        groups = int(call.arg(8, "groups", default=1))
    parts = "groups" if groups > 1 else None
    yield from _uses(weight, "weight", letters, stride=stride, groups=groups, parts=parts)
    yield from _uses(call.value(2, "bias"), "bias", "o")


def _conv_transpose(call: Call) -> Iterator[Use]:
    weight = call.value(1, "weight")
    if weight is None:
        return
    dims = len(weight.shape) - 2
    stride = _strides(call.arg(3, "stride", default=1), dims)
    groups = int(call.arg(6, "groups", default=1))
    parts = "groups" if groups > 1 else None
    facts = {"stride": stride, "groups": groups, "transposed": True, "parts": parts}
    yield from _uses(weight, "weight", "io" + "k" * dims, **facts)
    yield from _uses(call.value(2, "bias"), "bias", "o")


def _embedding(call: Call) -> Iterator[Use]:
    padding = call.arg(2, "padding_idx") if call.name == "embedding" else call.kwargs.get("padding_idx")
    weight = call.value(1, "weight")
    if weight is None or not weight.params:
        weight = call.value(0, "input")
    rows = weight.shape[0] if weight is not None and weight.shape else 0
    index = (
        int(padding) % rows if isinstance(padding, int) and padding is not None and rows and padding >= -rows else None
    )
    if (
        isinstance(padding, int)
        and call.name == "embedding"
        and padding == -1
        and call.kwargs.get("padding_idx") is None
    ):
        index = None  # torch.embedding's own "none"
    yield from _uses(weight, "embedding", "vo", padding_index=index)


_NORM_ARGUMENTS = {
    "batch_norm": (3, 4),
    "instance_norm": (3, 4),
    "layer_norm": (2, 3),
    "group_norm": (2, 3),
    "rms_norm": (2, 99),
}


def _norm(call: Call) -> Iterator[Use]:
    scale, shift = _NORM_ARGUMENTS.get(call.name, (99, 99))
    yield from _uses(call.value(scale, "weight"), "norm_scale")
    yield from _uses(call.value(shift, "bias"), "norm_shift")


MHA_ARGUMENTS = list(inspect.signature(torch.nn.functional.multi_head_attention_forward).parameters)


def _attention(call: Call) -> Iterator[Use]:
    if call.name != "multi_head_attention_forward":
        return
    named = dict(zip(MHA_ARGUMENTS, call.args, strict=False)) | call.kwargs

    def value(name: str) -> Value | None:
        argument = named.get(name)
        return call.lookup(argument) if isinstance(argument, torch.Tensor) else None

    yield from _uses(value("in_proj_weight"), "weight", "oi", blocks=3, parts="qkv")
    for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
        yield from _uses(value(name), "weight", "oi")
    yield from _uses(value("in_proj_bias"), "bias", "o", blocks=3, parts="qkv")
    for name in ("bias_k", "bias_v"):
        yield from _uses(value(name), "position")
    yield from _uses(value("out_proj_weight"), "weight", "oi", step=1)
    yield from _uses(value("out_proj_bias"), "bias", "o", step=1)


GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
Argument: TypeAlias = torch.Tensor | None


def recurrent_layers(call: Call) -> list[tuple[Argument, Argument, Argument, Argument, Argument]]:
    """The weights of a recurrent call, one tuple a layer and direction: w_ih, w_hh, b_ih, b_hh, w_hr (None where absent)."""
    if call.name.endswith("_cell"):
        rest = [a if isinstance(a, torch.Tensor) else None for a in call.args[2:6]]
        rest += [None] * (4 - len(rest))
        return [(rest[0], rest[1], rest[2], rest[3], None)]
    lists = [a for a in call.args if isinstance(a, list | tuple) and a and isinstance(a[0], torch.Tensor)]
    flat: list[torch.Tensor] = list(lists[-1]) if lists else []
    biased = next((a for a in call.args if isinstance(a, bool)), True)
    w_hh = flat[1] if len(flat) > 1 else None
    # proj_size is below the hidden size
    projected = w_hh is not None and w_hh.shape[1] != w_hh.shape[0] // GATES[call.name]
    each = 2 + 2 * biased + int(projected)
    parts = (flat[k * each : (k + 1) * each] for k in range(len(flat) // each))
    return [
        (p[0], p[1], p[2] if biased else None, p[3] if biased else None, p[-1] if projected else None) for p in parts
    ]


def _recurrent(call: Call) -> Iterator[Use]:
    base = call.name.removesuffix("_cell")
    gates, parts = GATES[base], base if base in ("lstm", "gru") else None
    for layer, tensors in enumerate(recurrent_layers(call)):
        w_ih, w_hh, b_ih, b_hh, w_hr = (None if t is None else call.lookup(t) for t in tensors)
        yield from _recurrent_layer(w_ih, w_hh, b_ih, b_hh, w_hr, gates, parts, layer)


def _recurrent_layer(
    w_ih: Value | None,
    w_hh: Value | None,
    b_ih: Value | None,
    b_hh: Value | None,
    w_hr: Value | None,
    gates: int,
    parts: str | None,
    layer: int,
) -> Iterator[Use]:
    hidden = w_hh.shape[0] // gates if w_hh is not None else 0
    facts = {"blocks": gates, "parts": parts, "hidden": hidden, "step": layer}
    yield from _uses(w_ih, "weight", "oi", **facts)
    yield from _uses(w_hh, "recurrent", "oi", **facts)
    yield from _uses(b_ih, "bias", "o", **facts)
    yield from _uses(b_hh, "bias", "o", **facts)
    yield from _uses(w_hr, "weight", "oi", hidden=hidden, step=layer)


def _elementwise(kind: str, call: Call, params: list[Value], data: list[Value]) -> Iterator[Use]:
    name = call.name
    if not data:
        return
    for value in params:
        if value.data:
            continue
        view = value.view
        if view is not None and view.indexed:
            yield from _uses(value, "embedding", None)
        elif name == "prelu":
            yield from _uses(value, "scale", "o" if len(value.shape) == 1 and value.shape[0] > 1 else None)
        elif (name == "getitem" and data and value is params[0]) or name in (
            "index_select",
            "gather",
            "take_along_dim",
        ):
            yield from _uses(value, "embedding", "v" + "o" * (len(value.shape) - 1))
        elif kind == "pointwise" and name in (
            "mul",
            "rmul",
            "multiply",
            "div",
            "rdiv",
            "divide",
            "true_divide",
            "pow",
            "rpow",
        ):
            yield from _uses(value, "scale")
        elif kind == "pointwise" and name in ("add", "radd", "sub", "rsub", "subtract"):
            yield from _uses(value, "bias")  # a bias or a position: decided when the graph is whole
        elif kind in ("concat", "shape") or name in ("where", "masked_fill", "setitem", "expand"):
            yield from _uses(value, "position")
        else:
            yield from _uses(value, "other")


_BY_KIND: dict[str, Callable[[Call], Iterator[Use]]] = {
    "linear": _linear,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "embedding": _embedding,
    "norm": _norm,
    "attention": _attention,
    "recurrent": _recurrent,
}
