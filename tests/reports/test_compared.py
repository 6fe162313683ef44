"""The words of a comparison: what is not to be trusted is marked, differences too."""

from dataclasses import replace

from tests.reports import samples

from fanin.reports.compared import DOUBT, DOUBTED, DOUBTED_WORDS, difference_text, doubted
from fanin.reports.comparison import differences_table
from fanin.reports.terminal import comparison_text


def test_an_interval_of_differences_that_is_not_to_be_trusted_has_a_dagger() -> None:
    few = samples.comparison()
    difference = few.differences[0]
    assert not difference.interval.trusted  # of five seeds
    assert f"){DOUBTED}, better on" in difference_text(difference)
    assert DOUBTED_WORDS in differences_table(few)

    def sure(record):
        return replace(record, trusted=True, why="")

    summaries = tuple(replace(s, metrics={n: sure(e) for n, e in s.metrics.items()}) for s in few.summaries)
    only = replace(few, summaries=summaries)
    assert doubted(only)
    assert " ".join(DOUBT.split()) in " ".join(comparison_text(only).split())
    none = replace(only, differences=tuple(replace(d, interval=sure(d.interval)) for d in few.differences))
    assert not doubted(none)
    assert DOUBTED not in comparison_text(none) + differences_table(none)
