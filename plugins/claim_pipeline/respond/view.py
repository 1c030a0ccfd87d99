"""The report put in the order in which people read it: findings by what is to be corrected, claims by number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from claim_pipeline.respond.words import SEVERITIES, Words, rule_title


@dataclass
class Row:
    """One finding with the claim it belongs to. number: of the claim in the file, from 1; None: the whole delivery."""

    number: int | None
    ma_lk: str | None
    finding: dict[str, Any]

    @property
    def claim(self) -> Words:
        """How the claim is named to people."""
        if self.number is None:
            return Words("Cả lô gửi", "Whole delivery")
        if self.ma_lk:
            return Words(self.ma_lk, self.ma_lk)
        return Words(f"Hồ sơ thứ {self.number}", f"Claim no. {self.number}")


@dataclass
class Group:
    """All findings of one rule with one effect."""

    rule: str
    severity: str
    title: Words
    rows: list[Row] = field(default_factory=list)

    @property
    def claims(self) -> int:
        return len({row.number for row in self.rows if row.number is not None})

    @property
    def amount(self) -> Decimal:
        """What these findings would cut, each by itself."""
        return sum((Decimal(row.finding.get("amount_refused") or 0) for row in self.rows), Decimal(0))

    @property
    def bases(self) -> list[str]:
        """The legal grounds named, each once."""
        return list(dict.fromkeys(row.finding["basis"] for row in self.rows if row.finding.get("basis")))


def rows(report: dict[str, Any]) -> Iterator[Row]:
    """Every finding: those of the delivery first, then claim by claim."""
    for finding in report["findings"]:
        yield Row(None, None, finding)
    for number, claim in enumerate(report["claims"], start=1):
        for finding in claim["findings"]:
            yield Row(number, claim["MA_LK"], finding)


def groups(report: dict[str, Any]) -> list[Group]:
    """Findings by rule: what refuses most comes first, warnings last."""
    found: dict[tuple[str, str], Group] = {}
    for row in rows(report):
        rule, severity = row.finding["rule"], row.finding["severity"]
        group = found.get((rule, severity))
        if group is None:
            group = found[rule, severity] = Group(rule, severity, rule_title(rule))
        group.rows.append(row)
    order = list(SEVERITIES)
    return sorted(
        found.values(),
        key=lambda group: (
            order.index(group.severity) if group.severity in order else len(order),
            -group.amount,
            -len(group.rows),
            group.rule,
        ),
    )


def place(finding: dict[str, Any]) -> Words:
    """Where in the claim: table and line."""
    table, line = finding.get("table"), finding.get("line")
    if not table:
        return Words("—", "—")
    return Words(f"{table}, dòng {line}", f"{table}, line {line}") if line is not None else Words(table, table)


def undecided(report: dict[str, Any]) -> Decimal:
    """Amount requested by claims that a person must decide."""
    return sum((Decimal(c["requested"]) for c in report["claims"] if c["outcome"] == "referred"), Decimal(0))
