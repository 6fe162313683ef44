"""The automatic choice: a rule for every weight of a traced model, and a model mended and measured again."""

from typing import TYPE_CHECKING, Any

from fanin.auto.choose import choose
from fanin.auto.fixed import Fixed

if TYPE_CHECKING:
    from fanin.auto.fix_torch import fix as fix
    from fanin.auto.fix_torch import plan as plan

__all__ = ["Fixed", "choose", "fix", "plan"]


def __getattr__(name: str) -> Any:
    if name in ("fix", "plan"):
        from fanin.auto import fix_torch

        return getattr(fix_torch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
