"""Frames on disk: Parquet files, or folders of them, written as the rows come and read whole or by ranges of claims."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from claim_rules.frames import ClaimTables

if TYPE_CHECKING:
    from claim_pipeline.extract.result import Summary

_GROUP_BYTES = 256 << 10  # of a row group, before it is compressed
_PART_COLUMNS = 512
"""Columns of row groups in one file: what Parquet knows of each (some 2 KB) stays in memory until the file is whole."""

_BATCH_ROWS = 5_000


class FrameFile:
    """A frame on disk under construction, written aside until `finish` gives it its name: one Parquet file or, of a
    large frame, a folder of them (`parts`), so that memory does not grow with the rows.

    Portions have the same columns, except that some may have more of them at the end; the others are NA there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f".{path.name}.part")
        self._parts = 0
        self._groups = 0  # in the part that is written
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
            self._close()  # earlier parts stay as they are: who reads them fills the columns up
            self._schema = table.schema
            self._waiting = [_fitted(one, self._schema) for one in self._waiting]
        self._waiting.append(_fitted(table, self._schema))
        self._bytes += table.nbytes
        if self._bytes >= _GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        """Puts the frame in its place. Without a portion there is none."""
        if self._schema is None:
            return
        self._flush()
        self._close()
        if self._parts == 1:
            put(self._part(0), self._path)
            self._aside.rmdir()
        else:
            put(self._aside, self._path)

    def discard(self) -> None:
        """Leaves nothing behind."""
        self._close()
        remove(self._aside)

    def _part(self, number: int) -> Path:
        return self._aside / f"{number:05d}.parquet"

    def _flush(self) -> None:
        if self._writer is None:
            if not self._parts:
                remove(self._aside)  # of a process that was killed
                self._aside.mkdir()
            # nobody asks for the least and greatest text of a row group
            self._writer = pq.ParquetWriter(self._part(self._parts), self._schema, write_statistics=False)
            self._parts += 1
        if self._bytes:
            self._writer.write_table(pa.concat_tables(self._waiting))
            self._groups += 1
        self._waiting, self._bytes = [], 0
        if self._groups * len(self._schema or ()) >= _PART_COLUMNS:
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._groups = 0


def parts(path: Path) -> list[Path]:
    """The Parquet files of a frame on disk, in their order. FileNotFoundError if there is no such frame."""
    return sorted(path.iterdir()) if path.is_dir() else [path]


def put(aside: Path, path: Path) -> None:
    """Gives a frame that was written aside its name, in place of one that there was."""
    if path.is_dir() or aside.is_dir():
        remove(path)
    os.replace(aside, path)


def remove(path: Path) -> None:
    """Removes a frame on disk, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read(path: Path) -> pd.DataFrame:
    """All rows of a frame on disk."""
    files = parts(path)
    if len(files) == 1:
        return pd.read_parquet(files[0])
    widest = pq.read_schema(files[-1])
    frame: pd.DataFrame = pa.concat_tables(_fitted(pq.read_table(file), widest) for file in files).to_pandas()
    return frame


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
        from claim_pipeline.extract.result import with_facility

        for claims in self._claims:
            self._file("claims").add(with_facility(claims, summary.MA_CSKCB))
        for old in self._folder.glob("XML*.parquet"):
            if old.stem not in self._files:
                remove(old)
        for file in self._files.values():
            file.finish()

    def _file(self, name: str) -> FrameFile:
        return self._files.setdefault(name, FrameFile(self._folder / f"{name}.parquet"))


class RowsByClaim:
    """The rows of one frame of claim rows on disk, which stand by claim, taken from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        files = parts(path)
        self._schema = pq.read_schema(files[-1])
        self._batches = self._read(files)
        self._held = self._schema.empty_table()
        self._ended = False

    def _read(self, files: list[Path]) -> Generator[pa.Table]:
        for path in files:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH_ROWS):
                    yield _fitted(pa.Table.from_batches([batch]), self._schema)

    def before(self, claim: int) -> pd.DataFrame:
        """The next rows, up to those of claim `claim`, which stay for the next call."""
        pieces = [self._held]
        while not self._ended and (not len(pieces[-1]) or pieces[-1]["claim"][-1].as_py() < claim):
            batch = next(self._batches, None)
            if batch is None:
                self._ended = True
            else:
                pieces.append(batch)
        rows = pa.concat_tables(pieces)
        end = int(np.searchsorted(rows["claim"].to_numpy(), claim))
        self._held = rows.slice(end)
        found: pd.DataFrame = rows.slice(0, end).to_pandas()
        return found

    def close(self) -> None:
        self._batches.close()
