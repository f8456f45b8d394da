"""The side of each interaction, remembered."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table; what datasets hold already decides the sides of their members when they are next looked at."""
    op.create_table(
        "sides",
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("draw", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("interaction_id", "draw", name=op.f("pk_sides")),
    )
    op.create_index(op.f("ix_sides_task_draw"), "sides", ["task", "draw"])
