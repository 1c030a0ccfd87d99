"""Codes that a spreadsheet made numbers of (01 became 1, 40.10 became 40.1): which code it was, where that is proven.

A code list, the fixed width of a code or the reference data prove a reading if they allow one alone.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files

import numpy as np
import pandas as pd

from claim_pipeline.extract.workbooks import cell_text
from claim_rules import dictionary
from claim_rules.reference import Reference

IN_REFERENCE = {
    ("XML2", "MA_THUOC"): ("drugs", "MA_THUOC"),
    ("XML2", "MA_KHOA"): ("departments", "MA_KHOA"),
    ("XML2", "MA_BAC_SI"): ("staff", "MA_BAC_SI"),
    ("XML3", "MA_DICH_VU"): ("services", "MA_TUONG_DUONG"),
    ("XML3", "MA_VAT_TU"): ("supplies", "MA_VAT_TU"),
    ("XML3", "MA_KHOA"): ("departments", "MA_KHOA"),
    ("XML3", "MA_BAC_SI"): ("staff", "MA_BAC_SI"),
    ("XML4", "MA_DICH_VU"): ("services", "MA_TUONG_DUONG"),
    ("XML5", "NGUOI_THUC_HIEN"): ("staff", "MA_BAC_SI"),
}
"""(table, field) -> (file, column) of the reference data that lists its codes."""

_NUMERIC = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?(?:[eE][+-]?[0-9]{1,2})?")


@cache
def _widths() -> dict[str, int]:
    text = files(__package__).joinpath("code_widths.csv").read_text("utf-8")
    return {row["field"]: int(row["width"]) for row in csv.DictReader(io.StringIO(text))}


@lru_cache(maxsize=100_000)
def as_number(code: str) -> str | None:
    """What a spreadsheet shows once it took a code for a number; None where it would not."""
    if not _NUMERIC.fullmatch(code):
        return None
    value = float(code)
    return cell_text(value, None) if value < 1e15 else None


def readings(codes: Iterable[str]) -> dict[str, set[str]]:
    """Number -> the codes that a spreadsheet would turn into it."""
    found: dict[str, set[str]] = {}
    for code in codes:
        number = as_number(code)
        if number is not None:
            found.setdefault(number, set()).add(code)
    return found


def is_proven_by_itself(field: dictionary.Field) -> bool:
    """Whether the dictionary can tell the codes of a field: it has their list or their width."""
    return field.code_list is not None or field.name in _widths()


def repaired(values: pd.Series, days: pd.Series, field: dictionary.Field) -> pd.Series:
    """Codes of a field that came as numbers: the one code that its list (on each row's day, yyyymmdd) or its width
    allows; NA where there is none or several."""
    if field.name in _widths():
        digits = values.str.fullmatch("[0-9]+") & (values.str.len() <= _widths()[field.name])
        return values.str.zfill(_widths()[field.name]).where(digits)
    out = pd.Series(pd.NA, index=values.index, dtype="str")
    for day, rows in values.groupby(days):
        known = _of_list(str(field.code_list), str(day))
        out.loc[rows.index] = rows.map(_single(known))
    return out


def _single(known: dict[str, set[str]]) -> dict[str, str]:
    return {number: next(iter(found)) for number, found in known.items() if len(found) == 1}


@lru_cache(maxsize=2_000)
def _of_list(name: str, day: str) -> dict[str, set[str]]:
    try:
        on = date(int(day[:4]), int(day[4:6]), int(day[6:8]))
    except ValueError:
        on = None
    return readings(dictionary.code_list(name).valid(on))


def of_reference(
    values: pd.Series, table: str, field: str, reference: Reference, facility: str
) -> tuple[pd.Series, str | None]:
    """Codes that came as numbers, by the reference data of the facility; NA where they allow none or several.

    Also returns what of the reference data is missing for it, or None.
    """
    file, column = IN_REFERENCE[table, field]
    none = pd.Series(pd.NA, index=values.index, dtype="str")
    if file not in reference or column not in reference[file].columns:
        return none, f"{file}.csv" if file not in reference else f"{file}.csv: {column}"
    entries = of_facility(reference[file], facility)
    known = readings(entries[column].str.strip().unique())
    single = _single(known)
    return values.map(single).astype("str").where(values.isin(list(single))), None


def of_facility(entries: pd.DataFrame, facility: str) -> pd.DataFrame:
    """Rows of a reference file that are the facility's own or nobody's."""
    if "MA_CSKCB" not in entries.columns:
        return entries
    owner = entries["MA_CSKCB"].fillna("").str.strip()
    return entries[np.isin(owner, ["", facility])]
