"""Validation results as records: written with their delivery, found by facility, month, table and field."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import pandas as pd
import psycopg
from sqlalchemy import Engine, text

from claim_pipeline.store import bulk
from claim_pipeline.store.deliveries import local
from claim_pipeline.store.rows import Failing, SuiteRow, TrendPoint, ValidationRow
from claim_pipeline.workspace import Workspace

RECORD = "validation.json"
_TEXT_LENGTH = 1_000
"""Longer texts of a record (only a hospital's MA_LK or STT can be so) are cut."""


@dataclass
class ValidationRecording:
    """validation.json of one delivery, ready to be written."""

    record: dict[str, Any]
    record_sha256: str

    @classmethod
    def of(cls, ws: Workspace) -> ValidationRecording | None:
        """What the step `validate` left in the working folder; None where it did not come so far."""
        path = ws.folder / RECORD
        if not path.exists():
            return None
        content = path.read_bytes()
        record = _storable(json.loads(content))
        if record["delivery"]["sha256"] != ws.delivery.sha256:
            return None
        return cls(record, hashlib.sha256(content).hexdigest())

    def write(self, connection: psycopg.Connection[Any], delivery_id: int, facility: str, actor: str) -> None:
        """Adds the run, its months, suites and results, in the caller's transaction."""
        record, suites = self.record, self.record["suites"]
        results = [one for suite in suites for one in suite["expectations"]]
        months = {month: claims for month, claims in record["claims"]["months"].items() if month}
        # the month of most claims; of two, the later
        month = max(months, key=lambda one: (months[one], one), default=None)
        ran = connection.execute(_RAN, [delivery_id]).fetchone()
        run = {
            "delivery": delivery_id,
            "facility": facility,
            "delivery_sha256": record["delivery"]["sha256"],
            "record_sha256": self.record_sha256,
            "format": record["delivery"]["format"],
            "engine": record["engine"],
            "success": record["success"],
            "claims_read": record["claims"]["read"],
            "claims_checked": record["claims"]["checked"],
            "month": month,
            "rows": sum(suite["rows"] for suite in suites),
            "expectations": len(results),
            "checked": sum(one["evaluated"] > 0 for one in results),
            "failing": sum(one["unexpected"] > 0 for one in results),
            "evaluated": sum(one["evaluated"] for one in results),
            "unexpected": sum(one["unexpected"] for one in results),
            "findings": sum(record["findings"].values()),
            "wall_seconds": record["seconds"]["wall"],
            "processor_seconds": record["seconds"]["processor"],
            "ran_by": ran[0] if ran else actor,
            "ran_at": ran[1].isoformat() if ran else None,
            "recorded_by": actor,
            "record": json.dumps(record, ensure_ascii=False),
        }
        if ran is None:  # a lost working folder was made again on the way
            run["ran_at"] = _now(connection)
        _copy(connection, "validation_run", [run])
        _copy(
            connection,
            "validation_month",
            [{"delivery": delivery_id, "month": name, "claims": claims} for name, claims in sorted(months.items())],
        )
        _copy(connection, "validation_suite", [_suite(delivery_id, at, one) for at, one in enumerate(suites)])
        rows = [
            _result(delivery_id, at, number, suite, one) | {"facility": facility, "month": month}
            for at, suite in enumerate(suites)
            for number, one in enumerate(suite["expectations"])
        ]
        _copy(connection, "validation_result", rows)


_RAN = "SELECT actor, at FROM delivery_event WHERE delivery = %s AND status = 'validated' ORDER BY id DESC LIMIT 1"


def _now(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    return str(row[0].isoformat())


def _suite(delivery_id: int, number: int, suite: dict[str, Any]) -> dict[str, Any]:
    since = suite["valid_from"]
    return {
        "delivery": delivery_id,
        "suite": number,
        "name": suite["name"],
        "xml_table": suite["table"],
        "decision": suite["decision"],
        "valid_from": since and f"{since[:4]}-{since[4:6]}-{since[6:]}",
        "version": suite["version"],
        "rows": suite["rows"],
        "seconds": suite["seconds"],
        "success": suite["success"],
    }


def _result(delivery_id: int, at: int, number: int, suite: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    return {
        "delivery": delivery_id,
        "suite": at,
        "number": number,
        "xml_table": suite["table"],
        **{name: one[name] for name in ("name", "type", "field", "rule", "evaluated", "unexpected")},
        "by_kind": json.dumps(one["by_kind"]),
        "sample": json.dumps(one["sample"], ensure_ascii=False),
    }


def _copy(connection: psycopg.Connection[Any], into: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        frame = pd.DataFrame(rows, dtype="object")
        bulk.copy_in(connection, into, {str(name): pd.Series(frame[name].tolist(), dtype="object") for name in frame})


def _storable(value: Any) -> Any:
    """The same without what PostgreSQL cannot hold (NUL, halves of characters), and without texts of any length."""
    if isinstance(value, dict):
        return {_storable(name): _storable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, str):
        plain = value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
        return plain if len(plain) <= _TEXT_LENGTH else f"{plain[:_TEXT_LENGTH]}…"
    return value


class Validations:
    """The part of the store that knows what the checks of deliveries came to."""

    _engine: Engine

    def validation_record(self, delivery_id: int) -> dict[str, Any] | None:
        """validation.json of a delivery, as recorded; None where it was not validated."""
        with self._engine.connect() as connection:
            query = text("SELECT record FROM validation_run WHERE delivery = :id")
            return connection.execute(query, {"id": delivery_id}).scalar()

    def validation_runs(
        self, facility: str | None = None, month: str | None = None, delivery: int | None = None
    ) -> list[ValidationRow]:
        """Runs in the order of their deliveries: all, or of a facility, of a month (yyyymm of NGAY_RA of most of a
        delivery's claims), or of one delivery."""
        keys = {"facility": facility, "month": month, "delivery": delivery}
        with self._engine.connect() as connection:
            rows = connection.execute(_RUNS, keys).mappings().all()
        times = ("ran_at", "recorded_at")
        return [ValidationRow(**dict(row) | {name: local(row[name]) for name in times}) for row in rows]

    def validation_suites(
        self, facility: str | None = None, month: str | None = None, delivery: int | None = None
    ) -> list[SuiteRow]:
        """What was checked, by suite and version of it, over the runs that `validation_runs` gives."""
        keys = {"facility": facility, "month": month, "delivery": delivery}
        with self._engine.connect() as connection:
            rows = connection.execute(_SUITES, keys).mappings()
            return [SuiteRow(**dict(row)) for row in rows]

    def validation_failing(
        self,
        facility: str | None = None,
        month: str | None = None,
        delivery: int | None = None,
        table: str | None = None,
        field: str | None = None,
        *,
        met_too: bool = False,
        limit: int | None = None,
    ) -> list[Failing]:
        """Expectations that were not met, by suite and name over the runs asked for, those of most values first.
        met_too: also those that were met, after them."""
        keys = {
            "facility": facility, "month": month, "delivery": delivery, "table": table, "field": field,
            "met_too": met_too, "limit": limit,
        }  # fmt: skip
        with self._engine.connect() as connection:
            rows = connection.execute(_FAILING, keys).mappings()
            return [Failing(**dict(row)) for row in rows]

    def validation_trend(
        self,
        facility: str | None = None,
        table: str | None = None,
        field: str | None = None,
        until: str | None = None,
    ) -> list[TrendPoint]:
        """Month after month for each facility: how many expectations were looked at and not met, and of how many
        values; over all of them, or of a table or field. until: the last month wanted."""
        keys = {"facility": facility, "table": table, "field": field, "until": until}
        with self._engine.connect() as connection:
            query = _TREND if table is None and field is None else _TREND_OF_FIELD
            rows = connection.execute(query, keys).mappings()
            return [TrendPoint(**dict(row)) for row in rows]


_ASKED = """
(CAST(:facility AS text) IS NULL OR r.facility = :facility) AND (CAST(:month AS text) IS NULL OR r.month = :month)
AND (CAST(:delivery AS bigint) IS NULL OR r.delivery = :delivery)
"""

_RUNS = text(f"""
SELECT {", ".join(f"r.{name}" for name in ValidationRow.__dataclass_fields__ if name != "months")},
       coalesce((SELECT jsonb_object_agg(m.month, m.claims) FROM validation_month m WHERE m.delivery = r.delivery),
                '{{}}') AS months
FROM validation_run r WHERE {_ASKED} ORDER BY r.delivery
""")

_SUITES = text(f"""
SELECT s.name, s.xml_table AS table, s.decision, s.valid_from, s.version, count(*) AS deliveries, sum(s.rows)::bigint
       AS rows, sum(e.expectations)::bigint AS expectations, sum(e.checked)::bigint AS checked,
       sum(e.failing)::bigint AS failing, sum(e.evaluated)::bigint AS evaluated,
       sum(e.unexpected)::bigint AS unexpected, sum(s.seconds) AS seconds
FROM validation_run r JOIN validation_suite s ON s.delivery = r.delivery
CROSS JOIN LATERAL (
    SELECT count(*) AS expectations, count(*) FILTER (WHERE evaluated > 0) AS checked,
           count(*) FILTER (WHERE unexpected > 0) AS failing,
           coalesce(sum(evaluated), 0) AS evaluated, coalesce(sum(unexpected), 0) AS unexpected
    FROM validation_result e WHERE e.delivery = s.delivery AND e.suite = s.suite
) e
WHERE {_ASKED}
GROUP BY s.name, s.xml_table, s.decision, s.valid_from, s.version
ORDER BY s.xml_table = 'claims' DESC, nullif(regexp_replace(s.xml_table, '[^0-9]', '', 'g'), '')::int, s.decision,
         s.valid_from NULLS FIRST, s.version
""")

_FAILING = text(f"""
WITH asked AS (
    SELECT r.*, s.name AS suite_name, s.decision, s.version
    FROM validation_result r JOIN validation_suite s ON s.delivery = r.delivery AND s.suite = r.suite
    WHERE {_ASKED} AND (CAST(:table AS text) IS NULL OR r.xml_table = :table)
      AND (CAST(:field AS text) IS NULL OR r.field = :field)
), counted AS (
    SELECT suite_name, xml_table, decision, name, type, field, rule, count(*) AS deliveries,
           count(*) FILTER (WHERE unexpected > 0) AS failing_deliveries,
           sum(evaluated)::bigint AS evaluated, sum(unexpected)::bigint AS unexpected,
           max(delivery) FILTER (WHERE unexpected > 0) AS last_delivery, max(delivery) AS any_delivery
    FROM asked GROUP BY suite_name, xml_table, decision, name, type, field, rule
    HAVING CAST(:met_too AS boolean) OR sum(unexpected) > 0
    ORDER BY unexpected DESC, xml_table, field, name, suite_name LIMIT CAST(:limit AS bigint)
), kinds AS (
    SELECT suite_name, name, jsonb_object_agg(kind, number ORDER BY number DESC) AS by_kind FROM (
        SELECT a.suite_name, a.name, k.key AS kind, sum(k.value::bigint) AS number
        FROM asked a CROSS JOIN LATERAL jsonb_each_text(a.by_kind) k WHERE a.unexpected > 0 GROUP BY 1, 2, 3
    ) each GROUP BY 1, 2
), told AS (
    SELECT c.suite_name, c.name, r.record #> ARRAY['suites', e.suite::text, 'expectations', e.number::text] AS one,
           e.sample
    FROM counted c JOIN asked e ON e.delivery = coalesce(c.last_delivery, c.any_delivery)
         AND e.suite_name = c.suite_name AND e.name = c.name
    JOIN validation_run r ON r.delivery = e.delivery
)
SELECT c.suite_name AS suite, c.xml_table AS table, c.decision, c.name, c.type, c.field, c.rule,
       t.one ->> 'text_vi' AS text_vi, t.one ->> 'text_en' AS text_en, c.deliveries, c.failing_deliveries,
       c.evaluated, c.unexpected, coalesce(k.by_kind, '{{}}') AS by_kind, c.last_delivery,
       CASE WHEN c.unexpected > 0 THEN t.sample ELSE '[]' END AS sample
FROM counted c JOIN told t USING (suite_name, name) LEFT JOIN kinds k USING (suite_name, name)
ORDER BY c.unexpected DESC, c.xml_table, c.field, c.name, c.suite_name
""")

_TREND = text("""
SELECT facility, month, count(*) AS deliveries, sum(claims_checked)::bigint AS claims, sum(checked)::bigint AS checked,
       sum(failing)::bigint AS failing, sum(evaluated)::bigint AS evaluated, sum(unexpected)::bigint AS unexpected
FROM validation_run
WHERE month IS NOT NULL AND (CAST(:facility AS text) IS NULL OR facility = :facility)
  AND (CAST(:until AS text) IS NULL OR month <= :until)
GROUP BY facility, month ORDER BY facility, month
""")

_TREND_OF_FIELD = text("""
SELECT r.facility, r.month, count(DISTINCT r.delivery) AS deliveries,
       (SELECT sum(v.claims_checked)::bigint FROM validation_run v
        WHERE v.facility = r.facility AND v.month = r.month) AS claims,
       count(*) FILTER (WHERE r.evaluated > 0) AS checked, count(*) FILTER (WHERE r.unexpected > 0) AS failing,
       sum(r.evaluated)::bigint AS evaluated, sum(r.unexpected)::bigint AS unexpected
FROM validation_result r
WHERE r.month IS NOT NULL AND (CAST(:facility AS text) IS NULL OR r.facility = :facility)
  AND (CAST(:until AS text) IS NULL OR r.month <= :until)
  AND (CAST(:table AS text) IS NULL OR r.xml_table = :table) AND (CAST(:field AS text) IS NULL OR r.field = :field)
GROUP BY r.facility, r.month ORDER BY r.facility, r.month
""")
