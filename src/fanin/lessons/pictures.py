"""One figure for each topic, computed when it is asked for (under a second, NumPy): nothing here is a stored number."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fanin.activations import Activation

Array = NDArray[np.float64]
SEED = 0


@dataclass(frozen=True)
class Picture:
    """Lines over one x axis.

    Attributes:
        title: what is shown.
        caption: one sentence that says what to see.
        x_name: of the x axis.
        x: positions.
        lines: (name, one value a position).
        log: whether the y axis is logarithmic.
    """

    title: str
    caption: str
    x_name: str
    x: Sequence[float]
    lines: tuple[tuple[str, Sequence[float]], ...]
    log: bool = True


def picture(topic: str) -> Picture | None:
    """The figure of a topic, None where it has none."""
    made = PICTURES.get(topic)
    return None if made is None else made()


def _normal(*shape: int, seed: int = SEED) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def _relu(z: Array) -> Array:
    return np.maximum(z, 0.0)


def symmetry() -> Picture:
    """How far the units of a layer lie apart while it learns."""
    rng = np.random.default_rng(SEED)
    x, y = rng.standard_normal((64, 4)), rng.standard_normal((64, 1))

    def apart(w1: Array, w2: Array) -> list[float]:
        found = []
        for _ in range(60):
            h = np.tanh(x @ w1)
            error = (h @ w2 - y) / len(x)
            w1, w2 = w1 - 0.2 * x.T @ (error @ w2.T * (1 - h**2)), w2 - 0.2 * h.T @ error
            found.append(float(w1.std(1).mean()))
        return found

    constant = apart(np.full((4, 8), 0.5), np.full((8, 1), 0.5))
    random = apart(0.5 * rng.standard_normal((4, 8)), 0.5 * rng.standard_normal((8, 1)))
    return Picture(
        "How far eight units lie apart while they learn",
        "Units that start equal stay equal: their distance is zero after any number of steps.",
        "step", range(1, 61), (("random", random), ("constant", constant)), log=False,
    )  # fmt: skip


def vanishing() -> Picture:
    """χ^L of ReLU for four rules."""
    relu, depth = Activation.named("relu"), np.arange(1, 51)
    rules = (("N(0, 3/fan)", 3.0), ("He: 2/fan", 2.0), ("Xavier: 1/fan", 1.0), ("PyTorch's default: 1/(3 fan)", 1 / 3))
    lines = tuple((name, list((variance * relu.slope_moment(1.0)) ** depth)) for name, variance in rules)
    return Picture(
        "Mean square of the gradient behind L layers of ReLU", "One number per rule, χ, to the power of the depth.",
        "layers", depth.tolist(), lines,
    )  # fmt: skip


def dead() -> Picture:
    """Dead units on 500 Gaussian inputs."""
    lines = []
    for width in (32, 128, 512):
        rng = np.random.default_rng(SEED)
        x, share = rng.standard_normal((500, width)), []
        for _ in range(30):
            x = _relu(x @ rng.standard_normal((width, width)) * (2 / width) ** 0.5)
            share.append(float((x == 0).all(0).mean()))
        lines.append((f"{width} units", share))
    return Picture(
        "Share of ReLU units that are off for all of 500 inputs",
        "Depth makes inputs look alike, and units then switch together; the scale of the weights has no part in it.",
        "layer", range(1, 31), tuple(lines), log=False,
    )  # fmt: skip


def second_moments() -> Picture:
    """E f(z)² gain² / q against q."""
    q = np.logspace(-2, 2, 41)
    lines = []
    for name in ("relu", "gelu", "tanh", "sigmoid"):
        f = Activation.named(name)
        lines.append((name, [f.gain**2 * f.second_moment(float(v)) / float(v) for v in q]))
    return Picture(
        "What one layer with the exact gain does to a signal of size q",
        "Only ReLU and its kin are flat: for all others the gain is right at q = 1 alone.", "q (second moment)",
        q.tolist(), tuple(lines),
    )  # fmt: skip


def backward() -> Picture:
    """Forward and backward through a net that narrows, by fan."""
    widths = [int(v) for v in np.linspace(512, 64, 15)]
    forward, back = {"fan_in": [1.0], "fan_out": [1.0]}, [1.0]
    for i, o in itertools.pairwise(widths):
        forward["fan_in"].append(forward["fan_in"][-1])
        forward["fan_out"].append(forward["fan_out"][-1] * i / o)
        back.append(back[-1] * o / i)
    return Picture(
        "A ReLU net that narrows from 512 to 64 units, He's rule by fan_in and by fan_out",
        "fan_in keeps the signal and changes the gradient by last width over first; fan_out does the reverse.", "layer",
        range(len(widths)),
        (("signal, fan_in", forward["fan_in"]), ("signal, fan_out", forward["fan_out"]), ("gradient, fan_in", back)),
    )  # fmt: skip


def fans() -> Picture:
    """A fan that is off by the number of groups."""
    depth = np.arange(1, 21)
    lines = tuple((f"{g} groups", list((1.0 / g) ** depth)) for g in (1, 2, 4, 32))
    return Picture(
        "Gradient behind L grouped convolutions whose fan_out was read from the shape",
        "The shape's fan_out is too large by the number of groups, in every layer anew.", "layers", depth.tolist(), lines,
    )  # fmt: skip


def chaos() -> Picture:
    """χ₁ of tanh against σ_w."""
    sigma = np.linspace(0.5, 3.0, 41)
    lines = []
    for bias in (0.0, 0.2, 0.5):
        f, found = Activation.named("tanh"), []
        for s in sigma:
            q = 1.0
            for _ in range(60):
                q = s**2 * f.second_moment(round(q, 6)) + bias**2
            found.append(float(s**2 * f.slope_moment(round(q, 6))))
        lines.append((f"σ_b = {bias:g}", found))
    return Picture(
        "χ of tanh against the weights' σ_w", "Below 1 gradients vanish, above 1 they explode; the edge moves with the biases.",
        "σ_w", sigma.tolist(), tuple(lines), log=False,
    )  # fmt: skip


def isometry() -> Picture:
    """Median singular value over the largest, by depth."""
    width, depths = 64, range(1, 31)
    lines = []
    for name, kind, f in (("linear, Gaussian", "g", False), ("linear, orthogonal", "o", False),
                          ("ReLU, orthogonal", "o", True), ("ReLU, Gaussian", "g", True)):  # fmt: skip
        rng = np.random.default_rng(SEED)
        j, x, found = np.eye(width), rng.standard_normal(width), []
        for _ in depths:
            w = rng.standard_normal((width, width))
            w = np.linalg.qr(w)[0] if kind == "o" else w / width**0.5
            z = w @ x * (2**0.5 if f else 1)
            j = (w * (2**0.5 if f else 1)) @ j
            if f:
                j, x = (z > 0)[:, None] * j, _relu(z)
            else:
                x = z
            s = np.linalg.svd(j, compute_uv=False)
            found.append(float(s[width // 4] / s[0]))
        lines.append((name, found))
    return Picture(
        "A quarter down the singular values of the Jacobian, over the largest",
        "Gaussian products squeeze almost every direction; orthogonal ones none, until an activation stands between.",
        "layers", list(depths), tuple(lines),
    )  # fmt: skip


def mirrored() -> Picture:
    """Mirrored against He for ReLU."""
    width, depths = 64, range(1, 31)
    rng = np.random.default_rng(SEED)
    first = np.linalg.qr(rng.standard_normal((width // 2, width // 2)))[0]
    x = rng.standard_normal(width // 2)
    j_pair, z = np.vstack([first, -first]), np.concatenate([first @ x, -first @ x])
    j_he, h, pair, he = np.eye(width), rng.standard_normal(width), [], []
    for _ in depths:
        q = np.linalg.qr(rng.standard_normal((width // 2, width // 2)))[0]
        w = np.block([[q, -q], [-q, q]])
        j_pair, z = w @ ((z > 0)[:, None] * j_pair), w @ _relu(z)
        v = rng.standard_normal((width, width)) * (2 / width) ** 0.5
        j_he, h = (v @ h > 0)[:, None] * (v @ j_he), _relu(v @ h)
        s, t = (np.linalg.svd(m, compute_uv=False) for m in (j_pair, j_he))
        pair.append(float(s[width // 4 - 1] / s[0]))
        he.append(float(t[width // 4 - 1] / t[0]))
    return Picture(
        "ReLU: a quarter down the singular values of the Jacobian, over the largest",
        "Mirrored pairs hand on f(u) − f(−u) = u, so the net is orthogonal and linear at the start.", "layers",
        list(depths), (("mirrored", pair), ("He", he)),
    )  # fmt: skip


def finite_width() -> Picture:
    """Spread of ln |x|² between redraws, simulated and predicted."""
    width, draws, depths = 64, 300, range(1, 31)
    rng = np.random.default_rng(SEED)
    x, found = rng.standard_normal((draws, width)), []
    start = (x**2).sum(1)
    for _ in depths:
        w = rng.standard_normal((draws, width, width)).astype(np.float32) * (2 / width) ** 0.5
        x = _relu(np.einsum("doi,di->do", w, x))
        found.append(float(np.log((x**2).sum(1) / start).std()))
    predicted = [(5 * depth / width) ** 0.5 for depth in depths]
    return Picture(
        f"Deviation of ln |x|² between redraws, ReLU with {width} units",
        "The logarithm of a signal's size does a random walk: its variance grows by 5/width a layer.", "layers",
        list(depths), (("measured", found), ("√(5 L / width)", predicted)), log=False,
    )  # fmt: skip


def residual() -> Picture:
    """The stream of a residual net by branch."""
    branches = np.arange(0, 65)
    lines = (
        ("as they are", list(2.0**branches)), ("norm before each branch", list(1.0 + branches)),
        ("scaled by 1/√L", list((1 + 1 / 64.0) ** branches)), ("zero at the start", [1.0] * 65),
    )  # fmt: skip
    return Picture(
        "Mean square of a residual stream with 64 branches", "A branch that keeps its input's size doubles the stream.",
        "branch", branches.tolist(), lines,
    )  # fmt: skip


def alike() -> Picture:
    """The correlation map of ReLU, layer by layer."""

    def step(c: float) -> float:
        return float((np.sqrt(1 - c**2) + (np.pi - np.arccos(c)) * c) / np.pi)

    lines = []
    for start in (0.0, 0.5, 0.9):
        c, found = start, []
        for _ in range(40):
            found.append(1 - c)
            c = step(min(c, 1.0))
        lines.append((f"cosine {start:g} at the input", found))
    return Picture(
        "1 − cosine between two inputs behind L layers of ReLU (He)",
        "Inputs come to look alike as 1/L², so the net learns their mean first and the rest slowly.", "layers",
        range(40), tuple(lines),
    )  # fmt: skip


def widths() -> Picture:
    """Change of the hidden features after one step of Adam (sign of the gradient), by width."""
    sizes = [48, 96, 192, 384, 768]
    # (learning rate, deviation of the head) by width; both agree at 48
    ways = {"standard": (lambda n: 0.01, lambda n: n**-0.5), "muP": (lambda n: 0.48 / n, lambda n: 48**0.5 / n)}
    lines = [
        (name, [float(np.mean([_move(n, way[0], way[1], seed) for seed in range(6)])) for n in sizes])
        for name, way in ways.items()
    ]
    return Picture(
        "How far one step of Adam moves a hidden layer's pre-activations",
        "With one learning rate for all widths the move grows with width; with muP's it does not.", "width", sizes,
        tuple(lines),
    )  # fmt: skip


def _move(width: int, rate: Callable[[int], float], head: Callable[[int], float], seed: int) -> float:
    """The rms by which the second of two hidden layers' pre-activations change in one step along the gradient's sign."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((32, 16)), rng.standard_normal((32, 1))
    a, w = rng.standard_normal((16, width)) / 4, rng.standard_normal((width, width)) * (2 / width) ** 0.5
    v = rng.standard_normal((width, 1)) * head(width)
    h = _relu(x @ a)
    z = h @ w
    gradient = h.T @ (((_relu(z) @ v - y) @ v.T) * (z > 0))
    return float(np.sqrt(((h @ (rate(width) * np.sign(gradient))) ** 2).mean()))


PICTURES: dict[str, Callable[[], Picture]] = {
    "activations": second_moments,
    "backpropagation": backward,
    "convergence-speed": alike,
    "dead-relu": dead,
    "dynamical-isometry": isometry,
    "edge-of-chaos": chaos,
    "fan": fans,
    "finite-width": finite_width,
    "gain": second_moments,
    "mirrored-chains": mirrored,
    "parametrization": widths,
    "residual-streams": residual,
    "symmetry-breaking": symmetry,
    "vanishing-exploding-gradients": vanishing,
}
