"""What a terminal, a pipe and a log show."""

import math
from dataclasses import replace

from tests.reports import samples

from fanin.reports.html import report_html
from fanin.reports.rich_parts import ASCII, sparkline
from fanin.reports.terminal import comparison_text, fixed_text, report_text
from fanin.traces.records import ResidualAdd


def test_the_verdict_comes_first_and_every_finding_has_all_its_parts() -> None:
    report = samples.report()
    text = report_text(report)
    assert text.splitlines()[0] == "✗ Will not train as it is: 1 error, 1 warning, 1 remark"
    flat = " ".join(text.split())
    for finding in report.findings:
        for part in (finding.code, finding.slug, finding.message, finding.why, finding.fix.text):
            assert part in flat
    assert "gain per layer 0.58" in flat
    assert "net.0.weight, net.2.weight, net.4.weight and 26 more" in flat
    places = [flat.index(f.code) for f in report.findings]
    assert places == sorted(places)


def test_a_clean_report_says_so() -> None:
    assert report_text(samples.report(clean=True)).startswith("✓ Ready to train")


def test_what_was_undone_for_one_reason_takes_one_line() -> None:
    undone = tuple((f"net.{i}.weight", "the plan as a whole did not help") for i in range(60))
    fixed = replace(samples.fixed(), undone=undone)
    assert "net.0.weight, net.1.weight, net.2.weight and 57 more: the plan as a whole did not help" in " ".join(
        fixed_text(fixed).split()
    )
    assert fixed_text(fixed).count("did not help\n") <= 2


def test_no_line_is_wider_than_asked_for() -> None:
    texts = (report_text, samples.report()), (fixed_text, samples.fixed()), (comparison_text, samples.comparison())
    for function, value in texts:
        for width in (80, 100):
            lines = function(value, width).splitlines()  # type: ignore[operator]
            assert max(map(len, lines)) <= width
            assert not any(line != line.rstrip() for line in lines)


def test_colour_changes_no_word() -> None:
    import re

    plain, coloured = (report_text(samples.report(), color=c) for c in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).split() == plain.split()


def test_the_whole_report_has_a_form_in_ascii() -> None:
    drawn = report_text(samples.report()).translate(ASCII)
    assert drawn.isascii()
    assert len(drawn.splitlines()) == len(report_text(samples.report()).splitlines())


def test_a_report_prints_itself() -> None:
    assert str(samples.report()) == report_text(samples.report())
    assert str(samples.comparison()) == comparison_text(samples.comparison())


def test_a_sparkline_falls_where_the_signal_falls() -> None:
    bars = sparkline([10.0**-i for i in range(8)])
    assert bars == "█▇▆▅▄▃▂▁"
    assert sparkline([1.0, math.inf, math.nan, 0.1]) == "█× ▁"


def test_a_flat_signal_is_drawn_flat() -> None:
    assert len(set(sparkline([1.0, 1.05, 0.97, 1.02]))) == 1


def test_many_layers_fit_and_a_break_in_them_shows() -> None:
    values = [1.0] * 500
    values[250] = math.nan
    values[100:104] = [math.inf] * 4
    assert len(sparkline(values)) == 36
    assert "×" in sparkline([1.0] * 400 + [math.inf] * 100)


def test_a_fix_tells_the_fate_of_each_finding() -> None:
    text = fixed_text(samples.fixed())
    assert text.startswith("✓ Mended")
    rows = {line.split()[1]: line for line in text.splitlines() if " FI" in line and line.strip()[0] in "✓·✗"}
    assert rows["FI301"].split()[0] == "✓"
    assert rows["FI301"].endswith("none")
    assert rows["FI502"].split()[0] == "·"
    assert "net.4.weight: it made FI201 worse" in text


def test_a_comparison_keeps_what_diverged_and_what_never_arrived() -> None:
    lines = comparison_text(samples.comparison()).splitlines()
    assert lines[0] == "✓ fanin is the best: accuracy 0.960 (+0.860 over default; too few seeds to say)"
    he = next(line for line in lines if line.strip().startswith("he_normal  "))
    assert he.split()[-3:] == [">300", "(1/5)", "1/5"]
    assert next(line for line in lines if line.strip().startswith("default  ")).split()[-2:] == ["never", "0/5"]
    assert "+0.860 (+0.852 to +0.868)" in "\n".join(lines)


def test_a_residual_stream_is_shown_beside_its_branches() -> None:
    report = samples.report(depth=12)
    adds = tuple(ResidualAdd(i, i - 2, i - 1, (f"net.{i}.weight",), 2, n) for n, i in enumerate(range(2, 20, 2)))
    report = replace(report, trace=replace(report.trace, residuals=adds))
    lines = report_text(report).splitlines()
    bars = [line.split()[:2] for line in lines if "→" in line]
    assert bars[:2] == [["stream", "rms"], ["stream", "gradient"]]
    assert ["forward", "rms"] in bars
    assert not any(line.split()[:1] == ["stream"] for line in report_text(samples.report()).splitlines())


def test_correlation_is_drawn_from_zero_to_one() -> None:
    assert sparkline([-0.01, 0.0, 0.02, 0.5, 1.0], log=False) == "▁▁▁▅█"


def test_what_a_fix_brought_is_not_hidden() -> None:
    fixed = samples.fixed()
    new = samples.finding("FI202", "warning", slug="exploding-forward-signal")
    fixed = replace(fixed, after=replace(fixed.after, findings=(new, new)))
    row = next(line for line in fixed_text(fixed).splitlines() if "FI202" in line)
    assert row.split()[0] == "✗"
    assert fixed_text(fixed).startswith("! Not all mended: 2 warnings left")
    page = report_html(fixed.before, fixed)
    assert page.count("new: found after the fix") == 2
