"""Faults of other sources, prices, totals, methods (SUM), of payment rates (RATE) and of repeated lines (DUP)."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from claim_simulator.catalogue import NEW_SERVICE_PRICES, TESTS_A_DAY
from claim_simulator.faults.claim import LINE, Claim, Fault, Truth
from claim_simulator.faults.facts import every_claim

PROCEDURES = ("18",)
"""MA_NHOM of services that leave no result and of which the lists say nothing about a second time on a day."""


def own_lines(claim: Claim) -> list[tuple[str, int]]:
    """Lines that the fund pays in part, without other sources."""
    return [
        (table, row)
        for table, row in claim.lines()
        if claim.amount(table, "T_BHTT", row) >= 1_000_000 and not claim.amount(table, "T_NGUONKHAC", row)
    ]


def _other_parts(claim: Claim) -> list[Truth]:
    table, row = claim.pick(own_lines(claim))
    # the parts name a source that the total leaves out; what the patient pays alone would bear it
    claim.put_amount(table, "T_NGUONKHAC_CL", LINE + 1 if claim.edge else claim.some(1, 5), row)
    return [(table, row + 1, "SUM-006")]


def _other_beyond(claim: Claim) -> list[Truth]:
    table, row = claim.pick(own_lines(claim))
    whole = claim.amount(table, "THANH_TIEN_BV", row)
    other = whole + claim.some(1, 20)
    for name in ("T_NGUONKHAC_CL", "T_NGUONKHAC"):
        claim.put_amount(table, name, other, row)
    claim.add("XML1", "T_NGUONKHAC", other)
    # the fund is asked as if there were no other source
    return [*((table, row + 1, rule) for rule in ("SUM-005", "SUM-007", "SUM-008")), ("XML1", None, "SUM-017")]


def _fund_above_rate(claim: Claim) -> list[Truth]:
    lines = [place for place in own_lines(claim) if claim.amount(place[0], "T_BNCCT", place[1]) >= 200_000]
    table, row = claim.pick(lines)
    fund_bears(claim, table, row, LINE + 1 if claim.edge else claim.amount(table, "T_BNCCT", row) // 2)
    return [(table, row + 1, "SUM-008")]


def fund_bears(claim: Claim, table: str, row: int, more: int) -> None:
    """Moves a part of a line's co-payment to the fund, in the totals too."""
    for where, at in ((table, row), ("XML1", 0)):
        claim.add(where, "T_BHTT", more, at)
        claim.add(where, "T_BNCCT", -more, at)
    if claim.get(table, "MA_PTTT", row) == "1":
        claim.add("XML1", "T_BHTT_GDV", more)


def _total(name: str, rule: str) -> Callable[[Claim], list[Truth]]:
    def plant(claim: Claim) -> list[Truth]:
        claim.add("XML1", name, claim.tolerance + (1 if claim.edge else claim.some(1, 90)))
        return [("XML1", None, rule)]

    return plant


def _fund_above_scope(claim: Claim) -> list[Truth]:
    more = claim.amount("XML1", "T_TONGCHI_BH") + claim.tolerance + (1 if claim.edge else claim.some(1, 50))
    claim.add("XML1", "T_BHTT", more - claim.amount("XML1", "T_BHTT"))
    return [("XML1", None, rule) for rule in ("SUM-015", "SUM-017", "SUM-018")]


def _without_price(claim: Claim) -> list[Truth]:
    table, row = claim.pick([place for place in own_lines(claim) if not _usual_share_only(claim, *place)])
    claim.put(table, "DON_GIA" if table == "XML2" else "DON_GIA_BH", "0.000", row)
    rules = ("SUM-001", "SUM-002", "SUM-019") if table == "XML2" else ("SUM-004", "SUM-019")
    return [(table, row + 1, rule) for rule in rules]


def _usual_share_only(claim: Claim, table: str, row: int) -> bool:
    """Service lines with a special share have a second reading of their hospital amount, by the insured price."""
    return table == "XML3" and claim.get(table, "TYLE_TT_DV", row) != "100"


def _paid_by_others(claim: Claim) -> list[Truth]:
    row = claim.pick([row for table, row in own_lines(claim) if table == "XML2"])
    claim.put("XML2", "NGUON_CTRA", claim.pick(["2", "3", "4"]), row)
    return [("XML2", row + 1, "SUM-020")]


def _without_quantity(claim: Claim) -> list[Truth]:
    beds = ("14", "15", "16")
    table, row = claim.pick([place for place in own_lines(claim) if claim.get(*_group(place)) not in beds])
    claim.put(table, "SO_LUONG", "0.000", row)
    first, second = ("SUM-001", "SUM-002") if table == "XML2" else ("SUM-003", "SUM-004")
    return [(table, row + 1, rule) for rule in (first, second, "SUM-021")]


def _group(place: tuple[str, int]) -> tuple[str, str, int]:
    table, row = place
    return table, "MA_NHOM", row


