"""Residual nets for small images (He et al. 2016)."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from fanin.errors import FaninValueError
from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import activation as activation_of
from fanin.lab.models.layers_torch import check_whole, image_norm


def resnet(
    data: Facts,
    depth: int = 20,
    norm: str | None = "batch",
    width: int = 16,
    activation: str = "relu",
) -> nn.Module:
    """Three stages of residual blocks of two 3 × 3 convolutions; shortcuts have no weights (the paper's option A).

    Without a norm the convolutions have biases, and nothing keeps the stream from growing: rules such as `fixup`, `rezero` and
    `skipinit` are for that. Every branch is a module whose output is added, so that `fanin.torch.edit` can put scalars on it.

    Args:
        data: images.
        depth: layers with weights, 6 n + 2 for n blocks in each stage: 20, 32, 44, 56, 110.
        norm: after each convolution: "batch" as published, "group", "layer", or None.
        width: channels of the first stage; doubled where the image is halved.
        activation: by name.
    """
    check_whole(depth=depth, width=width)
    if depth < 8 or (depth - 2) % 6:
        raise FaninValueError(f"depth={depth!r} must be 6 n + 2: 8, 14, 20, 32, 44, 56, 110 and so on")
    blocks, bias = (depth - 2) // 6, norm is None
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = nn.Conv2d(data.shape[0], width, 3, padding=1, bias=bias)
    layers.update((f"norm{i or ''}", module) for i, module in enumerate(image_norm(norm, width)))
    layers["act"] = activation_of(activation)
    inside = width
    for stage in range(3):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            layers[f"stage{stage + 1}_{block}"] = Block(inside, width * 2**stage, stride, norm, activation)
            inside = width * 2**stage
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flat"] = nn.Flatten()
    layers["head"] = nn.Linear(inside, data.outputs)
    return nn.Sequential(layers)


class Block(nn.Module):
    """act(shortcut(x) + branch(x)), where the branch is conv, norm, act, conv, norm."""

    def __init__(self, inside: int, outside: int, stride: int, norm: str | None, activation: str) -> None:
        super().__init__()
        bias = norm is None
        self.branch = nn.Sequential()
        self.branch.add_module("conv1", nn.Conv2d(inside, outside, 3, stride, padding=1, bias=bias))
        for module in image_norm(norm, outside):
            self.branch.add_module("norm1", module)
        self.branch.add_module("act", activation_of(activation))
        self.branch.add_module("conv2", nn.Conv2d(outside, outside, 3, padding=1, bias=bias))
        for module in image_norm(norm, outside):
            self.branch.add_module("norm2", module)
        self.shortcut = Shortcut(outside - inside, stride) if stride > 1 or inside != outside else nn.Identity()
        self.act = activation_of(activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.shortcut(x) + self.branch(x))


class Shortcut(nn.Module):
    """Every other pixel, and channels of zeros for those that are new (option A)."""

    def __init__(self, new: int, stride: int) -> None:
        super().__init__()
        self.new, self.stride = new, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))

    def extra_repr(self) -> str:
        return f"new={self.new}, stride={self.stride}"
