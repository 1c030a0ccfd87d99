"""Reads reference data (catalogues, cards, facilities, ...) from a folder of csv and xlsx files."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
from collections.abc import Collection, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from claim_pipeline.errors import ReferenceDataError

if TYPE_CHECKING:
    from claim_pipeline.store.store import Store

FILES = (
    "facilities",
    "cards",
    "copayments",
    "departments",
    "staff",
    "drugs",
    "supplies",
    "services",
    "machines",
    "icd10",
    "bundles",
    "icd_lists",
    "holidays",
    "certificates",
    "drug_conditions",
)
"""File stems of the contract."""

RENAMED = {"TUNGAY": "TU_NGAY", "DENNGAY": "DEN_NGAY"}
"""Headers of the portal's exports, and how we call them."""

DATE_COLUMNS = frozenset(
    {
        "TU_NGAY", "DEN_NGAY", "GT_THE_TU", "GT_THE_DEN", "HOP_DONG_TU", "HOP_DONG_DEN", "NAM_NAM_LIEN_TUC",
        "TRANG_THAI_TU", "NGAY",
    }
)  # fmt: skip
FACILITY_COLUMN = "MA_CSKCB"


def read_folder(
    folder: Path | str, errors: list[ReferenceDataError] | None = None, leave_out: Collection[str] = ()
) -> dict[str, pd.DataFrame]:
    """All reference files of a folder: file stem -> frame of text columns (dtype str, blank cells are "").

    Headers are upper case, TUNGAY and DENNGAY are called TU_NGAY and DEN_NGAY, cells are stripped, blank rows dropped.
    A missing file is an absent key, a missing column an absent column. Other files of the folder are left alone, and
    so are the stems to `leave_out`.

    A file that cannot be used raises ReferenceDataError, which names file, row and column; with a list for `errors`
    it is put there instead, and the other files still load.
    """
    tables: dict[str, pd.DataFrame] = {}
    for stem, paths in sorted(_found(Path(folder)).items()):
        if stem in leave_out and len(paths) == 1:
            continue
        try:
            if len(paths) > 1:
                names = ", ".join(path.name for path in paths)
                raise _error(names, None, None, "chỉ được có một tệp cho mỗi danh mục", "only one file per table")
            tables[stem] = read_file(paths[0])
        except ReferenceDataError as error:
            if errors is None:
                raise
            errors.append(error)
    return tables


def load_folder(folder: Path | str, store: Store, actor: str = "reference") -> dict[str, int]:
    """Puts the reference files of a folder in force; returns the rows per file now in force.

    Files whose bytes are in force already are not read again. A file that cannot be used is left out; after the others
    are loaded it is named in a ReferenceDataError.
    """
    in_force = store.reference_loads()
    hashes = source_hashes(folder)
    same = {stem for stem, sha256 in hashes.items() if stem in in_force and in_force[stem]["sha256"] == sha256}
    errors: list[ReferenceDataError] = []
    tables = read_folder(folder, errors, leave_out=same)
    for stem, sha256 in source_hashes(folder).items():
        if stem in tables and sha256 != hashes.get(stem):
            del tables[stem]  # it changed while it was read: the next load takes it
    loaded = store.load_reference(tables, hashes, actor)
    if errors:
        first, *more = errors
        raise ReferenceDataError(
            first.code,
            "; ".join([first.message_vi, *(error.message_vi for error in more)]),
            "; ".join([first.message_en, *(error.message_en for error in more)]),
            first.next_vi,
            first.next_en,
        )
    return {stem: in_force[stem]["rows"] for stem in sorted(same)} | loaded


def source_hashes(folder: Path | str) -> dict[str, str]:
    """The sha256 (hex) of each reference file: file stem -> hash."""
    hashes = {}
    for stem, paths in _found(Path(folder)).items():
        with paths[0].open("rb") as handle:
            hashes[stem] = hashlib.file_digest(handle, "sha256").hexdigest()
    return hashes


