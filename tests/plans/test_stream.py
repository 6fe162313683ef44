"""A plan streamed to files: the numbers of `apply`, whole or not at all, and on where it was stopped."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import fanin
from fanin.distributions import Constant, Mapped, Normal, Orthogonal, Stack, Uniform, ZeroRows
from fanin.errors import FaninValueError
from fanin.formulas import MAPPINGS
from fanin.plans import Entry, Need, Plan, stream
from fanin.slots import Axes

NEEDS = {
    "a.weight": Need((300, 101)), "b.weight": Need((5, 60, 7)), "c": Need((5,)), "o": Need((40, 30)),
    "h": Need((100, 10), dtype="bfloat16"), "s": Need(()), "d": Need((30, 3), dtype="float64"), "e": Need((0, 3)),
}  # fmt: skip
PLAN = Plan(
    {
        "a.weight": Entry(ZeroRows(Normal(0.02), (3,))), "b.weight": Entry(Uniform(1.0), multiplier=-2.0),
        "c": Entry(Constant(3.0)), "o": Entry(Orthogonal(Axes.parse("oi", (40, 30)))), "h": Entry(Normal(1.0)),
        "s": Entry(Constant(1.5)), "d": Entry(Stack((Normal(1.0), Uniform(1.0)), (10, 20))), "e": Entry(Normal(1.0)),
    }, 7, NEEDS,
)  # fmt: skip
BIG = Plan({f"w{k}": Entry(Normal(1.0)) for k in range(6)}, 1, {f"w{k}": Need((400, 250)) for k in range(6)})


def holder(plan: Plan, dtype: str | None = None) -> nn.Module:
    """A module with the plan's weights."""
    model = nn.Module()
    for name, need in plan.requires.items():
        owner = model
        *path, last = name.split(".")
        for part in path:
            if not hasattr(owner, part):
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        weight = torch.zeros(need.shape, dtype=getattr(torch, dtype or need.dtype))
        owner.register_parameter(last, nn.Parameter(weight))
    return model


