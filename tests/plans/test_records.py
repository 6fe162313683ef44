"""What a plan is: entries that fit what it requires, edits, differences."""

from typing import Any

import pytest
from tests.plans.models import slot

from fanin.distributions import Constant, Mirrored, Normal, Orthogonal, Stack, ZeroRows
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans import Entry, Need, Plan, PlanDiff
from fanin.slots import Axes, ChainLink, Pairing, Slot

SLOTS = (slot("a.weight"), slot("a.bias", "", (4,), role="bias"), slot("b.weight", shape=(2, 4)))
PLAN = Plan.of(SLOTS, {"b.weight": Entry(Normal(0.5), "wide"), "a.weight": Entry(Normal(1.0), "why")}, seed=3)


def test_entries_stand_in_the_models_order() -> None:
    assert list(PLAN.entries) == list(PLAN.requires) == ["a.weight", "b.weight"]
    assert len(PLAN) == 2


def test_json_and_back() -> None:
    assert Plan.from_dict(PLAN.to_dict()) == PLAN
    assert "slots" not in PLAN.to_dict()


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "0"])
def test_seed_is_a_whole_number_of_64_bits(seed: object) -> None:
    with pytest.raises(FaninValueError, match="seed"):
        Plan({}, seed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("distribution", "words"),
    [
        (Orthogonal(Axes.parse("oi", (3, 3))), r"Orthogonal is for the shape \(3, 3\)"),
        (Stack((Normal(1.0), Constant(0.0)), (2, 1)), "do not add up"),
        (ZeroRows(Normal(1.0), (4,)), "not rows"),
        (Stack((Normal(1.0), Orthogonal(Axes.parse("oi", (3, 3)))), (2, 2)), "Orthogonal"),
    ],
)
def test_an_entry_must_fit_its_shape(distribution: Normal, words: str) -> None:
    with pytest.raises(FaninValueError, match=rf"a\.weight: .*{words}"):
        Plan.of(SLOTS, {"a.weight": Entry(distribution)})


@pytest.mark.parametrize(
    "entry", [Entry(Normal(1.0), multiplier=float("nan")), Entry(Normal(1.0), lr_scale=float("inf"))]
)
def test_factors_are_finite(entry: Entry) -> None:
    with pytest.raises(FaninValueError, match=r"a\.weight"):
        Plan.of(SLOTS, {"a.weight": entry})


def test_entries_for_unknown_weights_are_all_named() -> None:
    with pytest.raises(FaninValueError, match=r"x\.weight, y\.weight"):
        Plan.of(SLOTS, {"x.weight": Entry(Normal(1.0)), "y.weight": Entry(Normal(1.0))})


def test_a_tied_weight_may_be_named_by_any_of_its_names() -> None:
    tied = slot("wte.weight", "vo", (11, 4), names=("wte.weight", "lm_head.weight"))
    plan = Plan.of([tied], {"lm_head.weight": Entry(Normal(1.0))})
    assert plan.requires == {"wte.weight": Need((11, 4), ("wte.weight", "lm_head.weight"))}


class TestEdit:
    def test_replaces_adds_and_takes_out(self) -> None:
        edited = PLAN.edit({"a.weight": Constant(0.0), "a.bias": Entry(Constant(1.0), "new"), "b.weight": None})
        assert edited.entries == {"a.weight": Entry(Constant(0.0), "edited"), "a.bias": Entry(Constant(1.0), "new")}
        assert edited.seed == PLAN.seed
        assert list(PLAN.entries) == ["a.weight", "b.weight"], "the plan that is edited stays as it is"

    def test_keeps_factors_of_an_entry_whose_distribution_changes(self) -> None:
        plan = PLAN.edit({"a.weight": Entry(Normal(1.0), "why", lr_scale=0.5, multiplier=2.0)})
        entry = plan.edit({"a.weight": Normal(3.0)}, reason="because").entries["a.weight"]
        assert entry == Entry(Normal(3.0), "because", 0.5, 2.0)

    def test_refuses_unknown_names_and_other_things(self) -> None:
        with pytest.raises(FaninValueError, match=r"nope"):
            PLAN.edit({"nope": Normal(1.0)})
        with pytest.raises(FaninTypeError, match="Entry, a Distribution"):
            PLAN.edit({"a.weight": 3})  # type: ignore[dict-item]


