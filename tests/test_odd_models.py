"""Models as people write them (tests/odd_models.py): nothing crashes, every weight is accounted for, and plans fit."""

import copy
import math

import pytest
import torch
from tests.odd_models import BUILDERS, Case, Closures
from torch import nn

import fanin

# Weights that no op of the watched pass can be asked about, and why that is right.
UNSEEN = {
    "a branch by value": {"cold.weight", "cold.bias"},  # the branch that the batch does not take
}
# Faults that these models have as they are written; everything else must be judged free of errors and warnings.
TRUE_FINDINGS = {
    "a branch by value": {"FI003"},
    "module dict in a loop": {"FI402"},  # PyTorch's default before SiLU
    "shared cell": {"FI402"},  # PyTorch's default in a recurrent cell
    **{name: {"FI201", "FI301", "FI304", "FI402"} for name in ("bfloat16", "float16", "float64", "one example")},
}
# Models whose copies are whole: a copy of "closures" runs the layers of the original.
COPIED = [name for name in BUILDERS if name != "closures"]


def made(name: str) -> Case:
    torch.manual_seed(0)
    return BUILDERS[name]()


@pytest.mark.parametrize("name", BUILDERS)
def test_every_weight_is_attributed_and_nothing_false_is_said(name: str) -> None:
    model, *given = made(name)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    report = fanin.check(model, *given)
    slots = {s.name: s for s in report.trace.slots}
    assert slots.keys() == {n for n, _ in model.named_parameters()}
    assert {n for n, s in slots.items() if s.role in ("unused", "opaque")} == UNSEEN.get(name, set())
    assert {f.code for f in report.findings if f.severity != "info"} <= TRUE_FINDINGS.get(name, set())
    assert str(report) and report._repr_html_()
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    for finding in report.findings:
        assert "nan" not in finding.message.replace("measured nan", ""), finding.message


@pytest.mark.parametrize("name", BUILDERS)
def test_weights_that_multiply_a_signal_have_axes(name: str) -> None:
    model, *given = made(name)
    known = {"weight", "recurrent", "embedding"}
    lost = {s.name for s in fanin.check(model, *given).trace.slots if s.role in known and s.axes is None}
    if name == "hypernetwork":
        assert all(n.startswith(("maker", "code")) for n in lost), "a weight computed from weights is not taken apart"
    else:
        assert not lost


@pytest.mark.parametrize("name", COPIED)
def test_the_plan_fits_and_leaves_no_error(name: str) -> None:
    model, *given = made(name)
    plan = fanin.plan(model, *given)
    mended = plan.apply(copy.deepcopy(model))
    for parameter in mended.parameters():
        assert torch.isfinite(torch.view_as_real(parameter) if parameter.is_complex() else parameter).all()
    after = fanin.check(mended, *given)
    assert not [f for f in after.findings if f.severity == "error"]
    assert {f.code for f in after.findings if f.severity == "warning"} <= {"FI003"} & TRUE_FINDINGS.get(name, set())
    assert "import fanin" not in plan.to_python() and "from fanin" not in plan.to_python()


@pytest.mark.parametrize("name", BUILDERS)
def test_fixing_in_place_works_and_makes_nothing_worse(name: str) -> None:
    model, *given = made(name)
    shares = {
        n: [m for m, q in model.named_parameters(remove_duplicate=False) if q is p] for n, p in model.named_parameters()
    }
    fixed = fanin.fix(model, *given)
    worst = {"error": 2, "warning": 1, "info": 0}
    before, after = (max((worst[f.severity] for f in r.findings), default=-1) for r in (fixed.before, fixed.after))
    assert after <= before
    again = fanin.check(model, *given)
    assert [f.code for f in again.findings] == [f.code for f in fixed.after.findings]
    for n, p in model.named_parameters():
        assert [m for m, q in model.named_parameters(remove_duplicate=False) if q is p] == shares[n], "ties stay"


def test_layers_inside_closures_are_mended_in_place() -> None:
    """Closures are not copied with the model: a plan must not be tried on a copy that still runs the old layers."""
    torch.manual_seed(0)
    model = Closures()
    x = torch.randn(32, 20)
    plan = fanin.plan(model, x)
    plan.apply(model)
    assert not [f for f in fanin.check(model, x).findings if f.severity != "info"]


@pytest.mark.parametrize("name", ["functional", "module dict in a loop", "bfloat16"])
def test_fixed_models_learn(name: str) -> None:
    """A few steps of gradient descent on one batch bring the loss well under chance."""
    model, batch, targets, loss = made(name)
    fanin.fix(model, batch, targets, loss)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    values = []
    for _ in range(60):
        value = loss(model(batch).float(), targets)
        values.append(float(value.detach()))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert values[-1] < 0.5 * math.log(10) < values[0] * 1.5


def test_the_precision_of_the_weights_is_kept() -> None:
    for kind in (torch.bfloat16, torch.float16, torch.float64):
        model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 10)).to(kind)
        fanin.plan(model, torch.randn(8, 20, dtype=kind)).apply(model)
        assert {p.dtype for p in model.parameters()} == {kind}
