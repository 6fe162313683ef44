"""Watches one pass of a PyTorch model and writes down what went through: `trace`."""

import dataclasses
import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch

from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.imports import summary
from fanin.names import canonical_names
from fanin.slots import Slot
from fanin.traces.records import LossFacts, Trace
from fanin.traces.torch import batches
from fanin.traces.torch.batches import ForwardError
from fanin.traces.torch.build import Builder
from fanin.traces.torch.facts import weight_facts
from fanin.traces.torch.graph import Graph, mark_norms
from fanin.traces.torch.losses import loss_facts
from fanin.traces.torch.state import Guard
from fanin.traces.torch.watch import Watch

__all__ = ["ForwardError", "trace", "unwrap"]


def trace(
    model: torch.nn.Module,
    batch: Any,
    targets: Any = None,
    loss: Callable[..., Any] | None = None,
    *,
    seed: int = 0,
) -> Trace:
    """Runs the model once on the batch, watching each call, and once backward.

    The model, its buffers, modes, gradients and hooks and every random state are afterwards as they were before.
    The pass runs in train mode, in a random state forked from `seed`. Without a loss (`loss=`, or the output's own
    `.loss`) the backward pass starts from a fixed random projection of the output.

    Args:
        model: any module.
        batch: a tensor → model(batch), a tuple → model(*batch), a dict → model(**batch), a loader → its first batch.
        targets: handed to the loss.
        loss: loss(output, targets) where targets are given, else loss(output).
        seed: of the random state that dropout and the like see.

    Raises:
        FaninTypeError: the model is not a module, or a loss gives no tensor.
        FaninValueError: the model has no parameters or lazy ones, the batch has NaN, or the loss is not one number.
        ForwardError: the forward pass or the loss raised; the user's exception is its cause.
    """
    model, notes = unwrap(model)
    _refuse(model)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise FaninValueError(f"seed={seed!r} cannot be used; it must be a whole number from 0 to 2**64 - 1")
    batch, targets = batches.first_batch(batch, targets, loss)
    batches.check_batch(batch)
    if all(p.is_meta for p in model.parameters()):  # a model without values is watched on a batch without values
        batch, targets = batches.on_meta(batch), batches.on_meta(targets)
    names = _names(model)
    parameters = {group[0]: p for p, group in names}
    by_id = {id(p): group[0] for p, group in names}
    with ExitStack() as stack:
        guard = stack.enter_context(Guard(model, seed=seed))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if "torch._dynamo" in sys.modules:  # importing it takes seconds, and without it nothing is compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        training = _train(model)
        watch = Watch(model, by_id, guard)
        stack.callback(watch.close)
        output, value, training = _forward(watch, model, batch, targets, loss, training, notes, seed)
        backward, gradients, reached = _backward(output, value, parameters, watch, notes)
        notes.extend(watch.faults.values())
        graph = Graph(watch.nodes, watch.values)
        mark_norms(graph)
        builder = Builder(graph, model, {g[0]: g for _, g in names})
        opaque = bool(watch.faults) or any("cannot be seen" in note for note in notes)
        slots = tuple(
            builder.slot(n, p, reached.get(n) if reached is not None else None, opaque) for n, p in parameters.items()
        )
        if training and any(s.role == "unused" for s in slots):
            slots = _second_look(model, batch, by_id, guard, builder, slots, notes)
        bias_of = {s.weight: parameters[s.name] for s in slots if s.role == "bias" and s.weight and s.uses == 1}
        weights = {
            s.name: weight_facts(
                s, parameters[s.name], bias_of.get(s.name), gradients.get(s.name),
                reached.get(s.name) if reached is not None and s.trainable else None,
            )
            for s in slots
        }  # fmt: skip
        _note_slots(slots, notes)
        inputs = _inputs(watch, batch)
        outputs = [watch.value_of(t).node for t in batches.output_tensors(output)]
        return Trace(
            framework="torch",
            model=type(model).__name__,
            parameters=sum(s.size for s in slots),
            ops=builder.ops(watch.gradients),
            slots=slots,
            weights=weights,
            residuals=builder.residual_records(),
            inputs=inputs,
            loss=_loss_record(graph, watch, value),
            backward=backward,
            training=training,
            outputs=tuple(o for o in dict.fromkeys(outputs) if o >= 0),
            notes=tuple(notes),
            seed=seed,
        )


