"""What holds weights, on the command line: the path of a checkpoint or a plan, or a model that a TARGET names."""

import sys
from pathlib import Path
from typing import Any

from fanin.imports import is_model
from fanin.targets.models import Models, load_target


def _holds(value: Any) -> bool:
    others = (getattr(sys.modules.get("flax.nnx"), "Module", ()), getattr(sys.modules.get("keras"), "Layer", ()))
    return is_model(value) or isinstance(value, others)


ANY = Models(_holds, "of PyTorch, Flax NNX or Keras")


def load_weights(text: str, seed: Any) -> Any:
    """The path where there is such a file (or nothing else that it could be), else the model of a TARGET.

    Args:
        text: as it was written.
        seed: called before a model is built.
    """
    path = Path(text)
    if path.exists() or (":" not in path.name and not text.startswith("hf:")):
        return text
    place = load_target(text, ANY)
    seed()
    return place.build()
