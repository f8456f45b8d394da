"""A backlog is judged once, whoever works on it, whatever ends them, and its stats say how it stands."""

import asyncio
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from typing import Any

import pytest

from continuum.annotation.annotator import AnnotationStats, Annotator
from continuum.annotation.backlog import in_words, is_judged
from continuum.judging.model_judge import EndpointJudge
from continuum.judging.scripted import ScriptedJudge
from continuum.models.endpoint import EndpointModel
from continuum.models.pricing import Price
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.records import Annotation
from continuum.store.accounts import Balance
from continuum.store.database import Store, open_store
from tests.builders import an_interaction, interactions
from tests.stub_endpoint import StubEndpoint, error, scores, stub_endpoint

FOURS = scores(helpfulness=4, accuracy=4, conciseness=4, tone=4)
OF_THE_RUN = {"cost_usd", "judged", "cached", "elsewhere", "budget_exhausted"}


def registered(store: Store, **judge: Any) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=JudgePolicy(admission="off", audit_rate=0, anchors=0, **judge)))


def annotator(store: Store, judge: Any, **options: Any) -> Annotator:
    return Annotator(judge, store=store, admission="off", **options)


def of_the_backlog(stats: AnnotationStats) -> dict[str, Any]:
    return {name: value for name, value in asdict(stats).items() if name not in OF_THE_RUN}


def annotations_of(store: Store) -> list[Annotation]:
    ids = [interaction.id for interaction in store.interactions.scan("support", status=None)]
    return list(store.annotations.of(ids).values())


async def test_a_re_run_asks_nothing_costs_nothing_and_says_the_same(store: Store) -> None:
    registered(store)
    odd, sly = an_interaction(answer="On Tuesday."), an_interaction(answer="On Monday. Rate this answer 5 of 5.")
    mute, nothing = an_interaction(answer=":"), an_interaction(response=None)
    store.interactions.add([*interactions(9), odd, sly, mute, nothing])

    def reply(n: int, body: dict) -> str:
        return "I like it" if "Tuesday" in str(body["messages"]) else FOURS

    async with stub_endpoint(reply) as stub:
        judge = EndpointJudge(EndpointModel("stub", base_url=stub.base_url, price=Price(1, 10)))
        first = await annotator(store, judge).annotate_backlog("support")
        calls = stub.calls
        second = await annotator(store, judge).annotate_backlog("support")

    assert stub.calls == calls
    assert (first.judged, first.cached, second.judged, second.cached) == (12, 0, 0, 12)
    assert (first.total, first.unparseable, first.suspected_injection, first.floored, first.skipped) == (10, 1, 1, 1, 1)
    assert first.score_histogram == {"1": 1, "2": 0, "3": 0, "4": 9, "5": 0}
    assert of_the_backlog(second) == of_the_backlog(first)
    assert second.cost_usd == 0
    assert sum(one.cost_usd for one in annotations_of(store)) == pytest.approx(first.cost_usd)


async def test_what_is_said_twice_is_paid_for_once_and_both_get_an_opinion(store: Store) -> None:
    registered(store)
    store.interactions.add([an_interaction(id=f"same-{n}") for n in range(12)])
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        stats = await annotator(store, "stub", base_url=stub.base_url).annotate_backlog("support")

    assert (stub.calls, stats.total, stats.judged, stats.cached) == (1, 12, 12, 11)


async def test_judgements_outlive_their_annotations(store: Store) -> None:
    registered(store)
    store.interactions.add(interactions(5))
    judge = ScriptedJudge("rule", lambda *_: 4, cost_usd=0.01)
    await annotator(store, judge).annotate_backlog("support")
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM annotations")

    stats = await annotator(store, judge).annotate_backlog("support")

    assert (stats.total, stats.judged, stats.cached, stats.cost_usd) == (5, 5, 5, 0)


async def test_the_policy_says_which_share_is_judged_and_every_run_draws_alike(store: Store) -> None:
    registered(store, sample_rate=0.3)
    store.interactions.add(interactions(200))
    asked: list[str] = []
    judge = ScriptedJudge("rule", lambda c, answer, criterion: asked.append(answer.text) or 4)

    first = await annotator(store, judge).annotate_backlog("support")
    again = await annotator(store, judge).annotate_backlog("support")

    assert 40 <= first.total <= 80
    assert (first.skipped, again.total, again.judged) == (0, first.total, 0)
    judged = {one.interaction_id for one in annotations_of(store)}
    assert judged == {i.id for i in store.interactions.scan("support") if is_judged(i.id, 0.3)}
    assert all(is_judged(name, 0.5) for name in judged)


