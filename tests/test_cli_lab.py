"""`fanin lab`: what it prints, what it writes, what it refuses, and how it ends."""

import csv
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fanin.cli import main
from fanin.lab.store.study_file import write_study
from fanin.lab.studies import names, shipped
from fanin.lab.study.grid import configs

TINY = """
name = "tiny"
question = "Does it run?"
answer = "It does."
[grid]
model = "mlp(depth={depth}, width=4)"
plan = ["default", "he_normal"]
data = "wine"
depth = [1, 2]
lr = 0.1
seeds = 2
[training]
epochs = 2
evaluations = 2
[[expect]]
says = "No run is perfect."
kind = "at_most"
plan = "he_normal"
value = 1.0
[small.grid]
depth = 1
"""
OWN = """
import torch
from torch import nn
from fanin.lab.study.make import make_study
from fanin.lab.study.records import Study

def net(width=4):
    return nn.Sequential(nn.Linear(13, width), nn.ReLU(), nn.Linear(width, 3))

def raising():
    raise ValueError("this is the user's own mistake")

plain = Study("plain", models=("own.py:net",), data=("wine",), lrs=(0.1,), seeds=(0,))
made = make_study("made", models={"net": net}, data="wine", lrs=[0.1], seeds=1, plans=["default"])
broken = Study("broken", models=("own.py:raising",), data=("wine",), lrs=(0.1,), seeds=(0,))
number = 3
"""


