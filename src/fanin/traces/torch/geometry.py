"""Numbers of a call that no weight changes: windows, constants, masks, repeats among indices, where an index points.

They stay true for every redraw, so theory may use them where measured signals are taken away.
"""

import math
from typing import Any

import torch

from fanin.traces.torch.consume import MHA_ARGUMENTS, Call
from fanin.traces.torch.values import Value

ARITHMETIC = frozenset(
    ("add", "radd", "sub", "rsub", "mul", "rmul", "div", "rdiv", "true_divide", "pow", "rpow", "maximum", "minimum")
)
MASKED = -1e4  # a logit below this is masked
ADDED = -50.0  # and a number below this, added to some of them and nothing to the rest (Swin adds -100)
PADS = ("constant", "reflect", "replicate", "circular")
JOINED = {"add": torch.add, "sub": torch.sub, "mul": torch.mul}  # of two model inputs: data again
SUMMED = ("addmm", "addmv", "baddbmm", "addbmm")  # beta · summand + alpha · product
PLACES = 256  # of an axis that is resized: more of them say the same
LARGEST = 65_536  # elements of a constant that are looked at
ROWS = 8  # examples compared


def facts(kind: str, call: Call, inputs: list[Value]) -> dict[str, float]:
    """The numbers of one call; empty where there are none, or where its layout is unusual."""
    found: dict[str, float] = {}
    try:
        if kind in ("conv", "conv_transpose"):
            found = _convolution(call, kind == "conv_transpose")
        elif kind == "pool":
            found = _pool(call)
        elif kind == "pointwise" and (call.name in ARITHMETIC or call.name.startswith("cl")):
            found = _with_alpha(_constant(call), call)
        elif kind == "pointwise" and call.name in ("where", "masked_fill"):
            found = _filled(call)
        elif kind == "matmul":
            found = _contracted(call) | _summed(call)
        elif kind == "linear" and call.name in SUMMED:
            found = _summed(call)
        elif kind in ("softmax", "attention"):
            found = _keys(call) | (_parts(call, inputs) if kind == "attention" else {})
        elif kind == "embedding":
            found = _repeats(call)
        elif kind == "concat":
            found = _starts(call, inputs)
        elif kind == "recurrent":
            found = _recurrent(call)
        elif kind == "shape":
            found = _index(call)
        elif kind == "add":
            found = _alpha(call)
        found |= _input(kind, call, [v for v in inputs if v.source == "input" and v.dtype.is_floating_point])
    except (RuntimeError, IndexError, ValueError, TypeError, AttributeError):
        return found
    return found


def _each(label: str, value: Any, dims: int) -> dict[str, float]:
    values = [value] * dims if isinstance(value, int) else list(value)
    values = values * dims if len(values) == 1 else values
    return {f"{label} {axis}": float(v) for axis, v in enumerate(values[:dims])}


