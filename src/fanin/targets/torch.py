"""Batches, targets and losses of the command line as PyTorch wants them."""

import inspect
import math
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fanin.errors import FaninValueError
from fanin.targets.batches import FLOATS, BatchSource, DataName, FileName, TensorSpec, parse_batch
from fanin.targets.models import load_function, needed_arguments

DRAWN_BYTES = 4  # the fewest that a number takes while it is drawn
DATA_BATCH = 256  # examples that are taken of a data set
SUPERVISED = ("cross_entropy", "mse", "l1", "huber", "bce", "nll")


def make_batch(source: BatchSource, seed: int = 0, option: str = "--batch") -> Any:
    """The batch: a tensor, a tuple of them, or a dictionary. The same numbers for the same spec and seed, always."""
    if isinstance(source, FileName):
        return read_file(source.path, option)
    if isinstance(source, DataName):
        raise FaninValueError(
            f"{option}={source.spec!r} is a data set; its targets come with it, so give it as --batch"
        )
    tensors = [make_tensor(spec, seed, i, option) for i, spec in enumerate(source)]
    if source[0].name:
        return {spec.name: tensor for spec, tensor in zip(source, tensors, strict=True)}
    return tensors[0] if len(tensors) == 1 else tuple(tensors)


def make_tensor(spec: TensorSpec, seed: int, index: int, option: str = "--batch") -> torch.Tensor:
    """Random numbers of one spec, from a generator of their own; no global random state is touched."""
    wanted, there = math.prod(spec.shape) * DRAWN_BYTES, memory()
    if wanted > there:
        raise FaninValueError(
            f"{option} {spec} asks for {_gigabytes(wanted)} of numbers, but this machine has {_gigabytes(there)} of "
            "memory; give a smaller shape"
        )
    random = np.random.Generator(np.random.Philox(key=[seed, index]))
    if spec.dtype in FLOATS:
        return torch.from_numpy(random.standard_normal(spec.shape, dtype=np.float32)).to(getattr(torch, spec.dtype))
    if spec.dtype == "bool":
        return torch.from_numpy(random.integers(0, 2, spec.shape, dtype=np.int64) > 0)
    return torch.from_numpy(random.integers(0, spec.below, spec.shape, dtype=np.int64)).to(getattr(torch, spec.dtype))


