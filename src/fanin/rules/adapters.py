"""Low-rank adapters: the options of PEFT's LoRA that need neither data nor the weight beside them.

Those that read the base weight are no rules of a slot, but functions of weights: `fanin.torch.adapters_`, `fanin.draws.pissa`, `olora`,
`mica`. Those that read a quantized weight (LoftQ), data (EVA, CorDA) or gradients (LoRA-GA) are not here. MiSS starts at zero (`zeros()`),
(IA)³ at one (`ones()`).
"""

import math
import re

import numpy as np

from fanin.distributions import Built, Constant, Distribution, Normal
from fanin.draws.layout import block_shape, from_blocks, to_blocks
from fanin.errors import FaninValueError
from fanin.formulas import Source, builder
from fanin.rules.arguments import choice_check
from fanin.rules.constant import everywhere
from fanin.rules.fans import axes_of, fan
from fanin.rules.promise import Array, Promise, law, values
from fanin.rules.rule import rule
from fanin.rules.scaled import uniform_fan
from fanin.slots import Axes, Slot

READS_WEIGHT = ("pissa", "olora", "mica")
OPTIONS = ("default", "gaussian", "orthogonal", "both")
PATTERN = re.compile(r"lora_(embedding_)?(A|B)\b", re.IGNORECASE)  # PEFT's, torchtune's and loralib's names
DIVISOR = 10.0  # of the orthogonal option, as PEFT has it


def _factor(slot: Slot, factor: str | None) -> tuple[str, bool]:
    """("A" or "B", whether the adapted layer is an embedding)."""
    found = PATTERN.search(slot.name)
    if factor is None and found is None:
        raise FaninValueError(
            f"lora: it cannot be told from the name {slot.name!r} which factor this is; give factor, 'A' (reads the input) or 'B'"
        )
    return factor or found.group(2).upper(), bool(found and found.group(1))  # type: ignore[union-attr]


def _rank(slot: Slot, factor: str) -> int:
    """The adapter's rank: the outputs of A, the inputs of B."""
    fan(slot, "fan_geo_avg", "lora")
    _, out, in_, _ = block_shape(axes_of(slot, "lora"))
    return out if factor == "A" else in_


