"""Low-rank adapters of a Keras model that start from the weight that they adapt."""

from typing import Any

import keras
import numpy as np

from fanin.draws import low_rank
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.keras.paths import find_weights

KINDS = (("lora_kernel_a", "lora_kernel_b", "_kernel"), ("lora_embeddings_a", "lora_embeddings_b", "_embeddings"))


def adapters_(model: Any, option: str = "pissa", *, niter: int | None = None, seed: int = 0) -> Any:
    """Start every low-rank adapter in a model from the weight that it adapts, in place, whole or not at all; returns the model.

    Of every layer that had `enable_lora`: `Dense`, `Embedding`, `EinsumDense`, convolutions. The kernel is taken as Keras adapts it, as
    a matrix of (all axes but the last, the last): x @ A @ B. Keras's own start is A by He's uniform rule and B zero.

    Args:
        model: a built `keras.Model` or `keras.Layer`.
        option: "pissa" (the principal part of the weight goes into the adapter), "olora" (its QR decomposition does), or "mica" (A zero,
            B along the directions that the weight uses least, and frozen; the weight stays).
        niter: for "pissa": None for the exact decomposition; a number of power iterations (4, say) for the much faster randomized one.
        seed: of the random subspaces, with `niter`; each weight's own comes from its path.

    Raises:
        FaninTypeError: it is no Keras model, or an adapted layer is quantized.
        FaninValueError: no layer has an adapter; a rank that is too large (also for the weight's own rank); a weight that is not finite, or
            another layer's too; nothing was changed.

    Paper:
        Those of `fanin.draws.pissa`, `olora` and `mica`, which have the formulas.

    Example:
        >>> net = keras.Sequential([keras.Input((60,)), keras.layers.Dense(40)])
        >>> net.layers[0].enable_lora(4, lora_alpha=8)
        >>> x = keras.random.normal((8, 60), seed=0)
        >>> before = net(x)
        >>> bool(keras.ops.max(keras.ops.abs(adapters_(net, "pissa")(x) - before)) < 1e-4)
        True
    """
    places = find_weights(model)
    for layer in model._flatten_layers():  # its integers are no weight to be found among the places
        if getattr(layer, "lora_enabled", False) and getattr(layer, "quantization_mode", None) is not None:
            raise FaninTypeError(
                f"adapters_: {layer.name!r} is quantized ({layer.quantization_mode}); adapters start from floating-point weights"
            )
    found = [(place, kind) for place in places for kind in KINDS if _adapted(place, kind)]
    if not found:
        raise FaninValueError(
            "adapters_: no layer of the model has a low-rank adapter; call enable_lora on a layer first"
        )
    values: list[tuple[Any, Any]] = []
    for place, (a, b, _) in found:
        made = _values(place, option, niter, seed)
        variables = (getattr(place.owner, a), getattr(place.owner, b), place.variable)
        values += zip(variables, made, strict=False)  # with "mica" there is none for the weight
    before = [keras.ops.copy(variable.value) for variable, _ in values]
    try:
        for variable, new in values:
            variable.assign(new)
    except BaseException:
        for (variable, _), old in zip(values, before, strict=True):
            variable.assign(old)
        raise
    if option == "mica":
        for place, (_, b, _) in found:
            getattr(place.owner, b).trainable = False
    return model


def _adapted(place: Any, kind: tuple[str, str, str]) -> bool:
    owner = place.owner
    return (
        getattr(owner, "lora_enabled", False)
        and getattr(owner, kind[2], None) is place.variable
        and hasattr(owner, kind[0])
    )


def _values(place: Any, option: str, niter: int | None, seed: int) -> list[Any]:
    """What A, B and (but for "mica") the weight are to hold."""
    name, owner = place.names[0], place.owner
    what = f"adapters_: {name!r}"
    if len(place.names) > 1 and option != "mica":
        raise FaninValueError(
            f"{what} is also {', '.join(map(repr, place.names[1:]))}; {option} would change it for all"
        )
    given: Any = keras.ops.convert_to_numpy(keras.ops.cast(place.variable.value, _wide(place.dtype)))
    matrix = np.ascontiguousarray(given.reshape(-1, given.shape[-1]).T)  # (out, in)
    scaling = owner.lora_alpha / owner.lora_rank
    a, b = low_rank.factors(
        option, matrix, owner.lora_rank, scaling=scaling, niter=niter, seed=seed, name=name, what=what
    )  # Keras keeps the factors in float32
    if option == "mica":
        return [a.T.reshape(*given.shape[:-1], -1), b.T]
    base = low_rank.residual(matrix, a.astype(np.float32), b.astype(np.float32), scaling)
    left = keras.ops.cast(keras.ops.convert_to_tensor(np.ascontiguousarray(base.T).reshape(given.shape)), place.dtype)
    if not bool(keras.ops.all(keras.ops.isfinite(left))):
        raise FaninValueError(f"{what}: what is left beside the adapter has numbers that {place.dtype} cannot hold")
    return [a.T.reshape(*given.shape[:-1], -1), b.T, left]


def _wide(dtype: str) -> str:
    return "float64" if dtype == "float64" else "float32"
