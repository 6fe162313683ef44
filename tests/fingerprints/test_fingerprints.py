"""A fingerprint depends on the numbers, names, types and shapes, and on nothing else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

import fanin
from fanin.distributions import Normal, Orthogonal, Uniform
from fanin.errors import FaninTypeError, FaninValueError
from fanin.fingerprints import compute
from fanin.fingerprints.hashing import ROW, TILE, Sums, add, as_bits, compiled, window_sums
from fanin.plans import Entry, Need, Plan
from fanin.plans.parts import Part, cut
from fanin.slots import Axes

WIDE = [(3, 2 * TILE + 5), (5, ROW + 3), (700, 130), (2, 3, 4, 5), (9,), (), (0, 4)]
GOLDEN = {"a.weight": "235efb29173b6b9c8787a53273fe05e5", "b": "c554ab56a72b7278205f58f6de30508a"}
WHOLE = "ce587f98eddccb0a903eac5d41e2b2a5"
KERNELS = [None, *([compiled()] if compiled() else [])]


def whole(shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(0, n) for n in shape)


def by_definition(bits: np.ndarray, start: int = 0) -> Sums:
    """The sums in Python's own integers, from the documentation in `hashing`."""
    mask = 2**64 - 1

    def scattered(word: int) -> int:
        z = (word * 0x9E3779B97F4A7C15 + 0xD6E8FEB86659FD93) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    first = second = 0
    for k, value in enumerate(bits.reshape(-1).tolist()):
        place = start + k
        h = (value + scattered(place % TILE + 2**63) + scattered(place // TILE)) & mask
        h = ((h ^ (h >> 32)) * 0xBF58476D1CE4E5B9) & mask
        h ^= h >> 29
        first += h
        h = (h * 0x94D049BB133111EB) & mask
        second += h ^ (h >> 32)
    return first & mask, second & mask


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "uint64"])
def test_the_sums_are_those_of_the_definition(kernel: Any, kind: str) -> None:
    bits = np.random.default_rng(0).integers(0, np.iinfo(kind).max, 300, dtype=kind)
    assert window_sums(bits, (300,), whole((300,)), kernel) == by_definition(bits)
    far = (2**40, 300)
    window = (slice(2**40 - 1, 2**40), slice(0, 300))
    assert window_sums(bits[None], far, window, kernel) == by_definition(bits, (2**40 - 1) * 300)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", WIDE)
def test_any_cut_gives_the_same_sums(shape: tuple[int, ...], kernel: Any) -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, shape, dtype=np.uint32)
    expected = window_sums(bits, shape, whole(shape))
    assert window_sums(bits, shape, whole(shape), kernel) == expected
    for size in (1 << 14, 50_000):
        total = (0, 0)
        for piece in reversed(list(cut(Part(whole(shape), whole(shape)), size))):
            total = add(total, window_sums(bits[piece.window], shape, piece.window, kernel))
        assert total == expected
    if len(shape) > 1 and shape[0]:
        k = shape[1] // 3
        left, right = (slice(0, shape[0]), slice(0, k)), (slice(0, shape[0]), slice(k, shape[1]))
        columns = [(*part, *whole(shape[2:])) for part in (left, right)]
        total = (0, 0)
        for window in columns:
            total = add(total, window_sums(bits[window], shape, window, kernel))
        assert total == expected


