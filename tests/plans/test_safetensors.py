"""Files as the safetensors package writes and reads them; damaged ones are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from fanin.errors import FaninValueError
from fanin.plans.safetensors import NAMES, TYPES, checkpoint_files, layout, read_header

TENSORS = {
    "a": torch.randn(3, 5), "b": torch.arange(7), "c": torch.randn(2, 2).bfloat16(), "d": torch.tensor(True),
    "e": torch.randn(0, 4), "f": torch.randn(3).to(torch.float8_e4m3fn), "ü": torch.randn(2).double(),
}  # fmt: skip


def test_headers_of_the_package_are_read(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "m.safetensors", {"format": "pt"})
    found = {t.name: t for t in read_header(tmp_path / "m.safetensors")}
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].shape == tuple(tensor.shape)
        assert found[name].dtype == str(tensor.dtype).removeprefix("torch.")
        start = found[name].offset
        data = (tmp_path / "m.safetensors").read_bytes()[start : start + found[name].bytes]
        assert data == tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


@given(st.lists(st.tuples(st.sampled_from(sorted(TYPES)), st.lists(st.integers(0, 4), max_size=3)), max_size=6))
def test_layouts_are_read_by_the_package(tmp_path_factory: pytest.TempPathFactory, kinds: list) -> None:
    file = tmp_path_factory.mktemp("layout") / "m.safetensors"
    header, stored = layout([(f"t{k}", dtype, tuple(shape)) for k, (dtype, shape) in enumerate(kinds)], file)
    file.write_bytes(header + bytes(sum(t.bytes for t in stored)))
    assert len(header) % 8 == 0
    assert all(t.offset % TYPES[t.dtype][1] == 0 for t in stored), "aligned"
    assert {t.name: t for t in read_header(file)} == {t.name: t for t in stored}
    loaded = load_file(file)
    assert {n: tuple(t.shape) for n, t in loaded.items()} == {t.name: t.shape for t in stored}


def damaged(name: str, whole: bytes) -> bytes:
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    if name == "short":
        return whole[:-3]
    if name == "long":
        return whole + b"x"
    if name == "no header":
        return whole[:4]
    if name == "huge header":
        return (2**40).to_bytes(8, "little") + whole[8:]
    if name == "not JSON":
        return whole[:9] + b"x" + whole[10:]
    if name == "type":
        header["a"]["dtype"] = "Q7"
    if name == "size":
        header["a"]["shape"] = [3, 6]
    if name == "negative":
        header["a"]["shape"] = [-3, -5]
    if name == "hole":
        header["b"]["data_offsets"] = [n + 4 for n in header["b"]["data_offsets"]]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + whole[8 + length :]


CASES = ["short", "long", "no header", "huge header", "not JSON", "type", "size", "negative", "hole"]


@pytest.mark.parametrize("name", CASES)
def test_damaged_files_are_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    save_file({"a": torch.randn(3, 5), "b": torch.zeros(4)}, file)
    file.write_bytes(damaged(name, file.read_bytes()))
    with pytest.raises(FaninValueError, match="damaged|cut short"):
        read_header(file)


def test_folders_and_indexes(tmp_path: Path) -> None:
    for k in range(2):
        save_file({f"t{k}": torch.zeros(2)}, tmp_path / f"part{k}.safetensors")
    assert [f.name for f in checkpoint_files(tmp_path)] == ["part0.safetensors", "part1.safetensors"]
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"t1": "part1.safetensors"}}))
    assert (
        [f.name for f in checkpoint_files(tmp_path)]
        == ["part1.safetensors"]
        == [f.name for f in checkpoint_files(index)]
    )
    index.write_text(json.dumps({"weight_map": {"t1": "gone.safetensors"}}))
    with pytest.raises(FaninValueError, match=r"missing: gone\.safetensors"):
        checkpoint_files(tmp_path)
    index.write_text("{}")
    with pytest.raises(FaninValueError, match="not the index"):
        checkpoint_files(tmp_path)
    with pytest.raises(FaninValueError, match="does not exist"):
        checkpoint_files(tmp_path / "no.safetensors")


def test_every_type_has_one_code() -> None:
    assert len(NAMES) == len(TYPES)
    assert all(np.log2(width) % 1 == 0 for _, width in TYPES.values())
