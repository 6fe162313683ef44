"""JAX gives NumPy's bits: under jit, with a traced seed, in windows, and sharded over eight devices without communication."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.draws.laws import laws, windows
from tests.draws.test_torch import is_matrix
from tests.draws.vectors import SEED, VECTORS, arguments, check, label

from fanin import formulas, rules
from fanin.distributions import (
    Bernoulli,
    Centred,
    Distribution,
    Identity,
    Integers,
    Mapped,
    Normal,
    Orthogonal,
    Signs,
    Sparse,
    Stack,
    TruncatedNormal,
    Uniform,
)
from fanin.draws import draw as numpy_draw
from fanin.draws import draw_distribution
from fanin.errors import FaninError
from fanin.slots import Axes

jax = pytest.importorskip("jax", reason="needs jax")
import jax.numpy as jnp  # noqa: E402

from fanin.draws import jax as jax_draws  # noqa: E402
from fanin.draws.jax import draw  # noqa: E402
from fanin.draws.jax_host import aligned  # noqa: E402

jax.config.update("jax_platforms", "cpu")

# What must be compiled anew is tested in few formats here; the slow test has the rest.
QUICK = [v for v in VECTORS if v["bits"] == 32 and (v["dtype"] == "float32" or v["law"]["kind"] == "Normal")]
QUICK = [v for v in QUICK if v["dtype"] != "float64"]


@pytest.fixture(scope="module", autouse=True)
def programs() -> Iterator[None]:
    """JAX's own programs are tested, as a GPU runs them, where on a CPU NumPy would draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax_draws, "BY_NUMPY", frozenset())
        yield


def enable_x64() -> Any:
    """A context in which JAX has numbers of 64 bits."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64()


def doubled(numbers: Any) -> Any:
    return 2 * numbers


@contextlib.contextmanager
def registered(function: Any) -> Iterator[None]:
    """A mapping that is known for a while."""
    formulas.mapping(function)
    yield
    del formulas.MAPPINGS[function.__name__]


def bits_of(values: Any) -> bytes:
    return np.asarray(values).tobytes()


@pytest.mark.parametrize("vector", QUICK, ids=label)
def test_vectors(vector: dict[str, Any]) -> None:
    law, shape, named = arguments(vector)
    check(vector, np.asarray(draw(law, shape, dtype=vector["dtype"], **named)))


def by_law() -> dict[str, list[dict[str, Any]]]:
    """The vectors that are left, those of one law together: in one program they share what makes the integers."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for vector in VECTORS:
        if vector not in QUICK:
            law, _, _ = arguments(vector)
            groups.setdefault(f"{law}-{vector['bits']}", []).append(vector)
    return groups


@pytest.mark.slow
@pytest.mark.parametrize("vectors", by_law().values(), ids=by_law())
def test_all_other_vectors(vectors: list[dict[str, Any]]) -> None:
    def drawn(seed: Any) -> list[Any]:
        asked = [(*arguments(vector), vector["dtype"]) for vector in vectors]
        return [draw(law, shape, dtype=dtype, **{**named, "seed": seed}) for law, shape, named, dtype in asked]

    with enable_x64():
        words = jnp.array([SEED & 0xFFFFFFFF, SEED >> 32], jnp.uint32)
        for vector, found in zip(vectors, jax.jit(drawn)(words), strict=True):
            check(vector, np.asarray(found))


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(laws(), st.data(), st.sampled_from(["float32", "float16", "bfloat16"]), st.integers(0, 2**64 - 1))
def test_any_window_has_the_bits(
    case: tuple[Distribution, tuple[int, ...]], data: st.DataObject, dtype: str, seed: int
) -> None:
    law, shape = case
    named = {"seed": seed, "name": "w", "window": data.draw(windows(shape)), "dtype": dtype}
    wanted, found = draw_distribution(law, shape, **named), np.asarray(draw(law, shape, **named))
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    if is_matrix(law):
        assert np.allclose(found.astype(np.float64), wanted.astype(np.float64), atol=1e-6, rtol=2**-7)
    else:
        assert bits_of(found) == bits_of(wanted)


LEAVES = [Normal(0.5, 1.0), Uniform(2.0), TruncatedNormal(0.02), Signs(0.3), Bernoulli(0.25, 3.0), Integers(-5, 11)]
PLACES = st.tuples(st.integers(0, 2**20 - 6), st.integers(0, 2**14 - 700))


