"""The lab: does an init help? The same model from several inits, trained in pairs, with honest statistics."""

import importlib
from typing import TYPE_CHECKING, Any

from fanin.lab.compare import compare
from fanin.lab.coordinate import CoordinateCheck, coordinate_check
from fanin.lab.data import DataSet, load
from fanin.lab.records import Comparison, Difference, InitSummary, Interval, ReferenceLine, RunResult

if TYPE_CHECKING:
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

# Looked up on first use: a comparison needs neither store nor executors.
_HOMES = {
    "Expectation": ("fanin.lab.study", "Expectation"),
    "Study": ("fanin.lab.study", "Study"),
    "StudyResults": ("fanin.lab.results", "StudyResults"),
    "TrainingSettings": ("fanin.lab.study", "TrainingSettings"),
    "find_study": ("fanin.lab.studies", "find_study"),
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
