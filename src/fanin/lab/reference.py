"""What ordinary learners reach on the same split: scikit-learn's, with its own defaults where they have any."""

import difflib
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab import metrics
from fanin.lab.data import DataSet, load
from fanin.lab.learners import MOST_ITERATIONS, Components, Descent, Ngram, Svm
from fanin.lab.metrics.probabilities import auc_by_column, mean_of_known
from fanin.lab.records import ReferenceLine
from fanin.lab.tasks import Task

NEVER = -1e30  # score of a class that a learner has not seen
MOST_EXAMPLES = 5000  # of the training part that a learner is given; a kernel machine's time grows with their square
_OF_ORDER = ("auc", "auc_per_class", "top_")  # metrics that need scores
_OF_CHANCES = ("log_loss", "perplexity", "calibration_error")  # metrics that need probabilities


def learners(task: Task) -> tuple[str, ...]:
    """Names of the learners for a task.

    Example:
        >>> learners("language")
        ('constant', 'bigram', 'trigram')
    """
    return tuple(_table(task))


def reference_lines(
    data: Any, names: Sequence[str] | None = None, measures: Sequence[str] = ()
) -> tuple[ReferenceLine, ...]:
    """Ordinary learners on a data set, as reference lines: fitted on its training part, scored on its test part.

    Classification and multilabel: the best constant, logistic regression, linear and RBF support vector machines, nearest
    neighbours, tree and forest. Regression: the mean, linear regression in closed form and by gradient descent, ridge,
    nearest neighbours, tree and forest (of an autoencoder, principal components: Baldi & Hornik 1989). Language: the
    commonest token, and counts of pairs and triples. Ids (text) are turned into tf-idf weights of words, which is what these
    learners are used with. A validation part is not trained on. More than 5,000 examples are a fixed sample, and the line
    says so.

    Args:
        data: as `fanin.lab.load` takes it.
        names: of the learners (`learners(task)`); None for all.
        measures: metrics beside the task's own and the data's score; a learner that gives no probabilities has none of
            those that need them.

    Raises:
        FaninValueError: an unknown learner or metric.

    Example:
        >>> lines = reference_lines("digits", names=["constant", "rbf svm"])
        >>> [(line.name, round(line.metrics["accuracy"], 2)) for line in lines]
        [('constant', 0.1), ('rbf svm', 0.98)]
    """
    dataset = load(data)
    task = dataset.task
    table = _components() if _copies(dataset) else _table(task, dataset.classes)
    for name in names or ():
        if name not in table:
            close = difflib.get_close_matches(name, table, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise FaninValueError(f"reference={name!r} is unknown for {task}; accepted are {', '.join(table)}{hint}")
    measures = tuple(dict.fromkeys((dataset.score, *measures)))
    metrics.check(measures, task, dataset.classes)
    parts = _parts(dataset)
    lines = []
    for name in table if names is None else names:
        make = table[name]
        lines.append(_constant(dataset, measures) if make is None else _line(name, make(), dataset, parts, measures))
    return tuple(lines)


def _constant(data: DataSet, measures: Sequence[str]) -> ReferenceLine:
    start = time.perf_counter()
    scored = metrics.constant(data, measures)
    scored.pop("loss")
    return ReferenceLine("constant", scored, time.perf_counter() - start)


def _line(
    name: str, learner: Any, data: DataSet, parts: tuple[Any, Any, Any, str], measures: Sequence[str]
) -> ReferenceLine:
    from sklearn.exceptions import ConvergenceWarning

    train_x, train_y, test_x, sampled = parts
    notes = [sampled] if sampled else []
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            learner.fit(train_x, train_y)
            predicted = np.asarray(learner.predict(test_x))
        except ValueError as error:  # fewer examples than neighbours, one class alone, …: the other learners go on
            why = str(error).strip().partition("\n")[0]
            return ReferenceLine(name, {}, time.perf_counter() - start, f"it could not be fitted ({why})")
        scored = _scores(learner, predicted, test_x, data, measures)
    if any(issubclass(w.category, ConvergenceWarning) for w in caught):
        notes.append("stopped before it converged")
    notes += getattr(learner, "notes", ())
    return ReferenceLine(name, scored, time.perf_counter() - start, "; ".join(notes))


def _scores(
    learner: Any, predicted: np.ndarray, test_x: Any, data: DataSet, measures: Sequence[str]
) -> dict[str, float]:
    """The task's own metrics of the predictions, and of the others those that what the learner gives allows."""
    targets = data.test_targets
    wanted = [m for m in measures if m in metrics.available(data.task) or m.startswith("top_")]
    if data.task == "regression":
        return metrics.score("regression", predicted.reshape(targets.shape), targets, wanted)
    if data.task == "language":
        return metrics.score("language", learner.log_chances(test_x), targets, wanted)
    by_order, by_chances = ([m for m in wanted if m.startswith(kinds)] for kinds in (_OF_ORDER, _OF_CHANCES))
    rest = [m for m in wanted if not m.startswith((*_OF_ORDER, *_OF_CHANCES))]
    sure = np.eye(data.classes)[predicted] if data.task == "classification" else predicted.reshape(targets.shape) - 0.5
    found = metrics.score(data.task, sure, targets, rest)
    outputs, chances = _outputs(learner, test_x, data) if by_order or by_chances else (None, None)
    if outputs is not None:
        more = metrics.score(data.task, outputs, targets, [*by_order, *(by_chances if chances is not None else ())])
        if chances is not None and data.task == "classification":  # many of a tree's or of neighbours' are equal
            each = auc_by_column(chances, targets)
            exact = {"auc": each[1] if len(each) == 2 else mean_of_known(each)}
            exact |= {f"auc[{c}]": value for c, value in enumerate(each)}
            more |= {name: float(value) for name, value in exact.items() if name in more}
        found |= {name: value for name, value in more.items() if name not in found}
    return found


def _outputs(learner: Any, x: Any, data: DataSet) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Logits of the test examples, and the probabilities that they stand for, None for scores of another kind."""
    if hasattr(learner, "predict_proba"):
        chances = learner.predict_proba(x)
        if isinstance(chances, list):  # trees and neighbours: one array (examples, values seen) a label
            labels = zip(chances, learner.classes_, strict=True)
            chances = np.stack([_for_all(c, seen, 2, 0.0)[:, 1] for c, seen in labels], 1)
        elif data.task == "classification":
            chances = _for_all(chances, learner.classes_, data.classes, 0.0)
        elif data.classes == 1:  # one label is two classes to scikit-learn
            chances = _for_all(chances, learner.classes_, 2, 0.0)[:, 1:]
        cut = np.clip(chances, 1e-7, 1 - 1e-7)
        return (np.log(cut) if data.task == "classification" else np.log(cut / (1 - cut))), chances
    if hasattr(learner, "decision_function"):
        found = np.asarray(learner.decision_function(x))
        if data.task == "classification" and len(learner.classes_) < data.classes:
            found = np.stack([-found, found], 1) if found.ndim == 1 else found
            found = _for_all(found, learner.classes_, data.classes, NEVER)
        return found if data.task == "classification" else found.reshape(data.test_targets.shape), None
    return None, None


def _for_all(values: np.ndarray, seen: np.ndarray, classes: int, missing: float) -> np.ndarray:
    """Values (examples, classes seen) with a column for each class; a learner knows those of its training part alone."""
    found = np.full((len(values), classes), missing)
    found[:, np.asarray(seen, dtype=np.int64)] = values
    return found


def _table(task: Task, classes: int = 0) -> dict[str, Callable[[], Any] | None]:
    """Learners by name, of so many classes; None is the best constant, which needs no learner."""
    from sklearn import ensemble, linear_model, multiclass, neighbors, svm, tree

    if task == "language":
        return {"constant": None, "bigram": lambda: Ngram(1, classes), "trigram": lambda: Ngram(2, classes)}
    if task == "regression":
        return {
            "constant": None,
            "linear regression": linear_model.LinearRegression,
            "linear regression by gradient descent": Descent,
            "ridge": lambda: linear_model.RidgeCV(np.logspace(-3, 3, 13)),
            "nearest neighbours": neighbors.KNeighborsRegressor,
            "tree": lambda: tree.DecisionTreeRegressor(random_state=0),
            # a third of the features at each split, as Breiman (2001) has it: scikit-learn's default of all takes minutes
            "forest": lambda: ensemble.RandomForestRegressor(max_features=1 / 3, random_state=0),
        }
    found: dict[str, Callable[[], Any]] = {
        "logistic regression": lambda: linear_model.LogisticRegression(max_iter=1000),
        "linear svm": lambda: Svm("linear"),
        "rbf svm": lambda: Svm("rbf"),
        "nearest neighbours": neighbors.KNeighborsClassifier,
        "tree": lambda: tree.DecisionTreeClassifier(random_state=0),
        "forest": lambda: ensemble.RandomForestClassifier(random_state=0),
    }
    if task == "multilabel":  # neighbours, trees and forests know several labels themselves
        one = multiclass.OneVsRestClassifier
        found["logistic regression"] = lambda: one(linear_model.LogisticRegression(max_iter=1000))
        found["linear svm"] = lambda: one(svm.SVC(kernel="linear", max_iter=MOST_ITERATIONS))
        found["rbf svm"] = lambda: one(svm.SVC())
    return {"constant": None, **found}


def _components() -> dict[str, Callable[[], Any] | None]:
    """The best that a linear autoencoder can do with so many units in its middle."""
    return {"constant": None, **{f"{k} principal components": lambda k=k: Components(k) for k in (4, 8, 16, 32)}}


def _copies(data: DataSet) -> bool:
    return (
        data.task == "regression"
        and data.train_inputs.size == data.train_targets.size > len(data.train_inputs)
        and np.array_equal(data.train_inputs.reshape(-1), data.train_targets.reshape(-1))
    )


def _parts(data: DataSet) -> tuple[Any, np.ndarray, Any, str]:
    """Features and targets to train on, features to test on, and what was left out."""
    if data.task == "language":
        return data.train_inputs, data.train_targets, data.test_inputs, ""
    train_x, test_x = _features(data)
    train_y, note = data.train_targets, ""
    if data.task == "regression":
        train_y = train_y.reshape(len(train_y), -1)
        train_y = train_y[:, 0] if train_y.shape[1] == 1 else train_y
    if len(train_y) > MOST_EXAMPLES:
        rows = np.random.Generator(np.random.Philox(0)).permutation(len(train_y))[:MOST_EXAMPLES]
        note = f"fitted on {MOST_EXAMPLES:,} of {len(train_y):,} examples"
        train_x, train_y = train_x[rows], train_y[rows]
    return train_x, train_y, test_x, note


def _features(data: DataSet) -> tuple[Any, Any]:
    if not data.vocabulary:
        return tuple(x.reshape(len(x), -1) / data.scale for x in (data.train_inputs, data.test_inputs))  # type: ignore[return-value]
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
