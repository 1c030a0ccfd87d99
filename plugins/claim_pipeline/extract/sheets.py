"""What an export holds: its sheets, whatever their format, alone or in a zip; told by content, not by name."""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.csv_sheets import CsvSheet, looks_like_csv
from claim_pipeline.extract.json_sheets import Key, looks_like_json, read_sheets
from claim_pipeline.extract.sheet import Sheet
from claim_pipeline.extract.workbooks import WorkbookSheet, open_workbook
from claim_pipeline.extract.zips import OLE2_MAGIC, ZIP_MAGIC, damaged, encrypted, is_workbook, open_zip

HEAD = 64 << 10
CSV, WORKBOOK, JSON = "emr-csv", "emr-xlsx", "emr-json"
_WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls")
ENDINGS = (".csv", ".tsv", ".txt", ".json", ".ndjson", *_WORKBOOKS)
"""Endings that a sheet of an export may have in a zip that holds claim XML too."""

_TEXTS = (".csv", ".tsv", ".txt", "")


@dataclass
class Export:
    """All sheets of an export, the names of what else it holds, and its format: that of its first sheet that is not
    CSV."""

    sheets: list[Sheet] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    format: str = CSV


@dataclass
class _Names:
    """What is known of names before a profile is chosen: which are those of sheets, which column links rows."""

    known: Callable[[str], bool]
    key: Key
    max_unpacked: int


@contextlib.contextmanager
def open_export(path: Path, *, known: Callable[[str], bool], key: Key, max_unpacked: int) -> Iterator[Export]:
    """The export in a zip, a workbook, a CSV or JSON file.

    known: whether a name is that of a sheet of a profile. A worksheet goes by its own name; in a workbook of a zip that
    has none of the known names, the first worksheet goes by the file's name. A single CSV, and the encounters of a JSON
    list, have no name. Nothing is ever unpacked to the names that a zip gives. Raises Quarantined for files that are
    damaged, encrypted or unpack to more than `max_unpacked` bytes.
    """
    names = _Names(known, key, max_unpacked)
    with contextlib.ExitStack() as stack:
        try:
            export = Export()
            with path.open("rb") as stream:
                head = stream.read(HEAD)
            if head.startswith(OLE2_MAGIC):
                _add_workbook(export, stack.enter_context(path.open("rb")), "", names, stack)
            elif head.startswith(ZIP_MAGIC):
                archive = stack.enter_context(open_zip(path, max_unpacked))
                if is_workbook(archive):
                    _add_workbook(export, stack.enter_context(path.open("rb")), "", names, stack)
                else:
                    _add_members(export, archive, names, stack)
            elif looks_like_json(head):
                _add_json(export, path.open("rb"), "", names)
            else:
                export.sheets.append(CsvSheet(lambda: path.open("rb"), ""))
            yield export
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise damaged(type(error).__name__) from None


def is_table_of_text(head: bytes) -> bool:
    """Whether a file that begins so is JSON or CSV."""
    return looks_like_json(head) or looks_like_csv(head)


def _add_members(export: Export, archive: zipfile.ZipFile, names: _Names, stack: contextlib.ExitStack) -> None:
    for member in archive.infolist():
        place = PurePosixPath(member.filename.replace("\\", "/"))
        if member.is_dir() or place.name.startswith((".", "~$")) or "__MACOSX" in place.parts:
            continue
        if member.flag_bits & 0x1:
            raise encrypted()
        with archive.open(member) as stream:
            head = stream.read(HEAD)
        ending = place.suffix.lower()
        if ending in _WORKBOOKS or head.startswith((OLE2_MAGIC, *ZIP_MAGIC)):
            if head.startswith(ZIP_MAGIC) and ending not in _WORKBOOKS and not _is_workbook(archive, member):
                export.others.append(place.name)
                continue
            _add_workbook(export, _aside(archive, member, stack), place.stem, names, stack)
        elif looks_like_json(head):
            _add_json(export, archive.open(member), place.stem, names)
        elif ending == ".csv" or (ending in _TEXTS and looks_like_csv(head)):
            export.sheets.append(CsvSheet(_opener(archive, member), place.stem))
        else:
            export.others.append(place.name)


def _opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(member)


def _is_workbook(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    with archive.open(member) as stream, contextlib.suppress(zipfile.BadZipFile, ValueError):
        return is_workbook(zipfile.ZipFile(stream))
    return False


def _aside(archive: zipfile.ZipFile, member: zipfile.ZipInfo, stack: contextlib.ExitStack) -> IO[bytes]:
    """A member as a file that can be read at any place."""
    aside = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    with archive.open(member) as stream:
        while chunk := stream.read(1 << 20):
            aside.write(chunk)
    aside.seek(0)
    return aside


def _add_workbook(export: Export, stream: IO[bytes], stem: str, names: _Names, stack: contextlib.ExitStack) -> None:
    workbook, found = open_workbook(stream, names.max_unpacked, stack)
    export.format = WORKBOOK if export.format == CSV else export.format
    named = [name for name in found if names.known(name)]
    if not named and len(found) > 1 and not stem:  # their headers will tell which they are
        named = found
    for name in named or found[:1]:
        export.sheets.append(WorkbookSheet(workbook, name, name if named else stem))
    export.others.extend(name for name in found if name not in (named or found[:1]))


def _add_json(export: Export, opened: IO[bytes], stem: str, names: _Names) -> None:
    export.format = JSON if export.format == CSV else export.format
    with opened as stream:
        for sheet in read_sheets(stream, names.key):
            sheet.stem = sheet.stem or stem
            export.sheets.append(sheet)


def no_sheet_fits(there: str, wanted: str, *, xml_inside: bool) -> Quarantined:
    """What to say of an export that lacks a sheet."""
    return Quarantined(
        "not-a-delivery",
        f"Thiếu bảng bắt buộc: {wanted}; trong tệp có: {there}",
        f"required sheets are missing: {wanted}; the file holds: {there}",
        "Không để hồ sơ XML chung với bảng xuất trong một tệp zip" if xml_inside else f"Thêm bảng {wanted} rồi gửi lại",
        "do not put claim XML and sheets of an export into one zip"
        if xml_inside
        else f"add the sheet {wanted} and send it again",
    )
