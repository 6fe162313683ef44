"""What a study survives: random `kill -9` of its workers and its driver, and every other fault that the lab promises to end in a row.

    python benchmarks/faults.py                       500 runs that train nothing, 200 kills (about 10 minutes)
    python benchmarks/faults.py --real                the same of real training runs
    python benchmarks/faults.py --stacks --kills 60   of real stacks that go on from checkpoints, a kill every two or three seconds
    python benchmarks/faults.py --runs 60 --kills 20  small

The disturbed study must end with every run exactly once, and its rows and curves must equal those of an undisturbed one bit for
bit (clocks and counts of attempts aside). Linux: it finds the workers in /proc.
"""

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.lab import disturbed, fake_runs

from fanin.lab.driver import RunSummary, run_study
from fanin.lab.executors import Processes
from fanin.lab.executors.attempt import CARRY_OUT
from fanin.lab.store import Store
from fanin.lab.study import RunConfig, Study, TrainingSettings
from fanin.lab.study.session import prepare

FAULTS = {  # model of the fake runs → what it stands for
    "raise": "a model that raises",
    "exit": "a model that calls sys.exit",
    "nan": "a loss that is NaN",
    "hang": "a model that hangs",
    "memory": "MemoryError",
    "kill": "a worker that the kernel kills (out of memory)",
    "once:3": "the same three times, then enough memory",
    "long:12": "killed twelve times, with a checkpoint each time",
}


def fake(runs: int) -> tuple[Study, dict[str, RunConfig]]:
    """Runs of 0.1 s that write a curve and a row."""
    study = fake_runs.study_of(("slow:0.1",), runs)
    return study, fake_runs.configs_of(study)


def real(runs: int) -> tuple[Study, dict[str, RunConfig]]:
    """Training runs of a small MLP on digits: plans × learning rates × seeds."""
    plans, rates = ("default", "he_normal", "orthogonal", "lsuv", "xavier_normal"), (0.003, 0.01, 0.03, 0.1, 1e6)
    training = TrainingSettings(epochs=6.0, evaluations=4)
    seeds = tuple(range(-(-runs // (len(plans) * len(rates)))))
    study = Study(
        "faults", models=("mlp(depth=3, width=32)",), plans=plans, lrs=rates, seeds=seeds, training=training,
        stacking="never",
    )  # fmt: skip
    return study, dict(list(prepare(study).configs.items())[:runs])


def stacks(runs: int) -> tuple[Study, dict[str, RunConfig]]:
    """The same grid of a smaller MLP, which is stacked, trained for half a minute a stack."""
    study, _ = real(runs)
    training = replace(study.training, epochs=400.0)
    study = replace(study, models=("mlp(depth=2, width=32)",), stacking="auto", training=training)
    configs = dict(list(prepare(study).configs.items())[:runs])
    assert all(config.stacked for config in configs.values())
    return study, configs


KINDS = {
    "runs": (fake, fake_runs.CARRY_OUT, 0.0),
    "training runs": (real, CARRY_OUT, 0.0),
    "training runs in stacks": (stacks, "tests.lab.disturbed:with_checkpoints", 2.5),
}


def kills(folder: Path, runs: int, count: int, seed: int, kind: str) -> bool:
    """Prints what became of a study that was killed `count` times; whether all is as it was without."""
    made, carry_out, pause = KINDS[kind]
    study, configs = made(runs)
    disturbed.prepare(folder / "disturbed", study, configs)
    toll = disturbed.disturb(folder / "disturbed", len(configs), count, seed, carry_out, pause)
    disturbed.undisturbed(study, folder / "calm", configs, carry_out)
    with Store.open(folder / "disturbed", readonly=True) as store:
        states, rows, log = store.counts(), store.rows(), store.log()
    found = disturbed.differences(folder / "disturbed", folder / "calm")
    print(f"{len(configs)} {kind}, {toll.workers} kills of workers, {toll.drivers} of the driver: {toll.seconds:.0f} s")
    print(f"  states: {', '.join(f'{count} {state}' for state, count in states.items())}")
    again = sum(row.attempts > 1 for row in rows)
    print(
        f"  attempts: {sum(row.attempts for row in rows)}, {again} runs were begun more than once; log: {len(log)} lines"
    )
    print(f"  differences from the undisturbed study: {'; '.join(found) or 'none'}", flush=True)
    return not found and states["done"] == len(configs)


def endings(folder: Path) -> RunSummary:
    """Prints the row that each fault ends in."""
    study = fake_runs.study_of(("ok", *FAULTS), 2, patience=2.0)
    executor = Processes(2, carry_out=fake_runs.CARRY_OUT)
    got = run_study(study, folder / "endings", executor, configs=fake_runs.configs_of(study))
    print("\n| fault | state | attempts | what the row says |\n|---|---|---|---|")
    with Store.open(folder / "endings", readonly=True) as store:
        for row in store.rows():
            if row.config.model in FAULTS and row.config.seed == 0:
                said = row.error or ("diverged" if row.diverged else "the result")
                print(f"| {FAULTS[row.config.model]} | {row.state} | {row.attempts} | {said} |")
    return got


def main() -> None:
    """The benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", action="store_const", const="training runs", default="runs", dest="kind")
    parser.add_argument("--stacks", action="store_const", const="training runs in stacks", dest="kind")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fanin-faults-"))
    try:
        whole = kills(folder, arguments.runs, arguments.kills, arguments.seed, arguments.kind)
        if arguments.kind == "runs":
            endings(folder)
    finally:
        shutil.rmtree(folder)
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
