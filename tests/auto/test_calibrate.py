"""What a trial corrects: sizes that theory cannot know, and what all examples share."""

import torch
from torch import Tensor, nn

import fanin
from fanin.distributions import Centred


class Pooled(nn.Module):
    """Features that are never negative, their mean over many positions, a head: outputs that are nearly the same for all."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 16, 9), nn.Conv1d(16, 16, 1)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(torch.relu(x + self.second(torch.tanh(x))).mean(-1))


def test_a_head_after_a_mean_does_not_hand_on_what_all_share() -> None:
    torch.manual_seed(0)
    model, batch = Pooled(), torch.randn(16, 1, 256)
    plan = fanin.plan(model, batch)
    assert isinstance(plan.entries["head.weight"].distribution, Centred)
    out = plan.apply(model)(batch)
    shared = out.mean(0)
    assert shared.std() < 2 * (out - shared).std()
    classes = torch.arange(16) % 10
    assert "FI502" not in {f.code for f in fanin.check(model, batch, classes, nn.CrossEntropyLoss()).findings}


def test_a_correction_is_measured_again() -> None:
    """Where a layer before the head was corrected, the curved activation between them gives another size."""
    torch.manual_seed(0)
    pool = nn.AvgPool2d(2)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), pool, nn.Conv2d(8, 16, 3, padding=1), nn.Tanh(), pool),
        *(nn.Flatten(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10)),
    )
    batch = torch.randn(256, 1, 8, 8)
    plan = fanin.plan(model, batch)
    for name in ("0.weight", "3.weight", "7.weight", "9.weight"):
        assert plan.entries[name].reason.count("as measured") <= 1
    assert 1 / 1.3 < plan.apply(model)(batch).std(0).mean().item() < 1.3
