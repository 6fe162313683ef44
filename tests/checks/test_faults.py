"""Each check finds its fault at the stated size in every redraw, and is silent on the same models without it."""

import pytest
import torch
from tests.checks.faults import FAULTS, Fault
from torch import nn

from fanin.checks import ALL, Finding, run_checks
from fanin.draws import draw_distribution
from fanin.traces.torch import trace

FEW, MANY = 2, 10


def findings(fault: Fault, size: float, seed: int) -> list[Finding]:
    """What the fault's own check says of one redraw."""
    torch.manual_seed(seed)
    return list(run_checks(trace(*fault.build(size, seed)), select=(fault.code,)))


def label(fault: Fault) -> str:
    return f"{fault.code} {fault.name}"


def judge(fault: Fault, redraws: int) -> None:
    for size in fault.healthy:
        for seed in range(redraws):
            found = findings(fault, size, seed)
            assert not found, f"{fault.size} {size}, redraw {seed}: {found[0].message}"
    for size in fault.ill:
        for seed in range(redraws):
            found = findings(fault, size, seed)
            assert found, f"{fault.size} {size}, redraw {seed}: silent"
            assert all(f.code == fault.code and f.message and f.why and f.fix.text and f.where for f in found)
            assert fault.info == all(f.severity == "info" for f in found)


@pytest.mark.parametrize("fault", FAULTS, ids=label)
def test_fault_is_found_and_health_is_not_reported(fault: Fault) -> None:
    judge(fault, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=label)
def test_ten_redraws_are_all_judged_right(fault: Fault) -> None:
    judge(fault, MANY)


def test_every_check_has_a_fault() -> None:
    assert {f.code for f in FAULTS} == set(ALL)


@pytest.mark.parametrize("fault", FAULTS, ids=label)
def test_the_fixs_edits_mend_what_was_found(fault: Fault) -> None:
    """Where a finding carries edits, drawing the weights anew from them makes it go away."""
    torch.manual_seed(0)
    model, x, y, loss = fault.build(fault.ill[0], 0)
    found = run_checks(trace(model, x, y, loss), select=(fault.code,))
    edits = {name: law for finding in found for name, law in finding.fix.edits.items()}
    if not edits:
        pytest.skip("nothing that a redraw could mend")
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, law in edits.items():
            drawn = draw_distribution(law, tuple(weights[name].shape), seed=0, name=name)
            weights[name].copy_(torch.from_numpy(drawn))
    assert not run_checks(trace(model, x, y, loss), select=(fault.code,))


class Summed(nn.Module):
    """Layers whose output is added to another signal before the activation: tanh(cell(h) + u)."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.read, self.head = nn.Linear(8, 64), nn.Linear(64, 3)
        self.cells = nn.ModuleList(nn.Linear(64, 64) for _ in range(cells))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = self.read(x)
        h = torch.zeros_like(u)
        for t in range(12):
            h = torch.tanh(self.cells[t % len(self.cells)](h) + u)
        return self.head(h)


def test_a_gain_before_a_sum_is_not_called_that_of_no_activation() -> None:
    torch.manual_seed(0)
    found = run_checks(trace(Summed(1), torch.randn(32, 8)), select=["FI402"])[0]
    assert "cells.0.weight, used 12 times in a row, has the wrong gain" in found.message
    assert "is added to another signal before any activation; 1 keeps its signal" in found.message
    assert "no activation" not in found.fix.text
