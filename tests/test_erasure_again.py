"""An erasure that is asked for again: what was broken off is ended, and what came since goes too."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete

from continuum.config import load_settings
from continuum.dataset import Dataset
from continuum.erasing.finding import UNKNOWN, Request
from continuum.erasing.receipt import NOTHING
from continuum.erasure import forget, preview
from continuum.errors import ConfigurationError
from continuum.records import Feedback
from continuum.store.database import Store
from continuum.store.erasures import Erasure
from continuum.store.tables import interactions
from tests.builders import NOON, an_example, an_interaction
from tests.erasing.test_rebuilding import captured

LATER = NOON + timedelta(days=30)


@pytest.fixture
def task(store: Store) -> Store:
    """A store with one task and somebody else's call in it."""
    store.tasks.ensure("support")
    store.interactions.add([an_interaction(id="other-1", user_id="joe", started_at=NOON)])
    return store


def broken_off(store: Store, request: Request, at: datetime) -> Erasure:
    """An erasure that was asked for at a moment, and killed before its first step."""
    [subject] = store.erasures.hashed([request.subject], "subject")
    return store.erasures.begin(Erasure(kind="user", subject=subject, block=request.block, asked_at=at))


def left(store: Store) -> list[str]:
    return sorted(one.id for one in store.interactions.scan("support"))


async def test_what_came_after_an_attempt_that_was_broken_off_goes_when_it_is_asked_for_again(task: Store) -> None:
    first = broken_off(task, Request(user="jane"), NOON)
    task.interactions.add(
        [an_interaction(id=f"hers-{n}", user_id="jane", started_at=NOON + timedelta(days=n - 1)) for n in range(3)]
    )

    receipt = await forget(Request(user="jane"), store=task, now=lambda: LATER)

    assert left(task) == ["other-1"]
    assert receipt.asked_at == LATER
    assert first.id in receipt.done["before this"]
    assert [one.state for one in task.erasures.every()] == ["done", "done"]


async def test_where_nothing_came_since_one_receipt_is_all(task: Store) -> None:
    first = broken_off(task, Request(user="jane"), NOON)

    receipt = await forget(Request(user="jane"), store=task, now=lambda: LATER)

    assert receipt.erasure_id == first.id
    assert len(task.erasures.every()) == 1


async def test_who_is_to_be_blocked_is_blocked_though_an_attempt_without_it_was_broken_off(task: Store) -> None:
    broken_off(task, Request(user="jane"), NOON)

    await forget(Request(user="jane", block=True), store=task, now=lambda: LATER)
    task.interactions.add([an_interaction(id="hers-9", user_id="jane", started_at=LATER + timedelta(days=9))])

    assert left(task) == ["other-1"]


@pytest.mark.parametrize("empty", [{"user": ""}, {"user": "  "}, {"interactions": ("a-1", "")}])
def test_an_empty_id_is_no_request(empty: dict) -> None:
    with pytest.raises(ConfigurationError, match="an id to forget is empty"):
        Request(**empty)


async def test_a_task_that_there_is_not_is_told_instead_of_finding_nothing(task: Store) -> None:
    with pytest.raises(ConfigurationError, match="there is no task 'suport'"):
        await forget(Request(user="joe", task="suport"), store=task)
    with pytest.raises(ConfigurationError, match="there is no task 'suport'"):
        preview(Request(user="joe", task="suport"), store=task)

    assert task.erasures.every() == []


async def test_an_id_under_which_nothing_is_stored_is_counted_and_a_user_like_that_is_told(task: Store) -> None:
    named = await forget(Request(interactions=("other-1", "no-such-1")), store=task)
    user = await forget(Request(user="nobody"), store=task)

    assert named.found[UNKNOWN] == 1
    assert NOTHING in user.words()
    assert NOTHING not in named.words()


@pytest.mark.parametrize("other", ["jan", "jane2", "jane%", "j_ne", "Jane", "jan\u0065\u0301", " jane"])
async def test_a_user_whose_id_looks_like_it_is_another_user(task: Store, other: str) -> None:
    task.interactions.add(
        [
            an_interaction(id="hers-1", user_id="jane", started_at=NOON),
            an_interaction(id="theirs-1", user_id=other, started_at=NOON),
        ]
    )

    await forget(Request(user="jane"), store=task, now=lambda: LATER)

    assert left(task) == ["other-1", "theirs-1"]


async def test_a_pattern_of_an_id_is_an_id(task: Store) -> None:
    for pattern in ("j%", "%", "_oe", "*", "joe' OR '1'='1"):
        await forget(Request(user=pattern), store=task, now=lambda: LATER)

    assert left(task) == ["other-1"]


async def test_what_she_said_of_anothers_answer_is_found_where_it_is_quoted(task: Store) -> None:
    comment = "My aunt Theodora in Thessaloniki grows purple aubergines"
    task.feedback.add([Feedback(interaction_id="other-1", user_id="jane", comment=comment, score=1, recorded_at=NOON)])
    theirs = "This answer is too long for our customers"
    for who in ("jane", "jim"):
        task.feedback.add([Feedback(interaction_id="other-1", user_id=who, comment=theirs, score=1, recorded_at=NOON)])
    log = load_settings().home / "logs" / "worker.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"begun\nworst: {comment}\nalso: {theirs}\n")

    receipt = await forget(Request(user="jane"), store=task, now=lambda: LATER)

    assert receipt.tasks == ("support",)
    assert log.read_text() == f"begun\n[erased]\nalso: {theirs}\n"
    assert left(task) == ["other-1"]


async def test_a_row_of_a_version_goes_though_its_interaction_is_in_the_store_no_more(task: Store) -> None:
    version = captured(task, [an_example(f"Question {n}?", interaction_id=f"call-{n:03}") for n in range(4)], 1)
    with task.engine.begin() as connection:
        connection.execute(delete(interactions).where(interactions.c.id == "call-001"))

    receipt = await forget(Request(interactions=("call-001",)), store=task, now=lambda: LATER)

    record = task.datasets.get(version.fingerprint)
    assert record is not None
    assert [one.interaction_id for one in Dataset.read(record.uri, verify=True)] == ["call-000", "call-002", "call-003"]
    assert receipt.tasks == ("support",)
    assert UNKNOWN not in receipt.found
