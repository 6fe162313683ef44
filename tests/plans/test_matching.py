"""Which rule a weight gets."""

from typing import Any

import pytest
import torch
from tests.plans.models import NORMS, Text, mlp, normed, slot, text_trace, trace_of, traced
from torch import nn

from fanin import rules
from fanin.distributions import Constant, Distribution, Normal, Uniform, ZeroRows
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans import Plan, plan_from_rules
from fanin.rules.requirement import Requirement
from fanin.rules.rule import forget
from fanin.slots import Slot

SMALL, LARGE = Normal(0.01), Normal(1.0)


def chosen(given: dict[Any, Any], trace: Any = None, model: Any = None) -> dict[str, Distribution]:
    plan = plan_from_rules(trace or text_trace(model), given, model=model)
    return {name: entry.distribution for name, entry in plan.entries.items()}


class TestPatterns:
    def test_the_last_match_wins(self) -> None:
        trace = traced(mlp())
        assert set(chosen({"0.weight": LARGE, "*.weight": SMALL}, trace).values()) == {SMALL}
        found = chosen({"*.weight": SMALL, "0.weight": LARGE}, trace)
        assert [n for n, d in found.items() if d == LARGE] == ["0.weight"]

    def test_the_last_match_wins_across_the_names_of_a_tied_weight(self) -> None:
        for keys in ({"wte.*": LARGE, "lm_head.*": SMALL}, {"*": LARGE, "lm_head.weight": SMALL}):
            assert chosen(keys)["wte.weight"] == ZeroRows(SMALL, (0,))
        assert chosen({"lm_head.*": SMALL, "wte.*": LARGE})["wte.weight"] == ZeroRows(LARGE, (0,))

    def test_a_tied_weight_has_one_entry(self) -> None:
        plan = plan_from_rules(text_trace(), {"*": SMALL})
        assert "lm_head.weight" not in plan.entries
        assert set(plan.requires["wte.weight"].names) == {"wte.weight", "lm_head.weight"}

    def test_what_no_key_matches_has_no_entry(self) -> None:
        assert list(chosen({"fc.weight": SMALL})) == ["fc.weight"]

    @pytest.mark.parametrize("key", ["nope.*", nn.Conv2d, ("fc.*", nn.Embedding)])
    def test_a_key_that_matches_nothing_is_an_error_that_names_every_such_key(self, key: Any) -> None:
        with pytest.raises(FaninValueError, match=r"'missing'.* match no weight"):
            plan_from_rules(text_trace(), {key: SMALL, "missing": SMALL})

    def test_a_near_miss_is_offered(self) -> None:
        with pytest.raises(FaninValueError, match=r"did you mean 'fc.weight'"):
            plan_from_rules(text_trace(), {"fc.wieght": SMALL})


class TestBiasesAndScales:
    def test_star_gives_biases_zeros_norm_scales_ones_and_leaves_other_scales(self) -> None:
        plan = plan_from_rules(text_trace(), {"*": SMALL})
        found = {name: entry.distribution for name, entry in plan.entries.items()}
        assert found["fc.weight"] == found["pos"] == SMALL
        assert found["fc.bias"] == found["norm.bias"] == Constant(0.0)
        assert found["norm.weight"] == Constant(1.0)
        assert "act.weight" not in found
        assert any("act.weight" in note for note in plan.notes)

    def test_a_key_that_names_biases_holds_wherever_it_stands(self) -> None:
        for keys in ({"*": SMALL, "*.bias": LARGE}, {"*.bias": LARGE, "*": SMALL}):
            found = chosen(keys)
            assert found["fc.bias"] == LARGE
            assert found["fc.weight"] == SMALL

    def test_a_key_that_matches_nothing_but_biases_names_them(self) -> None:
        assert chosen({"*": SMALL, "fc.b*": LARGE})["fc.bias"] == LARGE

    def test_a_key_for_a_whole_module_is_for_its_weight(self) -> None:
        assert chosen({"fc.*": SMALL}) == {"fc.weight": SMALL, "fc.bias": Constant(0.0)}

    def test_a_pattern_over_weights_gives_norms_ones(self) -> None:
        assert chosen({"*.weight": rules.he_normal()})["norm.weight"] == Constant(1.0)

    def test_star_means_the_same_in_a_model_of_norms_alone(self) -> None:
        trace = traced(nn.Sequential(nn.LayerNorm(6), nn.LayerNorm(6)))
        entries = plan_from_rules(trace, {"*": rules.he_normal()}).entries
        assert [entries[f"0.{name}"].distribution for name in ("weight", "bias")] == [Constant(1.0), Constant(0.0)]

    def test_a_norm_by_its_class_is_named(self) -> None:
        found = chosen({"*.weight": rules.he_normal(), nn.LayerNorm: rules.constant(0.5)})
        assert found["norm.weight"] == Constant(0.5)
        assert found["norm.bias"] == Constant(0.0)

    def test_a_scale_by_its_name_is_named(self) -> None:
        assert chosen({"*": SMALL, "act.weight": rules.constant(0.1)})["act.weight"] == Constant(0.1)


