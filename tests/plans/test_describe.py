"""Plans in words."""

import pytest

from fanin.distributions import (
    Constant,
    DeltaOrthogonal,
    Distribution,
    Identity,
    Mirrored,
    Normal,
    Orthogonal,
    Stack,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from fanin.plans import Entry, Need, Plan, describe, summary
from fanin.slots import Axes, Pairing

OI = Axes.parse("oi", (4, 4))


@pytest.mark.parametrize(
    ("distribution", "text"),
    [
        (Normal(0.08839), "N(0, 0.0884²)"),
        (Normal(1e-5, 1.0), "N(1, 1e-5²)"),
        (TruncatedNormal(0.02), "N(0, 0.02²) cut at ±2σ"),
        (Uniform(0.05), "U(±0.05)"),
        (Uniform(0.5, 1.5), "U(1, 2)"),
        (Constant(0.0), "0"),
        (Constant(-4.6), "-4.6"),
        (Identity(OI, 0.5), "identity × 0.5"),
        (Orthogonal(OI, 2**0.5), "orthogonal × 1.41"),
        (Orthogonal(Axes.parse("(s3o)i", (12, 4)), 1.0), "3 blocks orthogonal × 1"),
        (DeltaOrthogonal(OI, 1.0, True), "delta-orthogonal × 1 per unit"),
        (Mirrored(Orthogonal(OI), Axes.parse("oi", (8, 8)), Pairing(8), Pairing(8)), "mirrored orthogonal × 1"),
        (Stack((Constant(0.0), Constant(1.0), Constant(0.0), Constant(0.0)), (2, 2, 2, 2)), "0 | 1 | 2 × 0"),
        (ZeroRows(Normal(1.0), (0,)), "N(0, 1²), row 0 zero"),
        (ZeroRows(Normal(1.0), (0, 3)), "N(0, 1²), rows 0, 3 zero"),
    ],
)
def test_distributions_in_words(distribution: Distribution, text: str) -> None:
    assert describe(distribution) == text


def test_an_entry_shows_its_factors() -> None:
    assert summary(Entry(Normal(1.0), multiplier=0.5, lr_scale=2.0)) == "0.5 × (N(0, 1²)), lr × 2"


def deep(layers: int = 12) -> Plan:
    names = [f"h.{i}.fc.{part}" for i in range(layers) for part in ("weight", "bias")]
    entries = {
        n: Entry(Normal(1.0) if n.endswith("weight") else Constant(0.0), f"block {n.split('.')[1]}") for n in names
    }
    return Plan(entries, requires={n: Need((4, 4) if n.endswith("weight") else (4,)) for n in names})


def test_layers_that_repeat_take_one_line() -> None:
    lines = str(deep()).splitlines()
    assert len(lines) == 6
    assert "h.{0…11}.fc.weight" in lines[4]
    assert "4×4" in lines[4]
    assert "block …" in lines[4]
    assert "24 weights" in lines[0]


def test_a_layer_that_differs_has_its_own_line() -> None:
    plan = deep().edit({"h.5.fc.weight": Normal(2.0)})
    text = str(plan)
    assert "h.5.fc.weight" in text
    assert "h.{0,1,2,3,4,6,7,8,9,10,11}.fc.weight" in text


def test_an_empty_plan_and_notes() -> None:
    assert "every weight keeps its values" in str(Plan({}))
    assert "note: as it is" in str(Plan({"a": Entry(Normal(1.0))}, notes=("as it is",)))


@pytest.mark.parametrize("width", [80, 72, 200])
def test_no_row_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    long = "a reason that says in many words why this one is drawn as it is, which no terminal has room for in one row"
    names = [f"model.encoder.layers.{i}.self_attention.output_projection.weight" for i in range(3)]
    law = Mirrored(Orthogonal(OI, scale_out=True), Axes.parse("oi", (8, 8)), Pairing(8), Pairing(8))
    entries = {n: Entry(law, long) for n in names} | {"b": Entry(Constant(0.0), "bias: zero")}
    plan = Plan(entries, requires={n: Need((8, 8)) for n in entries}, notes=(long,))
    lines = str(plan).splitlines()
    assert max(map(len, lines)) <= width
    assert long in " ".join(" ".join(lines).split())
    assert any("b " in line and "bias: zero" in line for line in lines), "a short reason stands beside its weight"
