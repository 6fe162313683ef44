"""A watched pass of a plain chain in NumPy: the traces that checks are tested on without any framework."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fanin.activations import Activation
from fanin.slots import Axes, Slot
from fanin.traces.records import INPUT, InputFacts, LossFacts, Op, Signal, Trace, WeightFacts

Array = np.ndarray


@dataclass
class Dense:
    """A dense layer: weight (out, in), bias (out,)."""

    weight: Array
    bias: Array | None = None


@dataclass
class Norm:
    """Batch norm or layer norm without parameters."""

    name: str = "layer_norm"


Layer = Dense | Norm | Activation


def batch(examples: int = 32, features: int = 64, seed: int = 0) -> Array:
    """Standard normal inputs (examples, features)."""
    return np.random.default_rng([7, seed]).standard_normal((examples, features))


def chain(
    depth: int,
    width: int,
    activation: str | Activation,
    draw: Callable[[np.random.Generator, int, int, int], Array],
    *,
    seed: int = 0,
    features: int = 64,
    classes: int = 10,
    bias: Callable[[np.random.Generator, int, int], Array] | None = None,
    head: Callable[[np.random.Generator, int, int, int], Array] | None = None,
) -> list[Layer]:
    """`depth` hidden layers and a head; `draw(rng, out, in, place)` gives each weight, `bias(rng, out, in)` each bias."""
    rng = np.random.default_rng([11, seed])
    f = Activation.of(activation)
    layers: list[Layer] = []
    n = features
    for place in range(depth):
        layers += [Dense(draw(rng, width, n, place), bias(rng, width, n) if bias else None), f]
        n = width
    layers.append(Dense((head or draw)(rng, classes, n, depth), bias(rng, classes, n) if bias else None))
    return layers


def normal(gain: float) -> Callable[[np.random.Generator, int, int, int], Array]:
    """Independent Gaussians of deviation gain / sqrt(fan_in)."""
    return lambda rng, out, inputs, place: rng.standard_normal((out, inputs)) * gain / math.sqrt(inputs)


def uniform(gain: float) -> Callable[[np.random.Generator, int, int, int], Array]:
    """Independent uniform numbers within ± gain / sqrt(fan_in): gain 1 is PyTorch's default."""
    return lambda rng, out, inputs, place: rng.uniform(-1, 1, (out, inputs)) * gain / math.sqrt(inputs)


def torch_bias(rng: np.random.Generator, out: int, inputs: int) -> Array:
    """PyTorch's default bias: uniform within ± 1 / sqrt(fan_in)."""
    return rng.uniform(-1, 1, out) / math.sqrt(inputs)


def orthogonal(gain: float) -> Callable[[np.random.Generator, int, int, int], Array]:
    """gain times orthonormal rows or columns, the mean square per unit kept where a layer widens."""

    def draw(rng: np.random.Generator, out: int, inputs: int, place: int) -> Array:
        q, _ = np.linalg.qr(rng.standard_normal((max(out, inputs), min(out, inputs))))
        return gain * math.sqrt(max(1.0, out / inputs)) * (q if out >= inputs else q.T)

    return draw


