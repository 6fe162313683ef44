"""Plain chains of layers in NumPy, as a trace would describe them: shared by the tests of the mirrored rule."""

import itertools
from collections.abc import Sequence

import numpy as np

from fanin.activations import Activation
from fanin.draws import draw_distribution
from fanin.rules import Rule
from fanin.slots import Axes, ChainLink, Pairing, Slot


def dense_slots(widths: Sequence[int], f: Activation) -> list[Slot]:
    """Slots of linear layers widths[0] → widths[1] → … with f between them."""
    last = len(widths) - 2
    return [
        Slot(
            f"{k}.weight",
            (out, in_),
            "float32",
            "weight",
            axes=Axes.parse("oi", (out, in_)),
            activation=f if k < last else None,
            chain=ChainLink(
                id="0.weight",
                position=k,
                length=last + 1,
                before=f if k else None,
                after=f if k < last else None,
                in_pairing=Pairing(in_) if k else None,
            ),
        )
        for k, (in_, out) in enumerate(itertools.pairwise(widths))
    ]


def drawn(rule: Rule, slots: Sequence[Slot], seed: int = 0) -> list[np.ndarray]:
    """The weights of the slots, in float64."""
    return [draw_distribution(rule(s), s.shape, seed=seed, name=s.name, dtype="float64") for s in slots]


def forward(weights: Sequence[np.ndarray], f: Activation, x: np.ndarray) -> np.ndarray:
    """The dense net: x of shape (batch, features)."""
    for w in weights[:-1]:
        x = f(x @ w.T)
    return x @ weights[-1].T
