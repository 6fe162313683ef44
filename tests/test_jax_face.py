"""fanin in JAX's idiom: initializers from every rule, with the numbers of every other framework."""

import contextlib
import functools
import inspect
import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from tests.draws.test_jax import bits_of, doubled, enable_x64, registered
from tests.jax_rules import NAMES, SHAPES, arguments

jax = pytest.importorskip("jax", reason="needs jax")
import jax.numpy as jnp  # noqa: E402

import fanin  # noqa: E402
import fanin.jax as face  # noqa: E402
from fanin import formulas, rules  # noqa: E402
from fanin.distributions import Constant, Formula, Mapped, Normal, TruncatedNormal, Uniform  # noqa: E402
from fanin.draws import draw_distribution  # noqa: E402
from fanin.errors import FaninError, FaninTypeError, FaninValueError  # noqa: E402
from fanin.slots import Axes  # noqa: E402

KEY = face.key(2**33 + 5, "fc1.weight")
TOGETHER = 15  # rules in one compiled program, which share what makes their integers


def is_matrix(law: Any) -> bool:
    """Whether numbers are sums of many, so that another order of adding gives another last bit."""
    inner = (*getattr(law, "parts", ()), *([law.base] if hasattr(law, "base") else []))
    return getattr(law, "axes", None) is not None or any(map(is_matrix, inner))


@functools.cache
def under_jit(group: int) -> dict[str, Any]:
    """What each rule of a group gives under jit for the first shape that it serves."""
    served = {}
    for name in NAMES[group * TOGETHER : (group + 1) * TOGETHER]:
        with contextlib.suppress(pytest.skip.Exception):
            served[name] = TestEveryRule.served(name)[0][:2]

    def drawn(key: Any) -> dict[str, Any]:
        return {name: init(key, shape) for name, (init, shape) in served.items()}

    return jax.jit(drawn)(KEY)


