"""Runs a study: hands its jobs to an executor, commits what comes back, and goes on whatever happens to a job."""

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanin.errors import FaninError, FaninValueError
from fanin.lab.estimate import Estimate
from fanin.lab.executors import Serial, make_executor, payload_of
from fanin.lab.jobs import Died, Executor, Finished, Job, Stepped, checkpoint_files
from fanin.lab.own_code import keep_directions, note_changed
from fanin.lab.store import CurveMissing, Store
from fanin.lab.store.schema import full
from fanin.lab.store.study_file import holds_study, read_study
from fanin.lab.study.records import RunConfig, Study
from fanin.lab.study.rows import RunRow
from fanin.lab.worker import grouping
from fanin.records import Record

DEATHS = 5  # of a run, in a row and without a checkpoint between them, after which it counts as failed
SPLITS = 3  # of a stack, after which it is halved: one of its runs may be at fault
WAIT = 1.0  # seconds to wait for an event
PULSE = 0.1  # seconds between two reports of nothing but steps

Group = Callable[[Mapping[str, RunConfig], Study], Iterable[tuple[str, ...]]]  # keys of each job


@dataclass(frozen=True)
class StudyProgress(Record):
    """Where a study stands while it is run.

    Attributes:
        total: runs of the study.
        done: runs with a result, diverged ones among them, earlier sessions' too.
        diverged, failed: runs that diverged; that have no result.
        running: runs that are at work.
        share: of the whole study that is done, runs at work counted by their shares (0 to 1).
        seconds: since this session began.
        left: seconds until the end, estimated; None before the first run is done.
        rows: committed since the last report.
    """

    total: int
    done: int = 0
    diverged: int = 0
    failed: int = 0
    running: int = 0
    share: float = 0.0
    seconds: float = 0.0
    left: float | None = None
    rows: tuple[RunRow, ...] = ()


@dataclass(frozen=True)
class RunSummary(Record):
    """What a session of a study came to.

    Attributes:
        folder: of the study.
        total, done, diverged, failed, pending: runs of the study by state; "done" has the diverged ones among them.
        ran: runs that this session brought to an end.
        interrupted: whether Ctrl-C ended it; what is pending is run by resuming.
        seconds: of this session.
        notes: what happened that should be known, one sentence each.
    """

    folder: str
    total: int
    done: int
    diverged: int
    failed: int
    pending: int
    ran: int = 0
    interrupted: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


def run_study(
    study: Study,
    folder: str | Path,
    executor: str | Executor = "processes",
    *,
    configs: Mapping[str, RunConfig],
    group: Group | None = None,
    workers: int | None = None,
    bindings: Mapping[str, Any] | None = None,
    source: str = "",
    replace: bool = False,
    retry_failed: bool = False,
    on_event: Callable[[StudyProgress], None] | None = None,
) -> RunSummary:
    """Runs what is missing of a study; what is done in `folder` is never run again.

    Args:
        study: what is to be run. Where `folder` holds it already, it may have grown since.
        folder: of the study; made where there is none.
        executor: its name (see `fanin.lab.executors.make_executor`), or one that is made. It is closed in any case.
        configs: the study's runs by key, in the order of the grid (`fanin.lab.study.session` makes them).
        group: which runs make one job: unless said, those that train as one stack.
        workers: how many runs at once, for an executor that is named.
        bindings: objects of the caller's own that the study's specs name.
        source: where they were found, for those who resume it to find them again.
        replace: whether finished runs may drop out of the study (they are kept in the store, but not shown).
        retry_failed: whether runs that failed are tried again.
        on_event: called whenever something happened.

    Raises:
        FaninValueError: an argument cannot be used, or finished runs would drop out; nothing is changed then.
        DiskFull: what was committed stays.
        FaninError: another driver is at work on the study, or the folder cannot be used.

    Example:
        >>> import tempfile
        >>> from fanin.lab.study.session import prepare
        >>> study = Study("mine", models=("mlp(depth=1, width=8)",), plans=("default",), lrs=(0.1,), seeds=(0, 1))
        >>> run_study(study, tempfile.mkdtemp(), "serial", configs=prepare(study).configs).done
        2
    """
    begun = time.monotonic()
    if isinstance(executor, str):
        executor = make_executor(executor, workers, payload_of(bindings, here=executor == "serial"))
    with contextlib.closing(executor), _store_of(study, Path(folder), configs, source, replace) as store:
        note_changed(store, configs.values(), bindings or {})
        keep_directions(store, configs.values(), bindings or {})
        if retry_failed:
            store.forget_failed()
        pending = {key: configs[key] for key in store.pending_keys()}  # as the caller has them: reading takes longer
        drive = _Drive(store, executor, pending, group or grouping(configs), on_event)
        interrupted = True
        with contextlib.suppress(KeyboardInterrupt), _noted_interrupt(not isinstance(executor, Serial)) as stop:
            drive.run(stop)
            interrupted = stop.is_set()  # at the last moment: whatever comes after this study is not to begin
        counts = store.counts()
        return RunSummary(
            str(folder), sum(counts[s] for s in ("done", "failed", "pending")), **counts, ran=drive.ran,
            interrupted=interrupted, seconds=time.monotonic() - begun, notes=store.log(),
        )  # fmt: skip


