"""Whether the lab's intervals cover as often as they say, its power comes true, and one method under two names is one.

    python benchmarks/lab_statistics.py [--replications 500] [--only cells]

Populations: normal; skewed (log-normal, σ = 0.5 and 1); accuracies bounded near 1 (beta, 0.98 ± 0.005 and 0.985 ± 0.01); two
humps (half and half, and 30 : 70). n = 3, 5, 10, 30. "covers" is the share of samples whose interval holds the truth, "trusted"
the share whose interval does not warn. Then a word:
    ok     covers within two points of the level (0.95; of a median's and Hodges and Lehmann's what they really reach)
    safe   covers more often than that
    warns  covers less often; but most intervals warn, or those that do not are wrong in no more than 5 of 100 samples
    SHORT  covers less often, and does not warn enough
With 500 replications a coverage is known to a point (one standard error), so that some rows are SHORT by chance.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.lab.statistics import populations

from fanin.lab import statistics as st
from fanin.lab.statistics import aggregates, bootstrap, means, paired, shares
from fanin.lab.statistics.survival import log_log_band

LEVEL, POINTS = 0.95, 0.02
SIZES = (3, 5, 10, 30)


@dataclass(frozen=True)
class Population(populations.Population):
    """A population of scores with its median, too."""

    median: float


def _with_median(p: populations.Population) -> Population:
    many = p.draw(np.random.default_rng(12345), (2_000_000,))
    return Population(p.name, p.draw, p.mean, float(np.median(many)))


POPULATIONS = tuple(map(_with_median, populations.POPULATIONS))


@dataclass(frozen=True)
class Row:
    """How one interval did on one population at one size."""

    what: str
    population: str
    n: int
    level: float
    covers: float
    trusted: float
    unwarned: float

    @property
    def word(self) -> str:
        if self.covers >= self.level - POINTS:
            return "ok" if self.covers <= self.level + POINTS else "safe"
        return "warns" if self.trusted < 0.5 or self.unwarned <= 1 - self.level else "SHORT"

    def __str__(self) -> str:
        level = "" if self.level == LEVEL else f", level {self.level:.3f}"
        return (
            f"{self.what} on {self.population}, n = {self.n}{level}: covers {self.covers:.3f}, trusted {self.trusted:.2f}, "
            f"missed unwarned {self.unwarned:.3f}: {self.word}"
        )


def row(what: str, population: str, n: int, covers: np.ndarray, trusted: np.ndarray, level: float = LEVEL) -> Row:
    """From one entry a sample: whether its interval covers, and whether it does not warn."""
    unwarned = float(np.mean(trusted & ~covers))
    return Row(what, population, n, level, float(covers.mean()), float(trusted.mean()), unwarned)


def table(rows: list[Row]) -> Iterator[str]:
    """One line an interval and population, with coverage, share trusted and word for each n."""
    sizes = sorted({r.n for r in rows})
    yield f"{'':42} {'':20}" + "".join(f"{f'n = {n}':>18}" for n in sizes)
    yield f"{'interval':42} {'population':20}" + f"{'covers trusted':>18}" * len(sizes)
    lines: dict[tuple[str, str], dict[int, Row]] = {}
    for r in rows:
        lines.setdefault((r.what, r.population), {})[r.n] = r
    for (what, population), found in lines.items():
        parts = [f"{r.covers:7.3f}{r.trusted:5.2f} {r.word:5}" if (r := found.get(n)) else " " * 18 for n in sizes]
        yield f"{what:42} {population:20}" + "".join(parts)


def inside(ends: tuple[np.ndarray, np.ndarray], truth: float) -> np.ndarray:
    """Whether each interval holds the truth."""
    return (ends[0] <= truth) & (truth <= ends[1])


def one_cell(rng: np.random.Generator, replications: int) -> Iterator[Row]:
    """Intervals of the mean and the median of one cell."""
    for population in POPULATIONS:
        for n in SIZES:
            x = population.draw(rng, (20 * replications, n))
            skew = np.abs(means.skewness(x))
            t = inside(means.t_ends(x, LEVEL), population.mean)
            hall = inside(means.skew_ends(x, LEVEL), population.mean)
            t_ok, hall_ok = skew <= means.t_limit(n), skew <= means.skew_limit(n)
            ranks = st.median_interval(np.arange(n), LEVEL)
            ordered = np.sort(x, axis=1)
            median = inside((ordered[:, int(ranks.low)], ordered[:, int(ranks.high)]), population.median)
            shown = np.where(t_ok, t, hall) if n >= means.FEWEST else t
            yield row("t_interval", population.name, n, t, t_ok)
            yield row("skew_interval (Hall)", population.name, n, hall, hall_ok)
            yield row("mean_interval (t or Hall)", population.name, n, shown, t_ok | hall_ok)
            yield row("median_interval", population.name, n, median, np.full(len(x), ranks.trusted), ranks.level)


def mixture(rng: np.random.Generator, replications: int) -> Iterator[str]:
    """The mean over converged and diverged runs: why it has no interval here."""
    yield f"{'diverges':>9} {'n':>4} {'t-interval':>11} {'bootstrap':>10}   one mean over runs at 0.9 ± 0.01 and diverged ones at 0.1"
    for part in (0.1, 0.3):
        truth = 0.9 - 0.8 * part
        for n in SIZES:
            shape = (10 * replications, n)
            x = np.where(rng.random(shape) < part, 0.1, rng.normal(0.9, 0.01, shape))
            boot = percentile_ends(x[: 2 * replications], rng)
            yield f"{part:9.0%} {n:4} {inside(means.t_ends(x, LEVEL), truth).mean():11.2f} {inside(boot, truth).mean():10.2f}"
    yield f"\n{'':9} {'n':>4} {'t-interval':>11} {'bootstrap':>10}   no run diverges: normal"
    for n in SIZES:
        x = rng.normal(0, 1, (4 * replications, n))
        boot = percentile_ends(x, rng)
        yield f"{'':9} {n:4} {inside(means.t_ends(x, LEVEL), 0).mean():11.2f} {inside(boot, 0).mean():10.2f}"


def percentile_ends(x: np.ndarray, rng: np.random.Generator, resamples: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """The plain percentile bootstrap of the mean of each row."""
    weights = rng.multinomial(x.shape[1], np.full(x.shape[1], 1 / x.shape[1]), (len(x) // 20, resamples))
    boot = np.einsum("gbn,grn->grb", weights / x.shape[1], x[: 20 * len(weights)].reshape(len(weights), 20, -1))
    ends = np.quantile(boot, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=-1)
    return ends[0].ravel(), ends[1].ravel()


def share_of_runs(rng: np.random.Generator, replications: int) -> Iterator[str]:
    """The share of runs that diverged, by exact sums: nothing is drawn."""
    yield f"{'n':>5} {'worst':>8} {'mean':>8} {'at 1 %':>8} {'10 %':>8} {'30 %':>8} {'50 %':>8} {'textbook worst':>15} {'its mean':>9}"
    for n in (*SIZES, 100):
        parts = np.arange(n + 1) / n
        ours, book = shares.share_ends(parts, n, LEVEL), shares.wilson_ends(parts, n, LEVEL)
        grid = np.linspace(0.0005, 0.9995, 1999)
        at = [exact_coverage(ours, np.array([p]))[0] for p in (0.01, 0.1, 0.3, 0.5)]
        yield (
            f"{n:5} {shares.worst_coverage(*ours):8.3f} {exact_coverage(ours, grid).mean():8.3f} "
            + " ".join(f"{a:8.3f}" for a in at)
            + f" {shares.worst_coverage(*book):15.3f} {exact_coverage(book, grid).mean():9.3f}"
        )


def exact_coverage(ends: tuple[np.ndarray, np.ndarray], p: np.ndarray) -> np.ndarray:
    """The chance that a count's interval holds p, for each p."""
    from scipy.stats import binom

    n = ends[0].size - 1
    held = (ends[0] <= p[:, None]) & (p[:, None] <= ends[1])
    return np.sum(binom.pmf(np.arange(n + 1), n, p[:, None]) * held, axis=1)


