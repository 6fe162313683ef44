"""A rule of somebody else's is one small file: it is listed, explained, drawn and measured as fanin's own are."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.promises.layers_torch import CASES, layer
from tests.promises.measure import measure, promises

from fanin import rules
from fanin.errors import FaninValueError
from fanin.rules import registry
from fanin.rules.rule import FACTORIES, forget, rule

RULE = '''"""A rule for tests."""

from fanin.distributions import Signs
from fanin.rules import rule
from fanin.rules.fans import fan
from fanin.rules.promise import forward


@rule(promise=lambda slot, gain: forward(gain**2))
def coin_flips(slot, gain: float = 1.0):
    """Signs of one size: as much variance as LeCun's rule, and no outliers.

    Formula:
        W = ±gain / √fan_in

    Promise:
        E[y²] = gain² E[x²].

    Paper:
        None; it is here to show how a rule is added.

    Example:
        >>> from fanin import draws
        >>> sorted({float(v) for v in draws.draw(coin_flips(), (3, 4), seed=0, name="w").ravel()})
        [-0.5, 0.5]
    """
    return Signs(gain / fan(slot, "fan_in", "coin_flips") ** 0.5)
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with an installed package that offers the rule by an entry point."""
    (tmp_path / "coinflips.py").write_text(RULE, encoding="utf-8")
    info = tmp_path / "coinflips-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: coinflips\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[fanin.rules]\ncoinflips = coinflips\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def added(package: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(package))
    registry.load_all.cache_clear()
    assert "coinflips" in rules.load_all()
    yield "coin_flips"
    forget("coin_flips")
    sys.modules.pop("coinflips", None)
    registry.load_all.cache_clear()


def test_it_is_listed_and_explained(added: str) -> None:
    row = next(info for info in rules.table() if info.name == added)
    assert row.formula == "W = ±gain / √fan_in"
    assert "no outliers" in rules.explain(added)
    assert rules.parse("coin_flips(gain=2)").spec == "coin_flips(gain=2.0)"


def test_it_stands_beside_the_others(added: str) -> None:
    """`fanin explain` calls it fanin.rules.coin_flips, so there it must be."""
    assert rules.coin_flips is FACTORIES[added]
    assert rules.coin_flips(gain=2).spec == "coin_flips(gain=2.0)"
    with pytest.raises(AttributeError, match=r"has no rule 'coin_flip'"):
        _ = rules.coin_flip


def test_its_promise_is_measured_on_every_layer(added: str) -> None:
    seen = 0
    for name in ("linear", "x @ W", "depthwise conv", "transposed conv, k4 s2", "fused q, k, v"):
        each = layer(name, CASES[name])
        served = promises(FACTORIES[added](gain=1.5), each)
        assert served is not None
        law, (promise,) = served
        assert measure(promise, law, each, error=0.01).holds(0.02, sigmas=4)
        seen += 1
    assert seen == 5


def test_a_promise_that_is_not_kept_is_seen(added: str) -> None:
    each = layer("linear", CASES["linear"])
    _, (promise,) = promises(FACTORIES[added](gain=1.5), each) or (None, ())
    law = FACTORIES[added](gain=1.45)(each.slot)
    assert not measure(promise, law, each, error=0.005).holds(0.02, sigmas=4)


def test_the_command_line_finds_it(package: Path) -> None:
    for command in (["rules"], ["explain", "coin_flips"]):
        run = subprocess.run(
            [sys.executable, "-m", "fanin", *command],
            capture_output=True, text=True, check=True, cwd=package,
            env={**__import__("os").environ, "PYTHONPATH": str(package)},
        )  # fmt: skip
        assert "coin_flips" in run.stdout


def test_its_name_is_found_without_asking_for_it_first(package: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import fanin; print(fanin.rules.coin_flips(gain=2))"],
        capture_output=True, text=True, check=True, cwd=package,
        env={**__import__("os").environ, "PYTHONPATH": f"{package}{__import__('os').pathsep}{Path(rules.__file__).parents[2]}"},
    )  # fmt: skip
    assert run.stdout == "coin_flips(gain=2.0)\n"


def test_a_package_that_cannot_be_loaded_does_not_take_the_others_away(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "coinflips.py").write_text("raise RuntimeError('old version')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(package))
    registry.load_all.cache_clear()
    try:
        with pytest.warns(UserWarning, match="coinflips.*RuntimeError: old version"):
            assert "coinflips" not in rules.load_all()
        assert "he_normal" in {info.name for info in rules.table()}
    finally:
        registry.load_all.cache_clear()


def test_a_name_has_one_rule() -> None:
    with pytest.raises(FaninValueError, match=r"rule 'he_normal' is defined already, in fanin\.rules\.scaled"):

        @rule()
        def he_normal(slot):  # pragma: no cover
            return None
