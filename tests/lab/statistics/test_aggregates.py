"""Figures across cells are rliable's; their intervals cover, or warn."""

import numpy as np
import pytest

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab import statistics as st
from fanin.lab.statistics import bootstrap

# What rliable 1.2.0 gives for these scores (runs × cells), its bootstrap with 20,000 resamples.
X = np.random.default_rng(0).normal(0.5, 0.2, (7, 5)).round(3)
Y = np.random.default_rng(1).normal(0.6, 0.2, (6, 5)).round(3)
RLIABLE = {
    "interquartile mean": (0.4738421052631578, 0.42315789, 0.52810526),
    "mean": (0.47557142857142864, 0.42531357, 0.52465786),
    "optimality gap": (0.14297142857142857, 0.10262714, 0.18546),
}


def test_figures_and_plain_intervals_are_rliables() -> None:
    got = {
        "interquartile mean": st.interquartile_mean(X, method="percentile", resamples=20_000),
        "mean": st.mean_score(X, method="percentile", resamples=20_000),
        "optimality gap": st.optimality_gap(X, 0.6, method="percentile", resamples=20_000),
    }
    for name, (value, low, high) in RLIABLE.items():
        assert got[name].value == pytest.approx(value)
        assert (got[name].low, got[name].high) == (pytest.approx(low, abs=0.003), pytest.approx(high, abs=0.003))
    assert st.median_score(X).value == pytest.approx(0.4811428571428572)


def test_improvement_and_profile_are_rliables() -> None:
    plain = st.probability_of_improvement(X, Y, method="percentile", resamples=5000)
    assert plain.value == pytest.approx(0.28095238095238095)
    assert (plain.low, plain.high) == (pytest.approx(0.14761905, abs=0.01), pytest.approx(0.42857143, abs=0.01))
    profile = st.performance_profile(X, [0.3, 0.5, 0.7])
    assert profile.share == pytest.approx((0.88571429, 0.45714286, 0.08571429))


def test_the_interquartile_mean_is_scipys_trimmed_mean_for_any_number_of_runs() -> None:
    from scipy.stats import trim_mean

    for n in range(1, 30):
        x = np.random.default_rng(n).normal(size=n)
        assert float(st.interquartile_mean_of(x, [n])) == pytest.approx(trim_mean(x, 0.25))


def test_odd_runs_do_not_move_the_interquartile_mean() -> None:
    spoilt = X.copy()
    spoilt[0, 0] = -1e6
    assert abs(st.interquartile_mean(spoilt).value - st.interquartile_mean(X).value) < 0.02
    assert st.mean_score(spoilt).value < -1e4


def test_cells_weigh_the_same_whatever_their_runs() -> None:
    cells = {"few": [0.0, 0.0], "many": [1.0] * 10}
    assert st.mean_score(cells).value == 0.5
    assert st.performance_profile(cells, [0.5]).share == (0.5,)
    assert st.optimality_gap(cells, 1.0).value == 0.5


@pytest.mark.parametrize("cells", [1, 4])
@pytest.mark.parametrize("runs", [3, 5, 10])
def test_intervals_cover_or_warn(runs: int, cells: int) -> None:
    """The plain percentiles cover 75 to 93 %, and warn; the expanded ones cover, or warn."""
    rng = np.random.default_rng(runs)
    found = {method: [] for method in ("percentile", "expanded")}
    for _ in range(200):
        x = rng.normal(0, 1, (runs, cells)) + np.arange(cells)
        for method, covers in found.items():
            e = st.mean_score(x, method=method, resamples=300, seed=int(rng.integers(1 << 30)))
            covers.append((e.low <= (cells - 1) / 2 <= e.high, e.trusted))
    error = 3 * 0.0154
    held, trusted = np.array(found["expanded"]).T
    assert held.mean() >= 0.93 - error or trusted.mean() < 0.5
    assert np.mean(trusted & ~held) <= 0.07 + error
    assert held.mean() > np.mean([c for c, _ in found["percentile"]])
    assert not any(t for _, t in found["percentile"])


def test_one_cell_expanded_is_nearly_students() -> None:
    x = np.random.default_rng(5).normal(0, 1, 25)
    t, e = st.t_interval(x), st.mean_score(x[:, None], resamples=20_000)
    assert e.high - e.low == pytest.approx(t.high - t.low, rel=0.05)


