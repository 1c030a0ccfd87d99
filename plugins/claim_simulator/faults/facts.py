"""What the choice of faults needs to know of the claims."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from claim_rules import benefit
from claim_rules.days_off import days_off, to_days
from claim_rules.frames import ClaimTables
from claim_rules.lines import build

ON_PAPER = ("QN", "HC", "LS", "XK", "CY", "CA")
"""Card groups that the register need not know."""
_AGE = ("NGAY_SINH", "NGAY_VAO")


def facts(tables: ClaimTables) -> pd.DataFrame:
    """What the choice of faults needs to know of each claim (index: its position)."""
    claims = build(tables)
    visits, lines = claims.visits, claims.lines
    expected = benefit.expected_rates(claims)
    held = benefit.cards(visits)

    def count(where: pd.Series) -> pd.Series:
        return where.groupby(lines["claim"]).sum().reindex(visits.index, fill_value=0)

    out = pd.DataFrame(index=visits.index)
    drug, service = lines["table"] == "XML2", (lines["table"] == "XML3") & (lines["MA_VAT_TU"] == "")
    paid, alone = lines["T_BHTT"] > 0, lines["T_NGUONKHAC"] == 0
    tested = service & lines["MA_NHOM"].isin(["1", "2", "3"])
    unpaid = lines["THANH_TIEN_BV"] - lines["THANH_TIEN_BH"]
    part = (lines["PHAM_VI"] == "1") & paid & alone & (unpaid >= 100_000)
    out["drugs"] = count(drug & alone)
    out["services"] = count((lines["table"] == "XML3") & alone)
    out["paid_drugs"], out["paid_services"] = count(drug & paid), count(service & paid)
    out["paid_tests"] = count(tested & paid)
    out["part_drugs"], out["part_services"] = count(drug & part), count((lines["table"] == "XML3") & part)
    out["tests"] = count(tested)
    out["laboratory"] = count(tested & paid & (lines["MA_NHOM"] == "1"))
    out["repeatable"] = count(service & paid & (lines["MA_NHOM"] == "18"))
    out["beds"] = count(service & lines["MA_NHOM"].isin(["14", "15", "16"]))
    out["selfpaid"] = count(lines["PHAM_VI"] == "2")
    out["surgery"] = count(service & (lines["MA_NHOM"] == "8"))
    large = paid & alone & (lines["T_BHTT"] >= 1_000_000)
    beds = lines["MA_NHOM"].isin(["14", "15", "16"])
    in_full = lines["TYLE_TT_DV"] == benefit.FULL
    out["full_beds"] = count(service & beds & paid & in_full)
    out["large_own_lines"], out["large_own_drugs"] = count(large), count(large & drug)
    out["plain_own_lines"] = count(large & ~beds & in_full)
    out["co_paid_lines"] = count(large & (lines["T_BNCCT"] >= 200_000))
    procedure = service & (lines["MA_NHOM"] == "18")
    out["procedures"], out["paid_procedures"] = count(procedure), count(procedure & paid & in_full)
    out["further_exams"] = count(paid & (lines["MA_NHOM"] == "13") & (lines["TYLE_TT_DV"] == 3_000))
    listed = paid & lines["TYLE_TT_BH"].between(1, benefit.FULL - 1)
    supply = (lines["table"] == "XML3") & ~service
    out["paid_supplies"] = count(supply & paid & (lines["TYLE_TT_BH"] >= 5_000))
    for name, kind in (("drugs", drug), ("supplies", supply), ("services", service)):
        out[f"partly_listed_{name}"] = count(listed & kind)
    out["rows"] = visits["lines"]
    for name in ("T_BHTT", "T_BNCCT"):
        out[name] = claims.sums(name)
    out["small"] = expected.small
    rate = expected.rate.fillna(0).astype("int64").groupby(lines["claim"])
    out["rate"], out["one_rate"] = rate.max(), rate.max() == rate.min()
    out["least_rate"] = rate.min()
    route = benefit.route_factors(visits)
    out["plain_route"] = (route["factor"].fillna(0) == 100) & ~route["full"]
    out["card_rate"] = held.groupby("claim")["rate"].max().reindex(visits.index).fillna(0).astype("int64")
    out["single_card"] = ~visits["MA_THE_BHYT"].str.contains(";", regex=False)
    out["registered_card"] = out["single_card"] & ~visits["MA_THE_BHYT"].str.startswith(ON_PAPER)
    out["route"], out["main"], out["area"] = visits["MA_DOITUONG_KCB"], visits["MA_BENH_CHINH"], visits["MA_KHUVUC"]
    out["day_in"], out["day_out"] = visits["day_in"], visits["day_out"]
    arrival = to_days(visits["day_in"])
    closed = (arrival.dt.day_of_week >= 5) | arrival.isin(pd.to_datetime(days_off(arrival, {})))
    out["clinic_hours"] = ~closed & visits["NGAY_VAO"].str[8:12].between("0700", "1659")
    out["five_years"] = visits["NAM_NAM_LIEN_TUC"] != ""
    out["veteran"] = visits["MA_THE_BHYT"].str.startswith(("CC", "CK"))
    out["forces"] = benefit.of_forces(visits)
    out["paper_card"] = out["single_card"] & visits["MA_THE_BHYT"].str.startswith(ON_PAPER)
    out["waived"] = visits["NGAY_MIEN_CCT"] != ""
    out["inpatient"] = visits["inpatient"]
    out["loai"] = visits["MA_LOAI_KCB"]
    out["child_card"] = visits["MA_THE_BHYT"].str.startswith("TE")
    born, came = (pd.to_datetime(visits[name].str[:8], format="%Y%m%d", errors="coerce") for name in _AGE)
    out["infant"] = (came - born).dt.days < 370
    out["grown_woman"] = (visits["GIOI_TINH"] == "2") & ((came - born).dt.days > 18 * 366)
    out["left_on"] = pd.to_numeric(visits["NGAY_RA"].str[6:8]).astype("int64")
    out["since_august"] = visits["day_out"] >= "20260801"
    out["citizen"], out["sex"], out["prefix"] = visits["SO_CCCD"], visits["GIOI_TINH"], visits["MA_THE_BHYT"].str[:3]
    out["card_from"], out["card_to"] = visits["GT_THE_TU"], visits["GT_THE_DEN"]
    out["arrival"], out["left"] = _minutes(visits["NGAY_VAO"]), _minutes(visits["NGAY_RA"])
    out["admitted"] = _minutes(visits["NGAY_VAO_NOI_TRU"].where(visits["NGAY_VAO_NOI_TRU"] != ""))
    out["stays"] = visits["NGAY_VAO_NOI_TRU"] != ""
    _beds(out, tables, count, service & beds & paid & in_full)
    out["days_in"] = (to_days(visits["day_out"]) - arrival).dt.days
    treated = [tables[name] for name in ("XML2", "XML3") if name in tables]
    emergency = {claim for frame in treated for claim in frame.loc[frame["MA_KHOA"] == "K02", "claim"]}
    out["emergency_ward"] = out.index.isin(list(emergency))
    out["newborn"] = (came - born).dt.days < 28
    out["in_scope"], out["threshold"] = expected.in_scope, expected.threshold
    devices = lines.loc[lines["MA_HIEU_SP"] != ""].groupby("claim")["MA_VAT_TU"].first()
    out["device"] = devices.reindex(visits.index, fill_value="").astype("str")
    for name in ("XML4", "XML5", "XML7", "XML13", "XML14"):
        has = set(tables[name]["claim"]) if name in tables else set()
        out[name] = out.index.isin(has)
    return out


def _beds(out: pd.DataFrame, tables: ClaimTables, count: Callable[[pd.Series], pd.Series], full: pd.Series) -> None:
    """bed_ward, bed_from, bed_to of claims with a single bed line, which the fund pays in full (else "", NaN)."""
    rows = tables["XML3"]
    rows = rows[rows["MA_NHOM"].isin(["14", "15", "16"])]
    one = out.index[(count(full) == 1) & (out["beds"] == 1)]
    rows = rows[rows["claim"].isin(one)].set_index("claim")
    out["bed_ward"] = rows["MA_KHOA"].reindex(out.index).fillna("").astype("str")
    out["bed_from"] = _minutes(rows["NGAY_YL"]).reindex(out.index)
    out["bed_to"] = _minutes(rows["NGAY_KQ"]).reindex(out.index)


def every_claim(known: pd.DataFrame) -> pd.Series:
    """Of a fault that fits each claim."""
    return pd.Series(True, index=known.index)


def _minutes(text: pd.Series) -> pd.Series:
    """Minutes since an epoch (float)."""
    return (pd.to_datetime(text, format="%Y%m%d%H%M") - pd.Timestamp("2000-01-01")) / pd.Timedelta(minutes=1)
