from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from continuum.policy import TaskPolicy
from continuum.records import Annotation
from continuum.store.backfills import BackfillRow
from continuum.store.database import Store
from continuum.store.windows import Windows
from tests.builders import NOON, an_interaction, interactions

MINUTE = timedelta(minutes=1)


def asked(store: Store, **fields) -> BackfillRow:
    row = BackfillRow(**{"task": "support", "asked_by": "somebody", "created_at": NOON, "updated_at": NOON} | fields)
    assert store.backfills.add(row)
    return row


def test_what_was_asked_for_is_read_back_whole(store: Store) -> None:
    row = asked(store, since=NOON - MINUTE, until=NOON, rubric=[{"name": "tone", "weight": 1.0}], adopt=True, wanted=7, judged=2)

    assert store.backfills.get(row.id) == row
    assert row.missing == 5
    assert asked(store).rubric is None
    assert not store.backfills.add(row)
    assert store.backfills.get("nothing") is None


def test_one_of_many_claims_a_backfill_and_its_claim_ends_by_itself(store: Store) -> None:
    row = asked(store)

    def claim(holder: str) -> bool:
        return store.backfills.claim(row.id, holder, lasts=MINUTE, now=lambda: NOON)

    with ThreadPoolExecutor(8) as threads:
        won = [name for name, taken in zip("abcdefgh", threads.map(claim, "abcdefgh"), strict=True) if taken]

    assert len(won) == 1
    assert claim(won[0])
    later = NOON + 2 * MINUTE
    assert store.backfills.claim(row.id, "later", lasts=MINUTE, now=lambda: later)
    assert not store.backfills.beat(row.id, won[0], lasts=MINUTE, judged=3, now=lambda: later)
    found = store.backfills.get(row.id)
    assert found is not None
    assert (found.state, found.claimed_by, found.attempts, found.judged) == ("working", "later", 3, 0)


def test_who_works_says_how_far_it_is_and_ends_it_once(store: Store) -> None:
    row = asked(store, wanted=5)
    store.backfills.claim(row.id, "me", lasts=MINUTE, now=lambda: NOON)

    assert store.backfills.beat(row.id, "me", lasts=MINUTE, judged=3, now=lambda: NOON + MINUTE)
    assert not store.backfills.finish(row.id, "another", "done", now=lambda: NOON)
    assert store.backfills.finish(row.id, "me", "incomplete", now=lambda: NOON, judged=4, reason="the budget ended it")
    assert not store.backfills.finish(row.id, "me", "done", now=lambda: NOON)

    found = store.backfills.get(row.id)
    assert found is not None
    assert (found.state, found.judged, found.reason, found.claimed_by) == ("incomplete", 4, "the budget ended it", None)


def test_cancelling_takes_the_claim_away_and_what_is_ended_stays_so(store: Store) -> None:
    row = asked(store)
    store.backfills.claim(row.id, "me", lasts=MINUTE, now=lambda: NOON)

    assert store.backfills.cancel(row.id, "no longer wanted", now=lambda: NOON)
    assert not store.backfills.beat(row.id, "me", lasts=MINUTE, judged=1, now=lambda: NOON)
    assert not store.backfills.cancel(row.id, "again", now=lambda: NOON)
    assert not store.backfills.claim(row.id, "you", lasts=MINUTE, now=lambda: NOON)

    assert store.backfills.move(row.id, ("cancelled",), "open", now=lambda: NOON, driver="dagster")
    assert store.backfills.claim(row.id, "you", lasts=MINUTE, now=lambda: NOON)
    assert not store.backfills.move(row.id, ("working",), "open", now=lambda: NOON)
    assert store.backfills.move(row.id, ("working",), "open", now=lambda: NOON + 2 * MINUTE)


def test_those_a_driver_has_yet_to_end_are_told_newest_first(store: Store) -> None:
    rows = [asked(store, driver="dagster", created_at=NOON + n * MINUTE, task=f"task-{n}") for n in range(3)]
    asked(store, driver="here")
    store.backfills.cancel(rows[1].id, "no", now=lambda: NOON)

    assert [row.id for row in store.backfills.unfinished("dagster")] == [rows[2].id, rows[0].id]
    assert [row.task for row in store.backfills.newest(limit=2)] == ["task-2", "task-1"]
    assert [row.task for row in store.backfills.newest("task-1")] == ["task-1"]


