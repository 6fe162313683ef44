"""Tuning: which initialization and learning rate a model learns best with, found on held-out data and confirmed apart."""

from fanin.lab.tuning.records import Adjustment, Candidate, Rung, Trial, Tuning
from fanin.lab.tuning.tune import tune, winning_plan

__all__ = ["Adjustment", "Candidate", "Rung", "Trial", "Tuning", "tune", "winning_plan"]
