"""The claim tables XML0..XML15 of Decisions 130, 4750 and 3176, and XML1..XML5 of Decision 4210, as data.

`data/` holds one CSV per table in its newest form (Decision 3176); `changes.csv` lists what was different in earlier
decisions or before a date; XML13, whose elements were renamed, has a file of its own for 4750, and so has every table
of 4210. Columns: `data/README.md`.
"""

from __future__ import annotations

import csv
import datetime
import io
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files

from claim_rules.codes import Code, CodeList, code_list, code_lists

__all__ = [
    "CLAIM_TABLES",
    "DECISIONS",
    "Code",
    "CodeList",
    "Decision",
    "Field",
    "Table",
    "change_dates",
    "code_list",
    "code_lists",
    "decisions",
    "label_en",
    "label_vi",
    "table",
    "tables",
]

DECISIONS = ("4210", "130", "4750", "3176")
"""Decisions whose layouts we know, oldest first."""

CLAIM_TABLES: tuple[str, ...] = tuple(f"XML{number}" for number in (*range(1, 12), 13, 14, 15))
"""LOAIHOSO values allowed inside a HOSO."""


@dataclass(frozen=True)
class Field:
    """One element of a claim table, in one decision.

    position: from 1, the order in which elements are written.
    type: "string", "integer", "decimal", "date8", "datetime12" or "date8|datetime12".
    max_length: characters; None is unlimited (the decision's "n", or a size the source does not state).
    decimals: digits allowed after the point; None for what is not a number.
    required: "yes", "no" or "conditional" (only in the case that `notes` states).
    code_list: name of one of our code lists, or None; code_source: what the specification says, also of lists
    that others keep (facilities, ICD-10, ...).
    is_list: several values joined by ";"; item_type: type of the value, or of each item, of a text field that
    holds dates or numbers.
    personal: identifies a person: names, card, citizen and social-insurance numbers, phone, address, birth.
    since: the decision that brought it.
    """

    name: str
    position: int
    type: str
    max_length: int | None
    decimals: int | None
    required: str
    code_list: str | None
    code_source: str
    is_list: bool
    item_type: str | None
    personal: bool
    label_vi: str
    label_en: str
    since: str
    notes: str


@dataclass(frozen=True)
class Table:
    """One claim table in one decision: the elements of its XML and its fields in order.

    list_element: parent of the rows, None where rows stand in the root; row_element: None where the root itself
    is the only row.
    """

    name: str
    decision: str
    root: str
    list_element: str | None
    row_element: str | None
    label_vi: str
    label_en: str
    fields: tuple[Field, ...] = field(repr=False)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Element names in order."""
        return tuple(f.name for f in self.fields)

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {f.name: f for f in self.fields}

    def has(self, name: str) -> bool:
        """Whether the table has an element of that name."""
        return name in self._by_name

    def field(self, name: str) -> Field:
        """The field of that name; KeyError names the table."""
        if name not in self._by_name:
            raise KeyError(f"{self.name} of Decision {self.decision} has no field {name}")
        return self._by_name[name]


@dataclass(frozen=True)
class Decision:
    """A decision and the visits (by NGAY_RA, inclusive) whose claims are made in its layout."""

    name: str
    visits_from: datetime.date | None
    visits_to: datetime.date | None
    notes: str

    def fits(self, on: datetime.date) -> bool:
        """Whether a visit that ended on that day is claimed in this layout."""
        return (self.visits_from is None or self.visits_from <= on) and (self.visits_to is None or on <= self.visits_to)


@dataclass(frozen=True)
class _Change:
    """Attribute of a field that had another value up to a decision and/or up to a date (both inclusive)."""

    table: str
    field: str
    attribute: str
    value: str
    until_decision: str
    until_date: datetime.date | None


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    text = files(__package__).joinpath("data", name).read_text("utf-8")
    return tuple(csv.DictReader(io.StringIO(text)))


def _date(text: str) -> datetime.date | None:
    return datetime.datetime.strptime(text, "%Y%m%d").date() if text else None


@cache
def _changes() -> tuple[_Change, ...]:
    return tuple(
        _Change(
            row["table"],
            row["field"],
            row["attribute"],
            row["value"],
            row["until_decision"],
            _date(row["until_date"]),
        )
        for row in _rows("changes.csv")
    )


@cache
def change_dates() -> tuple[datetime.date, ...]:
    """The days from which some field or code list is no longer what it was the day before, ascending."""
    day = datetime.timedelta(days=1)
    days = {c.until_date + day for c in _changes() if c.until_date is not None}
    for codes in code_lists().values():
        for code in codes.codes:
            if code.valid_from is not None:
                days.add(code.valid_from)
            if code.valid_to is not None:
                days.add(code.valid_to + day)
    return tuple(sorted(days))


@cache
def decisions() -> dict[str, Decision]:
    """The decisions by name, oldest first."""
    return {
        row["decision"]: Decision(row["decision"], _date(row["visits_from"]), _date(row["visits_to"]), row["notes"])
        for row in _rows("decisions.csv")
    }


@cache
def _labels() -> dict[tuple[str, str], tuple[str, str]]:
    return {(row["field"], row["table"]): (row["label_vi"], row["label_en"]) for row in _rows("labels.csv")}


def _label(field_name: str, table_name: str) -> tuple[str, str]:
    labels = _labels()
    own = labels.get((field_name, table_name)) or labels.get((field_name, ""))
    return own or (field_name, field_name)


def label_vi(field_name: str, table_name: str = "") -> str:
    """What hospital staff call the field; the element's name for one that the dictionary lacks."""
    return _label(field_name, table_name)[0]


