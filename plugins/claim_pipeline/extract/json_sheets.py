"""JSON and NDJSON of a record system as sheets: an object of sheets, or encounters with their own lists."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import pyarrow as pa

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import legacy_text
from claim_pipeline.extract.columns import TEXT
from claim_pipeline.extract.sheet import Typed, bad_sheet, check_headers
from claim_pipeline.extract.text_files import HEAD, as_utf8, encoding_of, text_of

_MOST_BYTES = 256 << 20  # of one JSON document, which is in memory as a whole; NDJSON has no such limit
_LONGEST_LINE = 64 << 20

Key = Callable[[Iterable[str]], str | None]
"""From the names of a row to the one that links encounters and their lists, or None."""


def looks_like_json(head: bytes) -> bool:
    """Whether a file that begins so is JSON: an object or a list."""
    encoding = encoding_of(head)
    if encoding is None:
        return False
    try:
        return text_of(head, encoding).lstrip().startswith(("{", "["))
    except UnicodeDecodeError:
        return False


class JsonSheet:
    """Rows of JSON objects; a column is a name that any of them has. Numbers keep the digits that were written."""

    decimal_comma = False
    wholly_in_scheme = False
    encoding = "unicode"

    def __init__(self, stem: str) -> None:
        self.stem = stem
        self.numbers: dict[int, pa.Array] = {}
        self.scheme: str | None = None
        self._cells: dict[str, list[tuple[int, str]]] = {}
        self._rows = 0

    def add(self, row: dict[str, str]) -> None:
        """One more row."""
        for name, value in row.items():
            self._cells.setdefault(name, []).append((self._rows, value))
        self._rows += 1

    @property
    def headers(self) -> list[str]:
        names = list(self._cells)
        self.scheme = legacy_text.detect(names)
        names = [legacy_text.convert(name, self.scheme) for name in names] if self.scheme else names
        check_headers(self.stem, names)
        return names

    def read(self, typed: Typed) -> pa.Table:
        """All rows as the text that was written."""
        columns = []
        for cells in self._cells.values():
            values = [""] * self._rows
            for at, value in cells:
                values[at] = value
            columns.append(pa.array(values, TEXT))
        return pa.table(columns, names=[str(at) for at in range(len(columns))])


def read_sheets(stream: IO[bytes], key: Key) -> list[JsonSheet]:
    """The sheets of a file. An object without a key is one of sheets; everything else is encounters, in a list or one
    a line, in a sheet without a name. Lists of objects in a row are sheets too; their rows get its key where they have
    none. Raises Quarantined for what is not such JSON."""
    sheets: dict[str, JsonSheet] = {}
    for name, record in _records(_utf8(stream), key):
        own, lists = _apart(name, record)
        link = key(own)
        sheets.setdefault(name, JsonSheet(name)).add(own)
        for inner, rows in lists.items():
            for row in rows:
                cells, deeper = _apart(inner, row)
                if deeper:
                    raise _bad(inner, "danh sách lồng quá sâu", "lists are nested too deep")
                if link is not None and key(cells) is None:
                    cells[link] = own[link]
                sheets.setdefault(inner, JsonSheet(inner)).add(cells)
    return list(sheets.values())


def _utf8(stream: IO[bytes]) -> IO[bytes]:
    head = stream.read(HEAD)
    stream.seek(0)
    encoding = encoding_of(head)
    if encoding is None or encoding == "8-bit":
        raise _bad("", "không phải UTF-8", "is not UTF-8")
    if encoding != "utf-8":
        try:
            return io.BytesIO(as_utf8(stream, encoding).read(_MOST_BYTES))
        except UnicodeDecodeError:
            raise _bad("", "không phải UTF-16", "is not UTF-16") from None
    return stream


def _records(stream: IO[bytes], key: Key) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of the sheet ("" for encounters) and object of each row of the outermost lists."""
    first = _line(stream)
    try:
        whole = _parsed(first)
    except Quarantined:
        content = first + stream.read(_MOST_BYTES)
        if len(content) > _MOST_BYTES:
            raise _too_large() from None
        whole = _parsed(content)
    else:
        second = _line(stream)
        if second:
            for line in itertools.chain((first, second), iter(lambda: _line(stream), b"")):
                yield "", _object("", _parsed(line))
            return
    if isinstance(whole, dict) and key(whole) is None:
        for name, rows in whole.items():
            if isinstance(rows, list | dict):
                for row in [rows] if isinstance(rows, dict) else rows:
                    yield name, _object(name, row)
    else:
        for row in whole if isinstance(whole, list) else [whole]:
            yield "", _object("", row)


def _line(stream: IO[bytes]) -> bytes:
    """The next line that is not blank, b"" at the end."""
    while line := stream.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise _too_large()
        if line.strip():
            return line
    return b""


def _apart(name: str, row: Any) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """The cells of a row, objects in it with dotted names, and the lists of objects in it."""
    cells: dict[str, str] = {}
    lists: dict[str, list[Any]] = {}
    for label, value in _object(name, row).items():
        if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            lists[label] = value
        elif isinstance(value, dict):
            for inner, content in value.items():
                cells[f"{label}.{inner}"] = _cell(name, content)
        elif value != []:
            cells[label] = _cell(name, value)
    return cells, lists


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list):
        return ";".join(_cell(name, item) for item in value)
    if value is not None:
        raise _bad(name, "đối tượng lồng quá sâu", "objects are nested too deep")
    return ""


def _object(name: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise _bad(name, "mỗi dòng phải là một đối tượng JSON", "each row must be a JSON object")
    return row


def _parsed(content: bytes) -> Any:
    def constant(text: str) -> None:
        raise ValueError(text)

    try:
        return json.loads(
            content.decode("utf-8-sig"),
            parse_float=str,
            parse_int=str,
            parse_constant=constant,
            object_pairs_hook=_without_repetition,
            strict=False,
        )
    except (ValueError, RecursionError):
        raise _bad("", "không phải JSON đúng", "is not proper JSON") from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is repeated")
    return found


def _bad(name: str, vi: str, en: str) -> Quarantined:
    return bad_sheet(
        name, f"JSON {vi}", f"JSON: {en}", "Sửa phần mềm xuất JSON rồi gửi lại", "correct the export and send it again"
    )


def _too_large() -> Quarantined:
    return Quarantined(
        "too-large",
        f"Tệp JSON lớn hơn {_MOST_BYTES >> 20} MiB hoặc có dòng lớn hơn {_LONGEST_LINE >> 20} MiB",
        f"the JSON is larger than {_MOST_BYTES >> 20} MiB or has a line larger than {_LONGEST_LINE >> 20} MiB",
        "Gửi dạng NDJSON (mỗi dòng một lượt khám) hoặc chia nhỏ tệp",
        "send it as NDJSON (one encounter a line) or as several files",
    )
