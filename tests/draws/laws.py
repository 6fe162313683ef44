"""Random distributions that fit a random shape, and random windows: shared by the property tests."""

from typing import Any

from hypothesis import strategies as st

from fanin.distributions import (
    Bernoulli,
    Constant,
    DeltaOrthogonal,
    Distribution,
    Identity,
    Integers,
    Mirrored,
    Normal,
    NormalBetween,
    Orthogonal,
    Permutations,
    Signs,
    Sparse,
    Stack,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from fanin.draws.layout import with_sizes
from fanin.slots import LETTERS, Axes, Factor, Pairing

sizes = st.integers(1, 5)


def exact(law: Distribution) -> bool:
    """Whether the numbers are the same bits however they are made: not where they are products of matrices."""
    parts = law.parts if isinstance(law, Stack) else ()
    base = getattr(law, "base", None)
    return not isinstance(law, Orthogonal | DeltaOrthogonal) and all(map(exact, (*parts, *([base] if base else []))))


elementwise = st.sampled_from(
    [
        Normal(1.0),
        Normal(0.02, 1.0),
        Normal(1e-3, 5.0),
        Normal(0.0, 2.0),
        TruncatedNormal(0.5),
        TruncatedNormal(1.0, 0.7, -1.0),
        TruncatedNormal(1.0, 1e-5),
        NormalBetween(1.0, 0.5, 9.0),
        NormalBetween(2.0, -3.0, 1.0, 1.0),
        Uniform(2.0),
        Uniform(0.5, 0.5),
        Uniform(0.0, 0.1),
        Signs(0.3),
        Bernoulli(0.3, 2.0),
        Integers(-3, 9),
        Constant(0.3),
    ]
)


@st.composite
def all_axes(draw: Any, out: int | None = None, in_: int | None = None) -> Axes:
    """Axes with an out and an in, and stacks and receptive fields, in any order and on any axis."""
    letters = draw(st.permutations(["o", "i", *draw(st.lists(st.sampled_from("sk"), max_size=2))]))
    given = {"o": out, "i": in_}
    factors = [Factor(LETTERS[letter], given.get(letter) or draw(sizes)) for letter in letters]
    cut = draw(st.integers(1, len(factors)))  # the factors from here on share the last axis
    return Axes((*((f,) for f in factors[: cut - 1]), tuple(factors[cut - 1 :])))


@st.composite
def mirrored_laws(draw: Any) -> Mirrored:
    """Mirrored on the outputs, the inputs or both, with any pairing, over every kind of base."""
    sides = draw(st.sampled_from([("out",), ("in",), ("out", "in")]))
    extents: dict[str, int] = {"out": draw(sizes), "in": draw(sizes)}
    halves = dict(extents)
    pairings: dict[str, Pairing] = {}
    for side in sides:
        pairings[side] = p = Pairing(draw(st.integers(1, 5)), draw(st.integers(1, 2)), draw(st.integers(1, 2)))
        extents[side], halves[side] = p.outer * p.units * p.inner, p.outer * (p.units // 2) * p.inner
    axes = draw(all_axes(extents["out"], extents["in"]))
    half = with_sizes(axes, halves["out"], halves["in"])
    base = draw(
        st.sampled_from([Orthogonal(half), DeltaOrthogonal(half, 2.0, True), Identity(half), Normal(1.0), Uniform(1.0)])
    )
    return Mirrored(base, axes, pairings.get("out"), pairings.get("in"))


@st.composite
def simple_laws(draw: Any) -> tuple[Distribution, tuple[int, ...]]:
    """A distribution that is not made of others, and a shape that it fits."""
    kind = draw(st.sampled_from(["elementwise", Orthogonal, DeltaOrthogonal, Identity, "mirrored"]))
    if kind == "elementwise":
        return draw(elementwise), tuple(draw(st.lists(st.integers(0, 6), max_size=4)))
    law = draw(mirrored_laws()) if kind == "mirrored" else kind(draw(all_axes()))
    return law, law.axes.shape


@st.composite
def laws(draw: Any) -> tuple[Distribution, tuple[int, ...]]:
    """Any distribution, and a shape that it fits."""
    law, shape = draw(simple_laws())
    wrapped = draw(st.sampled_from(["", "stack", "rows", "sparse", "orders"])) if shape else ""
    if wrapped in ("sparse", "orders"):
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        return (Permutations(axis) if wrapped == "orders" else Sparse(law, shape[axis] // 2, axis)), shape
    if wrapped == "rows":
        return ZeroRows(law, tuple(draw(st.lists(st.integers(0, shape[0] - 1), max_size=2)) if shape[0] else ())), shape
    if wrapped == "stack":
        axis = draw(st.integers(0, len(shape) - 1))
        other = draw(sizes)
        parts = ((law, shape[axis]), (draw(elementwise), other))
        parts = parts if draw(st.booleans()) else parts[::-1]
        whole = (*shape[:axis], shape[axis] + other, *shape[axis + 1 :])
        return Stack(tuple(part for part, _ in parts), tuple(size for _, size in parts), axis), whole
    return law, shape


@st.composite
def windows(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """A slice (any bounds, any step) or an integer for each of the first few axes."""
    parts = []
    for n in shape[: draw(st.integers(0, len(shape)))]:
        integer = st.integers(-n, n - 1) if n else st.nothing()
        parts.append(draw(st.slices(n) | integer))
    return tuple(parts)
