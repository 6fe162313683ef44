"""Functions and models of the user's own code, found by name."""

from pathlib import Path

import pytest

from fanin.errors import FaninValueError
from fanin.imports import TargetError, find_attribute, load_module, needed_arguments


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A module of a user's own."""
    place = tmp_path / "own_functions.py"
    place.write_text("def build(size, depth=1):\n    return size\n\nclass Nets:\n    small = 3\n")
    return str(place)


def test_names_in_a_file_are_found_through_their_owners(file: str) -> None:
    module = load_module(file, f"{file}:build")
    assert find_attribute(module, "build", f"{file}:build")(3) == 3
    assert find_attribute(module, "Nets.small", f"{file}:Nets.small") == 3
    assert needed_arguments(find_attribute(module, "build", file)) == ["size"]


def test_errors_name_the_argument_and_what_is_near(file: str) -> None:
    module = load_module(file, f"{file}:bild", "model")
    with pytest.raises(FaninValueError, match="^model: .* has no 'bild'; did you mean build"):
        find_attribute(module, "bild", f"{file}:bild", "model")
    with pytest.raises(FaninValueError, match="^model: the file .* does not exist; did you mean"):
        load_module(file.replace("own_", "ow_"), "", "model")
    with pytest.raises(FaninValueError, match="^TARGET: there is no module nowhere"):
        load_module("nowhere.inside", "nowhere.inside:build")


def test_what_the_module_itself_raises_is_shown(tmp_path: Path) -> None:
    place = tmp_path / "raises_on_import.py"
    place.write_text("def f():\n    raise KeyError('size')\n\nf()\n")
    with pytest.raises(TargetError, match="raised KeyError: 'size' when it was imported") as caught:
        load_module(str(place), f"{place}:build")
    assert "in f" in caught.value.shown
    assert "importlib" not in caught.value.shown
