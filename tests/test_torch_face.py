"""fanin in PyTorch's idiom."""

import copy
import inspect
import itertools
import math
import mmap
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.rules.samples import samples
from tests.stubs import RULES, rules_stub, stub
from torch import nn

import fanin
import fanin.torch as face
from fanin import rules
from fanin.distributions import Normal
from fanin.draws import draw
from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.rules.rule import forget, rule
from fanin.slots import Axes

SAMPLES = samples()
NAMES = [name for name in SAMPLES if name != "mirrored"]


class Residual(nn.Module):
    """x + down(relu(up(norm(x))))."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(self.norm(x))))


@pytest.mark.parametrize("name", NAMES)
class TestEveryRule:
    def test_fills_with_the_numbers_of_the_draw_and_touches_no_random_state(self, name: str) -> None:
        sample = SAMPLES[name]
        tensor, state = torch.empty(sample.shape), torch.get_rng_state()
        assert getattr(face, f"{name}_")(tensor, **sample.arguments, seed=3, name="w") is tensor
        wanted = draw(sample.rule, sample.shape, seed=3, name="w", axes=sample.axes or "oi")
        assert np.array_equal(tensor.numpy(), wanted)
        assert torch.equal(state, torch.get_rng_state())

    def test_has_the_rules_arguments_and_documentation(self, name: str) -> None:
        function, factory = getattr(face, f"{name}_"), rules.get(name)
        parameters = inspect.signature(function).parameters
        assert next(iter(parameters)) == "tensor"
        assert list(parameters)[-4:] == ["axes", "generator", "seed", "name"]
        assert [(p, parameters[p].default) for p in list(parameters)[1:-4]] == [
            (p.name, p.default) for p in inspect.signature(factory).parameters.values()
        ]
        text = inspect.getdoc(function) or ""
        for words in (*parameters, "Formula:", "Paper:", (inspect.getdoc(factory) or "").splitlines()[0]):
            assert words in text, words
        assert text.count("Args:") == 1

    def test_keeps_requires_grad_and_leaves_no_graph(self, name: str) -> None:
        tensor = torch.nn.Parameter(torch.zeros(SAMPLES[name].shape))
        version = tensor._version
        getattr(face, f"{name}_")(tensor, **SAMPLES[name].arguments, seed=0)
        assert tensor.requires_grad
        assert tensor.grad_fn is None
        assert tensor._version > version

    def test_meta_and_empty_tensors_are_left_with_a_warning(self, name: str) -> None:
        shape = SAMPLES[name].shape
        for tensor in (torch.empty(shape, device="meta"), torch.empty((0, *shape[1:]))):
            with pytest.warns(UserWarning, match="nothing was done"):
                assert getattr(face, f"{name}_")(tensor, **SAMPLES[name].arguments) is tensor


@pytest.mark.parametrize("alias", ["kaiming_normal_", "kaiming_uniform_", "glorot_normal_", "glorot_uniform_", "eye_"])
def test_names_that_people_know(alias: str) -> None:
    theirs = {"glorot_normal_": "xavier_normal_", "glorot_uniform_": "xavier_uniform_", "eye_": "identity_"}
    name = theirs.get(alias, alias.replace("kaiming", "he"))
    a, b = (getattr(face, n)(torch.empty(8, 6), seed=1) for n in (alias, name))
    assert torch.equal(a, b)


def test_the_stub_for_editors_says_what_the_functions_take() -> None:
    written = Path(face.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    assert written == stub(), "run `python -m tests.stubs`"
    assert RULES.read_text(encoding="utf-8") == rules_stub(), "run `python -m tests.stubs`"


class TestArguments:
    def test_by_position_only_where_torch_has_the_same_one_there(self) -> None:
        assert torch.equal(
            face.orthogonal_(torch.empty(4, 4), 2.0, seed=0), face.orthogonal_(torch.empty(4, 4), gain=2.0, seed=0)
        )
        assert (face.constant_(torch.empty(3), 2.0) == 2).all()
        for function in (face.normal_, face.kaiming_normal_, face.he_normal_):  # torch: mean before std; a first; none
            with pytest.raises(FaninTypeError, match="it takes"):
                function(torch.empty(4, 4), 0.5)

    def test_errors_name_the_argument(self) -> None:
        with pytest.raises(FaninValueError, match="std"):
            face.normal_(torch.empty(3), std=-1.0)
        with pytest.raises(FaninTypeError, match="tensor=list"):
            face.zeros_([1.0])
        with pytest.raises(FaninTypeError, match="int64"):
            face.zeros_(torch.zeros(3, dtype=torch.int64))
        with pytest.raises(FaninValueError, match="axes"):
            face.he_normal_(torch.empty(3))

    @pytest.mark.parametrize("function", [face.deepnorm_, face.subln_, face.t_fixup_], ids=lambda f: f.__name__)
    def test_what_shrinks_with_depth_asks_for_it(self, function) -> None:
        """A tensor on its own lies on no branch that anybody saw; Xavier's size without a word would be wrong."""
        weight = torch.full((64, 64), 7.0)
        with pytest.raises(FaninValueError, match="give layers="):
            function(weight, seed=0)
        assert (weight == 7).all()
        assert function(weight, layers=12, seed=0).std() != pytest.approx(1 / 8, rel=0.1)

    @pytest.mark.parametrize(
        ("spec", "shape", "fan_in"),
        [("io", (100, 30), 100), ("(s4o)ikk", (400, 5, 3, 3), 45), ("sio", (4, 50, 60), 50)],
    )
    def test_fans_come_from_the_axes(self, spec: str, shape: tuple[int, ...], fan_in: int) -> None:
        for axes in (spec, Axes.parse(spec, shape)):
            w = face.he_normal_(torch.empty(shape), nonlinearity="relu", axes=axes, seed=0)
            assert abs(float(w.std()) / math.sqrt(2 / fan_in) - 1) < 0.05

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_every_precision(self, dtype: torch.dtype) -> None:
        found = face.orthogonal_(torch.empty(8, 8, dtype=dtype), seed=0)
        single = face.orthogonal_(torch.empty(8, 8), seed=0)
        if dtype == torch.float64:  # computed in double: the products agree to the rounding of float32
            assert (found - single).abs().max() < 1e-6
        else:
            assert torch.equal(found, single.to(dtype))

    def test_a_view_fills_the_part_of_its_parameter(self) -> None:
        weight = nn.Parameter(torch.zeros(6, 4))
        face.normal_(weight[:2], std=1.0, seed=0)
        assert weight[:2].all()
        assert not weight[2:].any()

    def test_a_computed_weight_is_refused_instead_of_filled_in_vain(self) -> None:
        layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
        with pytest.raises(FaninValueError, match="computed"):
            face.he_normal_(layer.weight)

    def test_axes_of_another_shape_are_refused(self) -> None:
        tensor = torch.ones(4, 6)
        with pytest.raises(FaninValueError, match=r"axes='oi' are of the shape \(6, 4\)"):
            face.he_normal_(tensor, axes=Axes.parse("oi", (6, 4)))
        assert (tensor == 1).all()

    def test_a_typo_names_what_is_near(self) -> None:
        for typo, near in {
            "he_norml_": "he_normal_",
            "trunc_normal_": "truncated_normal_",
            "looks_linear_": "mirrored_",
        }.items():
            with pytest.raises(AttributeError, match=f"no function '{typo}'; did you mean '{near}'"):
                getattr(face, typo)
        assert not hasattr(face, "__nothing__")

    def test_a_rule_that_comes_later_has_its_function(self) -> None:
        @rule()
        def made_after_the_face(slot, scale: float = 0.25):  # type: ignore[no-untyped-def]
            """Mine.

            Formula:
                N(0, scale²)
            """
            return Normal(scale)

        try:
            drawn = face.made_after_the_face_(torch.empty(100, 100), scale=0.5, seed=0)
            assert abs(float(drawn.std()) - 0.5) < 0.01
        finally:
            forget("made_after_the_face")
        with pytest.raises(AttributeError):
            _ = face.made_after_the_face_


