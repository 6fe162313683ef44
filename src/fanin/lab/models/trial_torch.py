"""A model tried on PyTorch's meta device: shapes without numbers, whatever the size."""

import torch
from torch import nn

from fanin.errors import FaninError
from fanin.lab.models.facts import Facts
from fanin.lab.torch.state import random_state

EXAMPLES = 2


def trial(made, task: str) -> str:
    """What goes wrong, in one sentence; "" for nothing.

    Args:
        made: `Factory` of the model.
        task: of the data.
    """
    facts: Facts = made.facts
    try:
        with random_state(0), torch.device("meta"), torch.no_grad():
            model: nn.Module = made()
            dtype = torch.int64 if facts.kind == "ids" else torch.float32
            out = model.eval()(torch.zeros((EXAMPLES, *facts.shape), dtype=dtype))
    except FaninError as error:
        return str(error)
    except Exception as error:  # whatever a layer says of a shape that does not fit
        words = str(error).strip().partition("\n")[0]
        return f"model={made.spec!r} does not fit {{data}} {facts.shape}: {words}"
    wanted = (EXAMPLES, *(facts.shape[:1] if facts.positions else ()), facts.outputs)
    if tuple(out.shape) != wanted:
        return f"model={made.spec!r} gives outputs {tuple(out.shape)}, but {{data}} needs {wanted}"
    return ""
