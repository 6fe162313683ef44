"""From a study to what its driver needs: runs by key, with the choices that are made once; and reference lines."""

from collections.abc import Mapping
from pathlib import Path

from fanin.errors import FaninError
from fanin.lab.store import Store
from fanin.lab.store.study_file import NAME
from fanin.lab.study.records import Bindings, RunConfig, Study

STACKED = "stacked"  # kind of the choices whether runs of one model, data, optimizer and batch size train in stacks


def runs_of(study: Study, folder: Path, bindings: Bindings) -> dict[str, RunConfig]:
    """Every run of the grid by key, in order. What `folder` has chosen before holds.

    Raises:
        FaninValueError: the grid does not go together.
    """
    from fanin.lab.study.grid import configs, key_of
    from fanin.lab.worker import with_stacking

    chosen: dict[str, bool] = {}
    if (folder / NAME).exists():
        with Store.open(folder, readonly=True) as store:
            chosen = store.choices(STACKED)
    runs = with_stacking(configs(study, bindings), chosen, bindings, study.stacking == "never")
    return {key_of(run): run for run in runs}


def keep_choices(store: Store, configs: Mapping[str, RunConfig]) -> None:
    """Writes down what `runs_of` chose, so that a study that grows, or is resumed by another version, keeps to it."""
    from fanin.lab.worker import kind_of

    known = store.choices(STACKED)
    for kind, stacked in {kind_of(config): config.stacked for config in configs.values()}.items():
        if kind not in known:
            store.choose(f"{STACKED}:{kind}", stacked)


def fit_references(store: Store, configs: Mapping[str, RunConfig], bindings: Bindings) -> None:
    """Fits the ordinary learners on each of the study's data sets that has no lines yet; what cannot be fitted is said."""
    from fanin.lab.reference import reference_lines
    from fanin.lab.worker import data_of

    known = store.references()
    for name, training in {config.data: config.training for config in configs.values()}.items():
        if name not in known:
            try:
                store.put_references(name, reference_lines(data_of(name, training, bindings)))
            except FaninError as error:
                store.put_references(name, ())
                store.note(f"no reference lines of {name}: {error}")
