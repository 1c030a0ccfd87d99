"""How dropped files become deliveries: many in one transaction, each once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql import select

from claim_pipeline.store.models import Delivery, DeliveryEvent, Facility
from claim_pipeline.store.rows import Drop, Received

# One at a time for a facility, so that every intake sees what the others did; in one order, so that none waits for
# another in turn.
_ONE_AT_A_TIME = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('receive/' || code, 0)) "
    "FROM (SELECT unnest(CAST(:codes AS text[])) AS code ORDER BY 1) AS facilities"
)


def receive(connection: Connection, drops: Sequence[Drop], actor: str) -> list[Received]:
    """Makes a delivery of each drop that is not known yet, in the caller's transaction; answers in the same order."""
    facilities = sorted({drop.facility for drop in drops})
    connection.execute(_ONE_AT_A_TIME, {"codes": facilities})
    seen = _known_drops(connection, drops)
    firsts = _known_firsts(connection, drops)
    connection.execute(insert(Facility).on_conflict_do_nothing(), [{"code": code} for code in facilities])
    own: list[Drop] = []  # deliveries of their own, not repeats
    repeats: list[Drop] = []
    for drop in drops:
        key = _key(drop)
        if key in seen:
            continue
        seen[key] = Received(0, None)
        if drop.fault is None and (drop.facility, drop.sha256) in firsts:
            repeats.append(drop)
            continue
        own.append(drop)
        if drop.fault is None:
            firsts[drop.facility, drop.sha256] = 0  # the next with these bytes is its repeat
    for drop, number in zip(own, _insert(connection, own, firsts, repeats=False), strict=True):
        seen[_key(drop)] = Received(number, None)
        if drop.fault is None:
            firsts[drop.facility, drop.sha256] = number
    for drop, number in zip(repeats, _insert(connection, repeats, firsts, repeats=True), strict=True):
        seen[_key(drop)] = Received(number, firsts[drop.facility, drop.sha256])
    _add_events(connection, [(drop, seen[_key(drop)]) for drop in (*own, *repeats)], actor)
    return [seen[_key(drop)] for drop in drops]


def _key(drop: Drop) -> tuple[str, str, str]:
    return drop.facility, drop.sha256, drop.drop_key


def _known_drops(connection: Connection, drops: Sequence[Drop]) -> dict[tuple[str, str, str], Received]:
    columns = (Delivery.facility, Delivery.sha256, Delivery.drop_key)
    rows = connection.execute(
        select(*columns, Delivery.id, Delivery.repeat_of).where(
            Delivery.drop_key.is_not(None), tuple_(*columns).in_([_key(drop) for drop in drops])
        )
    )
    return {(row.facility, row.sha256, row.drop_key): Received(row.id, row.repeat_of) for row in rows}


def _known_firsts(connection: Connection, drops: Sequence[Drop]) -> dict[tuple[str, str], int]:
    rows = connection.execute(
        select(Delivery.facility, Delivery.sha256, Delivery.id).where(
            Delivery.repeat_of.is_(None),
            Delivery.intake_fault.is_(None),
            tuple_(Delivery.facility, Delivery.sha256).in_([(drop.facility, drop.sha256) for drop in drops]),
        )
    )
    return {(row.facility, row.sha256): row.id for row in rows}


def _insert(
    connection: Connection, drops: list[Drop], firsts: dict[tuple[str, str], int], *, repeats: bool
) -> list[int]:
    if not drops:
        return []
    rows: list[dict[str, Any]] = [
        {
            "facility": drop.facility, "file": drop.file, "sha256": drop.sha256, "size": drop.size,
            "received_at": drop.received_at, "archive_key": drop.archive_key, "drop_key": drop.drop_key,
            "status": "received", "progress": "received", "intake_fault": drop.fault,
            "repeat_of": firsts[drop.facility, drop.sha256] if repeats else None,
        }
        for drop in drops
    ]  # fmt: skip
    made = connection.execute(insert(Delivery).returning(Delivery.id, sort_by_parameter_order=True), rows)
    return list(made.scalars())


def _add_events(connection: Connection, made: list[tuple[Drop, Received]], actor: str) -> None:
    rows = [
        {
            "delivery": received.delivery_id,
            "status": "received",
            "actor": actor,
            "outputs": drop.sha256,
            "detail": {"size": drop.size}
            | ({"repeat_of": received.repeat_of} if received.repeat_of is not None else {})
            | ({"fault": drop.fault} if drop.fault is not None else {}),
        }
        for drop, received in made
    ]
    if rows:
        connection.execute(insert(DeliveryEvent), rows)
