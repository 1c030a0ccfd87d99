"""Appraisals: what is decided of a claim version comes in versions of its own; old ones stay, the newest counts.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE appraisal (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    delivery BIGINT NOT NULL,
    number BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    actor TEXT NOT NULL,
    cause TEXT NOT NULL,
    rule_book TEXT,
    contract JSONB,
    options JSONB,
    known_at TIMESTAMP WITH TIME ZONE,
    reference JSONB,
    received_day TEXT,
    signature JSONB,
    history JSONB,
    report_sha256 TEXT,
    result_sha256 TEXT,
    totals JSONB NOT NULL,
    answered_at TIMESTAMP WITH TIME ZONE,
    answer_folder TEXT,
    PRIMARY KEY (id),
    CONSTRAINT appraisal_number UNIQUE (delivery, number),
    CONSTRAINT appraisal_number_from_1 CHECK (number >= 1),
    CONSTRAINT appraisal_cause CHECK (cause IN ('delivery', 'reappraisal', 'history')),
    CONSTRAINT appraisal_first CHECK ((number = 1) = (cause = 'delivery')),
    CONSTRAINT appraisal_answer CHECK ((answered_at IS NULL) = (answer_folder IS NULL)),
    FOREIGN KEY(delivery) REFERENCES delivery (id)
);

CREATE TABLE claim_outcome (
    version BIGINT NOT NULL,
    appraisal BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    paperless BOOLEAN NOT NULL,
    paperless_reasons JSONB NOT NULL,
    referral_reasons JSONB NOT NULL,
    requested NUMERIC(18, 2) NOT NULL,
    approved NUMERIC(18, 2) NOT NULL,
    refused NUMERIC(18, 2) NOT NULL,
    result_sha256 TEXT,
    PRIMARY KEY (version, appraisal),
    CONSTRAINT claim_outcome_amounts CHECK (
        requested = approved + refused AND requested >= 0 AND approved >= 0 AND refused >= 0
    ),
    CONSTRAINT claim_outcome_outcome CHECK (outcome IN ('accepted', 'adjusted', 'rejected', 'referred')),
    CONSTRAINT claim_outcome_rejected CHECK (outcome <> 'rejected' OR approved = 0),
    FOREIGN KEY(version) REFERENCES claim_version (id),
    FOREIGN KEY(appraisal) REFERENCES appraisal (id)
);

CREATE TABLE line_outcome (
    version BIGINT NOT NULL,
    appraisal BIGINT NOT NULL,
    xml_table TEXT NOT NULL,
    row INTEGER NOT NULL,
    requested NUMERIC(18, 2) NOT NULL,
    approved NUMERIC(18, 2) NOT NULL,
    refused NUMERIC(18, 2) NOT NULL,
    PRIMARY KEY (version, appraisal, xml_table, row),
    CONSTRAINT line_outcome_amounts CHECK (
        requested = approved + refused AND requested >= 0 AND approved >= 0 AND refused >= 0
    ),
    FOREIGN KEY(version) REFERENCES claim_version (id)
);
"""

WHAT_THERE_IS = """
INSERT INTO appraisal (delivery, number, at, actor, cause, rule_book, report_sha256, totals)
SELECT d.id, 1, d.recorded_at, coalesce(e.actor, 'record'), 'delivery', d.rule_book, e.inputs, coalesce(d.totals, '{}')
FROM delivery d
LEFT JOIN LATERAL (
    SELECT actor, inputs FROM delivery_event WHERE delivery = d.id AND status = 'recorded' ORDER BY id DESC LIMIT 1
) e ON true
WHERE d.recorded_at IS NOT NULL ORDER BY d.id;

DROP TRIGGER claim_version_content ON claim_version;
ALTER TABLE claim_version ADD COLUMN appraisal BIGINT REFERENCES appraisal (id);
UPDATE claim_version v SET appraisal = a.id FROM appraisal a WHERE a.delivery = v.delivery;
ALTER TABLE claim_version ALTER COLUMN appraisal SET NOT NULL;

INSERT INTO claim_outcome (version, appraisal, outcome, paperless, paperless_reasons, referral_reasons, requested,
                           approved, refused)
SELECT id, appraisal, outcome, paperless, paperless_reasons, referral_reasons, requested, approved, refused
FROM claim_version;
INSERT INTO line_outcome (version, appraisal, xml_table, row, requested, approved, refused)
SELECT l.version, v.appraisal, l.xml_table, l.row, l.requested, l.approved, l.refused
FROM claim_line l JOIN claim_version v ON v.id = l.version;

ALTER TABLE claim_version
    DROP COLUMN outcome, DROP COLUMN paperless, DROP COLUMN paperless_reasons, DROP COLUMN referral_reasons,
    DROP COLUMN requested, DROP COLUMN approved, DROP COLUMN refused;
ALTER TABLE claim_line DROP COLUMN requested, DROP COLUMN approved, DROP COLUMN refused;
CREATE INDEX claim_version_ngay_ra ON claim_version (ngay_ra);

DROP TRIGGER finding_only_added ON finding;
ALTER TABLE finding ADD COLUMN appraisal BIGINT REFERENCES appraisal (id);
UPDATE finding f SET appraisal = a.id FROM appraisal a WHERE a.delivery = f.delivery;
ALTER TABLE finding DROP CONSTRAINT finding_pkey, DROP COLUMN delivery, ADD PRIMARY KEY (appraisal, number);
DROP INDEX finding_version;
CREATE INDEX finding_version ON finding (version, appraisal);

DROP TRIGGER delivery_milestones ON delivery;
ALTER TABLE delivery DROP COLUMN totals, DROP COLUMN rule_book;
"""

