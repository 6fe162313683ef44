"""A torch model's weights and buffers, kept and put back."""

import torch
from torch import Tensor, nn


class Kept:
    """The values of every parameter and buffer of a model, as they were when this was made."""

    def __init__(self, model: nn.Module) -> None:
        with torch.no_grad():
            tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
            self._values = [(t, t.detach().clone()) for t in tensors.values()]

    def put_back(self, only: "set[int] | None" = None) -> None:
        """Write the kept values again, where they differ (only of tensors with these ids, where given)."""
        with torch.no_grad():
            for tensor, value in self._values:
                if (only is None or id(tensor) in only) and not _same(tensor, value):
                    tensor.copy_(value)


def _same(a: Tensor, b: Tensor) -> bool:
    if a.is_meta or b.is_meta or a.shape != b.shape:
        return a.shape == b.shape
    return bool(torch.equal(a, b))
