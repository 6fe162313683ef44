"""Tables that are looked up."""

import numpy as np
import pytest
from tests.rules.slots import drawn, slot

from fanin import rules
from fanin.errors import FaninError

RULES = [rules.embedding_normal(), rules.embedding_uniform(), rules.embedding_scaled(), rules.embedding_tied()]
STDS = [1.0, 0.05 / 3**0.5, 1 / 8, 1 / 8]


@pytest.mark.parametrize(("rule", "std"), zip(RULES, STDS, strict=True), ids=str)
def test_deviation_and_padding(rule, std):
    of = slot("vo", (500, 64), "embedding", padding_index=-2)
    table = drawn(rule, of)
    assert not table[498].any()
    rest = np.delete(table, 498, axis=0)
    assert rest.std() == pytest.approx(std, rel=0.02)
    assert (rest != 0).all()
    (promise,) = rule.promises(of)
    assert table.std() == pytest.approx(promise.value, rel=0.02)


def test_a_tied_table_gives_logits_of_size_one_and_says_what_it_needs():
    of = slot("vo", (3000, 256), "embedding", names=("wte.weight", "head.weight"))
    h = np.random.default_rng(0).standard_normal((40, 256))
    assert (h @ drawn(rules.embedding_tied(), of).T).std() == pytest.approx(1.0, rel=0.02)
    assert rules.embedding_tied().requires(of) == ()
    (need,) = rules.embedding_tied(multiplied=True).requires(of)
    assert (need.kind, need.where, need.value) == ("op_scale", "w", 16.0)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize(
    "of", [slot(None, (4,)), slot("vo", (0, 4)), slot("oikk", (3, 3, 3, 3))], ids=lambda s: str(s.shape)
)
def test_shapes_that_are_no_table(rule, of):
    with pytest.raises(FaninError, match="it takes a table of shape"):
        rule(of)


def test_bad_arguments():
    for make in (
        lambda: rules.embedding_normal(-1),
        lambda: rules.embedding_uniform(-1),
        lambda: rules.embedding_tied(1),
    ):
        with pytest.raises(FaninError, match="must be"):
            make()
