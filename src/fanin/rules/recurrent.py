"""Recurrent layers: each gate's matrix a weight of its own, and the identity from state to state."""

import numpy as np

from fanin.distributions import Distribution, Identity
from fanin.draws.layout import to_blocks
from fanin.errors import FaninValueError
from fanin.rules.arguments import number_check, whole_check
from fanin.rules.blocks import cut, inner_check, inner_laws, stack_of, stacked, worst
from fanin.rules.fans import axes_of
from fanin.rules.promise import Array, Promise, spectrum, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot

COUNT = {"lstm": 4, "gru": 3}


def count_gates(slot: Slot, gates: int | None) -> int:
    """How many gates the weight holds: as said, as the trace saw it, or as its axes are stacked; 1 where nothing tells."""
    return gates or COUNT.get(slot.parts or "", 0) or stack_of(slot)


def _block_promise(slot: Slot, inner: str, gates: int | None) -> Promise:
    axis, blocks = cut(slot, "gate_blocks", count_gates(slot, gates), "gates")
    return worst(inner, blocks, axis)


@rule(
    aliases=("orthogonal_gates",),
    promise=_block_promise,
    checks={"inner": inner_check, "gates": whole_check(1, optional=True)},
    samples=({}, {"inner": "xavier_uniform"}),
)
def gate_blocks(slot: Slot, inner: str = "orthogonal", gates: int | None = None) -> Distribution:
    """Each gate of a fused recurrent weight drawn for itself, by a rule for all gates or one for each.

    LSTMs and GRUs store their gates as one weight, (4H, H) or (3H, H). As a whole such a weight can be orthogonal, but then no gate's
    own matrix is: of an LSTM with H units the singular values of a gate lie between nearly 0 and 1. Fans that are read from the whole
    are too large, likewise.

    Formula:
        W = [W_1; …; W_gates], W_g ~ inner(block g)

    Args:
        inner: spec of the rule for each gate, or one for each gate with ";" between, in the order in which the framework stacks them
            ("orthogonal; orthogonal; xavier_uniform; orthogonal").
        gates: how many there are; None: as the traced layer or the axes say.

    Raises:
        FaninValueError: for a weight that cannot be cut into so many gates, or where a rule cannot serve a gate.

    Promise:
        Each gate's block keeps the promise of its own rule.

    Paper:
        Saxe, McClelland & Ganguli 2014 (orthogonal weights); Henaff, Szlam & LeCun 2016, "Recurrent orthogonal networks and
        long-memory tasks"; per gate as in the baselines of Cooijmans et al. 2017.

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> w = draws.draw(gate_blocks(gates=4), (32, 8), seed=0, name="weight_hh_l0", dtype="float64")
        >>> np.linalg.svd(w.reshape(4, 8, 8), compute_uv=False).round(6).min(axis=1).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    axis, blocks = cut(slot, "gate_blocks", count_gates(slot, gates), "gates")
    return stacked(inner_laws(inner, blocks, "gate_blocks"), blocks, axis)


def _square(slot: Slot, rule: str) -> Axes:
    axes = axes_of(slot, rule)
    if axes.size("out") != axes.size("in") or axes.receptive_field > 1 or axes.size("out") < 1:
        raise FaninValueError(
            f"{rule} cannot fill {slot.name!r} of shape {slot.shape} (axes {axes.spec!r}); it takes the square matrix from state to "
            "state"
        )
    return axes


def _irnn_promise(slot: Slot, gain: float) -> tuple[Promise, ...]:
    axes = _square(slot, "irnn")

    def error(weight: Array, slot: Slot) -> float:
        """A state of positive numbers after three steps of ReLU without input, against what it was."""
        state = start = np.random.default_rng(0).random(axes.size("in"))
        for _ in range(3):
            state = np.maximum(to_blocks(weight, axes)[0, :, :, 0] @ state, 0.0)
        return float(np.abs(state - gain**3 * start).max())

    return spectrum(abs(gain)), values(
        0.0, error, "without input a state is kept as it is, times gain a step", 1e-5 * (1 + gain**2)
    )


@rule(promise=_irnn_promise, checks={"gain": number_check("a finite number of at least 0", lambda x: x >= 0)})
def irnn(slot: Slot, gain: float = 1.0) -> Distribution:
    """The identity from state to state, for plain recurrent layers of ReLU: a state stays until something is added to it.

    The paper draws the weights of the inputs from N(0, .001²) (`normal(std=.001)`) and sets biases to zero.

    Formula:
        W_hh = gain · I

    Args:
        gain: below 1 for tasks of short memory (the paper's iRNN with .01 · I for speech).

    Raises:
        FaninValueError: for a weight that is not square.

    Promise:
        Without input, a state of ReLU units is multiplied by gain at every step; all singular values are gain.

    Paper:
        Le, Jaitly & Hinton 2015, "A simple way to initialize recurrent networks of rectified linear units", section 4.

    Example:
        >>> from fanin import draws
        >>> draws.draw(irnn(), (3, 3), seed=0, name="weight_hh_l0").tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return Identity(_square(slot, "irnn"), gain)
