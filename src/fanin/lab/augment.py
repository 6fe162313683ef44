"""Augmentation of training images: pure functions of a batch and a generator of random numbers."""

import difflib
from collections.abc import Callable, Sequence

import numpy as np

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.data import DataSet

PADDING = 4  # pixels on every side before a crop


def flip(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every image mirrored left to right with probability 1/2.

    Args:
        images: shape (n, channels, height, width).
        generator: of random numbers.
    """
    mirrored = generator.random(len(images)) < 0.5
    return np.where(mirrored[:, None, None, None], images[:, :, :, ::-1], images)


def crop(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every image padded by 4 zeros on each side, and a window of its own size cut out at random.

    He et al., CVPR 2016, section 4.2. Zero is the mean of a standardised channel.

    Args:
        images: shape (n, channels, height, width).
        generator: of random numbers.
    """
    n, channels, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    top, left = generator.integers(0, 2 * PADDING + 1, (2, n))
    rows = top[:, None] + np.arange(height)
    columns = left[:, None] + np.arange(width)
    which, channel = np.arange(n)[:, None, None, None], np.arange(channels)[None, :, None, None]
    return padded[which, channel, rows[:, None, :, None], columns[:, None, None, :]]


AUGMENTATIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {"flip": flip, "crop": crop}


def check_augmentations(names: Sequence[str], data: DataSet | None = None) -> None:
    """Raises `FaninValueError` for an augmentation that does not exist, or a data set that holds no images."""
    for name in names:
        if not isinstance(name, str):
            raise FaninTypeError(f"augment={name!r} is a {type(name).__name__}, but must be a name")
        if name not in AUGMENTATIONS:
            close = difflib.get_close_matches(name, AUGMENTATIONS, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise FaninValueError(f"augment={name!r} is unknown; accepted are {', '.join(AUGMENTATIONS)}{hint}")
    if names and data is not None and data.image is None:
        raise FaninValueError(
            f"augment={', '.join(names)!r} is for images, but data={data.name!r} holds none; leave augment out"
        )


def augment(
    batch: np.ndarray,
    names: Sequence[str],
    generator: np.random.Generator,
    image: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """A batch of images with each augmentation applied in turn; a new array, the one given is left alone.

    Args:
        batch: float32, shape (n, channels, height, width), or any other shape of the same numbers where `image` is given.
        names: of augmentations (`AUGMENTATIONS`), in order.
        generator: of random numbers; the same state gives the same batch.
        image: (channels, height, width) of an example, for a batch that the model takes in another form.

    Raises:
        FaninValueError: an unknown name, or a batch that holds no images.

    Example:
        >>> batch = np.arange(12.0).reshape(2, 1, 2, 3)
        >>> augment(batch, ["flip"], np.random.default_rng(1))[:, 0, 0].tolist()
        [[0.0, 1.0, 2.0], [6.0, 7.0, 8.0]]
    """
    check_augmentations(names)
    if not names:
        return np.array(batch)
    shape = batch.shape
    if image is None and batch.ndim != 4:
        raise FaninValueError(
            f"augment={', '.join(names)!r} is for images of shape (n, channels, height, width), but the batch has {shape}"
        )
    images = batch if image is None else batch.reshape(len(batch), *image)
    for name in names:
        images = AUGMENTATIONS[name](images, generator)
    return np.ascontiguousarray(images).reshape(shape)
