"""Files that people ask a command for: written whole or not at all, and a clear sentence where that cannot be done."""

import os
from pathlib import Path

from fanin.errors import FaninValueError
from fanin.files import write_atomically


def write_file(path: str | Path, content: str | bytes) -> Path:
    """Writes `content` (text as UTF-8) to `path`, whole or not at all.

    Raises:
        FaninValueError: the folder does not exist, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> write_file(f"{folder}/report.txt", "all well").read_text()
        'all well'
    """
    check_writable(path)
    try:
        return write_atomically(path, content)
    except OSError as error:
        raise FaninValueError(f"{path} cannot be written: {error.strerror}") from None


def check_writable(path: str | Path) -> None:
    """Raises `FaninValueError` where `path` cannot become a file, so that long work is not done for nothing."""
    path = Path(path)
    if path.is_dir():
        raise FaninValueError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise FaninValueError(f"{path} cannot be written: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise FaninValueError(f"{path} cannot be written: the folder {path.parent} is not writable")
