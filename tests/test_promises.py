"""A plan's He rule keeps its promise on a real layer of every op kind: E[y²] = gain² E[x²], by measurement."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fanin


class Apply(nn.Module):
    def __init__(self, shape, apply):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(*shape))
        self.apply_ = apply

    def forward(self, x):
        return self.apply_(x, self.weight)


class HfConv1D(nn.Module):
    """The layer of GPT-2 (transformers.pytorch_utils.Conv1D): the weight is stored (in, out) and consumed by addmm."""

    def __init__(self, out, width):
        super().__init__()
        self.weight, self.bias, self.out = nn.Parameter(torch.zeros(width, out)), nn.Parameter(torch.ones(out)), out

    def forward(self, x):
        flat = torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight)
        return flat.view(*x.shape[:-1], self.out)


class Fused(nn.Module):
    """One projection whose output is cut into q, k and v; returned as they are."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(256, 768, bias=False)

    def forward(self, x):
        q, k, v = self.project(x).chunk(3, -1)
        return torch.cat([q, k, v], -1)


def inside(margin):
    """Cuts the border that padding reaches; the rest are interior positions."""
    return lambda y: y[(..., *[slice(margin, -margin)] * (y.ndim - 2))]


def whole(y):
    return y


# name → (model, input shape, what of the output to look at)
CASES = {
    "linear": (lambda: nn.Linear(512, 512), (256, 512), whole),
    "transformers Conv1D": (lambda: HfConv1D(512, 256), (4, 64, 256), whole),
    "real transformers Conv1D": (lambda: _real_conv1d(), (4, 64, 256), whole),
    "x @ W": (lambda: Apply((256, 512), lambda x, w: x @ w), (256, 256), whole),
    "W viewed": (lambda: Apply((8, 64, 256), lambda x, w: F.linear(x, w.view(512, 256))), (256, 256), whole),
    "W transposed": (lambda: Apply((256, 512), lambda x, w: F.linear(x, w.t())), (256, 256), whole),
    "W permuted and reshaped": (
        lambda: Apply((256, 8, 64), lambda x, w: x @ w.permute(1, 0, 2)[3]), (256, 256), whole,
    ),
    "einsum oi": (lambda: Apply((512, 256), lambda x, w: torch.einsum("bi,oi->bo", x, w)), (256, 256), whole),
    "einsum io": (lambda: Apply((256, 512), lambda x, w: torch.einsum("io,bi->bo", w, x)), (256, 256), whole),
    "einsum heads": (
        lambda: Apply((256, 8, 64), lambda x, w: torch.einsum("bti,ihd->bhtd", x, w)), (8, 16, 256), whole,
    ),
    "einsum out of heads": (
        lambda: Apply((8, 32, 512), lambda x, w: torch.einsum("bhd,hdo->bo", x, w)), (128, 8, 32), whole,
    ),
    "stacked experts": (lambda: Apply((6, 256, 512), lambda x, w: torch.bmm(x, w)), (6, 64, 256), whole),
    "conv1d": (lambda: nn.Conv1d(128, 256, 5, padding=2), (16, 128, 32), inside(2)),
    "conv2d": (lambda: nn.Conv2d(128, 256, 3, padding=1), (8, 128, 12, 12), inside(1)),
    "conv2d strided": (lambda: nn.Conv2d(128, 256, 3, stride=2, padding=1), (8, 128, 17, 17), inside(1)),
    "conv2d dilated": (lambda: nn.Conv2d(128, 256, 3, dilation=2, padding=2), (8, 128, 14, 14), inside(2)),
    "conv3d": (lambda: nn.Conv3d(48, 128, 3, padding=1), (4, 48, 6, 6, 6), inside(1)),
    "grouped": (lambda: nn.Conv2d(256, 256, 3, padding=1, groups=8), (8, 256, 12, 12), inside(1)),
    "depthwise": (lambda: nn.Conv2d(4096, 4096, 3, padding=1, groups=4096), (4, 4096, 8, 8), inside(1)),
    "transposed": (lambda: nn.ConvTranspose2d(128, 128, 3, padding=1), (4, 128, 12, 12), inside(2)),
    "transposed k4 s2": (lambda: nn.ConvTranspose2d(128, 128, 4, stride=2, padding=1), (4, 128, 10, 10), inside(4)),
    "transposed k3 s2": (lambda: nn.ConvTranspose2d(192, 192, 3, stride=2, padding=1), (4, 192, 12, 12), inside(4)),
    "transposed grouped": (
        lambda: nn.ConvTranspose1d(256, 256, 4, stride=2, groups=4), (16, 256, 24), inside(5),
    ),
    "fused q, k, v": (Fused, (64, 256), whole),
    "weight norm": (
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(512, 512)), (256, 512), whole,
    ),
    "recurrent input": (lambda: _input_gates(), (64, 256), whole),
}  # fmt: skip


def _real_conv1d():
    pytest.importorskip("transformers")
    from transformers.pytorch_utils import Conv1D

    return Conv1D(512, 256)


def _input_gates():
    """The input weights of an LSTM as a plain product, gate by gate."""
    return Apply((1024, 256), lambda x, w: torch.cat(F.linear(x, w).chunk(4, -1), -1))


def _interior(y, look):
    """An even number of positions along each axis, so that all phases of a stride count alike."""
    cut = look(y)
    for axis in range(2, cut.ndim):
        cut = cut.narrow(axis, 0, cut.shape[axis] // 2 * 2)
    return cut


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rule", ["he_normal(nonlinearity='relu')", "he_uniform(nonlinearity='gelu')"])
def test_he_keeps_the_second_moment_it_promises(case, rule):
    build, shape, look = CASES[case]
    model = build()
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(3))
    plan = fanin.plan(model, x, rules={"*": rule})
    plan.apply(model, seed=1)
    with torch.no_grad():
        y = _interior(model(x), look)
    promise = fanin.gain("relu" if "relu" in rule else "gelu") ** 2
    measured = float(y.square().mean() / x.square().mean())
    assert measured == pytest.approx(promise, rel=0.05)


BACKWARD = ["linear", "x @ W", "einsum heads", "stacked experts", "conv1d", "conv2d", "grouped", "fused q, k, v"]


@pytest.mark.parametrize("case", BACKWARD)
def test_fan_out_keeps_the_gradient(case):
    build, shape, look = CASES[case]
    model = build()
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(3), requires_grad=True)
    fanin.plan(model, x.detach(), rules={"*": "he_normal(nonlinearity='linear', mode='fan_out')"}).apply(model, seed=1)
    y = model(x)
    g = torch.randn(y.shape, generator=torch.Generator().manual_seed(4))
    (gradient,) = torch.autograd.grad(y, x, g)
    blocks = 3 if case == "fused q, k, v" else 1  # each of q, k and v sends back as much as one projection
    measured = float(_interior(gradient, look).square().mean() / g.square().mean())
    assert measured == pytest.approx(blocks, rel=0.05)
