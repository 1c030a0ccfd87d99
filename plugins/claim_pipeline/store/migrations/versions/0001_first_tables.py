"""The first tables: deliveries and their moves, claims in versions, lines, findings, reference data; and what must
never happen to them.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE facility (
    code TEXT NOT NULL,
    first_seen_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (code)
);

CREATE TABLE reference_load (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    sha256 TEXT,
    loaded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    actor TEXT NOT NULL,
    rows BIGINT NOT NULL,
    columns JSONB NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX reference_load_name ON reference_load (name, id);

CREATE TABLE claim (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    facility TEXT NOT NULL,
    ma_lk TEXT NOT NULL,
    versions BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT claim_identity UNIQUE (facility, ma_lk),
    CONSTRAINT claim_versions CHECK (versions >= 0),
    FOREIGN KEY(facility) REFERENCES facility (code)
);

CREATE TABLE delivery (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    facility TEXT NOT NULL,
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size BIGINT NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    archive_key TEXT NOT NULL,
    drop_key TEXT,
    repeat_of BIGINT,
    status TEXT NOT NULL,
    progress TEXT NOT NULL,
    format TEXT,
    declared_claims BIGINT,
    read_claims BIGINT,
    rule_book TEXT,
    reason JSONB,
    totals JSONB,
    recorded_at TIMESTAMP WITH TIME ZONE,
    answered_at TIMESTAMP WITH TIME ZONE,
    answer_folder TEXT,
    PRIMARY KEY (id),
    CONSTRAINT delivery_status CHECK (status IN (
        'received', 'extracted', 'transformed', 'validated', 'appraised',
        'recorded', 'answered', 'quarantined', 'failed'
    )),
    CONSTRAINT delivery_progress CHECK (progress IN (
        'received', 'extracted', 'transformed', 'validated', 'appraised',
        'recorded', 'answered', 'quarantined'
    )),
    CONSTRAINT delivery_size CHECK (size >= 0),
    CONSTRAINT delivery_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT delivery_reason CHECK (status <> 'quarantined' OR reason IS NOT NULL),
    CONSTRAINT delivery_answer CHECK ((answered_at IS NULL) = (answer_folder IS NULL)),
    FOREIGN KEY(facility) REFERENCES facility (code),
    FOREIGN KEY(repeat_of) REFERENCES delivery (id)
);
CREATE UNIQUE INDEX delivery_first_receipt ON delivery (facility, sha256) WHERE repeat_of IS NULL;
CREATE UNIQUE INDEX delivery_one_drop ON delivery (facility, sha256, drop_key) WHERE drop_key IS NOT NULL;
CREATE INDEX delivery_repeat_of ON delivery (repeat_of) WHERE repeat_of IS NOT NULL;
CREATE INDEX delivery_unanswered ON delivery (id) WHERE answered_at IS NULL;

CREATE TABLE reference_row (
    load BIGINT NOT NULL,
    position BIGINT NOT NULL,
    tu_ngay DATE,
    den_ngay DATE,
    data JSONB NOT NULL,
    PRIMARY KEY (load, position),
    FOREIGN KEY(load) REFERENCES reference_load (id)
);

CREATE TABLE reference_table (
    name TEXT NOT NULL,
    load BIGINT NOT NULL,
    PRIMARY KEY (name),
    FOREIGN KEY(load) REFERENCES reference_load (id)
);

CREATE TABLE claim_version (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    delivery BIGINT NOT NULL,
    position BIGINT NOT NULL,
    claim BIGINT,
    ma_lk TEXT,
    sequence BIGINT,
    newest BOOLEAN NOT NULL,
    duplicate BOOLEAN NOT NULL,
    readable BOOLEAN NOT NULL,
    decision TEXT,
    outcome TEXT NOT NULL,
    paperless BOOLEAN NOT NULL,
    paperless_reasons JSONB NOT NULL,
    referral_reasons JSONB NOT NULL,
    requested NUMERIC(18, 2) NOT NULL,
    approved NUMERIC(18, 2) NOT NULL,
    refused NUMERIC(18, 2) NOT NULL,
    ngay_vao TIMESTAMP WITH TIME ZONE,
    ngay_ra TIMESTAMP WITH TIME ZONE,
    content_sha256 TEXT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT claim_version_position UNIQUE (delivery, position),
    CONSTRAINT claim_version_amounts CHECK (
        requested = approved + refused AND requested >= 0 AND approved >= 0 AND refused >= 0
    ),
    CONSTRAINT claim_version_outcome CHECK (outcome IN ('accepted', 'adjusted', 'rejected', 'referred')),
    CONSTRAINT claim_version_ma_lk CHECK ((claim IS NULL) = (ma_lk IS NULL)),
    CONSTRAINT claim_version_sequence CHECK ((claim IS NULL) = (sequence IS NULL)),
    CONSTRAINT claim_version_duplicate CHECK (NOT (newest AND duplicate)),
    CONSTRAINT claim_version_rejected CHECK (outcome <> 'rejected' OR approved = 0),
    CONSTRAINT claim_version_sha256 CHECK (content_sha256 ~ '^[0-9a-f]{64}$'),
    FOREIGN KEY(delivery) REFERENCES delivery (id),
    FOREIGN KEY(claim) REFERENCES claim (id)
);
CREATE UNIQUE INDEX claim_version_newest ON claim_version (claim) WHERE newest AND claim IS NOT NULL;
CREATE UNIQUE INDEX claim_version_once_per_delivery ON claim_version (claim, delivery) WHERE NOT duplicate;

CREATE TABLE delivery_event (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    delivery BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    status TEXT NOT NULL,
    actor TEXT NOT NULL,
    inputs TEXT,
    outputs TEXT,
    detail JSONB,
    PRIMARY KEY (id),
    CONSTRAINT delivery_event_status CHECK (status IN (
        'received', 'extracted', 'transformed', 'validated', 'appraised',
        'recorded', 'answered', 'quarantined', 'failed'
    )),
    FOREIGN KEY(delivery) REFERENCES delivery (id)
);
CREATE INDEX delivery_event_delivery ON delivery_event (delivery, id);

CREATE TABLE claim_line (
    version BIGINT NOT NULL,
    xml_table TEXT NOT NULL,
    row INTEGER NOT NULL,
    line BIGINT NOT NULL,
    code TEXT,
    ngay_yl TIMESTAMP WITH TIME ZONE,
    quantity NUMERIC(18, 3),
    price NUMERIC(18, 3),
    requested NUMERIC(18, 2) NOT NULL,
    approved NUMERIC(18, 2) NOT NULL,
    refused NUMERIC(18, 2) NOT NULL,
    PRIMARY KEY (version, xml_table, row),
    CONSTRAINT claim_line_amounts CHECK (
        requested = approved + refused AND requested >= 0 AND approved >= 0 AND refused >= 0
    ),
    CONSTRAINT claim_line_row CHECK (row >= 1),
    FOREIGN KEY(version) REFERENCES claim_version (id)
);

CREATE TABLE finding (
    delivery BIGINT NOT NULL,
    number BIGINT NOT NULL,
    version BIGINT,
    rule TEXT NOT NULL,
    severity TEXT NOT NULL,
    xml_table TEXT,
    row INTEGER,
    line BIGINT,
    field TEXT,
    observed TEXT,
    expected TEXT,
    amount_refused NUMERIC(18, 2),
    message_vi TEXT,
    message_en TEXT,
    basis TEXT,
    PRIMARY KEY (delivery, number),
    CONSTRAINT finding_severity CHECK (severity IN ('reject_claim', 'reject_line', 'adjust_amount', 'warn')),
    FOREIGN KEY(delivery) REFERENCES delivery (id),
    FOREIGN KEY(version) REFERENCES claim_version (id)
);
CREATE INDEX finding_rule ON finding (rule);
CREATE INDEX finding_version ON finding (version);
"""

