"""The command line. Every command is thin: it reads its options, calls one verb of fanin, and prints a report.

Nothing heavy is imported up here, so that `fanin --help` is there at once.
"""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from fanin.cli_lab import lab
from fanin.errors import FaninError

app = typer.Typer(
    name="fanin",
    help="Know before you train: checks, fixes and compares the initial weights of your model.",
    epilog="TARGET is package.module:factory, path/file.py:factory or hf:DIR_OR_CONFIG.json. Try: fanin demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.add_typer(lab)
UsageError: Any = typer.BadParameter.__mro__[1]  # of click, or of the copy that newer releases of typer carry
UNUSABLE = 2


class Format(StrEnum):
    """How findings are printed."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"


class Listing(StrEnum):
    """How a table is printed."""

    text = "text"
    json = "json"


class Level(StrEnum):
    """How bad a finding is."""

    info = "info"
    warning = "warning"
    error = "error"


TargetArgument = Annotated[
    str,
    typer.Argument(metavar="TARGET", help="module:factory, file.py:factory or hf:DIR_OR_CONFIG.json."),
]
BatchOption = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help="float32:8x3x32x32; int64:8x128:50257; several with commas; a .pt or .npz file; a data name.",
    ),
]
TargetsOption = Annotated[
    str | None, typer.Option(metavar="SPEC", help="What the loss compares with; written as --batch is.")
]
LossOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="cross_entropy, mse, l1, huber, bce, nll, or module:function.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print the findings.")]
SelectOption = Annotated[str, typer.Option(metavar="A,B", help="Report only these codes or their beginnings (FI3).")]
IgnoreOption = Annotated[str, typer.Option(metavar="A,B", help="Leave these codes out.")]
FailOption = Annotated[Level, typer.Option(help="The least severity that makes the exit status 1.")]
HtmlOption = Annotated[str | None, typer.Option(metavar="FILE", help="Write a self-contained report for the browser.")]


@app.command()
def check(
    target: TargetArgument,
    batch: BatchOption = None,
    targets: TargetsOption = None,
    loss: LossOption = None,
    format: FormatOption = Format.text,
    select: SelectOption = "",
    ignore: IgnoreOption = "",
    fail_on: FailOption = Level.warning,
    html: HtmlOption = None,
) -> None:
    """Say what is wrong with a model's initial weights. Exit status 1 where something is."""
    from fanin import commands

    asked = commands.Asked(target, batch, targets, loss, format, select, ignore, fail_on.value, html)
    leave(commands.check(asked))


@app.command()
def fix(
    target: TargetArgument,
    batch: BatchOption = None,
    targets: TargetsOption = None,
    loss: LossOption = None,
    format: FormatOption = Format.text,
    select: SelectOption = "",
    ignore: IgnoreOption = "",
    fail_on: FailOption = Level.warning,
    html: HtmlOption = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed that the weights are drawn with.")] = 0,
    save_plan: Annotated[
        str | None, typer.Option(metavar="FILE.json", help="Write what each weight is drawn from, and why.")
    ] = None,
    save_python: Annotated[
        str | None, typer.Option(metavar="FILE.py", help="Write plain torch code that does the same.")
    ] = None,
    save_weights: Annotated[str | None, typer.Option(metavar="FILE.safetensors", help="Write the new weights.")] = None,
) -> None:
    """Draw better weights, measure again, and say what changed. Exit status 1 where something is left."""
    from fanin import commands

    saves = commands.Saves(save_plan, save_python, save_weights)
    asked = commands.Asked(target, batch, targets, loss, format, select, ignore, fail_on.value, html)
    leave(commands.fix(asked, seed, saves))


@app.command()
def compare(
    target: TargetArgument,
    inits: Annotated[
        str, typer.Option(metavar="A,B", help="default, fanin, lsuv, rules or plan files.")
    ] = "default,fanin",
    data: Annotated[
        str, typer.Option(metavar="NAME", help="The data set: digits, cifar10:5000:16, imdb, …")
    ] = "digits",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each init.")] = 10,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps of a run (instead of --epochs).")] = None,
    epochs: Annotated[float, typer.Option(help="Passes over the training data.")] = 15.0,
    optimizer: Annotated[str, typer.Option(help="sgd, adam or adamw.")] = "sgd",
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.003,
    momentum: Annotated[float, typer.Option(help="Momentum of sgd.")] = 0.9,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.")] = 0.0,
    loss: Annotated[
        str | None, typer.Option(metavar="NAME", help="cross_entropy, mse, l1, or module:function; the task's own.")
    ] = None,
    score: Annotated[
        float | None, typer.Option("--target", metavar="SCORE", help="The score that steps are counted to.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples in a step.")] = 64,
    validation: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the training data, held out: curves are measured on it.")
    ] = 0.1,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    references: Annotated[
        bool, typer.Option("--references", help="Also fit ordinary learners (scikit-learn).")
    ] = False,
    format: Annotated[Listing, typer.Option("--format", help="How to print the result.")] = Listing.text,
    html: HtmlOption = None,
    save: Annotated[str | None, typer.Option(metavar="FILE.json", help="Write every run.")] = None,
) -> None:
    """Train from different initial weights, with the same seeds and data order, and compare. Ctrl-C keeps what is done."""
    from fanin import commands

    options = {
        "seeds": seeds, "steps": steps, "epochs": epochs, "optimizer": optimizer, "lr": lr, "momentum": momentum,
        "weight_decay": weight_decay, "loss": loss, "target": score, "batch_size": batch_size, "validation": validation,
        "workers": workers, "references": references,
    }  # fmt: skip
    leave(commands.compare(target, inits, data, format, html, save, options))


