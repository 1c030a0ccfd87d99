"""Card look-ups of one visit are found by an index.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the index."""
    op.execute(
        "CREATE INDEX reference_row_of_visit ON reference_row (name, (data ->> 'MA_LK')) WHERE name = 'card_lookups'"
    )


def downgrade() -> None:
    """Takes it back."""
    op.execute("DROP INDEX reference_row_of_visit")