FORBIDDEN = """
CREATE FUNCTION forbid_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is forbidden: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END $$;
"""

ONLY_ADDED = ("delivery_event", "claim_line", "finding", "reference_load")
NEVER_DELETED = ("facility", "delivery", "claim", "claim_version")

ONCE_WRITTEN = """
CREATE TRIGGER delivery_identity BEFORE UPDATE ON delivery FOR EACH ROW WHEN (
    ROW(OLD.id, OLD.facility, OLD.file, OLD.sha256, OLD.size, OLD.received_at, OLD.archive_key, OLD.drop_key,
        OLD.repeat_of)
    IS DISTINCT FROM
    ROW(NEW.id, NEW.facility, NEW.file, NEW.sha256, NEW.size, NEW.received_at, NEW.archive_key, NEW.drop_key,
        NEW.repeat_of)
) EXECUTE FUNCTION forbid_change('what was received stays as it was');

CREATE TRIGGER delivery_milestones BEFORE UPDATE ON delivery FOR EACH ROW WHEN (
    (OLD.recorded_at IS NOT NULL AND ROW(OLD.recorded_at, OLD.totals) IS DISTINCT FROM ROW(NEW.recorded_at, NEW.totals))
    OR (OLD.answered_at IS NOT NULL AND
        ROW(OLD.answered_at, OLD.answer_folder) IS DISTINCT FROM ROW(NEW.answered_at, NEW.answer_folder))
) EXECUTE FUNCTION forbid_change('a delivery is recorded once and answered once');

CREATE TRIGGER claim_identity BEFORE UPDATE ON claim FOR EACH ROW WHEN (
    ROW(OLD.id, OLD.facility, OLD.ma_lk) IS DISTINCT FROM ROW(NEW.id, NEW.facility, NEW.ma_lk)
    OR NEW.versions < OLD.versions
) EXECUTE FUNCTION forbid_change('a claim keeps its identity and its versions');

CREATE TRIGGER claim_version_content BEFORE UPDATE ON claim_version FOR EACH ROW WHEN (
    to_jsonb(OLD) - 'sequence' - 'newest' IS DISTINCT FROM to_jsonb(NEW) - 'sequence' - 'newest'
) EXECUTE FUNCTION forbid_change('a recorded version stays as it was; send or record a new one');
"""


def upgrade() -> None:
    """Creates the tables and their triggers."""
    op.execute(TABLES)
    op.execute(FORBIDDEN)
    for table in ONLY_ADDED:
        op.execute(
            f"CREATE TRIGGER {table}_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION forbid_change('rows are only ever added')"
        )
    for table in NEVER_DELETED:
        op.execute(
            f"CREATE TRIGGER {table}_never_deleted BEFORE DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION forbid_change('nothing that was received is deleted')"
        )
    op.execute(ONCE_WRITTEN)


def downgrade() -> None:
    """There is nothing before the first tables; a database is left by dropping it."""
    raise NotImplementedError("the first tables cannot be taken back")
