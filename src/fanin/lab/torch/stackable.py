"""Whether runs are worth training in stacks: whether their model can, and whether it pays."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fanin.lab.study.records import RunConfig
from fanin.lab.torch.chain import chain_layers
from fanin.lab.torch.construct import construct, device_of, take, takes_seed
from fanin.lab.torch.optimizers import Rule
from fanin.lab.torch.single import Single
from fanin.lab.torch.stacked import Stack
from fanin.lab.torch.start import Parts
from fanin.lab.torch.state import random_state

# Between shapes that `benchmarks/stacking.py` times: a chain gains 1.6 times and more up to these, 1.0 to 1.4 beyond; what `vmap`
# runs gains twice at 64 units and nothing as a LeNet.
MOST_WORK = {
    True: 4e6,
    False: 1e6,
}  # of chains; of others: operations of a layer's forward pass over a batch, mean over layers
MOST_WEIGHTS = {True: 250_000, False: 100_000}  # parameters of a member: more leave the cache at every step
MOST_MEMBERS = 96  # beyond, little more is gained, and workers wait for each other longer
LEAST_MEMBERS = 8
MOST_TOGETHER = 540_000  # weights of all members: 6.5 MB with gradients and momentum, which two workers' cache holds
TRIAL = 4  # examples that a stack of two is tried with
CLOSE = 1e-4


def members_of(parts: Parts, config: RunConfig) -> int:
    """How many of these runs a stack has at most; 0 where it would not give each member what it gets alone, or not be faster.

    The answer depends on the model and the batch size alone, never on how fast the machine is today.
    """
    if takes_seed(parts.factory):  # members might differ in more than their weights
        return 0
    model = construct(parts.factory, config.seed)
    if not (pays(model, parts, config.batch_size) and _agrees(parts, config)):
        return 0
    return min(MOST_MEMBERS, max(LEAST_MEMBERS, MOST_TOGETHER // weights_of(model)))


def pays(model: nn.Module, parts: Parts, batch_size: int) -> bool:
    """Whether a step of the model spends more between its operations than in them."""
    chain = chain_layers(model) is not None
    return weights_of(model) <= MOST_WEIGHTS[chain] and work_of(model, parts, batch_size) <= MOST_WORK[chain]


def weights_of(model: nn.Module) -> int:
    """Parameters of a model."""
    return sum(p.numel() for p in model.parameters())


def work_of(model: nn.Module, parts: Parts, batch_size: int) -> float:
    """Floating-point operations of a layer's forward pass over a batch, mean over the layers with weights."""
    rows = slice(min(batch_size, len(parts.data.train_inputs)))
    x = take(parts.data.train_inputs, rows, device_of(model))
    layers = sum(1 for m in model.modules() if m._parameters)
    counter = FlopCounterMode(display=False)
    with random_state(0), torch.no_grad(), counter:
        model(x)
    return counter.get_total_flops() / max(1, layers)


def _agrees(parts: Parts, config: RunConfig) -> bool:
    """Whether two members take the same first step in a stack as alone (dropout and the like cannot be stacked)."""
    rule = Rule("sgd")
    models = [construct(parts.factory, seed) for seed in (config.seed, config.seed + 1)]
    copies = [construct(parts.factory, seed) for seed in (config.seed, config.seed + 1)]
    device = device_of(models[0])
    x, y = (take(a, slice(TRIAL), device) for a in (parts.data.train_inputs, parts.data.train_targets))
    try:
        with random_state(0), torch.enable_grad():
            stack = Stack(models, parts.loss, rule, [config.lr, config.lr], [{}, {}], None)
            together = stack.step(x.expand(2, *x.shape), y.expand(2, *y.shape), 1.0)
            apart = [Single(m, parts.loss, rule, config.lr, {}, None, 0) for m in copies]
            own = [single.step(x, y, 1.0)[0] for single in apart]
        same = torch.allclose(torch.tensor(together), torch.tensor(own), rtol=CLOSE, atol=CLOSE)
        first = [p.detach() for p in stack.parameters]
        for member, single in enumerate(apart):
            same &= all(
                torch.allclose(p[member], q, rtol=CLOSE, atol=CLOSE)
                for p, q in zip(first, _in_order(single.model), strict=True)
            )
        return bool(same)
    except Exception:  # whatever a model does that `vmap` does not know: it trains alone
        return False


def _in_order(model: nn.Module) -> list[torch.Tensor]:
    return [p.detach() for p in model.parameters() if p.requires_grad]
