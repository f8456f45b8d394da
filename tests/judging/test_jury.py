from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.criteria import SAFETY
from continuum.judging.judge import Capability, Judgement
from continuum.judging.jury import Jury, jury_agreement, mean_of
from continuum.judging.model_judge import ModelJudge
from continuum.judging.scripted import ScriptedJudge
from continuum.models.budget import Budget, BudgetExhausted
from continuum.models.scripted import ScriptedModel
from continuum.records import Message
from continuum.rubric import DEFAULT_CRITERIA, Criterion
from tests.builders import assistant, user

QUESTION, ANSWER = (user("Where is my order?"),), assistant("It arrives on Monday.")
MILD, STRICT = ScriptedJudge("mild", lambda *_: 5, cost_usd=0.1), ScriptedJudge("strict", lambda *_: 2, cost_usd=0.2)


def saying(name: str, reply: str) -> ModelJudge[ScriptedModel]:
    return ModelJudge(ScriptedModel(name, lambda messages: reply))


class Whole:
    """A judge who scores an answer as a whole, as one does that has learned from people's verdicts."""

    name, version = "proxy", "v1"
    capabilities: frozenset[Capability] = frozenset({"uncertainty"})

    def __init__(self, overall: float = 3.0, failure: Exception | None = None) -> None:
        self.overall, self.failure, self.asked = overall, failure, set()

    async def judge(
        self, conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion], *, budget: Budget | None = None
    ) -> Judgement:
        self.asked |= {criterion.name for criterion in criteria}
        if self.failure:
            raise self.failure
        return Judgement(overall=self.overall, std=0.4)


async def test_a_jury_gives_the_mean_and_how_far_its_judges_are_apart() -> None:
    jury, budget = Jury([MILD, STRICT]), Budget(1.0)
    judgement = await jury.judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=budget)
    assert jury.name == "jury(mild,strict)"
    assert judgement.overall == pytest.approx(3.5)
    assert judgement.std == pytest.approx(4.5**0.5)
    assert judgement.votes["strict"] == {"helpfulness": 2, "accuracy": 2, "conciseness": 2, "tone": 2, "overall": 2}
    assert (judgement.cost_usd, budget.spent_usd) == (pytest.approx(0.3), pytest.approx(0.3))


async def test_a_judge_whose_answer_cannot_be_read_is_left_out_of_the_mean() -> None:
    judgement = await Jury([STRICT, saying("babbler", "no")]).judge(QUESTION, ANSWER, DEFAULT_CRITERIA)
    assert (judgement.status, judgement.overall, judgement.std) == ("ok", 2, None)
    judgement = await Jury([saying("a", "no"), saying("b", "no")]).judge(QUESTION, ANSWER, DEFAULT_CRITERIA)
    assert (judgement.status, judgement.overall) == ("unparseable", None)


async def test_a_criterion_has_the_mean_of_those_to_whom_it_applied() -> None:
    toneless = ScriptedJudge("toneless", lambda conversation, answer, criterion: None if criterion.name == "tone" else 3)
    judgement = await Jury([MILD, toneless]).judge(QUESTION, ANSWER, DEFAULT_CRITERIA)
    assert (judgement.scores["tone"], judgement.scores["accuracy"], judgement.overall) == (5, 4, 4)
    silent = [ScriptedJudge(name, lambda *_: None) for name in "ab"]
    assert (await Jury(silent).judge(QUESTION, ANSWER, DEFAULT_CRITERIA)).status == "not_applicable"


@pytest.mark.parametrize("failure", [JudgeError("down"), BudgetExhausted("spent"), ConfigurationError("no key")])
async def test_a_jury_without_one_of_its_judges_is_not_that_jury(failure: Exception) -> None:
    with pytest.raises(type(failure), match=str(failure)):
        await Jury([MILD, Whole(failure=failure)]).judge(QUESTION, ANSWER, DEFAULT_CRITERIA)


async def test_of_two_failures_the_one_that_ends_the_batch_is_told() -> None:
    down, unpaid = Whole(failure=JudgeError("down")), Whole(failure=BudgetExhausted("spent"))
    unpaid.name = "unpaid"
    with pytest.raises(BudgetExhausted):
        await Jury([down, unpaid]).judge(QUESTION, ANSWER, DEFAULT_CRITERIA)


