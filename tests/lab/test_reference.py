"""Ordinary learners on the same split."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from fanin.errors import FaninValueError
from fanin.lab.data import DataSet, load
from fanin.lab.learners import Components, Ngram, Svm
from fanin.lab.reference import learners, reference_lines


def test_the_form_of_the_images_does_not_matter() -> None:
    flat, images = reference_lines("digits:300"), reference_lines("digits_images:300")
    assert [line.metrics for line in flat] == [line.metrics for line in images]
    assert tuple(line.name for line in flat) == learners("classification")
    good = {line.name for line in flat if line.metrics["accuracy"] > 0.9}
    assert good >= {"rbf svm", "forest", "logistic regression"}
    assert flat[0].metrics["accuracy"] < 0.2  # the constant


def test_what_is_held_out_for_validation_is_not_trained_on() -> None:
    data = load("digits:300")
    without = data.with_validation(0.5)
    by_hand = DataSet(
        "half", "classification", without.train_inputs, without.train_targets, data.test_inputs, data.test_targets,
        classes=10, forms=data.forms,
    )  # fmt: skip
    some = ["logistic regression", "nearest neighbours"]
    assert [r.metrics for r in reference_lines(without, some)] == [r.metrics for r in reference_lines(by_hand, some)]
    assert [r.metrics for r in reference_lines(without, some)] != [r.metrics for r in reference_lines(data, some)]


def test_regression_in_closed_form_and_by_descent_are_one_line() -> None:
    got = {line.name: line for line in reference_lines("diabetes")}
    assert tuple(got) == learners("regression")
    closed, descent = got["linear regression"], got["linear regression by gradient descent"]
    assert closed.metrics["r2"] == pytest.approx(descent.metrics["r2"], abs=1e-4)
    assert "of the closed form" in descent.note
    assert got["constant"].metrics["r2"] == pytest.approx(0, abs=0.02)
    assert closed.metrics["r2"] > 0.3


def test_an_autoencoder_is_held_against_principal_components() -> None:
    got = reference_lines("digits_autoencoder:300")
    r2 = [line.metrics["r2"] for line in got]
    assert [line.name for line in got] == ["constant", *(f"{k} principal components" for k in (4, 8, 16, 32))]
    assert r2 == sorted(r2)
    x = np.random.default_rng(0).normal(size=(50, 6))
    assert np.allclose(Components(6).fit(x, x).predict(x), x)


def test_several_labels_have_neighbours_too() -> None:
    got = {line.name: line.metrics for line in reference_lines("multilabel:400", measures=["auc", "log_loss"])}
    assert set(got) == set(learners("multilabel"))
    assert got["constant"]["f1"] == 0
    assert all(metrics["f1"] > 0.3 for name, metrics in got.items() if name != "constant")
    assert got["nearest neighbours"]["auc"] > 0.6
    assert got["constant"]["auc"] == 0.5
    assert "log_loss" in got["forest"]
    assert "log_loss" not in got["linear svm"]  # its scores are no probabilities


def test_a_rare_class_is_scored_as_the_set_asks() -> None:
    got = {line.name: line.metrics for line in reference_lines("imbalanced", ["constant", "rbf svm"])}
    assert got["constant"]["accuracy"] > 0.95
    assert got["constant"]["balanced_accuracy"] == 0.5
    assert got["rbf svm"]["balanced_accuracy"] > 0.75


@pytest.mark.parametrize(
    ("name", "learner"),
    [("nearest neighbours", "neighbors.KNeighborsClassifier"), ("tree", "tree.DecisionTreeClassifier")],
)
def test_equal_probabilities_count_as_equal(name: str, learner: str) -> None:
    import sklearn
    from sklearn.metrics import roc_auc_score

    module, _, kind = learner.partition(".")
    data = load("digits:100")
    options = {"random_state": 0} if module == "tree" else {}
    made = getattr(importlib.import_module(f"{sklearn.__name__}.{module}"), kind)(**options)
    chances = made.fit(data.train_inputs, data.train_targets).predict_proba(data.test_inputs)
    (line,) = reference_lines(data, [name], ["auc"])
    assert line.metrics["auc"] == pytest.approx(roc_auc_score(data.test_targets, chances, multi_class="ovr"), abs=1e-12)


def ones_to_three(classes: int = 3) -> tuple[np.ndarray, ...]:
    """Classes that count from 1, so that none of class 0 is there; the third is left out where there are two."""
    x = np.random.default_rng(0).normal(size=(160, 4)).astype(np.float32)
    y = 1 + (x[:, 0] > 0) + (x[:, 1] > 0) * (classes - 2)
    return x[:120], y[:120], x[120:], y[120:]


@pytest.mark.parametrize("classes", [2, 3])
def test_a_class_that_was_not_trained_on_leaves_the_others_in_their_places(classes: int) -> None:
    x, y, test_x, test_y = ones_to_three(classes)
    asked = ["auc_per_class", "log_loss", "top_2"]
    shifted, plain = (
        {line.name: line.metrics for line in reference_lines((x, y - less, test_x, test_y - less), measures=asked)}
        for less in (0, 1)
    )
    for name in ("logistic regression", "rbf svm", "nearest neighbours", "forest"):
        assert shifted[name]["accuracy"] == plain[name]["accuracy"] > 0.7
        assert shifted[name]["top_2"] == pytest.approx(plain[name]["top_2"])
        for c in range(classes):
            assert shifted[name][f"auc[{c + 1}]"] == pytest.approx(plain[name][f"auc[{c}]"], abs=1e-6)
        if "log_loss" in plain[name]:
            assert shifted[name]["log_loss"] == pytest.approx(plain[name]["log_loss"], abs=1e-5)


def test_a_label_that_was_always_there_is_always_expected() -> None:
    x = np.random.default_rng(0).normal(size=(160, 4)).astype(np.float32)
    labels = np.stack([x[:, 0] > 0, np.ones(160, dtype=bool)], 1)
    labels[150:, 1] = False
    lines = reference_lines((x[:120], labels[:120], x[120:], labels[120:]), ["forest"], ["log_loss"])
    by_half = -np.log(1e-7) / 2 * 10 / 40  # of two labels, one is as sure as can be and wrong in ten of forty examples
    assert lines[0].metrics["log_loss"] == pytest.approx(by_half, abs=0.3)


def test_one_label_is_a_task_of_labels_too() -> None:
    x, y, test_x, test_y = ones_to_three(2)
    of_classes, of_labels = (
        {line.name: line.metrics for line in reference_lines((x, a, test_x, b), measures=["auc", "log_loss"])}
        for a, b in ((y - 1, test_y - 1), ((y > 1)[:, None], (test_y > 1)[:, None]))
    )
    for name in ("logistic regression", "rbf svm", "nearest neighbours", "forest"):
        assert of_labels[name]["subset_accuracy"] == of_classes[name]["accuracy"]
        assert of_labels[name]["auc"] == pytest.approx(of_classes[name]["auc"], abs=1e-3)
        if "log_loss" in of_classes[name]:
            assert of_labels[name]["log_loss"] == pytest.approx(of_classes[name]["log_loss"], abs=1e-4)


def test_a_learner_that_cannot_be_fitted_says_why_and_the_others_go_on() -> None:
    x, _, test_x, test_y = ones_to_three()
    got = {line.name: line for line in reference_lines((x[:4], np.array([1, 2, 1, 2]), test_x, test_y))}
    assert "it could not be fitted" in got["nearest neighbours"].note
    assert got["nearest neighbours"].metrics == {}
    assert "accuracy" in got["tree"].metrics
    alone = {line.name: line for line in reference_lines((x, np.ones(120, dtype=int), test_x, test_y))}
    assert "it could not be fitted" in alone["logistic regression"].note


def test_measures_beside_the_tasks_own_are_those_of_the_learner() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss, roc_auc_score, top_k_accuracy_score

    data = load("digits:300")
    asked = ["auc", "log_loss", "top_2", "balanced_accuracy"]
    logistic, svm = reference_lines(data, ["logistic regression", "rbf svm"], asked)
    fitted = LogisticRegression(max_iter=1000).fit(data.train_inputs, data.train_targets)
    chances = fitted.predict_proba(data.test_inputs)
    assert logistic.metrics["auc"] == pytest.approx(
        roc_auc_score(data.test_targets, chances, multi_class="ovr"), abs=1e-4
    )
    assert logistic.metrics["log_loss"] == pytest.approx(log_loss(data.test_targets, chances), abs=1e-3)
    assert logistic.metrics["top_2"] == pytest.approx(top_k_accuracy_score(data.test_targets, chances, k=2))
    assert {"auc", "top_2", "balanced_accuracy"} <= set(svm.metrics)
    assert "log_loss" not in svm.metrics


def test_text_is_counted() -> None:
    rows = np.array([[0, 1, 2, 0, 1, 2, 0], [2, 0, 1, 2, 0, 1, 2]])
    data = DataSet("abc", "language", rows[:, :-1], rows[:, 1:], rows[:, :-1], rows[:, 1:], 3, ((6,),), vocabulary=3)
    constant, bigram, trigram = reference_lines(data, measures=["perplexity"])
    assert bigram.metrics["accuracy"] == trigram.metrics["accuracy"] == 1
    assert constant.metrics["accuracy"] < 0.5
    assert 1 < bigram.metrics["perplexity"] < constant.metrics["perplexity"] <= 3.1
    counts = Ngram(1).fit(rows[:, :-1], rows[:, 1:])
    assert np.exp(counts.log_chances(np.array([[0]]))[0, 0]) == pytest.approx(
        [1 / 7, 5 / 7, 1 / 7]
    )  # 4 times 1, each raised
    assert Ngram(2).fit(rows[:, :-1], rows[:, 1:]).predict(np.array([[0, 7]])).shape == (1, 2)  # a token never seen


def test_a_token_that_was_not_trained_on_is_unlikely_and_no_error() -> None:
    rows = np.array([[0, 1, 2, 0, 1, 2, 0], [2, 0, 1, 2, 0, 1, 2]])
    other = np.array([[0, 1, 2, 3, 3]])
    data = DataSet("abcd", "language", rows[:, :-1], rows[:, 1:], other[:, :-1], other[:, 1:], 4, ((6,),), vocabulary=4)
    lines = reference_lines(data, ["bigram"], ["perplexity"])
    assert lines[0].metrics["perplexity"] > 3


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_kernel_machine_is_scikit_learns(sparse: bool, kernel: str) -> None:
    from sklearn.svm import SVC

    data = load("digits:200")
    x, test = (csr_matrix(a) if sparse else a for a in (data.train_inputs, data.test_inputs))
    ours, theirs = (machine.fit(x, data.train_targets) for machine in (Svm(kernel), SVC(kernel=kernel)))  # type: ignore[arg-type]
    assert np.array_equal(ours.predict(test), theirs.predict(test))
    assert np.allclose(ours.decision_function(test), theirs.decision_function(test), atol=1e-4)


def test_a_machine_that_stops_early_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanin.lab.learners.MOST_ITERATIONS", 5)
    (line,) = reference_lines("digits:200", ["linear svm"])
    assert line.note == "stopped before it converged"


def test_many_examples_are_a_sample_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanin.lab.reference.MOST_EXAMPLES", 100)
    (line,) = reference_lines("digits", ["nearest neighbours"])
    assert line.note == "fitted on 100 of 1,347 examples"


def test_an_unknown_learner_or_metric_is_said_in_one_sentence() -> None:
    with pytest.raises(
        FaninValueError, match="reference='rbf smv' is unknown for classification.*did you mean 'rbf svm'"
    ):
        reference_lines("digits:50", ["rbf smv"])
    with pytest.raises(FaninValueError, match="metric='auroc'"):
        reference_lines("digits:50", measures=["auroc"])
    with pytest.raises(FaninValueError, match="'tree' is unknown for language"):
        reference_lines("copying:5:20", ["tree"])


def test_text_is_learned_from_its_words(data_folder: Path) -> None:
    got = {line.name: line for line in reference_lines("imdb:1000:200", ["logistic regression"])}
    assert got["logistic regression"].metrics["accuracy"] > 0.7
    assert all(line.note == "" for line in got.values())
    (bag,) = reference_lines("imdb_bow:1000:1000", ["logistic regression"])
    assert bag.metrics["accuracy"] > 0.8


def test_a_machine_hears_digits(data_folder: Path) -> None:
    pytest.importorskip("librosa")
    linear, rbf = reference_lines("spoken_digits:600:20", ["linear svm", "rbf svm"])
    assert rbf.metrics["accuracy"] > 0.75  # of ten digits, from a fifth of the training part and half of the bands
    assert linear.metrics["accuracy"] > 0.75
