"""One claim whose cells can be changed, and what a fault is: what the fault modules are written with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from claim_rules import money
from claim_rules.frames import ClaimTables
from claim_simulator.catalogue import Catalogue
from claim_simulator.deliveries import COMPUTED
from claim_simulator.facilities import Facility

Truth = tuple[str, int | None, str]
"""(table, line or None for a finding of the claim, rule)."""

LINE = 100
"""Tolerance of a line, 1/100 đồng; a difference equal to it passes."""


class Claim:
    """One claim whose cells can be changed; rows count from 0, the number of a row in a report is one more."""

    def __init__(
        self, claim: int, sheets: Sheets, lists: Catalogue, rng: np.random.Generator, kind: tuple[int, str]
    ) -> None:
        """kind: level and former tier of the facility."""
        self.kind = kind
        # half of the faults lie just beyond the limit: by a hundredth of a đồng, a day, a minute, a percent
        self.edge = bool(rng.random() < 0.5)
        self.number = claim
        self.lists = lists
        self.rng = rng
        self._sheets = sheets
        self.damage: tuple[str, str] | None = None
        self.unknown_card = False
        self.card_end: int | None = None
        self.decision: str | None = None
        self.paid_this_year: int | None = None
        self.register: dict[str, str] = {}
        self.more_cards: list[dict[str, str]] = []
        self.look_up: tuple[str, str] | None = None
        self.late = False

    def rows(self, table: str) -> range:
        """Rows of a table."""
        return range(self._sheets.count(table, self.number))

    def get(self, table: str, name: str, row: int = 0) -> str:
        return str(self._sheets.column(table, name)[self._sheets.start(table, self.number) + row])

    def put(self, table: str, name: str, value: str, row: int = 0) -> None:
        self._sheets.column(table, name)[self._sheets.start(table, self.number) + row] = value

    def copy_row(self, table: str, source: int, target: int) -> None:
        """Makes a row the same as an earlier one but for its number."""
        for name in self._sheets.names(table):
            self.put(table, name, self.get(table, name, source), target)

    def take_row(self, table: str, other: Claim, source: int, target: int) -> None:
        """Makes a row that of another claim but for its number and MA_LK."""
        for name in self._sheets.names(table):
            if name != "MA_LK":
                self.put(table, name, other.get(table, name, source), target)

    def drop(self, table: str) -> None:
        """Leaves out a table."""
        self._sheets.dropped.add((table, self.number))

    def amount(self, table: str, name: str, row: int = 0) -> int:
        """An amount in 1/100 đồng."""
        return int(Decimal(self.get(table, name, row)) * 100)

    def put_amount(self, table: str, name: str, value: int, row: int = 0) -> None:
        self.put(table, name, money.amount_text(value), row)

    def add(self, table: str, name: str, more: int, row: int = 0) -> None:
        self.put_amount(table, name, self.amount(table, name, row) + more, row)

    def lines(self) -> Iterator[tuple[str, int]]:
        """All rows of XML2 and XML3."""
        for table in ("XML2", "XML3"):
            for row in self.rows(table):
                yield table, row

    def pick(self, rows: list[Any]) -> Any:
        return rows[int(self.rng.integers(0, len(rows)))]

    def some(self, low: int, high: int) -> int:
        """A random amount in whole thousands of đồng, in 1/100 đồng."""
        return int(self.rng.integers(low, high)) * 100_000

    def blank_computed(self) -> None:
        """Empties every computed cell, so that the benefit law fills it anew."""
        for table, names in COMPUTED.items():
            for row in self.rows(table):
                for name in names:
                    self.put(table, name, "", row)

    @property
    def tolerance(self) -> int:
        """Tolerance of the claim's totals, 1/100 đồng."""
        return LINE * len(list(self.lines()))

    @property
    def other_money(self) -> bool:
        return any(self.amount(table, "T_NGUONKHAC", row) for table, row in self.lines())

    def everywhere(self, name: str, value: str) -> None:
        """Sets an element of XML1 and its copies in the papers."""
        for table in ("XML1", "XML13", "XML14"):
            if len(self.rows(table)) and self._sheets.has(table, name):
                self.put(table, name, value)


class Sheets:
    """Claim tables as arrays of Python texts: single cells can be changed."""

    def __init__(self, tables: ClaimTables) -> None:
        self._tables = tables
        self._claims = {name: frame["claim"].to_numpy() for name, frame in tables.items()}
        self._columns: dict[tuple[str, str], np.ndarray] = {}
        self.dropped: set[tuple[str, int]] = set()

    def has(self, table: str, name: str) -> bool:
        return table in self._tables and name in self._tables[table].columns

    def names(self, table: str) -> list[str]:
        """Elements of a table, without the number of the row."""
        return [name for name in self._tables[table].columns if name not in ("claim", "row", "STT")]

    def start(self, table: str, claim: int) -> int:
        return int(np.searchsorted(self._claims[table], claim))

    def count(self, table: str, claim: int) -> int:
        if table not in self._claims:
            return 0
        return int(np.searchsorted(self._claims[table], claim, side="right")) - self.start(table, claim)

    def column(self, table: str, name: str) -> np.ndarray:
        key = (table, name)
        if key not in self._columns:
            self._columns[key] = self._tables[table][name].to_numpy(dtype="object", copy=True)
        return self._columns[key]

    def tables(self) -> ClaimTables:
        frames = {name: frame.copy() for name, frame in self._tables.items()}
        for (table, name), values in self._columns.items():
            frames[table][name] = pd.Series(values, index=frames[table].index, dtype="str")
        for name in {table for table, _ in self.dropped}:
            gone = [claim for table, claim in self.dropped if table == name]
            frames[name] = frames[name][~frames[name]["claim"].isin(gone)].reset_index(drop=True)
        return ClaimTables(self._tables.claims.copy(), frames, self._tables.unknown)


@dataclass(frozen=True)
class Fault:
    """How one rule's fault is planted.

    possible: which claims of the facts it fits. plant: changes the claim, returns the findings. refill: computed cells
    are emptied before and filled after. xml_only, needs_amounts: deliveries that can carry it. only_at: facilities that
    can.
    """

    possible: Callable[[pd.DataFrame], pd.Series]
    plant: Callable[[Claim], list[Truth]]
    refill: bool = False
    xml_only: bool = False
    needs_amounts: bool = False
    only_at: Callable[[Facility], bool] | None = None
