"""A plan put into a model: whole or not at all, and nothing but the values changes."""

import copy
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.plans.models import NORMS, Text, mlp, normed, same, text_trace, traced, values
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from fanin import rules
from fanin.distributions import (
    Built,
    Constant,
    Formula,
    Identity,
    Integers,
    Mapped,
    Normal,
    Orthogonal,
    Permutations,
    Sparse,
    Stack,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from fanin.draws import draw_distribution
from fanin.errors import FaninTypeError, FaninValueError
from fanin.formulas import BUILDERS, FORMULAS, MAPPINGS
from fanin.plans import Entry, Need, Plan, plan_from_rules
from fanin.plans.torch import apply as module
from fanin.plans.torch.many import apply_many
from fanin.slots import Axes

WRAPPERS: dict[str, Any] = {
    "compiled": torch.compile,
    "data parallel": nn.DataParallel,
    "averaged": torch.optim.swa_utils.AveragedModel,
    "compiled data parallel": lambda m: torch.compile(nn.DataParallel(m)),
}
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning", "ignore:the scale of:UserWarning")


def plan_for(model: nn.Module, distribution: Any = None, **rules_: Any) -> Plan:
    return plan_from_rules(traced(model), {"*": distribution or Normal(0.5)}, model=model, **rules_)


def by_hand(**entries: tuple[Any, tuple[int, ...]]) -> Plan:
    return Plan({n: Entry(d) for n, (d, _) in entries.items()}, requires={n: Need(s) for n, (_, s) in entries.items()})


class TestValues:
    def test_are_those_of_the_draw_with_seed_and_name(self) -> None:
        model = plan_for(mlp()).apply(mlp(), seed=5)
        for name in ("0.weight", "2.weight"):
            weight = model.get_parameter(name).detach().numpy()
            assert np.array_equal(weight, draw_distribution(Normal(0.5), weight.shape, seed=5, name=name))

    def test_the_plans_own_seed_is_the_default_and_seeds_differ(self) -> None:
        plan = plan_for(mlp(), seed=7)
        assert same(values(plan.apply(mlp())), values(plan.apply(mlp(), seed=7)))
        assert not same(values(plan.apply(mlp())), values(plan.apply(mlp(), seed=8)))

    def test_do_not_depend_on_the_other_entries(self) -> None:
        whole = plan_for(mlp())
        part = Plan({"4.weight": whole.entries["4.weight"]}, requires={"4.weight": whole.requires["4.weight"]})
        assert torch.equal(whole.apply(mlp())[4].weight, part.apply(mlp())[4].weight)

    def test_the_multiplier_multiplies_them(self) -> None:
        plan = by_hand(weight=(Normal(1.0), (4, 3)))
        double = plan.edit({"weight": Entry(Normal(1.0), multiplier=2.0)})
        assert torch.equal(double.apply(nn.Linear(3, 4)).weight, 2 * plan.apply(nn.Linear(3, 4)).weight)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
    def test_a_multiplier_that_no_law_takes_is_rounded_once(self, dtype: torch.dtype, tmp_path: Path) -> None:
        """Whole numbers above what the type holds exactly, times a small number."""
        kind = str(dtype).removeprefix("torch.")
        for law in (Integers(0, 3001), Permutations(0)):
            for factor in (0.1, -0.1):
                entries = {"weight": Entry(law, multiplier=factor)}
                plan = Plan(entries, requires={"weight": Need((3000,), dtype=kind)})
                wanted = (torch.from_numpy(draw_distribution(law, (3000,), seed=0, name="weight")) * factor).to(dtype)
                models = [nn.Module() for _ in range(2)]
                for model in models:
                    model.weight = nn.Parameter(torch.zeros(3000, dtype=dtype), requires_grad=False)
                plan.apply(models[0])
                apply_many(plan, models[1:], [0])
                plan.stream(tmp_path / kind / f"{law} {factor}")
                models.append(nn.Module())
                models[2].weight = load_file(tmp_path / kind / f"{law} {factor}" / "model.safetensors")["weight"]
                for model in models:
                    assert torch.equal(model.weight.float(), wanted.float())

    def test_weights_without_an_entry_keep_theirs(self) -> None:
        model = nn.Linear(3, 4)
        bias = model.bias.detach().clone()
        by_hand(weight=(Normal(1.0), (4, 3))).apply(model)
        assert torch.equal(model.bias, bias)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_of_lower_precision_are_the_float32_numbers_rounded(self, dtype: torch.dtype) -> None:
        plan = by_hand(weight=(Orthogonal(Axes.parse("oi", (8, 8))), (8, 8)))
        low, full = plan.apply(nn.Linear(8, 8).to(dtype)), plan.apply(nn.Linear(8, 8))
        assert low.weight.dtype == dtype
        assert torch.equal(low.weight, full.weight.to(dtype))

    def test_of_double_precision_are_drawn_in_it(self) -> None:
        weight = by_hand(weight=(Normal(1.0), (50, 50))).apply(nn.Linear(50, 50).double()).weight.detach()
        assert (weight != weight.float().double()).any()

    def test_of_scalars(self) -> None:
        model = nn.Module()
        model.alpha = nn.Parameter(torch.tensor(3.0))
        by_hand(alpha=(Constant(0.5), ())).apply(model)
        assert float(model.alpha.detach()) == 0.5

    def test_in_a_memory_format_of_its_own(self) -> None:
        conv = nn.Conv2d(4, 8, 3)
        plan = by_hand(weight=(Normal(1.0), (8, 4, 3, 3)))
        plain = plan.apply(copy.deepcopy(conv)).weight
        last = plan.apply(conv.to(memory_format=torch.channels_last)).weight
        assert torch.equal(plain, last)
        assert last.is_contiguous(memory_format=torch.channels_last)


class TestUntouched:
    def test_everything_but_the_values(self) -> None:
        model = Text()
        model.fc.weight.requires_grad_(False)
        model.fc.bias.grad = torch.ones(8)
        before = {n: (id(p), p.dtype, p.device, p.requires_grad, p.data_ptr()) for n, p in model.named_parameters()}
        versions = {n: p._version for n, p in model.named_parameters()}
        plan = plan_from_rules(text_trace(model), {"*": rules.normal(0.1)}, model=model)
        states = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
        assert plan.apply(model) is model
        assert torch.equal(states[0], torch.get_rng_state())
        assert states[1] == random.getstate()
        assert np.array_equal(states[2][1], np.random.get_state()[1])  # noqa: NPY002
        assert before == {
            n: (id(p), p.dtype, p.device, p.requires_grad, p.data_ptr()) for n, p in model.named_parameters()
        }
        assert all(p._version > versions[n] for n, p in model.named_parameters() if n in plan.entries)
        assert all(p.grad_fn is None for p in model.parameters())
        assert torch.equal(model.fc.bias.grad, torch.ones(8))
        assert model.lm_head.weight is model.wte.weight

    def test_autograd_notices_the_change(self) -> None:
        model = nn.Linear(3, 4)
        out = (model.weight**2).sum()
        by_hand(weight=(Normal(1.0), (4, 3))).apply(model)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.backward()


class TestWrapped:
    @pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
    def test_a_plan_for_the_bare_model_goes_into_the_wrapped_one_and_back(self, wrap: Any) -> None:
        bare = plan_for(mlp()).apply(mlp())
        inner = mlp()
        wrapped = wrap(inner)
        assert plan_for(mlp()).apply(wrapped) is wrapped
        assert all(torch.equal(a, b) for a, b in zip(wrapped.parameters(), bare.parameters(), strict=True))

    def test_a_scripted_model(self) -> None:
        scripted = torch.jit.script(mlp())
        plan_for(mlp()).apply(scripted)
        assert torch.equal(dict(scripted.named_parameters())["0.weight"], plan_for(mlp()).apply(mlp())[0].weight)


class TestRefused:
    def test_every_mismatch_is_listed_and_nothing_changed(self) -> None:
        plan = plan_for(mlp(width=8, depth=3))
        model = nn.Sequential(*mlp(width=8, depth=3))
        model[2] = nn.Linear(8, 8, bias=False)
        model[4] = nn.Linear(8, 9)
        before = values(model)
        with pytest.raises(FaninValueError) as error:
            plan.apply(model)
        for words in (
            "2.bias: the model has no such weight",
            "4.weight: its shape is (9, 8), but the plan is for (8, 8)",
            "4.bias",
        ):
            assert words in str(error.value)
        assert same(values(model), before)

    @pytest.mark.parametrize(
        ("dtype", "word"), [(torch.int8, "integer"), (torch.complex64, "complex"), (torch.bool, "integer")]
    )
    def test_weights_that_are_no_real_numbers(self, dtype: torch.dtype, word: str) -> None:
        model = nn.Module()
        model.codes = nn.Parameter(torch.zeros(3, dtype=dtype), requires_grad=False)
        with pytest.raises(FaninValueError, match=f"codes is {word}"):
            by_hand(codes=(Constant(1.0), (3,))).apply(model)

    def test_meta_lazy_and_expanded_weights(self) -> None:
        plan = by_hand(weight=(Normal(1.0), (4, 3)))
        expanded = nn.Module()
        expanded.weight = nn.Parameter(torch.zeros(1, 3).expand(4, 3))
        for model, word in (
            (nn.Linear(3, 4, device="meta"), "to_empty"),
            (nn.LazyLinear(4), "lazy"),
            (expanded, "expanded"),
        ):
            with pytest.raises(FaninValueError, match=word):
                plan.apply(model)

    def test_a_tie_that_is_gone_and_a_tie_that_is_new(self) -> None:
        untied = Text()
        untied.lm_head.weight = nn.Parameter(torch.randn(11, 8))
        tied_plan = plan_from_rules(text_trace(), {"*": rules.normal(0.1)})
        with pytest.raises(FaninValueError, match="two weights here, but one"):
            tied_plan.apply(untied)
        with pytest.raises(FaninValueError, match="one weight here"):
            plan_from_rules(text_trace(untied), {"*": rules.normal(0.1)}).apply(Text())

    @pytest.mark.parametrize("model", [3, nn.Linear, None, [nn.Linear(1, 1)]])
    def test_other_things_than_modules(self, model: Any) -> None:
        with pytest.raises(FaninTypeError, match="torch.nn.Module"):
            Plan({}).apply(model)

    @pytest.mark.parametrize("seed", [-1, 2**64, 0.5])
    def test_seeds_out_of_range(self, seed: Any) -> None:
        with pytest.raises(FaninValueError, match="seed"):
            plan_for(mlp()).apply(mlp(), seed=seed)

    def test_numbers_that_the_type_cannot_hold(self) -> None:
        model = nn.Linear(3, 4).half()
        before = values(model)
        with pytest.raises(FaninValueError, match="weight .*too large for float16"):
            by_hand(bias=(Constant(0.0), (4,)), weight=(Constant(1e5), (4, 3))).apply(model)
        assert same(values(model), before)

    def test_whole_numbers_that_the_type_does_not_hold(self) -> None:
        model = nn.Linear(3, 4).to(torch.bfloat16)
        before = values(model)
        with pytest.raises(FaninValueError, match="weight could not be drawn: Integers gives whole .* bfloat16 holds"):
            by_hand(bias=(Constant(0.0), (4,)), weight=(Integers(0, 1000), (4, 3))).apply(model)
        assert same(values(model), before)

    def test_a_stop_while_drawing_puts_the_old_values_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plan, model = plan_for(mlp()), mlp()
        before, calls, fill = values(model), [0], module.fill_

        def stopped_at_the_third(*args: Any, **kwargs: Any) -> Tensor:
            calls[0] += 1
            if calls[0] == 3:
                raise KeyboardInterrupt
            return fill(*args, **kwargs)

        monkeypatch.setattr(module, "fill_", stopped_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            plan.apply(model)
        assert calls[0] == 3
        assert same(values(model), before)

    def test_a_stop_of_a_large_model_says_that_it_is_partly_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "KEPT", 100)

        def stopped(*args: Any, **kwargs: Any) -> Tensor:
            raise KeyboardInterrupt

        monkeypatch.setattr(module, "fill_", stopped)
        with pytest.raises(KeyboardInterrupt) as stop:
            plan_for(mlp()).apply(mlp())
        assert "some are drawn: apply the plan again" in " ".join(stop.value.__notes__)

    @pytest.mark.parametrize("name", ["a.weight", "z.weight"])
    def test_a_large_model_is_not_drawn_up_to_what_is_refused(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Found before anything is drawn (sparse, formula), or drawn first and put back (functions of random numbers)."""
        monkeypatch.setattr(module, "KEPT", 100)
        monkeypatch.setitem(FORMULAS, "last_infinite", lambda places, shape, axes: np.where(places[1] == 9, np.inf, 1))
        monkeypatch.setitem(MAPPINGS, "root", np.sqrt)
        monkeypatch.setitem(BUILDERS, "broken", broken)
        laws = {
            "zeros=30 is more": Sparse(Normal(1.0), 30),
            "'last_infinite' gave numbers that are not finite": Formula("last_infinite"),
            "'root' gave numbers that are not finite": Mapped(Normal(1.0), "root"),
            "the builder's own": Built("broken", Axes.parse("oi", (20, 10))),
        }
        for words, law in laws.items():
            model = nn.ModuleDict({k: nn.Linear(10, 20, bias=False) for k in "amz"})
            before = values(model)
            entries = {f"{k}.weight": Entry(Normal(1.0)) for k in "amz"} | {name: Entry(law)}
            plan = Plan(entries, requires={n: Need((20, 10)) for n in entries})
            for threads in (1, 3):
                with pytest.raises((FaninValueError, ZeroDivisionError), match=words) as error:
                    plan.apply(model, threads=threads)
                assert same(values(model), before), words
                assert not getattr(error.value, "__notes__", None)

    def test_functions_of_a_large_model_have_their_numbers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(MAPPINGS, "square", np.square)
        plan = by_hand(weight=(Mapped(Normal(1.0), "square"), (20, 10)), bias=(Normal(1.0), (20,)))
        small, seen = plan.apply(nn.Linear(10, 20)), list[tuple[int, int]]()
        monkeypatch.setattr(module, "KEPT", 100)
        large = plan.apply(nn.Linear(10, 20), progress=lambda done, total: seen.append((done, total)))
        assert same(values(small), values(large))
        assert seen[-1] == (220, 220)

    def test_memory_that_is_read_only(self, tmp_path: Path) -> None:
        """A weight in a file that is mapped to be read: a write would end the process."""
        file = tmp_path / "weight.npy"
        np.save(file, np.zeros((4, 3), dtype=np.float32))
        model = nn.Linear(3, 4, bias=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own: the array is not writable
            model.weight = nn.Parameter(torch.from_numpy(np.load(file, mmap_mode="r")))
        with pytest.raises(FaninValueError, match="weight lies in memory that is read-only"):
            by_hand(weight=(Normal(1.0), (4, 3))).apply(model)


def broken(axes: Any, source: Any) -> Any:
    raise ZeroDivisionError("the builder's own")


class TestManyNumbers:
    """Weights of some size are cut into pieces and drawn by several threads."""

    def model(self) -> nn.Module:
        model = nn.Sequential(nn.Linear(700, 900), nn.Conv2d(64, 128, 5), nn.Embedding(3000, 300), nn.Linear(900, 700))
        model[3].weight.data = model[3].weight.data.T.contiguous().T  # strides of its own
        return model

    def plan(self) -> Plan:
        return by_hand(**{
            "0.weight": (Normal(0.5), (900, 700)), "0.bias": (Constant(1.0), (900,)),
            "1.weight": (TruncatedNormal(0.1), (128, 64, 5, 5)), "2.weight": (ZeroRows(Uniform(1.0), (7,)), (3000, 300)),
            "3.weight": (Stack((Normal(1.0), Normal(2.0)), (300, 400)), (700, 900)),
        })  # fmt: skip

    @pytest.mark.parametrize("threads", [1, 2, 5])
    def test_the_numbers_do_not_depend_on_threads_or_pieces(
        self, threads: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PIECE", 1 << 16)
        plan, model = self.plan(), self.model()
        assert plan.apply(model, seed=3, threads=threads) is model
        for name, entry in plan.entries.items():
            weight = model.get_parameter(name).detach()
            whole = draw_distribution(entry.distribution, tuple(weight.shape), seed=3, name=name)
            assert np.array_equal(weight.numpy(), whole), name
        assert not model[3].weight.is_contiguous()

    @pytest.mark.parametrize("threads", [1, 3])
    def test_progress_ends_at_all_of_them(self, threads: int) -> None:
        seen: list[tuple[int, int]] = []
        model = self.model()
        self.plan().apply(model, threads=threads, progress=lambda done, total: seen.append((done, total)))
        total = sum(p.numel() for n, p in model.named_parameters() if n in self.plan().entries)
        assert seen[-1] == (total, total)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    @pytest.mark.parametrize("threads", [0, -1, 1.5, True])
    def test_threads_that_are_no_number(self, threads: Any) -> None:
        with pytest.raises((FaninValueError, FaninTypeError), match="threads"):
            self.plan().apply(self.model(), threads=threads)


class Halved(nn.Module):
    """A parametrisation that can be set: the weight in effect is half of what is stored."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 2

    def right_inverse(self, x: Tensor) -> Tensor:
        return x * 2


class Positive(nn.Module):
    """A parametrisation whose inverse has no value for numbers below zero."""

    def forward(self, x: Tensor) -> Tensor:
        return x.exp()

    def right_inverse(self, x: Tensor) -> Tensor:
        return x.log()


class OneWay(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x**2


class TestParametrized:
    @pytest.mark.parametrize(
        "norm", [NORMS["parametrized weight norm"], NORMS["hooked weight norm"]], ids=["new", "old"]
    )
    @pytest.mark.parametrize("distribution", [Normal(2.0), Constant(0.0), Identity(Axes.parse("oi", (8, 6)))])
    def test_weight_norm_gets_the_planned_weight_in_effect(self, norm: Any, distribution: Any) -> None:
        """Constants of zero and identities have rows without a direction, where g v / |v| would be 0/0."""
        model = normed(norm)
        plan = plan_from_rules(traced(model), {"0.weight": distribution}, model=model)
        plan.apply(model)
        (name,) = plan.entries
        expected = torch.from_numpy(draw_distribution(distribution, (8, 6), seed=0, name=name))
        out = model[0](torch.eye(6))
        assert torch.allclose(model[0].weight, expected, atol=1e-5)
        assert torch.allclose(out - model[0].bias, expected.T, atol=1e-5)
        out.sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in model[0].parameters() if p.grad is not None)

    @pytest.mark.parametrize(
        "norm", [NORMS["parametrized spectral norm"], NORMS["hooked spectral norm"]], ids=["new", "old"]
    )
    @pytest.mark.parametrize("training", [True, False])
    def test_spectral_norm_keeps_the_direction_and_says_that_the_scale_is_its_own(
        self, norm: Any, training: bool
    ) -> None:
        torch.manual_seed(0)
        model = nn.Sequential(norm(nn.Linear(30, 40))).train(training)
        plan = plan_from_rules(traced(model, torch.randn(4, 30)), {"0.weight": Normal(7.0)}, model=model)
        with pytest.warns(UserWarning, match=r"0\.weight \(SpectralNorm\)"):
            plan.apply(model)
        drawn = torch.from_numpy(draw_distribution(Normal(7.0), (40, 30), seed=0, name="0.weight"))
        model.eval()
        model(torch.randn(4, 30))
        weight = model[0].weight.detach()
        assert abs(float(torch.linalg.matrix_norm(weight, 2)) - 1) < 0.02, "stale singular vectors would blow it up"
        assert torch.allclose(weight / weight.norm(), drawn / drawn.norm(), atol=1e-5)

    def test_a_parametrization_of_ones_own(self) -> None:
        model = nn.Linear(3, 4)
        parametrize.register_parametrization(model, "weight", Halved())
        original = model.parametrizations.weight.original
        plan = by_hand(weight=(Normal(1.0), (4, 3)))
        plan.apply(model)
        drawn = torch.from_numpy(draw_distribution(Normal(1.0), (4, 3), seed=0, name="weight"))
        assert torch.allclose(model.weight, drawn)
        assert model.parametrizations.weight.original is original

    def test_one_that_cannot_be_set_is_refused_and_everything_is_put_back(self) -> None:
        model = mlp()
        parametrize.register_parametrization(model[4], "weight", OneWay())
        before = values(model)
        plan = plan_for(model)
        with pytest.raises(FaninValueError, match=r"4\.weight cannot be set through its parametrisation: .*OneWay"):
            plan.apply(model)
        assert same(values(model), before)

    def test_one_that_does_not_take_the_values_is_refused(self) -> None:
        model = nn.Sequential(parametrizations.orthogonal(nn.Linear(6, 6)))
        before = values(model)
        plan = Plan({"0.weight": Entry(Normal(1.0))}, requires={"0.weight": Need((6, 6))})
        with pytest.raises(FaninValueError, match=r"0\.weight"):
            plan.apply(model)
        assert same(values(model), before)

    def test_one_that_makes_nan_of_them_is_refused_in_words(self) -> None:
        model = nn.Linear(6, 6)
        model.weight.data.abs_()
        parametrize.register_parametrization(model, "weight", Positive(), unsafe=True)
        before = values(model)
        with pytest.raises(FaninValueError, match=r"weight is not finite behind its parametrisation") as caught:
            by_hand(weight=(Normal(1.0), (6, 6))).apply(model)
        assert "nan" not in str(caught.value)
        assert same(values(model), before)

    def test_an_orthogonal_parametrization_takes_an_orthogonal_weight(self) -> None:
        model = nn.Sequential(parametrizations.orthogonal(nn.Linear(6, 6)))
        law = Orthogonal(Axes.parse("oi", (6, 6)))
        Plan({"0.weight": Entry(law)}, requires={"0.weight": Need((6, 6))}).apply(model)
        drawn = torch.from_numpy(draw_distribution(law, (6, 6), seed=0, name="0.weight"))
        assert torch.allclose(model[0].weight, drawn, atol=1e-5)

    @pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
    def test_a_plan_that_fails_elsewhere_leaves_them_as_they_were(self, norm: Any) -> None:
        model = normed(norm).double().eval()
        before, effective = values(model), model[0].weight.detach().clone()
        plan = Plan({"0.weight": Entry(Normal(1.0)), "nope": Entry(Normal(1.0))})
        with pytest.raises(FaninValueError, match="nope"):
            plan.apply(model)
        assert same(values(model), before)
        assert torch.equal(model[0].weight, effective)

    @pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
    def test_a_failure_while_writing_puts_them_back(self, norm: Any) -> None:
        model = normed(norm)
        parametrize.register_parametrization(model[4], "weight", OneWay())
        model.eval()
        before, effective = values(model), model[0].weight.detach().clone()
        with pytest.raises(FaninValueError, match="OneWay"):
            plan_for(model).apply(model)
        assert same(values(model), before)
        assert torch.allclose(model[0].weight, effective, atol=1e-6)


def test_an_empty_plan_changes_nothing() -> None:
    model = mlp()
    before = values(model)
    assert Plan({}).apply(model) is model
    assert same(values(model), before)


def test_a_pruned_weight_gets_the_planned_values_where_it_is_not_masked() -> None:
    model = nn.Sequential(nn.Linear(6, 8))
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    mask = model[0].weight_mask.bool()
    with pytest.warns(UserWarning, match=r"a mask prunes 0\.weight(_orig)? \(50% kept\): the second moment"):
        plan_from_rules(traced(model), {"0.weight*": Normal(1.0)}, model=model).apply(model)
    model(torch.randn(2, 6))
    assert model[0].weight[mask].all()
    assert not model[0].weight[~mask].any()
    assert 0.5 < float(model[0].weight[mask].std().detach()) < 2
