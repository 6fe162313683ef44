"""TARGET, `--batch`, `--targets`, `--loss`: what they read, and what they say where they cannot."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fanin.errors import FaninValueError
from fanin.targets import DataName, FileName, TensorSpec, load_target, parse_batch
from fanin.targets.batches import DTYPES, INTEGERS
from fanin.targets.torch import example_batch, make_batch, make_loss, needs_batch, read_inputs


def spec(dtype: str, shape: list[int], below: int) -> TensorSpec:
    return TensorSpec(dtype, tuple(shape), below if dtype in INTEGERS else 0)


specs = st.builds(
    spec, st.sampled_from(DTYPES), st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 127)
)


@given(st.lists(specs, min_size=1, max_size=3))
def test_a_spec_that_is_written_is_read_again(tensors: list[TensorSpec]) -> None:
    assert parse_batch(",".join(map(str, tensors))) == tuple(tensors)


@given(st.text("float32int6481x:,=.digts 0", max_size=24))
def test_any_text_is_read_or_refused_with_a_caret_in_it(text: str) -> None:
    try:
        parse_batch(text)
    except FaninValueError as error:
        lines = str(error).splitlines()
        if text.strip():
            where = int(lines[0].split("character ")[1].split(":")[0])
            assert lines[-1] == " " * (where + 1) + "^"
            assert where <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("float32:8x3y32", 12, "expected a comma"),
        ("float32:", 9, "expected a number"),
        ("float32", 8, "a colon and a shape"),
        ("flaot32:8x3", 1, "expected a type"),
        ("int64:8x128", 12, "a bound"),
        ("int64:8x128:0", 13, "must be from 1"),
        ("float32:8x10:5", 13, "takes no bound"),
        ("float32:8x0x3", 11, "at least 1"),
        ("float32:8x3,", 13, "expected a type"),
        ("complex64:8x3", 1, "complex"),
        ("uint8:8:300", 9, "from 1 to 256"),
        ("a=float32:8,float32:8", 1, "names some inputs"),
        ("a=float32:8,a=float32:8", 1, "twice"),
    ],
)
def test_the_caret_points_at_the_character(text: str, place: int, words: str) -> None:
    with pytest.raises(FaninValueError) as raised:
        parse_batch(text)
    sentence, shown, caret = str(raised.value).splitlines()
    assert words in sentence
    assert f"character {place}:" in sentence
    assert shown.strip() == text
    assert caret.index("^") == shown.index(text) + place - 1


def test_files_and_data_sets_are_known_by_their_form() -> None:
    assert parse_batch("some/batch.pt") == FileName("some/batch.pt")
    assert parse_batch("digits") == DataName("digits")
    assert parse_batch("cifar10:2000:16") == DataName("cifar10:2000:16")


def test_made_up_numbers_are_what_was_asked_for() -> None:
    x, i, b = make_batch(parse_batch("float32:500x20,int64:4000:7,bool:100"))
    assert x.dtype == torch.float32
    assert x.shape == (500, 20)
    assert abs(x.mean()) < 0.05
    assert abs(x.std() - 1) < 0.05
    assert i.dtype == torch.int64
    assert set(i.tolist()) == set(range(7))
    assert b.dtype == torch.bool
    assert 20 < b.sum() < 80


def test_a_batch_is_the_same_every_time_and_touches_no_random_state() -> None:
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    a, b = (make_batch(parse_batch("float32:8x4")) for _ in range(2))
    assert torch.equal(a, b)
    assert not torch.equal(a, make_batch(parse_batch("float32:8x4"), seed=1))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002


def test_named_tensors_make_a_dictionary() -> None:
    batch = make_batch(parse_batch("input_ids=int64:2x16:100,mask=float32:2x16"))
    assert list(batch) == ["input_ids", "mask"]


def test_files_give_tensors_and_nothing_else(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(2, 3)}, tmp_path / "a.pt")
    assert make_batch(FileName(str(tmp_path / "a.pt")))["x"].shape == (2, 3)
    np.savez(tmp_path / "a.npz", np.ones((2, 3), np.float32), np.zeros(2, np.int64))
    x, y = make_batch(FileName(str(tmp_path / "a.npz")))
    assert x.shape == (2, 3)
    assert y.dtype == torch.int64
    torch.save(nn.Linear(2, 2), tmp_path / "code.pt")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:50])
    for name, words in (("code.pt", "cannot be read"), ("cut.npz", "cannot be read"), ("none.pt", "does not exist")):
        with pytest.raises(FaninValueError, match=words):
            make_batch(FileName(str(tmp_path / name)))


def test_what_is_said_of_a_damaged_file_is_fanins_own(tmp_path: Path) -> None:
    """torch's words advise to load with weights_only=False, which runs whatever code the file holds."""
    torch.save(torch.ones(2, 3), tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    files = {
        "code.pt": "it holds torch.nn.modules.linear.Linear, and only tensors are read",
        "cut.pt": "it is damaged, or was not written by torch.save",
        "text.pt": "it is damaged, or was not written by torch.save",
        "empty.pt": "it is damaged, or was not written by torch.save",
        "text.npz": "it is damaged, or was not written by numpy.savez",
        "one.npz": "it is damaged, or was not written by numpy.savez",
        "objects.npz": "it holds Python objects, and only arrays of numbers are read",
        "words.npz": "its 'x' is of type <U3, which no tensor has",
    }
    torch.save(nn.Linear(2, 2), tmp_path / "code.pt")
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pt").write_text("not a file of torch")
    (tmp_path / "empty.pt").touch()
    (tmp_path / "text.npz").write_text("not a file of numpy")
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.ones(3))
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    np.savez(tmp_path / "words.npz", x=np.array(["yes"]))
    for name, words in files.items():
        with pytest.raises(FaninValueError) as raised:
            make_batch(FileName(str(tmp_path / name)))
        said = str(raised.value)
        assert words in said, name
        assert "weights_only" not in said and "\n" not in said


