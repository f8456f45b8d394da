"""The tables of erasure: what was asked to be forgotten, what is not taken in again, and what became of what was made of it."""

from sqlalchemy import JSON, Boolean, Column, Index, Integer, LargeBinary, Table, Text

from continuum.store.tables import UtcDateTime, key, metadata, task_name

# One row a request; it says how far the erasure is, so that the same command goes on after a kill.
erasures = Table(
    "erasures",
    metadata,
    key(),
    # `user` or `interactions`.
    Column("kind", Text, nullable=False),
    # A keyed hash of who or what it is about: the same request is known again, and nobody can read it.
    Column("subject", Text, nullable=False, index=True),
    # Names of tasks that it is narrowed to; null for all.
    Column("tasks", JSON(none_as_null=True)),
    # Whether what the user says from now on is refused too.
    Column("block", Boolean, nullable=False),
    # `open` until everything is erased, then `erased`; `done` once what was made of it is made anew, or given up.
    Column("state", Text, nullable=False),
    # What is still to be found by its id. It is empty when everything is erased.
    Column("work", JSON(none_as_null=True)),
    # Step to what it came to; a step that stands here is done.
    Column("steps", JSON, nullable=False),
    Column("receipt", JSON(none_as_null=True)),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# Keyed hashes of ids that are not taken in again.
erased_ids = Table(
    "erased_ids",
    metadata,
    Column("hash", Text, primary_key=True),
    # `interaction` (its own id, or the provider's), `feedback` or `user`.
    Column("kind", Text, nullable=False),
    Column("erasure_id", Text, nullable=False, index=True),
    # Of a user: what began earlier is refused; null for all of it.
    Column("before", UtcDateTime),
    # How often something of this id came and was refused.
    Column("refused", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# What an erasure did to dataset versions and checkpoints: a proof that speaks of one still holds.
erased_artifacts = Table(
    "erased_artifacts",
    metadata,
    # `dataset` or `checkpoint`.
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    task_name(),
    Column("erasure_id", Text, nullable=False),
    # A dataset: `erased`. A checkpoint: `quarantined`, `rebuilt`, or `dropped` where nothing is left to train it on.
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # Digests of files and members before the first erasure, and as the last one left them.
    Column("before", JSON, nullable=False),
    Column("after", JSON, nullable=False),
    # The checkpoint that was trained in its place.
    Column("replaced_by", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "task", "state"),
)

# The key of the hashes above, made with the first erasure: all who write to the store need the same one.
erasure_keys = Table(
    "erasure_keys",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key", LargeBinary(32), nullable=False),
)
