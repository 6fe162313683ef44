"""Convolutions that start as a short-time Fourier transform."""

import numpy as np

from fanin.distributions import Distribution, Formula
from fanin.draws.layout import to_blocks
from fanin.errors import FaninValueError
from fanin.formulas import Places, formula
from fanin.rules.arguments import choice_check, flag_check
from fanin.rules.fans import axes_of, fan
from fanin.rules.places import standing
from fanin.rules.promise import Array, Promise, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot

WINDOWS = {
    "hann": (0.5, 0.5, 0.0),
    "hamming": (0.54, 0.46, 0.0),
    "blackman": (0.42, 0.5, 0.08),
    "none": (1.0, 0.0, 0.0),
}
SIDES = ("real", "imag")
SCALINGS = ("density", "spectrum", "none")


def _window(length: int, periodic: float, a0: float, a1: float, a2: float) -> Array:
    """a0 - a1 cos(2πt/P) + a2 cos(4πt/P), over a period P of length (periodic) or length - 1 (symmetric)."""
    if length == 1:
        return np.ones(1)
    angle = 2 * np.pi * np.arange(length) / (length if periodic else length - 1)
    return a0 - a1 * np.cos(angle) + a2 * np.cos(2 * angle)


@formula
def windowed_dft(
    places: Places,
    shape: tuple[int, ...],
    axes: Axes,
    side: float,
    scaling: float,
    periodic: float,
    a0: float,
    a1: float,
    a2: float,
) -> Array:
    """cos or -sin of 2π · frequency · time / N, N = 2 (frequencies - 1), times the window over its size."""
    where = standing(places, axes)
    time, length = where.field[0]
    period = 2 * (axes.size("out") - 1)
    turns = (where.out * time) % period  # exact for any length
    wave = np.cos(2 * np.pi * turns / period) if side == 0 else -np.sin(2 * np.pi * turns / period)
    window = _window(length, periodic, a0, a1, a2)
    size = (np.sqrt(np.sum(window**2)), np.sum(np.abs(window)), 1.0)[int(scaling)]
    return wave * window[time] / size


def _signal_axes(slot: Slot) -> Axes:
    axes = axes_of(slot, "stft")
    fan(slot, "fan_geo_avg", "stft")
    fields = [factor for axis in axes.factors for factor in axis if factor.role == "field"]
    if len(fields) != 1 or axes.size("in") * axes.size("stack") != 1 or axes.size("out") < 2:
        raise FaninValueError(
            f"stft cannot fill {slot.name!r} of shape {slot.shape} (axes {axes.spec!r}); it takes the kernel of a 1-D "
            "convolution over one channel, with at least 2 outputs (frequencies)"
        )
    return axes


def _scaling(window: str, scaling: str) -> str:
    """What a window is divided by; nothing where there is none, as Keras has it."""
    return "none" if window == "none" else scaling


def _transform(slot: Slot, side: str, window: str, scaling: str, periodic: bool) -> Promise:
    """What the kernel makes of a frame is NumPy's FFT of the windowed frame."""
    axes = _signal_axes(slot)
    period, length = 2 * (axes.size("out") - 1), axes.receptive_field

    def furthest(weight: Array, slot: Slot) -> float:
        kernel = to_blocks(weight, axes)[0, :, 0]
        frame = np.random.default_rng(0).standard_normal(length)
        shape = _window(length, periodic, *WINDOWS[window])
        sizes = {"density": np.linalg.norm(shape), "spectrum": np.abs(shape).sum(), "none": 1.0}
        size = sizes[_scaling(window, scaling)]
        folded = np.zeros(-(-length // period) * period)
        folded[:length] = frame * shape / size
        wanted = np.fft.rfft(folded.reshape(-1, period).sum(axis=0))
        return float(np.abs(kernel @ frame - (wanted.real if side == "real" else wanted.imag)).max())

    return values(0.0, furthest, f"the {side} part of the Fourier transform of a windowed frame", 1e-5)


@rule(
    promise=_transform,
    checks={
        "side": choice_check(SIDES),
        "window": choice_check(tuple(WINDOWS)),
        "scaling": choice_check(SCALINGS),
        "periodic": flag_check,
    },
    samples=({}, {"side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True}),
)
def stft(
    slot: Slot, side: str = "real", window: str = "hann", scaling: str = "density", periodic: bool = False
) -> Distribution:
    """A 1-D convolution over one channel that starts as a short-time Fourier transform: one output a frequency.

    As Keras's `STFT` initializer: the real and the imaginary part are two layers; the layer's stride is the hop.

    Formula:
        W[k, 0, t] = w(t) / size · cos(2π k t / N)   ("imag": -sin),   N = 2 (out - 1),   w the window

    Args:
        side: "real" or "imag".
        window: "hann", "hamming", "blackman" or "none".
        scaling: what the window is divided by: "density" its root of the sum of squares, "spectrum" its sum, "none" nothing. Without
            a window nothing is divided, as in Keras.
        periodic: whether the window's period is the frame (as for spectra), or one less (symmetric, as Keras has it).

    Raises:
        FaninValueError: for a weight that is not the kernel of a 1-D convolution over one channel with at least 2 outputs.

    Promise:
        What the kernel makes of a frame is the real (imaginary) part of the Fourier transform of the windowed frame.

    Paper:
        Allen & Rabiner 1977, "A unified approach to short-time Fourier analysis and synthesis"; Keras's `STFTSpectrogram`.

    Example:
        >>> from fanin import draws
        >>> draws.draw(stft(window="none"), (3, 1, 4), seed=0, name="w", axes="oik")[:, 0].round(6).tolist()
        [[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, -1.0, -0.0], [1.0, -1.0, 1.0, -1.0]]
    """
    numbers = (SIDES.index(side), SCALINGS.index(_scaling(window, scaling)), periodic, *WINDOWS[window])
    return Formula("windowed_dft", tuple(float(x) for x in numbers), _signal_axes(slot))
