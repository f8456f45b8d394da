"""The schema: one table a record, plus the task's policy and what the store keeps its own books by.

Times are stored as UTC. JSON columns hold what is read whole; what is asked for has a column and an index.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts rowids only for a column declared INTEGER.
Sequence = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time on every database; SQLite itself would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: always UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: always aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def key() -> Column[Any]:
    """A text primary key."""
    return Column("id", Text, primary_key=True)


def task_name() -> Column[Any]:
    """The task a row belongs to."""
    return Column("task", Text, nullable=False)


tasks = Table(
    "tasks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("policy", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("trained_through", Sequence, nullable=False, default=0),
    Column("claimed_by", Text),
    Column("claimed_until", UtcDateTime),
    Column("driver", Text),
    Column("driver_seen_at", UtcDateTime),
)

# What was said, once for all calls that said the same; see `bodies.py`.
bodies = Table(
    "bodies",
    metadata,
    Column("hash", LargeBinary(16), primary_key=True),
    Column("messages", JSON, nullable=False),
    Column("response", JSON),
)

interactions = Table(
    "interactions",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    task_name(),
    Column("started_at", UtcDateTime, nullable=False),
    Column("body", LargeBinary(16), nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("error", Text),
    Column("model", Text),
    Column("conversation_id", Text, index=True),
    Column("user_id", Text),
    Column("parent_id", Text),
    Column("provider_response_id", Text, index=True),
    Column("latency_ms", Float),
    Column("time_to_first_chunk_ms", Float),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("cost_usd", Float),
    Column("deployment_id", Text, index=True),
    Column("variant", Text),
    Column("source", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("redaction", Text),
    Column("fingerprint", Text),
    Column("near_repeat_of", Text),
    # When it reached the store, by the clock of the process that wrote it.
    Column("arrived_at", UtcDateTime, nullable=False),
    Index(None, "task", "sequence"),
    Index(None, "task", "started_at"),
    # A number is never given twice, not even after the newest rows were deleted: marks and snapshots count on it.
    sqlite_autoincrement=True,
)

# Feedback may arrive before its interaction, so no foreign key ties them.
feedback = Table(
    "feedback",
    metadata,
    key(),
    Column("interaction_id", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("score", Float),
    Column("label", Text),
    Column("comment", Text),
    Column("correction", Text),
    Column("confidence", Float, nullable=False),
    Column("trusted", Boolean, nullable=False, default=False, server_default=false()),
    Column("user_id", Text),
    Column("recorded_at", UtcDateTime, nullable=False),
    # When it reached the store, by the clock of the process that wrote it.
    Column("arrived_at", UtcDateTime, nullable=False, index=True, server_default="1970-01-01 00:00:00.000000"),
    Column("idempotency_key", Text, unique=True),
)

raters = Table(
    "raters",
    metadata,
    Column("task", Text, primary_key=True),
    Column("rater", Text, primary_key=True),
    Column("reliability", Float, nullable=False),
    Column("sensitivity", Float, nullable=False),
    Column("specificity", Float, nullable=False),
    Column("verdicts", Integer, nullable=False),
    Column("trusted", Integer, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# How far each segment of the spool was drained; it moves in the transaction that writes what was drained.
segments = Table(
    "segments",
    metadata,
    Column("name", Text, primary_key=True),
    Column("offset", BigInteger, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# On which side of a task's split an interaction stands, for each draw; written once. See `sides.py`.
sides = Table(
    "sides",
    metadata,
    Column("interaction_id", Text, primary_key=True),
    # Names the salt and the shares: who changes them asks for another draw.
    Column("draw", Text, primary_key=True),
    task_name(),
    # The first letter of the side.
    Column("side", Text, nullable=False),
    Index(None, "task", "draw"),
)

# A part stands for the rows of its task that began on its day and lie in its range, both ends included.
snapshots = Table(
    "snapshots",
    metadata,
    key(),
    task_name(),
    Column("day", Text, nullable=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("uri", Text, nullable=False),
    # Read from the database: the file is not written yet, or a row changed since.
    Column("stale", Boolean, nullable=False),
    # How often a row in the part changed: who writes the file sees whether one did meanwhile.
    Column("changes", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "task", "last_sequence"),
)

annotations = Table(
    "annotations",
    metadata,
    key(),
    Column("interaction_id", Text, nullable=False),
    task_name(),
    Column("judge", Text, nullable=False),
    Column("rubric", Text, nullable=False),
    Column("role", Text, nullable=False, default="selecting", server_default="selecting"),
    Column("status", Text, nullable=False),
    Column("scores", JSON, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("overall", Float),
    Column("served_by", Text),
    Column("cost_usd", Float, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("interaction_id", "judge", "rubric"),
    Index(None, "task", "created_at"),
)

datasets = Table(
    "datasets",
    metadata,
    key(),
    task_name(),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("uri", Text, nullable=False),
    Column("manifest", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("task", "kind", "version"),
)

dataset_items = Table(
    "dataset_items",
    metadata,
    Column("dataset_id", Text, primary_key=True),
    Column("interaction_id", Text, primary_key=True, index=True),
    Column("split", Text, nullable=False),
    Column("score", Float),
    Column("reason", Text, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    key(),
    task_name(),
    Column("version", Integer, nullable=False),
    Column("base_model", Text, nullable=False),
    Column("uri", Text, nullable=False),
    Column("dataset_id", Text, nullable=False, index=True),
    Column("parent_id", Text),
    Column("generation", Integer, nullable=False),
    Column("manifest", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("config", JSON, nullable=False),
    Column("mlflow_run_id", Text),
    Column("mlflow_version", Text),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("task", "version"),
)

verdicts = Table(
    "verdicts",
    metadata,
    key(),
    task_name(),
    Column("checkpoint_id", Text, nullable=False, index=True),
    Column("baseline", Text, nullable=False),
    Column("golden_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("deltas", JSON, nullable=False),
    Column("intervals", JSON, nullable=False),
    Column("p_values", JSON, nullable=False),
    Column("failed_checks", JSON, nullable=False),
    Column("required_examples", Integer),
    Column("max_traffic", Float, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    key(),
    task_name(),
    Column("checkpoint_id", Text, nullable=False, index=True),
    Column("model", Text, nullable=False),
    Column("stable_model", Text, nullable=False),
    Column("verdict_id", Text),
    Column("strategy", Text, nullable=False),
    Column("backend", Text, nullable=False),
    Column("backend_url", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("traffic", Float, nullable=False),
    Column("max_traffic", Float, nullable=False),
    Column("ramp_schedule", JSON, nullable=False),
    Column("ramp_interval_hours", Float, nullable=False),
    Column("rollback_on_quality_drop", Float),
    Column("shadow", Float, nullable=False, server_default="0"),
    Column("bake_hours", Float, nullable=False, server_default="1"),
    Column("hold_limit_hours", Float, nullable=False, server_default="24"),
    Column("step_at", UtcDateTime, nullable=False, server_default="1970-01-01 00:00:00.000000"),
    Column("approved_traffic", Float, nullable=False, server_default="0"),
    Column("alarm", Text),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "task", "created_at"),
    # However many controllers there are: a task has one champion.
    Index("one_champion", "task", unique=True, sqlite_where=text("state = 'live'"), postgresql_where=text("state = 'live'")),
)

deployment_events = Table(
    "deployment_events",
    metadata,
    Column("deployment_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("from_traffic", Float, nullable=False),
    Column("to_traffic", Float, nullable=False),
    Column("evidence", JSON, nullable=False),
)
