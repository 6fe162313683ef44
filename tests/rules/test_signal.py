"""The kernels of a short-time Fourier transform."""

import os

import numpy as np
import pytest
from scipy import signal
from tests.rules.slots import drawn, keeps, slot

from fanin import rules
from fanin.errors import FaninError


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("window", ["hann", "hamming", "blackman"])
def test_windows_are_those_of_scipy(window, periodic):
    w = drawn(rules.stft(window=window, scaling="none", periodic=periodic), slot("oik", (9, 1, 13)))
    assert np.allclose(w[0, 0], signal.get_window(window, 13, periodic), atol=1e-12)  # frequency 0


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
@pytest.mark.parametrize("window", ["hann", None])
def test_as_keras_draws_it(side, scaling, window):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    theirs = keras.initializers.STFT(side, window, scaling)((32, 1, 17))
    ours = drawn(rules.stft(side, window or "none", scaling or "none"), slot("kio", (32, 1, 17)))
    error = np.abs(np.asarray(keras.ops.convert_to_numpy(theirs)) - ours).max()
    assert error < 2e-5 * np.abs(ours).max()  # its angles, of up to 2π · 15, are in float32


@pytest.mark.parametrize(("out", "taps"), [(9, 16), (9, 5), (5, 30), (2, 1)])
def test_frames_longer_and_shorter_than_the_transform(out, taps):
    for side in ("real", "imag"):
        for window in ("hann", "none"):
            keeps(rules.stft(side, window), slot("oik", (out, 1, taps)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rules.stft("both"), "side='both' is not known; accepted are 'real', 'imag'"),
        (lambda: rules.stft(window="kaiser"), "window='kaiser' is not known"),
        (lambda: rules.stft(scaling="db"), "scaling='db' is not known"),
        (lambda: rules.stft(periodic=1), "periodic must be True or False"),
        (lambda: rules.stft()(slot("oik", (9, 2, 16))), "over one channel"),
        (lambda: rules.stft()(slot("oik", (1, 1, 16))), "at least 2 outputs"),
        (lambda: rules.stft()(slot("oikk", (9, 1, 4, 4))), "1-D convolution"),
        (lambda: rules.stft()(slot("oi", (9, 1))), "1-D convolution"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(FaninError, match=words):
        make()
