"""Rules that are added to an init."""

import pytest

from fanin.errors import FaninValueError
from fanin.lab.additions import MEANT_FOR, PLACES, parse_addition, split_additions
from fanin.rules import registry
from fanin.slots import Slot


def test_a_sum_is_split_outside_of_brackets() -> None:
    assert split_additions("lsuv + zeros@head+normal(std=1e+1) @ *.bias") == [
        "lsuv", "zeros@head", "normal(std=1e+1) @ *.bias",
    ]  # fmt: skip
    assert split_additions("he_normal(a=1e+1)") == ["he_normal(a=1e+1)"]


def test_a_place_is_a_word_or_a_pattern_over_names() -> None:
    bias, weight = Slot("net.0.bias", (3,), "float32", "bias"), Slot("net.0.weight", (3, 3), "float32", "weight")
    for where, held in (("biases", [bias]), ("weights", [weight]), ("net.*", [bias, weight]), ("*.2.*", [])):
        addition = parse_addition(f"zeros@{where}", "default+zeros")
        assert [s for s in (bias, weight) if addition.holds(s)] == held


def test_tied_weights_are_found_by_every_name() -> None:
    slot = Slot("embedding.weight", (9, 4), "float32", "embedding", names=("embedding.weight", "head.weight"))
    assert parse_addition("zeros@head.weight", "").holds(slot)


@pytest.mark.parametrize(("rule", "place"), MEANT_FOR.items())
def test_rules_that_are_for_some_weights_know_which(rule: str, place: str) -> None:
    assert place in PLACES
    assert registry.resolve_name(rule) == rule


def test_a_part_that_does_not_parse_is_said() -> None:
    with pytest.raises(FaninValueError, match="'zeros@' does not parse"):
        parse_addition("zeros@", "default+zeros@")
