"""Optimizer specs: what they accept, and that the engine accepts the same."""

import pytest

from fanin.errors import FaninError
from fanin.lab.study.optimizers import OPTIMIZERS, learning_rates, parse_optimizer
from fanin.lab.torch.optimizers import read_optimizer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sdg", "did you mean 'sgd'"),
        ("sgd(momentm=0.9)", "did you mean 'momentum'"),
        ("adam(momentum=0.9)", "has no argument 'momentum'"),
        ("sgd(momentum=1.0)", "momentum must be below 1"),
        ("adam(beta2=-0.1)", "beta2 must be at least 0"),
        ("adam(eps=0.0)", "eps must be above 0"),
        ("sgd(momentum='0.9')", "momentum is a str, but must be a number"),
        ("sgd(nesterov=1)", "nesterov must be True or False"),
        ("sgd(nesterov=True)", "needs a momentum above 0"),
        ("sgd(0.9)", "does not parse"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(FaninError, match=said) as caught:
        parse_optimizer(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [*OPTIMIZERS, "sgd(momentum=0.9, nesterov=True)", "adamw(beta2=0.98, weight_decay=0.1)"]
)
def test_what_is_accepted_here_is_understood_by_the_engine(text: str) -> None:
    spec = parse_optimizer(text)
    rule = read_optimizer(str(spec))
    assert rule.kind == spec.name
    assert all(getattr(rule, name) == value for name, value in spec.arguments.items())


def test_each_optimizer_has_five_rates_of_its_own_and_several_share_theirs() -> None:
    assert len(learning_rates(["sgd"])) == len(learning_rates(["adam"])) == 5
    both = learning_rates(["sgd(momentum=0.9)", "adam"])
    assert both == tuple(sorted({*learning_rates(["sgd"]), *learning_rates(["adam"])}))