VIEWS = """
CREATE VIEW standing_outcome AS
SELECT v.delivery, v.position, v.claim, v.ma_lk, v.sequence, v.newest, v.duplicate, o.*
FROM claim_version v JOIN claim_outcome o ON o.version = v.id AND o.appraisal = v.appraisal;

CREATE VIEW standing_line AS
SELECT l.*, o.appraisal, o.requested, o.approved, o.refused
FROM claim_version v JOIN line_outcome o ON o.version = v.id AND o.appraisal = v.appraisal
JOIN claim_line l ON l.version = o.version AND l.xml_table = o.xml_table AND l.row = o.row;

CREATE VIEW standing_finding AS
SELECT v.delivery, f.* FROM claim_version v JOIN finding f ON f.version = v.id AND f.appraisal = v.appraisal
UNION ALL
SELECT a.delivery, f.* FROM appraisal a JOIN finding f ON f.appraisal = a.id AND f.version IS NULL
WHERE NOT EXISTS (SELECT FROM appraisal later WHERE later.delivery = a.delivery AND later.number > a.number);
"""

FORBIDDEN = """
CREATE TRIGGER delivery_milestones BEFORE UPDATE ON delivery FOR EACH ROW WHEN (
    (OLD.recorded_at IS NOT NULL AND OLD.recorded_at IS DISTINCT FROM NEW.recorded_at)
    OR (OLD.answered_at IS NOT NULL AND
        ROW(OLD.answered_at, OLD.answer_folder) IS DISTINCT FROM ROW(NEW.answered_at, NEW.answer_folder))
) EXECUTE FUNCTION forbid_change('a delivery is recorded once and answered once');

CREATE TRIGGER claim_version_content BEFORE UPDATE ON claim_version FOR EACH ROW WHEN (
    to_jsonb(OLD) - 'sequence' - 'newest' - 'appraisal' IS DISTINCT FROM
    to_jsonb(NEW) - 'sequence' - 'newest' - 'appraisal' OR NEW.appraisal < OLD.appraisal
) EXECUTE FUNCTION forbid_change('a recorded version stays as it was; send or record a new one');

CREATE TRIGGER appraisal_content BEFORE UPDATE ON appraisal FOR EACH ROW WHEN (
    to_jsonb(OLD) - 'answered_at' - 'answer_folder' IS DISTINCT FROM
    to_jsonb(NEW) - 'answered_at' - 'answer_folder' OR OLD.answered_at IS NOT NULL
) EXECUTE FUNCTION forbid_change('an appraisal stays as it was and is answered once');

CREATE TRIGGER appraisal_never_deleted BEFORE DELETE OR TRUNCATE ON appraisal
FOR EACH STATEMENT EXECUTE FUNCTION forbid_change('nothing that was received is deleted');
"""


def upgrade() -> None:
    """Makes an appraisal of what is recorded of each delivery, and puts what was decided apart from what was sent."""
    op.execute(TABLES)
    op.execute(WHAT_THERE_IS)
    op.execute(VIEWS)
    op.execute(FORBIDDEN)
    for table in ("claim_outcome", "line_outcome", "finding"):
        op.execute(
            f"CREATE TRIGGER {table}_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION forbid_change('rows are only ever added')"
        )


def downgrade() -> None:
    """A database with several outcomes of one version has no place for them before this; restore a backup instead."""
    raise NotImplementedError("outcomes in versions cannot be put back into one")
