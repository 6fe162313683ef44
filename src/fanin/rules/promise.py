"""What a rule promises of the weights that it draws: a number that can be measured on a real layer, or of the weights themselves.

A rule without a promise is folklore. Each one declares what it keeps (`@rule(promise=...)`), and `tests/promises/`
and `docs/promises.md` measure it on every kind of layer that the rule serves, in every framework.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fanin.activations import Activation
from fanin.slots import Slot

Array = NDArray[np.float64]
Kind = Literal["forward", "backward", "spectrum", "law", "values"]


@dataclass(frozen=True)
class Promise:
    """One promise.

    Attributes:
        kind: "forward": E[y²] of the layer's output y, for independent inputs x = f(z), z ~ N(0, 1) (x = z where there is no f);
            "backward": E[dx²] of the gradient to the input, for independent output gradients of E[dy²] = 1 (of one block,
            where blocks are stacked);
            "spectrum": every singular value of each block (out × in · taps), but for those that the shape makes zero;
            "law": the standard deviation of the numbers, and their mean;
            "values": what `measure` makes of the weights.
        value: the number promised.
        what: the promise in words.
        through: "forward": the activation f that the layer's inputs come through, or None.
        mean: "law": the mean of the numbers.
        measure: "values": (the whole weight as float64, its slot) → the number that `value` promises.
        tolerance: "values", "spectrum": how far from `value` it may be (0 for a draw that is exact: rounding is allowed for).
    """

    kind: Kind
    value: float
    what: str = ""
    through: Activation | None = None
    mean: float = 0.0
    measure: Callable[[Array, Slot], float] | None = None
    tolerance: float = 0.0


def forward(value: float = 1.0, through: Any = None, what: str = "") -> Promise:
    """E[y²] = value for independent inputs x = f(z), z ~ N(0, 1); `through` is f, as `Activation.of` takes it.

    So a gain is promised: pre-activations of size 1 before an activation make pre-activations of size 1 behind the layer.
    """
    f = None if through is None else Activation.of(through)
    inputs = f"inputs {f}(z), z ~ N(0, 1)" if f is not None else "inputs of N(0, 1)"
    return Promise("forward", value, what or f"E[y²] = {value:.4g} for {inputs}", f)


def backward(value: float = 1.0, what: str = "") -> Promise:
    """E[dx²] = value for independent output gradients of E[dy²] = 1."""
    return Promise("backward", value, what or f"E[dx²] = {value:.4g} E[dy²]")


def spectrum(value: float = 1.0, what: str = "") -> Promise:
    """Every singular value of each block is `value`."""
    return Promise("spectrum", value, what or f"all singular values {value:.4g}")


def law(std: float, mean: float = 0.0, what: str = "") -> Promise:
    """The numbers have this standard deviation and mean."""
    return Promise("law", std, what or f"numbers of deviation {std:.4g} and mean {mean:.4g}", mean=mean)


def values(value: float, measure: Callable[[Array, Slot], float], what: str, tolerance: float = 0.0) -> Promise:
    """What `measure` makes of the whole weight is `value`; the measure states a property, not the rule's formula again."""
    return Promise("values", value, what, measure=measure, tolerance=tolerance)