def mirrored(f: Activation, depth: int, first: float = 1.0) -> Callable[[np.random.Generator, int, int, int], Array]:
    """Mirrored orthogonal weights (looks-linear): rows (Q, -Q), blocks s [[Q, -Q], [-Q, Q]], columns (R, -R)."""

    def draw(rng: np.random.Generator, out: int, inputs: int, place: int) -> Array:
        rows, columns = (out // 2 if place < depth else out), (inputs // 2 if place > 0 else inputs)
        q = orthogonal(1.0)(rng, rows, columns, place)
        w = q * (first if place == 0 else 1 / f.odd_slope)
        w = np.concatenate([w, -w], axis=1) if place > 0 else w
        return np.concatenate([w, -w], axis=0) if place < depth else w

    return draw


def watch(layers: Sequence[Layer], x: Array, labels: Array | None = None) -> Trace:
    """The trace of a chain on a batch, with the gradients of a cross-entropy."""
    signals, tape = [x], []
    for layer in layers:
        a = signals[-1]
        if isinstance(layer, Dense):
            signals.append(a @ layer.weight.T + (layer.bias if layer.bias is not None else 0.0))
            tape.append(None)
        elif isinstance(layer, Norm):
            axis = 0 if "batch" in layer.name else 1
            deviation = np.sqrt(a.var(axis=axis, keepdims=True) + 1e-5)
            signals.append((a - a.mean(axis=axis, keepdims=True)) / deviation)
            tape.append((axis, deviation))
        else:
            signals.append(layer(a))
            tape.append(None)
    logits = signals[-1]
    labels = np.arange(len(x)) % logits.shape[1] if labels is None else labels
    shifted = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    loss = float(np.mean(-np.log(p[np.arange(len(x)), labels] + 1e-300)))
    gradients = [(p - np.eye(logits.shape[1])[labels]) / len(x)]
    of_weights: list[float] = []
    for layer, a, y, kept in zip(layers[::-1], signals[-2::-1], signals[:0:-1], tape[::-1], strict=True):
        g = gradients[0]
        if isinstance(layer, Dense):
            of_weights.insert(0, _rms(g.T @ a))
            gradients.insert(0, g @ layer.weight)
        elif isinstance(layer, Norm):
            axis, deviation = kept
            inner = g - g.mean(axis=axis, keepdims=True) - y * (g * y).mean(axis=axis, keepdims=True)
            gradients.insert(0, inner / deviation)
        else:
            gradients.insert(0, g * (layer(a + 1e-6) - layer(a - 1e-6)) / 2e-6)
    return _trace(layers, signals, gradients, of_weights, loss)


def _trace(
    layers: Sequence[Layer], signals: list[Array], gradients: list[Array], grads: list[float], loss: float
) -> Trace:
    ops: list[Op] = []
    slots: list[Slot] = []
    weights: dict[str, WeightFacts] = {}
    depth = 0
    activations = [layer if isinstance(layer, Activation) else None for layer in layers]
    total = sum(isinstance(layer, Dense) for layer in layers)
    for i, layer in enumerate(layers):
        signal = _signal(signals[i + 1], gradients[i + 1])
        source = (i - 1,) if i else (INPUT,)
        shape = signals[i + 1].shape
        if isinstance(layer, Dense):
            depth += 1
            name = f"fc{depth}"
            after = activations[i + 1] if i + 1 < len(layers) else None
            slots.append(
                Slot(
                    f"{name}.weight",
                    layer.weight.shape,
                    "float32",
                    "weight",
                    op="linear",
                    op_index=i,
                    axes=Axes.parse("oi", layer.weight.shape),
                    activation=after,
                    input_activation=activations[i - 1] if i else None,
                    depth=depth,
                    head=depth == total,
                    module=name,
                )
            )
            weights[f"{name}.weight"] = facts_of(layer.weight, grads[depth - 1])
            names = [f"{name}.weight"]
            if layer.bias is not None:
                slots.append(
                    Slot(f"{name}.bias", layer.bias.shape, "float32", "bias", op="linear", op_index=i, module=name)
                )
                weights[f"{name}.bias"] = facts_of(layer.bias, 1.0)
                names.append(f"{name}.bias")
            ops.append(
                Op(i, "linear", "linear", name, source, tuple(names), shape, None, signal, depth, _signal(signals[i]))
            )
        elif isinstance(layer, Norm):
            ops.append(Op(i, "norm", layer.name, f"norm{i}", source, (), shape, None, signal, depth))
        else:
            ops.append(Op(i, "activation", layer.name, f"act{i}", source, (), shape, layer, signal, depth))
    x = signals[0]
    spread = x.std(axis=0)
    inputs = InputFacts(
        "input", x.shape, "float32", True, float(x.mean()), float(x.std()), float(x.min()), float(x.max()), 0.0,
        float(spread.max() / np.median(spread)), 0,
    )  # fmt: skip
    classes = signals[-1].shape[1]
    facts = LossFacts(
        loss, "cross_entropy", classes, math.log(classes), float(signals[-1].std(axis=1).mean()), logits=len(layers) - 1
    )
    return Trace(
        "numpy", "Chain", sum(s.size for s in slots), tuple(ops), tuple(slots), weights, (), (inputs,), facts, "loss", True,
        (len(layers) - 1,),
    )  # fmt: skip


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _signal(x: Array, g: Array | None = None) -> Signal:
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)
    n = len(x)
    return Signal(
        rms=_rms(x),
        mean=float(x.mean()),
        std=float(x.std()),
        spread=float(np.sqrt(np.mean(x.var(axis=0, ddof=1)))),
        correlation=float(((unit @ unit.T).sum() - n) / (n * (n - 1))),
        rank=math.nan,
        max_rank=float(min(n - 1, x.shape[1])),
        dead=float(np.mean(np.all(x == 0, axis=0))),
        saturated=math.nan,
        nonfinite=float(np.mean(~np.isfinite(x))),
        units=x.shape[1],
        examples=n,
        grad_rms=_rms(g) if g is not None else math.nan,
        second=float(np.mean(np.square(x))),
    )


