"""The outbox: everything is written down once, and nobody takes what somebody else has."""

from datetime import timedelta
from typing import Any

from continuum.store.database import Store
from continuum.store.notifications import Notification
from tests.builders import NOON


def a_notification(name: str = "one", **fields: Any) -> Notification:
    values = {
        "id": name,
        "task": "support",
        "deployment_id": "d1",
        "channel": "webhook",
        "kind": "hold",
        "words": "support: it waits",
        "payload": {"id": name},
        "created_at": NOON,
        "next_at": NOON,
    }
    return Notification(**(values | fields))


def test_the_same_is_written_down_once(store: Store) -> None:
    assert store.notifications.add([a_notification(), a_notification("two")]) == 2
    assert store.notifications.add([a_notification(words="other words"), a_notification("three")]) == 1

    assert [one.words for one in store.notifications.of("d1")] == ["support: it waits"] * 3


def test_what_is_due_comes_oldest_first_and_by_channel(store: Store) -> None:
    store.notifications.add(
        [
            a_notification("late", created_at=NOON + timedelta(minutes=1)),
            a_notification("early"),
            a_notification("put off", next_at=NOON + timedelta(hours=1)),
            a_notification("done", next_at=None, delivered_at=NOON),
            a_notification("elsewhere", channel="slack"),
        ]
    )

    now = NOON + timedelta(minutes=2)
    assert [one.id for one in store.notifications.due("webhook", now)] == ["early", "late"]
    assert [one.id for one in store.notifications.due("webhook", now, most=1)] == ["early"]
    assert {one.id for one in store.notifications.waiting("support")} == {"early", "late", "put off", "elsewhere"}
    assert store.notifications.waiting("billing") == []
    assert store.notifications.span("webhook") == (NOON, NOON + timedelta(minutes=1))
    assert store.notifications.span("pager") is None


def test_of_two_that_set_out_with_the_same_one_goes(store: Store) -> None:
    store.notifications.add([a_notification()])
    (seen,) = store.notifications.due("webhook", NOON)

    first = store.notifications.change(seen, attempts=1, next_at=NOON + timedelta(minutes=1))
    second = store.notifications.change(seen, attempts=1, next_at=NOON + timedelta(minutes=1))

    assert first is not None
    assert second is None


def test_what_is_delivered_is_nobodys_any_more(store: Store) -> None:
    store.notifications.add([a_notification()])
    (seen,) = store.notifications.due("webhook", NOON)
    assert store.notifications.change(seen, next_at=None, delivered_at=NOON) is not None

    assert store.notifications.change(seen, attempts=1) is None
    assert store.notifications.waiting() == []


def test_a_task_that_is_dropped_takes_its_messages_along(store: Store) -> None:
    store.notifications.add([a_notification(), a_notification("two", task="billing")])

    store.drop_task("support")

    assert [one.id for one in store.notifications.of("d1")] == ["two"]
