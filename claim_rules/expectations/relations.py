"""What is expected of fields beside each other: in a row, against XML1, between tables. Data: relations.csv."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from claim_rules import dictionary
from claim_rules.expectations.conditions import ALWAYS, Condition, parse
from claim_rules.expectations.data import read

_WORDS = {
    "not-before": ("không trước {other}", "not before {other}"),
    "not-before-day": ("không trước ngày của {other}", "not before the day of {other}"),
    "not-after": ("không sau {other}", "not after {other}"),
    "not-after-day": ("không sau ngày của {other}", "not after the day of {other}"),
    "parallel": ("cùng số phần tử với {other}", "as many items as {other}"),
    "copy": ("như {other}, nếu có ghi", "the same as {other}, where filled"),
    "unique": ("không lặp lại", "not repeated"),
    "has-parent": ("có trong {other} của hồ sơ", "stands in {other} of the claim"),
    "has-child": ("có kết quả trong {other}", "has its result in {other}"),
    "present": ("hồ sơ phải có bảng {other}", "the claim must have table {other}"),
    "filled-with": ("không trống khi hồ sơ có bảng {other}", "filled where the claim has table {other}"),
    "sum": ("bằng tổng {other} của các dòng", "the sum of {other} of the lines"),
}
RELATION_KINDS = tuple(_WORDS)
"""Kinds of relations; what each asks is said by `Relation.words`."""


@dataclass(frozen=True)
class Relation:
    """What one field must be beside others.

    kind: one of RELATION_KINDS. other: field of the same row, `<table>.<field>` of the claim's other tables (of a sum
    several), or a table (present, filled-with). when: rows that it is asked of; of a sum, the lines that count.
    rule: of the catalogue, that looks at the same and tells the hospital; None: nobody does, it stands in the
    validation alone.
    """

    table: str
    kind: str
    field: str
    other: str
    when: Condition
    rule: str | None
    source: str

    @property
    def name(self) -> str:
        """Name of the relation among the expectations of its table."""
        return " ".join(part for part in (self.field, self.kind, self.other) if part)

    def words(self) -> tuple[str, str]:
        """What it asks, in Vietnamese and English."""
        vi, en = (text.format(other=self.other.replace(" ", " + ")) for text in _WORDS[self.kind])
        if not self.when.alternatives:
            return vi, en
        case_vi, case_en = self.when.words()
        if self.kind == "sum":
            return f"{vi} có {case_vi}", f"{en} where {case_en}"
        return f"{vi}, khi {case_vi}", f"{en}, where {case_en}"


@cache
def _all() -> tuple[tuple[Relation, tuple[str, ...]], ...]:
    return tuple(
        (
            Relation(
                row["table"],
                row["kind"],
                row["field"],
                row["other"],
                parse(row["when"]),
                row["rule"] or None,
                row["source"],
            ),
            tuple(row["decisions"].split()),
        )
        for row in read("relations.csv")
    )


ONE_CLAIM = Relation("claims", "unique", "MA_LK", "", ALWAYS, "DUP-001", "primary key of XML1")
"""No two claims of a delivery have the same MA_LK."""


@cache
def relations(table: str, decision: str) -> tuple[Relation, ...]:
    """The relations of a table in a decision."""
    if table not in dictionary.tables(decision):
        return ()
    return tuple(one for one, decisions in _all() if one.table == table and decision in decisions)
