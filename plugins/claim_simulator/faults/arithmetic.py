"""Faults of amounts and totals (SUM)."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from claim_simulator.faults.claim import LINE, Claim, Fault, Truth
from claim_simulator.faults.facts import every_claim


def _wrong_hospital_amount(table: str, rule: str) -> Callable[[Claim], list[Truth]]:
    def plant(claim: Claim) -> list[Truth]:
        row = claim.pick([row for row in claim.rows(table) if not claim.amount(table, "T_NGUONKHAC", row)])
        wrong = claim.amount(table, "THANH_TIEN_BV", row) + (LINE + 1 if claim.edge else claim.some(1, 60))
        claim.blank_computed()
        claim.put_amount(table, "THANH_TIEN_BV", wrong, row)
        return [(table, row + 1, rule)]

    return plant


def _wrong_scope_amount(table: str, rule: str) -> Callable[[Claim], list[Truth]]:
    def plant(claim: Claim) -> list[Truth]:
        rows = []
        for row in claim.rows(table):
            unpaid = claim.amount(table, "THANH_TIEN_BV", row) - claim.amount(table, "THANH_TIEN_BH", row)
            paid = claim.amount(table, "T_BHTT", row) > 0 and not claim.amount(table, "T_NGUONKHAC", row)
            if claim.get(table, "PHAM_VI", row) == "1" and paid and unpaid >= 100_000:
                rows.append((row, claim.amount(table, "THANH_TIEN_BH", row), unpaid))
        row, right, unpaid = claim.pick(rows)
        claim.blank_computed()
        more = LINE + 1 if claim.edge else claim.pick([unpaid, unpaid // 2])
        claim.put_amount(table, "THANH_TIEN_BH", right + more, row)
        return [(table, row + 1, rule)]

    return plant


def _unbalanced_line(claim: Claim) -> list[Truth]:
    table, row = claim.pick(list(claim.lines()))
    if claim.tolerance >= 2 * LINE and claim.edge:
        # above the tolerance of a line, within that of the claim
        claim.add(table, "T_BNTT", LINE + 1, row)
        return [(table, row + 1, "SUM-005")]
    more = claim.tolerance + claim.some(1, 40)
    claim.add(table, "T_BNTT", more, row)
    claim.add("XML1", "T_BNTT", more)
    return [(table, row + 1, "SUM-005"), ("XML1", None, "SUM-017")]


def _header(claim: Claim, name: str, more: int, *rules: str) -> list[Truth]:
    claim.add("XML1", name, more)
    return [("XML1", None, rule) for rule in rules]


def _beyond(claim: Claim) -> int:
    return claim.tolerance + (1 if claim.edge else claim.some(1, 90))


def _formula(claim: Claim) -> tuple[str, ...]:
    """SUM-015 also holds T_BHTT against T_TONGCHI_BH − T_BNCCT, unless other sources paid."""
    return () if claim.other_money else ("SUM-015",)


def _total_hospital(claim: Claim) -> list[Truth]:
    return _header(claim, "T_TONGCHI_BV", _beyond(claim), "SUM-011", "SUM-017")


def _total_scope(claim: Claim) -> list[Truth]:
    less = claim.tolerance + (1 if claim.edge else (claim.amount("XML1", "T_BNCCT") - claim.tolerance) // 2)
    return _header(claim, "T_TONGCHI_BH", -less, "SUM-012", *_formula(claim))


def _total_self(claim: Claim) -> list[Truth]:
    return _header(claim, "T_BNTT", _beyond(claim), "SUM-013", "SUM-017")


def _total_co_payment(claim: Claim) -> list[Truth]:
    return _header(claim, "T_BNCCT", _beyond(claim), "SUM-014", "SUM-017", *_formula(claim))


def _total_fund(claim: Claim) -> list[Truth]:
    up, down = claim.amount("XML1", "T_BNCCT") // 2, claim.amount("XML1", "T_BHTT") // 2
    if claim.edge:
        # the fund may not be asked for more than what is in scope, that would be another fault
        up, down = min(claim.amount("XML1", "T_BNCCT"), claim.tolerance + 1), claim.tolerance + 1
    more = claim.pick([value for value in (up, -down) if abs(value) > claim.tolerance])
    return _header(claim, "T_BHTT", more, "SUM-015", "SUM-017")


def _total_other(claim: Claim) -> list[Truth]:
    return _header(claim, "T_NGUONKHAC", _beyond(claim), "SUM-016", "SUM-017")


def _balance_alone(claim: Claim) -> list[Truth]:
    # each total is within its tolerance of the lines, together they are not
    step = claim.tolerance * 3 // 4
    claim.add("XML1", "T_TONGCHI_BV", -step)
    claim.add("XML1", "T_BNTT", step)
    return [("XML1", None, "SUM-017")]


def _co_paying(known: pd.DataFrame) -> pd.Series:
    return (known["rate"] < 10_000) & known["one_rate"] & ~known["small"] & (known["T_BNCCT"] >= 2_000_000)


FAULTS: dict[str, Fault] = {
    "SUM-001": Fault(
        lambda known: known["drugs"] > 0, _wrong_hospital_amount("XML2", "SUM-001"), refill=True, needs_amounts=True
    ),
    "SUM-002": Fault(
        lambda known: (known["part_drugs"] > 0) & ~known["small"],
        _wrong_scope_amount("XML2", "SUM-002"),
        refill=True,
        needs_amounts=True,
    ),
    "SUM-003": Fault(
        lambda known: known["services"] > 0, _wrong_hospital_amount("XML3", "SUM-003"), refill=True, needs_amounts=True
    ),
    "SUM-004": Fault(
        lambda known: (known["part_services"] > 0) & ~known["small"],
        _wrong_scope_amount("XML3", "SUM-004"),
        refill=True,
        needs_amounts=True,
    ),
    "SUM-005": Fault(every_claim, _unbalanced_line, needs_amounts=True),
    "SUM-011": Fault(every_claim, _total_hospital, needs_amounts=True),
    "SUM-012": Fault(_co_paying, _total_scope, needs_amounts=True),
    "SUM-013": Fault(every_claim, _total_self, needs_amounts=True),
    "SUM-014": Fault(_co_paying, _total_co_payment, needs_amounts=True),
    "SUM-015": Fault(lambda known: known["T_BHTT"] >= 2_000_000, _total_fund, needs_amounts=True),
    "SUM-016": Fault(every_claim, _total_other, needs_amounts=True),
    "SUM-017": Fault(every_claim, _balance_alone, needs_amounts=True),
}
