"""Signal propagation predicted from the laws of the weights: no framework, no model, only a `Trace`."""

from fanin.theory.integrals import GaussianMoments, moments
from fanin.theory.pairs import PairMoments, pair_moments
from fanin.theory.prediction import Prediction, predict

__all__ = ["Prediction", "predict", "GaussianMoments", "moments", "PairMoments", "pair_moments"]
