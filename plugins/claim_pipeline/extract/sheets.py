"""The sheets of an export: CSV files and workbooks, alone or in a zip, as columns of text."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import re
import tempfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.csv
from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.columns import TEXT
from claim_pipeline.extract.zips import OLE2_MAGIC, damaged, encrypted, is_workbook, old_or_encrypted_workbook, open_zip
from claim_rules.dictionary import Field

Typed = Callable[[str], Field | None]
"""From a header to the official field that it stands for, or None."""

_ROW = re.compile(rb"<(?:\w+:)?row[ >/]")
_ROW_NUMBER = re.compile(rb'<(?:\w+:)?row [^>]*?\br="(\d{1,7})"')
_CHUNK_ROWS = 5_000
_BLOCK = 64 << 20  # bytes of CSV read at once; no row may be longer


class Sheet(Protocol):
    """One sheet. `stem`: its name without folder and ending; `headers`: as given, in order."""

    stem: str

    @property
    def headers(self) -> list[str]: ...

    def read(self, typed: Typed) -> pa.Table:
        """All rows: one text column per header, named by its position. A blank cell is ""."""


@dataclass
class Export:
    """All sheets of an export, and the names of what else it holds."""

    sheets: list[Sheet] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    workbooks: bool = False


@contextlib.contextmanager
def open_export(path: Path, *, workbook: bool, known: Callable[[str], bool], max_unpacked: int) -> Iterator[Export]:
    """The export in a zip or (workbook) an xlsx file.

    known: whether a name is that of a sheet of a profile. A worksheet goes by its own name; in a workbook that has
    none of the known names, the first worksheet goes by the file's name. Nothing is ever unpacked to the names that a
    zip gives. Raises Quarantined for files that are damaged, encrypted or unpack to more than `max_unpacked` bytes.
    """
    with contextlib.ExitStack() as stack:
        try:
            if workbook:
                export = Export(workbooks=True)
                _add_workbook(export, stack.enter_context(path.open("rb")), "workbook", known, max_unpacked, stack)
            else:
                export = _zip(stack.enter_context(open_zip(path, max_unpacked)), known, max_unpacked, stack)
            yield export
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise damaged(type(error).__name__) from None


def _zip(
    archive: zipfile.ZipFile, known: Callable[[str], bool], max_unpacked: int, stack: contextlib.ExitStack
) -> Export:
    export = Export()
    for member in archive.infolist():
        place = PurePosixPath(member.filename.replace("\\", "/"))
        if member.is_dir() or place.name.startswith((".", "~$")) or "__MACOSX" in place.parts:
            continue
        if member.flag_bits & 0x1:
            raise encrypted()
        ending = place.suffix.lower()
        if ending == ".csv":
            export.sheets.append(CsvSheet(archive, member, place.stem))
        elif ending == ".xlsx":
            export.workbooks = True
            aside = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            with archive.open(member) as stream:
                while chunk := stream.read(1 << 20):
                    aside.write(chunk)
            aside.seek(0)
            _add_workbook(export, aside, place.stem, known, max_unpacked, stack)
        else:
            export.others.append(place.name)
    return export


def _bad_sheet(sheet: str, vi: str, en: str, next_vi: str, next_en: str) -> Quarantined:
    return Quarantined("unreadable-sheet", f"Bảng {sheet}: {vi}", f"sheet {sheet}: {en}", next_vi, next_en)


def _check_headers(stem: str, headers: list[str]) -> None:
    named = [header.strip().upper() for header in headers if header.strip()]
    twice = sorted({header for header in named if named.count(header) > 1})
    if twice:
        raise _bad_sheet(
            stem,
            f"cột lặp lại: {', '.join(twice)}",
            f"repeated columns: {', '.join(twice)}",
            "Giữ mỗi cột một lần rồi gửi lại",
            "keep each column once and send it again",
        )


# --- CSV ------------------------------------------------------------------------------------------------------


class CsvSheet:
    """A CSV file in a zip: UTF-8, with or without byte order mark; comma, semicolon or tab between cells."""

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, stem: str) -> None:
        self._archive = archive
        self._member = member
        self.stem = stem
        with self._archive.open(member) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as lines:
            try:
                record = _first_record(lines)
            except UnicodeDecodeError:
                raise self._not_utf8() from None
        self._delimiter = max(",;\t", key=_outside_quotes(record).count)
        self.headers = next(csv.reader(io.StringIO(record, newline=""), delimiter=self._delimiter), [])
        _check_headers(stem, self.headers)

    def read(self, typed: Typed) -> pa.Table:
        """All rows as text, whatever `typed` says: a CSV has no other cells."""
        names = [str(at) for at in range(len(self.headers))]
        if not names:
            return pa.table({})
        wrong: list[int | None] = []

        def note(row: Any) -> str:
            wrong.append(row.number)
            return "skip"

        end = [f"end-{uuid.uuid4().hex}"] * len(names)
        with self._archive.open(self._member) as stream:
            try:
                table = pyarrow.csv.read_csv(
                    _WithLastRow(stream, self._delimiter.join(end)),
                    pyarrow.csv.ReadOptions(
                        use_threads=False, column_names=names, skip_rows_after_names=1, block_size=_BLOCK
                    ),
                    pyarrow.csv.ParseOptions(
                        delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=note
                    ),
                    pyarrow.csv.ConvertOptions(
                        column_types=dict.fromkeys(names, TEXT),
                        strings_can_be_null=False,
                        quoted_strings_can_be_null=False,
                    ),
                )
            except pa.ArrowInvalid as error:
                if "UTF8" in str(error):
                    raise self._not_utf8() from None
                raise self._not_csv() from None
        if wrong:
            raise _bad_sheet(
                self.stem,
                f"{len(wrong)} dòng có số ô khác số cột ({len(names)})"
                + (f", đầu tiên là dòng {wrong[0]}" if wrong[0] else ""),
                f"{len(wrong)} rows whose number of cells is not that of the columns ({len(names)})"
                + (f", the first is row {wrong[0]}" if wrong[0] else ""),
                "Đặt ô có dấu phân cách hoặc xuống dòng trong dấu nháy kép rồi gửi lại",
                "put cells that hold a delimiter or a line break in double quotes, then send it again",
            )
        if not table.num_rows or list(table.slice(table.num_rows - 1).to_pylist()[0].values()) != end:
            raise self._not_csv()  # a quote that is never closed took in everything after it
        return table.slice(0, table.num_rows - 1)

    def _not_csv(self) -> Quarantined:
        return _bad_sheet(
            self.stem,
            "không đúng dạng CSV (dấu nháy kép mở mà không đóng?)",
            "is not proper CSV (a double quote that is never closed?)",
            "Kiểm tra dấu nháy kép và dấu phân cách rồi gửi lại",
            "check double quotes and delimiters, then send it again",
        )

    def _not_utf8(self) -> Quarantined:
        return _bad_sheet(
            self.stem,
            "không phải UTF-8",
            "is not UTF-8",
            "Lưu CSV với mã hóa UTF-8 rồi gửi lại",
            "save the CSV as UTF-8 and send it again",
        )


class _WithLastRow(io.RawIOBase):
    """A stream with one more row at its end, by which the reader of the stream sees whether it got to the end."""

    def __init__(self, stream: IO[bytes], row: str) -> None:
        self._stream = stream
        self._row = f"\n{row}\n".encode()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        if not chunk:
            chunk, self._row = self._row[:size] if size >= 0 else self._row, self._row[size:] if size >= 0 else b""
        return chunk


def _first_record(lines: IO[str]) -> str:
    """The header row, which may be quoted over several lines."""
    record = ""
    for line in lines:
        record += line
        if record.strip() == "":
            record = ""
        elif record.count('"') % 2 == 0:
            break
    return record


def _outside_quotes(record: str) -> str:
    return re.sub(r'"[^"]*"', "", record)


# --- workbooks ------------------------------------------------------------------------------------------------


def _add_workbook(
    export: Export,
    stream: IO[bytes],
    stem: str,
    known: Callable[[str], bool],
    max_unpacked: int,
    stack: contextlib.ExitStack,
) -> None:
    if stream.read(len(OLE2_MAGIC)) == OLE2_MAGIC:
        stream.seek(0)
        raise old_or_encrypted_workbook(stream.read())
    stream.seek(0)
    with open_zip(stream, max_unpacked) as archive:
        if not is_workbook(archive):
            raise damaged("not a workbook")
        _check_extent(archive)
    stream.seek(0)
    try:
        workbook = stack.enter_context(CalamineWorkbook.from_filelike(stream))
        names = workbook.sheet_names
        named = [name for name in names if known(name)]
        for name in named or names[:1]:
            export.sheets.append(WorkbookSheet(workbook, name, name if named else stem))
        export.others.extend(name for name in names if name not in (named or names[:1]))
    except PasswordError:
        raise encrypted() from None
    except CalamineError as error:
        raise damaged(type(error).__name__) from None


def _check_extent(archive: zipfile.ZipFile) -> None:
    """Refuses worksheets whose few cells lie so far apart that the rectangle around them would fill the memory, for
    that is how the reader lays them out."""
    for member in archive.infolist():
        if not re.search(r"worksheets/[^/]*\.xml$", member.filename):
            continue
        rows = cells = 0
        columns = 104  # up to CZ
        rest = b""
        with archive.open(member) as stream:
            while chunk := stream.read(1 << 20):
                text = rest + chunk
                cut = text.rfind(b"<")
                text, rest = (text[:cut], text[cut:]) if cut > 0 else (text, b"")
                cells += text.count(b"<c ") + text.count(b":c ")
                numbers = _ROW_NUMBER.findall(text)
                rows = max([rows, *map(int, numbers)])
                if len(numbers) < len(_ROW.findall(text)):  # rows without a number
                    rows = max(rows, 100_000)
                if re.search(rb'\br="[A-Z]{1,3}\d{%d,}"' % (len(str(rows)) + 1), text):  # a cell outside of its row
                    rows = 1 << 20
                if re.search(rb'\br="(?:[A-Z]{3}|[D-Z][A-Z])\d', text):
                    columns = 16_384 if re.search(rb'\br="[A-Z]{3}\d', text) else max(columns, 702)
        if rows * columns > max(200 * cells, 20_000_000):
            raise _bad_sheet(
                PurePosixPath(member.filename).stem,
                "các ô nằm quá xa nhau",
                "its cells lie too far apart",
                "Xóa các dòng và cột thừa ngoài vùng dữ liệu rồi gửi lại",
                "delete stray rows and columns outside of the data, then send it again",
            )


class WorkbookSheet:
    """One worksheet of a workbook. The first row that is not blank holds the headers."""

    def __init__(self, workbook: CalamineWorkbook, name: str, stem: str) -> None:
        self.stem = stem
        self._workbook = workbook
        self._name = name

    @cached_property
    def headers(self) -> list[str]:
        """The cells of the first row; the sheet is loaded when they are first asked for."""
        try:
            self._rows = self._workbook.get_sheet_by_name(self._name).iter_rows()
        except CalamineError as error:
            raise damaged(type(error).__name__) from None
        first = next((row for row in self._rows if any(cell != "" for cell in row)), [])
        headers = [cell_text(cell, None).strip() for cell in first]
        _check_headers(self.stem, headers)
        return headers

    def read(self, typed: Typed) -> pa.Table:
        """All rows, once; dates and numbers of Excel as the text that the field wants."""
        fields = [typed(header) for header in self.headers]
        names = [str(at) for at in range(len(self.headers))]
        schema = pa.schema([(name, TEXT) for name in names])
        chunks: list[pa.RecordBatch] = []
        waiting: list[list[Any]] = []

        def flush() -> None:
            columns = [_texts(list(cells), fields[at]) for at, cells in enumerate(zip(*waiting, strict=True))]
            chunks.append(pa.RecordBatch.from_arrays(columns, schema=schema))
            waiting.clear()

        for row in self._rows:
            waiting.append(row)
            if len(waiting) >= _CHUNK_ROWS:
                flush()
        if waiting:
            flush()
        del self._rows
        return pa.Table.from_batches(chunks, schema)


def _texts(cells: list[Any], wanted: Field | None) -> pa.Array:
    if set(map(type, cells)) != {str}:
        cells = [cell if type(cell) is str else cell_text(cell, wanted) for cell in cells]
    return pa.array(cells, TEXT)


def cell_text(value: Any, wanted: Field | None) -> str:
    """Text of one cell of Excel, as the field that it stands for writes it.

    Numbers with the 15 digits that Excel shows, without exponent or needless zeros; dates as yyyyMMdd or yyyyMMddHHmm.
    A code that Excel made a number ("01" became 1) stays the number: what it was cannot be known.
    """
    match value:
        case str():
            return value
        case bool():
            return "1" if value else "0"
        case int():
            return str(value)
        case float():
            number = Decimal(f"{value:.15g}")
            return f"{number.to_integral_value() if number == number.to_integral_value() else number:f}"
        case dt.datetime() | dt.date():
            return _date_text(value, wanted)
        case dt.time():
            return value.strftime("%H%M")
        case _:
            return "" if value is None else str(value)


def _date_text(value: dt.date, wanted: Field | None) -> str:
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    elif value.microsecond:  # a time of day is a fraction of a day in Excel: 07:59:59.999 was 08:00
        value = (value + dt.timedelta(milliseconds=500)).replace(microsecond=0)
    kind = (wanted.item_type or wanted.type) if wanted is not None else ""
    midnight = (value.hour, value.minute) == (0, 0)
    if kind == "date8" or (kind != "datetime12" and midnight):
        return value.strftime("%Y%m%d")
    return value.strftime("%Y%m%d%H%M")