@settings(max_examples=100)
@given(st.sampled_from(LEAVES), PLACES, st.integers(0, 2**64 - 1), st.text(max_size=5))
def test_windows_of_one_shape_share_a_compilation_and_have_the_bits(
    law: Distribution, place: tuple[int, int], seed: int, name: str
) -> None:
    """Of a weight with 2^34 numbers, so that an index takes more than 32 bits."""
    row, column = place
    window = (slice(row, row + 6), slice(column, column + 700))
    named = {"seed": seed, "name": name, "window": window}
    assert bits_of(draw(law, (2**20, 2**14), **named)) == bits_of(draw_distribution(law, (2**20, 2**14), **named))


def test_long_runs_are_made_in_a_loop_that_ends_exactly() -> None:
    law = Normal(1.0)
    for shape, window in (
        ((300_001,), None),
        ((300_001,), (slice(17, 299_000),)),
        ((3, 100_001), (slice(None, None, -1),)),
    ):
        for dtype in ("float32", "bfloat16", "float8_e5m2"):
            named = {"seed": 1, "name": "w", "window": window, "dtype": dtype}
            assert bits_of(draw(law, shape, **named)) == bits_of(draw_distribution(law, shape, **named))


def test_a_traced_seed_and_one_compilation_for_all_seeds() -> None:
    jitted = jax.jit(lambda seed: draw(Normal(1.0), (70, 30), seed=seed, name="w"))
    for seed in (0, 7, 2**32 - 1):
        assert bits_of(jitted(jnp.uint32(seed))) == bits_of(
            draw_distribution(Normal(1.0), (70, 30), seed=seed, name="w")
        )
    seed = 2**63 + 12345
    halves = jnp.array([seed & 0xFFFFFFFF, seed >> 32], dtype=jnp.uint32)
    assert bits_of(jitted(halves)) == bits_of(draw_distribution(Normal(1.0), (70, 30), seed=seed, name="w"))


def test_a_rule_and_axes() -> None:
    rule = rules.he_normal(nonlinearity="gelu")
    found = draw(rule, (3, 3, 8, 16), seed=0, name="conv", axes="kkio")
    assert bits_of(found) == bits_of(numpy_draw(rule, (3, 3, 8, 16), seed=0, name="conv", axes="kkio"))


def test_64_bits_where_jax_has_them() -> None:
    with enable_x64():
        for dtype in ("float64", "float32"):
            named = {"seed": 3, "name": "w", "dtype": dtype, "bits": 64}
            assert bits_of(draw(Normal(1.0), (50, 9), **named)) == bits_of(
                draw_distribution(Normal(1.0), (50, 9), **named)
            )


def test_numbers_that_xla_would_flush_to_zero() -> None:
    wanted = draw_distribution(Normal(1e-38), (1000,), seed=0, name="w")
    assert (abs(wanted) < 2.0**-126).any()
    assert bits_of(draw(Normal(1e-38), (1000,), seed=0, name="w")) == bits_of(wanted)


