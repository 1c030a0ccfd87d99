"""The warnings of a facility-month in words, Vietnamese and English."""

from __future__ import annotations

from claim_rules.statistics.drift import HOUR, LIMIT, MACHINE, PAST, PEERS, YEAR, Drift, NotJudged

Words = tuple[str, str]

INDICATORS: dict[str, Words] = {
    "cost": ("Chi phí bình quân một lượt (T_BHTT)", "Mean cost of a visit (T_BHTT)"),
    "price": ("Mặt bằng giá", "Price level"),
    "stay": ("Số ngày nằm viện bình quân", "Mean days of an inpatient stay"),
    "antibiotic": ("Tỷ lệ lượt có kháng sinh trong các lượt có thuốc", "Share with antibiotics of visits with drugs"),
    "admission": ("Tỷ lệ lượt nội trú", "Share of inpatient visits"),
    "route": ("Tỷ lệ lượt theo đối tượng đến KCB", "Share of visits by entitlement code"),
    "doctor": ("Số lượt khám của một bác sĩ trong ngày", "Examinations of one doctor on one day"),
    "hour": ("Số lượt khám của một bác sĩ trong một giờ", "Examinations of one doctor in one hour"),
    "machine": ("Số dịch vụ của một máy trong ngày", "Services of one machine on one day"),
}  # fmt: skip
KINDS: dict[str, Words] = {
    "01": ("khám bệnh", "examination"),
    "02": ("điều trị ngoại trú", "outpatient treatment"),
    "03": ("nội trú", "inpatient"),
    "04": ("nội trú ban ngày", "day inpatient"),
    "05": ("bệnh mạn tính: khám và thuốc", "chronic: examination and drugs"),
    "06": ("lưu trạm y tế", "stay at a commune station"),
    "07": ("nhận thuốc theo hẹn", "drugs by appointment"),
    "08": ("bệnh mạn tính có dịch vụ", "chronic, with services"),
    "09": ("nội trú dưới 4 giờ", "inpatient under 4 hours"),
}
ROUTES: dict[str, Words] = {"2": ("cấp cứu", "emergency"), "1.3": ("có giấy chuyển", "with a transfer paper")}
GRADES: dict[str, Words] = {
    "low": ("thấp", "low"),
    "high": ("cao", "high"),
    "very_high": ("rất cao", "very high"),
}
AGAINST: dict[str, Words] = {
    PAST: ("các tháng trước", "months before"),
    YEAR: ("cùng kỳ năm trước", "same month a year before"),
    PEERS: ("cơ sở cùng nhóm", "peers"),
    LIMIT: ("ngưỡng", "limit"),
}
GROUPS: dict[str, Words] = {
    "class-province": ("cùng cấp, tuyến, hạng trong tỉnh", "same level, tier and class in the province"),
    "class": ("cùng cấp, tuyến, hạng trong cả nước", "same level, tier and class in the nation"),
    "level-province": ("cùng cấp chuyên môn trong tỉnh", "same level in the province"),
    "level": ("cùng cấp chuyên môn trong cả nước", "same level in the nation"),
    "all": ("mọi cơ sở (chưa có facilities.csv)", "all facilities (no facilities.csv)"),
}


def about(indicator: str, key: str) -> Words:
    """What an indicator speaks of, with its kind of care, route or code."""
    vi, en = INDICATORS[indicator]
    if indicator in ("cost", "stay") and key:
        kind = KINDS.get(key)
        more = tuple(f" ({word})" for word in kind) if kind else ("", "")
        return f"{vi}, MA_LOAI_KCB {key}{more[0]}", f"{en}, MA_LOAI_KCB {key}{more[1]}"
    if indicator == "route":
        named = ROUTES.get(key)
        more = tuple(f" ({word})" for word in named) if named else ("", "")
        return f"{vi} {key}{more[0]}", f"{en} {key}{more[1]}"
    return vi, en


def number(value: float, decimals: int, vi: bool) -> str:
    """A number as its readers write it: 1.234,5 or 1,234.5."""
    text = f"{value:,.{decimals}f}"
    return text.translate(str.maketrans(",.", ".,")) if vi else text


