"""Data sets that are read from the folder named by the environment variable FANIN_DATA."""

import collections
import functools
import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from fanin.errors import FaninError, FaninValueError
from fanin.lab.data import SPLIT_SEED, DataSet, fewer, standardised

CIFAR10_EDGE = 32  # pixels along an edge, as published
IMDB_WORDS = 20_000  # ids of the vocabulary, padding and unknown included
PADDING, UNKNOWN = 0, 1


def cifar10(spec: str, examples: int | None, size: int | None) -> DataSet:
    """CIFAR-10: float32 (examples, 3, edge, edge), standardised per channel on the training part taken.

    Files: cifar10/train.parquet and cifar10/test.parquet with `img` {bytes, path} and `label`.
    Krizhevsky, Learning multiple layers of features from tiny images, 2009.
    """
    edge = size or CIFAR10_EDGE
    train_x, train_y = _images(spec, "train", examples, edge)
    test_x, test_y = _images(spec, "test", _test_examples(examples), edge)
    train_x, test_x = standardised(train_x, test_x, axis=(0, 2, 3))
    forms = ((3, edge, edge), (3 * edge * edge,))
    return DataSet(spec, "classification", train_x, train_y, test_x, test_y, 10, forms, 0.4)


def _test_examples(examples: int | None) -> int | None:
    """A part of the training set is asked for: a fifth of it, but no fewer than 1,000, tells the inits apart as well."""
    return None if examples is None else max(1000, examples // 5)


def _images(spec: str, part: str, examples: int | None, edge: int) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    encoded, labels = _columns(spec, "cifar10", part, examples, ("img", "label"))
    images = np.empty((len(labels), 3, edge, edge), dtype=np.float32)
    for i, file in enumerate(encoded):
        image = Image.open(io.BytesIO(file["bytes"])).convert("RGB")
        if image.size != (edge, edge):
            image = image.resize((edge, edge), Image.Resampling.BOX)
        images[i] = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)
    return images, np.asarray(labels, dtype=np.int64)


def imdb(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Film reviews: int64 ids (examples, words), the vocabulary built on the training part taken.

    Id 0 pads short reviews at the end, id 1 stands for words outside the vocabulary; long reviews keep their start.
    Files: imdb/train.parquet and imdb/test.parquet with `text` and `label`. Maas et al., ACL 2011.
    """
    words = size or 128
    train, train_labels = _columns(spec, "imdb", "train", examples, ("text", "label"))
    test, test_labels = _columns(spec, "imdb", "test", _test_examples(examples), ("text", "label"))
    texts, test_texts = ([_words(text) for text in part] for part in (train, test))
    counts = collections.Counter(word for text in texts for word in text)
    common = sorted(counts, key=lambda word: (-counts[word], word))[: IMDB_WORDS - 2]
    ids = {word: i for i, word in enumerate(common, start=2)}
    train_y, test_y = (np.asarray(labels, dtype=np.int64) for labels in (train_labels, test_labels))
    train_x, test_x = _padded(texts, ids, words), _padded(test_texts, ids, words)
    return DataSet(
        spec, "classification", train_x, train_y, test_x, test_y, 2, ((words,),), 0.75, vocabulary=len(ids) + 2
    )


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", re.sub(r"<[^>]*>", " ", text.lower()))


def _padded(texts: list[list[str]], ids: dict[str, int], words: int) -> np.ndarray:
    rows = np.full((len(texts), words), PADDING, dtype=np.int64)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = [ids.get(word, UNKNOWN) for word in text[:words]]
    return rows


def tinyshakespeare(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Next character: int64 ids (examples, characters) and the same, one further; the last tenth of the text is the test.

    File: tinyshakespeare/input.txt. Karpathy, char-rnn, 2015.
    """
    length = size or 64
    text = np.frombuffer(_file("tinyshakespeare", "input.txt").read_bytes(), dtype=np.uint8)
    alphabet, ids = np.unique(text, return_inverse=True)
    cut = len(ids) * 9 // 10
    train, test = (_rows(part.astype(np.int64), length) for part in (ids[:cut], ids[cut:]))
    train = train[_sample(spec, "train", examples, len(train))]
    kept = _test_examples(examples)
    test = test[_sample(spec, "test", min(kept, len(test)) if kept else None, len(test))]
    size_ = len(alphabet)
    parts = (train[:, :-1], train[:, 1:], test[:, :-1], test[:, 1:])
    return DataSet(spec, "language", *parts, size_, ((length,),), 0.35, vocabulary=size_)


def _rows(ids: np.ndarray, length: int) -> np.ndarray:
    """Rows of length + 1 that overlap by one, so that every character is predicted once."""
    starts = np.arange(0, len(ids) - length, length)
    if not len(starts):
        raise FaninValueError(f"data asks for rows of {length} characters, but a part of the text has {len(ids)}")
    return ids[starts[:, None] + np.arange(length + 1)]


def _sample(spec: str, part: str, examples: int | None, available: int) -> np.ndarray:
    """Row numbers in an order that is shuffled once and for all (the files are interleaved by class)."""
    if part == "test" and examples is not None:
        examples = min(examples, available)
    order = np.random.Generator(np.random.Philox(SPLIT_SEED)).permutation(available)
    return order[: fewer(spec, examples, available)]


def _file(folder: str, name: str) -> Path:
    root = os.environ.get("FANIN_DATA")
    if not root:
        raise FaninValueError(
            f"data={folder!r} is read from a folder, but the environment variable FANIN_DATA is not set; "
            f"set it to a folder that holds {folder}/{name}"
        )
    path = Path(root) / folder / name
    if not path.is_file():
        raise FaninValueError(f"data={folder!r} needs the file {folder}/{name} in FANIN_DATA={root!r}, which has none")
    return path


def _columns(spec: str, folder: str, part: str, examples: int | None, columns: tuple[str, str]) -> list[list[Any]]:
    """Columns of a sample of rows of a parquet file."""
    path = _file(folder, f"{part}.parquet")
    table = _read_parquet(str(path), path.stat().st_mtime_ns, columns)
    rows = table.take(_sample(spec, part, examples, table.num_rows))
    return [rows.column(name).to_pylist() for name in columns]


@functools.lru_cache(maxsize=4)
def _read_parquet(path: str, modified: int, columns: tuple[str, ...]) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise FaninError(f"reading {path} needs pyarrow: pip install pyarrow") from None
    try:
        return parquet.read_table(path, columns=list(columns)).select(list(columns))
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise FaninValueError(f"data: {path} cannot be read as parquet with the columns {columns}: {error}") from None
