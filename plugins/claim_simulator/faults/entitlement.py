"""Faults of visit entitlements, exemptions and scope (BEN)."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from claim_simulator.facilities import Facility
from claim_simulator.faults.claim import Claim, Fault, Truth
from claim_simulator.faults.contract import base_salary
from claim_simulator.visits import HALF_FROM, NEW_ROUTES

LISTED = ("C16", "C34", "C50", "C73", "E10", "G20", "M06")
"""Diseases of the lists that lift a self-referral (see reference)."""
SIX = 6
"""Base salaries of co-payment in a year after which a patient of five years pays none."""
DONG = 100
EMERGENCIES = ("I21", "I46", "J96", "S06")


def _coded(code: str, rule: str) -> Callable[[Claim], list[Truth]]:
    def plant(claim: Claim) -> list[Truth]:
        claim.everywhere("MA_DOITUONG_KCB", code)
        return [("XML1", None, rule)]

    return plant


def _half_route(claim: Claim) -> list[Truth]:
    code = {(1, "district"): "1.13", (1, "provincial"): "1.14", (2, "provincial"): "1.18"}[claim.kind]
    claim.everywhere("MA_DOITUONG_KCB", code)
    return [("XML1", None, "BEN-012"), *((table, row + 1, "BEN-001") for table, row in claim.lines())]


def six_months(claim: Claim) -> int:
    """Six base salaries of the day on which the patient's ledger of this year begins, 1/100 đồng."""
    return SIX * base_salary(f"{claim.get('XML1', 'NGAY_VAO')[:4]}0101")


def _waiver(claim: Claim) -> list[Truth]:
    claim.blank_computed()
    claim.put("XML1", "NGAY_MIEN_CCT", claim.get("XML1", "NGAY_VAO")[:8])
    if claim.edge:
        claim.paid_this_year = six_months(claim)
    return [("XML1", None, "BEN-008")]


def _no_waiver(claim: Claim) -> list[Truth]:
    claim.paid_this_year = six_months(claim) + (DONG if claim.edge else 400_000_000)
    return [("XML1", None, "BEN-009")]


def _without_slip(claim: Claim) -> list[Truth]:
    claim.put("XML1", claim.pick(["MA_NOI_DI", "GIAY_CHUYEN_TUYEN"]), "")
    return [("XML1", None, "BEN-014")]


def _on_a_paid_line(name: str, value: str, rule: str) -> Callable[[Claim], list[Truth]]:
    def plant(claim: Claim) -> list[Truth]:
        table, row = claim.pick([place for place in claim.lines() if claim.amount(place[0], "T_BHTT", place[1]) > 0])
        claim.put(table, name, value, row)
        return [(table, row + 1, rule)]

    return plant


def _needless_co_payment(claim: Claim) -> list[Truth]:
    large = [place for place in claim.lines() if claim.amount(place[0], "T_BHTT", place[1]) >= 1_000_000]
    table, row = claim.pick(large)
    more = claim.tolerance + 1 if claim.edge else claim.amount(table, "T_BHTT", row) // 5
    for where, at in ((table, row), ("XML1", 0)):
        claim.add(where, "T_BHTT", -more, at)
        claim.add(where, "T_BNCCT", more, at)
    if claim.get(table, "MA_PTTT", row) == "1":
        claim.add("XML1", "T_BHTT_GDV", -more)
    return [("XML1", None, "BEN-026")]


def _right_route(known: pd.DataFrame) -> pd.Series:
    """Covered by the card alone, registered elsewhere, under a code that many others could replace."""
    return known["plain_route"] & known["route"].isin(["1.3", "1.4", "1.5", "1.12"]) & ~known["waived"]


def _outpatients(known: pd.DataFrame) -> pd.Series:
    return _right_route(known) & ~known["inpatient"]


def _half_routes(known: pd.DataFrame) -> pd.Series:
    days = known["day_out"].between(NEW_ROUTES, HALF_FROM, inclusive="left")
    return _outpatients(known) & days & ~known["main"].str.startswith(LISTED) & (known["least_rate"] > 0)


def _pays_half(house: Facility) -> bool:
    """Where self-referred outpatients are paid half from HALF_FROM on."""
    kinds = {(1, "district"), (1, "provincial"), (2, "provincial")}
    return (house.level, house.kind.former) in kinds and (house.kind.points or 0) >= 50


def _of_other_facilities(known: pd.DataFrame) -> pd.Series:
    small = (known["level"] == 1) & (known["points"] < 50)
    return _outpatients(known) & ~small & (known["day_out"] >= NEW_ROUTES)


FAULTS: dict[str, Fault] = {
    "BEN-006": Fault(
        lambda known: _outpatients(known) & (known["level"] > 0) & (known["T_BNCCT"] == 0), _coded("1.2", "BEN-006")
    ),
    "BEN-008": Fault(
        lambda known: _right_route(known) & (known["rate"] < 10_000) & ~known["small"], _waiver, refill=True
    ),
    "BEN-009": Fault(
        lambda known: (
            _right_route(known)
            & known["five_years"]
            & ~known["small"]
            & known["single_card"]
            & (known["T_BNCCT"] >= 2_000_000)
            & (known["day_in"].str[4:] > "0115")
        ),
        _no_waiver,
    ),
    "BEN-012": Fault(_half_routes, _half_route, needs_amounts=True, only_at=_pays_half),
    "BEN-013": Fault(
        lambda known: (
            _outpatients(known)
            & (known["loai"] == "01")
            & known["clinic_hours"]
            & ~known["emergency_ward"]
            & ~known["main"].str.startswith(EMERGENCIES)
        ),
        _coded("2", "BEN-013"),
    ),
    "BEN-014": Fault(lambda known: known["route"] == "1.3", _without_slip),
    "BEN-016": Fault(_right_route, _coded("1.1", "BEN-016")),
    "BEN-018": Fault(_of_other_facilities, _coded("1.12", "BEN-018")),
    "BEN-019": Fault(
        lambda known: (known["route"] == "1.1") & ~known["inpatient"] & (known["day_out"] >= NEW_ROUTES),
        _coded("1.5", "BEN-019"),
    ),
    "BEN-020": Fault(
        lambda known: (
            known["plain_route"]
            & known["inpatient"]
            & (known["level"] == 2)
            & known["route"].isin(["1.3", "2", "3.2", "3.3"])
            & (known["area"] == "")
        ),
        _coded("3.6", "BEN-020"),
    ),
    "BEN-023": Fault(
        lambda known: ~known["forces"] & (known["T_BHTT"] > 0),
        _on_a_paid_line("PHAM_VI", "3", "BEN-023"),
        needs_amounts=True,
    ),
    "BEN-024": Fault(lambda known: known["T_BHTT"] > 0, _on_a_paid_line("PHAM_VI", "2", "BEN-024"), needs_amounts=True),
    "BEN-025": Fault(
        lambda known: ~known["veteran"] & (known["T_BHTT"] > 0), _on_a_paid_line("VET_THUONG_TP", "1", "BEN-025")
    ),
    "BEN-026": Fault(
        lambda known: (known["least_rate"] == 10_000) & ~known["small"] & (known["large_own_lines"] > 0),
        _needless_co_payment,
        needs_amounts=True,
    ),
}