@contextlib.contextmanager
def _noted_interrupt(wanted: bool) -> Iterator[threading.Event]:
    """Ctrl-C is noted, for the driver to stop at its next turn; a second one stops it where it is.

    An exception that may come anywhere is lost where it comes in a callback of the interpreter (an import has one). Where
    this process trains itself there are no turns, and it is left as it is.
    """
    noted = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if (
        not wanted
        or before is not signal.default_int_handler
        or threading.current_thread() is not threading.main_thread()
    ):
        yield noted
        return

    def note(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, before)
        noted.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


def _store_of(study: Study, folder: Path, configs: Mapping[str, RunConfig], source: str, replace: bool) -> Store:
    if not holds_study(folder):
        store = Store.create(folder, study)
    else:
        _check_unchanged(folder, study, configs, replace)
        store = Store.open(folder)
    try:
        _check_growth(store, study, configs, replace)
        if source:  # before the runs that need it are there
            store.choose("source", source, again=True)
        store.define(study, configs)
    except BaseException:
        store.close()
        raise
    return store


def _check_unchanged(folder: Path, study: Study, configs: Mapping[str, RunConfig], replace: bool) -> None:
    """Refuses before a session begins, which would be on record; what is damaged is looked at when it is mended."""
    try:
        with Store.open(folder, readonly=True) as store:
            _check_growth(store, study, configs, replace)
    except FaninValueError:
        raise
    except FaninError:
        return


def _check_growth(store: Store, study: Study, configs: Mapping[str, RunConfig], replace: bool) -> None:
    """Refuses a definition that finished runs would drop out of, or that edits what was expected of them."""
    finished = store.finished()
    if not finished or study == store.study:
        return
    part = store.finished(dropped=False)
    lost = len(part - set(configs))
    before, now = store.study.expectations, study.expectations
    edited = sum(e not in now for e in before)
    answer = study.answer.strip() != store.study.answer.strip()
    if not replace and (lost or edited or answer):
        fields = [name for name, value in store.study.to_dict().items() if study.to_dict()[name] != value]
        what = (
            f"{lost} of its {len(part)} finished runs would no longer be part of it"
            if lost
            else f"{'expectations are' if edited else 'the answer is'} written before the run, and not edited after it"
        )
        raise FaninValueError(
            f"folder={str(store.folder)!r} holds this study with other {', '.join(fields)}: {what}; "
            "run the changed one in a folder of its own, or say replace=True (--replace)"
        )
    if store.readonly:
        return
    if edited:
        store.note(f"{edited} expectations were edited or withdrawn after {len(finished)} runs were finished")
    if answer:
        store.note(
            f"the written answer was edited after {len(finished)} runs were finished; it was: {store.study.answer}"
        )
    if (added := sum(e not in before for e in now) - edited) > 0:
        store.note(f"{added} expectations were written after {len(finished)} runs were finished")


def resume_study(folder: str | Path, executor: str | Executor = "processes", **options: Any) -> RunSummary:
    """Runs what is missing of the study in `folder`; the rest as `run_study`."""
    return run_study(read_study(Path(folder)), folder, executor, **options)


@dataclass(frozen=True)
class _Deaths:
    """How often a job ended without a result since its checkpoint was last written."""

    count: int = 0
    checkpoint: tuple[tuple[int, ...], ...] = ()


