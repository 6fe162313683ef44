"""Scale: a 405-billion-parameter model planned and drawn in shards, a 1-billion-parameter one streamed and applied.

    python benchmarks/scale.py                 all of it (needs 10 GB of memory and of disk, and a quiet machine)
    python benchmarks/scale.py --small         the same steps on small models, in a minute
    python benchmarks/scale.py --only plan,shards,stream,matrices,apply --folder DIR --seconds 20

Each step runs in a process of its own, so that its peak memory is its own. Every figure is measured here; where a shard is
larger than the time allows, a part of it is drawn and the rest is extrapolated, which the line says.
"""

import argparse
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fanin.distributions import Normal, Orthogonal
from fanin.draws import draw_distribution
from fanin.draws.backends import prepare
from fanin.plans import Plan
from fanin.plans.laws import drawn
from fanin.plans.parts import Part, Split, cut, owned, parts_of
from fanin.plans.work import run, thread_count
from fanin.slots import Axes

LLAMA_405B = {
    "hidden_size": 16384, "num_hidden_layers": 126, "intermediate_size": 53248, "num_attention_heads": 128,
    "num_key_value_heads": 8, "vocab_size": 128256,
}  # fmt: skip
LLAMA_1B = {
    "hidden_size": 2048, "num_hidden_layers": 14, "intermediate_size": 8192, "num_attention_heads": 16,
    "num_key_value_heads": 8, "vocab_size": 32000,
}  # fmt: skip
SMALL = {"hidden_size": 512, "num_hidden_layers": 6, "intermediate_size": 2048, "vocab_size": 8000}
RANKS = (1, 64, 1024)
HELD = 2e9  # bytes: a shard up to this size is kept whole
BLOCK = 1 << 24  # bytes that the writer of zeros writes at once


def peak() -> float:
    """The largest memory that this process has had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def llama(config: dict[str, int], device: str) -> Any:
    import torch
    import transformers

    with torch.device(device):
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**config))


def planned(config: dict[str, int]) -> tuple[Any, Plan]:
    """The model on the meta device, and the recipe of its paper's family: N(0, 0.02²), norms one."""
    import torch

    import fanin

    model = llama(config, "meta")
    batch = {"input_ids": torch.zeros(1, 16, dtype=torch.long)}
    return model, fanin.plan(model, batch, rules={"*": fanin.rules.normal(0.02)}, seed=1)


def step_plan(config: dict[str, int], folder: Path, _: float) -> None:
    import torch  # noqa: F401  (not what is measured)
    import transformers  # noqa: F401

    before, start = peak(), time.perf_counter()
    model = llama(config, "meta")
    built = time.perf_counter() - start
    start = time.perf_counter()
    _, plan = planned(config)
    seconds = time.perf_counter() - start
    plan.save(folder / "plan.json")
    count = sum(p.numel() for p in model.parameters())
    print(f"plan      {count / 1e9:.1f} B parameters on meta: built in {built:.1f} s; built, watched and planned in "
          f"{seconds:.1f} s; {len(plan)} entries, {(folder / 'plan.json').stat().st_size / 1e6:.2f} MB; "
          f"peak memory {peak():.2f} GB ({before:.2f} of it imports)")  # fmt: skip


def shard(plan: Plan, ranks: int, rank: int) -> Iterator[tuple[str, Part]]:
    """What one of the ranks holds where each weight is split along its first axis (fully sharded)."""
    for name, need in plan.requires.items():
        for part in parts_of(owned(need.shape, [Split(0, ranks, rank)])):
            yield name, part


def step_shards(config: dict[str, int], folder: Path, seconds: float) -> None:
    del config
    plan = Plan.load(folder / "plan.json")
    prepare()
    draw_distribution(Normal(1.0), (1 << 22,), seed=0, name="warm", dtype="bfloat16")  # compiled kernels are loaded
    for ranks in RANKS:
        rank = ranks // 3
        agreed = verified(plan, ranks, rank)
        whole = list(shard(plan, ranks, rank))
        size = sum(part.size for _, part in whole)
        before = peak()
        holds = 2 * size <= HELD
        done, took = kept(plan, whole) if holds else timed(plan, whole, seconds)
        rate = done / took
        how = (
            f"drawn whole in {took:.1f} s, {'all of it kept in memory' if holds else 'in pieces that are let go'}"
            if done == size
            else f"{done / size:.1%} drawn, in pieces that are let go; the whole takes {size / rate:.0f} s"
        )
        print(f"shards    rank {rank} of {ranks}: {size / 1e9:.3f} B numbers, {2 * size / 1e9:.2f} GB in bfloat16; {how} "
              f"({rate / 1e6:.0f} M/s, {thread_count(None)} threads); "
              f"memory besides {'the shard' if holds else 'pieces'} {peak() - before - holds * 2 * size / 1e9:.3f} GB; "
              f"{agreed} sampled windows agree with numbers drawn one by one")  # fmt: skip


