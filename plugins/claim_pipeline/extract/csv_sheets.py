"""A CSV file as a sheet: any encoding of Vietnamese text, comma, semicolon, tab or bar between its cells."""

from __future__ import annotations

import csv
import io
import re
import uuid
from collections.abc import Callable
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import legacy_text
from claim_pipeline.extract.columns import TEXT
from claim_pipeline.extract.sheet import Typed, bad_sheet, check_headers
from claim_pipeline.extract.text_files import HEAD, Encoding, as_utf8, encoding_of, encoding_of_whole, text_of

DELIMITERS = ",;\t|"
_BLOCK = 64 << 20  # bytes read at once; no row may be longer
_SEPARATOR_LINE = re.compile("sep=(.)\r?\n?$", re.IGNORECASE)  # with which Excel is told the delimiter


def looks_like_csv(head: bytes) -> bool:
    """Whether a file that begins so is a table of text: a first row with several cells, at least two of them names."""
    encoding = encoding_of(head)
    if encoding is None:
        return False
    try:
        record, _ = _first_record(text_of(head, encoding))
    except UnicodeDecodeError:
        return False
    cells = _cells(record, _delimiter(record))
    return len(cells) > 1 and sum(any(char.isalpha() for char in cell) for cell in cells) > 1


class CsvSheet:
    """A CSV file; `open_file` gives its bytes anew each time.

    `decimal_comma`: whether its delimiter is that of programs which write numbers with a comma. `scheme`: the encoding
    from before Unicode of its text, or None. Raises Quarantined where the encoding is not known.
    """

    numbers: dict[int, pa.Array]
    """Nothing: a CSV does not tell numbers from text."""

    def __init__(self, open_file: Callable[[], IO[bytes]], stem: str) -> None:
        self.stem = stem
        self.numbers = {}
        self._open = open_file
        with open_file() as stream:
            head = stream.read(HEAD)
        encoding = encoding_of(head)
        if encoding is None:
            raise self._not_known()
        self._set(encoding, head)

    def _set(self, encoding: Encoding, head: bytes) -> None:
        self._encoding = encoding
        try:
            text = text_of(head, encoding)
        except UnicodeDecodeError:
            raise self._not_known() from None
        record, self._skip = _first_record(text)
        self._delimiter = _delimiter(record) if self._skip == 1 else text[4]
        self.scheme = legacy_text.detect([text])
        if encoding == "8-bit" and self.scheme is None and not legacy_text.is_vietnamese([text]):
            raise self._not_known()
        headers = _cells(record, self._delimiter)
        self.headers = [legacy_text.convert(name, self.scheme) for name in headers] if self.scheme else headers
        self.decimal_comma = self._delimiter in ";\t"
        check_headers(self.stem, self.headers)

    @property
    def encoding(self) -> str:
        """Name of the encoding for people."""
        return self.scheme or ("windows-1252" if self._encoding == "8-bit" else self._encoding)

    @property
    def wholly_in_scheme(self) -> bool:
        """Whether text that does not tell its encoding is in that of the rest: bytes, not characters, were sent."""
        return self._encoding == "8-bit"

    def read(self, typed: Typed) -> pa.Table:
        """All rows as text, whatever `typed` says: a CSV has no other cells."""
        names = [str(at) for at in range(len(self.headers))]
        if not names:
            return pa.table({})
        try:
            return self._read(names)
        except _NotThisEncoding:
            with self._open() as stream:
                encoding = encoding_of_whole(stream)
            if self._encoding != "utf-8" or encoding != "8-bit":
                raise self._not_known() from None
            with self._open() as stream:
                self._set("8-bit", stream.read())
            return self._read(names)

    def _read(self, names: list[str]) -> pa.Table:
        wrong: list[int | None] = []

        def note(row: Any) -> str:
            wrong.append(row.number)
            return "skip"

        end = [f"end-{uuid.uuid4().hex}"] * len(names)
        with self._open() as stream:
            try:
                table = pyarrow.csv.read_csv(
                    _WithLastRow(as_utf8(stream, self._encoding), self._delimiter.join(end)),
                    pyarrow.csv.ReadOptions(
                        use_threads=False, column_names=names, skip_rows_after_names=self._skip, block_size=_BLOCK
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
            except UnicodeDecodeError:
                raise self._not_known() from None
            except pa.ArrowInvalid as error:
                if "UTF8" in str(error):
                    raise _NotThisEncoding from None
                raise self._not_csv() from None
        if wrong:
            first_vi = f", đầu tiên là dòng {wrong[0]}" if wrong[0] else ""
            first_en = f", the first is row {wrong[0]}" if wrong[0] else ""
            raise bad_sheet(
                self.stem,
                f"{len(wrong)} dòng có số ô khác số cột ({len(names)}){first_vi}",
                f"{len(wrong)} rows whose number of cells is not that of the columns ({len(names)}){first_en}",
                "Đặt ô có dấu phân cách hoặc xuống dòng trong dấu nháy kép rồi gửi lại",
                "put cells that hold a delimiter or a line break in double quotes, then send it again",
            )
        if not table.num_rows or list(table.slice(table.num_rows - 1).to_pylist()[0].values()) != end:
            raise self._not_csv()  # a quote that is never closed took in everything after it
        return table.slice(0, table.num_rows - 1)

    def _not_csv(self) -> Quarantined:
        return bad_sheet(
            self.stem,
            "không đúng dạng CSV (dấu nháy kép mở mà không đóng?)",
            "is not proper CSV (a double quote that is never closed?)",
            "Kiểm tra dấu nháy kép và dấu phân cách rồi gửi lại",
            "check double quotes and delimiters, then send it again",
        )

    def _not_known(self) -> Quarantined:
        return bad_sheet(
            self.stem,
            "không nhận ra bảng mã chữ Việt, hoặc có ký tự hỏng (không phải UTF-8, UTF-16, windows-1258, TCVN3, VNI)",
            "is in no encoding that is known, or has damaged characters (not UTF-8, UTF-16, windows-1258, TCVN3, VNI)",
            "Lưu CSV với mã hóa UTF-8 rồi gửi lại",
            "save the CSV as UTF-8 and send it again",
        )


class _NotThisEncoding(Exception):
    """The rest of a file is not in the encoding of its beginning."""


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


def _first_record(text: str) -> tuple[str, int]:
    """The header row, which may be quoted over several lines, and how many rows it and what is before it are."""
    record, rows = "", 1
    for line in io.StringIO(text, newline=""):
        if rows == 1 and record == "" and _SEPARATOR_LINE.match(line):
            rows = 2
            continue
        record += line
        if record.strip() == "":
            record = ""
        elif record.count('"') % 2 == 0:
            break
    return record, rows


def _delimiter(record: str) -> str:
    outside = re.sub(r'"[^"]*"', "", record)
    return max(DELIMITERS, key=outside.count)


def _cells(record: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter), [])
    except csv.Error:  # a cell longer than any name
        return []
