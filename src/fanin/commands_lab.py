"""What the commands of `fanin lab` do. Each returns an exit status: 0; 1 where a run failed; 130 after Ctrl-C."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanin.commands import busy, say, show, terminal, user_output, writable, written
from fanin.errors import FaninError, FaninValueError
from fanin.imports import summary
from fanin.lab.driver import RunSummary
from fanin.lab.executors import make_executor, payload_of
from fanin.lab.results import StudyResults
from fanin.lab.studies import SUITE, find_study, names, shipped
from fanin.lab.study import session
from fanin.lab.study_progress import show_study as show_progress

INTERRUPTED = 130


@dataclass(frozen=True)
class How:
    """How runs are carried out, as the options say.

    Attributes:
        executor: its name.
        workers: runs at once, None for as many as there are cores.
        retry_failed: whether failed runs are tried again.
        replace: whether finished runs may drop out of a study.
        given: options of the executor.
    """

    executor: str
    workers: int | None = None
    retry_failed: bool = False
    replace: bool = False
    given: tuple[tuple[str, Any], ...] = ()

    def made(self, bindings: Any = None) -> Any:
        """The executor where it has options, else its name."""
        if not self.given:
            return self.executor
        return make_executor(self.executor, self.workers, payload_of(bindings), **dict(self.given))

    def options(self) -> dict[str, Any]:
        """Arguments of `fanin.lab.study.session.run`."""
        return {"workers": self.workers, "retry_failed": self.retry_failed, "replace": self.replace}


def run(text: str, out: str | None, small: bool, seeds: int | None, how: How) -> int:
    """`fanin lab run`: one study, or all that ship."""
    if text == SUITE:
        from fanin.commands_textbook import run_textbook

        return run_textbook(Path(out or SUITE), seeds, how)
    with user_output():
        found = find_study(text, small, seeds)
    folder = Path(out or found.study.name)
    check_folder(folder)
    session.mended(folder)
    with busy("checking the whole grid"), user_output():
        prepared = session.prepare(found.study, found.bindings, folder)
    summary = carried_out(prepared, folder, how, found.source)
    return told(summary)


def resume(folder: str, how: How) -> int:
    """`fanin lab resume`."""
    from fanin.lab.store.study_file import read_study

    study = read_study(Path(folder))
    session.mended(folder)
    source = session.source_of(folder)
    with busy("checking the whole grid"), user_output():
        bindings = find_study(source).bindings if source else {}
        prepared = session.prepare(study, bindings, folder)
    return told(carried_out(prepared, Path(folder), how, source))


def carried_out(
    prepared: session.Prepared, folder: Path, how: How, source: str = "", executor: Any = None, quiet: bool = False
) -> RunSummary:
    """Says what the rest of a study will take, and runs it."""
    from fanin.reports.lab_words import seeds_text

    done = session.finished(folder)
    left = len(prepared.configs) - len(done & set(prepared.configs))
    if left and not quiet:
        say(f"{prepared.study.name}: {_cost(prepared, done, left, how)}")
        say(seeds_text(prepared.study, prepared.bindings))
    elif not left:
        say(f"{prepared.study.name}: all {len(prepared.configs):,} runs are done already")
    with show_progress() as on_event, user_output():
        return session.run(
            prepared, folder, executor or how.made(prepared.bindings), source=source, on_event=on_event, **how.options()
        )


def _cost(prepared: session.Prepared, done: frozenset[str], left: int, how: How) -> str:
    from fanin.reports.lab_words import cost_text

    try:
        with busy("timing a few steps"), user_output():
            return cost_text(prepared.cost(done), how.workers, how.executor)
    except (
        Exception
    ) as error:  # a model of the user's that fails where it trains: its runs will say so, and the others go on
        return f"{left:,} runs; what they take cannot be said ({summary(error)})"


def told(summary: RunSummary) -> int:
    """Prints the report of a study, and what to do next; the exit status."""
    if summary.done:
        from fanin.reports.study_text import study_text

        show(study_text(StudyResults.load(summary.folder), *terminal()))
    for note in summary.notes[-5:]:
        say(note)
    if summary.interrupted:
        say(
            f"stopped with {summary.pending:,} of {summary.total:,} runs to do; fanin lab resume {summary.folder} goes on"
        )
        return INTERRUPTED
    if summary.failed:
        say(f"{summary.failed:,} of {summary.total:,} runs failed; fanin lab status {summary.folder} says why")
    say(f"fanin lab report {summary.folder} --html FILE makes a page of it")
    return 1 if summary.failed else 0


def status(folder: str) -> int:
    """`fanin lab status`."""
    from fanin.lab.store import is_locked
    from fanin.reports.lab_words import status_text

    results = StudyResults.load(folder)
    show(status_text(results, is_locked(Path(folder)), *terminal()))
    return 0


def report(folder: str, files: dict[str, str | None]) -> int:
    """`fanin lab report`: text, or files."""
    writable_beside(folder, files)
    results = StudyResults.load(folder)
    if not any(files.values()):
        from fanin.reports.study_text import study_text

        show(study_text(results, *terminal()))
    if page := files["--html"]:
        from fanin.reports.study_page import study_html

        written(page, study_html(results))
    if text := files["--md"]:
        from fanin.reports.study_markdown import study_markdown

        written(text, study_markdown(results))
    if notebook := files["--notebook"]:
        import json

        from fanin.reports.study_notebook import study_notebook

        written(notebook, json.dumps(study_notebook(results), indent=1, ensure_ascii=False) + "\n")
    return 0


def export(folder: str, files: dict[str, str | None]) -> int:
    """`fanin lab export`: one row a run."""
    from fanin.lab.export import export_csv, export_parquet

    if not any(files.values()):
        raise FaninValueError("export writes nothing without --csv FILE or --parquet FILE")
    writable_beside(folder, files)
    results = StudyResults.load(folder)
    for option, write in (("--csv", export_csv), ("--parquet", export_parquet)):
        if file := files[option]:
            write(results, file)
            say(f"wrote {file}")
    return 0


def writable_beside(folder: str, files: dict[str, str | None]) -> None:
    """Refuses early what could not be written later, and the files that the study itself is kept in."""
    from fanin.lab.store.schema import FILE
    from fanin.lab.store.study_file import NAME

    writable(files)
    own = [(Path(folder) / name).resolve() for name in (NAME, FILE, f"{FILE}-wal", f"{FILE}-shm", "lock")]
    for option, path in files.items():
        if path and Path(path).resolve() in own:
            raise FaninValueError(f"{option} {path} is a file of the study itself; name another")


def watch(folder: str, port: int, host: str) -> int:
    """`fanin lab watch`: serves until Ctrl-C."""
    from fanin.reports.live import serve

    serve(folder, host, port)
    return 0


def list_studies() -> int:
    """`fanin lab list`."""
    from fanin.reports.lab_words import list_text

    show(list_text([shipped(name) for name in names()], *terminal()))
    return 0


def show_study(text: str, small: bool, toml: bool) -> int:
    """`fanin lab show`, of a study or a data set."""
    from fanin.lab.study.write import study_text
    from fanin.reports.data_words import data_text, is_data
    from fanin.reports.lab_words import show_text

    if is_data(text):
        with busy("measuring its inputs"), user_output():
            said = data_text(text, *terminal())
        show(said)
        return 0
    with user_output():
        found = find_study(text, small)
    if toml:
        show(study_text(found.study))
        return 0
    cost, why = None, ""
    try:
        with busy("timing a few steps"), user_output():
            prepared = session.prepare(found.study, found.bindings)
            cost = prepared.cost()
    except FaninError as error:  # absent data: the study can be shown all the same
        why = str(error)
    show(show_text(found.study, cost, why, *terminal(), found.bindings))
    return 0


def check_folder(folder: Path) -> None:
    """Refuses early a folder that cannot become, or is not, the folder of a study."""
    from fanin.lab.store.study_file import holds_study, other_files

    if holds_study(folder):
        return
    if folder.is_file():
        raise FaninValueError(f"--out {folder} is a file; name a folder")
    if others := other_files(folder):
        raise FaninValueError(f"--out {folder} holds other files ({others[0]}, …); name an empty or a new folder")
