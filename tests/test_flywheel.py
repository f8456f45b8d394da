import asyncio
import contextlib
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import event

from continuum import Continuum, ContinuumConfig, flywheel, interaction
from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.fine_tuning import FineTuneConfig
from continuum.flywheel import claimed, due, turn, watch
from continuum.policy import CurationPolicy, JudgePolicy, SplitPolicy, TaskPolicy
from continuum.records import Feedback, VerdictStatus
from continuum.spool.spool import flush
from continuum.status import status_of
from continuum.store.database import Store
from tests.builders import NOON, an_interaction, interactions
from tests.stub_endpoint import scores, stub_in_thread

RIGHT = "It takes two days."
QUICK = FineTuneConfig(learning_rate=1e-2, epochs=3, batch_size=8, max_length=64, lora_rank=8, lora_alpha=16)


def praised(store: Store, count: int, *, start: int = 0) -> None:
    """Questions whose answers a person called good."""
    rows = [
        an_interaction(f"order {n}: how long does it take?", RIGHT, conversation_id=f"c{n}") for n in range(start, start + count)
    ]
    store.interactions.add(rows)
    store.feedback.add(Feedback(interaction_id=row.id, score=5) for row in rows)


async def test_the_minimal_integration_registers_the_task_and_captures_for_it(store: Store) -> None:
    continuum = Continuum(ContinuumConfig(task="customer_support", api_key="sk-secret", auto_train_when=1000), store=store)

    @continuum.capture
    async def handle_support(message: str) -> str:
        return f"About {message}: yes."

    await handle_support("my bill")
    assert await asyncio.to_thread(flush)

    captured = store.interactions.get(interaction.id)
    assert (captured.task, captured.response.text) == ("customer_support", "About my bill: yes.")
    assert store.tasks.get("customer_support").policy.auto_train_when == 1000


def test_a_key_reaches_neither_the_store_nor_a_representation(store: Store) -> None:
    config = ContinuumConfig(task="support", api_key="sk-secret")

    Continuum(config, store=store)

    assert "sk-secret" not in store.tasks.get("support").policy.model_dump_json()
    assert "sk-secret" not in repr(config)


def test_a_key_alone_is_enough_for_a_judge_and_none_means_peoples_verdicts(store: Store) -> None:
    Continuum(ContinuumConfig(task="judged", api_key="sk-secret"), store=store)
    Continuum(ContinuumConfig(task="rated"), store=store)

    assert store.tasks.get("judged").policy.judge.model == "gpt-4o-mini"
    assert store.tasks.get("rated").policy.judge.model is None


