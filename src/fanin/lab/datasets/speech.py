"""Speech: spoken digits as log-mel features."""

import io
from typing import Any

import numpy as np

from fanin.errors import FaninError
from fanin.lab.data import DataSet
from fanin.lab.datasets.files import Found, columns
from fanin.lab.datasets.parts import standardised

RATE = 8000  # samples a second, as recorded
WINDOW, HOP, FRAMES = 256, 100, 64  # samples, samples, frames: 0.82 s, and 98 % of the takes are shorter than that
MELS = 40
FLOOR = 1e-6  # power that is added before the logarithm, about that of the silence between words


def spoken_digits(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Free Spoken Digit Dataset: float32 (examples, 1, frames, mels), the logarithm of mel power, standardised per band.

    Takes 0 to 4 of every speaker and digit are the test part, as the set defines; short takes end in silence. The forms are
    a picture (1, frames, mels), a sequence (frames, mels) and the flat numbers.
    Files: spoken_digits/train.parquet and spoken_digits/test.parquet with `audio` {bytes, path} and `label`.
    Jackson et al., Free Spoken Digit Dataset 1.0.10, 2018; mel scale as librosa has it (Slaney).
    """
    mels, found = size or MELS, Found()
    train_x, train_y = _features(spec, "train", examples, mels, found)
    test_x, test_y = _features(spec, "test", None, mels, found)
    train_x, test_x = standardised(train_x, test_x, axis=(0, 1))
    forms = ((1, FRAMES, mels), (FRAMES, mels), (FRAMES * mels,))
    return DataSet(
        spec,
        "classification",
        *(train_x.reshape(-1, *forms[0]), train_y, test_x.reshape(-1, *forms[0]), test_y),
        classes=10,
        forms=forms,
        target=0.9,
        normalisation="each mel band less its mean and over its deviation, both of the training part",
        version=found.version,
        files=found.sums,
    )


def _features(spec: str, part: str, examples: int | None, mels: int, found: Found) -> tuple[np.ndarray, np.ndarray]:
    encoded, labels = columns(spec, f"spoken_digits/{part}", examples, ("audio", "label"), found)
    takes = np.stack([_samples(file["bytes"]) for file in encoded])
    return log_mel(takes, mels), np.asarray(labels, dtype=np.int64)


def _samples(wav: bytes) -> np.ndarray:
    """The first 0.82 s of a recording, silence after its end."""
    try:
        import soundfile
    except ImportError:
        raise _missing("soundfile") from None
    sound, rate = soundfile.read(io.BytesIO(wav), dtype="float32", always_2d=True)
    sound = sound.mean(1)
    if rate != RATE:
        sound = _librosa().resample(sound, orig_sr=rate, target_sr=RATE)
    length = WINDOW + (FRAMES - 1) * HOP
    return np.pad(sound[:length], (0, max(0, length - len(sound))))


def log_mel(samples: np.ndarray, mels: int) -> np.ndarray:
    """Logarithm of the power in mel bands, float32 (examples, frames, mels), of samples (examples, length)."""
    power = _librosa().feature.melspectrogram(
        y=samples, sr=RATE, n_fft=WINDOW, hop_length=HOP, n_mels=mels, center=False, power=2.0
    )
    return np.log(power.transpose(0, 2, 1) + FLOOR).astype(np.float32)


def _librosa() -> Any:
    try:
        import librosa
    except ImportError:
        raise _missing("librosa") from None
    return librosa


def _missing(library: str) -> FaninError:
    return FaninError(f"data='spoken_digits' needs {library}: pip install 'fanin[speech]'")
