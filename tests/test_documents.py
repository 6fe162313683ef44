"""What the documents say is true: their code runs, their tables are the program's, their links lead somewhere."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.test_layers import FLOOR

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks(README, "sh") for line in block.splitlines() if line.startswith("fanin ")]


@pytest.mark.slow
def test_the_lines_to_paste_run(tmp_path: Path) -> None:
    """All Python of the README, in one fresh process: the default weights are found at fault, and mended."""
    script = tmp_path / "pasted.py"
    script.write_text("\n".join(blocks(README, "python")))
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "vanishing-forward-signal" in run.stdout
    assert "Traceback" not in run.stderr


def test_the_lines_to_paste_are_about_ten() -> None:
    lines = [line for line in blocks(README, "python")[0].splitlines() if line.strip()]
    assert len(lines) <= 10


def test_the_lab_s_example_is_a_study() -> None:
    from fanin.lab.study.fits import check_expectations
    from fanin.lab.study.parse import parse_study

    study = parse_study(next(block for block in blocks(README, "toml") if "[grid]" in block)).full
    check_expectations(study)
    assert len(study.lrs) == 5


@pytest.mark.parametrize("line", commands())
def test_commands_have_these_options(line: str) -> None:
    import typer.main

    from fanin.cli import app

    words = shlex.split(line)[1:]
    command = typer.main.get_command(app).commands[words[0]]
    if words[0] == "lab":
        command = command.commands[words[1]]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


MODEL = """
from torch import nn

def net():
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
"""


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in commands() if "compare" not in line and " lab " not in line])
def test_commands_run(line: str, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    command = [sys.executable, "-m", *shlex.split(line)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode in (0, 1), run.stderr
    written = re.findall(r"--(?:html|save-\w+) (\S+)", line)
    assert all((tmp_path / name).stat().st_size for name in written)


@pytest.mark.slow
def test_the_lab_s_commands_run_one_after_another(tmp_path: Path) -> None:
    for line in (line for line in commands() if " lab " in line):
        command = [sys.executable, "-m", *shlex.split(line)]
        run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "symmetry.html").stat().st_size
    assert (tmp_path / "symmetry.csv").stat().st_size


def test_the_table_of_codes_is_the_program_s() -> None:
    spec = importlib.util.spec_from_file_location("codes", ROOT / "docs" / "codes.py")
    assert spec is not None and spec.loader is not None
    codes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(codes)
    assert codes.between(README) == codes.table(), "run: python docs/codes.py --write"


def test_the_json_page_names_every_field() -> None:
    import torch

    import fanin
    from fanin.reports.json import document

    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    table = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
    data = document(fanin.check(torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()), torch.randn(8, 8)))
    assert table == set(data)
    for part in ("slots", "signals", "curves"):
        unnamed = {field for field in data[part][0] if f"`{field}`" not in page}
        assert not unnamed, f"{part}: {sorted(unnamed)}"


@pytest.mark.parametrize(
    "document", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not missing


def test_contributing_names_every_room() -> None:
    rooms = {room for room in FLOOR if (ROOT / "src" / "fanin" / room).is_dir()}
    assert {room for room in rooms if f"`{room}/`" not in CONTRIBUTING} == set()


def test_what_the_sources_refer_to_exists() -> None:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py"), *ROOT.glob("*.md")]
    named = {
        name
        for file in files
        for name in re.findall(r"\b(?:docs|benchmarks|tests)/[\w/.-]+\.(?:md|py)\b", file.read_text(encoding="utf-8"))
    }
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_readme_counts_rules_and_presets_right() -> None:
    import fanin
    from fanin import rules

    assert f"lists {len(rules.table())} rules" in README
    assert f"fanin.presets() lists {len(fanin.presets())}" in README
