"""fanin: know before you train. Checks, fixes and compares the initial weights of your model."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanin import rules
    from fanin.activations import Activation, gain
    from fanin.api import check, compare, fingerprint, fix, plan, presets, tune, verify
    from fanin.draws import draw
    from fanin.errors import FaninError, FaninTypeError, FaninValueError

__version__ = "0.1.0"
__all__ = [
    "Activation", "FaninError", "FaninTypeError", "FaninValueError", "check", "compare", "draw", "fingerprint",
    "fix", "gain", "plan", "presets", "rules", "tune", "verify",
]  # fmt: skip

# Looked up on first use: `import fanin` stays quick, and no framework is imported before it is needed.
_HOMES = {
    "Activation": "fanin.activations",
    "FaninError": "fanin.errors",
    "FaninTypeError": "fanin.errors",
    "FaninValueError": "fanin.errors",
    "check": "fanin.api",
    "compare": "fanin.api",
    "draw": "fanin.draws",
    "fingerprint": "fanin.api",
    "fix": "fanin.api",
    "gain": "fanin.activations",
    "plan": "fanin.api",
    "presets": "fanin.api",
    "tune": "fanin.api",
    "verify": "fanin.api",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in ("rules", "theory", "checks", "plans", "lab", "torch", "draws", "fingerprints"):
        return importlib.import_module(f"fanin.{name}")
    raise AttributeError(f"module 'fanin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
