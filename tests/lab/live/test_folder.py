"""What is seen of a study's folder while it is run: rows when they are committed, curves as they grow."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fanin.errors import FaninError, FaninValueError
from fanin.lab.jobs import Job, curve_file
from fanin.lab.live import Watched, overview
from fanin.lab.live.folder import counts_of
from fanin.lab.store import Store
from fanin.lab.study import RunConfig, RunRow, Study, TrainingSettings

PLANS, LRS, SEEDS = ("default", "fanin"), (0.01, 0.1), (0, 1)


def configs(seeds: tuple[int, ...] = SEEDS) -> dict[str, RunConfig]:
    return {
        f"{plan}-{depth}-{lr}-{seed}": RunConfig(
            f"mlp(depth={depth})", plan, "digits", "sgd", lr, 64, seed, TrainingSettings(),
            context={"model": f"mlp(depth={depth})", "data": "digits", "depth": depth},
        )
        for seed in seeds
        for depth in (3, 30)
        for lr in LRS
        for plan in PLANS
    }  # fmt: skip


def study(seeds: tuple[int, ...] = SEEDS) -> Study:
    return Study(
        "depth",
        "Does it train?",
        ("mlp(depth={depth})",),
        PLANS,
        ("digits",),
        ("sgd",),
        LRS,
        (64,),
        {"depth": (3, 30)},
        seeds,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "study", study())
    store.define(study(), configs())
    return store


def begin(store: Store, key: str, points: int = 3) -> Path:
    """A worker has written some points of a run's newest attempt."""
    [job] = store.claim([Job(1, (key,), (configs()[key],), 0, str(store.folder))])
    path = curve_file(store.folder, key, job.attempt)
    with open(path, "w") as file:
        for step in range(points):
            file.write(
                json.dumps({"step": step, "held_score": step / 10, "train_loss": "nan" if step == 0 else 2.0}) + "\n"
            )
    return path


def end(store: Store, key: str, held: float, **values: object) -> None:
    """A run is done and committed."""
    path = begin(store, key)
    row = RunRow(
        key, configs()[key], "done", steps=3, planned_steps=3, held={"loss": 1.0, "accuracy": held},
        metrics={"accuracy": 0.123456, "loss": 1.0}, seconds=2.0, curve=f"curves/{path.name}",
    )  # fmt: skip
    store.commit([replace(row, **values)])  # type: ignore[arg-type]


def test_rows_and_curves_come_as_they_are_written(store: Store) -> None:
    watched = Watched(store.folder)
    assert counts_of(watched.runs.values()) == {"waiting": 16, "running": 0, "done": 0, "diverged": 0, "failed": 0}
    assert not watched.look()
    key = "fanin-3-0.01-0"
    path = begin(store, key, 2)
    assert watched.look()
    run = watched.runs[key]
    assert (run.state, run.points) == ("running", [(0, 0.0, None, None, None), (1, 0.1, None, 2.0, None)])
    with open(path, "a") as file:
        file.write('{"step":2,"held_sc')  # half a line
        file.flush()
        assert not watched.look()
        file.write('ore":0.5}\n')
    assert watched.look()
    assert run.points[2] == (2, 0.5, None, None, None)
    row = RunRow(key, configs()[key], "done", held={"accuracy": 0.5}, seconds=1.0, curve=f"curves/{path.name}")
    store.commit([row])
    assert watched.look()
    assert watched.runs[key] is run
    assert (run.state, len(run.points), run.epoch) == ("done", 3, 1)
    assert not watched.look()


def test_another_attempt_begins_the_curve_anew(store: Store) -> None:
    watched = Watched(store.folder)
    key = "fanin-3-0.01-0"
    begin(store, key, 3)
    watched.look()
    begin(store, key, 1)
    watched.look()
    assert (watched.runs[key].epoch, len(watched.runs[key].points)) == (2, 1)


def test_a_run_that_grows_is_at_work_whatever_the_clock_says(store: Store) -> None:
    """The clock was set back after the driver had begun."""
    watched, key = Watched(store.folder), "fanin-3-0.01-0"
    path = begin(store, key, 2)
    for points, state in ((2, "waiting"), (3, "running"), (3, "running")):
        with open(path, "a") as file:
            file.write('{"step":2,"held_score":0.25}\n' * (points - len(path.read_text().splitlines())))
        os.utime(path, (1e9, 1e9))
        watched.look()
        assert (len(watched.runs[key].points), watched.runs[key].state) == (points, state)


