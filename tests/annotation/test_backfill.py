"""Old traffic judged anew: what is asked for, what is done, what is missing, and how the scores moved."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum.annotation.annotator import Annotator
from continuum.annotation.backfill import ask, ask_again, known, opinion_of, opinion_of_row, planned_turn
from continuum.annotation.backfill_price import quote
from continuum.annotation.backfill_work import CLAIM_LASTS, work
from continuum.annotation.rubric_change import rubric_change
from continuum.errors import ConfigurationError
from continuum.judging.criteria import rubric_fingerprint
from continuum.policy import JudgePolicy, SchedulePolicy, TaskPolicy
from continuum.rubric import Criterion
from continuum.store.backfills import BackfillRow
from continuum.store.database import Store, open_store
from tests.builders import NOON, an_interaction, interactions
from tests.stub_endpoint import StubEndpoint, error, scores, stub_endpoint

FOURS = scores(helpfulness=4, accuracy=4, conciseness=4, tone=4)
TRUTH = (Criterion("truth", 1.0, "Nothing in it is made up"),)
NOW = NOON + timedelta(days=1)
COST = 100 * 30e-6 + 20 * 60e-6
"""What the stub's usage costs at the list price of gpt-4, in US dollars."""


def a_task(store: Store, stub: StubEndpoint | None = None, *, model: str = "stub", **judge: Any) -> TaskPolicy:
    """A task whose judge is the stub, or one at an address where nobody answers."""
    address = stub.base_url if stub else "http://127.0.0.1:9/v1"
    values = {"model": model, "base_url": address, "admission": "off", "concurrency": 2, "anchors": 0}
    policy = TaskPolicy(task="support", judge=JudgePolicy(**values | judge))
    store.tasks.register(policy)
    return policy


def asking(store: Store, **fields: Any) -> BackfillRow:
    return ask(store, "support", asked_by="a test", **{"now": lambda: NOW} | fields)


async def worked(store: Store, row: BackfillRow, **fields: Any) -> BackfillRow:
    return await work(store, row.id, **{"holder": "me", "now": lambda: NOW} | fields)


def opinions(store: Store, rubric: str | None = None) -> int:
    found = [one.id for one in store.interactions.scan("support", status=None)]
    with store.engine.connect() as connection:
        from sqlalchemy import func, select

        from continuum.store.tables import annotations

        query = select(func.count()).where(annotations.c.interaction_id.in_(found))
        return connection.execute(query if rubric is None else query.where(annotations.c.rubric == rubric)).scalar_one()


async def test_exactly_what_lacks_a_judgement_in_the_window_is_judged(store: Store) -> None:
    rows = interactions(9)
    store.interactions.add(rows)
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        policy = a_task(store, stub)
        await Annotator.for_task(policy, store=store).annotate_backlog("support", only=[rows[3].id])
        before = stub.calls

        row = asking(store, since=NOON + timedelta(minutes=2), until=NOON + timedelta(minutes=7))
        done = await worked(store, row)

    assert (row.wanted, row.judged, row.state) == (5, 1, "open")
    assert stub.calls - before == 4
    assert (done.state, done.wanted, done.judged, done.attempts) == ("done", 5, 5, 1)
    assert set(store.annotations.of([one.id for one in rows])) == {one.id for one in rows[2:7]}


async def test_a_rubric_is_tried_beside_the_policys_and_selects_nothing(store: Store) -> None:
    rows = interactions(6)
    store.interactions.add(rows)
    async with stub_endpoint(lambda n, body: scores(truth=2) if "truth" in str(body) else FOURS) as stub:
        policy = a_task(store, stub)
        await Annotator.for_task(policy, store=store).annotate_backlog("support")
        done = await worked(store, asking(store, criteria=TRUTH))

    assert done.state == "done"
    assert "select nothing" in (done.reason or "")
    assert opinions(store, rubric_fingerprint(TRUTH)) == 6
    assert {one.overall for one in store.annotations.of([one.id for one in rows]).values()} == {4.0}
    assert store.tasks.get("support").policy == policy


