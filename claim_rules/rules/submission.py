"""SUB: was the claim announced, sent in time, not settled before, and is there a contract?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from claim_rules import law
from claim_rules.catalogue import CROSS, ROUTE, rule
from claim_rules.days_off import days_off, to_days
from claim_rules.dictionary import DECISIONS
from claim_rules.engine import CHECK_INS, RECEIPT, SETTLED, Case, claim_findings
from claim_rules.findings import REJECT_CLAIM, WARN, findings
from claim_rules.reference import OPEN_END

CONTRACTS = {"facilities": ("MA_CSKCB", "HOP_DONG_TU", "HOP_DONG_DEN")}
_DAY = "[0-9]{8}"


@rule(
    "SUB-001",
    stage=CROSS,
    level="claim",
    severity=WARN,
    decisions=DECISIONS,
    facts=(RECEIPT,),
    title_vi="Đề nghị thanh toán gửi đúng hạn",
    title_en="The payment request came in time",
    message_vi="Nhận ngày {observed}, hạn gửi là {expected} (7 ngày làm việc sau ra viện, trước ngày 5 tháng sau).",
    message_en="Received on {observed}, due by {expected} (7 working days from discharge, before day 5 of next month).",
    basis="Thông tư 48/2017/TT-BYT Điều 7 khoản 1, Điều 8; Thông tư 12/2026/TT-BTC Điều 9 khoản 2 điểm a",
)
def late(case: Case) -> pd.DataFrame:
    """Received after the 7th working day from the day of NGAY_RA, or on day 5 or later of the month after it.

    Holidays: the Vietnamese calendar and holidays.csv. Downtime of the portal is not taken off: no data says it.
    """
    limits = law.load("submission")
    received = np.datetime64(pd.Timestamp(case.received_day).date())
    left = to_days(case.visits["day_out"])
    left = left[left.notna() & (left <= received)]
    days = left.to_numpy().astype("datetime64[D]")
    off = days_off(left, case.reference)
    working = np.busday_offset(days, limits["working_days"], roll="backward", holidays=off)
    months = days.astype("datetime64[M]") + 1
    before = months.astype("datetime64[D]") + int(limits["day_of_next_month"]) - 2
    due = pd.Series(np.minimum(working, before), index=left.index)
    where = (due < received).reindex(case.visits.index, fill_value=False)
    return claim_findings(
        "SUB-001",
        case.visits,
        where,
        field="NGAY_RA",
        observed=case.received_day,
        expected=lambda hit: due.loc[hit].dt.strftime("%Y%m%d").astype("str"),
    )


@rule(
    "SUB-002",
    stage=CROSS,
    level="cross-claim",
    severity=WARN,
    since="20240701",
    facts=(CHECK_INS,),
    title_vi="Có thông tin trạng thái (check-in, XML0) trước chi phí đầu tiên",
    title_en="The visit was announced (check-in, XML0) before its first cost",
    message_vi="Chưa nhận được check-in XML0 của MA_LK {observed} trước chi phí đầu tiên ({expected}).",
    message_en="No check-in XML0 of MA_LK {observed} came before the first cost ({expected}).",
    basis="Quyết định 4750/QĐ-BYT Điều 2",
)
def without_check_in(case: Case) -> pd.DataFrame:
    """No check-in of the same facility and MA_LK before the first NGAY_YL; not for emergencies (MA_DOITUONG_KCB 2).

    Case.history "check_ins": MA_CSKCB, MA_LK, received (yyyymmddHHMM, wall time); facilities that send no check-ins at
    all are not judged, nor is anybody without the frame. A claim of tests alone counts as one of a laboratory.
    """
    told = case.history[CHECK_INS]
    visits, lines = case.visits, case.lines
    if told.empty:
        return findings()
    first = lines.loc[lines["NGAY_YL"] != ""].groupby("claim")["NGAY_YL"].min().reindex(visits.index)
    came = told.groupby(["MA_CSKCB", "MA_LK"])["received"].min()
    keys = pd.MultiIndex.from_frame(visits[["MA_CSKCB", "MA_LK"]])
    arrived = pd.Series(came.reindex(keys).to_numpy(), index=visits.index)
    in_time = arrived.notna() & (arrived <= first)
    only_tests = lines["MA_NHOM"].isin(law.load("line_groups")["tests"]).groupby(lines["claim"]).all()
    laboratory = only_tests.reindex(visits.index, fill_value=False).astype("bool")
    where = ~in_time & first.notna() & visits["MA_CSKCB"].isin(told["MA_CSKCB"]) & ~laboratory
    where &= ~visits["MA_DOITUONG_KCB"].isin(law.load("submission")["emergency"])
    return claim_findings(
        "SUB-002", visits, where, field="MA_LK", observed=visits["MA_LK"], expected=first.fillna("").astype("str")
    )


@rule(
    "SUB-003",
    stage=CROSS,
    level="cross-claim",
    severity=REJECT_CLAIM,
    decisions=DECISIONS,
    facts=(SETTLED,),
    title_vi="Không thay thế hồ sơ đã quyết toán",
    title_en="A settled claim is not replaced",
    message_vi="MA_LK {observed} đã nằm trong {expected}; điều chỉnh bằng mẫu 09/BH.",
    message_en="MA_LK {observed} already stands in {expected}; adjust it with form 09/BH.",
    basis="Thông tư 12/2026/TT-BTC Điều 9, Điều 15",
)
def settled_before(case: Case) -> pd.DataFrame:
    """An earlier version of the claim stands in a signed 01/BH or 03/BH and no 09/BH takes it out.

    Case.history "settled": MA_CSKCB, MA_LK, form (01/BH, 03/BH), signed (yyyymmdd).
    """
    told = case.history[SETTLED]
    if told.empty:
        return findings()
    visits = case.visits
    label = (
        (told["form"].astype("str") + " " + told["signed"].astype("str"))
        .groupby([told["MA_CSKCB"], told["MA_LK"]])
        .first()
    )
    keys = pd.MultiIndex.from_frame(visits[["MA_CSKCB", "MA_LK"]])
    where = pd.Series(label.reindex(keys).to_numpy(), index=visits.index)
    return claim_findings(
        "SUB-003",
        visits,
        where.notna(),
        field="MA_LK",
        observed=visits["MA_LK"],
        expected=where.fillna("").astype("str"),
    )


@rule(
    "SUB-008",
    stage=ROUTE,
    level="claim",
    severity=REJECT_CLAIM,
    decisions=DECISIONS,
    needs=CONTRACTS,
    title_vi="Cơ sở có hợp đồng khám chữa bệnh BHYT vào ngày vào viện",
    title_en="The facility has a contract on the day of arrival",
    message_vi="Cơ sở {observed} không có hợp đồng khám chữa bệnh BHYT có hiệu lực vào ngày {expected}.",
    message_en="Facility {observed} has no contract in force on {expected}.",
    basis="Nghị định 188/2025/NĐ-CP chương V; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm e",
)
def without_contract(case: Case) -> pd.DataFrame:
    """No row of facilities.csv for MA_CSKCB whose HOP_DONG_TU…HOP_DONG_DEN holds on NGAY_VAO; not for emergencies.

    A row that states neither bound says nothing of a contract and is passed. Direct payment to the patient never comes
    as a claim, and the scope of a contract stands in no file.
    """
    visits = case.visits
    listed = case.reference["facilities"]
    rows = pd.DataFrame({name: listed[name].fillna("").str.strip() for name in CONTRACTS["facilities"]})
    rows = rows[rows["MA_CSKCB"].isin(visits["MA_CSKCB"])]
    open_end = rows["HOP_DONG_DEN"].replace("", OPEN_END)
    asked = pd.DataFrame({"claim": visits.index, "MA_CSKCB": visits["MA_CSKCB"], "day": visits["day_in"]})
    pairs = asked.merge(rows.assign(until=open_end), on="MA_CSKCB")
    silent = (pairs["HOP_DONG_TU"] == "") & (pairs["HOP_DONG_DEN"] == "")
    holds = silent | ((pairs["HOP_DONG_TU"] <= pairs["day"]) & (pairs["day"] <= pairs["until"]))
    where = visits["day_in"].str.fullmatch(_DAY) & ~visits.index.isin(pairs.loc[holds, "claim"])
    where &= ~visits["MA_DOITUONG_KCB"].isin(law.load("submission")["emergency"])
    return claim_findings(
        "SUB-008", visits, where, field="MA_CSKCB", observed=visits["MA_CSKCB"], expected=visits["day_in"]
    )
