"""The doctor: one kind of fault a file, each with a stable code. `run_checks` runs them on a trace.

Every check is a module with `CODE`, `SLUG`, `SEVERITY` (the usual one) and `check(trace, law) -> Iterator[Finding]`. Its docstring is what
`fanin explain CODE` prints. The prediction of theory is made once and handed to all.
"""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from fanin.checks.curves import curves
from fanin.checks.finding import SEVERITIES, Finding, Fix, Severity
from fanin.checks.report import Curve, Report
from fanin.errors import FaninValueError
from fanin.theory import Prediction, predict
from fanin.traces.records import Trace

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
ALL: dict[str, ModuleType] = {m.CODE: m for m in (import_module(f"{__name__}.{name}") for name in MODULES)}


def run_checks(
    trace: Trace, select: Sequence[str] = (), ignore: Sequence[str] = (), *, law: Prediction | None = None
) -> tuple[Finding, ...]:
    """The findings of a trace, most severe first, then by code.

    Args:
        trace: a watched pass.
        select: codes, beginnings of codes ("FI2") or slugs to run; all where empty.
        ignore: the same, not to run.
        law: the prediction of theory, where it is already made.

    Raises:
        FaninValueError: a name in `select` or `ignore` matches no check.
    """
    wanted = [m for m in ALL.values() if (not select or _named(m, select)) and not _named(m, ignore)]
    for names, argument in ((select, "select"), (ignore, "ignore")):
        for name in names:
            if not any(_named(m, (name,)) for m in ALL.values()):
                raise FaninValueError(
                    f"{argument}={name!r} matches no check; accepted are codes such as {', '.join(list(ALL)[:3])}, "
                    "beginnings of codes such as FI2, and slugs"
                )
    law = law or predict(trace)
    found = [finding for module in wanted for finding in module.check(trace, law)]
    return tuple(sorted(found, key=lambda f: (-SEVERITIES.index(f.severity), f.code)))


def _named(module: ModuleType, names: Sequence[str]) -> bool:
    return any(module.CODE.startswith(n.upper()) or n.lower() == module.SLUG for n in names)


__all__ = ["ALL", "Curve", "Finding", "Fix", "Report", "Severity", "curves", "run_checks"]
