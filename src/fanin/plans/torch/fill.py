"""Single tensors filled in place from rules, as the functions of `fanin.torch` do it: everything is checked, then drawn.

What can be refused is refused before a random number is taken and before anything is written, so that several tensors at once
(`fill_chain`) are filled whole or not at all.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.draws.bits import check_seed
from fanin.draws.dtypes import law_dtype
from fanin.draws.largest import check_size
from fanin.draws.precheck import check_whole
from fanin.draws.torch import check_generator, check_tensor, fill_, take_key
from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.plans.torch.memory import is_fake, read_only
from fanin.plans.torch.shards import is_dtensor, local_of, shard_problem, tensor_parts, written
from fanin.rules.rule import Rule
from fanin.slots import Axes, ChainLink, Pairing, Slot

ACCEPTED = "accepted are real floating-point tensors, and complex ones for orthogonal weights"


@dataclass(frozen=True)
class Job:
    """One tensor with what is to be drawn into it."""

    tensor: Tensor
    law: Distribution
    name: str


def fill_tensor(
    tensor: Tensor, rule: Rule, *, axes: Any = None, generator: Any = None, seed: Any = None, name: Any = None
) -> Tensor:
    """Fill one tensor in place from a rule; see `fanin.torch`."""
    check_generator(generator)
    job = _job(tensor, rule, f"{rule.name}_", axes=axes, seed=seed, name=name)
    if job is not None:
        _fill(job, take_key(generator) if seed is None else seed)
    return tensor


def fill_chain(
    tensors: Any,
    nonlinearity: Any,
    rule: Rule,
    *,
    axes: Any = None,
    generator: Any = None,
    seed: Any = None,
    names: Any = None,
) -> list[Tensor]:
    """Fill the weights of a plain chain; see `fanin.torch.mirrored_`."""
    if not isinstance(tensors, Iterable) or isinstance(tensors, Tensor | str):
        raise FaninTypeError(
            f"mirrored_: tensors={type(tensors).__name__} cannot be used; give a list of the chain's weights"
        )
    tensors = list(tensors)
    count = len(tensors)
    if count < 2:
        raise FaninValueError(f"mirrored_: tensors holds {count} weights; a chain has at least two")
    each = nonlinearity if isinstance(nonlinearity, list | tuple) else [nonlinearity] * (count - 1)
    _check_row("nonlinearity", each, count, count - 1)
    specs = _check_row("axes", [None] * count if axes is None else axes, count, count)
    labels = _check_row("names", [*map(str, range(count))] if names is None else names, count, count)
    check_generator(generator)
    functions = [None, *(Activation.of(f) for f in each), None]
    jobs: list[Job | None] = []
    units = 0
    for k, tensor in enumerate(tensors):
        what = f"mirrored_: tensors[{k}]"
        _check_tensor(tensor, what)
        meaning = meaning_of(specs[k], tuple(tensor.shape))
        if meaning is None:
            raise FaninValueError(f"{what} has the shape {tuple(tensor.shape)}, whose axes are not known; give axes=")
        inputs = meaning.size("in")
        if k and (units == 0 or inputs % units):
            raise FaninValueError(
                f"mirrored_: tensor {k} has {inputs} inputs, but the {units} outputs before it do not go into them evenly"
            )
        pairing = Pairing(units, inner=inputs // units) if k else None
        link = ChainLink(labels[0], k, count, functions[k], functions[k + 1], pairing)
        jobs.append(_job(tensor, rule, what, axes=meaning, seed=seed, name=labels[k], chain=link))
        units = meaning.size("out")
    key = take_key(generator) if seed is None else seed
    for job in jobs:
        if job is not None:
            _fill(job, key)
    return tensors


def meaning_of(axes: Any, shape: tuple[int, ...]) -> Axes | None:
    """What the axes of a tensor mean: what is given, else by their number, as in `nn.Linear` and plain convolutions."""
    if isinstance(axes, Axes):
        return axes.fitting(shape)
    if axes is None:
        return Axes.parse("oi" + "k" * (len(shape) - 2), shape) if 2 <= len(shape) <= 5 else None
    return Axes.parse(axes, shape)


def _check_row(label: str, given: Any, count: int, wanted: int) -> list[Any]:
    if not isinstance(given, list | tuple):
        raise FaninTypeError(f"mirrored_: {label}={given!r} cannot be used; give a list, one for each tensor, or None")
    if len(given) != wanted:
        raise FaninValueError(f"mirrored_: {label} has {len(given)} elements; for {count} tensors it takes {wanted}")
    return list(given)


def _job(
    tensor: Tensor, rule: Rule, what: str, *, axes: Any, seed: Any, name: Any, chain: ChainLink | None = None
) -> Job | None:
    """What is to be drawn; None, with a warning, where nothing can be; raises where the tensor or an argument cannot be used."""
    _check_tensor(tensor, what)
    if name is not None and not isinstance(name, str):
        raise FaninTypeError(f"{what}: name={name!r} cannot be used; name must be a string")
    if seed is not None:
        check_seed(seed)
    nothing = _without_memory(tensor)
    if nothing:
        warnings.warn(f"{what}: the tensor of shape {tuple(tensor.shape)} {nothing}; nothing was done", stacklevel=5)
        return None
    _check_memory(tensor, what, seed)
    shape, dtype = tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")
    law = rule(Slot(name or "tensor", shape, dtype, "weight", axes=meaning_of(axes, shape), chain=chain))
    if tensor.is_complex():
        _check_complex(tensor, law, what, chain)
    check_size(law, dtype)
    check_whole(law, shape, name or "", dtype)
    return Job(tensor, law, name or "")


def _check_tensor(tensor: Any, what: str) -> None:
    """Raise where it is no tensor that a weight can be, or one that is computed from others."""
    if not isinstance(tensor, Tensor):
        raise FaninTypeError(f"{what}: tensor={type(tensor).__name__} cannot be used; give a torch.Tensor")
    if nn.parameter.is_lazy(tensor):
        raise FaninValueError(
            f"{what}: the tensor is lazy and has no shape yet; run one batch through its module first"
        )
    if not tensor.is_floating_point() and not tensor.is_complex():
        raise FaninTypeError(f"{what}: the tensor has dtype {tensor.dtype}; {ACCEPTED}")
    if tensor.is_nested:
        raise FaninTypeError(f"{what}: the tensor is nested, so it has no one shape; fill its parts one by one")
    if tensor.grad_fn is not None and not tensor._is_view():
        raise FaninValueError(
            f"{what}: the tensor is computed from others (by weight norm, say), so what is written to it would be lost; "
            "use fanin.torch.init_(module, rule), or plan.apply(model)"
        )


def _check_complex(tensor: Tensor, law: Distribution, what: str, chain: ChainLink | None) -> None:
    refused = FaninTypeError(f"{what}: the tensor has dtype {tensor.dtype}; {ACCEPTED}")
    if chain is not None:  # pairs f(u), f(-u): the activation takes real numbers
        raise refused
    try:
        law_dtype(str(tensor.dtype).removeprefix("torch."), law)
    except FaninTypeError:
        raise refused from None


def _without_memory(tensor: Tensor) -> str:
    """Why there is nothing to draw, as the end of a sentence; empty where there is."""
    if tensor.is_meta:
        return "is on the meta device"
    if is_fake(tensor):
        return "is a fake one, without memory"
    return "has no elements" if tensor.numel() == 0 else ""


def _check_memory(tensor: Tensor, what: str, seed: Any) -> None:
    """Raise where a draw cannot write to the tensor."""
    if is_dtensor(tensor):
        if seed is None:
            raise FaninValueError(
                f"{what}: the tensor is sharded (DTensor), and processes that take seeds of their own would not agree; give seed="
            )
        problem = shard_problem(tensor)
        if problem is not None:
            raise FaninValueError(f"{what}: the tensor {problem}")
    try:
        check_tensor(local_of(tensor))
    except FaninError as error:
        raise type(error)(f"{what}: {error}") from None
    if read_only([local_of(tensor)])[0]:
        raise FaninValueError(f"{what}: the tensor lies in memory that is read-only (a mapped file); give its clone")


def _fill(job: Job, seed: int) -> None:
    tensor: Any = job.tensor
    if not is_dtensor(tensor):
        fill_(tensor, job.law, seed=seed, name=job.name)
        return
    with torch.no_grad():  # what this process holds, with the numbers of the whole
        for part in tensor_parts(tensor):
            block = local_of(tensor)[part.local]
            fill_(block, job.law, tuple(tensor.shape), seed=seed, name=job.name, window=part.window)
    written(local_of(tensor))
