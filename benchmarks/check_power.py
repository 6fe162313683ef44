"""How large a fault has to be for each check to see it: a table of effect sizes and of how many redraws were reported.

    python benchmarks/check_power.py [--redraws 10] [--select FI2]

Each row is one fault of tests/checks/faults.py at growing sizes. "Silent up to" is the largest size (in the direction of the
fault) at which no redraw is reported, "always from" the smallest at which every redraw is.
"""

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.checks.faults import FAULTS, Fault

from fanin.checks import run_checks
from fanin.traces.torch import trace


def found(fault: Fault, size: float, redraws: int) -> int:
    """In how many redraws the check reports the fault at this size."""
    count = 0
    for seed in range(redraws):
        torch.manual_seed(1000 + seed)
        seen = trace(*fault.build(size, seed))
        count += bool(run_checks(seen, select=(fault.code,)))
    return count


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--redraws", type=int, default=10)
    parser.add_argument("--select", default="")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{'code':6} {'model':42} {'size':40} {'silent up to':>12} {'always from':>12}  reported of {arguments.redraws}"
    )
    for fault in FAULTS:
        if not fault.code.startswith(arguments.select):
            continue
        towards = 1 if fault.ill[0] >= fault.healthy[0] else -1
        sides = [[s for s in {*fault.healthy, *fault.ladder, *fault.ill} if (s - fault.healthy[0]) * towards >= 0]]
        if len({s > fault.healthy[0] for s in fault.ill}) > 1:  # a fault in both directions
            sides.append(
                [s for s in {*fault.healthy, *fault.ladder, *fault.ill} if (s - fault.healthy[0]) * towards <= 0]
            )
        for side in sides:
            sizes = sorted(side, key=lambda s: abs(s - fault.healthy[0]))
            counts = [found(fault, size, arguments.redraws) for size in sizes]
            silent = [s for s, c in zip(sizes, counts, strict=True) if c == 0]
            always = [s for s, c in zip(sizes, counts, strict=True) if c == arguments.redraws]
            shown = " ".join(f"{s:g}:{c}" for s, c in zip(sizes, counts, strict=True))
            last, first = (f"{silent[-1]:g}" if silent else "-"), (f"{always[0]:g}" if always else "-")
            print(f"{fault.code:6} {fault.name:42} {fault.size:40} {last:>12} {first:>12}  {shown}", flush=True)


if __name__ == "__main__":
    main()
