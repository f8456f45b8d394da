"""The tables of going back: what late feedback reopened, and which old traffic is to be judged anew."""

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, Table, Text

from continuum.store.tables import Sequence, UtcDateTime, key, metadata, task_name

# What people had said of an interaction when the wheel used it. Where they have said something else since, it is open, until what
# used it was made anew. A row that was never open only remembers what had been said so shortly before the use that a clock
# cannot tell whether it was seen.
reopenings = Table(
    "reopenings",
    metadata,
    Column("interaction_id", Text, primary_key=True),
    # What used it: `dataset` (considered for one, taken or not) or `verdict` (a golden item that one was given on).
    Column("use", Text, primary_key=True),
    # The dataset version or the verdict that used it as it was.
    Column("used_by", Text, primary_key=True),
    task_name(),
    # A hash over the feedback with a verdict that was there: when it was opened, and once it is settled, when it was used again.
    Column("said", Text, nullable=False),
    # Null where it was never open.
    Column("opened_at", UtcDateTime),
    # When, and with which dataset version or verdict, it was made good; null while it is open.
    Column("settled_at", UtcDateTime),
    Column("settled_by", Text),
    Index(None, "task", "settled_at"),
)

# How far late feedback was looked for: a row with nothing in `used_by` for all tasks, and for those that were looked at by
# themselves; one for each training set that was met, and one for each verdict that matters and was looked through.
feedback_looks = Table(
    "feedback_looks",
    metadata,
    Column("task", Text, primary_key=True),
    Column("used_by", Text, primary_key=True),
    # When it was looked for. Of a dataset version: when that read what people had said.
    Column("at", UtcDateTime, nullable=False),
    # Of a dataset version: it considered the interactions after the first of these numbers and through the second, of those the
    # ones that began at `since` or later; and whether it remembers what had been said shortly before it read.
    Column("after", Sequence),
    Column("through", Sequence),
    Column("since", UtcDateTime),
    Column("remembers", Boolean),
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
    # How often somebody began to work on it since it was last asked for.
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
