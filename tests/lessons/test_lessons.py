"""Topics with figures and with a model's own numbers: what the figures show is true, and what is told is measured."""

import json
import math
import re

import pytest
import torch
from torch import nn

from fanin.distributions import Normal
from fanin.errors import FaninValueError
from fanin.explain import explain_page, explain_text, topic_name, topics
from fanin.lessons.own import TOLD, own
from fanin.lessons.pictures import PICTURES, picture
from fanin.plans.mup import mup_rules
from fanin.reports.words import number
from fanin.traces.torch import trace


def traced(model: nn.Module, *shape: int):
    torch.manual_seed(0)
    return trace(model, torch.randn(*shape))


@pytest.fixture(scope="module")
def deep():
    torch.manual_seed(0)
    layers = [layer for _ in range(20) for layer in (nn.Linear(64, 64), nn.ReLU())]
    return traced(nn.Sequential(*layers, nn.Linear(64, 10)), 32, 64)


@pytest.fixture(scope="module")
def conv():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.GELU(), nn.ConvTranspose2d(8, 4, 4, 2, 1))
    return traced(model, 4, 8, 8, 8)


def lines(topic: str) -> dict[str, list[float]]:
    shown = picture(topic)
    assert shown is not None
    return {name: list(y) for name, y in shown.lines}


@pytest.mark.parametrize("topic", PICTURES)
def test_a_figure_has_a_value_at_every_place(topic: str) -> None:
    shown = picture(topic)
    assert shown is not None and topic in topics()
    assert shown.title and shown.caption.endswith(".")
    for _, y in shown.lines:
        assert len(y) == len(shown.x)
        assert all(math.isfinite(v) for v in y)


class TestWhatTheFiguresClaim:
    def test_units_that_start_equal_stay_equal(self) -> None:
        found = lines("symmetry-breaking")
        assert max(found["constant"]) == 0 < min(found["random"])

    def test_only_relu_is_free_of_scale(self) -> None:
        found = lines("gain")
        assert all(abs(v - 1) < 1e-9 for v in found["relu"])
        assert all(max(abs(math.log(v)) for v in found[name]) > 0.1 for name in ("gelu", "tanh", "sigmoid"))

    def test_tanh_without_biases_crosses_the_edge_at_one(self) -> None:
        shown = picture("edge-of-chaos")
        assert shown is not None
        chi = dict(zip(shown.x, dict(shown.lines)["σ_b = 0"], strict=True))
        assert all((value < 1) == (sigma < 1) for sigma, value in chi.items() if abs(sigma - 1) > 0.02)

    def test_orthogonal_products_and_mirrored_relu_keep_all_directions(self) -> None:
        assert min(lines("dynamical-isometry")["linear, orthogonal"]) > 1 - 1e-9
        assert lines("dynamical-isometry")["linear, Gaussian"][-1] < 0.02
        assert min(lines("mirrored-chains")["mirrored"]) > 1 - 1e-9
        assert lines("mirrored-chains")["He"][-1] < 1e-4

    def test_the_spread_between_redraws_is_the_predicted_one(self) -> None:
        found = lines("finite-width")
        for measured, predicted in zip(found["measured"][4:], found["√(5 L / width)"][4:], strict=True):
            assert measured == pytest.approx(
                predicted, rel=0.15
            )  # 300 redraws: 4 % each, and the input's own 2 / width

    def test_mup_moves_features_alike_at_all_widths(self) -> None:
        found = lines("parametrization")
        assert found["standard"][-1] / found["standard"][0] > 8
        assert max(found["muP"]) / min(found["muP"]) < 1.6