class TestClasses:
    def test_a_class_matches_the_weights_of_its_modules(self) -> None:
        model = Text()
        assert set(chosen({nn.Linear: SMALL}, model=model)) == {
            "fc.weight",
            "fc.bias",
            "wte.weight",
        }  # the head is tied to wte

    def test_with_the_model_a_base_class_matches_too(self) -> None:
        class MyLinear(nn.Linear):
            pass

        model = nn.Sequential(MyLinear(6, 4), nn.Tanh(), nn.Linear(4, 2))
        trace = traced(model)
        assert "0.weight" in chosen({nn.Linear: SMALL}, trace, model)
        assert list(chosen({MyLinear: SMALL}, trace, model)) == ["0.weight", "0.bias"]
        assert set(chosen({nn.Module: SMALL}, trace, model)) == {"0.weight", "0.bias", "2.weight", "2.bias"}

    def test_without_the_model_subclasses_are_found_by_name(self) -> None:
        class OtherLinear(nn.Linear):
            pass

        model = nn.Sequential(OtherLinear(6, 4))
        assert "0.weight" in chosen({nn.Linear: SMALL}, traced(model))

    def test_a_tuple_must_match_as_a_whole(self) -> None:
        trace = traced(mlp())
        found = chosen({"*": SMALL, ("2.*", nn.Linear): LARGE}, trace)
        assert [n for n, d in found.items() if d == LARGE] == ["2.weight"]

    @pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
    def test_classes_are_found_inside_wrappers(self, wrap: Any) -> None:
        model = wrap(mlp())
        assert "0.weight" in chosen({nn.Linear: SMALL}, traced(model), model)


class TestValues:
    def test_rules_distributions_and_specs(self) -> None:
        trace = traced(mlp())
        he = rules.he_normal(nonlinearity="relu")
        for value in (he, "he_normal(nonlinearity='relu')", he(trace.slot("2.weight"))):
            assert chosen({"2.weight": value}, trace)["2.weight"] == he(trace.slot("2.weight"))

    def test_a_function_of_your_own(self) -> None:
        assert chosen({"fc.weight": lambda slot: Uniform(1 / slot.axes.fan_in)})["fc.weight"] == Uniform(1 / 8)

    def test_none_keeps_the_present_values_of_everything_that_it_matches(self) -> None:
        assert (
            set(chosen({"*": SMALL, "fc.*": None}, traced(mlp()) if False else None)) & {"fc.weight", "fc.bias"}
            == set()
        )
        assert "fc.weight" in chosen({"fc.*": None, "*": SMALL})

    @pytest.mark.parametrize("value", [3, rules.he_normal, nn.Linear, [SMALL]])
    def test_anything_else_is_refused(self, value: Any) -> None:
        with pytest.raises(FaninTypeError, match=r"'\*'"):
            plan_from_rules(text_trace(), {"*": value})

    @pytest.mark.parametrize("key", [3, (), ("*", 3), None])
    def test_other_keys_are_refused(self, key: Any) -> None:
        with pytest.raises(FaninTypeError, match="key"):
            plan_from_rules(text_trace(), {key: SMALL})

    def test_a_spec_that_does_not_parse_points_at_the_character(self) -> None:
        with pytest.raises(FaninValueError, match="character"):
            plan_from_rules(text_trace(), {"*": "he_normal("})

    def test_a_rule_that_cannot_serve_a_weight_names_both(self) -> None:
        with pytest.raises(FaninValueError, match=r"'\*\.bias' cannot serve fc.bias"):
            plan_from_rules(text_trace(), {"*.bias": rules.delta_orthogonal()})

    def test_rules_must_be_a_mapping(self) -> None:
        with pytest.raises(FaninTypeError, match="mapping"):
            plan_from_rules(text_trace(), rules.he_normal())  # type: ignore[arg-type]


