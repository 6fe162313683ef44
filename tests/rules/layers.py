"""Real layers in NumPy, one for each way of storing a weight: shared by the tests of promises.

Each layer maps (weight, input) to an output whose interior positions it returns, and a gradient of the output back to
the input. The second moments of both, per element, are what a rule promises.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fanin.slots import Axes

Array = np.ndarray


@dataclass(frozen=True)
class Layer:
    """One kind of layer.

    Attributes:
        axes: what the axes of its weight mean.
        input_shape: of one batch.
        forward: (weight, input) → output.
        interior: which part of the input sees a whole receptive field going backward, and the output going forward.
    """

    name: str
    axes: Axes
    input_shape: tuple[int, ...]
    forward: Callable[[Array, Array], Array]
    outputs: tuple[slice, ...] = ()
    inputs: tuple[slice, ...] = ()

    def moments(self, weight: Array, rng: np.random.Generator) -> tuple[float, float]:
        """E[y²] for inputs of E[x²] = 1, and E[dx²] for output gradients of E[dy²] = 1, at interior positions."""
        x = rng.standard_normal(self.input_shape)
        y = self.forward(weight, x)
        dy = rng.standard_normal(y.shape)
        return float((y[self.outputs] ** 2).mean()), float((self.backward(weight, dy)[self.inputs] ** 2).mean())

    def backward(self, weight: Array, dy: Array) -> Array:
        """The transpose of `forward`, by its action on each tap (the layers are linear in their input)."""
        return ADJOINT[self.name.split()[0]](self, weight, dy)


def dense(spec: str, out: int, in_: int) -> Layer:
    shape = (out, in_) if spec == "oi" else (in_, out)
    product = (lambda w, x: x @ w.T) if spec == "oi" else (lambda w, x: x @ w)
    return Layer(f"dense {spec}", Axes.parse(spec, shape), (64, in_), product)


def _dense_back(layer: Layer, w: Array, dy: Array) -> Array:
    return dy @ w if layer.axes.spec == "oi" else dy @ w.T


def fused(parts: int, out: int, in_: int) -> Layer:
    """Several projections of one input, stacked on the outputs (q, k and v)."""
    axes = Axes.parse(f"(s{parts}o)i", (parts * out, in_))
    return Layer("fused", axes, (64, in_), lambda w, x: np.stack([x @ b.T for b in np.split(w, parts)], axis=1))


def _fused_back(layer: Layer, w: Array, dy: Array) -> Array:
    """Each block's own gradient: a promise is about one block."""
    return np.stack([dy[:, k] @ b for k, b in enumerate(np.split(w, dy.shape[1]))])


def experts(count: int, out: int, in_: int) -> Layer:
    """Stacked experts (count, in, out), each with inputs of its own: x @ W[e]."""
    axes = Axes.parse("sio", (count, in_, out))
    return Layer("experts", axes, (count, 64, in_), lambda w, x: np.einsum("eni,eio->eno", x, w))


def _experts_back(layer: Layer, w: Array, dy: Array) -> Array:
    return np.einsum("eno,eio->eni", dy, w)


def conv(out: int, in_: int, taps: int, *, stride: int = 1, groups: int = 1, length: int = 120) -> Layer:
    """A one-dimensional convolution without padding: weight (out, in / groups, taps)."""
    spec = "oik" if groups == 1 else f"(s{groups}o)ik"
    axes = Axes.parse(spec, (out, in_ // groups, taps), out_taps=1 / stride)
    count = (length - taps) // stride + 1

    def forward(w: Array, x: Array) -> Array:
        windows = np.stack([x[:, :, k : k + stride * (count - 1) + 1 : stride] for k in range(taps)], axis=2)
        windows = windows.reshape(len(x), groups, in_ // groups, taps, count)
        blocks = w.reshape(groups, out // groups, in_ // groups, taps)
        return np.einsum("bgikt,goik->bgot", windows, blocks).reshape(len(x), out, count)

    inside = slice(taps * stride, length - 2 * taps * stride - (length - taps) % stride)
    return Layer(
        f"conv {stride} {groups}",
        axes,
        (8, in_, length),
        forward,
        inputs=(slice(None), slice(None), _phases(inside, stride)),
    )


def _phases(part: slice, stride: int) -> slice:
    """The slice cut to whole strides, so that every phase counts alike."""
    return slice(part.start, part.start + (part.stop - part.start) // stride * stride)


def _conv_back(layer: Layer, w: Array, dy: Array) -> Array:
    stride, groups = (int(n) for n in layer.name.split()[1:])
    batch, in_, length = layer.input_shape
    taps, count = w.shape[2], dy.shape[2]
    dx = np.zeros((batch, groups, in_ // groups, length))
    blocks, grads = w.reshape(groups, -1, in_ // groups, taps), dy.reshape(batch, groups, -1, count)
    for k in range(taps):
        dx[..., k : k + stride * (count - 1) + 1 : stride] += np.einsum("bgot,goi->bgit", grads, blocks[..., k])
    return dx.reshape(batch, in_, length)


def transposed(out: int, in_: int, taps: int, *, stride: int, length: int = 40) -> Layer:
    """A one-dimensional transposed convolution: weight (in, out, taps), each input spread over `taps` outputs."""
    axes = Axes.parse("iok", (in_, out, taps), in_taps=1 / stride)

    def forward(w: Array, x: Array) -> Array:
        y = np.zeros((len(x), out, stride * (length - 1) + taps))
        for k in range(taps):
            y[:, :, k : k + stride * (length - 1) + 1 : stride] += np.einsum("bit,io->bot", x, w[:, :, k])
        return y

    full = stride * (length - 1) + taps
    inside = _phases(slice(taps * stride, full - taps * stride), stride)
    return Layer(f"transposed {stride}", axes, (8, in_, length), forward, outputs=(slice(None), slice(None), inside))


def _transposed_back(layer: Layer, w: Array, dy: Array) -> Array:
    stride, length = int(layer.name.split()[1]), layer.input_shape[2]
    taps = w.shape[2]
    return sum(
        np.einsum("bot,io->bit", dy[:, :, k : k + stride * (length - 1) + 1 : stride], w[:, :, k]) for k in range(taps)
    )


ADJOINT = {
    "dense": _dense_back,
    "fused": _fused_back,
    "experts": _experts_back,
    "conv": _conv_back,
    "transposed": _transposed_back,
}

LAYERS = (
    dense("oi", 512, 768),
    dense("io", 768, 512),
    fused(3, 256, 512),
    experts(4, 256, 384),
    conv(128, 96, 3),
    conv(128, 96, 4, stride=2),
    conv(128, 192, 3, groups=4),
    conv(512, 512, 3, groups=512),
    transposed(96, 128, 4, stride=2),
    transposed(96, 128, 3, stride=3),
    transposed(64, 128, 5, stride=2),
)
