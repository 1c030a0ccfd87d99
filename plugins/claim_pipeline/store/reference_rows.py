"""Reference data in the database: tables replaced atomically, rows with their validity dates, every load noted."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from claim_pipeline.store import bulk


def load_table(
    connection: psycopg.Connection[Any], name: str, frame: pd.DataFrame, sha256: str | None, actor: str
) -> int:
    """Replaces one table within the caller's transaction; returns its number of rows. The rows of earlier loads stay:
    an appraisal that used them can be done again.

    frame: text columns. TU_NGAY and DEN_NGAY (yyyymmdd) are stored as dates too.
    """
    current = connection.execute(
        "SELECT l.id, l.sha256, l.rows FROM reference_table t JOIN reference_load l ON l.id = t.load "
        "WHERE t.name = %s FOR UPDATE OF t",
        [name],
    ).fetchone()
    if current is not None and sha256 is not None and current[1] == sha256:
        return int(current[2])
    frame = frame.astype("str")
    new = connection.execute(
        "INSERT INTO reference_load (name, sha256, actor, rows, columns) VALUES (%s, %s, %s, %s, %s) RETURNING id",
        [name, sha256, actor, len(frame), Jsonb([str(column) for column in frame.columns])],
    ).fetchone()
    load = new[0] if new else None
    if len(frame):
        bulk.copy_in(
            connection,
            "reference_row",
            {
                "load": pd.Series([load] * len(frame), dtype="int64"),
                "position": pd.Series(range(len(frame)), dtype="int64"),
                "tu_ngay": _dates(frame, "TU_NGAY"),
                "den_ngay": _dates(frame, "DEN_NGAY"),
                "data": _as_json(frame),
            },
        )
    connection.execute(
        "INSERT INTO reference_table (name, load) VALUES (%s, %s) "
        "ON CONFLICT (name) DO UPDATE SET load = excluded.load",
        [name, load],
    )
    return len(frame)


def _dates(frame: pd.DataFrame, column: str) -> Any:
    if column not in frame.columns:
        return pd.Series([pd.NA] * len(frame), dtype="str")
    text = frame[column].fillna("")
    usable = text.str.fullmatch(r"[0-9]{8}") & pd.to_datetime(text, format="%Y%m%d", errors="coerce").notna()
    return text.where(usable).reset_index(drop=True)


def _as_json(frame: pd.DataFrame) -> Any:
    lines = frame.to_json(orient="records", lines=True, force_ascii=False).removesuffix("\n").split("\n")
    # JSONB holds no NUL character
    return pd.Series(lines, dtype="str").str.replace("\\u0000", "\\ufffd", regex=False)


def read_tables(connection: psycopg.Connection[Any], loads: Collection[int] | None = None) -> dict[str, pd.DataFrame]:
    """The tables of these loads (None: of those in force), with the columns and the order in which they were loaded.

    Raises KeyError, with the name of the table, for a load that is not there or whose rows are no longer kept.
    """
    if loads is None:
        found = connection.execute(
            "SELECT t.name, t.load, l.columns FROM reference_table t JOIN reference_load l ON l.id = t.load "
            "ORDER BY t.name"
        ).fetchall()
    else:
        rows = connection.execute(
            "SELECT name, id, columns, rows = 0 OR EXISTS (SELECT FROM reference_row WHERE load = l.id) "
            "FROM reference_load l WHERE id = ANY(%s) ORDER BY name",
            [list(loads)],
        ).fetchall()
        gone = [row[0] for row in rows if not row[3]]
        if gone or len(rows) != len(set(loads)):
            raise KeyError(", ".join(gone) or "?")
        found = [row[:3] for row in rows]
    tables = {}
    for name, load, columns in found:
        picked = sql.SQL(", ").join(sql.SQL("data ->> {}").format(sql.Literal(column)) for column in columns)
        query = sql.SQL("SELECT {} FROM reference_row WHERE load = {} ORDER BY position").format(
            picked, sql.Literal(load)
        )
        tables[name] = bulk.copy_out_text(connection, query, columns)
    return tables
