"""The first tables: studies, stages, which study asked for which stage, finals, workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the five tables."""
    op.create_table(
        "tasearch_studies",
        sa.Column("study_name", sa.String(512), primary_key=True),
        sa.Column("identity_hash", sa.String(64), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("attrs", sa.Text(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "tasearch_stages",
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("student", sa.String(512), nullable=False),
        sa.Column("teacher_fingerprint", sa.String(64), nullable=True),
        sa.Column("replicate", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(512), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.Double(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("artifact_id", sa.String(64), nullable=True),
        sa.Column("val_accuracy", sa.Double(), nullable=True),
        sa.Column("curve", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("environment", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_table(
        "tasearch_study_stages",
        sa.Column("study_name", sa.String(512), primary_key=True),
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(32), primary_key=True),
    )
    op.create_table(
        "tasearch_finals",
        sa.Column("study_name", sa.String(512), primary_key=True),
        sa.Column("round", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("arm", sa.String(512), primary_key=True),
        sa.Column("replicate", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("chain", sa.Text(), nullable=True),
        sa.Column("search_val_accuracy", sa.Double(), nullable=True),
        sa.Column("fingerprint", sa.String(64), nullable=True),
        sa.Column("val_accuracy", sa.Double(), nullable=True),
        sa.Column("test_accuracy", sa.Double(), nullable=True),
    )
    op.create_table(
        "tasearch_workers",
        sa.Column("study_name", sa.String(512), primary_key=True),
        sa.Column("worker_id", sa.String(512), primary_key=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
    )


def downgrade() -> None:
    """Drop the five tables."""
    for name in ("workers", "finals", "study_stages", "stages", "studies"):
        op.drop_table(f"tasearch_{name}")
