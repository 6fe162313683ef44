"""Files of data sets: where they are looked for, which editions of them are known, and how parquet is read.

The environment variable FANIN_DATA names a folder with one folder a set, or is "hub": then the files are taken from the
Hugging Face hub, by name and revision. Every file is checked against the editions that are known, unless
FANIN_DATA_UNCHECKED=1 says that it is of the user's own making.
"""

import functools
import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fanin.errors import FaninError, FaninValueError
from fanin.lab.datasets.parts import sample

HUB = "hub"


@dataclass(frozen=True)
class Known:
    """One file of a set.

    Attributes:
        editions: sha256 → which edition that is.
        hub: (repository, file, revision) on the Hugging Face hub; () where it is not there in this layout.
    """

    editions: dict[str, str]
    hub: tuple[str, ...] = ()


@dataclass
class Found:
    """A set's files as they are read: which files, and what they turned out to be."""

    sums: dict[str, str] = field(default_factory=dict)
    editions: dict[str, None] = field(default_factory=dict)

    @property
    def version(self) -> str:
        return "; ".join(self.editions)


_CIFAR10 = ("uoft-cs/cifar10", "0b2714987fa478483af9968de7c934580d0bb9a2")
_IMDB = ("stanfordnlp/imdb", "e6281661ce1c48d982bc483cf8a173c1bbeb5d31")
_FSDD = ("mteb/free-spoken-digit-dataset", "c34455c99604d35cb8d27328c267be1478efc903")


def _hub_file(repository: tuple[str, str], folder: str, part: str) -> tuple[str, ...]:
    return repository[0], f"{folder}/{part}-00000-of-00001.parquet", repository[1]


_AS_PUBLISHED = "the hub's edition"
KNOWN: dict[str, Known] = {
    "cifar10/train.parquet": Known(
        {
            "e71718dae6fe6de7b309b2a23832ec64afa0197c95ce8e4189f149a6e16db248": "re-encoded as JPEG",
            "8428b53a88a11ac374111006708df51469e315a22ac6d66470afd9c78d2ae883": _AS_PUBLISHED,
        },
        _hub_file(_CIFAR10, "plain_text", "train"),
    ),
    "cifar10/test.parquet": Known(
        {
            "5aad852e02444934e12598dbd4011f9caedcc53a59319e4ceb77ec85ea687c26": "re-encoded as JPEG",
            "841389e6f2d64f28bf17310e430aebac20ec3ba611a3c5e231dc93c645ce84de": _AS_PUBLISHED,
        },
        _hub_file(_CIFAR10, "plain_text", "test"),
    ),
    "imdb/train.parquet": Known(
        {
            "d35bcc1528ce001711c7356e455d997a20b5a46618eeee70fcfb19d79a391ace": "aclImdb 1.0, compressed again",
            "db47d16b5c297cc0dd625e519c81319c24c9149e70e8496de5475f6fa928342c": _AS_PUBLISHED,
        },
        _hub_file(_IMDB, "plain_text", "train"),
    ),
    "imdb/test.parquet": Known(
        {
            "b83160d6403790d70196a2fc8e5c9601b79ddc97080930beeb3bfe7eac3aa8e8": "aclImdb 1.0, compressed again",
            "b52e26e2f872d282ffac460bf9770b25ac6f102cda0e6ca7158df98c94e8b3da": _AS_PUBLISHED,
        },
        _hub_file(_IMDB, "plain_text", "test"),
    ),
    "tinyshakespeare/input.txt": Known(
        {"86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed": "karpathy/char-rnn, 1,115,394 characters"}
    ),
    "spoken_digits/train.parquet": Known(
        {"353d89eb5caf6b44adeaab1581d6ee99c929d6b382b92d2b8bb69a848438c75d": "six speakers, takes 5–49"},
        _hub_file(_FSDD, "data", "train"),
    ),
    "spoken_digits/test.parquet": Known(
        {"864cc337e3dca54a089acc8a74cfddb2c64e6bb5b048869c55e7d5f76714ea67": "six speakers, takes 0–4"},
        _hub_file(_FSDD, "data", "test"),
    ),
}


