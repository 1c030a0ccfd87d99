"""`python -m claim_airflow.prepare`: Airflow's own tables and the pool of our steps; once, before the rest starts."""

from __future__ import annotations

import sys

POOL = "claims"
"""Pool of the steps of appraisal. It has one slot less than the executor: however many deliveries wait, one place is
left in which intake takes new files and writes their receipts."""


def main() -> None:
    """Brings the tables up to date and makes the pool; one that is there keeps the slots that an operator gave it."""
    from airflow.__main__ import main as airflow

    sys.argv = ["airflow", "db", "migrate"]
    airflow()
    from airflow.configuration import conf
    from airflow.models.pool import Pool

    if Pool.get_pool(POOL) is None:
        slots = max(1, conf.getint("core", "parallelism") - 1)
        about = "Các bước giám định; chừa một chỗ cho nhận tệp. Steps of appraisal; leaves a place for intake."
        Pool.create_or_update_pool(POOL, slots, about, include_deferred=False)


if __name__ == "__main__":
    main()
