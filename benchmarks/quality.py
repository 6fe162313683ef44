"""Are the numbers what they claim to be? fanin's draws, torch's and NumPy's under the same tests.

    python benchmarks/quality.py                       10^9 numbers a test, tails of 10^10 (half an hour on two cores)
    python benchmarks/quality.py --numbers 1e8 --tail 1e9
    python benchmarks/quality_haar.py                  orthogonal matrices alone (they are the last tables here)
    python benchmarks/quality.py --raw | dieharder -a -g 200      the words, of 64 streams in turn

Every row is one statistic of standard normal float32 numbers, as a z-score or a p-value under the hypothesis that they
are independent and normal; a z beyond ±4 or a p below 1e-4 is marked. Lags of 63, 64, 65 and 256 look across the
tiles in which fanin's stream is laid out, "next seed" and "next name" at streams that a counter could have tied together.
"""

import argparse
import contextlib
import itertools
import math
import sys
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 22
BINS = 1 << 16
PAIR_BINS = 1 << 9
LAGS = (1, 2, 3, 4, 63, 64, 65, 256)
TAILS = (4.0, 5.0, 5.5, 6.0)
Array = NDArray[np.float32]
Fill = Callable[[int, Array], None]  # (which chunk, where to write it)


def fanin_fill(seed: int = 1, name: str = "blocks.0.weight") -> Fill:
    from fanin.distributions import Normal
    from fanin.draws import draw_distribution

    def fill(chunk: int, out: Array) -> None:
        start = chunk * CHUNK
        draw_distribution(Normal(1.0), (2**40,), seed=seed, name=name, window=slice(start, start + len(out)), out=out)

    return fill


def torch_fill(seed: int = 1) -> Fill:
    import torch

    generator = torch.Generator().manual_seed(seed)

    def fill(chunk: int, out: Array) -> None:
        torch.from_numpy(out).normal_(generator=generator)

    return fill


def numpy_fill(seed: int = 1) -> Fill:
    generator = np.random.Generator(np.random.PCG64(seed))

    def fill(chunk: int, out: Array) -> None:
        generator.standard_normal(out=out, dtype=np.float32)

    return fill