def state() -> tuple[object, ...]:
    """What sets that are read from files depend on; cheap, and different once a file was exchanged."""
    root, unchecked = os.environ.get("FANIN_DATA", ""), os.environ.get("FANIN_DATA_UNCHECKED", "")
    if root in ("", HUB):
        return root, unchecked
    stamps = []
    for name in KNOWN:
        try:
            stat = (Path(root) / name).stat()
            stamps.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            stamps.append(None)
    return root, unchecked, *stamps


def find(name: str, found: Found) -> Path:
    """Path of the file `folder/file`, checked; what it is goes into `found`.

    Raises:
        FaninValueError: it is not there, or it is no edition that is known.
    """
    folder = name.partition("/")[0]
    root = os.environ.get("FANIN_DATA")
    if not root:
        hub = f", or to {HUB!r}" if KNOWN[name].hub else ""
        raise FaninValueError(
            f"data={folder!r} is read from a folder, but the environment variable FANIN_DATA is not set; "
            f"set it to a folder that holds {name}{hub}"
        )
    if root == HUB:
        found.editions[f"revision {KNOWN[name].hub[2]}" if KNOWN[name].hub else ""] = None
        path = _from_hub(name)
        found.sums[name] = checksum = _sha256(str(path), path.stat().st_mtime_ns)
        if published := [known for known, edition in KNOWN[name].editions.items() if edition == _AS_PUBLISHED]:
            expect(f"hub's file for {name}", checksum, published)
        return path
    path = Path(root) / name
    if not path.is_file():
        raise FaninValueError(f"data={folder!r} needs the file {name} in FANIN_DATA={root!r}, which has none")
    found.sums[name] = checksum = _sha256(str(path), path.stat().st_mtime_ns)
    editions = KNOWN[name].editions
    expect(f"file {path}", checksum, editions)
    found.editions[editions.get(checksum, "unchecked, not an edition that is known")] = None
    return path


def expect(what: str, checksum: str, known: Collection[str]) -> None:
    """Raises where data are not an edition that is known, unless the user has said that they are meant to differ."""
    if checksum in known or os.environ.get("FANIN_DATA_UNCHECKED", "") in ("1", "true", "yes"):
        return
    raise FaninValueError(
        f"data: the {what} has the SHA-256 {checksum}, but expected is {' or '.join(known)}; "
        "set FANIN_DATA_UNCHECKED=1 if it is meant to differ"
    )


@functools.lru_cache(maxsize=32)
def _sha256(path: str, modified: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_hub(name: str) -> Path:
    hub = KNOWN[name].hub
    folder = name.partition("/")[0]
    if not hub:
        raise FaninValueError(
            f"data={folder!r} is not on the hub in this layout; set FANIN_DATA to a folder that holds {name}"
        )
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise FaninError("FANIN_DATA='hub' needs huggingface_hub: pip install huggingface_hub") from None
    repository, file, revision = hub
    try:
        return Path(hf_hub_download(repository, file, repo_type="dataset", revision=revision))
    except Exception as error:  # of the network, the hub, or the disk
        raise FaninError(
            f"data={folder!r}: the hub's file {repository}/{file} at revision {revision[:8]} cannot be had "
            f"({type(error).__name__}); set FANIN_DATA to a folder that holds {name}"
        ) from error


def columns(spec: str, name: str, examples: int | None, wanted: tuple[str, ...], found: Found) -> list[list[Any]]:
    """Columns of a sample of the rows of a parquet file; `name` is folder/part."""
    path = find(f"{name}.parquet", found)
    table = _read_parquet(path, wanted)
    rows = table.take(sample(spec, name.rpartition("/")[2], examples, table.num_rows))
    for column in wanted:
        if rows.column(column).null_count:
            raise FaninValueError(f"data: {path} has empty cells in its column {column!r}")
    return [rows.column(column).to_pylist() for column in wanted]


def _read_parquet(path: Path, wanted: tuple[str, ...]) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise FaninError(f"reading {path} needs pyarrow: pip install 'fanin[lab]'") from None
    try:
        return parquet.read_table(path, columns=list(wanted)).select(list(wanted))
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise FaninValueError(f"data: {path} cannot be read as parquet with the columns {wanted}: {error}") from None