def label_en(field_name: str, table_name: str = "") -> str:
    """Short English name of the field; the element's name for one that the dictionary lacks."""
    return _label(field_name, table_name)[1]


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _fields(table_name: str, decision: str, file: str, on: datetime.date | None) -> tuple[Field, ...]:
    age = DECISIONS.index(decision)
    earlier: dict[str, dict[str, str]] = {}
    if decision != "4210":
        for change in _changes():
            if change.table != table_name:
                continue
            by_decision = not change.until_decision or age <= DECISIONS.index(change.until_decision)
            by_date = change.until_date is None or (on is not None and on <= change.until_date)
            if by_decision and by_date:
                earlier.setdefault(change.field, {})[change.attribute] = change.value
    found: list[Field] = []
    for row in _rows(file):
        if DECISIONS.index(row["since"]) > age:
            continue
        row = row | earlier.get(row["name"], {})
        vi, en = _label(row["name"], table_name)
        found.append(
            Field(
                name=row["name"],
                position=len(found) + 1,
                type=row["type"],
                max_length=_number(row["max_length"]),
                decimals=_number(row["decimals"]) if row["type"] != "integer" else 0,
                required=row["required"],
                code_list=row["code_list"] or None,
                code_source=row["code_source"],
                is_list=row["list"] == "yes",
                item_type=row["item_type"] or None,
                personal=row["personal"] == "yes",
                label_vi=vi,
                label_en=en,
                since=row["since"],
                notes=row["notes"],
            )
        )
    return tuple(found)


@cache
def table(name: str, decision: str = "3176", on: datetime.date | None = None) -> Table:
    """A claim table as a decision has it.

    on: the day (NGAY_RA) whose field sizes apply, for the few that changed inside a decision; None: the newest.
    Raises KeyError, with the tables that exist, for another name or decision.
    """
    listed = _rows("tables.csv")
    row = next((r for r in listed if r["table"] == name and r["decision"] == decision), None)
    if row is None:
        exist = "; ".join(f"{d}: {', '.join(r['table'] for r in listed if r['decision'] == d)}" for d in DECISIONS)
        raise KeyError(f"no table {name} in Decision {decision}; there are {exist}")
    return Table(
        name=name,
        decision=decision,
        root=row["root"],
        list_element=row["list_element"] or None,
        row_element=row["row_element"] or None,
        label_vi=row["label_vi"],
        label_en=row["label_en"],
        fields=_fields(name, decision, row["file"], on),
    )


@cache
def tables(decision: str = "3176", on: datetime.date | None = None) -> dict[str, Table]:
    """All tables of a decision by name, XML0 and XML12 (which never stand in a claim) included."""
    if decision not in DECISIONS:
        raise KeyError(f"no Decision {decision}; there are {', '.join(DECISIONS)}")
    return {r["table"]: table(r["table"], decision, on) for r in _rows("tables.csv") if r["decision"] == decision}
