"""The tables of the guard: answers to golden items, what people said of them, uses of golden sets, and what is proven."""

from sqlalchemy import JSON, Column, Float, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from continuum.store.tables import UtcDateTime, key, metadata, task_name

# An answer of a model to a golden item or a probe, so that an evaluation that is broken off goes on where it was.
golden_answers = Table(
    "golden_answers",
    metadata,
    # A hash of the model's files, how it was asked, and the conversation.
    Column("key", Text, primary_key=True),
    task_name(),
    # Of a golden item; none for a probe.
    Column("interaction_id", Text, index=True),
    # A checkpoint's id, or the base model's name.
    Column("model", Text, nullable=False),
    # None: the model gave no answer.
    Column("answer", JSON),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "task", "model"),
)

# What a person said of an answer to a golden item, not knowing whose it is.
golden_labels = Table(
    "golden_labels",
    metadata,
    # A hash of the conversation and the answer.
    Column("answer", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("labeller", Text, primary_key=True),
    task_name(),
    Column("interaction_id", Text, nullable=False, index=True),
    # From 0 to 1.
    Column("score", Float, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# Every candidate that was measured on a golden set, in order: what the level of the next approval depends on.
golden_uses = Table(
    "golden_uses",
    metadata,
    key(),
    task_name(),
    Column("sequence", Integer, nullable=False),
    Column("golden_id", Text, nullable=False),
    Column("checkpoint_id", Text, nullable=False),
    Column("baseline", Text, nullable=False),
    # The how-manieth candidate on these questions it is, from 1.
    Column("position", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("task", "sequence"),
    UniqueConstraint("golden_id", "checkpoint_id", "baseline"),
)

# What a proof says of a row without saying it: a hash of a salt and the row. The salt goes with the row.
commitments = Table(
    "commitments",
    metadata,
    Column("interaction_id", Text, primary_key=True),
    task_name(),
    Column("salt", LargeBinary(32), nullable=False),
    Column("commitment", Text, nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
)

# The commitments of rows that were erased: a proof that names one still holds.
tombstones = Table(
    "tombstones",
    metadata,
    Column("commitment", Text, primary_key=True),
    task_name(),
    Column("erased_at", UtcDateTime, nullable=False),
)
