"""STAT, the statistics of a facility-month: cost, loads, admissions and routes beside its own past and its peers.

These rules look at no single delivery. They run over the profile of a facility-month (claim_rules.statistics.drift says
how it is decided, law/statistics holds the figures) and only ever warn: no outcome and no amount depends on them.
"""

from __future__ import annotations

from typing import Any

from claim_rules.catalogue import CROSS, MONTH, declare
from claim_rules.findings import WARN

_FACTS: dict[str, Any] = {"stage": CROSS, "level": MONTH, "severity": WARN, "found_by": "statistics"}

# STAT-001. The mean T_BHTT of a visit by MA_LOAI_KCB beside the months before, the same month of the year before and
# the peers of the month. Three things that make a visit dear are judged beside it, since a mean over all patients can
# hide them: the price level, the length of inpatient stays, the share of visits with antibiotics.
declare(
    "STAT-001",
    title_vi="Chi phí bình quân không tăng bất thường",
    title_en="The mean cost of a visit does not rise unusually",
    message_vi="Chi phí bình quân một lượt KCB, hoặc giá, ngày điều trị, tỷ lệ dùng kháng sinh tăng bất thường.",
    message_en="The mean cost of a visit, or prices, days of stay or the share of antibiotics, has risen unusually.",
    basis="Thông tư 12/2026/TT-BTC Điều 13; Nghị định 188/2025/NĐ-CP Điều 35",
    since="20260210",
    **_FACTS,
)
declare(
    "STAT-002",
    title_vi="Một bác sĩ không khám quá số lượt làm được trong ngày, trong giờ",
    title_en="A doctor does not examine more patients than a day or an hour holds",
    message_vi="Số lượt khám của một bác sĩ trong một ngày, hoặc trong một giờ, vượt ngưỡng.",
    message_en="One doctor's examinations on one day, or in one hour, are above the limit.",
    basis="Thông tư 39/2024/TT-BYT Điều 4b; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm g",
    **_FACTS,
)
declare(
    "STAT-003",
    title_vi="Một máy không làm quá công suất trong ngày",
    title_en="A machine does not do more than its capacity of a day",
    message_vi="Số dịch vụ của một máy trong một ngày vượt công suất.",
    message_en="The services of one machine on one day are above its capacity.",
    basis="Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm g",
    **_FACTS,
)
declare(
    "STAT-004",
    title_vi="Tỷ lệ nhập viện không cao bất thường",
    title_en="The share of admissions is not unusually high",
    message_vi="Tỷ lệ lượt nội trú trong tổng số lượt KCB cao bất thường.",
    message_en="The share of inpatient visits among all visits is unusually high.",
    basis="Nghị định 188/2025/NĐ-CP Điều 35; hợp đồng KCB BHYT",
    **_FACTS,
)
declare(
    "STAT-005",
    title_vi="Tỷ lệ cấp cứu, chuyển tuyến không cao bất thường",
    title_en="The shares of emergencies and of referred patients are not unusually high",
    message_vi="Tỷ lệ lượt có MA_DOITUONG_KCB 2 (cấp cứu) hoặc 1.3 (chuyển cơ sở) cao bất thường.",
    message_en="The share of visits with MA_DOITUONG_KCB 2 (emergency) or 1.3 (transfer paper) is unusually high.",
    basis="Nghị định 188/2025/NĐ-CP Điều 19, Điều 35",
    **_FACTS,
)
