"""Slurm jobs, with processes of this machine in Slurm's place: submitit starts both alike."""

import contextlib
import os
import re
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.lab import fake_runs
from tests.lab.executors.far_work import BOUND, results, run, undisturbed

from fanin.errors import FaninError, FaninValueError
from fanin.lab.executors import make_executor, payload_of
from fanin.lab.executors.remote import Sign, sign_file
from fanin.lab.jobs import Died, Job
from fanin.lab.study import TrainingSettings

pytest.importorskip("submitit")


def here(carry_out: str = fake_runs.CARRY_OUT, **options: Any) -> Any:
    return make_executor("slurm", 2, carry_out=carry_out, cluster="local", **options)


@pytest.mark.slow
def test_same_rows_as_here(tmp_path: Path) -> None:
    """One that is done at once, one whose process is killed at the first attempt, one that raises: each as in this process."""
    models = ("ok", "once:1", "raise")
    summary, rows = run(tmp_path / "slurm", here(), *models, seeds=1)
    assert (summary.done, summary.failed, summary.pending) == (2, 1, 0)
    assert [row.attempts for row in rows] == [1, 2, 1]
    assert [row.error for row in rows] == ["", "", "RuntimeError: no such layer"]
    assert results(tmp_path / "slurm") == undisturbed(tmp_path / "here", *models, seeds=1)
    assert not (tmp_path / "slurm" / "signs").exists()
    assert not list((tmp_path / "slurm" / "slurm").glob("*.pkl"))  # neither rows nor payload are kept twice


@pytest.mark.slow
def test_what_hangs_is_ended_and_objects_travel(tmp_path: Path) -> None:
    summary, rows = run(tmp_path / "hang", here(), "hang", seeds=1, patience=1.5)
    assert (summary.failed, rows[0].error) == (1, "it made no step in 1.5 s")
    main: Any = sys.modules["__main__"]
    exec("def own_function():\n    return 0.625\n", main.__dict__)
    try:
        _, rows = run(tmp_path / "own", here(BOUND, payload=payload_of({"own": main.own_function})), "ok", seeds=1)
    finally:
        del main.own_function
    assert rows[0].metrics["accuracy"] == 0.625


def test_no_slurm_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FaninError, match=r"needs Slurm's commands \(sbatch, srun\), which are not on this machine"):
        make_executor("slurm", 2)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"partion": "gpu"}, "slurm has no parameter 'partion'; did you mean 'partition'"),
        ({"cluster": "pbs"}, "cluster='pbs' is unknown; accepted are slurm, local"),
        ({"time": "soon"}, "slurm's time='soon' must be minutes"),
        ({"cpus_per_task": "two"}, "slurm's cpus_per_task='two' must be a whole number"),
    ],
)
def test_bad_input(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FaninValueError, match=sentence):
        make_executor("slurm", 2, **({"cluster": "local"} | options))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--slurm", "partition=cpu"], "--slurm goes with --executor slurm"),
        (["--executor", "slurm", "--slurm", "partition"], "--slurm partition must be KEY=VALUE"),
        (["--ray", "auto"], "--ray goes with --executor ray"),
    ],
)
def test_the_command_line(options: list[str], sentence: str) -> None:
    from typer.testing import CliRunner

    from fanin.cli_lab import lab

    result = CliRunner().invoke(lab, ["run", "symmetry", *options])
    assert result.exit_code == 2
    assert sentence in " ".join(re.sub(r"[^\x20-\x7e]", " ", result.output).split())


def test_names_and_options_of_executors() -> None:
    with pytest.raises(FaninValueError, match="executor='slrum' is unknown; .*; did you mean 'slurm'"):
        make_executor("slrum")
    with pytest.raises(FaninValueError, match="executor='serial' has no option 'partition'"):
        make_executor("serial", partition="cpu")


