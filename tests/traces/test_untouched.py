"""A trace leaves the model and every random state exactly as they were, also when forward raises."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fanin.errors import FaninValueError
from fanin.traces.torch import trace


class Restless(nn.Module):
    """Changes all it can in forward: buffers, caches, attributes, weights, global random states."""

    def __init__(self, raises: bool) -> None:
        super().__init__()
        self.raises = raises
        self.generator = torch.Generator().manual_seed(5)
        self.python = random.Random(3)
        self.numpy = np.random.default_rng(4)
        self.cache: list[torch.Tensor] = []
        self.counts = {"calls": 0}
        self.kept = torch.zeros(3)
        self.register_buffer("seen", torch.zeros(3))
        self.weight = nn.Parameter(torch.randn(8, 8))
        self.frozen = nn.Parameter(torch.randn(8), requires_grad=False)

    def forward(self, x):
        self.cache.append(x)
        self.counts["calls"] += 1
        self.seen.add_(1)
        self.kept.add_(1)
        self.late = torch.ones(2)
        self.register_buffer("lazy", torch.ones(2), persistent=False)
        with torch.no_grad():
            self.weight.mul_(0.5)
            self.frozen.data.zero_()
        torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002 - global states are the point
        self.python.random(), self.numpy.random()
        noise = torch.randn(8, generator=self.generator)
        if self.raises:
            raise RuntimeError("no")
        return x @ self.weight + self.frozen + noise


BLOCKS = {
    "linear": lambda: [nn.Linear(8, 8)],
    "relu": lambda: [nn.ReLU(inplace=True)],
    "norm": lambda: [nn.BatchNorm1d(8)],
    "layer norm": lambda: [nn.LayerNorm(8)],
    "dropout": lambda: [nn.Dropout(0.4)],
    "gelu": lambda: [nn.GELU()],
    "spectral": lambda: [nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))],
    "weight norm": lambda: [nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))],
    "restless": lambda: [Restless(False)],
}


def snapshot(model):
    """Everything that could have changed, in a form that compares."""
    return {
        "state": {k: v.clone() for k, v in model.state_dict().items()},
        "identity": [id(p) for p in model.parameters()] + [id(b) for b in model.buffers()],
        "modes": [m.training for m in model.modules()],
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "grad ids": [id(p.grad) for p in model.parameters()],
        "requires": [p.requires_grad for p in model.parameters()],
        "attributes": [sorted(m.__dict__) for m in model.modules()],
        "children": [list(m._modules) + list(m._buffers) + list(m._parameters) for m in model.modules()],
        "hooks": [
            [list(getattr(m, name)) for name in sorted(m.__dict__) if "hook" in name and hasattr(getattr(m, name), "keys")]
            for m in model.modules()
        ],
        "tensor hooks": [p._backward_hooks for p in model.parameters()],
        "global hooks": [len(nn.modules.module._global_forward_hooks), len(nn.modules.module._global_forward_pre_hooks)],
        "caches": [(len(m.cache), dict(m.counts), m.kept.clone()) for m in model.modules() if isinstance(m, Restless)],
        "held": [
            (m.generator.get_state(), m.python.getstate(), str(m.numpy.bit_generator.state))
            for m in model.modules()
            if isinstance(m, Restless)
        ],
        "random": (torch.get_rng_state(), random.getstate(), *np.random.get_state()[1:3]),  # noqa: NPY002
    }  # fmt: skip


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@settings(max_examples=25, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(sorted(BLOCKS)), min_size=1, max_size=5),
    training=st.booleans(),
    gradients=st.booleans(),
    raises=st.booleans(),
    frozen=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_nothing_changes(kinds, training, gradients, raises, frozen, seed):
    torch.manual_seed(seed)
    blocks = [block for kind in kinds for block in BLOCKS[kind]()]
    model = nn.Sequential(nn.Linear(8, 8), *blocks, nn.Linear(8, 3), *([Restless(True)] if raises else []))
    x = torch.randn(6, 8)
    model.train(training)
    if gradients:
        for p in model.parameters():
            p.grad = torch.randn_like(p) if p.requires_grad else None
    if frozen:
        model[0].requires_grad_(False)
    model[0].register_forward_hook(lambda m, i, o: None)
    batch, before, versions = x.clone(), snapshot(model), [p._version for p in model[0].parameters()]
    if raises:
        with pytest.raises(FaninValueError, match="raised RuntimeError"):
            trace(model, x)
    else:
        trace(model, x)
    after = snapshot(model)
    for key in before:
        assert same(before[key], after[key]), key
    assert torch.equal(x, batch)
    assert versions == [p._version for p in model[0].parameters()]


def test_two_traces_are_equal():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
    x = torch.randn(6, 8)
    assert trace(model, x).to_dict() == trace(model, x).to_dict()


def test_a_step_of_training_is_the_same_with_and_without_a_trace_before():
    def run(watched):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
        x, y = torch.randn(6, 8), torch.randint(0, 3, (6,))
        if watched:
            trace(model, x, y, nn.functional.cross_entropy)
        nn.functional.cross_entropy(model(x), y).backward()
        return [p.grad for p in model.parameters()] + list(model.buffers())

    assert all(torch.equal(a, b) for a, b in zip(run(False), run(True), strict=True))
