"""What is kept of every claim for the rules that look at other claims, and which deliveries a new one affects.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE visit (
    version BIGINT NOT NULL,
    facility TEXT NOT NULL,
    started TIMESTAMP WITH TIME ZONE,
    admitted TIMESTAMP WITH TIME ZONE,
    ended TIMESTAMP WITH TIME ZONE,
    ma_loai_kcb TEXT NOT NULL,
    ma_doituong_kcb TEXT NOT NULL,
    ma_benh_chinh TEXT NOT NULL,
    ket_qua_dtri TEXT NOT NULL,
    ma_noi_di TEXT NOT NULL,
    numbers TEXT NOT NULL,
    citizen TEXT NOT NULL,
    holder TEXT NOT NULL,
    appointed DATE,
    referred BOOLEAN NOT NULL,
    PRIMARY KEY (version),
    FOREIGN KEY(version) REFERENCES claim_version (id),
    FOREIGN KEY(facility) REFERENCES facility (code)
);
CREATE INDEX visit_facility ON visit (facility, ended);

CREATE TABLE visit_person (
    key TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (key, version),
    FOREIGN KEY(version) REFERENCES visit (version)
);

CREATE TABLE visit_device (
    ma_vat_tu TEXT NOT NULL,
    ma_hieu_sp TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (ma_vat_tu, ma_hieu_sp, version),
    FOREIGN KEY(version) REFERENCES visit (version)
);

CREATE TABLE visit_bed (
    version BIGINT NOT NULL,
    row INTEGER NOT NULL,
    facility TEXT NOT NULL,
    ma_khoa TEXT NOT NULL,
    ma_giuong TEXT NOT NULL,
    started TIMESTAMP WITH TIME ZONE NOT NULL,
    ended TIMESTAMP WITH TIME ZONE NOT NULL,
    person TEXT NOT NULL,
    PRIMARY KEY (version, row),
    FOREIGN KEY(version) REFERENCES visit (version)
);
CREATE INDEX visit_bed_place ON visit_bed (facility, ma_khoa, ma_giuong, started);

CREATE TABLE affected_delivery (
    delivery BIGINT NOT NULL,
    because BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (delivery),
    FOREIGN KEY(delivery) REFERENCES delivery (id),
    FOREIGN KEY(because) REFERENCES delivery (id)
);
"""


def upgrade() -> None:
    """Adds the tables. Of what was recorded before nothing is kept: its claims are seen by no rule of other claims."""
    op.execute(TABLES)
    for table in ("visit", "visit_person", "visit_device", "visit_bed"):
        op.execute(
            f"CREATE TRIGGER {table}_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION forbid_change('rows are only ever added')"
        )


def downgrade() -> None:
    """Takes the tables back; they can be made again only by recording the deliveries again."""
    op.execute("DROP TABLE affected_delivery, visit_bed, visit_device, visit_person, visit")