async def test_an_adopted_rubric_is_the_policys_and_selects_once_everything_is_judged_by_it(store: Store) -> None:
    rows = interactions(6)
    store.interactions.add(rows)
    down = True

    def reply(n: int, body: dict) -> Any:
        if "truth" not in str(body):
            return FOURS
        return error(400, "no") if down and "number 5" in str(body) else scores(truth=2)

    async with stub_endpoint(reply) as stub:
        policy = a_task(store, stub)
        await Annotator.for_task(policy, store=store).annotate_backlog("support", now=lambda: NOON)
        row = asking(store, criteria=TRUTH, adopt=True)

        half = await worked(store, row)
        assert (half.state, half.judged, half.failed) == ("incomplete", 5, 1)
        assert store.tasks.get("support").policy == policy
        assert {one.overall for one in store.annotations.of([one.id for one in rows]).values()} == {4.0}

        down = False
        calls = stub.calls
        whole = await worked(store, ask_again(store, row.id, now=lambda: NOW))

    assert whole.state == "done"
    assert stub.calls == calls + 1
    assert store.tasks.get("support").policy.judge.criteria == TRUTH
    assert {one.overall for one in store.annotations.of([one.id for one in rows]).values()} == {2.0}


async def test_a_budget_that_ends_it_leaves_it_incomplete_and_more_money_ends_the_rest(store: Store) -> None:
    store.interactions.add(interactions(6, model="served"))
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        policy = a_task(store, stub, model="gpt-4", concurrency=1)
        each = (quote(store, opinion_of(policy), None, NOW).bound_usd or 0) / 6
        # The share for annotation, which is half, has room to set one call aside after two have been paid for, and no more.
        policy = a_task(store, stub, model="gpt-4", concurrency=1, budget_usd=2 * (each + 2.5 * COST))
        row = asking(store)
        half = await worked(store, row)

        assert half.state == "incomplete"
        assert half.judged == 3
        assert "the budget ended it" in (half.reason or "")
        assert half.cost_usd == pytest.approx(3 * COST)

        store.tasks.register(policy.model_copy(update={"judge": policy.judge.model_copy(update={"budget_usd": 10.0})}))
        whole = await worked(store, ask_again(store, row.id, now=lambda: NOW))

    assert (whole.state, whole.judged, stub.calls) == ("done", 6, 6)
    assert whole.cost_usd == pytest.approx(6 * COST)


async def test_what_the_judge_says_nothing_readable_of_is_missing_and_asked_about_again_only_on_request(store: Store) -> None:
    store.interactions.add(interactions(4))
    readable = False

    def reply(n: int, body: dict) -> str:
        return FOURS if readable or "number 2" not in str(body) else "I like it"

    async with stub_endpoint(reply) as stub:
        a_task(store, stub)
        row = asking(store)
        half = await worked(store, row)
        assert (half.state, half.judged, half.unreadable, half.failed) == ("incomplete", 3, 1, 0)
        assert "nothing readable of 1" in (half.reason or "")

        readable = True
        whole = await worked(store, ask_again(store, row.id, now=lambda: NOW))
    assert (whole.state, whole.judged, whole.unreadable) == ("done", 4, 0)


async def test_an_endpoint_that_is_down_leaves_everything_missing_with_the_reason(store: Store) -> None:
    store.interactions.add(interactions(3))
    async with stub_endpoint(lambda n, body: error(400, "out of order")) as stub:
        a_task(store, stub)
        done = await worked(store, asking(store))
    assert (done.state, done.judged, done.failed) == ("incomplete", 0, 3)
    assert "out of order" in (done.reason or "")


async def test_a_refused_key_is_an_error_and_the_backfill_can_be_tried_again(store: Store) -> None:
    store.interactions.add(interactions(3))
    async with stub_endpoint(lambda n, body: error(401, "key revoked")) as stub:
        a_task(store, stub)
        row = asking(store)
        with pytest.raises(ConfigurationError, match="key revoked"):
            await worked(store, row)
    found = known(store, row.id)
    assert found.state == "incomplete"
    assert "key revoked" in (found.reason or "")


