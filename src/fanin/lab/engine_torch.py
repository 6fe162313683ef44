"""One run: a PyTorch model constructed, initialised and trained.

What a run does depends on (factory, init, data, training, seed) alone. Runs with the same seed construct with the same
random state, see the same batches in the same order, and train with the same random state (dropout), so that the init
is all that differs between them. No random state of the caller is changed.
"""

import contextlib
import inspect
import math
import random
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.lab import metrics
from fanin.lab.data import DataSet
from fanin.lab.inits import Init
from fanin.lab.inits_torch import initialise
from fanin.lab.losses_torch import Loss, check_output, find_loss, predict
from fanin.lab.records import RunResult
from fanin.lab.training import Training, batches, derived_seed, evaluation_steps, held_out
from fanin.names import canonical_names

EVAL_BATCH = 512
CURVE_POINTS = 500  # kept of the training loss
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


@contextlib.contextmanager
def random_state(seed: int) -> Iterator[None]:
    """Seeds torch (CPU, and CUDA where it is in use), NumPy and `random`, and puts their states back afterwards."""
    cuda = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng(cuda):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach devices that are not forked
        for index in cuda:
            torch.cuda.default_generators[index].manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


@contextlib.contextmanager
def thread_count(threads: int) -> Iterator[None]:
    """Runs torch on this many threads of the CPU, and on as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def construct(factory: Callable[..., Any], seed: int) -> nn.Module:
    """A fresh model, constructed with every random state at `seed`; the factory is given the seed if it takes one."""
    cuda = torch.cuda.is_initialized()
    with random_state(seed):
        try:
            model = factory(seed=seed) if _takes_seed(factory) else factory()
        except FaninError:
            raise
        except Exception as error:
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
    first: Exception | None = None
    function = find_loss(loss, data.task)[1]
    for form in data.forms:
        model = construct(factory, seed)
        device = _device(model)
        shaped = data.in_form(form)
        x, y = _take(shaped.train_inputs, slice(2), device), _take(shaped.train_targets, slice(2), device)
        model.eval()  # two examples are too few for batch norm
        try:
            with random_state(seed), torch.no_grad():
                out = model(x)
                check_output(out, y, data.task, data.classes)
                _scalar(function(out, y))
        except Exception as error:
            first = first or error
            continue
        parameters = sum(p.numel() for p in model.parameters())
        words = f"{type(model).__name__} ({parameters:,} parameters)"
        return Fit(shaped, words, f"torch {torch.__version__}", str(device))
    forms = " or ".join(str(("batch", *form)) for form in data.forms)
    detail = str(first) if isinstance(first, FaninError) else f"{type(first).__name__}: {str(first).splitlines()[0]}"
    raise FaninValueError(f"the model does not take data={data.name!r} in the form {forms}: {detail}") from first


def run(
    factory: Callable[..., Any],
    init: Init,
    data: DataSet,
    training: Training,
    seed: int,
    on_step: Callable[[int], None] | None = None,
) -> RunResult:
    """Constructs, initialises and trains one model; `data` in the form that `fit` found.

    Args:
        on_step: called with the number of steps done, after each.
    """
    with thread_count(training.threads):
        return _run(factory, init, data, training, seed, on_step)


def _run(
    factory: Callable[..., Any],
    init: Init,
    data: DataSet,
    training: Training,
    seed: int,
    on_step: Callable[[int], None] | None,
) -> RunResult:
    start = time.perf_counter()
    model = construct(factory, seed)
    device = _device(model)
    loss = find_loss(training.loss, data.task)[1]
    order = batches(len(data.train_inputs), training.batch_size, derived_seed(seed, "order"))
    model.train()
    first = next(order)
    x, y = _take(data.train_inputs, first, device), _take(data.train_targets, first, device)
    begun = time.perf_counter()
    with random_state(derived_seed(seed, "init")), torch.enable_grad():
        given = initialise(model, init, x, y, loss, seed)
    init_seconds = time.perf_counter() - begun
    optimizer = _optimizer(model, training, given.lr_scales)
    curve = _Curve(model, loss, data, training, device, seed)
    with random_state(derived_seed(seed, "training")), torch.enable_grad():
        model.train()
        curve.look(0)
        step = 0
        while step < training.steps and not curve.diverged:
            if step:
                rows = next(order)
                x, y = _take(data.train_inputs, rows, device), _take(data.train_targets, rows, device)
            optimizer.zero_grad(set_to_none=True)
            value = _scalar(loss(model(x), y))
            value.backward()
            optimizer.step()
            step += 1
            curve.add(step, float(value.detach()))
            if on_step:
                on_step(step)
    result = RunResult(
        init.name, seed, steps=step, planned_steps=training.steps, init_seconds=init_seconds, note=given.note
    )
    return replace(result, **curve.fields(), seconds=time.perf_counter() - start)


class _Curve:
    """What a run records while it trains."""

    def __init__(
        self, model: nn.Module, loss: Loss, data: DataSet, training: Training, device: torch.device, seed: int
    ):
        self.model, self.loss, self.data, self.training = model, loss, data, training
        self.device, self.seed = device, seed
        self.diverged = False
        self.at = evaluation_steps(training.steps, training.evaluations)
        self.some = held_out(len(data.test_inputs))
        self.stride = math.ceil(training.steps / CURVE_POINTS)
        self.train: list[tuple[int, float]] = []
        self.points: list[tuple[int, float, float]] = []

    def add(self, step: int, value: float) -> None:
        """The training loss before this step's update."""
        if (step - 1) % self.stride == 0 or step == self.training.steps or not math.isfinite(value):
            self.train.append((step, value))
        if not math.isfinite(value):
            self.diverged = True
        elif step in self.at:
            self.look(step)

    def look(self, step: int) -> None:
        """Loss and score on (a bounded part of) the test examples.

        An output that is not finite here stops nothing: a fresh batch norm may well overflow in eval mode.
        """
        scored = self._score(self.some)
        name = metrics.SCORE[self.data.task]
        self.points.append((step, scored["loss"], scored[name]) if scored else (step, math.inf, math.nan))

    def _score(self, rows: np.ndarray) -> dict[str, float] | None:
        """Metrics on these test examples, None where the model's output is not finite."""
        with random_state(derived_seed(self.seed, "evaluation")), torch.no_grad():
            self.model.eval()
            try:
                return _evaluate(self.model, self.loss, self.data, rows, self.device)
            finally:
                self.model.train()

    def fields(self) -> dict[str, Any]:
        """The fields of the `RunResult`; call once, after the last step."""
        final = None if self.diverged else self._score(np.arange(len(self.data.test_inputs)))
        if final is None:
            self.diverged = True
            final = constant_prediction(self.data, self.loss, self.device)
        target = self.training.target
        reached = [step for step, _, score in self.points if target is not None and score >= target]
        return {
            "metrics": final,
            "diverged": self.diverged,
            "reached_at": reached[0] if reached and not self.diverged else None,
            "train_steps": tuple(step for step, _ in self.train),
            "train_loss": tuple(value for _, value in self.train),
            "eval_steps": tuple(point[0] for point in self.points),
            "eval_loss": tuple(point[1] for point in self.points),
            "eval_score": tuple(point[2] for point in self.points),
        }


