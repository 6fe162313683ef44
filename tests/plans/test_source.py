"""Plain code draws from the plan's own distributions, and needs no fanin."""

import ast
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from tests.draws.laws import laws
from tests.plans.models import Block, Text, mlp, normed, same, text_trace, traced, values
from torch import nn

import fanin
from fanin import rules
from fanin.distributions import (
    Constant,
    DeltaOrthogonal,
    Distribution,
    Identity,
    Mirrored,
    Normal,
    Orthogonal,
    Stack,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from fanin.draws import draw_distribution
from fanin.draws.layout import block_shape, centre, to_blocks
from fanin.draws.orthogonal import gain
from fanin.plans import Entry, Need, Plan, plan_from_rules
from fanin.slots import Axes, Pairing

ORTHOGONALS = [
    ("oi", (5, 8)),
    ("io", (5, 8)),
    ("(s3o)i", (12, 6)),
    ("oikk", (6, 4, 3, 3)),
    ("iok", (4, 6, 5)),
    ("(s2o)ikk", (8, 3, 3, 3)),
    ("sio", (3, 4, 7)),
    ("(o2s3)(i2k2)", (6, 4)),
]
IDENTITIES = [
    ("oi", (4, 6)),
    ("io", (4, 6)),
    ("oikk", (6, 4, 3, 3)),
    ("(s2o)ikk", (6, 4, 3, 3)),
    ("(s2o)i", (6, 4)),
    ("iokk", (4, 6, 4, 3)),
    ("sio", (2, 3, 4)),
]


def run(code: str) -> Any:
    """The function that the code defines."""
    scope: dict[str, Any] = {}
    exec(compile(code, "plan.py", "exec"), scope)
    return scope["init_weights"]


def holder(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> nn.Module:
    module = nn.Module()
    module.weight = nn.Parameter(torch.full(shape, math.nan, dtype=dtype))
    return module


def plan_of(distribution: Distribution, shape: tuple[int, ...], **facts: float) -> Plan:
    return Plan({"weight": Entry(distribution, "as a test", **facts)}, requires={"weight": Need(shape)})


def by_code(
    distribution: Distribution, shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32
) -> np.ndarray:
    model = holder(shape, dtype)
    run(plan_of(distribution, shape).to_python())(model, torch.Generator().manual_seed(seed))
    return model.weight.detach().float().numpy()


@settings(max_examples=25)
@given(laws())
def test_every_law_has_the_same_first_and_second_moments_as_the_draw(law: tuple[Distribution, tuple[int, ...]]) -> None:
    """E[w] and E[w wᵀ] over 200 draws each, to six of their own standard errors: sign patterns and zeros included."""
    distribution, shape = law
    if math.prod(shape) > 120:
        return
    count = 200
    code = run(plan_of(distribution, shape).to_python())
    model, generator = holder(shape), torch.Generator().manual_seed(0)
    ours = np.stack([draw_distribution(distribution, shape, seed=s, name="w").reshape(-1) for s in range(count)])
    theirs = np.stack([code(model, generator).weight.detach().numpy().reshape(-1).copy() for _ in range(count)])
    assert np.array_equal((ours == 0).all(0), (theirs == 0).all(0)), "zeros in other places"
    scale = max(float(np.sqrt((ours**2).mean(0).max(initial=0.0))), 1e-30)
    a, b = ours.astype(np.float64) / scale, theirs.astype(np.float64) / scale
    assert np.allclose(a.mean(0), b.mean(0), atol=6 * math.sqrt(2 / count))
    assert np.allclose(a.T @ a / count, b.T @ b / count, atol=6 * math.sqrt(2 * 2 / count))


@pytest.mark.parametrize(
    ("distribution", "std", "low", "high"),
    [
        (Normal(0.02, 0.5), 0.02, -math.inf, math.inf),
        (TruncatedNormal(0.02), 0.02, -0.0456, 0.0456),
        (TruncatedNormal(0.5, 1.0, 3.0), 0.5, 3 - 0.9272, 3 + 0.9272),
        (Uniform(0.3, 1.0), 0.3 / math.sqrt(3), 0.7, 1.3),
    ],
)
def test_deviations_and_ranges_are_those_of_the_record(distribution: Any, std: float, low: float, high: float) -> None:
    w = by_code(distribution, (400, 500)).astype(np.float64)
    error = std / math.sqrt(w.size)
    assert abs(w.mean() - distribution.mean) < 5 * error
    assert abs(w.std() - std) < 5 * error
    assert low <= w.min() <= w.max() <= high


@pytest.mark.parametrize("kind", [Orthogonal, DeltaOrthogonal])
@pytest.mark.parametrize(("spec", "shape"), ORTHOGONALS)
def test_orthogonal_families_are_exactly_orthogonal(kind: Any, spec: str, shape: tuple[int, ...]) -> None:
    law = kind(Axes.parse(spec, shape), 1.5, True)
    blocks = to_blocks(by_code(law, shape), law.axes)
    stack, out, *_ = block_shape(law.axes)
    if kind is DeltaOrthogonal:
        assert not np.delete(blocks, centre(law.axes), axis=3).any()
        blocks = blocks[..., centre(law.axes)]
    for matrix in blocks.reshape(stack, out, -1):
        singular = np.linalg.svd(matrix, compute_uv=False)
        assert np.allclose(singular, gain(law), rtol=1e-5)


def test_the_orthogonal_law_is_uniform_not_what_qr_happens_to_give() -> None:
    """Without the signs of R's diagonal the first entry of a 2 x 2 matrix would always be negative."""
    code = run(plan_of(Orthogonal(Axes.parse("oi", (2, 2))), (2, 2)).to_python())
    model, generator = holder((2, 2)), torch.Generator().manual_seed(0)
    first = [float(code(model, generator).weight[0, 0].detach()) for _ in range(400)]
    assert abs(np.mean(first)) < 5 * math.sqrt(0.5 / 400)
    assert abs(np.var(first) - 0.5) < 0.1


@pytest.mark.parametrize(("spec", "shape"), IDENTITIES)
def test_identity_is_the_very_same(spec: str, shape: tuple[int, ...]) -> None:
    law = Identity(Axes.parse(spec, shape), 0.7)
    assert np.array_equal(by_code(law, shape), draw_distribution(law, shape, seed=0, name=""))


@pytest.mark.parametrize("units", [(8, 6), (9, 7), (9, 6)])
def test_mirrored_halves_and_what_an_odd_width_leaves_over(units: tuple[int, int]) -> None:
    out, in_ = units
    half = Orthogonal(Axes.parse("oi", (out // 2, in_ // 2)), 2.0, True)
    w = by_code(Mirrored(half, Axes.parse("oi", units), Pairing(out), Pairing(in_)), units)
    h, k = out // 2, in_ // 2
    assert np.array_equal(w[:h], -w[h : 2 * h])
    assert np.array_equal(w[:, :k], -w[:, k : 2 * k])
    assert not w[:, 2 * k :].any()
    singular = np.linalg.svd(w[:h, :k], compute_uv=False)
    assert np.allclose(singular, 2.0 * math.sqrt(max(1.0, h / k)), rtol=1e-5)
    row = math.sqrt((w[:h, :k] ** 2).sum(1).mean())
    assert np.allclose(np.linalg.norm(w[2 * h :, :k], axis=1), row, rtol=1e-5), (
        "the row left over is as large as the others"
    )


def test_pairs_after_a_flatten_follow_the_channels() -> None:
    law = Mirrored(Normal(1.0), Axes.parse("oi", (5, 24)), None, Pairing(4, inner=6))
    w = by_code(law, (5, 24)).reshape(5, 4, 6)
    assert np.array_equal(w[:, :2], -w[:, 2:])


def test_stacks_fill_each_block_with_its_own() -> None:
    law = Stack((Constant(0.0), Constant(2.0), Normal(1.0), Orthogonal(Axes.parse("oi", (4, 4)))), (4, 4, 4, 4))
    w = by_code(law, (16, 4))
    assert not w[:4].any()
    assert (w[4:8] == 2).all()
    assert np.unique(w[8:12]).size == 16
    assert np.allclose(w[12:] @ w[12:].T, np.eye(4), atol=1e-5)


def test_zero_rows() -> None:
    w = by_code(ZeroRows(Normal(1.0), (0, 3)), (5, 2))
    assert [row for row in range(5) if not w[row].any()] == [0, 3]


PRECISE = [Normal(0.1), TruncatedNormal(0.1), Uniform(0.1), Orthogonal(Axes.parse("oi", (64, 64)))]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("law", PRECISE)
def test_in_every_precision(law: Distribution, dtype: torch.dtype) -> None:
    w = by_code(law, (64, 64), dtype=dtype)
    expected = {Normal: 0.1, TruncatedNormal: 0.1, Uniform: 0.1 / math.sqrt(3), Orthogonal: 1 / 8}[type(law)]
    assert abs(w.std() / expected - 1) < 0.05


def test_the_multiplier_multiplies_and_the_learning_rate_is_said() -> None:
    plan = plan_of(Normal(1.0), (300, 300), multiplier=0.25, lr_scale=0.5)
    model = run(plan.to_python())(holder((300, 300)))
    assert abs(float(model.weight.std().detach()) - 0.25) < 0.005
    assert "0.5 times the learning rate" in plan.to_python()


def test_the_code_imports_torch_alone_and_runs_where_fanin_is_not() -> None:
    plan = plan_from_rules(traced(mlp()), {"*": rules.mirrored()})
    code = plan.to_python()
    imported = [a.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import) for a in node.names]
    sources = [node.module for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    assert {*imported, *sources} == {"torch"}
    script = (
        "import sys; sys.modules['fanin'] = None\n"
        + code
        + "\nm = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))"
        + "\ninit_weights(m); w = m[2].weight; assert (w[:4] == -w[4:]).all()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_code_is_clean(tmp_path: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("needs ruff")
    for name, plan in {
        "a": plan_from_rules(traced(mlp()), {"*": rules.mirrored()}),
        "b": plan_from_rules(text_trace(), {"*": rules.normal(0.02)}),
        "c": plan_of(DeltaOrthogonal(Axes.parse("oikk", (4, 4, 3, 3))), (4, 4, 3, 3)),
    }.items():
        (tmp_path / f"{name}.py").write_text(plan.to_python())
    done = subprocess.run(
        [ruff, "check", "--isolated", "--select=E4,E7,E9,F,I,B", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_layers_that_repeat_are_a_loop_with_their_reason() -> None:
    code = plan_from_rules(traced(mlp(depth=20)), {"*": rules.he_normal()}).to_python()
    assert "for i in range(2, 39, 2):" in code
    assert "# he_normal() for '*'" in code
    assert len(code.splitlines()) < 45


def test_the_same_generator_gives_the_same_numbers_and_none_uses_the_default_one() -> None:
    code = run(plan_from_rules(text_trace(), {"*": rules.normal(0.02)}).to_python())
    model = Text()
    a, b = (values(code(model, torch.Generator().manual_seed(3))) for _ in range(2))
    assert same(a, b)
    torch.manual_seed(5)
    c = values(code(Text()))
    assert not torch.equal(a["fc.weight"], c["fc.weight"])


def test_tied_weights_are_drawn_once_and_padding_stays_zero() -> None:
    plan = plan_from_rules(text_trace(), {"*": rules.normal(0.5)})
    model = run(plan.to_python())(Text())
    assert model.lm_head.weight is model.wte.weight
    assert not model.wte.weight[0].detach().any()
    assert plan.to_python().count('get_parameter("wte.weight")') == 1
    assert "one weight with lm_head.weight" in plan.to_python()


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
def test_weights_behind_weight_norm_get_the_distribution_in_effect(norm: Any) -> None:
    model = nn.Sequential(norm(nn.Linear(6, 400)), nn.Tanh(), nn.Linear(400, 4))
    plan = plan_from_rules(traced(model), {"0.*": rules.normal(3.0)}, model=model)
    run(plan.to_python())(model)
    model(torch.randn(2, 6))
    assert abs(float(model[0].weight.detach().std()) - 3.0) < 0.2


def test_a_weight_that_is_computed_fails_loudly() -> None:
    model = normed(nn.utils.parametrizations.spectral_norm)
    code = run(plan_from_rules(traced(model), {"0.weight": rules.normal(1.0)}).to_python())
    with pytest.raises(AttributeError, match="weight"):
        code(model)


def test_what_the_plan_requires_of_the_architecture_is_said() -> None:
    net = nn.Sequential(nn.Linear(8, 8), Block(), nn.Linear(8, 2))
    code = fanin.plan(net, torch.randn(4, 8), rules={"*": "rezero"}).to_python()
    assert "# The plan requires a trainable scalar on the residual branch" in code
