"""A comparison: pairs, partial results, failures, other processes, and its file."""

import importlib.util
import json
import math
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.lab import models
from torch import nn

from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.lab import Comparison, RunResult, compare
from fanin.lab.data import load
from fanin.lab.statistics import mean_interval, wilson
from fanin.lab.summary import summarise
from fanin.reports.compared import verdict

QUICK: dict[str, Any] = {"data": "digits:256", "steps": 10, "evaluations": 2}


@pytest.fixture(scope="module")
def result() -> Comparison:
    """Two inits, three seeds."""
    return compare(models.deep, {"default": "default", "he": models.he}, seeds=3, steps=60, data="digits:256", lr=0.02)


def test_every_init_is_run_with_every_seed_in_order(result: Comparison) -> None:
    assert [(r.init, r.seed) for r in result.results] == [(i, s) for i in ("default", "he") for s in (0, 1, 2)]
    assert result.metrics == ("accuracy", "precision", "recall", "f1", "loss")
    assert [s.runs for s in result.summaries] == [3, 3]
    assert result.settings.steps == 60
    assert result.settings.input_shape == (64,)


def test_a_better_init_is_found_better(result: Comparison) -> None:
    difference = result.difference("he")
    assert difference is not None
    assert difference.baseline == "default"
    assert difference.interval.value > 0.2
    assert difference.wins == 3
    assert math.isnan(difference.p)  # three pairs cannot show anything by a test
    assert result.difference("default") is None


def test_differences_are_paired_by_seed(result: Comparison) -> None:
    by_hand = [
        a.metrics["loss"] - b.metrics["loss"] for a, b in zip(result.runs("he"), result.runs("default"), strict=True)
    ]
    assert result.difference("he", "loss").interval.value == pytest.approx(sum(by_hand) / 3)  # type: ignore[union-attr]


def test_another_init_changes_nothing_of_the_first() -> None:
    alone = compare(models.with_dropout, ["default"], seeds=2, **QUICK)
    beside = compare(models.with_dropout, [models.he, "default", "lsuv"], seeds=2, **QUICK)
    for a, b in zip(alone.runs("default"), beside.runs("default"), strict=True):
        assert (a.train_loss, a.metrics) == (b.train_loss, b.metrics)


def test_equal_weights_make_equal_pairs() -> None:
    got = compare(models.with_dropout, {"default": "default", "idle": models.untouched}, seeds=6, **QUICK)
    for difference in got.differences:
        assert (difference.interval.value, difference.ties, difference.p) == (0, 6, 1)


def explode(model: nn.Module) -> None:
    """An init whose first step is not finite."""
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1e25)


def test_diverged_runs_are_counted_and_kept_in_where_runs_are_paired() -> None:
    got = compare(models.small, ["default", explode], seeds=2, **QUICK)
    summary = got.summary("explode")
    assert (summary.runs, summary.diverged) == (2, 2)
    assert summary.metrics == {}
    assert summary.overall["accuracy"] == pytest.approx(0.1, abs=0.02)
    assert got.difference("explode").interval.count == 2  # type: ignore[union-attr]
    assert any("2 of 2 runs of explode diverged: 100 % (" in note for note in got.notes)
    assert "(all 2 diverged)" in verdict(replace(got, inits=("explode",), summaries=(summary,))).headline


def test_means_are_of_the_runs_that_converged_and_the_share_that_did_not_has_its_own_interval() -> None:
    seen = iter(range(20))

    def sometimes(model: nn.Module) -> None:
        explode(model) if next(seen) % 4 == 3 else models.he(model)

    got = compare(models.small, {"default": "default", "sometimes": sometimes}, seeds=8, steps=60, data="digits:256")
    summary = got.summary("sometimes")
    whole = [r.metrics["accuracy"] for r in got.runs("sometimes") if not r.diverged]
    assert (summary.runs, summary.diverged, len(whole)) == (8, 2, 6)
    assert summary.metrics["accuracy"] == mean_interval(whole)
    assert summary.diverged_share == wilson(2, 8)
    assert summary.overall["accuracy"] < min(whole)  # with two that score as a constant
    assert got.difference("sometimes").interval.count == 8  # type: ignore[union-attr]
    again = Comparison.from_dict(json.loads(json.dumps(got.to_dict(), allow_nan=False)))
    assert again == got
    mean, share = f"{np.mean(whole):.3f}", "2 of 8: 25 % ("
    row = next(line for line in str(got).splitlines() if line.split()[:2] == ["sometimes", mean])
    assert row.split()[-1] == "2/8"
    assert "2 of 8 runs of sometimes diverged: 25 % (" in " ".join(str(got).split())
    assert f'<td class="">{mean} ' in got._repr_html_()
    assert share in got._repr_html_()


