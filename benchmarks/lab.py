"""Studies an hour: the lab against the loop that everyone writes, on the same grid, side by side in one run.

    python benchmarks/lab.py [--seeds 16] [--epochs 15] [--only 2x32,2x128] [--rivals cold,ray,tune,lightning]

Every turn trains the same grid (plans × learning rates × seeds of one model on digits) from start to end, as many steps, with
an evaluation at the same steps:

- **loop**: a plain PyTorch loop in warm processes on both cores, one run after another in each: tensors that are indexed
  (no DataLoader, which is slower), `torch.optim.SGD`, accuracy and loss on the held-out part.
- **cold**: the same, one fresh process a run: the way most people run seeds from a shell.
- **ray**: one Ray task a run; **tune**: the grid under Ray Tune, a trial a run; **lightning**: a `Trainer.fit` a run, in warm
  processes. Where they are installed.
- **fanin**: `run_study` with two worker processes, warm as the loop's are, everything recorded: its store, curves, signals,
  metrics. "cold" in its own column: the same with processes that are started for it.

What recording costs is measured by lab_recording.py.
"""

import argparse
import importlib.util
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import torch
from torch import nn

from fanin.lab.data import load
from fanin.lab.executors import make_executor
from fanin.lab.executors.shared import Shared
from fanin.lab.study import RunConfig, TrainingSettings

PLANS = ("default", "he_normal")
RATES = (0.01, 0.03)
BATCH = 64
EVALUATIONS = 15
MODELS = {
    "2 × 16": "mlp(depth=2, width=16)",
    "2 × 32": "mlp(depth=2, width=32)",
    "2 × 128": "mlp(depth=2, width=128)",
    "20 × 128": "mlp(depth=20, width=128)",
    "2 × 512": "mlp(depth=2, width=512)",
    "LeNet-5": "lenet",
    "GRU 32": "gru(width=32)",
}
WORKERS = 2
Run = tuple[str, str, float, int, int]  # model, plan, lr, seed, epochs


def plain_loop(run: Run) -> float:
    """What people write: one model, one seed, from start to end; the final accuracy."""
    from fanin.lab.models import factory

    model_spec, plan, lr, seed, epochs = run
    torch.set_num_threads(1)
    data = load("digits").with_validation(0.1)
    data = in_form(data, model_spec)
    x, y, vx, vy = (
        torch.tensor(a) for a in (data.train_inputs, data.train_targets, data.held_inputs, data.held_targets)
    )
    torch.manual_seed(seed)
    model = factory(model_spec, data)()
    if plan == "he_normal":
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    steps, done = epochs * -(-len(x) // BATCH), 0  # the last batch of a pass is a smaller one, as the lab has it
    at = {round(steps * k / EVALUATIONS) for k in range(EVALUATIONS + 1)}
    accuracy = 0.0
    while done < steps:
        order = torch.randperm(len(x))
        for first in range(0, len(x), BATCH):
            rows = order[first : first + BATCH]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            loss.item()
            done += 1
            if done in at:
                model.eval()
                with torch.no_grad():
                    out = model(vx)
                    nn.functional.cross_entropy(out, vy).item()
                    accuracy = float((out.argmax(-1) == vy).float().mean())
                model.train()
            if done >= steps:
                break
    return accuracy


def in_form(data, model_spec: str):
    """The data in the shape that this model takes."""
    if model_spec.startswith(("lenet", "resnet", "vgg")):
        return data.in_form((1, 8, 8))
    return data.in_form((8, 8)) if model_spec.startswith(("gru", "lstm")) else data.in_form((64,))


def loops(runs: list[Run], pool: ProcessPoolExecutor) -> None:
    """The plain loop in warm processes."""
    list(pool.map(plain_loop, runs))


def cold(runs: list[Run]) -> None:
    """One fresh process a run, as many at once as there are cores."""
    code = (
        "import sys, ast; sys.path.insert(0, 'benchmarks'); import lab; lab.plain_loop(ast.literal_eval(sys.argv[1]))"
    )
    waiting, at_work = list(runs), []
    while waiting or at_work:
        while waiting and len(at_work) < WORKERS:
            at_work.append(subprocess.Popen([sys.executable, "-c", code, repr(waiting.pop())]))
        at_work.pop(0).wait()


def ray_tasks(runs: list[Run]) -> None:
    """One Ray task a run."""
    import ray

    ray.get([ray.remote(num_cpus=1)(plain_loop).remote(run) for run in runs])


def ray_tune(runs: list[Run]) -> None:
    """The grid as Ray Tune runs it: a trial a run, nothing printed."""
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # which prints whatever `verbose` says
    from ray import tune

    def trial(config: dict) -> None:
        tune.report({"accuracy": plain_loop(tuple(config["run"]))})

    with tempfile.TemporaryDirectory() as folder:
        found = tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            param_space={"run": tune.grid_search([list(run) for run in runs])},
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        assert not found.errors, found.errors
        assert len(found) == len(runs)


def lightning_run(run: Run) -> None:
    """A Trainer.fit of the same model, everything that it prints and saves turned off."""
    import logging
    import warnings

    import lightning as L
    from torch.utils.data import DataLoader, TensorDataset

    from fanin.lab.models import factory

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    model_spec, _, lr, seed, epochs = run
    data = in_form(load("digits").with_validation(0.1), model_spec)
    L.seed_everything(seed, verbose=False)

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = factory(model_spec, data)()

        def training_step(self, batch, index):
            x, y = batch
            return nn.functional.cross_entropy(self.net(x), y)

        def validation_step(self, batch, index):
            x, y = batch
            self.log("acc", (self.net(x).argmax(-1) == y).float().mean())

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=lr, momentum=0.9)

    part = lambda x, y: TensorDataset(torch.tensor(x), torch.tensor(y))  # noqa: E731
    trainer = L.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(
        Module(),
        DataLoader(part(data.train_inputs, data.train_targets), BATCH, shuffle=True),
        DataLoader(part(data.held_inputs, data.held_targets), 512),
    )