def two_methods(rng: np.random.Generator, replications: int) -> Iterator[Row]:
    """Differences of two methods: paired (t, Hodges-Lehmann) and not (Welch)."""
    for population in POPULATIONS:
        for n in SIZES:
            x, y = population.draw(rng, (2, 4 * replications, n))
            d, wide = x - y, population.draw(rng, (4 * replications, 2 * n))
            limit = means.t_limit(n)
            yield row(
                "t of paired differences",
                population.name,
                n,
                inside(means.t_ends(d, LEVEL), 0),
                np.abs(means.skewness(d)) <= limit,
            )
            found = [st.hodges_lehmann(v, LEVEL) for v in d[:replications]]
            covers = np.array([e.low <= 0 <= e.high for e in found])
            yield row(
                "Hodges-Lehmann", population.name, n, covers, np.array([e.trusted for e in found]), found[0].level
            )
            found = [st.welch_interval(a, b) for a, b in zip(x[:replications], wide, strict=False)]
            covers = np.array([e.low <= 0 <= e.high for e in found])
            yield row("Welch, n and 2 n", population.name, n, covers, np.array([e.trusted for e in found]))


def many_cells(rng: np.random.Generator, replications: int) -> Iterator[Row]:
    """Figures over four cells whose means differ."""
    levels, resamples = np.arange(4.0), 400
    for population in POPULATIONS:
        std = float(population.draw(rng, (200_000,)).std())

        def draw(runs: int, population: Population = population, std: float = std) -> np.ndarray:
            return levels + 0.5 * (population.draw(rng, (runs, 4)) - population.mean) / std

        many = draw(400_000)
        gap = partial(aggregates.optimality_gap_of, target=2.0)
        figures = {
            "interquartile mean": (st.interquartile_mean_of, ("percentile", "bca", "expanded")),
            "mean": (st.mean_of, ("expanded",)),
            "median": (st.median_of, ("expanded",)),
            "optimality gap": (gap, ("expanded",)),
        }
        truth = {name: float(f(many.T.ravel(), [len(many)] * 4)) for name, (f, _) in figures.items()}
        for runs in SIZES:
            covers: dict[str, list[bool]] = {}
            trusted: dict[str, list[bool]] = {}
            for _ in range(replications):
                cells = list(draw(runs).T)
                pooled, sizes = np.concatenate(cells), [runs] * 4
                order = rng.integers(0, runs, (4, resamples, runs))
                drawn = np.concatenate([c[o] for c, o in zip(cells, order, strict=True)], axis=1)
                for name, (figure, methods) in figures.items():
                    value, pull = float(figure(pooled, sizes)), bootstrap.influence(pooled, sizes, figure)
                    boot, df, flat = figure(drawn, sizes), bootstrap.freedom(pull), np.concatenate(pull)
                    for method in methods:
                        why = bootstrap.doubt(method, runs, df, flat, bool(np.ptp(boot) == 0))
                        low, high = np.quantile(boot, bootstrap.percentiles(method, LEVEL, boot, value, runs, df, flat))
                        label = name if methods == ("expanded",) else f"{name}, {method}"
                        covers.setdefault(label, []).append(bool(low <= truth[name] <= high))
                        trusted.setdefault(label, []).append(not why)
            for label in covers:
                yield row(f"{label}, 4 cells", population.name, runs, np.array(covers[label]), np.array(trusted[label]))


