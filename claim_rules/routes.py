"""Which visit entitlement codes fit a facility, and which one a self-referred visit there has (law/facility_routes)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from claim_rules import benefit, law
from claim_rules.engine import Case, claim_findings
from claim_rules.findings import Ruling, corrections
from claim_rules.frames import stripped
from claim_rules.reference import missing, rows_on

FACILITIES = {"facilities": ("MA_CSKCB", "CAP_CMKT", "DIEM", "TUYEN_CU", "TU_NGAY", "DEN_NGAY")}
DISEASE_LISTS = {"icd_lists": ("DANH_SACH", "MA_BENH", "TU_NGAY", "DEN_NGAY")}


def facilities(case: Case) -> pd.DataFrame:
    """Level, points (Int64, NA without) and former tier of each visit's facility on NGAY_RA (index of visits).

    A facility that the register does not know has "" and NA. Of several rows the first counts.
    """
    return case.keep("facilities", lambda: _facilities(case))


def _facilities(case: Case) -> pd.DataFrame:
    visits = case.visits
    wanted = visits[["MA_CSKCB"]].assign(day=visits["day_out"])
    rows = rows_on(wanted, case.reference["facilities"], {"MA_CSKCB": "MA_CSKCB"}).drop_duplicates("index")
    rows = rows.set_index("index").reindex(visits.index)
    points = pd.to_numeric(rows["DIEM"], errors="coerce")
    return pd.DataFrame(
        {
            "level": stripped(rows["CAP_CMKT"]),
            "points": points.round().astype("Int64"),
            "former": stripped(rows["TUYEN_CU"]),
        }
    )


def diseases_in(case: Case, name: str) -> pd.Series:
    """Visits whose MA_BENH_CHINH begins with a code of a disease list valid on NGAY_RA (bool, index of visits)."""
    return case.keep(f"diseases in {name}", lambda: _diseases_in(case, name))


def _diseases_in(case: Case, name: str) -> pd.Series:
    visits = case.visits
    none = pd.Series(False, index=visits.index)
    if missing(case.reference, DISEASE_LISTS):
        return none
    listed = case.reference["icd_lists"]
    listed = listed[stripped(listed["DANH_SACH"]) == name]
    out = none.copy()
    for code, first, last in listed[["MA_BENH", "TU_NGAY", "DEN_NGAY"]].fillna("").itertuples(index=False, name=None):
        if code.strip():
            hit = visits["MA_BENH_CHINH"].str.startswith(code.strip()) & (visits["day_out"] >= first.strip())
            out |= hit & (visits["day_out"] <= (last.strip() or "99999999"))
    return out


def fits(case: Case, row: dict[str, Any], place: pd.DataFrame, *, unknown: bool) -> pd.Series:
    """Visits that a row of law/facility_routes fits (bool). unknown: what an attribute that is not known counts as."""
    visits = case.visits
    out = pd.Series(True, index=visits.index)
    if "level" in row:
        out = place["level"].isin(row["level"]) | (unknown & (place["level"] == ""))
    if "inpatient" in row:
        out &= visits["inpatient"] == row["inpatient"]
    if "former" in row:
        out &= place["former"].isin(row["former"]) | (unknown & (place["former"] == ""))
    points = place["points"]
    for bound, test in (("points_from", points.ge), ("points_below", points.lt)):
        if bound in row:
            out &= test(row[bound]).fillna(unknown).astype("bool")
    if "diseases" in row:
        out &= diseases_in(case, row["diseases"]) | (unknown and bool(missing(case.reference, DISEASE_LISTS)))
    return out


def _by_tier(case: Case) -> pd.Series:
    """Visits of the time in which the former tier of the facility alone counted (bool)."""
    return case.visits["day_out"] <= str(law.load("facility_routes")["tiers_until"]).replace("-", "")


def self_referral(case: Case) -> pd.DataFrame:
    """What a visit has that came by itself: code ("" where no row fits), factor (Int64 percent, NA where the law gives
    none), full (bool). Index of visits; needs facilities.csv."""
    return case.keep("self-referral", lambda: _self_referral(case))


def _self_referral(case: Case) -> pd.DataFrame:
    rules = law.load("facility_routes")
    rows = {row["code"]: row for row in rules["codes"]}
    place = facilities(case)
    visits = case.visits
    code = pd.Series("", index=visits.index, dtype="str")
    old = _by_tier(case)
    if not old.all():
        for name in rules["self_referred"]:
            code = code.mask((code == "") & ~old & fits(case, rows[name], place, unknown=False), name)
    for row in rules["tiers"] if old.any() else ():
        code = code.mask((code == "") & old & fits(case, row, place, unknown=False), row["code"])
    route = benefit.route_factors(visits.assign(MA_DOITUONG_KCB=code))
    factor, full = route["factor"], route["full"]
    half = rules["open_cell"]
    if case.options["outpatient_70_points"] == "half":
        open_cell = fits(case, {**half, "level": [half["level"]]}, place, unknown=False) & (code == "")
        factor = factor.mask(open_cell & (visits["day_out"] >= str(half["from"]).replace("-", "")), half["percent"])
    return pd.DataFrame({"code": code, "factor": factor, "full": full})


def recoded(rule: str, case: Case, where: pd.Series, observed: pd.Series | str, field: pd.Series | str) -> Ruling:
    """A finding for the visits where `where` is true, whose lines get the rate of a self-referred visit.

    Where no code fits (a basic facility of 70 points) the claim is referred; without facilities.csv, or of a facility
    whose level it does not say (for visits until the end of the tiers: whose former tier), nothing is corrected.
    """
    if missing(case.reference, FACILITIES) or not where.any():
        return Ruling(claim_findings(rule, case.visits, where, field=field, observed=observed))
    target = self_referral(case)
    found = claim_findings(rule, case.visits, where, field=field, observed=observed, expected=target["code"])
    lines = case.lines
    mine = lines["claim"].map(where).astype("bool")
    factor = lines["claim"].map(target["factor"]).astype("Int64")
    rate = benefit.rates_at_factor(case.expected.base, factor, lines["claim"].map(target["full"]))
    lower = mine & case.present["MUC_HUONG"] & (rate < lines["MUC_HUONG"]).fillna(False).astype("bool")
    place = facilities(case)
    known = place["former"].where(_by_tier(case), place["level"]) != ""
    asked = case.visits.index[where & known & target["factor"].isna()]
    referrals = pd.DataFrame({"claim": asked, "reason": benefit.ROUTE_NO_FACTOR})
    return Ruling(found, corrections(rule, lines, lower, "MUC_HUONG", rate), referrals)
