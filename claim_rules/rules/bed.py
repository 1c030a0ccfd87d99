"""BED: are as many bed days claimed as the stay has?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from claim_rules import benefit, law, money
from claim_rules.benefit import stays
from claim_rules.catalogue import CLINICAL, rule
from claim_rules.engine import Case, claim_findings
from claim_rules.findings import ADJUST_AMOUNT, Ruling, corrections, findings

_UNIT = 10**money.PRICE_DECIMALS
_MINUTE = pd.Timedelta(minutes=1)


@rule(
    "BED-001",
    stage=CLINICAL,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Số ngày giường không quá số ngày nằm viện",
    title_en="No more bed days than the stay has",
    message_vi="Tổng số ngày giường {observed}, theo thời gian nằm viện chỉ được {expected}.",
    message_en="{observed} bed days are claimed, the stay has {expected}.",
    basis="Thông tư 39/2024/TT-BYT Điều 4c khoản 1; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm d",
    since="20250101",
)
def too_many_bed_days(case: Case) -> Ruling:
    """Bed lines (MA_NHOM 14 to 16) that the fund pays have more SO_LUONG together than there are days from
    NGAY_VAO_NOI_TRU to NGAY_RA by law/bed_days; the cheapest days beyond are cut. Days of a line that another rule
    refuses take none from the others.

    Beds that are shared (TYLE_TT_DV below 100) are left out of the sum, and a stay without both times is not judged.
    """
    lines, visits = case.lines, case.visits
    beds = lines["MA_NHOM"].isin(law.load("bed_rates")["groups"]) & (lines["table"] == "XML3") & (lines["T_BHTT"] > 0)
    mine = lines[beds & (lines["MA_VAT_TU"] == "") & (lines["TYLE_TT_DV"] >= benefit.FULL) & (lines["SO_LUONG"] > 0)]
    if mine.empty:
        return Ruling(findings())
    rules = law.load("bed_days")
    stay = visits.loc[mine["claim"].unique()]
    times = pd.DataFrame(
        {
            name: pd.to_datetime(
                stay[name].where(stay[name].str.fullmatch("[0-9]{12}")), format="%Y%m%d%H%M", errors="coerce"
            )
            for name in ("NGAY_VAO_NOI_TRU", "NGAY_RA")
        }
    ).dropna()
    stay = stay.loc[times.index]
    longer = stay["KET_QUA_DTRI"].isin([*rules["died"], *rules["taken_home"]])
    longer |= stay["KET_QUA_DTRI"].isin(rules["worse"]) & stay["MA_LOAI_RV"].isin(rules["worse_left"])
    longer |= (stay["MA_DOITUONG_KCB"] == rules["emergency"]) & stay["MA_LOAI_RV"].isin(rules["transferred"])
    minutes = {name: ((text - pd.Timestamp("2000-01-01")) / _MINUTE).to_numpy() for name, text in times.items()}
    admitted, left = (np.asarray(minutes[name], dtype=np.int64) for name in ("NGAY_VAO_NOI_TRU", "NGAY_RA"))
    days = stays.bed_days(admitted, left, longer.to_numpy(dtype="bool"))
    due = pd.Series(days, index=stay.index) * _UNIT
    mine = mine[mine["claim"].isin(due.index)].sort_values(["claim", "DON_GIA_BH"], ascending=[True, False])
    used = mine.groupby("claim")["SO_LUONG"].sum().reindex(visits.index, fill_value=0)
    allowed = due.reindex(visits.index)
    where = allowed.notna() & (used > allowed.fillna(0))
    found = claim_findings(
        "BED-001",
        visits,
        where,
        table="XML3",
        field="SO_LUONG",
        observed=lambda hit: money.text(used.loc[hit], money.PRICE_DECIMALS),
        expected=lambda hit: (allowed.loc[hit] // _UNIT).astype("int64").astype("str"),
    )
    if found.empty:
        return Ruling(found)

    def cut(beds: pd.DataFrame) -> pd.DataFrame:
        # the dearest days are kept
        before = beds.groupby("claim")["SO_LUONG"].cumsum() - beds["SO_LUONG"]
        rest = (beds["claim"].map(due) - before).clip(lower=0)
        right = rest.where(rest < beds["SO_LUONG"], beds["SO_LUONG"]).reindex(lines.index).astype("Int64")
        return corrections("BED-001", lines, right.notna() & (right.fillna(0) < lines["SO_LUONG"]), "SO_LUONG", right)

    return Ruling(found, cut(mine), anew=lambda standing: cut(mine[~standing.loc[mine.index, "refused"]]))
