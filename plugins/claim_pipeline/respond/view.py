"""The report put in the order in which people read it: findings by what is to be corrected, claims by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from claim_pipeline.respond.words import SEVERITIES, Words, field_label, how_to_fix, rule_title
from claim_rules import options


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
    """Findings that are corrected in the same way: of one rule with one effect, on one field."""

    rule: str
    severity: str
    table: str | None
    field_name: str | None
    title: Words
    rows: list[Row] = field(default_factory=list)

    @property
    def fix(self) -> Words | None:
        """What the hospital does about them."""
        return how_to_fix(self.rule)

    @property
    def label(self) -> Words:
        """What hospital staff call the field."""
        return field_label(self.table, self.field_name)

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
    """Findings by what is to be corrected: what refuses most comes first, warnings last."""
    found: dict[tuple[str, str, str | None, str | None], Group] = {}
    for row in rows(report):
        one = row.finding
        key = (one["rule"], one["severity"], one.get("table"), one.get("field"))
        if key not in found:
            found[key] = Group(*key, rule_title(one["rule"]))
        found[key].rows.append(row)
    order = list(SEVERITIES)
    return sorted(
        found.values(),
        key=lambda group: (
            order.index(group.severity) if group.severity in order else len(order),
            -group.amount,
            -len(group.rows),
            group.rule,
            group.table or "",
            group.field_name or "",
        ),
    )


def place(finding: dict[str, Any]) -> Words:
    """Where in the claim: table and line."""
    table, line = finding.get("table"), finding.get("line")
    if not table:
        return Words("—", "—")
    return Words(f"{table}, dòng {line}", f"{table}, line {line}") if line is not None else Words(table, table)


_FORM = ("dạng {}", "the form {}")
_EXPECTED = {
    "STR-012": _FORM,
    "STR-013": _FORM,
    "DICT-003": _FORM,
    "DICT-002": ("tối đa {} ký tự", "at most {} characters"),
    "TIME-001": ("sau {}", "later than {}"),
}
"""How what these rules expect is said: by itself it would look like the value to write."""


def expected(finding: dict[str, Any]) -> Words:
    """What should stand there."""
    value = finding.get("expected")
    if not value:
        return Words("—", "—")
    vi, en = _EXPECTED.get(finding["rule"], ("{}", "{}"))
    return Words(vi.format(value), en.format(value))


def undecided(report: dict[str, Any]) -> Decimal:
    """Amount requested by claims that a person must decide."""
    return sum((Decimal(c["requested"]) for c in report["claims"] if c["outcome"] == "referred"), Decimal(0))


@dataclass
class Paperless:
    """How many claims may be paid on the electronic record alone, and what keeps the others from it."""

    claims: int
    reasons: list[tuple[str, int]]


def paperless(report: dict[str, Any]) -> Paperless:
    """Reasons with the number of claims that have them, the most frequent first."""
    reasons = Counter(reason for claim in report["claims"] for reason in claim["paperless_reasons"])
    return Paperless(sum(claim["paperless"] for claim in report["claims"]), reasons.most_common())


@dataclass
class Choice:
    """One option of the law with the choice it was appraised with, and what the others would change.

    told: claims say what another choice would change; others: those choices that would.
    """

    option: str
    about: Words
    used: Words
    is_default: bool
    told: bool
    others: list[Other] = field(default_factory=list)


@dataclass
class Other:
    """What another choice of an option would change: what is approved, and what patients would get back beside."""

    choice: Words
    claims: int = 0
    difference: Decimal = Decimal(0)
    due_back: Decimal = Decimal(0)


def choices(report: dict[str, Any]) -> list[Choice]:
    """The options of the law that this report was made with: those that would change a claim here first."""
    found = {}
    for option, choice in (report.get("options") or {}).items():
        known = options.meaning(option, choice)
        if known:
            about, used = Words(known.about_vi, known.about_en), Words(known.choice_vi, known.choice_en)
            found[option] = Choice(option, about, used, known.is_default, known.told)
        else:
            found[option] = Choice(option, Words(option, option), Words(choice, choice), True, False)
    others: dict[tuple[str, str], Other] = {}
    for claim in report["claims"]:
        for instead in claim.get("what_if", ()):
            key = (instead["option"], instead["choice"])
            other = others.setdefault(key, Other(_choice(*key)))
            other.claims += 1
            other.difference += Decimal(instead["approved"]) - Decimal(claim["approved"])
            other.due_back += Decimal(instead.get("due_back", 0))
    for (option, _), other in others.items():
        if option in found:
            found[option].others.append(other)
    return sorted(found.values(), key=lambda choice: (not choice.others, choice.is_default))


def _choice(option: str, choice: str) -> Words:
    known = options.meaning(option, choice)
    return Words(known.choice_vi, known.choice_en) if known else Words(choice, choice)
