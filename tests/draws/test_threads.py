"""Parts of a draw on several threads: each is done once, whatever happens to the others."""

import os
import threading
import time
from collections import Counter

import pytest

from fanin.draws.threads import each, set_threads


@pytest.fixture(autouse=True)
def four() -> object:
    set_threads(4)
    yield
    set_threads(None)


@pytest.mark.parametrize("limit", [0, 1, 3, 99])
@pytest.mark.parametrize("jobs", [0, 1, 7, 500])
def test_every_job_is_done_once(jobs: int, limit: int) -> None:
    done: Counter[int] = Counter()
    each(lambda k: done.update([k]), [(k,) for k in range(jobs)], limit)
    assert done == Counter(range(jobs))


def test_several_threads_work_at_once() -> None:
    meeting = threading.Barrier(3, timeout=30)
    each(lambda k: meeting.wait(), [(k,) for k in range(3)], 3)


def test_a_failure_is_raised_and_later_draws_work() -> None:
    def fail(k: int) -> None:
        time.sleep(0.001)
        if k == 5:
            raise ValueError("job 5")

    with pytest.raises(ValueError, match="job 5"):
        each(fail, [(k,) for k in range(8)], 4)
    test_every_job_is_done_once(7, 3)


def test_jobs_may_have_jobs() -> None:
    """No thread waits for helpers that wait for it."""
    done: Counter[int] = Counter()
    each(
        lambda k: each(lambda j: done.update([j]), [(10 * k + j,) for j in range(10)], 4), [(k,) for k in range(20)], 4
    )
    assert done == Counter(range(200))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    test_several_threads_work_at_once()
    child = os.fork()
    if child == 0:
        try:
            test_several_threads_work_at_once()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
