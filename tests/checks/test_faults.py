"""Each check finds its fault at the stated size in every redraw, and is silent on the same models without it."""

import pytest
import torch
from tests.checks.faults import FAULTS, Fault

from fanin.checks import ALL, Finding, run_checks
from fanin.traces.torch import trace

FEW, MANY = 3, 10


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
