"""Where a study was run: versions and hardware, without importing what is slow to import."""

import os
import platform
import socket
from importlib import metadata
from pathlib import Path

from fanin.lab.blas import CPUINFO, first_field, products

PACKAGES = ("fanin", "torch", "numpy", "scipy", "scikit-learn")
DECIDES = ("python", *PACKAGES, "cpu", "gpu", "products")  # a run's last bits may depend on these


def environment() -> dict[str, str]:
    """Versions and hardware by name; what is not there is left out."""
    found = {
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": _cpu(),
        "products": products(),
        "cores": str(_cores()),
        "gpu": _gpu(),
        "host": socket.gethostname(),
    }
    return {name: value for name, value in found.items() if value}


def changes(before: dict[str, str], now: dict[str, str]) -> str:
    """In words, what differs of the things that numbers may depend on; "" for nothing."""
    return ", ".join(
        f"{name} {now.get(name, 'none')} (was {before.get(name, 'none')})"
        for name in DECIDES
        if now.get(name) != before.get(name)
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def _cpu() -> str:
    return first_field(CPUINFO, "model name") or platform.processor() or platform.machine()


def _gpu() -> str:
    folder = Path("/proc/driver/nvidia/gpus")
    files = sorted(folder.glob("*/information")) if folder.is_dir() else []
    return ", ".join(filter(None, (first_field(file, "Model") for file in files)))
