"""Streams relu(x + f(x)): mirrored where they are written and read, whole or not at all."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fanin.auto import choose, plan
from fanin.auto.rollback import with_chains
from fanin.auto.streams import streams
from fanin.distributions import Mirrored
from fanin.traces.torch import trace

IMAGES = torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
PAIRED = {"stem.weight", "up.0.weight", "up.2.weight", "down.0.weight", "down.2.weight", "skip.weight", "head.weight"}


class Post(nn.Module):
    """Two blocks act(x + f(x)), the second with stride 2 and a projection; mean or flatten; a head."""

    def __init__(self, act: Callable[[Tensor], Tensor] = torch.relu, flat: bool = False, norm: bool = False) -> None:
        super().__init__()
        self.act, self.flat = act, flat
        self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.up = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
        self.down = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1))
        self.skip = nn.Conv2d(8, 16, 1, 2)
        self.head = nn.Linear(256 if flat else 16, 10)

    def features(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.stem(x)))
        x = self.act(x + self.up(x))
        x = self.act(self.skip(x) + self.down(x))
        return x.flatten(1) if self.flat else x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class Gate(Post):
    """The same with a gate on the last features: a product knows nothing of pairs."""

    def features(self, x: Tensor) -> Tensor:
        found = super().features(x)
        return found * found.sigmoid()


def mirrored(model: nn.Module, batch: Tensor, **options: object) -> set[str]:
    entries = choose(trace(model, batch), **options).entries  # type: ignore[arg-type]
    return {name for name, entry in entries.items() if isinstance(entry.distribution, Mirrored)}


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("act", [torch.relu, nn.functional.silu])
def test_what_writes_and_reads_a_stream_is_mirrored(act: Callable[[Tensor], Tensor], flat: bool, norm: bool) -> None:
    model = Post(act, flat, norm)
    laws = {n: e.distribution for n, e in choose(trace(model, IMAGES)).entries.items() if n in PAIRED}
    for name, law in laws.items():
        assert isinstance(law, Mirrored), name
        assert (law.out is not None) == (name != "head.weight")
        assert (law.in_ is not None) == (name != "stem.weight")
    assert sorted(len(s.names) for s in streams(trace(model, IMAGES))) == [3, 5]


@pytest.mark.parametrize("flat", [False, True])
def test_the_common_part_of_the_units_does_not_reach_the_head(flat: bool) -> None:
    """A constant added to all features of a stream does not move the outputs, and the logits tell examples apart."""
    model = Post(flat=flat)
    plan(model, IMAGES).apply(model)
    with torch.no_grad():
        features = model.features(IMAGES)
        outputs = model.head(features)
        assert torch.allclose(model.head(features + 3.0), outputs, atol=1e-4)
        assert outputs.mean(0).norm() < 1.5 * outputs.std(0).norm()
        assert flat or features.mean(0).norm() > 2 * features.std(0).norm()  # that of the features is large


def test_a_stream_that_meets_a_product_is_left_alone() -> None:
    last = {"down.2.weight", "skip.weight", "head.weight"}
    entries = choose(trace(Gate(), IMAGES)).entries
    assert [s.names for s in streams(trace(Gate(), IMAGES))] == [PAIRED - last | {"skip.weight"}]
    for name in last - {"head.weight"}:
        law = entries[name].distribution
        assert not isinstance(law, Mirrored) or law.out is None


def test_a_stream_with_a_kept_weight_is_left_alone() -> None:
    kept = mirrored(Post(), IMAGES, keep=["stem.weight"])
    assert not kept & {"stem.weight"}
    entries = choose(trace(Post(), IMAGES), keep=["stem.weight"]).entries
    first = entries["up.0.weight"].distribution
    assert isinstance(first, Mirrored)
    assert first.in_ is None, "the kept stem writes no pairs"


def test_dense_streams_are_paired_where_half_of_them_holds_the_input() -> None:
    def net(width: int) -> nn.Module:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.stem, self.head = nn.Linear(20, width), nn.Linear(width, 10)
                self.a, self.b = nn.Linear(width, width), nn.Linear(width, width)

            def forward(self, x: Tensor) -> Tensor:
                x = torch.relu(self.stem(x))
                return self.head(torch.relu(x + self.b(torch.relu(self.a(x)))))

        return Net()

    x = torch.randn(32, 20)
    assert "stem.weight" in mirrored(net(40), x)
    assert "stem.weight" not in mirrored(net(38), x)


def test_a_stream_is_taken_back_whole() -> None:
    watched = trace(Post(), IMAGES)
    assert with_chains({"head.weight"}, watched) == PAIRED
    assert with_chains({"stem.bias"}, watched) == {"stem.bias"}