def test_a_target_that_is_never_reached_is_censored_at_the_last_step() -> None:
    got = compare(models.small, ["default"], seeds=2, target=0.999, **QUICK)
    steps = got.summary("default").steps_to_target
    assert steps is not None
    assert (steps.reached, steps.runs, steps.median, steps.restricted_mean, steps.horizon) == (0, 2, None, 10, 10)


def test_ctrl_c_leaves_the_whole_pairs() -> None:
    seen: list[RunResult] = []

    def stop(run: RunResult) -> None:
        seen.append(run)
        if len(seen) == 5:
            raise KeyboardInterrupt

    got = compare(models.small, {"default": "default", "he": models.he}, seeds=4, on_result=stop, **QUICK)
    assert got.interrupted
    assert len(got.results) == 5
    assert [s.runs for s in got.summaries] == [2, 2]  # the third seed lacks one init
    assert got.difference("he").interval.count == 2  # type: ignore[union-attr]
    assert any("Interrupted after 5 of 8 runs" in note for note in got.notes)


def test_ctrl_c_before_the_first_run_is_done_is_still_a_result(tmp_path: Path) -> None:
    def stop(model: nn.Module) -> None:
        raise KeyboardInterrupt

    got = compare(models.small, [stop], seeds=2, **QUICK)
    assert got.interrupted
    assert got.results == ()
    assert got.summary("stop").runs == 0
    assert got.summary("stop").metrics == {}
    assert Comparison.load(got.save(tmp_path / "c.json")).interrupted


def test_an_init_that_fails_is_left_out_and_said() -> None:
    def broken(model: nn.Module) -> None:
        raise RuntimeError("no such layer")

    got = compare(models.small, ["default", broken, models.he], seeds=2, **QUICK)
    assert got.summary("broken").failed == 1
    assert got.summary("broken").runs == 0
    assert got.summary("default").runs == got.summary("he").runs == 2
    assert any(note == "broken could not be run and is left out: RuntimeError: no such layer" for note in got.notes)
    assert got.difference("broken") is None
    assert got.difference("he") is not None
    with pytest.raises(FaninError, match="no run could be done; broken: RuntimeError: no such layer") as caught:
        compare(models.small, [broken], seeds=2, **QUICK)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_processes_give_what_one_process_gives(tmp_path: Path) -> None:
    """The factory is from a file that a fresh process could not import by name, as the command line loads it."""
    file = tmp_path / "net_of_mine.py"
    file.write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10))\n"
    )
    spec = importlib.util.spec_from_file_location("net_of_mine", file)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["net_of_mine"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        one = compare(module.net, ["default", "lsuv"], seeds=2, **QUICK)
        two = compare(module.net, ["default", "lsuv"], seeds=2, workers=2, **QUICK)
    finally:
        del sys.modules["net_of_mine"]
    for a, b in zip(one.results, two.results, strict=True):
        assert (a.init, a.seed, a.steps) == (b.init, b.seed, b.steps)
        assert a.train_loss == pytest.approx(b.train_loss)
        assert a.metrics == pytest.approx(b.metrics)


def test_what_cannot_be_sent_to_a_process_is_said() -> None:
    held = (number for number in range(3))  # no pickle of a generator
    with pytest.raises(FaninValueError, match="define it at the top of a module, or use workers=1"):
        compare(lambda: (held, models.small())[1], ["default"], seeds=1, workers=2, **QUICK)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_real_ctrl_c_ends_the_processes_and_saves_what_there_is(tmp_path: Path, workers: int) -> None:
    script = tmp_path / "go.py"
    script.write_text(
        textwrap.dedent(f"""
            import os, signal
            from fanin.lab import compare
            from tests.lab import models

            def stop(run):
                os.kill(os.getpid(), signal.SIGINT)

            if __name__ == "__main__":
                got = compare(models.small, ["default"], seeds=50, workers={workers}, on_result=stop,
                              data="digits:256", steps=10)
                got.save("partial.json")
        """)
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    got = Comparison.load(tmp_path / "partial.json")
    assert got.interrupted
    assert 1 <= len(got.results) < 50


def test_it_is_saved_whole_and_read_back_equal(result: Comparison, tmp_path: Path) -> None:
    path = result.save(tmp_path / "comparison.json")
    assert Comparison.load(path) == result
    assert list(tmp_path.iterdir()) == [path]


def test_it_shows_itself(result: Comparison) -> None:
    text = str(result)
    assert all(init in text for init in result.inits)
    assert max(map(len, text.splitlines())) <= 80
    assert "he" in result._repr_html_()


def test_what_was_interrupted_at_once_shows_itself_too() -> None:
    def stop(model: nn.Module) -> None:
        raise KeyboardInterrupt

    got = compare(models.small, {"default": stop, "other": models.he}, seeds=2, **QUICK)
    assert "nterrupted" in str(got)
    assert got._repr_html_()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "it is not whole JSON text"),
        (lambda text: text.replace('"version": 2', '"version": 99'), "its version is 99, accepted is 2"),
        (lambda text: text.replace('"seed": 0', '"seed": "zero"', 1), r"results\[0\]\.seed is 'zero'"),
        (lambda text: "[]", "its version is None"),
        (lambda text: json.dumps({"version": 2}), "lacks the fields"),
    ],
)
def test_a_damaged_file_is_refused(result: Comparison, tmp_path: Path, damage: Any, message: str) -> None:
    path = result.save(tmp_path / "comparison.json")
    path.write_text(damage(path.read_text()))
    with pytest.raises(FaninValueError, match=message):
        Comparison.load(path)


