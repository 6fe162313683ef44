"""`fanin lab`: studies run, gone on with, looked at and exported. Every command is thin, as those of `cli`."""

from enum import StrEnum
from typing import Annotated

import typer

lab = typer.Typer(
    name="lab",
    help="Compare initializations honestly: a grid of runs in, one report out.",
    epilog="Try: fanin lab list, then fanin lab run symmetry --small",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


class Where(StrEnum):
    """What carries runs out."""

    serial = "serial"
    processes = "processes"
    ray = "ray"
    slurm = "slurm"


StudyArgument = Annotated[
    str,
    typer.Argument(metavar="STUDY", help="A name of `fanin lab list`, a .toml file, file.py:name, or textbook (all)."),
]
FolderArgument = Annotated[str, typer.Argument(metavar="DIR", help="The folder of a study.")]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Runs at once; as many as there are cores.")]
ExecutorOption = Annotated[Where, typer.Option("--executor", help="What carries the runs out.")]
RayOption = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="With --executor ray: a cluster that runs (host:port, auto)."),
]
SlurmOption = Annotated[
    list[str] | None,
    typer.Option("--slurm", metavar="KEY=VALUE", help="With --executor slurm: partition=, time=, mem=, account=, …"),
]
SmallOption = Annotated[bool, typer.Option("--small", help="The study's small size: minutes instead of hours.")]
SeedsOption = Annotated[int | None, typer.Option(min=1, help="So many seeds instead of the study's.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Try runs again that failed.")]


def _given(executor: Where, ray: str | None, slurm: list[str] | None) -> tuple[tuple[str, str], ...]:
    """Options of the executor."""
    for name, value in (("ray", ray), ("slurm", slurm)):
        if value and executor != name:
            raise typer.BadParameter(f"--{name} goes with --executor {name}")
    pairs = [text.partition("=") for text in slurm or ()]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise typer.BadParameter(f"--slurm {key}{equals} must be KEY=VALUE, such as partition=cpu")
    return (("address", ray),) if ray else tuple((key, value) for key, _, value in pairs)


@lab.command()
def run(
    study: StudyArgument,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Where results are kept; ./NAME.")] = None,
    workers: WorkersOption = None,
    executor: ExecutorOption = Where.processes,
    ray: RayOption = None,
    slurm: SlurmOption = None,
    small: SmallOption = False,
    seeds: SeedsOption = None,
    retry_failed: RetryOption = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let finished runs of DIR drop out of the study, or expectations change.")
    ] = False,
) -> None:
    """Run what is missing of a study. Ctrl-C keeps what is done. Exit status 1 where a run failed."""
    from fanin import commands_lab

    how = commands_lab.How(executor.value, workers, retry_failed, replace, _given(executor, ray, slurm))
    raise typer.Exit(commands_lab.run(study, out, small, seeds, how))


@lab.command()
def resume(
    folder: FolderArgument,
    workers: WorkersOption = None,
    executor: ExecutorOption = Where.processes,
    ray: RayOption = None,
    slurm: SlurmOption = None,
    retry_failed: RetryOption = False,
) -> None:
    """Go on with the study in DIR. Exit status 1 where a run failed."""
    from fanin import commands_lab

    how = commands_lab.How(executor.value, workers, retry_failed, given=_given(executor, ray, slurm))
    raise typer.Exit(commands_lab.resume(folder, how))


@lab.command()
def status(folder: FolderArgument) -> None:
    """Say where the study in DIR stands, also while it is run."""
    from fanin import commands_lab

    raise typer.Exit(commands_lab.status(folder))


@lab.command()
def report(
    folder: FolderArgument,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="A page for the browser, one file.")] = None,
    md: Annotated[str | None, typer.Option("--md", metavar="FILE", help="The same in Markdown.")] = None,
    notebook: Annotated[str | None, typer.Option(metavar="FILE", help="A Jupyter notebook.")] = None,
) -> None:
    """Say what came out: on the terminal, or in the files that are asked for."""
    from fanin import commands_lab

    raise typer.Exit(commands_lab.report(folder, {"--html": html, "--md": md, "--notebook": notebook}))


@lab.command()
def export(
    folder: FolderArgument,
    csv: Annotated[str | None, typer.Option(metavar="FILE", help="One row a run, as CSV.")] = None,
    parquet: Annotated[str | None, typer.Option(metavar="FILE", help="The same as parquet.")] = None,
) -> None:
    """Write one row a run."""
    from fanin import commands_lab

    raise typer.Exit(commands_lab.export(folder, {"--csv": csv, "--parquet": parquet}))


@lab.command()
def watch(
    folder: FolderArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 takes a free one.")] = 8765,
    host: Annotated[str, typer.Option(help="The address to serve; this machine only, unless said.")] = "127.0.0.1",
) -> None:
    """Serve a live page of the study in DIR, with curves as they grow. Ctrl-C ends it."""
    from fanin import commands_lab

    raise typer.Exit(commands_lab.watch(folder, port, host))


@lab.command("list")
def list_studies() -> None:
    """List the studies that ship."""
    from fanin import commands_lab

    raise typer.Exit(commands_lab.list_studies())


@lab.command()
def show(
    study: StudyArgument,
    small: SmallOption = False,
    toml: Annotated[bool, typer.Option("--toml", help="Print it as a study file, to start one of your own.")] = False,
) -> None:
    """Show a study: its question, its grid, what is expected, and what it would take on this machine.

    Or a data set by its name ("data" lists them): its split, and what its inputs measure.
    """
    from fanin import commands_lab

    raise typer.Exit(commands_lab.show_study(study, small, toml))