@given(st.data())
def test_any_change_changes_it(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    values = (
        np.random.default_rng(size).integers(0, 4, size).astype(np.float32)
    )  # few values: swaps that cancel would show
    before = fanin.fingerprint({"w": values})
    i, j = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    swapped = values.copy()
    swapped[[i, j]] = swapped[[j, i]]
    assert (fanin.fingerprint({"w": swapped}) == before) == (values[i] == values[j])
    values[i] = np.nextafter(values[i], np.float32(9))
    assert fanin.fingerprint({"w": values}) != before


def test_names_types_shapes_and_signs_of_zero_are_part_of_it() -> None:
    w = np.zeros((2, 3), dtype=np.float32)
    prints = [
        {"w": w}, {"v": w}, {"w": w.T}, {"w": w.reshape(-1)}, {"w": w.astype(np.float64)}, {"w": w.astype(np.int32)}, {"w": -w},
        {"w": w, "v": w},
    ]  # fmt: skip
    assert len({fanin.fingerprint(p).whole for p in prints}) == len(prints)


def test_order_nesting_memory_and_threads_are_not() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 700, 900)).astype(np.float32)
    expected = fanin.fingerprint({"x.a": a, "b": b}, threads=1)
    for other in ({"b": b, "x.a": a}, {"x": {"a": a}, "b": b}, {"b": np.asfortranarray(b), "x.a": a}):
        for threads in (1, 3):
            found = fanin.fingerprint(other, threads=threads)
            assert found.whole == expected.whole
            assert found.tensors == expected.tensors


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "bfloat16", "int64", "bool", "complex64", "complex128", "int8"]
)
def test_torch_numpy_jax_and_files_agree(dtype: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weight = (torch.randn(5, 7, dtype=torch.float64) * 3).to(getattr(torch, dtype))
    model = nn.Module()
    model.register_buffer("w", weight)
    expected = fanin.fingerprint(model)
    assert fanin.fingerprint({"w": weight}) == expected
    assert fanin.fingerprint({"w": weight.T.contiguous().T}) == expected
    torch.save({"w": weight}, tmp_path / "m.pt")
    assert fanin.fingerprint(tmp_path / "m.pt") == expected
    if dtype != "complex128":
        save_file({"w": weight}, tmp_path / "m.safetensors")
        assert fanin.fingerprint(str(tmp_path / "m.safetensors")) == expected
    big = weight.numpy().astype(weight.numpy().dtype.newbyteorder(">")) if dtype != "bfloat16" else None
    assert big is None or fanin.fingerprint({"w": big}) == expected, "the order of bytes in memory does not count"
    if dtype == "bfloat16":
        jnp = pytest.importorskip("jax.numpy")
        assert fanin.fingerprint({"w": jnp.asarray(weight.float().numpy(), dtype="bfloat16")}) == expected
        return
    np.savez(tmp_path / "m.npz", w=weight.numpy())
    assert fanin.fingerprint(tmp_path / "m.npz") == expected
    assert fanin.fingerprint({"w": weight.numpy()}) == expected


def test_values_that_have_a_fingerprint_for_ever() -> None:
    """Fingerprints are written down and compared years later: these must never change."""
    state = {"a.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.array(True)}
    found = fanin.fingerprint(state)
    assert found.tensors == GOLDEN
    assert found.whole == WHOLE


def test_a_model_its_checkpoint_and_its_plan(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 6, bias=False))
    plan = fanin.plan(model, torch.randn(3, 6), rules={"*": fanin.rules.orthogonal()}, seed=3)
    plan.apply(model)
    plan.save(tmp_path / "plan.json")
    expected = fanin.fingerprint(model)
    assert fanin.fingerprint(plan) == expected == fanin.fingerprint(tmp_path / "plan.json")
    assert fanin.fingerprint(torch.compile(nn.DataParallel(model))) == expected
    torch.save({"epoch": 3, "state_dict": nn.DataParallel(model).state_dict()}, tmp_path / "last.ckpt")
    assert fanin.fingerprint(tmp_path / "last.ckpt") == expected


def test_files_that_hold_something_else_are_one_sentence(tmp_path: Path) -> None:
    """The reader of torch's raises anything for a file that is none (IndexError for these three bytes)."""
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    torch.save(torch.zeros(300), tmp_path / "cut.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:700])
    for name, content in (
        ("text.pt", b"abc"),
        ("empty.pt", b""),
        ("zip.pt", b"PK\x03\x04 and more"),
        ("zeros.pt", bytes(99)),
    ):
        (tmp_path / name).write_bytes(content)
    for path in tmp_path.iterdir():
        with pytest.raises(FaninValueError, match=f"{path.name} cannot be read as a file of tensors") as error:
            fanin.fingerprint(path)
        assert "\x1b" not in str(error.value)
    with pytest.raises(FaninValueError, match=r"give a file of model\.state_dict\(\)"):
        fanin.fingerprint(tmp_path / "model.pt")


def test_arrays_among_tensors_count() -> None:
    w, b = torch.randn(3, 4), np.arange(3.0)
    mixed = fanin.fingerprint({"w": w, "deep": {"b": b}, "epoch": 3})
    assert (
        mixed
        == fanin.fingerprint({"w": w, "deep.b": torch.from_numpy(b)})
        == fanin.fingerprint({"w": w.numpy(), "deep.b": b})
    )
    with pytest.raises(FaninTypeError, match="b is an array of <U1"):
        fanin.fingerprint({"w": w, "b": np.array(["a"])})


def test_tensors_that_are_not_dense() -> None:
    with pytest.raises(FaninValueError, match=r"a is torch\.sparse_coo and cannot be hashed"):
        fanin.fingerprint({"a": torch.eye(3).to_sparse()})


def test_tied_weights_and_buffers_count_as_in_a_checkpoint(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.BatchNorm1d(4))
    model[1].weight = model[0].weight
    model[2].register_buffer("scratch", torch.randn(3), persistent=False)
    found = fanin.fingerprint(model)
    assert set(found.tensors) == {
        "0.weight", "2.weight", "2.bias", "2.running_mean", "2.running_var", "2.num_batches_tracked",
    }  # fmt: skip
    torch.save(model.state_dict(), tmp_path / "m.pt")
    assert fanin.fingerprint(tmp_path / "m.pt") == found == fanin.fingerprint(model.state_dict())


@pytest.mark.parametrize(
    "norm", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm, nn.utils.weight_norm]
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_parametrised_weights_count_as_they_are_stored(norm: Any, tmp_path: Path) -> None:
    model = nn.Sequential(norm(nn.Linear(4, 5)))
    torch.save(model.state_dict(), tmp_path / "m.pt")
    assert fanin.fingerprint(model) == fanin.fingerprint(tmp_path / "m.pt")


def test_nothing_is_changed_and_memory_is_not_copied() -> None:
    model = nn.Linear(3, 4)
    versions, state = [p._version for p in model.parameters()], torch.get_rng_state()
    fanin.fingerprint(model)
    assert versions == [p._version for p in model.parameters()]
    assert torch.equal(state, torch.get_rng_state())
    for parameter in model.parameters():
        parameter.data.untyped_storage().resize_(0)  # which `Tensor.numpy()` would forbid from then on


def test_the_record() -> None:
    a, b = (
        fanin.fingerprint({"x": np.zeros(3), "y": np.zeros(2)}),
        fanin.fingerprint({"x": np.ones(3), "z": np.zeros(2)}),
    )
    assert a.differences(b) == ("x", "y", "z")
    assert a.differences(a) == ()
    assert type(a).from_dict(json.loads(json.dumps(a.to_dict()))) == a
    assert str(a) == a.whole
    assert len(a.whole) == 32


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (3, "int has no fingerprint"),
        ([1.0], "list has no fingerprint"),
        ({"a": object()}, "a is a object"),
        ({"a": "text", "b": np.array([None])}, "b is a ndarray"),
        ("nowhere.pt", "does not exist"),
        (nn.Linear(2, 2, device="meta"), "on the meta device"),
    ],
)
def test_what_has_none(what: Any, words: str) -> None:
    with pytest.raises((FaninTypeError, FaninValueError), match=words):
        fanin.fingerprint(what)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("m.pt", "m.npz", "m.safetensors"):
        (tmp_path / name).write_bytes(b"nonsense" * 9)
        with pytest.raises(FaninValueError, match=name):
            fanin.fingerprint(tmp_path / name)
    (tmp_path / "m.xyz").write_text("")
    with pytest.raises(FaninValueError, match="no checkpoint that is known"):
        fanin.fingerprint(tmp_path / "m.xyz")
    torch.save(torch.zeros(3), tmp_path / "m.pt")
    with pytest.raises(FaninValueError, match="must hold tensors by name"):
        fanin.fingerprint(tmp_path / "m.pt")
    np.savez(tmp_path / "m.npz", w=np.array([object()]))
    with pytest.raises(FaninValueError, match=r"m\.npz"):
        fanin.fingerprint(tmp_path / "m.npz")