def kept(plan: Plan, whole: list[tuple[str, Part]]) -> tuple[int, float]:
    """Draw all of a rank's parts into arrays of their own, which stay: (numbers, seconds). The system's giving of the
    memory is part of the time."""
    from ml_dtypes import bfloat16

    arrays: list[Any] = []

    def work() -> Iterator[tuple[int, Callable[[], object]]]:
        for name, part in whole:
            local = np.empty([s.stop - s.start for s in part.window], bfloat16)
            arrays.append(local)
            for piece in cut(Part(tuple(slice(0, n) for n in local.shape), part.window)):
                yield piece.size, lambda n=name, p=piece, a=local: values(plan, n, p.window, a[p.local])

    start = time.perf_counter()
    run(work(), sum(part.size for _, part in whole), thread_count(None), False)
    return sum(a.size for a in arrays), time.perf_counter() - start


def timed(plan: Plan, whole: list[tuple[str, Part]], seconds: float) -> tuple[int, float]:
    """Draw a rank's pieces and let them go, weights in random order, for about this long: (numbers, seconds)."""
    order = random.Random(0).sample(whole, len(whole))
    limit = time.perf_counter() + seconds
    done = [0]

    def work() -> Iterator[tuple[int, Callable[[], object]]]:
        for name, part in order:
            for piece in cut(part):
                if time.perf_counter() > limit:
                    return
                done[0] += piece.size
                yield piece.size, lambda name=name, piece=piece: values(plan, name, piece.window)

    start = time.perf_counter()
    run(work(), sum(part.size for _, part in whole), thread_count(None), False)
    return done[0], time.perf_counter() - start


def values(plan: Plan, name: str, window: Any, out: Any = None) -> Any:
    law, _ = drawn(plan.entries[name])
    shape = plan.requires[name].shape
    return draw_distribution(law, shape, seed=plan.seed, name=name, window=window, dtype="bfloat16", out=out)


def verified(plan: Plan, ranks: int, rank: int, count: int = 100) -> int:
    """Windows of a rank's shard against their numbers drawn alone, at their places in the whole weight."""
    choice = random.Random(ranks)
    held = list(shard(plan, ranks, rank))
    for _ in range(count):
        name, part = choice.choice(held)
        inside = [choice.randrange(s.start, s.stop) for s in part.window]
        window = tuple(slice(i, min(i + 37, s.stop)) for i, s in zip(inside, part.window, strict=True))
        drawn_together = values(plan, name, window).reshape(-1)
        places = list(np.ndindex(*[s.stop - s.start for s in window]))
        for k in choice.sample(range(len(places)), min(5, len(places))):
            place = tuple(s.start + i for s, i in zip(window, places[k], strict=True))
            alone = values(plan, name, tuple(slice(i, i + 1) for i in place)).reshape(-1)[0]
            if drawn_together[k].tobytes() != alone.tobytes():
                raise SystemExit(f"{name}{place}: {drawn_together[k]} in the window, {alone} alone")
    return count


def step_matrices(config: dict[str, int], folder: Path, _: float) -> None:
    """The same model with every matrix orthogonal, streamed once."""
    _, plan = planned(config)
    shapes = {name: need.shape for name, need in plan.requires.items() if len(need.shape) == 2}
    plan = plan.edit({name: Orthogonal(Axes.parse("oi", shape)) for name, shape in shapes.items()})
    base = peak()
    start = time.perf_counter()
    plan.stream(folder / "matrices", dtype="bfloat16")
    took = time.perf_counter() - start
    shutil.rmtree(folder / "matrices")
    count = sum(math.prod(need.shape) for need in plan.requires.values())
    largest = max(math.prod(need.shape) for need in plan.requires.values())
    print(f"matrices  {count / 1e9:.2f} B parameters, every matrix orthogonal (the largest has {largest / 1e6:.0f} M numbers), to disk "
          f"in bfloat16: {took:.0f} s, {thread_count(None)} threads; peak memory {peak():.2f} GB "
          f"({base:.2f} of it imports and plan)")  # fmt: skip


