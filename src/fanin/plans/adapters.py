"""Who puts a plan into a model: found by the packages that the model's classes come from, imported only then."""

import importlib
from collections.abc import Callable
from typing import Any

# Package of a model's class → the file with its `apply_plan(plan, model, seed)`. Models of no other kind are PyTorch's (Keras's on
# PyTorch are modules, too, but their names there change from process to process).
APPLIERS = {"flax": "fanin.plans.jax.flax_apply", "keras": "fanin.plans.keras.model"}


def applier(model: Any) -> Callable[..., Any] | None:
    """The function that applies a plan to this kind of model; None for PyTorch's."""
    for kind in type(model).__mro__:
        file = APPLIERS.get(kind.__module__.partition(".")[0])
        if file is not None:
            return importlib.import_module(file).apply_plan
    return None
