"""Biases of gates, which say how long a recurrent layer remembers."""

import math

import numpy as np

from fanin.distributions import Built, Constant, Distribution, Formula, Stack
from fanin.errors import FaninValueError
from fanin.formulas import Places, Source, builder, formula
from fanin.rules.arguments import number_check, whole_check
from fanin.rules.blocks import cut, stacked
from fanin.rules.constant import everywhere
from fanin.rules.promise import Array, Promise, values
from fanin.rules.recurrent import COUNT, count_gates
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot

FORGET = 1  # the forget gate of torch, Keras and Flax (i, f, g, o), and the update gate of torch and Flax (r, z, n)
INPUT = 0


def _keeps(slot: Slot, gates: int | None, rule: str) -> int:
    """How many gates a bias holds; an LSTM's four for a bare tensor."""
    if gates is None and slot.op is not None and slot.parts not in COUNT:
        raise FaninValueError(
            f"{rule}: {slot.name!r} is no bias of an LSTM or GRU (op {slot.op!r}); give gates where a cell written by hand stacks them"
        )
    count = count_gates(slot, gates)
    return count if count > 1 else 4


def is_second_bias(slot: Slot) -> bool:
    """Whether it is the second of two biases that torch's layers add up (`bias_hh…`, beside `bias_ih…`)."""
    return slot.name.rpartition(".")[2].startswith("bias_hh")


def _bias_law(slot: Slot, rule: str, laws: dict[int, Distribution], gates: int | None) -> Distribution:
    """The laws of some gates of a bias, zeros for the others; all zeros for a second bias that is added to it.

    Keras keeps a GRU's two biases as the rows of one weight: the first row gets the laws.
    """
    if is_second_bias(slot):
        return Constant(0.0)
    if len(slot.shape) not in (1, 2) or (len(slot.shape) == 2 and slot.shape[0] != 2):
        raise FaninValueError(
            f"{rule} cannot fill {slot.name!r} of shape {slot.shape}; it takes the bias of a recurrent layer"
        )
    axis, blocks = cut(slot, rule, _keeps(slot, gates, rule), "gates")
    if max(laws, default=0) >= len(blocks):
        raise FaninValueError(f"{rule}: {slot.name!r} has {len(blocks)} gates, and gate {max(laws)} is asked for")
    made = stacked(tuple(laws.get(k, Constant(0.0)) for k in range(len(blocks))), blocks, axis)
    return made if len(slot.shape) == 1 else Stack((made, Constant(0.0)), (1, 1), 0)


def _gate(weight: Array, index: int, gates: int) -> Array:
    """The numbers of one gate, both of Keras's rows added up."""
    row = weight.sum(axis=0) if weight.ndim == 2 else weight
    return row.reshape(gates, -1)[index]


def _memory_promise(slot: Slot, value: float, gate: int, gates: int | None) -> tuple[Promise, ...]:
    if is_second_bias(slot):
        return (everywhere(0.0),)
    count = _keeps(slot, gates, "forget_bias")

    def memory(weight: Array, slot: Slot) -> float:
        """Steps after which 1/e of a state is left, where the gate sees nothing but its bias (to first order 1 / (1 - σ))."""
        return float(np.mean(1.0 / (1.0 - 1.0 / (1.0 + np.exp(-_gate(weight, gate, count))))))

    def rest(weight: Array, slot: Slot) -> float:
        return float(max(np.abs(_gate(weight, k, count)).max() for k in range(count) if k != gate))

    steps = 1.0 + math.exp(value)
    return (
        values(steps, memory, f"a state is remembered for {steps:.3g} steps", 1e-5 * steps),
        values(0.0, rest, "the other gates are zero"),
    )


