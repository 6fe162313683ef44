"""Data sets: what the split promises, the options, and what is said where a set cannot be had."""

from pathlib import Path

import numpy as np
import pytest

from fanin.errors import FaninError, FaninTypeError, FaninValueError
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
        ("digits:ten", "write digits or digits:examples"),
        ("cifar10:1:2:3", "write cifar10, cifar10:examples or cifar10:examples:size"),
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
    with pytest.raises(FaninTypeError, match="rows of different lengths"):
        load(([[1.0, 2.0], [1.0]], np.zeros(2), x, np.zeros(6)))  # type: ignore[arg-type]
    with pytest.raises(FaninTypeError, match="holds a float, but must hold arrays"):
        load((x, 1.0, x, 2.0))  # type: ignore[arg-type]


def test_a_set_of_ones_own_says_what_it_is() -> None:
    x, y = np.zeros((6, 3)), np.array([0, 1, 2, 0, 1, 2])
    with pytest.raises(FaninValueError, match="task='clasification' is unknown; accepted are classification"):
        DataSet("mine", "clasification", x, y, x, y, 3, ((3,),))  # type: ignore[arg-type]
    with pytest.raises(
        FaninValueError, match=r"form=\(5,\) does not hold as many numbers as an example of shape \(3,\)"
    ):
        DataSet("mine", "classification", x, y, x, y, 3, ((5,),))


