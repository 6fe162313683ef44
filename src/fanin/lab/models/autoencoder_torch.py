"""Deep autoencoders (Hinton & Salakhutdinov 2006)."""

import itertools

from torch import nn

from fanin.errors import FaninValueError
from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import activation as activation_of
from fanin.lab.models.layers_torch import check_whole


def autoencoder(
    data: Facts, widths: tuple[int, ...] = (1000, 500, 250), code: int = 30, activation: str = "relu"
) -> nn.Module:
    """Layers that narrow to a linear code, and the same backwards; the sizes of the paper's net for digits.

    Args:
        data: whose target is its input, or something of the same size.
        widths: units of the layers before the code.
        code: numbers of the code.
        activation: of all layers but the code and the output, by name. The paper's units were logistic ("sigmoid") and were
            trained layer by layer beforehand.
    """
    widths = tuple(widths) if isinstance(widths, list | tuple) else (widths,)
    check_whole(code=code)
    for width in widths:
        check_whole(widths=width)
    if data.outputs != data.size:
        raise FaninValueError(
            f"needs a target of the size of the input, {data.size} numbers, but the target has {data.outputs}"
        )
    sizes = (data.size, *widths, code)
    layers: list[nn.Module] = [nn.Flatten()] if len(data.shape) > 1 else []
    for way in (sizes, sizes[::-1]):
        for inside, outside in itertools.pairwise(way):
            layers += [nn.Linear(inside, outside), activation_of(activation)]
        layers.pop()  # the code and the output are linear
    return nn.Sequential(*layers)