def _broken_off(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML3") if claim.get("XML3", "MA_NHOM", row) == "18"])
    claim.put("XML3", "MA_DICH_VU", claim.get("XML3", "MA_DICH_VU", row) + "_TB", row)
    return [("XML3", row + 1, "SUM-022")]


def _capitation(claim: Claim) -> list[Truth]:
    rows = [(table, row) for table, row in claim.lines() if claim.amount(table, "T_BHTT", row) > 0]
    for table, row in rows:
        claim.put(table, "MA_PTTT", "2", row)
    return [(table, row + 1, "SUM-024") for table, row in rows]


def _higher_rate(table: str, rule: str) -> Callable[[Claim], list[Truth]]:
    def plant(claim: Claim) -> list[Truth]:
        row = claim.pick(_partly_paid(claim, table, rule))
        claim.blank_computed()
        rate = int(claim.get(table, "TYLE_TT_BH", row))
        claim.put(table, "TYLE_TT_BH", str(rate + 1) if claim.edge else "100", row)
        return [(table, row + 1, rule)]

    return plant


def _partly_paid(claim: Claim, table: str, rule: str) -> list[int]:
    supply = rule == "RATE-002"
    return [
        row
        for row in claim.rows(table)
        if 0 < float(claim.get(table, "TYLE_TT_BH", row) or 0) < 100
        and claim.amount(table, "T_BHTT", row) > 0
        and (table == "XML2" or bool(claim.get(table, "MA_VAT_TU", row)) == supply)
    ]


def _above_the_cap(claim: Claim) -> list[Truth]:
    """One supply becomes a package that costs more than 45 base salaries, all of it in scope."""
    rows = [row for row in claim.rows("XML3") if claim.get("XML3", "MA_VAT_TU", row) and paid(claim, row)]
    row = claim.pick([row for row in rows if int(claim.get("XML3", "TYLE_TT_BH", row)) >= 50])
    price = claim.some(300_000, 400_000)
    in_scope = price * int(claim.get("XML3", "TYLE_TT_BH", row)) // 100
    claim.blank_computed()
    for name in ("DON_GIA_BV", "DON_GIA_BH"):
        claim.put("XML3", name, f"{price // 100}.000", row)
    claim.put("XML3", "SO_LUONG", "1.000", row)
    claim.put("XML3", "GOI_VTYT", "G1", row)
    claim.put_amount("XML3", "THANH_TIEN_BH", in_scope, row)
    return [("XML3", None, "PRICE-013")]


def _more_bed_days(claim: Claim) -> list[Truth]:
    beds = ("14", "15", "16")
    rows = [row for row in claim.rows("XML3") if claim.get("XML3", "MA_NHOM", row) in beds and paid(claim, row)]
    row = claim.pick([row for row in rows if claim.get("XML3", "TYLE_TT_DV", row) == "100"])
    days = float(claim.get("XML3", "SO_LUONG", row)) + int(claim.rng.integers(1, 4))
    claim.blank_computed()
    claim.put("XML3", "SO_LUONG", f"{days:.3f}", row)
    return [("XML3", None, "BED-001")]


def _odd_share(claim: Claim) -> list[Truth]:
    services = [row for row in claim.rows("XML3") if claim.get("XML3", "TYLE_TT_DV", row) == "100"]
    row = claim.pick(services)
    claim.blank_computed()
    claim.put("XML3", "TYLE_TT_DV", claim.pick(["25", "60", "75"]), row)
    return [("XML3", row + 1, "RATE-004")]


def _second_surgery(claim: Claim) -> list[Truth]:
    surgery = next(row for row in claim.rows("XML3") if claim.get("XML3", "MA_NHOM", row) == "8")
    row = claim.pick([row for row in claim.rows("XML3") if _full_procedure(claim, row)])
    before, after = (claim.get("XML3", "NGAY_YL", at)[:8] for at in (row, surgery))
    for name in ("NGAY_YL", "NGAY_TH_YL", "NGAY_KQ", "NGUOI_THUC_HIEN"):
        claim.put("XML3", name, claim.get("XML3", name, surgery), row)
    # moved to a day on which the service was still cheaper
    dear = [("XML3", row + 1, "PRICE-003")] if after < NEW_SERVICE_PRICES <= before else []
    return [("XML3", row + 1, "RATE-005"), *dear]


def _full_procedure(claim: Claim, row: int) -> bool:
    in_full = claim.get("XML3", "MA_NHOM", row) == "18" and claim.get("XML3", "TYLE_TT_DV", row) == "100"
    return in_full and claim.amount("XML3", "T_BHTT", row) > 0


def _second_examination(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML3") if _further_exam(claim, row)])
    claim.blank_computed()
    claim.put("XML3", "TYLE_TT_DV", "100", row)
    return [("XML3", row + 1, "RATE-006")]


def _further_exam(claim: Claim, row: int) -> bool:
    further = claim.get("XML3", "MA_NHOM", row) == "13" and claim.get("XML3", "TYLE_TT_DV", row) == "30"
    return further and claim.amount("XML3", "T_BHTT", row) > 0


def copied_later(claim: Claim, table: str, groups: tuple[str, ...]) -> tuple[int, int]:
    """A later paid line of the groups becomes the same as an earlier one; gives both rows."""
    rows = [
        row
        for row in claim.rows(table)
        if claim.get(table, "MA_NHOM", row) in groups and claim.amount(table, "T_BHTT", row) > 0
    ]
    first, second = sorted(claim.rng.choice(rows, 2, replace=False).tolist())
    claim.blank_computed()
    claim.copy_row(table, first, second)
    return first, second


def _twice(table: str, rule: str, groups: tuple[str, ...]) -> Callable[[Claim], list[Truth]]:
    """A later line becomes the same as an earlier one."""

    def plant(claim: Claim) -> list[Truth]:
        _, second = copied_later(claim, table, groups)
        return [(table, second + 1, rule)]

    return plant


def _tested_often(claim: Claim) -> list[Truth]:
    """One more than the facility's list allows in a day."""
    rows = [row for row in claim.rows("XML3") if claim.get("XML3", "MA_NHOM", row) == "1" and paid(claim, row)]
    row = claim.pick(rows)
    claim.blank_computed()
    claim.put("XML3", "SO_LUONG", f"{TESTS_A_DAY + 1}.000", row)
    return [("XML3", row + 1, "DUP-008")]


def paid(claim: Claim, row: int) -> bool:
    return claim.amount("XML3", "T_BHTT", row) > 0


def _pays_lines(known: pd.DataFrame) -> pd.Series:
    return (known["large_own_lines"] > 0) & (known["least_rate"] > 0)


FAULTS: dict[str, Fault] = {
    "SUM-006": Fault(lambda known: known["large_own_lines"] > 0, _other_parts, needs_amounts=True),
    "SUM-007": Fault(_pays_lines, _other_beyond, needs_amounts=True),
    "SUM-008": Fault(lambda known: known["co_paid_lines"] > 0, _fund_above_rate, needs_amounts=True),
    "SUM-009": Fault(every_claim, _total("T_THUOC", "SUM-009"), needs_amounts=True),
    "SUM-010": Fault(every_claim, _total("T_VTYT", "SUM-010"), needs_amounts=True),
    "SUM-018": Fault(lambda known: known["T_BHTT"] >= 2_000_000, _fund_above_scope, needs_amounts=True),
    "SUM-019": Fault(lambda known: known["plain_own_lines"] > 0, _without_price, needs_amounts=True),
    "SUM-020": Fault(lambda known: known["large_own_drugs"] > 0, _paid_by_others),
    "SUM-021": Fault(lambda known: known["plain_own_lines"] > 0, _without_quantity, needs_amounts=True),
    "SUM-022": Fault(lambda known: known["procedures"] > 0, _broken_off),
    "SUM-023": Fault(lambda known: ~known["forces"], _total("T_BHTT_GDV", "SUM-023"), needs_amounts=True),
    "SUM-024": Fault(lambda known: known["forces"] & (known["T_BHTT"] > 0), _capitation),
    "RATE-001": Fault(lambda known: known["partly_listed_drugs"] > 0, _higher_rate("XML2", "RATE-001"), refill=True),
    "RATE-002": Fault(lambda known: known["partly_listed_supplies"] > 0, _higher_rate("XML3", "RATE-002"), refill=True),
    "RATE-003": Fault(lambda known: known["partly_listed_services"] > 0, _higher_rate("XML3", "RATE-003"), refill=True),
    "RATE-004": Fault(every_claim, _odd_share, refill=True),
    "RATE-005": Fault(lambda known: (known["surgery"] > 0) & (known["paid_procedures"] > 0), _second_surgery),
    "RATE-006": Fault(lambda known: known["further_exams"] > 0, _second_examination, refill=True),
    "BED-001": Fault(
        lambda known: (known["full_beds"] > 0) & (known["least_rate"] > 0) & ~known["waived"],
        _more_bed_days,
        refill=True,
    ),
    "PRICE-013": Fault(
        lambda known: (
            (known["paid_supplies"] > 0)
            & known["prefix"].isin(["HN2", "BT2", "DT2", "CK2"])
            & known["plain_route"]
            & (known["least_rate"] > 0)
        ),
        _above_the_cap,
        refill=True,
        needs_amounts=True,
    ),
    "DUP-006": Fault(
        lambda known: (known["repeatable"] > 1) & (known["least_rate"] > 0) & ~known["waived"],
        _twice("XML3", "DUP-006", PROCEDURES),
        refill=True,
    ),
    "DUP-007": Fault(
        lambda known: (
            (known["paid_drugs"] > 1) & (known["least_rate"] > 0) & (known["loai"] != "05") & ~known["waived"]
        ),
        _twice("XML2", "DUP-007", ("4", "5", "6")),
        refill=True,
    ),
    "DUP-008": Fault(
        lambda known: (known["laboratory"] > 0) & (known["least_rate"] > 0) & ~known["waived"],
        _tested_often,
        refill=True,
    ),
}
