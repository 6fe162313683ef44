"""Augmentation: what it may do to an image, and that the same random numbers do the same."""

import numpy as np
import pytest

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.augment import AUGMENTATIONS, PADDING, augment, check_augmentations
from fanin.lab.data import load


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(400, 3, 8, 6)).astype(np.float32)


def test_a_flip_mirrors_half_of_the_images_and_leaves_the_others(images: np.ndarray) -> None:
    got = augment(images, ["flip"], generator())
    same = (got == images).all((1, 2, 3))
    mirrored = (got == images[:, :, :, ::-1]).all((1, 2, 3))
    assert np.array_equal(mirrored, ~same)
    assert abs(mirrored.mean() - 0.5) < 0.1


def test_a_crop_is_a_window_of_the_padded_image(images: np.ndarray) -> None:
    got = augment(images, ["crop"], generator())
    padded = np.pad(images, ((0, 0), (0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    offsets = set()
    for image, whole in zip(got, padded, strict=True):
        found = [
            (i, j)
            for i in range(2 * PADDING + 1)
            for j in range(2 * PADDING + 1)
            if np.array_equal(whole[:, i : i + 8, j : j + 6], image)
        ]
        assert found
        offsets.add(found[0])
    assert len(offsets) > 70  # of 81


def test_the_same_random_numbers_do_the_same_and_nothing_given_is_changed(images: np.ndarray) -> None:
    before = images.copy()
    images.flags.writeable = False
    for names in (["flip"], ["crop"], ["flip", "crop"]):
        once, again, other = (augment(images, names, generator(seed)) for seed in (1, 1, 2))
        assert np.array_equal(once, again)
        assert not np.array_equal(once, other)
        assert once.dtype == np.float32
        assert once.shape == images.shape
        once[:] = 0  # belongs to the caller
    assert np.array_equal(images, before)
    assert np.array_equal(augment(images, [], generator()), images)


def test_a_flat_batch_is_augmented_as_the_images_that_it_holds(images: np.ndarray) -> None:
    flat = augment(images.reshape(400, -1), ["flip", "crop"], generator(), image=(3, 8, 6))
    assert np.array_equal(flat.reshape(images.shape), augment(images, ["flip", "crop"], generator()))


def test_what_holds_no_images_is_refused() -> None:
    with pytest.raises(FaninValueError, match="is for images, but data='diabetes' holds none"):
        check_augmentations(["flip"], load("diabetes"))
    check_augmentations(list(AUGMENTATIONS), load("digits"))
    check_augmentations([], load("diabetes"))
    assert augment(np.ones((5, 64)), [], generator()).shape == (5, 64)
    with pytest.raises(FaninValueError, match=r"but the batch has \(5, 64\)"):
        augment(np.zeros((5, 64)), ["flip"], generator())
    with pytest.raises(
        FaninValueError, match="augment='filp' is unknown; accepted are flip, crop; did you mean 'flip'"
    ):
        check_augmentations(["filp"])
    with pytest.raises(FaninTypeError, match="augment=1"):
        check_augmentations([1])  # type: ignore[list-item]