def test_files_that_cannot_be_read_or_written_are_said(result: Comparison, tmp_path: Path) -> None:
    with pytest.raises(FaninValueError, match="cannot be read"):
        Comparison.load(tmp_path / "none.json")
    with pytest.raises(FaninValueError, match="cannot be written"):
        result.save(tmp_path / "nowhere" / "c.json")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seeds": 0}, FaninValueError, "seeds=0 must be at least 1"),
        ({"seeds": [1, 1]}, FaninValueError, "each once"),
        ({"seeds": [-1]}, FaninValueError, "seeds=-1 must be at least 0"),
        ({"seeds": "3"}, FaninTypeError, "must be a number or a list of seeds"),
        ({"inits": []}, FaninValueError, "inits is empty"),
        ({"inits": ["default", "default"]}, FaninValueError, "default more than once"),
        ({"inits": 3}, FaninTypeError, "must be a list of names"),
        ({"epochs": 0}, FaninValueError, "epochs=0 must be large enough for one step"),
        ({"epochs": float("inf")}, FaninValueError, "epochs=inf must be large enough for one step, and finite"),
        ({"validation": 1.0}, FaninValueError, "validation=1.0 must be a share"),
        ({"workers": 0}, FaninValueError, "workers=0 must be at least 1"),
        ({"optimizer": "lion"}, FaninValueError, "accepted are sgd, adam, adamw"),
        ({"data": "mnist"}, FaninValueError, "data='mnist' is unknown"),
    ],
)
def test_arguments_are_checked_before_anything_is_trained(arguments: dict, error: type, message: str) -> None:
    def never(run: RunResult) -> None:
        raise AssertionError("trained")

    with pytest.raises(error, match=message):
        compare(models.small, **{"inits": ["default"], "data": "digits:256", **arguments}, on_result=never)


def test_references_are_scored_on_the_same_split() -> None:
    got = compare(models.small, ["default"], seeds=1, references=True, **QUICK)
    assert [line.name for line in got.references] == [
        "constant", "logistic regression", "linear svm", "rbf svm", "nearest neighbours", "tree", "forest",
    ]  # fmt: skip
    assert all(set(line.metrics) == {"accuracy", "precision", "recall", "f1"} for line in got.references)
    assert got.references[1].metrics["accuracy"] > 0.9


def test_what_is_to_be_known_of_a_learner_is_among_the_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanin.lab.reference.MOST_EXAMPLES", 50)
    got = compare(models.small, ["default"], seeds=1, references=True, **QUICK)
    assert [note for note in got.notes if note.startswith("tree: fitted on 50 of ")]


def test_runs_are_not_lost_where_the_learners_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(data):
        raise FaninValueError("no")

    monkeypatch.setattr("fanin.lab.reference.reference_lines", failing)
    got = compare(models.small, ["default"], seeds=1, references=True, **QUICK)
    assert (len(got.results), got.notes[-1]) == (1, "Ordinary learners could not be fitted: no.")


def test_regression_has_references_too() -> None:
    got = compare(lambda: nn.Linear(10, 1), ["default"], data="diabetes", seeds=1, steps=5, references=True)
    assert {line.name for line in got.references} >= {"linear regression", "ridge", "forest"}
    assert "linear regression" in str(got)


