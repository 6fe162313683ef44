"""Rules of transformers: which weights they scale, by what, and where they take the number of layers from."""

import math

import numpy as np
import pytest

from fanin import rules
from fanin.distributions import Normal, Stack
from fanin.draws import draw_distribution
from fanin.errors import FaninError
from fanin.rules.transformer import deepnorm_numbers
from fanin.slots import Axes, ResidualPlace, Slot

D = 96


def slot(
    spec: str = "oi",
    shape: tuple[int, ...] = (D, D),
    *,
    last: bool = False,
    branches: int = 24,
    branch: int = 0,
    **known,
) -> Slot:
    place = ResidualPlace(branch, branches, last, layers=2)
    return Slot("w", shape, "float32", "weight", axes=Axes.parse(spec, shape), residual=place, **known)


def std(law) -> float:
    assert isinstance(law, Normal)
    return law.std


XAVIER = math.sqrt(2 / (2 * D))
SCALED = [
    (rules.deepnorm(), (8 * 12) ** -0.25),
    (rules.t_fixup(), 0.67 * 12**-0.25),
    (rules.subln(), math.sqrt(math.log(24))),
]


@pytest.mark.parametrize(("rule", "factor"), SCALED, ids=str)
def test_two_branches_are_one_layer(rule: rules.Rule, factor: float) -> None:
    """24 residual adds are N = 12 layers, and N is what the papers' formulas take."""
    assert std(rule(slot())) / XAVIER == pytest.approx(factor)
    layers = {**rule.arguments, "layers": 12.0}
    assert rules.Rule(rule.name, layers)(slot(branches=2)) == rule(slot())


@pytest.mark.parametrize(("rule", "factor"), SCALED, ids=str)
def test_query_and_key_keep_xaviers_size(rule: rules.Rule, factor: float) -> None:
    for part in ("query", "key"):
        assert std(rule(slot(parts=part))) == pytest.approx(XAVIER)
    assert std(rule(slot(parts="value"))) == pytest.approx(XAVIER * factor)
    outside = Slot("head", (D, D), "float32", "weight", op="linear", axes=Axes.parse("oi", (D, D)))
    assert std(rule(outside)) == pytest.approx(XAVIER)


@pytest.mark.parametrize("rule", [rule for rule, _ in SCALED], ids=str)
def test_a_weight_of_which_nothing_was_seen_needs_layers(rule: rules.Rule) -> None:
    """A tensor on its own, or a weight of a model that no pass was watched of: the number of layers must be given."""
    bare = Slot("w", (D, D), "float32", "weight", axes=Axes.parse("oi", (D, D)))
    with pytest.raises(
        FaninError, match=rf"which no residual branch is known; give layers=, as in {rule.name}\(layers=12\)"
    ):
        rule(bare)
    given = rules.Rule(rule.name, {**rule.arguments, "layers": 12.0})
    assert given(bare) == rule(slot())


def stacked(stack: str, branches: int, adds: int, other: float, branch: int = 0, last: bool = False) -> Slot:
    place = ResidualPlace(branch, branches, last, layers=2, stack=stack, adds=adds, other=other)  # type: ignore[arg-type]
    return Slot("w", (D, D), "float32", "weight", op="linear", axes=Axes.parse("oi", (D, D)), residual=place)


