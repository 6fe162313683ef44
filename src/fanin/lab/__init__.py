"""The lab: does an init help? The same model from several inits, trained in pairs, with honest statistics."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanin.lab.comparing import compare
    from fanin.lab.coordinate import CoordinateCheck, coordinate_check
    from fanin.lab.data import DataSet, load
    from fanin.lab.records import Comparison, Difference, InitSummary, Interval, ReferenceLine, RunResult
    from fanin.lab.results import StudyResults
    from fanin.lab.studies import find_study
    from fanin.lab.study import Expectation, Study, TrainingSettings
    from fanin.lab.study.make import make_study
    from fanin.lab.study.parse import read_study_file
    from fanin.lab.study.session import resume as resume_study
    from fanin.lab.study.session import run as run_study

__all__ = [
    "Comparison",
    "CoordinateCheck",
    "DataSet",
    "Difference",
    "Expectation",
    "InitSummary",
    "Interval",
    "ReferenceLine",
    "RunResult",
    "Study",
    "StudyResults",
    "TrainingSettings",
    "compare",
    "coordinate_check",
    "find_study",
    "load",
    "make_study",
    "read_study_file",
    "resume_study",
    "run_study",
]

# Looked up on first use: a worker that starts needs little of them, and every study waits for its workers. No module of the
# lab may have one of these names: an import of it would put the module in the name's place.
_HOMES = {
    "Comparison": ("fanin.lab.records", "Comparison"),
    "CoordinateCheck": ("fanin.lab.coordinate", "CoordinateCheck"),
    "DataSet": ("fanin.lab.data", "DataSet"),
    "Difference": ("fanin.lab.records", "Difference"),
    "Expectation": ("fanin.lab.study", "Expectation"),
    "InitSummary": ("fanin.lab.records", "InitSummary"),
    "Interval": ("fanin.lab.records", "Interval"),
    "ReferenceLine": ("fanin.lab.records", "ReferenceLine"),
    "RunResult": ("fanin.lab.records", "RunResult"),
    "Study": ("fanin.lab.study", "Study"),
    "StudyResults": ("fanin.lab.results", "StudyResults"),
    "TrainingSettings": ("fanin.lab.study", "TrainingSettings"),
    "compare": ("fanin.lab.comparing", "compare"),
    "coordinate_check": ("fanin.lab.coordinate", "coordinate_check"),
    "find_study": ("fanin.lab.studies", "find_study"),
    "load": ("fanin.lab.data", "load"),
    "make_study": ("fanin.lab.study.make", "make_study"),
    "read_study_file": ("fanin.lab.study.parse", "read_study_file"),
    "resume_study": ("fanin.lab.study.session", "resume"),
    "run_study": ("fanin.lab.study.session", "run"),
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, attribute = _HOMES[name]
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module 'fanin.lab' has no attribute {name!r}")
