"""Dates and times of FHIR as the official elements write them."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")


def day_and_time(value: str, unknown_day: bool) -> str:
    """YyyyMMddHHmm of a FHIR dateTime or instant, in Vietnam's time; of a date yyyyMMdd, for nobody knows the hour.

    unknown_day: what the date leaves open (month, day, time) is 0, as in NGAY_SINH. What is no FHIR date stays.
    """
    date = _DATE.fullmatch(value)
    if date is not None:
        digits = "".join(part or "" for part in date.groups())
        return digits.ljust(12, "0") if unknown_day else digits
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(ZONE).strftime("%Y%m%d%H%M") if moment.tzinfo is not None else value
    except (ValueError, OverflowError):
        return value
