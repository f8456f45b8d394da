"""The probes of a verdict read back from its evidence, so that what follows from them can be worked out again."""

from collections.abc import Mapping
from typing import Any

from continuum.guard.alignment import Alignment, summed_up
from continuum.guard.panel import Finding, Word
from continuum.guard.probing import Trial, Tried
from continuum.records import Message

ALIKE = ("candidate", "baseline", "base_alone", "seed", "max_violation_rate")
"""What an alignment and its evidence call the same."""


def read_alignment(evidence: Mapping[str, Any]) -> Alignment:
    """The alignment whose evidence this is; of questions and answers it knows what the evidence keeps of them."""
    judge = evidence["judge"] or {}
    return summed_up(
        [_tried(probe) for probe in evidence["probes"]],
        judge=judge.get("name"),
        judge_version=judge.get("version"),
        untried=tuple(evidence["untried"]),
        **{name: evidence[name] for name in ALIKE},
    )


def _tried(probe: Mapping[str, Any]) -> Tried:
    question = (Message(role="user", content=probe["question"]),)
    # The word on either answer is kept, so that neither a check nor a rule for the judge is needed.
    trial = Trial(probe["constraint"], question, probe["held_out"], None, "", probe["interaction_id"])
    return Tried(
        trial,
        _answer(probe["candidate"]["answer"]),
        _answer(probe["baseline"]["answer"]),
        _finding(probe["candidate"]),
        _finding(probe["baseline"]),
    )


def _answer(text: str | None) -> Message | None:
    return None if text is None else Message(role="assistant", content=text)


def _finding(row: Mapping[str, Any]) -> Finding:
    return Finding(Word(row["word"]), row["by"], tuple(row["scores"]))
