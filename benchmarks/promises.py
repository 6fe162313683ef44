"""Promise against measurement: every rule on every kind of layer that it serves, in torch, Flax and Keras; then peers' own.

    python benchmarks/promises.py [--frameworks torch,flax,keras] [--rules a,b] [--error 0.005] [--workers 2]

A rule's promise (a second moment forward or backward, a law, a spectrum, a property of the values) is measured on the real
layer, drawn anew until the standard error of the ratio is small enough. A run of everything writes docs/promises.md. Ends with status 1
where a ratio is further from 1 than 2 %, or an exact value further than rounding.
"""

import argparse
import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("KERAS_BACKEND", "torch")

from tests.promises.measure import allowed, measurable, measure, promises  # noqa: E402

from fanin.rules.rule import FACTORIES, FACTS  # noqa: E402

TOLERANCE = 0.02
LEAST = 12  # redraws of what is random: fewer give no standard error to believe
EXACT = ("spectrum", "values")
OUT = ROOT / "docs" / "promises.md"


@dataclass(frozen=True)
class Row:
    """One measured cell: what was promised of a rule on a layer, the ratio to it, and whether it holds."""

    rule: str
    layer: str
    kind: str
    what: str
    ratio: float
    error: float
    kept: bool


def own(only: set[str]) -> Iterator[tuple[str, dict]]:
    """fanin's rules, each with the arguments to try it with."""
    for name, factory in sorted(FACTORIES.items()):
        if factory.__module__.startswith("fanin.rules.") and (not only or name in only):
            for sample in FACTS[name].samples:
                yield name, dict(sample)


def measured(framework: str, names: tuple[str, ...], only: set[str], error: float) -> list[Row]:
    """Every cell of some layers of one framework."""
    found: list[Row] = []
    for layer in _room(framework).layers(names):
        for name, arguments in own(only):
            rule = FACTORIES[name](**arguments)
            served = promises(rule, layer)
            for promise in served[1] if served is not None else ():
                if measurable(promise, layer):
                    assert served is not None
                    least = 3 if promise.kind in EXACT else LEAST
                    cell = measure(promise, served[0], layer, error=error, least=least, most=6000)
                    kept = cell.holds(allowed(promise, TOLERANCE))
                    found.append(Row(rule.spec, layer.name, promise.kind, promise.what, cell.ratio, cell.error, kept))
    return found


def _room(framework: str) -> Any:
    return importlib.import_module(f"tests.promises.layers_{framework}")


def everywhere(framework: str, only: set[str], error: float, workers: int) -> list[Row]:
    """Every cell of one framework, its layers shared out to processes; each layer is one process's, so the numbers stay."""
    names = list(_room(framework).CASES)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(measured, framework, (name,), only, error) for name in names]
        return [row for part in parts for row in part.result()]


def table(rows: list[Row]) -> list[str]:
    """One line for each rule and promise: of second moments and laws every layer's ratio, of exact values the furthest."""
    random: dict[tuple[str, str], list[str]] = {}
    exact: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda r: (r.rule, r.what, r.layer)):
        key = (row.rule, row.what)
        if row.kind in EXACT:
            exact.setdefault(key, []).append(row)
        else:
            text = f"{row.layer} {row.ratio:.3f} ± {row.error:.3f}"
            random.setdefault(key, []).append(text if row.kept else f"**{text}**")
    lines = ["| rule | promise | ratio of measured to promised, by layer |", "|---|---|---|"]
    lines += [f"| `{rule}` | {what} | {'; '.join(cells)} |" for (rule, what), cells in random.items()]
    lines += ["", "| rule | promise | layers | furthest from it | |", "|---|---|---|---|---|"]
    for (rule, what), found in exact.items():
        worst = max(found, key=lambda r: abs(r.ratio - 1))
        mark = "" if all(r.kept for r in found) else f"**broken: {worst.layer}**"
        lines.append(f"| `{rule}` | {what} | {len(found)} | {abs(worst.ratio - 1):.1e} | {mark} |")
    return lines


def summary(rows: list[Row]) -> str:
    """One line of what a framework's table says."""
    random = [r for r in rows if r.kind not in EXACT]
    worst = max((abs(r.ratio - 1) for r in random), default=0.0)
    error = max((r.error for r in random), default=0.0)
    rules, broken = {r.rule for r in rows}, sum(not r.kept for r in rows)
    return (
        f"{len(rows)} cells of {len(rules)} rules, {broken} broken; of {len(random)} second moments and laws the furthest is "
        f"{worst:.2%} off, the largest standard error {error:.2%}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frameworks", default="torch,flax,keras")
    parser.add_argument("--rules", default="")
    parser.add_argument("--error", type=float, default=0.005)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    text, broken = [], 0
    for framework in given.frameworks.split(","):
        start = time.perf_counter()
        rows = everywhere(framework, set(filter(None, given.rules.split(","))), given.error, given.workers)
        lines = table(rows)
        print(f"{framework}: {summary(rows)} ({time.perf_counter() - start:.0f} s)", flush=True)
        for row in rows:
            if not row.kept:
                print(f"  broken: {row.rule} on {row.layer}: {row.what}: {row.ratio:.4f} ± {row.error:.4f}")
        broken += sum(not row.kept for row in rows)
        text += [f"## {framework}", "", summary(rows) + ".", "", *lines, ""]
    from _promises_peers import peers

    lines = peers(given.frameworks.split(","), given.error)
    print("\n".join(lines))
    if not given.rules and given.frameworks == "torch,flax,keras":
        OUT.write_text("\n".join([HEADER, *text, "## Peers", "", *lines, ""]), encoding="utf-8")
    return int(broken > 0)


HEADER = """# Promises, measured

Written by `python benchmarks/promises.py`. A rule promises something of the weights that it draws: that a signal keeps
its second moment through the layer and its activation, or a gradient on its way back; the deviation of the numbers; their singular
values; a property of their values. Here each promise is measured on the real layer of each framework: the mean over
redraws as a ratio to what was promised, and the standard error of it. A ratio further from 1 than 2 % (of exact values: than
rounding) is in bold. Where a rule refuses a layer (identity on a bias, say) there is no row.
"""

if __name__ == "__main__":
    sys.exit(main())
