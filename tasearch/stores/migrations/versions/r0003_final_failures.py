"""Why a run of the finals failed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; runs from before it have not failed."""
    op.add_column("tasearch_finals", sa.Column("failure", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("tasearch_finals", "failure")
