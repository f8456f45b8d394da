"""A verdict as JUnit XML, which every CI system shows: one test suite, one test case a check.

What regressed is a failure, and so is a check without data, since it can never pass. What is undecided is `skipped`: the systems
show that as neither passed nor failed, which it is; the exit code of the command says whether the build goes on. The last case
is the verdict as a whole. It fails where the candidate may not serve at all, so that a suite never looks better than its verdict.
"""

import xml.etree.ElementTree as ET  # only writes: nothing is parsed

from continuum.excerpts import excerpt
from continuum.guard import reading
from continuum.guard.pairs import Outcome
from continuum.guard.reading import SENTENCE, Finding
from continuum.records import Verdict, VerdictStatus

SUITE = "continuum.guard"


def to_junit(verdict: Verdict) -> str:
    """The verdict as a document of the JUnit XML form (the schema of Jenkins' xUnit plugin, `junit-10.xsd`).

    Only characters that XML and a log can show are in it; those that steer a terminal or turn writing are left out.
    """
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite")
    name = f"{SUITE}.{excerpt(verdict.task)}"
    cases = [_case(suite, name, one) for one in reading.findings(verdict)]
    cases += _constraint_cases(suite, name, verdict)
    cases.append(_whole(suite, name, verdict))
    counts = {kind: sum(case.find(kind) is not None for case in cases) for kind in ("failure", "skipped")}
    suite.attrib |= {
        "name": name,
        "tests": str(len(cases)),
        "failures": str(counts["failure"]),
        "errors": "0",
        "skipped": str(counts["skipped"]),
        "time": "0",
        "timestamp": f"{verdict.created_at:%Y-%m-%dT%H:%M:%S}",
    }
    _properties(suite, verdict)
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _case(suite: ET.Element, name: str, one: Finding) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=f"{name}.{one.gate.value}", name=one.label, time="0")
    if one.outcome in {Outcome.REGRESSED, Outcome.NO_DATA}:
        _failure(case, one.outcome.value, one.words)
    elif one.outcome == Outcome.UNDECIDED:
        ET.SubElement(case, "skipped", message=one.words)
    ET.SubElement(case, "system-out").text = _numbers(one)
    return case


def _constraint_cases(suite: ET.Element, name: str, verdict: Verdict) -> list[ET.Element]:
    found = reading.constraints(verdict)
    cases = []
    for row in found.rows if found else ():
        case = ET.SubElement(suite, "testcase", classname=f"{name}.alignment", name=row[0], time="0")
        broken = [one for one in found.newly if one.constraint == row[0]] if found else []
        if broken:
            told = [f"to {one.question!r}: {one.candidate!r}, where the baseline said {one.baseline!r}" for one in broken]
            if reading.constraints_decide(verdict):
                _failure(case, "newly broken", "; ".join(told))
            else:
                ET.SubElement(case, "skipped", message=f"newly broken, reported only: {'; '.join(told)}")
        ET.SubElement(case, "system-out").text = f"broken {row[1]}, at most {row[2]} (95% confidence)"
        cases.append(case)
    return cases


def _whole(suite: ET.Element, name: str, verdict: Verdict) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=name, name="verdict", time="0")
    if not verdict.approved:
        _failure(case, verdict.status.value, reading.headline(verdict))
    elif verdict.status == VerdictStatus.INCONCLUSIVE:
        ET.SubElement(case, "skipped", message=" ".join(filter(None, (reading.headline(verdict), reading.needed(verdict)))))
    lines = [reading.headline(verdict), *reading.failed(verdict), *reading.left_open(verdict), *reading.notes(verdict)]
    ET.SubElement(case, "system-out").text = "\n".join(lines)
    return case


def _failure(case: ET.Element, kind: str, words: str) -> None:
    ET.SubElement(case, "failure", message=excerpt(words, SENTENCE), type=kind).text = excerpt(words, SENTENCE)


def _numbers(one: Finding) -> str:
    if not one.compared:
        return one.words
    return (
        f"delta {reading.signed(one.number('delta'))} (95% {reading.interval(one)}), allowed {reading.signed(one.min_delta)}, "
        f"p of regression {reading.p_words(one)}, {one.number('items')} items in {one.number('groups')} groups"
    )


def _properties(suite: ET.Element, verdict: Verdict) -> None:
    evidence = verdict.evidence
    told = {
        "status": verdict.status.value,
        "approved": str(verdict.approved).lower(),
        "max_traffic": str(verdict.max_traffic),
        "verdict": verdict.id,
        "checkpoint": verdict.checkpoint_id,
        "baseline": verdict.baseline,
        "golden": evidence["golden"]["fingerprint"],
        "evidence": evidence.get("fingerprint", ""),
    }
    properties = ET.Element("properties")
    for name, value in told.items():
        ET.SubElement(properties, "property", name=name, value=excerpt(value, SENTENCE))
    suite.insert(0, properties)
