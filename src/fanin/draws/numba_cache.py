"""Machine code of numba that is kept on disk where there is room for it, and made anew where there is none."""

import contextlib
import pickle
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache


class _Lenient(FunctionCache):
    """A cache without which nothing fails: its folder may be full, or have become unreadable."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except (OSError, EOFError, pickle.PickleError):
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            self.disable()


def kept(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` with these options; what it compiles is kept beside the sources, or in the user's cache, if it can be."""

    def compiled(function: Callable[..., Any]) -> Any:
        made: Any = njit(**options)(function)
        with contextlib.suppress(RuntimeError):  # no folder can be written to
            made._cache = _Lenient(function)  # as `Dispatcher.enable_caching` does it
        return made

    return compiled
