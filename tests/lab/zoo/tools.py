"""What the tests of models share."""

import torch
from torch import Tensor, nn

from fanin.lab.models.facts import Facts
from fanin.lab.models.table import table

IMAGENET = Facts((3, 224, 224), "image", 1000)
CIFAR = Facts((3, 32, 32), "image", 10)
TEXT = Facts((12,), "ids", 2, vocabulary=50)
CHARACTERS = Facts((12,), "ids", 30, positions=True, vocabulary=30)


def parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in model.parameters())


def size(name: str, facts: Facts, **arguments: object) -> int:
    """Parameters of a model of the lab, without memory for them."""
    with torch.device("meta"):
        return parameters(table()[name].function(facts, **arguments))


def examples(facts: Facts, count: int = 4) -> Tensor:
    """Inputs of a kind: numbers, or ids without padding."""
    if facts.kind == "ids":
        return torch.randint(1, facts.vocabulary, (count, *facts.shape))
    return torch.randn(count, *facts.shape)
