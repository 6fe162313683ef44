"""The doctor: one kind of fault a file, each with a stable code. `run_checks` runs them on a trace.

Every check is a module with `CODE`, `SLUG`, `SEVERITY` (the usual one) and `check(trace, law) -> Iterator[Finding]`. Its
docstring is what `fanin explain CODE` prints. The prediction of theory is made once and handed to all.

`ALL` maps codes to these modules; they are imported when it is first asked for.
"""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fanin.checks.finding import SEVERITIES, Finding, Fix, Severity
from fanin.checks.report import Curve, Report
from fanin.errors import FaninValueError
from fanin.traces.records import Trace

if TYPE_CHECKING:
    from fanin.checks.signal_curves import curves as curves
    from fanin.theory import Prediction

    ALL: dict[str, ModuleType]

# Modules of this package, in the order of their codes.
MODULES = (
    "non_finite",
    "uninitialised",
    "unused",
    "symmetry",
    "identical_layers",
    "vanishing_signal",
    "exploding_signal",
    "correlation_collapse",
    "dead_units",
    "saturation",
    "vanishing_gradient",
    "exploding_gradient",
    "dead_pair",
    "depth_over_width",
    "wrong_fan",
    "wrong_gain",
    "loss_at_start",
    "head_too_large",
    "input_scale",
    "residual_growth",
    "attention_logits",
    "recurrent_memory",
)


def __getattr__(name: str) -> Any:
    if name == "ALL":
        loaded = {m.CODE: m for m in (import_module(f"{__name__}.{module}") for module in MODULES)}
        globals()["ALL"] = loaded
        return loaded
    if name == "curves":
        from fanin.checks.signal_curves import curves

        return curves
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def run_checks(
    trace: Trace, select: Sequence[str] = (), ignore: Sequence[str] = (), *, law: "Prediction | None" = None
) -> tuple[Finding, ...]:
    """The findings of a trace, most severe first, then by code.

    Args:
        trace: a watched pass.
        select: codes, beginnings of codes ("FI2") or slugs to run; all where empty.
        ignore: the same, not to run.
        law: the prediction of theory (`fanin.theory.predict(trace)`), where it is already made.

    Raises:
        FaninValueError: a name in `select` or `ignore` matches no check.

    Example:
        >>> run_checks(trace, select=["FI2"], ignore=["dead-units"])  # doctest: +SKIP
    """
    from fanin.theory import predict

    checks = __getattr__("ALL")
    for names, argument in ((select, "select"), (ignore, "ignore")):
        for name in names:
            if not any(_named(m, (name,)) for m in checks.values()):
                raise FaninValueError(
                    f"{argument}={name!r} matches no check; accepted are codes such as {', '.join(list(checks)[:3])}, "
                    "beginnings of codes such as FI2, and slugs"
                )
    law = law or predict(trace)
    wanted = [m for m in checks.values() if (not select or _named(m, select)) and not _named(m, ignore)]
    found = [finding for module in wanted for finding in module.check(trace, law)]
    return tuple(sorted(found, key=lambda f: (-SEVERITIES.index(f.severity), f.code)))


def _named(module: ModuleType, names: Sequence[str]) -> bool:
    return any(name != "" and (module.CODE.startswith(name.upper()) or name.lower() == module.SLUG) for name in names)


__all__ = ["ALL", "Curve", "Finding", "Fix", "Report", "Severity", "curves", "run_checks"]
