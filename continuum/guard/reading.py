"""A verdict's evidence as every report reads it: checks under their gates, in words that can do nothing to a page or a terminal.

Names of slices, judges and constraints, questions and answers come from users and models; whatever shows them takes them from
here, where `continuum.excerpts` has made plain lines of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from continuum.excerpts import excerpt
from continuum.guard.pairs import KNOWN, Gate, Outcome
from continuum.records import Verdict, VerdictStatus

SIGNS = {VerdictStatus.APPROVED: "✓", VerdictStatus.BLOCKED: "✗", VerdictStatus.INCONCLUSIVE: "?"}
EXIT_CODES = {VerdictStatus.APPROVED: 0, VerdictStatus.BLOCKED: 1, VerdictStatus.INCONCLUSIVE: 2}
"""What a command that guards ends with, for scripts to read."""
OUTCOME_SIGNS = {Outcome.PASSED: "✓", Outcome.REGRESSED: "✗", Outcome.UNDECIDED: "?", Outcome.NO_DATA: "∅"}
TITLES = {
    Gate.ORDINARY: "Quality",
    Gate.SAFETY: "Safety",
    Gate.SLICE: "Slices",
    Gate.CAPABILITY: "What the model could do before",
}
EXPLAINED = (
    "Level is of the test for a regression. Detectable is the drop below what is allowed that would have been found 4 times in "
    "5. Needed is how many examples of its own part would decide a check."
)
TRACKED = ("delta", "low", "high", "p_regressed", "p_not_worse", "mde", "required_examples")
"""Numbers of a check that a tracker draws."""
SENTENCE = 2_000
"""Characters of a sentence, an answer or a note that a report shows."""
NAME = 120
"""Characters of a name."""


@dataclass(frozen=True)
class Finding:
    """One check as it is shown; a number that there is none of is None."""

    check: str
    """The check's name, as in `Verdict.deltas`."""
    label: str
    """The same in words."""
    gate: Gate
    part: str
    outcome: Outcome
    words: str
    min_delta: float
    floor: float | None
    """`min_delta` less the resolution: what the delta must be shown to be above for an approval."""
    numbers: Mapping[str, Any]
    """The evidence's row."""

    @property
    def word(self) -> str:
        """The outcome, with its sign; of what decides nothing it says so."""
        said = "only reported" if self.numbers.get("reported") else self.outcome.value
        return f"{OUTCOME_SIGNS[self.outcome]} {said}"

    @property
    def compared(self) -> bool:
        """Whether there was enough to compare."""
        return self.number("delta") is not None

    @property
    def p(self) -> float | None:
        """Of regression. Where too few groups, or too few scores, forbid a test, a p would only mislead: None."""
        return None if self.number("p_adjusted") is None else self.number("p_regressed")

    def number(self, name: str) -> Any:
        """A number of the evidence's row."""
        return self.numbers.get(name)


@dataclass(frozen=True)
class Section:
    """The checks of one gate."""

    gate: Gate
    title: str
    words: str
    """What is tested at which level; empty where the verdict does not say."""
    findings: tuple[Finding, ...]


def sections(verdict: Verdict) -> list[Section]:
    """The gates that have checks, in the order in which they are read."""
    found = findings(verdict)
    words = {row["gate"]: excerpt(str(row["words"]), SENTENCE) for row in verdict.evidence.get("gates") or ()}
    grouped = [(gate, tuple(one for one in found if one.gate == gate)) for gate in Gate]
    return [Section(gate, TITLES[gate], words.get(gate.value, ""), those) for gate, those in grouped if those]


def findings(verdict: Verdict) -> list[Finding]:
    """Every check of the verdict."""
    default = verdict.evidence.get("rule", {}).get("resolution")
    return [_finding(check, row, default) for check, row in verdict.evidence.get("metrics", {}).items()]


def _finding(check: str, row: Mapping[str, Any], default: float | None) -> Finding:
    gate = Gate(row.get("gate") or Gate.ORDINARY)
    resolution = row.get("resolution", default)
    part = str(row.get("part") or "")
    return Finding(
        check=check,
        label=label_of(check, gate, part),
        gate=gate,
        part=excerpt(part, NAME),
        outcome=Outcome(row["outcome"]),
        words=excerpt(row["words"], SENTENCE),
        min_delta=row["min_delta"],
        floor=None if resolution is None else row["min_delta"] - resolution,
        numbers=row,
    )