class TestDiff:
    def test_equal_plans_do_not_differ(self) -> None:
        assert not PLAN.diff(PLAN)
        assert str(PLAN.diff(PLAN)) == "no difference"

    def test_names_what_is_added_removed_and_changed(self) -> None:
        other = PLAN.edit({"a.weight": Normal(2.0), "a.bias": Constant(0.0), "b.weight": None})
        diff = PLAN.diff(other)
        assert (list(diff.added), list(diff.removed), list(diff.changed)) == (["a.bias"], ["b.weight"], ["a.weight"])
        assert [line[:10] for line in str(diff).splitlines()] == ["+ a.bias: ", "- b.weight", "~ a.weight"]
        assert PlanDiff.from_dict(diff.to_dict()) == diff

    def test_forth_and_back_are_each_others_mirror(self) -> None:
        other = PLAN.edit({"a.bias": Constant(0.0), "b.weight": Normal(9.0)})
        forth, back = PLAN.diff(other), other.diff(PLAN)
        assert (forth.added, forth.removed) == (back.removed, back.added)
        assert {n: (b, a) for n, (a, b) in forth.changed.items()} == back.changed

    def test_shows_changes_that_three_digits_hide(self) -> None:
        text = str(PLAN.diff(PLAN.edit({"a.weight": Normal(1.0001)})))
        assert "1.0001" in text

    def test_shows_a_new_seed(self) -> None:
        assert "3 → 4" in str(PLAN.diff(Plan(PLAN.entries, 4, PLAN.requires)))


class TestChains:
    """A mirrored weight and the one that it feeds must agree on the pairs."""

    def slots(self) -> tuple[Slot, Slot]:
        first = slot("a.weight", shape=(4, 3), chain=ChainLink("a.weight", 0, 2))
        return first, slot("b.weight", shape=(2, 4), chain=ChainLink("a.weight", 1, 2, in_pairing=Pairing(4)))

    def producer(self) -> Entry:
        return Entry(Mirrored(Normal(1.0), Axes.parse("oi", (4, 3)), out=Pairing(4)))

    def consumer(self) -> Entry:
        return Entry(Mirrored(Normal(1.0), Axes.parse("oi", (2, 4)), in_=Pairing(4)))

    def test_agreeing_neighbours_pass(self) -> None:
        plan = Plan.of(self.slots(), {"a.weight": self.producer(), "b.weight": self.consumer()})
        assert plan.requires["b.weight"].fed_by == "a.weight"

    def test_neighbours_that_do_not_agree_are_refused(self) -> None:
        with pytest.raises(FaninValueError, match=r"b\.weight does not expect pairs"):
            Plan.of(self.slots(), {"a.weight": self.producer(), "b.weight": Entry(Normal(1.0))})
        with pytest.raises(FaninValueError, match=r"a\.weight does not pair"):
            Plan.of(self.slots(), {"a.weight": Entry(Normal(1.0)), "b.weight": self.consumer()})

    def test_a_head_of_zeros_agrees_with_everything(self) -> None:
        Plan.of(self.slots(), {"a.weight": self.producer(), "b.weight": Entry(Constant(0.0))})

    def test_an_edit_shows_where_it_breaks_a_chain(self) -> None:
        plan = Plan.of(self.slots(), {"a.weight": self.producer(), "b.weight": self.consumer()})
        assert plan.edit({"b.weight": Normal(1.0)}).broken_chains() == (
            "a.weight pairs its outputs, but b.weight does not expect pairs",
        )


def test_a_weight_has_one_entry_by_whichever_name() -> None:
    tied = slot("wte.weight", names=("wte.weight", "head.weight"))
    with pytest.raises(FaninValueError, match=r"wte\.weight and head\.weight are one \(tied\) weight"):
        Plan.of((tied,), {"wte.weight": Entry(Normal(1.0)), "head.weight": Entry(Normal(2.0))})
    with pytest.raises(FaninValueError, match=r"the name a\.weight is used twice"):
        Plan.of((slot("a.weight"), slot("a.weight")), {})


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        *((shape, "cannot be counted in 64 bits") for shape in ((2**32, 2**31), (2**63,), (2**20,) * 4)),
        *((shape, "every extent must be a whole number of at least 0") for shape in ((-1, 4), ("x", 4), (2.0, 3))),
    ],
)
def test_shapes_that_are_none_are_refused(shape: Any, words: str) -> None:
    with pytest.raises(FaninValueError, match=words):
        Plan({"w": Entry(Normal(1.0))}, requires={"w": Need(shape)})
