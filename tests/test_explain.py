"""`fanin explain`: every code, rule and idea has a text, and a slip of the pen is answered with what is near."""

import doctest
import re

import pytest

from fanin.checks import ALL
from fanin.errors import FaninValueError
from fanin.explain import TOPIC_ALIASES, explain_text, find, overview, rules_text, topic_text, topics
from fanin.rules import table

NAMES = [*ALL, *(m.SLUG for m in ALL.values()), *(r.name for r in table()), *topics(), *TOPIC_ALIASES]


@pytest.mark.parametrize("name", NAMES)
def test_everything_has_a_text_that_fits_the_screen(name: str) -> None:
    text = explain_text(name)
    assert len(text) > 60
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("code", ALL)
def test_a_check_says_what_why_how_and_where_from(code: str) -> None:
    text = find(code)
    for part in ("What:", "Why it hurts:", "How it was measured:", "How to fix:"):
        assert part in text
    assert re.search(r"Papers?:", text)


@pytest.mark.parametrize("name", topics())
def test_a_topic_has_a_title_references_and_examples_that_run(name: str) -> None:
    text = topic_text(name)
    assert text.startswith("# ")
    assert "References: " in text
    test = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_codes_that_a_topic_names_exist() -> None:
    for name in topics():
        assert set(re.findall(r"FI\d{3}", topic_text(name))) <= set(ALL)


def test_names_are_read_as_people_write_them() -> None:
    assert find("dead ReLU") == find("dead-relu") == find("dead_relu")
    assert find("fi201") == find("FI201") == find("vanishing-forward-signal")
    assert find("he_normal") == find("kaiming_normal_") == find("he-normal")


@pytest.mark.parametrize(("name", "near"), [("he_noraml", "he_normal"), ("FI210", "FI201"), ("symmetri", "symmetry")])
def test_what_is_near_is_offered(name: str, near: str) -> None:
    with pytest.raises(FaninValueError, match=near):
        explain_text(name)


def test_the_overview_lists_everything() -> None:
    text = overview()
    for name in (*ALL, *(r.name for r in table()), *topics()):
        assert name in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_table_of_rules_shows_arguments_and_papers() -> None:
    text = rules_text()
    assert "he_normal(" in text
    assert "Delving deep" in " ".join(text.split())


def test_functions_of_a_weight_are_explained_beside_the_rules() -> None:
    text = " ".join(rules_text().split())
    for name in ("pissa", "olora", "mica"):
        assert f"fanin.draws.{name}(weight, rank" in text
        assert "Formula" in find(name)
