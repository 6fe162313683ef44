"""The list of models: what each is, what it takes, and where it comes from."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fanin.lab.models.facts import Kind
from fanin.records import Record


@dataclass(frozen=True)
class ModelInfo(Record):
    """A model that can be asked for.

    Attributes:
        name: as specs say it.
        about: one sentence.
        paper: where it comes from.
        place: "module:function" that builds it; called with the data's `Facts` and the spec's arguments.
        kinds: kinds of inputs that it takes, the one that it is meant for first.
        each: whether it gives outputs at each position of an example (True), one output an example (False), or what the data
            asks for (None).
        own: whether it is a factory of the user's.
    """

    name: str
    about: str
    paper: str
    place: str
    kinds: tuple[Kind, ...]
    each: bool | None = False
    own: bool = False

    @property
    def function(self) -> Callable[..., Any]:
        """The function that builds it; loads PyTorch."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(module), name)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments that a spec may give."""
        return tuple(inspect.signature(self.function).parameters)[1:]


def table() -> dict[str, ModelInfo]:
    """Every model, by name.

    Example:
        >>> print(table()["lenet"].paper)
        LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition"
    """
    return {info.name: info for info in _MODELS}


_HERE = "fanin.lab.models"
_MODELS = (
    ModelInfo(
        "mlp",
        "hidden layers of one width, each with an activation, plain or residual, with or without norm",
        "He et al. 2015, He et al. 2016 and others; Rumelhart, Hinton & Williams 1986",
        f"{_HERE}.mlp_torch:mlp",
        ("vector", "sequence", "image"),
    ),
    ModelInfo(
        "linear",
        "one layer: linear regression, or softmax regression, as a network",
        'Bishop 2006, "Pattern recognition and machine learning", sections 3.1 and 4.3',
        f"{_HERE}.mlp_torch:linear",
        ("vector", "sequence", "image"),
    ),
    ModelInfo(
        "lenet",
        "two convolutions and three layers, for images from 4 × 4 up",
        'LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition"',
        f"{_HERE}.lenet_torch:lenet",
        ("image",),
    ),
    ModelInfo(
        "resnet",
        "residual convolutional net for small images, 20 to 110 layers, with batch norm or without any norm",
        'He, Zhang, Ren & Sun 2016, "Deep residual learning for image recognition", section 4.2',
        f"{_HERE}.resnet_torch:resnet",
        ("image",),
    ),
)
ALIASES = {"logistic": "linear", "softmax": "linear"}
