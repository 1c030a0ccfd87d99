"""Reference data in the database, with their history: when a row holds (TU_NGAY, DEN_NGAY) and when it was known.

A load is the whole of a table as one file brought it. A row is stored once and holds from its first load until the
load that no longer has it, so that a daily load of a large table stores what changed. Nothing is deleted.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from claim_pipeline.store import bulk

_COMING_INTO_FORCE = 7_204_611_003  # advisory lock: shared by those who fix a moment, held while loads come into force


@dataclass(frozen=True)
class Source:
    """Where a table comes from. report: what its validation says (claim_pipeline.reference)."""

    sha256: str | None = None
    file: str | None = None
    layout: str | None = None
    report: Mapping[str, Any] | None = None


def write_load(
    connection: psycopg.Connection[Any], name: str, frame: pd.DataFrame, source: Source, actor: str
) -> tuple[int | None, int]:
    """Writes one table within the caller's transaction; returns the load (None: these bytes are in force already) and
    its number of rows. It comes into force by `put_in_force`.

    frame: text columns. TU_NGAY and DEN_NGAY (yyyymmdd) are stored as dates too.
    """
    current = connection.execute(
        "SELECT l.id, l.sha256, l.rows FROM reference_in_force f JOIN reference_load l ON l.id = f.load "
        "WHERE f.name = %s ORDER BY f.since DESC LIMIT 1",
        [name],
    ).fetchone()
    if current is not None and source.sha256 is not None and current[1] == source.sha256:
        return None, int(current[2])
    # as the database will give it back; it holds no NUL character
    frame = frame.astype("str").reset_index(drop=True)
    for column in frame:
        frame[column] = frame[column].str.replace("\x00", "\ufffd", regex=False)
    data, content = _rows(frame)
    before = bulk.copy_out_text(
        connection,
        sql.SQL("SELECT position, content FROM reference_row WHERE name = {} AND until_load IS NULL").format(
            sql.Literal(name)
        ),
        ["position", "content"],
    )
    position, ended = _places(content, before, _last_position(connection, name))
    order = None if (np.diff(position) > 0).all() else _packed(position.argsort().argsort())
    load = _one(
        connection,
        "INSERT INTO reference_load (name, sha256, actor, rows, columns, file, layout, report, row_order) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            name, source.sha256, actor, len(frame), Jsonb([str(column) for column in frame.columns]), source.file,
            source.layout, Jsonb(source.report) if source.report is not None else None, order,
        ],
    )  # fmt: skip
    if len(ended):
        connection.execute(
            "UPDATE reference_row SET until_load = %s WHERE name = %s AND position = ANY(%s)",
            [load, name, ended.tolist()],
        )
    new = ~np.isin(position, before["position"].astype("int64"))
    if new.any():
        added = int(new.sum())
        bulk.copy_in(
            connection,
            "reference_row",
            {
                "name": pd.Series([name] * added, dtype="str"),
                "position": pd.Series(position[new]),
                "first_load": pd.Series(np.full(added, load)),
                "content": content[new].reset_index(drop=True),
                "tu_ngay": _dates(frame, "TU_NGAY")[new].reset_index(drop=True),
                "den_ngay": _dates(frame, "DEN_NGAY")[new].reset_index(drop=True),
                "data": data[new].reset_index(drop=True),
            },
        )
    return load, len(frame)


def put_in_force(connection: psycopg.Connection[Any], loads: Mapping[str, int]) -> None:
    """Puts loads (by table) in force at one moment, which is later than any that `moment` has given. The last thing of
    a transaction: who wants to fix a moment waits for its end."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_COMING_INTO_FORCE])
    connection.execute(
        "INSERT INTO reference_in_force (load, name, since) SELECT load, name, "
        "(SELECT greatest(clock_timestamp(), max(since) + interval '1 microsecond') FROM reference_in_force) "
        "FROM unnest(%s::bigint[], %s::text[]) AS new (load, name)",
        [list(loads.values()), list(loads)],
    )


