"""Frames into and out of PostgreSQL by COPY."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from psycopg import sql

_ROWS_AT_ONCE = 50_000


def money(amounts: pd.Series) -> Any:
    """Integers of 1/100 đồng as an Arrow array of exact decimals in đồng (NA stays null)."""
    whole = pa.Array.from_pandas(amounts, type=pa.int64()).cast(pa.decimal128(19, 0))
    return pc.multiply(whole, pa.scalar(Decimal("0.01")))


def plain_text(values: pd.Series) -> Any:
    """Text as an Arrow array; NUL characters, which PostgreSQL cannot hold, become the replacement character."""
    array = pa.Array.from_pandas(values.astype("str"), type=pa.large_string())
    return pc.replace_substring(array, "\x00", "\ufffd")


def copy_in(connection: psycopg.Connection[Any], into: str, columns: dict[str, Any]) -> str:
    """Adds rows to a table, given as Arrow arrays or series by column name; returns the sha256 of what was sent."""
    table = pa.table({name: _array(values) for name, values in columns.items()})
    digest = hashlib.sha256()
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(into), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
            buffer = io.BytesIO()
            pacsv.write_csv(pa.Table.from_batches([batch]), buffer, pacsv.WriteOptions(include_header=False))
            digest.update(buffer.getbuffer())
            copy.write(buffer.getbuffer())
    return digest.hexdigest()


def _array(values: Any) -> Any:
    return pa.Array.from_pandas(values) if isinstance(values, pd.Series) else values


def copy_out_text(connection: psycopg.Connection[Any], query: sql.Composable, names: Sequence[str]) -> pd.DataFrame:
    """The rows of a query whose columns are all text, as a frame of dtype str; NULL is NA, empty text stays empty."""
    buffer = io.BytesIO()
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)").format(query)) as copy,
    ):
        for part in copy:
            buffer.write(part)
    if not buffer.tell():
        return pd.DataFrame({name: pd.Series([], dtype="str") for name in names})
    buffer.seek(0)
    table = pacsv.read_csv(
        buffer,
        read_options=pacsv.ReadOptions(column_names=list(names)),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pacsv.ConvertOptions(
            column_types={name: pa.large_string() for name in names},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    frame: pd.DataFrame = table.to_pandas()
    return frame.astype("str")
