"""Contexts and methods: what tells them apart, and what stands for variables."""

import pytest
from tests.lab.analysis import samples

from fanin.lab.analysis import axes


def test_an_axis_that_others_decide_is_not_named() -> None:
    contexts = [{"model": f"mlp(depth={d})", "data": data, "depth": d} for d in (2, 9) for data in ("digits", "wine")]
    assert axes.varying_axes(contexts) == ("data", "depth")
    assert axes.label_of(contexts[0], axes.varying_axes(contexts)) == "digits, depth 2"


def test_models_that_no_variable_tells_apart_are_named() -> None:
    contexts = [{"model": m, "data": "digits"} for m in ("lenet", "vgg")]
    assert axes.varying_axes(contexts) == ("model",)


def test_a_single_context_needs_no_label() -> None:
    assert axes.varying_axes([{"model": "lenet", "data": "digits"}]) == ()


def test_methods_come_in_the_order_of_the_study_whatever_the_order_of_the_rows() -> None:
    s = samples.study(plans=("fanin", "scaled(gain={gain})", "default"), variables={"gain": (2.0, 0.5)})
    configs = samples.configs(s)
    assert axes.plans_of(s, configs) == ("fanin", "scaled(gain=2.0)", "scaled(gain=0.5)", "default")
    assert axes.plans_of(s, configs[::-1])[0] == "fanin"
    assert axes.plans_of(s, configs[::-1])[-1] == "default"


@pytest.mark.parametrize("written", ["scaled(gain=0.5)", "scaled( gain = 0.5 )"])
def test_a_methods_variables_are_found_in_its_text(written: str) -> None:
    s = samples.study(plans=("default", "scaled(gain={gain})"), variables={"gain": (2.0, 0.5)})
    assert axes.plan_variables(written, s) == {"gain": 0.5}
    assert axes.plan_family(written, s) == "scaled(gain={gain})"
    assert axes.plan_variables("default", s) == {}


def test_values_are_the_same_however_they_are_written() -> None:
    assert axes.same_value(30, 30.0)
    assert axes.same_value("mlp(act='relu')", 'mlp(act="relu")')
    assert not axes.same_value(True, 1)
    assert not axes.same_value(None, 0)


def test_arguments_of_models_are_axes() -> None:
    models = [
        "mlp(depth=3, width=64)",
        "mlp(depth=30, width=64)",
        "mlp(depth=30, width=64, residual=True, norm='batch')",
    ]
    parts = axes.parts_of([{"model": m, "data": "digits"} for m in models])
    varying = axes.varying_axes(parts)
    assert varying == ("depth", "residual", "norm")
    assert [axes.label_of(p, varying) for p in parts] == [
        "depth 3, no residual, no norm",
        "depth 30, no residual, no norm",
        "depth 30, residual, norm batch",
    ]


def test_a_model_without_the_others_arguments_is_named() -> None:
    parts = axes.parts_of([{"model": m} for m in ("lenet", "vgg(depth=11)", "package.module:Net(depth=3)")])
    varying = axes.varying_axes(parts)
    assert [axes.label_of(p, varying) for p in parts] == ["lenet", "vgg, depth 11", "package.module:Net(depth=3)"]
