"""The sets that are made or bundled: what each promises of its examples, and that nobody's numbers leak into them."""

from pathlib import Path

import numpy as np
import pytest

from fanin.errors import FaninError, FaninValueError
from fanin.lab.data import IGNORED, load, table
from fanin.lab.datasets import bundled, lags, series

HERE = (
    "digits",
    "breast_cancer",
    "wine",
    "diabetes",
    "imbalanced",
    "multilabel",
    "series",
    "adding:20:50",
    "copying:9:50",
)


@pytest.mark.parametrize("spec", HERE)
def test_every_set_keeps_to_the_contract(spec: str) -> None:
    data = load(spec)
    assert data.name == spec
    assert data.train_inputs.dtype in (np.float32, np.int64)
    for x, y in ((data.train_inputs, data.train_targets), (data.test_inputs, data.test_targets)):
        assert len(x) == len(y)
        assert x.shape[1:] == data.forms[0] or np.prod(x.shape[1:]) == np.prod(data.forms[0])
        assert np.isfinite(x).all()
    assert data.about and data.source and data.terms and data.version and data.normalisation
    assert data.target is not None
    assert len(data.checksum) == 64
    for form in data.forms:
        assert data.in_form(form).train_inputs.shape[1:] == form
    if data.task == "classification":
        assert set(data.train_targets) == set(data.test_targets) == set(range(data.classes))
    rows = {row.tobytes() for row in data.train_inputs}
    assert not any(row.tobytes() in rows for row in data.test_inputs)
    assert data.with_validation(0.2).test_inputs is data.test_inputs


def test_all_names_are_listed_with_what_they_need() -> None:
    assert {spec.partition(":")[0] for spec in HERE} <= {name for name, entry in table().items() if not entry.needs}
    assert "FANIN_DATA" in table()["cifar10"].needs
    assert table()["sunspots"].needs == "fanin[series]"


def test_tables_are_standardised_on_their_training_part() -> None:
    for name in ("breast_cancer", "wine", "imbalanced", "multilabel"):
        data = load(name)
        assert np.allclose(data.train_inputs.mean(0), 0, atol=1e-5)
        assert np.allclose(data.train_inputs.std(0), 1, atol=1e-4)
        assert not np.allclose(data.test_inputs.mean(0), 0, atol=1e-3)


def test_one_class_is_rare_in_every_part() -> None:
    data = load("imbalanced").with_validation(0.1)
    assert data.score == "balanced_accuracy"
    for y in (data.train_targets, data.held_targets, data.test_targets):
        assert y is not None
        assert np.mean(y) == pytest.approx(1 / 21, abs=0.002)


def test_several_labels_at_once() -> None:
    data = load("multilabel")
    assert data.train_targets.shape == (3000, 8)
    assert set(np.unique(data.train_targets)) == {0, 1}
    assert 2 < data.train_targets.sum(1).mean() < 4
    assert (data.train_targets.sum(1) > 1).mean() > 0.5


def test_a_bundled_table_that_changed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bundled.CHECKSUMS, "wine", "0" * 64)
    with pytest.raises(
        FaninValueError, match=r"load_wine has the SHA-256 \w{64}, but expected is 0{64}; set FANIN_DATA_UN"
    ):
        load("wine:100")
    monkeypatch.setenv("FANIN_DATA_UNCHECKED", "1")
    assert len(load("wine:100").train_inputs) == 100


def test_a_window_ends_right_before_the_value_that_it_is_asked_for() -> None:
    data = load("series:500:16")
    whole = series.generated(16 + 500 + series.TEST_WINDOWS)
    known = whole[: 16 + 500]
    scaled = (whole - known.mean()) / known.std()  # what comes later has no part in it
    for i in (0, 17, 499):
        assert np.allclose(data.train_inputs[i, :, 0], scaled[i : i + 16], atol=1e-5)
        assert np.allclose(data.train_targets[i, 0], scaled[i + 16], atol=1e-5)
    assert np.allclose(data.test_inputs[0, :, 0], scaled[500:516], atol=1e-5)
    assert np.allclose(data.test_targets[-1, 0], scaled[-1], atol=1e-5)
    assert data.ordered
    split = data.with_validation(0.1)
    assert np.array_equal(split.held_targets, data.train_targets[-50:])


def test_the_series_has_the_memory_and_the_shocks_that_it_says() -> None:
    values = series.generated(20_000)
    waves = sum(a * np.sin(2 * np.pi * np.arange(20_000) / period) for a, period in series.WAVES)
    noise = values - waves
    assert np.corrcoef(noise[1:], noise[:-1])[0, 1] == pytest.approx(series.MEMORY, abs=0.02)
    assert np.std(noise[1:] - series.MEMORY * noise[:-1]) == pytest.approx(series.SHOCK, rel=0.02)
    assert np.array_equal(series.generated(50), values[:50])


