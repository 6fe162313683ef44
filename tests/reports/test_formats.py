"""SARIF and GitHub annotations: what scanners read, with the words that people read."""

import json

from tests.reports import samples

from fanin.checks.report import Report
from fanin.reports import github, sarif


def at(target: str) -> Report:
    report = samples.report()
    return Report(target, report.trace, report.findings, report.curves)


def test_sarif_has_a_rule_a_code_and_a_result_a_finding() -> None:
    report = at("nets/model.py:mlp")
    run = json.loads(sarif.dumps(report))["runs"][0]
    rules = [r["id"] for r in run["tool"]["driver"]["rules"]]
    assert sorted(rules) == ["FI301", "FI401", "FI502"]
    assert [r["level"] for r in run["results"]] == ["error", "warning", "note"]
    for result, finding in zip(run["results"], report.findings, strict=True):
        assert rules[result["ruleIndex"]] == result["ruleId"] == finding.code
        assert finding.message in result["message"]["text"]
        assert finding.fix.text in result["message"]["text"]
        location = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert location == {"uri": "nets/model.py"}


def test_a_target_that_is_no_file_has_no_place_in_one() -> None:
    run = json.loads(sarif.dumps(at("package.module:mlp")))["runs"][0]
    assert "physicalLocation" not in run["results"][0]["locations"][0]


def test_annotations_are_one_line_each_whatever_the_words() -> None:
    finding = samples.finding(message="50 % of it,\nand: more")
    report = Report("nets/model.py:mlp", samples.trace(), (finding,))
    lines = github.dumps(report).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(
        "::error file=nets/model.py,line=1,title=FI301 vanishing-gradient::50 %25 of it,%0Aand: more"
    )
    assert "Will not train" in lines[1]


def test_each_severity_has_its_command() -> None:
    commands = [line.split()[0] for line in github.dumps(at("a.b:c")).splitlines()[:3]]
    assert commands == ["::error", "::warning", "::notice"]
