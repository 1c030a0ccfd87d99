"""BEN: at which rate does the fund cover the visit?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from claim_rules import benefit, money
from claim_rules.catalogue import ROUTE, declare, rule
from claim_rules.engine import Case, claim_findings, line_findings
from claim_rules.findings import ADJUST_AMOUNT, REJECT_CLAIM, WARN
from claim_rules.rules.arithmetic import claim_tolerance

RATES = "Luật BHYT Điều 22 (sửa đổi bởi Luật 51/2024/QH15); Nghị định 188/2025/NĐ-CP Điều 19"
APPRAISAL = "Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm b"

_CARRIED = {
    "BEN-002": ("Mức hưởng gốc theo ký tự thứ ba của thẻ", "Base rate by the third character of the card"),
    "BEN-003": ("Thẻ CN, LH hưởng 100 % từ 01/01/2026", "Cards CN and LH at 100 % from 2026-01-01"),
    "BEN-004": ("Hệ số theo mã đối tượng đến KCB", "Route factor by visit entitlement"),
}
for _id, (_vi, _en) in _CARRIED.items():
    declare(
        _id,
        stage=ROUTE,
        level="claim",
        severity=ADJUST_AMOUNT,
        found_by="BEN-001",
        title_vi=_vi,
        title_en=_en,
        message_vi="",
        message_en="",
        basis=f"{RATES}; Quyết định 1351/QĐ-BHXH, 3276/QĐ-BYT",
        since="20260101" if _id == "BEN-003" else "",
    )


@rule(
    "BEN-001",
    stage=ROUTE,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Mức hưởng không cao hơn quy định",
    title_en="The benefit rate is not above the one due",
    message_vi="Mức hưởng {observed} % cao hơn mức được hưởng {expected} %.",
    message_en="Benefit rate {observed} % is above the rate due, {expected} %.",
    basis=f"{RATES}; {APPRAISAL}",
)
def rate_too_high(case: Case) -> pd.DataFrame:
    """MUC_HUONG of the line above the rate that card, route and 15 % test give."""
    expected = case.expected.rate
    claimed = case.lines["MUC_HUONG"]
    where = expected.notna() & case.present["MUC_HUONG"] & (claimed > expected.fillna(0))
    return line_findings(
        "BEN-001",
        case.lines,
        where,
        field="MUC_HUONG",
        observed=lambda hit: money.rate_texts(claimed.loc[hit]),
        expected=lambda hit: money.rate_texts(expected.loc[hit]),
        correct_field="MUC_HUONG",
        correct_value=expected,
    )


@rule(
    "BEN-005",
    stage=ROUTE,
    level="claim",
    severity=WARN,
    title_vi="Chi phí dưới 15 % lương cơ sở không cùng chi trả",
    title_en="No co-payment where the visit costs less than 15 % of the base salary",
    message_vi=(
        "Chi phí trong phạm vi dưới 15 % lương cơ sở ({expected} đ) nhưng vẫn thu cùng chi trả {observed} đ; "
        "cần hoàn lại người bệnh."
    ),
    message_en=(
        "The in-scope cost is under 15 % of the base salary (VND {expected}) yet a co-payment of VND {observed} was "
        "charged; it is due back to the patient."
    ),
    basis=f"{RATES} khoản 1; {APPRAISAL}",
)
def small_visit_co_payment(case: Case) -> pd.DataFrame:
    """S under the threshold and a co-payment charged beyond what an off-route factor leaves to the patient. Nothing is
    said where that is not known (the claim is referred: a recall has the rate of another claim)."""
    lines = case.lines
    expected = case.expected
    co_payment = case.claims.sums("T_BNCCT")
    rate = expected.rate.fillna(benefit.FULL).astype("int64")
    of_patient = lines["THANH_TIEN_BH"] - money.product(lines["THANH_TIEN_BH"], rate, divisor=benefit.FULL)
    due = of_patient.groupby(lines["claim"]).sum().reindex(case.visits.index, fill_value=0)
    # what an off-route factor leaves to the patient is due
    where = expected.small & (co_payment - due > claim_tolerance(case))
    where &= expected.referral.isin(["", benefit.RATE_ROUNDING])
    return claim_findings(
        "BEN-005",
        case.visits,
        where,
        field="T_BNCCT",
        observed=money.text(co_payment, money.AMOUNT_DECIMALS),
        expected=money.text(expected.threshold, money.AMOUNT_DECIMALS),
    )


@rule(
    "BEN-011",
    stage=ROUTE,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Tự đến cấp chuyên sâu (trung ương cũ) ngoại trú không được hưởng",
    title_en="Self-referred outpatient care at a former central hospital is not covered",
    message_vi="Mã đối tượng {observed} khám chữa bệnh ngoại trú: mức hưởng 0 %.",
    message_en="Visit entitlement {observed} with outpatient care: rate 0 %.",
    basis=f"{RATES}; Quyết định 3276/QĐ-BYT mã 3.1; {APPRAISAL}",
    since="20250101",
)
def central_outpatient(case: Case) -> pd.DataFrame:
    """MA_DOITUONG_KCB 3.1 and outpatient."""
    code = case.visits["MA_DOITUONG_KCB"]
    where = (code == "3.1") & ~case.visits["inpatient"]
    return claim_findings("BEN-011", case.visits, where, field="MA_DOITUONG_KCB", observed=code, expected="0")


@rule(
    "BEN-021",
    stage=ROUTE,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Người bệnh không BHYT không được đề nghị thanh toán",
    title_en="An uninsured patient's visit cannot be claimed",
    message_vi="Người bệnh không có BHYT ({field} = {observed}) nhưng đề nghị quỹ thanh toán.",
    message_en="The patient is not insured ({field} = {observed}) yet the fund is asked to pay.",
    basis=f"Luật BHYT Điều 12, Điều 21; Quyết định 3276/QĐ-BYT mã 9; {APPRAISAL}",
)
def uninsured(case: Case) -> pd.DataFrame:
    """MA_DOITUONG_KCB 9, or no card, and T_BHTT of the claim or of its lines above zero."""
    visits = case.visits
    asks = (visits["T_BHTT#"] > 0).fillna(False).astype("bool") | (case.claims.sums("T_BHTT") > 0)
    code = visits["MA_DOITUONG_KCB"]
    without = (code == "9") | (visits["MA_THE_BHYT"] == "")
    name = pd.Series(np.where(code == "9", "MA_DOITUONG_KCB", "MA_THE_BHYT"), index=visits.index, dtype="str")
    return claim_findings("BEN-021", visits, without & asks, field=name, observed=code.where(code == "9", ""))