@pytest.mark.parametrize("name", NAMES)
class TestEveryRule:
    @staticmethod
    def served(name: str) -> list[tuple[face.Initializer, tuple[int, ...], np.ndarray]]:
        """The initializer with every shape that the rule can serve, and NumPy's numbers."""
        given, found = arguments(name), []
        for shape, axes in SHAPES.items():
            init = getattr(face, name)(**given, axes=axes if "s" in (axes or "") else None)
            try:
                law = init.distribution(shape)
                wanted = fanin.draw(
                    rules.get(name)(**given), shape, seed=2**33 + 5, name="fc1.weight", axes=axes or "oi"
                )
            except FaninError as error:
                with pytest.raises(type(error)):
                    init(KEY, shape)
                continue
            assert law is not None
            found.append((init, shape, wanted))
        if not found:
            pytest.skip("needs to know more of a weight than its shape")
        return found

    def test_has_the_bits_of_numpy(self, name: str) -> None:
        for init, shape, wanted in self.served(name):
            made = init(KEY, shape)
            assert isinstance(made, jax.Array)
            assert bits_of(made) == bits_of(wanted), shape

    def test_has_the_bits_of_torch(self, name: str) -> None:
        torch = pytest.importorskip("torch", reason="needs torch")
        import fanin.torch as other

        for init, shape, _ in self.served(name):
            tensor = getattr(other, f"{name}_")(
                torch.empty(shape), **arguments(name), seed=2**33 + 5, name="fc1.weight", axes=SHAPES[shape]
            )
            made = np.asarray(init(KEY, shape))
            if is_matrix(init.distribution(shape)):
                assert np.allclose(made, tensor.numpy(), rtol=0, atol=1e-6), shape
            else:
                assert bits_of(made) == bits_of(tensor.numpy()), shape

    def test_is_the_same_under_jit_with_a_traced_key(self, name: str) -> None:
        init, shape, wanted = self.served(name)[0]
        made = under_jit(NAMES.index(name) // TOGETHER)[name]
        if is_matrix(init.distribution(shape)):
            assert np.allclose(made, wanted, rtol=0, atol=1e-6)
        else:
            assert bits_of(made) == bits_of(wanted)

    def test_is_an_initializer_of_jax(self, name: str) -> None:
        init = getattr(face, name)(**arguments(name))
        assert isinstance(init, jax.nn.initializers.Initializer)
        assert hash(init) == hash(getattr(face, name)(**arguments(name)))
        assert init == getattr(face, name)(**arguments(name))

    def test_has_the_rules_arguments_and_documentation(self, name: str) -> None:
        function, factory = getattr(face, name), rules.get(name)
        parameters = inspect.signature(function).parameters
        assert list(parameters)[-6:] == ["in_axis", "out_axis", "batch_axis", "axes", "dtype", "name"]
        assert [(p, parameters[p].default) for p in list(parameters)[:-6]] == [
            (p.name, p.default) for p in inspect.signature(factory).parameters.values()
        ]
        text = inspect.getdoc(function) or ""
        for words in (*parameters, "Formula:", "Paper:", (inspect.getdoc(factory) or "").splitlines()[0]):
            assert words in text, words
        assert text.count("Args:") == 1


@pytest.mark.parametrize("alias", ["kaiming_normal", "kaiming_uniform", "glorot_normal", "glorot_uniform", "eye"])
def test_names_that_people_know(alias: str) -> None:
    theirs = {"glorot_normal": "xavier_normal", "glorot_uniform": "xavier_uniform", "eye": "identity"}
    name = theirs.get(alias, alias.replace("kaiming", "he"))
    a, b = (getattr(face, n)()(KEY, (8, 6)) for n in (alias, name))
    assert bits_of(a) == bits_of(b)


def test_the_stub_for_editors_says_what_the_factories_take() -> None:
    pytest.importorskip("torch", reason="the stubs are written from both faces")
    from tests.stubs_jax import PATH, stub

    assert PATH.read_text(encoding="utf-8") == stub(), "run `python -m tests.stubs`"


def test_a_rule_that_is_added_later_is_there_at_once() -> None:
    from fanin.rules.rule import forget, rule

    @rule()
    def a_tenth(slot: Any, scale: float = 0.1) -> Normal:
        return Normal(scale)

    try:
        assert bits_of(face.a_tenth(scale=0.2)(KEY, (3, 4))) == bits_of(face.normal(0.2)(KEY, (3, 4)))
    finally:
        forget("a_tenth")


class TestKeys:
    def test_jaxs_own_keys_are_the_seed(self) -> None:
        wanted = fanin.draw(rules.he_normal(), (8, 6), seed=5, name="w", axes="io")
        init = face.he_normal(name="w")
        for key in (jax.random.key(5), jax.random.PRNGKey(5), np.array([0, 5], np.uint32), face.key(5, "w")):
            assert bits_of(init(key, (8, 6))) == bits_of(wanted)
        assert bits_of(face.he_normal()(face.key(jax.random.key(5), "w"), (8, 6))) == bits_of(wanted)

    @pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**64 - 1])
    def test_every_seed(self, seed: int) -> None:
        wanted = draw_distribution(Normal(1.0), (300,), seed=seed, name="é")
        assert bits_of(face.normal(1.0)(face.key(seed, "é"), (300,))) == bits_of(wanted)
        assert bits_of(jax.jit(lambda k: face.normal(1.0)(k, (300,)))(face.key(seed, "é"))) == bits_of(wanted)

    def test_a_key_is_split_and_folded_as_jaxs_keys_are(self) -> None:
        words, plain = face.key(3, "w"), jax.random.key(3)
        for ours, theirs in (
            (jax.random.fold_in(words, 7), jax.random.fold_in(plain, 7)),
            (jax.random.split(words, 3), jax.random.split(plain, 3)),
        ):
            assert bits_of(jax.random.key_data(ours)) == bits_of(jax.random.key_data(theirs))
        assert bits_of(jax.random.normal(words, (9,))) == bits_of(jax.random.normal(plain, (9,)))

    def test_streams_with_parts_and_zeros(self) -> None:
        from fanin.distributions import Sparse, Stack

        law = Stack((Sparse(Normal(1.0), 2, 0), Uniform(2.0)), (6, 3))
        wanted = draw_distribution(law, (9, 5), seed=11, name="gates")
        init = face.initializer(law)
        assert bits_of(init(face.key(11, "gates"), (9, 5))) == bits_of(wanted)
        assert bits_of(jax.jit(lambda k: init(k, (9, 5)))(face.key(11, "gates"))) == bits_of(wanted)

    def test_the_name_of_the_initializer_comes_first(self) -> None:
        a, b = face.normal(1.0, name="a")(face.key(0, "b"), (9,)), face.normal(1.0)(face.key(0, "a"), (9,))
        assert bits_of(a) == bits_of(b)

    def test_a_rule_sees_the_name_that_the_key_carries(self) -> None:
        seen = []

        def watching(slot: Any) -> Normal:
            seen.append(slot.name)
            return Normal(1.0)

        jax.jit(lambda k: face.initializer(watching)(k, (3,)))(face.key(0, "a.weight"))
        face.initializer(watching, name="b")(face.key(0, "a.weight"), (3,))
        assert seen == ["a.weight", "b"]

    def test_many_keys_under_vmap(self) -> None:
        keys = jax.random.split(face.key(0, "w"), 3)
        for init in (face.he_normal(), face.orthogonal(), face.initializer(TruncatedNormal(1.0, 1e-5))):
            found = jax.vmap(lambda k, init=init: init(k, (9, 6)))(keys)
            for k, key in enumerate(keys):
                assert np.allclose(found[k], init(key, (9, 6)), rtol=0, atol=1e-6)

    def test_keys_of_four_words(self) -> None:
        for kind in ("rbg", "unsafe_rbg"):
            found = face.normal(1.0, name="w")(jax.random.key(5, impl=kind), (9,))
            assert bits_of(found) == bits_of(face.normal(1.0)(face.key(5, "w"), (9,)))


