"""A plan put into a model: everything is checked, then everything is drawn in place, by several threads.

Weights behind a parametrisation come first, then functions of random numbers: they may refuse their values, and then
everything is put back. What comes after them can only be stopped from outside.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from fanin.distributions import Distribution, Normal
from fanin.draws import draw_distribution
from fanin.draws.largest import largest
from fanin.draws.precheck import certain
from fanin.draws.torch import fill_
from fanin.draws.torch_ops import cast
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans import laws
from fanin.plans.parts import PIECE, Part, cut
from fanin.plans.records import Entry, Need, Plan
from fanin.plans.torch.architecture import check_architecture
from fanin.plans.torch.memory import overlapping, read_only
from fanin.plans.torch.shards import reshard, written
from fanin.plans.torch.targets import Target, find_targets
from fanin.plans.work import FEW, Piece, Progress, run, thread_count

TOLERANCE = 1e-3  # of the effective weight against the planned one, where a parametrisation stands between them
HALF_TOLERANCE = 2e-2  # the same in float16 and bfloat16
LAUNCH = 1 << 26  # numbers that an accelerator draws in one go
KEPT = 1 << 26  # bytes of old values that are kept while new ones are drawn, so that a stop can put them back

Chosen = list[tuple[str, Entry, Target]]


def apply(
    plan: Plan, model: Any, seed: int | None = None, *, threads: int | None = None, progress: Progress = None
) -> nn.Module:
    """See `Plan.apply`."""
    plan, count = prepared(plan, model, seed), thread_count(threads, torch.get_num_threads())
    reshard(model)
    check_architecture(plan.architecture, model)
    chosen = checked(plan, find_targets(model))
    with torch.no_grad():
        _written(plan, chosen, count, progress)
    _report_scales(chosen)
    return model


def prepared(plan: Plan, model: Any, seed: int | None) -> Plan:
    """The plan with this seed; raises where the model is no module or the seed no seed."""
    if not isinstance(model, nn.Module):
        raise FaninTypeError(f"model={type(model).__name__} cannot be used; a plan is applied to a torch.nn.Module")
    return plan if seed is None else replace(plan, seed=seed)


def checked(plan: Plan, targets: dict[str, Target], meta: bool = False) -> Chosen:
    """The target of every entry; raises one error with every mismatch in it. `meta`: memory comes later."""
    wrong: list[str] = []
    chosen: Chosen = []
    owner: dict[tuple[int, str], str] = {}
    for name, entry in plan.entries.items():
        target = targets.get(name)
        if target is None:
            flat = any(known.endswith("_flat_param") for known in targets)
            why = "; wrap it in FullyShardedDataParallel with use_orig_params=True" if flat else ""
            wrong.append(f"{name}: the model has no such weight{why}")
            continue
        problem = target.problem(meta)
        need = plan.requires.get(name)
        if problem is not None:
            wrong.append(f"{name} {problem}")
        elif need is not None and target.shape != need.shape:
            wrong.append(f"{name}: its shape is {target.shape}, but the plan is for {need.shape}")
        else:
            wrong += _value_problems(name, entry, target)
        if target.key in owner:
            wrong.append(f"{name} and {owner[target.key]} are one weight here, but the plan draws them apart")
        owner.setdefault(target.key, name)
        wrong += _tie_problems(name, need, targets)
        chosen.append((name, entry, target))
    if not meta and not wrong:
        tensors = [
            (name, t if not target.plain else target.local) for name, _, target in chosen for t in target.tensors
        ]
        locked = zip(tensors, read_only([t for _, t in tensors]), strict=True)
        wrong += [
            f"{name} lies in memory that is read-only (a mapped file); clone it first"
            for (name, _), is_ in locked
            if is_
        ]
        wrong += [
            f"{a} and {b} share memory here, but the plan draws them apart; make them one weight, or leave one out of the plan"
            for a, b in overlapping([(name, target.local) for name, _, target in chosen if target.plain])
        ]
    if wrong:
        raise FaninValueError("the plan does not fit the model, and nothing was changed:\n  " + "\n  ".join(wrong))
    return chosen


def _value_problems(name: str, entry: Entry, target: Target) -> list[str]:
    assert target.shape is not None
    law, factor = laws.drawn(entry)
    bound = largest(law)
    if bound is not None and not bound * abs(factor) <= torch.finfo(target.tensor.dtype).max:
        return [f"{name} would get numbers that are too large for {str(target.tensor.dtype).removeprefix('torch.')}"]
    refused = laws.refused(law, target.shape, name, str(target.tensor.dtype).removeprefix("torch."), factor)
    return [f"{name} could not be drawn: {refused}"] if refused else []


def _tie_problems(name: str, need: Need | None, targets: dict[str, Target]) -> list[str]:
    wrong = []
    for other in need.names if need is not None else ():
        if other not in targets:
            wrong.append(f"{other}: the model has no such weight, which the plan has tied to {name}")
        elif name in targets and targets[other].key != targets[name].key:
            wrong.append(
                f"{name} and {other} are two weights here, but one (tied) in the plan; to_empty() unties weights: tie them again after it"
            )
    return wrong


def _written(plan: Plan, chosen: Chosen, threads: int, progress: Progress) -> None:
    plain = [c for c in chosen if c[2].plain]
    small = sum(target.local.nbytes for _, _, target in plain) <= KEPT
    ahead = [c for c in plain if not small and not certain(c[1].distribution)]
    rest = [c for c in plain if small or certain(c[1].distribution)]
    kept: list[Callable[[], None]] = []
    lost = False

    def put_back() -> None:
        for one in reversed(kept):
            one()

    try:
        wrong = _write_behind([c for c in chosen if not c[2].plain], plan.seed, kept)
        if not wrong:
            kept += [target.keep() for _, _, target in (plain if small else ahead)]
            first, total = _numbers(ahead), _numbers(plain)
            run(_pieces(ahead, plan.seed, first, threads), first, threads, progress=False)
            lost = not small
            done: list[Piece] = [(first, lambda: None)] if first else []
            run(chain(done, _pieces(rest, plan.seed, total, threads)), total, threads, progress)
    except BaseException as error:
        put_back()
        if lost:
            error.add_note(
                "the weights are too large to keep their old values, and some are drawn: apply the plan again"
            )
        raise
    if wrong:
        put_back()
        raise FaninValueError("the plan does not fit the model, and nothing was changed:\n  " + "\n  ".join(wrong))
    for _, _, target in plain:
        written(target.tensor)


def _numbers(plain: Chosen) -> int:
    return sum(target.local.numel() for _, _, target in plain)


def _pieces(plain: Chosen, seed: int, total: int, threads: int) -> Iterator[Piece]:
    """The work, large weights first so that the threads end together; what cannot be cut is one piece.

    Few matrices keep few threads busy: each is then drawn with the help of others.
    """
    matrices = sum(not laws.elementwise(entry.distribution) for _, entry, _ in plain)
    helped = matrices < threads and threads > 1
    for name, entry, target in sorted(plain, key=lambda c: -c[2].local.numel()):
        law, factor = laws.drawn(entry)
        parts = target.parts()
        assert target.shape is not None
        if not laws.elementwise(law):
            if parts:
                fill = _Fill(target.local, law, target.shape, seed, name, factor, parts, helped)
                yield sum(part.size for part in parts), fill
            continue
        largest = PIECE if target.local.device.type == "cpu" else LAUNCH
        for part in parts:
            for piece in cut(part, largest) if total > FEW else (part,):
                yield piece.size, _Fill(target.local, law, target.shape, seed, name, factor, [piece])


class _Fill:
    """Fills blocks of one tensor."""

    __slots__ = ("factor", "helped", "law", "local", "name", "parts", "seed", "shape")

    def __init__(
        self,
        local: Tensor,
        law: Distribution,
        shape: tuple[int, ...],
        seed: int,
        name: str,
        factor: float,
        parts: list[Part],
        helped: bool = False,
    ) -> None:
        self.local, self.law, self.shape, self.helped = local, law, shape, helped
        self.seed, self.name, self.factor, self.parts = seed, name, factor, parts

    def __call__(self) -> None:
        with torch.no_grad():  # a thread has a mode of its own
            for part in self.parts:
                block = self.local[part.local]
                if len(part.local) != len(self.shape):  # a flat shard
                    block = block.view([s.stop - s.start for s in part.window])
                where = {"seed": self.seed, "name": self.name, "window": part.window}
                fill_times_(block, self.law, self.shape, self.factor, **where)


def _write_behind(chosen: Chosen, seed: int, kept: list[Callable[[], None]]) -> list[str]:
    """Set the weights that a parametrisation stands before; says what is wrong, and adds to `kept` what puts each back."""
    wrong: list[str] = []
    for name, entry, target in chosen:
        value = planned_value(entry, target, seed, name)
        kept.append(target.keep())
        wrong += _assigned(name, target, value, seed)
    return wrong


def planned_value(entry: Entry, target: Target, seed: int, name: str) -> Tensor:
    """The whole weight in its own type: every precision below float32 is the float32 number rounded."""
    assert target.shape is not None
    law, factor = laws.drawn(entry)
    value = torch.empty(target.shape, dtype=target.tensor.dtype, device=target.tensor.device)
    return fill_times_(value, law, target.shape, factor, seed=seed, name=name)


def fill_times_(
    block: Tensor, law: Distribution, shape: tuple[int, ...], factor: float, *, seed: int, name: str, window: Any = None
) -> Tensor:
    """`fill_` and a factor; narrow types are multiplied in float32 and rounded once."""
    if factor == 1 or block.element_size() > 2:
        fill_(block, law, shape, seed=seed, name=name, window=window)
        return block.mul_(factor) if factor != 1 else block
    exact = torch.empty(block.shape, dtype=torch.float32, device=block.device)
    fill_(exact, law, shape, seed=seed, name=name, window=window)
    return block.copy_(cast(exact.mul_(factor), block.dtype))


def _assigned(name: str, target: Target, value: Tensor, seed: int) -> list[str]:
    """Assign one value and compare the effective weight with it; what is wrong, in words."""

    def directions() -> Tensor:  # for the slices of a weight norm that are zero
        drawn = draw_distribution(Normal(1.0), tuple(value.shape), seed=seed, name=f"{name}#direction")
        return torch.from_numpy(drawn)

    try:
        target.assign(value, directions)
    except (NotImplementedError, RuntimeError, ValueError, TypeError) as error:
        return [
            f"{name} cannot be set through its parametrisation: {str(error).splitlines()[0] if str(error) else error!r}"
        ]
    effective = target.effective()
    if target.scaled is not None:
        return [] if torch.isfinite(effective).all() else [f"{name} is not finite behind {target.scaled}"]
    half = target.tensor.dtype in (torch.float16, torch.bfloat16)
    tolerance = HALF_TOLERANCE if half else TOLERANCE
    if not torch.isfinite(effective).all():
        return [f"{name} is not finite behind its parametrisation, which does not take all of the planned values"]
    apart = (effective.float() - value.float()).norm() / value.float().norm().clamp_min(1e-30)
    if value.any() and not apart <= tolerance:
        return [
            f"{name} does not take the planned values through its parametrisation ({float(apart):.2g} of them are lost)"
        ]
    return []


def _report_scales(chosen: Chosen) -> None:
    names = [f"{name} ({target.scaled})" for name, _, target in chosen if target.scaled is not None]
    if names:
        warnings.warn(
            f"the scale of {', '.join(names)} is fixed by a parametrisation: the plan decides the direction only",
            stacklevel=4,
        )
    pruned = [f"{name} ({target.kept():.0%} kept)" for name, _, target in chosen if target.kept is not None]
    if pruned:
        warnings.warn(
            f"a mask prunes {', '.join(pruned)}: the second moment of the weight in effect is that share of what the plan gives",
            stacklevel=4,
        )