def test_a_task_that_is_dropped_takes_its_backfills_along(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    mine, other = asked(store), asked(store, task="other")
    store.drop_task("support")
    assert store.backfills.get(mine.id) is None
    assert store.backfills.get(other.id) is not None


def said(interaction_id: str, **fields) -> Annotation:
    values = {"interaction_id": interaction_id, "task": "support", "judge": "j", "rubric": "new", "overall": 4.0}
    return Annotation(**values | fields)


def test_a_window_holds_what_was_answered_in_it_from_the_first_moment_and_before_the_last(store: Store) -> None:
    rows = interactions(6)
    store.interactions.add([*rows, an_interaction(response=None), an_interaction(status="error")])
    store.annotations.add([said(rows[2].id), said(rows[3].id, rubric="old"), said(rows[5].id)])

    window = Windows(store.engine).answered("support", judge="j", rubric="new", since=NOON + MINUTE, until=NOON + 4 * MINUTE)

    assert [(one.id, one.judged) for one in window] == [(rows[1].id, False), (rows[2].id, True), (rows[3].id, False)]
    assert len(list(Windows(store.engine).answered("support", judge="j", rubric="new"))) == 6


def test_who_judged_a_window_is_told_without_what_was_only_tried(store: Store) -> None:
    rows = interactions(3)
    store.interactions.add(rows)
    store.annotations.add(
        [
            said(rows[0].id, rubric="old", created_at=NOON, cost_usd=1.0),
            said(rows[1].id, rubric="older", created_at=NOON - MINUTE),
            said(rows[1].id, rubric="new", role="trial", created_at=NOON, cost_usd=0.25),
            said(rows[2].id, rubric="new", role="trial", created_at=NOON + MINUTE, cost_usd=0.5),
        ]
    )
    windows = Windows(store.engine)

    assert [one.rubric for one in windows.judged_by("support")] == ["old", "older"]
    assert windows.judged_by("support", since=NOON + MINUTE)[0].rubric == "older"
    spent = {"judge": "j", "rubric": "new", "until": None}
    assert windows.cost_usd("support", since=None, after=NOON, **spent) == pytest.approx(0.75)
    assert windows.cost_usd("support", since=None, after=NOON + MINUTE, **spent) == pytest.approx(0.5)
    assert windows.last_costs("support", judge="j", limit=1) == [0.5]
    assert sorted(windows.last_costs("support", judge="j")) == [0.25, 0.5, 1.0]


def test_what_was_only_tried_selects_once_its_rubric_is_adopted_and_is_the_newest_then(store: Store) -> None:
    row = an_interaction()
    store.interactions.add([row])
    store.annotations.add(
        [
            said(row.id, rubric="new", role="trial", overall=1.0, created_at=NOON),
            said(row.id, rubric="old", overall=5.0, created_at=NOON + MINUTE),
        ]
    )
    assert store.annotations.of([row.id])[row.id].overall == 5.0

    chosen = store.annotations.select_by("support", judge="j", rubric="new", now=lambda: NOON + 2 * MINUTE)

    assert chosen == 1
    assert store.annotations.of([row.id])[row.id].overall == 1.0
    assert store.annotations.select_by("support", judge="j", rubric="new") == 0


def test_what_was_spent_is_told_whatever_became_of_it_and_never_taken_back(store: Store) -> None:
    row = asked(store)
    assert store.backfills.claim(row.id, "me", lasts=MINUTE, now=lambda: NOON)
    assert store.backfills.beat(row.id, "me", lasts=MINUTE, judged=2, cost_usd=0.02, now=lambda: NOON)
    assert store.backfills.beat(row.id, "me", lasts=MINUTE, judged=2, cost_usd=0.01, now=lambda: NOON)
    assert cost(store, row) == 0.02

    assert store.backfills.cancel(row.id, "not wanted", now=lambda: NOON)
    assert cost(store, row) == 0.02
    store.backfills.spent(row.id, 0.03)
    store.backfills.spent(row.id, 0.01)
    assert cost(store, row) == 0.03


def cost(store: Store, row: BackfillRow) -> float:
    found = store.backfills.get(row.id)
    assert found is not None
    return found.cost_usd
