"""Bad input gets one clear sentence, and nothing half-done: through the faces that users call.

What a room refuses by itself is tested with that room (tests/traces/test_bad_input.py, tests/plans/, tests/lab/), and the
command line in tests/test_cli.py; here stands that `check`, `plan`, `fix`, `compare`, `draw` and `gain` say the same.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import fanin
from fanin import rules
from fanin.cli import main
from fanin.plans import Plan

X = torch.linspace(-1, 1, 64).reshape(16, 4)
Y = torch.arange(16) % 2
VERBS = {"check": fanin.check, "plan": fanin.plan, "fix": fanin.fix}


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def deep() -> nn.Sequential:
    """A net that `fix` has something to mend in."""
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), *[m for _ in range(20) for m in (nn.Linear(8, 8), nn.ReLU())])


def two_slopes() -> nn.PReLU:
    module = nn.PReLU(2)
    module.weight.data = torch.tensor([0.1, 0.2])
    return module


def said(run: Callable[[], Any], kind: type[Exception] = fanin.FaninError) -> str:
    """The sentence of the error that a call raises."""
    with pytest.raises(kind) as caught:
        run()
    assert isinstance(caught.value, fanin.FaninError), "raised on purpose"
    assert isinstance(caught.value, ValueError | TypeError), "and known to those who do not know fanin"
    return str(caught.value)


class Raises(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = net()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.body(x)
        raise RuntimeError("line one\nline two")


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return self.a(left) + self.b(right)


# what is wrong → (model, batch, other arguments, words of the sentence)
UNUSABLE: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "a number for a model": (3, X, {}, "model is of type int, but must be a torch.nn.Module"),
    "None for a model": (None, X, {}, "model is of type NoneType"),
    "a class": (nn.ReLU, X, {}, "call the class or factory first"),
    "a factory": (net, X, {}, "call the class or factory first"),
    "a list of modules": ([net()], X, {}, "model is of type list"),
    "no parameters": (nn.Sequential(nn.ReLU(), nn.Flatten()), X, {}, "has no parameters"),
    "lazy": (nn.Sequential(nn.LazyLinear(3)), X, {}, "lazy parameters without a shape (0.weight); run one batch"),
    "a forward that raises": (Raises(), X, {}, "raised RuntimeError in the model's own forward on a batch of float32"),
    "no batch": (net(), None, {}, "batch=None cannot be used; give a tensor, a tuple, a dict or a loader"),
    "shape": (net(), X[:, :3], {}, "raised RuntimeError in module '0' on a batch of float32 (16, 3)"),
    "type": (net(), X.long(), {}, "int64 (16, 4)"),
    "precision": (net(), X.double(), {}, "float64 (16, 4)"),
    "device": (net(), X.to("meta"), {}, "raised RuntimeError in module '0'"),
    "an array": (net(), X.numpy(), {}, "batch is of type ndarray, but must be a tensor, a tuple, a dict or a loader"),
    "a spec": (net(), "float32:8x4", {}, "batch is of type str"),
    "a path": (net(), Path("x.pt"), {}, "batch is of type PosixPath"),
    "a dataset": (net(), TensorDataset(X), {}, "batch is of type TensorDataset"),
    "an empty loader": (net(), DataLoader([]), {}, "batch is an empty loader"),
    "no examples": (net(), X[:0], {}, "has no elements; give at least one example"),
    "an empty tuple": (net(), (), {}, "holds no tensor"),
    "NaN": (net(), X * torch.nan, {}, "holds 64 values that are NaN or infinite"),
    "one infinity": (TwoInputs(), (X, X.where(X < 1, torch.inf)), {}, "input[1] of shape (16, 4) holds 1 values"),
    "a name that forward lacks": (TwoInputs(), {"left": X, "wrong": X}, {}, "unexpected keyword argument 'wrong'"),
    "one input of two": (TwoInputs(), X, {}, "missing 1 required positional argument: 'right'"),
    "a loss by name": (net(), X, {"loss": "cross_entropy"}, "loss='cross_entropy' cannot be used; it must be a func"),
    "a loss of many numbers": (net(), X, {"loss": lambda o: o}, "loss gave shape (16, 2), but must give one number"),
    "a loss that is no tensor": (net(), X, {"loss": lambda o: 1.5}, "loss gave a float, but must give a tensor"),
    "a complex loss": (net(), X, {"loss": lambda o: o.sum() * 1j}, "loss gave a complex number"),
    "a loss that raises": (net(), X, {"loss": lambda o: 1 / 0}, "the loss raised ZeroDivisionError without targets"),
    "a target out of range": (
        net(), X, {"loss": F.cross_entropy, "targets": Y + 5}, "the loss raised IndexError on targets of int64 (16,)",
    ),
    "targets without a loss": (net(), X, {"targets": Y}, "targets are given without a loss"),
    "NaN in the targets": (
        net(), X, {"loss": F.mse_loss, "targets": torch.full((16, 2), torch.nan)}, "targets: target of shape (16, 2)",
    ),
    "a number to keep": (net(), X, {"keep": 3}, "keep=3 cannot be used; give a string or a list of strings"),
    "a negative seed": (net(), X, {"seed": -1}, "seed=-1 cannot be used; it must be a whole number from 0 to 2**64"),
    "a huge seed": (net(), X, {"seed": 2**64}, "seed=18446744073709551616 cannot be used"),
    "a seed in words": (net(), X, {"seed": "one"}, "seed='one' cannot be used"),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", UNUSABLE)
def test_one_sentence_and_an_untouched_model(case: str, verb: str) -> None:
    model, batch, options, words = UNUSABLE[case]
    module = model if isinstance(model, nn.Module) and "lazy" not in case else nn.Module()
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    state = torch.get_rng_state()
    if "keep" in options and verb == "check":
        options = {"select": options["keep"]}
        words = words.replace("keep", "select")
    sentence = said(lambda: VERBS[verb](model, batch, **options))
    assert words in sentence
    assert "\n" not in sentence
    assert all(torch.equal(p, before[name]) for name, p in module.named_parameters())
    assert torch.equal(state, torch.get_rng_state())


def test_one_code_stands_for_itself() -> None:
    """A string is a sequence of letters: "F" alone would select every check."""
    alone = [f.code for f in fanin.check(deep(), X, select="FI2").findings]
    assert alone == [f.code for f in fanin.check(deep(), X, select=["FI2"]).findings]
    assert {code[:3] for code in alone} == {"FI2"}


def test_a_pair_from_a_loader_needs_a_loss() -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=8)
    assert "Sequential.forward() takes 2 positional arguments but 3 were given" in said(
        lambda: fanin.check(net(), loader)
    )
    assert fanin.check(net(), loader, loss=F.cross_entropy).trace.backward == "loss"


def test_a_loader_that_shuffles_leaves_every_random_state() -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True)
    model = net()
    state = torch.get_rng_state()
    for verb in VERBS.values():
        verb(model, loader, loss=F.cross_entropy)
        assert torch.equal(state, torch.get_rng_state())


def test_nan_may_stand_for_unknown_targets() -> None:
    targets = torch.where(torch.arange(32).reshape(16, 2) % 3 == 0, torch.nan, 1.0)

    def masked(out: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return (out - wanted)[~wanted.isnan()].square().mean()

    assert fanin.check(net(), X, targets, masked).trace.loss is not None


def test_a_loss_that_no_weight_reaches_is_noted() -> None:
    report = fanin.check(net(), X, loss=lambda out: out.detach().sum())
    assert report.trace.backward == "probe"
    assert any("loss does not depend on a trainable weight" in note for note in report.trace.notes)


def test_one_example_a_norm_and_a_loss_that_raises() -> None:
    """The second try, in evaluation mode, says the same sentence as the first one would."""
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    assert said(lambda: fanin.check(model, X[:1], loss=lambda out: 1 / 0)).startswith(
        "the loss raised ZeroDivisionError"
    )


def test_complex_and_integer_weights_are_skipped_and_named() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = nn.Linear(4, 4)
            self.phase = nn.Parameter(torch.randn(4, 4, dtype=torch.complex64))
            self.table = nn.Parameter(torch.arange(4), requires_grad=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.line(x).to(torch.complex64) @ self.phase).abs() + self.table

    report = fanin.check(Mixed(), X)
    assert any("phase" in note and "table" in note and "skipped" in note for note in report.trace.notes)
    by_rules = fanin.plan(Mixed(), X, rules={"*": rules.he_normal()})
    assert set(by_rules.entries) == {"line.weight", "line.bias"}
    assert "phase" in " ".join(by_rules.notes)
    by_rules.apply(Mixed())
    fanin.fix(Mixed(), X)
    chosen = fanin.plan(Mixed(), X)
    assert {"phase", "table"}.isdisjoint(chosen.entries)


WRAPPED = {
    "compiled": torch.compile,
    "parallel": nn.DataParallel,
    "scripted": lambda model: torch.jit.trace(model, X),
}


@pytest.mark.filterwarnings("ignore:.*jit:DeprecationWarning")
@pytest.mark.parametrize("wrap", WRAPPED)
def test_wrapped_models_work_or_say_what_cannot_be_seen(wrap: str) -> None:
    torch.manual_seed(0)
    bare = deep()
    wrapped = WRAPPED[wrap](bare)
    report = fanin.check(wrapped, X)
    assert report.trace.notes
    if wrap != "scripted":
        assert [f.code for f in report.findings] == [f.code for f in fanin.check(bare, X).findings]
    assert len(report.trace.slots) == 42
    fanin.fix(wrapped, X)
    fanin.plan(wrapped, X).apply(wrapped)


BAD_RULES = {
    "a pattern": ({"nope.*": rules.zeros()}, "rules: 'nope.*' matches no weight"),
    "a class": ({nn.Conv2d: rules.zeros()}, "'Conv2d' matches no weight"),
    "several": ({"no": rules.zeros(), "nope": rules.zeros()}, "'no', 'nope' match no weight"),
    "a near miss": ({"0.weigth": rules.zeros()}, "did you mean '0.weight'?"),
    "an unknown rule": ({"*": "he_noraml"}, "rule 'he_noraml' is not known; did you mean 'he_normal'?"),
    "a spec": ({"*": "he_normal(mode=fan_out)"}, "does not parse at character 16"),
    "a factory": ({"*": rules.he_normal}, "call it, as in he_normal()"),
    "torch's own": ({"*": nn.init.kaiming_normal_}, "a rule is a function from a Slot to a distribution"),
    "a number": ({"*": 3}, "'*' is given 3; accepted are a rule"),
    "a number for a key": ({3: rules.zeros()}, "the key 3 cannot be used"),
    "no mapping": (3.5, "rules=3.5 cannot be used; accepted are a mapping"),
    "an identity for a bias": ({"0.bias": rules.he_normal()}, "cannot serve 0.bias"),
}


@pytest.mark.parametrize("case", BAD_RULES)
def test_rules_that_cannot_be_used(case: str) -> None:
    given, words = BAD_RULES[case]
    sentence = said(lambda: fanin.plan(net(), X, rules=given))
    assert words in sentence
    assert "\n" not in sentence or case == "a spec"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("GPT2", "gpt2"), ("gpt-2", "gpt2"), ("he_noraml", "he_normal"), ("HeNormal", "he_normal"), ("gtp2(std=1)", "gpt2"),
     ("nope", None), ("", None), ("a b", None)],
)  # fmt: skip
def test_names_that_are_neither_a_preset_nor_a_rule(name: str, meant: str | None) -> None:
    """One short sentence, with what was meant, and nothing of the parser's."""
    sentence = said(lambda: fanin.plan(net(), X, rules=name))
    assert sentence.startswith(f"rules={name!r} is neither a preset nor a rule")
    assert (f"did you mean {meant!r}?" in sentence) if meant else ("did you mean" not in sentence)
    assert "\n" not in sentence
    assert len(sentence) < 200


