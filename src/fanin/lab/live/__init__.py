"""A study while it is run, read from its folder: rows as they are committed, curves as they grow."""

from fanin.lab.live.folder import LiveRun, Watched
from fanin.lab.live.overview import overview

__all__ = ["LiveRun", "Watched", "overview"]
