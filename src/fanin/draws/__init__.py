"""Draws: from (distribution, global shape, seed, name) to numbers. Element i depends on nothing else.

- `bits`: Philox4x32-10, addressed by element
- `quantile`: from 32 bits to a uniform, normal or truncated normal number
- `matrices`, `orthogonal`, `mirrored`, `centred`, `layout`: matrix families, from the same Gaussians
- `householder`: products of reflectors, once for all frameworks; `householder_numpy` (with `blas`), `torch_orthogonal` and
  `jax_orthogonal` hold what differs
- `windows`: which part of a weight is asked for, and tiles of bounded size
- `elementwise`: numbers of a recipe in NumPy; `numba_fill` and its kernels: the same on all cores; `backends` chooses
- `numpy`: the arrays (`draw`, `draw_distribution`)
- `memory`: whether each number has a place of its own
- `precheck`: what a draw would refuse, before it writes
- `largest`: how large the numbers can get, and whether a format holds them
- `new_rows`: rows for new tokens, from the mean and the covariance of the old ones
- `low_rank`: adapters that start from the weight that they adapt (`pissa`, `olora`, `mica`)
"""

from fanin.draws.backends import prepare
from fanin.draws.low_rank import LowRank, mica, olora, pissa
from fanin.draws.new_rows import new_rows
from fanin.draws.numpy import draw, draw_distribution
from fanin.draws.quantile import truncated_std

__all__ = [
    "LowRank",
    "draw",
    "draw_distribution",
    "mica",
    "new_rows",
    "olora",
    "pissa",
    "prepare",
    "truncated_std",
]