@pytest.mark.parametrize("n, m", [(4, 2), (2, 5), (6, 6)])
def test_encoders_and_decoders_have_the_factors_of_the_papers(n: int, m: int) -> None:
    """Tables of DeepNet (α, β), Magneto (γ) and T-Fixup, N layers of the encoder and M of the decoder, read from the slots."""
    encoder, decoder = stacked("encoder", 2 * n, 2, m, last=True), stacked("decoder", 3 * m, 3, n, last=True)

    def factors(rule: rules.Rule) -> tuple[float, float]:
        return std(rule(encoder)) / XAVIER, std(rule(decoder)) / XAVIER

    assert factors(rules.deepnorm()) == pytest.approx((0.87 * (n**4 * m) ** (-1 / 16), (12 * m) ** -0.25))
    skips = [rules.deepnorm().requires(s)[0].value for s in (encoder, decoder)]
    assert skips == pytest.approx([0.81 * (n**4 * m) ** (1 / 16), (3 * m) ** 0.25])
    wanted = math.sqrt(math.log(3 * m) * math.log(2 * n) / 3), math.sqrt(math.log(3 * m))
    assert factors(rules.subln()) == pytest.approx(wanted)
    assert factors(rules.t_fixup()) == pytest.approx((0.67 * n**-0.25, (9 * m) ** -0.25))
    assert std(rules.wang()(decoder)) == pytest.approx(2 / (m * math.sqrt(D)))
    # what the user says counts more than what was seen
    assert std(rules.deepnorm(stack="alone", layers=12)(decoder)) / XAVIER == pytest.approx((8 * 12) ** -0.25)
    assert std(rules.deepnorm(other=9)(encoder)) / XAVIER == pytest.approx(0.87 * (n**4 * 9) ** (-1 / 16))


def test_the_layer_of_a_decoder_is_counted_in_threes() -> None:
    """The last weight of branch 4 of 6: in layer 1, where two adds a layer would say 2."""
    place = stacked("decoder", 6, 3, 4, branch=4, last=True)
    assert std(rules.depth_scaled()(place)) == pytest.approx(0.02 / math.sqrt(2 * 2))


def test_one_residual_add_is_a_layer_of_sub_ln() -> None:
    """log(2 N) of half a layer is 0, which would leave nothing of the weight."""
    assert std(rules.subln()(slot(branches=1))) / XAVIER == pytest.approx(math.sqrt(math.log(2)))


