"""Order of the data, seeds, and settings."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.training import Training, derived_seed, evaluation_steps, held_out, passes, steps_per_epoch


def batches(examples: int, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of batch after batch of one member."""
    pytest.importorskip("torch")
    from fanin.lab.torch.tensors import Orders

    orders = Orders(examples, batch_size, [seed])
    while True:
        yield orders.rows()[0].numpy()


@given(st.integers(1, 200), st.integers(1, 64), st.integers(0, 2**32))
def test_an_epoch_shows_every_example_once_but_for_a_rest_under_half_a_batch(
    examples: int, batch_size: int, seed: int
) -> None:
    stream = batches(examples, batch_size, seed)
    epoch = [next(stream) for _ in range(steps_per_epoch(examples, batch_size))]
    seen = np.concatenate(epoch)
    left_out = examples - len(seen)
    assert len(set(seen)) == len(seen)
    assert left_out < max(batch_size / 2, 2)
    smallest = min(len(batch) for batch in epoch)
    assert smallest >= max(batch_size / 2, min(batch_size, 2)) or examples < batch_size


def test_no_example_is_left_out_of_every_epoch() -> None:
    stream, epochs = batches(1347, 64, 0), 15
    assert steps_per_epoch(1347, 64) == 21
    seen = [set(np.concatenate([next(stream) for _ in range(21)])) for _ in range(epochs)]
    assert all(len(one) == 1344 for one in seen)
    assert len(set.union(*seen)) == 1347


def test_members_of_one_seed_see_the_same_and_a_run_that_goes_on_sees_what_comes_next() -> None:
    from fanin.lab.torch.tensors import Orders

    orders = Orders(10, 4, [7, 3, 7])
    seen = [orders.rows() for _ in range(8)]
    assert [tuple(rows.shape) for rows in seen[:3]] == [(3, 4), (3, 4), (3, 2)]
    assert all(rows[0].equal(rows[2]) for rows in seen)
    assert not any(rows[0].equal(rows[1]) for rows in seen)
    for done in range(8):
        assert Orders(10, 4, [7, 3, 7], done=done).rows().equal(seen[done])


@pytest.mark.parametrize("seeds", [(7, 3, 7, 3), (7, 7, 3), (5, 5, 5), (2,)])
def test_batches_of_a_stack(seeds: tuple[int, ...]) -> None:
    """Inputs stand there once a seed where the members take the seeds in turns, and targets once a member."""
    import torch

    from fanin.lab.torch.tensors import Orders

    x, y = torch.randn(10, 3), torch.randint(0, 9, (10,))
    taking, telling = Orders(10, 4, seeds), Orders(10, 4, seeds)
    for _ in range(7):
        rows = telling.rows()
        some, targets = taking.take(x, y, stacked=True)
        assert targets.equal(y[rows])
        assert len(some) == (3 if seeds == (7, 7, 3) else len(set(seeds)))
        assert some.repeat(len(seeds) // len(some), 1, 1).equal(x[rows])
    alone, own = Orders(10, 4, [2]).take(x, y, stacked=False)
    assert alone.equal(x[Orders(10, 4, [2]).rows()[0]])
    assert own.shape == (4,)


def test_the_order_depends_on_the_seed_and_changes_with_each_pass() -> None:
    a, b, c = passes(64, 5), passes(64, 5), passes(64, 6)
    first = next(a)
    assert np.array_equal(first, next(b))
    assert not np.array_equal(first, next(c))
    assert not np.array_equal(first, next(a))


def test_uses_of_a_seed_do_not_share_a_sequence() -> None:
    seeds = {derived_seed(seed, stream) for seed in range(50) for stream in ("order", "init", "training", "evaluation")}
    assert len(seeds) == 200
    assert max(seeds) < 2**63


@given(st.integers(1, 500), st.integers(1, 50))
def test_the_last_step_is_looked_at(steps: int, evaluations: int) -> None:
    looks = evaluation_steps(steps, evaluations)
    assert max(looks) == steps
    assert min(looks) >= 1
    assert len(looks) == min(steps, evaluations)


def test_a_large_test_part_is_sampled_for_curves() -> None:
    assert np.array_equal(held_out(450), np.arange(450))
    assert len(set(held_out(25_000))) == 1000
    assert np.array_equal(held_out(25_000), held_out(25_000))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "sdg"}, "accepted are sgd, adam, adamw"),
        ({"lr": 0.0}, "lr=0.0 must be above 0"),
        ({"lr": float("nan")}, "lr=nan must be above 0"),
        ({"momentum": 1.0}, "momentum=1.0 must be at least 0 and below 1"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 must be at least 0"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"target": float("inf")}, "target=inf must be finite"),
    ],
)
def test_settings_are_checked(settings: dict, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        Training(**settings)


def test_types_of_settings_are_checked() -> None:
    with pytest.raises(FaninTypeError, match=r"lr='0\.1' is a str"):
        Training(lr="0.1")  # type: ignore[arg-type]
    with pytest.raises(FaninTypeError, match="steps=True is a bool"):
        Training(steps=True)
