"""Residual streams against simulated ones."""

import math

import numpy as np
import pytest

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.theory import branch_scale, residual
from fanin.theory.derivatives import DERIVATIVES


def simulated(name, depth, sigma_w, branch, norm, width=400, seed=0):
    """Second moments of a stream of two inputs, their correlation, and the gradient's growth from each block to the end."""
    rng, f, df = np.random.default_rng(seed), Activation.named(name), DERIVATIVES[name].df
    x = rng.standard_normal((2, width))
    x[1] = 0.5 * x[0] + math.sqrt(0.75) * x[1]
    x /= np.sqrt(np.mean(x * x, axis=1, keepdims=True))
    qs, cs, kept = [1.0], [float(np.mean(x[0] * x[1]))], []
    for _ in range(depth):
        w, v = rng.standard_normal((2, width, width)) / math.sqrt(width)
        w *= sigma_w
        size = np.sqrt(np.mean(x * x, axis=1, keepdims=True))
        seen = x / size if norm == "pre" else x
        h = seen @ w.T
        total = x + branch * f(h) @ v.T
        after = np.sqrt(np.mean(total * total, axis=1, keepdims=True))
        kept.append((w, v, seen[0], size[0, 0], df(h[0]), total[0] / after[0], after[0, 0]))
        x = total / after if norm == "post" else total
        q = np.mean(x * x, axis=1)
        qs.append(float(q.mean()))
        cs.append(float(np.mean(x[0] * x[1]) / math.sqrt(q[0] * q[1])))
    g = rng.standard_normal(width)
    gradient = [float(g @ g)]
    for w, v, seen, size, slope, out, after in reversed(kept):
        if norm == "post":
            g = (g - out * np.mean(out * g)) / after
        back = w.T @ (slope * (branch * v.T @ g))
        g = g + ((back - seen * np.mean(seen * back)) / size if norm == "pre" else back)
        gradient.append(float(g @ g))
    return np.array(qs), np.array(cs), np.array(gradient[::-1]) / gradient[0]


@pytest.mark.parametrize("norm", ["none", "pre", "post"])
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_streams_against_simulation(norm, name: str) -> None:
    found = [simulated(name, 12, 1.4, 0.5, norm, seed=s) for s in range(6)]
    q, c, gradient = (np.mean([np.log(f[i]) if i != 1 else f[i] for f in found], axis=0) for i in range(3))
    expected = residual(name, 12, 1.4, branch=0.5, norm=norm, c=0.5)
    assert q == pytest.approx(np.log(expected.q), abs=0.1)
    assert c == pytest.approx(expected.c, abs=0.06)
    assert gradient == pytest.approx(np.log(expected.gradient), abs=0.25)


def test_rezero_is_the_identity_at_any_depth() -> None:
    """Bachlechner et al. 2020: with α = 0 ten thousand layers are one."""
    run = residual("linear", 10_000, sigma_w=1.0, branch=0.0, c=0.3)
    assert run.q[-1] == run.gradient[0] == 1.0
    assert run.c[-1] == 0.3


def test_stream_of_relu_blocks_grows_like_two_to_the_depth_or_like_e() -> None:
    """Zhang et al. 2019 (Fixup), Hayou et al. 2021 (stable ResNet)."""
    assert residual("relu", 30, 2**0.5).q[-1] == pytest.approx(2.0**30, rel=1e-9)
    assert residual("relu", 30, 2**0.5, branch=branch_scale(30)).q[-1] == pytest.approx(math.e, rel=1e-9)


def test_pre_norm_streams_grow_like_depth_and_their_gradients_like_a_power_of_it() -> None:
    run = residual("relu", 1000, 2**0.5, norm="pre")
    assert run.q[-1] == pytest.approx(1001, rel=1e-6)
    assert run.gradient[1] / run.gradient[-1] < 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"norm": "mid"}, "norm='mid'"), ({"depth": -1}, "depth=-1"), ({"sigma_w": -1.0}, "sigma_w=-1.0")],
)
def test_bad_streams(arguments, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        residual(**{"f": "relu", "depth": 3, "sigma_w": 1.0, **arguments})
