from datetime import timedelta

import pytest

from continuum.records import Annotation
from continuum.store.accounts import AccountKey
from continuum.store.batches import BatchRow, Candidate, Outcome
from continuum.store.database import Store
from continuum.store.judgements import Content
from tests.builders import NOON, an_interaction

ACCOUNT = AccountKey("support", "annotation", "2026-03-01")


def a_batch(store: Store, name: str = "one", **fields) -> BatchRow:
    """A batch that is written down."""
    values = {
        "id": name, "task": "support", "judge": "judge", "rubric": "rubric", "base_url": "http://provider/v1",
        "state": "prepared", "worker": None, "provider_id": None, "detail": {"takes": None}, "created_at": NOON,
        "updated_at": NOON,
    }  # fmt: skip
    row = BatchRow(**(values | fields))
    store.batches.add(row)
    return row


def candidate(interaction: str, content: str | None = None, bound: int = 100) -> Candidate:
    key = content or f"key-{interaction}"
    return Candidate(interaction, Content(key, f"conversation-{key}", "judge"), bound)


def judged(custom_id: str, cost: int | None = 30, *interactions: str) -> Outcome:
    said = [Annotation(interaction_id=one, task="support", judge="judge", rubric="rubric") for one in interactions]
    content = Content(custom_id, "conversation", "judge")
    return Outcome(custom_id, "judged", cost, content, {"status": "ok", "overall": 4.0}, said)


def books(store: Store) -> tuple[int, int, int]:
    balance = store.accounts.balance("support")
    return balance.spent_micro_usd, balance.reserved_micro_usd, balance.unknown_micro_usd


def take(store: Store, row: BatchRow, *candidates: Candidate, limit: int | None = None, room: int | None = None):
    return store.batches.take(row, candidates, ACCOUNT, at=NOON, limit_micro_usd=limit, room_micro_usd=room)


def test_what_is_taken_is_claimed_and_reserved_and_what_is_settled_is_booked_with_what_was_said(store: Store) -> None:
    row = a_batch(store)
    taken = take(store, row, candidate("a"), candidate("b"))
    assert (taken.requests, taken.interactions, taken.reserved_micro_usd, taken.exhausted) == (2, 2, 200, False)
    assert books(store) == (0, 200, 0)
    assert store.judgements.count(claims=True) == 2
    assert store.batches.pending("one") == {"key-a": ["a"], "key-b": ["b"]}

    settled = store.batches.settle(row, [judged("key-a", 30, "a"), Outcome("key-b", "returned")], NOON)

    assert [(outcome.custom_id, spent) for outcome, spent in settled] == [("key-a", 30), ("key-b", 0)]
    assert books(store) == (30, 0, 0)
    assert store.judgements.get("key-a") == {"status": "ok", "overall": 4.0}
    assert store.judgements.count(claims=True) == 0
    assert store.annotations.count("support") == 1
    assert store.batches.outcomes("one") == {"judged": 1, "returned": 1}


def test_the_same_result_again_changes_nothing(store: Store) -> None:
    row = a_batch(store)
    take(store, row, candidate("a"))
    store.batches.settle(row, [judged("key-a", 30, "a"), judged("key-a", 90, "a")], NOON)

    assert store.batches.settle(row, [Outcome("key-a", "unanswered", None)], NOON) == []
    assert store.batches.settle(row, [judged("never asked", 30, "a")], NOON) == []
    assert books(store) == (30, 0, 0)


def test_what_nobody_knows_the_cost_of_is_booked_in_full(store: Store) -> None:
    row = a_batch(store)
    take(store, row, candidate("a", bound=70))

    ((_, spent),) = store.batches.settle(row, [Outcome("key-a", "unanswered", None)], NOON)

    assert (spent, books(store)) == (70, (70, 0, 70))


def test_interactions_of_one_content_are_one_request_that_is_paid_once(store: Store) -> None:
    row = a_batch(store)
    taken = take(store, row, candidate("a", "same"), candidate("b", "same"))
    more = take(store, row, candidate("c", "same"))

    assert (taken.requests, taken.interactions, more.requests, more.interactions) == (1, 2, 0, 1)
    assert books(store) == (0, 100, 0)
    assert store.batches.pending("one") == {"same": ["a", "b", "c"]}
    store.batches.settle(row, [judged("same", 30, "a", "b", "c")], NOON)
    assert books(store) == (30, 0, 0)
    assert store.annotations.count("support") == 3