@app.command()
def tune(
    target: TargetArgument,
    data: Annotated[
        str, typer.Option(metavar="NAME", help="The data set: digits, cifar10:5000:16, imdb, …")
    ] = "digits",
    inits: Annotated[
        str, typer.Option(metavar="A,B", help="What to start from: default (always), fanin, rules, presets.")
    ] = "default,fanin,he_normal,xavier_normal,orthogonal",
    gains: Annotated[str, typer.Option(metavar="A,B", help="Factors on the weights.")] = "0.5,0.71,1,1.41,2",
    biases: Annotated[
        str, typer.Option(metavar="A,B", help="Biases; 0 leaves them, more than one searches them.")
    ] = "0",
    lrs: Annotated[
        str | None, typer.Option(metavar="A,B", help="Learning rates; nine that suit the optimizer.")
    ] = None,
    optimizer: Annotated[
        str, typer.Option(metavar="SPEC", help="sgd(momentum=0.9), adam, adamw.")
    ] = "sgd(momentum=0.9)",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimizer steps of a whole run (instead of --epochs).")
    ] = None,
    epochs: Annotated[float, typer.Option(help="Passes over the training data.")] = 15.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples in a step.")] = 64,
    budget: Annotated[int, typer.Option(min=1, help="What the search may cost, in whole runs.")] = 60,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each candidate.")] = 2,
    confirm: Annotated[int, typer.Option(min=1, help="Fresh seeds that the winner must prove itself on.")] = 10,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    format: Annotated[Listing, typer.Option("--format", help="How to print the result.")] = Listing.text,
    html: HtmlOption = None,
    save_plan: Annotated[
        str | None, typer.Option(metavar="FILE.json", help="Write what the winner draws each weight from.")
    ] = None,
) -> None:
    """Search weights and learning rate together on held-out data, and confirm the winner on fresh seeds."""
    from fanin import commands_tune

    options = {
        "inits": inits, "gains": gains, "biases": biases, "lrs": lrs, "optimizer": optimizer, "steps": steps, "epochs": epochs,
        "batch_size": batch_size, "budget": budget, "seeds": seeds, "confirm": confirm, "workers": workers,
    }  # fmt: skip
    leave(commands_tune.tune(target, data, format, html, save_plan, options))


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A plan file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
) -> None:
    """Show how two plans differ. Exit status 1 where they do."""
    from fanin import commands

    leave(commands.diff(a, b))