def test_ctrl_c_in_the_references_keeps_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(data: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fanin.lab.reference.reference_lines", stop)
    got = compare(models.small, ["default"], seeds=1, references=True, **QUICK)
    assert not got.interrupted
    assert got.summary("default").runs == 1
    assert got.references == ()
    assert "ordinary learners" in got.notes[-1]


def test_progress_is_shown_on_demand_and_gone_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    compare(models.small, ["default"], seeds=2, progress=True, **QUICK)
    out, _ = capsys.readouterr()
    assert out == ""  # what a pipe reads stays clean


def test_a_data_set_with_a_score_of_its_own_is_judged_by_it() -> None:
    data = load("imbalanced")

    def net() -> nn.Module:
        return nn.Sequential(nn.Linear(data.forms[0][0], 8), nn.ReLU(), nn.Linear(8, data.classes))

    result = compare(net, {"default": "default", "he": models.he}, seeds=2, steps=10, data="imbalanced", evaluations=2)
    assert result.score == "balanced_accuracy"
    assert result.metrics == ("balanced_accuracy", "accuracy", "precision", "recall", "f1", "loss")
    assert all(0 <= r.metrics["balanced_accuracy"] <= 1 for r in result.results)
    assert "balanced_accuracy" in verdict(result).headline


def test_a_verdict_is_the_paired_tests_after_holms_correction(result: Comparison) -> None:
    """Three seeds can show nothing, however far apart the inits are; six can, where one beats the other in each."""
    assert "; too few seeds to say)" in verdict(result).headline
    (difference,) = (d for d in result.differences if d.metric == "accuracy")
    for finding, words in (("better", ")"), ("no difference shown", "; no difference shown)")):
        found = verdict(replace(result, differences=(replace(difference, finding=finding),)))
        assert found.headline.endswith(f"over default{words}")
        assert found.level == ("ok" if finding == "better" else "info")
    runs = [replace(r, seed=10 * k + r.seed) for k in (1, 2) for r in result.results]  # each of the three, twice
    for copies, finding in ((runs, "better"), (runs[: len(runs) // 2], "too few seeds to say")):
        _, told = summarise(copies, result.inits, ("accuracy", "loss"), None)
        assert [d.finding for d in told] == [finding, finding]  # a smaller loss is better, a larger accuracy too
        assert [d.wins for d in told] == [len(copies) // 2] * 2


def linear() -> nn.Module:
    """Of the ten features of diabetes."""
    return nn.Linear(10, 1)


def far(model: nn.Module) -> None:
    """An init that starts far from anything good."""
    with torch.no_grad():
        model.weight.fill_(3.0)  # type: ignore[union-attr, operator]


def test_where_a_smaller_score_is_better_the_smallest_wins() -> None:
    data = replace(load("diabetes"), score="rmse")
    got = compare(linear, {"far": far, "default": "default"}, data=data, seeds=6, steps=40, lr=0.01, target=1.0)
    means = {s.init: s.overall["rmse"] for s in got.summaries}
    assert means["default"] < means["far"]
    difference = got.difference("default", "rmse")
    assert difference is not None
    assert (difference.finding, difference.wins, difference.losses) == ("better", 6, 0)
    assert difference.interval.value < 0
    assert difference.interval.value == pytest.approx(means["default"] - means["far"])
    found = verdict(got)
    assert found.level == "ok"
    assert found.headline.startswith("default is the best: rmse ")
    assert "better on 6 of 6 seeds" in str(got)
    assert "lower is better" in str(got)
    for run in got.results:  # the first look at which the error is small enough
        low = [step for step, score in zip(run.eval_steps, run.eval_score, strict=True) if score <= 1.0]
        assert run.reached_at == (low[0] if low else None)
    assert all(r.eval_score[0] > 1.0 and r.reached_at != 0 for r in got.runs("far"))


def test_curves_are_of_the_held_out_part_and_the_test_part_is_looked_at_once() -> None:
    """With test targets that no model can guess, every curve still rises, and only the final metrics tell."""
    data = load("digits:256")
    shifted = replace(data, test_targets=(data.test_targets + 1) % 10)
    options: dict[str, Any] = {"seeds": 2, "steps": 60, "lr": 0.05, "target": 0.5}
    got = compare(models.small, ["default"], data=shifted, **options)
    plain = compare(models.small, ["default"], data=data, **options)
    for run, other in zip(got.results, plain.results, strict=True):
        assert (run.eval_score, run.eval_loss, run.train_loss) == (other.eval_score, other.eval_loss, other.train_loss)
        assert run.reached_at == other.reached_at is not None
        assert run.eval_score[-1] > 0.7 > 0.2 > run.metrics["accuracy"]
    assert (got.settings.train_examples, got.settings.held_examples, got.settings.test_examples) == (230, 26, 450)
    assert "accuracy on the held-out part through training" in str(got)
    assert "On the held-out part; thin lines" in got._repr_html_()
    whole = compare(models.small, ["default"], data=shifted, validation=0, **options)
    assert whole.settings.held_examples == 0
    assert whole.results[0].eval_score[-1] == whole.results[0].metrics["accuracy"]
    assert "Nothing was held out" in " ".join(str(whole).split())
    own = compare(models.small, ["default"], data=data.with_validation(0.5), **options)
    assert (own.settings.train_examples, own.settings.held_examples) == (128, 128)
