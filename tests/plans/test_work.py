"""Pieces of work over threads: all of them, or the first failure."""

import threading
import time

import pytest

from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.work import run, thread_count

MANY = 1 << 20  # so that threads are used


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_every_piece_is_done_once(threads: int) -> None:
    done: list[int] = []
    run(((MANY, lambda k=k: done.append(k)) for k in range(50)), 50 * MANY, threads)
    assert sorted(done) == list(range(50))


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_failure_stops_the_others_and_is_raised(threads: int) -> None:
    done: list[int] = []

    def work(k: int) -> None:
        if k == 5:
            raise ValueError("the fifth")
        time.sleep(0.002)
        done.append(k)

    with pytest.raises(ValueError, match="the fifth"):
        run(((MANY, lambda k=k: work(k)) for k in range(200)), 200 * MANY, threads)
    assert len(done) < 60
    assert not [t for t in threading.enumerate() if t.name.startswith("fanin_")]


def test_progress_is_told_from_the_calling_thread() -> None:
    seen: list[tuple[int, int]] = []
    threads: set[int] = set()

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        threads.add(threading.get_ident())

    run(((MANY, lambda: None) for _ in range(9)), 9 * MANY, 3, progress)
    assert seen[-1] == (9 * MANY, 9 * MANY)
    assert threads == {threading.get_ident()}


def test_a_bar_is_drawn_when_asked_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    run(((MANY, lambda: None) for _ in range(9)), 9 * MANY, 2, True, "drawing")
    assert "drawing" in capsys.readouterr().err
    run(((MANY, lambda: None) for _ in range(9)), 9 * MANY, 2, None)
    assert capsys.readouterr().err == "", "not a terminal"


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert (thread_count(None), thread_count(5), thread_count(None, 4)) == (3, 5, 4)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert thread_count(None) >= 1
    for wrong in (0, -2):
        with pytest.raises(FaninValueError, match="threads"):
            thread_count(wrong)
    for odd in (1.5, True, "2"):
        with pytest.raises(FaninTypeError, match="threads"):
            thread_count(odd)  # type: ignore[arg-type]
