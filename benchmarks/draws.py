"""How fast elementwise draws are, beside those of torch, NumPy, JAX, SciPy and randomgen: side by side, in one run.

    python benchmarks/draws.py                      1,000 to 100 million numbers, one core and all, all laws and formats
    python benchmarks/draws.py --huge               a billion as well (needs 10 GB of memory)
    python benchmarks/draws.py --sizes 1e9 --rivals torch --rounds 1    only that, one timed draw each (4 GB)
    python benchmarks/draws.py --cpu --cores 1      by the processor's time, where other programs are running
    python benchmarks/draws.py --laws normal --sizes 1e6 --cores 1

Everybody writes into an array that is there already (JAX: into a donated buffer), through the public interface, on the
same processors: each number of cores is a process of its own, which is pinned to them before any library is loaded.
Contenders take turns, so that a busy moment of the machine hits all of them; a cell is millions of numbers a second, by
the fastest turn (the median in brackets). `fill_` writes a constant: what the memory allows.

What differs between the contenders: NumPy's and randomgen's generators draw the standard law (no scale, uniform on [0, 1)),
which is less work; in bfloat16 they draw float32 and round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

LAWS = ("normal", "uniform", "truncated")
DTYPES = ("float32", "bfloat16")
SIZES = ("1e3", "1e4", "1e5", "1e6", "1e7", "1e8")
STD, BOUND, CUT = 0.02, 0.05, 2.0
SCIPY = 10**6  # numbers: beyond this SciPy takes too long to add anything
TURN = 0.02  # seconds: the shortest turn
HUGE = 10**9  # numbers: from here on nothing is drawn only to warm up
clock = time.perf_counter

AIMS = {"normal": (2.3, 1.0), "uniform": (4.0, 1.0), "truncated": (3.0, 25.0)}  # beside the fastest, and beside torch

Contender = Callable[[], Any]


def contenders(law: str, dtype: str, size: int, threads: int, rivals: list[str]) -> dict[str, Contender]:
    """Who draws, and how: each writes `size` numbers of the law. Of the others only `rivals`, if any are named."""
    import ml_dtypes
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    array = np.zeros(size, np.float32 if dtype == "float32" else ml_dtypes.bfloat16)
    bits = np.int32 if dtype == "float32" else np.int16
    array.view(bits).fill(1)  # the memory is there
    tensor = torch.from_numpy(array.view(bits)).view(getattr(torch, dtype))  # the same memory
    found: dict[str, Contender] = {"fill_": lambda: tensor.fill_(1.0), "fanin": _fanin(law, array)}
    if law == "normal":
        found["torch"] = lambda: torch.nn.init.normal_(tensor, 0.0, STD)
    elif law == "uniform":
        found["torch"] = lambda: torch.nn.init.uniform_(tensor, -BOUND, BOUND)
    else:
        found["torch"] = lambda: torch.nn.init.trunc_normal_(tensor, 0.0, STD, -CUT * STD, CUT * STD)
    if rivals:
        return {name: draw for name, draw in found.items() if name in ("fill_", "fanin", *rivals)}
    found["jax"] = _jax(law, dtype, size)
    if law == "truncated":
        if size <= SCIPY:
            from scipy import stats

            def scipy() -> None:
                array[...] = stats.truncnorm.rvs(-CUT, CUT, scale=STD, size=size, random_state=generator)

            generator = np.random.Generator(np.random.SFC64(0))
            found["scipy"] = scipy
        return found
    for name, bits in (("PCG64", np.random.PCG64), ("SFC64", np.random.SFC64), ("randomgen", _best_of_randomgen(law))):
        found[name] = _numpy(law, np.random.Generator(bits(0)), array)
    return found


def _fanin(law: str, array: Any) -> Contender:
    from fanin.distributions import Normal, TruncatedNormal, Uniform
    from fanin.draws import draw_distribution

    made = {"normal": Normal(STD), "uniform": Uniform(BOUND), "truncated": TruncatedNormal(STD, CUT)}[law]
    return lambda: draw_distribution(made, array.shape, seed=0, name="layers.0.weight", out=array)


def _numpy(law: str, generator: Any, array: Any) -> Contender:
    import numpy as np

    draw = generator.standard_normal if law == "normal" else generator.random
    if array.dtype == np.float32:
        return lambda: draw(dtype=np.float32, out=array)
    single = np.zeros(array.shape, np.float32)

    def rounded() -> None:
        draw(dtype=np.float32, out=single)
        array[...] = single

    return rounded


def _best_of_randomgen(law: str) -> Any:
    """randomgen has some thirty generators: the one that is fastest here."""
    import numpy as np
    import randomgen

    array, speeds = np.zeros(200_000, np.float32), {}
    for name in (
        "SFC64",
        "JSF",
        "Romu",
        "EFIIX64",
        "Xoshiro256",
        "LXM",
        "DSFMT",
        "SFMT",
        "MWC128X",
        "PCG64DXSM",
        "Tyche",
    ):
        draw = _numpy(law, np.random.Generator(getattr(randomgen, name)(0)), array)
        speeds[name] = min(_seconds(draw, 1) for _ in range(3))
    return getattr(randomgen, min(speeds, key=lambda name: speeds[name]))


def _jax(law: str, dtype: str, size: int) -> Contender:
    import functools

    import jax

    kind = getattr(jax.numpy, dtype)

    @functools.partial(jax.jit, donate_argnums=1)
    def draw(key: Any, before: Any) -> Any:
        del before  # its memory is the result's
        if law == "uniform":
            return jax.random.uniform(key, (size,), kind, -BOUND, BOUND)
        if law == "normal":
            return jax.random.normal(key, (size,), kind) * kind(STD)
        return jax.random.truncated_normal(key, -CUT, CUT, (size,), kind) * kind(STD)

    key, held = jax.random.key(0), [jax.numpy.zeros(size, kind)]

    def turn() -> None:
        held[0] = draw(key, held[0])
        held[0].block_until_ready()

    return turn


def _seconds(draw: Contender, times: int) -> float:
    start = clock()
    for _ in range(times):
        draw()
    return (clock() - start) / times


def measure(law: str, dtype: str, size: int, threads: int, rounds: int, rivals: list[str]) -> dict[str, list[float]]:
    """Seconds of every turn, by contender."""
    running = contenders(law, dtype, size, threads, rivals)
    times = dict.fromkeys(running, 1)
    for name, draw in running.items() if size < HUGE else ():
        draw()  # compiles, and touches the memory
        times[name] = max(1, int(TURN / max(_seconds(draw, 1), 1e-7)))
    turns: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, draw in running.items():
            turns[name].append(_seconds(draw, times[name]))
    return turns


def work(arguments: argparse.Namespace) -> None:
    """The process of one number of cores: a line of JSON a case."""
    from fanin.draws import prepare

    global clock
    if arguments.cpu:
        clock = time.process_time
    threads = len(os.sched_getaffinity(0))
    prepare()
    rivals = [name for name in arguments.rivals.split(",") if name]
    for law in arguments.laws.split(","):
        for dtype in arguments.dtypes.split(","):
            measure(law, dtype, 1000, 1, 1, ["none"])  # compiled, or loaded
    for law in arguments.laws.split(","):
        for dtype in arguments.dtypes.split(","):
            for size in arguments.sizes.split(","):
                turns = measure(law, dtype, int(float(size)), threads, arguments.rounds, rivals)
                print(json.dumps([law, dtype, int(float(size)), turns]), flush=True)


def pinned(cores: int) -> dict[str, str]:
    """The environment of a process with this many cores."""
    one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" if cores == 1 else ""
    return os.environ | {"OMP_NUM_THREADS": str(cores), "XLA_FLAGS": one, "JAX_PLATFORMS": "cpu"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", default=",".join(LAWS))
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--huge", action="store_true", help="a billion numbers as well")
    parser.add_argument("--cores", default=f"1,{len(os.sched_getaffinity(0))}")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rivals", default="", choices=("", "torch"), help="only these of the others")
    parser.add_argument("--cpu", action="store_true", help="the processor's time, not the clock's: for one core")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.huge:
        arguments.sizes += ",1e9"
    if arguments.worker:
        work(arguments)
        return
    for cores in dict.fromkeys(int(n) for n in arguments.cores.split(",")):
        processors = sorted(os.sched_getaffinity(0))[:cores]
        command = [sys.executable, __file__, "--worker", "--rounds", str(arguments.rounds)]
        command += ["--rivals", arguments.rivals, *["--cpu"] * arguments.cpu]
        command += ["--laws", arguments.laws, "--dtypes", arguments.dtypes, "--sizes", arguments.sizes]
        with subprocess.Popen(
            command,
            env=pinned(cores),
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda processors=processors: os.sched_setaffinity(0, processors),
        ) as child:
            assert child.stdout is not None
            print(f"\n## {cores} core{'s' * (cores > 1)}, load {os.getloadavg()[0]:.1f}", flush=True)
            last = None
            for line in child.stdout:
                law, dtype, size, turns = json.loads(line)
                if (law, dtype) != last:
                    last = (law, dtype)
                    print(f"\n{law}, {dtype} (millions of numbers a second: fastest turn, median in brackets)\n")
                    aim, least = AIMS[law]
                    names = [name for name in turns if name not in ("fanin", "fill_")]
                    print(
                        "| numbers | fanin | "
                        + " | ".join(names)
                        + f" | against the fastest (≥ {aim}) | against torch (≥ {least}) | of fill_ |"
                    )
                    print("|---" * (len(names) + 5) + "|")
                print(row(law, size, names, turns), flush=True)
        if child.returncode:
            sys.exit(child.returncode)


def row(law: str, size: int, names: list[str], turns: dict[str, list[float]]) -> str:
    """One line of the table."""
    best = {name: size / min(seconds) / 1e6 for name, seconds in turns.items()}
    middle = {name: size / statistics.median(seconds) / 1e6 for name, seconds in turns.items()}

    def cell(name: str) -> str:
        return f"{best[name]:.0f} ({middle[name]:.0f})" if name in best else "–"

    rivals = [name for name in names if name in best]
    fastest = max(rivals, key=lambda name: best[name])
    ratio, ratio_middle = (speed["fanin"] / max(speed[name] for name in rivals) for speed in (best, middle))
    torch = best["fanin"] / best["torch"]
    return (
        f"| {size:,} | {cell('fanin')} | "
        + " | ".join(cell(name) for name in names)
        + f" | {ratio:.2f} ({ratio_middle:.2f}) × {fastest} | {torch:.1f} × | {best['fanin'] / best['fill_']:.0%} |"
    )


if __name__ == "__main__":
    main()
