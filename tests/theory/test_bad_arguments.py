"""Numbers that no theory takes: every public function of the theory says so in a sentence of its own, or has an answer."""

import contextlib
import math
import warnings

import numpy as np
import pytest

from fanin import theory
from fanin.errors import FaninError, FaninValueError

ODD = (-1.0, 0.0, math.nan, math.inf, -math.inf, 1e300)
GOOD = {
    "variance_map": {"q": 1.0, "sigma_w": 1.0, "sigma_b": 0.1, "keep": 0.9},
    "correlation_map": {"c": 0.5, "q": 1.0, "sigma_w": 1.0, "sigma_b": 0.1, "keep": 0.9, "contrast": 0.5},
    "gradient_map": {"q": 1.0, "sigma_w": 1.0, "keep": 0.9},
    "gradient_covariance_map": {"c": 0.5, "q": 1.0, "sigma_w": 1.0},
    "signals": {"depth": 3, "sigma_w": 1.0, "sigma_b": 0.1, "q": 1.0, "c": 0.5, "keep": 0.9},
    "fixed_point": {"sigma_w": 1.0, "sigma_b": 0.1, "keep": 0.9},
    "residual": {
        "depth": 2, "sigma_w": 1.0, "sigma_b": 0.1, "branch": 0.5, "skip": 1.0, "norm": "pre", "q": 1.0, "c": 0.5, "inner": 1.0,
    },
    "norm_layer": {"norm": "rms", "size": 8, "c": 0.5},
    "sphere_moments": {"dimension": 5.0},
    "weight_standardised": {"sigma_w": 1.0, "sigma_b": 0.1},
    "log_norm": {"widths": [5, 6], "sigma_w": 1.0, "sigma_b": 0.1, "q0": 1.0},
    "log_gradient_norm": {"widths": [5, 6], "sigma_w": 1.0, "sigma_b": 0.1, "q0": 1.0},
    "layer_constant": {"q": 1.0},
    "critical_or_gain": {"sigma_b": 0.1},
    "phase_boundary": {"sigma_b": [0.1]},
    "jacobian_spectrum": {"depth": 3, "sigma_w": 1.0, "q": 1.0},
    "pair_moments": {"correlation": 0.5, "variance": 1.0, "other": 1.0, "contrast": 0.5},
    "moments": {"mean": 0.0, "variance": 1.0},
    "conv_variance_map": {"q": [1.0, 1.0], "sigma_w": 1.0, "sigma_b": 0.1},
    "nngp_kernel": {"x": [[1.0, 2.0]], "depth": 1, "sigma_w": 1.0, "sigma_b": 0.1},
    "attention": {"tokens": 3, "q": 1.0, "c": 0.5, "logit_variance": 1.0, "sigma_v": 1.0, "sigma_o": 1.0},
    "participation": {"tokens": 3, "logit_variance": 1.0},
    "branch_scale": {"depth": 3, "growth": 2.0},
    "kernel_shares": {"size": 3},
}  # fmt: skip
NO_FUNCTION = {"attention", "participation", "branch_scale", "kernel_shares"}


@pytest.mark.parametrize("name", GOOD)
def test_odd_numbers_never_end_in_a_raw_error(name: str) -> None:
    first = () if name in NO_FUNCTION else ("relu",)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers that end
        for argument, good in GOOD[name].items():
            if isinstance(good, str):
                continue
            for odd in ODD:
                value = odd
                if isinstance(good, list):
                    value = [[odd] * len(row) if isinstance(row, list) else odd for row in good]
                with contextlib.suppress(FaninError):
                    getattr(theory, name)(*first, **{**GOOD[name], argument: value})


NO_NUMBERS = (None, "1", b"1", [], [1], {}, object(), np.array([1.0, 2.0]), 1j, math.sin)


@pytest.mark.parametrize("name", GOOD)
def test_what_is_no_number_is_named(name: str) -> None:
    """Where an argument may be left out, None is a way to do so."""
    first = () if name in NO_FUNCTION else ("relu",)
    for argument, good in GOOD[name].items():
        if argument in ("x", "size") or (name.startswith("conv") and argument == "q"):
            continue  # arrays
        for odd in NO_NUMBERS:
            if isinstance(good, list) and isinstance(odd, list | np.ndarray):
                continue
            with contextlib.suppress(FaninError):
                getattr(theory, name)(*first, **{**GOOD[name], argument: odd})
                assert odd is None, (argument, odd)


@pytest.mark.parametrize("number", [np.float32(2), np.int64(2), np.array(2.0), True + 1])
def test_numbers_of_every_kind_are_numbers(number: object) -> None:
    assert theory.moments("relu", 0.0, number) == theory.moments("relu", 0.0, 2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.log_norm("relu", [10], q0=-1.0), "q0=-1.0"),
        (lambda: theory.log_norm("relu", [10], sigma_w=-1.0), "sigma_w=-1.0"),
        (lambda: theory.log_norm("relu", [10], sigma_w=0.0), "sigma_w=0"),
        (lambda: theory.log_gradient_norm("relu", [10], q0=0.0), "q0=0.0"),
        (lambda: theory.residual("relu", 3, 1.0, norm="pre", q=0.0), "q=0.0"),
        (lambda: theory.residual("relu", 3, 1.0, branch=math.nan), "branch=nan"),
        (lambda: theory.residual("relu", 3, 1.0, branch=0.0, skip=0.0), "nothing of the stream"),
        (lambda: theory.conv_variance_map("relu", [1.0, -1.0, 1.0], 1.0), "negative or non-finite"),
        (lambda: theory.conv_depth_scales("relu", 1.0, 0.0, 4, [0.5, 0.1, 0.1]), "sum to 0.7"),
        (lambda: theory.signals("relu", 3, 1.0, c=2.0), "c=2.0"),
        (lambda: theory.signals("relu", 2.5, 1.0), "depth=2.5"),  # type: ignore[arg-type]
        (lambda: theory.correlation_map("relu", 0.5, 1.0, 1.0, contrast=3.0), "contrast=3.0"),
        (lambda: theory.variance_map("relu", -1.0, 1.0), "q=-1.0"),
        (lambda: theory.jacobian_spectrum("relu", 3, -1.0), "sigma_w=-1.0"),
        (lambda: theory.phase_boundary("relu", [-1.0]), "sigma_b=-1.0"),
        (lambda: theory.phase_boundary("rellu", [0.1]), "'rellu' is not known"),
        (lambda: theory.kernel_shares(2.5), "size=2.5"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments_are_named(call, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        call()