def _evaluate(
    model: nn.Module, loss: Loss, data: DataSet, rows: np.ndarray, device: torch.device
) -> dict[str, float] | None:
    predicted, total = [], 0.0
    for start in range(0, len(rows), EVAL_BATCH):
        part = rows[start : start + EVAL_BATCH]
        x, y = _take(data.test_inputs, part, device), _take(data.test_targets, part, device)
        out = model(x)
        total += float(loss(out, y)) * len(part)
        guess, finite = predict(out, y, data.task)
        if not bool(finite.all()) or not math.isfinite(total):
            return None
        predicted.append(guess.cpu().numpy())
    score = getattr(metrics, data.task)
    return {**score(np.concatenate(predicted), data.test_targets[rows]), "loss": total / len(rows)}


def constant_prediction(data: DataSet, loss: Loss, device: torch.device | None = None) -> dict[str, float]:
    """What the best constant of the training part scores on the test part: the commonest class, or the mean.

    Its loss is that of the log frequencies of the classes (infinite where the loss does not take them).
    """
    device = device or torch.device("cpu")
    y = _take(data.test_targets, slice(None), device)
    if data.task == "regression":
        constant = torch.from_numpy(data.train_targets.mean(0, dtype=float).astype(np.float32)).to(device)
        out = constant.expand_as(y)
        predicted = out
    else:
        counts = (
            np.bincount(data.train_targets.reshape(-1), minlength=data.classes) + 1e-3
        )  # an absent class stays finite
        frequencies = torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32)).to(device)
        out = frequencies.expand(*y.shape, -1)
        predicted = out.argmax(-1)
    try:
        value = float(loss(out, y))
    except Exception:  # a loss of the user's own, that wants more than a tensor of logits
        value = math.inf
    score = getattr(metrics, data.task)
    return {**score(predicted.cpu().numpy(), data.test_targets), "loss": value}


def _optimizer(model: nn.Module, training: Training, scales: dict[str, float]) -> torch.optim.Optimizer:
    groups: dict[float, list[nn.Parameter]] = {}
    plain = canonical_names(name for name, _ in model.named_parameters())  # a plan leaves wrappers' prefixes out
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(scales.get(plain[name], 1.0), []).append(parameter)
    if not groups:
        raise FaninValueError("the model has no parameter that requires a gradient, so there is nothing to train")
    settings = [{"params": parameters, "lr": training.lr * scale} for scale, parameters in groups.items()]
    decay = training.weight_decay
    if training.optimizer == "sgd":
        return torch.optim.SGD(settings, lr=training.lr, momentum=training.momentum, weight_decay=decay)
    kind = torch.optim.Adam if training.optimizer == "adam" else torch.optim.AdamW
    return kind(settings, lr=training.lr, weight_decay=decay)


def _scalar(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.numel() != 1:
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"type {type(value).__name__}"
        raise FaninValueError(f"loss gives a value of {what}, but must give one number (a tensor with one element)")
    return value.reshape(())


def _take(array: np.ndarray, rows: Any, device: torch.device) -> Tensor:
    return torch.from_numpy(np.require(array[rows], requirements="CW")).to(device)  # sets loaded by name are read-only


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))
