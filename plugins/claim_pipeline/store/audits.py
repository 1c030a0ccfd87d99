"""What an auditor asks of the records: one delivery, or the claims of a facility that ended in one month."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from claim_pipeline.store.deliveries import local
from claim_pipeline.store.rows import Scope

_AT_ONCE = 10_000


@dataclass(frozen=True)
class Access:
    """One look at personal data: who, as whom, at what and why."""

    at: datetime
    who: str
    role: str
    action: str
    delivery: int | None
    facility: str | None
    month: str | None
    reason: str
    detail: dict[str, Any] | None


class Audits:
    """The part of the store that answers auditors. Claims of a month count in their newest version only; those of a
    delivery as that delivery brought them."""

    _engine: Engine

    def audited_deliveries(self, scope: Scope) -> list[dict[str, Any]]:
        """The deliveries of which there are claims in scope, and for a month also those of the facility that came in
        it and of whose claims nothing is known (not taken, or not done yet); oldest first, with what is known of how
        each was received, checked (validation_run) and appraised (the newest appraisal), and its moves."""
        with self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(_DELIVERIES, _keys(scope)).mappings()]
            moves: dict[int, list[dict[str, Any]]] = {row["delivery"]: [] for row in rows}
            for move in connection.execute(_MOVES, {"ids": list(moves)}).mappings():
                told = {name: move[name] for name in ("status", "actor", "inputs", "outputs")}
                moves[move["delivery"]].append({"at": local(move["at"])} | told)
        for row in rows:
            row["moves"] = moves[row["delivery"]]
            for name in ("received_at", "recorded_at", "ran_at", "appraised_at", "known_at"):
                row[name] = local(row[name])
        return rows

    def audited_totals(self, scope: Scope) -> dict[str, Any]:
        """claims, lines, findings, accepted, adjusted, rejected, referred (int), requested, approved, refused (Decimal,
        đồng), paperless (claims), replaced (of a delivery: its claims of which a later version counts)."""
        with self._engine.connect() as connection:
            return dict(connection.execute(_TOTALS, _keys(scope)).mappings().one())

    def audited_causes(self, scope: Scope) -> list[dict[str, Any]]:
        """Findings by rule, severity, table and field, the commonest first: findings, claims, deliveries, amount (đồng:
        the sum of what each would cut by itself), bases (of law)."""
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(_CAUSES, _keys(scope)).mappings()]

    def audited_findings(self, scope: Scope, of_each_cause: int | None = None) -> Iterator[dict[str, Any]]:
        """Every finding in scope, the commonest causes first; of_each_cause: at most so many of one cause. Rows come in
        portions, so that any number may be asked for."""
        keys = _keys(scope) | {"of_each": of_each_cause}
        with self._engine.connect().execution_options(yield_per=_AT_ONCE) as connection:
            for row in connection.execute(_FINDINGS, keys).mappings():
                yield dict(row)

    def log_access(
        self,
        *,
        who: str,
        role: str,
        action: str,
        reason: str,
        scope: Scope,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Writes down that somebody asked to see personal data, before it is shown. Nothing takes it back."""
        keys = {
            "who": who, "role": role, "action": action, "reason": reason, "delivery": scope.delivery,
            "facility": scope.facility, "month": scope.month, "detail": detail,
        }  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(_LOG, keys)

    def accesses(self, limit: int = 100) -> list[Access]:
        """Looks at personal data, the newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(_ACCESSES, {"limit": limit}).mappings()
            return [Access(**dict(row) | {"at": local(row["at"])}) for row in rows]


def _keys(scope: Scope) -> dict[str, Any]:
    first = datetime.strptime(scope.month, "%Y%m").date() if scope.month else None
    return {"delivery": scope.delivery, "facility": scope.facility, "month": scope.month, "first": first}


# A claim whose NGAY_RA cannot be read goes with the month of most claims of its delivery: none is lost.
_SCOPE = """
scope AS (
    SELECT v.id AS version, v.delivery, v.position, v.ma_lk, v.ngay_ra, v.appraisal,
           v.claim IS NOT NULL AND v.sequence < c.versions AS replaced
    FROM claim_version v JOIN delivery d ON d.id = v.delivery LEFT JOIN claim c ON c.id = v.claim
    LEFT JOIN validation_run r ON r.delivery = v.delivery
    WHERE (v.delivery = CAST(:delivery AS bigint)) OR (
        CAST(:delivery AS bigint) IS NULL AND d.facility = CAST(:facility AS text)
        AND (v.claim IS NULL OR v.sequence = c.versions)
        AND ((v.ngay_ra >= CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE 'Asia/Ho_Chi_Minh'
              AND v.ngay_ra < (CAST(:first AS date) + interval '1 month') AT TIME ZONE 'Asia/Ho_Chi_Minh')
             OR (v.ngay_ra IS NULL AND r.month = CAST(:month AS text))))
), deliveries AS (
    SELECT d.id FROM delivery d LEFT JOIN validation_run r ON r.delivery = d.id
    WHERE d.id = CAST(:delivery AS bigint) OR (
        CAST(:delivery AS bigint) IS NULL AND d.facility = CAST(:facility AS text) AND d.repeat_of IS NULL
        AND (r.month = CAST(:month AS text) OR d.id IN (SELECT delivery FROM scope)
             OR (r.delivery IS NULL AND (d.progress = 'quarantined' OR d.recorded_at IS NULL)
                 AND d.received_at >= CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE 'Asia/Ho_Chi_Minh'
                 AND d.received_at < (CAST(:first AS date) + interval '1 month') AT TIME ZONE 'Asia/Ho_Chi_Minh')))
)
"""

# What is said of a delivery as a whole goes with the month of most of its claims.
_FOUND = f"""
{_SCOPE}, found AS (
    SELECT s.delivery, s.position, s.ma_lk, f.* FROM scope s JOIN finding f ON f.version = s.version
    AND f.appraisal = s.appraisal
    UNION ALL
    SELECT a.delivery, NULL, NULL, f.* FROM appraisal a JOIN finding f ON f.appraisal = a.id AND f.version IS NULL
    LEFT JOIN validation_run r ON r.delivery = a.delivery
    WHERE a.delivery IN (SELECT id FROM deliveries)
      AND (CAST(:delivery AS bigint) IS NOT NULL OR r.month IS NULL OR r.month = CAST(:month AS text))
      AND NOT EXISTS (SELECT FROM appraisal later WHERE later.delivery = a.delivery AND later.number > a.number)
)
"""

_DELIVERIES = text(f"""
WITH {_SCOPE}
SELECT d.id AS delivery, d.facility, d.file, d.sha256, d.size, d.received_at, d.status, d.reason, d.format,
       d.declared_claims, d.read_claims, d.recorded_at, d.repeat_of,
       (SELECT count(*) FROM scope s WHERE s.delivery = d.id) AS claims,
       r.month AS mostly, r.engine, r.record_sha256, r.success, r.claims_checked, r.rows, r.expectations, r.checked,
       r.failing, r.evaluated, r.unexpected, r.wall_seconds, r.ran_by, r.ran_at,
       a.number AS appraisal, a.at AS appraised_at, a.actor AS appraised_by, a.cause, a.rule_book, a.options,
       a.known_at, a.reference, a.report_sha256, a.result_sha256, a.history
