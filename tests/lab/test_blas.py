"""What multiplies is a matter of the machine and of what is installed; a study writes it down."""

import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from fanin.lab import blas
from fanin.lab.store.environment import changes, environment


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What one test makes of the machine must not reach the next."""
    blas.by_numpy.cache_clear()
    yield
    blas.by_numpy.cache_clear()


@pytest.mark.parametrize(
    ("vendor", "library", "found", "wanted"),
    [
        ("AuthenticAMD", "scipy-openblas", True, True),
        ("GenuineIntel", "scipy-openblas", True, False),
        ("AuthenticAMD", "mkl-sdl", True, False),
        ("AuthenticAMD", "scipy-openblas", False, False),
        ("", "openblas", True, False),
    ],
)
def test_numpy_multiplies_on_amd_where_it_has_openblas_and_its_threads_can_be_limited(
    monkeypatch: pytest.MonkeyPatch, vendor: str, library: str, found: bool, wanted: bool
) -> None:
    monkeypatch.setattr(blas, "_vendor", lambda: vendor)
    monkeypatch.setattr(np, "show_config", lambda mode: {"Build Dependencies": {"blas": {"name": library}}})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if found else None)
    assert blas.by_numpy() is wanted


def test_a_build_of_numpy_that_does_not_say_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "show_config", lambda mode: None)
    assert not blas._has_openblas()


def test_without_proc_the_vendor_stands_in_the_processors_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "CPUINFO", "/nowhere/cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: "AMD64 Family 25 Model 33 Stepping 0, AuthenticAMD")
    assert blas._vendor() == "AuthenticAMD"
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert blas._vendor() == ""


def test_a_study_that_goes_on_with_other_products_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "by_numpy", lambda: True)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    one = environment()
    assert one["products"] == "NumPy's (OpenBLAS), OPENBLAS_CORETYPE=Haswell"
    monkeypatch.setattr(blas, "by_numpy", lambda: False)
    assert changes(one, environment()) == "products torch's (was NumPy's (OpenBLAS), OPENBLAS_CORETYPE=Haswell)"


def test_a_run_keeps_numpys_products_to_one_thread() -> None:
    """In a process of its own, which has as many threads as there are cores."""
    script = """
import threadpoolctl
from fanin.lab import blas
blas.by_numpy = lambda: True
from fanin.lab.torch import state
threads = lambda: {p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"}
threadpoolctl.threadpool_limits(2, user_api="blas")
with state.thread_count(1):
    print(threads())
print(threads())
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["{1}", "{2}"]
