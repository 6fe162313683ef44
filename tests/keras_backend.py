"""Keras for tests: the backend of this process, and the same tests again in a process with the other one."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BACKENDS = [name for name in ("torch", "jax") if importlib.util.find_spec(name) is not None]
if BACKENDS:
    os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])  # before Keras is imported: it chooses then
os.environ.setdefault("JAX_PLATFORMS", "cpu")
keras: Any = pytest.importorskip("keras")


def others() -> list[str]:
    """The installed backends that this process does not use; none in a process that `again` started."""
    return [] if "FANIN_TESTS_AGAIN" in os.environ else [name for name in BACKENDS if name != keras.backend.backend()]


def again(file: str, backend: str) -> None:
    """Run a file of tests in a process with another backend."""
    environment = os.environ | {"KERAS_BACKEND": backend, "FANIN_TESTS_AGAIN": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", file]
    folder = Path(__file__).parent.parent
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]


def hidden(modules: list[str], backend: str, code: str) -> str:
    """What a process prints in which these modules cannot be imported."""
    block = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        return None if name.partition('.')[0] in {modules!r} else PathFinder.find_spec(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = Hide()\n"
    )
    environment = os.environ | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", block + code], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def array(tensor: Any) -> np.ndarray[Any, Any]:
    """A tensor or a variable as a NumPy array."""
    value = tensor.value if isinstance(tensor, keras.Variable) else tensor
    return np.asarray(value.detach() if hasattr(value, "detach") else value)
