"""What a plan leaves alone in a model, streamed with the rest: the values of one model, also after a stop."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fanin.distributions import Normal
from fanin.errors import FaninValueError
from fanin.plans import Entry, Need, Plan

PLAN = Plan({"0.weight": Entry(Normal(1.0))}, 3, {"0.weight": Need((30, 20))})


def model(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(20, 30, bias=False), nn.Linear(30, 40))


def stop(done: int, total: int) -> None:
    if done > 600:
        raise KeyboardInterrupt


def test_a_stopped_stream_goes_on_with_the_same_values_only(tmp_path: Path) -> None:
    """Those of a model that was built anew, with other random numbers, would fill what is left of a half-written weight."""
    with pytest.raises(KeyboardInterrupt):
        PLAN.stream(tmp_path / "out", model(1), progress=stop)
    with pytest.raises(FaninValueError, match="unfinished stream of another plan, seed, size or model"):
        PLAN.stream(tmp_path / "out", model(2))
    PLAN.stream(tmp_path / "out", model(1))
    there = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(there["1.weight"], model(1).get_parameter("1.weight"))
    assert torch.equal(there["1.bias"], model(1).get_parameter("1.bias"))
