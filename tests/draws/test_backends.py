"""Which backend draws, and what is said about it."""

import sys
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from fanin.distributions import Normal
from fanin.draws import backends, draw_distribution, prepare
from fanin.draws.threads import set_threads, threads
from fanin.errors import FaninError


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has drawn nothing, and where a few numbers are many."""
    for name, value in (("drawn", 0), ("engine", None), ("hinted", False)):
        monkeypatch.setattr(backends.State, name, value)
    monkeypatch.setattr(backends, "WORTH_IT", 1000)
    backends._numba.cache_clear()
    yield
    backends._numba.cache_clear()
    set_threads(None)


def draw(count: int) -> bytes:
    return draw_distribution(Normal(1.0), (count,), seed=0, name="w").tobytes()


def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    for name in [name for name in sys.modules if name.startswith("fanin.draws.numba_")]:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(f"{name}", raising=False)


def test_numba_is_loaded_once_many_numbers_are_drawn() -> None:
    pytest.importorskip("numba", reason="needs numba: pip install 'fanin[fast]'")
    draw(600)
    assert backends.State.engine is None
    draw(600)
    assert backends.State.engine is not None
    assert prepare() == "numba"


def test_numbers_do_not_depend_on_the_backend() -> None:
    alone = draw(900)
    prepare()
    assert draw(900) == alone


def test_without_numba_draws_work_and_say_once_what_would_be_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = draw(900)
    without_numba(monkeypatch)
    with pytest.warns(UserWarning, match=r"numba is not installed.*pip install 'fanin\[fast\]'"):
        assert draw(900) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw(900) == expected
        assert prepare() == "numpy"


def test_a_numba_that_does_not_fit_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("Numba needs NumPy 2.3 or less")

    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "numba":
                broken()

    without_numba(monkeypatch)
    monkeypatch.delitem(sys.modules, "numba")
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.warns(UserWarning, match=r"numba cannot be loaded \(Numba needs NumPy 2.3 or less\)"):
        draw(2000)


@pytest.mark.parametrize("count", [0, -1, 1.5, "2"])
def test_number_of_threads_is_checked(count: object) -> None:
    with pytest.raises(FaninError, match="threads="):
        prepare(threads=count)  # type: ignore[arg-type]


def test_number_of_threads_is_kept_until_it_is_taken_back() -> None:
    prepare(threads=3)
    assert threads() == 3
    prepare()
    assert threads() >= 1


def test_what_is_expected_counts() -> None:
    pytest.importorskip("numba", reason="needs numba: pip install 'fanin[fast]'")
    backends.expect(10**9)
    assert backends.State.engine is not None
    assert np.frombuffer(draw(10), np.float32).size == 10
