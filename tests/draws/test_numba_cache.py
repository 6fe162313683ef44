"""What numba compiles works where its cache is full, broken or nowhere."""

import errno
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

caching = pytest.importorskip("numba.core.caching")

from fanin.draws.numba_cache import kept  # noqa: E402
from fanin.fingerprints import hashing  # noqa: E402


def full(*args: Any, **more: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def nowhere(*args: Any, **more: Any) -> Any:
    raise RuntimeError("cannot cache function: no locator available")


BROKEN = {"full": ("IndexDataCacheFile.save", full), "unreadable": ("IndexDataCacheFile.load", full),
          "nowhere": ("FunctionCache.__init__", nowhere)}  # fmt: skip


@pytest.fixture(params=BROKEN)
def broken(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    where, how = BROKEN[request.param]
    owner, name = where.split(".")
    monkeypatch.setattr(getattr(caching, owner), name, how)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "twice_of.py").write_text("def twice(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "twice_of", raising=False)
    return importlib.import_module("twice_of")


def test_it_is_kept(module: ModuleType) -> None:
    assert kept(nogil=True)(module.twice)(3) == 6
    again = kept(nogil=True)(module.twice)
    assert again(4) == 8
    assert sum(again.stats.cache_hits.values()) == 1


@pytest.mark.usefixtures("broken")
def test_it_is_compiled_anew(module: ModuleType) -> None:
    twice = kept(nogil=True)(module.twice)
    assert (twice(3), twice(1.5)) == (6, 3.0)


@pytest.mark.usefixtures("broken")
def test_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fanin.fingerprints.numba_sums", raising=False)
    kernel = hashing.compiled()
    assert kernel is not None
    bits = np.arange(1000, dtype=np.uint32)
    window = (slice(0, 1000),)
    assert hashing.window_sums(bits, (1000,), window, kernel) == hashing.window_sums(bits, (1000,), window)


def test_a_numba_that_cannot_be_loaded_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 1.0 or less')")
    for name in [
        n
        for n in sys.modules
        if n.split(".")[0] == "numba" or n in ("fanin.fingerprints.numba_sums", "fanin.draws.numba_cache")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    assert hashing.compiled() is None