@pytest.mark.parametrize("text", ["float32:8x999999999999", "int64:8x99999999999:10", "float32:9x9,bool:99999999999x9"])
def test_a_batch_that_no_memory_holds_is_refused_before_it_is_drawn(text: str) -> None:
    with pytest.raises(FaninValueError, match=r"asks for [\d,]+ GB of numbers, but this machine has [\d,]+ GB"):
        make_batch(parse_batch(text))


@pytest.mark.parametrize("text", ["float32:" + "x".join(["99999999999"] * 2), "int8:1" + "0" * 5000 + ":3"])
def test_a_shape_that_no_tensor_can_have_does_not_parse(text: str) -> None:
    with pytest.raises(FaninValueError, match="more numbers than a tensor can hold"):
        parse_batch(text)


MODELS = {
    "float32:32x12": nn.Sequential(nn.Linear(12, 3)),
    "float32:8x3x32x32": nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(7200, 2)),
    "float32:8x5x128": nn.Conv1d(5, 8, 3),
    "int64:8x32:100": nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 100)),
    "float32:16x8x6": nn.LSTM(6, 4),
    "float32:8x16x6": nn.GRU(6, 4, batch_first=True),
}


@pytest.mark.parametrize("example", MODELS)
def test_the_example_for_a_model_without_batch_runs(example: str) -> None:
    model = MODELS[example]
    assert example_batch(model) == example
    model(make_batch(parse_batch(example)))
    with pytest.raises(FaninValueError, match=f"--batch {example}$"):
        read_inputs(model, None, None, None)


def test_a_model_that_needs_no_batch_gets_none() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self) -> torch.Tensor:
            return self.fc(torch.ones(2, 3))

    assert needs_batch(Own()) == []
    assert read_inputs(Own(), None, None, None) == ((), None, None)


def test_a_data_set_brings_its_targets_and_its_loss_in_the_form_that_the_model_takes() -> None:
    flat = nn.Linear(64, 10)
    image = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 10))
    for model in (flat, image):
        batch, targets, loss = read_inputs(model, "digits", None, None)
        assert loss is not None
        assert loss(model(batch), targets).item() > 1
    with pytest.raises(FaninValueError, match="targets of its own"):
        read_inputs(flat, "digits", "int64:8:10", None)


def test_loss_and_targets_ask_for_each_other() -> None:
    model = nn.Linear(4, 3)
    with pytest.raises(FaninValueError, match="--targets int64:8:3"):
        read_inputs(model, "float32:8x4", None, "cross_entropy")
    with pytest.raises(FaninValueError, match="--targets needs --loss"):
        read_inputs(model, "float32:8x4", "int64:8:3", None)
    batch, targets, loss = read_inputs(model, "float32:8x4", "int64:8:3", "cross_entropy")
    assert loss is not None
    assert torch.equal(loss(model(batch), targets), nn.functional.cross_entropy(model(batch), targets))


def test_an_unknown_loss_is_answered_with_what_is_near() -> None:
    with pytest.raises(FaninValueError, match="did you mean cross_entropy"):
        make_loss("cross_entropi")


