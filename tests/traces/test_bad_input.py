"""Bad input gets one clear sentence that names what was given and what is accepted."""

import pytest
import torch
from torch import nn

from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.traces.torch import ForwardError, trace

MODEL = nn.Linear(4, 2)
X = torch.randn(3, 4)

BAD = {
    "a class": (lambda: trace(nn.ReLU, X), FaninTypeError, "call it first"),
    "a number": (lambda: trace(3, X), FaninTypeError, "must be a torch.nn.Module"),
    "no batch": (lambda: trace(MODEL, None), FaninValueError, "batch=None"),
    "an odd batch": (lambda: trace(MODEL, 3.5), FaninTypeError, "batch is of type float"),
    "an empty loader": (lambda: trace(MODEL, iter([])), FaninValueError, "empty loader"),
    "an empty batch": (lambda: trace(MODEL, X[:0]), FaninValueError, "no elements"),
    "NaN": (lambda: trace(MODEL, X * float("nan")), FaninValueError, "12 values that are NaN"),
    "shape": (lambda: trace(MODEL, torch.randn(3, 5)), ForwardError, r"float32 \(3, 5\)"),
    "type": (lambda: trace(MODEL, torch.ones(3, 4, dtype=torch.long)), ForwardError, "int64"),
    "lazy": (lambda: trace(nn.LazyLinear(3), X), FaninValueError, "lazy parameters"),
    "no parameters": (lambda: trace(nn.ReLU(), X), FaninValueError, "no parameters"),
    "vector loss": (lambda: trace(MODEL, X, loss=lambda o: o), FaninValueError, r"loss gave shape \(3, 2\)"),
    "loss of no tensor": (lambda: trace(MODEL, X, loss=lambda o: "x"), FaninTypeError, "loss gave a str"),
    "loss of no function": (lambda: trace(MODEL, X, loss=3), FaninTypeError, "loss=3"),
    "targets alone": (lambda: trace(MODEL, X, targets=X), FaninValueError, "without a loss"),
}


@pytest.mark.parametrize("case", BAD)
def test_one_clear_sentence(case):
    run, kind, message = BAD[case]
    with pytest.raises(kind, match=message) as caught:
        run()
    assert isinstance(caught.value, FaninError) and isinstance(caught.value, ValueError | TypeError)
    assert "\n" not in str(caught.value)


def test_a_forward_that_raises_says_where():
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            raise ZeroDivisionError("boom")

    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), Broken()))
    with pytest.raises(ForwardError, match="'1.1'.*boom") as caught:
        trace(model, X)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.where == "1.1"


def test_complex_and_integer_weights_are_skipped_with_a_note():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.line = nn.Linear(4, 4)
            self.phase = nn.Parameter(torch.randn(4, dtype=torch.complex64))
            self.table = nn.Parameter(torch.arange(4), requires_grad=False)

        def forward(self, x):
            return (self.line(x) * self.phase).abs() + self.table

    seen = trace(Mixed(), X)
    assert any("skipped" in note and "2 weights" in note for note in seen.notes)


def test_one_example_and_a_batch_norm():
    seen = trace(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), X[:1])
    assert not seen.training and any("one example" in note for note in seen.notes)


def test_reentrant_checkpointing_falls_back_to_forward():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            x = self.a(x)
            return torch.utils.checkpoint.checkpoint(self.b, x, use_reentrant=True)

    seen = trace(Checkpointed(), X)
    assert seen.backward == "none"
    assert any("backward pass could not run" in note for note in seen.notes)


def test_a_backward_pass_that_fails_without_a_word_is_told_of():
    class Mute(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, *gradients):
            raise RuntimeError

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x):
            return Mute.apply(self.a(x))

    seen = trace(Net(), X)
    assert seen.backward == "none"
    assert any("could not run (RuntimeError)" in note for note in seen.notes)


def test_models_of_other_threads_hooks_and_no_grad_work():
    with torch.no_grad():
        assert trace(MODEL, X).backward == "probe"
    with torch.inference_mode():
        assert trace(nn.Linear(4, 2).requires_grad_(False), X).backward == "none"


class Careful(nn.Module):
    """Would take an exception of fanin's own for one of its model's."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.caught = nn.Linear(4, 8), nn.Linear(8, 2), []

    def forward(self, x):
        try:
            return self.head(torch.relu(self.body(x)))
        except Exception as error:
            self.caught.append(error)
            raise


@pytest.mark.parametrize("part", ["consume.uses_of", "signals.measure", "kind_of", "signals.gradient_rms"])
def test_a_fault_of_fanins_own_is_told_apart_and_the_trace_goes_on(part, monkeypatch):
    model = Careful()

    def broken(*_, **__):
        raise KeyError("a bug")

    monkeypatch.setattr(f"fanin.traces.torch.watch.{part}", broken)
    seen = trace(model, X)
    assert model.caught == [], "the model's own code sees nothing of it"
    assert [s.name for s in seen.slots] == ["body.weight", "body.bias", "head.weight", "head.bias"]
    assert all(s.role != "unused" for s in seen.slots)
    assert any("fault in fanin itself" in note and "KeyError" in note for note in seen.notes)
    assert len(seen.notes) < 12


def test_a_fault_in_one_call_leaves_the_rest_of_the_trace(monkeypatch):
    from fanin.traces.torch import watch

    real = watch.consume.uses_of
    monkeypatch.setattr(
        watch.consume, "uses_of", lambda kind, *rest: 1 / 0 if kind == "activation" else real(kind, *rest)
    )
    seen = trace(Careful(), X)
    assert [s.role for s in seen.slots] == ["weight", "bias", "weight", "bias"]
    assert seen.slot("head.weight").head and seen.backward == "probe"
