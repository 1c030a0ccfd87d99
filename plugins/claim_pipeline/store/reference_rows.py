"""Reference data in the database, with their history: when a row holds (TU_NGAY, DEN_NGAY) and when it was known.

A load is the whole of a table as one file brought it. A row is stored once and holds from its first load until the
load that no longer has it, so that a daily load of a large table stores what changed. Nothing is deleted.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.types.json import Jsonb

from claim_pipeline.store import bulk
from claim_rules.reference import LOOKED_UP

_COMING_INTO_FORCE = 7_204_611_003  # advisory lock: shared by those who fix a moment, held while loads come into force
_ROWS_AT_ONCE = 50_000
_CONTENT = np.dtype([("high", "<i8"), ("low", "<i8")])  # sixteen bytes as they are
_STORED = np.dtype([("position", ">i8"), *_CONTENT.descr])
_NOT_PLAIN = r"[\x00-\x1f\x7f]"
"""What JSON writes in a way of its own, beside the characters that `_json` writes."""


@dataclass(frozen=True)
class Source:
    """Where a table comes from. report: what its validation says (claim_pipeline.reference); items: the columns by
    which two rows are of the same item; again: these bytes may be in force already, with other rows made of them."""

    sha256: str | None = None
    file: str | None = None
    layout: str | None = None
    report: Mapping[str, Any] | None = None
    items: tuple[str, ...] = ()
    again: bool = False


@dataclass(frozen=True)
class Loaded:
    """What a load made of a table. load: its number, None where these bytes were in force already; rows: now in force;
    added, ended: rows that came and went with it; changed: items (`Source.items`) of which some row came and another
    went."""

    load: int | None
    rows: int
    added: int = 0
    changed: int = 0
    ended: int = 0


def write_load(
    connection: psycopg.Connection[Any], name: str, frame: pd.DataFrame, source: Source, actor: str
) -> Loaded:
    """Writes one table within the caller's transaction. It comes into force by `put_in_force`.

    frame: text columns. TU_NGAY and DEN_NGAY (yyyymmdd) are stored as dates too. Beside the frame no more than a part
    of its rows is held in another form at a time; only rows that were not there before are sent.
    """
    current = connection.execute(
        "SELECT l.id, l.sha256, l.rows FROM reference_in_force f JOIN reference_load l ON l.id = f.load "
        "WHERE f.name = %s ORDER BY f.since DESC LIMIT 1",
        [name],
    ).fetchone()
    if current is not None and source.sha256 is not None and current[1] == source.sha256 and not source.again:
        return Loaded(None, int(current[2]))
    frame = frame.reset_index(drop=True)
    content = _contents(frame)
    before = _held_now(connection, name)
    last = _last_position(connection, name)
    position, ended = _places(content, before, last)
    new = np.flatnonzero(position > last)
    if source.again and current is not None and not len(new) and not len(ended):
        return Loaded(None, int(current[2]))
    changed = _changed(connection, name, frame, source, new, ended)
    told = source.report
    if told is not None:
        told = {
            **told,
            "added_rows": len(new),
            "changed_items": changed,
            "ended_rows": len(ended),
            "held_rows": len(before),
        }
    load = _one(
        connection,
        "INSERT INTO reference_load (name, sha256, actor, rows, columns, file, layout, report, places) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            name, source.sha256, actor, len(frame), Jsonb([str(column) for column in frame.columns]), source.file,
            source.layout, Jsonb(told) if told is not None else None,
            None if (np.diff(position) > 0).all() else _packed(position),
        ],
    )  # fmt: skip
    if len(ended):
        connection.execute(
            "UPDATE reference_row SET until_load = %s WHERE name = %s AND position = ANY(%s)",
            [load, name, ended.tolist()],
        )
    for start in range(0, len(new), _ROWS_AT_ONCE):
        part = new[start : start + _ROWS_AT_ONCE]
        rows = _storable(frame.iloc[part])
        bulk.copy_in(
            connection,
            "reference_row",
            {
                "name": pa.repeat(name, len(part)),
                "position": pa.array(position[part]),
                "first_load": pa.repeat(load, len(part)),
                "content": pa.array(_names(content[part])),
                "tu_ngay": _dates(rows, "TU_NGAY"),
                "den_ngay": _dates(rows, "DEN_NGAY"),
                "data": _json(rows),
            },
        )
    if len(new) > len(frame) // 10:
        connection.execute("ANALYZE reference_row")
    return Loaded(load, len(frame), len(new), changed, len(ended))


def write_refusal(
    connection: psycopg.Connection[Any], name: str, file: str, sha256: str | None, actor: str, report: Mapping[str, Any]
) -> bool:
    """Writes down that a file was not taken, unless that was the last that became of it; whether it was news."""
    last = connection.execute(
        "SELECT sha256, report FROM reference_refusal r WHERE name = %s AND file = %s AND NOT EXISTS ("
        "SELECT FROM reference_in_force f WHERE f.name = r.name AND f.since > r.at) ORDER BY id DESC LIMIT 1",
        [name, file],
    ).fetchone()
    if last == (sha256, report):
        return False
    connection.execute(
        "INSERT INTO reference_refusal (name, file, sha256, actor, report) VALUES (%s, %s, %s, %s, %s)",
        [name, file, sha256, actor, Jsonb(report)],
    )
    return True


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
    file, layout, places, latest (whether it still is in force), in the order of their names."""
    with connection.cursor(row_factory=psycopg.rows.namedtuple_row) as cursor:
        return cursor.execute(
            "SELECT DISTINCT ON (f.name) f.name, f.load, f.since, f.kept, l.sha256, l.actor, l.rows, l.columns, "
            "l.file, l.layout, l.places, NOT EXISTS (SELECT FROM reference_in_force n "
            "WHERE n.name = f.name AND n.since > f.since) AS latest "
            "FROM reference_in_force f JOIN reference_load l ON l.id = f.load "
            "WHERE (%(at)s::timestamptz IS NULL OR f.since <= %(at)s) "
            "AND (%(these)s::bigint[] IS NULL OR f.load = ANY(%(these)s)) ORDER BY f.name, f.since DESC",
            {"at": known_at, "these": None if these is None else list(these)},
        ).fetchall()