@builder
def disjoint_halves(axes: Axes, source: Source, factor: float) -> Array:
    """A = (X Q_odd)ᵀ / 10 (factor 0) or B = Y Q_even / 10 (factor 1), of one orthogonal Q: B A = 0, though neither is."""
    stack, out, in_, field = block_shape(axes)
    rank = in_ if factor else out
    q, r = np.linalg.qr(source("basis", (rank, rank)))
    q = q * np.sign(np.diag(r))
    half = q[1::2] if factor else q[0::2]
    wide = out if factor else in_ * field
    numbers = source("out" if factor else "in", (stack, wide, rank // 2)) @ half / DIVISOR
    return from_blocks((numbers if factor else numbers.swapaxes(-1, -2)).reshape(stack, out, in_, field), axes)


def _promise(slot: Slot, option: str, factor: str | None) -> tuple[Promise, ...]:
    which, embedding = _factor(slot, factor)
    if embedding:
        return (everywhere(0.0),) if which == "A" and option != "both" else (law(1.0),)
    if which == "B" and option in ("default", "gaussian"):
        return (everywhere(0.0),)
    rank = _rank(slot, which)
    if option == "gaussian":
        return (law(1.0 / rank),)
    if option != "orthogonal":
        return uniform_fan().promises(slot)
    axes = _even(slot, which)

    def used(weight: Array, slot: Slot) -> float:
        """Of the adapter's rank, how many directions this factor uses."""
        _, out, in_, field = block_shape(axes)
        return float(np.linalg.matrix_rank(to_blocks(weight, axes).reshape(-1, out, in_ * field), tol=1e-4).max())

    _, out, in_, field = block_shape(axes)
    wide = in_ * field if which == "A" else out
    return law(math.sqrt(0.5) / DIVISOR), values(
        min(rank // 2, wide), used, "half of the rank's directions are used, the other factor has the rest"
    )


def _even(slot: Slot, factor: str) -> Axes:
    rank = _rank(slot, factor)
    if rank % 2:
        raise FaninValueError(
            f"lora: option='orthogonal' needs an even rank, but {slot.name!r} of shape {slot.shape} has rank {rank}"
        )
    axes = axes_of(slot, "lora")
    if factor == "B" and axes.receptive_field > 1:
        raise FaninValueError(
            f"lora: option='orthogonal' cannot fill {slot.name!r} of shape {slot.shape}; B of a convolution's adapter has a kernel of 1"
        )
    return axes


def _option(rule: str, field: str, value: str) -> str:
    if isinstance(value, str) and value in READS_WEIGHT:
        raise FaninValueError(
            f"{rule}: {field}={value!r} is not known; it starts from the weight's values, which a rule does not see: use "
            f"fanin.torch.adapters_(model, {value!r}), fanin.jax.{value}(weight, rank) or fanin.keras.adapters_(model, {value!r})"
        )
    return choice_check(OPTIONS)(rule, field, value)


@rule(
    promise=_promise,
    checks={
        "option": _option,
        "factor": lambda rule, field, value: None if value is None else choice_check(("A", "B"))(rule, field, value),
    },
    samples=(
        *({"option": option, "factor": "A"} for option in OPTIONS),
        {"factor": "B"},
        {"option": "orthogonal", "factor": "B"},
    ),
)
def lora(slot: Slot, option: str = "default", factor: str | None = None) -> Distribution:
    """The two factors of a low-rank adapter, W + scaling · B A, in PEFT's options that read no data and no weight.

    With B zero the model starts as it was, and A's first gradient is zero: B moves first. "orthogonal" starts with both factors at work
    and still B A = 0, since they use different halves of an orthogonal basis of the rank; both factors must be drawn with one seed, and
    are taken to be of one adapter where their names agree before "lora_". "both" changes the model at once, and is for tests of adapters.
    Starts that read the weight's values are no rules: `fanin.torch.adapters_(model, "pissa")`, or "olora", "mica" (`fanin.draws.pissa`
    and so on have their formulas). LoftQ needs the quantized weight, and is not here.

    Formula:
        default: A ~ U(±1/√fan_in), B = 0 (He's uniform rule with slope √5);   gaussian: A ~ N(0, 1 / r²), B = 0;
        orthogonal: A = (X Q_odd)ᵀ / 10, B = Y Q_even / 10, X and Y ~ N(0, 1), Q a random rotation of the rank;
        both: A and B ~ U(±1/√fan_in);   embeddings: A = 0 (both: A ~ N(0, 1)), B ~ N(0, 1)

    Args:
        option: PEFT's `init_lora_weights`: "default" (True), "gaussian", "orthogonal", "both" (False).
        factor: "A" or "B"; None: as the weight's name says ("…lora_A.default.weight").

    Raises:
        FaninValueError: where the name does not tell the factor, for an odd rank with "orthogonal", and for a weight without axes.

    Promise:
        B A = 0 (but for "both"); A has the law of its option.

    Paper:
        Hu et al. 2021, "LoRA: low-rank adaptation of large language models", section 4.1; PEFT's `lora/layer.py`; the gaussian option
        after diffusers, the orthogonal one after Datta 2024 ("Rethinking LoRA initialisation").

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> a = draws.draw(lora("orthogonal"), (8, 30), seed=0, name="q.lora_A.weight")
        >>> b = draws.draw(lora("orthogonal"), (20, 8), seed=0, name="q.lora_B.weight")
        >>> bool(abs(b @ a).max() < 1e-6), bool(abs(a).max() > 0.1), bool(abs(b).max() > 0.1)
        (True, True, True)
    """
    which, embedding = _factor(slot, factor)
    if embedding:
        return Constant(0.0) if which == "A" and option != "both" else Normal(1.0)
    if which == "B" and option in ("default", "gaussian"):
        return Constant(0.0)
    if option == "orthogonal":
        found = PATTERN.search(slot.name)
        prefix = slot.name[: found.start()] if found else slot.name.rpartition(".")[0]
        return Built("disjoint_halves", _even(slot, which), (float(which == "B"),), f"{prefix}:lora")
    return Normal(1.0 / _rank(slot, which)) if option == "gaussian" else uniform_fan()(slot)
