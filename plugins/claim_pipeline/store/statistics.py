"""Statistics of deliveries and facility-months: which are out of date, their cells and sums, what is unusual."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

if TYPE_CHECKING:
    import pandas as pd

_UPDATING = 7_204_611_005  # advisory lock: one update of the statistics at a time


class Statistics:
    """The part of the store that knows statistics. All of it can be worked out again from what was received."""

    _engine: Engine

    @contextlib.contextmanager
    def updating_statistics(self) -> Iterator[None]:
        """Waits until no other process updates the statistics; the claim ends with the context or the process."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _UPDATING})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _UPDATING})

    def unprofiled(self, version: int) -> list[int]:
        """Recorded deliveries without a profile of this version, and before them those with claims of which these
        brought another version: in this order nothing is forgotten if the work is killed half-way."""
        with self._engine.connect() as connection:
            return list(connection.execute(_UNPROFILED, {"version": version}).scalars())

    def standing(self, delivery_id: int) -> list[int]:
        """Positions of the readable claims of a delivery that count: this is their newest version."""
        with self._engine.connect() as connection:
            return list(connection.execute(_STANDING, {"id": delivery_id}).scalars())

    def save_profile(self, delivery_id: int, version: int, by_month: Mapping[str, pd.DataFrame]) -> list[str]:
        """Puts the profile of a delivery (month -> cells of claim_rules.statistics.cells) in place of the one there
        was, and adds up the facility-months it touches, which are to be judged again. Returns these months."""
        import pandas as pd

        from claim_pipeline.store import bulk

        with self._engine.begin() as connection:
            connection.execute(text("SELECT 1 FROM delivery WHERE id = :id FOR NO KEY UPDATE"), {"id": delivery_id})
            facility = connection.execute(
                text("SELECT facility FROM delivery WHERE id = :id"), {"id": delivery_id}
            ).scalar_one()
            # two deliveries of a facility-month must not add it up at once, each without the other
            connection.execute(text("SELECT 1 FROM facility WHERE code = :code FOR NO KEY UPDATE"), {"code": facility})
            before = connection.execute(
                text("DELETE FROM profile_cell WHERE delivery = :id RETURNING month"), {"id": delivery_id}
            ).scalars()
            months = sorted({*before, *by_month})
            parts = [
                frame.assign(delivery=delivery_id, month=month, facility=facility) for month, frame in by_month.items()
            ]
            if parts:
                rows = pd.concat(parts, ignore_index=True)
                texts = ("month", "measure", "key", "facility")
                columns = {
                    name: bulk.plain_text(rows[name]) if name in texts else rows[name]
                    for name in ("delivery", "month", "measure", "key", "bucket", "facility", "n", "total")
                }
                bulk.copy_in(_driver(connection), "profile_cell", columns)
            keys = {"facility": facility, "months": months}
            for statement in (_NO_MOMENTS, _CHANGED, _MOMENTS):
                connection.execute(statement, keys)
            connection.execute(_PROFILED, {"id": delivery_id, "version": version})
        return months

    def unjudged(self) -> list[tuple[str, str]]:
        """(facility, month) whose statistics changed since they were judged."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                text("SELECT facility, month FROM facility_month WHERE judged_at IS NULL ORDER BY month, facility")
            )
            return [(row.facility, row.month) for row in rows]

    def profile(self, facility: str, month: str) -> pd.DataFrame:
        """The profile of a facility-month: claim_rules.statistics.cells of its standing claims, added up."""
        from claim_rules.statistics.cells import CELL_COLUMNS

        return self._frame(_PROFILE, {"facility": facility, "month": month}, CELL_COLUMNS)

    def moments(
        self, measures: Sequence[str], first: str, last: str, facilities: Collection[str] | None = None
    ) -> pd.DataFrame:
        """facility, month and claim_rules.statistics.cells.MOMENT_COLUMNS of these measures, from month `first` to
        `last` (yyyymm); of these facilities, or all."""
        from claim_rules.statistics.cells import MOMENT_COLUMNS

        keys = {"measures": list(measures), "first": first, "last": last, "facilities": sorted(facilities or ())}
        types = {"facility": "str", "month": "str", **MOMENT_COLUMNS}
        return self._frame(_SOME_MOMENTS if facilities is not None else _ALL_MOMENTS, keys, types)

    def loads(self, facility: str, month: str, first: str) -> pd.DataFrame:
        """Lines of doctors and machines a day of one facility, as claim_rules.statistics.drift.judge takes them: those
        of the month by hour, of machines the days from month `first` on too."""
        types = {"month": "str", "measure": "str", "key": "str", "bucket": "int64", "n": "int64"}
        return self._frame(_LOADS, {"facility": facility, "month": month, "first": first}, types)

    def months(self, facility: str | None = None) -> list[dict[str, Any]]:
        """facility, month, visits, warnings (how many) of every facility-month, the newest month first."""
        with self._engine.connect() as connection:
            rows = connection.execute(_MONTHS, {"facility": facility}).mappings()
            return [dict(row) for row in rows]

    def save_drifts(self, facility: str, month: str, drifts: Sequence[Mapping[str, Any]]) -> None:
        """Puts these warnings (columns of drift_finding, without facility, month, number) in place of the ones there
        were; the facility-month then counts as judged."""
        about = {"facility": facility, "month": month}
        with self._engine.begin() as connection:
            row = connection.execute(
                text("SELECT 1 FROM facility_month WHERE facility = :facility AND month = :month FOR NO KEY UPDATE"),
                about,
            ).first()
            if row is None:
                return
            connection.execute(text("DELETE FROM drift_finding WHERE facility = :facility AND month = :month"), about)
            if drifts:
                values = [{**about, "number": number, **one} for number, one in enumerate(drifts, start=1)]
                connection.execute(_ADD_DRIFT, values)
            connection.execute(
                text(
                    "UPDATE facility_month SET judged_at = clock_timestamp() "
                    "WHERE facility = :facility AND month = :month"
                ),
                about,
            )

    def drifts(self, facility: str | None = None, month: str | None = None) -> list[dict[str, Any]]:
        """The warnings as last judged: columns of drift_finding, by facility, month and number."""
        with self._engine.connect() as connection:
            rows = connection.execute(_DRIFTS, {"facility": facility, "month": month}).mappings()
            return [dict(row) for row in rows]

    def _frame(self, query: Any, keys: Mapping[str, Any], types: Mapping[str, str]) -> pd.DataFrame:
        import pandas as pd

        with self._engine.connect() as connection:
            rows = connection.execute(query, keys).all()
        return pd.DataFrame([tuple(row) for row in rows], columns=list(types)).astype(dict(types))


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    found = connection.connection.driver_connection
    assert isinstance(found, psycopg.Connection)
    return found


_UNPROFILED = text("""
WITH fresh AS (
    SELECT d.id FROM delivery d
    WHERE d.recorded_at IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM profile_delivery p WHERE p.delivery = d.id AND p.version = :version)
), replaced AS (
    SELECT DISTINCT other.delivery AS id
    FROM fresh JOIN claim_version v ON v.delivery = fresh.id
    JOIN claim_version other ON other.claim = v.claim AND other.delivery <> v.delivery AND NOT other.duplicate
    WHERE other.delivery NOT IN (SELECT id FROM fresh)
)
SELECT id FROM (SELECT id, 0 AS turn FROM replaced UNION ALL SELECT id, 1 FROM fresh) todo ORDER BY turn, id
""")

_STANDING = text("SELECT position FROM claim_version WHERE delivery = :id AND newest AND readable ORDER BY position")

_NO_MOMENTS = text("DELETE FROM facility_month_moment WHERE facility = :facility AND month = ANY(:months)")

_CHANGED = text("""
INSERT INTO facility_month (facility, month) SELECT :facility, unnest(CAST(:months AS text[]))
ON CONFLICT (facility, month) DO UPDATE SET changed_at = clock_timestamp(), judged_at = NULL
""")

_MOMENTS = text("""
INSERT INTO facility_month_moment (facility, month, measure, key, n, total, squares)
SELECT :facility, month, measure, key, sum(n), sum(total), sum(total * total / n)
FROM (
    SELECT month, measure, key, bucket, sum(n)::double precision AS n, sum(total)::double precision AS total
    FROM profile_cell WHERE facility = :facility AND month = ANY(:months) GROUP BY month, measure, key, bucket
) merged GROUP BY month, measure, key
""")

_PROFILED = text("""
INSERT INTO profile_delivery (delivery, version) VALUES (:id, :version)
ON CONFLICT (delivery) DO UPDATE SET version = excluded.version, profiled_at = clock_timestamp()
""")

_PROFILE = text("""
SELECT measure, key, bucket, sum(n)::bigint, least(sum(total), 9000000000000000000)::bigint
FROM profile_cell WHERE facility = :facility AND month = :month
GROUP BY measure, key, bucket ORDER BY measure COLLATE "C", key COLLATE "C", bucket
""")

_ALL_MOMENTS = text("""
SELECT facility, month, measure, key, n, total, squares FROM facility_month_moment
WHERE month BETWEEN :first AND :last AND measure = ANY(:measures)
""")

_SOME_MOMENTS = text("""
SELECT facility, month, measure, key, n, total, squares FROM facility_month_moment
WHERE facility = ANY(:facilities) AND month BETWEEN :first AND :last AND measure = ANY(:measures)
""")

_LOADS = text("""
SELECT month, measure, key, bucket, sum(n)::bigint FROM profile_cell
WHERE facility = :facility AND month = :month AND measure IN ('doctor', 'machine')
GROUP BY month, measure, key, bucket
UNION ALL
SELECT month, measure, key, 0, n FROM facility_month_moment
WHERE facility = :facility AND month >= :first AND month < :month AND measure = 'machine'
""")

_MONTHS = text("""
SELECT f.facility, f.month,
       coalesce((SELECT sum(m.n) FROM facility_month_moment m
                 WHERE m.facility = f.facility AND m.month = f.month AND m.measure = 'visits'), 0)::bigint AS visits,
       (SELECT count(*) FROM drift_finding d WHERE d.facility = f.facility AND d.month = f.month) AS warnings
FROM facility_month f WHERE CAST(:facility AS text) IS NULL OR f.facility = :facility
ORDER BY f.month DESC, f.facility
""")

_DRIFT_COLUMNS = (
    "facility, month, number, rule, indicator, key, against, grade, value, baseline, ratio, chance, message_vi, "
    "message_en, detail"
)

_ADD_DRIFT = text(
    f"INSERT INTO drift_finding ({_DRIFT_COLUMNS}) VALUES "
    f"({', '.join(':' + name for name in _DRIFT_COLUMNS.split(', '))})"
).bindparams(bindparam("detail", type_=JSONB))

_DRIFTS = text(
    f"SELECT {_DRIFT_COLUMNS} FROM drift_finding "
    "WHERE (CAST(:facility AS text) IS NULL OR facility = :facility) "
    "AND (CAST(:month AS text) IS NULL OR month = :month) ORDER BY facility, month, number"
)
