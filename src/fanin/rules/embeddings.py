"""Tables that are looked up by index: tokens, entities, codes."""

import math

from fanin.distributions import Distribution, Normal, Uniform, ZeroRows
from fanin.errors import FaninValueError
from fanin.rules.arguments import flag_check
from fanin.rules.promise import Promise, law
from fanin.rules.requirement import Requirement
from fanin.rules.rule import rule
from fanin.slots import Slot


def _width(slot: Slot, name: str) -> int:
    """The length of a row."""
    if slot.axes is not None and slot.axes.size("lookup") > 1:
        width = slot.axes.size("out")
    else:
        width = slot.shape[-1] if len(slot.shape) == 2 else 0
    if width < 1 or not slot.size:
        raise FaninValueError(
            f"{name} cannot fill {slot.name!r} of shape {slot.shape}; it takes a table of shape (rows, width) with numbers in it"
        )
    return width


def _padded(slot: Slot, distribution: Distribution) -> Distribution:
    """The row of the padding token stays zero."""
    if slot.padding_index is None:
        return distribution
    return ZeroRows(distribution, (slot.padding_index % slot.shape[0],))


def _size(slot: Slot, std: float) -> Promise:
    """The deviation over the whole table, the padding's zeros included."""
    rows = slot.shape[0]
    return law(std * math.sqrt((rows - 1) / rows) if slot.padding_index is not None else std)


@rule(promise=lambda slot, std: (_width(slot, "embedding_normal"), _size(slot, std))[1:], samples=({}, {"std": 0.02}))
def embedding_normal(slot: Slot, std: float = 1.0) -> Distribution:
    """Gaussian rows of a given deviation; the padding row is zero.

    PyTorch draws N(0, 1), which suits a table whose rows are used as they are; GPT-2, BERT and most of transformers take 0.02,
    which suits one that a norm follows. A table that is also the head (tied) cannot be N(0, 1): its logits would have deviation √d.

    Formula:
        W ~ N(0, std²); the padding row 0

    Args:
        std: deviation, at least 0.

    Raises:
        FaninValueError: for a shape that is no table.

    Promise:
        The numbers have this deviation (over all rows but the padding's).

    Paper:
        Radford et al. 2019, "Language models are unsupervised multitask learners", code (0.02); PyTorch's `nn.Embedding` (1).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(embedding_normal(0.02), (1000, 64), seed=0, name="wte.weight", axes="vo")
        >>> round(float(w.std()), 3)
        0.02
    """
    _width(slot, "embedding_normal")
    return _padded(slot, Normal(std))


def _keras(slot: Slot, bound: float | None) -> Promise:
    _width(slot, "embedding_uniform")
    return _size(slot, (0.05 if bound is None else bound) / math.sqrt(3.0))


@rule(promise=_keras)
def embedding_uniform(slot: Slot, bound: float | None = None) -> Distribution:
    """Uniform rows, as Keras draws embeddings; the padding row is zero.

    Formula:
        W ~ U(-bound, bound); the padding row 0

    Args:
        bound: 0.05 where nothing is said, as in Keras (deviation 0.0289).

    Raises:
        FaninValueError: for a shape that is no table.

    Promise:
        The numbers have deviation bound / √3.

    Paper:
        None; Keras's `Embedding(embeddings_initializer="uniform")`.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(embedding_uniform(), (1000, 64), seed=0, name="embed", axes="vo")
        >>> round(float(w.std()), 3)
        0.029
    """
    _width(slot, "embedding_uniform")
    return _padded(slot, Uniform(0.05 if bound is None else bound))


@rule(
    promise=lambda slot, gain: _size(
        slot, (1.0 if gain is None else gain) / math.sqrt(_width(slot, "embedding_scaled"))
    )
)
def embedding_scaled(slot: Slot, gain: float | None = None) -> Distribution:
    """Gaussian rows of length about 1 (variance 1 / width), as Flax draws embeddings; the padding row is zero.

    Formula:
        W ~ N(0, gain² / width); the padding row 0

    Args:
        gain: length of a row (1 where nothing is said).

    Raises:
        FaninValueError: for a shape that is no table.

    Promise:
        The numbers have deviation gain / √width: rows have length gain.

    Paper:
        None; Flax's `Embed` (`variance_scaling(1.0, "fan_in", "normal", out_axis=0)`).

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> w = draws.draw(embedding_scaled(), (1000, 256), seed=0, name="embed", axes="vo")
        >>> round(float(np.mean((w ** 2).sum(1))), 2)
        1.0
    """
    return _padded(slot, Normal((1.0 if gain is None else gain) / math.sqrt(_width(slot, "embedding_scaled"))))


def _factor(slot: Slot, multiplied: bool) -> tuple[Requirement, ...]:
    if not multiplied:
        return ()
    value = math.sqrt(_width(slot, "embedding_tied"))
    return (
        Requirement("op_scale", slot.name, value, "looked-up rows are multiplied by the square root of their width"),
    )


@rule(
    promise=lambda slot, multiplied: _size(slot, 1.0 / math.sqrt(_width(slot, "embedding_tied"))),
    requires=_factor,
    checks={"multiplied": flag_check},
)
def embedding_tied(slot: Slot, multiplied: bool = False) -> Distribution:
    """A table that is also the head: as a head it must be of variance 1 / width, so that logits of normed signals have size 1.

    As an embedding it is then small: rows of length 1, numbers of 1 / √width. The Transformer multiplies what it looks up by
    √width for that reason (`multiplied`), so that the stream starts at size 1; where a norm follows at once it is not needed.

    Formula:
        W ~ N(0, 1 / width); the padding row 0

    Args:
        multiplied: whether the model multiplies looked-up rows by √width; the plan then requires it.

    Raises:
        FaninValueError: for a shape that is no table.

    Promise:
        The numbers have deviation 1 / √width: logits of signals of size 1 have size 1.

    Requires:
        With `multiplied`, looked-up rows that are multiplied by √width.

    Paper:
        Press & Wolf 2017, "Using the output embedding to improve language models" (tying); Vaswani et al. 2017, "Attention is
        all you need", section 3.4 (the factor √d).

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> w = draws.draw(embedding_tied(), (2000, 256), seed=0, name="wte.weight", axes="vo")
        >>> h = np.random.default_rng(0).standard_normal((50, 256))
        >>> round(float((h @ w.T).std()), 1)
        1.0
    """
    return _padded(slot, Normal(1.0 / math.sqrt(_width(slot, "embedding_tied"))))