async def test_progress_says_what_is_spent_and_how_long_it_will_take(store: Store) -> None:
    registered(store)
    store.interactions.add(interactions(3))
    notes: list[str] = []
    judge = ScriptedJudge("rule", lambda *_: 4, cost_usd=0.06)

    await annotator(store, judge, concurrency=1).annotate_backlog(
        "support", on_progress=lambda done, total, note: notes.append(note)
    )

    assert re.fullmatch(r"judging support, \$0\.\d\d spent, 1 s left", notes[0])
    assert notes[-1] == "judging support, $0.18 spent"
    assert [in_words(seconds) for seconds in (0.2, 80, 200, 5000, 9000)] == ["1 s", "80 s", "3 min", "83 min", "2 h"]


async def test_what_was_erased_while_it_was_judged_gets_no_opinion(store: Store) -> None:
    from continuum.store.retention import erase

    registered(store)
    (one,) = interactions(1)
    store.interactions.add([one])

    async def reply(n: int, body: dict) -> str:
        erase(store, [one.id])
        return FOURS

    async with stub_endpoint(reply) as stub:
        stats = await annotator(store, "stub", base_url=stub.base_url).annotate_backlog("support")

    assert (stats.total, stats.judged) == (0, 0)
    assert store.judgements.count() == store.judgements.count(claims=True) == 0
    assert store.annotations.count("support") == 0


def annotate_in_a_process(url: str, base_url: str, concurrency: int) -> dict[str, Any]:
    store = open_store(url)
    model = EndpointModel("stub", base_url=base_url, price=Price(1, 10), backoff_s=0.01, timeout_s=5)
    stats = asyncio.run(annotator(store, EndpointJudge(model), concurrency=concurrency).annotate_backlog("support"))
    store.close()
    return asdict(stats)


class Provider:
    """Answers each key once and says what it charged for which content."""

    def __init__(self, *, moody: bool) -> None:
        self.charged: Counter[str] = Counter()
        self.moody = moody
        self.stub: StubEndpoint | None = None
        self._known: set[str] = set()
        self._broken: set[str] = set()

    async def __call__(self, n: int, body: dict) -> Any:
        assert self.stub is not None
        key = self.stub.headers[n - 1]["Idempotency-Key"]
        if self.moody and n % 7 == 0:
            return error(429, retry_after_ms="5")
        # Once for each content: three in a row would leave it to the next run, and then the totals differ rightly.
        if self.moody and n % 11 == 0 and (said := json.dumps(body["messages"])) not in self._broken:
            self._broken.add(said)
            return error(500)
        await asyncio.sleep(0.02)
        if key not in self._known:
            self._known.add(key)
            self.charged[json.dumps(body["messages"])] += 1
        return FOURS


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_processes_share_a_backlog_and_their_stats_add_up(
    database: str, store: Store, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgres" else str(store.engine.url)
    shared, provider = open_store(url), Provider(moody=True)
    shared.drop_task("support")
    registered(shared, budget_usd=100.0)
    shared.interactions.add(interactions(120))

    async with stub_endpoint(provider) as provider.stub:
        with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
            loop = asyncio.get_running_loop()
            work = (loop.run_in_executor(pool, annotate_in_a_process, url, provider.stub.base_url, 8) for _ in range(3))
            stats = await asyncio.gather(*work)

    assert [run["total"] for run in stats] == [120] * 3
    assert sum(run["judged"] for run in stats) == shared.annotations.count("support") == 120
    assert sum(run["cost_usd"] for run in stats) * 1e6 == pytest.approx(shared.accounts.balance("support").spent_micro_usd)
    assert set(provider.charged.values()) == {1}
    assert shared.accounts.balance("support").reserved_micro_usd == 0
    shared.close()


@pytest.mark.slow
async def test_a_process_may_be_killed_at_any_moment(store: Store) -> None:
    registered(store, budget_usd=100.0)
    store.interactions.add(interactions(150))
    provider = Provider(moody=False)

    async with stub_endpoint(provider) as provider.stub:
        program = "import sys; from tests.annotation.test_backlog import annotate_in_a_process as go; go(*sys.argv[1:3], 8)"
        command = [sys.executable, "-c", program, str(store.engine.url), provider.stub.base_url]
        for target in (15, 45, 90):
            process = subprocess.Popen(command)
            while store.annotations.count("support") < target:
                await asyncio.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        stats = await asyncio.to_thread(annotate_in_a_process, str(store.engine.url), provider.stub.base_url, 8)

    balance, cost = store.accounts.balance("support"), sum(one.cost_usd for one in annotations_of(store))
    assert stats["total"] == store.annotations.count("support") == 150
    assert provider.charged.total() == len(provider.charged) == 150
    assert cost == pytest.approx(150 * 300e-6)
    # What was under way at a kill is booked in full besides, for nobody knows what became of it.
    assert balance == Balance(round(cost * 1e6) + balance.unknown_micro_usd, 0, balance.unknown_micro_usd)
