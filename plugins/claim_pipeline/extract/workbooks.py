"""Worksheets of Excel (xlsx, xlsm, xlsb, xls) as sheets: values become the text that their fields want."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import zipfile
from decimal import Decimal
from functools import cached_property
from pathlib import PurePosixPath
from typing import IO, Any

import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from claim_pipeline.extract import legacy_text
from claim_pipeline.extract.columns import TEXT
from claim_pipeline.extract.sheet import Typed, bad_sheet, check_headers
from claim_pipeline.extract.zips import OLE2_MAGIC, damaged, encrypted, is_workbook, open_zip, refuse_active
from claim_rules.dictionary import Field

_ROW = re.compile(rb"<(?:\w+:)?row[ >/]")
_ROW_NUMBER = re.compile(rb'<(?:\w+:)?row [^>]*?\br="(\d{1,7})"')
_CHUNK_ROWS = 5_000
_EXACT = 1e15  # whole numbers below have all their digits in a cell
_LOCKED = "EncryptedPackage".encode("utf-16-le")
_FIRST_SERIAL, _LAST_SERIAL = 10_000, 73_050  # days of Excel from 1927 to 2099: five digits, as no official date has
_SERIAL_START = dt.datetime(1899, 12, 30)


def open_workbook(
    stream: IO[bytes], max_unpacked: int, stack: contextlib.ExitStack
) -> tuple[CalamineWorkbook, list[str]]:
    """The workbook in a stream and the names of its worksheets. Raises Quarantined where it cannot be opened."""
    if stream.read(len(OLE2_MAGIC)) == OLE2_MAGIC:
        stream.seek(0)
        rest = b""
        while chunk := stream.read(1 << 20):
            if _LOCKED in rest + chunk:
                raise encrypted()
            rest = chunk[-len(_LOCKED) :]
    else:
        stream.seek(0)
        with open_zip(stream, max_unpacked) as archive:
            if not is_workbook(archive):
                raise damaged("not a workbook")
            refuse_active(archive)
            _check_extent(archive)
    stream.seek(0)
    try:
        workbook = stack.enter_context(CalamineWorkbook.from_filelike(stream))
        return workbook, workbook.sheet_names
    except PasswordError:
        raise encrypted() from None
    except CalamineError as error:
        raise damaged(type(error).__name__) from None


def _check_extent(archive: zipfile.ZipFile) -> None:
    """Refuses worksheets whose few cells lie so far apart that the rectangle around them would fill the memory, for
    that is how the reader lays them out."""
    for member in archive.infolist():
        found = re.search(r"worksheets/[^/]*\.(xml|bin)$", member.filename)
        if not found:
            continue
        with archive.open(member) as stream:
            rows, columns, cells = _extent_xml(stream) if found.group(1) == "xml" else _extent_binary(stream)
        if rows * columns > max(200 * cells, 20_000_000):
            raise bad_sheet(
                PurePosixPath(member.filename).stem,
                "các ô nằm quá xa nhau",
                "its cells lie too far apart",
                "Xóa các dòng và cột thừa ngoài vùng dữ liệu rồi gửi lại",
                "delete stray rows and columns outside of the data, then send it again",
            )


def _extent_xml(stream: IO[bytes]) -> tuple[int, int, int]:
    """Rows, columns (rounded up) and cells of a worksheet of xlsx."""
    rows = cells = 0
    columns = 104  # up to CZ
    rest = b""
    while chunk := stream.read(1 << 20):
        text = rest + chunk
        cut = text.rfind(b"<")
        text, rest = (text[:cut], text[cut:]) if cut > 0 else (text, b"")
        cells += text.count(b"<c ") + text.count(b":c ")
        numbers = _ROW_NUMBER.findall(text)
        rows = max([rows, *map(int, numbers)])
        if len(numbers) < len(_ROW.findall(text)):  # rows without a number
            rows = max(rows, 100_000)
        if re.search(rb'r="[A-Z]{1,3}\d{%d,}"' % (len(str(rows)) + 1), text):  # a cell outside of its row
            rows = 1 << 20
        if re.search(rb'r="(?:[A-Z]{3}|[D-Z][A-Z])\d', text):
            columns = 16_384 if re.search(rb'r="[A-Z]{3}\d', text) else max(columns, 702)
    return rows, columns, cells


def _extent_binary(stream: IO[bytes]) -> tuple[int, int, int]:
    """The same of a worksheet of xlsb: records of an id (0: a row, 1 to 11: a cell), a size and that many bytes."""
    rows = columns = cells = 0
    while first := stream.read(1):
        kind = first[0]
        if kind & 0x80:
            kind |= (stream.read(1) or b"\0")[0] << 8
        size = shift = 0
        while shift < 28 and (byte := stream.read(1)):
            size |= (byte[0] & 0x7F) << shift
            shift += 7
            if not byte[0] & 0x80:
                break
        body = stream.read(size)
        if kind == 0:
            rows = max(rows, int.from_bytes(body[:4], "little") + 1)
        elif kind <= 11:
            columns = max(columns, int.from_bytes(body[:4], "little") + 1)
            cells += 1
    return rows, columns, cells


class WorkbookSheet:
    """One worksheet of a workbook. The first row that is not blank holds the headers."""

    decimal_comma = False
    wholly_in_scheme = False

    def __init__(self, workbook: CalamineWorkbook, name: str, stem: str) -> None:
        self.stem = stem
        self.numbers: dict[int, pa.Array] = {}
        self.scheme: str | None = None
        self._workbook = workbook
        self._name = name

    @property
    def encoding(self) -> str:
        return self.scheme or "unicode"

    @cached_property
    def headers(self) -> list[str]:
        """The cells of the first row; the sheet is loaded when they are first asked for."""
        try:
            self._rows = self._workbook.get_sheet_by_name(self._name).iter_rows()
        except CalamineError as error:
            raise damaged(type(error).__name__) from None
        first = next((row for row in self._rows if any(cell != "" for cell in row)), [])
        headers = [cell_text(cell, None).strip() for cell in first]
        self.scheme = legacy_text.detect(headers)
        if self.scheme:
            headers = [legacy_text.convert(header, self.scheme) for header in headers]
        check_headers(self.stem, headers)
        return headers

    def read(self, typed: Typed) -> pa.Table:
        """All rows, once; dates and numbers of Excel as the text that the field wants."""
        fields = [typed(header) for header in self.headers]
        codes = [at for at, field in enumerate(fields) if field is not None and field.type == "string"]
        names = [str(at) for at in range(len(self.headers))]
        schema = pa.schema([(name, TEXT) for name in names])
        chunks: list[pa.RecordBatch] = []
        masks: dict[int, list[pa.Array]] = {at: [] for at in codes}
        waiting: list[list[Any]] = []

        def flush() -> None:
            columns = list(zip(*waiting, strict=True))
            for at in codes:
                masks[at].append(_numbers(columns[at]))
            texts = [_texts(list(cells), fields[at]) for at, cells in enumerate(columns)]
            chunks.append(pa.RecordBatch.from_arrays(texts, schema=schema))
            waiting.clear()

        for row in self._rows:
            waiting.append(row)
            if len(waiting) >= _CHUNK_ROWS:
                flush()
        if waiting:
            flush()
        del self._rows
        self.numbers = {at: pa.chunked_array(parts, pa.bool_()).combine_chunks() for at, parts in masks.items()}
        return pa.Table.from_batches(chunks, schema)


def _numbers(cells: tuple[Any, ...]) -> pa.Array:
    if {float, int}.isdisjoint(map(type, cells)):
        return pa.repeat(pa.scalar(False), len(cells))
    return pa.array([type(cell) in (float, int) for cell in cells], pa.bool_())


def _texts(cells: list[Any], wanted: Field | None) -> pa.Array:
    kinds = set(map(type, cells))
    if kinds == {float} and not _date_kind(wanted):
        cells = [_number_text(cell) for cell in cells]
    elif kinds != {str}:
        cells = [cell if type(cell) is str else cell_text(cell, wanted) for cell in cells]
    return pa.array(cells, TEXT)


def cell_text(value: Any, wanted: Field | None) -> str:
    """Text of one cell of Excel, as the field that it stands for writes it.

    Numbers with the 15 digits that Excel shows, without exponent or needless zeros; dates, also as the number of days
    that Excel counts, as yyyyMMdd or yyyyMMddHHmm. A code that Excel made a number ("01" became 1) stays the number
    here; `codes` knows which of them can be told.
    """
    match value:
        case str():
            return value
        case bool():
            return "1" if value else "0"
        case int() | float():
            if _FIRST_SERIAL <= value < _LAST_SERIAL and _date_kind(wanted):
                seconds = round(value * 86_400)
                return _date_text(_SERIAL_START + dt.timedelta(seconds=seconds), wanted)
            return _number_text(value)
        case dt.datetime() | dt.date():
            return _date_text(value, wanted)
        case dt.time():
            return value.strftime("%H%M")
        case _:
            return "" if value is None else str(value)


def _number_text(value: float) -> str:
    if value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    text = f"{value:.15g}"
    return text if "e" not in text else f"{Decimal(text):f}"


def _date_kind(wanted: Field | None) -> str:
    kind = (wanted.item_type or wanted.type) if wanted is not None else ""
    return kind if kind.startswith("date") else ""


def _date_text(value: dt.date, wanted: Field | None) -> str:
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    elif value.microsecond:  # a time of day is a fraction of a day in Excel: 07:59:59.999 was 08:00
        value = (value + dt.timedelta(milliseconds=500)).replace(microsecond=0)
    kind = _date_kind(wanted)
    midnight = (value.hour, value.minute) == (0, 0)
    if kind == "date8" or (kind != "datetime12" and midnight):
        return value.strftime("%Y%m%d")
    return value.strftime("%Y%m%d%H%M")
