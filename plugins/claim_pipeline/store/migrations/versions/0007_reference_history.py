"""Reference data keep their history: a row holds from one load to another, and when each load came into force.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# kept: there was a time when the rows of a load were deleted when another replaced it
NEW = """
CREATE TABLE reference_in_force (
    load BIGINT NOT NULL,
    name TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    kept BOOLEAN DEFAULT true NOT NULL,
    PRIMARY KEY (load),
    CONSTRAINT reference_in_force_one_at_a_time UNIQUE (name, since),
    FOREIGN KEY(load) REFERENCES reference_load (id)
);
INSERT INTO reference_in_force (load, name, since, kept)
SELECT l.id, l.name, greatest(l.loaded_at, lag(l.loaded_at) OVER (PARTITION BY l.name ORDER BY l.id)
       + interval '1 microsecond'), l.rows = 0 OR EXISTS (SELECT FROM reference_row r WHERE r.load = l.id)
FROM reference_load l;

ALTER TABLE reference_load ADD COLUMN file TEXT, ADD COLUMN layout TEXT, ADD COLUMN report JSONB,
    ADD COLUMN row_order BYTEA;

ALTER TABLE reference_row RENAME TO reference_row_before;
ALTER TABLE reference_row_before RENAME CONSTRAINT reference_row_pkey TO reference_row_before_pkey;
CREATE TABLE reference_row (
    name TEXT NOT NULL,
    position BIGINT NOT NULL,
    first_load BIGINT NOT NULL,
    until_load BIGINT,
    content UUID NOT NULL,
    tu_ngay DATE,
    den_ngay DATE,
    data JSONB NOT NULL,
    PRIMARY KEY (name, position),
    CONSTRAINT reference_row_loads CHECK (until_load > first_load),
    FOREIGN KEY(first_load) REFERENCES reference_load (id),
    FOREIGN KEY(until_load) REFERENCES reference_load (id)
);
INSERT INTO reference_row (name, position, first_load, until_load, content, tu_ngay, den_ngay, data)
SELECT l.name, row_number() OVER (PARTITION BY l.name ORDER BY r.load, r.position), r.load, l.next, gen_random_uuid(),
       r.tu_ngay, r.den_ngay, r.data
FROM reference_row_before r
JOIN (SELECT id, name, lead(id) OVER (PARTITION BY name ORDER BY id) AS next FROM reference_load) l ON l.id = r.load
ORDER BY 1, 2;
DROP TABLE reference_row_before;
DROP TABLE reference_table;
CREATE INDEX reference_row_in_force ON reference_row (name, position) WHERE until_load IS NULL;

CREATE TRIGGER reference_row_ends_once BEFORE UPDATE ON reference_row FOR EACH ROW WHEN (
    OLD.until_load IS NOT NULL OR NEW.until_load IS NULL
    OR ROW(OLD.name, OLD.position, OLD.first_load, OLD.content, OLD.tu_ngay, OLD.den_ngay, OLD.data)
       IS DISTINCT FROM ROW(NEW.name, NEW.position, NEW.first_load, NEW.content, NEW.tu_ngay, NEW.den_ngay, NEW.data)
) EXECUTE FUNCTION forbid_change('a row of reference data only ends, once');
CREATE TRIGGER reference_row_never_deleted BEFORE DELETE OR TRUNCATE ON reference_row
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change('what was known stays known');
CREATE TRIGGER reference_in_force_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON reference_in_force
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change('rows are only ever added');
"""

BACK = """
CREATE TABLE reference_table (
    name TEXT NOT NULL,
    load BIGINT NOT NULL,
    PRIMARY KEY (name),
    FOREIGN KEY(load) REFERENCES reference_load (id)
);
INSERT INTO reference_table (name, load)
SELECT DISTINCT ON (name) name, load FROM reference_in_force ORDER BY name, since DESC;

ALTER TABLE reference_row RENAME TO reference_row_before;
ALTER TABLE reference_row_before RENAME CONSTRAINT reference_row_pkey TO reference_row_before_pkey;
CREATE TABLE reference_row (
    load BIGINT NOT NULL,
    position BIGINT NOT NULL,
    tu_ngay DATE,
    den_ngay DATE,
    data JSONB NOT NULL,
    PRIMARY KEY (load, position),
    FOREIGN KEY(load) REFERENCES reference_load (id)
);
INSERT INTO reference_row (load, position, tu_ngay, den_ngay, data)
SELECT t.load, r.position, r.tu_ngay, r.den_ngay, r.data
FROM reference_row_before r JOIN reference_table t ON t.name = r.name WHERE r.until_load IS NULL;
DROP TABLE reference_row_before;
DROP TABLE reference_in_force;
ALTER TABLE reference_load DROP COLUMN file, DROP COLUMN layout, DROP COLUMN report, DROP COLUMN row_order;
"""


def upgrade() -> None:
    """Keeps all rows there are; a load whose rows were deleted when it was replaced is marked so."""
    op.execute(NEW)


def downgrade() -> None:
    """Keeps only what is in force."""
    op.execute(BACK)
