"""Plans from what layers declare of their weights."""

import pytest

from fanin.distributions import Constant, Normal
from fanin.errors import FaninValueError
from fanin.plans import Plan
from fanin.plans.declared import declared_plan, einsum_axes
from fanin.plans.presets import find
from fanin.slots import Axes, Slot

KNOWN = Slot("a.kernel", (4, 6), "float32", "weight", axes=Axes.parse("io", (4, 6)), module_type="Dense")
VAGUE = [Slot(f"{name}.w", (3, 5), "float32", "weight", module_type="Own") for name in "bc"]


def made(rules: object, *slots: Slot) -> Plan:
    return declared_plan(slots or (KNOWN, *VAGUE), rules, seed=1, framework="jax", model="Net")


def test_one_error_names_every_weight_whose_axes_are_needed() -> None:
    with pytest.raises(FaninValueError, match=r"b\.w of shape \(3, 5\) in Own; c\.w of shape") as error:
        made("he_normal")
    assert "a.kernel" not in str(error.value)


def test_rules_that_need_no_fans_serve_them() -> None:
    plan = made({"*": "normal(std=0.5)", "a.*": "he_normal"})
    assert [entry.distribution for entry in plan.entries.values()][1:] == [Normal(0.5), Normal(0.5)]
    assert plan.seed == 1
    assert made(Constant(0.5), KNOWN).entries["a.kernel"].distribution == Constant(0.5)


def test_other_faults_of_a_rule_are_told_as_they_are() -> None:
    with pytest.raises(FaninValueError, match=r"cannot serve a\.kernel"):
        made("dirac", Slot("a.kernel", (4,), "float32", "weight", axes=Axes.parse("o", (4,))))
    with pytest.raises(FaninValueError, match="no parameters"):
        declared_plan((), "he_normal", seed=0, framework="jax", model="Net")


@pytest.mark.parametrize(
    ("equation", "spec"),
    [
        ("BTD,NDH->BTNH", "oio"),
        ("BTNH,NHD->BTD", "iio"),
        ("ETD,EDF->ETF", "sio"),
        ("...d, df -> ...f", "io"),
        ("BD,DKF->BF", "iio"),  # a letter that only the kernel has is summed, too
        (None, None),
        ("BD,...D->B", None),
        ("BD,DD->B", None),
        ("BD->B", None),
    ],
)
def test_axes_of_an_einsum(equation: str | None, spec: str | None) -> None:
    assert einsum_axes(equation) == spec


UP, DOWN = (
    Slot(f"blocks.{k}.kernel", (4, 4), "float32", "weight", axes=Axes.parse("io", (4, 4)), module=f"blocks.{k}")
    for k in range(2)
)
TOLD = [("blocks.0", "blocks.1")]


def preset(rules: object, **known: object) -> Plan:
    return declared_plan((UP, DOWN), rules, seed=0, framework="jax", model="Net", **known)  # type: ignore[arg-type]


def test_presets_that_ask_for_nothing_unseen_serve_models_without_a_pass() -> None:
    assert preset("llama").entries["blocks.0.kernel"].distribution == Normal(0.02)
    assert preset("llama(std=0.5)").entries["blocks.0.kernel"].distribution == Normal(0.5)
    assert preset(find("lecun")).entries["blocks.0.kernel"].reason.endswith("in lecun")
    scaled = preset("gpt2", branches=TOLD).entries
    assert (
        scaled["blocks.0.kernel"].distribution == scaled["blocks.1.kernel"].distribution == Normal(0.02)
    )  # of one branch
    two = preset("gpt2", branches="blocks.*").entries
    assert two["blocks.0.kernel"].distribution == Normal(0.02 / 2**0.5)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("gpt2", "'gpt2' is a preset that needs to know where residual branches end.*branches="),
        ("mup", "'mup' is a preset that needs to know which layer is the first and which layer is the head"),
        ("pytorch", "which op takes a weight.*give its rules by pattern here, as fanin.plans.presets.find"),
        ("gpt2(wrong=1)", "has no parameter wrong"),
        (find("rezero"), "'rezero' is a preset that needs to know where residual branches end"),
        ("gpt3", "rule 'gpt3' is not known"),
    ],
)
def test_presets_that_ask_for_what_only_a_watched_pass_tells_say_so(rules: object, words: str) -> None:
    with pytest.raises(FaninValueError, match=words):
        preset(rules)


def test_a_name_that_is_also_a_rules_is_the_rule() -> None:
    assert preset("orthogonal").entries["blocks.0.kernel"].reason == "orthogonal() for '*'"
    with pytest.raises(
        FaninValueError, match=r"give layers=, as in deepnorm\(layers=12\)"
    ):  # which the preset would not say
        preset("deepnorm")
