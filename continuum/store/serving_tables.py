"""The tables of serving: who may ask the gateway, what a shadow answered, and what people are still to be told."""

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, Table, Text, UniqueConstraint

from continuum.store.tables import UtcDateTime, key, metadata, task_name

# Who may ask the gateway. The key itself is shown once, when it is made; what is kept is a hash of it.
gateway_keys = Table(
    "gateway_keys",
    metadata,
    key(),
    Column("name", Text, nullable=False),
    # SHA-256 in hex. A key is 32 random bytes, so that a slow hash would add nothing.
    Column("hash", Text, nullable=False),
    # Names of tasks; null for all.
    Column("tasks", JSON),
    # May name the arm that answers in a header.
    Column("may_override", Boolean, nullable=False),
    Column("requests_per_minute", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    UniqueConstraint("hash"),
)

# What a candidate answered in the shadow: a second answer to an interaction, which nobody was given.
shadow_answers = Table(
    "shadow_answers",
    metadata,
    Column("deployment_id", Text, primary_key=True),
    Column("interaction_id", Text, primary_key=True, index=True),
    task_name(),
    # Null where it gave none.
    Column("answer", JSON),
    Column("status", Text, nullable=False),
    Column("error", Text),
    Column("latency_ms", Float),
    Column("created_at", UtcDateTime, nullable=False),
)

# What people are to be told, and whether they were: kept here until it is delivered, so that no stage waits for a webhook.
notifications = Table(
    "notifications",
    metadata,
    # Of the event and the channel: the same event is told once.
    key(),
    task_name(),
    Column("deployment_id", Text),
    # `webhook` or `slack`; their addresses hold secrets and stand in the environment.
    Column("channel", Text, nullable=False),
    # `blocked`, `promotion`, `live`, `rollback`, `hold`, `alarm`, `clear` or `breaker`.
    Column("kind", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("error", Text),
    Index(None, "next_at"),
)
