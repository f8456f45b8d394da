"""The tables of judging: its money, what was judged already, and what shows whether a judge can be believed."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, Table, Text, UniqueConstraint

from continuum.store.tables import UtcDateTime, key, metadata, task_name

# Who spends and judges now. One that is not seen for a while is dead, and what it held is settled by the others.
workers = Table(
    "workers",
    metadata,
    key(),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    # When the process began, by its system's count: a later process may get the same pid.
    Column("began", Text, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

# A task's money, a row for each purpose and period; whole micro-dollars.
accounts = Table(
    "accounts",
    metadata,
    Column("task", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    # The first day of the period, or `earlier` for what was spent before periods were kept.
    Column("period", Text, primary_key=True),
    Column("spent_micro_usd", BigInteger, nullable=False, default=0),
    Column("reserved_micro_usd", BigInteger, nullable=False, default=0),
    # Of what is spent: booked in full for calls whose outcome nobody knows.
    Column("unknown_micro_usd", BigInteger, nullable=False, default=0),
)

# Of what an account holds reserved, whose it is; the rows of an account sum to its reserved_micro_usd.
reservations = Table(
    "reservations",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("micro_usd", BigInteger, nullable=False),
)

# What a judge said of a content, whoever asks: the same is never paid for twice. A row without a status is being judged now.
judgements = Table(
    "judgements",
    metadata,
    Column("key", Text, primary_key=True),
    # Hash of the conversation alone, by which erasure finds what was said of it.
    Column("conversation", Text, nullable=False, index=True),
    Column("judge", Text, nullable=False),
    Column("worker", Text, index=True),
    Column("status", Text),
    Column("judgement", JSON),
    Column("created_at", UtcDateTime, nullable=False),
)

# Whether a judge withstood the attack texts, for one version of it and one rubric.
admissions = Table(
    "admissions",
    metadata,
    key(),
    Column("judge", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("rubric", Text, nullable=False),
    Column("admitted", Boolean, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "version", "rubric", "created_at"),
)

# Each time the frozen anchors were judged: the scores by interaction id, and how they moved.
anchor_rounds = Table(
    "anchor_rounds",
    metadata,
    key(),
    task_name(),
    Column("judge", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("rubric", Text, nullable=False),
    Column("served_by", Text),
    Column("scores", JSON, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("alarm", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "task", "created_at"),
)

reviews = Table(
    "reviews",
    metadata,
    key(),
    task_name(),
    Column("interaction_id", Text, nullable=False, index=True),
    Column("queue", Text, nullable=False),
    Column("probability", Float),
    Column("reason", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("task", "interaction_id", "queue"),
    Index(None, "task", "queue", "created_at"),
)

labels = Table(
    "labels",
    metadata,
    Column("review_id", Text, primary_key=True),
    Column("labeller", Text, primary_key=True),
    Column("feedback_id", Text, index=True),
    Column("informed", Boolean, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# Backlogs that were left to a provider's batch endpoint.
batches = Table(
    "batches",
    metadata,
    key(),
    task_name(),
    Column("judge", Text, nullable=False),
    Column("rubric", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    # prepared, sending, submitted, ended (every row is settled, the provider's files are still there) or closed
    Column("state", Text, nullable=False),
    # Who is sending it now; nobody else does until that process is dead.
    Column("worker", Text),
    Column("provider_id", Text),
    Column("detail", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "state"),
)

batch_items = Table(
    "batch_items",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("interaction_id", Text, primary_key=True, index=True),
    # The key of the judgement, which the provider hands back; interactions of one content share it, and the first pays.
    Column("custom_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("reserved_micro_usd", BigInteger, nullable=False),
    # What became of it; nothing while the provider has it.
    Column("outcome", Text),
    Index(None, "batch_id", "custom_id"),
)