class TestSpecialWeights:
    def test_padding_rows_stay_zero(self) -> None:
        assert chosen({nn.Embedding: SMALL})["wte.weight"] == ZeroRows(SMALL, (0,))
        assert chosen({nn.Embedding: rules.zeros()})["wte.weight"] == Constant(0.0)

    def test_a_padding_row_counted_from_the_end(self) -> None:
        trace = trace_of(slot("e.weight", "vo", (5, 2), role="embedding", padding_index=-1))
        assert chosen({"*": SMALL}, trace)["e.weight"] == ZeroRows(SMALL, (4,))

    @pytest.mark.parametrize("dtype", ["int8", "complex64", "bool"])
    def test_weights_that_are_no_real_numbers_are_left_and_said(self, dtype: str) -> None:
        trace = trace_of(slot("codes", dtype=dtype), slot("a.weight"))
        plan = plan_from_rules(trace, {"*": SMALL})
        assert list(plan.entries) == ["a.weight"]
        assert any("codes" in note and dtype in note for note in plan.notes)

    def test_what_a_wide_pattern_meets_by_the_way_is_left_where_the_rule_cannot_serve_it(self) -> None:
        trace = trace_of(slot("a.weight"), slot("cls", "", (1, 1, 3), role="position"))
        plan = plan_from_rules(trace, {"*": rules.he_normal()})
        assert list(plan.entries) == ["a.weight"]
        assert any("cls" in note for note in plan.notes)
        with pytest.raises(FaninValueError, match="cls"):
            plan_from_rules(trace, {"cls": rules.he_normal()})

    @pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
    @pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
    def test_weights_behind_norms_go_by_their_own_name(self, norm: Any) -> None:
        model = normed(norm)
        trace = traced(model)
        for key in ("0.weight", nn.Linear, "*"):
            assert len([d for d in chosen({key: SMALL}, trace, model).values() if d == SMALL]) == (
                1 if key == "0.weight" else 3
            )


def test_the_seed_is_the_plans() -> None:
    assert plan_from_rules(text_trace(), {"*": SMALL}, seed=7).seed == 7


def test_the_reason_names_the_rule_and_the_key() -> None:
    plan = plan_from_rules(text_trace(Text()), {"fc.*": rules.he_normal(mode="fan_out")})
    assert plan.entries["fc.weight"].reason == "he_normal(mode='fan_out') for 'fc.*'"


def test_a_mirrored_rule_for_half_of_a_chain_is_refused() -> None:
    with pytest.raises(FaninValueError, match="do not agree"):
        plan_from_rules(traced(mlp()), {"*": rules.mirrored(), "2.weight": rules.he_normal()})
    assert isinstance(plan_from_rules(traced(mlp()), {"*": rules.mirrored()}), Plan)


def test_what_a_rule_requires_is_not_asked_at_biases_beside_its_weights() -> None:
    asked: list[str] = []

    def needs(slot: Slot) -> tuple[Requirement, ...]:
        asked.append(slot.name)
        return (Requirement("op_scale", slot.name, 2.0),)

    @rules.rule(requires=needs)
    def doubled(slot: Slot) -> Distribution:
        return SMALL

    try:
        plan = plan_from_rules(traced(mlp()), {"*": doubled()})
        assert [n.where for n in plan.architecture] == asked == [n for n in plan.entries if n.endswith("weight")]
        named = plan_from_rules(traced(mlp()), {"*.bias": doubled()})
        assert [n.where for n in named.architecture] == [n for n in plan.entries if n.endswith("bias")]
    finally:
        forget("doubled")
