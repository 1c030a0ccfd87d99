"""Appraisals of a delivery: what each rested on and decided, and later ones that change what stands."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
from psycopg import sql
from sqlalchemy import Engine, select, text
from sqlalchemy.dialects.postgresql import insert

from claim_pipeline.results import FINDING
from claim_pipeline.store import bulk
from claim_pipeline.store.deliveries import local
from claim_pipeline.store.models import Appraisal, Delivery, DeliveryEvent
from claim_pipeline.store.rows import AppraisalRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from claim_pipeline.workspace import Workspace

_MONEY = ("requested", "approved", "refused")


@dataclass(frozen=True)
class Decided:
    """What was decided of the claims of a delivery, in the form of appraise.run's frames.

    claims: claim (position), version, MA_LK, month (yyyymm of NGAY_RA, or NA), counts (bool: no later version replaces
    it), content_sha256, number (of the appraisal that decided it), result_sha256 (or NA) and claim_outcomes' columns;
    lines: as line_outcomes; findings: as findings, in the report's order. Amounts int64, 1/100 đồng.
    """

    claims: pd.DataFrame
    lines: pd.DataFrame
    findings: pd.DataFrame


class Appraisals:
    """The part of the store that knows how often a delivery was appraised."""

    _engine: Engine

    def _personal_data_kept_in(self, doing: str) -> AbstractContextManager[None]:
        raise NotImplementedError

    def appraisals(self, delivery_id: int) -> list[AppraisalRow]:
        """Every appraisal of a delivery, the first first."""
        with self._engine.connect() as connection:
            rows = connection.execute(_ROWS.where(Appraisal.delivery == delivery_id).order_by(Appraisal.number))
            return [_row(row) for row in rows]

    def decided(self, delivery_id: int, number: int | None = None) -> Decided:
        """What stands for the claims of a delivery; number: what stood once that appraisal was recorded."""
        at = sql.SQL("true") if number is None else sql.SQL("a.number <= {}").format(sql.Literal(number))
        of = {"delivery": sql.Literal(delivery_id), "at": at}
        with self._engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            parts = {
                name: bulk.copy_out_text(driver, _CHOSEN.format(**of) + query.format(**of), names)
                for name, (query, names) in _DECIDED.items()
            }
        claims, lines, findings = parts["claims"], parts["lines"], parts["findings"]
        for frame in (claims, lines, findings):
            frame["claim"] = frame["claim"].astype("Int64" if frame is findings else "int64")
            for name in ("row", "line"):
                if name in frame:
                    frame[name] = frame[name].astype("Int64" if frame is findings else "int64")
        for frame in (claims, lines):
            for name in _MONEY:
                frame[name] = _hundredths(frame[name]).astype("int64")
        findings["amount_refused"] = _hundredths(findings["amount_refused"]).astype("Int64")
        claims["number"] = claims["number"].astype("int64")
        claims["version"] = claims["version"].astype("int64")
        for name in ("paperless", "counts"):
            claims[name] = claims[name] == "t"
        return Decided(claims, lines, findings)

    def appraisal_at(self, delivery_id: int, moment: datetime) -> AppraisalRow | None:
        """The newest appraisal of a delivery that was recorded by then."""
        until = (Appraisal.delivery == delivery_id, Appraisal.at <= moment)
        with self._engine.connect() as connection:
            row = connection.execute(_ROWS.where(*until).order_by(Appraisal.number.desc()).limit(1)).first()
        return None if row is None else _row(row)

    def delivery_of(self, facility: str, ma_lk: str, moment: datetime) -> int | None:
        """The delivery whose version of a claim was the newest by then."""
        with self._engine.connect() as connection:
            keys = {"facility": facility, "ma_lk": ma_lk, "moment": moment}
            return connection.execute(_DELIVERY_OF, keys).scalar()

    def deliveries_of_month(self, month: str, facility: str | None = None) -> list[dict[str, Any]]:
        """Deliveries with claims that left the facility in this month (yyyymm, NGAY_RA in Vietnam) and that no later
        version replaces, oldest first: delivery, facility, size (of the file), claims (of the month)."""
        first = datetime.strptime(month, "%Y%m").date()
        with self._engine.connect() as connection:
            rows = connection.execute(_OF_MONTH, {"first": first, "facility": facility}).mappings()
            return [dict(row) for row in rows]

    def record_again(
        self, delivery_id: int, ws: Workspace, actor: str, cause: str, positions: set[int], after: int
    ) -> int | None:
        """Adds an appraisal to a recorded delivery in one transaction, and gives its number: its outcomes then stand
        for the claims at these positions; the others keep theirs, and nothing that was recorded changes.

        after: the number of the appraisal that was the last when this one was made; None is returned, and nothing
        written, where another has been added since. Raises OperatorError if the database refuses it.
        """
        from claim_pipeline.store.past import note_recalls, one_at_a_time
        from claim_pipeline.store.recording import Recording

        recording = Recording.of(ws)
        with self._personal_data_kept_in(f"appraise again {delivery_id}"), self._engine.begin() as connection:
            facility = connection.execute(_LOCK, {"id": delivery_id}).scalar_one()
            if connection.execute(_LAST, {"id": delivery_id}).scalar_one() != after:
                return None
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            _, number = recording.append(driver, delivery_id, facility, actor, cause, positions)
            one_at_a_time(driver)
            note_recalls(driver, delivery_id, positions)
            self._tell(
                connection,
                delivery_id,
                "recorded",
                actor,
                {"appraisal": number, "cause": cause, "changed_claims": len(positions)} | recording.totals,
                recording.report_sha256,
                recording.digests.whole if recording.digests else None,
            )
            return number

    def answered_again(self, appraisal_id: int, folder: Path | str, actor: str) -> None:
        """Notes that the answer to a later appraisal lies in this folder; the second call changes nothing."""
        place = "/".join(Path(folder).parts[-2:])
        with self._engine.begin() as connection:
            row = connection.execute(_ANSWERED, {"id": appraisal_id, "place": place}).first()
            if row is not None:
                detail = {"folder": place, "appraisal": row.number}
                self._tell(connection, row.delivery, "answered", actor, detail)

    def to_answer_again(self) -> list[AppraisalRow]:
        """Later appraisals that the facility was not told of yet, though it has the first answer; oldest first."""
        told = select(Delivery.id).where(Delivery.answered_at.is_not(None))
        waits = (Appraisal.number > 1, Appraisal.answered_at.is_(None), Appraisal.delivery.in_(told))
        with self._engine.connect() as connection:
            return [_row(row) for row in connection.execute(_ROWS.where(*waits).order_by(Appraisal.id))]

    def answer_folder(self, delivery_id: int) -> str | None:
        """The folder (`<MA_CSKCB>/<folder>`) of the newest answer to a delivery, or None before it is answered."""
        newest = (
            select(Appraisal.answer_folder)
            .where(Appraisal.delivery == delivery_id, Appraisal.answer_folder.is_not(None))
            .order_by(Appraisal.number.desc())
            .limit(1)
        )
        first = select(Delivery.answer_folder).where(Delivery.id == delivery_id)
        with self._engine.connect() as connection:
            return connection.execute(newest).scalar() or connection.execute(first).scalar()

    @staticmethod
    def _tell(
        connection: Connection,
        delivery_id: int,
        status: str,
        actor: str,
        detail: dict[str, Any],
        inputs: str | None = None,
        outputs: str | None = None,
    ) -> None:
        connection.execute(
            insert(DeliveryEvent).values(
                delivery=delivery_id, status=status, actor=actor, inputs=inputs, outputs=outputs, detail=detail
            )
        )


def _hundredths(amounts: pd.Series[Any]) -> pd.Series[Any]:
    return amounts.str.replace(".", "", regex=False).astype("Int64")


_ROWS = select(*(getattr(Appraisal, name) for name in AppraisalRow.__dataclass_fields__))


def _row(row: Any) -> AppraisalRow:
    values = dict(row._mapping)
    for name in ("at", "known_at", "answered_at"):
        values[name] = local(values[name])
    return AppraisalRow(**values)


_CHOSEN = sql.SQL("""
WITH chosen AS (
    SELECT DISTINCT ON (v.id) v.id AS version, v.position, v.ma_lk, v.ngay_ra, v.content_sha256, a.number,
           v.claim IS NULL OR v.sequence = c.versions AS counts, o.appraisal, o.outcome, o.paperless,
           o.paperless_reasons, o.referral_reasons, o.requested, o.approved, o.refused, o.result_sha256
    FROM claim_version v JOIN claim_outcome o ON o.version = v.id JOIN appraisal a ON a.id = o.appraisal
    LEFT JOIN claim c ON c.id = v.claim
    WHERE v.delivery = {delivery} AND {at}
    ORDER BY v.id, a.number DESC
)
""")

_DECIDED: dict[str, tuple[sql.SQL, tuple[str, ...]]] = {
    "claims": (
        sql.SQL("""