def chunks(fill: Fill, count: int) -> Iterator[Array]:
    out = np.empty(CHUNK, np.float32)
    for chunk in range(-(-count // CHUNK)):
        part = out[: min(CHUNK, count - chunk * CHUNK)]
        fill(chunk, part)
        yield part


def moments(sums: NDArray[np.float64], n: int) -> dict[str, float]:
    """z-scores of the first four raw moments; the variances are those of powers of a standard normal."""
    expected = (0.0, 1.0, 0.0, 3.0)
    variances = (1.0, 2.0, 15.0, 96.0)
    return {f"moment {k + 1}": (sums[k] / n - expected[k]) / math.sqrt(variances[k] / n) for k in range(4)}


def goodness(counts: NDArray[np.int64]) -> dict[str, float]:
    """p-values of a histogram over cells of equal probability: χ², and the largest gap between the two distributions."""
    from scipy import stats

    n, expected = counts.sum(), counts.sum() / len(counts)
    chi = float(((counts - expected) ** 2 / expected).sum())
    share = np.cumsum(counts) / n
    grid = np.arange(1, len(counts) + 1) / len(counts)
    gap = float(abs(share - grid).max())
    weight = (grid * (1 - grid))[:-1]
    anderson = float(n * (((share - grid)[:-1] ** 2) / weight).mean())
    return {
        "chi² p": float(stats.chi2.sf(chi, len(counts) - 1)),
        "Kolmogorov-Smirnov p": float(stats.kstwobign.sf(gap * math.sqrt(n))),
        "Anderson-Darling p": anderson_p(anderson),
    }


def anderson_p(statistic: float) -> float:
    """Upper tail of A² for a fully specified distribution (Marsaglia & Marsaglia 2004, their fast approximation)."""
    z = statistic
    if z <= 0:
        return 1.0
    if z < 2:
        series = 2.00012 + (0.247105 - (0.0649821 - (0.0347962 - (0.011672 - 0.00168691 * z) * z) * z) * z) * z
        return 1 - math.exp(-1.2337141 / z) / math.sqrt(z) * series
    inner = 1.0776 - (2.30695 - (0.43424 - (0.082433 - (0.008056 - 0.0003146 * z) * z) * z) * z) * z
    return 1 - math.exp(-math.exp(inner))


def one_stream(fill: Fill, count: int) -> dict[str, float]:
    """All tests of a single stream, in one pass over it."""
    from scipy.special import ndtr
    from scipy.stats import chi2

    sums = np.zeros(4)
    counts = np.zeros(BINS, dtype=np.int64)
    pairs = np.zeros(PAIR_BINS**2, dtype=np.int64)
    lagged = {(lag, power): 0.0 for lag in LAGS for power in (1, 2)}
    terms = dict.fromkeys(LAGS, 0)
    for part in chunks(fill, count):
        x = part.astype(np.float64)
        square = x * x
        sums += (x.sum(), square.sum(), (square * x).sum(), (square * square).sum())
        u = ndtr(x)
        cells = (u * BINS).astype(np.int32)
        np.minimum(cells, BINS - 1, out=cells)
        counts += np.bincount(cells, minlength=BINS)
        coarse = cells // (BINS // PAIR_BINS)
        even = len(coarse) // 2 * 2
        pairs += np.bincount(coarse[:even:2] * PAIR_BINS + coarse[1:even:2], minlength=PAIR_BINS**2)
        square -= 1.0
        for lag in LAGS:
            lagged[lag, 1] += float(x[:-lag] @ x[lag:])
            lagged[lag, 2] += float(square[:-lag] @ square[lag:]) / 2
            terms[lag] += len(x) - lag
    expected = pairs.sum() / len(pairs)
    found = moments(sums, count) | goodness(counts)
    found["pairs chi² p"] = float(chi2.sf(((pairs - expected) ** 2 / expected).sum(), len(pairs) - 1))
    for (lag, power), total in lagged.items():
        found[f"lag {lag}{' of squares' if power == 2 else ''}"] = total / math.sqrt(terms[lag])
    return found


def two_streams(first: Fill, second: Fill, count: int) -> dict[str, float]:
    """z-scores of the correlation between two streams at the same places, and between their squares."""
    total, squares, n = 0.0, 0.0, 0
    for a, b in zip(chunks(first, count), chunks(second, count), strict=True):
        x, y = a.astype(np.float64), b.astype(np.float64)
        total += float(x @ y)
        squares += float((x * x - 1) @ (y * y - 1)) / 2
        n += len(x)
    return {"correlation": total / math.sqrt(n), "of squares": squares / math.sqrt(n)}


def tails(fill: Fill, count: int) -> dict[str, float]:
    """z-scores of how many numbers lie beyond so many deviations."""
    found = dict.fromkeys(TAILS, 0)
    for part in chunks(fill, count):
        size = np.abs(part)
        far = size[size > TAILS[0]]
        for t in TAILS:
            found[t] += int((far > t).sum())
    wanted = {t: count * math.erfc(t / math.sqrt(2)) for t in TAILS}
    return {
        f"beyond {t:g} σ ({found[t]:,} of {wanted[t]:,.1f})": (found[t] - wanted[t]) / math.sqrt(wanted[t])
        for t in TAILS
    }


def show(title: str, columns: dict[str, dict[str, float]]) -> int:
    """Print one table; returns how many entries stand out."""
    names = list(columns)
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    width = max(len(row) for row in rows) + 2
    print(f"\n{title}\n{'':{width}}" + "".join(f"{name:>14}" for name in names))
    odd = 0
    for row in rows:
        line = f"{row:{width}}"
        for name in names:
            value = columns[name].get(row)
            strange = value is not None and (value < 1e-4 if row.endswith(" p") else abs(value) > 4)
            odd += bool(strange)
            line += f"{'' if value is None else f'{value:.3f}' + ('!' if strange else ''):>14}"
        print(line)
    return odd


def raw_words(names: int = 64) -> None:
    """The 32-bit words of many streams, a tile of each in turn, until nobody reads: for dieharder and PractRand."""
    from fanin.draws.bits import Stream

    streams = [Stream(seed, f"blocks.{k}.weight") for seed in (0, 1) for k in range(names // 2)]
    with contextlib.suppress(BrokenPipeError):
        for tile in itertools.count():
            words = [stream.range(tile * 4096, (tile + 1) * 4096) for stream in streams]
            sys.stdout.buffer.write(np.concatenate(words).tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=float, default=1e9, help="of each test")
    parser.add_argument("--tail", type=float, default=1e10, help="numbers of which the tail is counted")
    parser.add_argument("--only", default="fanin,torch,numpy")
    parser.add_argument(
        "--raw", action="store_true", help="write the words themselves to the standard output, endlessly"
    )
    given = parser.parse_args()
    if given.raw:
        raw_words()
        return
    count, far = int(given.numbers), int(given.tail)
    makers = {"fanin": fanin_fill, "torch": torch_fill, "numpy": numpy_fill}
    chosen = {name: makers[name] for name in given.only.split(",")}
    odd = show(f"one stream, {count:,} numbers (z, or p)", {n: one_stream(make(), count) for n, make in chosen.items()})
    name = "blocks.0.weight"
    others = {
        "next seed": fanin_fill(2, name),
        "next name": fanin_fill(1, "blocks.1.weight"),
        "seed + 2^32": fanin_fill(1 + 2**32, name),
    }
    odd += show(
        f"fanin beside its neighbours, {count // 4:,} numbers (z)",
        {label: two_streams(fanin_fill(1, name), other, count // 4) for label, other in others.items()},
    )
    for label, make in chosen.items():
        odd += show(f"tails of {label}, {far:,} numbers (z)", {label: tails(make(), far)})
    from quality_haar import DRAWS, haar

    odd += haar([name for name in DRAWS if name in chosen or name not in makers])
    print(f"\n{odd} entries stand out (|z| > 4 or p < 1e-4)")


if __name__ == "__main__":
    main()
