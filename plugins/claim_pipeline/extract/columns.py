"""Claim tables under construction: rows go in one by one, whole columns come out, in Arrow memory in between."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from claim_rules import dictionary

LAYOUTS = ("3176", "4750", "130")
"""Decisions of the 130 family, newest first."""

TEXT = pa.large_string()
_FLUSH_ROWS = 2_000
_COMMON_LAYOUT = 50  # rows of one layout in a chunk from which taking them column by column is worth it


@cache
def column_names(table: str) -> tuple[str, ...]:
    """Elements of a claim table in any decision of the 130 family: the newest's in its order, then older ones."""
    names: dict[str, None] = {}
    for decision in LAYOUTS:
        if table in dictionary.tables(decision):
            names.update(dict.fromkeys(dictionary.table(table, decision).names))
    return tuple(names)


@cache
def legacy_column_names(table: str) -> tuple[str, ...]:
    """The same for rows of Decision 4210: its own elements come after those of the 130 family."""
    own = dictionary.table(table, "4210").names if table in dictionary.tables("4210") else ()
    return tuple(dict.fromkeys((*column_names(table), *own)))


def text_column(values: Sequence[str | None] | pa.Array) -> pa.Array:
    """Text as Arrow column in Unicode normal form C."""
    column = values if isinstance(values, pa.Array) else pa.array(values, TEXT)
    return column if pc.all(pc.string_is_ascii(column)).as_py() is not False else pc.utf8_normalize(column, "NFC")


def frame(table: pa.Table) -> pd.DataFrame:
    """The frame of an Arrow table, its texts as pandas `str`."""
    found: pd.DataFrame = table.to_pandas(split_blocks=True)
    return found


class UnknownElements:
    """Elements that the dictionary lacks, as `ClaimTables.unknown` keeps them."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, str, int, str, str]] = []
        self._chunks: list[pa.RecordBatch] = []

    def add(self, claim: int, table: str, row: int, element: str, value: str) -> None:
        """One element; row 0: it stands in the table outside its rows."""
        self._rows.append((claim, table, row, element, value))
        if len(self._rows) >= _FLUSH_ROWS:
            self._flush()

    def frame(self) -> pd.DataFrame:
        """All of them by claim, those of one claim as they came."""
        self._flush()
        return frame(pa.Table.from_batches(self._chunks)).sort_values("claim", kind="stable", ignore_index=True)

    def _flush(self) -> None:
        claim, table, row, element, value = zip(*self._rows, strict=True) if self._rows else ((),) * 5
        columns = {
            "claim": pa.array(claim, pa.int64()),
            "table": pa.array(table, TEXT),
            "row": pa.array(row, pa.int64()),
            "element": pa.array(element, TEXT),
            "value": text_column(pa.array(value, TEXT)),
        }
        self._chunks.append(pa.RecordBatch.from_pydict(columns))
        self._rows = []


class TableColumns:
    """One claim table of a delivery. Rows of one layout (the same elements in the same order) are turned into columns
    together, so that no cell is handled alone; only the last two thousand rows are Python objects."""

    def __init__(self, table: str, names: tuple[str, ...], unknown: UnknownElements) -> None:
        self._table = table
        self._names = names
        self._place = {name: at for at, name in enumerate(self._names)}
        self._unknown = unknown
        self._schema = pa.schema([("claim", pa.int64()), ("row", pa.int64()), *((name, TEXT) for name in self._names)])
        self._chunks: list[pa.RecordBatch] = []
        self._layouts: dict[tuple[str, ...], list[tuple[int, int, Sequence[str | None]]]] = {}
        self._waiting = 0

    def add(self, claim: int, row: int, elements: tuple[str, ...], texts: Sequence[str | None]) -> None:
        """One row: its elements, each once, and their texts (None: empty)."""
        self._layouts.setdefault(elements, []).append((claim, row, texts))
        self._waiting += 1
        if self._waiting >= _FLUSH_ROWS:
            self._flush()

    def frame(self) -> pd.DataFrame:
        """All rows, by claim and row."""
        self._flush()
        table = pa.Table.from_batches(self._chunks, self._schema)
        self._chunks = []
        claim, row = table["claim"].to_numpy(), table["row"].to_numpy()
        if ((claim[1:] < claim[:-1]) | ((claim[1:] == claim[:-1]) & (row[1:] <= row[:-1]))).any():
            table = table.take(np.lexsort((row, claim)))
        return frame(table)

    def _flush(self) -> None:
        rare: list[tuple[int, int, Sequence[str | None]]] = []
        for elements, rows in self._layouts.items():
            for at, name in enumerate(elements):
                if name not in self._place:
                    for claim, row, texts in rows:
                        self._unknown.add(claim, self._table, row, name, texts[at] or "")
            if len(rows) >= _COMMON_LAYOUT:
                self._add_chunk(elements, rows, "")
            else:
                places = [(at, self._place[name]) for at, name in enumerate(elements) if name in self._place]
                for claim, row, texts in rows:
                    cells: list[str | None] = [None] * len(self._names)
                    for at, place in places:
                        cells[place] = texts[at] or ""
                    rare.append((claim, row, cells))
        if rare:
            self._add_chunk(self._names, rare, None)
        self._layouts = {}
        self._waiting = 0

    def _add_chunk(
        self, elements: tuple[str, ...], rows: list[tuple[int, int, Sequence[str | None]]], empty: str | None
    ) -> None:
        claims, numbers, texts = zip(*rows, strict=True)
        absent = pa.nulls(len(rows), TEXT)
        columns = [absent] * len(self._names)
        for name, values in zip(elements, zip(*texts, strict=True), strict=True):
            if name in self._place:
                column = text_column(values)
                columns[self._place[name]] = column if empty is None else column.fill_null(empty)
        self._chunks.append(
            pa.RecordBatch.from_arrays(
                [pa.array(claims, pa.int64()), pa.array(numbers, pa.int64()), *columns], schema=self._schema
            )
        )
