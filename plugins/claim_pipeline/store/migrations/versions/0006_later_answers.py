"""An index for appraisals of which the facility is still to be told.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the index."""
    op.execute("CREATE INDEX appraisal_unanswered ON appraisal (id) WHERE number > 1 AND answered_at IS NULL")


def downgrade() -> None:
    """Takes it back."""
    op.execute("DROP INDEX appraisal_unanswered")