class _Drive:
    """One session: jobs that wait, jobs that are at work, and what became of them."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        pending: Mapping[str, RunConfig],
        group: Group,
        on_event: Callable[[StudyProgress], None] | None,
    ) -> None:
        self.store, self.executor, self.on_event = store, executor, on_event
        keys = group(pending, store.study)
        self.number, self.ran = 0, 0
        self.waiting = deque(self._job(k, tuple(pending[key] for key in k)) for k in keys)
        self.at_work: dict[int, Job] = {}
        self.shares: dict[int, float] = {}
        self.finished: list[Finished] = []  # and not committed yet: Ctrl-C may come at any moment
        self.deaths: dict[tuple[str, ...], _Deaths] = {}
        self.counts = store.counts()
        self.estimate = Estimate(pending.values())
        self.begun = time.monotonic()
        self.reported = -PULSE
        if isinstance(executor, Serial):
            executor.on_step = self._stepped

    def run(self, stop: threading.Event) -> None:
        """Until nothing is left to do, or it is to stop. Ctrl-C still commits what is finished."""
        try:
            while self.waiting or self.at_work:
                if stop.is_set():
                    raise KeyboardInterrupt
                self._fill()
                self._take(self.executor.events(WAIT), then=self._fill)
        except KeyboardInterrupt:
            self._take(self.executor.events(0.0) if not isinstance(self.executor, Serial) else ())
            raise

    def _job(self, keys: tuple[str, ...], configs: tuple[RunConfig, ...]) -> Job:
        self.number += 1
        return Job(self.number, keys, configs, 0, str(self.store.folder), self.store.study.patience)

    def _fill(self) -> None:
        """Submits as many jobs as the executor has use for."""
        free = min(self.executor.capacity - len(self.at_work), len(self.waiting))
        if free <= 0:
            return
        for job in self.store.claim([self.waiting.popleft() for _ in range(free)]):
            self.at_work[job.number] = job
            self.executor.submit(job)

    def _take(self, events: Iterable[Any], then: Callable[[], None] = lambda: None) -> None:
        """Commits what is finished; before it, while the disk is waited for, `then` gives workers something to do."""
        for event in events:
            if event.job.number not in self.at_work:  # an end that was counted already
                continue
            if isinstance(event, Stepped):
                self._stepped(event)
                continue
            self.at_work.pop(event.job.number)
            self.shares.pop(event.job.number, None)
            if isinstance(event, Finished) and {row.key for row in event.rows} == set(event.job.keys):
                self.finished.append(event)
            elif isinstance(event, Finished):
                self._died(Died(event.job, "it gave no row for some of its runs", raised=True))
            else:
                self._died(event)
        if self.finished:
            then()
            self._commit(self.finished)
            self.finished = []

    def _stepped(self, event: Stepped) -> None:
        self.shares[event.job.number] = event.share
        if self.on_event and time.monotonic() - self.reported >= PULSE:
            self._report()

    def _commit(self, finished: Sequence[Finished]) -> None:
        try:
            rows = self.store.commit(row for event in finished for row in event.rows)
        except CurveMissing as error:
            first, *others = finished
            if others:
                for event in finished:
                    self._commit([event])
            else:
                self._died(Died(first.job, str(error)))
            return
        for event in finished:
            self.deaths.pop(event.job.keys, None)
            with contextlib.suppress(OSError):
                for file in checkpoint_files(self.store.folder, event.job):
                    file.unlink(missing_ok=True)
        for row in rows:
            self.ran += 1
            self.counts["pending"] -= 1
            self.counts[row.state] += 1
            self.counts["diverged"] += row.diverged
            self.estimate.add(row)
        self._report(rows)

    def _died(self, event: Died) -> None:
        """Tries again, halves a stack, or gives a run up."""
        job = event.job
        if event.full:
            raise full(self.store.folder)
        before, checkpoint = self.deaths.get(job.keys, _Deaths()), _stamps(checkpoint_files(self.store.folder, job))
        count = 1 if checkpoint != before.checkpoint else before.count + 1
        self.deaths[job.keys] = _Deaths(count, checkpoint)
        hopeless = event.hung or event.raised
        middle = len(job.keys) // 2
        if middle and (hopeless or count >= SPLITS):
            self.store.note(
                f"a stack of {len(job.keys)} runs was halved, so that their last bits may differ: {event.why}"
            )
            self.waiting.append(self._job(job.keys[:middle], job.configs[:middle]))
            self.waiting.append(self._job(job.keys[middle:], job.configs[middle:]))
        elif hopeless or count >= DEATHS:
            why = event.why if hopeless else f"{event.why}, {count} times"
            row = RunRow(job.keys[0], job.configs[0], "failed", attempts=job.attempt + 1, error=why)
            self._commit([Finished(job, (row,))])
        else:
            self.waiting.append(self._job(job.keys, job.configs))

    def _report(self, rows: tuple[RunRow, ...] = ()) -> None:
        if not self.on_event:
            return
        counts = self.counts
        total = counts["done"] + counts["failed"] + counts["pending"]
        self.reported = time.monotonic()
        seconds = self.reported - self.begun
        at_work = [(job.configs, self.shares.get(number, 0.0)) for number, job in self.at_work.items()]
        begun = sum(len(configs) * share for configs, share in at_work)
        self.on_event(
            StudyProgress(
                total, counts["done"], counts["diverged"], counts["failed"], sum(len(configs) for configs, _ in at_work),
                (counts["done"] + counts["failed"] + begun) / total if total else 1.0,
                seconds, self.estimate.left(seconds, at_work), rows,
            )
        )  # fmt: skip


def _stamps(files: Iterable[Path]) -> tuple[tuple[int, ...], ...]:
    """Others whenever one of the files was written anew; () where there is none."""
    found = []
    for file in files:
        with contextlib.suppress(OSError):  # removed meanwhile
            stat = file.stat()
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)
