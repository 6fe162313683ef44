"""A model's weights as the bytes of a safetensors file."""

from typing import Any

import torch

from fanin.errors import FaninValueError


def state_bytes(model: torch.nn.Module) -> bytes:
    """The model's state as safetensors; of tensors that share memory (ties) one is kept, under its first name."""
    try:
        from safetensors.torch import save
    except ImportError:
        raise FaninValueError("--save-weights needs the package safetensors; pip install safetensors") from None
    seen: dict[tuple[Any, ...], str] = {}
    tensors: dict[str, torch.Tensor] = {}
    ties: dict[str, str] = {}
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, torch.Tensor):
            continue
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.numel() and place in seen:
            ties[name] = seen[place]
            continue
        seen[place] = name
        tensors[name] = tensor.detach().cpu().contiguous().clone()
    return save(tensors, {"format": "pt", **ties})
