"""The backlog at a batch endpoint: half the price, every row settled once, resumable at any moment."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from continuum.annotation.batches import BatchStats, cancel_batch, collect_batches, glance_at_batches, submit_backlog
from continuum.config import Settings, load_settings
from continuum.errors import ConfigurationError
from continuum.judging.cached import CachedJudge, UnderWayElsewhere
from continuum.judging.model_judge import EndpointJudge
from continuum.models.endpoint import EndpointModel
from continuum.models.pricing import Price
from continuum.policy import BudgetShares, JudgePolicy, TaskPolicy
from continuum.records import Annotation
from continuum.store.database import Store
from continuum.timespan import utc_now
from tests.builders import an_interaction, interactions
from tests.stub_batch import refusal, refused, stub_batch
from tests.stub_endpoint import completion, scores, stub_endpoint

FOURS = scores(helpfulness=4, accuracy=4, conciseness=4, tone=4)
PRICE = Price(2.0, 8.0)
"""Dollars for a million tokens; 100 in and 20 out cost 360 micro-dollars live, and 180 in a batch."""


def support(budget_usd: float | None = 10.0) -> TaskPolicy:
    shares = BudgetShares(annotation=1, guard=0, second=0, watch=0, probes=0)
    return TaskPolicy(task="support", judge=JudgePolicy(model="judge", budget_usd=budget_usd, shares=shares))


def the_judge(stub: Any, price: Price | None = PRICE) -> EndpointJudge:
    return EndpointJudge(EndpointModel("judge", base_url=stub.base_url, api_key=SecretStr("key"), price=price, backoff_s=0.01))


@pytest.fixture
def settings(home) -> Settings:
    return load_settings({"CONTINUUM_HOME": str(home), "CONTINUUM_JUDGE_API_KEY": "key"})


def annotations(store: Store) -> dict[str, Annotation]:
    return store.annotations.of([one.id for one in store.interactions.scan("support", status=None)])


def books(store: Store) -> tuple[int, int, int]:
    balance = store.accounts.balance("support")
    return balance.spent_micro_usd, balance.reserved_micro_usd, balance.unknown_micro_usd


async def collected(store: Store, settings: Settings, polls: int = 6) -> BatchStats:
    """Poll until the batch is settled; the stats of the poll that settled it."""
    for _ in range(polls):
        (stats,) = await collect_batches(store, settings=settings)
        if stats.state in ("closed", "ended") or stats.error:
            return stats
    raise AssertionError(f"the batch is still {stats.state}")


async def test_a_backlog_is_judged_at_half_the_price_and_the_books_end_even(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(7))
    async with stub_batch(lambda _: FOURS) as stub:
        left = await submit_backlog(store, support(), the_judge(stub))
        assert (left.state, left.requests, left.total, left.error) == ("submitted", 7, 0, None)
        assert books(store) == (0, round(left.reserved_usd * 1e6), 0)
        assert left.reserved_usd > 7 * 180e-6

        stats = await collected(store, settings)

    assert (stats.error, stats.state, stats.total, stats.returned, stats.left_to_live) == (None, "closed", 7, 0, 0)
    assert stats.cost_usd == pytest.approx(7 * 180e-6)
    assert books(store) == (7 * 180, 0, 0)
    assert {one.overall for one in annotations(store).values()} == {4.0}
    assert sum(one.cost_usd for one in annotations(store).values()) == pytest.approx(7 * 180e-6)
    assert stats.score_histogram["4"] == 7


async def test_a_batch_asks_word_for_word_what_a_live_call_asks_so_that_one_knows_what_the_other_said(
    store: Store, settings: Settings
) -> None:
    store.interactions.add(interactions(2))
    async with stub_batch(lambda _: FOURS) as stub:
        judge = the_judge(stub)
        await submit_backlog(store, support(), judge)
        await collected(store, settings)
        for one in store.interactions.scan("support"):
            await judge.judge(one.messages, one.response, support().judge.criteria)
            cached = await CachedJudge(judge, store).judge(one.messages, one.response, support().judge.criteria)
            assert (cached.cached, cached.overall, cached.cost_usd) == (True, 4.0, 0.0)

    assert len(stub.live) == 2
    assert sorted(map(json.dumps, stub.spoken)) == sorted(map(json.dumps, stub.live))


async def test_what_was_said_before_needs_no_request(store: Store) -> None:
    store.interactions.add(interactions(3))
    known = next(iter(store.interactions.scan("support")))
    async with stub_batch(lambda _: FOURS) as stub:
        judge = the_judge(stub)
        await CachedJudge(judge, store).judge(known.messages, known.response, support().judge.criteria)
        left = await submit_backlog(store, support(), judge)

    assert (left.requests, left.cached, left.total) == (2, 1, 1)
    assert annotations(store)[known.id].cost_usd == 0


async def test_interactions_of_one_content_are_one_request_and_each_gets_the_answer(store: Store, settings: Settings) -> None:
    store.interactions.add([an_interaction() for _ in range(3)])
    async with stub_batch(lambda _: FOURS) as stub:
        left = await submit_backlog(store, support(), the_judge(stub))
        stats = await collected(store, settings)

    assert (left.requests, len(stub.judged), stats.total) == (1, 1, 3)
    assert sorted(one.cost_usd for one in annotations(store).values()) == [0, 0, pytest.approx(180e-6)]
    assert books(store) == (180, 0, 0)


async def test_a_batch_is_cut_to_what_the_budget_covers_and_never_goes_over(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(250))
    async with stub_batch(lambda _: FOURS) as stub:
        whole = await submit_backlog(store, support(), the_judge(stub))
        assert (whole.requests, whole.budget_exhausted) == (250, False)
        assert (await cancel_batch(store, whole.batches[0], settings=settings)).state == "closed"
        assert books(store) == (0, 0, 0)

        budget = whole.reserved_usd * 0.5
        left = await submit_backlog(store, support(budget), the_judge(stub))

        assert left.budget_exhausted
        assert 120 <= left.requests <= 130
        assert left.reserved_usd <= budget < left.reserved_usd + whole.reserved_usd / 200
        again = await submit_backlog(store, support(budget), the_judge(stub))
        assert (again.requests, again.budget_exhausted, again.under_way) == (0, True, left.requests)
        stats = await collected(store, settings)
        assert books(store) == (left.requests * 180, 0, 0)
        assert stats.total == left.requests


async def test_a_limit_of_the_run_holds_beside_the_budget_of_the_task(store: Store) -> None:
    store.interactions.add(interactions(20))
    async with stub_batch(lambda _: FOURS) as stub:
        left = await submit_backlog(store, support(), the_judge(stub), limit_usd=0.05)

    assert left.budget_exhausted
    assert 0 < left.requests < 20
    assert books(store)[1] <= 50_000


async def test_only_the_share_that_the_policy_asks_for_is_judged(store: Store) -> None:
    store.interactions.add(interactions(60))
    third = support().model_copy(update={"judge": support().judge.model_copy(update={"sample_rate": 0.3})})
    async with stub_batch(lambda _: FOURS) as stub:
        left = await submit_backlog(store, third, the_judge(stub))
        again = await submit_backlog(store, third, the_judge(stub))

    assert 5 <= left.requests <= 35
    assert (again.requests, again.under_way) == (0, left.requests)


async def test_what_is_in_a_batch_is_judged_by_nobody_else(store: Store) -> None:
    store.interactions.add([an_interaction(), an_interaction("Why?")])
    one = next(iter(store.interactions.scan("support")))
    async with stub_batch(lambda _: FOURS) as stub:
        judge = the_judge(stub)
        await submit_backlog(store, support(), judge)
        store.workers.settle_dead()  # A batch is no process, and no sweep takes its claims or its money.

        for wait in (True, False):  # Nobody waits a day.
            with pytest.raises(UnderWayElsewhere):
                await CachedJudge(judge, store, wait=wait).judge(one.messages, one.response, support().judge.criteria)
        again = await submit_backlog(store, support(), judge)

    assert (again.requests, again.under_way, again.batches) == (0, 2, ())
    assert len(stub.batches) == 1


async def test_an_expired_batch_keeps_what_was_answered_and_returns_the_rest(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(5))
    async with stub_batch(lambda _: FOURS, expires_after=3) as stub:
        await submit_backlog(store, support(), the_judge(stub))
        stats = await collected(store, settings)
        assert (stats.total, stats.returned, stats.left_to_live) == (3, 2, 0)
        assert books(store) == (3 * 180, 0, 0)

        stub.expires_after = None
        left = await submit_backlog(store, support(), the_judge(stub))
        rest = await collected(store, settings)

    assert (left.requests, rest.total) == (2, 2)
    assert len(stub.judged) == len(set(stub.judged)) == 5
    assert books(store) == (5 * 180, 0, 0)


async def test_a_batch_that_fails_validation_costs_nothing_and_says_why(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(3))
    fault = {"code": "invalid_model", "message": "no such model", "param": None, "line": 1}
    async with stub_batch(lambda _: FOURS, fails_with=fault) as stub:
        await submit_backlog(store, support(), the_judge(stub))
        stats = await collected(store, settings)

        assert (stats.state, stats.total, stats.returned) == ("closed", 0, 3)
        assert "invalid_model: no such model" in str(stats.error)
        assert books(store) == (0, 0, 0)
        stub.fails_with = None
        assert (await submit_backlog(store, support(), the_judge(stub))).requests == 3


async def test_a_provider_that_takes_little_at_once_is_given_half_until_it_takes_it(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(8))
    fault = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "param": None, "line": None}
    async with stub_batch(lambda _: FOURS) as stub:
        sizes = []
        for fails in (True, True, False, False, False):
            stub.fails_with = fault if fails else None
            sizes.append((await submit_backlog(store, support(), the_judge(stub))).requests)
            await collected(store, settings)

    assert sizes == [8, 4, 2, 4, 2]
    assert len(annotations(store)) == 8


async def test_a_cancelled_batch_keeps_what_was_answered(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(4))
    async with stub_batch(lambda _: FOURS, patient=True, expires_after=1) as stub:
        left = await submit_backlog(store, support(), the_judge(stub))
        told = await cancel_batch(store, left.batches[0], settings=settings)
        assert told.state == "cancelling"
        stub.patient = False
        stats = await collected(store, settings)

    assert (stats.total, stats.returned) == (1, 3)
    assert books(store) == (180, 0, 0)
    assert store.judgements.count(claims=True) == 0


async def test_an_answer_that_cannot_be_read_is_charged_and_left_to_a_live_call(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(3))
    first = next(iter(store.interactions.scan("support")))

    def answer(body: dict[str, Any]) -> str:
        return "I would rather not" if "town 0" in body["messages"][1]["content"] else FOURS

    async with stub_batch(answer) as stub:
        judge = the_judge(stub)
        await submit_backlog(store, support(), judge)
        stats = await collected(store, settings)
        assert (stats.total, stats.left_to_live, stats.unparseable) == (2, 1, 0)
        assert books(store) == (3 * 180, 0, 0)

        again = await submit_backlog(store, support(), judge)
        assert (again.requests, again.left_to_live) == (0, 1)
        left = store.batches.left_to_live("support", "judge", next(iter(annotations(store).values())).rubric)
        assert left == {first.id}
        judgement = await CachedJudge(judge, store, wait=False).judge(first.messages, first.response, support().judge.criteria)

    assert judgement.status == "unparseable"
    assert len(stub.live) == 2  # The call and its repair.


async def test_a_request_without_an_answer_is_free_and_after_three_batches_left_to_a_live_call(
    store: Store, settings: Settings
) -> None:
    store.interactions.add(interactions(2))
    async with stub_batch(lambda _: (500, refusal("try later", "server_error"))) as stub:
        requests = []
        for _ in range(4):
            requests.append((await submit_backlog(store, support(), the_judge(stub))).requests)
            if requests[-1]:
                stats = await collected(store, settings)

    assert requests == [2, 2, 2, 0]
    assert (stats.left_to_live, stats.returned) == (2, 2)
    assert books(store) == (0, 0, 0)


async def test_a_request_that_the_provider_refuses_is_left_to_a_live_call_at_once(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(2))
    async with stub_batch(lambda _: (400, refusal("this content is not allowed", "content_policy_violation"))) as stub:
        await submit_backlog(store, support(), the_judge(stub))
        stats = await collected(store, settings)

    assert (stats.left_to_live, stats.total) == (2, 0)
    assert books(store) == (0, 0, 0)


async def test_the_next_batch_leaves_out_what_the_endpoint_complained_of(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(2))

    def answer(body: dict[str, Any]) -> str | tuple[int, dict[str, Any]]:
        if "temperature" in body:
            return 400, refusal("Unsupported value", "unsupported_value", "temperature")
        return FOURS

    async with stub_batch(answer) as stub:
        await submit_backlog(store, support(), the_judge(stub))
        first = await collected(store, settings)
        await submit_backlog(store, support(), the_judge(stub))
        second = await collected(store, settings)

    assert (first.total, first.returned, first.left_to_live) == (0, 2, 0)
    assert (second.total, second.returned) == (2, 0)


async def test_the_provider_keeps_no_file_of_a_batch_that_is_settled(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(3))

    async def not_now(route: str) -> web.Response | None:
        return refused("busy", status=503) if route.startswith("DELETE") else None

    async with stub_batch(lambda _: FOURS) as stub:
        stub.before = not_now
        await submit_backlog(store, support(), the_judge(stub))
        stats = await collected(store, settings)
        assert (stats.state, stats.total, len(stub.files)) == ("ended", 3, 2)

        stub.before = None
        (again,) = await collect_batches(store, settings=settings)
        assert (again.state, again.total, again.cost_usd) == ("closed", 0, 0)
        assert stub.files == {}
        assert await collect_batches(store, settings=settings) == []


async def test_a_result_file_that_breaks_off_loses_nothing(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(3))

    async def cut(route: str) -> web.Response | None:
        return refused("gone for now", status=502) if route.endswith("/content") else None

    async with stub_batch(lambda _: FOURS) as stub:
        stub.before = cut
        await submit_backlog(store, support(), the_judge(stub))
        stats = await collected(store, settings)
        assert "could not be read" in str(stats.error)
        assert books(store)[0] == 0

        stub.before = None
        assert (await collected(store, settings)).total == 3
    assert books(store) == (3 * 180, 0, 0)


async def test_where_a_line_is_lost_what_was_reserved_for_it_counts_as_spent(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(4))
    async with stub_batch(lambda _: FOURS, in_files=lambda lines: [*lines[:2], lines[2][:40], "nonsense", ""]) as stub:
        left = await submit_backlog(store, support(), the_judge(stub))
        stats = await collected(store, settings)

    spent, reserved, unknown = books(store)
    assert (stats.total, stats.returned, reserved) == (2, 2, 0)
    assert spent == 2 * 180 + unknown
    assert 0 < unknown < left.reserved_usd * 1e6
    assert stats.cost_usd == pytest.approx(spent / 1e6)


async def test_an_answer_that_does_not_say_its_usage_counts_in_full(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(1))
    async with stub_batch(lambda _: completion(FOURS) | {"usage": None}) as stub:
        left = await submit_backlog(store, support(), the_judge(stub))
        stats = await collected(store, settings)

    bound = round(left.reserved_usd * 1e6)
    assert (stats.total, books(store)) == (1, (bound, 0, bound))


async def test_without_routes_for_batches_nothing_stays_reserved_and_the_error_says_what_to_do(store: Store) -> None:
    store.interactions.add(interactions(2))
    async with stub_endpoint(lambda *_: FOURS) as live:
        with pytest.raises(ConfigurationError, match="has no batch endpoint"):
            await submit_backlog(store, support(), the_judge(live))

    assert books(store) == (0, 0, 0)
    assert store.judgements.count(claims=True) == 0
    assert store.batches.open() == []


async def test_a_judge_without_a_price_and_a_budget_is_an_error_before_anything_is_sent(store: Store) -> None:
    store.interactions.add(interactions(2))
    async with stub_batch(lambda _: FOURS) as stub:
        with pytest.raises(ConfigurationError, match="no price is known"):
            await submit_backlog(store, support(), the_judge(stub, price=None))
        assert stub.asked == []

        left = await submit_backlog(store, support(None), the_judge(stub, price=None))
        assert (left.requests, left.reserved_usd) == (2, 0)


async def test_a_provider_that_does_not_answer_is_told_and_tried_again(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(2))

    async def down(route: str) -> web.Response:
        return refused("down", status=503)

    async with stub_batch(lambda _: FOURS) as stub:
        stub.before = down
        left = await submit_backlog(store, support(), the_judge(stub))
        assert (left.state, left.requests, left.batches) == ("nothing to do", 2, ())
        assert "503" in str(left.error)
        (told,) = await collect_batches(store, settings=settings)
        assert "503" in str(told.error)
        assert books(store)[1] > 0

        stub.before = None
        assert (await collect_batches(store, settings=settings))[0].state == "submitted"
        assert (await collected(store, settings)).total == 2
    assert len(stub.batches) == 1


async def test_a_batch_that_the_provider_forgot_is_given_up_after_a_week(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(2))
    async with stub_batch(lambda _: FOURS) as stub:
        left = await submit_backlog(store, support(), the_judge(stub))
        stub.batches.clear()
        (told,) = await collect_batches(store, settings=settings)
        assert "does not know" in str(told.error)

        later = utc_now() + timedelta(days=8)
        (stats,) = await collect_batches(store, settings=settings, now=lambda: later)

    bound = round(left.reserved_usd * 1e6)
    assert (stats.state, stats.returned, books(store)) == ("closed", 2, (bound, 0, bound))


async def test_a_glance_says_which_batches_have_something_to_do_and_changes_nothing(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(2))
    assert await glance_at_batches(store, settings=settings) == []
    async with stub_batch(lambda _: FOURS) as stub:
        left = await submit_backlog(store, support(), the_judge(stub))
        looks = [(await glance_at_batches(store, settings=settings))[0] for _ in range(3)]
        assert [(one.state, one.due) for one in looks] == [("in_progress", False), ("finalizing", False), ("completed", True)]
        assert (looks[0].batch, looks[0].trouble) == (left.batches[0], None)
        assert books(store)[0] == 0

        async def asleep(route: str) -> None:
            await asyncio.sleep(1)

        stub.before = asleep
        (look,) = await glance_at_batches(store, settings=settings, patience_s=0.2)
    assert (look.state, look.due) == ("unknown", False)
    assert "did not answer within 0.2 s" in str(look.trouble)


async def test_several_who_collect_at_once_settle_each_row_once(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(30))
    async with stub_batch(lambda _: FOURS) as stub:
        await submit_backlog(store, support(), the_judge(stub))
        stub.move_on(batch := stub.batches["batch_1"])
        stub.move_on(batch)
        stub.move_on(batch)
        rounds = await asyncio.gather(*(collect_batches(store, settings=settings) for _ in range(4)))

    assert sum(stats.total for some in rounds for stats in some) == 30
    assert books(store) == (30 * 180, 0, 0)


async def test_a_backlog_too_large_for_one_batch_becomes_several(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(7))
    async with stub_batch(lambda _: FOURS, most_requests=3) as stub:
        left = await submit_backlog(store, support(), the_judge(stub), most=3)
        assert (len(left.batches), left.requests) == (3, 7)
        for _ in range(4):
            await collect_batches(store, settings=settings)

    assert len(annotations(store)) == 7
    assert books(store) == (7 * 180, 0, 0)


async def test_an_interaction_that_was_erased_meanwhile_gets_no_opinion(store: Store, settings: Settings) -> None:
    from continuum.store.retention import erase

    store.interactions.add(interactions(3))
    gone = next(iter(store.interactions.scan("support")))
    async with stub_batch(lambda _: FOURS) as stub:
        await submit_backlog(store, support(), the_judge(stub))
        erase(store, [gone.id])
        stats = await collected(store, settings)

    spent, reserved, unknown = books(store)
    assert (stats.total, reserved, spent) == (2, 0, 2 * 180 + unknown)
    assert store.judgements.count() == 2


async def test_a_task_that_is_dropped_under_its_batch_leaves_nothing_to_collect(store: Store, settings: Settings) -> None:
    store.interactions.add(interactions(3))
    async with stub_batch(lambda _: FOURS) as stub:
        await submit_backlog(store, support(), the_judge(stub))
        rows = store.batches.open()
        store.drop_task("support")
        store.batches.note(rows[0].id, utc_now(), state="ended")  # Somebody was at it at that moment.

        assert await collect_batches(store, settings=settings) == []
    assert store.judgements.count(claims=True) == 0