def test_sunspots_are_wolfs() -> None:
    pytest.importorskip("statsmodels")
    data = load("sunspots")
    assert data.train_inputs.shape == (216, 22, 1)
    assert data.test_targets.shape == (71, 1)
    both = np.concatenate([data.train_targets, data.test_targets])[:, 0]
    assert int(both.argmax()) + 1700 + 22 == 1957  # the strongest cycle on record
    assert load("sunspots:100").train_targets[-1] == data.train_targets[-1]  # the latest ones
    with pytest.raises(FaninValueError, match="asks for windows of 305 years, but the series has 309"):
        load("sunspots:10:305")


def test_an_extra_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "statsmodels", None)
    with pytest.raises(FaninError, match=r"data='sunspots' needs statsmodels: pip install 'fanin\[series\]'"):
        load("sunspots:20")


def test_two_numbers_are_marked_one_in_each_half() -> None:
    data = load("adding:51:200")
    values, marks = data.train_inputs[:, :, 0], data.train_inputs[:, :, 1]
    assert (marks[:, :25].sum(1) == 1).all()
    assert (marks[:, 25:].sum(1) == 1).all()
    assert np.allclose((values * marks).sum(1), data.train_targets[:, 0])
    assert 0 <= values.min() < values.max() <= 1
    assert len(set(marks.argmax(1))) == 25  # anywhere in the half
    assert np.mean((load("adding:20").train_targets - 1) ** 2) == pytest.approx(1 / 6, rel=0.02)
    with pytest.raises(FaninValueError, match="length of 1, but it must be at least 2"):
        load("adding:1")


def test_ten_symbols_are_asked_for_after_the_lag() -> None:
    data = load("copying:30:200")
    x, y = data.train_inputs, data.train_targets
    assert x.shape == y.shape == (200, 50)
    assert np.array_equal(y[:, -10:], x[:, :10])
    assert (y[:, :-10] == IGNORED).all()
    assert x[:, :10].max() == lags.SYMBOLS - 1
    assert (x[:, 39] == lags.DELIMITER).all()  # 30 steps after the last symbol
    assert (np.delete(x[:, 10:], 29, axis=1) == lags.BLANK).all()
    assert np.allclose(data.statistics.prior, 1 / 8, atol=0.03)


def test_long_lags_are_named_by_their_length() -> None:
    assert load("adding:40").forms == ((40, 2),)
    with pytest.raises(FaninValueError, match="write adding, adding:length or adding:length:examples"):
        load("adding:ten")


def test_words_are_weighed_as_scikit_learn_does(data_folder: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    from fanin.lab.datasets.files import Found, columns
    from fanin.lab.datasets.text import common_words, split_words

    data = load("imdb_bow:300:200")
    assert data.train_inputs.shape == (300, 200)
    assert data.statistics.second_moment == pytest.approx(1, abs=1e-4)
    (texts,) = columns("imdb_bow:300:200", "imdb/train", 300, ("text",), Found())
    words = common_words([split_words(text) for text in texts], 200)
    weights = TfidfVectorizer(tokenizer=split_words, token_pattern=None, lowercase=False, vocabulary=words)
    assert np.allclose(data.train_inputs / data.scale, weights.fit_transform(texts).toarray(), atol=1e-6)


def test_speech_is_a_picture_a_sequence_and_numbers(data_folder: Path) -> None:
    pytest.importorskip("librosa")
    data = load("spoken_digits:60:20")
    assert data.forms == ((1, 64, 20), (64, 20), (1280,))
    assert len(data.test_targets) == 300
    assert np.allclose(data.train_inputs.mean((0, 1, 2)), 0, atol=1e-4)
    assert np.allclose(data.train_inputs.std((0, 1, 2)), 1, atol=1e-3)
    assert data.image is None  # a spectrogram must not be mirrored
    assert set(data.files) == {"spoken_digits/train.parquet", "spoken_digits/test.parquet"}
    assert data.version == "six speakers, takes 5–49; six speakers, takes 0–4"


def test_a_louder_voice_is_only_higher() -> None:
    pytest.importorskip("librosa")
    from fanin.lab.datasets.speech import log_mel

    sound = np.random.default_rng(0).normal(size=(2, 6556)).astype(np.float32)
    quiet, loud = log_mel(sound, 20), log_mel(10 * sound, 20)
    assert quiet.shape == (2, 64, 20)
    assert np.allclose(loud - quiet, np.log(100), atol=1e-3)
    tone = np.sin(2 * np.pi * 1000 * np.arange(6556) / 8000).astype(np.float32)
    loudest = log_mel(tone[None], 40)[0].argmax(1)
    assert len(set(loudest)) == 1
    assert 8 < loudest[0] < 20  # 1 kHz of 4
