"""What an edit makes of a module that is there: the same module under a class whose call does what is required around its own.

A module that is edited keeps its place, and its weights keep their names; what is trainable is a parameter beside the module's own,
under the names here, which are the same in every framework.
"""

from collections.abc import Callable
from typing import Any

from fanin.errors import FaninValueError

SCALE, FACTOR = "fanin_scale", "fanin_factor"  # the output's factor (trained), the product's factor (a number)
BIAS_IN, BIAS_OUT = "fanin_bias_in", "fanin_bias_out"  # scalars added to the input and to the output (trained)
SKIP = "fanin_skip"  # the factor on the skip path of the branch that this module ends (a number, or trained)
HOLD, HELD = (
    "fanin_hold",
    "fanin_held",
)  # at a branch's first module: who keeps the stream; at its last: where it is kept
NORM, NORMED = "fanin_norm", "fanin_normed"  # normalises the input, and over how many of its last axes
FUNCTION = "fanin_function"  # what is called instead
NORMLESS, EDITED = "fanin_normless", "fanin_edited"  # marks of a norm that is taken out, and of a class that edits made


class Held:
    """The stream, kept from a branch's first module to its last, within one pass.

    Two are equal where they are of the same branch: equal models have equal graphs.
    """

    def __init__(self, branch: str) -> None:
        self.branch = branch
        self.stream: Any = None

    def take(self, like: Any) -> Any:
        """The stream; it is kept no longer.

        Raises:
            FaninValueError: the branch's first module was not called before, or with something of another shape.
        """
        stream, self.stream = self.stream, None
        if stream is None or tuple(stream.shape) != tuple(like.shape):
            raise FaninValueError(
                f"the skip path cannot be scaled: the branch of shape {tuple(like.shape)} that {self.branch} ends was not preceded by "
                "a stream of the same shape"
            )
        return stream

    def __getstate__(self) -> dict[str, Any]:
        return {"branch": self.branch, "stream": None}  # what is kept belongs to one pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and other.branch == self.branch

    def __hash__(self) -> int:
        return hash(self.branch)


def edited_class(kind: type, call: str, lookup: type, value: Callable[[Any], Any], **methods: Any) -> type:
    """A subclass of a kind of module, under its name, whose call does around the kind's own what was put into the module.

    It has one base and no slots: the class of a module that is there can be changed to one of the same layout only.

    Args:
        kind: the module's class.
        call: name of the method that is called with the input first.
        lookup: the framework's table of rows: its output is multiplied, where others' input is.
        value: a parameter, or a number → its numbers.
        methods: more that it has.
    """
    own = getattr(kind, call)

    def around(self: Any, first: Any, *args: Any, **kwargs: Any) -> Any:
        for held in getattr(self, HOLD, ()):
            held.stream = first
        if getattr(self, NORMLESS, False):
            return first
        if hasattr(self, FUNCTION):
            return getattr(self, FUNCTION)(first)
        factor, table = getattr(self, FACTOR, None), isinstance(self, lookup)
        if hasattr(self, NORM):
            first = _normed(self, first)
        if factor is not None and not table:
            first = first * factor
        if hasattr(self, BIAS_IN):
            first = first + value(getattr(self, BIAS_IN))
        given = own(self, first, *args, **kwargs)
        out = given[0] if isinstance(given, tuple) else given
        if factor is not None and table:
            out = out * factor
        if hasattr(self, SCALE):
            out = out * value(getattr(self, SCALE))
        if hasattr(self, BIAS_OUT):
            out = out + value(getattr(self, BIAS_OUT))
        if hasattr(self, SKIP):  # the add that follows has the stream once
            out = out + (value(getattr(self, SKIP)) - 1.0) * getattr(self, HELD).take(out)
        return (out, *given[1:]) if isinstance(given, tuple) else out

    said = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(kind)(kind.__name__, (kind,), {**said, EDITED: True, call: around, **methods})


def _normed(module: Any, first: Any) -> Any:
    """The input through the norm that was put before the module, over all of the axes that the module sums."""
    norm, axes = getattr(module, NORM), getattr(module, NORMED)
    if axes == 1:
        return norm(first)
    return norm(first.reshape((*first.shape[:-axes], -1))).reshape(first.shape)