def test_failed_runs_that_are_tried_again_and_studies_that_grow(store: Store) -> None:
    watched = Watched(store.folder)
    store.commit([RunRow("fanin-3-0.01-0", configs()["fanin-3-0.01-0"], "failed", error="no such layer")])
    watched.look()
    assert overview(watched)["failures"] == [{"error": "no such layer", "runs": 1}]
    store.forget_failed()
    watched.look()
    assert counts_of(watched.runs.values())["waiting"] == 16
    store.define(study((0, 1, 2)), configs((0, 1, 2)))
    watched.look()
    assert len(watched.runs) == 24
    assert [run.number for run in watched.runs.values()] == list(range(24))


def test_a_study_that_grows_brings_its_new_definition(store: Store) -> None:
    watched = Watched(store.folder)
    store.define(replace(study(), question="And now?"), configs())
    assert watched.look()
    assert overview(watched)["question"] == "And now?"
    assert not watched.look()


def test_a_folder_that_is_removed_is_said_and_one_that_is_begun_anew_is_shown(store: Store) -> None:
    watched = Watched(store.folder)
    begin(store, "fanin-3-0.01-0", 3)
    store.commit([RunRow("fanin-3-0.01-1", configs()["fanin-3-0.01-1"], "failed", error="no such layer")])
    watched.look()
    store.close()
    shutil.rmtree(store.folder)
    for _ in range(2):
        with pytest.raises(FaninError, match=r"holds no study any more \(its study.json is gone\)"):
            watched.look()
    overview(watched)  # still what was there
    with Store.create(store.folder, study()) as again:
        again.define(study(), configs())
        begin(again, "fanin-3-0.01-0", 1)
        assert watched.look()
        run = watched.runs["fanin-3-0.01-0"]
        assert (len(run.points), run.epoch, run.state) == (1, 2, "running")
        assert counts_of(watched.runs.values())["failed"] == 0
    watched.close()


def test_overview_is_by_context_and_never_of_the_test_part(store: Store) -> None:
    for seed, held in ((0, 0.9), (1, 0.8)):
        end(store, f"fanin-30-0.01-{seed}", held)
        end(store, f"fanin-30-0.1-{seed}", 0.1, diverged=True)
        end(store, f"default-30-0.1-{seed}", held - 0.5)
    watched = Watched(store.folder)
    found = overview(watched, 1)
    assert [c["label"] for c in found["contexts"]] == ["depth 3", "depth 30"]
    assert (found["context"], found["score"], found["state"], found["total"]) == (1, "accuracy", "running", 16)
    default, fanin = found["methods"]
    assert (fanin["plan"], fanin["lr"], fanin["runs"], fanin["mean"]) == ("fanin", 0.01, 2, pytest.approx(0.85))
    assert (fanin["low"], fanin["high"], fanin["diverged"]) == (0.8, 0.9, 0)
    assert fanin["points"][1][:2] == [0.1, pytest.approx(0.1)]
    assert (default["lr"], default["mean"]) == (0.1, pytest.approx(0.35))
    assert fanin["counts"]["diverged"] == 2
    assert "0.123456" not in json.dumps(found)
    assert overview(watched, 99)["context"] == 0


def test_state_of_the_study(store: Store) -> None:
    watched = Watched(store.folder)
    assert overview(watched)["state"] == "running"  # the store is open for writing
    begin(store, "fanin-3-0.01-0")
    store.close()
    watched.look()
    assert overview(watched)["state"] == "stopped"
    assert counts_of(watched.runs.values())["running"] == 0
    assert watched.left() is None
    with Store.open(store.folder) as again:
        for key in configs():
            end(again, key, 0.5)
    watched.look()
    assert overview(watched)["state"] == "done"


def test_time_left_is_counted_by_kind(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanin.lab.live import folder

    now = [100.0]
    monkeypatch.setattr(folder.time, "monotonic", lambda: now[0])
    watched = Watched(store.folder)
    assert watched.left() is None
    keys = {depth: [key for key in configs() if f"-{depth}-" in key] for depth in (3, 30)}
    for key in keys[3][:4]:
        end(store, key, 0.5, seconds=1.0)
    for key in keys[30][:4]:
        end(store, key, 0.5, seconds=10.0)
    now[0] = 122.0  # 44 seconds of work in 22: two at once
    watched.look()
    assert watched.left() == pytest.approx(22.0)


def test_no_study_there(tmp_path: Path) -> None:
    with pytest.raises(FaninValueError, match="holds no study"):
        Watched(tmp_path)