@pytest.mark.parametrize("verb", ["plan", "fix"])
def test_a_pattern_to_keep_that_matches_nothing(verb: str) -> None:
    assert "keep='nope' matches no weight" in said(lambda: VERBS[verb](net(), X, keep="nope"))


CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "negative std": (lambda: rules.normal(-1), "normal: std=-1 cannot be used"),
    "std NaN": (lambda: rules.truncated_normal(float("nan")), "truncated_normal: std=nan"),
    "no std": (lambda: rules.normal(), "missing a required argument: 'std'"),
    "a mode": (lambda: rules.he_normal(mode="fan"), "mode='fan' is not known; accepted are 'fan_in', 'fan_out'"),
    "an activation": (lambda: rules.he_normal("relo"), "nonlinearity='relo' is not known"),
    "a rule by name": (lambda: rules.get("he_noraml"), "did you mean 'he_normal'?"),
    "a rule by number": (lambda: rules.get(3), "name=3 cannot be used"),  # type: ignore[arg-type]
    "a rule with arguments": (lambda: rules.get("normal(std=1)"), "use fanin.rules.parse('normal(std=1)')"),
    "a fan of zero": (
        lambda: fanin.draw(rules.he_normal(), (4, 0), seed=0, name="w"), "he_normal: 'w' of shape (4, 0) has fan_in 0"
    ),
    "one axis": (lambda: fanin.draw(rules.he_normal(), (4,), seed=0, name="w"), "give axes, such as 'oi'"),
    "a negative extent": (lambda: fanin.draw(rules.ones(), (4, -1), seed=0, name="w"), "shape=(4, -1) cannot be used"),
    "axes": (lambda: fanin.draw(rules.ones(), (4, 4), seed=0, name="w", axes="ox"), "axes='ox' has the letter 'x'"),
    "an element type": (lambda: fanin.draw(rules.ones(), (4, 4), seed=0, name="w", dtype="int8"), "dtype='int8'"),
    "no element type": (
        lambda: fanin.draw(rules.ones(), (4, 4), seed=0, name="w", dtype="int8"), "dtype='int8' cannot be used"
    ),
    "a wrong out": (
        lambda: fanin.draw(rules.ones(), (4, 4), seed=0, name="w", out=np.zeros((3, 3))), "out has the shape (3, 3)"
    ),
    "no out": (lambda: fanin.draw(rules.ones(), (4, 4), seed=0, name="w", out=3), "out=3 cannot be used"),  # type: ignore[arg-type]
    "no rule": (lambda: fanin.draw(3, (4, 4), seed=0, name="w"), "rule=3 cannot be used"),  # type: ignore[arg-type]
    "gain of a number": (lambda: fanin.gain(3), "nonlinearity=3 cannot be used"),  # type: ignore[arg-type]
    "gain of a class": (lambda: fanin.gain(nn.ReLU), "ReLU is a class; call it first"),
    "gain of what raises": (lambda: fanin.gain(lambda z: 1 / 0), "raised ZeroDivisionError (division by zero)"),
    "gain of what mixes": (lambda: fanin.gain(nn.Softmax(0)), "is not elementwise"),
    "gain of chance": (lambda: fanin.gain(lambda z: z * np.random.rand()), "or on chance"),  # noqa: NPY002
    "gain of what centres": (lambda: fanin.gain(lambda z: z - z.mean()), "is not elementwise"),
    "gain of complex numbers": (lambda: fanin.gain(lambda z: z + 1j), "gave complex numbers"),
    "gain of what is infinite": (lambda: fanin.gain(lambda z: np.exp(z**2)), "does not converge within 12 deviations"),
    "a rule for what is infinite": (
        lambda: fanin.draw(rules.he_normal(lambda z: np.exp(z**2 / 4)), (4, 4), seed=0, name="w"), "he_normal: nonlinearity="
    ),
    "a rule for nothing": (
        lambda: fanin.draw(rules.he_normal(lambda z: 0 * z), (4, 4), seed=0, name="w"), "is zero everywhere, so no gain"
    ),
    "a product of no size": (
        lambda: fanin.draw(rules.gated_normal(lambda z: 0 * z), (4, 4), seed=0, name="w"), "has no scale at which"
    ),
    "gain of several slopes": (lambda: fanin.gain(two_slopes()), "has slopes from 0.1 to 0.2"),
    "gain of nothing": (lambda: fanin.gain(lambda z: 0 * z), "is zero everywhere"),
    "a plan that is a number": (lambda: Plan.load(3), "path=3 cannot be used"),  # type: ignore[arg-type]
    "a difference to a number": (lambda: Plan({}).diff(3), "other=3 cannot be used"),  # type: ignore[arg-type]
    "a model to compare": (lambda: fanin.compare(net()), "factory is a model, but must be a function"),
    "a class that needs arguments": (lambda: fanin.compare(nn.Linear), "factory raised TypeError"),
    "a factory that raises": (lambda: fanin.compare(lambda: 1 / 0), "factory raised ZeroDivisionError"),
    "a factory of numbers": (lambda: fanin.compare(lambda: 3), "factory gives a int"),
    "an init": (lambda: fanin.compare(net, inits=["defualt"]), "inits has 'defualt', which is unknown"),
    "a data set": (lambda: fanin.compare(net, data="digist"), "did you mean 'digits'?"),
    "no seeds": (lambda: fanin.compare(net, seeds=0), "seeds=0 must be at least 1"),
    "a model that does not fit": (lambda: fanin.compare(net, seeds=1), "the model does not take data='digits'"),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_other_calls(case: str) -> None:
    run, words = CALLS[case]
    sentence = said(run)
    assert words in sentence
    assert "\n" not in sentence


