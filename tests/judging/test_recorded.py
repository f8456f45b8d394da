import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.judge import Capability, Judgement
from continuum.judging.recorded import RecordedJudge
from continuum.judging.scripted import ScriptedJudge
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import DEFAULT_CRITERIA, Criterion
from tests.builders import assistant, user

QUESTION, ANSWER = (user("Where is my order?"),), assistant("It arrives on Monday.")
FULL = Judgement(
    status="ok",
    scores={"helpfulness": 4.5, "tone": 2.0},
    reasons={"helpfulness": "says when", "tone": "curt"},
    overall=4.0,
    cost_usd=0.25,
    std=0.5,
    served_by="model-2026-01 fp_1",
    escalated=True,
    votes={"a": {"overall": 4.5}, "b": {"overall": 3.5}},
)


class Prepared:
    """A judge who says what it was given, whatever it is asked."""

    name = "prepared"
    capabilities: frozenset[Capability] = frozenset({"uncertainty", "pairwise"})

    def __init__(self, judgement: Judgement = FULL, version: str = "v1") -> None:
        self.judgement, self.version, self.asked = judgement, version, 0

    async def judge(
        self, conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion], *, budget: Budget | None = None
    ) -> Judgement:
        self.asked += 1
        return self.judgement


async def test_a_recorded_judgement_is_replayed_at_no_cost_and_a_changed_rubric_is_not(tmp_path: Path) -> None:
    file, asked = tmp_path / "judgements.jsonl", []
    live = ScriptedJudge("rule", lambda conversation, answer, criterion: asked.append(criterion.name) or 4, cost_usd=0.1)
    first = await RecordedJudge(file, live).judge(QUESTION, ANSWER, DEFAULT_CRITERIA)

    replayed = RecordedJudge(file)
    again = await replayed.judge(QUESTION, ANSWER, DEFAULT_CRITERIA)

    assert len(asked) == 4
    assert (again.scores, again.cost_usd, replayed.name) == (first.scores, 0.0, "rule")
    with pytest.raises(JudgeError, match="holds no judgement"):
        await replayed.judge(QUESTION, ANSWER, [Criterion("tone", 1, "Kind")])


def test_a_recording_with_a_broken_line_says_which(tmp_path: Path) -> None:
    file = tmp_path / "judgements.jsonl"
    file.write_text('{"key": 1}\n')
    with pytest.raises(ConfigurationError, match="line 1"):
        RecordedJudge(file)


async def test_every_part_of_a_judgement_is_replayed(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "judgements.jsonl"
    judge = Prepared()
    assert await RecordedJudge(file, judge).judge(QUESTION, ANSWER, DEFAULT_CRITERIA) == FULL

    replayed = RecordedJudge(file)
    assert await replayed.judge(QUESTION, ANSWER, DEFAULT_CRITERIA) == replace(FULL, cost_usd=0.0, cached=True)
    assert (replayed.name, replayed.version, replayed.capabilities) == ("prepared", "v1", {"uncertainty"})


async def test_another_version_of_the_judge_is_asked_anew_and_then_replayed(tmp_path: Path) -> None:
    file, old, new = tmp_path / "judgements.jsonl", Prepared(), Prepared(replace(FULL, overall=2.0), "v2")
    for judge in (old, new, old, new):
        await RecordedJudge(file, judge).judge(QUESTION, ANSWER, DEFAULT_CRITERIA)
    assert (old.asked, new.asked) == (1, 1)
    assert (await RecordedJudge(file).judge(QUESTION, ANSWER, DEFAULT_CRITERIA)).overall == 2.0


async def test_a_line_that_a_kill_left_half_written_loses_nothing_but_itself(tmp_path: Path) -> None:
    file, judge = tmp_path / "judgements.jsonl", Prepared()
    for answer in ("Soon", "On Monday", "Never"):
        await RecordedJudge(file, judge).judge(QUESTION, assistant(answer), DEFAULT_CRITERIA)
    file.write_bytes(file.read_bytes()[:-30])

    resumed = RecordedJudge(file, judge)
    for answer in ("Soon", "On Monday", "Never", "Perhaps"):
        await resumed.judge(QUESTION, assistant(answer), DEFAULT_CRITERIA)

    assert judge.asked == 5
    whole = RecordedJudge(file)
    for answer in ("Soon", "On Monday", "Never", "Perhaps"):
        assert (await whole.judge(QUESTION, assistant(answer), DEFAULT_CRITERIA)).overall == 4.0


@pytest.mark.parametrize(
    "wrong",
    [{"scores": {"tone": 9.0}}, {"scores": {"tone": float("nan")}}, {"overall": 0.0}, {"overall": float("inf")}],
    ids=["beyond the scale", "not a number", "below the scale", "infinite"],
)
def test_a_recorded_score_that_is_off_the_scale_is_refused(tmp_path: Path, wrong: dict) -> None:
    file = tmp_path / "judgements.jsonl"
    file.write_text(json.dumps({"key": "k", "judge": "j", "judgement": asdict(FULL) | wrong}) + "\n")
    with pytest.raises(ConfigurationError, match="line 1"):
        RecordedJudge(file)
