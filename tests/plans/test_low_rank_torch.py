"""Adapters that start from their weight, in torch: in place, whole or not at all; beside PEFT's own where it is installed."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import fanin.torch as face
from fanin.draws import low_rank
from fanin.errors import FaninError, FaninTypeError, FaninValueError

OPTIONS = ("pissa", "olora", "mica")


def tensors(dtype=torch.float32, out=40, in_=60, rank=4):
    g = torch.Generator().manual_seed(0)
    made = [
        torch.randn(rank, in_, generator=g),
        torch.randn(out, rank, generator=g),
        torch.randn(out, in_, generator=g),
    ]
    return [t.to(dtype) for t in made]


class Adapted(nn.Module):
    """A layer as PEFT's LoRA has it."""

    def __init__(self, in_=60, out=40, rank=4, alpha=8.0, stored_in_out=False):
        super().__init__()
        self.base_layer = nn.Linear(in_, out)
        self.fan_in_fan_out = stored_in_out
        if stored_in_out:
            self.base_layer.weight = nn.Parameter(self.base_layer.weight.detach().T.contiguous())
        self.lora_A = nn.ModuleDict({"default": nn.Linear(in_, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, out, bias=False)})
        nn.init.zeros_(self.lora_B["default"].weight)
        self.scaling, self.merged = {"default": alpha / rank}, False

    def forward(self, x):
        base = self.base_layer
        y = x @ base.weight + base.bias if self.fan_in_fan_out else base(x)
        return y + self.scaling["default"] * self.lora_B["default"](self.lora_A["default"](x))


def net():
    torch.manual_seed(0)
    return nn.Sequential(Adapted(), nn.ReLU(), Adapted(40, 30, stored_in_out=True), nn.Linear(30, 5))


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("option", OPTIONS)
def test_the_numbers_are_those_of_numpy(option):
    a, b, w = tensors()
    wanted = getattr(low_rank, option)(w.numpy().copy(), 4, **({} if option == "mica" else {"scaling": 2.0}))
    made = getattr(face, f"{option}_")(a, b, w, **({} if option == "mica" else {"scaling": 2.0}))
    assert made[0] is a
    assert made[2] is w
    for tensor, array in zip(made, wanted, strict=True):
        assert np.array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("option", ["pissa", "olora"])
def test_a_weight_that_is_stored_the_other_way(option):
    a, b, w = tensors()
    c, d, stored = torch.empty_like(a), torch.empty_like(b), w.T.contiguous()
    fill = getattr(face, f"{option}_")
    fill(a, b, w, scaling=0.5)
    fill(c, d, stored, scaling=0.5, axes="io")
    assert torch.equal(a, c)
    assert torch.equal(b, d)
    assert torch.equal(w, stored.T)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("factors", ["half", "float32"])
def test_half_precision_is_computed_in_float32(half, factors):
    a, b, w = tensors(half)
    if factors == "float32":
        a, b = a.float(), b.float()
    before = w.double()
    face.pissa_(a, b, w, scaling=2.0)
    assert w.dtype == half
    off = (w.double() + 2.0 * b.double() @ a.double() - before).abs().max()
    assert off <= torch.finfo(half).eps / 2 * w.double().abs().max() + 1e-5  # one rounding, of the rest


def test_parameters_stay_parameters_and_no_random_state_is_read_without_iterations():
    layer = Adapted()
    torch.manual_seed(0)
    kept = torch.get_rng_state()
    face.adapters_(layer, "pissa")
    assert torch.equal(torch.get_rng_state(), kept)
    assert all(p.requires_grad and p.grad_fn is None for p in layer.parameters())
    face.adapters_(layer, "pissa", niter=2)
    assert not torch.equal(torch.get_rng_state(), kept)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_adapter_of_a_model_and_the_model_computes_what_it_did(option):
    model, x = net(), torch.randn(16, 60)
    before, values = model(x), state(model)
    assert face.adapters_(model, option) is model
    assert (model(x) - before).abs().max() < 1e-5
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, values[name])}
    parts = ("lora_A", "lora_B") if option == "mica" else ("lora_A", "lora_B", "base_layer.weight")
    assert changed == {name for name in values if any(part in name for part in parts)}
    assert [model[0].lora_B["default"].weight.requires_grad, model[0].lora_A["default"].weight.requires_grad] == [
        option != "mica",
        True,
    ]