def memory() -> float:
    """Bytes of this machine's memory, infinite where it does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return math.inf


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.0f} GB"


def read_file(path: str, option: str) -> Any:
    """A batch from a `.pt` (tensors only, no code is run) or `.npz` file."""
    if not Path(path).is_file():
        raise FaninValueError(f"{option}: the file {path} does not exist")
    try:
        batch: Any = _npz(path) if path.lower().endswith(".npz") else _pt(path)
    except OSError as error:
        raise FaninValueError(f"{option}: {path} cannot be read: {error.strerror or 'it is damaged'}") from None
    except FaninValueError as error:
        raise FaninValueError(f"{option}: {path} cannot be read: {error}") from None
    if isinstance(batch, list):
        batch = tuple(batch)
    parts = batch.values() if isinstance(batch, dict) else batch if isinstance(batch, tuple) else (batch,)
    if not parts or not all(isinstance(p, torch.Tensor) for p in parts):
        raise FaninValueError(f"{option}: {path} must hold a tensor, a tuple or a dictionary of tensors")
    return batch


def _pt(path: str) -> Any:
    """What `torch.save` wrote, where that is nothing but tensors."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch has many for a damaged file, and its advice is to run the file's code
        refused = re.search(r"GLOBAL ([\w.]+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused:
            raise FaninValueError(
                f"it holds {refused[1]}, and only tensors are read from a file, so that no code is run; "
                "write them with torch.save((x, y), path)"
            ) from None
        raise FaninValueError("it is damaged, or was not written by torch.save") from None


def _npz(path: str) -> Any:
    """What `numpy.savez` wrote: a tensor, a tuple of them, or a dictionary where they were given names."""
    arrays: dict[str, torch.Tensor] = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
    except OSError:
        raise
    except Exception as error:  # of zipfile, zlib, pickle or numpy, as the damage has it
        if "allow_pickle" in str(error) and zipfile.is_zipfile(path):
            raise FaninValueError("it holds Python objects, and only arrays of numbers are read") from None
        raise FaninValueError("it is damaged, or was not written by numpy.savez") from None
    for name, array in held.items():
        try:
            arrays[name] = torch.from_numpy(np.ascontiguousarray(array))
        except TypeError:
            raise FaninValueError(f"its {name!r} is of type {array.dtype}, which no tensor has") from None
    if not all(name.startswith("arr_") for name in arrays):
        return arrays
    return tuple(arrays.values()) if len(arrays) > 1 else next(iter(arrays.values()), ())


def data_batch(spec: str, model: nn.Module) -> tuple[Any, Any, str]:
    """The first examples of a data set, their targets, and the usual loss for them."""
    from fanin.lab.data import load
    from fanin.lab.losses_torch import find_loss

    data = load(spec)
    inputs = data.train_inputs[:DATA_BATCH]
    form = fitting_form(model, data.forms)
    batch = torch.from_numpy(np.array(inputs.reshape(len(inputs), *form)))
    targets = torch.from_numpy(np.array(data.train_targets[:DATA_BATCH]))
    return batch, targets, find_loss(None, data.task)[0]


def fitting_form(model: nn.Module, forms: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """The shape of one example that the model's first layer takes, the usual one where that cannot be told."""
    first = first_layer(model)
    if isinstance(first, nn.modules.conv._ConvNd):
        rank, channels = len(first.kernel_size) + 1, first.in_channels
        return next((f for f in forms if len(f) == rank and f[0] == channels), forms[0])
    if isinstance(first, nn.Linear):
        return next((f for f in forms if f[-1] == first.in_features), forms[0])
    if isinstance(first, nn.RNNBase):
        return next((f for f in forms if len(f) == 2 and f[-1] == first.input_size), forms[0])
    return forms[0]


def needs_batch(model: nn.Module) -> list[str]:
    """The arguments that the model's forward cannot do without."""
    needed = needed_arguments(model.forward)
    if needed or any(p.kind is p.VAR_POSITIONAL for p in _parameters(model)):
        return needed or ["input"]
    return []


def _parameters(model: nn.Module) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):
        return []


def first_layer(model: nn.Module) -> nn.Module | None:
    """The first layer with weights, as the model lists them."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.MultiheadAttention)
    return next((m for m in model.modules() if isinstance(m, kinds)), None)


def example_batch(model: nn.Module) -> str:
    """A `--batch` spec that fits the model's first layer, one tensor an argument of forward; "" where that cannot be told."""
    named = inputs_by_name(model)
    if named:
        return named
    specs = [_layer_spec(_reader(model, name)) for name in needs_batch(model) or ["input"]]
    return ",".join(specs) if all(specs) else ""


def _reader(model: nn.Module, argument: str) -> nn.Module | None:
    """The layer that likely reads an argument: of the part that is called alike (`user` of `user_ids`), else the first."""
    for name, part in model.named_children():
        if (argument == name or argument.startswith(f"{name}_")) and (layer := first_layer(part)) is not None:
            return layer
    return first_layer(model)


def _layer_spec(first: nn.Module | None) -> str:
    """A spec of one tensor that a layer takes."""
    if isinstance(first, nn.Linear) and first.in_features > 0:
        return f"float32:32x{first.in_features}"
    if isinstance(first, nn.modules.conv._ConvNd) and first.in_channels > 0:
        rank = len(first.kernel_size)
        return f"float32:8x{first.in_channels}" + {1: "x128", 2: "x32x32", 3: "x16x16x16"}[rank]
    if isinstance(first, nn.Embedding | nn.EmbeddingBag):
        return f"int64:8x32:{first.num_embeddings}"
    if isinstance(first, nn.RNNBase):
        return f"float32:{'8x16' if first.batch_first else '16x8'}x{first.input_size}"
    if isinstance(first, nn.MultiheadAttention):
        return f"float32:{'8x16' if first.batch_first else '16x8'}x{first.embed_dim}"
    return ""


def inputs_by_name(model: nn.Module) -> str:
    """The example for a model of transformers, whose forward takes its inputs by name and needs none of them alone."""
    names = [p.name for p in _parameters(model)]
    config = getattr(model, "config", None)
    vocabulary, edge = getattr(config, "vocab_size", None), getattr(config, "image_size", None)
    if "input_ids" in names and isinstance(vocabulary, int):
        spec = f"input_ids=int64:4x64:{vocabulary}"
        predicts_tokens = "labels" in names and "LM" in type(model).__name__
        return spec + (f",labels=int64:4x64:{vocabulary}" if predicts_tokens else "")
    if "pixel_values" in names and isinstance(edge, int):
        return f"pixel_values=float32:4x{getattr(config, 'num_channels', 3)}x{edge}x{edge}"
    return ""


def make_loss(name: str | None) -> Callable[..., torch.Tensor] | None:
    """The loss of this name, or the function that `module:function` names."""
    if name is None:
        return None
    if ":" in name:
        return load_function(name, "--loss")
    from fanin.targets import losses_torch

    if name in losses_torch.LOSSES:
        return losses_torch.LOSSES[name]
    from fanin.targets.models import hint

    known = list(losses_torch.LOSSES)
    raise FaninValueError(
        f"--loss={name!r} is not known; accepted are {', '.join(known)}, or module:function{hint(name, known)}"
    )


def read_inputs(
    model: nn.Module, batch: str | None, targets: str | None, loss: str | None, seed: int = 0
) -> tuple[Any, Any, Callable[..., torch.Tensor] | None]:
    """Batch, targets and loss of a check, from the options as they were written.

    Raises:
        FaninValueError: what is missing or does not fit, with an example that fits this model.
    """
    example = example_batch(model)
    offered = (
        f"; for this model for example --batch {example}" if example else "; for example --batch float32:8x3x32x32"
    )
    if batch is None:
        needed = needs_batch(model) or (["an input"] if inputs_by_name(model) else [])
        if needed:
            raise FaninValueError(
                f"--batch is missing: {type(model).__name__}.forward needs {', '.join(needed)}{offered}"
            )
        made: Any = ()
    else:
        source = parse_batch(batch)
        if isinstance(source, DataName):
            if targets is not None:
                raise FaninValueError(
                    f"--targets cannot be given with --batch {batch}: the data set has targets of its own"
                )
            made, wanted, usual = data_batch(source.spec, model)
            return made, wanted, make_loss(loss or usual)
        made = make_batch(source, seed)
    function = make_loss(loss)
    if targets is None:
        if loss is not None and ":" not in loss:
            raise FaninValueError(f"--loss {loss} needs --targets{target_example(model, made, loss)}")
        return made, None, function
    if function is None:
        raise FaninValueError("--targets needs --loss: cross_entropy, mse, bce, … or module:function")
    return made, make_batch(parse_batch(targets, "--targets"), seed + 1, "--targets"), function


def target_example(model: nn.Module, batch: Any, loss: str) -> str:
    """ "; for example --targets int64:8:10", from the last layer's outputs."""
    last = [m for m in model.modules() if isinstance(m, nn.Linear)]
    tensors = list(batch.values()) if isinstance(batch, dict) else batch if isinstance(batch, tuple) else (batch,)
    rows = tensors[0].shape[0] if tensors else 8
    width = last[-1].out_features if last else 10
    spec = f"int64:{rows}:{width}" if loss in ("cross_entropy", "nll") else f"float32:{rows}x{width}"
    return f"; for example --targets {spec}"