class TestOwnModel:
    @pytest.mark.parametrize("topic", TOLD)
    def test_every_topic_tells_something_of_any_model(self, topic: str, deep, conv) -> None:
        for one in (deep, conv, traced(nn.Linear(3, 2), 4, 3), traced(nn.LSTM(4, 5), 3, 2, 4)):
            told = own(topic, one)
            assert told.sentences and all(s.endswith((".", ":")) for s in told.sentences)
            assert "nan" not in " ".join(told.sentences)

    def test_chi_of_torchs_default_is_a_sixth(self, deep) -> None:
        told = own("edge-of-chaos", deep)
        assert "in order" in told.sentences[0]
        assert all(value == pytest.approx(1 / 6, rel=0.1) for value in told.y)

    def test_a_chain_has_a_trainable_depth(self, deep) -> None:
        assert "trains to about 3.3" in own("edge-of-chaos", deep).sentences[0]

    def test_what_carries_the_signal_past_its_weights_has_none(self) -> None:
        class Block(nn.Module):
            def __init__(self, kind: str) -> None:
                super().__init__()
                self.kind, self.norm = kind, nn.LayerNorm(32)
                self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)

            def forward(self, x):
                branch = self.down(torch.relu(self.up(self.norm(x) if "norm" in self.kind else x)))
                return x + branch if "add" in self.kind else branch

        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        transformer = traced(nn.TransformerEncoder(layer, 12, enable_nested_tensor=False), 4, 6, 32)
        told = own("edge-of-chaos", transformer).sentences[0]
        assert "trains to about" not in told
        assert "residual adds, norms and attention" in told
        for kind in ("norm", "add", "norm and add"):
            one = traced(nn.Sequential(*[Block(kind) for _ in range(6)]), 8, 32)
            told = own("edge-of-chaos", one).sentences[0]
            assert "trains to about" not in told
            assert ("residual adds" in told, "norms" in told) == ("add" in kind, "norm" in kind)

    def test_parametrizations_are_told_by_width(self) -> None:
        """Learning rates, deviations and multipliers that muP and u-muP give to these weights."""

        def net(wide: int) -> nn.Module:
            return nn.Sequential(
                nn.Linear(16, 32 * wide), nn.ReLU(), nn.Linear(32 * wide, 32 * wide), nn.ReLU(), nn.Linear(32 * wide, 4)
            )

        narrow = traced(net(1), 8, 16)
        told = own("parametrization", narrow)
        assert (
            "3 weights: 1 input-like (0.weight, …), 1 hidden (2.weight, …), 1 output-like (4.weight, …)"
            in told.sentences[0]
        )
        assert told.y == pytest.approx([16**-0.5, 32**-0.5, 1 / 32])
        for line, wide in zip(told.sentences[1:4], (2, 4, 16), strict=True):
            assert f"at {wide} times the width" in line
            wider = traced(net(wide), 8, 16)
            rules = mup_rules(wider, narrow, std=1.0)
            for kind, name in (("input", "0.weight"), ("hidden", "2.weight"), ("output", "4.weight")):
                law, speed = rules[name](wider.slot(name)), rules[name].lr_scale(wider.slot(name))
                assert isinstance(law, Normal)
                assert f"{kind} lr × {number(speed)}, deviation × {number(law.std)}" in line
        text = " ".join(told.sentences)
        assert "hidden: multiplier 0.177, lr × 0.177" in text

    def test_the_gradient_is_the_measured_one(self, deep) -> None:
        told = own("vanishing-exploding-gradients", deep)
        measured = [op.signal.grad_rms for op in deep.ops if op.kind == "linear"]
        assert list(told.y) == measured

    def test_fans_that_a_shape_does_not_tell_are_named(self, conv) -> None:
        text = " ".join(own("fan", conv).sentences)
        assert "2.weight of shape (8, 4, 4, 4): fan_in is 32, its shape alone would say 64" in text

    def test_equal_units_are_counted(self) -> None:
        model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
        nn.init.constant_(model[0].weight, 0.3)
        nn.init.zeros_(model[0].bias)
        assert "4 of 7 units" in own("symmetry-breaking", traced(model, 8, 6)).sentences[0]


class TestShown:
    def test_the_terminal_shows_figure_and_own_numbers(self, deep) -> None:
        text = explain_text("edge of chaos", trace=deep)
        assert "σ_b = 0" in text and "In your model (Sequential)" in text
        assert max(map(len, text.splitlines())) <= 80

    def test_the_page_is_whole_and_has_the_figure(self, deep) -> None:
        html = explain_page("dead-relu", deep)
        assert html.count("<figure") == 2
        assert not re.search(r'(src|href)="http|@import|url\(http', html), "nothing is fetched"
        assert "In your model (Sequential)" in html and "<h1>" in html

    def test_codes_and_rules_have_no_numbers_of_a_model(self, deep) -> None:
        assert topic_name("FI301") is None and topic_name("he_normal") is None
        for name in ("FI301", "he_normal"):
            with pytest.raises(FaninValueError, match="is no topic"):
                explain_text(name, trace=deep)
            with pytest.raises(FaninValueError, match="is no topic"):
                explain_page(name)

    def test_on_the_command_line(self, tmp_path, capsys) -> None:
        from fanin.cli import main

        (tmp_path / "m.py").write_text(
            "from torch import nn\ndef net(): return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))\n"
        )
        page = tmp_path / "page.html"
        with pytest.raises(SystemExit) as left:
            main(["explain", "gain", f"{tmp_path}/m.py:net", "--batch", "float32:4x8", "--html", str(page)])
        assert left.value.code == 0
        assert "In your model" in capsys.readouterr().out
        assert "<svg" in page.read_text(encoding="utf-8")


def test_every_topic_with_a_figure_is_a_topic() -> None:
    assert set(TOLD) <= set(topics())
    assert json.dumps(sorted(PICTURES)) == json.dumps(sorted(topics())), "a topic without a figure"
