"""From a spec to a model, for the data that it is asked for."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.lab.zoo.tools import parameters

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.data import from_arrays, load
from fanin.lab.models import build, check, factory, find, table, takes

OWN = """
import torch
from torch import nn

def net(input_shape, classes, depth: int = 1, seed: int = 0):
    '''A net of my own.'''
    hidden = [layer for _ in range(depth) for layer in (nn.Linear(input_shape[0], input_shape[0]), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(input_shape[0], classes))

def seeded(classes, seed):
    torch.manual_seed(seed)
    return nn.Linear(64, classes)

def any_(*sizes, **options):
    return nn.Linear(64, options["classes"])

def wrong(classes):
    return nn.Linear(3, classes)

def needy(size):
    return nn.Linear(size, 2)

ready = nn.Linear(3, 2)
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    """A file with factories of a user's own."""
    file = tmp_path / "own_nets.py"
    file.write_text(OWN)
    return str(file)


def test_a_model_gets_what_it_must_know_from_the_data() -> None:
    digits = build("mlp(depth=1, width=7)", "digits")
    assert parameters(digits) == 64 * 7 + 7 + 7 * 10 + 10
    diabetes = build("mlp(depth=1, width=7)", "diabetes")
    assert diabetes(torch.zeros(3, 10)).shape == (3, 1)


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        ("mlp", "imbalanced"),
        ("mlp(width=8)", "multilabel"),
        ("autoencoder", "digits_autoencoder"),
        ("lenet", "digits"),
        ("lstm", "digits"),
        ("lstm", "adding:20:100"),
        ("gru", "copying:10:100"),
        ("char_transformer", "copying:10:100"),
        ("series_lstm", "series"),
        ("linear", "diabetes"),
    ],
)
def test_models_fit_data_of_every_task(spec: str, data: str) -> None:
    check(spec, data)


def test_each_call_gives_a_fresh_model_by_the_state_of_the_generator() -> None:
    make = factory("mlp", "digits")
    torch.manual_seed(0)
    first, second = make(), make()
    torch.manual_seed(0)
    again = make()
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, second[0].weight)


def test_a_spec_written_otherwise_is_the_same_factory() -> None:
    data = load("digits")
    assert factory('mlp( depth = 3, activation = "tanh" )', data) == factory("mlp(depth=3, activation='tanh')", data)


def test_factories_go_to_other_processes(own: str) -> None:
    specs = ("mlp(depth=1)", f"{own}:net(depth=2)")
    pickled = pickle.dumps([factory(spec, "digits") for spec in specs])
    code = f"import pickle; print([sum(p.numel() for p in f().parameters()) for f in pickle.loads({pickled!r})])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert run.stdout.strip() == str([parameters(build(spec, "digits")) for spec in specs])


@pytest.mark.parametrize(
    ("spec", "data", "message"),
    [
        ("restnet(depth=20)", "digits", "did you mean 'resnet'"),
        ("mlp(deph=3)", "digits", "no argument 'deph'.*did you mean 'depth'"),
        ("mlp(3)", "digits", "does not parse"),
        ("resnet", "diabetes", r"needs images \(channels, height, width\), but data='diabetes' gives vectors \(10,\)"),
        ("lenet", "series", r"needs images .* but data='series' gives sequences \(32, 1\) or vectors \(32,\)"),
        ("lstm", "diabetes", r"needs ids \(positions,\) or sequences .*gives vectors \(10,\)"),
        ("autoencoder", "digits", "64 numbers, but the target has 10"),
        ("vit(patch=3)", "digits", "patch=3 does not divide"),
        ("text_cnn(windows=(3, 200))", "copying:10:100", "gives one output for each example"),
        ("char_transformer(context=3)", "copying:10:100", "context=3 is too short"),
        ("mlp(width=0)", "digits", "width=0 must be a whole number"),
        ("mlp(activation='reluu')", "digits", "activation='reluu'.*did you mean 'relu'"),
        ("mlp(norm='bach')", "digits", "norm='bach' is unknown; accepted are batch, layer, rms"),
        ("mlp(dropout=1.5)", "digits", "dropout=1.5"),
        ("resnet(depth=21)", "digits", r"model='resnet\(depth=21\)'.*6 n \+ 2"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(spec: str, data: str, message: str) -> None:
    with pytest.raises(FaninValueError, match=message) as caught:
        check(spec, data)
    assert "\n" not in str(caught.value)


def test_a_check_neither_computes_nor_draws() -> None:
    before = torch.get_rng_state()
    check("mlp(depth=3, width=200000)", "digits")  # 320 GB of weights
    assert torch.equal(before, torch.get_rng_state())


def test_targets_at_each_position_need_a_model_of_sequences() -> None:
    x, y = np.zeros((4, 5), dtype=np.float32), np.zeros((4, 5), dtype=np.int64)
    with pytest.raises(
        FaninValueError, match="one output for each example, but data='arrays' wants one at each position"
    ):
        check("mlp", from_arrays(x, y, x, y))


def test_arguments_that_a_study_may_vary(own: str) -> None:
    assert takes("mlp(depth=3)") == ("depth", "width", "activation", "norm", "residual", "dropout", "bias")
    assert takes(f"{own}:net") == ("depth",)


def test_a_factory_of_ones_own(own: str) -> None:
    check(f"{own}:net(depth=2)", "digits")
    model = build(f"{own}:net(depth=2)", "digits")
    assert len(model) == 5
    assert model[0].in_features == 64
    assert build(f"{own}:any_(classes=10, more=2)", "digits").out_features == 10
    assert find(f"{own}:net").about == "A net of my own."


def test_a_factory_of_ones_own_is_given_the_seed_where_it_takes_it(own: str) -> None:
    from fanin.lab.torch.construct import construct

    make = factory(f"{own}:seeded", "digits")
    assert torch.equal(construct(make, 1).weight, construct(make, 1).weight)
    assert not torch.equal(construct(make, 1).weight, construct(make, 2).weight)
    fixed = factory(f"{own}:seeded(seed=1)", "digits")
    assert torch.equal(construct(fixed, 1).weight, construct(fixed, 2).weight)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nett", "has no 'nett'; did you mean net"),
        ("net(deph=1)", r"own_nets.py:net\(deph=1\)' has no argument 'deph'.*did you mean 'depth'"),
        ("needy", "needs size"),
        ("ready", "is a model, but must be a function"),
        ("wrong", "does not take data='digits'"),
        ("net(", "does not parse"),
    ],
)
def test_a_wrong_factory_of_ones_own_is_said(own: str, name: str, message: str) -> None:
    with pytest.raises((FaninValueError, FaninTypeError), match=message):
        check(f"{own}:{name}", "digits")


def test_modules_and_files_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(FaninValueError, match="no module nowhere"):
        check("nowhere:net", "digits")
    with pytest.raises(FaninValueError, match="does not exist"):
        check(f"{tmp_path}/missing.py:net", "digits")


def test_the_list_of_models_loads_no_framework() -> None:
    code = "import sys; from fanin.lab.models import table; assert len(table()) > 2; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("name", sorted(table()))
def test_every_model_is_described(name: str) -> None:
    info = table()[name]
    assert info.about
    assert info.paper
    assert info.function.__doc__
    assert all(f"{argument}: " in info.function.__doc__ for argument in info.arguments)