def step_stream(config: dict[str, int], folder: Path, _: float) -> None:
    _, plan = planned(config)
    size = 4 * sum(math.prod(need.shape) for need in plan.requires.values())
    target, zeros = folder / "stream", folder / "zeros"
    prepare()
    draw_distribution(Normal(1.0), (1 << 22,), seed=0, name="warm")  # compiled kernels are loaded
    base = peak()
    ours, theirs = [], []
    for _ in range(3):
        start = time.perf_counter()
        write_zeros(zeros, size)
        theirs.append(time.perf_counter() - start)
        shutil.rmtree(zeros)
        start = time.perf_counter()
        plan.stream(target, shard_size="2GB")
        ours.append(time.perf_counter() - start)
        shutil.rmtree(target)
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"stream    {size / 4e9:.2f} B parameters, {size / 1e9:.2f} GB to disk and flushed: {a:.2f} s ({size / a / 1e9:.2f} GB/s); "
          f"zeros {b:.2f} s ({size / b / 1e9:.2f} GB/s); ratio of speeds {b / a:.2f}; peak memory {peak():.2f} GB "
          f"({base:.2f} of it imports and plan)")  # fmt: skip


def write_zeros(folder: Path, size: int) -> None:
    """As many zeros, in files of 2 GB, flushed to the disk."""
    folder.mkdir()
    block = bytes(BLOCK)
    for k in range(-(-size // 2_000_000_000)):
        left = min(2_000_000_000, size - k * 2_000_000_000)
        with (folder / f"{k}.bin").open("wb", buffering=0) as file:
            while left:
                left -= file.write(memoryview(block)[: min(left, BLOCK)])
            os.fsync(file.fileno())


def step_apply(config: dict[str, int], _: Path, __: float) -> None:
    import torch

    _, plan = planned(config)
    model = llama(config, "meta").to_empty(device="cpu")
    torch.set_num_threads(thread_count(None))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # the system has given the memory by now, to both sides alike

    def own() -> None:
        for tensor in (*model.parameters(), *model.buffers()):
            vars(tensor).pop("_is_hf_initialized", None)
        for module in model.modules():
            model._init_weights(module)

    plan.apply(model)
    ours, theirs = [], []
    for _ in range(3):
        for function, times in ((own, theirs), (lambda: plan.apply(model), ours)):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
    a, b = statistics.median(ours), statistics.median(theirs)
    count = sum(p.numel() for p in model.parameters())
    print(f"apply     {count / 1e9:.2f} B parameters, float32, {torch.get_num_threads()} threads: plan.apply {a:.2f} s "
          f"({count / a / 1e6:.0f} M/s), the model's own _init_weights {b:.2f} s ({count / b / 1e6:.0f} M/s): "
        f"{b / a:.2f} times as fast"
    )  # fmt: skip


STEPS: dict[str, tuple[Callable[..., None], dict[str, int]]] = {
    "plan": (step_plan, LLAMA_405B),
    "shards": (step_shards, LLAMA_405B),
    "stream": (step_stream, LLAMA_1B),
    "matrices": (step_matrices, LLAMA_1B),
    "apply": (step_apply, LLAMA_1B),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", default=",".join(STEPS))
    parser.add_argument("--folder", default="out/scale", help="on the disk that is measured")
    parser.add_argument("--layers", type=int, help="of the models, in place of their own number")
    parser.add_argument("--seconds", type=float, default=20.0, help="of drawing for each number of ranks")
    options = parser.parse_args()
    folder = Path(options.folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(json.dumps({"cores": os.cpu_count(), "threads": thread_count(None), "small": options.small}))
    try:
        for name in options.only.split(","):
            step, config = STEPS[name]
            small = {**config, **SMALL, "num_attention_heads": 8} if options.small else config
            small = {**small, "num_hidden_layers": options.layers} if options.layers else small
            child = multiprocessing.get_context("spawn").Process(target=step, args=(small, folder, options.seconds))
            child.start()
            child.join()
            if child.exitcode:
                raise SystemExit(f"{name} ended with {child.exitcode}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
