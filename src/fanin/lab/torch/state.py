"""Random states and threads of a run: set while it lasts, and put back."""

import contextlib
import functools
import os
import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from fanin.lab.blas import by_numpy

_kept: list[list[int]] = []  # while somebody outside has the states put back afterwards: the CUDA devices among them


@contextlib.contextmanager
def random_states_kept() -> Iterator[None]:
    """Puts all random states back afterwards; `random_state` need not do so each time within it.

    NumPy takes longer to give its state away than a small model takes for two steps.
    """
    with random_state(0):
        _kept.append(_devices())
        try:
            yield
        finally:
            _kept.pop()


@contextlib.contextmanager
def random_state(seed: int) -> Iterator[None]:
    """Seeds torch (CPU, and CUDA where it is in use), NumPy and `random`, and puts their states back afterwards.

    Directly within `random_states_kept` it leaves them as they have become: nothing there reads them before it seeds them.
    """
    cuda = _devices()
    if _kept and _kept[-1] == cuda:
        outside = _kept.pop()  # a state within this one must be put back: this one goes on after it
        _seed(seed, cuda)
        try:
            yield
        finally:
            _kept.append(outside)
        return
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng(cuda):
        _seed(seed, cuda)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


def _devices() -> list[int]:
    """The CUDA devices, where CUDA is in use."""
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []


def _seed(seed: int, cuda: Iterable[int]) -> None:
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach devices that are not forked
    for index in cuda:
        torch.cuda.default_generators[index].manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)


@contextlib.contextmanager
def thread_count(threads: int) -> Iterator[None]:
    """Runs torch, and NumPy's products where they are used, on this many threads of the CPU, and on as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with _libraries().limit(limits=threads, user_api="blas") if by_numpy() else contextlib.nullcontext():
            yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def _libraries() -> Any:
    """The libraries of this process that have threads of their own; looked for once, since it takes a millisecond."""
    import threadpoolctl

    return threadpoolctl.ThreadpoolController()


@contextlib.contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """On a GPU: algorithms that give the same bits every time, where torch has such; others warn. On a CPU all of them do."""
    if device.type == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when a stream first multiplies matrices
    wanted, warning = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    searching = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False  # what is fastest today may round otherwise
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(wanted, warn_only=warning)
        torch.backends.cudnn.benchmark = searching


def random_states() -> dict[str, Any]:
    """The present random states, as tensors and plain values that `torch.load(weights_only=True)` reads."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    version, state, gauss = random.getstate()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {
        "torch": torch.get_rng_state(),
        "cuda": list(cuda),
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "python": [version, torch.tensor(state, dtype=torch.int64), gauss],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Puts states that `random_states` gave back in place."""
    torch.set_rng_state(states["torch"])
    for index, state in enumerate(states["cuda"]):
        torch.cuda.set_rng_state(state, index)
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, state, gauss = states["python"]
    random.setstate((version, tuple(state.tolist()), gauss))