def loaded(folder: Path) -> dict[str, torch.Tensor]:
    return {n: t for file in folder.glob("*.safetensors") for n, t in load_file(file).items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [None, "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("shard_size", ["5GB", "20KB", 50_000])
def test_the_numbers_are_those_of_apply(
    threads: int, dtype: str | None, shard_size: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PIECE", 1000)
    assert PLAN.stream(tmp_path / "out", dtype=dtype, shard_size=shard_size, threads=threads) == tmp_path / "out"
    model = PLAN.apply(holder(PLAN, dtype))
    assert equal(loaded(tmp_path / "out"), dict(model.named_parameters()))
    names = sorted(os.listdir(tmp_path / "out"))
    if shard_size == "5GB":
        assert names == ["model.safetensors"]
    else:
        count = len(names) - 1
        assert count > 1
        assert names[-1] == "model.safetensors.index.json"
        assert names[0] == f"model-00001-of-{count:05d}.safetensors"
        assert fanin.fingerprint(tmp_path / "out") == fanin.fingerprint(model)


def test_without_ml_dtypes_bfloat16_is_rounded_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    PLAN.stream(tmp_path / "out", dtype="bfloat16")
    monkeypatch.undo()
    assert equal(loaded(tmp_path / "out"), dict(PLAN.apply(holder(PLAN, "bfloat16")).named_parameters()))


def test_one_file_by_name(tmp_path: Path) -> None:
    PLAN.stream(tmp_path / "mine.safetensors", seed=3, shard_size=100)
    assert os.listdir(tmp_path) == ["mine.safetensors"]
    assert equal(load_file(tmp_path / "mine.safetensors"), dict(PLAN.apply(holder(PLAN), seed=3).named_parameters()))


class TestWithAModel:
    def model(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5))

    def plan(self) -> Plan:
        return fanin.plan(self.model(), torch.randn(2, 3, 8, 8), rules={"*.weight": fanin.rules.he_normal()})

    def test_what_the_plan_leaves_alone_is_written_too(self, tmp_path: Path) -> None:
        model, other = self.model(), self.model()
        self.plan().stream(tmp_path / "m.safetensors", model)
        other.load_state_dict(load_file(tmp_path / "m.safetensors"))
        assert fanin.fingerprint(other) == fanin.fingerprint(self.plan().apply(model))

    def test_what_has_no_values_is_an_error_and_computed_buffers_are_none(self, tmp_path: Path) -> None:
        with torch.device("meta"):
            model = self.model()
        with pytest.raises(FaninValueError, match=r"no entry for 0\.bias"):
            self.plan().stream(tmp_path / "m.safetensors", model)
        plan = fanin.plan(model, torch.randn(2, 3, 8, 8), rules={"*": fanin.rules.he_normal()})
        plan.stream(tmp_path / "m.safetensors", model)
        assert load_file(tmp_path / "m.safetensors")["1.running_var"].tolist() == [1.0] * 4

    def test_weights_behind_a_norm_are_refused(self, tmp_path: Path) -> None:
        model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)))
        plan = fanin.plan(model, torch.randn(2, 3), rules={"*": fanin.rules.normal(0.1)})
        with pytest.raises(FaninValueError, match="parametrisation"):
            plan.stream(tmp_path / "out", model)
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
    def test_both_halves_of_a_weight_norm_that_the_plan_leaves_are_written(self, norm: Any, tmp_path: Path) -> None:
        model = nn.Sequential(norm(nn.Linear(3, 4)), nn.Linear(4, 2))
        plan = fanin.plan(model, torch.randn(2, 3), rules={"1.*": fanin.rules.normal(0.1)})
        plan.stream(tmp_path / "m.safetensors", model)
        held = load_file(tmp_path / "m.safetensors")
        assert set(held) == set(model.state_dict())
        assert all(
            torch.equal(held[name], value) for name, value in model.state_dict().items() if name.startswith("0.")
        )

    def test_tied_weights_are_written_once_and_transformers_reads_them(self, tmp_path: Path) -> None:
        transformers = pytest.importorskip("transformers")
        config = transformers.LlamaConfig(
            hidden_size=32, num_hidden_layers=1, intermediate_size=48, num_attention_heads=4, vocab_size=50,
            tie_word_embeddings=True,
        )  # fmt: skip
        with torch.device("meta"):
            model = transformers.LlamaForCausalLM(config)
        plan = fanin.plan(
            model, {"input_ids": torch.ones(1, 4, dtype=torch.long)}, rules={"*": fanin.rules.normal(0.02)}
        )
        plan.stream(tmp_path / "out", model, shard_size="10KB")
        config.save_pretrained(tmp_path / "out")
        read = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
        assert fanin.verify(read, plan).same
        assert (
            fanin.fingerprint(read) == fanin.fingerprint(tmp_path / "out") == fanin.fingerprint(plan.materialize(model))
        )


