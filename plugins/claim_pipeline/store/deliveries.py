"""Where deliveries stand: which wait, who works on them, and what an operator should look at."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from claim_pipeline.store.models import Delivery, OperatorNotice
from claim_pipeline.store.rows import DeliveryRow, Notice

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")


class Deliveries:
    """The part of the store that knows where deliveries stand."""

    _engine: Engine

    def delivery(self, delivery_id: int) -> DeliveryRow:
        """One delivery. Raises KeyError if there is none with this id."""
        with self._engine.connect() as connection:
            row = connection.execute(_DELIVERIES.where(Delivery.id == delivery_id)).first()
        if row is None:
            raise KeyError(f"no delivery {delivery_id}")
        return delivery_row(row)

    def deliveries(self, delivery_ids: Sequence[int]) -> list[DeliveryRow]:
        """These deliveries, in the order of their ids; an unknown id is left out."""
        with self._engine.connect() as connection:
            rows = connection.execute(_DELIVERIES.where(Delivery.id.in_(delivery_ids)).order_by(Delivery.id))
            return [delivery_row(row) for row in rows]

    def unanswered(self) -> list[DeliveryRow]:
        """Every delivery that has no answer yet, oldest first; failed ones (status "failed") too."""
        with self._engine.connect() as connection:
            rows = connection.execute(_DELIVERIES.where(Delivery.answered_at.is_(None)).order_by(Delivery.id))
            return [delivery_row(row) for row in rows]

    def open_deliveries(self, of_each: int) -> dict[str, list[DeliveryRow]]:
        """The oldest deliveries of each facility that wait for their first answer, at most so many; repeats and failed
        ones apart. The facility that was answered longest ago comes first."""
        with self._engine.connect() as connection:
            ids = connection.execute(_OPEN, {"of_each": of_each}).scalars().all()
            rows = connection.execute(_DELIVERIES.where(Delivery.id.in_(ids)))
            by_id = {row.id: delivery_row(row) for row in rows}
        found: dict[str, list[DeliveryRow]] = {}
        for number in ids:
            found.setdefault(by_id[number].facility, []).append(by_id[number])
        return found

    def waiting(self, apart_from: Collection[int] = ()) -> int:
        """How many deliveries wait for their first answer, repeats and these apart."""
        waits = (Delivery.answered_at.is_(None), Delivery.repeat_of.is_(None))
        with self._engine.connect() as connection:
            open_ids = set(connection.execute(select(Delivery.id).where(*waits)).scalars())
        return len(open_ids.difference(apart_from))

    def failed_deliveries(self) -> list[DeliveryRow]:
        """Deliveries that could not be done through no fault of theirs, oldest first."""
        waits = (Delivery.answered_at.is_(None), Delivery.status == "failed")
        with self._engine.connect() as connection:
            return [delivery_row(row) for row in connection.execute(_DELIVERIES.where(*waits).order_by(Delivery.id))]

    def repeats_to_answer(self) -> list[DeliveryRow]:
        """Repeats without an answer whose first delivery has one, oldest first."""
        first = select(Delivery.id).where(Delivery.answered_at.is_not(None))
        waits = (Delivery.answered_at.is_(None), Delivery.repeat_of.is_not(None), Delivery.repeat_of.in_(first))
        with self._engine.connect() as connection:
            return [delivery_row(row) for row in connection.execute(_DELIVERIES.where(*waits).order_by(Delivery.id))]

    @contextlib.contextmanager
    def working_on(self, delivery_ids: Sequence[int]) -> Iterator[set[int]]:
        """Which of these deliveries are this worker's as long as the context lasts: no other process works on them.

        The claim goes with the connection: it ends when the process does, however it ends.
        """
        if not delivery_ids:
            yield set()
            return
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            try:
                rows = connection.execute(_CLAIM_WORK, {"ids": list(delivery_ids)}).all()
                yield {row.id for row in rows if row.mine}
            finally:
                try:
                    connection.execute(text("SELECT pg_advisory_unlock_all()"))
                except DBAPIError:
                    connection.invalidate()  # closing it gives the claims up too

    def begin(self, delivery_id: int, *, again: bool = False) -> int:
        """Notes that a step is begun on a delivery; gives how often that happened since a step last ended.

        again: counts from 1. A process that is killed leaves the count, so that what kills every process is known.
        """
        with self._engine.begin() as connection:
            connection.execute(text("SET LOCAL synchronous_commit = off"))  # a crash of the server may lose a count
            return int(
                connection.execute(
                    text(
                        "UPDATE delivery SET attempts = CASE WHEN :again THEN 1 ELSE attempts + 1 END WHERE id = :id "
                        "RETURNING attempts"
                    ),
                    {"id": delivery_id, "again": again},
                ).scalar_one()
            )

    def ended(self, delivery_id: int) -> None:
        """Notes that the step ended otherwise than by a move: with an error that was caught."""
        with self._engine.begin() as connection:
            connection.execute(text("UPDATE delivery SET attempts = 0 WHERE id = :id"), {"id": delivery_id})

    # --- what an operator should look at

    def notice(self, kind: str, facility: str, name: str, detail: dict[str, Any] | None = None) -> None:
        """Notes something for the operator; the same thing again is counted."""
        row = insert(OperatorNotice).values(kind=kind, facility=facility, name=name, detail=detail or {})
        seen = {"last_at": text("clock_timestamp()"), "times": OperatorNotice.times + 1, "detail": row.excluded.detail}
        with self._engine.begin() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["kind", "facility", "name"], set_=seen))

    def notices(self, limit: int = 100) -> list[Notice]:
        """What was noted for the operator, the newest first."""
        columns = [getattr(OperatorNotice, name) for name in Notice.__dataclass_fields__]
        with self._engine.connect() as connection:
            rows = connection.execute(select(*columns).order_by(OperatorNotice.last_at.desc()).limit(limit))
            values = [dict(row._mapping) for row in rows]
        return [Notice(**one | {name: local(one[name]) for name in ("first_at", "last_at")}) for one in values]


_DELIVERIES = select(*(getattr(Delivery, name) for name in DeliveryRow.__dataclass_fields__))

# A facility that has not been answered for a day counts as one that never was: older answers are not looked up.
_OPEN = text("""
SELECT id FROM (
    SELECT id, facility, row_number() OVER (PARTITION BY facility ORDER BY id) AS turn
    FROM delivery WHERE answered_at IS NULL AND repeat_of IS NULL AND status <> 'failed'
) waiting
JOIN LATERAL (
    SELECT max(answered_at) AS at FROM delivery d
    WHERE d.facility = waiting.facility AND d.answered_at > now() - interval '1 day'
) last ON true
WHERE turn <= :of_each
ORDER BY last.at NULLS FIRST, min(id) OVER (PARTITION BY facility), id
""")

_CLAIM_WORK = text("""
SELECT id, pg_try_advisory_lock(hashtextextended('delivery/' || id, 0)) AS mine
FROM (SELECT unnest(CAST(:ids AS bigint[])) AS id ORDER BY 1) AS wanted
""")


def local(value: dt.datetime | None) -> Any:
    return None if value is None else value.astimezone(VIETNAM)


def delivery_row(row: Any) -> DeliveryRow:
    values = dict(row._mapping)
    for name in ("received_at", "recorded_at", "answered_at"):
        values[name] = local(values[name])
    return DeliveryRow(**values)