SOURCE = """
from torch import nn
def build(): return nn.Linear(4, 3)
def needs(width): return nn.Linear(width, 3)
def wrong(): return 3
def raises(): raise RuntimeError("no weights here")
class Net(nn.Linear):
    def __init__(self): super().__init__(4, 3)
model = nn.Linear(4, 3)
number = 7
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "nets_of_mine.py"
    path.write_text(SOURCE)
    return str(path)


@pytest.mark.parametrize("name", ["build", "Net", "model"])
def test_functions_classes_and_models_are_targets(file: str, name: str) -> None:
    assert load_target(f"{file}:{name}").build().weight.shape == (3, 4)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("biuld", "did you mean build?"),
        ("nothing_like_it", "it has "),
        ("number", "is an int, but must be a model"),
        ("needs", "needs the arguments width"),
        ("wrong", "returned an int"),
        ("raises", "raised RuntimeError: no weights here"),
        ("a b", "not a name in Python"),
    ],
)
def test_what_is_no_target_is_named(file: str, name: str, words: str) -> None:
    with pytest.raises(FaninValueError) as raised:
        load_target(f"{file}:{name}").build()
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("net", "does not parse"),
        ("net:", "does not parse"),
        ("none.py:net", "the file none.py does not exist"),
        ("none/none.py:net", "the folder none does not exist"),
        ("no_such_package.deep:net", "there is no module no_such_package"),
        ("torch.nnn:Linear", "there is no module torch.nnn"),
        ("hf:none.json", "the file none.json does not exist"),
    ],
)
def test_what_does_not_exist_is_named(text: str, words: str) -> None:
    with pytest.raises(FaninValueError) as raised:
        load_target(text)
    assert words in str(raised.value)


def test_a_folder_is_named_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("dir.py", "models"):
        (tmp_path / folder).mkdir()
    (tmp_path / "models" / "mine.py").touch()
    for text, words in (
        ("dir.py:good", "dir.py is a folder; write dir.py/model.py:good"),
        ("dir.py", "is a folder; write dir.py/model.py:build"),
        ("models:good", "models is a folder; write models/mine.py:good"),
        ("models/:good", "is a folder; write models/mine.py:good"),
    ):
        with pytest.raises(FaninValueError) as raised:
            load_target(text)
        assert words in str(raised.value)
    (tmp_path / "torch").mkdir()  # a package that is installed goes before a folder of the same name
    assert load_target("torch.nn:Identity").fresh


class Towers(nn.Module):
    """Two inputs, the second optional argument is none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(50, 8), nn.Linear(4, 8)

    def forward(self, user_ids: torch.Tensor, item: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return (self.user(user_ids).mean(1) * self.item(item)).sum(1) * scale


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 8)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return self.body(left) - self.body(right)


@pytest.mark.parametrize(
    ("model", "spec"), [(Towers(), "int64:8x32:50,float32:32x4"), (Pair(), "float32:32x4,float32:32x4")]
)
def test_the_example_has_a_tensor_for_every_input(model: nn.Module, spec: str) -> None:
    assert example_batch(model) == spec
    with pytest.raises(FaninValueError, match=spec):
        read_inputs(model, None, None, None)
    if isinstance(model, Pair):
        model(*make_batch(parse_batch(spec)))


def test_a_file_without_a_name_in_it_gets_an_example(file: str) -> None:
    with pytest.raises(FaninValueError, match=r"nets_of_mine\.py:build"):
        load_target(file)


def test_a_name_that_is_nearly_that_of_a_file_is_offered(file: str) -> None:
    with pytest.raises(FaninValueError, match=r"did you mean .*nets_of_mine\.py\?"):
        load_target(f"{file.replace('mine', 'mime')}:build")


def test_transformers_build_from_a_configuration(tmp_path: Path) -> None:
    config = {
        "model_type": "gpt2",
        "n_layer": 2,
        "n_embd": 32,
        "n_head": 2,
        "vocab_size": 50,
        "architectures": ["GPT2LMHeadModel"],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = load_target(f"hf:{tmp_path}").build()
    assert type(model).__name__ == "GPT2LMHeadModel"
    assert example_batch(model) == "input_ids=int64:4x64:50,labels=int64:4x64:50"
    with pytest.raises(FaninValueError, match="--batch is missing"):
        read_inputs(model, None, None, None)
    del config["architectures"]
    (tmp_path / "other.json").write_text(json.dumps(config))
    assert type(load_target(f"hf:{tmp_path / 'other.json'}").build()).__name__ == "GPT2Model"
    for content, words in (
        ("{", "not whole JSON"),
        ("{}", "no model_type"),
        ('{"model_type": "zzz"}', "does not know"),
    ):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(FaninValueError, match=words):
            load_target(f"hf:{tmp_path / 'bad.json'}")
