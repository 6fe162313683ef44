"""LeNet-5 (LeCun et al. 1998)."""

from torch import nn

from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import activation as activation_of

PUBLISHED = 32  # pixels along the edge of the paper's images; its digits, 28 wide, have a margin of 2
SMALL = 28  # images below this edge are padded before both convolutions, as nothing would be left of them


def lenet(data: Facts, activation: str = "tanh") -> nn.Module:
    """Two 5 × 5 convolutions, each with activation and 2 × 2 mean pooling, then layers of 120 and 84 units.

    On 32 × 32 grey images it has the 61,706 parameters that are usually given (the paper's second convolution leaves some
    connections out, and its last layer measures distances).

    Args:
        data: images.
        activation: by name; the paper's is a hyperbolic tangent.
    """
    channels, height, width = data.shape
    edge = min(height, width)
    first, second = (2, 2) if edge < SMALL else (2, 0) if edge < PUBLISHED else (0, 0)
    high, wide = (((n + 2 * first - 4) // 2 + 2 * second - 4) // 2 for n in (height, width))
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=first),
        activation_of(activation),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5, padding=second),
        activation_of(activation),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * high * wide, 120),
        activation_of(activation),
        nn.Linear(120, 84),
        activation_of(activation),
        nn.Linear(84, data.outputs),
    )
