"""Rows for new tokens have the mean and the covariance of the old ones."""

import sys

import numpy as np
import pytest

from fanin.draws import new_rows
from fanin.errors import FaninError

MIX = np.random.default_rng(1).standard_normal((6, 6))


def table(rows: int = 400, dtype: str = "float64") -> np.ndarray:
    return (np.random.default_rng(0).standard_normal((rows, 6)) @ MIX + np.arange(6)).astype(dtype)


@pytest.mark.parametrize("spread", [1.0, 0.04])
def test_mean_and_covariance(spread: float) -> None:
    old, new = table(), new_rows(table(), 20000, seed=0, name="wte", spread=spread)
    assert np.allclose(new.mean(0), old.mean(0), atol=0.06)
    assert np.allclose(np.cov(new.T), spread * np.cov(old.T), atol=0.05 * spread * np.cov(old.T).max())


def test_fewer_rows_than_columns_stay_in_their_span() -> None:
    """Where the covariance is not positive definite, rows still differ, and leave no direction that the old rows have."""
    old = table(3)
    new = new_rows(old, 50, seed=0, name="wte", spread=1.0) - old.mean(0)
    assert np.linalg.matrix_rank(new, tol=1e-9) == 2
    assert np.linalg.matrix_rank(np.vstack([new, old - old.mean(0)]), tol=1e-9) == 2


def test_a_new_token_takes_no_more_than_its_share() -> None:
    """At the mean, a token's logit is at most the log of the mean of the others' exponentials: Hewitt's bound."""
    old = table(200)
    new = new_rows(old, 20, seed=0, name="wte")
    h = np.random.default_rng(2).standard_normal((30, 6))
    before = np.exp(h @ old.T).sum(1)
    assert (np.exp(h @ new.T) <= before[:, None] / len(old) * (1 + 1e-6)).all()


def test_repeatable_by_seed_and_name_and_growing_with_the_count() -> None:
    old = table(40, "float32")
    one = new_rows(old, 5, seed=3, name="wte", spread=1.0)
    assert one.dtype == np.float32
    assert np.array_equal(one, new_rows(old, 9, seed=3, name="wte", spread=1.0)[:5])
    assert not np.array_equal(one, new_rows(old, 5, seed=3, name="head", spread=1.0))
    assert not np.array_equal(one, new_rows(old, 5, seed=4, name="wte", spread=1.0))
    assert new_rows(old, 0, seed=3, name="wte").shape == (0, 6)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = new_rows(table(30), 50, seed=0, name="wte", spread=1.0)
    monkeypatch.setattr(sys.modules["fanin.draws.new_rows"], "BLOCK", 100)
    assert np.allclose(new_rows(table(30), 50, seed=0, name="wte", spread=1.0), whole, rtol=1e-12)


@pytest.mark.parametrize(
    ("old", "count", "spread", "words"),
    [
        (np.zeros((3, 4), dtype=int), 1, 1.0, "it must be a floating-point table"),
        (np.zeros(4), 1, 1.0, "it must be a floating-point table"),
        (np.zeros((0, 4)), 1, 1.0, "at least one row"),
        (np.full((2, 2), np.nan), 1, 1.0, "finite numbers only"),
        (np.zeros((3, 4)), -1, 1.0, "at least 0"),
        (np.zeros((3, 4)), 1.5, 1.0, "count=1.5 cannot be used"),
        (np.zeros((3, 4)), True, 1.0, "count=True cannot be used"),
        (np.zeros((3, 4)), 1, -1.0, "at least 0"),
        (np.zeros((3, 4)), 1, float("inf"), "must be finite"),
    ],
)
def test_bad_input(old, count, spread, words) -> None:
    with pytest.raises(FaninError, match=words):
        new_rows(old, count, seed=0, name="w", spread=spread)
