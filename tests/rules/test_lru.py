"""The ring of the linear recurrent unit, and a real unit run over a long sequence."""

import math

import numpy as np
import pytest

from fanin import rules
from fanin.draws import draw
from fanin.errors import FaninValueError
from fanin.slots import Slot

N = 2000


def drawn(rule, name, seed=0, shape=(N,)):
    return draw(rule, shape, seed=seed, name=name, dtype="float64")


@pytest.mark.parametrize(("low", "high", "phase"), [(0.0, 1.0, 2 * math.pi), (0.9, 0.999, math.pi / 10)])
def test_eigenvalues_fill_the_ring_evenly(low, high, phase):
    nu, theta = drawn(rules.lru_nu(low, high), "lru.nu_log"), drawn(rules.lru_theta(phase), "lru.theta_log")
    eigenvalues = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    radius, angle = np.abs(eigenvalues), np.angle(eigenvalues) % (2 * math.pi)
    assert low <= radius.min()
    assert radius.max() <= high
    assert angle.max() <= phase
    area = np.sort((radius**2 - low**2) / (high**2 - low**2))
    for uniform in (area, np.sort(angle / phase)):
        assert np.abs(uniform - (np.arange(N) + 0.5) / N).max() < 2.23 / math.sqrt(N)
    assert abs(np.corrcoef(radius, angle)[0, 1]) < 0.1


def test_each_state_has_the_size_of_one_input_however_long_it_remembers():
    nu, gamma = drawn(rules.lru_nu(0.5, 0.99), "a.lru.nu_log"), drawn(rules.lru_gamma(0.5, 0.99), "a.lru.gamma_log")
    radius = np.exp(-np.exp(nu))
    rng, state = np.random.default_rng(0), np.zeros((64, N))
    for _ in range(600):
        state = radius * state + np.exp(gamma) * rng.standard_normal((64, N))
    assert np.mean(state**2) == pytest.approx(1.0, rel=0.02)
    long, short = radius > 0.9, radius < 0.6
    assert np.mean(state[:, long] ** 2) == pytest.approx(np.mean(state[:, short] ** 2), rel=0.05)


def test_layers_differ_and_seeds_differ():
    one, two = drawn(rules.lru_nu(), "layers.0.lru.nu_log"), drawn(rules.lru_nu(), "layers.1.lru.nu_log")
    assert np.abs(one - two).max() > 0.1
    assert np.abs(one - drawn(rules.lru_nu(), "layers.0.lru.nu_log", seed=1)).max() > 0.1


@pytest.mark.parametrize(
    ("rule", "shape", "words"),
    [
        (rules.lru_nu(0.9, 0.9), (4,), "r_min=0.9 must be below r_max=0.9"),
        (rules.lru_gamma(0.9, 0.5), (4,), "must be below"),
        (rules.lru_nu(), (), "one number for each state"),
        (rules.lru_gamma(), (0,), "one number for each state"),
    ],
)
def test_bad_input(rule, shape, words):
    with pytest.raises(FaninValueError, match=words):
        rule(Slot("w", shape, "float32", "scale"))


def test_bad_arguments():
    with pytest.raises(FaninValueError, match="r_max=1.5.*from 0 to 1"):
        rules.lru_nu(r_max=1.5)
    with pytest.raises(FaninValueError, match="max_phase"):
        rules.lru_theta(0.0)
