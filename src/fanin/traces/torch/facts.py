"""Facts of stored weights: one pass for the extremes, a bounded sample for everything else."""

import hashlib
import math

import numpy as np
import torch

from fanin.slots import Pairing, Slot
from fanin.traces.records import WeightFacts
from fanin.traces.torch.signals import gradient_rms

SAMPLE = 32_768  # numbers looked at for moments
GRAM_ROWS = 64  # rows compared for orthogonality
ABSURD = 1e10  # nobody initialises beyond this; float32 memory that nobody wrote often lies there
DENORMAL = 1e-30


def weight_facts(
    slot: Slot, parameter: torch.Tensor, bias: torch.Tensor | None, gradient: torch.Tensor | None, reached: bool | None
) -> WeightFacts:
    """The facts of one parameter; `bias` is that of the same op, `gradient` the loss gradient where there is one."""
    nan = math.nan
    if parameter.is_meta or parameter.numel() == 0 or parameter.is_complex():
        return WeightFacts(nan, nan, nan, nan, 0.0, nan, nan, 0, False, reached=reached)
    x = parameter.detach()
    if not x.is_floating_point():
        x = x.float()
    low, high = (float(v) for v in torch.aminmax(x))
    nonfinite = 0.0
    if not (math.isfinite(low) and math.isfinite(high)):
        nonfinite = float((~torch.isfinite(x)).double().mean())
    sample = _sample(x)
    finite = sample[np.isfinite(sample)]
    mean = float(finite.mean()) if finite.size else nan
    std = float(finite.std()) if finite.size else nan
    squares = np.square(finite - mean) if finite.size else finite
    kurtosis = float(np.mean(squares * squares)) / std**4 if finite.size and std > 0 else nan
    constant = low == high
    pairs, count = _duplicates(slot, x, bias) if not constant and not nonfinite else ((), 0)
    mirrored_out, mirrored_in = _mirrored(slot, x) if not constant and not nonfinite else (False, False)
    tiny = np.abs(finite) < DENORMAL
    return WeightFacts(
        std=std,
        mean=mean,
        low=low,
        high=high,
        nonfinite=nonfinite,
        zeros=float(np.mean(sample == 0.0)),
        kurtosis=kurtosis,
        sampled=int(finite.size),
        constant=constant,
        duplicate_units=pairs,
        duplicate_count=count,
        digest=hashlib.blake2b(sample.tobytes() + str(tuple(x.shape)).encode(), digest_size=12).hexdigest(),
        grad_rms=gradient_rms(gradient) if gradient is not None else nan,
        reached=reached,
        orthogonality=_orthogonality(slot, x, mirrored_out, mirrored_in) if not constant and not nonfinite else nan,
        mirrored_out=mirrored_out,
        mirrored_in=mirrored_in,
        uninitialised=bool(max(abs(low), abs(high)) > ABSURD and math.isfinite(low) and math.isfinite(high))
        or bool(np.mean(tiny & (finite != 0)) > 0.01 if finite.size else False),
        equal_gradients=_equal_gradients(slot, gradient, pairs),
    )


