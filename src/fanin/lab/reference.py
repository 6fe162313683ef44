"""What ordinary learners reach on the same split: scikit-learn's, with its own defaults where they have any."""

import time
from typing import Any

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab import metrics
from fanin.lab.data import DataSet, load
from fanin.lab.records import ReferenceLine

MOST_EXAMPLES = 5000  # of the training part that a learner is given; a kernel machine's time grows with their square


def reference_lines(data: Any) -> tuple[ReferenceLine, ...]:
    """Logistic regression, SVM, nearest neighbours, tree and forest on a classification task, as reference lines.

    Ids (text) are turned into tf-idf weights of words, which is what these learners are used with.

    Args:
        data: as `fanin.lab.load` takes it.

    Example:
        >>> lines = reference_lines("digits")
        >>> lines[1].name, round(lines[1].metrics["accuracy"], 2)
        ('svm', 0.98)
    """
    dataset = load(data)
    if dataset.task != "classification":
        raise FaninValueError(
            f"references are there for classification only, but data={dataset.name!r} is {dataset.task}"
        )
    train_x, test_x = _features(dataset)
    train_y, note = dataset.train_targets, ""
    if len(train_y) > MOST_EXAMPLES:
        rows = np.random.Generator(np.random.Philox(0)).permutation(len(train_y))[:MOST_EXAMPLES]
        train_x, train_y = train_x[rows], train_y[rows]
        note = f"fitted on {MOST_EXAMPLES:,} of {len(dataset.train_targets):,} examples"
    lines = []
    for name, learner in _learners().items():
        start = time.perf_counter()
        predicted = learner.fit(train_x, train_y).predict(test_x)
        seconds = time.perf_counter() - start
        lines.append(ReferenceLine(name, metrics.classification(predicted, dataset.test_targets), seconds, note))
    return tuple(lines)


def _learners() -> dict[str, Any]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    return {
        "logistic regression": LogisticRegression(max_iter=1000),
        "svm": SVC(),
        "nearest neighbours": KNeighborsClassifier(),
        "tree": DecisionTreeClassifier(random_state=0),
        "forest": RandomForestClassifier(random_state=0),
    }


def _features(data: DataSet) -> tuple[Any, Any]:
    if not data.vocabulary:
        return tuple(x.reshape(len(x), -1) for x in (data.train_inputs, data.test_inputs))  # type: ignore[return-value]
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfTransformer

    counts = []
    for ids in (data.train_inputs, data.test_inputs):
        rows = np.repeat(np.arange(len(ids)), ids.shape[1])
        words = ids.reshape(-1)
        real = words != 0  # padding
        table = csr_matrix((np.ones(real.sum()), (rows[real], words[real])), shape=(len(ids), data.vocabulary))
        counts.append(table)
    weights = TfidfTransformer().fit(counts[0])
    return weights.transform(counts[0]), weights.transform(counts[1])
