"""Draws for Keras 3: `draw` as the backend's own array, `fill_` into a variable in place.

On the JAX and PyTorch backends there is no detour; for others NumPy draws. A Keras variable is the backend's array, so a
weight has the layout and the sharding that the backend gives it; what its axes mean ("io" for `Dense`, "kkio" for a
convolution) is said by `axes`, as everywhere.
"""

from collections.abc import Callable
from typing import Any

from fanin.distributions import Distribution
from fanin.draws.dtypes import DTYPES
from fanin.draws.largest import check_size
from fanin.draws.numpy import draw as draw_numpy
from fanin.draws.numpy import law_of
from fanin.draws.precheck import check_whole
from fanin.errors import FaninTypeError
from fanin.slots import Axes, Slot


def draw(
    law: Distribution,
    shape: tuple[int, ...],
    *,
    seed: int,
    name: str,
    dtype: str = "float32",
    layout: Any = None,
) -> Any:
    """A new array of the backend with the numbers of one weight, on the backend's present device.

    Args:
        law: what to draw, a record of `fanin.distributions`.
        shape: of the whole weight.
        seed: an integer from 0 to 2**64 - 1.
        name: the weight's name.
        dtype: the name of a floating-point type.
        layout: where Keras distributes the weight: a `keras.distribution.TensorLayout` or a sharding of JAX. Each device draws
            its own part.

    Returns:
        A tensor (PyTorch), an array (JAX), or what the backend makes of a NumPy array.

    Raises:
        FaninTypeError, FaninValueError: for an argument that cannot be used.
    """
    import keras  # here: importing it chooses the backend

    dtype = float_name(dtype)
    check_size(law, dtype)
    check_whole(law, shape, name, dtype)
    match keras.backend.backend():
        case "torch":
            from fanin.draws.torch import draw as draw_tensor

            sample: Any = keras.ops.convert_to_tensor(0.0, dtype=dtype)  # is where Keras puts its variables
            place = "cpu" if sample.is_meta else sample.device
            return draw_tensor(law, shape, seed=seed, name=name, dtype=sample.dtype, device=place)
        case "jax":
            from fanin.draws.jax import draw as draw_array

            # Without jax_enable_x64 Keras makes float64 float32, with JAX's warning; so does this.
            held: Any = keras.ops.convert_to_tensor(0.0, dtype=dtype)
            dtype = keras.backend.standardize_dtype(held.dtype)
            placed = getattr(layout, "backend_layout", layout)
            return draw_array(law, shape, seed=seed, name=name, dtype=dtype, sharding=placed)
    return keras.ops.convert_to_tensor(draw_numpy(law, shape, seed=seed, name=name, dtype=dtype), dtype=dtype)


def float_name(dtype: Any) -> str:
    """The name of a dtype that holds weights, Keras's default where None.

    Raises:
        FaninTypeError: it is another one, or none.
    """
    import keras

    try:
        name = keras.backend.standardize_dtype(dtype)
    except (ValueError, TypeError, AttributeError):
        name = ""
    if name not in DTYPES:
        raise FaninTypeError(f"dtype={dtype!r} cannot be used; accepted are {', '.join(DTYPES)}")
    return name


def fill_(
    variable: Any,
    rule: Distribution | Callable[[Slot], Distribution],
    *,
    seed: int,
    name: str | None = None,
    axes: str | Axes = "io",
) -> Any:
    """Fill a Keras variable in place with the numbers of one weight.

    Args:
        variable: a `keras.Variable`, built.
        rule: a rule (see `fanin.rules`), or a distribution.
        seed: an integer from 0 to 2**64 - 1.
        name: the weight's name; the variable's path if None.
        axes: what each axis means, as in `fanin.draws.draw`.

    Returns:
        The variable.

    Raises:
        FaninTypeError: not a Keras variable, or one of a dtype that cannot hold a weight.
    """
    import keras

    if not isinstance(variable, keras.Variable):
        raise FaninTypeError(f"variable={type(variable).__name__} cannot be used; give a keras.Variable")
    shape, label = tuple(variable.shape), variable.path if name is None else name
    dtype = float_name(variable.dtype)
    law = law_of(rule, shape, label, axes if axes != "io" or len(shape) == 2 else "oi", dtype)
    check_size(law, dtype)
    check_whole(law, shape, label, dtype)
    if keras.backend.backend() == "torch":
        from fanin.draws.torch import fill_ as fill_tensor

        fill_tensor(variable.value, law, seed=seed, name=label)
    else:
        layout = getattr(variable.value, "sharding", None)  # JAX's arrays have one
        variable.assign(draw(law, shape, seed=seed, name=label, dtype=dtype, layout=layout))
    return variable
