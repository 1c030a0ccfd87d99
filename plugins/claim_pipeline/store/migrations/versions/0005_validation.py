"""Validation results as records, and who looked at personal data.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE validation_run (
    delivery BIGINT NOT NULL,
    facility TEXT NOT NULL,
    delivery_sha256 TEXT NOT NULL,
    record_sha256 TEXT NOT NULL,
    format TEXT,
    engine TEXT,
    success BOOLEAN NOT NULL,
    claims_read BIGINT NOT NULL,
    claims_checked BIGINT NOT NULL,
    month TEXT,
    rows BIGINT NOT NULL,
    expectations BIGINT NOT NULL,
    checked BIGINT NOT NULL,
    failing BIGINT NOT NULL,
    evaluated BIGINT NOT NULL,
    unexpected BIGINT NOT NULL,
    findings BIGINT NOT NULL,
    wall_seconds NUMERIC(12, 3) NOT NULL,
    processor_seconds NUMERIC(12, 3) NOT NULL,
    ran_by TEXT NOT NULL,
    ran_at TIMESTAMP WITH TIME ZONE NOT NULL,
    recorded_by TEXT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    record JSONB NOT NULL,
    PRIMARY KEY (delivery),
    CONSTRAINT validation_run_sha256 CHECK (
        delivery_sha256 ~ '^[0-9a-f]{64}$' AND record_sha256 ~ '^[0-9a-f]{64}$'
    ),
    CONSTRAINT validation_run_month CHECK (month ~ '^[0-9]{6}$'),
    CONSTRAINT validation_run_counts CHECK (
        failing <= checked AND checked <= expectations AND unexpected <= evaluated AND claims_checked <= claims_read
    ),
    CONSTRAINT validation_run_success CHECK (success = (failing = 0)),
    FOREIGN KEY(delivery) REFERENCES delivery (id),
    FOREIGN KEY(facility) REFERENCES facility (code)
);
CREATE INDEX validation_run_facility ON validation_run (facility, month);
CREATE INDEX validation_run_month_facility ON validation_run (month, facility);

CREATE TABLE validation_month (
    delivery BIGINT NOT NULL,
    month TEXT NOT NULL,
    claims BIGINT NOT NULL,
    PRIMARY KEY (delivery, month),
    CONSTRAINT validation_month_month CHECK (month ~ '^[0-9]{6}$'),
    FOREIGN KEY(delivery) REFERENCES validation_run (delivery)
);
CREATE INDEX validation_month_runs ON validation_month (month, delivery);

CREATE TABLE validation_suite (
    delivery BIGINT NOT NULL,
    suite INTEGER NOT NULL,
    name TEXT NOT NULL,
    xml_table TEXT NOT NULL,
    decision TEXT,
    valid_from DATE,
    version TEXT NOT NULL,
    rows BIGINT NOT NULL,
    seconds NUMERIC(12, 4) NOT NULL,
    success BOOLEAN NOT NULL,
    PRIMARY KEY (delivery, suite),
    CONSTRAINT validation_suite_name UNIQUE (delivery, name),
    FOREIGN KEY(delivery) REFERENCES validation_run (delivery)
);
CREATE INDEX validation_suite_version ON validation_suite (version);

CREATE TABLE validation_result (
    delivery BIGINT NOT NULL,
    suite INTEGER NOT NULL,
    number INTEGER NOT NULL,
    facility TEXT NOT NULL,
    month TEXT,
    xml_table TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    field TEXT NOT NULL,
    rule TEXT,
    evaluated BIGINT NOT NULL,
    unexpected BIGINT NOT NULL,
    by_kind JSONB NOT NULL,
    sample JSONB NOT NULL,
    PRIMARY KEY (delivery, suite, number),
    CONSTRAINT validation_result_name UNIQUE (delivery, suite, name),
    CONSTRAINT validation_result_counts CHECK (unexpected >= 0 AND unexpected <= evaluated),
    FOREIGN KEY(delivery, suite) REFERENCES validation_suite (delivery, suite)
);
CREATE INDEX validation_result_place ON validation_result (facility, month, xml_table, field);
CREATE INDEX validation_result_failing ON validation_result (xml_table, field, month) WHERE unexpected > 0;

CREATE TABLE access_log (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    who TEXT NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    delivery BIGINT,
    facility TEXT,
    month TEXT,
    reason TEXT NOT NULL,
    detail JSONB,
    PRIMARY KEY (id),
    CONSTRAINT access_log_reason CHECK (btrim(reason) <> '' AND btrim(who) <> ''),
    FOREIGN KEY(delivery) REFERENCES delivery (id)
);
CREATE INDEX access_log_who ON access_log (who, at);
CREATE INDEX access_log_delivery ON access_log (delivery) WHERE delivery IS NOT NULL;
"""

ONLY_ADDED = ("validation_run", "validation_month", "validation_suite", "validation_result", "access_log")


def upgrade() -> None:
    """Creates the tables; their rows are only ever added."""
    op.execute(TABLES)
    for table in ONLY_ADDED:
        op.execute(
            f"CREATE TRIGGER {table}_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION forbid_change('rows are only ever added')"
        )


def downgrade() -> None:
    """Takes them back, with what they hold."""
    op.execute(f"DROP TABLE {', '.join(reversed(ONLY_ADDED))}")