def _second_look(
    model: torch.nn.Module,
    batch: Any,
    names: dict[int, str],
    guard: Guard,
    first: Builder,
    slots: tuple[Slot, ...],
    notes: list[str],
) -> tuple[Slot, ...]:
    """Looks for weights that train mode left out at random (layers dropped whole) in a pass in evaluation mode."""
    model.eval()
    watch = Watch(model, names, guard)
    try:
        with watch, torch.no_grad():
            for _, tensor in batches.batch_tensors(batch):
                watch.source(tensor, "input")
            batches.call_model(model, batch)
    except Exception:  # the pass that counts went through; this one only adds to it
        return slots
    graph = Graph(watch.nodes, watch.values)
    mark_norms(graph)
    builder = Builder(graph, model, first.names)
    parameters = {name: p for p, (name, *_) in _names(model)}
    found = {
        s.name: dataclasses.replace(seen, op_index=None)
        for s in slots
        if s.role == "unused" and (seen := builder.slot(s.name, parameters[s.name], None, False)).uses
    }
    if found:
        notes.append(f"{len(found)} weights took part in evaluation mode only (first {next(iter(found))}).")
    return tuple(found.get(s.name, s) for s in slots)


def unwrap(model: Any) -> tuple[torch.nn.Module, list[str]]:
    """The module inside compiled and parallel wrappers, and what could not be seen because of what it is."""
    notes: list[str] = []
    if not isinstance(model, torch.nn.Module):
        hint = "; call it first: it looks like a class or a factory" if callable(model) else ""
        raise FaninTypeError(f"model is of type {type(model).__name__}, but must be a torch.nn.Module{hint}")
    while True:
        if hasattr(model, "_orig_mod") and isinstance(model._orig_mod, torch.nn.Module):
            model = model._orig_mod
            notes.append("The model is compiled; its original module was watched, uncompiled.")
        elif isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            model = model.module
            notes.append("The model is wrapped for data parallelism; the module inside was watched in one thread.")
        else:
            break
    scripted = [
        path for path, m in model.named_modules() if isinstance(m, torch.jit.ScriptModule | torch.jit.ScriptFunction)
    ]
    if scripted:
        where = scripted[0] or "the model"
        notes.append(f"The inside of scripted code cannot be seen ({where}); its weights are known by autograd alone.")
    return model, notes


def _refuse(model: torch.nn.Module) -> None:
    parameters = list(model.named_parameters())
    lazy = [n for n, p in parameters if torch.nn.parameter.is_lazy(p)]
    if lazy:
        raise FaninValueError(f"model has lazy parameters without a shape ({lazy[0]}); run one batch through it first")
    if not parameters:
        raise FaninValueError(f"model {type(model).__name__} has no parameters, so there is nothing to check")


def _names(model: torch.nn.Module) -> list[tuple[torch.Tensor, tuple[str, ...]]]:
    """Each parameter with all of its canonical names, in the model's order; names that clash keep their raw form."""
    groups: dict[int, tuple[torch.Tensor, list[str]]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), (parameter, []))[1].append(name)
    short = canonical_names([name for _, names in groups.values() for name in names])
    counts = Counter(short.values())
    return [
        (parameter, tuple(short[n] if counts[short[n]] == 1 else n for n in names))
        for parameter, names in groups.values()
    ]


def _train(model: torch.nn.Module) -> bool:
    """Train mode, where the model is in evaluation mode as a whole; a model in train mode keeps its parts' modes."""
    if not model.training:
        model.train()
    return True