BAD: list[tuple[Any, str]] = [
    (lambda: face.he_normal(in_axis=-3)(KEY, (4, 5)), "in_axis=-3"),
    (lambda: face.he_normal(in_axis=1)(KEY, (4, 5)), "out_axis=-1 cannot be used: axis -1"),
    (lambda: face.he_normal(in_axis="in"), "in_axis='in'"),
    (lambda: face.he_normal(axes="kkio")(KEY, (4, 5)), "names 4 axes"),
    (lambda: face.he_normal(axes=Axes.parse("io", (4, 6)))(KEY, (4, 5)), "axes"),
    (lambda: face.orthogonal(axes=Axes.parse("io", (4, 6)))(KEY, (4, 5)), "axes"),
    (lambda: face.he_normal()(KEY, (4, 5), jnp.int32), "accepted are floating-point"),
    (lambda: face.he_normal(dtype="int8"), "accepted are floating-point"),
    (lambda: face.he_normal()(KEY, (4, 5), "float128x"), "accepted are floating-point"),
    (lambda: face.he_normal()(KEY, (4, 5), jnp.complex64), "complex64"),
    (lambda: face.he_normal()(0, (4, 5)), "key=0 cannot be used"),
    (lambda: face.he_normal()(jnp.zeros(2), (4, 5)), "dtype float32"),
    (lambda: face.he_normal()(jnp.zeros(3, jnp.uint32), (4, 5)), r"shape \(3,\)"),
    (lambda: face.he_normal()(jax.random.split(jax.random.key(0)), (4, 5)), "it holds many"),
    (lambda: face.he_normal()(KEY, (4, -5)), "shape"),
    (lambda: face.he_normal()(KEY, (4, 5), None, "all"), "NamedSharding"),
    (lambda: face.he_normal()(KEY, (4, 5), None, jax.sharding.PartitionSpec("a")), "needs a mesh"),
    (lambda: face.initializer("he_norml"), "did you mean 'he_normal'"),
    (lambda: face.initializer(3), "give a rule"),
    (lambda: face.initializer(rules.he_normal), "call it first"),
    (lambda: face.initializer(Normal), "call it first"),
    (lambda: face.he_normal(colour=1), "it takes"),
    (lambda: face.zeros(KEY, (3,)), "returns an initializer"),
    (lambda: face.key(-1), "seed=-1"),
    (lambda: face.key(1.5), "seed=1.5"),
    (lambda: face.key(0, 3), "name=3"),
    (lambda: face.normal(std=-1.0), "std"),
    (lambda: face.he_normal(name=None), "name=None"),
    (lambda: face.mirrored([]), "units"),
    (lambda: face.mirrored([4], ["relu", "relu"]), "nonlinearity has 2"),
    (lambda: face.mirrored([4])[1](KEY, (6, 3)), "do not go into them evenly"),
]