FROM delivery d LEFT JOIN validation_run r ON r.delivery = d.id
LEFT JOIN LATERAL (SELECT * FROM appraisal WHERE delivery = d.id ORDER BY number DESC LIMIT 1) a ON true
WHERE d.id IN (SELECT id FROM deliveries) ORDER BY d.id
""")

_MOVES = text("""
SELECT delivery, at, status, actor, inputs, outputs FROM delivery_event WHERE delivery = ANY(:ids) ORDER BY id
""")

_TOTALS = text(f"""
WITH {_FOUND}
SELECT count(*) AS claims, count(*) FILTER (WHERE replaced) AS replaced,
       count(*) FILTER (WHERE outcome = 'accepted') AS accepted,
       count(*) FILTER (WHERE outcome = 'adjusted') AS adjusted,
       count(*) FILTER (WHERE outcome = 'rejected') AS rejected,
       count(*) FILTER (WHERE outcome = 'referred') AS referred, count(*) FILTER (WHERE paperless) AS paperless,
       coalesce(sum(requested), 0.00) AS requested, coalesce(sum(approved), 0.00) AS approved,
       coalesce(sum(refused), 0.00) AS refused,
       (SELECT count(*) FROM found) AS findings,
       (SELECT count(*) FROM claim_line l JOIN scope USING (version)) AS lines
FROM scope JOIN claim_outcome o ON o.version = scope.version AND o.appraisal = scope.appraisal
""")

_CAUSE = "rule, severity, xml_table, field"

_CAUSES = text(f"""
WITH {_FOUND}
SELECT rule, severity, xml_table AS table, field, count(*) AS findings,
       count(DISTINCT (delivery, position)) FILTER (WHERE position IS NOT NULL) AS claims,
       count(DISTINCT delivery) AS deliveries, coalesce(sum(amount_refused), 0.00) AS amount,
       array_agg(DISTINCT basis) FILTER (WHERE basis <> '') AS bases
FROM found GROUP BY {_CAUSE} ORDER BY count(*) DESC, {_CAUSE}
""")

_FINDINGS = text(f"""
WITH {_FOUND}, numbered AS (
    SELECT *, count(*) OVER (PARTITION BY {_CAUSE}) AS of_cause,
           row_number() OVER (PARTITION BY {_CAUSE} ORDER BY delivery, position NULLS FIRST, number) AS place
    FROM found
)
SELECT delivery, position, ma_lk, rule, severity, xml_table AS table, row, line, field, observed, expected,
       amount_refused, message_vi, message_en, basis
FROM numbered WHERE CAST(:of_each AS bigint) IS NULL OR place <= CAST(:of_each AS bigint)
ORDER BY of_cause DESC, {_CAUSE}, place
""")

_LOG = text("""
INSERT INTO access_log (who, role, action, delivery, facility, month, reason, detail)
VALUES (:who, :role, :action, :delivery, :facility, :month, :reason, :detail)
""").bindparams(bindparam("detail", type_=JSONB(none_as_null=True)))

_ACCESSES = text("""
SELECT at, who, role, action, delivery, facility, month, reason, detail FROM access_log ORDER BY id DESC LIMIT :limit
""")
