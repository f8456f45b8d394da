"""Many answers, one judge: outcomes as they come, and an end to what has no hope."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from continuum.errors import ConfigurationError, JudgeError, StoreError
from continuum.judging.asking import judge_each
from continuum.judging.cached import CachedJudge, UnderWayElsewhere
from continuum.judging.escalating import EscalatingJudge
from continuum.judging.judge import Judge, Judgement
from continuum.judging.jury import Jury
from continuum.judging.model_judge import EndpointJudge
from continuum.judging.scripted import ScriptedJudge
from continuum.models.budget import Budget, BudgetExhausted
from continuum.models.endpoint import EndpointModel
from continuum.models.pricing import Price
from continuum.records import Message
from continuum.rubric import Criterion
from continuum.store.database import Store
from tests.builders import assistant, user
from tests.stub_endpoint import scores, stub_endpoint

TONE = [Criterion("tone", 1, "Kind")]
Case = tuple[int, Sequence[Message], Message]


def cases(count: int) -> list[Case]:
    return [(n, [user(f"Question {n}?")], assistant(f"Answer {n}.")) for n in range(count)]


class Ruled:
    """A judge who says, or raises, what a function says of the question's number."""

    name, version, capabilities = "ruled", "1", frozenset[str]()

    def __init__(self, rule: Callable[[int], Judgement | Exception]) -> None:
        self.rule = rule
        self.asked: list[int] = []

    async def judge(self, conversation: Sequence[Message], *_: object, budget: Budget | None = None) -> Judgement:
        number = int(conversation[0].text.split()[1].rstrip("?"))
        self.asked.append(number)
        await asyncio.sleep(0)
        said = self.rule(number)
        if isinstance(said, Exception):
            raise said
        return said


async def asked(judge: Judge | Ruled, count: int, **options) -> dict[int, Judgement | JudgeError]:
    outcomes: dict[int, Judgement | JudgeError] = {}
    await judge_each(cases(count), TONE, judge, on_outcome=outcomes.__setitem__, **options)  # type: ignore[arg-type]
    return outcomes


async def test_a_failure_is_an_outcome_and_the_rest_goes_on() -> None:
    outcomes = await asked(Ruled(lambda n: JudgeError("broken") if n % 2 else Judgement()), 20, concurrency=3)

    assert [isinstance(outcomes[n], JudgeError) for n in range(20)] == [bool(n % 2) for n in range(20)]


async def test_what_has_no_hope_is_given_up() -> None:
    judge = Ruled(lambda n: JudgeError("broken"))
    with pytest.raises(JudgeError, match="broken"):
        await asked(judge, 1000, concurrency=4)
    assert len(judge.asked) < 20


async def test_what_another_process_is_asking_is_no_failure_and_no_success() -> None:
    every = await asked(Ruled(lambda n: UnderWayElsewhere("there")), 100, concurrency=4)
    some = await asked(Ruled(lambda n: JudgeError("broken") if n == 0 else UnderWayElsewhere("there")), 5)

    assert len(every) == 100
    assert len(some) == 5


async def test_the_end_of_the_money_ends_it_without_an_error() -> None:
    budget = Budget(0.35)
    outcomes = await asked(ScriptedJudge("rule", lambda *_: 4, cost_usd=0.1), 50, budget=budget, concurrency=1)

    assert [isinstance(outcome, BudgetExhausted) for outcome in outcomes.values()] == [False, False, False, True]


@pytest.mark.parametrize("error", [ConfigurationError("wrong key"), StoreError("no disk")])
async def test_what_the_caller_must_mend_ends_it_as_itself(error: Exception) -> None:
    judge = Ruled(lambda n: error if n == 5 else Judgement())
    with pytest.raises(type(error), match=str(error)):
        await asked(judge, 1000, concurrency=2)
    assert len(judge.asked) < 10


async def test_a_judge_that_raises_what_no_judge_raises_is_named_with_the_answer_it_failed_on() -> None:
    judge = Ruled(lambda n: ValueError("no number in it, key sk-proj-Zx81kLm20QpRsT34uVwXyZ56") if n == 5 else Judgement())
    with pytest.raises(ConfigurationError, match="judge 'ruled' failed with ValueError: no number in it") as raised:
        await asked(judge, 1000, concurrency=2)

    said = str(raised.value)
    assert "on the answer 'Answer 5.' to 'Question 5?'; mend the judge" in said
    assert "Zx81kLm20" not in said
    assert isinstance(raised.value.__cause__, ValueError)
    assert len(judge.asked) < 10


async def test_an_outcome_that_cannot_be_stored_ends_it_as_itself() -> None:
    async def full(number: int, outcome: Judgement | JudgeError) -> None:
        raise StoreError("no disk")

    with pytest.raises(StoreError, match="no disk"):
        await judge_each(cases(100), TONE, Ruled(lambda n: Judgement()), on_outcome=full)  # type: ignore[arg-type]


async def test_a_judge_some_model_of_which_has_no_price_is_refused_before_the_first_request(store: Store) -> None:
    async with stub_endpoint(lambda n, body: scores(tone=4)) as stub:
        priced = EndpointJudge(EndpointModel("priced", base_url=stub.base_url, price=Price(1, 1)))
        free = EndpointJudge(EndpointModel("unpriced", base_url=stub.base_url))
        judges: list[Judge] = [
            free,
            Jury([priced, free]),
            EscalatingJudge(priced, free, near=3.5),
            CachedJudge(Jury([priced, free]), store),
        ]
        for judge in judges:
            with pytest.raises(ConfigurationError, match="no price is known for model 'unpriced'"):
                await asked(judge, 3, budget=Budget(1.0))
            assert stub.calls == 0
        assert len(await asked(free, 3, budget=Budget())) == 3


async def test_some_more_are_prepared_than_are_called_where_the_budget_bounds_the_calls() -> None:
    async with stub_endpoint(lambda n, body: scores(tone=4)) as stub:
        judge = EndpointJudge(EndpointModel("stub", base_url=stub.base_url, price=Price(1, 1)))
        assert len(await asked(judge, 40, concurrency=4, budget=Budget(calls=4))) == 40
