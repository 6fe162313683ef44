"""Jobs as tasks of a Ray cluster: of this machine, or of many."""

import contextlib
import importlib
import os
import secrets
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from fanin.errors import FaninError, FaninValueError
from fanin.lab.executors import remote
from fanin.lab.executors.attempt import CARRY_OUT
from fanin.lab.executors.payload import ONE_THREAD
from fanin.lab.jobs import Died, Event, Finished, Job, Payload, Stepped

SLICE = 0.5  # seconds between two looks at the signs of life
OBJECTS = 100 << 20  # bytes of a local cluster's object store: payload and rows are all that goes through it


@dataclass
class _Running:
    job: Job
    listener: remote.Listener


class Ray:
    """Carries jobs out on a Ray cluster, one task of one CPU each (and one GPU, for runs on CUDA).

    Ray repeats nothing: a task whose process or node is gone is told of as `Died`, and the driver has it done again, from the
    last checkpoint. Checkpoints and curves are in the study's folder, so that every node must share it. Progress goes
    through it too (see `remote`).

    A local cluster (the default) listens on the loopback address alone, wants a token that this process made up, has no
    dashboard, reports nothing to Ray's makers, and ends with this executor.

    Args:
        workers: CPUs of a local cluster, and jobs at once; of another cluster all that it has, unless said.
        payload: what each worker is sent once.
        carry_out: "module:function" that carries a job out.
        address: of a running cluster ("host:port", or "auto" for the one that this machine is a node of), "local" for a
            new one. Its token is found as Ray finds it (RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token).

    Raises:
        FaninValueError: address is none.
        FaninError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(
        self,
        workers: int | None = None,
        payload: Payload | None = None,
        carry_out: str = CARRY_OUT,
        address: str = "local",
    ) -> None:
        remote.needs("ray", "ray", "ray")
        _check_address(address)
        self.workers, self.payload, self.carry_out, self.address = workers, payload or Payload(), carry_out, address
        self._ours = _connect(address, workers)
        self._ray = _ray()
        self._task: Any = self._ray.remote(num_cpus=1, max_retries=0)(remote.carry)
        self._places: dict[Path, tuple[remote.Session, Any]] = {}  # by folder; and the payload in the object store
        self._running: dict[Any, _Running] = {}  # by the reference to what the task returns
        self._capacity = (0, -60.0)  # and when it was asked for

    @property
    def capacity(self) -> int:
        """One job a CPU and one that waits, so that a CPU which is done finds its next job at once."""
        found, asked = self._capacity
        if time.monotonic() - asked > 10:  # nodes come and go
            with _one_sentence(self.address):
                found = int(self._ray.cluster_resources().get("CPU", 0))
            self._capacity = found, time.monotonic()
        return 2 * max(1, min(found, self.workers or found))

    def submit(self, job: Job) -> None:
        """Takes a job over."""
        folder = remote.folder_of(job)
        if folder not in self._places:
            payload = remote.travelling(self.payload, folder, self._ray.cloudpickle.dumps)
            self._places[folder] = remote.Session(folder), self._ray.put(payload)
        session, payload = self._places[folder]
        sent = replace(job, folder=str(folder))
        with _one_sentence(self.address):
            reference = self._task_of(job).remote(sent, payload, self.carry_out, session.name)
        self._running[reference] = _Running(job, session.listen(job))

    def _task_of(self, job: Job) -> Any:
        if not remote.on_cuda(job):
            return self._task
        if self.address == "local" and not self._ray.cluster_resources().get("GPU"):  # it would wait for ever
            raise FaninError("the study trains on cuda, but this machine has no GPU that Ray sees; set device = 'cpu'")
        return self._task.options(num_gpus=1)

    def events(self, timeout: float) -> Iterable[Event]:
        """What became of jobs, and how far the others are.

        Raises:
            FaninError: the cluster is gone, a node does not see the study's folder, or has no fanin.
        """
        end = time.monotonic() + timeout
        while self._running:
            found = [*self._ended(min(SLICE, max(0.0, end - time.monotonic()))), *self._heard()]
            if found or time.monotonic() >= end:
                return found
        return ()

    def close(self) -> None:
        """Cancels what is at work, and ends a cluster that was started here."""
        with contextlib.suppress(Exception):  # whatever state the cluster is in
            for reference in self._running:
                self._ray.cancel(reference, force=True)
        self._running.clear()
        if self._ours:
            self._ray.shutdown()
            _read_again()  # another cluster may have no token
            self._ours = False
        for session, _ in self._places.values():
            session.close()
        self._places.clear()

    def _ended(self, timeout: float) -> Iterator[Event]:
        references = list(self._running)
        with _one_sentence(self.address):
            done, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
            if not done:
                done, _ = self._ray.wait(references, num_returns=1, timeout=timeout)
        for reference in done:
            running = self._running.pop(reference)
            running.listener.look()
            running.listener.forget()
            yield self._outcome(reference, running)

    def _outcome(self, reference: Any, running: _Running) -> Finished | Died:
        errors = self._ray.exceptions
        try:
            outcome = self._ray.get(reference)
        except errors.RayTaskError as error:  # outside of the job itself, so that no other would fare better
            raise FaninError(
                f"a worker of {_name(self.address)} cannot begin ({_cause(error)}); every node needs the same fanin, Python and modules"
            ) from error
        except errors.RayError as error:
            return Died(running.job, _why(error, errors), share=running.listener.share)
        if isinstance(outcome, remote.NotShared):
            raise outcome.error()
        return replace(outcome, job=running.job)

    def _heard(self) -> Iterator[Event]:
        for reference, running in list(self._running.items()):
            job, listener = running.job, running.listener
            if listener.look():
                yield Stepped(job, listener.share)
            elif listener.silent() > listener.patience(job):
                del self._running[reference]
                listener.forget()
                with contextlib.suppress(self._ray.exceptions.RayError):
                    self._ray.cancel(reference, force=True)
                yield Died(job, f"it made no step in {listener.patience(job):g} s", hung=True, share=listener.share)


def _check_address(address: Any) -> None:
    """Raises unless it is one, and somebody listens there: Ray itself tries for minutes."""
    if address in ("local", "auto"):
        return
    host, colon, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not (host and colon and port.isdigit()) or "/" in host:
        raise FaninValueError(f"address={address!r} must be 'local', 'auto' or 'host:port' of a Ray cluster")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise FaninError(f"{_name(address)} cannot be reached ({error})") from None


def _ray() -> Any:
    return importlib.import_module("ray")


@cache
def _token() -> str:
    """Of this process's local clusters; Ray keeps the first that it finds."""
    return secrets.token_hex(32)


