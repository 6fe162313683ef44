"""Every model of the list, small, on every kind of input that it takes."""

import pytest
import torch
from tests.lab.zoo.tools import CHARACTERS, TEXT, examples
from torch.nn import functional as F

import fanin
from fanin.lab.models.facts import Facts
from fanin.lab.models.table import table

SMALL = {
    "autoencoder": {"widths": (16, 8), "code": 4},
    "vgg": {"config": 11, "width": 4, "hidden": 8},
    "resnet": {"depth": 8, "width": 4},
    "densenet": {"depth": 10, "growth": 4},
    "vit": {"layers": 2, "width": 24},
    "mixer": {"layers": 2, "width": 24, "tokens": 8, "channels": 32},
    "char_transformer": {"layers": 2, "width": 16},
    "text_transformer": {"layers": 1, "width": 16},
    "text_cnn": {"width": 16, "filters": 8},
    "speech_cnn": {"filters": 8, "narrow": 8, "width": 16},
}
FACTS = {
    "vector": Facts((20,), "vector", 3),
    "sequence": Facts((12, 2), "sequence", 3),
    "image": Facts((1, 8, 8), "image", 3),
    "ids": TEXT,
}
CASES = [
    (name, CHARACTERS if each else FACTS[kind])
    for name, info in table().items()
    for kind in info.kinds
    for each in ([info.each] if info.each is not None else [False, True])
    if kind == "ids" or not each
]


@pytest.mark.parametrize(("name", "facts"), CASES, ids=[f"{n}-{f.kind}-{f.outputs}" for n, f in CASES])
def test_it_trains_a_step_and_is_traced(name: str, facts: Facts) -> None:
    if name == "autoencoder":
        facts = Facts(facts.shape, facts.kind, facts.size)
    torch.manual_seed(0)
    model = table()[name].function(facts, **SMALL.get(name, {}))
    x = examples(facts)
    out = model(x)
    assert out.shape == (4, *(facts.shape if facts.positions else ()), facts.outputs)
    targets = torch.randint(0, facts.outputs, out.shape[:-1])
    F.cross_entropy(out.flatten(0, -2), targets.flatten()).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    weights = dict(model.named_parameters())
    plan = fanin.plan(model.train(), examples(facts, 8), rules={"*": "he_normal"})
    assert set(plan.entries) >= {n for n, p in weights.items() if p.dim() > 1 and n not in ("token", "position")}
