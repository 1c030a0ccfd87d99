"""The store itself: what each step writes down and reads back. PostgreSQL only."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, Engine, RowMapping, bindparam, create_engine, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from claim_pipeline import faults
from claim_pipeline.errors import OperatorError
from claim_pipeline.settings import settings
from claim_pipeline.store.appraisals import Appraisals
from claim_pipeline.store.audits import Audits
from claim_pipeline.store.deliveries import Deliveries, local
from claim_pipeline.store.migrations import migrate
from claim_pipeline.store.models import STATUSES, DeliveryEvent
from claim_pipeline.store.rows import Drop, Received, RecentDelivery
from claim_pipeline.store.statistics import Statistics
from claim_pipeline.store.validations import Validations

if TYPE_CHECKING:
    import pandas as pd

    from claim_pipeline.store.reference_rows import Loaded, Source
    from claim_pipeline.workspace import Workspace
    from claim_rules.frames import ClaimTables

_FINAL = ("answered", "quarantined")
_LOADING_REFERENCE = 7_204_611_002  # advisory lock: one load of reference data at a time


class Store(Deliveries, Appraisals, Statistics, Validations, Audits):
    """One database. Safe to use from several threads and processes; each method is one transaction."""

    def __init__(self, url: str) -> None:
        address = make_url(url)
        if address.drivername in ("postgres", "postgresql"):
            address = address.set(drivername="postgresql+psycopg")
        self._engine = create_engine(address, pool_size=2, max_overflow=8, pool_pre_ping=True)
        engine = weakref.ref(self._engine)
        os.register_at_fork(after_in_child=lambda: _forget_connections(engine()))
        try:
            migrate(self._engine)
        except OperationalError as error:
            raise OperatorError(
                "database-unreachable",
                f"Không kết nối được cơ sở dữ liệu {address.database} tại {address.host or 'socket'}",
                f"the database {address.database} at {address.host or 'its socket'} cannot be reached",
                "Kiểm tra GIAMDINH_DATABASE_URL và máy chủ PostgreSQL",
                "check GIAMDINH_DATABASE_URL and the PostgreSQL server",
            ) from error

    def close(self) -> None:
        """Gives the connections back."""
        self._engine.dispose()

    # --- deliveries

    def receive(
        self,
        *,
        facility: str,
        file: str,
        sha256: str,
        size: int,
        received_at: dt.datetime,
        archive_key: str,
        actor: str,
        drop: str | None = None,
    ) -> Received:
        """Writes down that a facility dropped a file.

        The same bytes from the same facility again are a delivery of their own that points to the first
        (repeat_of). The same drop told twice (an intake that was killed before the file left the inbox) changes
        nothing: it is known by `drop` (see Drop); without one, by file name and received_at.
        """
        dropped = Drop(facility, file, sha256, size, received_at, archive_key, drop)
        return self.receive_all([dropped], actor)[0]

    def receive_all(self, drops: Sequence[Drop], actor: str) -> list[Received]:
        """As `receive`, for many files in one transaction; answers in the same order."""
        from claim_pipeline.store.receiving import receive

        with self._engine.begin() as connection:
            return receive(connection, drops, actor)

    def move(
        self,
        delivery_id: int,
        status: str,
        *,
        actor: str,
        inputs: str | None = None,
        outputs: str | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Adds the move to the delivery's events and sets its status.

        A move equal to the last one changes nothing. A step that is done again does not take the status back, and
        nothing moves an answered or quarantined delivery. For "quarantined", `detail` is the reason (code,
        message_vi, message_en).
        """
        if status not in STATUSES:
            raise ValueError(f"not a status of a delivery: {status}")
        with self._engine.begin() as connection:
            self._move(connection, delivery_id, status, actor, inputs, outputs, detail)

    def answered(self, delivery_id: int, folder: Path | str, actor: str) -> None:
        """Notes that the answer lies in this folder of the outbox (kept as `<MA_CSKCB>/<folder>`). The second call
        changes nothing; a quarantined delivery stays quarantined."""
        place = "/".join(Path(folder).parts[-2:])
        with self._engine.begin() as connection:
            row = _locked_delivery(connection, delivery_id)
            if row.answered_at is not None:
                return
            after = "quarantined" if row.progress == "quarantined" else "answered"
            connection.execute(
                text(
                    "UPDATE delivery SET status = :after, progress = :after, attempts = 0, "
                    "answered_at = clock_timestamp(), answer_folder = :place WHERE id = :id"
                ),
                {"id": delivery_id, "after": after, "place": place},
            )
            self._add_event(connection, delivery_id, "answered", actor, None, None, {"folder": place})

    def events(self, delivery_id: int) -> list[dict[str, Any]]:
        """The moves of a delivery in their order: at, status, actor, inputs, outputs, detail."""
        names = ("at", "status", "actor", "inputs", "outputs", "detail")
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(*(getattr(DeliveryEvent, name) for name in names))
                .where(DeliveryEvent.delivery == delivery_id)
                .order_by(DeliveryEvent.id)
            )
            return [dict(zip(names, (local(row[0]), *row[1:]), strict=True)) for row in rows]

    # --- claims

    def record(self, delivery_id: int, ws: Workspace, actor: str) -> None:
        """Writes all that came of a delivery in one transaction: claim versions, lines, findings, outcomes, totals,
        and the results of validation as far as it came to that.

        Needs the workspace of an appraised (or quarantined) delivery. A second call changes nothing; a call that is
        killed leaves nothing behind. Deliveries of one facility are recorded one after another; which version of a
        claim is the newest depends on the order in which the deliveries were received, not recorded.
        Raises OperatorError if the database refuses what it is given (say, amounts that do not add up).
        """
        from claim_pipeline.store.past import note_affected, one_at_a_time
        from claim_pipeline.store.recording import Recording
        from claim_pipeline.store.validations import ValidationRecording

        with self._engine.connect() as connection:
            if _locked_delivery(connection, delivery_id).recorded_at is not None:
                return
        recording = Recording.of(ws)
        validation = ValidationRecording.of(ws)
        with self._personal_data_kept_in(f"record {delivery_id}"), self._engine.begin() as connection:
            row = _locked_delivery(connection, delivery_id)
            if row.recorded_at is not None:
                return
            connection.execute(
                text("SELECT 1 FROM facility WHERE code = :code FOR NO KEY UPDATE"), {"code": row.facility}
            )
            outputs = recording.write(_driver(connection), delivery_id, row.facility, actor)
            if validation is not None:
                validation.write(_driver(connection), delivery_id, row.facility, actor)
            connection.execute(
                text(
                    "UPDATE delivery SET recorded_at = clock_timestamp(), format = :format, "
                    "declared_claims = :declared, read_claims = :read WHERE id = :id"
                ),
                {
                    "id": delivery_id,
                    "format": recording.delivery.format,
                    "declared": recording.delivery.declared_claims,
                    "read": recording.delivery.read_claims,
                },
            )
            if recording.delivery.status == "quarantined":
                self._move(connection, delivery_id, "quarantined", actor, None, None, recording.delivery.reason)
            else:
                self._move(
                    connection, delivery_id, "recorded", actor, recording.report_sha256, outputs, recording.totals
                )
                one_at_a_time(_driver(connection))
                note_affected(_driver(connection), delivery_id, row.facility, recording.rests_on.get("seen"))
            faults.point("record:written")
        faults.point("record:committed")

    def summary(self) -> list[dict[str, Any]]:
        """Per facility, in the order of their codes: counts (int) of deliveries (repeats apart), repeats, answered,
        quarantined deliveries, claims, lines, accepted, adjusted, rejected, referred, replaced (earlier versions of
        claims, counted nowhere else), and amounts in đồng as text with two decimals: requested, approved, refused.

        A claim counts once, in its newest version; a claim repeated inside one delivery counts as it was decided.
        """
        with self._engine.connect() as connection:
            return [
                {name: f"{value:.2f}" if isinstance(value, Decimal) else value for name, value in row.items()}
                for row in connection.execute(_SUMMARY).mappings()
            ]

    def recent(self, limit: int = 50) -> list[RecentDelivery]:
        """The last deliveries received, newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(_RECENT, {"limit": limit}).mappings().all()
        return [_recent(row) for row in rows]

    def delivery_report_path(self, delivery_id: int, outbox: Path | None = None) -> Path | None:
        """The page that answers this delivery, or None before it is answered (or if it was removed)."""
        folder = self.answer_folder(delivery_id)
        if folder is None:
            return None
        path = (outbox or settings().outbox_folder) / folder / "report.html"
        return path if path.exists() else None

    def earlier_versions(self, delivery_id: int, tables: ClaimTables) -> pd.DataFrame:
        """Claims of a delivery that an earlier delivery of its facility brought with other content, as recorded.

        tables: of the delivery. Returns claim (position, int64) and received (yyyymmdd, the last time before this).
        """
        with self._engine.connect() as connection:
            return _earlier_versions(connection, delivery_id, tables)

    def past(self, delivery_id: int, tables: ClaimTables) -> dict[str, pd.DataFrame]:
        """Frames of other claims for the rules that look beyond a delivery (claim_rules.engine.Case.history); tables:
        of the delivery. What nobody sends yet (check-ins, settlements) is absent, and its rules are skipped."""
        from claim_pipeline.store import past

        one_moment = self._engine.connect().execution_options(isolation_level="REPEATABLE READ")
        with self._personal_data_kept_in(f"past of {delivery_id}"), one_moment as connection, connection.begin():
            facility = connection.execute(
                text("SELECT facility FROM delivery WHERE id = :id"), {"id": delivery_id}
            ).scalar_one()
            versions = _earlier_versions(connection, delivery_id, tables)
            return {"versions": versions} | past.frames(_driver(connection), delivery_id, facility, tables)

    def affected(self, because: Collection[int] | None = None) -> dict[int, dt.datetime]:
        """Recorded deliveries with claims to be appraised again because another delivery came -> since when; because:
        those alone that one of these deliveries noted last."""
        with self._engine.connect() as connection:
            rows = connection.execute(text("SELECT delivery, at, because FROM affected_delivery ORDER BY delivery"))
            return {row.delivery: row.at for row in rows if because is None or row.because in because}

    def no_longer_affected(self, delivery_id: int, since: dt.datetime) -> None:
        """Takes note that a delivery was appraised again; what came after `since` still waits."""
        with self._engine.begin() as connection:
            connection.execute(
                text("DELETE FROM affected_delivery WHERE delivery = :id AND at = :since"),
                {"id": delivery_id, "since": since},
            )

    def without_history(self) -> list[int]:
        """Recorded deliveries with claims of which the rules that look at other claims lack something: recorded by an
        older version. Oldest first."""
        from claim_rules import catalogue

        structure = [rule.id for rule in catalogue.book().values() if rule.stage == catalogue.STRUCTURE]
        with self._engine.connect() as connection:
            return list(connection.execute(_WITHOUT_HISTORY, {"structure": structure}).scalars())

    def fill_history(self, delivery_id: int, tables: ClaimTables) -> int:
        """Adds what is lacking (`without_history`) of a delivery in one transaction; returns of how many claims.

        tables: as its bytes are read now. Takes note of the deliveries whose claims look otherwise beside these
        (`affected`), this one among them. Raises ValueError where the claims are not those that are recorded.
        """
        import pandas as pd

        from claim_pipeline.store.past import Kept, fill, note_affected, one_at_a_time
        from claim_pipeline.store.recording import identity, refused_in_structure

        names = dict(zip(tables.claims["claim"], identity(tables.claims["MA_LK"]), strict=True))
        with self._personal_data_kept_in(f"history of {delivery_id}"), self._engine.begin() as connection:
            row = _locked_delivery(connection, delivery_id)
            recorded = (
                connection.execute(
                    text("SELECT position, ma_lk FROM claim_version WHERE delivery = :id"), {"id": delivery_id}
                )
                .tuples()
                .all()
            )
            if dict(recorded) != {position: None if pd.isna(name) else name for position, name in names.items()}:
                raise ValueError("the claims of this delivery are not those that are recorded")
            found = connection.execute(_FOUND_FIRST, {"id": delivery_id}).all()
            refused = refused_in_structure(pd.DataFrame(found, columns=["claim", "rule", "severity"]))
            driver = _driver(connection)
            added = fill(driver, delivery_id, row.facility, Kept.of(tables, refused))
            if added:
                one_at_a_time(driver)
                note_affected(driver, delivery_id, row.facility, None)
            faults.point("history:filled")
            return added

    def newest_before(self, delivery_id: int, ma_lks: Iterable[str]) -> dict[str, tuple[int, int]]:
        """MA_LK -> (delivery, position) of the newest readable claim that earlier deliveries of the same facility
        brought and that is recorded."""
        keys = {"id": delivery_id, "names": sorted(set(ma_lks))}
        with self._engine.connect() as connection:
            rows = connection.execute(_NEWEST_BEFORE, keys).all()
        return {ma_lk: (delivery, position) for ma_lk, delivery, position in rows}

    # --- reference data

    def load_reference(
        self,
        reference: Mapping[str, pd.DataFrame],
        source_hashes: Mapping[str, str] | None = None,
        actor: str = "reference",
        sources: Mapping[str, Source] | None = None,
    ) -> dict[str, int]:
        """Puts tables in force, as `load_reference_files`; returns the number of rows per table now in force."""
        loaded = self.load_reference_files(reference, source_hashes, actor, sources)
        return {name: table.rows for name, table in loaded.items()}

    def load_reference_files(
        self,
        reference: Mapping[str, pd.DataFrame],
        source_hashes: Mapping[str, str] | None = None,
        actor: str = "reference",
        sources: Mapping[str, Source] | None = None,
        refused: Iterable[tuple[str, Source]] = (),
    ) -> dict[str, Loaded]:
        """Puts these tables in force in one transaction, each in place of the whole earlier one; others stay. What was
        known before stays known (`reference`).

        source_hashes: sha256 of the file of each table; a table whose hash is in force already is left as it is.
        sources: the same and more. refused: table and source of files that were not taken, which is written down.
        """
        from claim_pipeline.store.reference_rows import Source, put_in_force, write_load, write_refusal

        hashes = source_hashes or {}
        loaded: dict[str, Loaded] = {}
        with self._personal_data_kept_in("load_reference"), self._engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOADING_REFERENCE})
            driver = _driver(connection)
            for name, frame in reference.items():
                source = (sources or {}).get(name) or Source(hashes.get(name))
                loaded[name] = write_load(driver, name, frame, source, actor)
            for name, source in refused:
                write_refusal(driver, name, source.file or name, source.sha256, actor, source.report or {})
            faults.point("reference:written")
            new = {name: table.load for name, table in loaded.items() if table.load is not None}
            if new:
                put_in_force(driver, new)
                faults.point("reference:in-force")
        return loaded

    def reference(
        self,
        known_at: dt.datetime | None = None,
        *,
        loads: Collection[int] | None = None,
        names: Collection[str] | None = None,
        only: Mapping[str, Collection[str]] | None = None,
    ) -> dict[str, pd.DataFrame]:
        """The reference tables in force: file stem -> frame of text columns (dtype str), as they were loaded.

        known_at: as they were in force then; loads: as these loads brought them. names: these tables alone; only: of
        a table of claim_rules.reference.LOOKED_UP the rows with these keys alone. Raises KeyError for a load that is
        not there, or of which only the note is kept.
        """
        from claim_pipeline.store.reference_rows import read_tables

        one_moment = self._engine.connect().execution_options(isolation_level="REPEATABLE READ")
        with self._personal_data_kept_in("reference"), one_moment as connection:  # keys are numbers of cards
            try:
                return read_tables(_driver(connection), _aware(known_at), loads, names, only)
            finally:
                connection.rollback()

    def reference_names(self, loads: Collection[int]) -> list[str]:
        """The tables that these loads brought. Raises KeyError as `reference`."""
        from claim_pipeline.store.reference_rows import present

        with self._engine.connect() as connection:
            return [load.name for load in present(_driver(connection), None, loads)]

    def reference_versions(self, known_at: dt.datetime | None = None) -> dict[str, dict[str, Any]]:
        """Which load of each table was in force at a moment (None: now): file stem -> load (its number), sha256 (of
        the file, or None), loaded_at (ISO 8601, since when it was in force)."""
        from claim_pipeline.store.reference_rows import loads

        with self._engine.connect() as connection:
            return {
                load.name: {"load": load.load, "sha256": load.sha256, "loaded_at": local(load.since).isoformat()}
                for load in loads(_driver(connection), _aware(known_at))
            }

    def reference_moment(self) -> dt.datetime:
        """Now, as a moment of which `reference` and `reference_versions` will say the same for ever: what is being
        loaded comes into force after it."""
        from claim_pipeline.store.reference_rows import moment

        with self._engine.begin() as connection:
            at: dt.datetime = local(moment(_driver(connection)))
        return at

    def reference_loads(self, known_at: dt.datetime | None = None) -> dict[str, dict[str, Any]]:
        """What was in force at a moment (None: now): file stem -> load, sha256 (of the file, or None), loaded_at (since
        when in force), actor, rows, file, layout."""
        from claim_pipeline.store.reference_rows import loads

        with self._engine.connect() as connection:
            return {
                load.name: {
                    "load": load.load,
                    "sha256": load.sha256,
                    "loaded_at": local(load.since),
                    "actor": load.actor,
                    "rows": load.rows,
                    "file": load.file,
                    "layout": load.layout,
                }
                for load in loads(_driver(connection), _aware(known_at))
            }

    def reference_history(self, name: str, known_at: dt.datetime | None = None) -> list[dict[str, Any]]:
        """The loads of one table that were in force up to a moment (None: now), newest first: load, since, kept,
        sha256, actor, rows, added and ended (rows that came and went with it), file, layout, report."""
        query = text("""
            SELECT f.load, f.since, f.kept, l.sha256, l.actor, l.rows, l.file, l.layout, l.report,
                   coalesce(a.n, 0) AS added, coalesce(e.n, 0) AS ended
            FROM reference_in_force f JOIN reference_load l ON l.id = f.load
            LEFT JOIN (SELECT first_load AS load, count(*) AS n FROM reference_row WHERE name = :name GROUP BY 1) a
                ON a.load = f.load
            LEFT JOIN (SELECT until_load AS load, count(*) AS n FROM reference_row WHERE name = :name GROUP BY 1) e
                ON e.load = f.load
            WHERE f.name = :name AND (CAST(:at AS timestamptz) IS NULL OR f.since <= :at) ORDER BY f.since DESC
        """)
        with self._engine.connect() as connection:
            rows = connection.execute(query, {"name": name, "at": _aware(known_at)}).mappings()
            return [{**row, "since": local(row["since"])} for row in rows]

    def reference_records(self, name: str, known_at: dt.datetime | None = None) -> list[dict[str, Any]]:
        """The loads of a table and the files that were refused up to a moment (None: now), newest first: as
        `reference_history`, with name and refusal (its number); of a refused file load is None and since when that was.
        """
        query = text("""
            SELECT id AS refusal, at AS since, sha256, actor, file, report FROM reference_refusal
            WHERE name = :name AND (CAST(:at AS timestamptz) IS NULL OR at <= :at)
        """)
        nothing = {"load": None, "kept": False, "rows": None, "layout": None, "added": None, "ended": None}
        with self._engine.connect() as connection:
            rows = connection.execute(query, {"name": name, "at": _aware(known_at)}).mappings()
            refused = [{**nothing, **row, "since": local(row["since"])} for row in rows]
        found = [{"name": name, "refusal": None, **row} for row in [*self.reference_history(name, known_at), *refused]]
        return sorted(found, key=lambda row: row["since"], reverse=True)

    def reference_record(self, name: str, file: str) -> dict[str, Any] | None:
        """The last load or refusal of a file: name, load, refusal, since, sha256, actor, rows, file, layout as
        `reference_records`, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(_LAST_OF_FILE, {"name": name, "file": file}).mappings().first()
        return None if row is None else {**row, "name": name, "file": file, "since": local(row["since"])}

    def reference_report(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The report of a load or refusal (`load`, `refusal` of the record); {} where none was kept."""
        with self._engine.connect() as connection:
            report: dict[str, Any] | None = connection.execute(
                text(
                    "SELECT report FROM reference_load WHERE id = :load UNION ALL "
                    "SELECT report FROM reference_refusal WHERE CAST(:load AS bigint) IS NULL AND id = :refusal"
                ),
                {"load": record["load"], "refusal": record["refusal"]},
            ).scalar()
        return report or {}

    # --- within a transaction

    def _move(
        self,
        connection: Connection,
        delivery_id: int,
        status: str,
        actor: str,
        inputs: str | None,
        outputs: str | None,
        detail: dict[str, Any] | None,
    ) -> None:
        row = _locked_delivery(connection, delivery_id)
        last = connection.execute(
            select(DeliveryEvent.status, DeliveryEvent.inputs, DeliveryEvent.outputs, DeliveryEvent.detail)
            .where(DeliveryEvent.delivery == delivery_id)
            .order_by(DeliveryEvent.id.desc())
            .limit(1)
        ).first()
        connection.execute(text("UPDATE delivery SET attempts = 0 WHERE id = :id"), {"id": delivery_id})
        if last is not None and tuple(last) == (status, inputs, outputs, detail):
            return
        self._add_event(connection, delivery_id, status, actor, inputs, outputs, detail)
        if row.progress in _FINAL or row.answered_at is not None:
            return
        if status == "failed":
            after, progress = "failed", row.progress
        else:
            after = progress = max(status, row.progress, key=STATUSES.index)
        connection.execute(
            text(
                "UPDATE delivery SET status = :after, progress = :progress, "
                "reason = coalesce(:reason, reason) WHERE id = :id"
            ).bindparams(bindparam("reason", type_=JSONB(none_as_null=True))),
            {
                "id": delivery_id,
                "after": after,
                "progress": progress,
                "reason": (detail or {}) if status == "quarantined" else None,
            },
        )

    @staticmethod
    def _add_event(
        connection: Connection,
        delivery_id: int,
        status: str,
        actor: str,
        inputs: str | None,
        outputs: str | None,
        detail: dict[str, Any] | None,
    ) -> None:
        connection.execute(
            insert(DeliveryEvent).values(
                delivery=delivery_id, status=status, actor=actor, inputs=inputs, outputs=outputs, detail=detail
            )
        )

    @contextlib.contextmanager
    def _personal_data_kept_in(self, doing: str) -> Iterator[None]:
        """PostgreSQL's error texts quote rows; what we raise instead names the constraint alone."""
        try:
            yield
        except (psycopg.Error, DBAPIError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            diagnosis = cause.diag if isinstance(cause, psycopg.Error) else None
            state = getattr(cause, "sqlstate", None) or type(cause).__name__
            what = " ".join(
                part
                for part in (
                    state,
                    diagnosis.table_name if diagnosis else None,
                    diagnosis.constraint_name if diagnosis else None,
                )
                if part
            )
        else:
            return
        raise OperatorError(
            "database-refused",
            f"Cơ sở dữ liệu không nhận dữ liệu ({doing}): {what}",
            f"the database did not take the data ({doing}): {what}",
        )


_SUMMARY = text("""
WITH standing AS (
    SELECT v.version AS id, d.facility, v.outcome, v.requested, v.approved, v.refused,
           v.claim IS NOT NULL AND v.sequence < c.versions AS replaced
    FROM standing_outcome v JOIN delivery d ON d.id = v.delivery LEFT JOIN claim c ON c.id = v.claim
), claims AS (
    SELECT facility,
           count(*) FILTER (WHERE NOT replaced) AS claims,
           count(*) FILTER (WHERE NOT replaced AND outcome = 'accepted') AS accepted,
           count(*) FILTER (WHERE NOT replaced AND outcome = 'adjusted') AS adjusted,
           count(*) FILTER (WHERE NOT replaced AND outcome = 'rejected') AS rejected,
           count(*) FILTER (WHERE NOT replaced AND outcome = 'referred') AS referred,
           count(*) FILTER (WHERE replaced) AS replaced,
           sum(requested) FILTER (WHERE NOT replaced) AS requested,
           sum(approved) FILTER (WHERE NOT replaced) AS approved,
           sum(refused) FILTER (WHERE NOT replaced) AS refused
    FROM standing GROUP BY facility
), lines AS (
    SELECT s.facility, count(*) AS lines
    FROM standing s JOIN claim_line l ON l.version = s.id WHERE NOT s.replaced GROUP BY s.facility
), deliveries AS (
    SELECT facility,
           count(*) FILTER (WHERE repeat_of IS NULL) AS deliveries,
           count(*) FILTER (WHERE repeat_of IS NOT NULL) AS repeats,
           count(*) FILTER (WHERE answered_at IS NOT NULL) AS answered,
           count(*) FILTER (WHERE progress = 'quarantined') AS quarantined
    FROM delivery GROUP BY facility
)
SELECT d.facility, d.deliveries, d.repeats, d.answered, d.quarantined,
       coalesce(c.claims, 0) AS claims, coalesce(l.lines, 0) AS lines,
       coalesce(c.accepted, 0) AS accepted, coalesce(c.adjusted, 0) AS adjusted,
       coalesce(c.rejected, 0) AS rejected, coalesce(c.referred, 0) AS referred,
       coalesce(c.replaced, 0) AS replaced,
       coalesce(c.requested, 0.00) AS requested, coalesce(c.approved, 0.00) AS approved,
       coalesce(c.refused, 0.00) AS refused
FROM deliveries d LEFT JOIN claims c USING (facility) LEFT JOIN lines l USING (facility)
ORDER BY d.facility
""")

_EARLIER = text("""
SELECT DISTINCT ON (c.id) c.ma_lk, v.content_sha256,
       to_char(d.received_at AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYYMMDD')
FROM claim c JOIN claim_version v ON v.claim = c.id JOIN delivery d ON d.id = v.delivery
WHERE c.facility = (SELECT facility FROM delivery WHERE id = :id) AND c.ma_lk = ANY(:names)
  AND v.delivery < :id AND NOT v.duplicate
ORDER BY c.id, v.delivery DESC
""")

_WITHOUT_HISTORY = text("""
SELECT DISTINCT v.delivery
FROM claim_version v LEFT JOIN visit s ON s.version = v.id LEFT JOIN visit_cost c ON c.version = v.id
WHERE v.readable AND c.version IS NULL AND (s.version IS NOT NULL OR NOT EXISTS (
    SELECT FROM finding f JOIN appraisal a ON a.id = f.appraisal AND a.number = 1
    WHERE f.version = v.id AND f.severity = 'reject_claim' AND f.rule = ANY(:structure)))
ORDER BY 1
""")

_FOUND_FIRST = text("""
SELECT v.position, f.rule, f.severity FROM finding f JOIN claim_version v ON v.id = f.version
JOIN appraisal a ON a.id = f.appraisal AND a.number = 1 WHERE v.delivery = :id
""")

_NEWEST_BEFORE = text("""
SELECT DISTINCT ON (c.id) c.ma_lk, v.delivery, v.position
FROM claim c JOIN claim_version v ON v.claim = c.id
WHERE c.facility = (SELECT facility FROM delivery WHERE id = :id) AND c.ma_lk = ANY(:names)
  AND v.delivery < :id AND NOT v.duplicate AND v.readable
ORDER BY c.id, v.delivery DESC
""")

_LAST_OF_FILE = text("""
SELECT * FROM (
    (SELECT f.load, CAST(NULL AS bigint) AS refusal, f.since, l.sha256, l.actor, l.rows, l.layout
     FROM reference_in_force f JOIN reference_load l ON l.id = f.load
     WHERE f.name = :name AND l.file = :file ORDER BY f.since DESC LIMIT 1)
    UNION ALL
    (SELECT NULL, id, at, sha256, actor, NULL, NULL
     FROM reference_refusal WHERE name = :name AND file = :file ORDER BY id DESC LIMIT 1)
) last ORDER BY since DESC LIMIT 1
""")

_RECENT = text("""
SELECT d.id, d.facility, d.file, d.received_at, d.status, d.repeat_of, d.answer_folder, d.answered_at,
       newest.totals
FROM delivery d LEFT JOIN LATERAL (
    SELECT totals FROM appraisal WHERE delivery = coalesce(d.repeat_of, d.id) ORDER BY number DESC LIMIT 1
) newest ON true
ORDER BY d.id DESC LIMIT :limit
""")


def _earlier_versions(connection: Connection, delivery_id: int, tables: ClaimTables) -> pd.DataFrame:
    import pandas as pd

    from claim_pipeline.store.content import content_hashes
    from claim_pipeline.store.recording import identity

    names = identity(tables.claims["MA_LK"])
    mine = tables.claims[["claim"]].assign(MA_LK=names, own=content_hashes(tables).to_numpy())[names.notna()]
    rows = connection.execute(_EARLIER, {"id": delivery_id, "names": sorted(set(mine["MA_LK"]))}).all()
    known = pd.DataFrame(rows, columns=["MA_LK", "sha256", "received"]).astype("str")
    both = mine.merge(known, on="MA_LK")
    return both.loc[both["own"] != both["sha256"], ["claim", "received"]].reset_index(drop=True)


def _forget_connections(engine: Engine | None) -> None:
    """In a forked child: connections belong to the parent; neither use nor close them."""
    if engine is not None:
        engine.dispose(close=False)


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    found = connection.connection.driver_connection
    if not isinstance(found, psycopg.Connection):
        raise OperatorError(
            "database-driver",
            "Địa chỉ cơ sở dữ liệu phải dùng trình điều khiển psycopg (postgresql+psycopg://)",
            "the database URL must use the psycopg driver (postgresql+psycopg://)",
        )
    return found


def _aware(at: dt.datetime | None) -> dt.datetime | None:
    if at is not None and at.tzinfo is None:
        raise ValueError("a moment needs its time zone")
    return at


def _locked_delivery(connection: Connection, delivery_id: int) -> Any:
    row = connection.execute(
        text(
            "SELECT id, facility, status, progress, recorded_at, answered_at FROM delivery WHERE id = :id "
            "FOR NO KEY UPDATE"
        ),
        {"id": delivery_id},
    ).first()
    if row is None:
        raise KeyError(f"no delivery {delivery_id}")
    return row


def _recent(row: RowMapping) -> RecentDelivery:
    totals: dict[str, Any] = row["totals"] or {}
    amounts = {name: Decimal(totals[name]) if name in totals else None for name in ("requested", "approved", "refused")}
    return RecentDelivery(
        id=row["id"],
        facility=row["facility"],
        file=row["file"],
        received_at=local(row["received_at"]),
        status=row["status"],
        repeat_of=row["repeat_of"],
        claims=totals.get("claims"),
        accepted=totals.get("accepted"),
        adjusted=totals.get("adjusted"),
        rejected=totals.get("rejected"),
        referred=totals.get("referred"),
        requested=amounts["requested"],
        approved=amounts["approved"],
        refused=amounts["refused"],
        answer_folder=row["answer_folder"],
        answered_at=local(row["answered_at"]),
    )