def amount(indicator: str, value: float, vi: bool) -> str:
    """A value of an indicator with its unit."""
    if indicator == "cost":
        return number(value, 0, vi) + "\u00a0đ"
    if indicator == "price":
        return number(value * 100, 1, vi) + "\u00a0%"
    if indicator == "stay":
        return number(value, 1, vi) + ("\u00a0ngày" if vi else "\u00a0days")
    if indicator in ("antibiotic", "admission", "route"):
        return number(value * 100, 1, vi) + "\u00a0%"
    return number(value, 0, vi)


def _percent(ratio: float, vi: bool) -> str:
    return number((ratio - 1) * 100, 0, vi) + "\u00a0%"


def message(drift: Drift) -> Words:
    """One warning as a sentence or two."""
    if drift.against == LIMIT:
        return _limit(drift)
    out = []
    for vi, name in zip((True, False), about(drift.indicator, drift.key), strict=True):
        value, base = amount(drift.indicator, drift.value, vi), amount(drift.indicator, drift.baseline, vi)
        more = _percent(drift.ratio, vi)
        moved = drift.movement
        if drift.against == PEERS:
            group = GROUPS[drift.peer_class][0 if vi else 1]
            out.append(
                f"{name}: {value}, cao hơn {more} so với trung vị {base} của {len(drift.others)} cơ sở {group}."
                if vi
                else f"{name}: {value}, {more} above the median {base} of {len(drift.others)} facilities, {group}."
            )
            continue
        if vi:
            then = "cùng kỳ năm trước" if drift.against == YEAR else f"trung vị {len(drift.past)} tháng trước"
            text = f"{name}: {value}; {then}: {base}; tăng {more}"
            text += f" sau khi trừ mức thay đổi chung {_percent(moved, vi)} của các cơ sở khác." if moved != 1 else "."
        else:
            then = "a year before" if drift.against == YEAR else f"median of {len(drift.past)} months before"
            text = f"{name}: {value}; {then}: {base}; up {more}"
            text += f" beyond the {_percent(moved, vi)} by which other facilities moved." if moved != 1 else "."
        out.append(text)
    return out[0], out[1]


def _limit(drift: Drift) -> Words:
    code, _, day = drift.key.rpartition(" ")
    date = f"{day[6:]}/{day[4:6]}/{day[:4]}"
    most, limit = int(drift.value), number(drift.baseline, 0, True)
    if drift.indicator == MACHINE:
        return (
            f"Máy {code}: {most} dịch vụ ngày {date}, ngưỡng {limit}; vượt ngưỡng {drift.n} ngày trong tháng.",
            f"Machine {code}: {most} services on {date}, limit {limit}; above it on {drift.n} days of the month.",
        )
    if drift.indicator == HOUR:
        hour = drift.hour or 0
        return (
            f"Người hành nghề {code}: {most} lượt khám từ {hour} đến {hour + 1} giờ ngày {date}, ngưỡng {limit}; "
            f"có ở {drift.n} ngày trong tháng.",
            f"Practitioner {code}: {most} examinations from {hour}:00 to {hour + 1}:00 on {date}, limit {limit}; "
            f"on {drift.n} days of the month.",
        )
    return (
        f"Người hành nghề {code}: {most} lượt khám ngày {date}, ngưỡng {limit}; vượt ngưỡng {drift.n} ngày.",
        f"Practitioner {code}: {most} examinations on {date}, limit {limit}; above it on {drift.n} days of the month.",
    )


def why_not(entry: NotJudged) -> Words:
    """Why a comparison was not made."""
    seen, needed = entry.seen, entry.needed
    return {
        "few-visits": (f"chỉ có {seen} lượt, cần {needed}", f"only {seen} visits, {needed} needed"),
        "few-months": (f"chỉ có {seen} tháng trước, cần {needed}", f"only {seen} months before, {needed} needed"),
        "few-peers": (f"chỉ có {seen} cơ sở cùng nhóm, cần {needed}", f"only {seen} peers, {needed} needed"),
        "no-class": ("facilities.csv không có cơ sở này", "facilities.csv does not hold this facility"),
        "no-capacity": (
            f"{seen} máy chưa có CONG_SUAT_NGAY trong machines.csv và chưa đủ {needed} ngày trước đó",
            f"{seen} machines have neither CONG_SUAT_NGAY in machines.csv nor {needed} days before",
        ),
    }[entry.reason]