@pytest.mark.parametrize("place", range(4))
def test_numbers_that_are_none_are_refused(place: int) -> None:
    arrays = [np.zeros((6, 3)), np.zeros(6), np.zeros((6, 3)), np.zeros(6)]
    arrays[place][2] = np.nan if place % 2 else 1e300  # infinite as float32
    part, what = ("training", "test")[place // 2], ("inputs", "targets")[place % 2]
    with pytest.raises(FaninValueError, match=f"the {part} {what} hold NaN or infinite"):
        load(tuple(arrays))


def test_targets_of_both_parts_are_of_one_kind() -> None:
    x, y = np.zeros((6, 3)), np.array([0, 1, 2, 0, 1, 2])
    with pytest.raises(FaninValueError, match=r"training targets have shape \(1,\), but test targets \(\)"):
        load((x, y[:, None] / 2, x, y / 2))
    with pytest.raises(FaninValueError, match="training targets are whole numbers, .* but test targets are not"):
        load((x, y, x, y / 2))
    assert load((x, y / 2, x, y)).test_targets.dtype == np.float32


def test_a_validation_part_is_stratified_and_the_same_every_time() -> None:
    data = load("digits")
    split = data.with_validation(0.2)
    assert split.held_inputs is not None and split.held_targets is not None
    assert len(split.held_inputs) == round(0.2 * 1347) == 1347 - len(split.train_inputs)
    share = np.bincount(split.held_targets) / np.bincount(data.train_targets)
    assert np.abs(share - 0.2).max() < 1 / np.bincount(data.train_targets).min()
    rows = {row.tobytes() for row in split.train_inputs}
    assert not any(row.tobytes() in rows for row in split.held_inputs)
    assert split.test_inputs is data.test_inputs
    again = load("digits_images").with_validation(0.2)
    assert np.array_equal(again.held_targets, split.held_targets)
    assert split.in_form((8, 8)).held_inputs.shape == (269, 8, 8)  # type: ignore[union-attr]
    assert data.with_validation(0) is data


def test_rows_that_follow_time_are_held_out_at_the_end() -> None:
    x, y = np.arange(20.0)[:, None], np.arange(20.0)[:, None]
    data = DataSet("mine", "regression", x, y, x, y, 0, ((1,),), ordered=True).with_validation(0.25)
    assert data.held_inputs is not None
    assert data.held_inputs.ravel().tolist() == [15, 16, 17, 18, 19]


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (1, "from 0 to below 1"),
        (-0.1, "from 0 to below 1"),
        (float("nan"), "from 0 to below 1"),
        (1e-6, "leaves none held out"),
        (0.99999, "leaves none to train on"),
    ],
)
def test_a_share_that_leaves_nothing_is_refused(share: float, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        load("digits").with_validation(share)
    with pytest.raises(FaninTypeError, match="validation='a'"):
        load("digits").with_validation("a")  # type: ignore[arg-type]
    with pytest.raises(FaninValueError, match="has a validation part already"):
        load("digits").with_validation(0.1).with_validation(0.1)


def test_inputs_are_measured() -> None:
    x = np.array([[0.0, 1.0], [2.0, 3.0], [0.0, 0.0]], dtype=np.float32)
    y = np.array([0, 2, 2])
    got = load((x, y, x[:1], y[:1])).statistics
    assert got.shape == (2,)
    assert (got.train, got.held, got.test) == (3, 0, 1)
    assert (got.mean, got.std) == pytest.approx((x.mean(), x.std()))
    assert (got.least, got.most, got.zeros) == pytest.approx((0, 3, 0.5))
    assert got.second_moment == pytest.approx(14 / 6)
    assert got.prior == pytest.approx((1 / 3, 0, 2 / 3))
    assert type(got).from_dict(got.to_dict()) == got


def test_a_checksum_is_of_the_numbers() -> None:
    x, y = np.zeros((6, 3)), np.array([0, 1, 2, 0, 1, 2])
    assert load((x, y, x, y)).checksum == load((x, y, x, y)).checksum
    assert load((x, y, x + 1, y)).checksum != load((x, y, x, y)).checksum
    assert load((x, y, x.reshape(6, 3, 1)[:, :, 0], y)).checksum == load((x, y, x, y)).checksum


def test_what_was_loaded_by_name_is_shared_and_cannot_be_changed_by_mistake() -> None:
    assert load("digits") is load("digits")
    with pytest.raises(ValueError, match="read-only"):
        load("digits").train_inputs[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        load("digits").with_validation(0.1).train_inputs[0] = 1


def test_true_or_false_for_each_label_is_a_multilabel_task() -> None:
    x, y = np.zeros((6, 3)), np.arange(12).reshape(6, 2) % 2 == 0
    data = load((x, y, x, y))
    assert (data.task, data.classes, data.train_targets.dtype, data.score) == ("multilabel", 2, np.float32, "f1")
    assert data.statistics.prior == (1, 0)
    with pytest.raises(FaninValueError, match="count from 0"):
        load((x, np.arange(6) - 1, x, np.arange(6)))


def test_a_file_of_the_users_own_is_read_on_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tinyshakespeare").mkdir()
    file = tmp_path / "tinyshakespeare" / "input.txt"
    file.write_text("to be or not to be " * 100)
    monkeypatch.setenv("FANIN_DATA", str(tmp_path))
    with pytest.raises(FaninValueError, match="set FANIN_DATA_UNCHECKED=1 if it is meant to differ"):
        load("tinyshakespeare")
    monkeypatch.setenv("FANIN_DATA_UNCHECKED", "1")
    data = load("tinyshakespeare")
    assert data.classes == 7
    assert "unchecked" in data.version
    file.write_text("to be " * 300)
    assert load("tinyshakespeare").classes == 5  # the file was exchanged, so it is read again


def test_the_hub_is_asked_only_when_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[tuple[object, ...]] = []

    def refuse(*args: object, **kwargs: object) -> None:
        asked.append((*args, kwargs["revision"]))
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    monkeypatch.setenv("FANIN_DATA", "hub")
    with pytest.raises(FaninError, match=r"uoft-cs/cifar10/.* at revision 0b271498 cannot be had \(OSError\)"):
        load("cifar10:10")
    assert asked[0][2] == "0b2714987fa478483af9968de7c934580d0bb9a2"
    with pytest.raises(FaninValueError, match="not on the hub in this layout"):
        load("tinyshakespeare")


def test_the_hubs_file_is_read_and_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub
    import pyarrow
    import pyarrow.parquet

    file = tmp_path / "some.parquet"
    table = pyarrow.table({"text": ["good film", "bad film"] * 20, "label": [1, 0] * 20})
    pyarrow.parquet.write_table(table, file)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(file))
    monkeypatch.setenv("FANIN_DATA", "hub")
    with pytest.raises(FaninValueError, match=r"the hub's file for imdb/train\.parquet has the SHA-256"):
        load("imdb:20")
    monkeypatch.setenv("FANIN_DATA_UNCHECKED", "1")
    data = load("imdb:20")
    assert data.vocabulary == 5
    assert data.version == "revision e6281661ce1c48d982bc483cf8a173c1bbeb5d31"


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
    with pytest.raises(
        FaninValueError, match=r"train\.parquet has the SHA-256 \w{64}, but expected is \w{64} or"
    ) as caught:
        load("imdb")
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("FANIN_DATA_UNCHECKED", "1")
    with pytest.raises(FaninValueError, match=r"train\.parquet cannot be read as parquet"):
        load("imdb")


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("imdb", {"text": ["good", None], "label": [1, 0]}, "has empty cells in its column 'text'"),
        ("cifar10", {"img": [{"bytes": b"no image"}] * 2, "label": [1, 0]}, "row 0 of the train part is no image"),
    ],
)
def test_files_of_ones_own_making_with_cells_that_cannot_be_read(
    name: str, columns: dict, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / name).mkdir()
    for part in ("train", "test"):
        parquet.write_table(pyarrow.table(columns), tmp_path / name / f"{part}.parquet")
    monkeypatch.setenv("FANIN_DATA", str(tmp_path))
    monkeypatch.setenv("FANIN_DATA_UNCHECKED", "1")
    with pytest.raises(FaninValueError, match=message):
        load(name)


def test_the_table_says_what_each_set_is() -> None:
    assert all(entry.about and entry.source and entry.terms for entry in table().values())
    data = load("digits")
    assert isinstance(data, DataSet)
    assert data.about == table()["digits"].about
    assert data.version.startswith("scikit-learn ")
    assert "mean" in data.normalisation


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
