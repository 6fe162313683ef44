"""Matrix families in every layout, larger than a panel of reflectors where that matters: for every backend's tests."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fanin.distributions import (
    Centred,
    DeltaOrthogonal,
    Distribution,
    Identity,
    Mirrored,
    Normal,
    Orthogonal,
    Stack,
    Uniform,
)
from fanin.slots import Axes, Pairing


def _axes(spec: str, *shape: int) -> Axes:
    return Axes.parse(spec, shape)


CELL = _axes("oi", 70, 70)
STACKED: list[tuple[Distribution, tuple[int, ...]]] = [
    (Stack((Orthogonal(CELL), Normal(1.0), Orthogonal(CELL, 2.0)), (70, 30, 70)), (170, 70))
]
LAWS: list[tuple[Distribution, tuple[int, ...]]] = STACKED + [
    (law, law.axes.shape)
    for law in (
        Orthogonal(_axes("oi", 40, 30), 2.0),
        Orthogonal(_axes("oi", 1, 1)),
        Orthogonal(_axes("io", 140, 300)),
        Orthogonal(_axes("(s4o)i", 400, 90)),
        Orthogonal(_axes("(os4)i", 80, 90)),
        Orthogonal(_axes("soi", 5, 33, 20), scale_out=True),
        Orthogonal(_axes("ois", 33, 20, 5)),
        Orthogonal(_axes("oikk", 20, 8, 3, 3)),
        Orthogonal(_axes("kkio", 3, 3, 9, 12)),
        Orthogonal(_axes("o(k3i)", 12, 12)),
        Orthogonal(_axes("(i4o)", 12)),
        Orthogonal(_axes("(s2o)ikk", 12, 5, 3, 4)),
        DeltaOrthogonal(_axes("(s2o)ikk", 12, 5, 3, 4), 0.5),
        DeltaOrthogonal(_axes("kio", 5, 80, 70)),
        Identity(_axes("(s2o)ikk", 12, 5, 3, 4), 0.5),
        Mirrored(Orthogonal(_axes("oi", 48, 30)), _axes("oi", 97, 61), Pairing(97), Pairing(61)),
        Mirrored(Orthogonal(_axes("io", 30, 48)), _axes("io", 60, 97), Pairing(97), Pairing(20, inner=3)),
        Mirrored(DeltaOrthogonal(_axes("oikk", 4, 6, 3, 3)), _axes("oikk", 8, 12, 3, 3), Pairing(8), Pairing(12)),
        Mirrored(Normal(1.0), _axes("oi", 7, 61), Pairing(7), Pairing(61)),
        Mirrored(Centred(Uniform(1.0), _axes("oi", 6, 8)), _axes("oi", 12, 8), Pairing(6, outer=2)),
        Centred(Orthogonal(_axes("oi", 90, 90)), _axes("oi", 90, 90)),
        Centred(Normal(1.0), _axes("(s2o)ik", 6, 20, 3)),
    )
]


def name(case: Any) -> str:
    """What a case is called in a test's name."""
    law, shape = case
    axes = getattr(law, "axes", None)
    return f"{type(law).__name__} {axes.spec if axes else ''} {'x'.join(map(str, shape))}"


def windows(shape: tuple[int, ...], many: int) -> Iterator[tuple[slice, ...]]:
    """Random windows: contiguous on most axes, with steps of both signs on some."""
    generator = np.random.default_rng(0)
    for _ in range(many):
        parts = []
        for n in shape:
            low, high = sorted(int(k) for k in generator.integers(0, n + 1, 2))
            step = int(generator.choice([1, 1, 1, 2, -1, -3]))
            parts.append(
                slice(low, high, step) if step > 0 else slice(high - 1 if high else 0, low - 1 if low else None, step)
            )
        yield tuple(parts)
