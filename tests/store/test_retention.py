"""What is older than a task keeps it is deleted everywhere, except where a dataset rests on it."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import func, select

from continuum.errors import ConfigurationError
from continuum.policy import CapturePolicy, TaskPolicy
from continuum.records import Annotation, DatasetRecord, Feedback
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from continuum.store.retention import RetentionReport, apply_retention, erase
from continuum.store.snapshots import rewrite_stale, write_snapshots
from continuum.store.tables import annotations, bodies, feedback
from tests.builders import NOON, an_interaction

BATCH = [
    an_interaction(f"Question {n}?", id=f"day-{n}", provider_response_id=f"chat-{n}", started_at=NOON + timedelta(days=n))
    for n in range(10)
]


def ten_days_on() -> datetime:
    return NOON + timedelta(days=10)


def counted(store: Store, table: object) -> int:
    with store.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.fixture
def kept_three_days(store: Store) -> Store:
    """A task that keeps three days, with ten days of interactions, annotations and feedback, in snapshots."""
    store.tasks.register(TaskPolicy(task="support", capture=CapturePolicy(retention_days=3)))
    store.interactions.add(BATCH, now=lambda: NOON)
    store.interactions.add([an_interaction("Question 0?", id="same words", task="other")], now=lambda: NOON)
    store.annotations.add([Annotation(interaction_id=one.id, task="support", judge="j", rubric="r") for one in BATCH])
    store.feedback.add([Feedback(interaction_id=one.id, score=1) for one in BATCH])
    store.feedback.add([Feedback(interaction_id=one.provider_response_id, score=1) for one in BATCH])
    store.feedback.add([Feedback(interaction_id="unknown", score=1)])
    write_snapshots(store, "support", now=ten_days_on)
    return store


def test_what_is_too_old_goes_with_everything_about_it(kept_three_days: Store, home: Path) -> None:
    store = kept_three_days

    report = apply_retention(store, "support", now=ten_days_on)

    assert report == RetentionReport(deleted=7, kept=0, parts_rewritten=0, parts_removed=7)
    assert list(store.interactions.scan("support")) == BATCH[7:]
    assert len(list(home.glob("snapshots/task=support/*/*.parquet"))) == 3
    # The words of the first interaction are the other task's too.
    assert [counted(store, table) for table in (bodies, annotations, feedback)] == [4, 3, 7]
    assert store.interactions.get("same words") is not None


def test_running_it_again_changes_nothing(kept_three_days: Store) -> None:
    apply_retention(kept_three_days, "support", now=ten_days_on)

    assert apply_retention(kept_three_days, "support", now=ten_days_on) == RetentionReport(0, 0, 0, 0)


def test_members_of_a_dataset_stay_and_are_counted(kept_three_days: Store, home: Path) -> None:
    store = kept_three_days
    version = DatasetRecord(id="d", task="support", name="support_training_v1", version=1, uri="d", manifest={})
    store.datasets.add(version, [DatasetItem(interaction_id=f"day-{n}", split="train") for n in (2, 8)])

    report = apply_retention(store, "support", now=ten_days_on)

    assert (report.deleted, report.kept) == (6, 1)
    assert [one.id for one in store.interactions.scan("support")] == ["day-2", "day-7", "day-8", "day-9"]


def test_a_part_of_which_something_stays_is_written_anew(store: Store, home: Path) -> None:
    store.tasks.register(TaskPolicy(task="support", capture=CapturePolicy(retention_days=1)))
    batch = [an_interaction(f"Question {n}?", started_at=NOON + timedelta(hours=n)) for n in range(4)]
    store.interactions.add(batch, now=lambda: NOON)
    write_snapshots(store, "support", now=ten_days_on)

    report = apply_retention(store, "support", now=lambda: NOON + timedelta(days=1, hours=2))

    assert report == RetentionReport(deleted=2, kept=0, parts_rewritten=1, parts_removed=0)
    (part,) = home.glob("snapshots/task=support/*/*.parquet")
    assert pl.read_parquet(part)["id"].to_list() == [one.id for one in batch[2:]]
    assert list(store.interactions.scan("support")) == batch[2:]


def test_a_task_without_a_limit_keeps_everything(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    store.interactions.add(BATCH)

    assert apply_retention(store, "support", now=ten_days_on) == RetentionReport(0, 0, 0, 0)
    assert store.interactions.count("support") == 10


def test_more_than_a_batch_is_deleted(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", capture=CapturePolicy(retention_days=3)))
    store.interactions.add([an_interaction(f"Question {n}?") for n in range(1100)])

    assert apply_retention(store, "support", now=ten_days_on).deleted == 1100
    assert counted(store, bodies) == 0


def test_an_unknown_task_is_refused(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="no task 'suport'"):
        apply_retention(store, "suport", now=ten_days_on)


def test_what_is_erased_is_in_no_file_after_the_rewrite(kept_three_days: Store, home: Path) -> None:
    store = kept_three_days

    assert erase(store, ["day-4", "day-9", "nobody"]) == 2

    assert [one.id for one in store.interactions.scan("support")] == [f"day-{n}" for n in (0, 1, 2, 3, 5, 6, 7, 8)]
    assert rewrite_stale(store, "support") == (0, 0, 2)
    parts = list(home.glob("snapshots/task=support/*/*"))
    assert {pl.read_parquet(part)["id"].item() for part in parts} == {f"day-{n}" for n in (0, 1, 2, 3, 5, 6, 7, 8)}
