"""The scripts under examples/ run and draw what they say."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
SMALL = {
    "activation_histograms": ["--width", "32", "--depth", "6"],
    "phase_diagram": ["--points", "6"],
    "jacobian_spectra": ["--width", "16", "--depths", "2,3"],
    "trainable_depth": ["--width", "8", "--steps", "3", "--depths", "2,4"],
}


def test_every_script_is_here() -> None:
    assert set(SMALL) == {p.stem for p in FOLDER.glob("*.py")} - {"drawing"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SMALL))
def test_scripts_draw_a_picture_and_print_a_table(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    picture = tmp_path / "picture.svg"
    run = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *SMALL[name], "--out", str(picture)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "|---" in run.stdout
    root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    marks = [e for e in root.iter() if e.tag.endswith(("path", "rect", "circle")) and e.get("d", "M0") != ""]
    assert len(marks) > 20
    assert "nan" not in picture.read_text(encoding="utf-8").lower().replace("nano", "")
