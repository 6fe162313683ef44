"""`fanin lab run textbook`: every study that ships, at small size, in sub-folders of one folder."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fanin.commands import busy, say, show, terminal, user_output
from fanin.commands_lab import INTERRUPTED, How, carried_out, check_folder
from fanin.errors import FaninError
from fanin.lab.executors import make_executor
from fanin.lab.executors.shared import Shared
from fanin.lab.results import StudyResults
from fanin.lab.studies import names, shipped
from fanin.lab.study import grid, session
from fanin.lab.study.records import Study
from fanin.lab.study.validate import first_seeds


def run_textbook(out: Path, seeds: int | None, how: How) -> int:
    """Runs them one after another, and says whether each written answer came out. Exit status 1 where a run failed."""
    if out.is_file() or (out.is_dir() and any(p.is_file() for p in out.iterdir())):
        check_folder(out)
    studies = {name: _small(name, seeds) for name in names()}
    prepared, skipped = _prepared(studies, out)
    _say_cost(prepared, out, how)
    done, failed = [], 0
    with _executor(how) as executor:
        for name, study in prepared.items():
            summary = carried_out(study, out / name, how, executor=executor, quiet=True)
            done.append(StudyResults.load(out / name))
            failed += summary.failed
            if summary.interrupted:
                say(f"stopped; the same command goes on with what is left in {out}")
                break
            say(_told(done[-1], summary.seconds))
    from fanin.reports.lab_words import textbook_text

    show(textbook_text(done, skipped, *terminal()))
    say(f"fanin lab report {out}/NAME shows one of them")
    return INTERRUPTED if len(done) < len(prepared) or summary.interrupted else 1 if failed else 0


def _small(name: str, seeds: int | None) -> Study:
    file = shipped(name)
    study = file.small or file.full
    return study if seeds is None else replace(study, seeds=first_seeds(seeds))


def _prepared(studies: dict[str, Study], out: Path) -> tuple[dict[str, session.Prepared], list[tuple[str, str]]]:
    """Those whose data is there, and the others with the reason; a fault of any other kind is raised before anything runs."""
    from fanin.lab.data import load, table

    prepared, skipped = {}, []
    for name, study in studies.items():
        try:
            for data in dict.fromkeys(str(context["data"]) for context in grid.contexts(study)):
                if table()[data.partition(":")[0]].needs:
                    load(data)
        except FaninError as error:
            skipped.append((study.name, str(error)))
            say(f"{study.name} is skipped: {error}")
            continue
        with busy(f"checking {study.name}"), user_output():
            session.mended(out / name)
            prepared[name] = session.prepare(study, folder=out / name)
    return prepared, skipped


def _say_cost(prepared: dict[str, session.Prepared], out: Path, how: How) -> None:
    from fanin.lab.worker import Cost
    from fanin.reports.lab_words import cost_text

    costs = []
    with busy("timing a few steps of each"), user_output():
        for name, study in prepared.items():
            costs.append(study.cost(session.finished(out / name)))
    total = Cost(
        sum(c.runs for c in costs), sum(c.steps for c in costs), sum(c.seconds for c in costs), sum(c.stacked for c in costs)
    )  # fmt: skip
    say(f"{len(prepared)} studies: {cost_text(total, how.workers, how.executor)}")


@contextlib.contextmanager
def _executor(how: How) -> Iterator[Any]:
    """One for all of them; the serial one is made anew for each, since the driver knows it by its kind."""
    if how.executor == "serial":
        yield None
        return
    made = make_executor(how.executor, how.workers, **dict(how.given))
    with contextlib.closing(made):
        yield Shared(made)


def _told(results: StudyResults, seconds: float) -> str:
    from fanin.reports.lab_words import outcomes_of
    from fanin.reports.study_words import outcomes_headline, time_text

    outcomes = outcomes_of(results)
    return f"{results.study.name}: {outcomes_headline(outcomes) if outcomes else 'done'} ({time_text(seconds)})"
