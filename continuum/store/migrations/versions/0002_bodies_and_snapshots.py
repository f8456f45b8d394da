"""Bodies stored once, what a capture is kept with, raters, drained segments and snapshots."""

import json
from hashlib import blake2b

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TIME = sa.DateTime(timezone=True)
PAGE = 500
OPTIONAL = ("content", "tool_calls", "tool_call_id")
"""Fields of a message that the first schema wrote out even where they were empty."""


def upgrade() -> None:
    """Add the tables and columns, and move what was said into bodies."""
    op.create_table(
        "bodies",
        sa.Column("hash", sa.LargeBinary(16), nullable=False),
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.Column("response", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_bodies")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Texts of up to 8 KB as they are: to compress each takes longer than all the rest of its insert.
        op.execute("ALTER TABLE bodies SET (toast_tuple_target = 8160)")
    op.create_table(
        "raters",
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("rater", sa.Text(), nullable=False),
        sa.Column("reliability", sa.Float(), nullable=False),
        sa.Column("sensitivity", sa.Float(), nullable=False),
        sa.Column("specificity", sa.Float(), nullable=False),
        sa.Column("verdicts", sa.Integer(), nullable=False),
        sa.Column("trusted", sa.Integer(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("task", "rater", name=op.f("pk_raters")),
    )
    op.create_table(
        "segments",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_segments")),
    )
    op.create_table(
        "snapshots",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("stale", sa.Boolean(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
    )
    op.create_index(op.f("ix_snapshots_task_last_sequence"), "snapshots", ["task", "last_sequence"])
    with op.batch_alter_table("feedback") as feedback:
        feedback.add_column(sa.Column("trusted", sa.Boolean(), nullable=False, server_default=sa.false()))
    for column in (
        sa.Column("body", sa.LargeBinary(16), nullable=True),
        sa.Column("cached_tokens", sa.Integer(), nullable=True),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=True),
        sa.Column("redaction", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("near_repeat_of", sa.Text(), nullable=True),
        sa.Column("arrived_at", TIME, nullable=True),
    ):
        op.add_column("interactions", column)
    move_bodies(op.get_bind())
    # SQLite copies the table here; its new one never gives a sequence number twice.
    with op.batch_alter_table("interactions", table_kwargs={"sqlite_autoincrement": True}) as interactions:
        interactions.alter_column("body", existing_type=sa.LargeBinary(16), nullable=False)
        interactions.alter_column("arrived_at", existing_type=TIME, nullable=False)
        interactions.drop_column("messages")
        interactions.drop_column("response")
    op.create_index(op.f("ix_interactions_body"), "interactions", ["body"])


def move_bodies(connection: sa.Connection) -> None:
    """Write the body of each interaction, the same one once, and point the interaction to it."""
    # As text: what is stored need not be what this Python reads, like a number of a thousand digits.
    page = sa.text(
        "SELECT sequence, CAST(messages AS TEXT) AS messages, CAST(response AS TEXT) AS response FROM interactions "
        "WHERE sequence > :after ORDER BY sequence LIMIT :page"
    )
    put = sa.text(
        "INSERT INTO bodies (hash, messages, response) VALUES (:hash, :messages, :response) ON CONFLICT (hash) DO NOTHING"
    ).bindparams(sa.bindparam("messages", type_=sa.Text), sa.bindparam("response", type_=sa.Text))
    if connection.dialect.name == "postgresql":
        put = sa.text(
            "INSERT INTO bodies (hash, messages, response) VALUES (:hash, CAST(:messages AS JSON), CAST(:response AS JSON)) "
            "ON CONFLICT (hash) DO NOTHING"
        )
    point = sa.text("UPDATE interactions SET body = :hash, arrived_at = started_at WHERE sequence = :sequence")
    after = 0
    while rows := connection.execute(page, {"after": after, "page": PAGE}).all():
        bodies = [(row.sequence, *canonical(row.messages, row.response)) for row in rows]
        connection.execute(put, [{"hash": name, "messages": said, "response": answer} for _, name, said, answer in bodies])
        connection.execute(point, [{"hash": name, "sequence": sequence} for sequence, name, _, _ in bodies])
        after = rows[-1].sequence


def canonical(messages: str, response: str | None) -> tuple[bytes, str, str]:
    """Hash, messages and response of a body, each JSON with sorted keys and without empty fields of a message."""
    said = dumped([slim(message) for message in json.loads(messages)])
    answer = json.loads(response or "null")
    answered = "null" if answer is None else dumped(slim(answer))
    digest = blake2b(said.encode() + b"\n" + answered.encode(), digest_size=16).digest()
    return digest, said, answered


def slim(message: dict) -> dict:
    """A message without the fields that are empty."""
    return {name: value for name, value in message.items() if value is not None or name not in OPTIONAL}


def dumped(value: object) -> str:
    """Canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
