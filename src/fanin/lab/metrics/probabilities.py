"""Metrics of probabilities and of their order: log-loss, perplexity, top-k, area under the ROC curve, calibration."""

import numpy as np

BINS = 15  # of the calibration error: torchmetrics' and Guo et al.'s


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities, float64, along the last axis."""
    shifted = logits.astype(float) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def log_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean of -log p(true class); logits (n, classes), targets (n,)."""
    return float(-np.take_along_axis(log_softmax(logits), targets[:, None], 1).mean())


def perplexity(logits: np.ndarray, targets: np.ndarray) -> float:
    """exp of the log-loss: the number of equally likely tokens that would be as surprising."""
    with np.errstate(over="ignore"):
        return float(np.exp(log_loss(logits, targets)))


def top_k(logits: np.ndarray, targets: np.ndarray, k: int) -> float:
    """Share of examples whose true class is among the k largest logits; of equal logits the later class counts as larger
    (as scikit-learn's `top_k_accuracy_score` has it)."""
    own = np.take_along_axis(logits, targets[:, None], 1)
    later = np.arange(logits.shape[1]) > targets[:, None]
    return float(np.mean(((logits > own) | ((logits == own) & later)).sum(1) < k))


def binary_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive example scores above a negative one, ties half.

    From ranks (Mann & Whitney 1947; Hanley & McNeil 1982); NaN where one of the two kinds is missing.
    """
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return float("nan")
    _, place, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[place]
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))


def auc_by_class(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Of each class against the rest, by its probability; NaN for a class that never or always occurs."""
    return auc_by_column(log_softmax(logits), targets)


def auc_by_column(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The same by scores (n, classes) as they are: among probabilities that are given, equal ones stay equal."""
    return np.array([binary_auc(scores[:, c], targets == c) for c in range(scores.shape[1])])


def auc(logits: np.ndarray, targets: np.ndarray) -> float:
    """Of two classes the area itself, of more the mean over the classes that occur (one against the rest, macro)."""
    if logits.shape[1] == 2:
        logits = logits.astype(float)
        return binary_auc(logits[:, 1] - logits[:, 0], targets == 1)
    return mean_of_known(auc_by_class(logits, targets))


def calibration_error(logits: np.ndarray, targets: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: mean distance of confidence from accuracy over bins of the confidence, weighted by size.

    Naeini et al., AAAI 2015; Guo et al., ICML 2017, eq. 3; bins as in torchmetrics' `MulticlassCalibrationError` (closed on
    the left; a confidence of exactly 1 has a bin of its own).
    """
    logs = log_softmax(logits)
    sure = np.exp(logs.max(1))
    right = (logs.argmax(1) == targets).astype(float)
    place = np.searchsorted(np.linspace(0, 1, bins + 1), sure, side="right") - 1
    gaps = np.bincount(place, weights=right - sure, minlength=bins + 1)
    return float(np.abs(gaps).sum() / len(targets))


def label_log_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean binary cross-entropy over examples and labels; logits and targets (n, labels)."""
    z = logits.astype(float)
    return float(np.mean(np.logaddexp(0, z) - z * targets))


def label_auc(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Of each label; NaN for one that never or always occurs."""
    return np.array([binary_auc(logits[:, c], targets[:, c] > 0.5) for c in range(logits.shape[1])])


def mean_of_known(values: np.ndarray) -> float:
    """Mean of those that are not NaN; NaN where all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