def test_seeds_and_names():
    one, two, three = (face.adapters_(net(), "pissa", niter=1, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one[0].lora_A["default"].weight, two[0].lora_A["default"].weight)
    assert not torch.equal(one[0].lora_A["default"].weight, three[0].lora_A["default"].weight)


def test_factors_as_parameters_as_loralib_has_them():
    class Linear(nn.Linear):
        def __init__(self):
            super().__init__(60, 40)
            self.lora_A, self.lora_B = nn.Parameter(torch.ones(4, 60)), nn.Parameter(torch.zeros(40, 4))
            self.scaling, self.merged = 0.5, False

    layer = Linear()
    before = layer.weight.detach().clone()
    face.adapters_(layer, "pissa")
    assert torch.allclose(layer.weight + 0.5 * layer.lora_B @ layer.lora_A, before, atol=1e-6)


def test_a_failure_in_the_middle_gives_everything_back(monkeypatch):
    model = net()
    values, real = state(model), low_rank.factors

    def failing(option, weight, *args, **kwargs):
        if weight.shape[0] == 30:  # the second adapter
            raise np.linalg.LinAlgError("SVD did not converge")
        return real(option, weight, *args, **kwargs)

    monkeypatch.setattr(low_rank, "factors", failing)
    with pytest.raises(np.linalg.LinAlgError):
        face.adapters_(model, "pissa")
    assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())


def broken(change):
    model = net()
    change(model)
    return model


@torch.no_grad()
def _nan(m):
    m[2].base_layer.weight[3, 3] = torch.nan


@torch.no_grad()
def _small(m):
    m[2].base_layer.weight.zero_()


def _merged(m):
    m[2].merged = True


def _unscaled(m):
    m[2].scaling = {}


def _tied(m):
    m.append(nn.Linear(40, 30))
    m[4].weight = m[2].base_layer.weight


def _wide(m):
    m[2].lora_A["default"], m[2].lora_B["default"] = nn.Linear(40, 31, bias=False), nn.Linear(31, 30, bias=False)


def _crossed(m):
    m[2].lora_A, m[2].lora_B = m[2].lora_B, m[2].lora_A


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_nan, "'2': weight, of shape .40, 30., must have finite numbers only"),
        (_small, "'2': rank=4 is more than the weight's own rank of 0"),
        (_merged, "adapter of '2' is merged"),
        (_unscaled, "'2' does not say what its adapter is multiplied with"),
        (_tied, "weight of '2' is tied .'2.base_layer' and '4'."),
        (_wide, "rank=31 is too large"),
        (_crossed, "are no adapter of a weight"),
    ],
)
def test_bad_models_are_refused_and_left_alone(change, words):
    model = broken(change)
    values = state(model)
    with pytest.raises(FaninValueError, match=words):
        face.adapters_(model, "pissa")
    for name, value in model.state_dict().items():
        assert torch.equal(value.nan_to_num(7), values[name].nan_to_num(7)), name


