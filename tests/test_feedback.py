import asyncio
from pathlib import Path
from typing import Any

import pytest

from continuum import feedback
from continuum.deployment.gateway.served import FEEDBACK_FIELDS
from continuum.errors import ConfigurationError, StoreError
from continuum.records import Feedback
from continuum.spool import spool as spooling
from continuum.spool.spool import Spool, flush
from continuum.spool.users import hashed_user, user_key
from continuum.store.database import Store
from tests.builders import an_interaction


def stored(recorded: Feedback) -> Feedback:
    """What the store holds of it: the user as a keyed hash."""
    user = recorded.user_id and hashed_user(recorded.user_id, user_key())
    return recorded.model_copy(update={"user_id": user})


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spool with room neither on disk nor in memory."""
    monkeypatch.setenv("CONTINUUM_SPOOL_MAX_BYTES", "0")
    monkeypatch.setattr(spooling, "_spool", Spool(memory_bytes=0))


async def test_feedback_reaches_the_store_and_is_handed_back(store: Store) -> None:
    asked = an_interaction()
    store.interactions.add([asked])

    recorded = await feedback.record(
        asked.id, 4.5, "good", "found it", "It arrives on Tuesday.", user_id="u1", idempotency_key="k1"
    )

    assert flush()
    assert store.feedback.of([asked])[asked.id] == [stored(recorded)]
    assert (recorded.score, recorded.label, recorded.comment, recorded.correction) == (
        4.5,
        "good",
        "found it",
        "It arrives on Tuesday.",
    )
    assert (recorded.kind, recorded.user_id, recorded.confidence) == ("explicit", "u1", 1.0)


def test_feedback_is_recorded_from_code_that_is_not_asynchronous(store: Store) -> None:
    asked = an_interaction()
    recorded = feedback.record_sync(asked.id, score=2, kind="implicit", confidence=0.4)

    assert flush()
    assert store.feedback.of([asked])[asked.id] == [recorded]


async def test_feedback_may_come_before_its_interaction_and_by_the_providers_id(store: Store) -> None:
    asked = an_interaction(provider_response_id="chatcmpl-7")
    await feedback.record("chatcmpl-7", score=1)
    await feedback.record(asked.id, score=5)
    assert flush()

    store.interactions.add([asked])

    assert sorted(said.score or 0 for said in store.feedback.of([asked])[asked.id]) == [1, 5]


async def test_a_repeated_key_is_stored_once(store: Store) -> None:
    asked = an_interaction()
    for score in (5, 1):
        await feedback.record(asked.id, score=score, idempotency_key="the button")

    assert flush()
    assert [said.score for said in store.feedback.of([asked])[asked.id]] == [5]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "the feedback says nothing"),
        ({"comment": "  "}, "the feedback says nothing"),
        ({"score": 0.5}, "score is 0.5; it must be a number from 1"),
        ({"score": 5.1}, "score is 5.1"),
        ({"score": float("nan")}, "score is nan"),
        ({"score": "5"}, "score is '5'"),
        ({"score": True}, "score is True"),
        ({"label": 7}, "label is 7; it must be text"),
        ({"score": 3, "kind": "rumour"}, "kind is 'rumour'"),
        ({"score": 3, "confidence": 2}, "confidence is 2"),
        ({"score": 3, "trusted": "yes"}, "trusted is 'yes'"),
        ({"score": 3, "trusted": True, "kind": "implicit"}, "implicit feedback cannot be trusted"),
        ({"score": 3, "interaction_id": ""}, "interaction_id is ''"),
        ({"score": 3, "interaction_id": None}, "interaction_id is None"),
    ],
)
async def test_bad_feedback_is_refused_where_it_is_given(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        await feedback.record(**({"interaction_id": "i"} | given))
    with pytest.raises(ConfigurationError, match=message):
        feedback.record_sync(**({"interaction_id": "i"} | given))


async def test_hostile_text_is_made_fit_to_store(store: Store) -> None:
    asked = an_interaction(id="a\ufffdb")

    await feedback.record("a\x00b", comment="c\ud800" + "d" * 200_000)

    assert flush()
    (said,) = store.feedback.of([asked])[asked.id]
    assert said.comment is not None
    assert said.comment.startswith("c\ufffdd")
    assert len(said.comment) == 100_000


async def test_where_the_spool_is_full_feedback_is_written_at_once(store: Store, no_room: None) -> None:
    asked = an_interaction()

    first = await feedback.record(asked.id, score=5, user_id="ada")
    second = feedback.record_sync(asked.id, score=4, comment="write to ada@example.com")

    assert store.feedback.of([asked])[asked.id] == [stored(first), second.model_copy(update={"comment": "write to [EMAIL]"})]


async def test_where_neither_spool_nor_store_can_take_it_the_caller_learns_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_room: None
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", f"sqlite:///{tmp_path / 'file' / 'continuum.db'}")

    with pytest.raises(StoreError, match="cannot be opened"):
        await feedback.record("i", score=5)


async def test_feedback_in_a_burst_is_all_there(store: Store) -> None:
    asked = an_interaction()
    await asyncio.gather(*(feedback.record(asked.id, score=n % 5 + 1) for n in range(300)))

    assert flush(20)
    assert len(store.feedback.of([asked])[asked.id]) == 300


async def test_a_reviewers_verdict_is_marked_as_trusted_and_no_request_can_claim_that(store: Store) -> None:
    asked = an_interaction()

    await feedback.record(asked.id, score=1, trusted=True)
    feedback.record_sync(asked.id, score=5)

    assert flush()
    assert [said.trusted for said in store.feedback.of([asked])[asked.id]] == [True, False]
    assert "trusted" not in FEEDBACK_FIELDS


@pytest.mark.parametrize(
    ("signal", "label", "score"),
    [
        ("retry", "retry", 2),
        ("regenerate", "regenerate", 2),
        ("copy", "copy", 4),
        ("abandon", "abandonment", 2),
        ("escalate", "escalate", 1),
    ],
)
async def test_what_a_person_did_is_implicit_and_less_sure_than_a_word(
    store: Store, signal: feedback.SignalName, label: str, score: float
) -> None:
    asked = an_interaction()

    did = await feedback.implicit(asked.id, signal)

    assert flush()
    assert store.feedback.of([asked])[asked.id] == [did]
    assert (did.kind, did.label, did.score) == ("implicit", label, score)
    assert 0 < did.confidence < 1


def test_an_edit_keeps_the_text_as_it_was_used(store: Store) -> None:
    asked = an_interaction()

    feedback.implicit_sync(asked.id, "edit", final_text="It arrives on Tuesday.", user_id="ada", idempotency_key="draft 1")
    feedback.implicit_sync(asked.id, "copy", confidence=0.9)

    assert flush()
    edit, copy = store.feedback.of([asked])[asked.id]
    assert (edit.label, edit.score, edit.correction) == ("edit", None, "It arrives on Tuesday.")
    assert copy.confidence == 0.9


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"signal": "shrug"}, "signal is 'shrug'; it must be one of retry, regenerate, copy, edit, abandon, escalate"),
        ({"signal": ["retry"]}, "it must be one of"),
        ({"signal": "edit"}, "needs final_text"),
        ({"signal": "edit", "final_text": "  "}, "needs final_text"),
        ({"signal": "copy", "final_text": "x"}, "final_text goes with the signal 'edit', not with 'copy'"),
        ({"signal": "copy", "confidence": 2}, "confidence is 2"),
        ({"signal": "copy", "interaction_id": ""}, "interaction_id is ''"),
    ],
)
async def test_a_signal_that_makes_no_sense_is_refused_where_it_is_given(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        await feedback.implicit(**({"interaction_id": "i"} | given))
    with pytest.raises(ConfigurationError, match=message):
        feedback.implicit_sync(**({"interaction_id": "i"} | given))
