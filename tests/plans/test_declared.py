"""Plans from what layers declare of their weights."""

import pytest

from fanin.distributions import Constant, Normal
from fanin.errors import FaninValueError
from fanin.plans import Plan
from fanin.plans.declared import declared_plan, einsum_axes
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
