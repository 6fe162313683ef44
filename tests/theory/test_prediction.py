"""Predictions against measured chains in NumPy: means, and fluctuations between redraws."""

import math

import numpy as np
import pytest
from tests.checks.chains import Norm, batch, chain, mirrored, normal, orthogonal, torch_bias, uniform, watch

from fanin.activations import Activation
from fanin.theory import predict
from fanin.theory.path import main_path
from fanin.theory.prediction import forward_rows, gradient_log
from fanin.traces.records import Trace

WIDTH = 128
CHAINS = {
    "torch default, relu": lambda seed: chain(15, WIDTH, "relu", uniform(1.0), bias=torch_bias, seed=seed),
    "torch default, tanh": lambda seed: chain(15, WIDTH, "tanh", uniform(1.0), bias=torch_bias, seed=seed),
    "He relu": lambda seed: chain(15, WIDTH, "relu", normal(math.sqrt(2)), seed=seed),
    "gelu": lambda seed: chain(15, WIDTH, "gelu", normal(1.5335), seed=seed),
    "silu": lambda seed: chain(15, WIDTH, "silu", normal(1.6765), seed=seed),
    "softplus": lambda seed: chain(10, WIDTH, "softplus", normal(1.0), seed=seed),
    "sigmoid": lambda seed: chain(6, WIDTH, "sigmoid", normal(1.8), seed=seed),
    "elu": lambda seed: chain(15, WIDTH, "elu", normal(1.2452), seed=seed),
    "tanh, chaotic": lambda seed: chain(15, WIDTH, "tanh", normal(2.0), seed=seed),
    "tanh, orthogonal": lambda seed: chain(30, WIDTH, "tanh", orthogonal(1.0), seed=seed),
    "relu, orthogonal": lambda seed: chain(15, WIDTH, "relu", orthogonal(math.sqrt(2)), seed=seed),
    "mirrored relu": lambda seed: chain(30, WIDTH, "relu", mirrored(Activation.named("relu"), 30), seed=seed),
    "mirrored gelu": lambda seed: chain(30, WIDTH, "gelu", mirrored(Activation.named("gelu"), 30), seed=seed),
    "mirrored elu": lambda seed: chain(30, WIDTH, "elu", mirrored(Activation.named("elu"), 30, 0.5), seed=seed),
    "mirrored sigmoid": lambda seed: chain(
        30, WIDTH, "sigmoid", mirrored(Activation.named("sigmoid"), 30, 0.5), seed=seed
    ),
}


def redraws(name: str, count: int = 3) -> list[Trace]:
    return [watch(CHAINS[name](seed), batch(seed=seed)) for seed in range(count)]


@pytest.mark.parametrize("name", CHAINS)
def test_measured_signals_lie_in_the_predicted_band(name: str) -> None:
    """rms, spread and gradient of every layer, three deviations and 3 % for what the theory of wide nets leaves out."""
    outside = total = 0
    for trace in redraws(name):
        law = predict(trace)
        for i in law.weight_ops():
            state, signal, gradient = law.states[i], trace.ops[i].signal, law.gradients[0][i]
            assert state is not None and signal is not None
            for log, variance in (
                (math.log(signal.rms**2 / state.q), state.var_q),
                (math.log(signal.spread**2 / state.s), state.var_s),
                (math.log(signal.grad_rms**2 / gradient), law.gradients[1][i]),
            ):
                total += 1
                outside += abs(log) > 3 * math.sqrt(variance) + 0.06
    assert outside <= 0.02 * total, f"{outside} of {total} outside"


@pytest.mark.parametrize("name", ["He relu", "torch default, relu", "gelu", "tanh, chaotic"])
def test_fluctuation_between_redraws_is_not_underestimated(name: str) -> None:
    """The band is honest: deviations of 16 redraws stay under the predicted ones, and are not far below for He's ReLU."""
    logs, predicted = [], []
    for seed in range(16):
        trace = watch(CHAINS[name](seed), batch(seed=0))
        law = predict(trace)
        last = law.segments[0].judged[-1]
        signal = trace.ops[last.op].signal
        assert signal is not None
        logs.append((math.log(signal.rms**2), math.log((signal.spread / signal.rms) ** 2)))
        predicted.append((last.between.var_q, last.between.var_r))
    measured, promised = np.std(logs, axis=0), np.sqrt(np.mean(predicted, axis=0))
    assert np.all(measured < 1.4 * promised)
    if name == "He relu":
        assert measured[0] > 0.5 * promised[0]


def test_weights_with_a_mean_make_units_alike_and_the_signal_survives() -> None:
    """Positive weights of mean 1 / fan_in: without the coherent sum over units, 1 / width of the power would be left a layer."""
    layers = chain(6, WIDTH, "relu", lambda rng, o, i, _: rng.uniform(0, 2 / i, (o, i)))
    trace = watch(layers, batch())
    law = predict(trace)
    for i in law.weight_ops():
        state, signal = law.states[i], trace.ops[i].signal
        assert state is not None
        assert signal is not None
        assert signal.rms == pytest.approx(math.sqrt(state.q), rel=0.3)
        assert 0.5 < signal.spread / math.sqrt(state.s) < 2.0


def test_contrast_is_followed_below_the_rounding_of_a_correlation() -> None:
    trace = watch(chain(60, 64, "relu", uniform(1.0), bias=torch_bias), batch())
    state = predict(trace).segments[0].judged[-1].between
    assert 0 < state.s / state.q < 1e-40


def test_norms_cut_the_path_into_segments() -> None:
    layers = chain(6, WIDTH, "relu", normal(1.0))
    trace = watch([*layers[:6], Norm("layer_norm"), *layers[6:]], batch())
    law = predict(trace)
    assert [(len(s.steps), s.end) for s in law.segments] == [(3, "norm"), (4, "output")]
    assert law.segments[1].start.q == pytest.approx(1.0, rel=1e-3)


def test_batch_norm_restores_the_contrast() -> None:
    layers = chain(12, WIDTH, "relu", uniform(1.0), bias=torch_bias)
    trace = watch([*layers[:12], Norm("batch_norm"), *layers[12:]], batch())
    law = predict(trace)
    after = law.states[12]
    assert after is not None
    assert after.s / after.q > 0.9 > 0.1 > law.states[11].s / law.states[11].q  # type: ignore[union-attr]


def test_rows_and_gradients_follow_the_gain_of_each_layer() -> None:
    """He times g: every layer multiplies second moments by g², forward and backward."""
    for gain in (0.8, 1.0, 1.2):
        law = predict(watch(chain(20, 256, "relu", normal(math.sqrt(2) * gain)), batch()))
        rows, backward = forward_rows(law.segments[0]), gradient_log(law.segments[0])
        assert rows[-1].q.value - rows[0].q.value == pytest.approx(19 * 2 * math.log(gain), abs=0.4)
        assert backward.value == pytest.approx(19 * 2 * math.log(gain), abs=0.4)
        assert backward.variance == pytest.approx(5 * 19 / 256, rel=0.05)


def test_the_head_is_not_judged_and_the_path_runs_through_every_layer() -> None:
    trace = watch(chain(4, 32, "relu", normal(1.4)), batch())
    law = predict(trace)
    assert main_path(trace) == list(range(9))
    assert [s.name for s in law.segments[0].judged] == [f"fc{i}.weight" for i in range(1, 5)]
    assert law.segments[0].steps[-1].head
