"""What the guard keeps: answers, labels, uses of golden sets, commitments and tombstones."""

import sqlalchemy as sa
from alembic import op

TIME = sa.DateTime(timezone=True)

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the tables; nothing that is there changes."""
    op.create_table(
        "golden_answers",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("interaction_id", sa.Text()),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("answer", sa.JSON()),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_golden_answers")),
    )
    op.create_index(op.f("ix_golden_answers_task_model"), "golden_answers", ["task", "model"])
    op.create_index(op.f("ix_golden_answers_interaction_id"), "golden_answers", ["interaction_id"])
    op.create_table(
        "golden_labels",
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("labeller", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("answer", "metric", "labeller", name=op.f("pk_golden_labels")),
    )
    op.create_index(op.f("ix_golden_labels_interaction_id"), "golden_labels", ["interaction_id"])
    op.create_table(
        "golden_uses",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("golden_id", sa.Text(), nullable=False),
        sa.Column("checkpoint_id", sa.Text(), nullable=False),
        sa.Column("baseline", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_golden_uses")),
        sa.UniqueConstraint("task", "sequence", name=op.f("uq_golden_uses_task_sequence")),
        sa.UniqueConstraint(
            "golden_id", "checkpoint_id", "baseline", name=op.f("uq_golden_uses_golden_id_checkpoint_id_baseline")
        ),
    )
    op.create_table(
        "commitments",
        sa.Column("interaction_id", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(32), nullable=False),
        sa.Column("commitment", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("interaction_id", name=op.f("pk_commitments")),
    )
    op.create_index(op.f("ix_commitments_commitment"), "commitments", ["commitment"])
    op.create_table(
        "tombstones",
        sa.Column("commitment", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("erased_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("commitment", name=op.f("pk_tombstones")),
    )
