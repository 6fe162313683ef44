"""Which library multiplies the matrices of plain chains on a processor: torch's, or NumPy's."""

import functools
import importlib.util
import os
import platform

import numpy as np

VENDOR = "AuthenticAMD"
CPUINFO = "/proc/cpuinfo"


@functools.cache
def by_numpy() -> bool:
    """Whether NumPy's matrix products are taken rather than torch's.

    torch multiplies by Intel's MKL, which keeps to AVX2 on the processors of AMD; NumPy's OpenBLAS uses what they have: on one
    with AVX-512 its products of small matrices take half the time, on one without a tenth less. (Decision 0019.) A matter
    of the machine and of what is installed, never of a clock: a study gives the same bits on the same machine. OpenBLAS
    must be kept to one thread, which takes threadpoolctl.
    """
    return _vendor() == VENDOR and _has_openblas() and importlib.util.find_spec("threadpoolctl") is not None


def products() -> str:
    """In words, what multiplies: the last bits of a run depend on it."""
    if not by_numpy():
        return "torch's"
    forced = os.environ.get("OPENBLAS_CORETYPE", "")
    return "NumPy's (OpenBLAS)" + (f", OPENBLAS_CORETYPE={forced}" if forced else "")


def _has_openblas() -> bool:
    try:
        built = np.show_config(mode="dicts")
        return "openblas" in built["Build Dependencies"]["blas"]["name"]  # type: ignore[index]
    except (KeyError, TypeError):  # built in a way that does not say
        return False


def _vendor() -> str:
    """Of the processor, as it calls itself; "" where it does not say."""
    said = first_field(CPUINFO, "vendor_id")  # Windows has it at the end of the processor's name
    return said or (VENDOR if VENDOR in platform.processor() else "")


def first_field(file: str | os.PathLike[str], name: str) -> str:
    """What the first line of a kernel's file that begins with `name` says behind its colon; "" where there is none."""
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")
    except OSError:
        return ""
