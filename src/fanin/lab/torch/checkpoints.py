"""Checkpoints of a job: written whole or not at all, read without running code from the file."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

VERSION = 4
EVERY = 30.0  # seconds of work that a killed worker loses at most


class Checkpoints:
    """The newest state of one job on disk.

    Args:
        file: where it is kept; None keeps none.
        keys: of the job's runs, in order: a checkpoint of others is not taken.
        every: seconds between two of them.
    """

    def __init__(self, file: Path | None, keys: tuple[str, ...], every: float = EVERY) -> None:
        self.file, self.keys, self.every = file, keys, every
        self.last = time.monotonic()

    def due(self) -> bool:
        """Whether enough time has passed since the last one."""
        return self.file is not None and time.monotonic() - self.last >= self.every

    def save(self, state: dict[str, Any]) -> None:
        """Writes the state; a file that was there is replaced in one step."""
        if self.file is None:
            return
        self.file.parent.mkdir(exist_ok=True)
        new = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        try:
            with open(new, "wb") as stream:
                torch.save({"version": VERSION, "keys": list(self.keys), **state}, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(new, self.file)
        finally:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
        self.last = time.monotonic()

    def load(self, now: Callable[[], dict[str, Any]] | None = None) -> dict[str, Any] | None:
        """The state to go on from, None where there is none that can be used: work is redone where the file is damaged, or where
        the code of the model has changed since, so that its weights do not fit.

        Args:
            now: gives the state of the trainee as it is, in whose form that of the file must be.
        """
        if self.file is None or not self.file.is_file():
            return None
        try:
            state = torch.load(self.file, weights_only=True)
        except Exception:
            return None
        if not isinstance(state, dict) or state.get("version") != VERSION or state.get("keys") != list(self.keys):
            return None
        return state if now is None or _form(state["trainee"]) == _form(now()) else None


def numbers_of(model: nn.Module) -> dict[str, dict[str, float]]:
    """The plain numbers that modules keep beside their weights, such as a count of steps, by the names of both."""
    found = {
        name: {n: v for n, v in vars(module).items() if type(v) in (int, float, bool)}
        for name, module in model.named_modules()
    }
    return {name: own for name, own in found.items() if own}


def put_numbers(model: nn.Module, numbers: dict[str, dict[str, float]]) -> None:
    """Puts what `numbers_of` gave back."""
    for name, module in model.named_modules():
        vars(module).update(numbers.get(name, {}))


def _form(value: Any) -> Any:
    """Names and shapes of a trainee's state, weights at the start aside: those are not kept yet when it is made."""
    if isinstance(value, dict):
        return {name: _form(v) for name, v in value.items() if name not in ("start", "numbers")}
    if isinstance(value, list | tuple):
        return [_form(v) for v in value]
    return tuple(value.shape) if isinstance(value, Tensor) else None