async def test_cancelling_stops_whoever_works_on_it_and_keeps_what_was_judged(store: Store) -> None:
    store.interactions.add(interactions(12, model="served"))
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(n: int, body: dict) -> str:
        if n > 4:
            asked.set()
            await go.wait()
        return FOURS

    async with stub_endpoint(slow) as stub:
        a_task(store, stub, model="gpt-4")
        row = asking(store)
        working = asyncio.create_task(worked(store, row, beat_s=0.05))
        await asked.wait()
        while not working.done() and not (meanwhile := known(store, row.id).cost_usd):
            await asyncio.sleep(0.05)
        assert store.backfills.cancel(row.id, "not wanted")
        assert known(store, row.id).cost_usd >= meanwhile
        done = await asyncio.wait_for(working, 30)
        go.set()

    assert (done.state, done.reason) == ("cancelled", "not wanted")
    assert opinions(store) == 4
    assert done.cost_usd == pytest.approx(4 * COST)


async def test_one_that_is_interrupted_says_so_and_goes_on_when_asked(store: Store) -> None:
    store.interactions.add(interactions(8))
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(n: int, body: dict) -> str:
        if n > 3:
            asked.set()
            await go.wait()
        return FOURS

    async with stub_endpoint(slow) as stub:
        a_task(store, stub, concurrency=1)
        row = asking(store)
        working = asyncio.create_task(worked(store, row))
        await asked.wait()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert (known(store, row.id).state, known(store, row.id).claimed_by) == ("incomplete", None)
        go.set()
        done = await worked(store, ask_again(store, row.id, now=lambda: NOW))
    assert (done.state, done.judged) == ("done", 8)


async def test_nobody_else_works_on_what_is_worked_on(store: Store) -> None:
    store.interactions.add(interactions(1))
    a_task(store)
    row = asking(store)
    store.backfills.claim(row.id, "another", lasts=CLAIM_LASTS, now=lambda: NOW)

    with pytest.raises(ConfigurationError, match="being worked on by another"):
        await worked(store, row)
    with pytest.raises(ConfigurationError, match="--cancel"):
        ask_again(store, row.id, now=lambda: NOW)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_two_backfills_of_the_same_traffic_at_once_ask_about_each_answer_once(
    request: pytest.FixtureRequest, home: Path, database: str
) -> None:
    home.mkdir(parents=True, exist_ok=True)
    url = request.getfixturevalue("postgres_url") if database == "postgres" else f"sqlite:///{home / 'continuum.db'}"
    store = open_store(url)
    store.interactions.add(interactions(20))
    async with stub_endpoint(lambda n, body: scores(truth=2)) as stub:
        a_task(store, stub)
        rows = [asking(store, criteria=TRUTH, adopt=True), asking(store, criteria=TRUTH)]
        done = await asyncio.gather(*(worked(store, row, holder=row.id) for row in rows))
    assert [(row.state, row.judged) for row in done] == [("done", 20)] * 2
    assert stub.calls == 20
    assert store.tasks.get("support").policy.judge.criteria == TRUTH
    assert len(store.annotations.of([one.id for one in store.interactions.scan("support")])) == 20
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 5, 11])
async def test_a_process_killed_at_any_judgement_is_followed_by_one_that_asks_nothing_twice(store: Store, steps: int) -> None:
    store.interactions.add(interactions(12))
    seen: list[str] = []

    def reply(n: int, body: dict) -> str:
        seen.append(str(body["messages"]))
        return FOURS

    async with stub_endpoint(reply) as stub:
        a_task(store, stub, concurrency=1)
        row = asking(store)
        arguments = (sys.executable, "-m", "tests.annotation.backfill_process", str(store.engine.url), row.id)
        killed = await asyncio.create_subprocess_exec(*arguments, str(steps))
        assert await killed.wait() == -9
        left = known(store, row.id)
        assert left.state == "working"

        later = datetime.now(UTC) + 2 * CLAIM_LASTS
        done = await work(store, row.id, holder="me", now=lambda: later)

    assert (done.state, done.judged, done.attempts) == ("done", 12, 2)
    # What was under way when it died may be asked about once more: nobody knows what came of it.
    assert len(seen) <= 13
    assert opinions(store) == 12
    assert store.judgements.count(claims=True) == 0


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    failing=st.sets(st.integers(0, 9), max_size=9),
    begins=st.integers(0, 9),
    length=st.integers(1, 10),
    trial=st.booleans(),
)
def test_whatever_fails_what_is_missing_is_what_failed_and_the_next_one_does_only_that(
    tmp_path_factory: pytest.TempPathFactory, failing: set[int], begins: int, length: int, trial: bool
) -> None:
    asyncio.run(fails_then_goes_on(tmp_path_factory, failing, begins, length, trial))


