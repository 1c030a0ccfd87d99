"""Statistics: the profile of each delivery as cells, their sums by facility and month, and what is unusual.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables. All that they hold can be worked out again from what was received."""
    op.execute(
        """
        CREATE TABLE profile_delivery (
            delivery BIGINT NOT NULL,
            version BIGINT NOT NULL,
            profiled_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
            PRIMARY KEY (delivery),
            FOREIGN KEY(delivery) REFERENCES delivery (id)
        );
        CREATE TABLE profile_cell (
            delivery BIGINT NOT NULL,
            month TEXT NOT NULL,
            measure TEXT NOT NULL,
            key TEXT NOT NULL,
            bucket BIGINT NOT NULL,
            facility TEXT NOT NULL,
            n BIGINT NOT NULL,
            total BIGINT NOT NULL,
            PRIMARY KEY (delivery, month, measure, key, bucket),
            CONSTRAINT profile_cell_n CHECK (n > 0),
            FOREIGN KEY(delivery) REFERENCES delivery (id),
            FOREIGN KEY(facility) REFERENCES facility (code)
        );
        CREATE INDEX profile_cell_facility_month ON profile_cell (facility, month, measure);
        CREATE TABLE facility_month (
            facility TEXT NOT NULL,
            month TEXT NOT NULL,
            changed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
            judged_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (facility, month),
            CONSTRAINT facility_month_month CHECK (month ~ '^[0-9]{6}$'),
            FOREIGN KEY(facility) REFERENCES facility (code)
        );
        CREATE INDEX facility_month_unjudged ON facility_month (facility, month) WHERE judged_at IS NULL;
        CREATE TABLE facility_month_moment (
            facility TEXT NOT NULL,
            month TEXT NOT NULL,
            measure TEXT NOT NULL,
            key TEXT NOT NULL,
            n BIGINT NOT NULL,
            total FLOAT NOT NULL,
            squares FLOAT NOT NULL,
            PRIMARY KEY (facility, month, measure, key),
            FOREIGN KEY(facility, month) REFERENCES facility_month (facility, month)
        );
        CREATE INDEX facility_month_moment_month ON facility_month_moment (month, measure);
        CREATE TABLE drift_finding (
            facility TEXT NOT NULL,
            month TEXT NOT NULL,
            number BIGINT NOT NULL,
            rule TEXT NOT NULL,
            indicator TEXT NOT NULL,
            key TEXT NOT NULL,
            against TEXT NOT NULL,
            grade TEXT NOT NULL,
            value FLOAT NOT NULL,
            baseline FLOAT NOT NULL,
            ratio FLOAT NOT NULL,
            chance FLOAT,
            message_vi TEXT NOT NULL,
            message_en TEXT NOT NULL,
            detail JSONB NOT NULL,
            PRIMARY KEY (facility, month, number),
            CONSTRAINT drift_finding_about UNIQUE (facility, month, rule, indicator, key, against),
            CONSTRAINT drift_finding_grade CHECK (grade IN ('low', 'high', 'very_high')),
            FOREIGN KEY(facility, month) REFERENCES facility_month (facility, month)
        );
        CREATE INDEX drift_finding_rule ON drift_finding (rule, month);
        """
    )


def downgrade() -> None:
    """Takes them back."""
    op.execute(
        "DROP TABLE drift_finding; DROP TABLE facility_month_moment; DROP TABLE facility_month; "
        "DROP TABLE profile_cell; DROP TABLE profile_delivery"
    )
