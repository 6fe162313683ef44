"""Real layers of Keras (torch backend) to measure promises on; the slots are those that fanin reads from the layers."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from tests.promises.measure import Layer

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.plans import Entry, Plan
from fanin.plans.keras.model import apply_plan, model_slots
from fanin.plans.keras.paths import find_weights


@dataclass(frozen=True)
class Case:
    """One kind of layer: how it is made, the shape of its input, its weight, the border that padding reaches (out, in)."""

    build: Callable[[], Any]
    x: tuple[int, ...]
    weight: str = "kernel"
    border: tuple[int, int] = (0, 0)
    alone: bool = True  # whether the layer is a function of one input, linear but for nothing else


L = keras.layers
CASES: dict[str, Case] = {
    "Dense": Case(lambda: L.Dense(384, use_bias=False), (128, 256)),
    "EinsumDense to heads": Case(lambda: L.EinsumDense("ab,bcd->acd", output_shape=(8, 48)), (128, 256)),
    "EinsumDense from heads": Case(lambda: L.EinsumDense("abc,bcd->ad", output_shape=384), (128, 8, 32)),
    "Conv1D": Case(lambda: L.Conv1D(128, 5, padding="same", use_bias=False), (16, 36, 64), border=(2, 4)),
    "Conv1D over a signal": Case(lambda: L.Conv1D(17, 24, padding="valid", use_bias=False), (8, 60, 1), border=(0, 24)),
    "Conv2D": Case(lambda: L.Conv2D(96, 3, padding="same", use_bias=False), (8, 12, 12, 64), border=(1, 2)),
    "Conv2D strided": Case(
        lambda: L.Conv2D(96, 3, strides=2, padding="same", use_bias=False), (8, 22, 22, 64), border=(1, 4)
    ),
    "Conv2D grouped": Case(
        lambda: L.Conv2D(128, 3, groups=4, padding="same", use_bias=False), (8, 12, 12, 96), border=(1, 2)
    ),
    "Conv3D": Case(lambda: L.Conv3D(48, 3, padding="same", use_bias=False), (4, 8, 8, 8, 24), border=(1, 2)),
    "DepthwiseConv2D": Case(
        lambda: L.DepthwiseConv2D(3, padding="same", use_bias=False), (4, 10, 10, 768), border=(1, 2)
    ),
    "DepthwiseConv2D, multiplier 2": Case(
        lambda: L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False), (4, 10, 10, 384), border=(1, 2)
    ),
    "Conv2DTranspose": Case(
        lambda: L.Conv2DTranspose(96, 3, padding="same", use_bias=False), (8, 12, 12, 64), border=(2, 2)
    ),
    "Conv2DTranspose k4 s2": Case(
        lambda: L.Conv2DTranspose(96, 4, strides=2, padding="same", use_bias=False), (8, 10, 10, 64), border=(4, 2)
    ),
    "Embedding": Case(lambda: L.Embedding(50, 96), (4, 8), "embeddings", alone=False),
    "MultiHeadAttention query": Case(lambda: L.MultiHeadAttention(4, 24), (4, 8, 96), "query.kernel", alone=False),
    "MultiHeadAttention output": Case(
        lambda: L.MultiHeadAttention(4, 24), (4, 8, 96), "attention_output.kernel", alone=False
    ),
    "LSTM, input": Case(lambda: L.LSTM(64), (4, 8, 48), "cell.kernel", alone=False),
    "LSTM, state": Case(lambda: L.LSTM(64), (4, 8, 48), "cell.recurrent_kernel", alone=False),
    "LSTM, bias": Case(lambda: L.LSTM(64), (4, 8, 48), "cell.bias", alone=False),
    "GRU, state": Case(lambda: L.GRU(64), (4, 8, 48), "cell.recurrent_kernel", alone=False),
    "bias": Case(lambda: L.Dense(256), (8, 48), "bias", alone=False),
    "norm scale": Case(lambda: L.LayerNormalization(), (8, 256), "gamma", alone=False),
}  # fmt: skip
PEERS = (
    "Dense", "EinsumDense to heads", "EinsumDense from heads", "Conv2D", "Conv2D grouped", "DepthwiseConv2D",
    "Conv2DTranspose", "Conv2DTranspose k4 s2",
)  # fmt: skip


def layers(names: tuple[str, ...] | None = None) -> Iterator[Layer]:
    """Every case as a layer to measure on; `names` to take some only."""
    for name, case in CASES.items():
        if names is None or name in names:
            yield layer(name, case)


def layer(name: str, case: Case) -> Layer:
    """One case; the layer is built once and drawn again for every redraw."""
    made = case.build()
    if isinstance(made, L.MultiHeadAttention):
        made.build(case.x, case.x)
    else:
        made.build(case.x)
    slots = model_slots(made)
    slot = next(s for s in slots if s.name == case.weight)
    variable = next(p.variable for p in find_weights(made) if case.weight in p.names)

    def draw(law: Distribution, seed: int) -> None:
        apply_plan(Plan.of(slots, {slot.name: Entry(law)}, seed=seed), made)

    def weight() -> np.ndarray:
        return variable.numpy().astype(np.float64)

    def parameter() -> Any:
        return variable

    if not case.alone:
        return Layer(name, slot, draw, None, None, weight, parameter)

    def forward(seed: int, f: Activation | None) -> float:
        z = np.random.default_rng(seed).standard_normal(case.x)
        with torch.no_grad():
            y = made(torch.tensor(z if f is None else f(z), dtype=torch.float32))
        return float(_inside(y, case.border[0]).double().square().mean())

    def backward(seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(*case.x, generator=generator, requires_grad=True)
        y = made(x)
        (gradient,) = torch.autograd.grad(y, x, torch.randn(y.shape, generator=generator))
        return float(_inside(gradient, case.border[1]).double().square().mean())

    return Layer(name, slot, draw, forward, backward, weight, parameter)


def _inside(y: torch.Tensor, border: int) -> torch.Tensor:
    """Positions (axes between batch and channels) away from the border, an even number of them."""
    if not border:
        return y
    return y[(slice(None), *(slice(border, border + (n - 2 * border) // 2 * 2) for n in y.shape[1:-1]))]