FAKE = """#!{python}
import sys, pathlib
folder = pathlib.Path({folder!r})
name = pathlib.Path(sys.argv[0]).name
with open(folder / "calls", "a") as calls:
    print(name, *sys.argv[1:], file=calls)
if name == "sbatch":
    text = pathlib.Path(sys.argv[1]).read_text()
    (folder / "script").write_text(text)
    print("Submitted batch job 4711")
if name == "sacct" and (folder / "no-accounting").exists():
    sys.exit("Slurm accounting storage is disabled")
if name == "sacct":
    print("JobID|State|NodeList")
    for index in range(3):
        print(f"4711_{{index}}|TIMEOUT|node1")
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands by Slurm's names that write down how they are called; every job runs into its time limit."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sbatch", "srun", "scancel", "sacct", "squeue"):
        (folder / name).write_text(FAKE.format(python=sys.executable, folder=str(folder)))
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_one_array_with_the_users_parameters(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanin.lab.executors import slurm as module

    monkeypatch.setattr(module, "ASK", 0.0)
    monkeypatch.setattr(module, "GRACE", 0.0)
    executor = make_executor("slurm", 8, partition="cpu", time="1:30:00", mem="4GB", account="lab")
    configs = fake_runs.configs_of(fake_runs.study_of(("ok",), 3))
    for number, (key, config) in enumerate(configs.items()):
        executor.submit(Job(number, (key,), (config,), 0, str(tmp_path / "study")))
    events = list(executor.events(30.0))
    assert [(type(event), event.why) for event in events] == [(Died, "Slurm ended it (TIMEOUT)")] * 3
    script = (slurm / "script").read_text()
    wanted = ("array=0-2%3", "partition=cpu", "time=90", "mem=4GB", "account=lab", "cpus-per-task=1", "no-requeue")
    assert [f"#SBATCH --{line}" in script for line in wanted] == [True] * len(wanted)
    assert "gpus-per-node" not in script
    config = replace(next(iter(configs.values())), training=TrainingSettings(device="cuda"))
    executor.submit(Job(9, ("k",), (config,), 0, str(tmp_path / "other")))
    list(executor.events(0.0))
    assert "#SBATCH --gpus-per-node=1" in (slurm / "script").read_text()
    executor.close()
    calls = [line.split() for line in (slurm / "calls").read_text().splitlines()]
    named = [words for words in calls if words[0] == "scancel"]
    assert len(named) == 3  # in either folder what a driver that was killed has left, and what is at work now
    assert named[0] != named[1] == named[2]
    assert all(words[1].startswith("--name=fanin-") for words in named)


def test_a_job_that_is_gone_did_not_hang(slurm: Path, tmp_path: Path) -> None:
    """Without accounting Slurm says nothing of a node that failed; its queue shows that the job is at work no more."""
    (slurm / "no-accounting").touch()
    executor = make_executor("slurm", 2)
    [(key, config)] = fake_runs.configs_of(fake_runs.study_of(("ok",), 1)).items()
    job = Job(1, (key,), (config,), 0, str(tmp_path / "study"), patience=0.1)
    with contextlib.closing(executor):
        executor.submit(job)
        list(executor.events(0.0))
        [session] = [file.name for file in (tmp_path / "study" / "signs").iterdir() if "." not in file.name]
        Sign(sign_file(tmp_path / "study", session, job))(0.25)
        ended = [event for _ in range(3) for event in executor.events(2.0) if isinstance(event, Died)]
    assert ended == [Died(job, "its job is gone from Slurm's queue", share=0.25)]


def test_what_a_killed_driver_has_left_is_cleared(slurm: Path, tmp_path: Path) -> None:
    left = tmp_path / "study" / "slurm" / "31_0_result.pkl"
    left.parent.mkdir(parents=True)
    left.write_text("rows that nobody will fetch")
    [(key, config)] = fake_runs.configs_of(fake_runs.study_of(("ok",), 1)).items()
    with contextlib.closing(make_executor("slurm", 2)) as executor:
        executor.submit(Job(1, (key,), (config,), 0, str(tmp_path / "study")))
    assert not left.exists()
