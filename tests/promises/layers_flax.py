"""Real layers of Flax NNX to measure promises on; the slots are those that fanin reads from the modules."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tests.promises.measure import Layer

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.draws.jax import draw as draw_array
from fanin.plans.jax.flax_slots import model_slots
from fanin.slots import ChainLink, Pairing

Cut = tuple[int, int]  # how many positions are left out at each border, of outputs and of inputs


@dataclass(frozen=True)
class Case:
    """One kind of layer: how it is built, the shape of its input, its parameter, and the border that padding reaches."""

    build: Callable[[nnx.Rngs], nnx.Module]
    x: tuple[int, ...] | None
    weight: str = "kernel"
    border: Cut = (0, 0)
    chain: ChainLink | None = None  # its place among layers that follow each other, which no module tells


def _link(position: int, units: int | None = None) -> ChainLink:
    """One of three layers with a ReLU between them, as `fanin.jax.mirrored` tells its initializers."""
    relu = Activation.named("relu")
    before, after = relu if position > 0 else None, relu if position < 2 else None
    return ChainLink("chain", position, 3, before, after, Pairing(units) if units else None)


CASES: dict[str, Case] = {
    "Linear": Case(lambda r: nnx.Linear(256, 384, use_bias=False, rngs=r), (128, 256)),
    "LinearGeneral to heads": Case(lambda r: nnx.LinearGeneral(256, (8, 48), use_bias=False, rngs=r), (128, 256)),
    "LinearGeneral from heads": Case(
        lambda r: nnx.LinearGeneral((8, 32), 384, axis=(-2, -1), use_bias=False, rngs=r), (128, 8, 32)
    ),
    "Einsum from heads": Case(
        lambda r: nnx.Einsum("BTNH,NHD->BTD", (8, 32, 256), rngs=r), (8, 16, 8, 32)
    ),
    "Einsum of experts": Case(lambda r: nnx.Einsum("ETD,EDF->ETF", (4, 192, 256), rngs=r), (4, 64, 192)),
    "Conv 1-D": Case(lambda r: nnx.Conv(64, 128, (5,), use_bias=False, rngs=r), (16, 36, 64), border=(2, 4)),
    "Conv": Case(lambda r: nnx.Conv(64, 96, (3, 3), use_bias=False, rngs=r), (8, 12, 12, 64), border=(1, 2)),
    "Conv strided": Case(
        lambda r: nnx.Conv(64, 96, (3, 3), strides=2, use_bias=False, rngs=r), (8, 22, 22, 64), border=(1, 4)
    ),
    "Conv grouped": Case(
        lambda r: nnx.Conv(96, 128, (3, 3), feature_group_count=4, use_bias=False, rngs=r), (8, 12, 12, 96), border=(1, 2)
    ),
    "Conv depthwise": Case(
        lambda r: nnx.Conv(768, 768, (3, 3), feature_group_count=768, use_bias=False, rngs=r), (4, 10, 10, 768),
        border=(1, 2),
    ),
    "ConvTranspose": Case(
        lambda r: nnx.ConvTranspose(64, 96, (3, 3), use_bias=False, rngs=r), (8, 12, 12, 64), border=(2, 2)
    ),
    "ConvTranspose k4 s2": Case(
        lambda r: nnx.ConvTranspose(64, 96, (4, 4), strides=(2, 2), use_bias=False, rngs=r), (8, 10, 10, 64),
        border=(4, 2),
    ),
    "ConvTranspose k3 s2": Case(
        lambda r: nnx.ConvTranspose(64, 96, (3, 3), strides=(2, 2), use_bias=False, rngs=r), (8, 10, 10, 64),
        border=(4, 2),
    ),
    "Embed": Case(lambda r: nnx.Embed(50, 96, rngs=r), None, "embedding"),
    "MultiHeadAttention query": Case(
        lambda r: nnx.MultiHeadAttention(4, 96, decode=False, rngs=r), None, "query.kernel"
    ),
    "MultiHeadAttention output": Case(
        lambda r: nnx.MultiHeadAttention(4, 96, decode=False, rngs=r), None, "out.kernel"
    ),
    "LSTM, state": Case(lambda r: nnx.OptimizedLSTMCell(48, 64, rngs=r), None, "dense_h.kernel"),
    "GRU, state": Case(lambda r: nnx.GRUCell(48, 64, rngs=r), None, "dense_h.kernel"),
    "Conv over a signal": Case(lambda r: nnx.Conv(1, 17, (24,), padding="VALID", use_bias=False, rngs=r), (8, 60, 1), border=(0, 24)),
    "chain, first": Case(lambda r: nnx.Linear(128, 192, use_bias=False, rngs=r), (128, 128), chain=_link(0)),
    "chain, inner": Case(lambda r: nnx.Linear(192, 192, use_bias=False, rngs=r), (128, 192), chain=_link(1, 192)),
    "chain, last": Case(lambda r: nnx.Linear(192, 96, use_bias=False, rngs=r), (128, 192), chain=_link(2, 192)),
    "bias": Case(lambda r: nnx.Linear(48, 256, rngs=r), None, "bias"),
    "norm scale": Case(lambda r: nnx.LayerNorm(256, rngs=r), None, "scale"),
}  # fmt: skip


def layers(names: tuple[str, ...] | None = None) -> Iterator[Layer]:
    """Every case as a layer to measure on; `names` to take some only."""
    for name, case in CASES.items():
        if names is None or name in names:
            yield layer(name, case)


def layer(name: str, case: Case) -> Layer:
    """One case; the model is built once and drawn again for every redraw."""
    model = case.build(nnx.Rngs(0))
    slots = model_slots(model)
    slot = replace(next(s for s in slots if s.name == case.weight), chain=case.chain)
    state = nnx.split(model)[0]

    def parameter() -> Any:
        owner: Any = model
        for part in case.weight.split("."):
            owner = getattr(owner, part)
        return owner

    def draw(law: Distribution, seed: int) -> None:
        value = draw_array(law, slot.shape, seed=seed, name=slot.name)  # the plan's numbers, without its checks
        parameter().set_raw_value(value)

    def weight() -> np.ndarray:
        return np.asarray(parameter().get_value(), dtype=np.float64)

    if case.x is None:
        return Layer(name, slot, draw, None, None, weight, parameter)
    shape = case.x

    @jax.jit
    def run(variables: Any, x: jax.Array) -> jax.Array:
        return nnx.merge(state, variables)(x)  # type: ignore[operator]

    @jax.jit
    def pulled(variables: Any, x: jax.Array, g: jax.Array) -> jax.Array:
        return jax.vjp(lambda x: nnx.merge(state, variables)(x), x)[1](g)[0]  # type: ignore[operator]

    def forward(seed: int, f: Activation | None) -> float:
        z = np.random.default_rng(seed).standard_normal(shape)
        y = run(nnx.split(model)[1], jnp.asarray(z if f is None else f(z), jnp.float32))
        return float(np.mean(np.asarray(_inside(y, case.border[0]), dtype=np.float64) ** 2))

    def backward(seed: int) -> float:
        rng, variables = np.random.default_rng(seed), nnx.split(model)[1]
        x = jnp.asarray(rng.standard_normal(shape), jnp.float32)
        g = jnp.asarray(rng.standard_normal(run(variables, x).shape), jnp.float32)
        return float(np.mean(np.asarray(_inside(pulled(variables, x, g), case.border[1]), dtype=np.float64) ** 2))

    return Layer(name, slot, draw, forward, backward, weight, parameter)


def _inside(y: jax.Array, border: int) -> jax.Array:
    """Positions (axes between batch and channels) away from the border, an even number of them."""
    if not border:
        return y
    return y[(slice(None), *(slice(border, border + (n - 2 * border) // 2 * 2) for n in y.shape[1:-1]))]