async def test_a_turn_in_this_process_asks_the_judge_with_the_key_of_the_config(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    with stub_in_thread(lambda number, body: scores(helpfulness=5, accuracy=5, conciseness=5, tone=5)) as stub:
        judge = JudgePolicy(model="stub-judge", base_url=stub.base_url, admission="off", sample_rate=1.0)
        config = ContinuumConfig(task="support", api_key="sk-of-the-config", policy=TaskPolicy(task="support", judge=judge))
        continuum = Continuum(config, store=store)
        store.interactions.add(interactions(3, task="support"))

        report = await continuum.turn()

    assert report.outcome == "waiting"
    assert set(stub.keys) == {"Bearer sk-of-the-config"}
    assert load_settings().judge_api_key == SecretStr("sk-of-somebody-else")


def test_a_policy_that_makes_no_sense_is_refused_and_nothing_is_stored(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="auto_train_when"):
        Continuum(ContinuumConfig(task="support", auto_train_when=0), store=store)
    with pytest.raises(ConfigurationError, match="bogus"):
        ContinuumConfig(**{"task": "support", "bogus": 1})

    assert store.tasks.names() == []


def test_the_whole_policy_of_a_config_is_kept(store: Store) -> None:
    whole = TaskPolicy(task="other", splits=SplitPolicy(salt="mine"), training=QUICK)

    Continuum(ContinuumConfig(task="support", policy=whole, base_model="b"), store=store)

    stored = store.tasks.get("support").policy
    assert (stored.splits, stored.training, stored.base_model) == (whole.splits, whole.training, "b")


def test_an_application_that_starts_again_takes_back_nothing_that_was_set_beside_it(store: Store) -> None:
    application = ContinuumConfig(task="support", auto_train_when=1000)
    Continuum(application, store=store)
    set_beside = {
        "base_model": "/models/qwen",
        "provider_terms_accepted": True,
        "auto_deploy_if_better": True,
        "auto_train_when": 7,
    }
    store.tasks.register(store.tasks.get("support").policy.model_copy(update=set_beside))

    Continuum(application, store=store)

    kept = store.tasks.get("support").policy
    assert (kept.base_model, kept.provider_terms_accepted, kept.auto_deploy_if_better) == ("/models/qwen", True, True)
    assert kept.auto_train_when == 1000


def test_a_whole_policy_replaces_the_stored_one_but_not_what_was_said_of_the_terms(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", provider_terms_accepted=True, description="Set beside"))

    Continuum(ContinuumConfig(task="support", policy=TaskPolicy(task="support", training=QUICK)), store=store)

    kept = store.tasks.get("support").policy
    assert (kept.description, kept.training, kept.provider_terms_accepted) == ("", QUICK, True)


def test_an_application_starts_while_its_store_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

    continuum = Continuum(ContinuumConfig(task="support"))

    assert callable(continuum.capture(lambda question: question))


async def test_status_says_that_no_driver_has_been_seen(store: Store) -> None:
    continuum = Continuum(ContinuumConfig(task="support", auto_train_when=5), store=store)
    store.interactions.add(interactions(3))

    status = await continuum.status()

    assert (status.interactions, status.new_interactions, status.champion) == (3, 3, "production")
    assert "3 of 5 new interactions; no driver has been seen" in status.advice


@pytest.mark.parametrize(
    ("count", "seen_ago", "advice"),
    [
        (3, timedelta(minutes=1), "3 of 5 new interactions; a turn starts by itself"),
        (5, timedelta(minutes=1), "5 of 5 new interactions; a turn is due"),
        (3, timedelta(minutes=11), "no driver seen since 2026-03-01 12:00 UTC"),
    ],
)
def test_status_tells_what_happens_next(store: Store, count: int, seen_ago: timedelta, advice: str) -> None:
    store.tasks.register(TaskPolicy(task="support", auto_train_when=5))
    store.interactions.add(interactions(count))
    store.tasks.saw_driver("dagster", now=lambda: NOON)

    assert advice in status_of(store, "support", now=lambda: NOON + seen_ago).advice


async def test_a_task_with_too_little_data_waits(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", base_model="none"))
    store.interactions.add(interactions(3))

    report = await turn("support", store=store)

    assert report.outcome == "waiting"
    assert "20 are needed" in report.reason
    assert store.tasks.get("support").trained_through == 0


async def test_a_task_that_another_driver_turns_is_left_alone(store: Store) -> None:
    store.tasks.ensure("support")

    with claimed(store, "support", "dagster run 7"), pytest.raises(ConfigurationError, match="is being turned by dagster run 7"):
        await turn("support", store=store)

    with claimed(store, "support"):
        assert store.tasks.get("support").claimed_by is not None
    assert store.tasks.get("support").claimed_by is None


def test_of_many_drivers_at_once_one_has_the_claim(store: Store) -> None:
    store.tasks.ensure("support")
    start, hold, won = threading.Barrier(6), threading.Event(), []

    def drive(name: str) -> None:
        start.wait()
        with contextlib.suppress(ConfigurationError), claimed(store, "support", name):
            won.append(name)
            hold.wait(5)

    drivers = [threading.Thread(target=drive, args=(f"driver {n}",)) for n in range(5)]
    for driver in drivers:
        driver.start()
    start.wait()
    for driver in drivers:
        driver.join(0.5)
    hold.set()
    for driver in drivers:
        driver.join()

    assert len(won) == 1


def test_a_turn_that_slept_through_its_claim_says_so_and_leaves_it_to_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flywheel, "CLAIM_LASTS", timedelta(milliseconds=80))
    store.tasks.ensure("support")
    hour = timedelta(hours=1)

    with claimed(store, "support", "the first"):
        assert store.tasks.claim("support", "the next", lasts=hour, now=lambda: datetime.now(UTC) + hour)
        give_up = time.monotonic() + 30
        while "another driver has begun one beside it" not in caplog.text and time.monotonic() < give_up:
            time.sleep(0.01)

    assert caplog.text.count("another driver has begun one beside it") == 1
    assert store.tasks.get("support").claimed_by == "the next"


async def test_watching_notes_its_presence_and_tries_a_shortage_once(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", auto_train_when=2, base_model="none"))
    store.interactions.add(interactions(3))
    notes: list[str] = []

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(
            watch("support", store=store, every_s=0.01, on_progress=lambda done, total, note: notes.append(note)), timeout=2
        )

    assert "--watch" in (store.tasks.get("support").driver or "")
    assert due(store, "support")
    assert len([note for note in notes if note == "reading interactions"]) == 1


async def test_watching_turns_a_task_that_another_driver_has_left_though_nothing_new_came(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", auto_train_when=2, base_model="none"))
    store.interactions.add(interactions(3))
    turned = asyncio.Event()
    left = claimed(store, "support", "a driver elsewhere")
    left.__enter__()

    def heard(done: int, total: int, note: str) -> None:
        turned.set()

    watching = asyncio.create_task(watch("support", store=store, every_s=0.01, on_progress=heard))
    try:
        while store.tasks.get("support").driver is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert not turned.is_set()
        left.__exit__(None, None, None)
        await asyncio.wait_for(turned.wait(), 30)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def test_a_watch_outlives_a_store_that_is_locked_for_a_while(
    store: Store, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.tasks.register(TaskPolicy(task="support", auto_train_when=2, base_model="none"))
    store.interactions.add(interactions(3))
    store.engine.dispose()
    event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=20"))
    turned = asyncio.Event()

    def heard(done: int, total: int, note: str) -> None:
        turned.set()

    with contextlib.closing(sqlite3.connect(home / "continuum.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        watching = asyncio.create_task(watch("support", store=store, every_s=0.01, on_progress=heard))
        while "the store is away: task 'support' is looked at again in 0.01 s" not in caplog.text:
            await asyncio.sleep(0.01)
        assert not turned.is_set()
    try:
        await asyncio.wait_for(turned.wait(), 60)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


@pytest.mark.slow
async def test_one_turn_leads_from_captures_to_a_deployment_and_the_next_waits_for_more(store: Store, tiny_base: Path) -> None:
    store.tasks.register(
        TaskPolicy(
            task="support",
            base_model=str(tiny_base),
            training=QUICK,
            splits=SplitPolicy(golden=0.3),
            auto_deploy_if_better=True,
            provider_terms_accepted=True,
        )
    )
    praised(store, 120)

    report = await turn("support", store=store)

    assert report.checkpoint is not None
    assert report.verdict is not None
    assert report.verdict.baseline == "production"
    assert report.outcome in ("canary", "kept_previous")
    assert (report.deployment_id is not None) == (report.outcome == "canary")
    assert store.tasks.get("support").trained_through == store.interactions.last_sequence("support")
    if report.verdict.status is not VerdictStatus.BLOCKED:
        again = await turn("support", store=store)
        assert again.outcome == "waiting"


async def test_a_turn_stops_before_it_learns_from_anothers_answers_that_nobody_allowed(store: Store) -> None:
    policy = TaskPolicy(task="support", base_model="/no/model", curation=CurationPolicy(min_examples=5))
    store.tasks.register(policy)
    praised(store, 40)

    report = await turn("support", store=store)

    assert report.outcome == "waiting"
    assert "answers of gpt-4" in report.reason
    assert "provider_terms_accepted=true" in status_of(store, "support").advice
    assert store.tasks.get("support").trained_through == 0

    store.tasks.register(policy.model_copy(update={"provider_terms_accepted": True}))
    with pytest.raises(ConfigurationError, match="/no/model"):
        await turn("support", store=store)


@pytest.mark.parametrize(
    ("policy", "environment", "of", "cure"),
    [
        ({}, {}, "base_model", "continuum base build --task support"),
        ({"base_model": "/no/such/folder"}, {}, "base_model", "is no folder here"),
        ({"base_model": "hub/model"}, {}, None, ""),
        ({}, {"CONTINUUM_BASE_MODEL": "hub/model"}, None, ""),
        ({"judge": JudgePolicy(model="gpt-4o-mini"), "base_model": "b"}, {}, "judge", "set OPENAI_API_KEY"),
        ({"judge": JudgePolicy(model="gpt-4o-mini"), "base_model": "b"}, {"OPENAI_API_KEY": "sk-1"}, None, ""),
        ({"judge": JudgePolicy(model="own", base_url="http://127.0.0.1:1/v1"), "base_model": "b"}, {}, None, ""),
    ],
)
def test_status_names_what_a_turn_would_stop_at_and_the_cure(
    policy: dict[str, object],
    environment: dict[str, str],
    of: str | None,
    cure: str,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store.tasks.register(TaskPolicy(task="support", auto_train_when=5, provider_terms_accepted=True, **policy))
    row = an_interaction()
    store.interactions.add([row])
    if "judge" not in policy:
        store.feedback.add([Feedback(interaction_id=row.id, score=5)])

    status = status_of(store, "support", now=lambda: NOON)

    assert [one.of for one in status.lacks] == ([of] if of else [])
    assert cure in status.advice


def test_status_says_when_nobody_tells_good_answers_from_bad(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", base_model="b"))

    status = status_of(store, "support")

    assert "nobody says which answers are good" in status.advice
    first, *stops = str(status).splitlines()
    assert first.startswith("support: 0 interactions, answered by production; ")
    assert any("a turn would stop: nobody says which answers are good" in line for line in stops)


async def test_a_watch_goes_on_where_a_turn_lacks_something_and_tries_when_the_policy_changes(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.tasks.register(TaskPolicy(task="support", auto_train_when=2, judge=JudgePolicy(model="gpt-4o-mini")))
    store.interactions.add(interactions(3))
    tried: list[str] = []
    twice = threading.Event()

    def on_progress(done: int, total: int, note: str) -> None:
        if note == "reading what the logs say":
            tried.append(note)
            if len(tried) == 1:
                policy = store.tasks.get("support").policy
                store.tasks.register(policy.model_copy(update={"description": "mended"}))
            else:
                twice.set()

    watching = asyncio.create_task(watch("support", store=store, every_s=0.01, on_progress=on_progress))
    assert await asyncio.to_thread(twice.wait, 60)
    # Time for many more rounds, of which none has a reason to try.
    await asyncio.wait([watching], timeout=1)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching

    assert len(tried) == 2
    assert "is not turned" in caplog.text
    assert "OPENAI_API_KEY" in caplog.text
