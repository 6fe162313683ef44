"""What a study is said to take beforehand."""

from tests.lab.engine.nets import BINDINGS, config

from fanin.lab.worker import estimate


def test_runs_and_steps_are_counted() -> None:
    some = [config(seed=s, steps=30) for s in range(3)] + [config("dropping", steps=50)]
    found = estimate(some, BINDINGS)
    assert (found.runs, found.steps, found.stacked) == (4, 140, 0)
    assert found.seconds > 0


def test_a_stack_is_timed_as_a_stack() -> None:
    some = [config(seed=s, steps=10, stacked=True) for s in range(4)]
    assert estimate(some, BINDINGS).stacked == 4
