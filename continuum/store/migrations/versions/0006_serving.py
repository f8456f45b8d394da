"""How a deployment is led, who may ask the gateway, what shadows answered, and what people are to be told."""

import sqlalchemy as sa
from alembic import op

TIME = sa.DateTime(timezone=True)
LIVE = sa.text("state = 'live'")

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add columns and tables; of several live deployments of a task, left by a promotion cut short, the newest stays."""
    for column in (
        sa.Column("shadow", sa.Float(), nullable=False, server_default="0"),
        sa.Column("bake_hours", sa.Float(), nullable=False, server_default="1"),
        sa.Column("hold_limit_hours", sa.Float(), nullable=False, server_default="24"),
        sa.Column("step_at", TIME, nullable=False, server_default="1970-01-01 00:00:00.000000"),
        sa.Column("approved_traffic", sa.Float(), nullable=False, server_default="0"),
        sa.Column("alarm", sa.Text()),
    ):
        op.add_column("deployments", column)
    op.execute("UPDATE deployments SET step_at = updated_at")
    op.execute(
        "UPDATE deployments SET state = 'superseded', traffic = 0 WHERE state = 'live' AND EXISTS ("
        "SELECT 1 FROM deployments newer WHERE newer.task = deployments.task AND newer.state = 'live' AND ("
        "newer.created_at > deployments.created_at "
        "OR (newer.created_at = deployments.created_at AND newer.id > deployments.id)))"
    )
    op.create_index("one_champion", "deployments", ["task"], unique=True, sqlite_where=LIVE, postgresql_where=LIVE)
    op.create_table(
        "gateway_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("tasks", sa.JSON()),
        sa.Column("may_override", sa.Boolean(), nullable=False),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateway_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_gateway_keys_hash")),
    )
    op.create_table(
        "shadow_answers",
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("answer", sa.JSON()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("latency_ms", sa.Float()),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "interaction_id", name=op.f("pk_shadow_answers")),
    )
    op.create_index(op.f("ix_shadow_answers_interaction_id"), "shadow_answers", ["interaction_id"])
    op.create_table(
        "notifications",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("deployment_id", sa.Text()),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", TIME),
        sa.Column("delivered_at", TIME),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
    )
    op.create_index(op.f("ix_notifications_next_at"), "notifications", ["next_at"])
