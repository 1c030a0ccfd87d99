"""Reads reference data (catalogues, cards, facilities, ...) from a folder of csv and xlsx files, and says of each file
what was read, refused and doubtful."""

from __future__ import annotations

import codecs
import contextlib
import csv
import datetime as dt
import hashlib
import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from claim_pipeline import reference_layouts as layouts
from claim_pipeline.errors import ReferenceDataError
from claim_rules.reference import SAME_ITEM, overlaps

if TYPE_CHECKING:
    from claim_pipeline.archive import Archive
    from claim_pipeline.store.store import Store

FILES = tuple(layouts.KEYS)
"""File stems of the contract."""

DATE_COLUMNS = frozenset(
    {
        "TU_NGAY", "DEN_NGAY", "GT_THE_TU", "GT_THE_DEN", "HOP_DONG_TU", "HOP_DONG_DEN", "NAM_NAM_LIEN_TUC",
        "TRANG_THAI_TU", "NGAY", "TU_NGAY_HD", "DEN_NGAY_HD", "HD_TU", "HD_DEN", "NGAYCAP_CCHN",
    }
)  # fmt: skip
TIME_COLUMNS = {"card_lookups": frozenset({"THOI_DIEM"})}
"""File stem -> columns that are yyyymmddHHMM."""
WIDTHS = {"administrative_units": {"MA_TINH": 2, "MA_XA": 5}}
"""File stem -> columns of digits -> how many: spreadsheets like to drop leading zeros."""
FACILITY_COLUMN = "MA_CSKCB"
REPORTS = "reports"
UNKNOWN = "unknown"
REPORT_SCHEMA = "giamdinh.reference-report/1"
_DATA = (".csv", ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods", ".zip")
_ROWS_AT_ONCE = 20_000
_BYTES_AT_ONCE = 4 << 20
_SHEETS = (".xlsx", ".xlsm", ".xls")
_HEADER_WITHIN = 30  # rows of titles that may stand above the header of an export
_SHOWN = 2_000  # refused rows and warnings that a report names one by one
_SHOWN_AS_TEXT = 200
_REFUSED = "TỆP KHÔNG ĐƯỢC NHẬN"
_NAMES = layouts.KNOWN.union(*(copied.values() for copied in layouts.COPIED.values()))
_LOOK_LIKE_DATES = r"([0-9]{1,2})[/-]([0-9]{1,2})[/-]([0-9]{4})(?: [0-9:]{4,8})?"

log = logging.getLogger(__name__)


@dataclass
class Report:
    """What became of one file. refused, warnings: {"code", "row", "column", "vi", "en"}, the first ones; their numbers
    are refused_rows and warned. found: number of notes by code. Cells are never quoted: they may be of a person."""

    file: str
    table: str
    layout: str = "csv"
    sha256: str = ""
    read_rows: int = 0
    loaded_rows: int = 0
    refused_rows: int = 0
    warned: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    found: dict[str, int] = field(default_factory=dict)
    error_vi: str | None = None
    error_en: str | None = None

    def warn(self, code: str, row: int | None, column: str | None, vi: str, en: str) -> None:
        """Notes something doubtful that keeps nothing out."""
        self.warned += 1
        self.found[code] = self.found.get(code, 0) + 1
        if len(self.warnings) < _SHOWN:
            self.warnings.append({"code": code, "row": row, "column": column, "vi": vi, "en": en})

    def refuse(self, code: str, row: int | None, column: str | None, vi: str, en: str) -> None:
        """Notes a row that is left out."""
        self.refused_rows += 1
        if len(self.refused) < _SHOWN:
            self.refused.append({"code": code, "row": row, "column": column, "vi": vi, "en": en})

    def as_text(self, also: Mapping[str, Any] | None = None) -> str:
        """The report as a page of text for whoever dropped the file, Vietnamese first. also: one more warning."""
        warnings = [also, *self.warnings] if also is not None else self.warnings
        warned = self.warned + (also is not None)
        out = [f"{self.file} · {self.table} · {self.layout}", f"sha256 {self.sha256}"]
        if self.error_vi is not None:
            out += ["", f"{_REFUSED}: {self.error_vi}", f"The file was not taken: {self.error_en}"]
            out += ["Danh mục đang dùng vẫn giữ nguyên. · The data in force stay as they are."]
        else:
            out += [
                f"Đọc {self.read_rows} dòng, nạp {self.loaded_rows}, từ chối {self.refused_rows}; cảnh báo {warned}.",
                f"{self.read_rows} rows read, {self.loaded_rows} loaded, {self.refused_rows} refused; "
                f"{warned} warnings.",
            ]
        for title, notes, number in (
            ("Dòng bị từ chối · Rows refused", self.refused, self.refused_rows),
            ("Cảnh báo · Warnings", warnings, warned),
        ):
            if notes:
                out += ["", title]
                for note in notes[:_SHOWN_AS_TEXT]:
                    row = f"dòng {note['row']} · row {note['row']}" if note["row"] else ""
                    place = ", ".join(part for part in (row, note["column"] or "") if part)
                    out.append(f"- {place + ': ' if place else ''}{note['vi']} · {note['en']}")
                if number > _SHOWN_AS_TEXT:
                    out.append(f"- … (+{number - _SHOWN_AS_TEXT})")
        return "\n".join(out) + "\n"


def read_folder(
    folder: Path | str,
    errors: list[ReferenceDataError] | None = None,
    leave_out: Collection[str] = (),
    reports: dict[str, Report] | None = None,
    found: Mapping[str, list[Path]] | None = None,
) -> dict[str, pd.DataFrame]:
    """All reference files of a folder: file stem -> frame of text columns (dtype str, blank cells are "").

    Headers are upper case, TUNGAY and DENNGAY are called TU_NGAY and DEN_NGAY, cells are stripped, blank rows dropped.
    A missing file is an absent key, a missing column an absent column. Other files of the folder are left alone, and
    so are the stems to `leave_out`.

    A file that cannot be used raises ReferenceDataError, which names file, row and column; with a list for `errors`
    it is put there instead, and the other files still load. With `reports` (by stem, filled here) rows that cannot be
    used are left out and named there; without, the first of them raises. found: the files of the folder by stem, where
    they are known already.
    """
    tables: dict[str, pd.DataFrame] = {}
    for stem, paths in sorted((_found(Path(folder))[0] if found is None else found).items()):
        if stem in leave_out and len(paths) == 1:
            continue
        report = Report(", ".join(path.name for path in paths), stem)
        try:
            if len(paths) > 1:
                raise _error(report.file, None, None, "chỉ được có một tệp cho mỗi danh mục", "only one file per table")
            tables[stem] = _read_whole(paths[0], stem, report, lenient=reports is not None)
        except FileNotFoundError:  # gone since the folder was listed
            continue
        except ReferenceDataError as error:
            report.error_vi, report.error_en = error.message_vi, error.message_en
            if errors is None:
                raise
            errors.append(error)
        if reports is not None:
            reports[stem] = report
    return tables


def load_folder(
    folder: Path | str,
    store: Store,
    actor: str = "reference",
    archive: Archive | None = None,
    valid_from: str | None = None,
    *,
    empty: bool = False,
) -> dict[str, int]:
    """Puts the reference files of a folder (or one file) in force; returns the rows per file now in force.

    Files whose bytes are in force already are not read again. Rows that cannot be used are left out, unless they are
    more than half of their file. What became of each file is recorded with the load, or as a refusal, and written into
    the folder `reports` beside the files: as a text under the file's name, and as page, workbook and JSON in a folder
    of each load (`report_folder`). A file that cannot be used, or of which nobody knows what it is, is left out; after
    the others are loaded it is named in a ReferenceDataError. A file that is gone or another before it is read to its
    end is left to the next load. archive: where every file that is read is kept. valid_from: yyyymmdd, the first day
    of an ICD-10 annex that has no dates (see `_dated`); it is loaded again by it. empty: a file without rows may
    replace a table that has some.
    """
    from claim_pipeline.store.reference_rows import Source

    place = Path(folder)
    in_force = store.reference_loads()
    found, unknown = _found(place, {(load["file"], load["sha256"]): stem for stem, load in in_force.items()})
    hashes = _hashes(found)
    held = {stem for stem, sha256 in hashes.items() if stem in in_force and in_force[stem]["sha256"] == sha256}
    same = held - {"icd10"} if valid_from is not None else held
    errors: list[ReferenceDataError] = []
    reports: dict[str, Report] = {}
    tables = read_folder(place, errors, same, reports, found)
    read_now = _hashes({stem: found[stem] for stem in tables})
    for stem in list(reports):
        reports[stem].sha256 = hashes.get(stem, "")
        if stem in tables and (stem not in hashes or read_now.get(stem) != hashes[stem]):
            del tables[stem], reports[stem]  # it changed, or went, while it was read: the next load takes what is there
        elif archive is not None and not _kept(found[stem], archive) and stem in tables:
            del tables[stem], reports[stem]
    for stem in list(tables):
        try:
            if tables[stem].empty and not empty:
                _refuse_empty(reports[stem], in_force.get(stem))
            if stem == "icd10":
                tables[stem] = _dated(tables[stem], found[stem][0], valid_from, in_force, store, reports[stem])
        except FileNotFoundError:
            del tables[stem], reports[stem]
        except ReferenceDataError as error:
            del tables[stem]
            errors.append(error)
            reports[stem].error_vi, reports[stem].error_en = error.message_vi, error.message_en
    facilities = tables.get("facilities")
    if facilities is None and "facilities" in in_force and any(FACILITY_COLUMN in tables[stem] for stem in tables):
        facilities = store.reference(loads=[in_force["facilities"]["load"]], names=["facilities"])["facilities"]
    for path in unknown:
        try:
            report = Report(path.name, UNKNOWN, "", _sha256(path))
            fault = _error(
                path.name, None, None, "không biết đây là danh mục nào (xem tiêu đề và tên tệp)",
                "it is not known which table this is (see its headers and name)",
            )  # fmt: skip
        except FileNotFoundError:
            continue
        except OSError as denied:
            report, fault = Report(path.name, UNKNOWN, ""), _unreadable(path, denied)
        if archive is not None:
            _kept([path], archive)
        reports[path.name] = report
        report.error_vi, report.error_en = fault.message_vi, fault.message_en
        errors.append(fault)
    sources = {}
    refused = []
    for stem, report in reports.items():
        sha256 = report.sha256 or None
        if stem in tables:
            _unknown_facilities(tables[stem], facilities, report)
            _missing_columns(tables[stem], report)
            items = SAME_ITEM.get(stem) or layouts.KEYS[stem]
            sources[stem] = Source(sha256, report.file, report.layout, asdict(report), items, again=stem in held)
        else:
            refused.append((report.table, Source(sha256, report.file, report.layout, asdict(report))))
    loaded = store.load_reference_files(tables, hashes, actor, sources, refused)
    in_place = {stem: (found[stem][0].name, in_force[stem]) for stem in same if stem not in reports}
    _write_reports(place if place.is_dir() else place.parent, reports, in_place, store)
    if errors:
        first, *more = errors
        raise ReferenceDataError(
            first.code,
            "; ".join([first.message_vi, *(error.message_vi for error in more)]),
            "; ".join([first.message_en, *(error.message_en for error in more)]),
            first.next_vi,
            first.next_en,
        )
    return {stem: in_force[stem]["rows"] for stem in sorted(same)} | {stem: one.rows for stem, one in loaded.items()}


def _kept(paths: Iterable[Path], archive: Archive) -> bool:
    """Keeps the bytes of files in the archive; whether all of them could be read."""
    whole = True
    for path in paths:
        try:
            archive.keep(path)
        except OSError:
            try:
                path.open("rb").close()
            except OSError:
                whole = False
            else:
                raise  # it is the archive that failed
    return whole


def _refuse_empty(report: Report, held: Mapping[str, Any] | None) -> None:
    """An export that broke off must not put a whole catalogue out of force."""
    rows = held["rows"] if held is not None else 0
    if rows:
        raise _error(
            report.file, None, None, f"không có dòng nào, mà danh mục đang dùng có {rows} dòng. Muốn kết thúc các dòng "
            "thì ghi DEN_NGAY; nếu danh mục thực sự trống thì nạp bằng giamdinh reference load TỆP --empty",
            f"it has no rows, and the table in force has {rows}. To end rows, give them a DEN_NGAY; if the table "
            "really is empty, load it by giamdinh reference load FILE --empty",
        )  # fmt: skip
    report.warn(
        "empty", None, None, "không có dòng nào: danh mục đang dùng là bảng trống",
        "no rows: the table in force is empty",
    )  # fmt: skip


def _dated(
    frame: pd.DataFrame, path: Path, valid_from: str | None, in_force: dict[str, Any], store: Store, report: Report
) -> pd.DataFrame:
    """An ICD-10 annex has no dates. It holds from its first day (valid_from, else that of the decision which file name
    or title names) until the list that begins next; a list in force that began before ends the day before, and stays
    for earlier days. The bytes in force, loaded again, hold from their new first day alone. Without either day it
    holds always, and the report says so; lists in force that have days are not replaced by it.
    """
    if report.layout != "icd10-annex" or "TU_NGAY" in frame:
        return frame
    first = valid_from or layouts.first_day_of_icd_list(" ".join([path.stem, *_titles(path)]))
    held = in_force.get("icd10")
    before = None
    if held is not None:
        before = store.reference(loads=[held["load"]], names=["icd10"])["icd10"].fillna("")
        if "DEN_NGAY" not in before:
            before["DEN_NGAY"] = ""
    if first is None:
        if before is not None and "TU_NGAY" in before and (before["TU_NGAY"] != "").any():
            raise _error(
                path.name, None, "TU_NGAY", "không có ngày bắt đầu hiệu lực, mà danh mục ICD-10 đang dùng có ngày: nạp "
                "bằng giamdinh reference load TỆP --valid-from NGÀY", "no first day of validity, and the ICD-10 lists "
                "in force have days: load it by giamdinh reference load FILE --valid-from DAY",
            )  # fmt: skip
        report.warn(
            "dates", None, "TU_NGAY", "không có ngày bắt đầu hiệu lực: dùng cho mọi ngày",
            "no first day of validity: it holds for all days",
        )  # fmt: skip
        return frame.assign(TU_NGAY="", DEN_NGAY="")
    if held is not None and before is not None and "TU_NGAY" in before and held["sha256"] == report.sha256:
        before = _without(before, frame)
    if before is None or before.empty or "TU_NGAY" not in before:
        report.warn(
            "dates", None, "TU_NGAY", f"hiệu lực từ {first}: hồ sơ ra viện trước ngày này chưa có danh mục ICD-10; nạp "
            "thêm danh mục trước đó", f"valid from {first}: for visits that ended before that day there is no ICD-10 "
            "list; load the one before too",
        )  # fmt: skip
        return frame.assign(TU_NGAY=first, DEN_NGAY="")
    later = before.loc[before["TU_NGAY"] > first, "TU_NGAY"].min()
    new = frame.assign(TU_NGAY=first, DEN_NGAY=_day_before(later) if isinstance(later, str) else "")
    earlier = before[before["TU_NGAY"] < first]
    open_then = (earlier["DEN_NGAY"] == "") | (earlier["DEN_NGAY"] >= first)
    earlier = earlier.assign(DEN_NGAY=earlier["DEN_NGAY"].where(~open_then, _day_before(first)))
    return pd.concat([earlier, new, before[before["TU_NGAY"] > first]], ignore_index=True).fillna("")


def _without(before: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The lists in force without this one, whatever its first day was; the list before it holds to its end again."""
    names = [name for name in frame.columns if name in before]
    for day, rows in before.groupby("TU_NGAY"):
        if len(rows) == len(frame) and rows[names].to_numpy().tolist() == frame[names].to_numpy().tolist():
            others = before[before["TU_NGAY"] != day]
            if day:
                ends_there = others["DEN_NGAY"] == _day_before(str(day))
                others = others.assign(DEN_NGAY=others["DEN_NGAY"].mask(ends_there, rows["DEN_NGAY"].iloc[0]))
            return others
    return before


def _day_before(day: str) -> str:
    return (dt.datetime.strptime(day, "%Y%m%d") - dt.timedelta(days=1)).strftime("%Y%m%d")


def _titles(path: Path) -> list[str]:
    """What stands above the header."""
    rows = _sheet_rows(path) if path.suffix.lower() in _SHEETS else _csv_rows(path)
    header = _headed(path)[0]
    return [cell for number, cells in islice(rows, _HEADER_WITHIN) if number < header for cell in cells if cell]


def _missing_columns(frame: pd.DataFrame, report: Report) -> None:
    """Columns of the contract that the file lacks, and the rules that do not run, or run in part, without them."""
    from claim_rules import catalogue

    for column in layouts.COLUMNS[report.table]:
        if column in frame:
            continue
        rules = [
            rule.id for rule in catalogue.book().values()
            if column in (*rule.needs.get(report.table, ()), *rule.wants.get(report.table, ()))
        ]  # fmt: skip
        if rules:
            named = ", ".join(rules)
            report.warn(
                "columns", None, column, f"thiếu cột; không chạy đủ: {named}",
                f"the column is missing; not run in full: {named}",
            )  # fmt: skip


def source_hashes(folder: Path | str) -> dict[str, str]:
    """The sha256 (hex) of each reference file that can be read: file stem -> hash."""
    return _hashes(_found(Path(folder))[0])


def _hashes(found: Mapping[str, list[Path]]) -> dict[str, str]:
    hashes = {}
    for stem, paths in found.items():
        with contextlib.suppress(OSError):  # who reads it says why it cannot be read
            hashes[stem] = _sha256(paths[0])
    return hashes


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    paths = [folder] if folder.is_file() else sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in paths if not path.name.startswith((".", "~$")) and path.is_file()]


def _found(
    folder: Path, known: Mapping[tuple[str, str], str] | None = None
) -> tuple[dict[str, list[Path]], list[Path]]:
    """Files by the table they are: by the contract's name, else by their headers, else by an export's name; and the
    files of data of which it is not known which table they are. known: (file, sha256) -> stem, of files that need not
    be opened as what they are."""
    found: dict[str, list[Path]] = {}
    unknown: list[Path] = []
    for path in _files(folder):
        stem = _stem(path, known or {})
        if stem is not None:
            found.setdefault(stem, []).append(path)
        elif folder.is_file() or path.suffix.lower() in _DATA:
            unknown.append(path)
    return found, unknown


def _stem(path: Path, known: Mapping[tuple[str, str], str]) -> str | None:
    if path.suffix.lower() not in (".csv", *_SHEETS):
        return None
    if path.stem.lower() in FILES:
        return path.stem.lower()
    try:
        if any(path.name == file for file, _ in known):
            stem = known.get((path.name, _sha256(path)))
            if stem is not None:
                return stem
        return layouts.kind(_headed(path)[1]) or layouts.kind_by_name(path.stem)
    except (ReferenceDataError, OSError):
        return layouts.kind_by_name(path.stem)


class _Number(str):
    """A cell that a spreadsheet holds as a number: it can be read one way only."""


class _Moment(str):
    """A cell that a spreadsheet holds as a day and a time: as text the day (yyyymmdd). minute: yyyymmddHHMM."""

    minute: str


def read_file(path: Path) -> pd.DataFrame:
    """One reference file, named as in the contract, as a frame of text columns. Raises ReferenceDataError."""
    return _read(path, path.stem.lower(), Report(path.name, path.stem.lower()), lenient=False)


Rows = Iterator[tuple[int, list[str]]]


def _headed(path: Path) -> tuple[int, list[str], Rows]:
    """Row and names of the header, and the rows below. The first row that is the header of a known layout, else that
    with the most names of the contract, else the first that has anything."""
    rows = _sheet_rows(path) if path.suffix.lower() in _SHEETS else _csv_rows(path)
    seen: list[tuple[int, list[str]]] = []
    for number, cells in rows:
        if any(cells):
            names = [layouts.column(cell) for cell in cells]
            if layouts.kind(names) is not None:
                return number, names, rows
            seen.append((number, cells))
        if number >= _HEADER_WITHIN:
            break
    if not seen:
        return 0, [], rows
    known = [len(layouts.KNOWN.intersection(layouts.column(cell) for cell in cells)) for _, cells in seen]
    place = known.index(max(known)) if max(known) > 1 else 0
    number, cells = seen[place]
    return number, [layouts.column(cell) for cell in cells], _again(seen[place + 1 :], rows)


def _again(first: list[tuple[int, list[str]]], rows: Rows) -> Rows:
    yield from first
    yield from rows


def _read_whole(path: Path, stem: str, report: Report, *, lenient: bool) -> pd.DataFrame:
    try:
        return _read(path, stem, report, lenient=lenient)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> ReferenceDataError:
    return _error(
        path.name, None, None, f"không đọc được tệp ({type(error).__name__}): xem quyền và đĩa",
        f"the file cannot be read ({type(error).__name__}): see its rights and the disk",
    )  # fmt: skip


def _read(path: Path, stem: str, report: Report, *, lenient: bool) -> pd.DataFrame:
    number, header, rows = _headed(path)
    if not header:
        raise _error(path.name, None, None, "tệp rỗng, không có dòng tiêu đề", "the file is empty, it has no header")
    other = layouts.kind(header)
    if other is not None and stem in SAME_ITEM and other != stem and path.stem.lower() == stem:
        raise _error(path.name, number, None, f"tiêu đề là của {other}", f"the headers are those of {other}")
    report.layout = "contract" if path.stem.lower() == stem and number == 1 else "portal"
    names = _header(path, number, header if report.layout == "contract" else _all_named(header))
    plain = _plain_body(path, number, names, report) if report.layout == "contract" else None
    exact: dict[str, Any] = {}
    frame, numbers = plain or _body(path, names, rows, report, exact, lenient=lenient)
    if report.layout == "portal":
        _same_twice(path, number, frame, header)
    frame = _as_contract(frame, stem, path, report)
    bad = _check(path, frame, numbers, stem, report, exact, lenient=lenient)
    if report.refused_rows * 2 > report.read_rows:
        place = report.refused[0]
        raise _error(
            path.name, place["row"], place["column"], place["vi"], place["en"], more=report.refused_rows - 1
        )  # fmt: skip
    if bad.any():
        frame = frame[~bad].reset_index(drop=True)
        numbers = numbers[~bad]
    _doubts(frame, numbers, stem, report)
    report.loaded_rows = len(frame)
    return frame


def _body(
    path: Path, names: list[str], rows: Rows, report: Report, exact: dict[str, Any], *, lenient: bool
) -> tuple[pd.DataFrame, Any]:
    """The rows below a header that have its width, as text, and their numbers in the file (array). A part of the rows
    is held as Python's text at a time, so that a file of a million rows takes little more than its own size.

    exact: filled here: column of numbers -> which cells a spreadsheet holds as a number (boolean array)."""
    width = len(names)
    times = TIME_COLUMNS.get(report.table, frozenset())
    parts: list[pa.Table] = []
    numbers: list[Any] = []
    are_numbers: dict[str, list[Any]] = {name: [] for name in names if name in layouts.NUMBERS}

    def usable() -> Iterator[tuple[int, list[str]]]:
        for number, cells in rows:
            if not any(cells):
                continue
            if report.layout == "portal" and _is_column_numbers(cells):
                continue
            report.read_rows += 1
            if any(cells[width:]) or len(cells) < width:
                problem = (
                    f"có {len(cells)} ô, tiêu đề chỉ có {width} cột" if len(cells) > width
                    else f"chỉ có {len(cells)} ô, tiêu đề có {width} cột",
                    f"{len(cells)} cells under {width} headers" if len(cells) > width
                    else f"only {len(cells)} cells under {width} headers",
                )  # fmt: skip
                if not lenient:
                    raise _error(path.name, number, None, *problem)
                report.refuse("width", number, None, *problem)
                continue
            yield number, cells[:width]

    good = usable()
    while part := list(islice(good, _ROWS_AT_ONCE)):
        numbers.append(np.array([number for number, _ in part], dtype="int64"))
        columns: list[Iterable[str]] = list(zip(*(cells for _, cells in part), strict=True))
        for place, name in enumerate(names):
            if name in are_numbers:
                are_numbers[name].append(np.array([isinstance(cell, _Number) for cell in columns[place]]))
            elif name in times:
                columns[place] = [getattr(cell, "minute", cell) for cell in columns[place]]
        parts.append(pa.table([_composed(pa.array(column, pa.large_string())) for column in columns], names))
    if not parts:
        return pd.DataFrame({name: pd.Series([], dtype="str") for name in names}), np.zeros(0, dtype="int64")
    exact |= {name: np.concatenate(flags) for name, flags in are_numbers.items()}
    table = pa.concat_tables(parts).combine_chunks()
    return pd.DataFrame({name: pd.Series(table[name].to_pandas(), dtype="str") for name in names}), np.concatenate(
        numbers
    )


def _plain_body(path: Path, header: int, names: list[str], report: Report) -> tuple[pd.DataFrame, Any] | None:
    """As `_body`, in a tenth of the time, of a file in which a line is a row: UTF-8, no quotes, every line of the
    header's width. None for any other."""
    if path.suffix.lower() != ".csv" or _encoding(path) == "utf-16" or _has_quotes(path):
        return None
    parts: list[pa.Table] = []
    numbers: list[Any] = []
    number = header
    try:
        with pacsv.open_csv(
            path,
            read_options=pacsv.ReadOptions(
                column_names=names, skip_rows=header, block_size=_BYTES_AT_ONCE, use_threads=False
            ),
            parse_options=pacsv.ParseOptions(delimiter=_delimiter(path), quote_char=False, ignore_empty_lines=False),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False
            ),
        ) as batches:
            for batch in batches:
                columns = [_composed(pc.utf8_trim_whitespace(column)) for column in batch.columns]
                filled = pc.not_equal(columns[0], "")
                for column in columns[1:]:
                    filled = pc.or_(filled, pc.not_equal(column, ""))
                parts.append(pa.table(columns, names).filter(filled))
                numbers.append(number + 1 + np.flatnonzero(filled.to_numpy(zero_copy_only=False)))
                number += batch.num_rows
    except pa.ArrowInvalid:  # a line of another width, a letter that is not UTF-8: the other way says where
        return None
    table = pa.concat_tables(parts).combine_chunks() if parts else pa.table([[]] * len(names), names)
    report.read_rows = table.num_rows
    frame = pd.DataFrame({name: pd.Series(table[name].to_pandas(), dtype="str") for name in names})
    return frame, np.concatenate([*numbers, np.zeros(0, dtype="int64")])


def _has_quotes(path: Path) -> bool:
    with path.open("rb") as data:
        return any(b'"' in part for part in iter(lambda: data.read(_BYTES_AT_ONCE), b""))


def _composed(texts: Any) -> Any:
    # some systems write a letter and its marks one by one: the same word then is another text
    return texts if pc.all(pc.string_is_ascii(texts)).as_py() else pc.utf8_normalize(texts, form="NFC")


def _same_twice(path: Path, number: int, frame: pd.DataFrame, header: list[str]) -> None:
    """Exports repeat columns; one of the contract that says something else the second time cannot be used."""
    for place, name in enumerate(header, start=1):
        again = f"{name}_{place}"
        if name in layouts.KNOWN and again in frame and not frame[name].equals(frame[again]):
            raise _error(path.name, number, name, "cột có hai lần, nội dung khác nhau", "a column twice, not the same")


def _is_column_numbers(cells: list[str]) -> bool:
    # exports repeat the number of each column, (1) (2) (3), under the header
    filled = [cell.strip("()") for cell in cells if cell]
    return len(filled) > 2 and filled == [str(place) for place in range(1, len(filled) + 1)]


def _all_named(cells: list[str]) -> list[str]:
    """Cells of a header that exports merge or repeat get names of their own."""
    last = max((place for place, cell in enumerate(cells) if cell), default=-1)
    named: list[str] = []
    for place, cell in enumerate(cells[: last + 1], start=1):
        named.append(cell if cell and cell not in named else f"{cell or 'COT'}_{place}")
    return named


def _header(path: Path, number: int, cells: list[str]) -> list[str]:
    names = list(cells)
    while names and not names[-1]:
        names.pop()
    for place, name in enumerate(names):
        if not name:
            column = str(place + 1)
            raise _error(path.name, number, column, "cột không có tên", "a column without a name")
        if name in names[:place]:
            # what is no name of a column may be a cell, and that of a person: a file without a header
            column = name if name in _NAMES else str(place + 1)
            raise _error(path.name, number, column, "tên cột bị lặp", "the column name is repeated")
    return names


def _as_contract(frame: pd.DataFrame, stem: str, path: Path, report: Report) -> pd.DataFrame:
    """The columns of the contract beside those of an export. A fresh frame."""
    frame = frame.copy()
    if stem == "icd10" and "MABENH" in frame:
        report.layout = "icd10-annex"
        for name in ("LA_BENH_CHINH", "CO_MA_CHI_TIET", "CHI_TU_VONG", "GIOI_TINH"):
            if name not in frame:
                frame[name] = "1" if name == "LA_BENH_CHINH" else ("0" if name != "GIOI_TINH" else "")
        for column in list(frame.columns):
            flag = layouts.icd_flag(column)
            if flag is not None:
                # such a cell holds the code itself
                frame.loc[frame[column] != "", flag[0]] = flag[1]
        if path.suffix.lower() in _SHEETS:
            _appendices(frame, path, report)
    for name, source in layouts.COPIED.get(stem, {}).items():
        if name in frame or source not in frame:
            continue
        if name == "MA_DUONG_DUNG" and not frame[source].str.fullmatch(r"[0-9.]*").all():
            report.warn(
                "words", None, source, "là chữ, không phải mã đường dùng", "holds words, not codes of the route"
            )
            continue
        frame[name] = frame[source]
    return frame


def _appendices(frame: pd.DataFrame, path: Path, report: Report) -> None:
    """Sheets of codes beside the list (A1 to A4): what they say is set in the list."""
    codes = frame["MABENH"].str.rstrip("*†+ ").str.upper()
    first = True
    for name, cells in _sheets(path):
        if first:
            first = False
            continue
        words, rest = [name], []
        for row in cells:
            filled = [_cell(value) for value in row]
            found = [cell for cell in filled if re.fullmatch(r"[A-Za-z][0-9]{2}(\.[0-9]{1,2})?[*†+]?", cell)]
            if found:
                rest.append(found[0].rstrip("*†+").upper())
            elif not rest:
                words += filled
        flag = layouts.icd_flag(" ".join(words))
        if flag is None or not rest:
            report.warn(
                "sheet", None, None, f"Không hiểu trang tính {name}: bỏ qua", f"Sheet {name} not understood: left out"
            )
            continue
        frame.loc[codes.isin(rest), flag[0]] = flag[1]
        unknown = len(set(rest) - set(codes))
        if unknown:
            report.warn(
                "sheet", None, None, f"Trang tính {name}: {unknown} mã không có trong danh mục",
                f"Sheet {name}: {unknown} codes that are not in the list",
            )  # fmt: skip


def _check(
    path: Path, frame: pd.DataFrame, numbers: Any, stem: str, report: Report, exact: dict[str, Any], *, lenient: bool
) -> Any:
    """Puts dates and numbers into the contract's form; returns which rows cannot be used (boolean array). exact: as
    `_body`."""
    bad = pd.Series(False, index=frame.index)

    def judge(code: str, name: str | None, wrong: pd.Series, vi: str, en: str) -> None:
        nonlocal bad
        if not wrong.any():
            return
        if not lenient:
            places = numbers[wrong.to_numpy()]
            raise _error(path.name, int(places[0]), name, vi, en, more=len(places) - 1)
        for row in numbers[(wrong & ~bad).to_numpy()].tolist():
            report.refuse(code, row, name, vi, en)
        bad |= wrong

    for name in frame.columns:
        if name in DATE_COLUMNS:
            # a column holds few days
            codes, known = pd.factorize(frame[name])
            text = _dates(pd.Series(known, dtype="str"))
            days = pd.to_datetime(text.where(text.str.fullmatch("[0-9]{8}")), format="%Y%m%d", errors="coerce")
            unreal = ((text != "") & days.isna()).to_numpy()[codes]
            frame[name] = text.take(codes).array
            judge(
                "date", name, pd.Series(unreal, index=frame.index), "ngày phải có dạng yyyymmdd và có thật",
                "the date must be a real day written yyyymmdd",
            )  # fmt: skip
        elif name == FACILITY_COLUMN:
            # spreadsheets like to drop the leading zero, and then no rule would find the facility
            judge(
                "facility", name, (frame[name] != "") & ~frame[name].str.fullmatch("[0-9A-Za-z]{5}"),
                "mã cơ sở phải có 5 ký tự (giữ số 0 ở đầu)",
                "the facility code must have 5 characters (keep the leading zero)",
            )  # fmt: skip
        elif name in layouts.NUMBERS:
            flags = exact.get(name, np.zeros(len(frame), dtype="bool"))
            frame[name], unclear, told = _numbers(frame[name], flags, exported=report.layout != "contract")
            if told:
                report.warn(
                    "separators", None, name, f"dấu chấm, phẩy trong {told} ô hiểu được hai cách, đọc theo các ô khác",
                    f"{told} cells whose separators can be read two ways are read as the others tell",
                )  # fmt: skip
            judge(
                "number", name, (frame[name] != "") & ~frame[name].str.fullmatch(r"[0-9]+(\.[0-9]+)?") | unclear,
                "không phải số, hoặc dấu chấm, phẩy không rõ", "not a number, or its separators can be read two ways",
            )  # fmt: skip
        elif name in TIME_COLUMNS.get(stem, ()):
            frame[name], unreal_time = _minutes(frame[name])
            judge(
                "time", name, unreal_time, "thời điểm phải có thật, có giờ và phút: yyyymmddHHMM hoặc dd/mm/yyyy HH:MM",
                "the time must be real, with hour and minute: yyyymmddHHMM or dd/mm/yyyy HH:MM",
            )  # fmt: skip
        elif name in WIDTHS.get(stem, {}):
            width = WIDTHS[stem][name]
            judge(
                "unit", name, (frame[name] != "") & ~frame[name].str.fullmatch(f"[0-9]{{{width}}}"),
                f"mã phải có {width} chữ số (giữ số 0 ở đầu)", f"the code must have {width} digits (keep the zeros)",
            )  # fmt: skip
        elif name == "MA" and stem == "icd10":
            judge(
                "icd", name, ~frame[name].str.upper().str.fullmatch(r"[A-Z][0-9]{2}(\.?[0-9]{1,2})?[A-Z]?\s*[*†+]?"),
                "không phải mã ICD-10", "not an ICD-10 code",
            )  # fmt: skip
    keys = [name for name in layouts.KEYS.get(stem, ()) if name in frame]
    if layouts.KEYS.get(stem) and not keys:
        key = layouts.KEYS[stem][0]
        raise _error(path.name, None, key, "thiếu cột", "the column is missing")
    if keys and lenient:
        judge("key", keys[-1], (frame[keys] == "").any(axis="columns"), "thiếu mã", "the code is missing")
    return bad.to_numpy()


def _dates(text: pd.Series) -> pd.Series:
    """Dates as yyyymmdd where they can be told: dd/mm/yyyy, and days as a spreadsheet counts them."""
    if text.str.fullmatch("([0-9]{8})?").all():
        return text
    parts = text.str.extract(f"^{_LOOK_LIKE_DATES}$")
    told = parts[2] + parts[1].str.zfill(2) + parts[0].str.zfill(2)
    iso = text.str.extract("^([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[ T].*)?$")
    told = told.fillna(iso[0] + iso[1] + iso[2])
    serial = text.str.fullmatch("[2-6][0-9]{4}")
    if serial.any():
        days = pd.to_timedelta(text[serial].astype("int64"), unit="D") + pd.Timestamp("1899-12-30")
        told = told.fillna(days.dt.strftime("%Y%m%d").reindex(text.index))
    return told.fillna(text).astype("str")


def _minutes(text: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Moments as yyyymmddHHMM where they can be told, and which are none. Seconds are cut off."""
    out = text
    if not text.str.fullmatch("[0-9]{12}").all():
        clock = r"([0-9]{1,2}):([0-9]{2})(?::[0-5][0-9](?:\.[0-9]+)?)?"
        day = text.str.extract(rf"^([0-9]{{1,2}})[/-]([0-9]{{1,2}})[/-]([0-9]{{4}})\s+{clock}$")
        told = day[2] + day[1].str.zfill(2) + day[0].str.zfill(2) + day[3].str.zfill(2) + day[4]
        iso = text.str.extract(rf"^([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})[T ]+{clock}(?:\+07(?::?00)?)?$")
        iso[3] = iso[3].str.zfill(2)
        told = told.fillna(iso[0] + iso[1] + iso[2] + iso[3] + iso[4])
        told = told.fillna(text.str.extract("^([0-9]{12})[0-5][0-9]$")[0])
        out = told.fillna(text).astype("str")
    written = out.str.fullmatch("[0-9]{12}")
    real = pd.to_datetime(out.where(written), format="%Y%m%d%H%M", errors="coerce").notna()
    return out, ~real


_GROUPS = r"[0-9]{1,3}(%s[0-9]{3}){2,}(%s[0-9]+)?|[0-9]{1,3}(%s[0-9]{3})+%s[0-9]+|[0-9]{4,}%s[0-9]+"
_DECIMALS = r"[0-9]+%s([0-9]{1,2}|[0-9]{4,})|0[0-9]*%s[0-9]{3}"


def _numbers(text: pd.Series, exact: Any, *, exported: bool) -> tuple[pd.Series, pd.Series, int]:
    """Numbers without separators of thousands, which are unclear, and how many are read as the others tell.

    A cell that can be read one way only (1.234,5; 12.5; one that is a number in a spreadsheet: `exact`) is read that
    way, whatever the others are. One that can be read two ways (1.234; 1,234) is read as the others are, if they all
    are written alike; else it is unclear. The contract promises a decimal point: there 1.234 needs no others, but is
    unclear beside a decimal comma.
    """
    out = text.str.replace(" ", "", regex=False).str.replace("\xa0", "", regex=False)
    unclear = pd.Series(False, index=text.index)
    cells = out[~out.str.fullmatch("[0-9]*") & ~exact]
    if cells.empty:
        return out, unclear, 0
    comma_and_groups = cells.str.fullmatch(_GROUPS % (r"\.", ",", r"\.", ",", ","))
    point_and_groups = cells.str.fullmatch(_GROUPS % (",", r"\.", ",", r"\.", r"\."))
    comma = comma_and_groups | cells.str.fullmatch(_DECIMALS % (",", ","))
    point = point_and_groups | cells.str.fullmatch(_DECIMALS % (r"\.", r"\."))
    open_point = cells.str.fullmatch(r"[1-9][0-9]{0,2}\.[0-9]{3}")
    open_comma = cells.str.fullmatch(r"[1-9][0-9]{0,2},[0-9]{3}")
    open_cells = open_point | open_comma
    none = pd.Series(False, index=cells.index)
    if point.any() and comma.any():
        told = none
    elif comma.any():
        told = open_cells if exported and comma_and_groups.any() else none
        comma |= told
    elif point_and_groups.any():
        told = open_cells
        point |= told
    else:
        told = open_point if point.any() else none
        point |= told if exported else open_point
    as_comma = cells.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    read = cells.mask(comma, as_comma).mask(point, cells.str.replace(",", "", regex=False))
    out.loc[cells.index] = read
    unclear.loc[cells.index] = open_cells & ~comma & ~point
    return out, unclear, int(told.sum()) if exported else int((told & open_comma).sum())


def _doubts(frame: pd.DataFrame, numbers: Any, stem: str, report: Report) -> None:
    """Warnings: rows that are there twice, the same item twice on a day (CAT-024), gaps, an end before the start."""
    if frame.empty:
        return
    keys = [name for name in layouts.KEYS.get(stem, ()) if name in frame]
    twice = pd.Series(False, index=frame.index)
    near = frame[frame.duplicated(keys or None, keep=False)]
    twice.loc[near.index] = near.duplicated()
    for row in numbers[twice.to_numpy()].tolist():
        report.warn("twice", row, None, "dòng lặp lại", "the row is there twice")
    if not {"TU_NGAY", "DEN_NGAY"} <= set(frame.columns):
        return
    ends = (frame["DEN_NGAY"] != "") & (frame["DEN_NGAY"] < frame["TU_NGAY"])
    for row in numbers[ends.to_numpy()].tolist():
        report.warn("backwards", row, "DEN_NGAY", "trước TU_NGAY", "before TU_NGAY")
    keys = [name for name in SAME_ITEM.get(stem, ()) if name in frame]
    if not keys:
        return
    found = overlaps(frame[~twice], keys)
    for row, before, kind in found[["row", "before", "kind"]].itertuples(index=False, name=None):
        where = int(numbers[before])
        if kind == "price":
            vi = f"CAT-024: trùng thời gian nhưng khác giá với dòng {where}"
            en = f"CAT-024: holds on the same days as row {where}, with another price"
        elif kind == "overlap":
            vi, en = f"trùng thời gian với dòng {where}", f"holds on the same days as row {where}"
        else:
            vi, en = f"có ngày trống sau dòng {where}", f"days without a row after row {where}"
        report.warn(kind, int(numbers[row]), "TU_NGAY", vi, en)


def _unknown_facilities(frame: pd.DataFrame, facilities: pd.DataFrame | None, report: Report) -> None:
    if facilities is None or FACILITY_COLUMN not in frame or FACILITY_COLUMN not in facilities:
        return
    unknown = sorted(set(frame[FACILITY_COLUMN]) - set(facilities[FACILITY_COLUMN]) - {""})
    for code in unknown:
        report.warn(
            "unknown-facility", None, FACILITY_COLUMN, f"{code} không có trong danh mục cơ sở",
            f"{code} is not in the list of facilities"
        )  # fmt: skip


def report_folder(record: Mapping[str, Any]) -> str:
    """Name of the folder with the report of a load or refusal: when, which table, the first digits of the sha256, the
    number of the load, or of the refusal behind an r."""
    number = f"r{record['refusal']}" if record["load"] is None else record["load"]
    return f"{record['since']:%Y%m%d-%H%M%S}-{record['name']}-{(record['sha256'] or '')[:8]}-{number}"


def document(record: Mapping[str, Any]) -> dict[str, Any]:
    """The report of a load or refusal (Store.reference_records) as page, workbook and JSON show it."""
    told = dict(record["report"] or {})
    found = told.get("found", {})
    names = ("read_rows", "loaded_rows", "refused_rows", "warned", "added_rows", "changed_items", "ended_rows")
    counts = {name: told.get(name) for name in names}
    counts |= {
        "overlaps": found.get("overlap", 0),
        "price_overlaps": found.get("price", 0),
        "gaps": found.get("gap", 0),
    }
    refused = record["load"] is None
    warnings = list(told.get("warnings", ()))
    if (ended := _many_ended(told)) is not None:
        warnings.append(ended)
        counts["warned"] = (counts["warned"] or 0) + 1
    return {
        "schema": REPORT_SCHEMA,
        "status": "refused" if refused else "loaded",
        "table": record["name"],
        "file": told.get("file") or record["file"] or "",
        "layout": told.get("layout") or record["layout"] or "",
        "sha256": record["sha256"],
        "at": record["since"].isoformat(),
        "actor": record["actor"],
        "load": record["load"],
        "error": {"vi": told.get("error_vi"), "en": told.get("error_en")} if refused else None,
        "counts": counts,
        "refused": _by_row(told.get("refused", ())),
        "warnings": _by_row(warnings),
    }


def _many_ended(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """A warning where a load ended more than half of the rows that were held: an export that broke off does so."""
    ended, held = told.get("ended_rows") or 0, told.get("held_rows") or 0
    if ended * 2 <= held:
        return None
    changed = told.get("changed_items") or 0
    return {
        "code": "ended", "row": None, "column": None,
        "vi": f"{ended} trong {held} dòng đang dùng hết hiệu lực với lần nạp này ({changed} mục có dòng mới thay)",
        "en": f"{ended} of {held} rows held end by this load ({changed} items have a new row in their place)",
    }  # fmt: skip


def _by_row(notes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(({"code": "", **note} for note in notes), key=lambda note: (note["row"] is None, note["row"] or 0))


def _write_reports(
    folder: Path, reports: dict[str, Report], in_force: dict[str, tuple[str, dict[str, Any]]], store: Store
) -> None:
    """The reports of what was done now, and what lacks of those of files in force (table -> name of the file, load as
    Store.reference_loads): a load that was killed left none, or the text tells of bytes that were there in between."""
    out = folder / REPORTS
    for report in reports.values():
        record = store.reference_record(report.table, report.file)
        if record is None:
            continue
        ended = _many_ended(store.reference_report(record)) if record["load"] is not None else None
        with _no_reason_not_to_load(report.table):
            _write_text(out, report.file.split(", ")[0], report.as_text(ended))
        with _no_reason_not_to_load(report.table):
            _write_pages(out, record, store)
    for table, (file, load) in sorted(in_force.items()):
        record = {"name": table, "since": load["loaded_at"], "refusal": None, **load}
        with _no_reason_not_to_load(table):
            if not _tells(out / f"{file}.txt", load["sha256"]):
                told = store.reference_report(record)
                kept = {name: told[name] for name in Report.__dataclass_fields__ if name in told}
                if kept:
                    _write_text(out, file, Report(**kept).as_text(_many_ended(told)))
        with _no_reason_not_to_load(table):
            _write_pages(out, record, store)


@contextlib.contextmanager
def _no_reason_not_to_load(table: str) -> Iterator[None]:
    """A report that cannot be written takes neither the load with it nor the reports of other files."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        log.warning("reference data %s: its report could not be written: %s", table, type(error).__name__)


def _write_text(out: Path, file: str, text: str) -> None:
    out.mkdir(exist_ok=True)
    target = out / f"{file}.txt"
    aside = target.with_name(f".{target.name}.part")
    aside.write_text(text, "utf-8")
    os.replace(aside, target)


def _tells(target: Path, sha256: str) -> bool:
    """Whether a text is of these bytes, and of a load."""
    if not target.exists():
        return False
    head = target.read_text("utf-8").splitlines()[:4]
    return f"sha256 {sha256}" in head and not any(line.startswith(_REFUSED) for line in head)


def _write_pages(out: Path, record: Mapping[str, Any], store: Store) -> None:
    from claim_pipeline.respond import REPORT, write_reference_report

    place = out / report_folder(record)
    if not (place / REPORT).exists():
        out.mkdir(exist_ok=True)
        write_reference_report(document({**record, "report": store.reference_report(record)}), place)
        log.info("reference data %s: report in %s/%s", record["name"], REPORTS, place.name)


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    encoding = _encoding(path)
    try:
        delimiter = _delimiter(path)
        with path.open(encoding=encoding, newline="") as text:
            rows = csv.reader(text, delimiter=delimiter, strict=True)
            number = 0
            try:
                for number, cells in enumerate(rows, start=1):
                    yield number, [cell.strip() for cell in cells]
            except csv.Error:
                raise _error(
                    path.name, number + 1, None, "dấu ngoặc kép hoặc ô bị hỏng", "a broken quote or cell"
                ) from None
    except UnicodeError:
        raise _not_text(path, encoding) from None


def _delimiter(path: Path) -> str:
    """What parts one of the first lines into most names of the contract, else what stands most often in the first."""
    with path.open(encoding=_encoding(path), newline="") as text:
        head = [line for line in islice(text, _HEADER_WITHIN) if line.strip()]

    def names(mark: str) -> int:
        lines = ((layouts.column(cell.strip('" \r\n')) for cell in line.split(mark)) for line in head)
        return max((len(layouts.KNOWN.intersection(line)) for line in lines), default=0)

    return max(",;\t", key=lambda mark: (names(mark), head[0].count(mark) if head else 0))


def _encoding(path: Path) -> str:
    """UTF-8, or UTF-16 where the file begins by saying so (what Excel calls Unicode text)."""
    with path.open("rb") as data:
        head = data.read(4096)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\x00" in head or head.startswith(b"PK\x03\x04"):
        raise _error(
            path.name, None, None, "không phải văn bản CSV (bảng tính hoặc tệp nhị phân?): đổi đuôi tệp cho đúng, hoặc "
            "lưu thành CSV UTF-8", "not CSV text (a spreadsheet, a binary file?): name it by its kind, or save it as "
            "CSV UTF-8",
        )  # fmt: skip
    return "utf-8-sig"


def _not_text(path: Path, encoding: str) -> ReferenceDataError:
    row = None
    if encoding != "utf-16":
        with path.open("rb") as data:
            row = next((number for number, line in enumerate(data, start=1) if not _is_utf8(line)), None)
    return _error(
        path.name, row, None, "không phải mã UTF-8 (có thể là TCVN3, VNI hay Windows-1258): lưu lại dạng «CSV UTF-8»",
        "not UTF-8 text (perhaps TCVN3, VNI or Windows-1258): save it as “CSV UTF-8”",
    )  # fmt: skip


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _sheet_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    _, cells = next(_sheets(path))
    for number, row in enumerate(cells, start=1):
        yield number, [_cell(value) for value in row]


def _sheets(path: Path) -> Iterator[tuple[str, Iterable[list[Any]]]]:
    """The visible sheets that have anything in them."""
    import python_calamine

    try:
        workbook = python_calamine.CalamineWorkbook.from_path(str(path))
        visible = [
            sheet.name for sheet in workbook.sheets_metadata
            if sheet.visible == python_calamine.SheetVisibleEnum.Visible
            and sheet.typ == python_calamine.SheetTypeEnum.WorkSheet  # a sheet that is one chart has no cells
        ]  # fmt: skip
        for place, name in enumerate(visible):
            cells = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
            if cells or place == 0:
                yield name, cells
        if visible:
            return
    except (python_calamine.CalamineError, OSError) as error:
        with path.open("rb"):  # one that is gone, or may not be read, is no broken spreadsheet
            pass
        raise _error(
            path.name, None, None, f"không đọc được bảng tính ({type(error).__name__})", "the spreadsheet is unreadable"
        ) from None
    raise _error(path.name, None, None, "không đọc được bảng tính (không có trang)", "the spreadsheet is unreadable")


def _cell(value: Any) -> str:
    if isinstance(value, dt.datetime):
        moment = _Moment(value.strftime("%Y%m%d"))
        moment.minute = (value + dt.timedelta(milliseconds=500)).strftime("%Y%m%d%H%M")  # times are fractions of a day
        return moment
    if isinstance(value, dt.date):
        return value.strftime("%Y%m%d")
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, float):
        return _Number(value)
    return str(value).strip()


def _error(file: str, row: int | None, column: str | None, vi: str, en: str, more: int = 0) -> ReferenceDataError:
    place_vi = ", ".join(
        part for part in (f"Tệp {file}", f"dòng {row}" if row else "", f"cột {column}" if column else "") if part
    )
    place_en = ", ".join(
        part for part in (f"file {file}", f"row {row}" if row else "", f"column {column}" if column else "") if part
    )
    return ReferenceDataError(
        "reference-data",
        f"{place_vi}: {vi}" + (f" (và {more} dòng khác)" if more else ""),
        f"{place_en}: {en}" + (f" (and {more} more rows)" if more else ""),
        "Sửa tệp rồi đặt lại vào thư mục danh mục; danh mục đang dùng vẫn giữ nguyên",
        "correct the file and drop it again; the data in force stay as they are",
    )
