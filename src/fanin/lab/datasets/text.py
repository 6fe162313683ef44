"""Text: film reviews as ids or as weights of words, and characters of Shakespeare."""

import collections
import re

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab.data import DataSet
from fanin.lab.datasets.files import Found, columns, find
from fanin.lab.datasets.parts import enough_to_test, sample

IMDB_WORDS = 20_000  # ids of the vocabulary, padding and unknown included
BOW_WORDS = 2000  # words that have a feature
PADDING, UNKNOWN = 0, 1
WORD, TAG = re.compile(r"[a-z0-9']+"), re.compile(r"<[^>]*>")


def imdb(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Film reviews: int64 ids (examples, words), the vocabulary built on the training part taken.

    Id 0 pads short reviews at the end, id 1 stands for words outside the vocabulary; long reviews keep their start.
    Files: imdb/train.parquet and imdb/test.parquet with `text` and `label`. Maas et al., ACL 2011.
    """
    words, found = size or 128, Found()
    (train, train_y), (test, test_y) = _reviews(spec, examples, found)
    ids = {word: i for i, word in enumerate(common_words(train, IMDB_WORDS - 2), start=2)}
    return DataSet(
        spec,
        "classification",
        *(_padded(train, ids, words), train_y, _padded(test, ids, words), test_y),
        classes=2,
        forms=((words,),),
        target=0.75,
        vocabulary=len(ids) + 2,
        normalisation="lower case, tags left out; ids of the commonest words of the training part",
        version=found.version,
        files=found.sums,
    )


def imdb_bow(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Film reviews as bags of words: float32 (examples, features), tf-idf of the commonest words of the training part.

    Weights as in scikit-learn's `TfidfVectorizer` (smoothed, rows of length 1), times the root of the number of features, so
    that the mean square of an input is 1, which is what rules of initialization take it to be.
    """
    found = Found()
    (train, train_y), (test, test_y) = _reviews(spec, examples, found)
    ids = {word: i for i, word in enumerate(common_words(train, size or BOW_WORDS))}
    train_x, test_x = (_counts(texts, ids) for texts in (train, test))
    features = len(ids)  # a small part has fewer words than were asked for
    weights = np.log((1 + len(train)) / (1 + (train_x > 0).sum(0))) + 1
    scale = float(features) ** 0.5
    for x in (train_x, test_x):
        x *= weights.astype(np.float32)
        x *= scale / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return DataSet(
        spec,
        "classification",
        *(train_x, train_y, test_x, test_y),
        classes=2,
        forms=((features,),),
        target=0.8,
        scale=scale,
        normalisation="tf-idf in rows of length 1, times the root of the number of features",
        version=found.version,
        files=found.sums,
    )


def _reviews(spec: str, examples: int | None, found: Found) -> list[tuple[list[list[str]], np.ndarray]]:
    parts = []
    for part, count in (("train", examples), ("test", enough_to_test(examples))):
        texts, labels = columns(spec, f"imdb/{part}", count, ("text", "label"), found)
        parts.append(([split_words(text) for text in texts], np.asarray(labels, dtype=np.int64)))
    return parts


def common_words(texts: list[list[str]], most: int) -> list[str]:
    """The commonest words, equally common ones in the order of the alphabet."""
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        counts.update(text)
    return sorted(counts, key=lambda word: (-counts[word], word))[:most]


def _counts(texts: list[list[str]], ids: dict[str, int]) -> np.ndarray:
    """How often each word occurs in each text, float32 (texts, words)."""
    rest = len(ids)  # the place of all other words, dropped
    counts = np.empty((len(texts), len(ids)), dtype=np.float32)
    for row, text in zip(counts, texts, strict=True):
        places = np.fromiter((ids.get(word, rest) for word in text), dtype=np.int64, count=len(text))
        row[:] = np.bincount(places, minlength=rest + 1)[:rest]
    return counts


def split_words(text: str) -> list[str]:
    """Words of a review: lower case, tags left out."""
    return WORD.findall(TAG.sub(" ", text.lower()))


def _padded(texts: list[list[str]], ids: dict[str, int], words: int) -> np.ndarray:
    rows = np.full((len(texts), words), PADDING, dtype=np.int64)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = [ids.get(word, UNKNOWN) for word in text[:words]]
    return rows


def tinyshakespeare(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Next character: int64 ids (examples, characters) and the same, one further; the last tenth of the text is the test.

    File: tinyshakespeare/input.txt. Karpathy, char-rnn, 2015.
    """
    length, found = size or 64, Found()
    text = np.frombuffer(find("tinyshakespeare/input.txt", found).read_bytes(), dtype=np.uint8)
    alphabet, ids = np.unique(text, return_inverse=True)
    cut = len(ids) * 9 // 10
    train, test = (_rows(part.astype(np.int64), length) for part in (ids[:cut], ids[cut:]))
    kept = enough_to_test(examples)
    # rows stay in the order of the text, so that a validation part is its end and not lines between those trained on
    train = train[np.sort(sample(spec, "train", examples, len(train)))]
    test = test[np.sort(sample(spec, "test", kept, len(test)))]
    size_ = len(alphabet)
    return DataSet(
        spec,
        "language",
        *(train[:, :-1], train[:, 1:], test[:, :-1], test[:, 1:]),
        classes=size_,
        forms=((length,),),
        target=0.35,
        vocabulary=size_,
        ordered=True,
        normalisation="ids of the characters",
        version=found.version,
        files=found.sums,
    )


def _rows(ids: np.ndarray, length: int) -> np.ndarray:
    """Rows of length + 1 that overlap by one, so that every character is predicted once."""
    starts = np.arange(0, len(ids) - length, length)
    if not len(starts):
        raise FaninValueError(f"data asks for rows of {length} characters, but a part of the text has {len(ids)}")
    return ids[starts[:, None] + np.arange(length + 1)]