ORTHOGONAL = Orthogonal(Axes.parse("oi", (4, 5)))
BAD: list[tuple[dict[str, Any], str]] = [
    ({"rule": "normal"}, "give a rule such as"),
    ({"dtype": "float64"}, "dtype='float64' needs numbers of 64 bits in JAX; turn on jax_enable_x64"),
    ({"bits": 64}, "bits=64 needs numbers of 64 bits in JAX; turn on jax_enable_x64"),
    ({"shape": (2**31,), "window": (slice(0, 3),)}, r"every extent must be below 2\*\*31"),
    ({"seed": 2**64}, "seed must be an integer"),
    ({"seed": np.zeros(3, np.uint32)}, "give one unsigned integer, or two uint32"),
    ({"seed": np.zeros(2, np.float32)}, "give one unsigned integer, or two uint32"),
    ({"sharding": "all"}, "give a jax.sharding.NamedSharding"),
    ({"name": None}, "name must be a string"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_arguments_get_one_clear_sentence(changes: dict[str, Any], message: str) -> None:
    named: dict[str, Any] = {"rule": Normal(1.0), "shape": (4, 5), "seed": 0, "name": "w"} | changes
    with pytest.raises(FaninError, match=message):
        draw(**named)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_matrices_under_jit(seed: int) -> None:
    gates = Stack(
        (Orthogonal(Axes.parse("oi", (4, 5)), 2.0), Normal(1.0), Identity(Axes.parse("oi", (2, 5)))), (4, 3, 2)
    )
    for law, shape in ((ORTHOGONAL, (4, 5)), (gates, (9, 5)), (Centred(Uniform(1.0), ORTHOGONAL.axes), (4, 5))):
        for window in (None, (slice(1, None, 2), 3)):
            wanted = draw_distribution(law, shape, seed=seed, name="w", window=window)
            named = {"name": "w", "window": window}
            traced = jax.jit(lambda s, law=law, shape=shape, named=named: draw(law, shape, seed=s, **named))
            assert np.allclose(traced(jnp.uint32(seed)), wanted, rtol=0, atol=1e-6)
            assert np.allclose(draw(law, shape, seed=seed, **named), wanted, rtol=0, atol=1e-6)


def test_what_numpy_must_draw_comes_through_a_callback() -> None:
    law = TruncatedNormal(1.0, 1e-5)  # of an interval with so few numbers that it takes words of 64 bits
    several = Stack((law, Normal(1.0), Mapped(Uniform(1.0), "doubled")), (2, 3, 4))
    with registered(doubled):
        for wanted_law, shape in ((law, (9, 5)), (several, (9, 5)), (Sparse(law, 2, 0), (9, 5))):
            for window in (None, (slice(1, 8, 3), 2)):
                named = {"name": "w", "window": window}
                wanted = draw_distribution(wanted_law, shape, seed=2**32 - 1, **named)
                jitted = jax.jit(lambda seed, w=wanted_law, s=shape, n=named: draw(w, s, seed=seed, **n))
                assert bits_of(jitted(jnp.uint32(2**32 - 1))) == bits_of(wanted)
                assert bits_of(draw(wanted_law, shape, seed=2**32 - 1, **named)) == bits_of(wanted)


def test_many_seeds_at_once() -> None:
    """`vmap` alone traces, too."""
    gates = Stack((Normal(1.0), TruncatedNormal(1.0, 1e-5), Orthogonal(Axes.parse("oi", (4, 5)))), (3, 2, 4))
    found = jax.vmap(lambda seed: draw(gates, (9, 5), seed=seed, name="w"))(jnp.arange(3, dtype=jnp.uint32))
    for seed in range(3):
        wanted = draw_distribution(gates, (9, 5), seed=seed, name="w")
        assert np.allclose(found[seed], wanted, rtol=0, atol=1e-6)
        assert bits_of(found[seed][:5]) == bits_of(wanted[:5])


def test_unitary_matrices() -> None:
    wanted = draw_distribution(ORTHOGONAL, (4, 5), seed=7, name="w", dtype="complex64")
    jitted = jax.jit(lambda seed: draw(ORTHOGONAL, (4, 5), seed=seed, name="w", dtype="complex64"))
    for found in (draw(ORTHOGONAL, (4, 5), seed=7, name="w", dtype="complex64"), jitted(jnp.uint32(7))):
        assert found.dtype == np.complex64
        assert np.allclose(found, wanted, rtol=0, atol=1e-6)


class TestByNumPy:
    """What goes to one CPU outside `jit`."""

    @pytest.fixture(autouse=True)
    def on_a_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jax_draws, "BY_NUMPY", frozenset({"cpu"}))

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn"])
    def test_has_the_bits_of_the_program(self, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
        named = {"seed": 3, "name": "w", "window": (slice(5, 60), slice(None, None, 3)), "dtype": dtype}
        by_numpy = draw(Normal(1.0), (70, 31), **named)
        monkeypatch.setattr(jax_draws, "_from_host", None)
        monkeypatch.setattr(jax_draws, "BY_NUMPY", frozenset())
        by_jax = draw(Normal(1.0), (70, 31), **named)
        assert (by_numpy.dtype, by_numpy.shape, bits_of(by_numpy)) == (by_jax.dtype, by_jax.shape, bits_of(by_jax))

    def test_compiles_nothing(self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        def compiled() -> bool:
            caplog.clear()
            with jax.log_compiles():
                draw(TruncatedNormal(1.0), (next(extents), 7), seed=0, name="w")
            return "Finished XLA compilation" in caplog.text

        extents = iter(range(40, 50))
        compiled()  # what every process compiles once
        assert not any(compiled() for _ in range(3))
        monkeypatch.setattr(jax_draws, "BY_NUMPY", frozenset())
        assert compiled()

    def test_is_in_the_memory_that_numpy_filled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        filled: list[Any] = []
        monkeypatch.setattr(jax_draws, "aligned", lambda *asked: filled.append(aligned(*asked)) or filled[-1])
        made = draw(Normal(1.0), (300, 200), seed=0, name="w")
        assert made.unsafe_buffer_pointer() == filled[0].ctypes.data

    def test_is_on_the_device_that_is_named(self) -> None:
        (device,) = jax.devices()[:1]
        made = draw(Normal(1.0), (5, 4), seed=0, name="w", sharding=jax.sharding.SingleDeviceSharding(device))
        assert made.devices() == {device}


# -- eight devices: a process of their own, because JAX is told how many there are before it starts -----------------------

EIGHT = """
import json, re
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from fanin.distributions import *
from fanin.draws import draw_distribution
from fanin.draws.jax import draw
from fanin.slots import Axes

mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("a", "b"))
specs = [P(), P("a"), P(None, "b"), P("b", "a"), P(("a", "b"))]
shape = (32, 8)
laws = [Normal(0.1, 2.0), Permutations(0), Sparse(Normal(1.0), 3, 0), ZeroRows(Uniform(1.0), (0, 31)),
        Stack((Normal(1.0), Constant(2.0), Uniform(1.0)), (10, 4, 18)), Orthogonal(Axes.parse("oi", shape))]
wrong = []
for law in laws:
    for spec in specs:
        sharding = NamedSharding(mesh, spec)
        ways = {"eager": lambda: draw(law, shape, seed=3, name="w", sharding=sharding)}
        if law is laws[0] or spec == specs[3]:
            ways["jit"] = lambda: jax.jit(lambda s: draw(law, shape, seed=s, name="w", sharding=sharding))(jnp.uint32(3))
            ways["out"] = lambda: jax.jit(
                lambda s: draw(law, shape, seed=s, name="w"), out_shardings=sharding)(jnp.uint32(3))
        for way, made in ways.items():
            w = made()
            wanted = draw_distribution(law, shape, seed=3, name="w")
            near = np.abs(np.asarray(w) - wanted).max() <= (1e-6 if isinstance(law, Orthogonal) else 0)
            if not near or not w.sharding.is_equivalent_to(sharding, 2):
                wrong.append(f"{way} {type(law).__name__} {spec}")
part = draw(laws[0], (64, 6, 8), seed=3, name="w", window=(slice(63, None, -2), 1), sharding=NamedSharding(mesh, P("a", "b")))
if np.asarray(part).tobytes() != draw_distribution(laws[0], (64, 6, 8), seed=3, name="w", window=(slice(63, None, -2), 1)).tobytes():
    wrong.append("window")
try:
    draw(laws[0], (30, 8), seed=3, name="w", sharding=NamedSharding(mesh, P("a")))
    refused = ""
except ValueError as error:
    refused = str(error)

programs = []
for size in ((2048, 4096), (1000, 1000)):
    for spec in specs[1:]:
        sharding = NamedSharding(mesh, spec)
        for way, jitted in {
            "given": jax.jit(lambda s: draw(Normal(1.0), size, seed=s, name="w", sharding=sharding)),
            "out": jax.jit(lambda s: draw(Normal(1.0), size, seed=s, name="w"), out_shardings=sharding),
        }.items():
            made = jitted.lower(jnp.uint32(3)).compile()
            memory = made.memory_analysis()
            programs.append({
                "way": way, "shape": size, "spec": str(spec), "shard": int(np.prod(sharding.shard_shape(size))) * 4,
                "talk": re.findall("all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter", made.as_text()),
                "temporary": memory.temp_size_in_bytes,
            })
print(json.dumps({"wrong": wrong, "refused": refused, "programs": programs}))
"""


@pytest.fixture(scope="module")
def eight() -> dict[str, Any]:
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run([sys.executable, "-c", EIGHT], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
def test_shards_have_the_bits_in_every_placement(eight: dict[str, Any]) -> None:
    assert eight["wrong"] == []


@pytest.mark.slow
def test_a_sharding_that_does_not_fit_is_refused(eight: dict[str, Any]) -> None:
    assert "does not fit the shape (30, 8)" in eight["refused"]


def test_a_sharding_of_more_axes_than_the_weight_has_is_refused() -> None:
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("a",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("a", None))
    with pytest.raises(FaninError, match=r"names 2 axes, but the shape \(8,\) has 1"):
        draw(Normal(1.0), (8,), seed=0, name="w", sharding=sharding)


@pytest.mark.slow
def test_no_device_asks_another(eight: dict[str, Any]) -> None:
    assert {program["way"] for program in eight["programs"]} == {"given", "out"}
    assert [program for program in eight["programs"] if program["talk"]] == []


@pytest.mark.slow
def test_a_device_needs_memory_for_its_shard(eight: dict[str, Any]) -> None:
    for program in eight["programs"]:
        print(program)
        allowed = 3e6 if program["way"] == "given" else 6 * program["shard"]
        assert program["temporary"] < allowed, program
