"""Draws into Keras 3 variables, in place: `fill_`, on the JAX and PyTorch backends without a detour, on others by NumPy.

A Keras variable is the backend's array, so a weight has the layout and the sharding that the backend gives it; what its
axes mean ("io" for `Dense`, "kkio" for a convolution) is said by `axes`, as everywhere.
"""

from collections.abc import Callable
from typing import Any

from fanin.distributions import Distribution
from fanin.draws.numpy import draw, law_of
from fanin.errors import FaninTypeError
from fanin.slots import Axes, Slot


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
    import keras  # here: importing it chooses the backend

    if not isinstance(variable, keras.Variable):
        raise FaninTypeError(f"variable={type(variable).__name__} cannot be used; give a keras.Variable")
    shape, label = tuple(variable.shape), variable.path if name is None else name
    dtype = keras.backend.standardize_dtype(variable.dtype)
    law = law_of(rule, shape, label, axes if axes != "io" or len(shape) == 2 else "oi", dtype)
    match keras.backend.backend():
        case "torch":
            from fanin.draws.torch import fill_ as fill_tensor

            fill_tensor(variable.value, law, seed=seed, name=label)
        case "jax":
            from fanin.draws.jax import draw as draw_array

            sharding = variable.value.sharding
            variable.assign(draw_array(law, shape, seed=seed, name=label, dtype=dtype, sharding=sharding))
        case _:
            variable.assign(draw(law, shape, seed=seed, name=label, dtype=dtype))
    return variable
