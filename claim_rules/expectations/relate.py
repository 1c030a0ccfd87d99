"""Finds the rows of claim tables that do not stand to others as they should."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from claim_rules import money
from claim_rules.expectations.conditions import Condition
from claim_rules.expectations.relations import Relation
from claim_rules.expectations.texts import Flags, Positions, are_dates, blanks, flags, matches, text_array
from claim_rules.lines import LINE_TABLES

_TOLERANCE = 100  # 1.00 đồng per line


class Surroundings:
    """All tables of some claims, looked at from one of them.

    tables: official name -> claim table (claim_rules.frames), ordered by claim.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self._tables = tables
        self._columns: dict[tuple[str, str], pa.Array] = {}
        self._sums: dict[tuple[str, str, Condition], tuple[Positions, Positions]] = {}

    def claims(self, table: str) -> Positions:
        """Claim of each row of a table."""
        if table not in self._tables:
            return np.empty(0, np.int64)
        return self._tables[table]["claim"].to_numpy()

    def column(self, table: str, field: str) -> pa.Array:
        """Texts of a field; null where the table lacks it."""
        if (table, field) not in self._columns:
            frame = self._tables.get(table)
            known = frame is not None and field in frame.columns
            nothing = pa.nulls(0 if frame is None else len(frame), pa.large_string())
            self._columns[table, field] = text_array(frame[field]) if frame is not None and known else nothing
        return self._columns[table, field]

    @cached_property
    def _summary(self) -> Positions:
        """Claim -> its row in XML1; -1 where there is none."""
        claims = self.claims("XML1")
        place = np.full(int(claims.max(initial=-1)) + 2, -1, np.int64)
        place[claims[::-1]] = np.arange(len(claims))[::-1]
        return place

    def of_claim(self, claims: Positions, field: str) -> pa.Array:
        """A field of XML1 for each of these claims."""
        at = self._summary[np.minimum(claims, len(self._summary) - 1)]
        return self.column("XML1", field).take(pa.array(at, mask=at < 0))

    def sums(self, table: str, field: str, when: Condition) -> tuple[Positions, Positions]:
        """(claims that have rows of the table, sum of an amount in 1/100 đồng over their rows where it holds)."""
        known = self._sums.get((table, field, when))
        if known is None:
            known = self._sums[table, field, when] = self._sum(table, field, when)
        return known

    def _sum(self, table: str, field: str, when: Condition) -> tuple[Positions, Positions]:
        claims = self.claims(table)
        if not len(claims):
            return claims, claims
        amounts = _amounts(self.column(table, field))
        if when.alternatives:
            amounts = np.where(when.holds(lambda name: self.column(table, name), len(claims)), amounts, 0)
        starts = np.flatnonzero(np.r_[True, claims[1:] != claims[:-1]])
        return claims[starts], np.add.reduceat(amounts, starts)


def _amounts(texts: pa.Array) -> Positions:
    """Amounts in 1/100 đồng; 0 for what is none."""
    coded = texts.dictionary_encode()
    known = money.parse(pd.Series(pd.array(coded.dictionary, dtype="str")), money.AMOUNT_DECIMALS)
    values = np.append(known.to_numpy(dtype="int64", na_value=0), 0)
    return np.asarray(values[pc.fill_null(coded.indices, len(known)).to_numpy(zero_copy_only=False)], np.int64)


def _real(texts: pa.Array) -> Flags:
    return are_dates(texts, "date8|datetime12") | are_dates(texts, "birth")


def _before(one: pa.Array, other: pa.Array, *, by_day: bool) -> Positions:
    """Rows where the first date is before the second; dates without a time are compared by day."""
    maybe = np.flatnonzero(flags(pc.less(one, other)))  # a longer text of the same day is not less
    if not len(maybe):
        return maybe
    at = pa.array(maybe)
    one, other = pc.utf8_trim_whitespace(one.take(at)), pc.utf8_trim_whitespace(other.take(at))
    by_days = flags(pc.less(pc.utf8_slice_codeunits(one, 0, 8), pc.utf8_slice_codeunits(other, 0, 8)))
    timed = matches(one, "^[0-9]{12}$") & matches(other, "^[0-9]{12}$")
    less = by_days if by_day else np.where(timed, flags(pc.less(one, other)), by_days)
    return maybe[less & _real(one) & _real(other)]


