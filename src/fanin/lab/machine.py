"""Errors that say something of the machine and nothing of the run: no room on the disk, no memory."""

import errno
import sqlite3

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # on the disk, in the user's share of it, in the largest file
NO_ROOM_FOR_SQLITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
ALLOCATORS = ("can't allocate memory", "not enough memory")  # what torch's allocators of the processor say


def is_full(error: BaseException) -> bool:
    """Whether there was no room to write.

    Example:
        >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(ValueError("full"))
        (True, False)
    """
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", 0) in NO_ROOM_FOR_SQLITE
    return isinstance(error, OSError) and error.errno in NO_ROOM


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was no memory to be had: of the processor, or of an accelerator (torch.OutOfMemoryError)."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in ALLOCATORS)


def is_of_the_machine(error: BaseException) -> bool:
    """Whether a run that ends with this error may do better another time: a worker lets it through to the driver."""
    return is_full(error) or is_out_of_memory(error)
