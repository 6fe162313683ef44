"""From a study to its runs: which there are, in which order, and by which keys."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanin.errors import FaninValueError
from fanin.lab.study.grid import (
    check_size,
    check_variables,
    configs,
    contexts,
    filled_bindings,
    grid_size,
    key_of,
    plans,
    run_count,
)
from fanin.lab.study.records import RunConfig, Study, TrainingSettings

DEPTHS = Study("s", models=("mlp(depth={depth})",), lrs=(0.01, 0.1), variables={"depth": (2, 9)}, seeds=(0, 1, 2))


def test_every_combination_is_there_once() -> None:
    runs = configs(DEPTHS)
    assert len(runs) == 2 * 2 * 2 * 3 == run_count(DEPTHS) == grid_size(DEPTHS)
    assert len({key_of(c) for c in runs}) == len(runs)


def test_the_first_runs_of_a_context_have_every_method_with_the_same_seeds() -> None:
    runs = configs(DEPTHS)
    for end in range(0, len(runs), len(DEPTHS.plans) * len(DEPTHS.lrs)):
        part = runs[:end]
        for context in {json.dumps(c.context) for c in part}:
            here = [c for c in part if json.dumps(c.context) == context]
            seeds = {plan: {c.seed for c in here if c.plan == plan} for plan in DEPTHS.plans}
            assert len({frozenset(s) for s in seeds.values()}) == 1


def test_contexts_hold_what_is_never_pooled() -> None:
    assert contexts(DEPTHS) == tuple(
        {"model": f"mlp(depth={d})", "data": "digits", "optimizer": "sgd(momentum=0.9)", "batch_size": 64, "depth": d}
        for d in (2, 9)
    )


def test_a_variable_of_plans_alone_makes_methods_and_no_contexts() -> None:
    study = replace(
        DEPTHS, plans=("default", "variance_scaling(scale={scale})"), variables={"depth": (2,), "scale": (1.0, 2.0)}
    )
    assert plans(study) == ("default", "variance_scaling(scale=1.0)", "variance_scaling(scale=2.0)")
    assert len(contexts(study)) == 1
    assert "scale" not in contexts(study)[0]
    assert len(configs(study)) == 3 * 2 * 3  # the default is run once, not once a scale


def test_a_variable_of_data_and_plan_is_filled_in_with_one_value() -> None:
    study = replace(
        DEPTHS, models=("lstm(width=8)",), plans=("default", "default+chrono(t_max={lag})"), data=("adding:50:{lag}",),
        variables={"lag": (20, 40)},
    )  # fmt: skip
    together = {(c.data, c.plan) for c in configs(study) if c.plan != "default"}
    assert together == {(f"adding:50:{lag}", f"default+chrono(t_max={lag})") for lag in (20, 40)}


def test_a_variable_that_no_text_names_is_an_argument_of_the_models_that_take_it() -> None:
    study = replace(DEPTHS, models=("mlp(depth=2)", "linear", "mlp(width=7)"), variables={"width": (8, 16)})
    assert dict.fromkeys(c["model"] for c in contexts(study)) == dict.fromkeys(
        ("mlp(depth=2, width=8)", "mlp(depth=2, width=16)", "linear", "mlp(width=7)")
    )
    assert [("width" in c) for c in contexts(study)] == [True, True, False, False]


def test_models_are_named_in_one_form_whatever_their_spaces() -> None:
    assert configs(replace(DEPTHS, models=('mlp( depth = {depth},activation="relu")',)))[0].model == (
        "mlp(depth=2, activation='relu')"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": ("mlp(depth={dept})",)}, r"names \{dept\}, but the grid's variables are depth"),
        ({"models": ("mlp",), "variables": {"colour": (1, 2)}}, "grid.colour changes nothing"),
        ({"models": ("linear",)}, "grid.depth changes nothing"),
        ({"models": ("mlp(depth=3)",)}, "grid.depth changes nothing"),
    ],
)
def test_variables_that_change_nothing_are_refused(changes: dict, said: str) -> None:
    with pytest.raises(FaninValueError, match=said):
        check_variables(replace(DEPTHS, **changes))


def test_a_grid_that_no_store_is_for_is_refused_before_it_is_made() -> None:
    with pytest.raises(FaninValueError, match=r"1,600,000,000 runs, more than 1,000,000"):
        check_size(replace(DEPTHS, seeds=tuple(range(200_000)), variables={"depth": tuple(range(2000))}))


def test_keys_depend_on_all_that_numbers_depend_on_and_on_nothing_else() -> None:
    config = configs(DEPTHS)[0]
    others = [
        replace(config, model="linear"), replace(config, plan="lsuv"), replace(config, data="wine"), replace(config, lr=0.02),
        replace(config, optimizer="adam"), replace(config, batch_size=32), replace(config, seed=7), replace(config, stacked=True),
        replace(config, training=replace(config.training, epochs=3.0)), replace(config, stacked=True, together=20),
    ]  # fmt: skip
    assert len({key_of(c) for c in (config, *others)}) == len(others) + 1
    assert key_of(replace(config, context={"depth": 99})) == key_of(config)
    assert key_of(RunConfig.from_dict(json.loads(json.dumps(config.to_dict())))) == key_of(config)


def test_a_run_of_a_study_that_knew_no_size_of_stacks_is_read() -> None:
    content = configs(DEPTHS)[0].to_dict()
    assert content.pop("together") == 0
    assert RunConfig.from_dict(content) == configs(DEPTHS)[0]


def test_another_process_makes_the_same_keys() -> None:
    code = (
        "from fanin.lab.study.grid import configs, key_of; from fanin.lab.study.records import Study;"
        "print(*[key_of(c) for c in configs(Study('s', models=('mlp(depth={depth})',), variables={'depth': (2, 9)}))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = [key_of(c) for c in configs(Study("s", models=("mlp(depth={depth})",), variables={"depth": (2, 9)}))]
    assert run.stdout.split() == here


@settings(max_examples=15)
@given(
    seeds=st.integers(1, 4), more=st.integers(0, 3), lrs=st.sets(st.sampled_from([0.001, 0.01, 0.1]), min_size=1),
    depths=st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True),
)  # fmt: skip
def test_a_study_that_has_grown_holds_every_run_that_it_held(
    seeds: int, more: int, lrs: set[float], depths: list[int]
) -> None:
    small = replace(DEPTHS, lrs=tuple(lrs), variables={"depth": tuple(depths)}, seeds=tuple(range(seeds)))
    large = replace(small, seeds=tuple(range(seeds + more)), plans=(*small.plans, "lsuv"), lrs=(*small.lrs, 0.5))
    before, after = ({key_of(c) for c in configs(s)} for s in (small, large))
    assert before <= after
    assert len(after) == math.prod((len(depths), seeds + more, 3, len(lrs) + 1))


def net(width: int = 4, gain: float = 1.0):
    return width, gain


def test_own_factories_are_given_the_variables_that_they_take() -> None:
    study = replace(DEPTHS, models=("net", "net(gain=2.0)"), variables={"width": (8, 16)})
    bound = filled_bindings(study, {"net": net})
    runs = dict.fromkeys(c.model for c in configs(study, {"net": net}))
    assert [bound[name]() for name in runs] == [(8, 1.0), (16, 1.0), (8, 2.0), (16, 2.0)]


def test_training_is_part_of_every_run() -> None:
    training = TrainingSettings(epochs=2.0, schedule="cosine")
    assert {c.training for c in configs(replace(DEPTHS, training=training))} == {training}
