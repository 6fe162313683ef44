"""Peers' own initializers under the same measurement: what they promise, on the layers of their own framework."""

import importlib.util
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.promises import measure as m
from tests.promises.measure import Layer

from fanin.rules.promise import Promise, backward, forward, law, spectrum

RELU = math.sqrt(2)
Filler = Callable[[Layer, int], Any]


def peers(frameworks: list[str], error: float) -> list[str]:
    """The table: peer's initializer, what its documentation promises, layer, ratio."""
    lines = [
        "Initializers of the frameworks themselves, of timm and of transformers, called as their documentation says, on the same layers. A "
        "ratio far from 1 is a fan "
        "taken from the wrong axis, or a truncation that nobody corrected.",
        "",
        "| initializer | promise | layer | ratio | ± | |",
        "|---|---|---|---|---|---|",
    ]
    for framework in frameworks:
        makers = {"torch": (_torch, _timm, _transformers), "flax": (_flax,), "keras": (_keras,)}[framework]
        for name, promise, layer, fill in itertools.chain.from_iterable(make() for make in makers):
            cell = _measured(promise, layer, fill, error)
            if cell is None:
                lines.append(f"| {name} | {promise.what} | {layer.name} | refuses | | |")
                continue
            off = abs(cell.ratio - 1) > 0.02 + 3 * cell.error
            lines.append(
                f"| {name} | {promise.what} | {layer.name} | {cell.ratio:.3f} | {cell.error:.3f} | {'**off**' if off else ''} |"
            )
    return lines


def _measured(promise: Promise, layer: Layer, fill: Filler, error: float) -> m.Cell | None:
    """`measure`, with a peer's function in place of a law's draw."""
    filled = Layer(
        layer.name,
        layer.slot,
        lambda law, seed: fill(layer, seed),
        layer.forward,
        layer.backward,
        layer.weight,
        layer.parameter,
    )
    if not m.measurable(promise, filled):
        return None
    try:
        return m.measure(promise, None, filled, error=error, least=8, most=200)  # type: ignore[arg-type]
    except (ValueError, RuntimeError, NotImplementedError):
        return None


Peer = tuple[str, Promise, Layer, Filler]


def filler(f: Callable[[Any], Any]) -> Filler:
    """A function that fills a torch parameter in place, with numbers that are not the inputs'."""

    def fill(layer: Layer, seed: int) -> None:
        import torch

        torch.manual_seed(10**6 + seed)
        f(layer.parameter())

    return fill


def _torch() -> Iterator[Peer]:
    from tests.promises import layers_torch
    from torch import nn

    kinds = (
        "linear", "transformers Conv1D", "x @ W", "conv2d", "grouped conv", "depthwise conv", "transposed conv",
        "transposed conv, k4 s2", "stacked experts", "fused q, k, v",
    )  # fmt: skip
    for layer in layers_torch.layers(kinds):
        yield (
            "torch kaiming_normal_(fan_in, relu)", forward(1.0, "relu"), layer,
            filler(lambda p: nn.init.kaiming_normal_(p, nonlinearity="relu")),
        )  # fmt: skip
        if (
            layer.name != "fused q, k, v"
        ):  # its gradient is the sum of three blocks', which is what their fan_out is about
            yield (
                "torch kaiming_normal_(fan_out, linear)", backward(1.0), layer,
                filler(lambda p: nn.init.kaiming_normal_(p, mode="fan_out", nonlinearity="linear")),
            )  # fmt: skip
        yield "torch orthogonal_", spectrum(1.0), layer, filler(nn.init.orthogonal_)
    linear = next(iter(layers_torch.layers(("linear",))))
    for f in ("tanh", "selu", "sigmoid"):
        yield (
            f"torch calculate_gain({f!r}) with fan_in", forward(1.0, f), linear,
            filler(lambda p, f=f: nn.init.normal_(p, std=nn.init.calculate_gain(f) / math.sqrt(p.shape[1]))),
        )  # fmt: skip
    yield "torch trunc_normal_(std=1)", law(1.0), linear, filler(lambda p: nn.init.trunc_normal_(p, std=1.0))
    yield "torch default of Linear", forward(1.0), linear, filler(lambda p: nn.init.kaiming_uniform_(p, a=math.sqrt(5)))