def present(
    connection: psycopg.Connection[Any], known_at: datetime | None = None, these: Collection[int] | None = None
) -> list[Any]:
    """As `loads`. Raises KeyError, with the names of the tables, for those that are not there or whose rows are no
    longer kept."""
    found = loads(connection, known_at, these)
    gone = [load.name for load in found if not load.kept]
    if gone or (these is not None and len(found) != len(set(these))):
        raise KeyError(", ".join(gone) or "?")
    return found


def read_tables(
    connection: psycopg.Connection[Any],
    known_at: datetime | None = None,
    these: Collection[int] | None = None,
    names: Collection[str] | None = None,
    only: Mapping[str, Collection[str]] | None = None,
) -> dict[str, pd.DataFrame]:
    """All tables as known at a moment (None: now), or as `these` loads (one of each table) brought them, with the
    columns and the order in which they were loaded.

    names: of these tables alone. only: of a table of LOOKED_UP, the rows with these keys alone, in the same order.
    Raises KeyError, with the names of the tables, for loads that are not there or whose rows are no longer kept.
    """
    tables = {}
    for load in present(connection, known_at, these):
        if names is not None and load.name not in names:
            continue
        column = LOOKED_UP.get(load.name)
        if only is not None and load.name in only and column in load.columns:
            tables[load.name] = _read(connection, load, column, only[load.name])
        else:
            tables[load.name] = _read(connection, load)
    return tables


def _read(
    connection: psycopg.Connection[Any], load: Any, column: str | None = None, keys: Collection[str] = ()
) -> pd.DataFrame:
    picked = sql.SQL(", ").join(sql.SQL("data ->> {}").format(sql.Literal(name)) for name in load.columns)
    held = (
        sql.SQL("until_load IS NULL")
        if load.latest
        else sql.SQL("first_load <= {load} AND (until_load IS NULL OR until_load > {load})").format(
            load=sql.Literal(load.load)
        )
    )
    rows = sql.SQL("SELECT position, data FROM reference_row WHERE name = {} AND {}").format(
        sql.Literal(load.name), held
    )
    if column is not None:
        # keys are of persons, and no part of a statement; each is looked up, whatever is known of how often it is there
        connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS wanted_key (key text); TRUNCATE wanted_key")
        bulk.copy_in(connection, "wanted_key", {"key": pa.array(sorted(set(keys)), pa.large_string())})
        rows = sql.SQL("SELECT r.* FROM wanted_key, LATERAL ({} AND data ->> {} = key OFFSET 0) r").format(
            rows, sql.Literal(column)
        )
    query = sql.SQL("SELECT position, {} FROM ({}) r ORDER BY position").format(picked, rows)
    frame = bulk.copy_out_text(connection, query, ["", *load.columns])
    position = frame.pop("").astype("int64").to_numpy()
    if load.places is not None:
        places = _unpacked(load.places)
        if column is not None:
            places = places[np.isin(places, position)]
        frame = frame.take(np.searchsorted(position, places))
    return frame.reset_index(drop=True)


def _storable(frame: pd.DataFrame) -> pd.DataFrame:
    """As the database will give it back: text, and no NUL character, which it cannot hold."""
    frame = frame.astype("str").reset_index(drop=True)
    return pd.DataFrame({name: frame[name].str.replace("\x00", "\ufffd", regex=False) for name in frame})


def _contents(frame: pd.DataFrame) -> Any:
    """A name for the content of each row (_CONTENT: the digest of its JSON text)."""
    out = np.empty(len(frame), dtype=_CONTENT)
    for start in range(0, len(frame), _ROWS_AT_ONCE):
        lines = _json(_storable(frame.iloc[start : start + _ROWS_AT_ONCE]))
        digests = [hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=16).digest() for line in lines]
        out[start : start + len(digests)] = np.frombuffer(b"".join(digests), dtype=_CONTENT)
    return out


