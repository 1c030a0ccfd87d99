"""Reference data: rows of one card or facility are found by an index, the order of a load's rows names their positions,
and files that were refused are written down.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import zlib
from itertools import accumulate
from struct import iter_unpack, pack

from alembic import op
from sqlalchemy import text

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

NEW = """
ALTER TABLE reference_load ADD COLUMN places BYTEA;
CREATE INDEX reference_row_of_card ON reference_row (name, (data ->> 'MA_THE_BHYT'))
    WHERE name IN ('cards', 'copayments');
CREATE INDEX reference_row_of_facility ON reference_row (name, (data ->> 'MA_CSKCB'))
    WHERE name IN ('drugs', 'services', 'supplies');
CREATE TABLE reference_refusal (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    file TEXT NOT NULL,
    sha256 TEXT,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    actor TEXT NOT NULL,
    report JSONB NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX reference_refusal_name ON reference_refusal (name, id);
CREATE TRIGGER reference_refusal_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON reference_refusal
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change('rows are only ever added');
"""

BACK = """
DROP TABLE reference_refusal;
DROP INDEX reference_row_of_facility;
DROP INDEX reference_row_of_card;
ALTER TABLE reference_load DROP COLUMN places;
"""

HELD = text(
    "SELECT position FROM reference_row WHERE name = :name AND first_load <= :load "
    "AND (until_load IS NULL OR until_load > :load) ORDER BY position"
)


def upgrade() -> None:
    """What was a place among the rows of a load becomes the position of that row."""
    op.execute(NEW)
    op.execute("ALTER TABLE reference_load DISABLE TRIGGER reference_load_only_added")
    connection = op.get_bind()
    ordered = connection.execute(text("SELECT id, name, row_order FROM reference_load WHERE row_order IS NOT NULL"))
    for load, name, order in ordered.all():
        held = connection.execute(HELD, {"name": name, "load": load}).scalars().all()
        places = [held[rank] for rank in accumulate(step for (step,) in iter_unpack("<i", zlib.decompress(order)))]
        steps = [after - before for before, after in zip([0, *places], places, strict=False)]
        packed = zlib.compress(pack(f"<{len(steps)}q", *steps))
        update = text("UPDATE reference_load SET places = :places WHERE id = :load")
        connection.execute(update, {"places": packed, "load": load})
    op.execute("ALTER TABLE reference_load ENABLE TRIGGER reference_load_only_added")
    op.execute("ALTER TABLE reference_load DROP COLUMN row_order")


def downgrade() -> None:
    """The same back; what is known of refused files is lost."""
    op.execute("ALTER TABLE reference_load ADD COLUMN row_order BYTEA")
    op.execute("ALTER TABLE reference_load DISABLE TRIGGER reference_load_only_added")
    connection = op.get_bind()
    ordered = connection.execute(text("SELECT id, places FROM reference_load WHERE places IS NOT NULL"))
    for load, packed in ordered.all():
        places = list(accumulate(step for (step,) in iter_unpack("<q", zlib.decompress(packed))))
        rank = {position: number for number, position in enumerate(sorted(places))}
        order = [rank[position] for position in places]
        steps = [after - before for before, after in zip([0, *order], order, strict=False)]
        update = text("UPDATE reference_load SET row_order = :order WHERE id = :load")
        connection.execute(update, {"order": zlib.compress(pack(f"<{len(steps)}i", *steps)), "load": load})
    op.execute("ALTER TABLE reference_load ENABLE TRIGGER reference_load_only_added")
    op.execute(BACK)
