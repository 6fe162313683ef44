"""What a terminal shows of a study, and that nothing is shown where there is none."""

import io
import sys

import pytest

from fanin.lab import study_progress
from fanin.lab.driver import StudyProgress
from fanin.lab.study import RunConfig, RunRow, TrainingSettings
from fanin.lab.study_progress import duration, outcome, show_study, words


def row(**values: object) -> RunRow:
    config = RunConfig("mlp", "he_normal", "digits", "sgd", 0.03, 64, 2, TrainingSettings())
    return RunRow("k", config, **({"state": "done"} | values))  # type: ignore[arg-type]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with show_study() as show:
        show(StudyProgress(10, done=3, share=0.3))
    assert capsys.readouterr() == ("", "")


def test_lines_where_they_are_asked_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(study_progress.time, "monotonic", lambda: now[0])
    with show_study(True) as show:
        for second in range(100):
            now[0] = float(second)
            show(StudyProgress(100, done=second, share=second / 100, left=100.0 - second))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(" runs")[0] for line in err.splitlines()] == ["30 of 100", "60 of 100", "90 of 100", "99 of 100"]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with show_study() as show:
        show(
            StudyProgress(
                8,
                done=2,
                failed=1,
                running=2,
                share=0.5,
                left=61.0,
                rows=(row(state="failed", error="[no] such layer"),),
            )
        )
    shown = stream.getvalue()
    assert "50%" in shown
    assert "3 of 8 runs (1 failed), 2 at work, about 1 min left" in shown
    assert "he_normal, lr 0.03, seed 2: failed ([no] such layer)" in shown


def test_a_flood_of_failures_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with show_study(True) as show:
        for _ in range(50):
            show(StudyProgress(50, rows=(row(state="failed", error="no such layer"),)))
    assert stream.getvalue().count("no such layer") == study_progress.TOLD


def test_words() -> None:
    assert words(StudyProgress(4, done=4, share=1.0, left=0.0)) == "4 of 4 runs"
    assert words(StudyProgress(4)) == "0 of 4 runs"
    assert (
        words(StudyProgress(1200, done=1100, running=1, left=9.0)) == "1,100 of 1,200 runs, 1 at work, about 10 s left"
    )
    assert duration(3599.0) == "about 1 h"
    assert duration(86300.0) == "about 1 day"
    assert duration(float("inf")) == "no end in sight"
    assert outcome(row(held={"accuracy": 0.91234, "loss": 1.0})) == "he_normal, lr 0.03, seed 2: accuracy 0.912"
    assert outcome(row(diverged=True, steps=17)) == "he_normal, lr 0.03, seed 2: diverged at step 17"
