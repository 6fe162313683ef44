"""The house stands as it is drawn: imports go downward, frameworks stay in their rooms, files stay small."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import fanin

SOURCE = Path(fanin.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST = 400  # lines of one file

# Rooms by floor, from the ground up; a room is a file or a folder right under src/fanin.
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "records",
        "callables",
        "activations",
        "reshaping",
        "slots",
        "distributions",
        "formulas",
        "names",
        "files",
        "imports",
    ),
    ("draws", "rules"),
    ("traces", "theory"),
    ("checks", "plans", "fingerprints"),
    ("auto",),
    ("lab",),
    ("reports",),
    (
        "cli",
        "cli_lab",
        "commands",
        "commands_lab",
        "commands_tune",
        "commands_textbook",
        "demo",
        "__main__",
        "targets",
        "explain",
        "explain_topics",
        "lessons",
    ),
)
# The faces: what users import. They may reach every room that needs no command line.
FACES = ("__init__", "api", "torch", "jax", "keras")
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms} | dict.fromkeys(FACES, len(FLOORS) - 1)

# A result shows itself (`print(report)`, a cell of a notebook): its methods import the room that draws it, lazily.
SHOWING = {"__str__", "__repr__", "_repr_html_", "__rich__", "__rich_console__"}

FRAMEWORKS = {
    "torch",
    "jax",
    "flax",
    "keras",
    "numba",
    "tensorflow",
    "transformers",
    "sklearn",
    "ray",
    "submitit",
    "torchmetrics",
}
SHORT_NAMES = {"transformers": "hf"}  # what `hf:` on the command line stands for
# Where a framework is used outside of a file or folder named after it, and why.
GUESTS = {
    "lab": {"torch", "sklearn"},  # trains models, reads scikit-learn's digits, and scores
}


@dataclass(frozen=True)
class Import:
    """One import statement: the module that it names, and the functions around it, outermost first."""

    file: Path
    line: int
    module: str
    functions: tuple[str, ...]

    @property
    def here(self) -> str:
        return f"{self.file.relative_to(SOURCE)}:{self.line}"


def imports_of(file: Path) -> Iterator[Import]:
    yield from _imports(ast.parse(file.read_text(encoding="utf-8")), file, ())


def _imports(node: ast.AST, file: Path, functions: tuple[str, ...]) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for name in child.names:
                yield Import(file, child.lineno, name.name, functions)
        elif isinstance(child, ast.ImportFrom):
            for name in child.names:
                yield Import(file, child.lineno, _absolute(child, file, name.name), functions)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports(child, file, (*functions, child.name))
        elif not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from _imports(child, file, functions)


def _absolute(node: ast.ImportFrom, file: Path, name: str) -> str:
    if node.level == 0:
        module = node.module or ""
    else:
        package = ["fanin", *file.relative_to(SOURCE).with_suffix("").parts][: -node.level]
        module = ".".join([*package, *([node.module] if node.module else [])])
    return f"{module}.{name}" if module.count(".") == 0 and module == "fanin" else module


def room_of(file: Path) -> str:
    """The file or folder right under src/fanin; `demo_torch.py` is the part of `demo` that is about torch."""
    return re.sub(r"_(torch|jax|keras)$", "", file.relative_to(SOURCE).with_suffix("").parts[0])


EVERY = [found for file in FILES for found in imports_of(file)]


def test_every_room_has_its_floor() -> None:
    unknown = {room_of(file) for file in FILES} - set(FLOOR)
    assert not unknown, f"give these rooms a floor in FLOORS (and in the design): {sorted(unknown)}"


def test_imports_go_downward() -> None:
    upward = []
    for found in EVERY:
        parts = found.module.split(".")
        if parts[0] != "fanin" or SHOWING & set(found.functions):
            continue
        target = room_of(SOURCE.joinpath(*parts[1:])) if len(parts) > 1 else "__init__"
        if FLOOR.get(target, FLOOR["__init__"]) > FLOOR[room_of(found.file)]:  # no room: a name in the face
            upward.append(f"{found.here} imports {found.module}")
    assert not upward, "\n".join(upward)


def test_rooms_import_no_face() -> None:
    """`fanin`, `fanin.api` and `fanin.torch` are for users: rooms below the command line name the room that they need."""
    inward = [
        f"{found.here} imports {found.module}"
        for found in EVERY
        if re.fullmatch(r"fanin|fanin\.(api|torch|jax|keras)(\..*)?", found.module)
        and FLOOR[room_of(found.file)] < len(FLOORS) - 1
    ]
    assert not inward, "\n".join(inward)


def test_frameworks_stay_in_their_rooms() -> None:
    astray = []
    for found in EVERY:
        framework = found.module.split(".")[0]
        if framework not in FRAMEWORKS:
            continue
        words = {word for part in found.file.relative_to(SOURCE).with_suffix("").parts for word in part.split("_")}
        named_after_it = framework in words or SHORT_NAMES.get(framework) in words
        guest = framework in GUESTS.get(room_of(found.file), ()) and found.functions
        if not named_after_it and not guest:
            astray.append(f"{found.here} imports {found.module}")
    assert not astray, "\n".join(astray)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_files_have_one_subject(file: Path) -> None:
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines < LONGEST, f"{file.relative_to(SOURCE)} has {lines} lines; split it by subject"


def test_import_is_light() -> None:
    """`import fanin` needs NumPy and a little of SciPy: no framework, none of the slow parts of SciPy, no terminal."""
    code = (
        "import time; start = time.perf_counter(); import fanin; seconds = time.perf_counter() - start\n"
        "import json, sys; print(json.dumps({'seconds': seconds, 'modules': sorted(sys.modules)}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(run.stdout)
    print(f"import fanin: {loaded['seconds']:.3f} s")
    heavy = {"torch", "jax", "keras", "numba", "sklearn", "scipy.stats", "scipy.optimize", "rich", "typer", "altair"}
    assert not heavy & set(loaded["modules"])
