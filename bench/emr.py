"""Reading the sheets of a record system: rows per second of our reader beside pandas' own, in the same run.

Ours goes from the file to the sheet's columns of text; pandas reads the same file with every column as text.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xlsxwriter
from rich.console import Console
from rich.table import Table

from claim_pipeline.extract.sheets import open_export

ROWS = 200_000
TIMES = 3
_HEADERS = ("MA_LK", "STT", "MA_THUOC", "TEN_THUOC", "DON_VI_TINH", "LIEU_DUNG", "SO_LUONG", "DON_GIA", "NGAY_YL")


@dataclass
class Read:
    """One reader over one file, the least CPU seconds of several runs."""

    format: str
    reader: str
    rows: int
    cpu: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.cpu if self.cpu else 0.0


def measure(home: Path, rows: int = ROWS) -> list[Read]:
    """Writes a CSV of so many rows and a workbook of a fifth of them below `home`, reads each by both readers by turns,
    and removes them."""
    wanted = {"CSV": rows, "xlsx": max(1, rows // 5)}
    home.mkdir(parents=True, exist_ok=True)
    files = {"CSV": home / "prescriptions.csv", "xlsx": home / "prescriptions.xlsx"}
    _write_csv(files["CSV"], wanted["CSV"])
    _write_xlsx(files["xlsx"], wanted["xlsx"])
    readers: dict[tuple[str, str], Callable[[Path], int]] = {
        ("CSV", "giamdinh"): _ours,
        ("CSV", "pandas"): lambda path: len(pd.read_csv(path, dtype=str, keep_default_na=False)),
        ("xlsx", "giamdinh"): _ours,
        ("xlsx", "pandas"): lambda path: len(pd.read_excel(path, dtype=str, keep_default_na=False, engine="calamine")),
    }
    least: dict[tuple[str, str], float] = {}
    for _ in range(TIMES):
        for (form, reader), read in readers.items():
            started = time.process_time()
            found = read(files[form])
            spent = time.process_time() - started
            if found != wanted[form]:
                raise SystemExit(f"{reader} read {found} rows of {form}, not {wanted[form]}")
            least[form, reader] = min(spent, least.get((form, reader), spent))
    for path in files.values():
        path.unlink()
    return [Read(form, reader, wanted[form], cpu) for (form, reader), cpu in least.items()]


def _ours(path: Path) -> int:
    with open_export(path, known=lambda name: True, key=lambda names: None, max_unpacked=1 << 33) as export:
        (sheet,) = export.sheets
        return int(sheet.read(lambda header: None).num_rows)


def _row(number: int) -> tuple[str | float, ...]:
    texts = (f"LK{number // 4:08d}", str(number % 4 + 1), "40.48", "Paracetamol 500mg, viên nén", "Viên")
    return (*texts, "1 viên/lần x 3 lần/ngày [3 viên/ngày]", 15.0, 195.5, "202607010830")


def _write_csv(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEADERS)
        writer.writerows(_row(number) for number in range(rows))


def _write_xlsx(path: Path, rows: int) -> None:
    workbook = xlsxwriter.Workbook(str(path), {"constant_memory": True})
    sheet = workbook.add_worksheet("prescriptions")
    sheet.write_row(0, 0, _HEADERS)
    for number in range(rows):
        sheet.write_row(number + 1, 0, _row(number))
    workbook.close()


def print_reads(console: Console, reads: list[Read]) -> None:
    """One line per reader and file."""
    table = Table(title="Reading sheets of a record system")
    for head in ("format", "reader", "rows", "CPU s", "rows/s"):
        table.add_column(head, justify="left" if head in ("format", "reader") else "right")
    for read in reads:
        table.add_row(read.format, read.reader, f"{read.rows:,}", f"{read.cpu:.2f}", f"{read.rows_per_second:,.0f}")
    console.print(table)
