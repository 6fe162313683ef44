"""Layers of features, one after another."""

from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import activation as activation_of
from fanin.lab.models.layers_torch import check_share, check_whole, dropped, vector_norm


def mlp(
    data: Facts,
    depth: int = 2,
    width: int = 128,
    activation: str = "relu",
    norm: str | None = None,
    residual: bool = False,
    dropout: float = 0.0,
    bias: bool = True,
) -> nn.Module:
    """Hidden layers of one width, and a linear output layer.

    Args:
        data: inputs of any float shape; sequences and images are flattened.
        depth: hidden layers: weights of the net less one. 0 is a linear model.
        width: units of each hidden layer.
        activation: after each hidden layer, by name.
        norm: before each activation: "batch", "layer", "rms" or None.
        residual: adds every two hidden layers after the first to the stream that they read (the last alone, where they are
            odd in number). Branches begin with norm and activation and end in a weight (He et al. 2016, "Identity mappings").
        dropout: share of the hidden units that is dropped after each activation.
        bias: whether layers have one.
    """
    check_whole(0, depth=depth)
    check_whole(width=width)
    check_share(dropout=dropout)
    if residual and depth == 0:
        raise FaninValueError(
            "depth=0 has no hidden layer to make residual; give residual=False, or a depth of at least 1"
        )

    def after() -> list[nn.Module]:
        return [*vector_norm(norm, width), activation_of(activation), *dropped(dropout)]

    flat: list[nn.Module] = [nn.Flatten()] if len(data.shape) > 1 else []
    if depth == 0:
        return nn.Sequential(*flat, nn.Linear(data.size, data.outputs, bias))
    head = nn.Linear(width, data.outputs, bias)
    first = nn.Linear(data.size, width, bias)
    if residual:
        hidden = [[*after(), nn.Linear(width, width, bias)] for _ in range(depth - 1)]
        pairs = [[layer for part in hidden[i : i + 2] for layer in part] for i in range(0, depth - 1, 2)]
        return nn.Sequential(*flat, first, *(Residual(*pair) for pair in pairs), *after(), head)
    rest = [layer for _ in range(depth - 1) for layer in (*after(), nn.Linear(width, width, bias))]
    return nn.Sequential(*flat, first, *rest, *after(), head)


class Residual(nn.Module):
    """x + branch(x)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def linear(data: Facts, bias: bool = True) -> nn.Module:
    """One layer from inputs to outputs: softmax regression where the loss is the cross-entropy.

    Args:
        data: inputs of any float shape; sequences and images are flattened.
        bias: whether it has one.
    """
    return mlp(data, depth=0, bias=bias)
