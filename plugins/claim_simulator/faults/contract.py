"""A facility whose contract has ended: every later visit but an emergency (SUB-008), and the most that is paid directly
(BEN-027)."""

from __future__ import annotations

import pandas as pd

from claim_rules.frames import ClaimTables
from claim_rules.lines import build
from claim_simulator.facilities import Facility

EMERGENCY = "2"
CAPPED_FROM = "20250815"
SALARY = (("20260701", 253_000_000), ("20240701", 234_000_000))
"""Base salary by day, 1/100 đồng."""


def without_contract(house: Facility, tables: ClaimTables, end: str) -> pd.DataFrame:
    """Findings of the claims that came after the contract ended (columns as the truth). end: its last day, yyyymmdd."""
    claims = build(tables)
    visits = claims.visits
    late = visits[(visits["day_in"] > end) & (visits["MA_DOITUONG_KCB"] != EMERGENCY)]
    late = late.assign(asked=claims.sums("T_BHTT"))
    rows: list[tuple[str, str, str, int | None, str]] = []
    for visit in late.to_dict("records"):
        rows.append((house.code, visit["MA_LK"], "XML1", None, "SUB-008"))
        share = _percent(house, inpatient=bool(visit["inpatient"]))
        day = visit["day_out"] if visit["inpatient"] else visit["day_in"]
        salary = base_salary(day)
        if share is not None and visit["day_out"] >= CAPPED_FROM and visit["asked"] * 100 > salary * share:
            rows.append((house.code, visit["MA_LK"], "XML1", None, "BEN-027"))
    frame = pd.DataFrame(rows, columns=["MA_CSKCB", "MA_LK", "table", "line", "rule"])
    return frame.astype({"line": "Int64"})


def base_salary(day: str) -> int:
    """Base salary on a day (yyyymmdd), 1/100 đồng."""
    return next(amount for start, amount in SALARY if day >= start)


def _percent(house: Facility, *, inpatient: bool) -> int | None:
    """The most that is paid directly, in percent of the base salary; None where nothing is said."""
    if house.level == 2:
        return 250 if inpatient else None
    if house.level == 1:
        former = house.kind.former == "provincial" and 50 <= (house.kind.points or 0) < 70
        return (100 if former else 50) if inpatient else 15
    return None
