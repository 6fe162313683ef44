"""What is measured on PyTorch models: exact where it can be compared, and equal to theory on wide nets."""

import itertools
import math

import numpy as np
import pytest

from fanin.errors import FaninTypeError, FaninValueError
from fanin.theory import jacobian_spectrum, nngp_kernel, ntk_kernel

torch = pytest.importorskip("torch")

from fanin.theory.measured_torch import measure_jacobian, measure_nngp, measure_ntk  # noqa: E402


def net(width: int, depth: int, activation, gain: float, seed: int = 0):
    torch.manual_seed(seed)
    layers = []
    for _ in range(depth):
        layer = torch.nn.Linear(width, width, bias=False, dtype=torch.float64)
        torch.nn.init.normal_(layer.weight, std=gain / math.sqrt(width))
        layers += [layer, activation()]
    return torch.nn.Sequential(*layers)


@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (9, 5), (4, 11)])
def test_all_singular_values_of_a_matrix(rows: int, columns: int) -> None:
    a = torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = measure_jacobian(lambda x: x @ a.T, torch.randn(1, columns, dtype=torch.float64), steps=64)
    expected = torch.linalg.svdvals(a).numpy()
    assert found.singular_values == pytest.approx(expected, rel=1e-8)
    assert found.mean == pytest.approx(np.mean(expected**2))
    assert found.variance == pytest.approx(np.var(expected**2))
    assert found.shape == (rows, columns)


def test_degenerate_spectra() -> None:
    """Isometries close their Krylov space after one step; rank-deficient maps have zeros."""
    q = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64))[0]
    assert measure_jacobian(lambda x: x @ q, torch.ones(1, 12, dtype=torch.float64)).singular_values == pytest.approx(
        np.ones(12)
    )
    p = torch.diag(torch.tensor([3.0] * 4 + [0.0] * 8, dtype=torch.float64))
    found = measure_jacobian(lambda x: x @ p, torch.ones(1, 12, dtype=torch.float64)).singular_values
    assert found == pytest.approx([3.0] * 4 + [0.0] * 8, abs=1e-9)


def test_few_steps_find_the_largest_and_probes_the_moments() -> None:
    model = net(300, 3, torch.nn.Tanh, 1.2)
    x = torch.randn(1, 300, dtype=torch.float64)
    exact = torch.linalg.svdvals(torch.autograd.functional.jacobian(model, x).reshape(300, 300)).numpy()
    found = measure_jacobian(model, x, probes=64, steps=40)
    assert found.singular_values[0] == pytest.approx(exact[0], rel=1e-3)
    assert found.mean == pytest.approx(np.mean(exact**2), abs=4 * found.mean_error)
    assert found.variance == pytest.approx(np.var(exact**2), abs=4 * found.variance_error)


@pytest.mark.slow
def test_a_real_net_has_the_predicted_spectrum() -> None:
    """He-initialised ReLU × 8, 1024 units: mean 1 and variance 2 L, up to 1/n effects of one draw."""
    found = [
        measure_jacobian(net(1024, 8, torch.nn.ReLU, 2**0.5, seed), torch.randn(1, 1024, dtype=torch.float64), 16, 0)
        for seed in range(12)
    ]
    expected = jacobian_spectrum("relu", 8, 2**0.5)
    assert np.mean([m.mean for m in found]) == pytest.approx(expected.mean, rel=0.15)
    assert np.mean([m.variance / m.mean**2 for m in found]) == pytest.approx(expected.variance, rel=0.15)


def test_mirrored_relu_has_only_ones_and_he_has_not() -> None:
    """Balduzzi et al. 2017: rows (Q, -Q), blocks [[Q, -Q], [-Q, Q]], columns (R, -R)."""

    def isometry(seed: int):
        return torch.linalg.qr(torch.randn(24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))[
            0
        ]

    def mirrored(x):
        h = torch.relu(x @ torch.cat([isometry(0), -isometry(0)]).T)
        for k in range(1, 20):
            q = isometry(k)
            h = torch.relu(h @ torch.cat([torch.cat([q, -q], 1), torch.cat([-q, q], 1)]).T)
        return h @ torch.cat([isometry(99), -isometry(99)], 1).T

    x = torch.randn(1, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    assert measure_jacobian(mirrored, x).singular_values == pytest.approx(np.ones(24), abs=1e-9)
    spread = [measure_jacobian(net(24, d, torch.nn.ReLU, 2**0.5), x) for d in (1, 5)]
    assert spread[1].variance / spread[1].mean ** 2 > 2 * spread[0].variance / spread[0].mean ** 2 > 0.5


class NTKNet(torch.nn.Module):
    """Standard normal parameters, scaled where they are used."""

    def __init__(self, widths: list[int], sigma_w: float, sigma_b: float) -> None:
        super().__init__()
        self.w = torch.nn.ParameterList([torch.nn.Parameter(torch.randn(o, i)) for i, o in itertools.pairwise(widths)])
        self.b = torch.nn.ParameterList([torch.nn.Parameter(torch.randn(o)) for o in widths[1:]])
        self.sigma_w, self.sigma_b = sigma_w, sigma_b

    def forward(self, x):
        for i, (w, b) in enumerate(zip(self.w, self.b, strict=True)):
            x = torch.nn.functional.gelu(x) if i else x
            x = x @ w.T * (self.sigma_w / math.sqrt(w.shape[1])) + self.sigma_b * b
        return x


@pytest.mark.slow
def test_kernels_of_wide_nets_are_the_recursions() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 5)
    expected = ntk_kernel("gelu", x.numpy(), 2, 1.4, 0.3)
    found = np.mean([measure_ntk(NTKNet([5, 1024, 1024, 1], 1.4, 0.3), x) for _ in range(6)], axis=0)
    assert found == pytest.approx(expected, rel=0.1, abs=0.05 * expected.max())
    kernel, error = measure_nngp(lambda: NTKNet([5, 512, 512, 512], 1.4, 0.3), x, draws=24)
    assert np.all(np.abs(kernel - nngp_kernel("gelu", x.numpy(), 2, 1.4, 0.3)) < 5 * error + 0.02)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: measure_jacobian(torch.nn.Identity(), np.ones(3)),
            FaninTypeError,
            "x must be a floating-point tensor",
        ),
        (lambda: measure_jacobian(lambda x: (x, x), torch.ones(3)), FaninTypeError, "must return one tensor"),
        (lambda: measure_jacobian(torch.nn.Identity(), torch.ones(3), probes=0), FaninValueError, "probes=0"),
        (lambda: measure_ntk(torch.nn.ReLU(), torch.ones(3, 1)), FaninValueError, "no trainable parameters"),
        (lambda: measure_nngp(torch.nn.Identity, torch.ones(3, 1), draws=1), FaninValueError, "draws=1"),
    ],
)
def test_bad_calls(call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