def _json(frame: pd.DataFrame) -> list[str]:
    """Each row as JSON text with its columns in the order of their names, as DataFrame.to_json writes it."""
    if frame.empty:
        return []
    names = sorted(frame.columns)
    quote, null, end, nothing = (pa.scalar(text, pa.large_string()) for text in ('"', "null", "}", ""))
    parts: list[Any] = []
    for place, name in enumerate(names):
        values = pa.Array.from_pandas(frame[name], type=pa.large_string())
        if pc.any(pc.match_substring_regex(values, _NOT_PLAIN)).as_py():
            lines = frame[names].to_json(orient="records", lines=True, force_ascii=False)
            return list(lines.removesuffix("\n").split("\n"))
        for special in ("\\", '"', "/"):
            values = pc.replace_substring(values, special, f"\\{special}")
        quoted = pc.binary_join_element_wise(quote, values, quote, nothing)
        head = ("{" if place == 0 else ",") + json.dumps(name, ensure_ascii=False).replace("/", "\\/") + ":"
        parts += [pa.scalar(head, pa.large_string()), pc.fill_null(quoted, null)]
    lines = pc.binary_join_element_wise(*parts, end, nothing)
    return list(lines.to_pylist())


def _held_now(connection: psycopg.Connection[Any], name: str) -> Any:
    """Position and content of the rows in force (structured array)."""
    # in one piece: row by row, the protocol takes longer than all the rest
    packed = connection.execute(
        "SELECT string_agg(int8send(position) || uuid_send(content), NULL) FROM reference_row "
        "WHERE name = %s AND until_load IS NULL",
        [name],
        binary=True,
    ).fetchone()
    rows = np.frombuffer(packed[0] if packed and packed[0] else b"", dtype=_STORED)
    out = np.empty(len(rows), dtype=[("position", "<i8"), *_CONTENT.descr])
    for field in out.dtype.names or ():
        out[field] = rows[field]
    return out


def _places(content: Any, before: Any, last: int) -> tuple[Any, Any]:
    """The position of each new row, the old one's where its content was there already, and the positions that end.

    Rows that are the same twice are told apart by their number.
    """
    halves = [str(half) for half in _CONTENT.names or ()]
    old = pd.DataFrame({name: before[name] for name in (*halves, "position")})
    old = old.sort_values("position", ignore_index=True)
    new = pd.DataFrame({name: content[name] for name in halves})
    for rows in (old, new):
        rows["nth"] = rows.groupby(halves).cumcount() if rows.duplicated(halves).any() else 0
    found = new.merge(old, on=[*halves, "nth"], how="left", validate="one_to_one")["position"]
    is_new = found.isna().to_numpy()
    position = found.fillna(0).astype("int64").to_numpy(copy=True)
    position[is_new] = last + 1 + np.arange(is_new.sum())
    return position, np.setdiff1d(old["position"].to_numpy(), position, assume_unique=True)


def _changed(
    connection: psycopg.Connection[Any], name: str, frame: pd.DataFrame, source: Source, new: Any, ended: Any
) -> int:
    """Items of which some row came and another went."""
    items = [column for column in source.items if column in frame]
    if not items or not len(new) or not len(ended):
        return 0
    picked = sql.SQL(", ").join(sql.SQL("coalesce(data ->> {}, '')").format(sql.Literal(column)) for column in items)
    query = sql.SQL("SELECT DISTINCT {} FROM reference_row WHERE name = %s AND position = ANY(%s)").format(picked)
    gone = {tuple(row) for row in connection.execute(query, [name, ended.tolist()])}
    came = frame.iloc[new][items].fillna("").drop_duplicates()
    return len(gone.intersection(came.itertuples(index=False, name=None)))


def _names(content: Any) -> list[str]:
    whole = content.tobytes().hex()
    return [whole[start : start + 32] for start in range(0, len(whole), 32)]


def _last_position(connection: psycopg.Connection[Any], name: str) -> int:
    last = _one(connection, "SELECT coalesce(max(position), -1) FROM reference_row WHERE name = %s", [name])
    return int(last)


def _packed(places: Any) -> bytes:
    # a row that was put in between is a step in a long run of steps of one
    return zlib.compress(np.diff(places, prepend=0).astype("<i8").tobytes(), 6)


def _unpacked(packed: bytes) -> Any:
    return np.frombuffer(zlib.decompress(packed), dtype="<i8").cumsum()


def _one(connection: psycopg.Connection[Any], query: Any, values: list[Any]) -> Any:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return row[0]


def _dates(frame: pd.DataFrame, column: str) -> Any:
    """Days as text that PostgreSQL reads, null where there is none."""
    if column not in frame.columns:
        return pa.nulls(len(frame), pa.large_string())
    codes, known = pd.factorize(frame[column].fillna(""))
    days = pd.Series(known)
    usable = days.str.fullmatch(r"[0-9]{8}") & pd.to_datetime(days, format="%Y%m%d", errors="coerce").notna()
    return pa.Array.from_pandas(days.where(usable).take(codes), type=pa.large_string())
