"""Jobs on a Ray cluster of this machine: the same rows as here, also when processes and nodes are killed under them."""

import contextlib
import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.lab import fake_runs
from tests.lab.executors.far_work import BOUND, results, run, undisturbed

from fanin.errors import FaninError, FaninValueError
from fanin.lab.executors import make_executor, payload_of
from fanin.lab.executors.shared import Shared
from fanin.lab.jobs import Job
from fanin.lab.study import Study, TrainingSettings, session

# Not imported here: Ray reads some of its settings when it is imported, and the executor has its own.
CLOCK: dict[str, Any] = {"init_seconds": 0.0, "reached_seconds": None}
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs ray")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A local cluster as the executor starts it, kept for several tests: the executors made later only connect."""
    first = make_executor("ray", 2)
    yield first
    first.close()
    import ray

    assert not ray.is_initialized()


def on_ray(carry_out: str = fake_runs.CARRY_OUT, **options: Any) -> Any:
    return make_executor("ray", 2, carry_out=carry_out, **options)


def test_a_local_cluster_wants_a_token_and_listens_here_alone(cluster: Any) -> None:
    inside: Any = importlib.import_module("ray._raylet")
    assert inside.get_authentication_mode() == inside.AuthenticationMode.TOKEN
    assert "RAY_AUTH_TOKEN" not in os.environ  # it is not left lying about
    import ray

    assert ray.get_runtime_context().gcs_address.startswith("127.0.0.1:")


def test_same_rows_as_here(cluster: Any, tmp_path: Path) -> None:
    summary, _ = run(tmp_path / "ray", on_ray(), "ok", "nan", "slow:0.1", seeds=4)
    assert (summary.done, summary.diverged, summary.pending, summary.failed) == (12, 4, 0, 0)
    assert str(results(tmp_path / "ray")) == str(undisturbed(tmp_path / "here", "ok", "nan", "slow:0.1", seeds=4))
    assert not (tmp_path / "ray" / "signs").exists()


def test_real_training_gives_the_same_bits(cluster: Any, tmp_path: Path) -> None:
    """A stack of small models and a larger one alone, whatever carries them out."""
    study = Study(
        "real", models=("mlp(depth=1, width=8)", "mlp(depth=2, width=100)"), plans=("default", "he_normal"), lrs=(0.1,),
        seeds=(0, 1), training=TrainingSettings(steps=10, evaluations=2),
    )  # fmt: skip
    for name in ("ray", "serial"):
        assert session.run(study, tmp_path / name, name, workers=2).done == 8
    here, there = (
        [(replace(row, **CLOCK), [replace(p, seconds=0.0) for p in points]) for row, points in results(tmp_path / name)]
        for name in ("ray", "serial")
    )
    assert str(here) == str(there)  # as text, in which what was not measured equals itself


def test_a_study_on_cuda_does_not_wait_for_a_gpu_that_is_not_there(cluster: Any, tmp_path: Path) -> None:
    if cluster._ray.cluster_resources().get("GPU"):
        pytest.skip("there is one")
    [(key, config)] = fake_runs.configs_of(fake_runs.study_of(("ok",), 1)).items()
    job = Job(1, (key,), (replace(config, training=TrainingSettings(device="cuda")),), 0, str(tmp_path))
    with (
        contextlib.closing(on_ray()) as worker,
        pytest.raises(FaninError, match="this machine has no GPU that Ray sees"),
    ):
        worker.submit(job)


def test_one_executor_for_several_studies(cluster: Any, tmp_path: Path) -> None:
    """As the textbook does: each study has a folder of its own."""
    with contextlib.closing(on_ray()) as shared:
        for name in ("one", "two"):
            summary, _ = run(tmp_path / name, Shared(shared), "ok", seeds=1)
            assert (summary.done, summary.failed) == (1, 0)
    assert not (tmp_path / "one" / "signs").exists()


