"""Intake: how often work on a delivery was begun, deliveries whose bytes are nobody's first, notices for the operator.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns, the indexes and the table."""
    op.execute(
        """
        ALTER TABLE delivery ADD COLUMN attempts BIGINT DEFAULT 0 NOT NULL, ADD COLUMN intake_fault TEXT;
        DROP INDEX delivery_first_receipt;
        CREATE UNIQUE INDEX delivery_first_receipt ON delivery (facility, sha256)
            WHERE repeat_of IS NULL AND intake_fault IS NULL;
        CREATE INDEX delivery_last_answer ON delivery (facility, answered_at) WHERE answered_at IS NOT NULL;
        CREATE TABLE operator_notice (
            kind TEXT NOT NULL,
            facility TEXT NOT NULL,
            name TEXT NOT NULL,
            detail JSONB NOT NULL,
            first_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
            last_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
            times BIGINT DEFAULT 1 NOT NULL,
            PRIMARY KEY (kind, facility, name)
        );
        """
    )


def downgrade() -> None:
    """Takes them back; deliveries with a fault must have gone before."""
    op.execute(
        """
        DROP TABLE operator_notice;
        DROP INDEX delivery_last_answer;
        DROP INDEX delivery_first_receipt;
        CREATE UNIQUE INDEX delivery_first_receipt ON delivery (facility, sha256) WHERE repeat_of IS NULL;
        ALTER TABLE delivery DROP COLUMN attempts, DROP COLUMN intake_fault;
        """
    )