class TestArguments:
    def test_by_position_only_where_jax_means_the_same(self) -> None:
        theirs = jax.nn.initializers
        for ours, given in ((face.orthogonal, (2.0,)), (face.constant, (0.3,)), (face.normal, (0.3,))):
            wanted = getattr(theirs, ours.__name__)(*given)(jax.random.key(0), (300, 300))
            found = ours(*given)(jax.random.key(0), (300, 300))
            assert abs(float((found**2).mean() / (wanted**2).mean()) - 1) < 0.02
        for function in (face.he_normal, face.truncated_normal, face.uniform):  # axes first; before the cut; from 0
            with pytest.raises(FaninTypeError, match="it takes"):
                function(0.5)

    @pytest.mark.parametrize(
        ("given", "shape", "fan_in", "fan_out"),
        [
            ({}, (100, 30), 100, 30),
            ({}, (3, 3, 20, 40), 180, 360),
            ({"in_axis": -1, "out_axis": -2}, (100, 30), 30, 100),
            ({"in_axis": (0, 1)}, (4, 25, 30), 100, 30),
            ({"out_axis": (1, 2), "in_axis": 0}, (100, 5, 6), 100, 30),
            ({"batch_axis": 0}, (8, 50, 40), 50, 40),
            ({"batch_axis": (0,), "in_axis": [1], "out_axis": [2]}, (8, 50, 40), 50, 40),
        ],
    )
    def test_axes_as_jaxs_variance_scaling_reads_them(
        self, given: dict[str, Any], shape: tuple[int, ...], fan_in: int, fan_out: int
    ) -> None:
        for mode, fan in (("fan_in", fan_in), ("fan_out", fan_out)):
            std = face.normal_fan(mode=mode, **given).distribution(shape).std
            assert math.isclose(std, 1 / math.sqrt(fan))
            theirs = jax.nn.initializers.variance_scaling(
                1.0, mode, "normal", **({"in_axis": -2, "out_axis": -1} | given)
            )(jax.random.key(0), shape)
            assert abs(float(theirs.std()) / std - 1) < 0.06

    @pytest.mark.parametrize(
        ("spec", "shape", "fan"), [("oi", (30, 100), 100), ("kki(s4o)", (3, 3, 5, 400), 45), ("sio", (4, 50, 60), 50)]
    )
    def test_axes_in_words(self, spec: str, shape: tuple[int, ...], fan: int) -> None:
        for axes in (spec, Axes.parse(spec, shape)):
            assert math.isclose(face.normal_fan(axes=axes).distribution(shape).std, 1 / math.sqrt(fan))

    def test_biases_need_no_fans(self) -> None:
        for init in (face.zeros(), face.ones(), face.constant(0.5), face.normal(0.1), face.uniform(bound=0.1)):
            assert init(KEY, (7,)).shape == (7,)
            assert init(KEY, ()).shape == ()
        with pytest.raises(FaninValueError, match="he_normal"):
            face.he_normal()(KEY, (7,))

    def test_dtypes(self) -> None:
        base = face.he_normal()(KEY, (8, 6))
        assert base.dtype == jnp.float32
        for dtype in (jnp.bfloat16, "float16", np.dtype("float16"), jnp.float8_e5m2):
            for found in (face.he_normal()(KEY, (8, 6), dtype), face.he_normal(dtype=dtype)(KEY, (8, 6))):
                assert found.dtype == jnp.dtype(dtype)
                assert bits_of(found) == bits_of(base.astype(dtype))
        assert face.he_normal(dtype=jnp.bfloat16)(KEY, (8, 6), jnp.float32).dtype == jnp.float32
        assert face.he_normal()(KEY, (8, 6), float).dtype == jnp.float32  # as JAX reads it without jax_enable_x64

    def test_with_numbers_of_64_bits(self) -> None:
        with enable_x64():
            wanted = fanin.draw(rules.he_normal(), (8, 6), seed=3, name="w", axes="io", dtype="float64")
            for make in (face.he_normal(), jax.jit(face.he_normal(), static_argnums=1)):
                found = make(face.key(3, "w"), (8, 6))
                assert found.dtype == jnp.float64
                assert bits_of(found) == bits_of(wanted)

    def test_complex_weights_are_unitary(self) -> None:
        for make in (face.orthogonal(), jax.jit(face.orthogonal(), static_argnums=(1, 2))):
            q = make(KEY, (6, 6), jnp.complex64)
            assert q.dtype == jnp.complex64
            assert np.allclose(q.conj().T @ q, np.eye(6), atol=1e-6)

    def test_activations_of_jax(self) -> None:
        for function, name in ((jax.nn.gelu, "gelu_tanh"), (jax.nn.silu, "silu"), (jax.nn.relu, "relu")):
            wanted = face.he_normal(nonlinearity=name)(KEY, (8, 6))
            assert bits_of(face.he_normal(nonlinearity=function)(KEY, (8, 6))) == bits_of(wanted)
            inside = jax.jit(lambda k, f=function: face.he_normal(nonlinearity=f)(k, (8, 6)))(KEY)
            assert bits_of(inside) == bits_of(wanted)

    def test_a_weight_without_elements(self) -> None:
        with pytest.warns(UserWarning, match="nothing was drawn"):
            assert face.he_normal()(KEY, (0, 3)).shape == (0, 3)

    @pytest.mark.parametrize(("call", "message"), BAD)
    def test_bad_arguments_get_one_clear_sentence(self, call: Any, message: str) -> None:
        with pytest.raises(FaninError, match=message):
            call()

    def test_an_unknown_rule(self) -> None:
        with pytest.raises(AttributeError, match="did you mean 'he_normal'"):
            face.he_norml


