"""The results of a study: what its folder holds, read once, with the curves read as they are asked for."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanin.errors import FaninError
from fanin.lab.records import ReferenceLine
from fanin.lab.study.records import Study
from fanin.lab.study.rows import CurvePoint, RunRow

if TYPE_CHECKING:
    from fanin.lab.analysis.records import StudyAnalysis

Curve = tuple[CurvePoint, ...]


def no_curve(row: RunRow) -> Curve:
    """The curve of a run whose folder is not at hand."""
    return ()


def measured_inputs(data: str, study: Study) -> dict[str, Any] | None:
    """What is measured on the inputs of a data set, split as the study splits it; None where it cannot be loaded."""
    from fanin.lab.data import load

    try:
        return load(data).with_validation(study.training.validation).statistics.to_dict()
    except FaninError:
        return None


@dataclass(frozen=True, eq=False)
class StudyResults:
    """Every run of a study, and what holds for all of them.

    Attributes:
        study: what was run.
        rows: one a run of the grid, in its order, those that are pending or failed among them.
        references: ordinary learners on the same split, by data set.
        environments: versions and hardware of each session, oldest first.
        date: day of the last session ("2026-11-28"), "" where it is not known.
        inputs: what was measured on the inputs, by data set, as far as the study holds it.
        log: what happened to the study and should be known, one sentence each.
        folder: of the study, None where there is none.
        source: what finds the study and the objects of the user's own that it names ("file.py:name"), "" where it names none.
        smaller: metrics of the user's own, bound to a name, of which smaller is better.
        curve: gives the curve of a row.
    """

    study: Study
    rows: tuple[RunRow, ...] = field(repr=False)
    references: dict[str, tuple[ReferenceLine, ...]] = field(default_factory=dict, repr=False)
    environments: tuple[dict[str, str], ...] = field(default=(), repr=False)
    date: str = ""
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    log: tuple[str, ...] = field(default=(), repr=False)
    folder: Path | None = None
    source: str = ""
    smaller: tuple[str, ...] = ()
    curve: Callable[[RunRow], Curve] = field(default=no_curve, repr=False)

    @classmethod
    def load(cls, folder: str | Path) -> "StudyResults":
        """The results in the folder of a study; a study that is still running gives what is there by now.

        Raises:
            FaninValueError: there is no study in `folder`, or one of a newer fanin.
            FaninError: it cannot be read.
        """
        from fanin.lab.store import Store, read_curve

        folder = Path(folder)
        with Store.open(folder, readonly=True) as store:
            began = store.began()
            return cls(
                study=store.study,
                rows=store.rows(),
                references=store.references(),
                environments=store.environments(),
                date=began[-1][:10] if began else "",
                inputs=store.choice("inputs") or {},
                log=store.log(),
                folder=folder,
                source=store.choice("source") or "",
                smaller=tuple(store.choice("smaller") or ()),
                curve=lambda row: read_curve(folder / row.curve) if row.curve else (),
            )

    @functools.cached_property
    def analysis(self) -> "StudyAnalysis":
        """Learning rates chosen, cells, differences, verdicts, and whether the expectations came out."""
        from fanin.lab.analysis import analyse

        return analyse(self)

    @functools.cached_property
    def by_key(self) -> dict[str, RunRow]:
        """The rows by their keys."""
        return {row.key: row for row in self.rows}

    @property
    def seconds(self) -> float:
        """Computing time of all runs, in seconds of one thread."""
        return math.fsum(row.seconds for row in self.rows)

    @property
    def environment(self) -> dict[str, str]:
        """Versions and hardware of the last session."""
        return self.environments[-1] if self.environments else {}

    def input_statistics(self, data: str) -> dict[str, Any] | None:
        """What is measured on the inputs of a data set; measured now where the study does not hold it, None if it cannot be."""
        return self.inputs.get(data) or measured_inputs(data, self.study)

    def to_pandas(self) -> Any:
        """The runs as a `pandas.DataFrame`, one row a run; see `fanin.lab.export`."""
        from fanin.lab.export import to_pandas

        return to_pandas(self)

    def __str__(self) -> str:
        from fanin.reports.study_text import study_text  # a result shows itself; the room above draws it

        return study_text(self)

    def _repr_html_(self) -> str:
        from fanin.reports.study_page import study_fragment

        return study_fragment(self)
