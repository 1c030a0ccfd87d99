"""One line of the indexes: what a validation of one delivery came to."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
MONTHS_BACK = 12
CAUSES = 3
FACILITY = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,19}")
MONTH = re.compile(r"[0-9]{4}(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Entry:
    """delivery: its number; month: see month_of; received_at: ISO 8601 in Vietnam; answer: folder below the outbox;
    months: claims checked by month of NGAY_RA ("" unknown); rows: of all tables; failing: expectations that were not
    met; unexpected: values that were not as expected; causes: the expectations that most values failed, with their
    number."""

    delivery: int
    facility: str
    month: str
    received_at: str
    sha256: str
    format: str | None
    answer: str | None
    read: int
    checked: int
    months: dict[str, int]
    suites: int
    rows: int
    expectations: int
    failing: int
    unexpected: int
    causes: list[tuple[str, str, int]]

    @property
    def received(self) -> datetime:
        return datetime.fromisoformat(self.received_at)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Entry:
        causes = [(str(table), str(name), int(number)) for table, name, number in value["causes"]]
        return cls(**{**value, "causes": causes})


def entry_of(
    report: dict[str, Any], delivery: int, facility: str, received_at: datetime, answer: str | None = None
) -> Entry:
    """The entry of a validation.json ("giamdinh.validation/2"). received_at: with zone.

    Raises ValueError for a facility that cannot name a folder.
    """
    if not FACILITY.fullmatch(facility):
        raise ValueError("a facility code cannot be a folder name")
    local = received_at.astimezone(VIETNAM)
    every = [(suite["table"], one) for suite in report["suites"] for one in suite["expectations"]]
    wrong: Counter[tuple[str, str]] = Counter()
    for table, one in every:
        wrong[table, one["name"]] += one["unexpected"]
    worst = [(table, name, number) for (table, name), number in wrong.most_common(CAUSES) if number]
    return Entry(
        delivery=delivery,
        facility=facility,
        month=month_of(report["claims"]["months"], local),
        received_at=local.isoformat(timespec="seconds"),
        sha256=report["delivery"]["sha256"],
        format=report["delivery"]["format"],
        answer=answer,
        read=report["claims"]["read"],
        checked=report["claims"]["checked"],
        months=report["claims"]["months"],
        suites=len(report["suites"]),
        rows=sum(suite["rows"] for suite in report["suites"] if suite["decision"]),
        expectations=len(every),
        failing=sum(one["unexpected"] > 0 for _, one in every),
        unexpected=sum(one["unexpected"] for _, one in every),
        causes=worst,
    )


def month_of(months: dict[str, int], received: datetime) -> str:
    """The month (yyyymm) under which a delivery stands: the one in which most of its visits ended (NGAY_RA), the later
    of two as frequent. Where that is unknown, after the receipt or more than a year before it, the month of receipt: a
    date mistyped opens no month of its own."""
    received_in = received.year * 12 + received.month
    known = [
        (number, month)
        for month, number in months.items()
        if MONTH.fullmatch(month) and 0 <= received_in - (int(month[:4]) * 12 + int(month[4:])) <= MONTHS_BACK
    ]
    return max(known)[1] if known else f"{received:%Y%m}"
