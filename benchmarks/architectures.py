"""Whether fanin's plan is ever worse than a rule that people know, on nets that are not plain MLPs.

    python benchmarks/architectures.py --out FOLDER [--quick] [--only NAME] [--seeds N] [--lr-factor X] [--optimizer NAME]

Trains every net of `architecture_nets.py` on scikit-learn's digits from its own default, Xavier, He, orthogonal, LSUV
and fanin's plan, and prints a table of mean scores (accuracy; R² for autoencoders). `margin` is fanin less the best of
the others; the standard error beside it is that of the paired differences. A run that diverged counts as chance.

Results are kept in the folder, a file for each net; a second call trains only what is missing.
"""

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

import fanin
from architecture_nets import NETS, Net

OTHERS = ("default", "xavier_normal", "he_normal", "orthogonal", "lsuv")
ALLOWED = 0.01  # that fanin may be below the best of the others
ADAM = 0.001  # learning rate of the adaptive optimizers
Scores = dict[str, dict[str, float]]  # init → seed → score


def main() -> int:
    """The exit status: 1 where fanin is more than `ALLOWED` below the best of the others on some net."""
    options = _options()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in _chosen(options.only):
        scores = _run(name, NETS[name], options)
        rows.append((NETS[name].kind, name, scores))
        print(_line(name, scores), file=sys.stderr, flush=True)
    print(table(rows))
    margins = [margin(scores)[0] for _, _, scores in rows]
    worse = sum(m < -ALLOWED for m in margins)
    print(f"\n{len(rows)} nets; fanin more than {ALLOWED} below the best of the others on {worse}.")
    return int(worse > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for results; made where absent")
    parser.add_argument("--only", action="append", default=[], help="part of a net's or a kind's name; repeatable")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--lr-factor", type=float, default=1.0, help="on every net's learning rate")
    parser.add_argument("--optimizer", default="sgd", help="sgd (momentum .9), adam or adamw")
    parser.add_argument("--inits", default=",".join((*OTHERS, "fanin")))
    parser.add_argument("--quick", action="store_true", help="2 seeds and a third of the epochs")
    parser.add_argument(
        "--redo", action="append", default=[], help="an init whose kept results are dropped; repeatable"
    )
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _chosen(parts: Iterable[str]) -> list[str]:
    parts = list(parts)
    return [name for name, net in NETS.items() if not parts or any(p in f"{net.kind}: {name}" for p in parts)]


def _run(name: str, net: Net, options: argparse.Namespace) -> Scores:
    """Trains what the net's file does not hold yet."""
    epochs = net.epochs / 3 if options.quick else net.epochs
    lr = options.lr_factor * (net.lr if options.optimizer == "sgd" else ADAM)
    settings = {"data": net.data, "epochs": epochs, "lr": lr, "optimizer": options.optimizer}
    path = options.out / (re.sub(r"\W+", "-", f"{net.kind} {name} {options.optimizer} {options.lr_factor:g}") + ".json")
    kept = json.loads(path.read_text()) if path.exists() else {}
    scores: Scores = kept["scores"] if kept.get("settings") == settings else {}
    for init in options.redo:
        scores.pop(init, None)
    for seed in range(2 if options.quick else options.seeds):
        missing = [init for init in options.inits.split(",") if str(seed) not in scores.get(init, {})]
        if not missing:
            continue
        result = fanin.compare(
            net.make,
            inits={init: _init(init, net) for init in missing},
            data=net.data,
            seeds=[seed],
            epochs=epochs,
            lr=lr,
            optimizer=options.optimizer,
            evaluations=1,
            validation=0,  # nothing is chosen by the curves
            progress=False,
        )
        for run in result.results:
            if not run.error:
                scores.setdefault(run.init, {})[str(seed)] = run.metrics[result.score]
            else:
                print(f"{name}, {run.init}: {run.error}", file=sys.stderr)
        _write(path, {"net": name, "settings": settings, "score": result.score, "scores": scores})
    return scores


def _init(name: str, net: Net) -> Any:
    return f"orthogonal(nonlinearity='{net.nonlinearity}')" if name == "orthogonal" else name


def _write(path: Path, value: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=1))
    os.replace(part, path)


def mean(values: Iterable[float]) -> float:
    """Mean of the values, nan for none."""
    values = list(values)
    return sum(values) / len(values) if values else math.nan


def margin(scores: Scores) -> tuple[float, float]:
    """fanin's mean less the best other mean, and the standard error of the paired differences."""
    means = {init: mean(scores[init].values()) for init in OTHERS if scores.get(init)}
    if not means or not scores.get("fanin"):
        return math.nan, math.nan
    best = max(means, key=lambda init: means[init])
    paired = [value - scores[best][seed] for seed, value in scores["fanin"].items() if seed in scores[best]]
    middle = mean(paired)
    spread = math.sqrt(sum((d - middle) ** 2 for d in paired) / max(len(paired) - 1, 1) / max(len(paired), 1))
    return middle, spread


def table(rows: list[tuple[str, str, Scores]]) -> str:
    """A Markdown table, a row for each net."""
    columns = (*OTHERS, "fanin")
    lines = [
        f"| {'kind':11} | {'net':29} | {' | '.join(f'{c:>13}' for c in columns)} | {'margin':>13} |",
        f"| --- | --- | {' | '.join('---:' for _ in columns)} | ---: |",
    ]
    for kind, name, scores in rows:
        cells = [f"{mean(scores[c].values()):13.3f}" if scores.get(c) else f"{'–':>13}" for c in columns]
        low, spread = margin(scores)
        mark = " (!)" if low < -ALLOWED else ""
        lines.append(f"| {kind:11} | {name:29} | {' | '.join(cells)} | {f'{low:+.3f} ± {spread:.3f}{mark}':>13} |")
    return "\n".join(lines)


def _line(name: str, scores: Scores) -> str:
    cells = [f"{c} {mean(scores[c].values()):.3f}" for c in (*OTHERS, "fanin") if scores.get(c)]
    return f"{name:30} {'  '.join(cells)}  margin {margin(scores)[0]:+.3f}"


if __name__ == "__main__":
    sys.exit(main())
