"""What late feedback reopens, and old traffic that is to be judged anew."""

import sqlalchemy as sa
from alembic import op

TIME = sa.DateTime(timezone=True)
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add a column and two tables; feedback that is there counts as having come when it was recorded."""
    op.add_column("feedback", sa.Column("arrived_at", TIME, nullable=False, server_default="1970-01-01 00:00:00.000000"))
    op.execute("UPDATE feedback SET arrived_at = recorded_at")
    op.create_index(op.f("ix_feedback_arrived_at"), "feedback", ["arrived_at"])
    op.create_table(
        "reopenings",
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("used_by", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("opened_at", TIME),
        sa.Column("settled_at", TIME),
        sa.Column("settled_by", sa.Text()),
        sa.PrimaryKeyConstraint("interaction_id", "use", "used_by", name=op.f("pk_reopenings")),
    )
    op.create_table(
        "feedback_looks",
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("used_by", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("after", SEQUENCE),
        sa.Column("through", SEQUENCE),
        sa.Column("since", TIME),
        sa.Column("remembers", sa.Boolean()),
        sa.PrimaryKeyConstraint("task", "used_by", name=op.f("pk_feedback_looks")),
    )
    op.create_index(op.f("ix_reopenings_task_settled_at"), "reopenings", ["task", "settled_at"])
    op.create_table(
        "backfills",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("driver", sa.Text(), nullable=False),
        sa.Column("since", TIME),
        sa.Column("until", TIME),
        sa.Column("rubric", sa.JSON()),
        sa.Column("adopt", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("judged", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("unreadable", sa.Integer(), nullable=False),
        sa.Column("cost_usd", sa.Float(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("claimed_by", sa.Text()),
        sa.Column("claimed_until", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfills")),
    )
    op.create_index(op.f("ix_backfills_task_state"), "backfills", ["task", "state"])
    op.create_index(op.f("ix_backfills_state_driver"), "backfills", ["state", "driver"])