def _timm() -> Iterator[Peer]:
    """timm's `weight_init.py`, which needs torch alone; the package around it needs torchvision, so it is not imported."""
    from tests.promises import layers_torch

    package = importlib.util.find_spec("timm")
    if package is None or package.origin is None:
        print("timm is not installed (pip install --no-deps timm): no rows of it", flush=True)
        return
    spec = importlib.util.spec_from_file_location(
        "timm_init", Path(package.origin).parent / "layers" / "weight_init.py"
    )
    assert spec is not None
    assert spec.loader is not None
    timm = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(timm)
    for layer in layers_torch.layers(("linear", "x @ W", "conv2d", "grouped conv", "depthwise conv", "fused q, k, v")):
        yield "timm lecun_normal_", forward(1.0), layer, filler(timm.lecun_normal_)
        yield (
            "timm variance_scaling_(2, fan_in)", forward(1.0, "relu"), layer,
            filler(lambda p: timm.variance_scaling_(p, 2.0, "fan_in", "normal")),
        )  # fmt: skip
        if layer.name != "fused q, k, v":
            yield (
                "timm variance_scaling_(1, fan_out)", backward(1.0), layer,
                filler(lambda p: timm.variance_scaling_(p, 1.0, "fan_out", "normal")),
            )  # fmt: skip
    linear = next(iter(layers_torch.layers(("linear",))))
    yield "timm trunc_normal_(std=1)", law(1.0), linear, filler(lambda p: timm.trunc_normal_(p, std=1.0))
    yield "timm trunc_normal_tf_(std=1)", law(1.0), linear, filler(lambda p: timm.trunc_normal_tf_(p, std=1.0))


def _transformers() -> Iterator[Peer]:
    """The functions of `transformers.initialization` that are its own; the others are torch's behind a guard."""
    from tests.promises import layers_torch
    from transformers import initialization

    for layer in layers_torch.layers(("linear", "transformers Conv1D", "conv2d", "grouped conv")):
        yield "transformers lecun_normal_", forward(1.0), layer, filler(initialization.lecun_normal_)
        yield (
            "transformers default_flax_embed_init_", forward(1.0), layer,
            filler(initialization.default_flax_embed_init_),
        )  # fmt: skip


def _flax() -> Iterator[Peer]:
    import jax
    from tests.promises import layers_flax

    def filler(init: Callable[..., Any]) -> Filler:
        def fill(layer: Layer, seed: int) -> None:
            p = layer.parameter()
            p.set_value(init(jax.random.key(seed), p.get_value().shape, "float32"))

        return fill

    he, lecun = jax.nn.initializers.he_normal, jax.nn.initializers.lecun_normal
    kinds = (
        "Linear", "LinearGeneral to heads", "LinearGeneral from heads", "Einsum from heads", "Einsum of experts", "Conv",
        "Conv grouped", "Conv depthwise", "ConvTranspose k4 s2",
    )  # fmt: skip
    for layer in layers_flax.layers(kinds):
        yield "jax he_normal()", forward(1.0, "relu"), layer, filler(he())
        yield "jax lecun_normal()", forward(1.0), layer, filler(lecun())
    linear = next(iter(layers_flax.layers(("Linear",))))
    yield "jax truncated_normal(1)", law(1.0), linear, filler(jax.nn.initializers.truncated_normal(1.0))
    yield "jax orthogonal()", spectrum(1.0), linear, filler(jax.nn.initializers.orthogonal())


def _keras() -> Iterator[Peer]:
    import keras
    from tests.promises import layers_keras

    def filler(make: Callable[[int], Any]) -> Filler:
        def fill(layer: Layer, seed: int) -> None:
            p = layer.parameter()
            p.assign(make(seed)(tuple(p.shape), "float32"))

        return fill

    for layer in layers_keras.layers(layers_keras.PEERS):
        yield (
            "keras HeNormal", forward(1.0, "relu"), layer,
            filler(lambda seed: keras.initializers.HeNormal(seed=seed)),
        )  # fmt: skip
    dense = next(iter(layers_keras.layers(("Dense",))))
    yield (
        "keras TruncatedNormal(stddev=1)", law(1.0), dense,
        filler(lambda seed: keras.initializers.TruncatedNormal(stddev=1.0, seed=seed)),
    )  # fmt: skip
