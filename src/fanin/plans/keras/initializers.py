"""The initializers of Keras's kind that draw from rules: their base, and what a distribution's is.

The classes of the single rules are made in `fanin.keras`.
"""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import keras

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.draws.compose import check_seed
from fanin.draws.keras import draw, float_name
from fanin.draws.windows import check_shape
from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.plans.keras.caller import Asked, asked, only_shape
from fanin.plans.keras.layers import KERAS, Meaning
from fanin.plans.keras.repeats import note
from fanin.records import encode
from fanin.rules.rule import FACTORIES, Rule
from fanin.slots import Axes, Slot

PACKAGE = "fanin"  # what the classes are registered under
EXTRA: dict[str, Any] = {
    "axes": str | Axes | None,
    "seed": Any,
    "name": str | None,
}  # ours, beside the rules' arguments


class Initializer(keras.initializers.Initializer):
    """Draws weights from a rule; the base of all classes here.

    Attributes:
        axes: what the axes mean; None: what the layer that asks says.
        seed: an integer, a `keras.random.SeedGenerator`, or None.
        name: of the weight, or None.
    """

    RULE: ClassVar[str] = ""

    def __init__(self, *, axes: str | Axes | None = None, seed: Any = None, name: str | None = None) -> None:
        what = type(self).__name__
        self.axes = _axes_given(what, axes)
        self.seed = _seed_given(what, seed)
        if name is not None and not isinstance(name, str):
            raise FaninTypeError(f"{what}: name={name!r} cannot be used; name must be a string or None")
        self.name = name

    def law(self, slot: Slot) -> Distribution:
        """What is drawn for one weight."""
        raise NotImplementedError

    def __call__(self, shape: Sequence[int], dtype: Any = None, layout: Any = None) -> Any:
        """Numbers of one weight.

        Args:
            shape: of the whole weight.
            dtype: a floating-point type; `keras.config.floatx()` if None.
            layout: where Keras distributes the weight; each device draws its own part.

        Raises:
            FaninValueError, FaninTypeError: for an argument that cannot be used, and whatever the rule raises.
        """
        shape, kind = check_shape(shape), float_name(dtype)
        if only_shape(self, shape):
            return keras.ops.zeros(shape, kind)
        found = None if self.axes is not None and self.name is not None else asked(self, shape)
        known = found.meaning if found is not None else Meaning("weight")
        own = (
            found is not None and found.layer is not None and not type(found.layer).__module__.startswith(KERAS)
        )  # a layer of the user's
        if self.axes is not None or found is None or (own and known.axes is None and len(shape) == 2):
            known = replace(known, axes=self._by_hand(shape))
        name = self.name if self.name is not None else found.name if found is not None else ""
        if 0 in shape:
            warnings.warn(f"a weight of shape {shape} has no elements; nothing was drawn", stacklevel=2)
            return keras.ops.zeros(shape, kind)
        law = self._law(shape, kind, name, known, _owner(found))
        if self.name is None and isinstance(self.seed, int) and found is not None and found.layer is not None:
            note(self, law, shape, name, found.layer)
        return draw(law, shape, seed=self._key(), name=name, dtype=kind, layout=layout)

    def _law(self, shape: tuple[int, ...], dtype: str, name: str, known: Meaning, owner: str) -> Distribution:
        slot = Slot(
            name or "weight",
            shape,
            dtype,
            known.role,
            axes=known.axes,
            parts=known.parts,
            hidden=known.hidden,
            activation=known.activation,
            module_type=owner.rpartition(" ")[2],
        )
        try:
            return self.law(slot)
        except FaninError as error:
            if known.axes is None and owner and len(shape) > 1:
                raise FaninValueError(
                    f"{type(self).__name__}: {owner} does not tell what the axes of its weight of shape {shape} mean; "
                    "give the initializer axes="
                ) from error
            raise

    def _by_hand(self, shape: tuple[int, ...]) -> Axes | None:
        if isinstance(self.axes, Axes):
            if self.axes.shape != shape:
                raise FaninValueError(
                    f"{type(self).__name__}: axes={self.axes.spec!r} have the shape {self.axes.shape}, but the weight has {shape}"
                )
            return self.axes
        if self.axes is not None:
            return Axes.parse(self.axes, shape)
        return Axes.parse("k" * (len(shape) - 2) + "io", shape) if 2 <= len(shape) <= 5 else None

    def _key(self) -> int:
        """The seed of one call."""
        if isinstance(self.seed, int):
            return self.seed
        words = keras.random.randint((4,), 0, 1 << 16, dtype="int32", seed=self.seed)
        numbers: Any = keras.ops.convert_to_numpy(words)
        return sum(int(word) << 16 * k for k, word in enumerate(numbers))

    def get_config(self) -> dict[str, Any]:
        """The arguments as plain data, for `from_config` and for saving."""
        seed = self.seed
        return {
            "axes": self.axes.to_dict() if isinstance(self.axes, Axes) else self.axes,
            "seed": seed if seed is None or isinstance(seed, int) else keras.saving.serialize_keras_object(seed),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The initializer that `get_config` describes.

        Raises:
            FaninTypeError: that is no mapping from names.
            FaninValueError: it has keys that the initializer does not take, or lacks one.
        """
        if not isinstance(config, Mapping) or not all(isinstance(key, str) for key in config):
            raise FaninTypeError(f"{cls.__name__}: config={config!r} cannot be used; give what get_config gave, a dict")
        parameters = inspect.signature(cls).parameters
        takes = list(parameters)
        lacking = [key for key, p in parameters.items() if p.default is p.empty and key not in config]
        unknown = sorted(set(config) - set(takes))
        if unknown:
            raise FaninValueError(
                f"{cls.__name__}: the config has the unknown key{'s' * (len(unknown) > 1)} {', '.join(map(repr, unknown))}; "
                f"it takes {', '.join(takes)}"
            )
        if lacking:
            raise FaninValueError(f"{cls.__name__}: the config lacks {', '.join(map(repr, lacking))}")
        return cls(**config)

    def clone(self) -> Self:
        """Another instance with the same arguments."""
        return self.from_config(self.get_config())


class RuleInitializer(Initializer):
    """An initializer of one rule; its classes are made from `fanin.rules`.

    Attributes:
        rule: the rule with its arguments.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        label, signature = type(self).__name__, inspect.signature(type(self))
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
            raise FaninTypeError(f"{label}: {error}; it takes {inspect.Signature(plain)}") from None
        super().__init__(**{key: given.pop(key) for key in EXTRA if key in given})
        factory = FACTORIES[self.RULE]
        self.rule: Rule = factory(**{key: _activation(value) for key, value in given.items()})

    def law(self, slot: Slot) -> Distribution:
        return self.rule(slot)

    def get_config(self) -> dict[str, Any]:
        return {**{key: _plain(value) for key, value in self.rule.arguments.items()}, **super().get_config()}

    def __repr__(self) -> str:
        return f"<fanin.keras.{type(self).__name__} {self.rule.spec}>"


@keras.saving.register_keras_serializable(package=PACKAGE)
class Drawn(Initializer):
    """An initializer of a distribution of `fanin.distributions`.

    Args:
        distribution: what to draw.
        axes, seed, name: as in all classes here.

    Example:
        >>> from fanin.distributions import Uniform
        >>> w = Drawn(Uniform(0.5), seed=0)((64, 32))
        >>> 0.45 < float(keras.ops.max(w)) <= 0.5
        True
    """

    def __init__(self, distribution: Any, *, axes: Any = None, seed: Any = None, name: str | None = None) -> None:
        super().__init__(axes=axes, seed=seed, name=name)
        if isinstance(distribution, Mapping):
            distribution = Distribution.from_dict(dict(distribution))
        if not isinstance(distribution, Distribution):
            raise FaninTypeError(
                f"Drawn: distribution={distribution!r} cannot be used; give one of fanin.distributions"
            )
        self.distribution = distribution

    def law(self, slot: Slot) -> Distribution:
        return self.distribution

    def get_config(self) -> dict[str, Any]:
        return {"distribution": self.distribution.to_dict(), **super().get_config()}


# -- arguments and plain data ------------------------------------------------------------------------------------------


def _owner(found: Asked | None) -> str:
    """Who asks, in words; empty for a call by hand."""
    if found is None:
        return ""
    return "Keras" if found.layer is None else f"the layer {type(found.layer).__name__}"


def _axes_given(what: str, axes: Any) -> str | Axes | None:
    if isinstance(axes, Mapping):
        return Axes.from_dict(dict(axes))
    if axes is not None and not isinstance(axes, str | Axes):
        raise FaninTypeError(f"{what}: axes={axes!r} cannot be used; give a text such as 'kkio', or None")
    return axes


def _seed_given(what: str, seed: Any) -> Any:
    if isinstance(seed, Mapping):
        seed = keras.saving.deserialize_keras_object(dict(seed))
    if seed is None or isinstance(seed, keras.random.SeedGenerator):
        return seed
    try:
        return check_seed(seed)
    except FaninError:
        raise FaninValueError(
            f"{what}: seed={seed!r} cannot be used; give an integer from 0 to 2**64 - 1, a keras.random.SeedGenerator, or None"
        ) from None


def _plain(value: Any) -> Any:
    """A rule's argument as plain data: an activation by its name, or by its table where it has none."""
    if not isinstance(value, Activation):
        return encode(value)
    if value.table is not None:
        return value.to_dict()
    inside = ", ".join(map(repr, value.parameters))
    return f"{value.name}({inside})" if str(value) != value.name else value.name


def _activation(value: Any) -> Any:
    return Activation.from_dict(dict(value)) if isinstance(value, Mapping) else value