def test_complex_weights_are_unitary_or_refused() -> None:
    w = face.orthogonal_(torch.empty(6, 8, dtype=torch.complex64), seed=0)
    assert (w @ w.mH - torch.eye(6)).abs().max() < 1e-6
    state = torch.get_rng_state()
    with pytest.raises(FaninTypeError, match="has dtype torch.complex64; .* complex ones for orthogonal weights"):
        face.he_normal_(w)
    assert torch.equal(state, torch.get_rng_state())


# what → (a tensor that cannot be filled, words of the sentence)
UNUSABLE: dict[str, tuple[Callable[[], torch.Tensor], str]] = {
    "sparse": (lambda: torch.ones(4, 4).to_sparse(), "has layout torch.sparse_coo"),
    "expanded": (lambda: torch.ones(1, 4).expand(4, 4), "share one place in memory"),
    "quantised": (lambda: torch.quantize_per_tensor(torch.ones(4, 4), 0.1, 0, torch.qint8), "has dtype torch.qint8"),
    "a float8 of others": (lambda: torch.ones(4, 4).to(torch.float8_e4m3fnuz), "has dtype torch.float8_e4m3fnuz"),
    "complex": (lambda: torch.ones(4, 4, dtype=torch.complex64), "has dtype torch.complex64"),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2, 2), torch.ones(3, 2)]), "is nested"),
    "lazy": (lambda: nn.LazyLinear(4).weight, "is lazy"),
    "read-only": (lambda: torch.from_numpy(np.frombuffer(MAPPED)).reshape(4, 4), "is read-only"),
}  # fmt: skip
MAPPED = mmap.mmap(-1, 128, prot=mmap.PROT_READ) if hasattr(mmap, "PROT_READ") else bytes(128)


