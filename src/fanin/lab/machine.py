"""Errors that say something of the machine or of the process, and nothing of the run: no room on the disk, no memory, no more files."""

import errno
import sqlite3
from collections.abc import Iterator

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # on the disk, in the user's share of it, in the largest file
NO_ROOM_FOR_SQLITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
NO_MORE_FILES = {errno.EMFILE, errno.ENFILE}  # open in the process, in the whole system
NO_THREAD = "can't start new thread"  # what Python says
ALLOCATORS = ("can't allocate memory", "not enough memory")  # what torch's allocators of the processor say


def is_full(error: BaseException) -> bool:
    """Whether there was no room to write, be it the error itself or what it was raised from.

    Example:
        >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(ValueError("full"))
        (True, False)
    """
    return any(
        getattr(e, "sqlite_errorcode", 0) in NO_ROOM_FOR_SQLITE
        if isinstance(e, sqlite3.OperationalError)
        else isinstance(e, OSError) and e.errno in NO_ROOM
        for e in _causes(error)
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was no memory to be had: of the processor, or of an accelerator (torch.OutOfMemoryError)."""
    return any(
        isinstance(e, MemoryError)
        or type(e).__name__ == "OutOfMemoryError"
        or (isinstance(e, RuntimeError) and any(words in str(e) for words in ALLOCATORS))
        for e in _causes(error)
    )


def is_worn_out(error: BaseException) -> bool:
    """Whether this process may open no more files or start no more threads: runs before it may have left theirs.

    Example:
        >>> is_worn_out(OSError(errno.EMFILE, "Too many open files")), is_worn_out(OSError(errno.ENOENT, "No such file"))
        (True, False)
    """
    return any(
        (isinstance(e, OSError) and e.errno in NO_MORE_FILES) or (isinstance(e, RuntimeError) and NO_THREAD in str(e))
        for e in _causes(error)
    )


def is_of_the_machine(error: BaseException) -> bool:
    """Whether a run that ends with this error may do better another time: a worker lets it through to the driver."""
    return is_full(error) or is_out_of_memory(error) or is_worn_out(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        # torch.save to a full disk raises an error of its own while the disk's is handled
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
