"""Rows for new tokens, drawn from the mean and the covariance of the rows that are there."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.distributions import Normal
from fanin.draws.numpy import draw_distribution
from fanin.errors import FaninTypeError, FaninValueError

Array = NDArray[Any]
BLOCK = 1 << 22  # random numbers at once


def new_rows(old: Array, count: int, seed: int, name: str, spread: float = 1e-9) -> Array:
    """Rows for tokens that are added to a table: N(μ, spread · Σ), μ and Σ the mean and the covariance of the old rows.

    Around the mean, a new token takes no more than its share of the softmax: the others' probabilities hardly change. Each new
    row is μ + √(spread / n) · Σ_k z_k (row_k - μ) with z ~ N(0, 1), which has that covariance exactly, for any number of rows:
    nothing is factored, so tables with fewer rows than columns work too. (transformers' `resize_token_embeddings` factors Σ, and
    where it is not positive definite, as with fewer rows than columns, all new rows are μ: equal for ever in a tied head.)

    Args:
        old: the rows that are there, (n, width), floating point, at least one row.
        count: how many rows to draw, at least 0.
        seed: of the draw.
        name: of the table; row j of the draw is the same whatever the count.
        spread: factor on the covariance, at least 0: 1e-9 as in transformers (rows almost at the mean), 1 for rows as far from
            the mean as the old ones are.

    Returns:
        The new rows, (count, width), of the old ones' dtype.

    Raises:
        FaninTypeError: the old rows are no floating-point table, or count is no whole number.
        FaninValueError: there is no old row, or numbers that are not finite, or the spread is below 0.

    Paper:
        Hewitt 2021, "Initializing new word embeddings for pretrained language models".

    Example:
        >>> old = np.random.default_rng(0).standard_normal((1000, 8)) + 3
        >>> new = new_rows(old, 2000, seed=0, name="wte.weight", spread=1.0)
        >>> round(float(new.mean()), 1), round(float(new.std()), 1)
        (3.0, 1.0)
    """
    table = np.asarray(old)
    if table.dtype.kind != "f" or table.ndim != 2:
        raise FaninTypeError(
            f"old has shape {table.shape} and dtype {table.dtype}; it must be a floating-point table of shape (rows, width)"
        )
    if not table.size or not np.isfinite(table).all():
        raise FaninValueError(f"old, of shape {table.shape}, must have at least one row, and finite numbers only")
    if not isinstance(count, int | np.integer) or isinstance(count, bool):
        raise FaninTypeError(f"count={count!r} cannot be used; it must be a whole number of at least 0")
    if count < 0 or not isinstance(spread, int | float) or not 0 <= spread < math.inf:
        raise FaninValueError(f"count={count!r}, spread={spread!r} cannot be used; both must be finite and at least 0")
    double = table.astype(np.float64)
    mean = double.mean(axis=0)
    centred = double - mean
    n = len(table)
    made = np.empty((count, table.shape[1]))
    for start in range(0, count, max(1, BLOCK // n)):
        rows = slice(start, min(count, start + max(1, BLOCK // n)))
        z = draw_distribution(
            Normal(1.0), (count, n), seed=seed, name=f"{name}#new", dtype="float64", window=(rows, slice(None))
        )
        made[rows] = mean + math.sqrt(spread / n) * (z @ centred)
    return made.astype(table.dtype)
