"""The coordinate check: how much a model's activations move in its first steps, width by width.

In the maximal update parametrization they move as much at every width; in the standard one the wider model moves more with one
learning rate, so that the best learning rate shifts. The check trains for a few steps at each width and fits the slope of the
log of the change over the log of the width: flat is right.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanin.errors import FaninTypeError, FaninValueError
from fanin.records import Record


@dataclass(frozen=True)
class CoordinateCheck(Record):
    """How much the outputs of each module moved.

    Attributes:
        widths: those that were tried.
        steps: optimizer steps.
        lr: learning rate of a weight with factor 1.
        optimizer: "adam" or "sgd".
        sizes: module → width by width, the rms of its output at the start (mean over seeds).
        changes: module → step by step (from the first) → width by width, the rms of what its output has moved since the start.
    """

    widths: tuple[int, ...]
    steps: int
    lr: float
    optimizer: str
    sizes: dict[str, tuple[float, ...]]
    changes: dict[str, tuple[tuple[float, ...], ...]]

    def slope(self, module: str, step: int | None = None) -> float:
        """The slope of log change over log width after this step (the last, if None); NaN where nothing moves.

        Args:
            module: its dotted path.
            step: from 1.
        """
        if module not in self.changes:
            raise FaninValueError(f"module={module!r} was not watched; watched are {', '.join(self.changes)}")
        step = self.steps if step is None else step
        if not 1 <= step <= self.steps:
            raise FaninValueError(f"step={step!r} cannot be used; it must be from 1 to {self.steps}")
        moved = self.changes[module][step - 1]
        if any(not math.isfinite(m) or m <= 0 for m in moved):
            return math.nan
        return float(np.polyfit(np.log(self.widths), np.log(moved), 1)[0])

    @property
    def slopes(self) -> dict[str, float]:
        """Module → slope after the last step."""
        return {module: self.slope(module) for module in self.changes}

    @property
    def steepest(self) -> float:
        """The slope that is furthest from flat."""
        return max((s for s in self.slopes.values() if not math.isnan(s)), key=abs, default=math.nan)

    def __str__(self) -> str:
        heads = "".join(f"{width:>10}" for width in self.widths)
        rows = [
            f"{module:<24}{''.join(f'{m:10.3g}' for m in self.changes[module][-1])}{slope:+10.2f}"
            for module, slope in self.slopes.items()
        ]
        title = f"rms of what each output moved in {self.steps} steps of {self.optimizer}, lr {self.lr:g}, by width"
        return "\n".join([title, f"{'module':<24}{heads}{'slope':>10}", *rows])


def coordinate_check(
    factory: Callable[[int], Any],
    widths: Sequence[int],
    plan_of: Callable[[Any, Any], Any],
    data: tuple[Any, Any],
    *,
    steps: int = 5,
    lr: float = 1e-2,
    optimizer: str = "adam",
    loss: Callable[[Any, Any], Any] | None = None,
    seeds: int = 3,
) -> CoordinateCheck:
    """Trains a model for a few steps at several widths, and says how much its activations move.

    Args:
        factory: width → a new model.
        widths: at least two different ones.
        plan_of: (model, inputs) → its `Plan`, such as `lambda m, x: fanin.plan(m, x, rules="mup(base_width=64)")`.
        data: (inputs, targets), the one batch of every step.
        steps: at least 1.
        lr: learning rate of a weight whose plan asks for a factor of 1.
        optimizer: "adam" or "sgd".
        loss: loss(output, targets); cross entropy where nothing is said.
        seeds: runs that are averaged at each width.

    Raises:
        FaninValueError, FaninTypeError: an argument cannot be used.
    """
    given = tuple(widths)
    if len(set(given)) < 2 or any(isinstance(w, bool) or not isinstance(w, int) or w < 1 for w in given):
        raise FaninValueError(
            f"widths={widths!r} cannot be used; give at least two different whole numbers of at least 1"
        )
    if optimizer not in ("adam", "sgd"):
        raise FaninValueError(f"optimizer={optimizer!r} is not known; accepted are 'adam', 'sgd'")
    for name, value in (("steps", steps), ("seeds", seeds)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise FaninValueError(f"{name}={value!r} cannot be used; it must be a whole number of at least 1")
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < math.inf:
        raise FaninValueError(f"lr={lr!r} cannot be used; it must be a finite number above 0")
    if not callable(factory) or not callable(plan_of):
        raise FaninTypeError("factory and plan_of must be functions: width → model, and (model, inputs) → plan")
    if not isinstance(data, tuple) or len(data) != 2:
        raise FaninTypeError("data cannot be used; give a pair (inputs, targets)")
    from fanin.lab.coordinate_torch import moved

    runs = [
        [moved(factory(w), plan_of, data, steps, lr, optimizer, loss, seed) for seed in range(seeds)] for w in given
    ]
    modules = [m for m in runs[0][0] if all(m in run for of_width in runs for run in of_width)]
    table = {m: np.array([np.mean([run[m] for run in of_width], axis=0) for of_width in runs]) for m in modules}
    sizes = {m: tuple(float(v) for v in rows[:, 0]) for m, rows in table.items()}
    changes = {m: tuple(tuple(float(v) for v in column) for column in rows[:, 1:].T) for m, rows in table.items()}
    return CoordinateCheck(given, steps, float(lr), optimizer, sizes, changes)