def test_data_whose_folder_is_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FANIN_DATA", raising=False)
    assert "FANIN_DATA is not set" in said(lambda: fanin.compare(net, data="cifar10"))
    monkeypatch.setenv("FANIN_DATA", str(tmp_path))
    assert str(tmp_path) in said(lambda: fanin.compare(net, data="cifar10"))


def test_a_plan_that_does_not_fit_is_named_in_a_comparison() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))

    result = fanin.compare(model, inits={"default": "default", "mine": fanin.plan(net(), X)}, seeds=1, steps=1)
    note = next(n for n in result.notes if n.startswith("mine"))
    assert "0.weight: its shape is (8, 64), but the plan is for (8, 4)" in note


def test_activations_of_every_kind_are_understood() -> None:
    """A function of arrays, of tensors, of one number; a module; one with a parameter of its own."""
    for f in (np.maximum, lambda a, b: max(a, b)):
        assert fanin.gain(lambda z, f=f: f(z, 0.0)) == pytest.approx(2**0.5)
    for f in (torch.relu, F.relu, nn.ReLU(), lambda z: z.clamp(min=0), nn.PReLU(init=0.0)):
        assert fanin.gain(f) == pytest.approx(2**0.5)
    assert fanin.gain(nn.GELU()) == pytest.approx(fanin.gain("gelu"))