def test_a_tied_weight_that_does_not_change_is_no_problem():
    assert face.adapters_(broken(_tied), "mica")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda a, b, w: (a, b, w.to("meta")), FaninValueError, "weight is on the meta device"),
        (lambda a, b, w: (a.to("meta"), b, w), FaninValueError, "a is on the meta device"),
        (lambda a, b, w: (a, b, w.int()), FaninTypeError, "weight=torch.int32"),
        (lambda a, b, w: (a, b, w.numpy()), FaninTypeError, "weight=ndarray"),
        (lambda a, b, w: (a, b, w[None]), FaninTypeError, "it must be a matrix"),
        (lambda a, b, w: (a, b[:, :3], w), FaninValueError, "are no adapter"),
        (lambda a, b, w: (a[:0], b[:, :0], w), FaninValueError, "are no adapter"),
        (lambda a, b, w: (a, b, w.requires_grad_() * 2), FaninValueError, "computed from others"),
        (lambda a, b, w: (a, b, w / 0), FaninValueError, "finite numbers only"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("option", OPTIONS)
def test_bad_tensors_are_refused_and_left_alone(option, make, error, words):
    a, b, w = tensors()
    given, first = make(a, b, w), (a.clone(), b.clone())
    with pytest.raises(error, match=rf"^{option}_: .*{words}"):
        getattr(face, f"{option}_")(*given)
    assert torch.equal(a, first[0])
    assert torch.equal(b, first[1])


def test_bad_arguments():
    with pytest.raises(FaninValueError, match="option='loftq' is not known; accepted are 'pissa', 'olora', 'mica'"):
        face.adapters_(net(), "loftq")
    with pytest.raises(FaninValueError, match="Linear has no low-rank adapter named 'default'"):
        face.adapters_(nn.Linear(3, 3))
    with pytest.raises(FaninValueError, match="no low-rank adapter named 'other'"):
        face.adapters_(net(), adapter="other")
    with pytest.raises(FaninValueError, match="axes='oikk'"):
        face.olora_(*tensors(), axes="oikk")
    with pytest.raises(FaninError, match="scaling=0"):
        face.pissa_(*tensors(), scaling=0)
    large = torch.diag(torch.tensor([6e4, 1e4, 1.0]))
    a, b = torch.zeros(2, 3, dtype=torch.float16), torch.zeros(3, 2)
    with pytest.raises(FaninValueError, match="torch.float16 cannot hold"):
        face.pissa_(a, b, large, scaling=1e-7)
    assert not b.any()
    assert float(large[0, 0]) == 6e4


# -- beside PEFT -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["pissa", "pissa_niter_4", "olora", "mica"])
def test_beside_pefts_own(option):
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(60, 40), nn.Tanh(), nn.Linear(40, 30))
    x = torch.randn(16, 60)

    def made(start):
        config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["0", "2"], init_lora_weights=start)
        return peft.get_peft_model(copy.deepcopy(plain), config)

    theirs, ours = made(option), made(True)
    kind, _, niter = option.partition("_niter_")
    face.adapters_(ours, kind, niter=int(niter) if niter else None, seed=0)
    with torch.no_grad():
        assert (ours(x) - plain(x)).abs().max() < 1e-5
    for k in (0, 2):
        one, two = theirs.base_model.model[k], ours.base_model.model[k]
        products = [layer.lora_B["default"].weight @ layer.lora_A["default"].weight for layer in (one, two)]
        left = [float(layer.base_layer.weight.norm()) for layer in (one, two)]
        if niter:  # PEFT's random subspace has no spare columns, so it takes less out of the weight
            assert left[1] < left[0] < 1.1 * left[1]
            continue
        assert torch.allclose(*products, atol=1e-5)
        assert torch.allclose(one.base_layer.weight, two.base_layer.weight, atol=1e-5)
        for factor in ("lora_A", "lora_B"):  # each direction up to its sign
            a, b = (getattr(layer, factor)["default"].weight.detach().abs() for layer in (one, two))
            assert torch.allclose(a, b, atol=1e-4)
        assert two.lora_B["default"].weight.requires_grad == (kind != "mica")


def test_pefts_layers_that_store_their_weight_in_out():
    peft = pytest.importorskip("peft")
    from transformers.pytorch_utils import Conv1D

    model = nn.Sequential(Conv1D(40, 60), nn.Tanh())
    x = torch.randn(8, 60)
    before = model(x)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["0"], fan_in_fan_out=True)
    adapted = peft.get_peft_model(model, config)
    for option in OPTIONS:
        face.adapters_(adapted, option)
        assert torch.allclose(adapted(x), before, atol=1e-5)
        break_up = adapted.base_model.model[0]
        break_up.base_layer.weight.data += break_up.get_delta_weight("default") * (option != "mica")
