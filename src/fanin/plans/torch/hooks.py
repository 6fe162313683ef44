"""The hooks and small modules that edits put into a torch model. Classes of a module, so that models with them can be pickled."""

from typing import Any

from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.plans.torch.architecture import BIAS_IN, BIAS_OUT, FACTOR, NORM, SCALE, SKIP
from fanin.reshaping import Reshaped


def _main(output: Any, change: Any) -> Any:
    """The output with its first tensor changed (attention gives a tuple)."""
    if isinstance(output, tuple):
        return (change(output[0]), *output[1:])
    return change(output)


def _along(numbers: Tensor, like: Tensor, axis: int) -> Tensor:
    """Numbers for the channels, shaped so that they multiply `like` along its channel axis."""
    if numbers.ndim == 0 or axis == -1:
        return numbers
    return numbers.view(-1, *(1,) * (like.ndim - 2))


class Scaled:
    """After a module: its output times `fanin_scale`."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        return _main(output, lambda y: y * _along(getattr(module, SCALE), y, self.axis))


class AddIn:
    """Before a module: its input plus `fanin_bias_in`."""

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0] + getattr(module, BIAS_IN), *args[1:])


class AddOut:
    """After a module: its output plus `fanin_bias_out`."""

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        return _main(output, lambda y: y + getattr(module, BIAS_OUT))


class Normed:
    """Before a module: its input through `fanin_norm`."""

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (getattr(module, NORM)(args[0]), *args[1:])


class Before:
    """Before a module: its input times `fanin_factor`, so that the product with the weight is scaled and the bias is not."""

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0] * getattr(module, FACTOR), *args[1:])


class After:
    """After a lookup: its rows times `fanin_factor`."""

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        return output * getattr(module, FACTOR)


class Skip(nn.Module):
    """The factor on a skip path: holds the stream between the branch's first module and its last."""

    def __init__(self, weight: Tensor, trained: bool, axis: int) -> None:
        super().__init__()
        self.axis = axis
        if trained:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)
        self.held: Tensor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "held": None}  # what is held belongs to one pass

    def forward(self, branch: Tensor) -> Tensor:
        stream, self.held = self.held, None
        if stream is None or stream.shape != branch.shape:
            raise FaninValueError(
                f"the skip path cannot be scaled: the branch of shape {tuple(branch.shape)} was not preceded by a stream of the same shape"
            )
        return branch + (_along(self.weight, stream, self.axis) - 1.0) * stream


class Hold:
    """Before the first module of a branch: keeps the stream that it is given."""

    def __init__(self, skip: Skip) -> None:
        self.skip = skip

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.skip.held = next(v for v in (*args, *kwargs.values()) if isinstance(v, Tensor))


class Skipped:
    """After the last module of a branch: adds (factor - 1) times the stream, so that the add that follows has it in full."""

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        return _main(output, getattr(module, SKIP))


class ReshapedActivation(nn.Module):
    """An activation reshaped by DKS or TAT: gain · (f(scale · x + shift) + offset)."""

    def __init__(self, function: Reshaped, spec: str) -> None:
        super().__init__()
        self.function, self.spec = function, spec

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return str(self.function)