@pytest.mark.filterwarnings("ignore")
class TestRefused:
    @pytest.mark.parametrize("case", UNUSABLE)
    def test_a_tensor_that_cannot_be_filled_takes_no_random_number(self, case: str) -> None:
        made, words = UNUSABLE[case]
        tensor, state = made(), torch.get_rng_state()
        with pytest.raises(FaninError, match=words):
            face.normal_(tensor, std=1.0)
        first = torch.ones(4, 4)
        with pytest.raises(FaninError, match=rf"tensors\[1\].*{words}"):
            face.mirrored_([first, tensor])
        assert torch.equal(state, torch.get_rng_state())
        assert (first == 1).all(), "the first of a chain is left, too"

    @pytest.mark.parametrize(
        "arguments", [{"axes": 3}, {"axes": ["o", "i"]}, {"generator": 3}, {"name": 3}, {"seed": "a"}]
    )
    def test_arguments_of_another_type(self, arguments: dict[str, Any]) -> None:
        tensor, state = torch.ones(4, 4), torch.get_rng_state()
        with pytest.raises(FaninTypeError, match=f"{next(iter(arguments))}="):
            face.he_normal_(tensor, **arguments)
        assert (tensor == 1).all()
        assert torch.equal(state, torch.get_rng_state())

    def test_a_generator_of_another_kind_everywhere(self) -> None:
        net, table = nn.Linear(3, 3), torch.ones(4, 4)
        for run in (
            lambda g: face.take_key(g),
            lambda g: face.init_(net, "he_normal", generator=g),
            lambda g: face.new_rows_(table, 2, generator=g),
            lambda g: face.mirrored_([table, table.clone()], generator=g),
        ):
            with pytest.raises(FaninTypeError, match="generator=3 cannot be used; give a torch.Generator"):
                run(3)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.float8_e4m3fn, torch.float32])
    def test_numbers_that_the_type_does_not_hold(self, dtype: torch.dtype) -> None:
        tensor, state = torch.ones(4, 4).to(dtype), torch.get_rng_state()
        large = float(torch.finfo(dtype).max)
        for fill in (face.normal_, face.truncated_normal_):
            with pytest.raises(FaninValueError, match="too large for"):
                fill(tensor, std=large)
        with pytest.raises(FaninValueError, match="too large for"):
            face.orthogonal_(tensor, gain=1.1 * large)
        assert (tensor.float() == 1).all()
        assert torch.equal(state, torch.get_rng_state())

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"names": ["a", 3]}, "name=3"),
            ({"axes": ["oi", 3]}, "axes=3"),
            ({"axes": "oi"}, "axes='oi' cannot be used; give a list"),
            ({"seed": -1}, "seed=-1"),
        ],
    )
    def test_a_chain_is_filled_whole_or_not_at_all(self, arguments: dict[str, Any], words: str) -> None:
        tensors = [torch.ones(4, 4), torch.ones(4, 4)]
        with pytest.raises(FaninError, match=words):
            face.mirrored_(tensors, **arguments)
        assert all((t == 1).all() for t in tensors)

    def test_what_is_no_list_of_tensors(self) -> None:
        for given in (None, 3, "ab", torch.ones(4, 4)):
            with pytest.raises(FaninTypeError, match="mirrored_: tensors="):
                face.mirrored_(given)  # type: ignore[arg-type]

    def test_a_tensor_of_a_fake_mode_is_left_with_a_warning(self) -> None:
        from torch._subclasses import FakeTensorMode

        with FakeTensorMode():
            tensor = torch.empty(4, 4)
        with pytest.warns(UserWarning, match="without memory; nothing was done"):
            face.he_normal_(tensor)