@pytest.mark.parametrize("spec", ["(s3o)i", "i(s3o)", "(o4s3o)i"])
@pytest.mark.parametrize(("rule", "factor"), SCALED, ids=str)
def test_of_a_fused_projection_only_the_value_is_scaled(rule: rules.Rule, factor: float, spec: str) -> None:
    """Whatever the layout: blocks of all heads, stored transposed (GPT-2), or q, k and v head by head (GPT-NeoX, BLOOM)."""
    shape = (D, 3 * D) if spec.startswith("i") else (3 * D, D)
    law = rule(slot(spec, shape, parts="qkv"))
    assert isinstance(law, Stack)
    weight = draw_distribution(law, shape, seed=0, name="w", dtype="float64")
    weight = weight.T if spec.startswith("i") else weight
    heads = 4 if "4" in spec else 1
    by_part = weight.reshape(heads, 3, D // heads, D).std(axis=(0, 2, 3)) / XAVIER
    np.testing.assert_allclose(by_part, [1, 1, factor], rtol=0.05)


def test_deepnorm_bounds_what_one_step_changes() -> None:
    """The paper's condition (section 4.1): the update of N layers, ∝ 2 N (v² + w²) / α² with v = w = β, is the same for any N."""

    def update(n: float) -> float:
        alpha, beta = deepnorm_numbers(n)
        return 2 * n * 2 * beta**2 / alpha**2

    assert update(6) == pytest.approx(update(1000))
    alpha, beta = deepnorm_numbers(18, "encoder", 6)
    assert (alpha, beta) == (
        pytest.approx(0.81 * (18**4 * 6) ** (1 / 16)),
        pytest.approx(0.87 * (18**4 * 6) ** (-1 / 16)),
    )


def test_deepnorm_and_admin_ask_for_factors_on_the_skip() -> None:
    (need,) = rules.deepnorm().requires(slot(last=True))
    assert need.kind == "skip_weight"
    assert need.value == pytest.approx(24**0.25)
    weights = [rules.admin(variance=0.5).requires(slot(last=True, branch=i))[0].value for i in range(4)]
    assert [w**2 for w in weights] == pytest.approx([1, 1.5, 2, 2.5])  # each skip carries what came before
    assert "trainable" in rules.admin().requires(slot(last=True))[0].detail


def test_t_fixup_takes_norms_out_and_scales_embeddings() -> None:
    (need,) = rules.t_fixup().requires(Slot("norm.weight", (D,), "float32", "norm_scale", module="norm"))
    assert (need.kind, need.where) == ("no_norm", "norm")
    table = Slot("e", (50, D), "float32", "embedding", axes=Axes.parse("vo", (50, D)))
    assert std(rules.t_fixup(layers=6)(table)) == pytest.approx((9 * 6) ** -0.25 / math.sqrt(D))
    (need,) = rules.t_fixup(layers=6).requires(table)
    assert (need.kind, need.where, need.value) == (
        "op_scale",
        "e",
        math.sqrt(D),
    )  # what enters the stream does not shrink with D
    assert not rules.t_fixup(layers=6, multiplied=False).requires(table)


@pytest.mark.parametrize(("rule", "wanted"), [
    (rules.gpt2_residual(), 0.02 / math.sqrt(24)),
    (rules.gpt2_residual(std=0.1, branches=4), 0.05),
    (rules.depth_scaled(), 0.02 / math.sqrt(2 * 6)),  # branch 11 is in layer 5
    (rules.wang(), 2 / (12 * math.sqrt(D))),
    (rules.small_init(), math.sqrt(2 / (5 * D))),
], ids=str)  # fmt: skip
def test_what_writes_to_the_stream(rule: rules.Rule, wanted: float) -> None:
    """The last weight of branch 11 of 24 (layer 5 of 12), from 4 d to d."""
    assert std(rule(slot("oi", (D, 4 * D), last=True, branch=11))) == pytest.approx(wanted)


def test_mitchell_is_cut_at_three_deviations() -> None:
    law = rules.mitchell()(slot("oi", (D, 4 * D), last=True, branch=11))
    wanted = 1 / math.sqrt(2 * 4 * D * 6)
    assert (law.std, law.high) == (pytest.approx(wanted), pytest.approx(3 * wanted))  # type: ignore[attr-defined]


def test_small_init_is_xavier_of_the_widest_layer() -> None:
    assert std(rules.small_init()(slot())) == pytest.approx(std(rules.xavier_normal()(slot("oi", (4 * D, D)))))


@pytest.mark.parametrize(("make", "message"), [
    (lambda s: rules.deepnorm(stack="encoder")(s), "needs other=, the layers of the decoder"),
    (lambda s: rules.deepnorm()(slot("oi", (3 * D, D), parts="qkv")), "cannot find the block of the value"),
    (lambda s: rules.subln(layers=0.5)(s), "gives no gain, .* give layers= of at least 1"),
    (lambda s: rules.deepnorm()(stacked("encoder", 8, 2, 0)), "needs other=, the layers of the decoder"),
    (lambda s: rules.deepnorm()(stacked("both", 6, 3, 0)), "attends to one stack and is attended to by another; give stack="),
    (lambda s: rules.subln()(stacked("decoder", 7, 0, 4)), "cannot tell where the layers .* begin, .* give layers="),
    (lambda s: rules.depth_scaled()(stacked("decoder", 7, 0, 4)), "give block="),
    (lambda s: rules.wang()(Slot("w", (4, 4), "float32", "weight", axes=Axes.parse("oi", (4, 4)))), "give layers="),
    (lambda s: rules.gpt2_residual(last=True)(Slot("w", (4, 4), "float32", "weight")), "give branches="),
    (lambda s: rules.depth_scaled()(Slot("w", (4, 4), "float32", "weight")), "give block="),
    (lambda s: rules.deepnorm(stack="both"), "stack='both' is not known"),
    (lambda s: rules.t_fixup(part="q"), "part='q' is not known"),
    (lambda s: rules.wang(layers=0), "layers=0 cannot be used"),
])  # fmt: skip
def test_what_cannot_be_used_is_named(make, message: str) -> None:
    with pytest.raises(FaninError, match=message):
        make(slot())
