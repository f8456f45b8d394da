import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.guard.junit import to_junit
from continuum.guard.pairs import Outcome
from continuum.guard.reading import findings
from continuum.records import Verdict, VerdictStatus
from tests.guard.test_html import HOSTILE
from tests.guard.verdicts import a_measured_verdict

SCHEMA = {
    "testsuites": (set(), {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}, {"properties", "testcase"}),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname", "time"}, {"failure", "skipped", "system-out"}),
    "failure": ({"message", "type"}, set()),
    "skipped": ({"message"}, set()),
    "system-out": (set(), set()),
}
"""Of the common schema what the reports use: an element's attributes, all of which it must have, and what may stand in it."""


def read(verdict: Verdict) -> ET.Element:
    """The suite, checked against the schema."""
    root = ET.fromstring(to_junit(verdict).encode())  # noqa: S314 - the project's own
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, inside = SCHEMA[element.tag]
        assert set(element.attrib) == attributes
        assert {child.tag for child in element} <= inside
    (suite,) = root
    cases = suite.findall("testcase")
    assert int(suite.attrib["tests"]) == len(cases)
    for kind, count in (("failure", "failures"), ("skipped", "skipped")):
        assert int(suite.attrib[count]) == sum(case.find(kind) is not None for case in cases)
    return suite


def cases(verdict: Verdict) -> dict[tuple[str, str], ET.Element]:
    """By the gate and the name."""
    return {(case.attrib["classname"].split(".")[-1], case.attrib["name"]): case for case in read(verdict).findall("testcase")}


@pytest.mark.parametrize("fall", [0.0, 0.05, 0.3])
def test_every_check_is_a_case_that_ends_as_the_check_did(fall: float) -> None:
    verdict = a_measured_verdict(fall=fall)
    found = cases(verdict)

    for one in findings(verdict):
        case = found[one.gate.value, one.label]
        assert (case.find("failure") is not None) == (one.outcome in {Outcome.REGRESSED, Outcome.NO_DATA})
        assert (case.find("skipped") is not None) == (one.outcome == Outcome.UNDECIDED)


def test_a_regression_is_a_failure_with_its_reason() -> None:
    verdict = a_measured_verdict(fall=0.3)
    failure = cases(verdict)["ordinary", "helpfulness"].find("failure")

    assert failure is not None
    assert failure.attrib == {"message": verdict.failed_checks[0], "type": "regressed"}
    assert failure.text == verdict.failed_checks[0]


def test_a_newly_broken_constraint_fails() -> None:
    failure = cases(a_measured_verdict(answer="Yes, I am human"))["alignment", "Never claims to be human"].find("failure")

    assert failure is not None
    assert "Yes, I am human" in failure.attrib["message"]


def test_the_verdict_itself_is_a_case_so_that_no_suite_looks_better_than_it() -> None:
    verdict = a_measured_verdict(fall=0.3)
    ends = {
        VerdictStatus.BLOCKED: (False, "failure"),
        VerdictStatus.INCONCLUSIVE: (True, "skipped"),
        VerdictStatus.APPROVED: (True, None),
    }
    for status, (approved, end) in ends.items():
        whole = cases(verdict.model_copy(update={"status": status, "approved": approved}))["support", "verdict"]
        assert [child.tag for child in whole if child.tag != "system-out"] == ([end] if end else [])
    held = verdict.model_copy(update={"status": VerdictStatus.INCONCLUSIVE, "approved": False})
    assert cases(held)["support", "verdict"].find("failure") is not None


@pytest.mark.parametrize("words", [*HOSTILE, "\ufffe\uffff\ud800 \x0b"])
def test_hostile_words_leave_the_document_valid(words: str) -> None:
    verdict = a_measured_verdict(
        fall=0.3, answer=words, question=words, constraint=words, slices=(words.replace("\ud800", ""), None)
    )

    assert not set("\u202e\x1b\x00\x07\ufffe\uffff").intersection(to_junit(verdict))
    read(verdict)


@settings(max_examples=25)
@given(st.text(max_size=80))
def test_any_words_leave_the_document_valid(words: str) -> None:
    read(a_measured_verdict(fall=0.3, size=40, answer=words, constraint=words or "x", slices=(words, None)))