def moment(connection: psycopg.Connection[Any]) -> datetime:
    """A moment at which what was known will never look otherwise: every load that comes is in force later."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_COMING_INTO_FORCE])
    at: datetime = _one(connection, "SELECT greatest(clock_timestamp(), max(since)) FROM reference_in_force", [])
    return at


def loads(
    connection: psycopg.Connection[Any], known_at: datetime | None = None, these: Collection[int] | None = None
) -> list[Any]:
    """The loads in force at a moment (None: now), or `these`: name, load, since, kept, sha256, actor, rows, columns,
    file, layout, row_order, latest (whether it still is in force), in the order of their names."""
    with connection.cursor(row_factory=psycopg.rows.namedtuple_row) as cursor:
        return cursor.execute(
            "SELECT DISTINCT ON (f.name) f.name, f.load, f.since, f.kept, l.sha256, l.actor, l.rows, l.columns, "
            "l.file, l.layout, l.row_order, NOT EXISTS (SELECT FROM reference_in_force n "
            "WHERE n.name = f.name AND n.since > f.since) AS latest "
            "FROM reference_in_force f JOIN reference_load l ON l.id = f.load "
            "WHERE (%(at)s::timestamptz IS NULL OR f.since <= %(at)s) "
            "AND (%(these)s::bigint[] IS NULL OR f.load = ANY(%(these)s)) ORDER BY f.name, f.since DESC",
            {"at": known_at, "these": None if these is None else list(these)},
        ).fetchall()


def read_tables(
    connection: psycopg.Connection[Any], known_at: datetime | None = None, these: Collection[int] | None = None
) -> dict[str, pd.DataFrame]:
    """All tables as known at a moment (None: now), or as `these` loads (one of each table) brought them, with the
    columns and the order in which they were loaded.

    Raises KeyError, with the names of the tables, for loads that are not there or whose rows are no longer kept.
    """
    found = loads(connection, known_at, these)
    gone = [load.name for load in found if not load.kept]
    if gone or (these is not None and len(found) != len(set(these))):
        raise KeyError(", ".join(gone) or "?")
    tables = {}
    for load in found:
        picked = sql.SQL(", ").join(sql.SQL("data ->> {}").format(sql.Literal(column)) for column in load.columns)
        held = (
            sql.SQL("until_load IS NULL")
            if load.latest
            else sql.SQL("first_load <= {load} AND (until_load IS NULL OR until_load > {load})").format(
                load=sql.Literal(load.load)
            )
        )
        query = sql.SQL("SELECT {} FROM reference_row WHERE name = {} AND {} ORDER BY position").format(
            picked, sql.Literal(load.name), held
        )
        frame = bulk.copy_out_text(connection, query, load.columns)
        if load.row_order is not None:
            frame = frame.take(_unpacked(load.row_order)).reset_index(drop=True)
        tables[load.name] = frame
    return tables


def _rows(frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Each row as JSON text with its columns in the order of their names, and a name for its content (as a UUID)."""
    if frame.empty:
        return pd.Series([], dtype="str"), pd.Series([], dtype="str")
    lines = frame[sorted(frame.columns)].to_json(orient="records", lines=True, force_ascii=False)
    data = lines.removesuffix("\n").split("\n")
    content = [hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest() for line in data]
    return pd.Series(data, dtype="str"), pd.Series(content, dtype="str")


def _places(content: pd.Series, before: pd.DataFrame, last: int) -> tuple[Any, Any]:
    """The position of each new row, the old one's where its content was there already, and the positions that end.

    Rows that are the same twice are told apart by their number.
    """
    old = pd.DataFrame({"content": before["content"].str.replace("-", ""), "old": before["position"].astype("int64")})
    old = old.sort_values("old", ignore_index=True)
    old["nth"] = old.groupby("content").cumcount()
    new = pd.DataFrame({"content": content})
    new["nth"] = new.groupby("content").cumcount()
    found = new.merge(old, on=["content", "nth"], how="left", validate="one_to_one")["old"]
    is_new = found.isna().to_numpy()
    position = found.fillna(0).astype("int64").to_numpy(copy=True)
    position[is_new] = last + 1 + np.arange(is_new.sum())
    return position, np.setdiff1d(old["old"].to_numpy(), position)


def _last_position(connection: psycopg.Connection[Any], name: str) -> int:
    last = _one(connection, "SELECT coalesce(max(position), -1) FROM reference_row WHERE name = %s", [name])
    return int(last)


def _packed(order: Any) -> bytes:
    # a row that was put in between is a step in a long run of steps of one
    return zlib.compress(np.diff(order, prepend=0).astype("<i4").tobytes(), 6)


def _unpacked(packed: bytes) -> Any:
    return np.frombuffer(zlib.decompress(packed), dtype="<i4").astype("int64").cumsum()


def _one(connection: psycopg.Connection[Any], query: Any, values: list[Any]) -> Any:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return row[0]


def _dates(frame: pd.DataFrame, column: str) -> Any:
    if column not in frame.columns:
        return pd.Series([pd.NA] * len(frame), dtype="str")
    text = frame[column].fillna("")
    usable = text.str.fullmatch(r"[0-9]{8}") & pd.to_datetime(text, format="%Y%m%d", errors="coerce").notna()
    return text.where(usable).reset_index(drop=True)