@pytest.mark.parametrize(("limit", "room", "fits"), [(350, None, 3), (None, 250, 2), (350, 250, 2), (99, None, 0), (400, 400, 4)])
def test_where_the_money_ends_the_rest_stays_out_unclaimed(store: Store, limit: int | None, room: int | None, fits: int) -> None:
    row = a_batch(store)
    taken = take(store, row, *(candidate(name) for name in "abcd"), limit=limit, room=room)

    assert (taken.requests, taken.exhausted) == (fits, fits < 4)
    assert books(store) == (0, 100 * fits, 0)
    assert store.judgements.count(claims=True) == fits


def test_what_another_is_at_stays_out_and_what_is_known_comes_back(store: Store) -> None:
    first, second = a_batch(store), a_batch(store, "two")
    take(store, first, candidate("a"), candidate("b"))
    store.batches.settle(first, [judged("key-a", 30, "a")], NOON)

    taken = take(store, second, candidate("x", "key-a"), candidate("y", "key-b"), candidate("z"))

    assert (taken.requests, taken.elsewhere) == (1, 1)
    assert taken.known == [("x", {"status": "ok", "overall": 4.0})]


def test_a_batch_is_sent_by_one_process_until_that_is_dead(store: Store) -> None:
    a_batch(store)
    mine = store.workers.here()
    assert store.batches.hold("one", mine, NOON)
    assert store.batches.hold("one", mine, NOON)
    assert not store.batches.hold("one", "another", NOON)
    assert store.batches.is_held("one")

    store.batches.let_go("one", mine)
    assert store.batches.hold("one", "dead already", NOON)
    assert not store.batches.is_held("one")
    assert store.batches.hold("one", mine, NOON)
    store.batches.note("one", NOON, state="submitted")
    assert not store.batches.hold("one", mine, NOON)
    store.workers.rest()


def test_what_is_noted_stays_beside_what_was_noted(store: Store) -> None:
    a_batch(store)
    later = NOON + timedelta(hours=1)
    store.batches.note("one", later, state="submitted", provider="batch_1", input_file="file-1")
    store.batches.note("one", later, status="completed")

    row = store.batches.get("one")
    assert row is not None
    assert (row.state, row.provider_id, row.updated_at) == ("submitted", "batch_1", later)
    assert row.detail == {"takes": None, "input_file": "file-1", "status": "completed"}
    assert store.batches.get("none") is None


def test_open_batches_are_listed_oldest_first_and_closed_ones_are_not(store: Store) -> None:
    for hours, (name, state) in enumerate([("new", "prepared"), ("done", "closed"), ("files", "ended"), ("out", "submitted")]):
        a_batch(store, name, state=state, created_at=NOON - timedelta(hours=hours))

    assert [row.id for row in store.batches.open()] == ["out", "files", "new"]
    newest = store.batches.newest("support", "judge", "http://provider/v1")
    assert newest is not None
    assert newest.id == "new"
    assert store.batches.newest("support", "judge", "http://elsewhere/v1") is None


def test_only_a_batch_that_nothing_was_put_into_is_dropped(store: Store) -> None:
    row = a_batch(store)
    a_batch(store, "empty")
    take(store, row, candidate("a"))

    assert not store.batches.drop_if_empty("one")
    assert store.batches.drop_if_empty("empty")
    assert store.batches.get("empty") is None


def test_what_no_batch_is_tried_for_again_is_left_to_a_live_call_until_that_has_said_something(store: Store) -> None:
    store.interactions.add([an_interaction(id=name) for name in "abcd"])
    outcomes = {"a": ["unreadable"], "b": ["refused"], "c": ["unanswered"] * 3, "d": ["unanswered", "returned", "returned"]}
    for turn in range(3):
        row = a_batch(store, f"batch-{turn}")
        said = {f"key-{name}": row_of[turn] for name, row_of in outcomes.items() if turn < len(row_of)}
        take(store, row, *(candidate(key.removeprefix("key-")) for key in said))
        store.batches.settle(row, [Outcome(key, outcome) for key, outcome in said.items()], NOON)

    assert store.batches.left_to_live("support", "judge", "rubric") == {"a", "b", "c"}
    assert store.batches.left_to_live("support", "judge", "another") == set()
    store.annotations.add([Annotation(interaction_id="b", task="support", judge="judge", rubric="rubric", status="unparseable")])
    assert store.batches.left_to_live("support", "judge", "rubric") == {"a", "c"}


def test_what_is_in_a_batch_now_is_under_way(store: Store) -> None:
    row = a_batch(store)
    take(store, row, candidate("a"), candidate("b"))
    store.batches.settle(row, [judged("key-a", 30, "a")], NOON)

    assert store.batches.under_way("support") == {"b"}
    assert store.batches.under_way("billing") == set()
