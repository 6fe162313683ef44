"""What all tests share: one thread, fixed examples, and where real data and a browser are."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and torch read it: arrays here are small

import hypothesis
import pytest

# Wall-clock deadlines fail at random on a shared machine, and a run must be repeatable.
hypothesis.settings.register_profile("fanin", deadline=None, derandomize=True, max_examples=50, print_blob=True)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fanin"))

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Torch on one thread: the tests run in several processes, and sums come out in one order."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_random_state() -> Iterator[None]:
    """Every test starts from the same global random states, so that their order does not matter."""
    import random

    import numpy as np

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (the global state is the point)
    try:
        import torch
    except ImportError:
        yield
        return
    torch.manual_seed(0)
    yield


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets that FANIN_DATA names; the test is skipped where there is none."""
    name = os.environ.get("FANIN_DATA", "")
    if not name:
        pytest.skip("needs real data: set FANIN_DATA to a folder with cifar10/, imdb/, …")
    folder = Path(name)
    if not folder.is_dir():
        pytest.skip(f"needs real data: FANIN_DATA={name} is not a folder")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; the test is skipped where none is installed."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