def _forward(
    watch: Watch,
    model: torch.nn.Module,
    batch: Any,
    targets: Any,
    loss: Callable[..., Any] | None,
    training: bool,
    notes: list[str],
    seed: int,
) -> tuple[Any, torch.Tensor | None, bool]:
    hooks = list(watch.watch_modules())
    try:
        for _, tensor in batches.batch_tensors(targets, "targets"):
            watch.source(tensor, "constant")
        for _, tensor in batches.batch_tensors(batch):  # last: an autoencoder's targets are its batch
            watch.source(tensor, "input")
        try:
            return *_called(watch, model, batch, targets, loss), training
        except ForwardError as error:
            if not training or "more than 1 value per channel" not in str(error.__cause__):
                raise
        model.eval()
        notes.append("A norm refuses a batch of one example in train mode; the model was watched in evaluation mode.")
        watch.modules[:] = [""]
        torch.manual_seed(seed)
        watch.nodes.clear()
        return *_called(watch, model, batch, targets, loss), False
    finally:
        for hook in hooks:
            hook.remove()


def _called(
    watch: Watch, model: torch.nn.Module, batch: Any, targets: Any, loss: Callable[..., Any] | None
) -> tuple[Any, torch.Tensor | None]:
    """(output, loss) of one watched call; raises `ForwardError` with the user's exception as its cause."""
    who = "the model's forward"
    try:
        with watch:
            output = batches.call_model(model, batch)
            who = "the loss"
            return output, batches.loss_of(output, targets, loss)
    except FaninError:
        raise
    except Exception as error:
        where = watch.modules[-1]
        place = f"in module {where!r} " if where else "" if who == "the loss" else "in the model's own forward "
        given = f"on a batch of {_describe(batch)}"
        if who == "the loss":
            given = "without targets" if targets is None else f"on targets of {_describe(targets)}"
        words = str(error).splitlines()[0] if str(error) else "no message"
        raise ForwardError(f"{who} raised {type(error).__name__} {place}{given}: {words}", where) from error


def _describe(batch: Any) -> str:
    shapes = [f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for _, t in batches.batch_tensors(batch)]
    return ", ".join(shapes[:4]) or f"type {type(batch).__name__}"


def _backward(
    output: Any, value: torch.Tensor | None, parameters: dict[str, torch.Tensor], watch: Watch, notes: list[str]
) -> tuple[Any, dict[str, torch.Tensor], dict[str, bool] | None]:
    """(kind, gradients, whether autograd reaches each parameter)."""
    start, kind = value, "loss"
    if start is None or not start.requires_grad:
        if start is not None and any(p.requires_grad for p in parameters.values()):
            notes.append(
                "The loss does not depend on a trainable weight; a random projection of the output went backward."
            )
        start, kind = batches.probe_of(output), "probe"
    if start is None:
        notes.append("The output does not depend on a trainable weight through autograd, so nothing went backward.")
        return "none", {}, None
    wanted = {n: p for n, p in parameters.items() if p.requires_grad and not p.is_complex()}
    if not wanted:
        return "none", {}, None
    try:
        found = torch.autograd.grad(start, list(wanted.values()), allow_unused=True)
    except RuntimeError as error:
        notes.append(f"The backward pass could not run ({summary(error)}); only the forward signal is known.")
        watch.gradients.clear()
        return "none", {}, None
    gradients = {n: g for n, g in zip(wanted, found, strict=True) if g is not None}
    return kind, gradients, {n: n in gradients for n in wanted}


def _note_slots(slots: tuple[Any, ...], notes: list[str]) -> None:
    odd = [s.name for s in slots if not s.dtype.startswith(("float", "bfloat"))]
    if odd:
        notes.append(f"{len(odd)} weights are not real floating-point numbers and were skipped: {', '.join(odd[:3])}.")
    opaque = [s.name for s in slots if s.role == "opaque"]
    if opaque:
        notes.append(f"{len(opaque)} weights are used by code that cannot be seen into: {', '.join(opaque[:3])}.")


def _inputs(watch: Watch, batch: Any) -> tuple[Any, ...]:
    found = []
    for name, tensor in batches.batch_tensors(batch):
        index = watch.value_of(tensor).index
        op = next((n.index for n in watch.nodes if index in n.inputs), -1)
        found.append(batches.input_facts(name, tensor, op))
    return tuple(found)


def _loss_record(graph: Graph, watch: Watch, value: torch.Tensor | None) -> LossFacts | None:
    if value is None:
        return None
    number = math.nan if value.is_meta else float(value.detach())
    made_by = watch.value_of(value).node
    return (
        loss_facts(graph, made_by, number) if made_by >= 0 else LossFacts(number if math.isfinite(number) else math.nan)
    )
