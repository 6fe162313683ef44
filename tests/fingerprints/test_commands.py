"""`fanin fingerprint` and `fanin verify`: what they print and how they end."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import fanin as face
from fanin.cli import main

NETS = """
import torch
from torch import nn
print("a print of the user's own")
def net(): return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fanin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in a folder with nets.py, plan.json, and checkpoints that the plan gave."""
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    plan = face.plan(model, torch.randn(5, 3), rules={"*": face.rules.he_normal()}, seed=6)
    plan.save("plan.json")
    plan.apply(model)
    torch.save(model.state_dict(), "m.pt")
    save_file(model.state_dict(), "m.safetensors")
    plan.stream("folder", shard_size=30)
    with torch.no_grad():
        model[0].weight[0, 0] += 1
    torch.save(model.state_dict(), "other.pt")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_one_hash_for_checkpoints_and_the_plan(fanin: Run) -> None:
    lines = {
        what: fanin("fingerprint", what)[1].splitlines() for what in ("m.pt", "m.safetensors", "folder", "plan.json")
    }
    assert lines["m.pt"][0].endswith("  m.pt")
    assert len({found[0].split()[0] for found in lines.values()}) == 1
    assert len({tuple(sorted(found[1:])) for found in lines.values()}) == 1
    assert len(lines["m.pt"]) == 5
    assert fanin("fingerprint", "other.pt")[1].split()[0] != lines["m.pt"][0].split()[0]


def test_json(fanin: Run) -> None:
    status, out, _ = fanin("fingerprint", "m.pt", "--format", "json")
    data = json.loads(out)
    assert status == 0
    assert set(data) == {"version", "fingerprint", "tensors"}
    assert set(data["tensors"]) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    status, out, _ = fanin("verify", "other.pt", "plan.json", "--format", "json")
    data = json.loads(out)
    assert status == 1
    assert not data["same"]
    assert [w["name"] for w in data["weights"] if w["problem"]] == ["0.weight"]


def test_a_model_is_built_from_the_same_seed_each_time(fanin: Run) -> None:
    first, second = fanin("fingerprint", "nets.py:net"), fanin("fingerprint", "nets.py:net")
    assert first[0] == 0
    assert first[1] == second[1]
    assert "a print of the user's own" not in first[1]


def test_verify_ends_with_zero_one_or_two(fanin: Run) -> None:
    for same in ("m.pt", "m.safetensors", "folder"):
        status, out, _ = fanin("verify", same, "plan.json")
        assert (status, out) == (0, "the same: 4 weights as the plan gives them\n")
    status, out, _ = fanin("verify", "other.pt", "plan.json")
    assert status == 1
    assert out.splitlines()[1] == "0.weight: 1 of 12 numbers differ, by up to 1"
    assert fanin("verify", "nets.py:net", "plan.json")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fingerprint", "no.pt"), "no.pt does not exist"),
        (("fingerprint", "nets.py"), "nets.py is no checkpoint"),
        (("fingerprint", "nets.py:nothing"), "nothing"),
        (("verify", "m.pt", "m.safetensors"), "is not a plan"),
        (("verify", "m.pt", "no.json"), "no.json cannot be read"),
        (("verify", "plan.json.pt", "plan.json"), "plan.json.pt does not exist"),
        (("verify", "m.pt"), "Missing argument"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_two(fanin: Run, arguments: tuple[str, ...], words: str) -> None:
    status, out, err = fanin(*arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert "Traceback" not in err
    assert "fault in fanin" not in err


@pytest.mark.parametrize(
    ("package", "code"),
    [
        ("flax", "from flax import nnx\ndef net(): return nnx.Linear(3, 4, rngs=nnx.Rngs(0))\nmade = net()\n"),
        (
            "keras",
            "import keras\ndef net(): return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])\nmade = net()\n",
        ),
    ],
)
def test_models_of_other_frameworks(fanin: Run, package: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip(package)
    Path("others.py").write_text(code)
    status, out, _ = fanin("fingerprint", "others.py:net")
    assert status == 0
    assert len(out.splitlines()) == 3
    assert fanin("fingerprint", "others.py:made")[0] == 0
    status, out, _ = fanin("verify", "others.py:net", "plan.json")
    assert status == 1
    assert "0.weight: there is no such weight" in out
    Path("others.py").write_text("def net(): return 3\n")
    assert "must return a model (of PyTorch, Flax NNX or Keras)" in fanin("fingerprint", "others.py:net")[2]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
def test_an_output_that_the_disk_has_no_place_for(fanin: Run) -> None:
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "fanin", "fingerprint", "plan.json"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (run.returncode, run.stderr) == (2, "fanin: the output cannot be written: No space left on device\n")
