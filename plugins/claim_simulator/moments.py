"""Moments and days as integers (minutes and days since 1970-01-01, wall time), and their text in claim tables."""

from __future__ import annotations

import datetime
from functools import cache

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]

DAY = 1440  # minutes


def day_number(day: datetime.date) -> int:
    """Days since 1970-01-01."""
    return (day - datetime.date(1970, 1, 1)).days


def day_of_text(text: str) -> int:
    """Days since 1970-01-01 of a yyyymmdd text."""
    return day_number(datetime.datetime.strptime(text, "%Y%m%d").date())


def month_days(month: str) -> tuple[int, int]:
    """First and last day of a month given as yyyymm; ValueError if it is none."""
    first = datetime.datetime.strptime(month, "%Y%m").date()
    following = (first.replace(day=28) + datetime.timedelta(days=4)).replace(day=1)
    return day_number(first), day_number(following) - 1


def weekday(days: Ints) -> Ints:
    """0 Monday to 6 Sunday."""
    return (days + 3) % 7


def text8(days: Ints) -> Texts:
    """Days as yyyymmdd."""
    if not len(days):
        return np.empty(0, dtype="U8")
    first, last = int(days.min()), int(days.max())
    listed = np.arange(first, last + 1).astype("datetime64[D]")
    table = np.char.replace(np.datetime_as_string(listed), "-", "")
    return table[days - first]


@cache
def _clock() -> Texts:
    return np.array([f"{minute // 60:02d}{minute % 60:02d}" for minute in range(DAY)])


def text12(minutes: Ints) -> Texts:
    """Moments as yyyymmddHHMM."""
    days, rest = np.divmod(minutes, DAY)
    return np.char.add(text8(days), _clock()[rest])


def later(text: str, minutes: int) -> str:
    """A moment (yyyymmddHHMM) some minutes later."""
    at = day_of_text(text[:8]) * DAY + int(text[8:10]) * 60 + int(text[10:12]) + minutes
    return str(text12(np.array([at]))[0])
