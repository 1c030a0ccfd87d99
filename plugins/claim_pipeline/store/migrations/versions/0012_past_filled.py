"""The transaction that added what is kept of a visit; persons and devices of a visit are found by an index.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds columns and indexes. Rows that are there count as seen by everybody."""
    for table in ("visit", "visit_cost"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN recorded_in BIGINT DEFAULT 3 NOT NULL")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN recorded_in SET DEFAULT pg_current_xact_id()::text::bigint")
    for table in ("visit_person", "visit_device"):
        op.execute(f"CREATE INDEX {table}_version ON {table} (version)")


def downgrade() -> None:
    """Takes them back."""
    for table in ("visit_person", "visit_device"):
        op.execute(f"DROP INDEX {table}_version")
    for table in ("visit_cost", "visit"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN recorded_in")
