"""The tables of going back: what late feedback reopened, and which old traffic is to be judged anew."""

from sqlalchemy import JSON, Column, Float, Index, Integer, Table, Text

from continuum.store.tables import UtcDateTime, key, metadata, task_name

# An interaction of which people said something after the wheel had used it. It stays open until what used it was made anew.
reopenings = Table(
    "reopenings",
    metadata,
    Column("interaction_id", Text, primary_key=True),
    # What used it: `dataset` (considered for one, taken or not) or `verdict` (a golden item that one was given on).
    Column("use", Text, primary_key=True),
    task_name(),
    # The newest feedback that opened it again.
    Column("feedback_id", Text, nullable=False),
    # The dataset version or the verdict that used it as it was.
    Column("used_by", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    # When, and with which dataset version or verdict, it was made good; null while it is open.
    Column("settled_at", UtcDateTime),
    Column("settled_by", Text),
    Index(None, "task", "settled_at"),
)

# Old traffic of one task that is to be judged, by the task's rubric or by another. What it has judged stands in `annotations`.
backfills = Table(
    "backfills",
    metadata,
    key(),
    task_name(),
    # Bounds of `started_at`: from, and before; null for none.
    Column("since", UtcDateTime),
    Column("until", UtcDateTime),
    # Criteria as JSON; null for those of the task's policy when it is worked on.
    Column("rubric", JSON),
    Column("state", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("judged", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cost_usd", Float, nullable=False),
    # Why it is in its state, in words.
    Column("reason", Text),
    Column("claimed_by", Text),
    Column("claimed_until", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "task", "state"),
)
