"""The automatic choice: a rule for every weight of a traced model, and a model mended and measured again."""

from typing import TYPE_CHECKING, Any

from fanin.auto.choose import choose

if TYPE_CHECKING:
    from fanin.auto.fix_torch import Fixed as Fixed

__all__ = ["choose"]


def __getattr__(name: str) -> Any:
    if name in ("fix", "Fixed"):
        from fanin.auto import fix_torch

        return getattr(fix_torch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
