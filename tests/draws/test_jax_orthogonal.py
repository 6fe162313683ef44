"""Matrix families in JAX, under jit: NumPy's numbers to 1e-6."""

from typing import Any

import numpy as np
import pytest
from tests.draws.matrix_laws import LAWS, name, windows

jax = pytest.importorskip("jax")

from fanin.distributions import Distribution, Stack  # noqa: E402
from fanin.draws import draw_distribution, matrices  # noqa: E402
from fanin.draws.bits import Stream  # noqa: E402
from fanin.draws.householder import orthonormal  # noqa: E402
from fanin.draws.jax_orthogonal import JaxOps  # noqa: E402
from fanin.draws.windows import resolve  # noqa: E402


def numbers(law: Distribution, shape: tuple[int, ...], stream: Stream, ranges: Any, dtype: Any) -> Any:
    """Independent numbers are not what is tested here."""
    window = tuple(slice(r.start, r.stop, r.step) for r in ranges)
    return jax.numpy.asarray(
        draw_distribution(law, shape, seed=stream.seed, name=stream.name, window=window, dtype=dtype)
    )


@pytest.mark.parametrize("case", [case for case in LAWS if not isinstance(case[0], Stack)], ids=name)
def test_numpys_numbers(case: tuple[Any, tuple[int, ...]]) -> None:
    law, shape = case
    whole = draw_distribution(law, shape, seed=1, name="w")
    asked = (None, *windows(shape, 1))

    def filled() -> list[Any]:
        made = []
        for window in asked:
            ranges, _ = resolve(window, shape)
            out = jax.numpy.zeros([len(r) for r in ranges])
            made.append(matrices.fill(JaxOps("float32", numbers), law, Stream(1, "w"), ranges, out))
        return made

    for window, part in zip(asked, jax.jit(filled)(), strict=True):
        assert abs(np.asarray(part) - (whole if window is None else whole[window])).max(initial=0) < 1e-6


def test_complex_matrices_are_unitary() -> None:
    ops = JaxOps("complex64", numbers)
    q = np.asarray(orthonormal(ops, Stream(0, "w"), range(2), (40, 70), np.arange(40), np.arange(70)))
    assert abs(q @ q.conj().swapaxes(1, 2) - np.eye(40)).max() < 1.5e-6
