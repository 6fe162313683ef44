"""Models from factories, in the form in which they take the data."""

import functools
import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.imports import summary
from fanin.lab.data import DataSet
from fanin.lab.losses_torch import Loss, check_output, find_loss
from fanin.lab.torch.single import scalar
from fanin.lab.torch.state import random_state

_given: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()  # models that factories gave, to notice one given twice


@dataclass(frozen=True)
class Fit:
    """What the factory gives, and how it takes the data.

    Attributes:
        data: in the form that the model accepts.
        model: class name and number of parameters, in words.
        framework: name and version.
        device: that the model lives on.
    """

    data: DataSet
    model: str
    framework: str
    device: str


def construct(factory: Callable[..., Any], seed: int) -> nn.Module:
    """A fresh model, constructed with every random state at `seed`; the factory is given the seed if it takes one."""
    cuda = torch.cuda.is_initialized()
    with random_state(seed):
        try:
            model = factory(seed=seed) if takes_seed(factory) else factory()
        except FaninError:
            raise
        except (Exception, SystemExit) as error:  # a script's main part may end in sys.exit
            words = str(error).strip().partition("\n")[0] or "no message"
            raise FaninValueError(
                f"factory raised {type(error).__name__} ({words}); it must give a fresh model when called without arguments"
            ) from error
    if torch.cuda.is_initialized() and not cuda:
        return construct(factory, seed)  # this first call brought CUDA up, too late for its state to be seeded
    if not isinstance(model, nn.Module):
        raise FaninTypeError(f"factory gives a {type(model).__name__}, but must give a torch.nn.Module")
    if model in _given:
        raise FaninValueError("factory gives the same model twice, but must give a fresh one at each call")
    _given.add(model)
    return model


def takes_seed(factory: Callable[..., Any]) -> bool:
    """Whether a factory is to be given the seed of the run."""
    try:
        return _takes_seed(factory)
    except TypeError:  # not hashable
        return _takes_seed.__wrapped__(factory)


@functools.lru_cache(maxsize=4)  # runs of one model follow each other
def _takes_seed(factory: Callable[..., Any]) -> bool:
    try:
        return "seed" in inspect.signature(factory).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return False


def fit(factory: Callable[..., Any], data: DataSet, loss: str | Loss | None, seed: int) -> Fit:
    """Tries the forms of the data on a model from the factory, and keeps the first that it takes.

    Raises:
        FaninValueError: the model takes none of them, or its output cannot be scored; the model's own error is the cause.
    """
    if isinstance(factory, nn.Module):
        raise FaninTypeError("factory is a model, but must be a function that gives a fresh one at each call")
    if not callable(factory):
        raise FaninTypeError(f"factory={factory!r} is a {type(factory).__name__}, but must be a function")
    first: BaseException | None = None
    function = find_loss(loss, data.task)[1]
    for form in data.forms:
        model = construct(factory, seed)
        device = device_of(model)
        shaped = data.in_form(form)
        x, y = take(shaped.train_inputs, slice(2), device), take(shaped.train_targets, slice(2), device)
        model.eval()  # two examples are too few for batch norm
        try:
            with random_state(seed), torch.no_grad():
                out = model(x)
                check_output(out, y, data.task, data.classes)
                scalar(function(out, y))
        except (Exception, SystemExit) as error:
            first = first or error
            continue
        parameters = sum(p.numel() for p in model.parameters())
        words = f"{type(model).__name__} ({parameters:,} parameters)"
        return Fit(shaped, words, f"torch {torch.__version__}", str(device))
    forms = " or ".join(str(("batch", *form)) for form in data.forms)
    detail = str(first) if first is None or isinstance(first, FaninError) else summary(first)
    raise FaninValueError(f"the model does not take data={data.name!r} in the form {forms}: {detail}") from first


def take(array: np.ndarray, rows: Any, device: torch.device) -> Tensor:
    """These rows as a tensor on `device`."""
    return torch.tensor(array[rows], device=device)


def device_of(model: nn.Module) -> torch.device:
    """The device that a model lives on."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))
