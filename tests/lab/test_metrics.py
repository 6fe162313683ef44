"""Scores are scikit-learn's and torchmetrics', and say what they should in cases that can be done by hand."""

import sys

import numpy as np
import pytest
import sklearn.metrics
from scipy.special import softmax

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab import metrics
from fanin.lab.data import IGNORED, load
from fanin.lab.records import Task

CLASSES = 5


def examples(seed: int, n: int = 300, classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    """Logits that know something of the targets, and targets whose classes are not equally frequent."""
    generator = np.random.default_rng(seed)
    y = generator.choice(classes, n, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    logits = generator.normal(size=(n, classes)).astype(np.float32)
    logits[np.arange(n), y] += 1
    return logits, y


def labelled(seed: int, n: int = 200, labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = (generator.random((n, labels)) < np.array([0.1, 0.3, 0.5, 0.8])).astype(np.float32)
    return (generator.normal(size=(n, labels)) + 2 * y - 1).astype(np.float32), y


def test_classification_is_scikit_learns_macro_average() -> None:
    generator = np.random.default_rng(0)
    y, guess = generator.integers(0, 5, 200), generator.integers(0, 5, 200)
    got = metrics.classification(guess, y)
    for name in ("precision", "recall", "f1"):
        of = getattr(sklearn.metrics, f"{name}_score")
        assert got[name] == pytest.approx(of(y, guess, average="macro"), rel=1e-12)
    assert got["accuracy"] == pytest.approx(np.mean(y == guess))


def test_classes_that_do_not_occur_are_left_out_as_scikit_learn_does() -> None:
    y, guess = np.array([0, 0, 4, 4, 4]), np.array([0, 2, 4, 4, 0])
    got = metrics.score("classification", np.eye(9)[guess], y, ["balanced_accuracy"])
    assert got["f1"] == pytest.approx(sklearn.metrics.f1_score(y, guess, average="macro"))
    assert got["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)  # class 2 was guessed, but is not there


def test_a_class_that_is_never_predicted_counts_as_nothing() -> None:
    got = metrics.classification(np.zeros(4, dtype=int), np.array([0, 0, 1, 1]))
    assert got == pytest.approx({"accuracy": 0.5, "precision": 0.25, "recall": 0.5, "f1": 1 / 3})


@pytest.mark.parametrize("seed", range(3))
def test_every_metric_of_classes_is_scikit_learns(seed: int) -> None:
    logits, y = examples(seed)
    guess, chances = logits.argmax(1), softmax(logits.astype(float), axis=1)
    names = [
        *("balanced_accuracy", "f1_micro", "precision_micro", "recall_micro", "top_2", "top_3", "auc", "log_loss"),
        *("f1_per_class", "precision_per_class", "recall_per_class", "auc_per_class"),
    ]
    got = metrics.score("classification", logits, y, names)
    wanted = {
        "accuracy": sklearn.metrics.accuracy_score(y, guess),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(y, guess),
        "top_2": sklearn.metrics.top_k_accuracy_score(y, chances, k=2),
        "top_3": sklearn.metrics.top_k_accuracy_score(y, chances, k=3),
        "auc": sklearn.metrics.roc_auc_score(y, chances, multi_class="ovr", average="macro"),
        "log_loss": sklearn.metrics.log_loss(y, chances),
    }
    for name in ("precision", "recall", "f1"):
        of = getattr(sklearn.metrics, f"{name}_score")
        wanted[name] = of(y, guess, average="macro")
        wanted[f"{name}_micro"] = of(y, guess, average="micro")
        wanted |= {f"{name}[{c}]": value for c, value in enumerate(of(y, guess, average=None))}
    wanted |= {f"auc[{c}]": sklearn.metrics.roc_auc_score(y == c, chances[:, c]) for c in range(CLASSES)}
    assert got == pytest.approx(wanted, rel=1e-10)
    assert np.array_equal(metrics.confusion(logits, y, CLASSES), sklearn.metrics.confusion_matrix(y, guess))


@pytest.mark.parametrize("seed", range(3))
def test_every_metric_of_classes_is_torchmetrics(seed: int) -> None:
    import torch
    import torchmetrics.functional as t

    logits, y = examples(seed)
    a, b = torch.from_numpy(logits).double(), torch.from_numpy(y)
    names = ["f1_micro", "f1_per_class", "top_2", "auc", "calibration_error", "log_loss"]
    got = metrics.score("classification", logits, y, names)
    kind = {"task": "multiclass", "num_classes": CLASSES}
    wanted = {
        "accuracy": t.accuracy(a, b, **kind, average="micro"),
        "precision": t.precision(a, b, **kind, average="macro"),
        "recall": t.recall(a, b, **kind, average="macro"),
        "f1": t.f1_score(a, b, **kind, average="macro"),
        "f1_micro": t.f1_score(a, b, **kind, average="micro"),
        "top_2": t.accuracy(a, b, **kind, average="micro", top_k=2),
        "auc": t.auroc(a, b, **kind, average="macro"),
        "calibration_error": t.calibration_error(a, b, **kind, n_bins=15, norm="l1"),
        "log_loss": torch.nn.functional.cross_entropy(a, b),
    }
    wanted |= {f"f1[{c}]": value for c, value in enumerate(t.f1_score(a, b, **kind, average="none"))}
    assert got == pytest.approx({name: float(value) for name, value in wanted.items()}, rel=1e-5)
    assert np.array_equal(metrics.confusion(logits, y, CLASSES), t.confusion_matrix(a, b, **kind))
    tokens = a.reshape(10, 30, CLASSES), b.reshape(10, 30)
    text = metrics.score("language", tokens[0].numpy(), tokens[1].numpy(), ["perplexity"])
    assert text["perplexity"] == pytest.approx(float(t.text.perplexity(*tokens)), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_every_metric_of_labels_is_both(seed: int) -> None:
    import torch
    import torchmetrics.functional as t

    logits, y = labelled(seed)
    guess, a, b = logits > 0, torch.from_numpy(logits).double(), torch.from_numpy(y).long()
    names = ["precision", "recall", "precision_micro", "recall_micro", "f1_per_class", "auc", "log_loss"]
    got = metrics.score("multilabel", logits, y, names)
    of = sklearn.metrics
    wanted = {
        "subset_accuracy": of.accuracy_score(y, guess),
        "hamming": of.hamming_loss(y, guess),
        "auc": of.roc_auc_score(y, logits, average="macro"),
        "log_loss": np.mean([of.log_loss(y[:, c], 1 / (1 + np.exp(-logits[:, c].astype(float)))) for c in range(4)]),
        **{f"f1[{c}]": value for c, value in enumerate(of.f1_score(y, guess, average=None))},
    }
    for name in ("precision", "recall", "f1"):
        wanted[name] = getattr(of, f"{name}_score")(y, guess, average="macro")
        wanted[f"{name}_micro"] = getattr(of, f"{name}_score")(y, guess, average="micro")
    assert got == pytest.approx(wanted, rel=1e-6)
    kind = {"task": "multilabel", "num_labels": 4}
    chances = a.sigmoid()
    theirs = {
        "f1": t.f1_score(chances, b, **kind, average="macro"),
        "f1_micro": t.f1_score(chances, b, **kind, average="micro"),
        "precision": t.precision(chances, b, **kind, average="macro"),
        "subset_accuracy": t.exact_match(chances, b, **kind),
        "hamming": t.hamming_distance(chances, b, **kind, average="micro"),
        "auc": t.auroc(chances, b, **kind, average="macro"),
    }
    assert {name: got[name] for name in theirs} == pytest.approx({k: float(v) for k, v in theirs.items()}, rel=1e-5)


@pytest.mark.parametrize("shape", [(40,), (40, 1), (40, 3), (40, 2, 3)])
def test_every_metric_of_regression_is_both(shape: tuple[int, ...]) -> None:
    import torch
    import torchmetrics.functional as t

    generator = np.random.default_rng(0)
    y = generator.normal(size=shape).astype(np.float32)
    guess = (y + generator.normal(size=shape)).astype(np.float32)
    got = metrics.score("regression", guess, y, ["mse", "mae", "rmse"])
    true, said = y.reshape(40, -1), guess.reshape(40, -1)
    assert got == pytest.approx(
        {
            "r2": sklearn.metrics.r2_score(true, said, multioutput="variance_weighted"),
            "mse": sklearn.metrics.mean_squared_error(true, said),
            "mae": sklearn.metrics.mean_absolute_error(true, said),
            "rmse": sklearn.metrics.mean_squared_error(true.ravel(), said.ravel()) ** 0.5,
        },
        rel=1e-6,
    )
    a, b = torch.from_numpy(said), torch.from_numpy(true)
    theirs = {
        "r2": t.r2_score(a, b, multioutput="variance_weighted"),
        "mse": t.mean_squared_error(a, b),
        "mae": t.mean_absolute_error(a, b),
    }
    assert {name: got[name] for name in theirs} == pytest.approx({k: float(v) for k, v in theirs.items()}, rel=1e-5)


def test_one_logit_is_the_second_of_two() -> None:
    logits, y = examples(0, classes=2)
    one = logits[:, 1] - logits[:, 0]
    names = ["auc", "log_loss", "balanced_accuracy", "calibration_error"]
    two = metrics.score("classification", logits, y, names)
    for shape in ((300,), (300, 1)):
        assert metrics.score("classification", one.reshape(shape), y, names) == pytest.approx(two, rel=1e-6)
        assert np.array_equal(metrics.confusion(one.reshape(shape), y, 2), metrics.confusion(logits, y, 2))
    chances = softmax(logits.astype(float), axis=1)[:, 1]
    assert two["auc"] == pytest.approx(sklearn.metrics.roc_auc_score(y, chances))


def test_equal_scores_count_half_in_the_area() -> None:
    logits = np.array([0.0, 0.0, 1.0, -1.0, 0.0, 2.0])
    y = np.array([0, 1, 1, 0, 0, 0])
    got = metrics.score("classification", logits, y, ["auc"])["auc"]
    assert got == pytest.approx(sklearn.metrics.roc_auc_score(y, logits))
    alone = metrics.score("classification", logits, np.ones(6, dtype=int), ["auc", "auc_per_class"])
    assert np.isnan([alone["auc"], alone["auc[0]"]]).all()  # no negative example: there is no area


def test_large_logits_overflow_nothing() -> None:
    logits = np.array([[1e30, 0, -1e30], [5e4, 6e4, 0]], dtype=np.float32)
    got = metrics.score("classification", logits, np.array([0, 0]), ["log_loss", "calibration_error", "auc"])
    assert got["log_loss"] == pytest.approx(5e3)
    assert got["calibration_error"] == pytest.approx(0.5)
    assert metrics.score("language", logits[None], np.array([[2, 2]]), ["perplexity"])["perplexity"] == np.inf


def test_the_area_is_not_lost_where_probabilities_saturate() -> None:
    """Ranks of sigmoids of 40 and 50 are equal in floating point; those of the logits are not."""
    got = metrics.score("classification", np.array([40.0, 50.0, 60.0]), np.array([0, 1, 1]), ["auc"])
    assert got["auc"] == 1


def test_r2_is_one_for_the_truth_and_zero_for_the_mean() -> None:
    y = np.random.default_rng(0).normal(size=(50, 2, 3))
    assert metrics.regression(y, y)["r2"] == pytest.approx(1)
    assert metrics.regression(np.broadcast_to(y.mean(0), y.shape), y)["r2"] == pytest.approx(0)
    flat = np.ones((4, 1))
    assert metrics.regression(flat, flat)["r2"] == sklearn.metrics.r2_score(flat, flat) == 1
    assert metrics.regression(flat + 1, flat)["r2"] == sklearn.metrics.r2_score(flat, flat + 1) == 0


def test_one_flat_output_does_not_drown_the_others() -> None:
    y = np.random.default_rng(0).normal(size=(50, 2))
    y[:, 1] *= 1e-6
    assert metrics.regression(y + np.array([0, 1e-5]), y)["r2"] > 0.99


def test_positions_that_do_not_count_change_nothing() -> None:
    logits, y = examples(0)
    names = ["perplexity", "top_2", "calibration_error"]
    before = metrics.score("language", logits.reshape(100, 3, -1), y.reshape(100, 3), names)
    more = np.concatenate([logits.reshape(100, 3, -1), np.ones((100, 2, CLASSES))], 1)
    padded = np.concatenate([y.reshape(100, 3), np.full((100, 2), IGNORED)], 1)
    assert metrics.score("language", more, padded, names) == pytest.approx(before)
    assert metrics.score("language", more, padded)["accuracy"] == pytest.approx(before["accuracy"])
    assert metrics.language(more.argmax(-1), padded)["accuracy"] == pytest.approx(before["accuracy"])


def test_every_task_has_its_names_and_its_score() -> None:
    for task, names in metrics.NAMES.items():
        assert metrics.SCORE[task] in names
        assert set(metrics.available(task)) <= set(metrics.HIGHER_IS_BETTER)
        assert set(names) <= set(metrics.available(task))


@pytest.mark.parametrize("task", ["classification", "language", "multilabel", "regression"])
def test_every_name_that_is_offered_is_there(task: Task) -> None:
    logits, y = labelled(0) if task == "multilabel" else examples(0)
    if task == "language":
        logits, y = logits[:, None], y[:, None]
    if task == "regression":
        logits = logits[:, 0]
    names = ["top_2" if name == "top_k" else name for name in metrics.available(task)]
    got = metrics.score(task, logits, y, names)
    given = {name.partition("[")[0] for name in got} | {"loss"}
    assert given >= {name.removesuffix("_per_class") for name in names}
    assert all(isinstance(value, float) for value in got.values())
    assert set(metrics.score(task, logits, y)) == set(metrics.NAMES[task]) - {"loss"}


def test_which_way_is_up() -> None:
    up = ["accuracy", "f1[3]", "top_5", "r2", "auc_per_class"]
    down = ["loss", "log_loss", "perplexity", "calibration_error", "hamming", "mae"]
    assert all(metrics.higher_is_better(name) for name in up)
    assert not any(metrics.higher_is_better(name) for name in down)


def test_a_metric_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("mine")
    module.cost = lambda outputs, targets: np.abs(outputs.argmax(1) - targets).mean()  # type: ignore[attr-defined]
    module.cost.higher_is_better = False  # type: ignore[attr-defined]
    module.number = 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mine", module)
    logits, y = examples(0)
    wanted = float(np.abs(logits.argmax(1) - y).mean())
    assert metrics.score("classification", logits, y, ["mine:cost"])["mine:cost"] == pytest.approx(wanted)
    assert metrics.score("classification", logits, y, ["c"], {"c": module.cost})["c"] == pytest.approx(wanted)  # type: ignore[attr-defined]
    assert not metrics.higher_is_better("mine:cost")
    for name, message in (
        ("mine:missing", "AttributeError"),
        ("nowhere:f", "ModuleNotFoundError"),
        ("mine:number", "int"),
    ):
        with pytest.raises(FaninValueError, match=message):
            metrics.check([name], "classification")


def test_a_metric_that_changes_what_it_is_given_changes_nothing_of_ours() -> None:
    def grasping(outputs: np.ndarray, targets: np.ndarray) -> float:
        outputs[:], targets[:] = 0, 0
        return 1.0

    outputs, targets = np.eye(3), np.arange(3)
    got = metrics.score("classification", outputs, targets, ["grasping"], {"grasping": grasping})
    assert (got["grasping"], outputs.tolist(), targets.tolist()) == (1.0, np.eye(3).tolist(), [0, 1, 2])


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("acuracy", "classification", "did you mean 'accuracy'"),
        ("accuracy", "regression", "is unknown for regression; accepted are r2"),
        ("top_k", "classification", "write top_5, say"),
        ("top_6", "classification", "from 1 to the 5 classes"),
        ("top_0", "classification", "from 1"),
        ("top_2", "regression", "unknown for regression"),
        ("f1[3]", "classification", "unknown"),
    ],
)
def test_a_metric_that_does_not_exist_is_said_in_one_sentence(name: str, task: Task, message: str) -> None:
    with pytest.raises(FaninValueError, match=message) as caught:
        metrics.check([name], task, CLASSES)
    assert "\n" not in str(caught.value)
    with pytest.raises(FaninTypeError, match="metric=3"):
        metrics.check([3], task)  # type: ignore[list-item]


def test_shapes_must_agree() -> None:
    with pytest.raises(FaninValueError, match=r"predicted has shape \(3,\)"):
        metrics.language(np.zeros(3), np.zeros(4))
    for task, outputs, targets in (
        ("classification", np.zeros((3, 2)), np.zeros(4, dtype=int)),
        ("language", np.zeros((3, 2)), np.zeros(4, dtype=int)),
        ("regression", np.zeros((3, 2)), np.zeros(4)),
        ("multilabel", np.zeros((3, 2)), np.zeros((3, 4))),
    ):
        with pytest.raises(FaninValueError, match="shape"):
            metrics.score(task, outputs, targets)


def test_the_best_constant_is_what_it_says() -> None:
    x, y, other = np.zeros((4, 1)), np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1])
    got = metrics.constant(load((x, y, x, other)), ["balanced_accuracy"])
    assert got["accuracy"] == got["balanced_accuracy"] == 0.5
    assert got["loss"] == pytest.approx(-(np.log(0.25) + np.log(0.75)) / 2, rel=1e-3)
    rare = metrics.constant(load("imbalanced"))
    assert next(iter(rare)) == "balanced_accuracy"  # the score of the set comes first
    assert rare["balanced_accuracy"] == 0.5
    number = metrics.constant(load((x, y / 1.0, x, other / 1.0)))
    assert number["loss"] == pytest.approx(np.mean((other - 0.75) ** 2))
    assert number["r2"] == pytest.approx(1 - number["loss"] / 0.25)
    many = metrics.constant(load((x, y[:, None] > 0, x, other[:, None] > 0)))
    assert many["subset_accuracy"] == 0.5
    assert many["loss"] == pytest.approx(got["loss"], rel=1e-3)


def test_an_output_beyond_the_classes_is_in_no_column_of_the_confusion() -> None:
    outputs = np.eye(20)[[15, 2, 12, 1]]  # a head of twenty on three classes
    assert metrics.confusion(outputs, np.array([0, 1, 2, 1]), 3).tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 0]]


def test_a_metric_of_the_current_folder_is_found(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "costs_of_a_test.py").write_text("def cost(outputs, targets):\n    return 2.0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(tmp_path))])
    logits, y = examples(0)
    assert metrics.score("classification", logits, y, ["costs_of_a_test:cost"])["costs_of_a_test:cost"] == 2
