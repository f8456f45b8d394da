"""What is committed to can be opened while it is there, stays as it is, and leaves a tombstone when it is erased."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from continuum.policy import CapturePolicy, TaskPolicy
from continuum.records import Feedback
from continuum.store.commitments import COMMITTED, commitment_to
from continuum.store.database import Store
from continuum.store.exact import canonical, digest_of, exact_rows
from continuum.store.guard_tables import commitments, tombstones
from continuum.store.retention import apply_retention, erase
from continuum.store.tables import bodies, feedback, interactions
from tests.builders import NOON, an_interaction
from tests.store.test_two_doors import CAPTURED, SERVED

ROWS = [an_interaction(f"Question {n}?", id=f"i{n}", started_at=NOON + timedelta(days=n), cost_usd=0.1 * n) for n in range(5)]
CHANGES: dict[str, Any] = {"latency_ms": 1.5, "status": "error", "tags": {"a": "b"}, "started_at": NOON, "variant": "canary"}


@pytest.fixture
def filled(store: Store) -> Store:
    store.interactions.add(ROWS, now=lambda: NOON)
    return store


def counted(store: Store, table: Any) -> int:
    with store.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def opens(store: Store, interaction_id: str) -> bool:
    """Whether the row is what its commitment says."""
    (made,) = store.commitments.make([interaction_id]).values()
    return commitment_to(made.salt, store.commitments.captured([interaction_id])[interaction_id]) == made.commitment


def test_a_commitment_is_opened_by_its_salt_and_the_row(filled: Store) -> None:
    made = filled.commitments.make(one.id for one in ROWS)

    assert set(made) == {one.id for one in ROWS}
    assert len({one.salt for one in made.values()}) == len(ROWS)
    assert filled.commitments.of(one.commitment for one in made.values()) == {one.commitment: one for one in made.values()}
    assert all(opens(filled, one.id) for one in ROWS)


def test_what_is_committed_to_already_keeps_its_commitment(filled: Store) -> None:
    first = filled.commitments.make(["i0", "i1"])
    assert filled.commitments.make(["i0", "i2", "i1"]).items() >= first.items()


def test_what_is_not_in_the_store_is_not_committed_to(filled: Store) -> None:
    assert filled.commitments.make(["unknown"]) == {}


@pytest.mark.parametrize("column", sorted(CHANGES))
def test_a_row_that_changed_in_any_field_does_not_open_its_commitment(filled: Store, column: str) -> None:
    filled.commitments.make(["i2"])
    with filled.engine.begin() as connection:
        connection.execute(update(interactions).where(interactions.c.id == "i2").values({column: CHANGES[column]}))
    assert not opens(filled, "i2")


def test_a_row_whose_words_changed_does_not_open_its_commitment(filled: Store) -> None:
    filled.commitments.make(["i2"])
    with filled.engine.begin() as connection:
        held = select(interactions.c.body).where(interactions.c.id == "i2").scalar_subquery()
        connection.execute(update(bodies).where(bodies.c.hash == held).values(response={"role": "assistant", "content": "No."}))
    assert not opens(filled, "i2")
    assert opens(filled, "i3")


def test_every_column_of_an_interaction_is_committed_to() -> None:
    # Who adds one decides whether it is: commitments that were made before it stand without it.
    assert {column.name for column in COMMITTED} == {column.name for column in interactions.c} - {"body"} | {
        "messages",
        "response",
    }


def test_the_call_that_came_by_the_other_door_too_late_changes_nothing_that_is_proven(store: Store) -> None:
    store.interactions.add([SERVED, ROWS[0]])
    store.commitments.make(["both"])

    store.interactions.add([CAPTURED])

    assert store.interactions.get("both") == SERVED
    assert opens(store, "both")


def test_an_erased_row_leaves_a_tombstone_and_takes_its_salt_with_it(filled: Store) -> None:
    made = filled.commitments.make(["i0", "i1"])

    erase(filled, ["i0", "i4"], now=lambda: NOON)

    gone, left = made["i0"].commitment, made["i1"].commitment
    assert filled.commitments.of([gone, left]) == {left: made["i1"]}
    assert filled.commitments.tombstones([gone, left]) == {gone: "2026-03-01T12:00:00.000000+00:00"}
    assert (counted(filled, commitments), counted(filled, tombstones)) == (1, 1)


def test_retention_leaves_tombstones_by_its_own_clock(filled: Store) -> None:
    filled.tasks.register(TaskPolicy(task="support", capture=CapturePolicy(retention_days=2)))
    made = filled.commitments.make(one.id for one in ROWS)

    apply_retention(filled, "support", now=lambda: NOON + timedelta(days=4))

    stones = filled.commitments.tombstones(one.commitment for one in made.values())
    assert stones == {made[one].commitment: "2026-03-05T12:00:00.000000+00:00" for one in ("i0", "i1")}


def test_a_dropped_task_takes_commitments_and_tombstones_with_it(filled: Store) -> None:
    filled.commitments.make(one.id for one in ROWS)
    erase(filled, ["i0"])

    filled.drop_task("support")

    assert (counted(filled, commitments), counted(filled, tombstones)) == (0, 0)


def test_many_who_commit_to_the_same_at_once_agree(filled: Store) -> None:
    found: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: found.append(filled.commitments.make(one.id for one in ROWS))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all(one == found[0] for one in found)


def test_who_commits_while_another_erases_leaves_a_commitment_or_a_tombstone_and_never_both(filled: Store) -> None:
    for one in ROWS:
        threads = [
            threading.Thread(target=lambda one=one: filled.commitments.make([one.id])),
            threading.Thread(target=lambda one=one: erase(filled, [one.id])),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counted(filled, commitments) == 0
    assert counted(filled, interactions) == 0


# --- rows to the byte ----------------------------------------------------------------------------------------------------


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40),
    latency=st.floats(allow_nan=False, allow_infinity=False) | st.none(),
    tokens=st.integers(0, 2**31 - 1) | st.none(),
)
def test_whatever_was_captured_opens_its_commitment(store: Store, text: str, latency: float | None, tokens: int | None) -> None:
    one = an_interaction(text, text, latency_ms=latency, input_tokens=tokens, tags={"said": text}, error=text)
    store.interactions.add([one])
    assert opens(store, one.id)


def test_a_row_is_the_same_to_the_byte_on_both_databases(store: Store) -> None:
    store.interactions.add([an_interaction("Grüße\n\t\"'", id="x", latency_ms=0.1, tags={"ä": "ö"})], now=lambda: NOON)
    row = store.commitments.captured(["x"])["x"]
    del row["sequence"]
    # One digest for SQLite and for Postgres: a proof moves with the store.
    assert digest_of(row) == "f35efccf16dae91f2c8faf9588487963354b47a41a5318c06775c6dd5428ac1d"


def test_empty_columns_are_left_out_so_that_later_columns_change_nothing(store: Store) -> None:
    store.feedback.add([Feedback(id="f", interaction_id="i", score=2, recorded_at=NOON)], now=lambda: NOON)
    with store.engine.connect() as connection:
        (row,) = exact_rows(connection, feedback, feedback.c.id, ["f"])
    assert row == {
        "id": "f",
        "interaction_id": "i",
        "kind": "explicit",
        "score": 2.0,
        "confidence": 1.0,
        "trusted": False,
        "recorded_at": "2026-03-01T12:00:00.000000+00:00",
        "arrived_at": "2026-03-01T12:00:00.000000+00:00",
    }


def test_equal_values_have_one_canonical_form() -> None:
    assert canonical({"b": 1.0, "a": ["ü", None, True]}) == b'{"a":["\\u00fc",null,true],"b":1.0}'