def along(places: Any, shape: tuple[int, ...], axes: Any, step: float) -> Any:
    return sum(np.asarray(p, dtype=np.float64) for p in places) * step


class TestWhatNumPyMakes:
    """Formulas, and numbers through a function, under jit and sharded as everything else."""

    def test_a_formula(self) -> None:
        formulas.formula(along)
        try:
            law = Formula("along", (0.1,))
            wanted = draw_distribution(law, (7, 5), seed=0, name="w")
            assert bits_of(face.initializer(law)(KEY, (7, 5))) == bits_of(wanted)
            program = jax.jit(lambda k: face.initializer(law)(k, (7, 5)))
            assert bits_of(program(KEY)) == bits_of(wanted)
            assert "callback" not in program.lower(KEY).as_text(), "no chance is in it"
        finally:
            del formulas.FORMULAS["along"]

    def test_mapped_numbers(self) -> None:
        with registered(doubled):
            law = Mapped(Uniform(1.0), "doubled")
            wanted = draw_distribution(law, (7, 5), seed=9, name="w")
            for make in (face.initializer(law), jax.jit(face.initializer(law), static_argnums=1)):
                assert bits_of(make(face.key(9, "w"), (7, 5))) == bits_of(wanted)


class TestMirrored:
    @pytest.mark.parametrize("activation", [jax.nn.relu, jax.nn.gelu, jax.nn.silu])
    def test_a_deep_chain_is_linear_at_the_start(self, activation: Any) -> None:
        inits = face.mirrored([64] * 20, activation)
        shapes = [(10, 64), *[(64, 64)] * 19, (64, 5)]
        weights = [f(face.key(0, str(k)), s) for k, (f, s) in enumerate(zip(inits, shapes, strict=True))]

        def net(x: Any) -> Any:
            for w in weights[:-1]:
                x = activation(x @ w)
            return x @ weights[-1]

        x, y = jax.random.normal(jax.random.key(1), (2, 4, 10))
        assert np.allclose(net(x + y), net(x) + net(y), atol=2e-3)
        assert 0.3 < float(jnp.linalg.norm(net(x)) / jnp.linalg.norm(x)) < 3

    def test_the_numbers_are_torchs(self) -> None:
        torch = pytest.importorskip("torch", reason="needs torch")
        import fanin.torch as other

        tensors = [torch.empty(64, 10), torch.empty(64, 64), torch.empty(5, 64)]
        other.mirrored_(tensors, "relu", seed=3, axes=["oi", "oi", "oi"])
        for k, (init, tensor) in enumerate(zip(face.mirrored([64, 64], "relu"), tensors, strict=True)):
            made = in_torchs_layout(init)(face.key(3, str(k)), tuple(tensor.shape))
            assert np.allclose(made, tensor.numpy(), rtol=0, atol=1e-6)

    def test_pairs_follow_the_channels_through_a_flatten(self) -> None:
        kernel, head = (
            f(face.key(0, n), s) for f, n, s in zip(face.mirrored([8]), "ab", [(3, 3, 3, 8), (16 * 8, 4)], strict=True)
        )
        dims = ("NHWC", "HWIO", "NHWC")

        def net(x: Any) -> Any:
            y = jax.nn.relu(jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=dims))
            return y.reshape(2, -1) @ head

        x = jax.random.normal(jax.random.key(1), (2, 4, 4, 3))
        assert np.allclose(net(-x), -net(x), atol=1e-5)