def test_bca_leans_to_the_long_tail() -> None:
    x = np.random.default_rng(6).lognormal(0, 1, (20, 3))
    plain, bca = (st.mean_score(x, method=m, resamples=4000) for m in ("percentile", "bca"))
    assert bca.low > plain.low
    assert bca.high > plain.high


def test_influences_of_a_mean_are_its_deviations() -> None:
    cells = [np.array([1.0, 2.0, 6.0]), np.array([0.0, 4.0])]
    pull = bootstrap.influence(np.concatenate(cells), [3, 2], st.mean_of)
    for cell, found in zip(cells, pull, strict=True):
        assert found * len(cells) * cell.size == pytest.approx(cell - cell.mean())
    variance = sum(c.var(ddof=1) / c.size for c in cells) / len(cells) ** 2
    terms = [(c.var(ddof=1) / c.size) ** 2 / (c.size - 1) for c in cells]
    assert bootstrap.freedom(pull) == pytest.approx((variance * len(cells) ** 2) ** 2 / sum(terms))


def test_the_same_seed_gives_the_same_interval() -> None:
    assert st.interquartile_mean(X, seed=3) == st.interquartile_mean(X, seed=3)
    assert st.interquartile_mean(X, seed=3) != st.interquartile_mean(X, seed=4)


def test_cells_without_a_spread_warn() -> None:
    assert st.mean_score([[0.5, 0.6]]).why == "a cell has one run only, which has no spread"
    assert st.mean_score([[0.5], [0.5], [0.5]]).why == "no resample differs from the scores"


def test_one_method_that_always_wins_still_has_an_interval() -> None:
    found = st.probability_of_improvement([[0.9 + i / 100] for i in range(10)], [[0.5 + i / 100] for i in range(10)])
    assert found.value == found.high == 1
    assert 0.7 < found.low < 0.85
    assert found.trusted


@pytest.mark.parametrize("shift", [0.0, 1.5])
@pytest.mark.parametrize("runs", [5, 10])
def test_the_chance_of_improvement_is_covered(runs: int, shift: float) -> None:
    from scipy.special import ndtr

    rng = np.random.default_rng(7)
    x, y = rng.normal(0, 1, (2, 300, runs, 2))
    found = [st.probability_of_improvement(a + shift, b) for a, b in zip(x, y, strict=True)]
    truth = ndtr(shift / np.sqrt(2))
    assert np.mean([e.low <= truth <= e.high for e in found]) >= 0.93 - 0.045


def test_improvement_is_symmetric_and_half_for_ties() -> None:
    there, back = st.probability_of_improvement(X, Y), st.probability_of_improvement(Y, X)
    assert there.value + back.value == pytest.approx(1)
    assert there.low + back.high == pytest.approx(1)
    assert st.probability_of_improvement(X, X).value == pytest.approx(0.5)
    named = st.probability_of_improvement({"a": [1.0, 2], "b": [5.0, 6]}, {"b": [7.0, 8], "a": [0.0, 0]})
    assert named.value == 0.5


def test_a_profile_falls_and_its_band_is_never_empty() -> None:
    p = st.performance_profile(X, np.linspace(-1, 2, 30))
    assert list(p.share) == sorted(p.share, reverse=True)
    assert all(low < high for low, high in zip(p.low, p.high, strict=True))
    assert all(low <= s <= high for low, s, high in zip(p.low, p.share, p.high, strict=True))


def test_arguments_are_checked() -> None:
    with pytest.raises(FaninValueError, match=r"scores has 1 axes, but must be a matrix \(runs × cells\)"):
        st.interquartile_mean([0.1, 0.2])  # type: ignore[list-item]
    with pytest.raises(FaninTypeError, match="scores=.* must be a matrix of numbers"):
        st.interquartile_mean([[0.1, 0.2], [0.3]])
    with pytest.raises(FaninValueError, match=r"scores\[:, 1\] has a value that is not finite"):
        st.mean_score([[0.1, float("nan")]])
    with pytest.raises(FaninValueError, match=r"scores\['b'\] has 0 values"):
        st.mean_score({"a": [0.1], "b": []})
    with pytest.raises(FaninValueError, match="method='normal' must be one of 'expanded'"):
        st.mean_score(X, method="normal")
    with pytest.raises(FaninValueError, match="a has 5 cells and b 4"):
        st.probability_of_improvement(X, Y[:, :4])
    with pytest.raises(FaninValueError, match="a and b must have the same cells"):
        st.probability_of_improvement({"a": [1.0]}, {"b": [1.0]})
