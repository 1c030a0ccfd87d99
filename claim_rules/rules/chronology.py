"""TIME: do the times of the visit and of its orders fit together?"""

from __future__ import annotations

import pandas as pd

from claim_rules import law
from claim_rules.catalogue import CLINICAL, rule
from claim_rules.dictionary import DECISIONS
from claim_rules.engine import Case, claim_findings, line_findings
from claim_rules.findings import REJECT_CLAIM, REJECT_LINE

BASIS = "Quyết định 130/QĐ-BYT, 4750/QĐ-BYT, 3176/QĐ-BYT; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm k"


@rule(
    "TIME-001",
    stage=CLINICAL,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Ngày ra sau ngày vào",
    title_en="Discharge after arrival",
    message_vi="Ngày ra {observed} không sau ngày vào {expected}.",
    message_en="Discharge {observed} is not after arrival {expected}.",
    basis=BASIS,
    decisions=DECISIONS,
)
def discharge_before_arrival(case: Case) -> pd.DataFrame:
    """NGAY_RA before NGAY_VAO, or equal to it unless drugs were only picked up (MA_LOAI_KCB 07)."""
    visits = case.visits
    arrival, discharge = visits["NGAY_VAO"], visits["NGAY_RA"]
    pickup = visits["MA_LOAI_KCB"].isin(law.load("inpatient")["pickup_codes"])
    where = (arrival != "") & (discharge != "") & ((discharge < arrival) | ((discharge == arrival) & ~pickup))
    return claim_findings("TIME-001", visits, where, field="NGAY_RA", observed=discharge, expected=arrival)


@rule(
    "TIME-002",
    stage=CLINICAL,
    level="line",
    severity=REJECT_LINE,
    title_vi="Y lệnh trong thời gian điều trị",
    title_en="The order lies within the visit",
    message_vi="Ngày y lệnh {observed} ngoài thời gian điều trị {expected}.",
    message_en="Order time {observed} is outside the visit {expected}.",
    basis=BASIS,
    decisions=DECISIONS,
)
def order_outside_visit(case: Case) -> pd.DataFrame:
    """NGAY_YL before NGAY_VAO or after NGAY_RA; XML2 compared by day, XML3 by minute."""
    lines = case.lines
    arrival, discharge = case.claims.visit("NGAY_VAO"), case.claims.visit("NGAY_RA")
    by_day = lines["table"] == "XML2"
    order = lines["NGAY_YL"].where(~by_day, lines["day"])
    first = arrival.where(~by_day, arrival.str[:8])
    last = discharge.where(~by_day, discharge.str[:8])
    where = (lines["NGAY_YL"] != "") & (first != "") & (last != "") & ((order < first) | (order > last))
    return line_findings(
        "TIME-002",
        lines,
        where,
        field="NGAY_YL",
        observed=lines["NGAY_YL"],
        expected=lambda hit: first[hit] + "-" + last[hit],
    )