def in_torchs_layout(init: face.Initializer) -> face.Initializer:
    """The same with PyTorch's layout."""
    return face.Initializer(init.rule, axes="oi", chain=init.chain)


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


HIDDEN = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "keras", "tensorflow", "flax", "numba", "safetensors"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def test_works_where_no_other_framework_is_installed() -> None:
    code = HIDDEN + (
        "import jax, fanin, fanin.jax as f\n"
        "w = f.he_normal(nonlinearity=jax.nn.gelu)(f.key(0, 'w'), (8, 6))\n"
        "print(bool((w == fanin.draw(fanin.rules.he_normal(nonlinearity='gelu_tanh'), (8, 6), seed=0, name='w', axes='io')).all()))"
    )
    assert run(code).strip() == "True"


def test_fanin_itself_does_not_import_jax() -> None:
    assert run("import sys, fanin; print('jax' in sys.modules, 'flax' in sys.modules)").strip() == "False False"


EIGHT = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import fanin.jax as face
from fanin import formulas
from fanin.distributions import Formula, Mapped, Normal, Sparse, Stack, TruncatedNormal, Uniform

@formulas.formula
def along(places, shape, axes, step):
    return sum(np.asarray(p, dtype=float) for p in places) * step
asked = []
@formulas.mapping
def doubled(numbers):
    asked.append(numbers.shape)
    return 2 * numbers

laws = {"he": face.he_normal(), "orthogonal": face.orthogonal(), "formula": face.initializer(Formula("along", (0.5,))),
        "mapped": face.initializer(Mapped(Uniform(1.0), "doubled")), "narrow": face.initializer(TruncatedNormal(1.0, 1e-5)),
        "stack": face.initializer(Stack((Sparse(Normal(1.0), 2, 0), Mapped(Normal(1.0), "doubled")), (20, 12)))}
key, wrong = face.key(3, "w"), []
for kind in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(kind, kind))
    for name, init in laws.items():
        whole, spec = np.asarray(init(key, (32, 8))), P("b", "a")
        sharding = NamedSharding(mesh, spec)
        ways = {"given": lambda: init(key, (32, 8), None, sharding),
                "jit": lambda: jax.jit(lambda k: init(k, (32, 8), None, sharding))(key)}
        with jax.set_mesh(mesh):
            ways["spec"] = lambda: init(key, (32, 8), None, spec)
            ways["spec jit"] = lambda: jax.jit(lambda k: init(k, (32, 8), None, spec))(key)
            for way, make in ways.items():
                asked.clear()
                w = make()
                near = abs(np.asarray(w) - whole).max() <= (1e-6 if name == "orthogonal" else 0)
                if not near or not w.sharding.is_equivalent_to(sharding, 2):
                    wrong.append(f"{kind} {name} {way}")
                if name == "mapped" and not all(n <= 32 * 8 // 8 for n in map(np.prod, asked)):
                    wrong.append(f"{kind} {name} {way} asked for {asked}")
print(wrong)
"""


@pytest.mark.slow
def test_each_device_draws_its_own_part() -> None:
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    assert run(EIGHT, **environment).strip() == "[]"


def test_an_initializer_shows_what_it_is() -> None:
    assert repr(face.he_normal(mode="fan_out", in_axis=0)) == "Initializer(he_normal(mode='fan_out'), in_axis=0)"


def test_distributions_are_served_as_rules_are() -> None:
    assert (face.initializer(Constant(0.5))(KEY, (3,)) == 0.5).all()
    assert face.initializer("he_normal(mode='fan_out')") == face.he_normal(mode="fan_out")
