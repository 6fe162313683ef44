"""What each of several processes does in the tests of sharded models (`test_ranks.py` starts them)."""

import functools
import inspect
import multiprocessing
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import nn

from fanin import rules
from fanin.errors import FaninError
from fanin.plans import Entry, Plan
from fanin.rules.rule import FACTORIES, FACTS
from fanin.slots import Slot
from fanin.traces.torch import trace

# Values for arguments that a rule cannot do without; a rule to come whose argument is not here gets a half.
ARGUMENTS: dict[str, Any] = {"std": 0.02, "bound": 0.05, "value": 0.7, "low": -1.0, "high": 1.0, "sparsity": 0.3}
PRELOAD = [
    "tests.plans.ranks",
    "torch.distributed.device_mesh",
    "torch.distributed.fsdp",
    "torch.distributed.fsdp.wrap",
    "torch.distributed.tensor",
    "torch.distributed.tensor.debug",
    "torch.distributed.tensor.parallel",
    "torch._dynamo",
    "scipy.special",
    "pytest",
]


class Net(nn.Module):
    """Every kind of weight, in sizes that few numbers of processes divide."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(13, 12, padding_idx=1)
        self.qkv = nn.Linear(12, 36)
        self.conv = nn.Conv1d(12, 10, 3, padding=1)
        self.wave = nn.Conv1d(1, 5, 4, padding=2)
        self.norm = nn.LayerNorm(10)
        self.up = nn.Linear(10, 16)
        self.mid = nn.Linear(16, 16)
        self.down = nn.Linear(16, 7)
        self.lstm = nn.LSTM(7, 6, batch_first=True)
        self.head = nn.Linear(6, 13)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = nn.functional.scaled_dot_product_attention(*self.qkv(self.embed(x)).chunk(3, -1))
        h = self.norm(self.conv(h.mT).mT)
        h = h + self.wave(h.mean(-1, keepdim=True).mT).mean()
        h = self.down(torch.relu(self.mid(torch.relu(self.up(h)))))
        return self.head(self.lstm(h)[0])


def slots() -> tuple[Slot, ...]:
    """The weights of `Net`, as a watched pass sees them."""
    torch.manual_seed(0)
    return trace(Net(), torch.randint(0, 13, (4, 5))).slots


@functools.cache
def plans() -> dict[str, Plan]:
    """A plan for each rule in the table: the rule for every weight that it can serve."""
    known, found = slots(), dict[str, Plan]()
    for info in rules.table():
        rule = _made(FACTORIES[info.name])
        entries = {}
        for slot in known:
            try:
                entries[slot.name] = Entry(rule(slot), info.name)
            except FaninError:
                continue
        found[info.name] = Plan.of(known, entries, seed=11) if entries else Plan({})
    return found


def _made(factory: Callable[..., Any]) -> Any:
    parameters = inspect.signature(factory).parameters.values()
    needed = {p.name: ARGUMENTS.get(p.name, 0.5) for p in parameters if p.default is p.empty}
    needed |= FACTS[factory.__name__].samples[0]
    try:
        return factory(**needed)
    except FaninError:  # one of several arguments must be given
        return factory(**needed, bound=ARGUMENTS["bound"])


def start(world: int, folder: Path, work: Callable[[int, int, Path], None]) -> None:
    """Run `work(rank, world, folder)` in this many processes joined by gloo; raises with the first one's traceback.

    They are forked from a server that has imported what they need, which costs as much as the tests do.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    multiprocessing.set_forkserver_preload(PRELOAD)
    mp.start_processes(_enter, (world, str(folder), work), nprocs=world, start_method="forkserver")  # type: ignore[no-untyped-call]


def _enter(rank: int, world: int, folder: str, work: Callable[[int, int, Path], None]) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    try:
        work(rank, world, Path(folder))
        torch.distributed.barrier()  # who leaves first closes its connections, on which another may still be at work
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        torch.distributed.destroy_process_group()