def label_of(check: str, gate: Gate, part: str) -> str:
    """A check in words, for a column."""
    if check.endswith(KNOWN):
        return excerpt(f"{check.removesuffix(KNOWN)}, what the champion knew", NAME)
    if gate == Gate.SLICE:
        return excerpt(f"{excerpt(part)}: {check.removesuffix('@' + part)}", NAME)
    return excerpt(part if gate == Gate.CAPABILITY and part else check, NAME)


def headline(verdict: Verdict) -> str:
    """The verdict in one line."""
    evidence = verdict.evidence
    against = f"{evidence['candidate']['model']} against {evidence['baseline']['model']}"
    size = f"{evidence['golden']['items']} golden items in {evidence['golden']['groups']} groups"
    return excerpt(f"{SIGNS[verdict.status]} {verdict.status.upper()}: {against}, {size}; {permission(verdict)}", SENTENCE)


def permission(verdict: Verdict) -> str:
    """What the candidate may do now."""
    if not verdict.approved:
        return "may not serve"
    return "may serve all traffic" if verdict.max_traffic >= 1 else f"may serve up to {verdict.max_traffic:.0%} of traffic"


def failed(verdict: Verdict) -> list[str]:
    """What failed, in words."""
    return [excerpt(words, SENTENCE) for words in verdict.failed_checks]


def left_open(verdict: Verdict) -> list[str]:
    """What was found on the checks that nothing was decided about, as far as the failed checks do not say it."""
    said = failed(verdict)
    shown = [one for one in findings(verdict) if not one.number("reported")]
    found = [one.words for one in shown if one.outcome in {Outcome.UNDECIDED, Outcome.NO_DATA}]
    if constraints_decide(verdict):
        found += [excerpt(words, SENTENCE) for words in (verdict.evidence.get("alignment") or {}).get("left_open", ())]
    return [words for words in found if words not in said]


def needed(verdict: Verdict) -> str | None:
    """How many examples would decide, in words; None where it is decided."""
    if verdict.required_examples is None:
        return None
    return f"About {verdict.required_examples} golden examples would decide."


def ledger_words(verdict: Verdict) -> str | None:
    """Which try it was, and what that asks of it; None without a ledger."""
    ledger = verdict.evidence.get("ledger")
    if not ledger:
        return None
    position, alpha = ledger["position"], ledger["alpha"]
    blocking = verdict.evidence["rule"]["p_value_threshold"]
    if alpha is None:
        return f"Candidate {position} on these golden questions."
    return (
        f"Candidate {position} on these golden questions: approved at the level {level(alpha)}, blocked at the full "
        f"{level(blocking)}. All approvals on these questions together are wrong at most {percent(blocking)} of the time."
    )


def nats(verdict: Verdict) -> list[list[str]]:
    """What each set of texts lost, in nats a token: its name, the candidate, the baseline, the base, the change, documents."""
    capability = verdict.evidence.get("capability") or {}
    rows = []
    for name, loss in (capability.get("losses") or {}).items():
        change = signed(loss["change"])
        if loss["low"] is not None:
            change += f" ({signed(loss['low'])} to {signed(loss['high'])})"
        means = [plain_number(loss[arm]) or "-" for arm in ("candidate", "baseline", "base")]
        rows.append([excerpt(name, NAME), *means, change or "-", str(loss["documents"])])
    return rows


@dataclass(frozen=True)
class Broken:
    """A probe that the candidate breaks and the baseline keeps."""

    constraint: str
    question: str
    candidate: str
    baseline: str
    by: str


@dataclass(frozen=True)
class Constraints:
    """What became of the constraints, as it is shown."""

    words: str
    rows: list[list[str]]
    """Constraint, broken of probes, at most, held-out ones alone, at most, broken by the baseline."""
    newly: list[Broken]


def constraints_decide(verdict: Verdict) -> bool:
    """Whether a constraint that is newly broken blocks, or is only told."""
    return verdict.evidence["rule"].get("alignment", "block") == "block"


def constraints(verdict: Verdict) -> Constraints | None:
    """What was tried of the constraints; None where nothing was."""
    found = verdict.evidence.get("alignment")
    if not found or not found["probes"]:
        return None
    overall, held_out = found["overall"], found["held_out"]
    words = f"{_broken(overall)} probes broken, at most {overall['upper']:.1%} of such questions (95% confidence)"
    if held_out["probes"]:
        words += f"; of those that no training saw {_broken(held_out)}, at most {held_out['upper']:.1%}"
    newly = [_newly(probe) for probe in found["probes"] if probe["outcome"] == "newly broken"]
    return Constraints(words, [_constraint_row(row) for row in found["constraints"]], newly)


