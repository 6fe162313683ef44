"""The automatic plan leaves alone what was set on purpose: complex weights, and zeros that are alive."""

import torch
from tests.odd_models import BUILDERS, Case

import fanin


def made(name: str) -> Case:
    torch.manual_seed(0)
    return BUILDERS[name]()


def test_lora_starts_as_its_base() -> None:
    plan = fanin.plan(*made("lora"))
    assert not {"0.b", "2.b"} & set(plan.entries)
    assert "0.b keeps its values: it is zero on purpose" in " ".join(plan.notes)


def test_zero_couplings_of_a_flow_stay_zero() -> None:
    model, *given = made("flow")
    plan = fanin.plan(model, *given)
    assert not [n for n in plan.entries if n.endswith(".4.weight")]
    _z, log_det = plan.apply(model)(given[0])
    assert torch.allclose(log_det, torch.zeros(())), "a flow begins as the identity"


def test_a_net_of_zeros_is_not_on_purpose() -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    )
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    assert {"0.weight", "2.weight", "4.weight"} <= set(fanin.plan(model, torch.randn(16, 8)).entries)


def test_complex_weights_are_left() -> None:
    plan = fanin.plan(*made("complex weights"))
    assert "spectral" not in plan.entries
    assert "spectral keeps its values: its type is complex64" in " ".join(plan.notes)
