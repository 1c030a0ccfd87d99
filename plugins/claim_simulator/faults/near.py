"""Near misses: claims changed so that they just reach a limit, which no rule may find.

NEAR: rule -> how a claim is brought to the limit of that rule. Nothing is found in such a claim, neither by that rule
nor by another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pandas as pd

from claim_simulator.catalogue import TESTS_A_DAY
from claim_simulator.faults import arithmetic, card, chronology, entitlement, fields, listing, money
from claim_simulator.faults.card import GRACE_DAYS, day_of, ordered_after_the_card, sixth_birthday
from claim_simulator.faults.claim import LINE, Claim, Fault, Truth
from claim_simulator.faults.entitlement import DONG, six_months
from claim_simulator.faults.facts import every_claim
from claim_simulator.faults.listing import (
    PRICE,
    insured_price,
    is_paid_service,
    listed_drug,
    listed_service,
    price_text,
)
from claim_simulator.faults.money import PROCEDURES, copied_later, fund_bears, own_lines, paid
from claim_simulator.moments import day_of_text, later

_FAULTS: dict[str, Fault] = {
    rule: fault
    for module in (arithmetic, card, chronology, entitlement, fields, listing, money)
    for rule, fault in module.FAULTS.items()
}
Plant = Callable[[Claim], list[Truth]]


def _near(change: Callable[[Claim], None]) -> Plant:
    def plant(claim: Claim) -> list[Truth]:
        change(claim)
        return []

    return plant


def _hospital_amount(table: str) -> Callable[[Claim], None]:
    def change(claim: Claim) -> None:
        row = claim.pick([row for row in claim.rows(table) if not claim.amount(table, "T_NGUONKHAC", row)])
        amount = claim.amount(table, "THANH_TIEN_BV", row)
        claim.blank_computed()
        claim.put_amount(table, "THANH_TIEN_BV", amount + LINE, row)

    return change


def _total(name: str, sign: int = 1) -> Callable[[Claim], None]:
    return lambda claim: claim.add("XML1", name, sign * claim.tolerance)


def _line_balance(claim: Claim) -> None:
    table, row = claim.pick(list(claim.lines()))
    claim.add(table, "T_BNTT", LINE, row)


def _other_parts(claim: Claim) -> None:
    table, row = claim.pick(own_lines(claim))
    claim.put_amount(table, "T_NGUONKHAC_CL", LINE, row)


def _fund_share(claim: Claim) -> None:
    lines = [place for place in own_lines(claim) if claim.amount(place[0], "T_BNCCT", place[1]) >= 200_000]
    table, row = claim.pick(lines)
    fund_bears(claim, table, row, LINE)


def _co_payment_of_nobody(claim: Claim) -> None:
    large = [place for place in claim.lines() if claim.amount(place[0], "T_BHTT", place[1]) >= 1_000_000]
    table, row = claim.pick(large)
    fund_bears(claim, table, row, -claim.tolerance)


def _drug_price(claim: Claim) -> None:
    row = claim.pick([row for row in claim.rows("XML2") if claim.amount("XML2", "T_BHTT", row) > 0])
    price = listed_drug(claim, row)
    claim.blank_computed()
    claim.put("XML2", "DON_GIA", price_text(price + PRICE), row)


def _service_price(claim: Claim) -> None:
    row = claim.pick([row for row in claim.rows("XML3") if is_paid_service(claim, row)])
    insured_price(claim, row, listed_service(claim, row) + PRICE)


def _last_day_of_the_card(claim: Claim) -> None:
    day = claim.get("XML1", "NGAY_VAO")[:8]
    claim.card_end = day_of_text(day)
    claim.everywhere("GT_THE_DEN", day)


def _first_day_of_the_card(claim: Claim) -> None:
    day = claim.get("XML1", "NGAY_VAO")[:8]
    claim.put("XML1", "GT_THE_TU", day)
    claim.register.update(GT_THE_TU=day, TRANG_THAI_TU=day)


def _grace(claim: Claim) -> None:
    ordered_after_the_card(claim, GRACE_DAYS)


def _blocked_tomorrow(claim: Claim) -> None:
    state = claim.pick(["revoked", "reduced", "suspended"])
    claim.register.update(TRANG_THAI=state, TRANG_THAI_TU=day_of(claim, "NGAY_VAO", 1))


def _died_today(claim: Claim) -> None:
    claim.register.update(TRANG_THAI="deceased", TRANG_THAI_TU=day_of(claim, "NGAY_VAO", 0))


def _name_in_capitals(claim: Claim) -> None:
    claim.register["HO_TEN"] = "  ".join(claim.get("XML1", "HO_TEN").upper().split())


def _waived_by_one_dong(claim: Claim) -> None:
    claim.blank_computed()
    claim.put("XML1", "NGAY_MIEN_CCT", claim.get("XML1", "NGAY_VAO")[:8])
    claim.paid_this_year = six_months(claim) + DONG


def _six_months_with_this_visit(claim: Claim) -> None:
    claim.paid_this_year = six_months(claim) - claim.amount("XML1", "T_BNCCT")


def _end_of_the_visit(claim: Claim) -> None:
    """What was ordered in the last minute of the visit, or (a drug) in the last one of its last day."""
    table, row = claim.pick([place for place in claim.lines() if _may_move(claim, *place)])
    left = claim.get("XML1", "NGAY_RA")
    moment = f"{left[:8]}2359" if table == "XML2" else left
    for name in ("NGAY_YL", "NGAY_TH_YL"):
        claim.put(table, name, moment, row)


def _may_move(claim: Claim, table: str, row: int) -> bool:
    same_day = claim.get(table, "NGAY_YL", row)[:8] == claim.get("XML1", "NGAY_RA")[:8]
    return same_day and (table == "XML2" or claim.get(table, "MA_NHOM", row) in ("1", "2", "3"))


def _a_minute_later(table: str, groups: tuple[str, ...]) -> Callable[[Claim], None]:
    """A line that would be the same as an earlier one, but for the minute."""

    def change(claim: Claim) -> None:
        first, second = copied_later(claim, table, groups)
        claim.put(table, "NGAY_YL", later(claim.get(table, "NGAY_YL", first), 1), second)

    return change


def _as_often_as_allowed(claim: Claim) -> None:
    rows = [row for row in claim.rows("XML3") if claim.get("XML3", "MA_NHOM", row) == "1" and paid(claim, row)]
    row = claim.pick(rows)
    done = sum(
        Decimal(claim.get("XML3", "SO_LUONG", other))
        for other in rows
        if claim.get("XML3", "MA_DICH_VU", other) == claim.get("XML3", "MA_DICH_VU", row)
        and claim.get("XML3", "NGAY_YL", other)[:8] == claim.get("XML3", "NGAY_YL", row)[:8]
    )
    claim.blank_computed()
    more = max(TESTS_A_DAY - done, Decimal(0))
    claim.put("XML3", "SO_LUONG", f"{Decimal(claim.get('XML3', 'SO_LUONG', row)) + more:.3f}", row)


def _twelve_diagnoses(claim: Claim) -> None:
    codes = [
        "I10",
        "E11.9",
        "K29.7",
        "R05",
        "R51",
        "M54.5",
        "J00",
        "J20.9",
        "K21.9",
        "L20.9",
        "N39.0",
        "H52.1",
        "E78.5",
    ]
    main = claim.get("XML1", "MA_BENH_CHINH")
    claim.put("XML1", "MA_BENH_KT", ";".join([code for code in codes if code != main][:12]))


def _one_day(known: pd.DataFrame) -> pd.Series:
    """Visits that begin and end on one day."""
    return (known["loai"] == "01") & (known["day_in"] == known["day_out"])


def _faulted(
    rule: str, change: Callable[[Claim], None], only: Callable[[pd.DataFrame], pd.Series] = every_claim
) -> Fault:
    """The claims that the fault of the rule fits (and `only`), changed up to the limit."""
    fault = _FAULTS[rule]
    return replace(fault, possible=lambda known: fault.possible(known) & only(known), plant=_near(change))


NEAR: dict[str, Fault] = {
    rule: _faulted(rule, change)
    for rule, change in {
        "SUM-001": _hospital_amount("XML2"),
        "SUM-003": _hospital_amount("XML3"),
        "SUM-005": _line_balance,
        "SUM-006": _other_parts,
        "SUM-008": _fund_share,
        "SUM-009": _total("T_THUOC"),
        "SUM-010": _total("T_VTYT"),
        "SUM-011": _total("T_TONGCHI_BV"),
        "SUM-012": _total("T_TONGCHI_BH", -1),
        "SUM-013": _total("T_BNTT"),
        "SUM-014": _total("T_BNCCT"),
        "SUM-015": _total("T_BHTT"),
        "SUM-016": _total("T_NGUONKHAC"),
        "SUM-023": _total("T_BHTT_GDV"),
        "PRICE-001": _drug_price,
        "PRICE-003": _service_price,
        "CARD-003": _name_in_capitals,
        "CARD-009": _grace,
        "CARD-010": _first_day_of_the_card,
        "CARD-013": lambda claim: sixth_birthday(claim, 0),
        "BEN-008": _waived_by_one_dong,
        "BEN-009": _six_months_with_this_visit,
        "BEN-026": _co_payment_of_nobody,
        "DUP-006": _a_minute_later("XML3", PROCEDURES),
        "DUP-007": _a_minute_later("XML2", ("4", "5", "6")),
        "DUP-008": _as_often_as_allowed,
        "STR-021": _twelve_diagnoses,
    }.items()
} | {
    "CARD-008": _faulted("CARD-008", _last_day_of_the_card, _one_day),
    "CARD-011": _faulted("CARD-011", _blocked_tomorrow, _one_day),
    "CARD-018": _faulted("CARD-018", _died_today, _one_day),
    "TIME-002": _faulted("TIME-002", _end_of_the_visit, lambda known: _one_day(known) & (known["tests"] > 0)),
}