def facts_of(w: Array, grad_rms: float = math.nan, **changes: object) -> WeightFacts:
    """Facts of stored values, as the watched pass makes them."""
    centred = w - w.mean()
    std = float(w.std())
    known: dict[str, object] = {
        "orthogonality": _orthogonality(w),
        "mirrored_out": w.ndim == 2 and len(w) % 2 == 0 and np.array_equal(w[: len(w) // 2], -w[len(w) // 2 :]),
        "mirrored_in": w.ndim == 2 and w.shape[1] % 2 == 0 and np.array_equal(w[:, : w.shape[1] // 2], -w[:, w.shape[1] // 2 :]),
    }  # fmt: skip
    pairs = _equal_rows(w)
    known |= {"duplicate_units": tuple(pairs[:8]), "duplicate_count": len(pairs), "equal_gradients": None}
    return WeightFacts(
        std=std,
        mean=float(w.mean()),
        low=float(w.min()),
        high=float(w.max()),
        nonfinite=float(np.mean(~np.isfinite(w))),
        zeros=float(np.mean(w == 0)),
        kurtosis=float(np.mean(centred**4) / std**4) if std > 0 else math.nan,
        sampled=w.size,
        constant=bool(np.all(w == w.flat[0])),
        digest=hashlib.sha256(np.ascontiguousarray(w)).hexdigest()[:16],
        grad_rms=grad_rms,
        reached=True,
        **(known | changes),  # type: ignore[arg-type]
    )


def _equal_rows(w: Array) -> list[tuple[int, int]]:
    first: dict[bytes, int] = {}
    pairs = []
    for i, row in enumerate(w if w.ndim == 2 else []):
        key = np.ascontiguousarray(row).tobytes()
        if key in first:
            pairs.append((first[key], i))
        first.setdefault(key, i)
    return pairs


def _orthogonality(w: Array) -> float:
    if w.ndim != 2 or min(w.shape) < 2:
        return math.nan
    for axis in (0, 1):  # a mirrored weight is orthogonal in its half
        half = w.shape[axis] // 2
        a, b = np.split(w, [half], axis=axis) if w.shape[axis] % 2 == 0 else (w, w)
        if w.shape[axis] % 2 == 0 and np.array_equal(a, -b):
            w = a
    small = w if w.shape[0] <= w.shape[1] else w.T
    gram = small @ small.T
    gram = gram / max(np.diag(gram).mean(), 1e-300)
    return _rms(gram - np.eye(len(gram))) * math.sqrt(len(gram))
