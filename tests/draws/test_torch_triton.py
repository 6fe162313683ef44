"""The Triton kernels give NumPy's bits (in Triton's interpreter, on the CPU), and compile for GPUs without fused roundings.

Where a CUDA device is there, tests/draws/test_torch.py runs them on it.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="needs triton, which torch brings along where it has CUDA"
)

INTERPRETED = """
import json
import numpy as np
import torch
from hypothesis import given, settings, strategies as st
from tests.draws.laws import windows
from tests.draws.test_torch import equal
from tests.draws.vectors import VECTORS, arguments, check
from fanin.draws import draw_distribution, torch as draws, torch_triton as kernels
from fanin.draws.windows import resolve

draws._as_numpy = lambda tensor: None
used = []
def engine(*arguments):
    used.append(arguments[0].source)
    kernels.engine(*arguments)
draws._engine = lambda made, out: engine if kernels.can(made, out.dtype) else None
count = 0
for vector in VECTORS:
    if vector["bits"] == 32 and "hash" in vector and not vector["dtype"].startswith("float8"):
        law, shape, named = arguments(vector)
        drawn = draws.draw(law, shape, dtype=getattr(torch, vector["dtype"]), **named)
        named.pop("bits")
        assert equal(drawn, draw_distribution(law, shape, dtype=vector["dtype"], **named)), vector
        count += 1

laws = [arguments(v)[0] for v in VECTORS if v["dtype"] == "float32" and v["bits"] == 32][:11]

@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(laws), st.sampled_from([(5, 700), (3, 40, 9), (2000,), (2**33, 300)]), st.data(),
       st.integers(0, 2**64 - 1), st.sampled_from(["float32", "bfloat16"]))
def any_window(law, shape, data, seed, dtype):
    row = data.draw(st.integers(0, shape[0] - 3))
    window = (slice(row, row + 3),) if shape[0] > 10**4 else data.draw(windows(shape))
    drawn = draws.draw(law, shape, seed=seed, name="w", window=window, dtype=getattr(torch, dtype))
    assert equal(drawn, draw_distribution(law, shape, seed=seed, name="w", window=window, dtype=dtype))

any_window()
print(json.dumps({"vectors": count, "sources": sorted(set(map(int, used)))}))
"""

COMPILED = """
import json
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from fanin.draws import torch_triton as kernels

texts = {}
for out, double, half in (("*fp32", False, False), ("*fp64", True, False), ("*fp16", False, False), ("*i16", False, True)):
    for source, whole, plain in ((0, True, True), (1, True, True), (1, False, False), (2, True, True), (3, True, True), (4, True, False)):
        if out != "*fp32" and source > 1:
            continue
        constants = {"SOURCE": source, "WHOLE": whole, "PLAIN": plain, "DOUBLE": double, "BF16": half, "BLOCKS": 256}
        for kernel, named in (
            (kernels._runs_kernel, {"first": "*i64", "table": "*i64", "length": "i32", "chunks": "i32"}),
            (kernels._places_kernel, {"index": "*i64", "table": "*i64", "length": "i32"}),
        ):
            signature = {"out": out, "numbers": "*i64", **named, **dict.fromkeys(constants, "constexpr")}
            made = triton.compile(
                ASTSource(fn=kernel, signature=signature, constexprs=constants), target=GPUTarget("cuda", 90, 32))
            texts[f"{kernel.__name__} {out} {source} {whole}"] = made.asm["ptx"]
print(json.dumps(texts))
"""


def run(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


@pytest.mark.slow
def test_interpreted_kernels_have_the_bits() -> None:
    report = json.loads(run(INTERPRETED, TRITON_INTERPRET="1"))
    assert report["vectors"] > 60
    assert report["sources"] == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_the_machine_code_rounds_as_the_recipe_says() -> None:
    """One conversion and one multiplication, to nearest, subnormal numbers kept; nothing is fused."""
    texts = json.loads(run(COMPILED, TRITON_INTERPRET="0"))
    for name, text in texts.items():
        operations = set(
            re.findall(r"^\s*((?:@\S+ )?[a-z0-9]+(?:\.\w+)*\.(?:f16|bf16|f32|f64)(?:\.\w+)*)\s", text, re.M)
        )
        arithmetic = {op for op in operations if not op.startswith(("ld.", "st.", "mov.", "selp.", "setp."))}
        allowed = {"mul.f32", "mul.f64", "mul.rn.f32", "mul.rn.f64"}
        odd = {
            op for op in arithmetic - allowed if not re.fullmatch(r"cvt\.rn\.f(16|32|64)\.(s32|s64|u32|f32|f64)", op)
        }
        assert not odd, f"{name}: {sorted(odd)}"