class TestStopped:
    def counted(
        self, monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None, error: Any = KeyboardInterrupt
    ) -> list[Any]:
        """Every write of numbers: (file, offset, bytes); the one at `stop_at` raises."""
        written: list[Any] = []
        write = os.pwrite

        def counting(descriptor: int, data: Any, at: int) -> int:
            if len(written) == stop_at:
                raise error
            written.append((os.readlink(f"/proc/self/fd/{descriptor}"), at, len(data)))
            return write(descriptor, data, at)

        monkeypatch.setattr(os, "pwrite", counting)
        return written

    def test_it_goes_on_where_it_was_and_writes_nothing_twice(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stream, "PIECE", 10_000)
        for stop in (0, 7, 23, None):
            with monkeypatch.context() as patch:
                written = self.counted(patch, stop)
                if stop is None:
                    BIG.stream(tmp_path / "out", shard_size="900KB", threads=1)
                else:
                    with pytest.raises(KeyboardInterrupt):
                        BIG.stream(tmp_path / "out", shard_size="900KB", threads=1)
                    assert os.listdir(tmp_path / "out") == [".fanin-stream"], "nothing half-written in sight"
            if stop is None:
                assert len(written) == 60 - 0 - 7 - 23
        assert equal(loaded(tmp_path / "out"), dict(BIG.apply(holder(BIG)).named_parameters()))
        assert ".fanin-stream" not in os.listdir(tmp_path / "out")

    def test_a_kill_while_files_are_moved(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        move, moved = os.replace, [0]

        def stopping(a: Any, b: Any) -> None:
            moved[0] += 1
            if moved[0] == 2:
                raise KeyboardInterrupt
            move(a, b)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", stopping)
            with pytest.raises(KeyboardInterrupt):
                BIG.stream(tmp_path / "out", shard_size="900KB")
        assert not (tmp_path / "out" / "model.safetensors.index.json").exists()
        written = self.counted(monkeypatch)
        BIG.stream(tmp_path / "out", shard_size="900KB")
        assert written == []
        assert equal(loaded(tmp_path / "out"), dict(BIG.apply(holder(BIG)).named_parameters()))

    def test_a_new_start_of_the_machine_trusts_only_what_was_flushed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            self.counted(patch, 5)
            with pytest.raises(KeyboardInterrupt):
                BIG.stream(tmp_path / "out", shard_size="900KB", threads=1)
        monkeypatch.setattr("fanin.plans.journal.boot", lambda: "another")
        written = self.counted(monkeypatch)
        BIG.stream(tmp_path / "out", shard_size="900KB", threads=1)
        assert len(written) == 2, "the third file was not whole, and so not flushed"
        assert equal(loaded(tmp_path / "out"), dict(BIG.apply(holder(BIG)).named_parameters()))

    def test_another_plan_or_seed_is_not_mixed_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            self.counted(patch, 2)
            with pytest.raises(KeyboardInterrupt):
                BIG.stream(tmp_path / "out", threads=1)
        with pytest.raises(FaninValueError, match="unfinished stream of another plan"):
            BIG.stream(tmp_path / "out", seed=2)

    def test_a_place_that_was_taken_meanwhile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            self.counted(patch, 2)
            with pytest.raises(KeyboardInterrupt):
                BIG.stream(tmp_path / "out", threads=1)
        (tmp_path / "out" / "model.safetensors").write_text("somebody's")
        with pytest.raises(FaninValueError, match=r"already holds model\.safetensors"):
            BIG.stream(tmp_path / "out")
        assert (tmp_path / "out" / "model.safetensors").read_text() == "somebody's"
        (tmp_path / "out" / "model.safetensors").unlink()
        BIG.stream(tmp_path / "out")

    @pytest.mark.skipif(sys.platform != "linux", reason="locks of files: Linux")
    def test_two_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        inner: list[str] = []

        def again(descriptor: int, data: Any, at: int) -> int:
            with pytest.raises(FaninValueError, match="another process is writing") as error:
                BIG.stream(tmp_path / "out", threads=1)
            inner.append(str(error.value))
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "pwrite", again)
        with pytest.raises(KeyboardInterrupt):
            BIG.stream(tmp_path / "out", threads=1)
        assert inner

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform != "linux", reason="kill -9")
    def test_kill_9(self, tmp_path: Path) -> None:
        """A process killed again and again, at any moment, ends with the right files, and draws every number about once."""
        plan = Plan({f"w{k}": Entry(Normal(1.0)) for k in range(8)}, 5, {f"w{k}": Need((4000, 500)) for k in range(8)})
        plan.save(tmp_path / "plan.json")
        code = (
            "import sys, time; from fanin.plans import Plan, stream; stream.PIECE = 1 << 16\n"
            "draw = stream.Drawn.values\n"
            "def slow(self, window):\n"
            "    time.sleep(.005); print('.', end='', flush=True); return draw(self, window)\n"
            "stream.Drawn.values = slow\n"
            "Plan.load(sys.argv[1]).stream(sys.argv[2], shard_size='9MB', threads=2)\n"
        )
        drawn, kills = 0, 0
        for wait in (0.1, 0.15, 0.2, 0.1, 60):
            log = (tmp_path / "log").open("w+")
            process = subprocess.Popen(
                [sys.executable, "-c", code, tmp_path / "plan.json", tmp_path / "out"], stdout=log
            )
            deadline = time.monotonic() + 60
            while (tmp_path / "log").stat().st_size == 0 and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
            drawn += (tmp_path / "log").stat().st_size
            log.close()
            if process.returncode == 0:
                break
        assert process.returncode == 0
        assert kills >= 1
        pieces = 8 * -(-4000 // ((1 << 16) // 500))
        assert pieces <= drawn <= pieces + 4 * (kills + 1), "drawn twice: what was in flight only"
        assert equal(loaded(tmp_path / "out"), dict(plan.apply(holder(plan)).named_parameters()))


class TestRefused:
    def test_a_disk_that_is_too_small_before_anything_is_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
        with pytest.raises(FaninValueError, match=r"needs 0\.0 GB, but the disk has"):
            BIG.stream(tmp_path / "deep" / "out")
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("where", ["posix_fallocate", "pwrite", "fsync"])
    def test_a_disk_that_gets_full_leaves_nothing(
        self, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*args: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, where, full)
        with pytest.raises(FaninValueError, match="cannot be written: No space left on device"):
            BIG.stream(tmp_path / "deep" / "out")
        assert os.listdir(tmp_path) == []

    def test_a_disk_that_gets_full_at_the_index_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*args: Any, **more: Any) -> Any:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "mkstemp", full)
            with pytest.raises(FaninValueError, match="cannot be written: No space left on device"):
                BIG.stream(tmp_path / "deep" / "out", shard_size="900KB")
        assert os.listdir(tmp_path) == []
        BIG.stream(tmp_path / "deep" / "out", shard_size="900KB")
        assert equal(loaded(tmp_path / "deep" / "out"), dict(BIG.apply(holder(BIG)).named_parameters()))

    @pytest.mark.parametrize("at", [1, 3, 4])
    def test_a_move_that_fails_goes_on_with_the_next_try(
        self, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        move, moved = os.replace, [0]

        def full(a: Any, b: Any) -> None:
            moved[0] += Path(b).parent.name == "out"
            if moved[0] == at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            move(a, b)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full)
            with pytest.raises(FaninValueError, match="cannot be written: No space left on device"):
                BIG.stream(tmp_path / "out", shard_size="900KB")
        monkeypatch.setattr(os, "pwrite", lambda *args: pytest.fail("nothing is drawn again"))
        BIG.stream(tmp_path / "out", shard_size="900KB")
        assert equal(loaded(tmp_path / "out"), dict(BIG.apply(holder(BIG)).named_parameters()))
        assert len(os.listdir(tmp_path / "out")) == 4

    def test_numbers_that_are_refused_while_they_are_drawn_leave_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(MAPPINGS, "root", np.sqrt)
        plan = BIG.edit({"w5": Entry(Mapped(Normal(1.0), "root"))})
        with pytest.raises(FaninValueError, match="'root' gave numbers that are not finite"):
            plan.stream(tmp_path / "deep" / "out", threads=1)
        assert os.listdir(tmp_path) == []

    def test_a_place_that_is_taken(self, tmp_path: Path) -> None:
        BIG.stream(tmp_path / "out")
        before = (tmp_path / "out" / "model.safetensors").read_bytes()
        with pytest.raises(FaninValueError, match=r"already holds model\.safetensors"):
            BIG.stream(tmp_path / "out")
        assert (tmp_path / "out" / "model.safetensors").read_bytes() == before
        (tmp_path / "file").write_text("")
        with pytest.raises(FaninValueError, match="is a file|cannot be written"):
            BIG.stream(tmp_path / "file")
        with pytest.raises(FaninValueError, match="cannot be written"):
            BIG.stream(tmp_path / "file" / "below")

    @pytest.mark.parametrize("size", [0, -1, "5 pounds", "", True, 1.5])
    def test_sizes_that_are_none(self, size: Any, tmp_path: Path) -> None:
        with pytest.raises(FaninValueError, match="shard_size"):
            BIG.stream(tmp_path / "out", shard_size=size)

    def test_types_and_numbers_that_do_not_go(self, tmp_path: Path) -> None:
        with pytest.raises(FaninValueError, match="dtype='int8' cannot be used"):
            BIG.stream(tmp_path / "out", dtype="int8")
        large = Plan({"w": Entry(Constant(1e6))}, requires={"w": Need((3,), dtype="float16")})
        with pytest.raises(FaninValueError, match="w would get numbers that are too large for float16"):
            large.stream(tmp_path / "out")
        with pytest.raises(FaninValueError, match="does not know its shape"):
            Plan({"w": Entry(Constant(1.0))}).stream(tmp_path / "out")
        with pytest.raises(FaninValueError, match="no entries"):
            Plan({}).stream(tmp_path / "out")
        assert os.listdir(tmp_path) == []