def _sample(x: torch.Tensor) -> np.ndarray:
    flat = x.reshape(-1) if x.is_contiguous() or x.numel() <= 4 * SAMPLE else x.flatten()
    step = -(-flat.numel() // SAMPLE)
    if step > 1:
        step |= 1  # an odd step does not run along one column of a matrix of even width
    return flat[::step].to(device="cpu", dtype=torch.float64).numpy()


def _matrix(slot: Slot, x: torch.Tensor) -> torch.Tensor | None:
    """The weight as (outputs with stacked blocks, everything else); None where its axes do not say."""
    if slot.axes is None or slot.role not in ("weight", "recurrent"):
        return None
    units = [k for k, axis in enumerate(slot.axes.factors) if any(f.role == "out" for f in axis)]
    if len(units) != 1 or any(f.role in ("in", "field") for f in slot.axes.factors[units[0]]):
        return None
    stacked = [k for k, axis in enumerate(slot.axes.factors) if k != units[0] and all(f.role == "stack" for f in axis)]
    order = [*stacked, units[0]]
    rest = [k for k in range(x.ndim) if k not in order]
    moved = x.permute(*order, *rest)
    rows = math.prod(x.shape[k] for k in order)
    return moved.reshape(rows, -1)


def _duplicates(slot: Slot, x: torch.Tensor, bias: torch.Tensor | None) -> tuple[tuple[tuple[int, int], ...], int]:
    """Pairs of units with equal incoming weights and biases, by a projection first and exactly then."""
    matrix = _matrix(slot, x)
    if matrix is None or matrix.shape[0] < 2 or matrix.shape[1] == 0:
        return (), 0
    rows = matrix.float()
    weights = torch.sin(torch.arange(1, rows.shape[1] + 1, device=x.device, dtype=torch.float32) * 1.7)
    keys = rows @ weights
    if bias is not None and bias.numel() == keys.numel() and bias.is_floating_point():
        keys = keys + 0.618 * bias.detach().reshape(-1).float()
    else:
        bias = None
    ordered, index = torch.sort(keys)
    near = torch.nonzero(ordered[1:] == ordered[:-1]).reshape(-1).tolist()
    pairs: list[tuple[int, int]] = []
    for i in near:
        a, b = sorted((int(index[i]), int(index[i + 1])))
        equal = torch.equal(matrix[a], matrix[b]) and bool(matrix[a].ne(0).any())
        if equal and (bias is None or bool(bias.reshape(-1)[a] == bias.reshape(-1)[b])):
            pairs.append((a, b))
    return tuple(pairs[:8]), len(pairs)


def _equal_gradients(slot: Slot, gradient: torch.Tensor | None, pairs: tuple[tuple[int, int], ...]) -> bool | None:
    if gradient is None or not pairs:
        return None
    matrix = _matrix(slot, gradient)
    if matrix is None:
        return None
    return all(
        bool(torch.allclose(matrix[a], matrix[b], rtol=1e-3, atol=float(matrix[a].abs().max()) * 1e-4))
        for a, b in pairs
    )


def _mirrored(slot: Slot, x: torch.Tensor) -> tuple[bool, bool]:
    """Whether outputs, and inputs, come in exactly opposite halves."""
    matrix = _matrix(slot, x)
    if matrix is None or slot.axes is None or matrix.shape[0] < 2:
        return False, False
    half = matrix.shape[0] // 2
    step = max(1, half // 16)
    out = torch.equal(matrix[:half:step], -matrix[half : 2 * half : step]) and bool(matrix[: half or 1].ne(0).any())
    inputs = [k for k, axis in enumerate(slot.axes.factors) if any(f.role == "in" for f in axis)]
    if len(inputs) != 1:
        return out, False
    pairing = slot.chain.in_pairing if slot.chain is not None else None
    columns = x.movedim(inputs[0], 0)
    columns = columns.reshape(columns.shape[0], -1)
    if pairing is None or pairing.outer * pairing.units * pairing.inner != columns.shape[0]:
        pairing = Pairing(columns.shape[0])
    cube = columns.reshape(pairing.outer, pairing.units, pairing.inner, -1)
    half = pairing.units // 2
    if half == 0:
        return out, False
    first, second = cube[:, :half, :, :32], cube[:, half : 2 * half, :, :32]
    return out, torch.equal(first, -second) and bool(first.ne(0).any())


def _orthogonality(slot: Slot, x: torch.Tensor, mirrored_out: bool, mirrored_in: bool) -> float:
    """Off-diagonal rms of the normalised Gram matrix of the smaller side, times sqrt of the larger side."""
    matrix = _matrix(slot, x)
    if matrix is None or slot.axes is None or slot.axes.size("stack") > 1 or min(matrix.shape) < 4:
        return math.nan
    if mirrored_out:
        matrix = matrix[: matrix.shape[0] // 2]
    if mirrored_in and slot.op == "linear" and slot.chain is not None and slot.chain.in_pairing is not None:
        pairing = slot.chain.in_pairing
        if pairing.outer == pairing.inner == 1:
            inputs = x.ndim - 1 if slot.axes.factors[-1][0].role == "in" else 0
            if inputs == x.ndim - 1:
                matrix = matrix[:, : pairing.units // 2]
    rows = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    long = rows.shape[1]
    if long > 16_384 or rows.shape[0] < 2:
        return math.nan
    rows = rows[:GRAM_ROWS].double()
    rows = rows[rows.ne(0).any(dim=1)]
    if rows.shape[0] < 2:
        return math.nan
    rows = rows / rows.norm(dim=1, keepdim=True)
    gram = rows @ rows.T
    n = gram.shape[0]
    off = gram - torch.diag(torch.diag(gram))
    return math.sqrt(float(off.square().sum()) / (n * (n - 1))) * math.sqrt(long)
