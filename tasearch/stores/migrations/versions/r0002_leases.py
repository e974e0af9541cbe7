"""Leases on trials and finals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; what ran before it existed has no lease and may be claimed."""
    op.create_table(
        "tasearch_leases",
        sa.Column("study_name", sa.String(512), primary_key=True),
        sa.Column("subject", sa.String(128), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(512), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.Double(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("tasearch_leases")
