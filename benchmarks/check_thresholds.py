"""Where the checks' threshold of six depth scales comes from, seen on digits: what theory predicts beside what training reaches.

    python benchmarks/check_thresholds.py [--seeds 2] [--epochs 15]

Each row is a chain of dense layers without norms, trained on scikit-learn's digits (a quarter as test, standardised) by plain
SGD (0.003, momentum 0.9) and by Adam (0.001), batch 64. Beside the accuracies stand the logarithms that the checks judge before
training: of the contrast between examples (FI201), of the second moment (FI202), of the gradient's squared norm (FI301, FI302), and
the variance of the latter between redraws (FI304). The checks speak beyond 6, and beyond 1 for the variance.
"""

import argparse
import math

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

import fanin
from fanin.checks import run_checks
from fanin.theory import predict
from fanin.theory.prediction import forward_rows, gradient_log
from fanin.traces.torch import trace

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "elu": nn.ELU,
}
# activation, depth, width, gain (None for torch's default)
ROWS: tuple[tuple[str, int, int, float | None], ...] = (
    *(("relu", depth, 128, None) for depth in (2, 3, 4, 6, 8, 10, 14, 20)),
    *(("tanh", depth, 128, None) for depth in (4, 6, 10)),
    *(("sigmoid", depth, 128, None) for depth in (1, 2, 3)),
    *(("relu", 20, 128, math.sqrt(2) * g) for g in (0.67, 0.78, 0.88, 1.0, 1.13, 1.2, 1.34, 1.5)),
    *(("tanh", 20, 128, g) for g in (1.0, 1.5, 2.0, 3.0)),
    *(("relu", depth, 128, math.sqrt(2)) for depth in (10, 30, 45)),
    *(("relu", depth, 32, math.sqrt(2)) for depth in (4, 10, 20)),
    ("relu", 30, 512, math.sqrt(2)),
    *(("gelu", depth, 128, fanin.gain("gelu")) for depth in (10, 20, 30)),
    ("elu", 30, 128, fanin.gain("elu")),
)


def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and labels, test images and labels."""
    images, labels = load_digits(return_X_y=True)
    train, test, y, z = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)
    mean, deviation = train.mean(0), train.std(0)
    deviation[deviation == 0] = 1
    a, b = (torch.tensor((part - mean) / deviation, dtype=torch.float32) for part in (train, test))
    return a, torch.tensor(np.asarray(y)), b, torch.tensor(np.asarray(z))


def net(activation: str, depth: int, width: int, gain: float | None, seed: int) -> nn.Sequential:
    """The chain, drawn with this seed."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    n = 64
    for _ in range(depth):
        layers += [nn.Linear(n, width), ACTIVATIONS[activation]()]
        n = width
    model = nn.Sequential(*layers, nn.Linear(n, 10))
    for layer in model if gain is not None else ():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_features))
            nn.init.zeros_(layer.bias)
    return model


def accuracy(model: nn.Module, adam: bool, seed: int, epochs: int, split: tuple[Tensor, ...]) -> float:
    """Test accuracy after training."""
    x, y, test, labels = split
    optimizer = (
        torch.optim.Adam(model.parameters(), 1e-3) if adam else torch.optim.SGD(model.parameters(), 0.003, momentum=0.9)
    )
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for part in torch.randperm(len(x), generator=order).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(test).argmax(1) == labels).float().mean())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    split = data()
    x, y = split[0][:64], split[1][:64]
    print(f"{'net':24} {'gain':>8} {'ln s':>7} {'ln q':>7} {'ln g':>7} {'var':>5}   {'SGD':>5} {'Adam':>5}  findings")
    for activation, depth, width, gain in ROWS:
        seen = trace(net(activation, depth, width, gain, 0), x, y, F.cross_entropy)
        segment = predict(seen).segments[0]
        row, back = forward_rows(segment)[-1], gradient_log(segment)
        scores = [
            [
                accuracy(net(activation, depth, width, gain, s), adam, s, arguments.epochs, split)
                for s in range(arguments.seeds)
            ]
            for adam in (False, True)
        ]
        found = " ".join(
            f.code + ("!" if f.severity == "error" else "") for f in run_checks(seen) if f.severity != "info"
        )
        sgd, adam_ = (f"{np.mean(s):5.2f}" for s in scores)
        drawn = "default" if gain is None else f"{gain:.3f}"
        numbers = f"{row.s.value:7.1f} {row.q.value:7.1f} {back.value:7.1f} {back.variance:5.2f}"
        print(f"{activation + f' {width} × {depth}':24} {drawn:>8} {numbers}   {sgd} {adam_}  {found}", flush=True)


if __name__ == "__main__":
    main()
