"""The tables of going back: what late feedback reopened, and which old traffic is to be judged anew."""

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, Table, Text

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

# Old traffic of one task that is to be judged, by the task's rubric or by another, or led through the wheel once. What it has
# judged stands in `annotations`.
backfills = Table(
    "backfills",
    metadata,
    key(),
    task_name(),
    # `judging`, or `turn` for a whole turn of the wheel, which has no bounds and no rubric.
    Column("kind", Text, nullable=False),
    # Who is to work on it: `here`, the process that asked, or `dagster`.
    Column("driver", Text, nullable=False),
    # Bounds of `started_at`: from, and before; null for none.
    Column("since", UtcDateTime),
    Column("until", UtcDateTime),
    # Criteria as JSON; null for those of the task's policy when it is worked on.
    Column("rubric", JSON(none_as_null=True)),
    # Whether the rubric becomes the policy's once all is judged by it.
    Column("adopt", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    # How often somebody began to work on it.
    Column("attempts", Integer, nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("judged", Integer, nullable=False),
    # Of what is missing, in the last attempt: what the judge could not be asked about, and what it said nothing readable of.
    Column("failed", Integer, nullable=False),
    Column("unreadable", Integer, nullable=False),
    Column("cost_usd", Float, nullable=False),
    # Why it is in its state, in words.
    Column("reason", Text),
    Column("claimed_by", Text),
    Column("claimed_until", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "task", "state"),
    Index(None, "state", "driver"),
)
