"""The life of a worker process: it carries out one job after another, and does not outlive its driver."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing import connection
from multiprocessing.connection import Connection

from fanin.lab.executors.attempt import attempt, find
from fanin.lab.executors.payload import unpack_environment
from fanin.lab.jobs import Died, Job, Payload

PULSE = 0.25  # seconds between two signs of life: a step may take less than it costs to tell of it


def main(pipe: Connection, payload: Payload, carry_out: str, driver: int) -> None:
    """Serves jobs from the pipe until it is closed. Sends "ready", then a share (a sign of life) or an outcome."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with(driver)
    with contextlib.suppress(OSError):
        os.dup2(2, 1)  # what the user's code prints: the standard output is what the driver's caller reads
    unpack_environment(payload)
    function = find(carry_out)
    pipe.send("ready")
    while True:
        try:
            job: Job | None = pipe.recv()
        except (EOFError, OSError):
            return
        if job is None:
            return
        outcome, error = attempt(function, job, payload, _Pulse(pipe))
        pipe.send(outcome)
        if isinstance(outcome, Died) and not outcome.raised:  # memory may be in pieces: a fresh process goes on
            del error
            return


class _Pulse:
    """Sends the share that is done, not too often."""

    def __init__(self, pipe: Connection):
        self.pipe, self.last = pipe, -PULSE

    def __call__(self, share: float) -> None:
        now = time.monotonic()
        if now - self.last >= PULSE:
            self.last = now
            self.pipe.send(share)


def die_with(driver: int) -> None:
    """Lets this process end when the driver does, also when that is killed.

    On Linux the kernel sees to it, whatever this process is busy with; everywhere a thread waits for the driver's end.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != driver:  # it ended before the call
            os._exit(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
