"""The functions that users call: each one a few lines over the rooms below."""

import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from fanin.checks.report import Report
from fanin.errors import FaninTypeError

# Root package of a model's base class → the module that watches a pass of it.
WATCHERS = {"torch": "fanin.traces.torch"}
FACES = {"flax": "fanin.jax", "keras": "fanin.keras"}  # of frameworks whose passes are not watched


def watcher(model: Any) -> ModuleType:
    """The module that traces models of this kind; raises `FaninTypeError` for anything else."""
    roots = [base.__module__.partition(".")[0] for base in type(model).__mro__]
    for root in roots:
        name = WATCHERS.get(root)
        if name is not None and not isinstance(model, type):
            return importlib.import_module(name)
    face = next((FACES[root] for root in roots if root in FACES), None)
    hint = "; call the class or factory first" if callable(model) else ""
    if face is not None and not isinstance(model, type):
        hint = f": no pass of this model is watched; {face}.plan(model, rules) makes a plan for it from rules"
    raise FaninTypeError(f"model is of type {type(model).__name__}, but must be a torch.nn.Module{hint}")


def _strings(argument: str, value: Any) -> tuple[str, ...]:
    """An argument that is one string or several; raises `FaninTypeError` for anything else."""
    if isinstance(value, str):
        return (value,)
    given = list(value) if isinstance(value, Iterable) and not isinstance(value, bytes | Mapping) else [value]
    strings = tuple(v for v in given if isinstance(v, str))
    if len(strings) < len(given):
        raise FaninTypeError(f"{argument}={value!r} cannot be used; give a string or a list of strings")
    return strings


def check(
    model: Any,
    batch: Any,
    targets: Any = None,
    loss: Callable[..., Any] | None = None,
    *,
    select: Iterable[str] | str = (),
    ignore: Iterable[str] | str = (),
    seed: int = 0,
    target: str = "",
) -> Report:
    """Watches one pass of a model and says what is wrong with its initial weights.

    The model and every random state are afterwards exactly as they were.

    Args:
        model: a module of its framework (PyTorch).
        batch: a tensor → model(batch), a tuple → model(*batch), a dict → model(**batch), a loader → its first batch.
        targets: handed to the loss.
        loss: loss(output, targets) where targets are given, else loss(output), else the output's own `.loss`.
        select: codes or their beginnings to report alone (all, where empty), one or several.
        ignore: codes or their beginnings to leave out, one or several.
        seed: of the random state that dropout and the like see.
        target: what to call the model in the report (its class name, where empty).

    Raises:
        FaninTypeError, FaninValueError: an argument cannot be used, or the model's forward raised.

    Example:
        >>> import torch, fanin
        >>> report = fanin.check(torch.nn.Linear(8, 3), torch.randn(16, 8))
        >>> report.ok
        True
    """
    from fanin import checks
    from fanin.theory import predict

    started = time.perf_counter()
    wanted, left = _strings("select", select), _strings("ignore", ignore)
    trace = watcher(model).trace(model, batch, targets, loss, seed=seed)
    law = predict(trace)
    findings = checks.run_checks(trace, select=wanted, ignore=left, law=law)
    curves = checks.curves(trace, law=law)
    return Report(target or trace.model, trace, findings, curves, time.perf_counter() - started)


def plan(
    model: Any,
    batch: Any,
    targets: Any = None,
    loss: Callable[..., Any] | None = None,
    *,
    rules: Any = None,
    keep: Iterable[str] | str = (),
    seed: int = 0,
) -> Any:
    """A rule for each weight: chosen from the trace with a reason each, or by `rules`.

    Args:
        model, batch, targets, loss: as for `check`.
        rules: patterns over weight names, module classes, or both → rule; the last match wins. Or a recipe for the whole model:
            the name of a preset, with numbers where it takes some ("gpt2", "mup(base_width=128)"; `presets()` lists them), or
            one rule for all weights, or its text ("he_normal(mode='fan_out')").
        keep: patterns of weights to leave alone (frozen and pretrained ones), without `rules`.
        seed: the plan's seed.

    Returns:
        A `fanin.plans.Plan`: `plan.apply(model)`, `plan.to_python()`, `plan.save(path)`.
    """
    framework = watcher(model)
    keep = _strings("keep", keep)
    if rules is not None:
        from fanin.plans.presets import chosen, plan_from_recipe

        recipe = chosen(rules)  # what cannot be used is said before a long pass
        return plan_from_recipe(framework.trace(model, batch, targets, loss, seed=seed), recipe, seed=seed, model=model)
    from fanin import auto

    return auto.plan(model, batch, targets, loss, seed=seed, keep=keep)


def presets() -> Any:
    """Recipes for whole models, by name: what `plan(..., rules="gpt2")` takes. See `fanin.plans.presets`.

    Example:
        >>> import fanin
        >>> [preset.spec for preset in fanin.presets() if preset.name.startswith("mup")]
        ['mup(base_width=256)', 'mup-sgd(base_width=256)']
    """
    from fanin.plans.presets import presets as table

    return table()


def fix(model: Any, batch: Any, targets: Any = None, loss: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Checks, plans, applies and measures again; changes that do not help are rolled back. See `fanin.auto.fix`."""
    from fanin import auto

    watcher(model)
    if "keep" in options:
        options["keep"] = _strings("keep", options["keep"])
    return auto.fix(model, batch, targets, loss, **options)


def compare(factory: Any, inits: Iterable[Any] = ("default", "fanin"), data: Any = "digits", **options: Any) -> Any:
    """Trains the same model from different initial weights over many seeds. See `fanin.lab.compare`."""
    from fanin import lab

    return lab.compare(factory, inits=inits, data=data, **options)


def tune(factory: Any, data: Any = "digits", **options: Any) -> Any:
    """Searches weights and learning rate together, and confirms what it found. See `fanin.lab.tuning.tune`."""
    from fanin.lab.tuning import tune

    return tune(factory, data, **options)


def fingerprint(what: Any, **options: Any) -> Any:
    """The hash of a model, a checkpoint or a plan, and of each tensor. See `fanin.fingerprints.fingerprint`."""
    from fanin import fingerprints

    return fingerprints.fingerprint(what, **options)


def verify(model: Any, plan: Any, **options: Any) -> Any:
    """Which weights of a model or a checkpoint are not what a plan gives. See `fanin.fingerprints.verify`."""
    from fanin import fingerprints

    return fingerprints.verify(model, plan, **options)
