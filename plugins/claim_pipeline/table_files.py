"""Frames on disk, a portion at a time: Parquet files that are written as the rows come and read by ranges of claims."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from claim_pipeline.extract.result import Summary, with_facility
from claim_rules.frames import ClaimTables

_GROUP_BYTES = 2 << 20  # of a row group, before it is compressed; what is known of each stays in memory
_BATCH_ROWS = 5_000


class FrameFile:
    """A Parquet file under construction, written aside until `finish` gives it its name.

    Portions have the same columns, except that some may have more of them at the end; the others are NA there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f".{path.name}.part")
        self._writer: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None
        self._waiting: list[pa.Table] = []
        self._bytes = 0

    def add(self, frame: pd.DataFrame) -> None:
        """Appends the rows of a frame."""
        table = pa.Table.from_pandas(frame, preserve_index=False)
        if self._schema is None:
            self._schema = table.schema
        elif len(table.schema) > len(self._schema):
            self._widen(table.schema)
        self._waiting.append(_fitted(table, self._schema))
        self._bytes += table.nbytes
        if self._bytes >= _GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        """Puts the file in its place. Without a portion there is none."""
        if self._schema is not None:
            self._flush()
            self._close()
            os.replace(self._aside, self._path)

    def discard(self) -> None:
        """Leaves nothing behind."""
        self._close()
        self._aside.unlink(missing_ok=True)

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        # nobody asks for the least and greatest text of a row group
        return pq.ParquetWriter(self._aside, schema, write_statistics=False)

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = self._open(self._schema)
        if self._bytes:
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting, self._bytes = [], 0

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _widen(self, schema: pa.Schema) -> None:
        """Writes what there is once more, with the columns that came late."""
        self._waiting = [_fitted(table, schema) for table in self._waiting]
        self._schema = schema
        if self._writer is not None:
            self._close()
            narrow = self._aside.with_name(f"{self._aside.name}.narrow")
            os.replace(self._aside, narrow)
            self._writer = self._open(schema)
            with pq.ParquetFile(narrow) as file:
                for batch in file.iter_batches(_BATCH_ROWS):
                    self._writer.write_table(_fitted(pa.Table.from_batches([batch]), schema))
            narrow.unlink()


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    absent = {field.name: field.type for field in schema}
    for name in table.column_names:
        absent.pop(name)
    for name, kind in absent.items():
        table = table.append_column(name, pa.nulls(len(table), kind))
    return table.cast(schema)


class TableFiles:
    """Claim tables and the reader's findings in a working folder, written chunk by chunk (a sink of the readers). Until
    `finish` nothing of them is to be seen; where the context ends before, nothing stays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._claims: list[pd.DataFrame] = []  # those that wait for their facility, which may be told last
        self._files: dict[str, FrameFile] = {}

    def __enter__(self) -> TableFiles:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.discard()

    def add(self, tables: ClaimTables) -> None:
        if self._claims or tables.claims["MA_CSKCB"].isna().any():
            self._claims.append(tables.claims)
        else:
            self._file("claims").add(tables.claims)
        for name, frame in (*tables.items(), ("unknown", tables.unknown)):
            self._file(name).add(frame)

    def add_findings(self, findings: pd.DataFrame) -> None:
        self._file("findings-extract").add(findings)

    def finish(self, summary: Summary) -> None:
        """Puts the files in place of those that there were."""
        for claims in self._claims:
            self._file("claims").add(with_facility(claims, summary.MA_CSKCB))
        for old in self._folder.glob("XML*.parquet"):
            if old.stem not in self._files:
                old.unlink()
        for file in self._files.values():
            file.finish()

    def _file(self, name: str) -> FrameFile:
        return self._files.setdefault(name, FrameFile(self._folder / f"{name}.parquet"))


class RowsByClaim:
    """The rows of one file of claim rows, which stand by claim, taken from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path)
        self._batches: Iterator[pa.RecordBatch] = self._file.iter_batches(_BATCH_ROWS)
        self._held = self._file.schema_arrow.empty_table()
        self._ended = False

    def before(self, claim: int) -> pd.DataFrame:
        """The next rows, up to those of claim `claim`, which stay for the next call."""
        pieces = [self._held]
        while not self._ended and (not len(pieces[-1]) or pieces[-1]["claim"][-1].as_py() < claim):
            batch = next(self._batches, None)
            if batch is None:
                self._ended = True
                self._file.close()
            else:
                pieces.append(pa.Table.from_batches([batch], self._held.schema))
        rows = pa.concat_tables(pieces)
        end = int(np.searchsorted(rows["claim"].to_numpy(), claim))
        self._held = rows.slice(end)
        found: pd.DataFrame = rows.slice(0, end).to_pandas()
        return found

    def close(self) -> None:
        self._file.close()