NETS = """
import torch
from torch import nn
def good(): return nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
class Raises(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 8)
    def forward(self, x):
        return self.fc(x).nothing
def needs(width): return good()
"""

BATCH = ("--batch", "float32:8x64")
LINES = {
    "batch missing": (["check", "nets.py:good"], "for this model for example --batch float32:32x64"),
    "spec": (["check", "nets.py:good", "--batch", "float32:8y64"], "does not parse at character 10"),
    "target": (["check", "nets.py:god", *BATCH], "nets.py has no 'god'"),
    "arguments": (["check", "nets.py:needs", *BATCH], "needs the arguments width"),
    "raises": (["fix", "nets.py:Raises", *BATCH, "--save-plan", "plan.json"], "raised AttributeError"),
    "shape": (["fix", "nets.py:good", "--batch", "float32:8x63", "--save-plan", "plan.json"], "float32 (8, 63)"),
    "rule": (["compare", "nets.py:good", "--inits", "default,he_noraml", "--save", "c.json"], "he_noraml"),
    "std": (["compare", "nets.py:good", "--inits", "normal(std=-1)", "--save", "c.json"], "std=-1 cannot be used"),
    "caret": (
        ["compare", "nets.py:good", "--inits", "he_normal(", "--save", "c.json"],
        "does not parse at character 10",
    ),
    "folder": (["check", "nets.py:good", "--batch", "cifar10"], "FANIN_DATA is not set"),
    "plan": (["compare", "nets.py:good", "--inits", "cut.json", "--seeds", "1"], "cut.json is damaged or cut short"),
    "plans": (["diff", "cut.json", "cut.json"], "cut.json is damaged or cut short"),
}


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models and a damaged plan, which is the current one."""
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "cut.json").write_text('{"format": "fanin-plan", "version": 1, "entr')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FANIN_DATA", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def judged(status: int, out: str, err: str, words: str, folder: Path) -> None:
    """Status 2, nothing on standard output, one sentence (and the user's own traceback), and no file written."""
    assert status == 2, err
    assert out == ""
    assert err.startswith("fanin: ")
    assert words in " ".join(err.split())
    assert "src/fanin" not in err, "the traceback is the user's own"
    assert sorted(p.name for p in folder.iterdir()) == ["cut.json", "nets.py"]


@pytest.mark.parametrize("name", LINES)
def test_the_command_ends_with_two_and_writes_nothing(
    nets: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    arguments, words = LINES[name]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    judged(int(ended.value.code or 0), *capsys.readouterr(), words, nets)


@pytest.mark.parametrize("name", ["raises", "caret"])
def test_so_does_a_process_of_its_own(nets: Path, name: str) -> None:
    arguments, words = LINES[name]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run([sys.executable, "-m", "fanin", *arguments], env=environment, capture_output=True, text=True)
    judged(run.returncode, run.stdout, run.stderr, words, nets)
