"""Signal through depth of a model at work: size, dead units and effective rank of each layer's output."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.special import entr
from torch import Tensor, nn

from fanin.lab.study.rows import LayerSignal

EXAMPLES = 32  # that a layer is looked at with: ranks are then at most this
LAYERS = 32  # of a deeper model, evenly spread
ACTIVATIONS = tuple(getattr(nn.modules.activation, name) for name in nn.modules.activation.__all__)
SHARES = (nn.Softmax, nn.Softmin, nn.LogSoftmax, nn.Softmax2d)  # what goes into these is worth a rank of its own


@dataclass
class Seen:
    """What layers gave for the same examples.

    Attributes:
        kinds: the modules by name, in the order in which they ran.
        outputs: by name, shape (examples, …), or (members, examples, …).
        taken: names of those whose output went straight into an activation.
    """

    kinds: dict[str, nn.Module] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)


def watched(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules whose outputs are measured: those with weights of their own, and activations; of a deep model evenly thinned.

    A layer and the activations behind it stay or go together: every other module of a chain would be layers for a while and
    activations for a while, which looks as if the signal changed.
    """
    together: list[list[tuple[str, nn.Module]]] = []
    for name, module in model.named_modules():
        activation = isinstance(module, ACTIVATIONS) and not list(module.children())
        if together and activation and passes_on(module):
            together[-1].append((name, module))
        elif module._parameters or activation:
            together.append([(name, module)])
    most = min(len(together), max(1, LAYERS // max(map(len, together), default=1)))
    while most > 1 and sum(len(together[i]) for i in _evenly(len(together), most)) > LAYERS:
        most -= 1
    while most < len(together) and sum(len(together[i]) for i in _evenly(len(together), most + 1)) <= LAYERS:
        most += 1
    return list(itertools.chain.from_iterable(together[i] for i in _evenly(len(together), most)))


def _evenly(count: int, chosen: int) -> list[int]:
    """So many places among `count`, first and last among them."""
    return [round(i * (count - 1) / (chosen - 1)) for i in range(chosen)] if chosen > 1 else [0][:count]


def measure(model: nn.Module, run: Callable[[Tensor], Any], x: Tensor) -> tuple[LayerSignal, ...]:
    """Signals of one pass over the first examples of `x`, in the order in which the layers ran.

    Args:
        model: whose modules are watched.
        run: runs it.
        x: inputs.
    """
    seen = outputs_of(model, run, x)
    seen.outputs = {name: out[None] for name, out in seen.outputs.items()}
    return signals_of(seen)[0]


def outputs_of(model: nn.Module, run: Callable[[Tensor], Any], x: Tensor) -> Seen:
    """What the modules that ran gave for the first examples of `x`."""
    seen = Seen()
    last: list[tuple[str, Tensor]] = []

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, out: Any) -> None:
            tensor = out[0] if isinstance(out, tuple) and out and isinstance(out[0], Tensor) else out
            if (
                isinstance(tensor, Tensor)
                and tensor.is_floating_point()
                and tensor.dim() >= 2
                and name not in seen.kinds
            ):
                if last and inputs and inputs[0] is last[0][1] and passes_on(module):
                    seen.taken.add(last[0][0])
                last[:] = [(name, tensor)]
                seen.kinds[name], seen.outputs[name] = (
                    module,
                    tensor.detach().clone(),
                )  # what comes next may act in place

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in watched(model)]
    try:
        run(x[:EXAMPLES])
    finally:
        for handle in handles:
            handle.remove()
    return seen


def passes_on(module: nn.Module) -> bool:
    """Whether it is an activation that gives a unit for a unit, so that the rank behind it tells of the layer before."""
    return isinstance(module, ACTIVATIONS) and not isinstance(module, SHARES)


def signals_of(seen: Seen) -> list[tuple[LayerSignal, ...]]:
    """The signals of each member, outputs of shape (members, examples, …)."""
    alike: dict[tuple[bool, tuple[int, ...]], list[tuple[str, Tensor]]] = {}
    for name, out in seen.outputs.items():
        rows = _units_last(seen.kinds[name], out).float()
        alike.setdefault((name in seen.taken, tuple(rows.shape)), []).append((name, rows))
    figures: dict[str, list[tuple[float, float, float | None]]] = {}
    for (taken, _), layers in alike.items():  # at once: a deep net has many layers of one width
        of_all = _figures(torch.cat([rows for _, rows in layers]), ranked=not taken)
        members = len(of_all) // len(layers)
        figures |= {name: of_all[k * members : (k + 1) * members] for k, (name, _) in enumerate(layers)}
    found = [
        [LayerSignal(name or type(module).__name__, type(module).__name__, *own) for own in figures[name]]
        for name, module in seen.kinds.items()
    ]
    return [tuple(layers) for layers in zip(*found, strict=True)]


def _figures(rows: Tensor, ranked: bool) -> list[tuple[float, float, float | None]]:
    """Size, share of dead units and effective rank of each entry of `rows`, shape (entries, examples or places, units).

    Ranks are dear (an eigenvalue problem each): None without `ranked`.
    """
    rms = torch.linalg.vector_norm(rows.flatten(1), dim=1, dtype=torch.float64).cpu().numpy()
    rms /= math.sqrt(math.prod(rows.shape[1:]))
    values = rows.cpu().numpy()
    dead = (values == values[:, :1]).all(1).mean(1)
    ranks = _ranks(rows, np.isfinite(rms)).tolist() if ranked else [None] * len(rows)
    return list(zip(rms.tolist(), dead.tolist(), ranks, strict=True))


def _units_last(module: nn.Module, out: Tensor) -> Tensor:
    """Outputs (members, …) as (members, examples or places, units): channels are units of images, else the last axis."""
    if out.dim() in (5, 6) or (out.dim() == 4 and isinstance(module, nn.Conv1d)):
        out = out.movedim(2, -1)
    return out.flatten(1, -2)


def _ranks(rows: Tensor, fine: np.ndarray) -> np.ndarray:
    """Effective ranks of up to `EXAMPLES` rows over the most that they can be (Roy & Vetterli 2007), NaN where not `fine`."""
    some = rows[:, :: max(1, math.ceil(rows.shape[1] / EXAMPLES))].double()
    if not fine.all():
        some = torch.where(torch.from_numpy(fine).to(some.device)[:, None, None], some, torch.zeros_like(some))
    turned = some.transpose(1, 2)
    gram = some @ turned if some.shape[1] <= some.shape[2] else turned @ some
    singular = np.sqrt(torch.linalg.eigvalsh(gram).cpu().numpy().clip(min=0))
    total = singular.sum(1)
    ranks = np.exp(entr(singular / total.clip(min=1e-300)[:, None]).sum(1)) / min(some.shape[1:])
    return np.where(fine, np.where(total > 0, ranks, 0.0), np.nan)
