"""A rule is a record: printed, parsed, written as JSON, and open to rules of one's own."""

import inspect
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanin import rules
from fanin.distributions import Normal
from fanin.draws import draw
from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.rules.rule import ALIASES, FACTORIES, FACTS, FAMILIES, Rule, rule
from fanin.slots import Slot

numbers = st.floats(0, 1e6) | st.integers(0, 100)
ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "nonlinearity": st.sampled_from([None, "relu", "gelu", "leaky_relu(0.25)", "elu(0.5)", "swish"]),
    "mode": st.sampled_from(["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]),
    "distribution": st.sampled_from(["normal", "truncated_normal", "uniform"]),
    "a": st.none(),
    "gain": st.none(),
    "std": numbers,
    "scale": numbers,
    "value": st.floats(-1e6, 1e6),
    "mean": st.floats(-1e6, 1e6),
    "cut": st.floats(0.01, 10),
    "scale_out": st.booleans(),
    "pair": st.none() | st.booleans(),
    "first": st.none() | st.floats(0.01, 2),
    "head": st.none() | numbers,
    "low": st.none(),
    "high": st.none(),
    "bound": numbers,
}


@st.composite
def some_rules(draw: Any) -> Rule:
    name = draw(st.sampled_from(sorted(FACTORIES)))
    parameters = FAMILIES[name].__code__.co_varnames[1 : FAMILIES[name].__code__.co_argcount]
    sample = draw(st.sampled_from(FACTS[name].samples))
    plain = not FACTS[name].checks and all(
        p in ARGUMENTS for p in parameters
    )  # no checks of its own: any numbers will do
    return FACTORIES[name](**{p: draw(ARGUMENTS[p]) for p in parameters} if plain else sample)


@given(some_rules())
def test_a_spec_is_read_back(some: Rule) -> None:
    assert rules.parse(some.spec) == some
    assert str(some) == some.spec


@given(some_rules())
def test_json_is_read_back(some: Rule) -> None:
    again = Rule.from_dict(json.loads(json.dumps(some.to_dict())))
    assert again == some
    assert hash(again) == hash(some)


def test_a_measured_activation_survives_json() -> None:
    some = rules.he_normal(nonlinearity=lambda z: np.tanh(z) + 0.1 * z)
    again = Rule.from_dict(json.loads(json.dumps(some.to_dict())))
    assert again == some
    assert "<" in some.spec  # a table has no spec that could be parsed


@pytest.mark.parametrize("name", [*FACTORIES, *ALIASES])
def test_names_and_aliases(name: str) -> None:
    assert rules.get(name) is rules.get(f"{name}_")  # PyTorch's own spelling
    assert getattr(rules, name, rules.get(name)) is rules.get(name)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("he_norml", "rule 'he_norml' is not known; did you mean 'he_normal'"),
        ("xyz", "is not known; known are .*constant"),
        ("he_normal(mode='fan_out'", "does not parse at character 10: '\\(' was never closed"),
        ("he_normal(mode=fan_out)", "at character 16: an argument must be a number.*write 'fan_out' with quotes"),
        ("he_normal(mode='fan_out') + 1", "at character 1: it must be a rule's name"),
        ("normal(std=-1)", "std=-1 cannot be used"),
        ("normal(0.1, 0.2, 0.3)", r"too many positional arguments; it takes \(std, mean=0.0\)"),
        ("normal(**{'std': 1})", "arguments must be written out"),
        ("os.system('true')", "it must be a rule's name"),
        ("normal(std=__import__('os'))", "an argument must be a number"),
        ("", "does not parse at character 1"),
    ],
)
def test_specs_that_do_not_parse_point_at_the_character(spec: str, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        rules.parse(spec)


def test_the_caret_stands_under_the_character() -> None:
    with pytest.raises(FaninValueError) as caught:
        rules.parse("normal(std=big)")
    _, line, caret = str(caught.value).splitlines()
    assert line[caret.index("^") :] == "big)"


def test_a_rule_of_ones_own() -> None:
    @rule(aliases=("mine",))
    def half_he(slot: Slot, factor: float = 0.5) -> Normal:
        """Half of He.

        Formula:
            W ~ N(0, factor² · 2 / fan_in)
        """
        return Normal(factor * (2 / slot.axes.fan_in) ** 0.5)  # type: ignore[union-attr]

    try:
        assert half_he(factor=0.25).spec == "half_he(factor=0.25)"
        assert rules.parse("mine") == half_he()
        w = draw(half_he(), (400, 800), seed=0, name="w")
        assert w.std() == pytest.approx(0.5 * (2 / 800) ** 0.5, rel=0.01)
        assert "Half of He." in rules.explain("half_he")
    finally:
        del FAMILIES["half_he"], FACTORIES["half_he"], ALIASES["mine"]


@pytest.mark.parametrize("name", ["identity", "dirac", "hadamard", "irnn", "hippo_legs", "hippo_legs_input"])
def test_a_gain_that_is_a_number_by_default_must_be_one(name: str) -> None:
    with pytest.raises(FaninTypeError, match=f"{name}: gain=None cannot be used; gain must be a finite number"):
        rules.get(name)(gain=None)


UNUSUAL: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, 1e300, 1e-320, -0.0, float("nan"), float("inf"), "x", "", b"x", [], [1], (1, "a"), {}, {"a": 1}, set(),
    object(), np.int8(3), np.array(2.0), np.array([1.0, 2.0]), Fraction(1, 2), Decimal("0.5"), 1j, int, slice(1), range(3),
)  # fmt: skip
SHAPES = {
    (8, 4): None,
    (64,): None,
    (8, 4, 3, 3): None,
    (3, 4, 6): "sio",
    (12, 4): "(s3o)i",
    (6, 1, 3, 3): "(s6o)ikk",
    (50, 8): "vo",
}


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_any_argument_is_used_or_refused_with_a_sentence(name: str) -> None:
    """Finite numbers, or a `FaninError`: no OverflowError, no ambiguous truth of arrays, no division by zero."""
    for argument in inspect.signature(FACTORIES[name]).parameters:
        for value in UNUSUAL:
            try:
                made = FACTORIES[name](**{**FACTS[name].samples[0], argument: value})
            except FaninError:
                continue
            for shape, axes in SHAPES.items():
                try:
                    assert np.isfinite(draw(made, shape, seed=0, name="w", axes=axes)).all(), (argument, value)
                except FaninError:
                    continue


@pytest.mark.parametrize(
    "data",
    [
        {"name": "nothing", "arguments": {}},
        {"name": "normal", "arguments": {}},
        {"name": "normal", "arguments": {"std": -1}},
        {"name": "normal", "arguments": {"std": [1]}},
        {"arguments": {}},
        [],
    ],
)
def test_damaged_json_is_refused(data: Any) -> None:
    with pytest.raises(FaninError):
        Rule.from_dict(data)


def test_every_rule_is_documented() -> None:
    """`fanin explain` and `fanin rules` print these texts."""
    rows = rules.table()
    assert {row.name for row in rows} == set(FACTORIES)
    for row in rows:
        assert row.summary.endswith(".") or ":" in row.summary, row.name
        assert row.formula, row.name
        assert row.paper, row.name
        text = rules.explain(row.name)
        assert "Example:" in text, row.name
        assert ("Args:" in text) == (row.signature != "()"), row.name
    assert json.loads(json.dumps([row.to_dict() for row in rows]))
