"""What a run will take on this machine, from a few of its steps."""

import time
from dataclasses import replace

import torch

from fanin.lab.study.records import RunConfig
from fanin.lab.torch.construct import construct, device_of
from fanin.lab.torch.job import trainee_of
from fanin.lab.torch.start import Parts
from fanin.lab.torch.state import random_state, thread_count
from fanin.lab.torch.tensors import Orders, tensors
from fanin.lab.training import steps_of

WARM = 2  # steps before the clock starts
TIMED = 5
LONGEST = 2.0  # seconds that are spent on steps: those of a large model are few


def seconds_of_run(config: RunConfig, parts: Parts, members: int) -> tuple[int, float]:
    """Steps of a whole run, and about how many seconds of one core it takes.

    Args:
        config: of the run.
        parts: what it is made of.
        members: how many train at once, where it is stacked.
    """
    seeds = [config.seed + k for k in range(members if config.stacked else 1)]
    configs = [replace(config, seed=seed, plan="default") for seed in seeds]
    with thread_count(1), random_state(0), torch.enable_grad():
        models = [construct(parts.factory, seed) for seed in seeds]
        data = tensors(parts.data, device_of(models[0]))
        steps = steps_of(config.training, len(data.train_x), config.batch_size)
        trainee = trainee_of(configs, models, [{} for _ in seeds], parts)
        trainee.remember_start()
        orders = Orders(len(data.train_x), config.batch_size, seeds)
        taken, begun = [], time.perf_counter()
        for _ in range(WARM + TIMED):
            start = time.perf_counter()
            x, y = orders.take(data.train_x, data.train_y, trainee.stacked)
            trainee.step(x, y, 1.0)
            taken.append(time.perf_counter() - start)
            if time.perf_counter() - begun > LONGEST:
                break
        start = time.perf_counter()
        trainee.evaluate(data.held_x, data.held_y)
        look = time.perf_counter() - start
        final = look * (len(data.test_x) + len(data.seen_x)) / len(data.held_x)
    step = min(taken[WARM:] or taken)
    looks = min(config.training.evaluations, steps) + 1
    return steps, (step * steps + look * looks + final) / len(seeds)
