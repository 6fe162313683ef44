"""The folder of a study: what is run, what was measured, and nothing that could be half of either."""

from fanin.lab.store.curves import read_curve
from fanin.lab.store.lock import is_locked
from fanin.lab.store.schema import DiskFull
from fanin.lab.store.store import CurveMissing, Store

__all__ = ["CurveMissing", "DiskFull", "Store", "is_locked", "read_curve"]
