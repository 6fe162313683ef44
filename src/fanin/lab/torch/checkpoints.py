"""Checkpoints of a job: written whole or not at all, read without running code from the file."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import torch

VERSION = 3
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
        self.file.parent.mkdir(parents=True, exist_ok=True)
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

    def load(self) -> dict[str, Any] | None:
        """The state to go on from, None where there is none that can be used (a damaged file is no error: work is redone)."""
        if self.file is None or not self.file.is_file():
            return None
        try:
            state = torch.load(self.file, weights_only=True)
        except Exception:
            return None
        if not isinstance(state, dict) or state.get("version") != VERSION or state.get("keys") != list(self.keys):
            return None
        return state
