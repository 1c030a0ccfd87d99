"""What is true of each text of a column: the small questions that all expectations ask of Arrow arrays."""

from __future__ import annotations

import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Flags = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]

_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def text_array(texts: pd.Series | pa.Array) -> pa.Array:
    """A column of texts as an Arrow array, without a copy where it is one inside."""
    if isinstance(texts, pd.Series):
        texts = pa.array((texts if texts.dtype == "str" else texts.astype("str")).array)
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    return array if array.type == pa.large_string() else array.cast(pa.large_string())


def flags(values: pa.Array) -> Flags:
    """Booleans of Arrow as numpy has them; null is false."""
    found: Flags = pc.fill_null(values, False).to_numpy(zero_copy_only=False)
    return found


def blanks(values: pa.Array) -> Flags:
    """Null, empty, or nothing but white space."""
    empty = pc.or_(pc.equal(values, ""), pc.utf8_is_space(values))
    return flags(pc.fill_null(empty, True))


def matches(values: pa.Array, pattern: str) -> Flags:
    """Whether the pattern is found in each text."""
    return flags(pc.match_substring_regex(values, pattern))


def is_positive(values: pa.Array) -> Flags:
    """Whether each text is a number above nought."""
    return matches(values, r"^\s*[0-9]+(\.[0-9]*)?\s*$") & matches(values, "[1-9]")


def digits(values: pa.Array, start: int, stop: int) -> Positions:
    """The number in that part of each text; only digits may stand there."""
    part = pc.utf8_slice_codeunits(values, start, stop)
    number: Positions = pc.cast(part, pa.int64()).to_numpy(zero_copy_only=False)
    return number


def real_dates(values: pa.Array, *, times: bool, unknown: bool) -> Flags:
    """Whether each text of 8 or 12 digits is a real day (and time); unknown: MMDD and HHMM may be 0000."""
    year, month, day = digits(values, 0, 4), digits(values, 4, 6), digits(values, 6, 8)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    last = _DAYS[np.where(month <= 12, month, 0)] + (leap & (month == 2))
    good: Flags = (year >= 1) & (day >= 1) & (day <= last)
    if unknown:
        good |= (year >= 1) & (month == 0) & (day == 0)
    if times:
        good &= (digits(values, 8, 10) <= 23) & (digits(values, 10, 12) <= 59)
    return good


def are_dates(values: pa.Array, form: str) -> Flags:
    """Whether each text is a date of that form ("date8", "datetime12", "date8|datetime12", "birth", "birth8")."""
    good = np.zeros(len(values), np.bool_)
    shapes = {
        "date8": ((8, False),),
        "datetime12": ((12, False),),
        "date8|datetime12": ((8, False), (12, False)),
        "birth": ((12, True),),
        "birth8": ((8, True),),
    }[form]
    for length, unknown in shapes:
        fits = matches(values, f"^[0-9]{{{length}}}$")
        if fits.any():
            at = np.flatnonzero(fits)
            good[at] = real_dates(values.take(pa.array(at)), times=length == 12, unknown=unknown)
    if form == "birth8":
        good |= matches(values, "^[0-9]{4}$")  # 4210: some exports give the year alone
    return good


def days_of(texts: pa.Array) -> Positions:
    """The day (yyyymmdd as a number) that each date or date-time begins with; 0 where there is none."""
    part = pc.utf8_slice_codeunits(texts, 0, 8)
    good = pa.array(are_dates(part, "date8"))
    number: Positions = pc.cast(pc.if_else(good, part, "0"), pa.int64()).to_numpy(zero_copy_only=False)
    return number


def as_number(day: datetime.date) -> int:
    """A day as days_of has it: yyyymmdd."""
    return day.year * 10000 + day.month * 100 + day.day