def test_a_killed_process_costs_one_attempt(cluster: Any, tmp_path: Path) -> None:
    summary, rows = run(tmp_path / "ray", on_ray(), "ok", "once:1")
    assert (summary.done, summary.failed) == (4, 0)
    assert {row.config.model: row.attempts for row in rows} == {"ok": 1, "once:1": 2}
    assert results(tmp_path / "ray") == undisturbed(tmp_path / "here", "ok", "once:1")


def test_what_hangs_or_raises_is_a_row(cluster: Any, tmp_path: Path) -> None:
    summary, rows = run(tmp_path / "ray", on_ray(), "ok", "hang", "raise", seeds=1, patience=2.0)
    assert (summary.done, summary.failed) == (1, 2)
    assert [row.error for row in rows if row.error] == ["it made no step in 2 s", "RuntimeError: no such layer"]


def own_module(folder: Path) -> ModuleType:
    """A module that was loaded from a path, and whose file is another one on the workers' machines."""
    file = folder / "own_thing.py"
    file.write_text("class Own:\n    def __call__(self):\n        return 0.625\n")
    spec = importlib.util.spec_from_file_location("own_thing", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["own_thing"] = module
    spec.loader.exec_module(module)
    return module


def test_objects_of_the_user_travel(cluster: Any, tmp_path: Path) -> None:
    main: Any = sys.modules["__main__"]
    try:
        for name, value in (("loaded", own_module(tmp_path).Own()), ("script", _of_main(main))):
            _, rows = run(tmp_path / name, on_ray(BOUND, payload=payload_of({"own": value})), "ok", seeds=1)
            assert [row.metrics["accuracy"] for row in rows] == [0.625], name
    finally:
        del sys.modules["own_thing"], main.own_function


def _of_main(main: Any) -> Any:
    """A function as the user's script defines it: no worker could import it."""
    exec("def own_function():\n    return 0.625\n", main.__dict__)
    return main.own_function


def test_bad_input(cluster: Any) -> None:
    for address in (7, "ray://head:10001", "head"):
        with pytest.raises(FaninValueError, match="address=.* must be 'local', 'auto' or 'host:port'"):
            make_executor("ray", 2, address=address)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(FaninError, match="this process is connected to the Ray cluster at 127"):
            make_executor("ray", 2, address=address)


def kill_machine(nodes: Any, node: Any) -> None:
    """What the loss of a machine does: its raylet and its workers are gone at once."""
    raylet = node.all_processes["raylet"][0].process.pid
    children = Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()
    for process in (raylet, *map(int, children)):
        os.kill(process, signal.SIGKILL)
    nodes.remove_node(node, allow_graceful=False)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for a node's processes in /proc")
def test_a_killed_node(cluster: Any, tmp_path: Path) -> None:
    """Two nodes of one CPU each; the one that is not the driver's is killed while it is at work."""
    cluster.close()
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        node = nodes.add_node(num_cpus=1)
        models, folder = ("slow:1.4", "slow:1.5"), tmp_path / "ray"

        def kill() -> None:  # as soon as a run is half done on either node
            while sum(f.read_text().count("\n") == 2 for f in folder.glob("curves/*.0.jsonl")) < 2:
                time.sleep(0.05)
            kill_machine(nodes, node)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        executor = make_executor("ray", None, carry_out=fake_runs.CARRY_OUT, address=nodes.address)
        summary, rows = run(folder, executor, *models)
        assert not killer.is_alive()
        assert (summary.done, summary.failed) == (4, 0)
        assert sorted(row.attempts for row in rows) == [1, 1, 1, 2]
        assert results(folder) == undisturbed(tmp_path / "here", *models)
    finally:
        ray.shutdown()
        nodes.shutdown()


def test_no_cluster_there_is_one_sentence() -> None:
    with pytest.raises(FaninError, match="the Ray cluster at address='127.0.0.1:1' cannot be reached"):
        make_executor("ray", 2, address="127.0.0.1:1")
