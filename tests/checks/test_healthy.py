"""Models that train are left in peace: no warning and no error, whatever the draw."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from tests.checks.faults import chain, classified, inputs, linears
from torch import Tensor, nn
from torch.nn import functional as F

import fanin
from fanin.checks import Finding, run_checks
from fanin.traces.torch import trace

REDRAWS = 3


def complaints(model: nn.Module, x: object, y: Tensor | None, loss: Callable[..., Tensor] | None) -> list[Finding]:
    """Findings of at least a warning."""
    return [f for f in run_checks(trace(model, x, y, loss)) if f.severity != "info"]


def quiet(model: nn.Module, seed: int = 0, x: Tensor | None = None) -> None:
    found = complaints(*classified(model, seed, x))
    assert not found, [(f.code, f.message) for f in found]


@pytest.mark.parametrize("seed", range(REDRAWS))
@pytest.mark.parametrize("depth", [1, 3, 6, 10])
def test_he_relu_up_to_depth_ten(depth: int, seed: int) -> None:
    torch.manual_seed(seed)
    quiet(chain(depth, 128), seed)


@pytest.mark.parametrize("activation", [nn.Tanh, nn.SELU])
@pytest.mark.parametrize("depth", [5, 30])
def test_orthogonal_odd_activations(activation: type[nn.Module], depth: int) -> None:
    model = chain(depth, 128, activation)
    for layer in linears(model):
        nn.init.orthogonal_(layer.weight, gain=min(1.0, math.sqrt(layer.out_features / layer.in_features)))
    quiet(model)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm])
@pytest.mark.parametrize("depth", [3, 20])
def test_norms_make_torchs_default_harmless(norm: type[nn.Module], depth: int) -> None:
    layers: list[nn.Module] = []
    n = 64
    for _ in range(depth):
        layers += [nn.Linear(n, 128), norm(128), nn.ReLU()]
        n = 128
    quiet(nn.Sequential(*layers, nn.Linear(n, 10)))


ACTIVATIONS = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.ReLU6,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.Softplus,
    nn.Mish,
    nn.ELU,
    nn.SELU,
    nn.Tanh,
    nn.Sigmoid,
)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a.__name__)
@pytest.mark.parametrize("depth", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_what_fanin_plans_is_clean(activation: type[nn.Module], depth: int) -> None:
    model, x, y, loss = classified(chain(depth, 128, activation, None), 0)
    fanin.plan(model, x, y, loss).apply(model, seed=0)
    found = complaints(model, x, y, loss)
    assert not found, [(f.code, f.message) for f in found]


class Residual(nn.Module):
    """A residual net whose branch ends are scaled by a weight that starts at `scale`."""

    def __init__(self, blocks: int, scale: float) -> None:
        super().__init__()
        self.stem = nn.Linear(64, 64)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)) for _ in range(blocks)
        )
        self.scales = nn.ParameterList(nn.Parameter(torch.full((64,), scale)) for _ in range(blocks))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for branch, scale in zip(self.branches, self.scales, strict=True):
            x = x + scale * branch(x)
        return self.head(x)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.1])
@pytest.mark.parametrize("blocks", [4, 30])
def test_rezero_and_layer_scale(blocks: int, scale: float) -> None:
    quiet(Residual(blocks, scale))


def test_zero_head_and_zero_last_gammas() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.na = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
            self.b, self.nb = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
            nn.init.zeros_(self.nb.weight)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x + self.nb(self.b(F.relu(self.na(self.a(x))))))

    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), *(Block() for _ in range(4)),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip
    quiet(model, x=inputs(0, 8, 3, 16, 16))
    nn.init.zeros_(model[-1].weight)
    quiet(model, x=inputs(0, 8, 3, 16, 16))


def test_lora_and_frozen_copies() -> None:
    class LoRA(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.target = chain(2, 64), chain(2, 64)
            self.target.load_state_dict(self.net.state_dict())
            self.target.requires_grad_(False)
            self.down, self.up = nn.Linear(64, 4, bias=False), nn.Linear(4, 10, bias=False)
            nn.init.zeros_(self.up.weight)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) + self.up(self.down(x)) + 0.0 * self.target(x)

    quiet(LoRA())


def test_one_duplicated_unit_that_training_separates_is_no_fault() -> None:
    model = chain(2, 64)
    with torch.no_grad():
        model[0].weight[1] = model[0].weight[0]
    quiet(model)


def test_constant_hidden_layer_between_random_ones_is_no_symmetry_fault() -> None:
    model = chain(2, 64)
    nn.init.constant_(model[2].weight, 0.01)
    assert not [f for f in run_checks(trace(*classified(model, 0))) if f.code == "FI101"]


def test_constant_layers_after_each_other_are_a_symmetry_fault() -> None:
    model = chain(2, 64)
    nn.init.constant_(model[2].weight, 0.01)
    nn.init.constant_(model[4].weight, 0.01)
    assert [f.where[0] for f in run_checks(trace(*classified(model, 0))) if f.code == "FI101"] == ["2.weight"]


def test_a_head_tied_to_a_unit_embedding_is_too_large() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.norm = nn.Embedding(200, 128), nn.LayerNorm(128)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.norm(self.embedding(tokens)) @ self.embedding.weight.T

    tokens, targets = torch.randint(200, (64,)), torch.randint(200, (64,))
    found = run_checks(trace(Tied(), tokens, targets, F.cross_entropy))
    assert [f.code for f in found if f.severity != "info"] == ["FI502"]
    assert "(tied)" not in found[0].message or "embedding.weight" in found[0].message


def test_dropout_does_not_count_as_contrast() -> None:
    layers = [layer for _ in range(20) for layer in (nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.2))]
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), *layers, nn.Linear(128, 10))
    codes = {f.code for f in complaints(*classified(model, 0))}
    assert {"FI201", "FI301", "FI402"} <= codes


def test_losses_with_another_chance_level_are_not_judged() -> None:
    """Contrastive with a temperature: ln C is not what it starts at (design.md, trap 17)."""
    model = chain(2, 64)

    def contrastive(out: Tensor) -> Tensor:
        z = F.normalize(out, dim=1)
        return F.cross_entropy(z @ z.T / 0.05, torch.arange(len(z)))

    found = run_checks(trace(model, inputs(0, 32, 64), None, contrastive))
    assert not [f for f in found if f.code in ("FI501", "FI502")]


def test_the_known_true_faults_are_named() -> None:
    default = nn.Sequential(
        *(layer for i in range(20) for layer in (nn.Linear(64 if i == 0 else 128, 128), nn.ReLU())), nn.Linear(128, 10)
    )
    found = {f.code: f for f in run_checks(trace(*classified(default, 0)))}
    assert {"FI201", "FI301", "FI402"} <= set(found)
    assert found["FI201"].severity == "error"
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 6, enable_nested_tensor=False
    )
    copies = run_checks(trace(encoder, inputs(0, 8, 16, 64)))
    assert [f.code for f in copies if f.severity != "info"] == ["FI102"]
    assert "6 layers alike" in copies[0].message


HAND_WRITTEN = {
    "relu": lambda x: torch.where(x > 0, x, 0.0 * x),
    "silu": lambda x: x * x.sigmoid(),
    "gelu": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
    "relu6": lambda x: x.clamp(min=0).clamp(max=6),
    "softplus": lambda x: torch.log(1 + torch.exp(x)),
    "tanh": lambda x: 2 / (1 + torch.exp(-2 * x)) - 1,
}


class ByHand(nn.Module):
    """Functional layers on plain parameters with an activation written by hand."""

    def __init__(self, activation: Callable[[Tensor], Tensor], depth: int, gain: float) -> None:
        super().__init__()
        sizes = [64, *[128] * depth, 10]
        self.weights = nn.ParameterList(torch.randn(i, o) * gain / math.sqrt(i) for i, o in itertools.pairwise(sizes))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.weights[:-1]:
            x = self.activation(x @ weight)
        return x @ self.weights[-1]


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_activations_written_by_hand_are_judged_like_named_ones(name: str) -> None:
    gain = fanin.gain(name)
    quiet(ByHand(HAND_WRITTEN[name], 4, min(gain, 1.5)))
    codes = {f.code for f in complaints(*classified(ByHand(HAND_WRITTEN[name], 20, gain / 3), 0))}
    assert {"FI201", "FI301", "FI402"} <= codes


def test_the_sine_nets_own_rule_is_right() -> None:
    """SIREN (Sitzmann et al. 2020): sin(30 W x), W uniform within sqrt(6 / n) / 30."""
    model = ByHand(lambda x: torch.sin(30 * x), 4, math.sqrt(2) / 30)
    assert not [f for f in complaints(*classified(model, 0)) if f.code in ("FI201", "FI301", "FI302", "FI402")]
