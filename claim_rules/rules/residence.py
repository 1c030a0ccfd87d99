"""STR, where the patient lives: are province and commune in the administrative list of the day?"""

from __future__ import annotations

import pandas as pd

from claim_rules.catalogue import STRUCTURE, rule
from claim_rules.engine import Case, claim_findings
from claim_rules.findings import WARN
from claim_rules.frames import stripped
from claim_rules.reference import rows_on
from claim_rules.rules.papers import FORMAT


@rule(
    "STR-032",
    stage=STRUCTURE,
    level="claim",
    severity=WARN,
    needs={"administrative_units": ("MA_TINH", "MA_XA", "TU_NGAY", "DEN_NGAY")},
    title_vi="Mã tỉnh, mã xã nơi cư trú có trong danh mục hành chính",
    title_en="Province and commune of residence are in the administrative list",
    message_vi="{field} = {observed} không có trong danh mục hành chính vào ngày vào viện.",
    message_en="{field} = {observed} is not in the administrative list on the day of arrival.",
    basis=f"{FORMAT}; Quyết định 19/2025/QĐ-TTg",
)
def unknown_residence(case: Case) -> pd.DataFrame:
    """MATINH_CU_TRU is the province of no unit valid on NGAY_VAO; else MAXA_CU_TRU is no commune of that province then.

    The list is administrative_units.csv: a row for each commune and period, of two tiers since 1 July 2025; a district
    of the time before is not compared. Of days before its first TU_NGAY the list says nothing: they are not judged.
    Empty fields are other rules'; a province of another country's patient is empty.
    """
    visits = case.visits
    units = case.reference["administrative_units"]
    wanted = visits[["MATINH_CU_TRU", "MAXA_CU_TRU"]].assign(day=visits["day_in"])
    provinces = rows_on(wanted, units, {"MATINH_CU_TRU": "MA_TINH"})["index"]
    communes = rows_on(wanted, units, {"MATINH_CU_TRU": "MA_TINH", "MAXA_CU_TRU": "MA_XA"})["index"]
    told = visits["day_in"] >= stripped(units["TU_NGAY"]).min() if len(units) else pd.Series(False, index=visits.index)
    province = told & (visits["MATINH_CU_TRU"] != "") & ~visits.index.isin(provinces)
    known = told & (visits["MATINH_CU_TRU"] != "") & (visits["MAXA_CU_TRU"] != "")
    commune = known & ~province & ~visits.index.isin(communes)
    field = pd.Series("MATINH_CU_TRU", index=visits.index, dtype="str").where(province, "MAXA_CU_TRU")
    observed = visits["MATINH_CU_TRU"].where(province, visits["MAXA_CU_TRU"])
    return claim_findings("STR-032", visits, province | commune, field=field, observed=observed)