@pytest.mark.slow
def test_inside_of_torch_compile_the_numbers_are_the_same() -> None:
    @torch.compile(backend="eager")
    def run(x: torch.Tensor) -> torch.Tensor:
        weight = face.he_normal_(torch.empty(3, 3), seed=0, name="w")
        return x @ weight

    assert torch.equal(run(torch.eye(3)), face.he_normal_(torch.empty(3, 3), seed=0, name="w"))


ALONE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"jax", "jaxlib", "flax", "keras", "tensorflow"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
import torch, fanin, fanin.torch as face
net = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.GELU(), torch.nn.Linear(8, 2))
x = torch.randn(4, 8)
face.he_normal_(net[0].weight, nonlinearity=torch.nn.functional.gelu, seed=0)
face.init_(net, "orthogonal", seed=0)
plan = fanin.plan(net, x, rules={"*": "he_normal(nonlinearity='gelu')"})
face.init_weights(net, plan)
assert fanin.check(net, x).trace.framework == "torch"
assert "nn.init" in plan.to_python()
for other in ("jax", "keras"):
    try:
        __import__(f"fanin.{other}")
    except ImportError as error:
        assert other in str(error), error
    else:
        raise AssertionError(other)
print("alone")
"""


def test_works_where_no_other_framework_is_installed() -> None:
    run = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=False)
    assert run.stdout == "alone\n", run.stderr


class TestSeeds:
    def test_without_one_a_single_number_is_taken_from_the_generator(self) -> None:
        a, b = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
        face.normal_(torch.empty(1000, 10), std=1.0, generator=a)
        face.orthogonal_(torch.empty(3, 3), generator=b)
        assert torch.equal(a.get_state(), b.get_state()), "what is taken does not depend on the shape"
        assert not torch.equal(a.get_state(), torch.Generator().manual_seed(1).get_state())

    def test_or_from_torchs_default_one(self) -> None:
        torch.manual_seed(7)
        first, second = face.normal_(torch.empty(9), std=1.0), face.normal_(torch.empty(9), std=1.0)
        torch.manual_seed(7)
        assert torch.equal(first, face.normal_(torch.empty(9), std=1.0))
        assert not torch.equal(first, second)

    def test_a_key_has_64_bits(self) -> None:
        keys = [face.take_key(torch.Generator().manual_seed(k)) for k in range(64)]
        assert max(keys) > 2**63 > min(keys) >= 0
        assert len(set(keys)) == 64

    def test_nothing_is_taken_where_nothing_is_drawn(self) -> None:
        state = torch.get_rng_state()
        with pytest.warns(UserWarning, match="nothing was done"):
            face.he_normal_(torch.empty(0, 3))
        with pytest.raises(FaninValueError):
            face.he_normal_(torch.empty(3))
        assert torch.equal(state, torch.get_rng_state())

    def test_names_and_seeds_give_other_numbers(self) -> None:
        w = [face.normal_(torch.empty(9), std=1.0, seed=s, name=n) for s, n in ((0, "a"), (0, "b"), (1, "a"), (0, "a"))]
        assert torch.equal(w[0], w[3])
        assert not torch.equal(w[0], w[1])
        assert not torch.equal(w[0], w[2])


class TestMirrored:
    def chain(self, *widths: int) -> list[nn.Linear]:
        return [nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(widths)]

    @pytest.mark.parametrize("activation", [nn.ReLU(), nn.GELU(), nn.SiLU(), nn.LeakyReLU(0.2)])
    def test_a_deep_chain_is_linear_at_the_start(self, activation: nn.Module) -> None:
        layers = self.chain(10, *[64] * 20, 5)

        def f(z: np.ndarray) -> np.ndarray:
            return activation(torch.from_numpy(z)).numpy()

        face.mirrored_([layer.weight for layer in layers], f, seed=0)

        def net(x: torch.Tensor) -> torch.Tensor:
            for layer in layers[:-1]:
                x = activation(layer(x))
            return layers[-1](x)

        x, y = torch.randn(4, 10), torch.randn(4, 10)
        assert torch.allclose(net(x + y), net(x) + net(y), atol=2e-3)
        assert 0.3 < float(net(x).detach().norm() / x.norm()) < 3

    def test_pairs_follow_the_channels_through_a_flatten(self) -> None:
        conv, head = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Linear(8 * 16, 4, bias=False)
        face.mirrored_([conv.weight, head.weight], "relu", seed=0)
        x = torch.randn(2, 3, 4, 4)
        net = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), head)
        assert torch.allclose(net(-x), -net(x), atol=1e-5)

    def test_tensors_that_do_not_follow_each_other_are_refused_before_anything_is_written(self) -> None:
        first, second = nn.Linear(3, 4).weight, nn.Linear(5, 2).weight
        before = first.detach().clone()
        with pytest.raises(FaninValueError, match="tensor 1 has 5 inputs"):
            face.mirrored_([first, second])
        assert torch.equal(first, before)
        for arguments in ({"nonlinearity": ["relu", "relu"]}, {"names": ["a"]}, {"axes": ["oi"]}):
            with pytest.raises(FaninValueError, match=next(iter(arguments))):
                face.mirrored_([first, nn.Linear(4, 2).weight], **arguments)  # type: ignore[arg-type]
        with pytest.raises(FaninValueError, match="at least two"):
            face.mirrored_([first])


class TestInit:
    def test_fans_of_every_kind_of_module(self) -> None:
        model = nn.ModuleDict(
            {
                "linear": nn.Linear(300, 200),
                "bilinear": nn.Bilinear(20, 30, 50),
                "conv": nn.Conv2d(64, 128, 3, groups=4),
                "transposed": nn.ConvTranspose2d(64, 128, 4, stride=2),
                "attention": nn.MultiheadAttention(96, 4),
                "lstm": nn.LSTM(80, 70, proj_size=30),
                "gru": nn.GRUCell(90, 60),
            }
        )
        face.init_(model, rules.normal_fan(), seed=0)
        fans = {
            "linear.weight": 300, "bilinear.weight": 600, "conv.weight": 16 * 9, "transposed.weight": 64 * 16 / 4,
            "attention.in_proj_weight": 96, "attention.out_proj.weight": 96, "lstm.weight_ih_l0": 80, "lstm.weight_hh_l0": 30,
            "lstm.weight_hr_l0": 70, "gru.weight_ih": 90, "gru.weight_hh": 60,
        }  # fmt: skip
        for name, fan in fans.items():
            assert abs(float(model.get_parameter(name).std().detach()) * math.sqrt(fan) - 1) < 0.05, name
        assert all(not p.detach().any() for n, p in model.named_parameters() if "bias" in n)

    def test_norms_padding_ties_and_weight_norm(self) -> None:
        model = nn.ModuleDict(
            {"norm": nn.BatchNorm1d(4), "wte": nn.Embedding(50, 40, padding_idx=3), "head": nn.Linear(40, 50)}
        )
        model["head"].weight = model["wte"].weight  # type: ignore[union-attr]
        model["normed"] = nn.utils.parametrizations.weight_norm(nn.Linear(30, 40))
        face.init_(model, "normal(std=2.0)", seed=0)
        assert (model.get_parameter("norm.weight") == 1).all()
        assert not model.get_parameter("wte.weight")[3].any()
        assert model["head"].weight is model["wte"].weight  # type: ignore[union-attr]
        assert abs(float(model["normed"].weight.std().detach()) - 2) < 0.1  # type: ignore[union-attr,operator]

    def test_layers_of_one_shape_differ_and_a_seed_repeats(self) -> None:
        nets = [face.init_(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), "he_normal", seed=s) for s in (0, 0, 1)]
        assert torch.equal(nets[0][0].weight, nets[1][0].weight)
        assert not torch.equal(nets[0][0].weight, nets[0][1].weight)
        assert not torch.equal(nets[0][0].weight, nets[2][0].weight)

    def test_without_a_seed_one_number_is_taken(self) -> None:
        a, b = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
        face.init_(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), "he_normal", generator=a)
        face.take_key(b)
        assert torch.equal(a.get_state(), b.get_state())

    @pytest.mark.parametrize("head_first", [True, False])
    def test_of_tied_weights_an_embedding_tells_fans_and_padding(self, head_first: bool) -> None:
        parts = {"emb": nn.Embedding(50, 32, padding_idx=3), "head": nn.Linear(32, 50, bias=False)}
        model = nn.ModuleDict(dict(reversed(parts.items())) if head_first else parts)
        model["head"].weight = model["emb"].weight  # type: ignore[union-attr]
        face.init_(model, "lecun_normal", seed=0)
        weight = model["emb"].weight.detach()
        assert not weight[3].any()
        assert abs(float(weight.std()) - 1) < 0.1, "a row is looked up: its fan is 1"

    @pytest.mark.parametrize("guard", ["_is_hf_initialized", "_no_reinit"])
    def test_what_is_marked_as_done_keeps_its_values(self, guard: str) -> None:
        class Own(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.w = nn.Parameter(torch.ones(3, 4))

        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), Own())
        before = model[0].weight.detach().clone()
        for tensor in (model[0].weight, model[2].w):  # type: ignore[union-attr]
            setattr(tensor, guard, True)
        face.init_(model, "he_normal", seed=0)
        assert torch.equal(model[0].weight, before)
        assert not model[0].bias.any()  # type: ignore[union-attr,operator]
        assert (model[2].w == 1).all(), "and its axes need not be known"  # type: ignore[union-attr]
        for parameter in model.parameters():
            setattr(parameter, guard, True)
        with pytest.warns(UserWarning, match="every weight is marked as done"):
            face.init_(model, "he_normal", seed=0)

    @pytest.mark.parametrize(
        "text", ["umup", "ntk", "dks(nonlinearity='tanh', depth=2)", "tat(nonlinearity='tanh', depth=2)"]
    )
    def test_a_rule_that_needs_another_architecture_is_refused(self, text: str) -> None:
        net = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4))
        before, state = [p.detach().clone() for p in net.parameters()], torch.get_rng_state()
        with pytest.raises(FaninValueError, match="needs an architecture that this module does not have"):
            face.init_(net, text)
        assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
        assert torch.equal(state, torch.get_rng_state())

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("rezero", "a trainable scalar on each residual branch"),
            ("layerscale", "a trainable number a channel on each residual branch"),
            ("fixup", "scalar biases before and after each weight of a residual branch, no norm at '1.norm'"),
            ("t_fixup(layers=6)", "no norm at '1.norm'"),
            ("deepnorm(layers=6)", "a factor on the skip path of each residual add"),
        ],
    )
    def test_what_a_rule_requires_of_branches_is_asked_for(self, text: str, said: str) -> None:
        net = nn.Sequential(nn.Linear(8, 8), Residual(), nn.Linear(8, 4))
        before = [p.detach().clone() for p in net.parameters()]
        with pytest.raises(FaninValueError, match=f"nothing was changed: .*{said}"):
            face.init_(net, text, seed=0)
        assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))

    def test_who_says_that_there_is_no_branch_is_believed(self) -> None:
        net = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 4))
        with pytest.raises(
            FaninValueError, match=r"branches= says which modules are a branch, and \(\) that there is none"
        ):
            face.init_(net, "rezero", seed=0)
        plain = fanin.plan(net, torch.randn(2, 512), rules={"*": "rezero"}).apply(copy.deepcopy(net), 0)
        face.init_(net, "rezero", seed=0, branches=())
        assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), net.parameters(), strict=True))

    def test_told_branches_get_what_a_plan_gives_them(self) -> None:
        net = nn.Sequential(nn.Linear(8, 8), Residual(), Residual(), nn.Linear(8, 4))
        told = [("*.up", "*.down")]
        plan = fanin.plan(net, torch.randn(3, 8), rules={"*": "fixup(per_branch=2)"})
        with pytest.raises(FaninValueError, match=r"a trainable scalar on the residual branch that '1\.down' ends"):
            face.init_(net, "fixup(per_branch=2)", branches=told)
        face.edit(net, plan)
        face.init_(net, "fixup(per_branch=2)", seed=0, branches=told)
        assert not net[1].down.weight.any()  # type: ignore[union-attr]
        assert net[1].up.weight.any()  # type: ignore[union-attr]
        with pytest.raises(FaninValueError, match="matches no module with weights"):
            face.init_(net, "rezero", branches="blocks.*")

    def test_what_is_there_already_is_enough(self) -> None:
        net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
        face.edit(net, fanin.plan(net, torch.randn(4, 8), rules={"*": "ntk"}))
        face.init_(net, "ntk", seed=0)
        assert abs(float(net[0].weight.std().detach()) - 1) < 0.2

    def test_what_is_refused_takes_no_random_number(self) -> None:
        net, state = nn.Linear(4, 4).half(), torch.get_rng_state()
        with pytest.raises(FaninValueError, match="too large for float16"):
            face.init_(net, "normal(std=1e6)")
        assert torch.equal(state, torch.get_rng_state())

    def test_weights_of_unknown_modules_are_all_named_and_nothing_is_changed(self) -> None:
        class Own(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.w, self.v, self.gain = (nn.Parameter(torch.zeros(s)) for s in ((3, 4), (4, 3), (4,)))

        model = nn.Sequential(nn.Linear(3, 3), Own())
        before = model[0].weight.detach().clone()
        with pytest.raises(FaninValueError, match=r"1\.w of shape \(3, 4\) in Own; 1\.v"):
            face.init_(model, "he_normal")
        assert torch.equal(model[0].weight, before)

    def test_distributions_and_bad_arguments(self) -> None:
        from fanin.distributions import Constant

        assert (face.init_(nn.Linear(2, 2), Constant(0.5)).weight == 0.5).all()
        with pytest.raises(FaninTypeError, match="module"):
            face.init_(torch.zeros(2), "he_normal")  # type: ignore[arg-type]
        with pytest.raises(FaninTypeError, match="rule"):
            face.init_(nn.Linear(2, 2), 3)
        with pytest.raises(FaninValueError, match="did you mean"):
            face.init_(nn.Linear(2, 2), "he_norml")


def test_a_function_whose_second_moment_is_infinite_leaves_the_tensor_as_it_was() -> None:
    tensor = torch.ones(4, 4)
    with pytest.raises(FaninValueError, match="does not converge within 12 deviations"):
        face.he_normal_(tensor, nonlinearity=lambda z: (z * z / 4).exp(), seed=0)
    assert bool((tensor == 1).all())
