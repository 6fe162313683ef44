"""What `fanin.check` costs beside one forward and backward pass of the same model: time, and peak resident memory.

    python benchmarks/overhead.py            both tables
    python benchmarks/overhead.py --memory   the second one only

Time: both are measured in one process, in turns, and the medians are compared. Memory: each runs in a fresh process on a
model of over 500 MB, and the peaks that the kernel recorded (VmHWM, Linux only) are compared; the plain pass does not
import fanin at all.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TIME_TARGET, MEMORY_TARGET = 2.0, 1.3

Case = tuple[nn.Module, Tensor, Tensor, Callable[[Tensor, Tensor], Tensor]]


def mlp(depth: int, width: int, batch: int) -> Case:
    """Dense layers and ReLU, ten classes."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    return model, torch.randn(batch, width), torch.randint(10, (batch,)), F.cross_entropy


class Block(nn.Module):
    """Two convolutions with batch norm around a residual add."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


def cnn(blocks: int, channels: int, batch: int) -> Case:
    """A small residual network on images of 32 × 32."""
    model = nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.ReLU(),
        *(Block(channels) for _ in range(blocks)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 10),
    )
    return model, torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,)), F.cross_entropy


class Layer(nn.Module):
    """A pre-norm transformer layer with causal attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, dim=-1)
        )
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(-2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """A small GPT with a tied head."""

    def __init__(self, layers: int, width: int, heads: int, vocabulary: int, length: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.norm(x) @ self.tokens.weight.T


def next_token_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of the next token."""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def transformer(layers: int, width: int, batch: int, length: int, vocabulary: int) -> Case:
    """A GPT on random tokens."""
    tokens = torch.randint(vocabulary, (batch, length))
    return Transformer(layers, width, width // 64, vocabulary, length), tokens, tokens, next_token_loss


CASES: dict[str, Callable[[], Case]] = {
    "MLP, 12 × 1024, batch 256": lambda: mlp(12, 1024, 256),
    "residual CNN, 8 blocks × 64, batch 32": lambda: cnn(8, 64, 32),
    "transformer, 6 × 384, 8 × 128 tokens": lambda: transformer(6, 384, 8, 128, 5000),
}
# Too small for the target to mean much: what is left is the fixed cost of the checks.
SMALL: dict[str, Callable[[], Case]] = {"small MLP, 30 × 128, batch 64": lambda: mlp(30, 128, 64)}


def large() -> Case:
    """A GPT of 14 layers × 768 with a vocabulary of 50,257: over 500 MB in float32."""
    return transformer(14, 768, 2, 64, 50257)


def plain_pass(case: Case) -> None:
    """One forward and backward pass."""
    model, batch, targets, loss = case
    model.zero_grad(set_to_none=True)
    loss(model(batch), targets).backward()


def checked(case: Case) -> None:
    """One check."""
    import fanin

    model, batch, targets, loss = case
    fanin.check(model, batch, targets, loss)


def seconds(f: Callable[[Case], None], case: Case) -> tuple[float, float]:
    """Wall time and processor time of one call; the second one is steadier on a machine with other work."""
    start, start_cpu = time.perf_counter(), time.process_time()
    f(case)
    return time.perf_counter() - start, time.process_time() - start_cpu


def time_table(repeats: int) -> bool:
    """Prints the table of times; whether all cases keep the target."""
    print(
        f"| model | parameters | forward + backward | fanin.check | ratio (target ≤ {TIME_TARGET}) | processor time |"
    )
    print("|---|---|---|---|---|---|")
    kept = True
    for name, make in {**CASES, **SMALL}.items():
        torch.manual_seed(0)
        case = make()
        parameters = sum(p.numel() for p in case[0].parameters())
        plain_pass(case)
        checked(case)  # both once unmeasured: caches and lazy imports
        pairs = [(seconds(plain_pass, case), seconds(checked, case)) for _ in range(repeats)]
        (plain, plain_cpu), (check, check_cpu) = (
            (statistics.median(wall for wall, _ in column), statistics.median(cpu for _, cpu in column))
            for column in zip(*pairs, strict=True)
        )
        kept &= name in SMALL or check / plain <= TIME_TARGET
        print(
            f"| {name} | {parameters / 1e6:.1f} M | {plain * 1e3:.0f} ms | {check * 1e3:.0f} ms "
            f"| {check / plain:.2f}{'' if name in CASES else ' (fixed costs, no target)'} | {check_cpu / plain_cpu:.2f} |"
        )
    first = [in_fresh_process("first") for _ in range(3)]
    wall, processor = (statistics.median(run[clock] for run in first) for clock in ("wall", "processor"))
    print(f"\nThe first check in a process, of the small MLP, imports of fanin included: {wall:.2f} s", end=" ")
    print(f"(processor time {processor:.2f} s).")
    return kept


def peak_mb() -> float:
    """Peak resident memory of this process so far, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def in_fresh_process(what: str) -> dict[str, float]:
    """What a process that does only this prints."""
    run = subprocess.run([sys.executable, __file__, "--child", what], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout)


def child(what: str) -> None:
    """Prints the peak after building the large model, and after the work; or the times of a first check."""
    torch.manual_seed(0)
    if what == "first":
        wall, processor = seconds(checked, next(iter(SMALL.values()))())
        print(json.dumps({"wall": wall, "processor": processor}))
        return
    case = large()
    weights = sum(p.numel() * p.element_size() for p in case[0].parameters()) / 2**20
    built = peak_mb()
    {"pass": plain_pass, "check": checked}[what](case)
    print(json.dumps({"weights": weights, "built": built, "peak": peak_mb()}))


def memory_table(repeats: int) -> bool:
    """Prints the table of peaks; whether the target is kept."""
    plain = [in_fresh_process("pass") for _ in range(repeats)]
    check = [in_fresh_process("check") for _ in range(repeats)]
    ratio = statistics.median(r["peak"] for r in check) / statistics.median(r["peak"] for r in plain)
    print(f"| GPT, {plain[0]['weights']:.0f} MB of weights | after building | peak |")
    print("|---|---|---|")
    for name, runs in (("forward + backward", plain), ("fanin.check", check)):
        peaks = ", ".join(f"{r['peak']:.0f}" for r in runs)
        print(f"| {name} | {runs[0]['built']:.0f} MB | {peaks} MB |")
    print(f"| ratio of medians (target ≤ {MEMORY_TARGET}) | | {ratio:.2f} |")
    return ratio <= MEMORY_TARGET


def main() -> None:
    """Both tables; the exit status says whether the targets are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="timed repeats per model (%(default)s)")
    parser.add_argument("--memory", action="store_true", help="only the table of memory")
    parser.add_argument("--child", choices=["pass", "check", "first"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s)\n")
    kept = arguments.memory or time_table(arguments.repeats)
    print()
    kept &= memory_table(max(1, math.ceil(arguments.repeats / 4)))
    sys.exit(not kept)


if __name__ == "__main__":
    main()
