"""What each function of PyTorch does, as data: name → kind, and how names are read from what the mode is handed."""

from collections.abc import Callable
from typing import Any

# Elementwise functions of one signal (constants and parameters may join): replayed to find activations.
ACTIVATIONS = frozenset(
    [
        "relu",
        "relu6",
        "leaky_relu",
        "prelu",
        "rrelu",
        "elu",
        "celu",
        "selu",
        "gelu",
        "silu",
        "mish",
        "softplus",
        "sigmoid",
        "tanh",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
        "softsign",
        "logsigmoid",
        "tanhshrink",
        "hardshrink",
        "softshrink",
        "threshold",
        "glu",
        "log_sigmoid",
    ]
)
POINTWISE = frozenset(
    [
        "add",
        "sub",
        "rsub",
        "radd",
        "mul",
        "rmul",
        "div",
        "rdiv",
        "rtruediv",
        "true_divide",
        "divide",
        "multiply",
        "subtract",
        "pow",
        "rpow",
        "sqrt",
        "rsqrt",
        "exp",
        "exp2",
        "log",
        "log2",
        "log10",
        "log1p",
        "expm1",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "asinh",
        "acosh",
        "atanh",
        "abs",
        "absolute",
        "neg",
        "negative",
        "clamp",
        "clip",
        "clamp_min",
        "clamp_max",
        "maximum",
        "minimum",
        "where",
        "gt",
        "lt",
        "ge",
        "le",
        "eq",
        "ne",
        "greater",
        "less",
        "greater_equal",
        "less_equal",
        "sign",
        "sgn",
        "erf",
        "erfc",
        "square",
        "reciprocal",
        "addcmul",
        "addcdiv",
        "lerp",
        "nan_to_num",
        "floor",
        "ceil",
        "round",
        "trunc",
        "frac",
        "fmod",
        "remainder",
        "floor_divide",
        "logical_and",
        "logical_or",
        "logical_not",
        "masked_fill",
        "heaviside",
        "xlogy",
        "logaddexp",
        "sinc",
        "bitwise_and",
        "bitwise_or",
        "bitwise_not",
        "positive",
        "float_power",
        "floordiv",
        "and",
        "or",
        "invert",
        "xor",
        "special_expit",
        "expit",
    ]
)
SHAPE = frozenset(
    [
        "view",
        "reshape",
        "transpose",
        "permute",
        "t",
        "T",
        "mT",
        "H",
        "mH",
        "flatten",
        "unflatten",
        "ravel",
        "squeeze",
        "unsqueeze",
        "expand",
        "expand_as",
        "repeat",
        "contiguous",
        "clone",
        "to",
        "type",
        "type_as",
        "float",
        "half",
        "bfloat16",
        "double",
        "cuda",
        "cpu",
        "chunk",
        "split",
        "split_with_sizes",
        "tensor_split",
        "unbind",
        "narrow",
        "select",
        "getitem",
        "index_select",
        "gather",
        "take_along_dim",
        "roll",
        "flip",
        "movedim",
        "moveaxis",
        "swapaxes",
        "swapdims",
        "pad",
        "unfold",
        "fold",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "view_as",
        "reshape_as",
        "as_strided",
        "alias",
        "masked_select",
        "requires_grad_",
        "repeat_interleave",
        "view_as_real",
        "view_as_complex",
        "real",
        "diagonal",
        "tile",
        "broadcast_to",
        "data",
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "identity",
        "hsplit",
        "vsplit",
        "dsplit",
        "rot90",
        "triu",
        "tril",
        "ones_like",
        "zeros_like",
        "adjoint",
        "pack_padded_sequence",
        "_pack_padded_sequence",
    ]
)
NORMS = frozenset(
    [
        "batch_norm",
        "layer_norm",
        "group_norm",
        "instance_norm",
        "rms_norm",
        "local_response_norm",
        "normalize",
        "native_layer_norm",
    ]
)
POOLS = frozenset(f"{'adaptive_' * a}{m}_pool{d}d" for a in (0, 1) for m in ("max", "avg") for d in (1, 2, 3)) | {
    "lp_pool1d",
    "lp_pool2d",
    "interpolate",
    "upsample",
    "fractional_max_pool2d",
}
REDUCTIONS = frozenset(
    [
        "mean",
        "sum",
        "std",
        "var",
        "var_mean",
        "std_mean",
        "norm",
        "vector_norm",
        "amax",
        "amin",
        "max",
        "min",
        "logsumexp",
        "prod",
        "cumsum",
        "median",
        "nanmean",
        "any",
        "all",
        "argmax",
        "argmin",
        "topk",
        "sort",
        "cumprod",
        "index_add",
        "scatter",
        "scatter_add",
        "scatter_reduce",
        "index_put",
        "count_nonzero",
        "bincount",
    ]
)
DROPOUTS = frozenset(
    ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "feature_dropout"]
)
LINEARS = frozenset(
    [
        "linear",
        "matmul",
        "rmatmul",
        "mm",
        "mv",
        "bmm",
        "addmm",
        "addmv",
        "baddbmm",
        "addbmm",
        "einsum",
        "tensordot",
        "dot",
        "inner",
        "bilinear",
        "_grouped_mm",
        "grouped_mm",
        "chain_matmul",
        "linalg_matmul",
    ]
)
CONVS = frozenset(f"conv{d}d" for d in (1, 2, 3)) | {"conv_tbc", "convolution"}
CONV_TRANSPOSES = frozenset(f"conv_transpose{d}d" for d in (1, 2, 3))
RECURRENTS = frozenset(
    ["lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"]
)
LOSSES = frozenset(
    [
        "cross_entropy",
        "nll_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "kl_div",
        "ctc_loss",
        "hinge_embedding_loss",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "multilabel_soft_margin_loss",
        "soft_margin_loss",
        "cosine_embedding_loss",
        "margin_ranking_loss",
        "triplet_margin_loss",
        "poisson_nll_loss",
        "gaussian_nll_loss",
        "triplet_margin_with_distance_loss",
        "linear_cross_entropy",
    ]
)