def _items(texts: pa.Array) -> npt.NDArray[np.int32]:
    counts: npt.NDArray[np.int32] = pc.fill_null(pc.count_substring(texts, ";"), 0).to_numpy(zero_copy_only=False)
    return counts


def _repeated(claims: Positions, texts: pa.Array) -> Flags:
    filled = ~blanks(texts)
    frame = pd.DataFrame({"claim": claims, "text": pc.utf8_trim_whitespace(texts).to_pandas()})
    return frame.duplicated().to_numpy() & filled


def _together(claims: Positions, texts: pa.Array, other_claims: Positions, others: pa.Array) -> Flags:
    """Whether each text stands in the other column of the same claim."""
    both = pa.concat_arrays([pc.utf8_trim_whitespace(text_array(part)) for part in (texts, others)])
    codes = pc.fill_null(both.dictionary_encode().indices, -1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
    size = int(codes.max(initial=0)) + 1
    return np.isin(claims * size + codes[: len(texts)], other_claims * size + codes[len(texts) :])


def check_relation(
    relation: Relation, claims: Positions, columns: Mapping[str, pa.Array], around: Surroundings
) -> Positions:
    """Rows (positions) of a table that are not as the relation asks.

    claims, columns: of rows of the relation's table, the claim of each and its texts by element; around: all tables of
    their claims.
    """

    def column(name: str) -> pa.Array:
        known = columns.get(name)
        return pa.nulls(len(claims), pa.large_string()) if known is None else known

    kind, own = relation.kind, column(relation.field)
    if kind == "sum":
        return _wrong_sums(relation, claims, own, around)
    other_table, _, other_field = relation.other.rpartition(".")
    if kind.startswith(("not-", "copy", "parallel")):
        other = around.of_claim(claims, other_field) if other_table else column(other_field)
        if kind.startswith("not-before"):
            rows = _before(own, other, by_day=kind.endswith("-day"))
        elif kind.startswith("not-after"):
            rows = _before(other, own, by_day=kind.endswith("-day"))
        elif kind == "copy":
            rows = np.flatnonzero(~flags(pc.equal(own, other)))
            at = pa.array(rows)
            own, other = pc.utf8_trim_whitespace(own.take(at)), pc.utf8_trim_whitespace(other.take(at))
            rows = rows[~flags(pc.equal(own, other)) & ~blanks(own)]
        else:
            rows = np.flatnonzero(_items(own) != _items(other))
    elif kind == "unique":
        rows = np.flatnonzero(_repeated(claims, own))
    elif kind in ("has-parent", "has-child"):
        others = around.column(other_table, other_field)
        rows = np.flatnonzero(~_together(claims, own, around.claims(other_table), others))
    else:
        has = np.isin(claims, around.claims(relation.other))
        rows = np.flatnonzero(~has if kind == "present" else has & blanks(own))
    if len(rows) and relation.when.alternatives:
        at = pa.array(rows)
        rows = rows[relation.when.holds(lambda name: column(name).take(at), len(rows))]
    return rows


def _wrong_sums(relation: Relation, claims: Positions, own: pa.Array, around: Surroundings) -> Positions:
    size = int(claims.max(initial=-1)) + 1
    total, lines = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for place in relation.other.split():
        table, _, field = place.partition(".")
        of, amounts = around.sums(table, field, relation.when)
        inside = of < size
        total[of[inside]] += amounts[inside]
    for table in LINE_TABLES:
        of = around.claims(table)
        lines += np.bincount(of[of < size], minlength=size)
    off = np.abs(_amounts(own) - total[claims]) > _TOLERANCE * lines[claims]
    return np.flatnonzero(off & ~blanks(own))
