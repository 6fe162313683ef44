"""The lab's names, looked up on first use."""

import importlib.util
import subprocess
import sys

import pytest

from fanin import lab


@pytest.mark.parametrize("name", lab.__all__)
def test_a_name_is_found_and_no_module_takes_its_place(name: str) -> None:
    assert getattr(lab, name) is not None
    assert importlib.util.find_spec(f"fanin.lab.{name}") is None


def test_a_worker_loads_no_more_than_it_needs() -> None:
    """Every study waits until its workers have started."""
    code = "import sys, fanin.lab.worker; print(*(m for m in sys.modules if m.startswith('fanin.')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not [m for m in loaded if m.startswith(("fanin.lab.statistics", "fanin.lab.store", "fanin.reports"))]
    assert "fanin.lab.driver" not in loaded


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="'fanin.lab' has no attribute 'comparison'"):
        lab.comparison
