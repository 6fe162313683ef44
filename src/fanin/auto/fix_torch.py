"""`plan` and `fix` for torch models: choose, try, measure, correct, and take back what does not help."""

import copy
import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from fanin.auto.calibrate import corrections
from fanin.auto.choose import choose
from fanin.auto.fixed import Fixed
from fanin.auto.rollback import blamed, harm, harms, improved, with_chains
from fanin.auto.state_torch import Kept
from fanin.checks import curves, run_checks
from fanin.checks.report import Report
from fanin.plans import Plan
from fanin.traces.records import Trace
from fanin.traces.torch import batches, trace, unwrap

TRIALS = 2  # measured passes that correct gains
ROUNDS = 4  # tries at taking changes back, each measured
NOT_MEASURED = (
    "The model is on the meta device and has no values: theory alone chose the gains, no trial corrected them."
)


def plan(
    model: nn.Module,
    batch: Any,
    targets: Any = None,
    loss: Callable[..., Any] | None = None,
    *,
    seed: int = 0,
    keep: Iterable[str] | str = (),
) -> Plan:
    """The plan that fanin chooses for a model, its gains corrected by one measured trial on a copy.

    The model is left as it was. Where it cannot be copied, or has no numbers (meta), theory alone decides.

    Args:
        model, batch, targets, loss: as for `fanin.check`.
        seed: the plan's seed.
        keep: as for `fanin.auto.choose`.
    """
    batch, targets = batches.first_batch(batch, targets, loss)
    watched = trace(model, batch, targets, loss, seed=seed)
    chosen = choose(watched, seed=seed, keep=keep)
    bare, _ = unwrap(model)
    if any(p.is_meta for p in bare.parameters()):
        return dataclasses.replace(chosen, notes=(*chosen.notes, NOT_MEASURED))
    if not chosen.entries:
        return chosen
    try:
        trial = copy.deepcopy(bare)
    except Exception:  # whatever a user's class does when it is copied
        return chosen
    return _calibrated(trial, chosen, watched, lambda m: trace(m, batch, targets, loss, seed=seed))


def _calibrated(trial: nn.Module, chosen: Plan, watched: Trace, measure: Callable[[nn.Module], Trace]) -> Plan:
    """The plan with the gains that trials on this model ask for; the model is left with the plan's weights.

    A gain that was corrected moves curved activations after it, so what was corrected is measured once more.
    """
    chosen.apply(trial)
    for _ in range(TRIALS):
        changed = corrections(watched, measure(trial), chosen)
        if not changed:
            break
        chosen = chosen.edit(changed)
        chosen.apply(trial)
    return chosen


def fix(
    model: nn.Module,
    batch: Any,
    targets: Any = None,
    loss: Callable[..., Any] | None = None,
    *,
    seed: int = 0,
    keep: Iterable[str] | str = (),
    target: str = "",
) -> Fixed:
    """Check, choose a plan, apply it, measure again, and take back what did not help.

    A model without any finding keeps its weights, and so does one whose findings the new weights neither remove nor make
    milder (fewer or less severe findings, half the factor that they complain of, a loss nearer to chance). After an
    exception the weights are as they were.

    Args:
        model: any `torch.nn.Module`; its weights are changed in place.
        batch, targets, loss: as for `fanin.check`; the same batch is used before and after.
        seed: of the plan, and of the random state of the watched passes.
        keep: patterns over weight names that keep their values, "pretrained", "frozen" (see `fanin.auto.choose`).
        target: what to call the model in the reports.

    Returns:
        What was found before and after, the plan, and what was undone.

    Raises:
        FaninTypeError, FaninValueError: an argument cannot be used, or the model's forward raised.

    Example:
        >>> import torch
        >>> layers = [layer for _ in range(30) for layer in (torch.nn.Linear(32, 32), torch.nn.ReLU())]
        >>> fixed = fix(torch.nn.Sequential(*layers, torch.nn.Linear(32, 4)), torch.randn(64, 32))
        >>> fixed.before.ok, fixed.after.ok
        (False, True)
    """
    batch, targets = batches.first_batch(batch, targets, loss)
    bare, _ = unwrap(model)

    def measure(watched: nn.Module) -> Report:
        started = time.perf_counter()
        found = trace(watched, batch, targets, loss, seed=seed)
        return Report(target or found.model, found, run_checks(found), curves(found), time.perf_counter() - started)

    before = measure(model)
    chosen = choose(before.trace, seed=seed, keep=keep)
    if not before.findings or not chosen.entries:
        note = (
            "Nothing was found, so every weight keeps its values."
            if not before.findings
            else "No weight may be changed."
        )
        return Fixed(
            before, before, dataclasses.replace(chosen.edit(dict.fromkeys(chosen.entries)), notes=(note,)), (), model
        )
    kept = Kept(bare)
    try:
        chosen = _calibrated(bare, chosen, before.trace, lambda m: trace(m, batch, targets, loss, seed=seed))
        return _without_harm(bare, kept, before, measure(model), chosen, measure, model)
    except BaseException:
        kept.put_back()
        raise


def _without_harm(
    bare: nn.Module,
    kept: Kept,
    before: Report,
    after: Report,
    chosen: Plan,
    measure: Callable[[nn.Module], Report],
    model: nn.Module,
) -> Fixed:
    """Takes back the changes that findings which are new or worse point at, as long as that makes things better."""
    undone: dict[str, str] = {}
    tried: set[frozenset[str]] = set()
    for _ in range(ROUNDS):
        worse = [f for f in harms(before, after) if frozenset(with_chains(blamed(f, chosen), after.trace)) not in tried]
        if not worse:
            break
        names = with_chains(blamed(worse[0], chosen), after.trace) & set(chosen.entries)
        tried.add(frozenset(names))
        if not names:
            continue
        smaller = chosen.edit(dict.fromkeys(names))
        kept.put_back()
        smaller.apply(bare)
        again = measure(model)
        if harm(again) < harm(after):
            reason = f"its change brought {worse[0].code} {worse[0].slug}"
            undone |= dict.fromkeys(sorted(names), reason)
            chosen, after = smaller, again
        else:
            kept.put_back()
            chosen.apply(bare)
    if not improved(before, after):
        kept.put_back()
        undone |= dict.fromkeys(chosen.entries, "the plan as a whole did not help")
        chosen, after = chosen.edit(dict.fromkeys(chosen.entries)), before
    return Fixed(before, after, chosen, tuple(undone.items()), model)
