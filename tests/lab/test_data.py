"""Data sets: what the split promises, the options, and what is said where a set cannot be had."""

from pathlib import Path

import numpy as np
import pytest

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.data import DataSet, load, table


def test_digits_are_split_and_standardised_as_the_reference_figures_ask() -> None:
    data = load("digits")
    assert data.train_inputs.shape == (1347, 64)
    assert data.test_inputs.shape == (450, 64)
    assert data.train_inputs.dtype == np.float32
    spread = data.train_inputs.std(0)
    assert np.allclose(data.train_inputs.mean(0), 0, atol=1e-5)
    assert set(np.round(spread, 3)) <= {0.0, 1.0}  # some pixels are always blank
    shares = np.bincount(data.test_targets) / 450
    assert np.allclose(shares, np.bincount(data.train_targets) / 1347, atol=0.002)


def test_all_forms_of_digits_hold_the_same_numbers() -> None:
    data = load("digits")
    for form in data.forms:
        shaped = data.in_form(form)
        assert shaped.train_inputs.shape == (1347, *form)
        assert np.array_equal(shaped.train_inputs.reshape(1347, 64), data.train_inputs)
    assert load("digits_images").test_inputs.shape == (450, 1, 8, 8)


def test_fewer_examples_leave_the_test_part_alone() -> None:
    some = load("digits:200")
    assert len(some.train_targets) == 200
    assert len(set(some.train_targets)) == 10
    assert np.array_equal(some.test_inputs, load("digits").test_inputs)


def test_an_autoencoder_is_asked_for_its_input() -> None:
    data = load("digits_autoencoder")
    assert data.task == "regression"
    assert np.array_equal(data.train_targets, data.train_inputs)
    assert load("diabetes").train_targets.shape == (331, 1)


def test_arrays_make_a_data_set() -> None:
    x, y = np.zeros((6, 3)), np.array([0, 1, 2, 0, 1, 2])
    data = load((x, y, x, y))
    assert (data.task, data.classes, data.forms) == ("classification", 3, ((3,),))
    assert load((x, y / 2, x, y / 2)).task == "regression"
    assert load(data) is data


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digist", "digits"),
        ("digits:0", "does not parse"),
        ("digits:ten", "name:examples"),
        ("digits:10:8", "gives a size, but this set has none"),
        ("digits:5000", "asks for 5000 examples, but the training part has 1347"),
    ],
)
def test_a_bad_name_or_option_is_said_in_one_sentence(spec: str, message: str) -> None:
    with pytest.raises(FaninValueError, match=message) as caught:
        load(spec)
    assert "\n" not in str(caught.value)


def test_bad_arrays_are_refused() -> None:
    x = np.zeros((6, 3))
    with pytest.raises(FaninValueError, match="data has 3 arrays, but must have four"):
        load((x, x, x))
    with pytest.raises(FaninValueError, match="6 inputs and 5 targets"):
        load((x, np.zeros(5), x, np.zeros(6)))
    with pytest.raises(FaninValueError, match=r"\(3,\), but test inputs \(2,\)"):
        load((x, np.zeros(6), x[:, :2], np.zeros(6)))
    with pytest.raises(FaninTypeError, match="must hold numbers"):
        load((x, np.array(list("abcdef")), x, np.zeros(6)))
    with pytest.raises(FaninTypeError, match="must be a name"):
        load(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["cifar10", "imdb", "tinyshakespeare"])
def test_absent_files_name_the_folder_and_what_is_expected(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FANIN_DATA", raising=False)
    with pytest.raises(FaninValueError, match=f"FANIN_DATA is not set; set it to a folder that holds {name}/"):
        load(name)
    monkeypatch.setenv("FANIN_DATA", str(tmp_path))
    with pytest.raises(FaninValueError, match=f"needs the file {name}/.*which has none"):
        load(name)


def test_a_damaged_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "imdb").mkdir()
    (tmp_path / "imdb" / "train.parquet").write_bytes(b"PAR1 and no more")
    monkeypatch.setenv("FANIN_DATA", str(tmp_path))
    with pytest.raises(FaninValueError, match=r"train\.parquet cannot be read as parquet"):
        load("imdb")


def test_the_table_says_what_each_set_is() -> None:
    assert all(about for _, about in table().values())
    assert isinstance(load("digits"), DataSet)


def test_cifar10_is_shuffled_resized_and_standardised(data_folder: Path) -> None:
    data = load("cifar10:300:16")
    assert data.train_inputs.shape == (300, 3, 16, 16)
    assert len(data.test_inputs) == 1000
    assert np.allclose(data.train_inputs.mean((0, 2, 3)), 0, atol=1e-4)
    assert np.allclose(data.train_inputs.std((0, 2, 3)), 1, atol=1e-3)
    counts = np.bincount(data.train_targets, minlength=10)
    assert counts.min() > 10
    assert len(set(counts)) > 3
    again = load("cifar10:300:16")
    assert np.array_equal(data.train_inputs, again.train_inputs)


def test_imdb_ids_come_from_the_training_part(data_folder: Path) -> None:
    data = load("imdb:400:64")
    assert data.train_inputs.shape == (400, 64)
    assert data.classes == 2
    assert data.train_inputs.min() >= 0
    assert data.train_inputs.max() < data.vocabulary
    words = data.train_inputs[data.train_inputs > 1]
    assert len(set(words)) > 1000
    assert (data.test_inputs == 1).mean() > (data.train_inputs == 1).mean()  # unknown words
    padded = data.train_inputs == 0
    assert np.array_equal(padded, np.sort(padded, axis=1))  # at the end only


def test_shakespeare_predicts_the_next_character(data_folder: Path) -> None:
    data = load("tinyshakespeare:100:32")
    assert data.task == "language"
    assert data.train_inputs.shape == (100, 32)
    assert np.array_equal(data.train_inputs[:, 1:], data.train_targets[:, :-1])
    assert data.classes == data.vocabulary == 65
