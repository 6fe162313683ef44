"""Studies: a grid of (model × plan × data × optimizer × learning rate × batch × anything else × seed), as records."""

from fanin.lab.study.records import Expectation, RunConfig, Study, TrainingSettings
from fanin.lab.study.rows import CurvePoint, LayerSignal, RunRow, Signals

__all__ = ["CurvePoint", "Expectation", "LayerSignal", "RunConfig", "RunRow", "Signals", "Study", "TrainingSettings"]
