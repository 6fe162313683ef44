"""Vision transformers."""

import pytest
from tests.lab.zoo.tools import CIFAR, IMAGENET, size

from fanin.errors import FaninValueError
from fanin.lab.models.vit_torch import vit


@pytest.mark.parametrize(
    ("width", "heads", "parameters"), [(192, 3, 5_717_416), (384, 6, 22_050_664), (768, 12, 86_567_656)]
)
def test_sizes_are_those_of_the_published_models(width: int, heads: int, parameters: int) -> None:
    """DeiT-Ti, DeiT-S and ViT-B/16 as timm has them: 5.7, 22 and 86 millions in Touvron et al. 2021, table 1."""
    assert size("vit", IMAGENET, patch=16, width=width, heads=heads) == parameters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch": 5}, "patch=5 does not divide an image of 32 × 32"),
        ({"heads": 5}, "width=192 must be a multiple of heads=5"),
        ({"norm": "before"}, "norm='before' is unknown; accepted are pre, post and None"),
    ],
)
def test_what_does_not_go_together_is_said(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        vit(CIFAR, **arguments)  # type: ignore[arg-type]
