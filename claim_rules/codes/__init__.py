"""Code lists as data, one CSV per list, each code with the days in which it is in force."""

from __future__ import annotations

import csv
import datetime
import io
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Code:
    """One code of a list; `valid_from` and `valid_to` are inclusive, None means open."""

    code: str
    meaning_en: str
    valid_from: datetime.date | None
    valid_to: datetime.date | None
    basis: str
    notes: str


@dataclass(frozen=True)
class CodeList:
    """A list of codes that a field may take."""

    name: str
    codes: tuple[Code, ...]

    def valid(self, on: datetime.date | None = None) -> frozenset[str]:
        """The codes in force on that day; without a day every code the list ever had."""
        return frozenset(
            c.code
            for c in self.codes
            if on is None or ((c.valid_from is None or c.valid_from <= on) and (c.valid_to is None or on <= c.valid_to))
        )

    def meaning(self, code: str) -> str | None:
        """What the code means (English), or None if the list does not have it."""
        return next((c.meaning_en for c in self.codes if c.code == code), None)


def _date(text: str) -> datetime.date | None:
    return datetime.datetime.strptime(text, "%Y%m%d").date() if text else None


@cache
def code_lists() -> dict[str, CodeList]:
    """Every code list of the product, by name."""
    found: dict[str, CodeList] = {}
    for file in sorted(files(__package__).joinpath("data").iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".csv"):
            continue
        codes = tuple(
            Code(
                code=row["code"],
                meaning_en=row["meaning_en"],
                valid_from=_date(row["valid_from"]),
                valid_to=_date(row["valid_to"]),
                basis=row["basis"],
                notes=row["notes"],
            )
            for row in csv.DictReader(io.StringIO(file.read_text("utf-8")))
        )
        name = file.name.removesuffix(".csv").upper()
        found[name] = CodeList(name, codes)
    return found


def code_list(name: str) -> CodeList:
    """The list of that name; KeyError says which exist."""
    lists = code_lists()
    if name not in lists:
        raise KeyError(f"no code list {name}; there are {', '.join(lists)}")
    return lists[name]