def test_a_file_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"w": Evil()}, tmp_path / "m.pt")
    with pytest.raises(FaninValueError, match="weights_only"):
        fanin.fingerprint(tmp_path / "m.pt")
    assert not (tmp_path / "ran").exists()


PLAN = Plan(
    {"a": Entry(Normal(1.0)), "b": Entry(Uniform(2.0), multiplier=3.0), "q": Entry(Orthogonal(Axes.parse("oi", (8, 6))))},
    9, {"a": Need((50, 40)), "b": Need((7,), dtype="bfloat16"), "q": Need((8, 6))},
)  # fmt: skip


class Drawn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name, need in PLAN.requires.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(need.shape, dtype=getattr(torch, need.dtype))))


class TestVerify:
    def test_what_the_plan_drew(self, tmp_path: Path) -> None:
        model = PLAN.apply(Drawn())
        PLAN.save(tmp_path / "plan.json")
        torch.save(model.state_dict(), tmp_path / "m.pt")
        save_file(model.state_dict(), tmp_path / "m.safetensors")
        for held in (model, tmp_path / "m.pt", tmp_path / "m.safetensors", model.state_dict()):
            for plan in (PLAN, tmp_path / "plan.json"):
                found = fanin.verify(held, plan)
                assert found.same
                assert bool(found)
                assert str(found) == "the same: 3 weights as the plan gives them"

    def test_each_kind_of_difference(self) -> None:
        model = PLAN.apply(Drawn())
        with torch.no_grad():
            model.a[3, 5:7] += 2
            model.q[0, 0] += 1e-3
        del model.b
        found = fanin.verify(model, PLAN)
        assert not found
        assert {w.name: w.problem for w in found.different} == {
            "a": "2 of 2,000 numbers differ, by up to 2",
            "q": "1 of 48 numbers differ, by up to 0.001",
            "b": "there is no such weight",
        }
        model.a = nn.Parameter(torch.zeros(3))
        assert "its shape is (3,), but the plan is for (50, 40)" in str(fanin.verify(model, PLAN))
        model = PLAN.apply(Drawn())
        with torch.no_grad():
            model.a[0, 0] = torch.nan
        assert "1 of 2,000 numbers differ, some of them not finite" in str(fanin.verify(model, PLAN))

    def test_elementwise_to_the_last_bit_matrices_to_a_millionth(self) -> None:
        model = PLAN.apply(Drawn())
        with torch.no_grad():
            model.a[0, 0] = torch.nextafter(model.a[0, 0], torch.tensor(9.0))
            model.q.mul_(1 + 2e-7)
        assert [w.name for w in fanin.verify(model, PLAN).different] == ["a"]

    def test_another_seed(self) -> None:
        found = fanin.verify(PLAN.apply(Drawn(), seed=10), PLAN)
        assert [w.name for w in found.different] == ["a", "b", "q"]

    def test_in_the_models_own_precision(self) -> None:
        assert fanin.verify(PLAN.apply(Drawn().half()), PLAN).same
        assert not fanin.verify(PLAN.apply(Drawn()).half().float(), PLAN).same

    def test_tied_weights_by_either_name(self) -> None:
        model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
        model[1].weight = model[0].weight
        for name in ("0.weight", "1.weight"):
            plan = Plan({name: Entry(Normal(1.0))}, requires={name: Need((4, 4))})
            assert fanin.verify(plan.apply(model), plan).same

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize(
        "norm", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm, nn.utils.weight_norm]
    )
    def test_weights_behind_a_norm_by_their_effect(self, norm: Any) -> None:
        model = nn.Sequential(norm(nn.Linear(4, 5)))
        plan = fanin.plan(model, torch.randn(3, 4), rules={"*": fanin.rules.normal(1.0)})
        assert not fanin.verify(model, plan).same
        assert fanin.verify(plan.apply(model), plan).same

    def test_what_cannot_be_compared(self, tmp_path: Path) -> None:
        with pytest.raises(FaninTypeError, match="model is a plan"):
            fanin.verify(PLAN, PLAN)
        with pytest.raises(FaninTypeError, match="path=3"):
            fanin.verify(Drawn(), 3)
        with pytest.raises(FaninValueError, match="cannot be read"):
            fanin.verify(Drawn(), tmp_path / "no.json")


def test_large_ones_are_hashed_by_the_compiled_kernel_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    w = {"w": np.random.default_rng(0).standard_normal((300, 500))}
    expected = fanin.fingerprint(w)
    monkeypatch.setattr(compute, "WORTH_IT", 1)
    assert fanin.fingerprint(w) == expected


def test_bits_of_wide_numbers() -> None:
    assert as_bits(np.zeros((3, 2), dtype=np.complex128)).shape == (3, 2, 2)
    assert as_bits(np.float32(1.0) * np.ones(())).shape == ()