def _convolution(call: Call, transposed: bool) -> dict[str, float]:
    weight = call.value(1, "weight")
    if weight is None or call.name in ("conv_tbc", "convolution"):
        return {}
    kernel = weight.shape[2:]
    dims = len(kernel)
    dilation = call.arg(7 if transposed else 5, "dilation", default=1)
    padding = call.arg(4, "padding", default=0)
    if isinstance(padding, str):
        steps = [dilation] * dims if isinstance(dilation, int) else list(dilation)
        padding = [d * (k - 1) // 2 if padding == "same" else 0 for d, k in zip(steps, kernel, strict=True)]
    return (
        _each("kernel", kernel, dims)
        | _each("stride", call.arg(3, "stride", default=1), dims)
        | _each("padding", padding, dims)
        | _each("dilation", dilation, dims)
    )


def _pool(call: Call) -> dict[str, float]:
    if call.name in ("interpolate", "upsample"):
        return _interpolated(call)
    if call.name.startswith("adaptive") or call.name[-1] != "d" or "fractional" in call.name:
        return {}
    dims = int(call.name[-2])
    kernel = call.arg(1, "kernel_size")
    stride = call.arg(2, "stride")
    found = _each("kernel", kernel, dims) | _each("stride", kernel if stride in (None, [], ()) else stride, dims)
    return found | _each("padding", call.arg(3, "padding", default=0), dims)


def _interpolated(call: Call) -> dict[str, float]:
    """`kept` along each axis: the sum of squared weights of the old places in a new one, in the mean over the new ones."""
    mode, corners = call.arg(3, "mode", default="nearest"), call.arg(4, "align_corners")
    before = call.arg(0, "input").shape[2:]
    if mode.startswith("nearest"):
        return {}
    size, scale = call.arg(1, "size"), call.arg(2, "scale_factor")
    each = (
        (size if size is not None else scale)
        if isinstance(size or scale, list | tuple)
        else [size or scale] * len(before)
    )
    found = {}
    for axis, (n, to) in enumerate(zip(before, each, strict=True)):
        to, few = to if size is not None else int(n * to), min(n, PLACES)
        ones = torch.eye(few).view(1, few, few, *[1] * (len(before) - 1))  # every old place alone
        after = [max(round(to * few / n), 1), *[1] * (len(before) - 1)]
        weights = torch.nn.functional.interpolate(ones, size=after, mode=mode, align_corners=corners)
        found[f"kept {axis}"] = float(weights.square().sum(1).mean())
    return found


def _constant(call: Call) -> dict[str, float]:
    """The other operand of elementwise arithmetic, where it is a number or a tensor that nothing trains."""
    found: dict[str, float] = {}
    if call.name.startswith("cl"):
        for label, place in (("min", 1), ("max", 2)):
            bound = call.arg(place, label)
            if isinstance(bound, int | float):
                found[label] = float(bound)
        return found
    for argument in (*call.args, *(v for k, v in call.kwargs.items() if k in ("other", "exponent"))):
        if isinstance(argument, bool):
            continue
        if isinstance(argument, int | float):
            return {"constant": float(argument), "constant_rms": abs(float(argument))}
        if isinstance(argument, torch.Tensor) and not argument.is_meta:
            value = call.lookup(argument)
            if value is None or value.data or value.params or argument.is_complex() or not argument.numel():
                continue
            x = argument.detach().reshape(-1)[:: -(-argument.numel() // LARGEST)].double()
            if bool(((x == 0) | (x <= ADDED)).all()) and bool((x == 0).any()):
                x = torch.where(x <= ADDED, -math.inf, x)
            hides = bool(((x <= MASKED) & torch.isfinite(x)).any())
            x = torch.where(x > MASKED, x, 0.0)  # an added mask only takes entries away
            found = {"constant": float(x.mean()), "constant_rms": math.sqrt(float(x.square().mean()))}
            found |= {"hides": 1.0} if hides else {}
    return found


def _alpha(call: Call) -> dict[str, float]:
    """What a sum multiplies its second operand by, where that is a number other than 1."""
    alpha = call.kwargs.get("alpha", 1)
    return {"alpha": float(alpha)} if isinstance(alpha, int | float) and alpha != 1 else {}


def _summed(call: Call) -> dict[str, float]:
    """Of a product with a summand: the number that multiplies it, and the summand where it is one that nothing trains;
    "summand" alone where it is a signal, or a weight that is multiplied."""
    if call.name not in SUMMED:
        return {}
    beta, summand, found = call.kwargs.get("beta", 1), call.arg(0, "input", "self"), _alpha(call)
    value = call.lookup(summand)
    if beta == 0:
        return found
    if value is not None and (value.data or value.params):
        return found | ({"summand": 1.0} if value.data or beta != 1 else {})
    if summand.is_meta or not summand.numel():
        return found | {"summand": 1.0}
    x = float(beta) * summand.detach().double()
    return found | {"constant": float(x.mean()), "constant_rms": math.sqrt(float(x.square().mean()))}


def _with_alpha(found: dict[str, float], call: Call) -> dict[str, float]:
    """The constant that a sum multiplies first; "alpha" remains where it multiplies something else."""
    alpha, second = _alpha(call), call.arg(1, "other")
    if "constant" not in found and call.name in ("add", "sub") and call.arg(0, "input") is second:
        times = alpha.get("alpha", 1.0)
        return {"itself": 1 + times if call.name == "add" else 1 - times}
    value = call.lookup(second) if isinstance(second, torch.Tensor) else None
    if not alpha or "constant" not in found or (value is not None and (value.data or value.params)):
        return found | alpha
    factor = alpha["alpha"]
    return found | {"constant": factor * found["constant"], "constant_rms": abs(factor) * found["constant_rms"]}


def _filled(call: Call) -> dict[str, float]:
    """`hides` where entries are overwritten with a finite number that no softmax will see."""
    for argument in (*call.args[1:], *call.kwargs.values()):
        if isinstance(argument, torch.Tensor) and argument.numel() == 1 and argument.is_floating_point():
            argument = float(argument)
        if isinstance(argument, float | int) and not isinstance(argument, bool) and -math.inf < argument <= MASKED:
            return {"hides": 1.0}
    return {}


def _contracted(call: Call) -> dict[str, float]:
    """How many products each element of a product of two signals sums up."""
    if call.name == "einsum":
        equation = str(call.arg(0, "equation")).replace(" ", "")
        left, _, out = equation.partition("->")
        operands = call.args[1] if isinstance(call.args[1], list | tuple) else call.args[1:]
        sizes: dict[str, int] = {}
        for term, operand in zip(left.split(","), operands, strict=True):
            if "." not in term:
                sizes |= dict(zip(term, operand.shape, strict=True))
        return {"contracted": float(math.prod(n for letter, n in sizes.items() if letter not in out))}
    first = call.arg(1 if call.name in SUMMED else 0, "input", "self", "batch1", "mat1")
    return {"contracted": float(first.shape[-1])}


def _keys(call: Call) -> dict[str, float]:
    """How many keys each query may look at: `keys`, the mean of one over that number, and whether they are those before it."""
    if call.name == "scaled_dot_product_attention":
        query, key = call.arg(0, "query"), call.arg(1, "key")
        scale = call.arg(6, "scale") or 1.0 / math.sqrt(query.shape[-1])
        found = {
            "width": float(query.shape[-1]),
            "scale": float(scale),
            "p": float(call.arg(4, "dropout_p", default=0)),
        }
        causal = bool(call.arg(5, "is_causal", default=False))
        return found | _allowed(call.arg(3, "attn_mask"), query.shape[-2], key.shape[-2], causal)
    if call.name == "multi_head_attention_forward":
        named: dict[str, Any] = dict(zip(MHA_ARGUMENTS, call.args, strict=False)) | call.kwargs
        query, key, heads = named["query"], named["key"], int(named["num_heads"])
        width = query.shape[-1] / heads
        p = float(named.get("dropout_p") or 0.0) if named.get("training", True) else 0.0
        mask = named.get("attn_mask")
        if isinstance(mask, torch.Tensor) and mask.dtype == torch.bool:
            mask = ~mask  # here True hides a key
        causal = bool(named.get("is_causal", False)) and mask is None
        found = {"width": width, "scale": 1 / math.sqrt(width), "p": p, "heads": float(heads)}
        return found | _allowed(mask, query.shape[0], key.shape[0], causal)
    logits = call.arg(0, "input", "self")
    dim = call.arg(1, "dim")
    dim = dim if isinstance(dim, int) else -1
    if logits.is_meta:
        return {"keys": float(logits.shape[dim])}
    x = logits.detach().movedim(dim, -1)
    while x.ndim > 2:
        x = x[0]
    if x.ndim < 2:
        return {"keys": float(logits.shape[dim])}
    return _allowed(x > MASKED, x.shape[0], x.shape[1], False)


def _parts(call: Call, inputs: list[Value]) -> dict[str, float]:
    """Which of an attention's signal inputs are its queries, keys, values and added mask: -1 for what no signal makes.

    An op is named once among the inputs, however many of them it gives, so their number alone does not say.
    """
    order = list(dict.fromkeys(v.node for v in inputs if v.data))
    named: dict[str, Any] = dict(zip(MHA_ARGUMENTS, call.args, strict=False)) | call.kwargs
    if call.name == "scaled_dot_product_attention":
        named = {name: call.arg(place, name) for place, name in enumerate(("query", "key", "value", "attn_mask"))}
    found = {}
    for part in ("query", "key", "value", "attn_mask"):
        tensor = named.get(part)
        value = call.lookup(tensor) if isinstance(tensor, torch.Tensor) else None
        found[f"{part} input"] = float(order.index(value.node)) if value is not None and value.data else -1.0
    return found


def _allowed(mask: torch.Tensor | None, queries: int, keys: int, causal: bool) -> dict[str, float]:
    if mask is not None and not mask.is_meta:
        open_ = mask if mask.dtype == torch.bool else mask > ADDED
        every = open_.expand(*open_.shape[:-2], queries, keys).sum(-1).clamp_min(1).double().cpu()
        inverse = float((1 / every).mean())
        counts = every.reshape(-1, queries)[0]
    elif causal:
        counts = torch.arange(1, queries + 1).clamp_max(keys).double()
    else:
        counts = torch.full((queries,), float(keys), dtype=torch.float64)
    inverse = float((1 / counts).mean()) if mask is None or mask.is_meta else inverse
    before = torch.arange(1, queries + 1).double() + (keys - queries)
    found = {"keys": float(keys), "queries": float(queries), "inverse_keys": inverse}
    return found | {"causal": float(queries > 1 and torch.equal(counts, before))}


def _repeats(call: Call) -> dict[str, float]:
    """How often two positions of one example, and two examples at one position, look up the same row."""
    tensors = [a for a in (*call.args, *call.kwargs.values()) if isinstance(a, torch.Tensor)]
    ids = next((t for t in tensors if not t.is_floating_point()), None)
    if ids is None or ids.is_meta or ids.numel() == 0:
        return {}
    rows = ids.detach().reshape(ids.shape[0], -1) if ids.ndim > 1 else ids.detach().reshape(1, -1)
    found = {"examples": float(rows.shape[0])}
    if rows.shape[1] > 1:
        n = rows.shape[1]
        same = [torch.unique(row, return_counts=True)[1].double() for row in rows[:ROWS]]
        found["repeats"] = sum(float((c * (c - 1)).sum()) for c in same) / (len(same) * n * (n - 1))
    if rows.shape[0] > 1:
        some = rows[:ROWS]
        pairs = [(some[i] == some[j]).double().mean() for i in range(len(some)) for j in range(i)]
        found["shared"] = float(sum(pairs)) / len(pairs)
    else:
        found["shared"] = 1.0
    padding = call.arg(2, "padding_idx") if call.name == "embedding" else None
    if isinstance(padding, int) and padding >= 0:
        found["padded"] = float((rows == padding).double().mean())
    return found


def _recurrent(call: Call) -> dict[str, float]:
    if call.name.endswith("_cell"):
        return {"steps": 1.0, "layers": 1.0, "directions": 1.0}
    flags = [a for a in call.args if isinstance(a, bool)]  # biased, train, bidirectional, batch_first (not when packed)
    layers = next((a for a in call.args if isinstance(a, int) and not isinstance(a, bool)), 1)
    drop = next((a for a in call.args if isinstance(a, float)), 0.0)
    return {
        "layers": float(layers),
        "directions": 2.0 if len(flags) > 2 and flags[2] else 1.0,
        "p": float(drop) if len(flags) > 1 and flags[1] else 0.0,
    }


def _index(call: Call) -> dict[str, float]:
    """Where an integer index points, and along which axis; for `pad`, how much of what is put where."""
    if call.name == "pad":
        return _pad(call)
    if call.name != "getitem":
        return {}
    index = call.args[1]
    for axis, part in enumerate(index if isinstance(index, tuple) else (index,)):
        if isinstance(part, int) and not isinstance(part, bool):
            size = call.args[0].shape[axis]
            return {"axis": float(axis), "index": float(part % size), "extent": float(size)}
        if part is None or part is Ellipsis or isinstance(part, torch.Tensor):
            return {}
    return {}


def _starts(call: Call, inputs: list[Value]) -> dict[str, float]:
    """Along which axis signals are put side by side, where each begins, and how long it is."""
    tensors, along = call.arg(0, "tensors"), call.name in ("cat", "concat", "concatenate")
    dim = call.arg(1, "dim", "axis", default=0) if along else 0
    order = list(dict.fromkeys(v.node for v in inputs if v.data))
    found, start = {"axis": float(dim % tensors[0].ndim)}, 0
    for tensor in tensors:
        value = call.lookup(tensor)
        if value is not None and value.data:
            place = order.index(value.node)
            found[f"start {place}"] = float(start)
            if along:
                found[f"size {place}"] = found.get(f"size {place}", 0.0) + float(tensor.shape[dim])
        start += tensor.shape[dim]
    return found


def _pad(call: Call) -> dict[str, float]:
    """Positions put before and behind along each axis, and what they hold: a number, or copies (its place in `PADS`)."""
    mode, value = call.arg(2, "mode", default="constant"), call.arg(3, "value")
    found = {"mode": float(PADS.index(mode)), "value": float(value or 0.0)}
    amounts, dims = list(call.arg(1, "pad")), call.arg(0, "input").ndim
    for place in range(len(amounts) // 2):  # the last axis comes first
        low, high = amounts[2 * place : 2 * place + 2]
        if low or high:
            found |= {f"low {dims - 1 - place}": float(low), f"high {dims - 1 - place}": float(high)}
    return found


def _input(kind: str, call: Call, data: list[Value]) -> dict[str, float]:
    """Of a real input: mean, second moment, half the mean squared gap between two examples at one place, and between two
    places of one example. Of several inputs side by side: their means over the elements. A sum or a product of two inputs
    is data, too, so these are its own numbers, and "together" says so."""
    given = [t for a in (*call.args, *call.kwargs.values()) for t in (a if isinstance(a, list | tuple) else (a,))]
    given = [t for t in given if isinstance(t, torch.Tensor)]
    tensors = [t for t in given if any(call.lookup(t) is v for v in data)]
    tensors = tensors if kind == "concat" else tensors[:1]
    if not tensors or any(t.is_meta or t.ndim < 2 or t.numel() == 0 for t in tensors):
        return {}
    if len(data) == 2 == len(given) and call.name in JOINED:
        alpha = {k: v for k, v in call.kwargs.items() if k == "alpha"}
        return _moments(JOINED[call.name](*(t.detach().double() for t in given), **alpha)) | {"together": 1.0}
    each = [_moments(t.detach().double()) for t in tensors]
    sizes = [t.numel() / sum(t.numel() for t in tensors) for t in tensors]
    return {
        name: sum(share * found[name] for share, found in zip(sizes, each, strict=True))
        for name in each[0]
        if all(name in found for found in each)
    }


def _moments(x: torch.Tensor) -> dict[str, float]:
    found = {"input_mean": float(x.mean()), "input_second": float(x.square().mean())}
    if x.shape[0] > 1:
        found["input_contrast"] = float(x.var(dim=0).mean())
    axes = [] if x.ndim == 2 else [1] if x.ndim == 3 else list(range(2, x.ndim))
    if axes and math.prod(x.shape[a] for a in axes) > 1:
        found["input_apart"] = float(x.var(dim=axes).mean())
    return found