def _connect(address: str, workers: int | None) -> bool:
    """Connects this process; whether it was not connected before (a cluster that the user is connected to is left as it is)."""
    # What clusters say of dead workers would go to the standard output; it comes back as `Died` in any case.
    settings = {"RAY_DEDUP_LOGS_SKIP_REGEX": "."}
    if address == "local":
        settings |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": _token(),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Ray's own switch for machines that are no part of a cluster: then it binds the loopback address alone.
            # It is read when Ray is imported; in a process that has imported it before, the token is what protects.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            **ONE_THREAD,
        }
    with _variables(settings):
        ray = _ray()
        if ray.is_initialized():
            here = ray.get_runtime_context().gcs_address
            if address not in ("local", "auto", here):
                raise FaninError(
                    f"this process is connected to the Ray cluster at {here}, so address={address!r} cannot be used; "
                    "call ray.shutdown() first"
                )
            return False
        new: dict[str, Any] = {}
        if address == "local":
            new = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": OBJECTS}
            _read_again()  # Ray may have read RAY_AUTH_MODE before it was set here
        with _one_sentence(address):
            ray.init(address=address, log_to_driver=False, logging_level="error", **new)
    return True


def _read_again() -> None:
    """Has Ray read its settings from the environment once more; it has no public call for it."""
    with contextlib.suppress(ImportError, AttributeError):
        inside = importlib.import_module("ray._raylet")
        inside.Config.initialize("")
        inside.AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Variables for what is started inside; those that the user has set stay as they are."""
    new = [name for name in values if name not in os.environ]
    os.environ.update({name: values[name] for name in new})
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _one_sentence(address: str) -> Iterator[None]:
    """What Ray raises when there is no cluster, as one sentence."""
    try:
        yield
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, _ray().exceptions.RayError) as error:
        raise FaninError(f"{_name(address)} cannot be used ({_last_line(error)})") from error


def _name(address: str) -> str:
    return "the local Ray cluster" if address == "local" else f"the Ray cluster at address={address!r}"


def _why(error: Exception, errors: Any) -> str:
    """Why a task has no result, in words."""
    if isinstance(error, errors.OutOfMemoryError):
        return "its node ran out of memory"
    if isinstance(error, errors.WorkerCrashedError):
        return "its process was killed (out of memory?)"
    node = getattr(errors, "NodeDiedError", ())
    if (node and isinstance(error, node)) or isinstance(error, errors.ObjectLostError):
        return "its node is gone"
    return f"its node or process is gone ({type(error).__name__})"


def _cause(error: Any) -> str:
    return (
        f"{type(error.cause).__name__}: {_last_line(error.cause)}"
        if getattr(error, "cause", None)
        else _last_line(error)
    )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