SELECT position, version, ma_lk, to_char(ngay_ra AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYYMM'), counts, content_sha256,
       number, result_sha256, outcome, paperless, paperless_reasons, referral_reasons, requested, approved, refused
FROM chosen ORDER BY position
"""),
        (
            "claim", "version", "MA_LK", "month", "counts", "content_sha256", "number", "result_sha256", "outcome",
            "paperless", "paperless_reasons", "referral_reasons", *_MONEY,
        ),
    ),
    "lines": (
        sql.SQL("""
SELECT c.position, o.xml_table, o.row, l.line, o.requested, o.approved, o.refused
FROM chosen c JOIN line_outcome o ON o.version = c.version AND o.appraisal = c.appraisal
JOIN claim_line l ON l.version = o.version AND l.xml_table = o.xml_table AND l.row = o.row
ORDER BY c.position, o.xml_table, o.row
"""),
        ("claim", "table", "row", "line", *_MONEY),
    ),
    "findings": (
        sql.SQL("""
SELECT position, rule, severity, xml_table, row, line, field, observed, expected, amount_refused, message_vi,
       message_en, basis
FROM (
    SELECT c.position, f.* FROM chosen c JOIN finding f ON f.version = c.version AND f.appraisal = c.appraisal
    UNION ALL
    SELECT NULL, f.* FROM finding f WHERE f.version IS NULL AND f.appraisal = (
        SELECT a.id FROM appraisal a WHERE a.delivery = {delivery} AND {at} ORDER BY a.number DESC LIMIT 1)
) found
ORDER BY position NULLS FIRST, appraisal, number
"""),
        ("claim", *FINDING),
    ),
}  # fmt: skip

_OF_MONTH = text("""
SELECT d.id AS delivery, d.facility, d.size, count(*) AS claims
FROM claim_version v JOIN delivery d ON d.id = v.delivery LEFT JOIN claim c ON c.id = v.claim
WHERE v.ngay_ra >= CAST(:first AS timestamp) AT TIME ZONE 'Asia/Ho_Chi_Minh'
  AND v.ngay_ra < (CAST(:first AS timestamp) + interval '1 month') AT TIME ZONE 'Asia/Ho_Chi_Minh'
  AND (v.claim IS NULL OR v.sequence = c.versions)
  AND (CAST(:facility AS text) IS NULL OR d.facility = :facility)
GROUP BY d.id ORDER BY d.id
""")

_DELIVERY_OF = text("""
SELECT v.delivery FROM claim c JOIN claim_version v ON v.claim = c.id
WHERE c.facility = :facility AND c.ma_lk = :ma_lk AND NOT v.duplicate AND v.recorded_at <= :moment
ORDER BY v.delivery DESC LIMIT 1
""")

_LOCK = text("SELECT facility FROM delivery WHERE id = :id FOR NO KEY UPDATE")
_LAST = text("SELECT max(number) FROM appraisal WHERE delivery = :id")
_ANSWERED = text("""
UPDATE appraisal SET answered_at = clock_timestamp(), answer_folder = :place
WHERE id = :id AND answered_at IS NULL RETURNING delivery, number
""")