@rule(
    promise=_memory_promise,
    checks={
        "value": number_check("a finite number of at most 80", lambda x: x <= 80),
        "gate": whole_check(0),
        "gates": whole_check(2, optional=True),
    },
)
def forget_bias(slot: Slot, value: float = 1.0, gate: int = FORGET, gates: int | None = None) -> Distribution:
    """The forget gate's bias at a value, the other gates at zero: at the start the cell keeps most of its state.

    torch's layers add two biases, `bias_ih` and `bias_hh`: the first gets the value, the second zeros, so that the sum is what was
    asked for. (Setting "every bias" to 1, as often done by hand, makes it 2.)

    Formula:
        b_f = value, b_i = b_g = b_o = 0

    Args:
        value: the bias. σ(1) = .73 keeps a state for about 4 steps, σ(5) for 150.
        gate: which block is the forget gate: 1 in LSTMs of torch, Keras and Flax. For GRUs it is the update gate, which keeps the old
            state: 1 in torch and Flax, 0 in Keras.
        gates: how many blocks there are; None: as the traced layer says, 4 for a bare tensor.

    Raises:
        FaninValueError: for a weight that is no bias of a recurrent layer.

    Promise:
        A state is remembered for 1 + e^value steps; all other gates are zero.

    Paper:
        Gers, Schmidhuber & Cummins 2000, "Learning to forget"; Jozefowicz, Zaremba & Sutskever 2015, "An empirical exploration of
        recurrent network architectures", section 2.2.

    Example:
        >>> from fanin import draws
        >>> draws.draw(forget_bias(), (8,), seed=0, name="bias_ih_l0").tolist()
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    return _bias_law(slot, "forget_bias", {gate: Constant(value)}, gates)


@builder
def chrono_gates(
    axes: Axes, source: Source, gates: float, keep: float, low: float, high: float, coupled: float
) -> Array:
    """Biases of all gates: log of a uniform time for the one that keeps, its negative for the input gate."""
    units = axes.shape[-1] // int(gates)
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    bias = np.zeros((int(gates), units))
    bias[int(keep)] = np.log(middle + half * source("times", (units,), "uniform"))
    if coupled:
        bias[INPUT] = -bias[int(keep)]
    return bias.reshape(axes.shape)


def _is_gru(slot: Slot, gates: int | None) -> bool:
    return _keeps(slot, gates, "chrono") == 3


def _chrono_promise(slot: Slot, t_max: float, t_min: float, gate: int, gates: int | None) -> tuple[Promise, ...]:
    if is_second_bias(slot):
        return (everywhere(0.0),)
    count = _keeps(slot, gates, "chrono")

    def memory(weight: Array, slot: Slot) -> float:
        return float(np.mean(1.0 + np.exp(_gate(weight, gate, count))))

    def range_(weight: Array, slot: Slot) -> float:
        """How far the shortest and the longest memory are outside of what is promised."""
        steps = 1.0 + np.exp(_gate(weight, gate, count))
        return float(max(0.0, 1.0 + t_min - steps.min(), steps.max() - t_max))

    def uncoupled(weight: Array, slot: Slot) -> float:
        return float(np.abs(_gate(weight, gate, count) + _gate(weight, INPUT, count)).max())

    mean = (1.0 + t_min + t_max) / 2.0
    promised = (
        values(mean, memory, f"a unit remembers for {mean:.4g} steps on average", 0.1 * mean),
        values(0.0, range_, f"none less than {1 + t_min:.4g} or more than {t_max:.4g}", 1e-4 * t_max),
    )
    return promised if count == 3 else (*promised, values(0.0, uncoupled, "what a gate keeps and lets in adds up to 1"))


@rule(
    promise=_chrono_promise,
    checks={
        "t_max": number_check("a finite number above 1", lambda x: x > 1),
        "t_min": number_check("a finite number above 0", lambda x: x > 0),
        "gate": whole_check(0),
        "gates": whole_check(2, optional=True),
    },
    samples=({"t_max": 100.0},),
)
def chrono(slot: Slot, t_max: float, t_min: float = 1.0, gate: int = FORGET, gates: int | None = None) -> Distribution:
    """Forget gates that remember for every length of time up to the longest that the task has.

    A leaky unit that keeps the share σ(b) of its state remembers for 1 + e^b steps. Spread evenly over the range of the task, the
    units together are ready for any warping of time. The input gate lets in what the forget gate lets go, b_i = -b_f.

    Formula:
        u ~ U(t_min, t_max - 1),  b_f = log u,  b_i = -b_f,  b_g = b_o = 0;   GRU: b_z = log u, the others 0

    Args:
        t_max: the longest dependency of the task, in steps (the length of the sequences, where nothing better is known).
        t_min: the shortest time, less one.
        gate: which block keeps the state, as `forget_bias` takes it (a Keras GRU's is 0).
        gates: how many blocks there are; None: as the traced layer says, 4 for a bare tensor.

    Raises:
        FaninValueError: for a weight that is no bias of a recurrent layer, and for t_min above t_max - 1.

    Promise:
        The memories of the units, 1 + e^b steps, are uniform between 1 + t_min and t_max; in an LSTM what is kept and what is let in
        add up to 1.

    Paper:
        Tallec & Ollivier 2018, "Can recurrent neural networks warp time?", section 2.3. The paper's GRU lets in by its update gate,
        hence its sign; torch, Keras and Flax keep by it.

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> b = draws.draw(chrono(100), (4000,), seed=0, name="bias_ih_l0")
        >>> steps = 1 + np.exp(b[1000:2000])
        >>> bool(steps.min() >= 2), bool(steps.max() <= 100), round(float(steps.mean()), -1), float(abs(b[:1000] + b[1000:2000]).max())
        (True, True, 50.0, 0.0)
    """
    if t_min > t_max - 1:
        raise FaninValueError(f"chrono: t_min={t_min!r} must be at most t_max - 1 = {t_max - 1!r}")
    count, coupled = _keeps(slot, gates, "chrono"), not _is_gru(slot, gates)
    if coupled and gate == INPUT:
        raise FaninValueError(f"chrono: gate={gate!r} is the input gate of an LSTM; give the gate that keeps the state")
    _bias_law(slot, "chrono", {gate: Constant(0.0)}, gates)  # raises where the weight is no such bias
    if is_second_bias(slot):
        return Constant(0.0)
    axes = Axes.parse("o", slot.shape[-1:]) if len(slot.shape) == 1 else Axes.parse("so", (1, slot.shape[-1]))
    made = Built("chrono_gates", axes, tuple(float(x) for x in (count, gate, t_min, t_max - 1, coupled)))
    return made if len(slot.shape) == 1 else Stack((made, Constant(0.0)), (1, 1), 0)


@formula
def even_steps(places: Places, shape: tuple[int, ...], axes: Axes | None, low: float, high: float) -> Array:
    """From low to high in equal steps along the last axis."""
    return low + (high - low) * places[-1] / max(1, shape[-1] - 1)


def _linspace_promise(slot: Slot, low: float, high: float) -> tuple[Promise, ...]:
    if is_second_bias(slot):
        return (everywhere(0.0),)
    gated = slot.parts in COUNT

    def gate(weight: Array) -> Array:
        return (
            _gate(weight, FORGET, COUNT[slot.parts])
            if gated and slot.parts
            else weight.reshape(-1, weight.shape[-1])[0]
        )

    def uneven(weight: Array, slot: Slot) -> float:
        """How unequal the factors between the memories (1 + e^b ≈ e^b) of neighbouring units are, in the log."""
        return float(np.abs(np.diff(gate(weight), 2)).max(initial=0.0))

    def ends(weight: Array, slot: Slot) -> float:
        found = gate(weight)
        return float(
            max(abs(found.min() - min(low, high)), abs(found.max() - max(low, high)) if found.size > 1 else 0.0)
        )

    size = 1e-5 * (1.0 + abs(low) + abs(high))
    return (
        values(0.0, uneven, "each unit remembers longer than the one before by one factor", size),
        values(0.0, ends, f"from e^{low:g} to e^{high:g} steps", size),
    )


@rule(
    promise=_linspace_promise,
    checks={
        "low": number_check("a finite number", lambda x: True),
        "high": number_check("a finite number", lambda x: True),
    },
)
def linspace_bias(slot: Slot, low: float = 3.0, high: float = 6.0) -> Distribution:
    """xLSTM's forget gates: biases in equal steps over the heads, so that each remembers longer than the one before.

    Of a bias that holds several gates, the forget gate gets them and the others zero; a gate's own bias is filled as a whole. The
    function of xLSTM's code starts at 3.4 by default, but its cell calls it with 3, and so does this rule.

    Formula:
        b_k = low + (high - low) · k / (n - 1), k = 0 … n - 1

    Args:
        low, high: the first and the last bias.

    Raises:
        FaninValueError: for a weight without elements.

    Promise:
        The units' memories e^b grow by one factor from each to the next, from e^low to e^high steps.

    Paper:
        Beck et al. 2024, "xLSTM: extended long short-term memory", code of the mLSTM cell (`bias_linspace_init_`).

    Example:
        >>> from fanin import draws
        >>> draws.draw(linspace_bias(), (4,), seed=0, name="fgate.bias").tolist()
        [3.0, 4.0, 5.0, 6.0]
    """
    law = Formula("even_steps", (low, high))
    if slot.parts in COUNT:
        return _bias_law(slot, "linspace_bias", {FORGET: law}, None)
    if not slot.shape or slot.size == 0:
        raise FaninValueError(
            f"linspace_bias cannot fill {slot.name!r} of shape {slot.shape}; it takes a bias of some units"
        )
    return Constant(0.0) if is_second_bias(slot) else law
