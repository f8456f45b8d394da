"""A task's accounts, judgements by content, and what shows whether a judge can be believed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables and columns, and move what tasks have spent into their accounts."""
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("began", sa.Text(), nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "accounts",
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("spent_micro_usd", sa.BigInteger(), nullable=False),
        sa.Column("reserved_micro_usd", sa.BigInteger(), nullable=False),
        sa.Column("unknown_micro_usd", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task", "purpose", "period", name=op.f("pk_accounts")),
    )
    op.create_table(
        "reservations",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("micro_usd", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("worker", "task", "purpose", "period", name=op.f("pk_reservations")),
    )
    op.create_table(
        "judgements",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("judge", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("judgement", sa.JSON(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_judgements")),
    )
    op.create_index(op.f("ix_judgements_conversation"), "judgements", ["conversation"])
    op.create_index(op.f("ix_judgements_worker"), "judgements", ["worker"])
    op.create_table(
        "admissions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("judge", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("rubric", sa.Text(), nullable=False),
        sa.Column("admitted", sa.Boolean(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admissions")),
    )
    op.create_index(op.f("ix_admissions_version_rubric_created_at"), "admissions", ["version", "rubric", "created_at"])
    op.create_table(
        "anchor_rounds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("judge", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("rubric", sa.Text(), nullable=False),
        sa.Column("served_by", sa.Text(), nullable=True),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("alarm", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anchor_rounds")),
    )
    op.create_index(op.f("ix_anchor_rounds_task_created_at"), "anchor_rounds", ["task", "created_at"])
    op.create_table(
        "reviews",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sa.UniqueConstraint("task", "interaction_id", "queue", name=op.f("uq_reviews_task_interaction_id_queue")),
    )
    op.create_index(op.f("ix_reviews_interaction_id"), "reviews", ["interaction_id"])
    op.create_index(op.f("ix_reviews_task_queue_created_at"), "reviews", ["task", "queue", "created_at"])
    op.create_table(
        "labels",
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("labeller", sa.Text(), nullable=False),
        sa.Column("feedback_id", sa.Text(), nullable=True),
        sa.Column("informed", sa.Boolean(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("review_id", "labeller", name=op.f("pk_labels")),
    )
    op.create_index(op.f("ix_labels_feedback_id"), "labels", ["feedback_id"])
    op.create_table(
        "batches",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("judge", sa.Text(), nullable=False),
        sa.Column("rubric", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index(op.f("ix_batches_state"), "batches", ["state"])
    op.create_table(
        "batch_items",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("custom_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("reserved_micro_usd", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("batch_id", "interaction_id", name=op.f("pk_batch_items")),
    )
    op.create_index(op.f("ix_batch_items_batch_id_custom_id"), "batch_items", ["batch_id", "custom_id"])
    op.create_index(op.f("ix_batch_items_interaction_id"), "batch_items", ["interaction_id"])
    with op.batch_alter_table("annotations") as annotations:
        annotations.add_column(sa.Column("role", sa.Text(), nullable=False, server_default="selecting"))
        annotations.add_column(sa.Column("served_by", sa.Text(), nullable=True))
    # What was reserved belonged to processes of the older package; money that nobody can settle any more is spent.
    op.execute(
        "INSERT INTO accounts (task, purpose, period, spent_micro_usd, reserved_micro_usd, unknown_micro_usd) "
        "SELECT name, 'annotation', 'earlier', spent_micro_usd + reserved_micro_usd, 0, reserved_micro_usd "
        "FROM tasks WHERE spent_micro_usd + reserved_micro_usd > 0"
    )
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_column("spent_micro_usd")
        tasks.drop_column("reserved_micro_usd")
