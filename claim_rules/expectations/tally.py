"""One pass over the claims of a delivery, some at a time: findings of each portion, and counts that add up."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from claim_rules.dictionary import CLAIM_TABLES
from claim_rules.expectations.batches import CLAIMS, Batch, batches, columns_of, expectations_of, relations_of
from claim_rules.expectations.check import check_table
from claim_rules.expectations.fields import KINDS, VERSION_FIELD, Expectation, Layout
from claim_rules.expectations.relate import Surroundings, check_relation
from claim_rules.expectations.relations import ONE_CLAIM, Relation
from claim_rules.expectations.tell import in_order, to_findings
from claim_rules.expectations.texts import Positions, days_of, text_array
from claim_rules.findings import concat
from claim_rules.frames import ClaimTables

SAMPLE = 50
"""Unexpected rows of one expectation whose keys are kept."""

RELATED = "relation"
"""Kind of fault of a relation, beside KINDS."""


@dataclass
class Tally:
    """Counts of one expectation. evaluated: values looked at; by_kind: unexpected ones by kind of fault; sample: keys
    of the first unexpected rows (claim, row, MA_LK, STT)."""

    evaluated: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    sample: list[dict[str, Any]] = field(default_factory=list)

    @property
    def unexpected(self) -> int:
        return sum(self.by_kind.values())


@dataclass
class Suite:
    """Counts of the rows of one table in one layout, by the name of the expectation (a field, or a relation's name).

    name: of the suite; seconds: of the pass over its rows.
    """

    name: str
    table: str
    layout: Layout | None
    rows: int = 0
    seconds: float = 0.0
    tallies: dict[str, Tally] = field(default_factory=dict)

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        return expectations_of(self.table, self.layout)

    @property
    def relations(self) -> tuple[Relation, ...]:
        return relations_of(self.table, self.layout)


class Pass:
    """Checks claims portion by portion, and counts: `suites` by name, `claims` that could be checked, `months` of their
    NGAY_RA (yyyymm, "" where it cannot be read)."""

    def __init__(self) -> None:
        self.suites: dict[str, Suite] = {}
        self.claims = 0
        self.months: dict[str, int] = {}
        self._keys: set[str] = set()

    def add(self, tables: ClaimTables) -> pd.DataFrame:
        """Raw findings of the dictionary on all claims of a portion that can be checked, in order of claim, table, row
        and field. Portions are whole claims and come in order of their position."""
        around = Surroundings(tables.tables)
        found = [self._batch(batch, around) for batch in _batches_of(tables)]
        return in_order(concat(found))

    def _batch(self, batch: Batch, around: Surroundings) -> pd.DataFrame:
        started = time.perf_counter()
        suite = self.suites.setdefault(batch.name, Suite(batch.name, batch.table, batch.layout))
        suite.rows += len(batch.frame)
        claims, columns = batch.frame["claim"].to_numpy(), columns_of(batch.frame)
        faults = check_table(columns, batch.expectations)
        for name, fault in faults.items():
            tally = suite.tallies.setdefault(name, Tally())
            tally.evaluated += fault.evaluated
            if len(fault.rows):
                kinds, counts = np.unique(fault.kinds, return_counts=True)
                for kind, count in zip(kinds, counts, strict=True):
                    tally.by_kind[KINDS[kind]] = tally.by_kind.get(KINDS[kind], 0) + int(count)
                _sample(tally, batch.frame, columns, fault.rows)
        for relation in batch.relations:
            if relation is ONE_CLAIM:
                rows = self._repeated(batch.frame)
            else:
                rows = check_relation(relation, claims, columns, around)
            tally = suite.tallies.setdefault(relation.name, Tally())
            tally.evaluated += len(batch.frame)
            if len(rows):
                tally.by_kind[RELATED] = tally.by_kind.get(RELATED, 0) + len(rows)
                _sample(tally, batch.frame, columns, rows)
        if batch.table == CLAIMS:
            self._count(batch.frame)
        told = to_findings(batch, faults)
        suite.seconds += time.perf_counter() - started
        return told

    def _count(self, claims: pd.DataFrame) -> None:
        self.claims += len(claims)
        days = pd.Series(days_of(text_array(claims[VERSION_FIELD])) // 100)
        for month, number in days.value_counts().items():
            name = str(month) if month else ""
            self.months[name] = self.months.get(name, 0) + int(number)

    def _repeated(self, claims: pd.DataFrame) -> Positions:
        keys = claims["MA_LK"].fillna("").str.strip()
        before = keys.map(self._keys.__contains__).to_numpy(dtype="bool")
        self._keys.update(keys)
        return np.flatnonzero((before | keys.duplicated().to_numpy()) & (keys != "").to_numpy(dtype="bool"))


def _batches_of(tables: ClaimTables) -> Iterator[Batch]:
    summary = tables["XML1"] if "XML1" in tables else pd.DataFrame({"claim": pd.Series([], dtype="int64")})
    return batches(tables.claims, summary, ((name, tables[name]) for name in CLAIM_TABLES if name in tables))


def _sample(tally: Tally, frame: pd.DataFrame, columns: Mapping[str, pa.Array], rows: Positions) -> None:
    wanted = rows[: SAMPLE - len(tally.sample)]
    if not len(wanted):
        return
    at = pa.array(wanted)
    nothing = [None] * len(wanted)
    keys = [columns[name].take(at).to_pylist() if name in columns else nothing for name in ("MA_LK", "STT")]
    places = (frame[name].to_numpy()[wanted].tolist() for name in ("claim", "row"))
    tally.sample += [
        {"claim": claim, "row": row, "MA_LK": key, "STT": number}
        for claim, row, key, number in zip(*places, *keys, strict=True)
    ]


def check(tables: ClaimTables) -> pd.DataFrame:
    """Raw findings of the dictionary on all claims that can be checked, in order of claim, table, row and field."""
    return Pass().add(tables)