@app.command()
def fingerprint(
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|CHECKPOINT|PLAN",
            help="A TARGET, a .safetensors, .pt or .npz file, a folder, or a plan file.",
        ),
    ],
    format: Annotated[Listing, typer.Option("--format", help="How to print the hashes.")] = Listing.text,
) -> None:
    """Print a hash of a model and of each tensor: equal across frameworks, shards and hosts where the numbers are."""
    from fanin import commands

    leave(commands.fingerprint(what, format))


@app.command()
def verify(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A TARGET, or a checkpoint.")],
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A plan file, which has its seed in it.")],
    format: Annotated[Listing, typer.Option("--format", help="How to print the outcome.")] = Listing.text,
) -> None:
    """Say which weights are not what a plan gives. Exit status 1 where there are any."""
    from fanin import commands

    leave(commands.verify(model, plan, format))


@app.command()
def explain(
    topic: Annotated[
        str,
        typer.Argument(metavar="[CODE|RULE|TOPIC]", help="FI301, he_normal, gain, …; left out: the list of all."),
    ] = "",
    target: Annotated[
        str | None,
        typer.Argument(metavar="[TARGET]", help="A model: a topic is then told with its numbers, too."),
    ] = None,
    batch: BatchOption = None,
    targets: TargetsOption = None,
    loss: LossOption = None,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a topic as a page for the browser, with its figure.")
    ] = None,
) -> None:
    """Explain a finding, a rule or an idea: what, why, how it is measured, how to mend it, and the paper."""
    from fanin import commands

    asked = None
    if target is not None:
        asked = commands.Asked(target, batch, targets, loss, "text", "", "", "warning", html)
    leave(commands.explain(topic, asked, html))


@app.command()
def rules(
    format: Annotated[Listing, typer.Option("--format", help="How to print the table.")] = Listing.text,
    presets: Annotated[bool, typer.Option("--presets", help="Recipes for whole models instead.")] = False,
) -> None:
    """List the rules that weights can be drawn by, or the presets for whole models."""
    from fanin import commands

    leave(commands.rules(format, presets))


@app.command()
def demo(
    html: Annotated[str, typer.Option(metavar="FILE", help="Where to write the report.")] = "fanin-demo.html",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each init.")] = 3,
) -> None:
    """Check, fix and compare a deep ReLU network with PyTorch's default weights, in about a minute."""
    from fanin import commands

    leave(commands.demo(html, seeds))


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from fanin import __version__

        print(f"fanin {__version__}")
        raise typer.Exit


def leave(status: int) -> None:
    """Ends the command with this exit status."""
    raise typer.Exit(status)


def main(arguments: list[str] | None = None) -> None:
    """The `fanin` command: 0 or 1 as each command says; 2, with one sentence, where something cannot be used."""
    try:
        status = app(args=arguments, standalone_mode=False)
    except UsageError as error:
        where = f" (see `{error.ctx.command_path} --help`)" if getattr(error, "ctx", None) else ""
        status = refuse(f"{error.format_message() or 'name a command'}{where}")
    except FaninError as error:
        from fanin.commands import shown_traceback

        status = refuse(str(error), shown_traceback(error))
    except (KeyboardInterrupt, typer.Abort):
        status = refuse("stopped", status=130)
    except MemoryError as error:
        status = refuse(
            f"the machine's memory does not hold this{f' ({error})' if str(error) else ''}; try a smaller batch"
        )
    except BrokenPipeError:  # `fanin check … | head`
        sys.stderr.close()
        status = 0
    except Exception as error:
        from fanin.lab.machine import is_full

        if isinstance(error, OSError) and is_full(error):  # the disk that the output is sent to
            status = refuse(f"{error.filename or 'the output'} cannot be written: {error.strerror}")
        else:  # a fault of fanin's own: no status of a finding, and everything that helps to mend it
            import traceback

            traceback.print_exc()
            status = refuse(
                f"this is a fault in fanin itself ({type(error).__name__}); please report it with the lines above"
            )
    sys.exit(status if isinstance(status, int) else 0)


def refuse(sentence: str, shown: str = "", status: int = UNUSABLE) -> int:
    """Says on the standard error why nothing was done, the user's own traceback last."""
    print(f"fanin: {sentence}", *([shown] if shown else []), sep="\n", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