def _broken(share: Mapping[str, Any]) -> str:
    open_ = share["probes"] - share["decided"]
    return f"{share['broken']} of {share['decided']}" + (f" ({open_} undecided)" if open_ else "")


def _constraint_row(row: Mapping[str, Any]) -> list[str]:
    every, held = row["all"], row["held_out"]
    shares = [_broken(every), f"{every['upper']:.1%}"]
    shares += [_broken(held), f"{held['upper']:.1%}"] if held["probes"] else ["-", "-"]
    return [excerpt(row["constraint"], SENTENCE), *shares, str(every["broken_before"])]


def _newly(probe: Mapping[str, Any]) -> Broken:
    said = [excerpt(probe[arm]["answer"] or "(no answer)", SENTENCE) for arm in ("candidate", "baseline")]
    asked = [excerpt(probe[name], SENTENCE) for name in ("constraint", "question")]
    return Broken(asked[0], asked[1], said[0], said[1], excerpt(probe["candidate"]["by"]))


def audit_words(verdict: Verdict) -> str | None:
    """Where people's scores of both answers corrected the judge's; None where nobody was asked."""
    audit = verdict.evidence.get("audit")
    if not audit:
        return None
    told = []
    for one in findings(verdict):
        # Of a part it stands in the numbers alone.
        if (count := audit["labelled"].get(one.check)) and not one.part:
            why = one.number("uncorrected")
            used = f"not used: {excerpt(why, SENTENCE)}" if why else "the judge's difference is corrected by them"
            told.append(f"{one.label} {count} of {one.number('items')} pairs, {used}")
    return sentence("people scored both answers, not knowing whose they are: " + "; ".join(told)) if told else None


def figures(verdict: Verdict) -> dict[str, float]:
    """The verdict's numbers by name, for a tracker to draw beside those of other runs."""
    found: dict[str, float] = {}
    for one in findings(verdict):
        for number in TRACKED:
            if (value := one.number(number)) is not None:
                found[f"{number}_{one.check}"] = float(value)
    evidence = verdict.evidence
    for name, loss in ((evidence.get("capability") or {}).get("losses") or {}).items():
        found |= {f"nats_{arm}_{name}": loss[arm] for arm in ("candidate", "baseline", "base") if loss[arm] is not None}
    if tried := evidence.get("alignment"):
        # A training logs `violations_upper` of its own, of fewer questions, to the same run.
        found |= {f"alignment_{name}": float(tried["overall"][name]) for name in ("broken", "decided", "upper")}
    if ledger := evidence.get("ledger"):
        found["golden_use"] = float(ledger["position"])
    return found | {"max_traffic": verdict.max_traffic}


def notes(verdict: Verdict) -> list[str]:
    """What a reader has to keep in mind."""
    return [excerpt(note, SENTENCE) for note in verdict.evidence.get("notes", ())]


def false_block_words(verdict: Verdict) -> str | None:
    """How often a model exactly at its limits is blocked, in words; None where the verdict does not say."""
    words = (verdict.evidence.get("false_block") or {}).get("words")
    return sentence(words) if words else None


def sentence(words: str) -> str:
    """Words as a sentence: a capital first, a stop last."""
    line = excerpt(words, SENTENCE)
    return line[:1].upper() + line[1:] + ("" if line.endswith((".", "!", "?")) else ".")


def percent(share: float) -> str:
    """A share, short."""
    return f"{share * 100:.3g}%"


def level(alpha: float) -> str:
    """A level or a p-value, short."""
    return f"{alpha:.3f}" if alpha >= 0.001 else f"{alpha:.1e}"


def signed(value: float | None, digits: int = 3) -> str:
    """A difference, with its sign; empty for none."""
    return "" if value is None else f"{value:+.{digits}f}"


def plain_number(value: float | None, digits: int = 3) -> str:
    """A number; empty for none."""
    return "" if value is None else f"{value:.{digits}f}"


def interval(finding: Finding) -> str:
    """The two-sided 95% interval of the delta."""
    return f"{signed(finding.number('low'))} to {signed(finding.number('high'))}" if finding.compared else ""


def p_words(finding: Finding) -> str:
    """The p-value of regression, or a dash where nothing was tested."""
    return "-" if finding.p is None else f"{finding.p:.3f}" if finding.p >= 0.001 else "<0.001"
