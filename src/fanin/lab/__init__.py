"""The lab: does an init help? The same model from several inits, trained in pairs, with honest statistics."""

from fanin.lab.compare import compare
from fanin.lab.coordinate import CoordinateCheck, coordinate_check
from fanin.lab.data import DataSet, load
from fanin.lab.records import Comparison, Difference, InitSummary, Interval, ReferenceLine, RunResult

__all__ = [
    "Comparison",
    "CoordinateCheck",
    "DataSet",
    "Difference",
    "InitSummary",
    "Interval",
    "ReferenceLine",
    "RunResult",
    "compare",
    "coordinate_check",
    "load",
]
