"""The same quantities measured on a real PyTorch model: singular values and kernels by products, never by the matrix."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fanin.activations import Array
from fanin.errors import FaninTypeError, FaninValueError

MOST_EXACT = 4096  # Lanczos steps that keep all their vectors; a Jacobian with a side below this can be had whole


@dataclass(frozen=True)
class MeasuredJacobian:
    """What products with a Jacobian J (out × in) tell of it.

    Attributes:
        mean: mean squared singular value over the smaller side: tr(J Jᵀ) / min(out, in).
        variance: their variance.
        mean_error, variance_error: standard errors of the two, of the random probes.
        singular_values: Ritz values, falling; all of them, exactly, where `steps` reaches the smaller side.
        shape: (out, in), all axes of one example's output and input together.
    """

    mean: float
    variance: float
    mean_error: float
    variance_error: float
    singular_values: Array
    shape: tuple[int, int]


def measure_jacobian(
    model: Callable[..., Any], x: torch.Tensor, probes: int = 32, steps: int = 64, seed: int = 0
) -> MeasuredJacobian:
    """Singular values of ∂ model(x) / ∂x for one example, by Jacobian-vector and vector-Jacobian products.

    Hutchinson 1990: E vᵀ (J Jᵀ) v = tr J Jᵀ for random signs v; |Jᵀ v|² and |J Jᵀ v|² give the first two moments, and Golub &
    Kahan's bidiagonalisation with full reorthogonalisation (1965) gives the ends of the spectrum, or all of it for as many
    steps as the smaller side. No Jacobian is formed: memory is `steps` vectors.

    Args:
        model: a module or function of one tensor; run as it is (call `eval()` first for batch norm and dropout).
        x: one example, with its batch axis of 1 where the model wants one.
        probes: random vectors for the two moments.
        steps: Lanczos steps; 0 for none.
        seed: of the probes.

    Raises:
        FaninTypeError: x is not a floating-point tensor, or the model does not return one tensor.
        FaninValueError: no probes, or negative steps.

    Example:
        >>> import torch
        >>> measure_jacobian(lambda x: 2 * x, torch.ones(5)).singular_values.round(6).tolist()
        [2.0, 2.0, 2.0, 2.0, 2.0]
    """
    if not (isinstance(x, torch.Tensor) and x.is_floating_point()):
        raise FaninTypeError(f"x must be a floating-point tensor, but is {type(x).__name__}")
    if probes < 1 or steps < 0:
        raise FaninValueError(f"probes={probes} must be at least 1 and steps={steps} at least 0")
    forward, backward, rows, columns = _products(model, x)
    side = min(rows, columns)
    rng = np.random.default_rng(seed)
    first, second = [], []
    wide = columns >= rows  # probe the smaller side, whose trace has as many terms as there are singular values
    for _ in range(probes):
        v = torch.as_tensor(rng.choice([-1.0, 1.0], size=side), dtype=x.dtype, device=x.device)
        half = backward(v) if wide else forward(v)
        whole = forward(half) if wide else backward(half)
        first.append(float(half.double().square().sum()) / side)
        second.append(float(whole.double().square().sum()) / side)
    a, b = np.array(first), np.array(second)
    error = (float(v.std(ddof=1) / math.sqrt(probes)) if probes > 1 else math.inf for v in (a, b - 2 * a.mean() * a))
    mean_error, variance_error = error
    ways = (
        (backward, forward) if wide else (forward, backward)
    )  # start on the smaller side: no null space there to lose steps in
    values = _bidiagonalised(*ways, side, min(steps, side), x, rng) if steps else np.zeros(0)
    mean, variance = float(a.mean()), float(b.mean() - a.mean() ** 2)
    if len(values) == side:  # all are known: no estimate is needed
        squares = np.square(values)
        mean, variance, mean_error, variance_error = float(squares.mean()), float(squares.var()), 0.0, 0.0
    return MeasuredJacobian(mean, variance, mean_error, variance_error, values, (rows, columns))


def _products(model: Callable[..., Any], x: torch.Tensor) -> tuple[Callable, Callable, int, int]:
    """v ↦ J v, v ↦ Jᵀ v on flat vectors, and the two sides."""
    x = x.detach()
    y, pull = torch.func.vjp(model, x)[:2]
    if not isinstance(y, torch.Tensor):
        raise FaninTypeError(f"model must return one tensor, but returned {type(y).__name__}")

    def forward(v: torch.Tensor) -> torch.Tensor:
        return torch.func.jvp(model, (x,), (v.reshape(x.shape),))[1].detach().reshape(-1)

    def backward(v: torch.Tensor) -> torch.Tensor:
        return pull(v.reshape(y.shape))[0].detach().reshape(-1)

    return forward, backward, y.numel(), x.numel()


def _bidiagonalised(
    forward: Callable, backward: Callable, columns: int, steps: int, x: torch.Tensor, rng: np.random.Generator
) -> Array:
    """Singular values of the bidiagonal matrix that `steps` products in turn make."""
    right: list[torch.Tensor] = []
    left: list[torch.Tensor] = []
    v = _fresh(columns, right, x, rng)
    upper, diagonal = [], []
    for k in range(steps):
        right.append(v)
        u = _orthogonal(forward(v) - (upper[-1] * left[-1] if k and upper[-1] else 0.0), left)
        alpha = float(u.norm())
        u = u / alpha if alpha > 1e-12 else _fresh(u.numel(), left, x, rng)
        diagonal.append(alpha if alpha > 1e-12 else 0.0)
        left.append(u)
        if k + 1 == steps:
            break
        v = _orthogonal(backward(u) - diagonal[-1] * right[-1], right)
        beta = float(v.norm())
        scale = max(abs(d) for d in diagonal) or 1.0
        if beta > 1e-6 * scale:
            v = v / beta
        else:  # an invariant subspace is closed: go on in what is left
            beta, v = 0.0, _fresh(columns, right, x, rng)
        upper.append(beta)
    return np.linalg.svd(np.diag(diagonal) + np.diag(upper[: steps - 1], 1), compute_uv=False)


def _orthogonal(v: torch.Tensor, basis: list[torch.Tensor]) -> torch.Tensor:
    """v without its parts along the basis, taken off twice (rounding)."""
    if basis:
        q = torch.stack(basis)
        for _ in range(2):
            v = v - q.T @ (q @ v)
    return v


def _fresh(size: int, basis: list[torch.Tensor], x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    v = _orthogonal(torch.as_tensor(rng.standard_normal(size), dtype=x.dtype, device=x.device), basis)
    return v / v.norm()


def measure_ntk(model: torch.nn.Module, x: torch.Tensor, other: torch.Tensor | None = None) -> Array:
    """The tangent kernel Σ_θ ∂y(x)/∂θ ∂y(x')/∂θ of a model's first output, over all its trainable parameters.

    By one backward pass an example (Jacot et al. 2018, eq. 3; Novak et al. 2022, section 3.1). Compare it with `ntk_kernel` for a
    model in the NTK parametrization; in the standard one a layer's share is that times fan_in / σ_w².

    Args:
        model: a module that maps (n, …) to (n,) or (n, k); run as it is.
        x: inputs (n, …).
        other: further inputs; unless given, x itself.

    Returns:
        (n, m).

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(3, 1, bias=False)
        >>> measure_ntk(net, torch.eye(3)).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise FaninValueError("model has no trainable parameters, so it has no tangent kernel")

    def gradients(inputs: torch.Tensor) -> torch.Tensor:
        rows = []
        for i in range(len(inputs)):
            y = model(inputs[i : i + 1]).reshape(-1)[0]
            parts = torch.autograd.grad(y, parameters, allow_unused=True)
            rows.append(torch.cat([
                (torch.zeros_like(p) if g is None else g).reshape(-1) for p, g in zip(parameters, parts, strict=True)
            ]))  # fmt: skip
        return torch.stack(rows).double()

    mine = gradients(x)
    theirs = mine if other is None else gradients(other)
    return (mine @ theirs.T).cpu().numpy()


def measure_nngp(factory: Callable[[], torch.nn.Module], x: torch.Tensor, draws: int = 64) -> tuple[Array, Array]:
    """Mean over draws of the outputs' products, an estimate of the NNGP kernel, and its standard error; (n, n) each.

    Monte Carlo over initializations (Novak et al. 2019, section 4), all output units of a draw together.

    Args:
        factory: makes a freshly drawn model that maps (n, …) to (n, k).
        x: inputs (n, …).
        draws: models to make.

    Example:
        >>> import torch
        >>> kernel, error = measure_nngp(lambda: torch.nn.Linear(4, 64), torch.eye(4), draws=4)
        >>> kernel.shape
        (4, 4)
    """
    if draws < 2:
        raise FaninValueError(f"draws={draws} is too few; a standard error needs at least 2")
    found = []
    for _ in range(draws):
        with torch.no_grad():
            y = factory()(x).reshape(len(x), -1).double()
        found.append((y @ y.T / y.shape[1]).cpu().numpy())
    stack = np.stack(found)
    return stack.mean(axis=0), stack.std(axis=0, ddof=1) / math.sqrt(draws)
