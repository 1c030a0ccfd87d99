"""What a visit costs, for the rules that look at other claims; the transaction that recorded an appraisal.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds both. Of visits recorded before the cost is not known until `giamdinh history rebuild` fills it in."""
    op.execute(
        "CREATE TABLE visit_cost (version BIGINT NOT NULL, in_scope NUMERIC(18, 2) NOT NULL, "
        "full_price NUMERIC(18, 2) NOT NULL, PRIMARY KEY (version), FOREIGN KEY(version) REFERENCES visit (version))"
    )
    op.execute(
        "CREATE TRIGGER visit_cost_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON visit_cost "
        "FOR EACH STATEMENT EXECUTE FUNCTION forbid_change('rows are only ever added')"
    )
    # those that are there count as seen by everybody
    op.execute("ALTER TABLE appraisal ADD COLUMN recorded_in BIGINT DEFAULT 3 NOT NULL")
    op.execute("ALTER TABLE appraisal ALTER COLUMN recorded_in SET DEFAULT pg_current_xact_id()::text::bigint")


def downgrade() -> None:
    """Takes both back."""
    op.execute("ALTER TABLE appraisal DROP COLUMN recorded_in")
    op.execute("DROP TABLE visit_cost")