def _found(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        stem = path.stem.lower()
        if stem in FILES and path.suffix.lower() in (".csv", ".xlsx") and path.is_file():
            found.setdefault(stem, []).append(path)
    return found


def read_file(path: Path) -> pd.DataFrame:
    """One reference file as a frame of text columns. Raises ReferenceDataError."""
    rows = _xlsx_rows(path) if path.suffix.lower() == ".xlsx" else _csv_rows(path)
    number, header = next(((number, cells) for number, cells in rows if any(cells)), (0, []))
    if not header:
        raise _error(path.name, None, None, "tệp rỗng, không có dòng tiêu đề", "the file is empty, it has no header")
    names = _header(path, number, header)
    kept: list[list[str]] = []
    numbers: list[int] = []
    for number, cells in rows:
        if not any(cells):
            continue
        if any(cells[len(names) :]):
            raise _error(
                path.name, number, None,
                f"có {len(cells)} ô, tiêu đề chỉ có {len(names)} cột", f"{len(cells)} cells under {len(names)} headers",
            )  # fmt: skip
        if len(cells) < len(names):
            raise _error(
                path.name, number, None,
                f"chỉ có {len(cells)} ô, tiêu đề có {len(names)} cột",
                f"only {len(cells)} cells under {len(names)} headers",
            )  # fmt: skip
        kept.append(cells[: len(names)])
        numbers.append(number)
    columns = list(zip_longest(*kept)) if kept else [()] * len(names)
    frame = pd.DataFrame({name: pd.Series(column, dtype="str") for name, column in zip(names, columns, strict=True)})
    _check(path, frame, numbers)
    return frame


def _header(path: Path, number: int, cells: list[str]) -> list[str]:
    names = [name.upper() for name in cells]
    while names and not names[-1]:
        names.pop()
    names = [RENAMED.get(name, name) for name in names]
    for place, name in enumerate(names):
        if not name:
            column = str(place + 1)
            raise _error(path.name, number, column, "cột không có tên", "a column without a name")
        if name in names[:place]:
            raise _error(path.name, number, name, "tên cột bị lặp", "the column name is repeated")
    return names


def _check(path: Path, frame: pd.DataFrame, numbers: list[int]) -> None:
    for name in frame.columns:
        if name in DATE_COLUMNS:
            text = frame[name]
            days = pd.to_datetime(text.where(text.str.fullmatch("[0-9]{8}")), format="%Y%m%d", errors="coerce")
            wrong = (text != "") & days.isna()
            problem = ("ngày phải có dạng yyyymmdd và có thật", "the date must be a real day written yyyymmdd")
        elif name == FACILITY_COLUMN:
            # spreadsheets like to drop the leading zero, and then no rule would find the facility
            wrong = (frame[name] != "") & ~frame[name].str.fullmatch("[0-9A-Za-z]{5}")
            problem = (
                "mã cơ sở phải có 5 ký tự (giữ số 0 ở đầu)",
                "the facility code must have 5 characters (keep the leading zero)",
            )
        else:
            continue
        if wrong.any():
            places = [numbers[index] for index in wrong.to_numpy().nonzero()[0]]
            raise _error(path.name, places[0], name, *problem, more=len(places) - 1)


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise _error(path.name, row, None, "không phải mã UTF-8", "not UTF-8 text") from None
    head = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, cells in enumerate(rows, start=1):
            yield number, [cell.strip() for cell in cells]
    except csv.Error:
        raise _error(path.name, number + 1, None, "dấu ngoặc kép hoặc ô bị hỏng", "a broken quote or cell") from None


def _xlsx_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    import python_calamine

    try:
        workbook = python_calamine.CalamineWorkbook.from_path(str(path))
        visible = [sheet.name for sheet in workbook.sheets_metadata if "Visible" in str(sheet.visible)]
        cells: Iterable[list[Any]] = workbook.get_sheet_by_name(visible[0]).to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, OSError, IndexError) as error:
        raise _error(
            path.name, None, None, f"không đọc được bảng tính ({type(error).__name__})", "the spreadsheet is unreadable"
        ) from None
    for number, row in enumerate(cells, start=1):
        yield number, [_cell(value) for value in row]


def _cell(value: Any) -> str:
    if isinstance(value, dt.date):  # a datetime too
        return value.strftime("%Y%m%d")
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
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
