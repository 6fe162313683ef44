"""Series: the next value from a window of those before it."""

from typing import Any

import numpy as np

from fanin.errors import FaninError, FaninValueError
from fanin.lab.data import DataSet
from fanin.lab.datasets.parts import fewer, fixed_generator

WINDOW = 32
SUNSPOT_WINDOW = 22  # years: two cycles of about eleven
LONGEST = 100_000  # windows of the generated series
TEST_WINDOWS = 1000
WAVES = ((1.0, 24.0), (0.6, 7.3), (0.4, 91.0))  # amplitude, period
MEMORY, SHOCK = 0.7, 0.3  # of the noise: e[t] = MEMORY · e[t-1] + SHOCK · N(0, 1)
NORMALISED = "the series less its mean and over its deviation, both of its training part"


def series(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Three sines and autoregressive noise: the next value from the last `size` ones (float32, (examples, size, 1)).

    The noise has a part that nobody can foresee: no model has a squared error below the square of the shock.
    """
    window = size or WINDOW
    count = fewer(spec, examples or 3000, LONGEST)
    values = generated(window + count + TEST_WINDOWS)
    return _windows(spec, values, window, count, target=0.8, version="fanin 1, Philox seed 0")


def generated(length: int) -> np.ndarray:
    """The first `length` values of the series."""
    from scipy.signal import lfilter

    shocks = SHOCK * fixed_generator(2).standard_normal(length)
    time = np.arange(length)
    waves = np.sum([a * np.sin(2 * np.pi * time / period) for a, period in WAVES], axis=0)
    return waves + np.asarray(lfilter([1], [1, -MEMORY], shocks))


def sunspots(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Yearly sunspot numbers, 1700 to 2008: the next year from the last `size` ones; the last quarter is the test part.

    The classic of forecasting since Yule (1927); from statsmodels.
    """
    try:
        import statsmodels
        from statsmodels.datasets import sunspots as source
    except ImportError:
        raise FaninError("data='sunspots' needs statsmodels: pip install 'fanin[series]'") from None
    window = size or SUNSPOT_WINDOW
    table: Any = source.load_pandas().data
    values = table["SUNACTIVITY"].to_numpy(float)
    windows = len(values) - window
    if windows < 8:
        raise FaninValueError(f"data={spec!r} asks for windows of {window} years, but the series has {len(values)}")
    count = windows - windows // 4
    version = f"statsmodels {statsmodels.__version__}"
    return _windows(spec, values, window, count, target=0.8, version=version, latest=fewer(spec, examples, count))


def _windows(
    spec: str, values: np.ndarray, window: int, count: int, *, target: float, version: str, latest: int | None = None
) -> DataSet:
    """`count` windows to train on (or the `latest` of them), the rest to test on; none looks past the value that it predicts."""
    known = values[: window + count]
    scaled = ((values - known.mean()) / known.std()).astype(np.float32)
    x = np.lib.stride_tricks.sliding_window_view(scaled[:-1], window).copy()[:, :, None]
    y = scaled[window:, None].copy()
    first = count - (latest or count)
    return DataSet(
        spec,
        "regression",
        *(x[first:count], y[first:count], x[count:], y[count:]),
        classes=0,
        forms=((window, 1), (window,)),
        target=target,
        ordered=True,
        normalisation=NORMALISED,
        version=version,
    )