_TABLE: dict[str, str] = (
    dict.fromkeys(POINTWISE, "pointwise")
    | dict.fromkeys(ACTIVATIONS, "activation")
    | dict.fromkeys(SHAPE, "shape")
    | dict.fromkeys(NORMS, "norm")
    | dict.fromkeys(POOLS, "pool")
    | dict.fromkeys(REDUCTIONS, "reduce")
    | dict.fromkeys(DROPOUTS, "dropout")
    | dict.fromkeys(LINEARS, "linear")
    | dict.fromkeys(CONVS, "conv")
    | dict.fromkeys(CONV_TRANSPOSES, "conv_transpose")
    | dict.fromkeys(RECURRENTS, "recurrent")
    | dict.fromkeys(LOSSES, "loss")
    | {
        "embedding": "embedding",
        "embedding_bag": "embedding",
        "softmax": "softmax",
        "log_softmax": "softmax",
        "gumbel_softmax": "softmax",
        "multi_head_attention_forward": "attention",
        "scaled_dot_product_attention": "attention",
        "cat": "concat",
        "concat": "concat",
        "concatenate": "concat",
        "stack": "concat",
        "hstack": "concat",
        "vstack": "concat",
    }
)

# Asked of tensors all the time, and never part of the graph.
SILENT = frozenset(
    [
        "shape",
        "dtype",
        "device",
        "dim",
        "size",
        "numel",
        "is_floating_point",
        "is_complex",
        "requires_grad",
        "grad",
        "grad_fn",
        "ndim",
        "is_cuda",
        "is_sparse",
        "is_leaf",
        "layout",
        "stride",
        "storage_offset",
        "data_ptr",
        "is_contiguous",
        "element_size",
        "nbytes",
        "itemsize",
        "len",
        "__len__",
        "__bool__",
        "__float__",
        "__int__",
        "__index__",
        "item",
        "tolist",
        "names",
        "is_nested",
        "is_mkldnn",
        "is_quantized",
        "is_meta",
        "is_xpu",
        "is_mps",
        "_version",
        "untyped_storage",
        "numpy",
        "_set_grad_enabled",
        "is_inference",
        "register_hook",
        "retain_grad",
        "backward",
        "__repr__",
        "__format__",
        "__hash__",
        "is_cpu",
        "get_device",
        "__contains__",
        "is_shared",
        "is_same_size",
        "__dlpack__",
        "__array__",
        "isfinite",
        "isnan",
        "allclose",
        "equal",
        "result_type",
        "can_cast",
        "parametrizations_",
        "detach_check",
    ]
)


def kind_of(name: str) -> str:
    """The kind of the function with this plain name ("other" where it is not in the table)."""
    return _TABLE.get(name, "other")


_names: dict[Any, tuple[str, bool]] = {}


def plain_name(func: Callable[..., Any]) -> tuple[str, bool]:
    """The function's plain name, and whether it writes to its first argument.

    `x += y`, `torch.add` and `Tensor.__radd__` are all "add"; a property's getter has the property's name.
    """
    found = _names.get(func)
    if found is None:
        found = _names[func] = _plain_name(func)
    return found


def _plain_name(func: Callable[..., Any]) -> tuple[str, bool]:
    name = getattr(func, "__name__", "") or type(func).__name__
    if name in ("__get__", "__set__", "__delete__"):
        owner = getattr(func, "__self__", None)
        attribute = getattr(owner, "__name__", None) or getattr(getattr(owner, "fget", None), "__name__", "")
        return (str(attribute), False) if name == "__get__" else (f"set_{attribute}", True)
    overload = getattr(func, "_schema", None)
    if overload is not None:  # torch.ops.aten.*: an overload or a packet
        name = overload.name.split("::")[-1]
    elif "OpOverloadPacket" in type(func).__name__:
        name = str(func).split(".")[-1]
    in_place = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
    if name.startswith("__") and name.endswith("__") and name not in SILENT:
        inner = name[2:-2]
        if inner.startswith("i") and inner[1:] in _AUGMENTED:
            return inner[1:].replace("truediv", "div"), True
        return inner.replace("truediv", "div"), in_place
    return (name[:-1] if in_place else name), in_place


_AUGMENTED = frozenset(["add", "sub", "mul", "truediv", "pow", "floordiv", "mod", "and", "or", "xor", "matmul"])
