"""A session of a study: everything checked, its runs made, what is missing run, and what holds for the whole kept."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanin.errors import FaninError, FaninValueError
from fanin.lab.driver import RunSummary, StudyProgress, run_study
from fanin.lab.estimate import Kind, kind_of
from fanin.lab.jobs import Executor
from fanin.lab.store import Store
from fanin.lab.store.lock import Busy
from fanin.lab.store.study_file import holds_study, read_study
from fanin.lab.study import grid
from fanin.lab.study.fits import check_grid
from fanin.lab.study.records import Bindings, RunConfig, Study
from fanin.lab.worker import Cost, data_of, estimate, grouping, with_stacking

MOST_TIMED = 16  # kinds of runs (model, data, optimizer, batch size) that are timed for an estimate


@dataclass(frozen=True, eq=False)
class Prepared:
    """A study that can be run.

    Attributes:
        study: checked.
        configs: its runs by key, in the order of the grid, with the choice of stacks made.
        bindings: objects that its specs name, under every text that the runs have.
    """

    study: Study
    configs: dict[str, RunConfig]
    bindings: Bindings

    def cost(self, done: frozenset[str] = frozenset()) -> Cost:
        """What the runs will take on this machine, those aside that are done.

        Of a grid with many kinds of runs some are timed, evenly spread over it, and stand for the others.
        """
        kinds: dict[Kind, list[RunConfig]] = {}
        for key, config in self.configs.items():
            if key not in done:
                kinds.setdefault(kind_of(config), []).append(config)
        chosen = list(kinds.values())
        if len(chosen) > MOST_TIMED:
            chosen = [chosen[i * (len(chosen) - 1) // (MOST_TIMED - 1)] for i in range(MOST_TIMED)]
        timed = estimate((config for alike in chosen for config in alike), self.bindings)
        runs = sum(map(len, kinds.values()))
        scale = runs / timed.runs if timed.runs else 1.0
        stacked = sum(config.stacked for alike in kinds.values() for config in alike)
        return Cost(runs, round(timed.steps * scale), timed.seconds * scale, stacked)


def prepare(study: Study, bindings: Bindings | None = None, folder: str | Path | None = None) -> Prepared:
    """A study, checked as a whole, with its runs; nothing is written.

    Args:
        study: any.
        bindings: objects of the caller's own that it names.
        folder: where it was run before: the choice of stacks that was made there holds.

    Raises:
        FaninValueError, FaninTypeError: something in it cannot be used, in one sentence.
    """
    study = check_grid(study, bindings)
    runs = grid.configs(study, bindings)
    filled = grid.filled_bindings(study, bindings or {})
    chosen = (
        {kind_of(c): c.together for c in _earlier(folder) if c.together or not c.stacked} if folder is not None else {}
    )
    stacked = with_stacking(runs, chosen, filled, never=study.stacking == "never")
    return Prepared(study, {grid.key_of(config): config for config in stacked}, filled)


def mended(folder: str | Path) -> None:
    """Mends a study in `folder` that a kill or a bad disk left so that it cannot be read; any other is not touched.

    Raises:
        FaninError: a driver is at work on it, or it cannot be written.
    """
    if not holds_study(Path(folder)):
        return
    try:
        with Store.open(folder, readonly=True) as store:
            store.configs()
            store.choice("source")
    except FaninValueError:  # of a newer schema, or no study: nothing to mend
        raise
    except FaninError:
        Store.open(folder).close()


def finished(folder: str | Path) -> frozenset[str]:
    """Keys of the runs that have a result in `folder`; none where there is no study."""
    if not holds_study(Path(folder)):
        return frozenset()
    with Store.open(folder, readonly=True) as store:
        return frozenset(store.finished())


def run(
    study: Study | Prepared,
    folder: str | Path,
    executor: str | Executor = "processes",
    *,
    workers: int | None = None,
    bindings: Bindings | None = None,
    source: str = "",
    replace: bool = False,
    retry_failed: bool = False,
    on_event: Callable[[StudyProgress], None] | None = None,
) -> RunSummary:
    """Runs what is missing of a study in `folder`; a study that has grown since it was run there is gone on with.

    Args:
        study: any, or one that `prepare` gave.
        folder: of its results; made where there is none.
        executor: "serial", "processes", "ray", "slurm", or one that is made.
        workers: how many runs at once; as many as there are cores, unless said.
        bindings: objects of the caller's own that the study names (of a prepared one they are known).
        source: where the study and its objects were found ("file.py:name"), for `resume` to find them again.
        replace, retry_failed, on_event: as `fanin.lab.driver.run_study`.

    Returns:
        What became of it; `fanin.lab.results.StudyResults.load(folder)` has the results.

    Raises:
        FaninValueError, FaninTypeError: something cannot be used; nothing is changed then.
        FaninError: another driver is at work in the folder, or it cannot be written.

    Example:
        >>> import tempfile
        >>> study = Study("mine", models=("mlp(depth=1, width=8)",), lrs=(0.1,), seeds=(0,), plans=("default",))
        >>> run(study, tempfile.mkdtemp(), "serial").done
        1
    """
    folder = Path(folder)
    if isinstance(study, Prepared):
        prepared = study
    else:
        mended(folder)
        prepared = prepare(study, bindings, folder)
    summary = run_study(
        prepared.study,
        folder,
        executor,
        configs=prepared.configs,
        group=grouping(prepared.configs),
        workers=workers,
        bindings=prepared.bindings,
        source=source,
        replace=replace,
        retry_failed=retry_failed,
        on_event=on_event,
    )
    if not summary.interrupted:
        with contextlib.suppress(Busy):  # a driver that has waited for this one to end keeps it
            _keep_whole(prepared, folder)
    return summary


def source_of(folder: str | Path) -> str:
    """Where the study in `folder` and its objects were found, "" where it needs none."""
    with Store.open(folder, readonly=True) as store:
        return store.choice("source") or ""


def resume(folder: str | Path, executor: str | Executor = "processes", **options: Any) -> RunSummary:
    """Runs what is missing of the study in `folder`; options as `run`."""
    mended(folder)
    return run(read_study(Path(folder)), folder, executor, **options)


def _earlier(folder: str | Path) -> tuple[RunConfig, ...]:
    """The runs that `folder` holds, () where there is no study."""
    if not holds_study(Path(folder)):
        return ()
    with Store.open(folder, readonly=True) as store:
        return store.configs()


def _keep_whole(prepared: Prepared, folder: Path) -> None:
    """What holds for every run of a data set: what was measured on its inputs, and what ordinary learners reach."""
    study = prepared.study
    names = tuple(dict.fromkeys(config.data for config in prepared.configs.values()))
    with Store.open(folder) as store:
        kept = store.choice("inputs") or {}
        if missing := [name for name in names if name not in kept]:  # all, or those that the study has grown by
            store.choose("inputs", {**kept, **{name: _statistics(name, prepared) for name in missing}}, again=True)
        if not study.references:
            return
        from fanin.lab.reference import reference_lines

        for name in names:
            if name in store.references():
                continue
            data = data_of(name, study.training, prepared.bindings)
            own = tuple(n for n in study.training.metrics if n not in prepared.bindings)
            try:
                store.put_references(name, reference_lines(data, measures=own))
            except FaninError as error:
                store.note(f"ordinary learners could not be fitted on {name}: {error}")


def _statistics(name: str, prepared: Prepared) -> dict[str, Any]:
    try:
        return data_of(name, prepared.study.training, prepared.bindings).statistics.to_dict()
    except FaninValueError:
        return {}