@dataclass
class Run:
    status: int
    out: str
    err: str


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Runs `fanin lab …` in this process, in a folder that holds tiny.toml and own.py."""
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: str) -> Run:
        with pytest.raises(SystemExit) as ended:
            main(["lab", *arguments])
        out, err = capsys.readouterr()
        return Run(int(ended.value.code or 0), out, err)

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_one_study_from_its_file_to_its_report(lab, tmp_path: Path) -> None:
    run = lab("run", "tiny.toml", "--executor", "serial")
    assert run.status == 0
    assert "tiny: 8 runs, " in run.err
    assert "on 1 worker of this machine" in run.err
    said = " ".join(run.err.split())
    assert "beware: 2 seeds cannot show any difference in one comparison, whatever comes out" in said
    assert "it takes 6" in said
    assert "2 seeds cannot show any difference in one comparison" in " ".join(run.out.split())
    assert "Does it run?" in run.out
    assert "came out" in run.out
    assert max(map(len, run.out.splitlines())) <= 80

    again = lab("run", "tiny.toml", "--executor", "serial")
    assert (again.status, "all 8 runs are done already" in again.err) == (0, True)

    status = lab("status", "tiny")
    assert "8 of 8 done (0 diverged), 0 failed, 0 to do" in status.out
    assert "it is done" in status.out

    report = lab("report", "tiny", "--html", "r.html", "--md", "r.md", "--notebook", "r.ipynb")
    assert (report.status, report.out) == (0, "")
    assert "Does it run?" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "r.md").read_text().startswith("#")
    assert json.loads((tmp_path / "r.ipynb").read_text())["nbformat"] == 4
    assert lab("report", "tiny").out == run.out

    assert lab("export", "tiny", "--csv", "r.csv").status == 0
    rows = list(csv.DictReader((tmp_path / "r.csv").open()))
    assert len(rows) == 8
    assert {row["model"] for row in rows} == {"mlp(depth=1, width=4)", "mlp(depth=2, width=4)"}

    more = lab("run", "tiny.toml", "--executor", "serial", "--seeds", "3")
    assert "tiny: 4 runs, " in more.err
    assert "12 of 12 done" in lab("status", "tiny").out


def test_what_a_driver_leaves_that_is_killed_while_it_makes_a_study_is_in_nobodys_way(lab, tmp_path: Path) -> None:
    folder = tmp_path / "tiny-small"
    folder.mkdir()
    for name in ("lock", ".study.json.abc.tmp"):
        (folder / name).write_text("")
    assert lab("run", "tiny.toml", "--small", "--executor", "serial").status == 0


def test_the_small_size_has_a_folder_of_its_own(lab, tmp_path: Path) -> None:
    assert lab("run", "tiny.toml", "--small", "--executor", "serial").status == 0
    assert (tmp_path / "tiny-small" / "study.json").is_file()
    assert "4 of 4 done" in lab("status", "tiny-small").out


def test_studies_of_python_files_are_run_and_resumed(lab) -> None:
    assert lab("run", "own.py:plain", "--executor", "serial").status == 0
    assert lab("run", "own.py:made", "--executor", "serial").status == 0
    resumed = lab("resume", "made", "--executor", "serial")
    assert (resumed.status, "all 1 runs are done already" in resumed.err) == (0, True)
    assert lab("run", "plain/study.json", "--out", "again", "--executor", "serial").status == 0


def test_a_study_is_shown_and_can_be_taken_as_a_file_of_ones_own(lab, tmp_path: Path) -> None:
    shown = lab("show", "tiny.toml")
    assert shown.status == 0
    for words in ("Does it run?", "It does.", "depth       1, 2", "No run is perfect.", "8 runs, "):
        assert words in shown.out
    (tmp_path / "copy.toml").write_text(lab("show", "symmetry", "--toml").out)
    assert lab("show", "copy.toml", "--toml").out == lab("show", "symmetry", "--toml").out


def test_the_list_names_every_study_with_its_sizes(lab) -> None:
    out = lab("list").out
    assert len(names()) >= 15
    for name in names():
        file = shipped(name)
        line = next(line for line in out.splitlines() if line.startswith(name))
        assert file.small is not None
        assert line.split()[1] == f"{len(configs(file.small)):,}"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "symetry"), "STUDY='symetry' is unknown; accepted are"),
        (("run", "symetry"), "did you mean 'symmetry'?"),
        (("run", "tny.toml"), "does not exist; did you mean tiny.toml?"),
        (("run", "own.py:nothing"), "has no 'nothing'"),
        (("run", "own.py:number"), "is an int, but must be a Study"),
        (("run", "own.py:plain", "--small"), "--small: own.py:plain has no small size"),
        (("run", "own.py:broken"), "this is the user's own mistake"),
        (
            ("run", "own.py:raising"),
            "own.py:raising raised ValueError: this is the user's own mistake when it was called",
        ),
        (("run", "missing.py:x"), "the file missing.py does not exist"),
        (("run", "tiny.toml", "--out", "tiny.toml"), "--out tiny.toml is a file"),
        (("run", "tiny.toml", "--out", "."), "holds other files"),
        (("run", "tiny.toml", "--out", "long" * 100), "cannot be read (File name too long)"),
        (("run", "tiny.toml", "--workers", "0"), "--workers"),
        (("run", "tiny.toml", "--executor", "cloud"), "--executor"),
        (("resume", "nowhere"), "holds no study"),
        (("status", "nowhere"), "holds no study"),
        (("report", "nowhere"), "holds no study"),
        (("report", "nowhere", "--html", "no/such/folder.html"), "does not exist"),
        (("export", "nowhere"), "without --csv FILE or --parquet FILE"),
        (("watch", "nowhere"), "holds no study"),
    ],
)
def test_bad_input_is_one_sentence_status_two_and_changes_nothing(
    lab, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    before = files(tmp_path)
    run = lab(*arguments)
    assert run.status == 2
    assert sentence in run.err
    assert run.err.startswith("fanin: ")
    assert {k: v for k, v in files(tmp_path).items() if "__pycache__" not in k} == before


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[training]", "[trainning]", "the study has no key 'trainning'; did you mean 'training'?"),
        ("lr = 0.1", "lr = 0.0", "lr=0.0 must be above 0"),
        ("depth = [1, 2]", "depth = []", "grid.depth has no value"),
        ('"mlp(depth={depth}, width=4)"', '["mlp(depth={depth})", "resnet"]', "needs images"),
        ("value = 1.0", 'value = 1.0\nmetric = "acuracy"', "metric='acuracy' is not measured on wine"),
        ("epochs = 2", 'metrics = ["acuracy"]', "did you mean 'accuracy'?"),
        ('data = "wine"', 'data = "cifar10"\n', "cifar10"),
    ],
)
def test_a_study_file_with_a_fault_runs_nothing(lab, tmp_path: Path, monkeypatch, old, new, sentence) -> None:
    monkeypatch.delenv("FANIN_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert old in TINY
    (tmp_path / "tiny.toml").write_text(TINY.replace(old, new))
    before = files(tmp_path)
    run = lab("run", "tiny.toml", "--executor", "serial")
    assert (run.status, run.out) == (2, "")
    assert sentence in run.err
    assert run.err.strip().count("\n") == 0
    assert files(tmp_path) == before


def test_a_data_file_with_a_wrong_checksum_runs_nothing(lab, tmp_path: Path, monkeypatch) -> None:
    text = tmp_path / "data" / "tinyshakespeare" / "input.txt"
    text.parent.mkdir(parents=True)
    text.write_text("To be, or not to be: that is the question")
    monkeypatch.setenv("FANIN_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("FANIN_DATA_UNCHECKED", raising=False)
    (tmp_path / "tiny.toml").write_text(
        TINY.replace('"wine"', '"tinyshakespeare"').replace(
            '"mlp(depth={depth}, width=4)"', '"gru(depth={depth}, width=4)"'
        )
    )
    before = files(tmp_path)
    run = lab("run", "tiny.toml", "--executor", "serial")
    assert (run.status, run.out, run.err.strip().count("\n")) == (2, "", 0)
    assert f"data: the file {text} has the SHA-256" in run.err
    assert "but expected is 86c4e6aa" in run.err
    assert files(tmp_path) == before


def test_a_folder_of_a_newer_schema_and_a_port_in_use_are_refused(lab, tmp_path: Path) -> None:
    lab("run", "tiny.toml", "--small", "--executor", "serial")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = lab("watch", "tiny-small", "--port", str(port))
    assert (run.status, f"port={port}" in run.err) == (2, True)
    definition = tmp_path / "tiny-small" / "study.json"
    content = json.loads(definition.read_text())
    definition.write_text(json.dumps({**content, "schema": content["schema"] + 1}))
    before = files(tmp_path / "tiny-small")
    for command in ("status", "resume", "report"):
        run = lab(command, "tiny-small")
        assert run.status == 2
        assert "newer" in run.err
    assert files(tmp_path / "tiny-small") == before


def test_a_changed_study_is_not_mixed_with_the_results_of_another(lab, tmp_path: Path) -> None:
    lab("run", "tiny.toml", "--small", "--executor", "serial")
    (tmp_path / "tiny.toml").write_text(TINY.replace("epochs = 2", "epochs = 3"))
    run = lab("run", "tiny.toml", "--small", "--executor", "serial")
    assert run.status == 2
    assert "4 of its 4 finished runs would no longer be part of it" in run.err
    assert lab("run", "tiny.toml", "--small", "--executor", "serial", "--replace").status == 0


def test_failed_runs_end_with_one_and_are_told_of(lab, tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def net():\n"
        "    if torch.initial_seed() == 1: raise RuntimeError('seed 1 is broken')\n"
        "    return nn.Linear(13, 3)\n"
        "from fanin.lab.study.records import Study\n"
        "study = Study('fails', models=('fails.py:net',), plans=('default',), data=('wine',), lrs=(0.1,), seeds=(0, 1))\n"
    )
    run = lab("run", "fails.py:study", "--executor", "serial")
    assert run.status == 1
    assert "1 of 2 runs failed" in run.err
    assert "seed 1 is broken" in lab("status", "fails").out


def test_an_exception_that_cannot_say_what_it_is_fails_its_runs_alone(lab, tmp_path: Path) -> None:
    (tmp_path / "mute.py").write_text(
        "from torch import nn\n"
        "from fanin.lab.study.records import Study\n"
        "class Mute(Exception):\n"
        "    def __str__(self): raise RuntimeError('no words')\n"
        "class Net(nn.Linear):\n"
        "    def __init__(self): super().__init__(13, 3)\n"
        "    def forward(self, x):\n"
        "        if self.training: raise Mute\n"
        "        return super().forward(x)\n"
        "study = Study('mute', models=('mute.py:Net',), plans=('default',), data=('wine',), lrs=(0.1,), seeds=(0,))\n"
    )
    run = lab("run", "mute.py:study", "--executor", "serial")
    assert run.status == 1
    assert "what they take cannot be said (Mute)" in run.err
    assert "Mute: no message" in lab("status", "mute").out


def test_the_whole_suite_says_what_came_out_and_what_was_skipped(lab, monkeypatch, tmp_path: Path) -> None:
    """The real `textbook` with two studies of its own, so that it takes seconds."""
    from fanin import commands_textbook
    from fanin.lab.study.parse import parse_study

    absent = TINY.replace('"tiny"', '"absent"').replace('"wine"', '"cifar10"').replace(
        "mlp(depth={depth}, width=4)", "mlp(depth={depth}, width=5)"
    )  # fmt: skip
    suite = {"tiny": parse_study(TINY), "absent": parse_study(absent)}
    monkeypatch.setattr(commands_textbook, "names", lambda: tuple(suite))
    monkeypatch.setattr(commands_textbook, "shipped", suite.__getitem__)
    monkeypatch.setenv("FANIN_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "textbook" / "tiny").mkdir(parents=True)
    assert suite["tiny"].small is not None
    write_study(tmp_path / "textbook" / "tiny", suite["tiny"].small)  # by a driver that was killed then
    run = lab("run", "textbook", "--executor", "serial")
    assert run.status == 0
    assert "absent-small is skipped" in run.err
    assert run.out.startswith("1 study: 1 of 1 written answers came out")
    assert "No run is perfect." in run.out
    assert "absent-small" in run.out
    assert (tmp_path / "textbook" / "tiny" / "study.json").is_file()


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(tmp_path: Path) -> None:
    many = 'stacking = "never"\n' + TINY.replace("seeds = 2", "seeds = 400").replace("epochs = 2", "epochs = 40")
    (tmp_path / "tiny.toml").write_text(many + "\n")
    command = [sys.executable, "-m", "fanin", "lab"]
    run = subprocess.Popen(
        [*command, "run", "tiny.toml", "--workers", "2"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not _done(tmp_path / "tiny"):
        time.sleep(0.2)
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "fanin lab resume tiny goes on" in err
    done = _done(tmp_path / "tiny")
    assert 0 < done < 1600
    small = many.replace("seeds = 400", "seeds = 1")
    (tmp_path / "tiny.toml").write_text(small)
    status = subprocess.run([*command, "status", "tiny"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"{done:,} of 1,600 done" in status.stdout


def _done(folder: Path) -> int:
    if not (folder / "study.sqlite").exists():
        return 0
    try:
        with sqlite3.connect(f"file:{folder / 'study.sqlite'}?mode=ro", uri=True) as db:
            return db.execute("SELECT count(*) FROM runs WHERE state = 'done'").fetchone()[0]
    except sqlite3.Error:
        return 0
