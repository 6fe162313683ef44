"""From the runs of a study to what they say: learning rates chosen, cells, differences, verdicts, expectations."""

from fanin.lab.analysis.analyse import analyse
from fanin.lab.analysis.expectations import judge
from fanin.lab.analysis.planning import power_before
from fanin.lab.analysis.records import (
    Across,
    Cell,
    CellOutcome,
    ContextAnalysis,
    LrPoint,
    LrWidth,
    Outcome,
    Pair,
    StudyAnalysis,
)

__all__ = [
    "Across",
    "Cell",
    "CellOutcome",
    "ContextAnalysis",
    "LrPoint",
    "LrWidth",
    "Outcome",
    "Pair",
    "StudyAnalysis",
    "analyse",
    "judge",
    "power_before",
]