def improvement(rng: np.random.Generator, replications: int) -> Iterator[Row]:
    """Probability of improvement in one cell and in four, and performance profiles of four."""
    for population in POPULATIONS:
        many = np.sort(population.draw(rng, (200_000,)))
        std = float(many.std())
        for shift in (0.0, 1.5):
            truth = float(np.searchsorted(many, many + shift * std, "left").mean() / many.size)
            for cells in (1, 4):
                for runs in SIZES:
                    x, y = population.draw(rng, (2, replications // 2, runs, cells))
                    found = [st.probability_of_improvement(a + shift * std, b) for a, b in zip(x, y, strict=True)]
                    covers = np.array([e.low <= truth <= e.high for e in found])
                    trusted = np.array([e.trusted for e in found])
                    yield row(f"improvement, true {truth:.2f}, {cells} cells", population.name, runs, covers, trusted)
        for runs in SIZES:
            x = population.draw(rng, (replications, runs, 4)) + 0.5 * std * np.arange(4)
            tau = np.quantile(many, [0.5, 0.9])
            truth = np.mean([1 - np.searchsorted(many, tau - 0.5 * std * i) / many.size for i in range(4)], axis=0)
            found = [st.performance_profile(a, tau) for a in x]
            for i, word in enumerate(("middle", "upper end")):
                covers = np.array([p.low[i] <= truth[i] <= p.high[i] for p in found])
                yield row(f"profile, {word}, 4 cells", population.name, runs, covers, np.full(len(x), True))


TIMES: dict[str, populations.Draw] = {
    "exponential": lambda rng, shape: rng.exponential(1, shape),
    "log-normal, σ 0.5": lambda rng, shape: rng.lognormal(-0.3, 0.5, shape),
    "two humps": lambda rng, shape: np.where(rng.random(shape) < 0.5, 0.4, 1.2) + rng.uniform(0, 0.2, shape),
    "a third never": lambda rng, shape: np.where(rng.random(shape) < 1 / 3, 99.0, rng.exponential(0.5, shape)),
    "on a grid of 15": lambda rng, shape: np.ceil(rng.lognormal(-0.3, 0.5, shape) * 7.5) / 7.5,
}


def survival(rng: np.random.Generator, replications: int, horizon: float = 2.0) -> Iterator[Row]:
    """Time to a target: the band where 70 %, 50 % and 35 % are still on their way, the median and the restricted mean."""
    for name, draw in TIMES.items():
        many = np.sort(draw(rng, (400_000,)))
        at = np.minimum(np.quantile(many, [0.3, 0.5, 0.65], method="higher"), horizon - 1e-9)
        truth = 1 - np.searchsorted(many, at, "right") / many.size
        median, mean = float(np.quantile(many, 0.5, method="higher")), float(np.minimum(many, horizon).mean())
        for n in SIZES:
            held: dict[str, list[bool]] = {}
            trusted: dict[str, list[bool]] = {}
            for t in draw(rng, (replications // 2, n)):
                s = st.kaplan_meier(np.minimum(t, horizon), t <= horizon, horizon, LEVEL)
                place = np.searchsorted(s.times, at, "right")
                bands = {
                    "rothman": (np.array([s.low_before, *s.low]), np.array([1.0, *s.high])),
                    "log-log": log_log(s),
                }
                for band, (low, high) in bands.items():
                    for share, covers in zip((70, 50, 35), (low[place] <= truth) & (truth <= high[place]), strict=True):
                        held.setdefault(f"{band} band at {share} %", []).append(bool(covers))
                        trusted.setdefault(f"{band} band at {share} %", []).append(s.trusted and band == "rothman")
                for label, e, true in (("median time", s.median, median), ("restricted mean", s.restricted_mean, mean)):
                    held.setdefault(label, []).append(e.low <= true <= e.high)
                    trusted.setdefault(label, []).append(e.trusted)
            for label in held:
                yield row(label, name, n, np.array(held[label]), np.array(trusted[label]))


def log_log(s: st.Survival) -> tuple[np.ndarray, np.ndarray]:
    """The usual band, with 1 before the first time."""
    low, high = log_log_band(np.array(s.share), np.array(s.events), np.array(s.at_risk), LEVEL)
    return np.array([1.0, *low]), np.array([1.0, *high])


def power(rng: np.random.Generator, replications: int) -> Iterator[str]:
    """Power predicted and come true, and false alarms; then the seeds that were asked for."""
    effects = (0.5, 0.8, 1.2)
    yield f"{'differences of':20} {'n':>4} {'false alarms':>13}   predicted / come true at 0.5, 0.8, 1.2 sd"
    for population in POPULATIONS:
        worst = 0.0
        for n in (6, 8, 10, 16, 20, 30):
            shape = (2 * replications if n != 16 else replications // 2, n)
            noise = standard(population.draw(rng, shape) - population.draw(rng, shape))
            alarms, *seen = (float(np.mean(paired.paired_ps(noise + e) <= 0.05)) for e in (0.0, *effects))
            predicted = [st.power(e, 1.0, n) for e in effects]
            worst = max(worst, *(abs(p - s) for p, s in zip(predicted, seen, strict=True)))
            pairs = "  ".join(f"{p:.3f} / {s:.3f}" for p, s in zip(predicted, seen, strict=True))
            yield f"{population.name:20} {n:4} {alarms:13.3f}   {pairs}"
        yield f"{'':38}   furthest off: {100 * worst:.0f} points"
    yield f"\n{'differences of':20} {'n':>4}   from a pilot of 30 (mean of 60) / taken as symmetric / come true at 0.5, 0.8, 1.2 sd"
    for population in POPULATIONS:
        worst = np.zeros(2)
        pool = standard(population.draw(rng, (200_000,)) - population.draw(rng, (200_000,)))
        for n in (6, 10, 20, 30):
            cells = []
            for effect in effects:
                seen = float(np.mean(paired.paired_ps(rng.choice(pool, (4 * replications, n)) + effect) <= 0.05))
                pilots = rng.choice(pool, (60, 30))
                plain, even = (
                    float(np.mean([st.simulated_power(p, effect, n, symmetric=s, replications=200) for p in pilots]))
                    for s in (False, True)
                )
                worst = np.maximum(worst, [abs(plain - seen), abs(even - seen)])
                cells.append(f"{plain:.3f} / {even:.3f} / {seen:.3f}")
            yield f"{population.name:20} {n:4}   {'   '.join(cells)}"
        yield f"{'':27}furthest off: {100 * worst[0]:.0f} points, {100 * worst[1]:.0f} taken as symmetric"
    yield f"\n{'differences':20} {'n':>4} {'effect':>7} {'predicted':>10} {'from pilot':>11} {'come true':>10}   humps or skewed themselves"
    for name, draw in {"two humps, 50 : 50": populations.humps(0.5), "skewed, σ 1": POPULATIONS[2].draw}.items():
        for n, effect in ((10, 0.8), (20, 0.8)):
            many = standard(draw(rng, (replications * 4, n)))
            seen = float(np.mean(paired.paired_ps(many + effect) <= 0.05))
            pilots = rng.choice(many.ravel(), (20, 30))
            guess = np.mean([st.simulated_power(p, effect, n, replications=500) for p in pilots])
            yield f"{name:20} {n:4} {effect:7.1f} {st.power(effect, 1.0, n):10.3f} {guess:11.3f} {seen:10.3f}"
    yield f"\n{'wanted difference':>18} {'seeds needed':>13} {'predicted':>10} {'come true':>10}"
    for effect in (0.5, 0.8, 1.0, 1.5):
        found = st.seeds_needed(effect, 1.0)
        seen = np.mean(paired.paired_ps(rng.normal(effect, 1, (2 * replications, found.seeds or 1))) <= 0.05)
        yield f"{effect:15.1f} sd {found.seeds:13} {found.power:10.3f} {seen:10.3f}"
    yield f"\n{'unpaired, n each':>18} {'effect':>13} {'predicted':>10} {'come true':>10}"
    for n, effect in ((5, 2.0), (8, 1.5), (10, 1.3)):
        x = rng.normal(0, 1, (replications // 2, 2 * n))
        seen = np.mean([st.permutation_test(v[:n] + effect, v[n:]).p <= 0.05 for v in x])
        yield f"{n:18} {effect:13.1f} {st.power(effect, 1.0, n, paired=False):10.3f} {seen:10.3f}"


def said_before(rng: np.random.Generator, replications: int) -> Iterator[str]:
    """How often the difference is shown that `fanin lab show` names before a run as shown 4 times in 5."""
    yield f"{'comparisons':>11} {'n':>4} {'difference':>11}   {'worst':>6} {'normal':>6} {'best':>6}"
    ends = [1.0, 0.0]
    for made in (1, 3, 8):
        for n in (6, 7, 8, 9, 10, 12, 16, 20, 30, 50):
            effect = st.detectable_difference(1.0, n, comparisons=made)
            if not math.isfinite(effect):
                continue
            seen = []
            for population in POPULATIONS:
                shape = (replications if n <= 12 or n > 16 else replications // 2, n)
                pool = standard(population.draw(rng, (200_000,)) - population.draw(rng, (200_000,)))
                seen.append(float(np.mean(paired.paired_ps(rng.choice(pool, shape) + effect) <= 0.05 / made)))
            ends = [min(ends[0], *seen), max(ends[1], *seen)]
            yield f"{made:11} {n:4} {effect:8.2f} sd   {min(seen):6.2f} {seen[0]:6.2f} {max(seen):6.2f}"
    yield f"over all populations: {10 * ends[0]:.0f} to {10 * ends[1]:.0f} times in 10"


def standard(x: np.ndarray) -> np.ndarray:
    """Mean 0, standard deviation 1 (over the whole sample, which is large)."""
    return (x - x.mean()) / x.std()


LRS: dict[str, tuple[tuple[float, ...], float, float]] = {
    # mean score at each learning rate, spread of the validation score beside the run's own, correlation of the two
    "one learning rate": ((0.0,), 0.01, 0.5),
    "three equal ones": ((0.0, 0.0, 0.0), 0.01, 0.5),
    "one the worse by 0.3 sd": ((0.0, -0.003, -0.1), 0.01, 0.5),
    "noisy validation": ((0.0, -0.01, -0.02), 0.03, 0.3),
    "very noisy validation": ((0.0, -0.01, -0.02), 0.1, 0.1),
}


def null(rng: np.random.Generator, replications: int) -> Iterator[str]:
    """One method under two names, disjoint blocks of ten seeds, each name at the learning rate that it chose."""
    yield f"{'method':26} {'choices differ':>15} {'no difference':>14} {'without asking at the winner’s':>32}"
    for name, (levels, noise, together) in LRS.items():
        validation, test = {}, {}
        for i, level in enumerate(levels):
            run = rng.normal(0, 1, 4000)
            own = together * run + math.sqrt(1 - together**2) * rng.normal(0, 1, run.size)
            validation[10.0**-i], test[10.0**-i] = 0.9 + level + noise * own, 0.9 + level + 0.01 * run
        found = st.null_study(st.Tuned(validation, test), 10, replications=2 * replications, seed=1)
        yield (
            f"{name:26} {found.choices_differ:15.2f} {found.no_difference:14.3f} "
            f"{found.no_difference - found.in_disguise:32.3f}"
        )


SECTIONS: dict[str, Callable[[np.random.Generator, int], Iterator[str | Row]]] = {
    "One cell: mean and median": one_cell,
    "Converged and diverged runs in one mean": mixture,
    "The share that diverged (exact)": share_of_runs,
    "Two methods": two_methods,
    "Many cells": many_cells,
    "Improvement and profiles": improvement,
    "Time to a target": survival,
    "Power of the paired test": power,
    "Power said before a run": said_before,
    "Null study": null,
}


def main() -> None:
    """Prints every table, and at the end the intervals that fall short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--replications", type=int, default=500)
    parser.add_argument("--only", default="", help="a word in the title of the sections to run")
    arguments = parser.parse_args()
    every: list[Row] = []
    for title, section in SECTIONS.items():
        if arguments.only.lower() not in title.lower():
            continue
        start, rows = time.perf_counter(), []
        print(f"\n{title}\n")
        for found in section(np.random.default_rng(0), arguments.replications):
            if isinstance(found, Row):
                rows.append(found)
            else:
                print(found, flush=True)
        if rows:
            print("\n".join(table(rows)))
        every += rows
        print(f"({time.perf_counter() - start:.0f} s)", flush=True)
    if every:
        short = [r for r in every if r.word == "SHORT"]
        print(f"\n{len(every)} simulated; {len(short)} cover more than two points too seldom and do not say so:")
        print("\n".join(map(str, short)))


if __name__ == "__main__":
    main()