def fanin_study(runs: list[Run], inside: str, executor: str | Shared = "processes") -> float:
    """Seconds for the same grid as a study, with worker processes (started for it, unless they are given) and its whole store.

    Its folder stays `inside` that one: see lab_recording.py on what deleting it would do to the next study's files.
    """
    from fanin.lab.driver import run_study
    from fanin.lab.study.grid import key_of
    from fanin.lab.study.records import Study
    from fanin.lab.worker import grouping

    folder, start = tempfile.mkdtemp(dir=inside), time.perf_counter()
    configs, study = {key_of(c): c for c in stacked(runs)}, Study("bench", models=(runs[0][0],))
    found = run_study(study, folder, executor, configs=configs, group=grouping(configs), workers=WORKERS)
    seconds = time.perf_counter() - start
    assert found.done == len(configs), found
    return seconds


def stacked(runs: list[Run], **settings) -> list[RunConfig]:
    """The runs as the lab knows them."""
    from fanin.lab.worker import with_stacking

    configs = [
        RunConfig(
            model, plan, "digits", "sgd(momentum=0.9)", lr, BATCH, seed,
            TrainingSettings(epochs=epochs, evaluations=EVALUATIONS, **settings),
        )
        for model, plan, lr, seed, epochs in runs
    ]  # fmt: skip
    return list(with_stacking(configs, {}, {}))


def timed(turn: Callable[[], None]) -> float:
    """Seconds that a turn takes."""
    start = time.perf_counter()
    turn()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="", help="models, by commas: 2x32,2x128")
    parser.add_argument("--rivals", default="cold,ray,tune,lightning")
    asked = parser.parse_args()
    rivals = asked.rivals.split(",")
    wanted = [name.replace("x", " × ") for name in asked.only.split(",") if name]
    print(f"\n{WORKERS} processes of one thread, {torch.__version__}; grid of {asked.seeds} seeds × {len(PLANS)} plans × "
          f"{len(RATES)} learning rates; {asked.epochs} epochs of digits in batches of {BATCH}\n")  # fmt: skip
    print(
        "| model | stacked | fanin, runs an hour | × warm loop | of it, cold | × cold processes | × Ray | × Ray Tune | × Lightning |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        for name, spec in MODELS.items():
            if wanted and name not in wanted:
                continue
            large = name in ("20 × 128", "2 × 512", "LeNet-5", "GRU 32")
            seeds = max(2, asked.seeds // 4) if large else asked.seeds
            runs = [(spec, plan, lr, seed, asked.epochs) for seed in range(seeds) for plan in PLANS for lr in RATES]
            print(row(name, runs, pool, rivals, asked.rounds, folder), flush=True)


def row(name: str, runs: list[Run], pool: ProcessPoolExecutor, rivals: list[str], rounds: int, folder: str) -> str:
    """One model's line of the table."""
    executor = Shared(make_executor("processes", WORKERS))
    loops(runs[:2], pool)  # warm
    fanin_study([(runs[0][0], "default", 0.02, seed, 1) for seed in range(20)], folder, executor)
    one_stacked = stacked(runs[:1])[0].stacked
    own, loop = [], []
    for _ in range(rounds):  # in turns, so that a busy minute of the machine meets both
        loop.append(timed(partial(loops, runs, pool)))
        own.append(fanin_study(runs, folder, executor))
    executor.executor.close()
    mine, cold_mine = min(own) / len(runs), fanin_study(runs, folder) / len(runs)
    few = runs[:: max(1, len(runs) // 8)]
    beside = {"cold": "–", "ray": "–", "tune": "–", "lightning": "–"}
    if "cold" in rivals:
        beside["cold"] = f"{timed(partial(cold, few)) / len(few) / mine:.1f}"
    if {"ray", "tune"} & set(rivals) and importlib.util.find_spec("ray"):
        import ray

        ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="error")
        for rival, way in {"ray": ray_tasks, "tune": ray_tune}.items():
            if rival in rivals:
                way(few[:2])
                beside[rival] = f"{timed(partial(way, few)) / len(few) / mine:.1f}"
        ray.shutdown()
    if "lightning" in rivals and importlib.util.find_spec("lightning"):
        list(pool.map(lightning_run, few[:2]))
        beside["lightning"] = f"{timed(lambda: list(pool.map(lightning_run, few))) / len(few) / mine:.1f}"
    return (
        f"| {name} | {'yes' if one_stacked else 'no'} | {3600 / mine:,.0f} | {min(loop) / min(own):.2f} | "
        f"{mine / cold_mine:.2f} | "
        f"{' | '.join(beside.values())} |"
    )


if __name__ == "__main__":
    main()