async def fails_then_goes_on(folders: pytest.TempPathFactory, failing: set[int], begins: int, length: int, trial: bool) -> None:
    store = open_store(f"sqlite:///{folders.mktemp('backfill') / 'continuum.db'}")
    store.interactions.add(interactions(10))
    down = set(failing)

    def reply(n: int, body: dict) -> Any:
        number = next(k for k in range(10) if f"Question number {k}:" in str(body["messages"]))
        return error(400, "no") if number in down else scores(truth=3) if trial else FOURS

    async with stub_endpoint(reply) as stub:
        # No round of failures without a success may end it early.
        a_task(store, stub, concurrency=10)
        since, until = NOON + timedelta(minutes=begins), NOON + timedelta(minutes=begins + length)
        inside = set(range(begins, min(begins + length, 10)))
        row = asking(store, since=since, until=until, criteria=TRUTH if trial else None)
        half = await worked(store, row)
        assert (row.wanted, half.missing, half.failed) == (len(inside), len(inside & failing), len(inside & failing))
        assert half.state == ("incomplete" if inside & failing else "done")

        down.clear()
        calls = stub.calls
        whole = await worked(store, ask_again(store, row.id, now=lambda: NOW))
        assert (whole.state, whole.judged, stub.calls - calls) == ("done", len(inside), len(inside & failing))
    assert opinions(store) == len(inside)
    store.close()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"since": "tomorrow"}, "is no moment"),
        ({"since": "2026-03-05"}, "in the future"),
        ({"until": "2027-01-01"}, "in the future"),
        ({"since": "1d", "until": "2d"}, "must lie before"),
        ({"since": "2026-03-01T10:00", "until": "2026-03-01T10:00"}, "must lie before"),
        ({"until": "2026-03-01T09:00"}, "no answered interaction from the beginning to 2026-03-01 09:00 Europe/Berlin"),
        ({"since": "0001-01-01"}, "is no moment"),
        ({"adopt": True}, "nothing to adopt"),
        ({"criteria": ()}, "at least one criterion"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(store: Store, fields: dict[str, Any], said: str) -> None:
    store.interactions.add(interactions(2))
    policy = a_task(store)
    store.tasks.register(policy.model_copy(update={"schedule": SchedulePolicy(time_zone="Europe/Berlin")}))
    with pytest.raises(ConfigurationError, match=said):
        asking(store, **fields)
    assert store.backfills.newest() == []


def test_a_task_that_is_unknown_empty_or_without_a_judge_is_told(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="there is no task 'support'"):
        asking(store)
    a_task(store)
    with pytest.raises(ConfigurationError, match="nothing was captured"):
        asking(store)
    with pytest.raises(ConfigurationError, match="nothing was captured"):
        planned_turn(store, "support", asked_by="me")
    store.tasks.register(TaskPolicy(task="support"))
    with pytest.raises(ConfigurationError, match=r"has no judge.*judge\.model"):
        asking(store)


def test_a_date_is_midnight_where_the_task_is_and_an_offset_is_obeyed(store: Store) -> None:
    store.interactions.add([an_interaction(started_at=NOON - timedelta(days=n)) for n in range(5)])
    policy = a_task(store)
    store.tasks.register(policy.model_copy(update={"schedule": SchedulePolicy(time_zone="America/New_York")}))

    row = asking(store, since="2026-02-27", until="2026-03-01T01:00+02:00")

    assert row.since == datetime(2026, 2, 27, 5, tzinfo=UTC)
    assert row.until == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert row.wanted == 2


def test_who_asks_by_the_same_name_gets_the_same_backfill(store: Store) -> None:
    store.interactions.add(interactions(2))
    a_task(store)
    first = asking(store, id="run-1")
    assert asking(store, id="run-1", since="2h") == first
    assert known(store, "run") == first
    with pytest.raises(ConfigurationError, match="there is no backfill"):
        known(store, "walk")
    asking(store, id="run-2")
    with pytest.raises(ConfigurationError, match="2 backfills begin with 'run'"):
        known(store, "run")


async def test_the_price_is_known_before_anything_is_asked_and_holds(store: Store) -> None:
    store.interactions.add(interactions(6, model="served"))
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        policy = a_task(store, stub, model="gpt-4", budget_usd=10.0)
        before = quote(store, opinion_of(policy), None, NOW, now=lambda: NOW)
        assert stub.calls == 0
        assert (before.window.wanted, before.window.missing, before.priced) == (6, 6, 6)
        assert before.left_usd == pytest.approx(5.0)
        assert before.usual_usd is None

        done = await worked(store, asking(store))
        after = quote(store, opinion_of(policy, TRUTH), None, NOW, now=lambda: NOW)

    assert before.bound_usd is not None
    assert 0 < done.cost_usd <= before.bound_usd
    assert after.usual_usd == pytest.approx(done.cost_usd)
    assert after.left_usd == pytest.approx(5.0 - done.cost_usd)
    assert "at most $" in after.words()


async def test_the_test_of_a_judge_by_a_new_rubric_is_part_of_the_price(store: Store) -> None:
    store.interactions.add(interactions(2))
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        policy = a_task(store, stub, model="gpt-4", admission="require", budget_usd=0.001)
        found = quote(store, opinion_of(policy), None, NOW, now=lambda: NOW)
    assert found.test_calls > 20
    assert (found.test_bound_usd or 0) > 0
    assert found.may_not_suffice
    assert "may not suffice" in found.words()


async def test_a_judge_without_a_price_has_a_quote_that_says_so(store: Store) -> None:
    store.interactions.add(interactions(2))
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        found = quote(store, opinion_of(a_task(store, stub)), None, NOW)
    assert found.bound_usd is None
    assert "there is no price for the judge" in found.words()


async def test_both_rubrics_are_compared_on_the_same_answers(store: Store) -> None:
    rows = interactions(8)
    store.interactions.add(rows)

    def reply(n: int, body: dict) -> str:
        number = next(k for k in range(8) if f"Question number {k}:" in str(body["messages"]))
        if "truth" not in str(body):
            four = 1 + number % 5
            return scores(helpfulness=four, accuracy=four, conciseness=four, tone=four)
        return scores(truth=5 if number == 0 else max(1, number % 5))

    async with stub_endpoint(reply) as stub:
        policy = a_task(store, stub)
        await Annotator.for_task(policy, store=store).annotate_backlog("support")
        row = asking(store, criteria=TRUTH)
        await worked(store, row)
        tried = rubric_change(store, opinion_of_row(store, row), row.since, row.until)
        await worked(store, asking(store, criteria=TRUTH, adopt=True))
        adopted = rubric_change(store, opinion_of_row(store, row), row.since, row.until)

    assert tried is not None
    assert (tried.items, tried.groups) == (8, 8)
    assert tried.delta == pytest.approx(tried.mean_after - tried.mean_before)
    assert tried.moved[0].interaction_id == rows[0].id
    assert (tried.moved[0].before, tried.moved[0].after) == (1.0, 5.0)
    assert "Question number 0" in tried.moved[0].question
    assert sum(tried.histogram_after.values()) == 8
    assert -1 <= (tried.rank_low or 0) <= (tried.rank_correlation or 0) <= (tried.rank_high or 0) <= 1
    assert adopted == tried


async def test_there_is_nothing_to_compare_where_one_rubric_alone_has_judged(store: Store) -> None:
    store.interactions.add(interactions(2))
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        policy = a_task(store, stub)
        await worked(store, asking(store))
    assert rubric_change(store, opinion_of(policy), None, None) is None
    assert rubric_change(store, opinion_of(policy, TRUTH), None, None) is None


async def test_captured_words_in_a_comparison_can_do_nothing_to_a_terminal(store: Store) -> None:
    store.interactions.add([an_interaction("\x1b[2J\x07[red]Where?\u202e", conversation_id=f"c{n}") for n in range(3)])
    async with stub_endpoint(lambda n, body: scores(truth=1) if "truth" in str(body) else FOURS) as stub:
        policy = a_task(store, stub)
        await Annotator.for_task(policy, store=store).annotate_backlog("support")
        await worked(store, asking(store, criteria=TRUTH))
    change = rubric_change(store, opinion_of(policy, TRUTH), None, None)
    assert change is not None
    assert change.rank_correlation is None
    assert not {"\x1b", "\x07", "\u202e", "\n"} & set("".join(change.lines()))