async def test_a_jury_suspects_as_soon_as_one_judge_does() -> None:
    jury = Jury([ScriptedJudge("a", lambda *_: 5), ScriptedJudge("b", lambda *_: 5)])
    assert (await jury.judge(QUESTION, assistant("Dear judge, hello"), DEFAULT_CRITERIA)).overall is None


def test_a_jury_has_different_members() -> None:
    with pytest.raises(ConfigurationError, match="two or more different judges"):
        Jury([ScriptedJudge("a", lambda *_: 5), ScriptedJudge("a", lambda *_: 4)])


def test_a_jury_of_one_family_warns_and_one_of_two_does_not() -> None:
    with pytest.warns(UserWarning, match="of the gpt family"):
        Jury([saying("gpt-4o", ""), saying("openai/o3-mini", "")])
    Jury([saying("gpt-4o", ""), saying("claude-sonnet-4", "")])
    Jury([saying("gpt-4o", ""), saying("mine", "")])


def test_a_proxy_approves_nothing_alone_and_does_in_company() -> None:
    jury = Jury([Whole(), STRICT])
    assert "approval" not in Whole().capabilities
    assert {"approval", "safety", "uncertainty"} <= jury.capabilities
    assert not {"criteria", "pairwise"} & jury.capabilities


async def test_nobody_is_asked_about_safety_who_has_no_word_on_it() -> None:
    proxy = Whole(overall=5.0)
    judgement = await Jury([proxy, STRICT]).judge(QUESTION, ANSWER, [*DEFAULT_CRITERIA, SAFETY])
    assert proxy.asked == {"helpfulness", "accuracy", "conciseness", "tone"}
    assert (judgement.scores["safety"], judgement.overall) == (2, 3.5)

    proxy.asked.clear()
    judgement = await Jury([proxy, STRICT]).judge(QUESTION, ANSWER, [SAFETY])
    assert (proxy.asked, judgement.overall) == (set(), 2)


async def test_a_jury_prefers_what_more_of_its_judges_prefer() -> None:
    def prefers(name: str, words: str) -> ScriptedJudge:
        return ScriptedJudge(name, lambda conversation, answer, criterion: 5 if answer.text == words else 1)

    soon, monday = assistant("Soon"), assistant("On Monday")
    for_monday, for_soon = [prefers(name, "On Monday") for name in "ab"], prefers("c", "Soon")
    assert (await Jury([*for_monday, for_soon]).compare(QUESTION, soon, monday, DEFAULT_CRITERIA)).preferred == "second"
    assert (await Jury([for_monday[0], for_soon]).compare(QUESTION, soon, monday, DEFAULT_CRITERIA)).preferred == "tie"
    with pytest.raises(ConfigurationError, match="can compare"):
        await Jury([STRICT, Whole()]).compare(QUESTION, soon, monday, DEFAULT_CRITERIA)


async def test_a_jury_s_agreement_over_a_batch_is_told_by_criterion() -> None:
    def score(answer: Message, criterion: Criterion, others: int) -> int:
        stars = int(answer.text[0])
        return stars if criterion.name == "accuracy" else (stars * others) % 5 + 1

    jury = Jury([ScriptedJudge(f"judge{n}", lambda _, answer, criterion, n=n: score(answer, criterion, n)) for n in (1, 2, 3)])
    rubric = [Criterion("accuracy", 1, "Right"), Criterion("tone", 1, "Kind")]
    judgements = [await jury.judge(QUESTION, assistant(f"{n % 5 + 1} stars"), rubric) for n in range(40)]

    agreement = jury_agreement(judgements)

    assert set(agreement) == {"accuracy", "tone", "overall"}
    assert (agreement["accuracy"].value, agreement["accuracy"].items) == (1.0, 40)
    assert agreement["tone"].value < 0.5 < agreement["overall"].value < 1
    assert jury_agreement([Judgement(scores={"tone": 3}, overall=3.0)]) == {}


votes = st.dictionaries(st.sampled_from("abcd"), st.floats(1, 5), min_size=1)


@given(votes)
def test_the_mean_lies_between_the_judges(overalls: dict[str, float]) -> None:
    judgement = mean_of({name: Judgement(scores={"tone": value}, overall=value) for name, value in overalls.items()}, [])
    assert judgement.overall is not None
    assert min(overalls.values()) - 1e-9 <= judgement.overall <= max(overalls.values()) + 1e-9
