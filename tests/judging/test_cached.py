"""The same is asked once, whoever asks, and what was said is stored with its price."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import Connection, update

from continuum.errors import JudgeError
from continuum.judging.cached import CachedJudge, UnderWayElsewhere, judgement_key
from continuum.judging.judge import Judgement
from continuum.judging.model_judge import EndpointJudge
from continuum.judging.scripted import ScriptedJudge
from continuum.models.budget import Budget
from continuum.policy import TaskPolicy
from continuum.records import Message
from continuum.rubric import DEFAULT_CRITERIA, Criterion
from continuum.store.accounts import Balance
from continuum.store.database import Store
from continuum.store.judging_tables import workers
from continuum.timespan import utc_now
from tests.builders import assistant, user

QUESTION, ANSWER = (user("Where is my order?"),), assistant("It arrives on Monday.")


class Slow(ScriptedJudge):
    """A judge who takes its time and counts how often it was asked."""

    def __init__(
        self, score: float = 4.0, *, cost_usd: float = 0.1, fails: int = 0, seconds: float = 0.01, pays: Budget | None = None
    ) -> None:
        super().__init__("slow", lambda *_: score, cost_usd=cost_usd)
        self.asked = 0
        self.fails = fails
        self.seconds = seconds
        self.pays = pays

    async def judge(
        self, conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion], *, budget: Budget | None = None
    ) -> Judgement:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.asked <= self.fails:
            raise JudgeError("out of order")
        return await super().judge(conversation, response, criteria, budget=budget or self.pays)


def budget_of(store: Store) -> Budget:
    return Budget.of_task(store, TaskPolicy(task="support"), "annotation")


async def test_what_was_said_before_is_said_again_at_no_cost(store: Store) -> None:
    judge, budget = Slow(), budget_of(store)
    cached = CachedJudge(judge, store)

    first = await cached.judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=budget)
    again = await CachedJudge(judge, store).judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=budget)

    assert (first.cost_usd, first.cached, again.cost_usd, again.cached) == (0.1, False, 0.0, True)
    assert (again.scores, again.overall, again.status) == (first.scores, first.overall, first.status)
    assert judge.asked == 1
    assert store.accounts.balance("support") == Balance(100_000, 0)


async def test_another_content_rubric_or_version_is_another_question(store: Store) -> None:
    judge = Slow()
    cached = CachedJudge(judge, store)
    other_words = [Criterion(c.name, c.weight, c.description + "!") for c in DEFAULT_CRITERIA]

    await cached.judge(QUESTION, ANSWER, DEFAULT_CRITERIA)
    await cached.judge(QUESTION, assistant("On Tuesday."), DEFAULT_CRITERIA)
    await cached.judge((user("When?"),), ANSWER, DEFAULT_CRITERIA)
    await cached.judge(QUESTION, ANSWER, other_words)

    assert judge.asked == 4
    assert judgement_key("v1", QUESTION, ANSWER, DEFAULT_CRITERIA) != judgement_key("v2", QUESTION, ANSWER, DEFAULT_CRITERIA)


async def test_what_is_the_same_and_under_way_at_once_is_asked_once(store: Store) -> None:
    judge, budget = Slow(seconds=0.05), budget_of(store)
    cached = CachedJudge(judge, store, wait=False)

    said = await asyncio.gather(*(cached.judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=budget) for _ in range(10)))

    assert judge.asked == 1
    assert [one.cached for one in said].count(True) == 9
    assert sum(one.cost_usd for one in said) == 0.1
    assert store.judgements.asking == {}


async def test_a_failure_is_not_kept_and_gives_the_claim_free(store: Store) -> None:
    judge, budget = Slow(fails=1), budget_of(store)
    cached = CachedJudge(judge, store)

    with pytest.raises(JudgeError, match="out of order"):
        await cached.judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=budget)

    assert store.judgements.count(claims=True) == 0
    assert not (await cached.judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=budget)).cached
    assert store.accounts.balance("support") == Balance(100_000, 0)


async def test_who_is_cancelled_gives_the_claim_free_and_those_who_wait_ask_themselves(store: Store) -> None:
    judge, budget = Slow(seconds=0.1), budget_of(store)
    cached = CachedJudge(judge, store)

    first, second = (asyncio.create_task(cached.judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=budget)) for _ in range(2))
    while not judge.asked:
        await asyncio.sleep(0.01)
    first.cancel()

    assert not (await second).cached
    assert judge.asked == 2
    assert store.accounts.balance("support").reserved_micro_usd == 0


async def test_two_processes_ask_once_and_the_second_waits_or_looks_elsewhere(store: Store) -> None:
    here, there = Slow(seconds=0.3), Slow(seconds=0.3)
    other = Store(store.engine)

    asking = asyncio.create_task(CachedJudge(there, other).judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=budget_of(other)))
    while not there.asked:
        await asyncio.sleep(0.01)
    with pytest.raises(UnderWayElsewhere):
        await CachedJudge(here, store, wait=False).judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=budget_of(store))
    said = await CachedJudge(here, store).judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=budget_of(store))

    assert said.cached
    assert (await asking).cost_usd == 0.1
    assert (here.asked, there.asked) == (0, 1)


async def test_the_claim_of_a_dead_process_is_taken_over(store: Store) -> None:
    other = Store(store.engine)
    there = CachedJudge(Slow(seconds=30), other)
    asking = asyncio.create_task(there.judge(QUESTION, ANSWER, DEFAULT_CRITERIA))
    while not store.judgements.count(claims=True):
        await asyncio.sleep(0.01)
    with store.engine.begin() as connection:
        long_ago = utc_now() - timedelta(hours=1)
        connection.execute(update(workers).values(host="elsewhere", seen_at=long_ago))

    said = await CachedJudge(Slow(), store).judge(QUESTION, ANSWER, DEFAULT_CRITERIA)

    assert not said.cached
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert store.judgements.count() == 1


async def test_what_is_written_with_a_new_judgement_is_written_in_its_transaction_and_never_for_an_old_one(store: Store) -> None:
    cached, seen = CachedJudge(Slow(), store), []

    def also(judgement: Judgement):
        def write(connection: Connection) -> None:
            seen.append((judgement.overall, store.accounts.balance("support").spent_micro_usd))

        return write

    for _ in range(2):
        await cached.judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=budget_of(store), also=also)

    assert seen == [(4.0, 0)]
    assert store.accounts.balance("support").spent_micro_usd == 100_000


async def test_without_a_budget_of_its_own_the_judge_s_pays(store: Store) -> None:
    pays = Budget(1.0)

    judge = Slow(pays=pays)

    await CachedJudge(judge, store).judge(QUESTION, ANSWER, DEFAULT_CRITERIA)
    await CachedJudge(judge, store).judge(QUESTION, ANSWER, DEFAULT_CRITERIA, budget=Budget(1.0))

    assert pays.spent_usd == 0.1
    assert store.judgements.count() == 1


def test_it_stands_for_the_judge_it_asks(store: Store) -> None:
    judge = EndpointJudge("stub", "http://127.0.0.1:9/v1")
    cached = CachedJudge(judge, store)

    assert (cached.name, cached.version) == (judge.name, judge.version)
    assert cached.capabilities == judge.capabilities - {"pairwise"}
