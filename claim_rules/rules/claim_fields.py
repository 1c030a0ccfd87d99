"""STR, fields of the claim: diagnoses, codes by date, settlement month, the person's data, days of treatment."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from claim_rules import law
from claim_rules.catalogue import STRUCTURE, rule
from claim_rules.codes import code_list
from claim_rules.engine import Case, claim_findings
from claim_rules.findings import REJECT_CLAIM, WARN, concat
from claim_rules.frames import texts
from claim_rules.rules.papers import FORMAT

NEW_ROUTES = "20250701"
OLD_ROUTES_UNTIL = "20251231"
MOST_DIAGNOSES = 12
_DAY = "[0-9]{8}"
_MINUTE = "[0-9]{12}"


def _days(text: pd.Series) -> pd.Series:
    """Days (yyyymmdd at the start of each text) as dates; NaT where there is none."""
    return pd.to_datetime(text.str[:8].where(text.str[:8].str.fullmatch(_DAY)), format="%Y%m%d", errors="coerce")


def _minutes(text: pd.Series) -> pd.Series:
    return pd.to_datetime(text.where(text.str.fullmatch(_MINUTE)), format="%Y%m%d%H%M", errors="coerce")


@rule(
    "STR-021",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Một bệnh chính, không quá 12 bệnh kèm theo",
    title_en="One main diagnosis, at most 12 accompanying ones",
    message_vi="{field} = {observed}: phải là {expected}.",
    message_en="{field} = {observed}: must be {expected}.",
    basis=f"{FORMAT}, bảng XML1 trường 26-27",
)
def diagnoses(case: Case) -> pd.DataFrame:
    """MA_BENH_CHINH has a `;`, or MA_BENH_KT has more than 12 codes; the main code again in MA_BENH_KT only warns."""
    main, more = case.visits["MA_BENH_CHINH"], case.visits["MA_BENH_KT"]
    items = more.str.split(";").explode().str.strip()
    items = items[items != ""]
    count = items.groupby(level=0).size().reindex(case.visits.index, fill_value=0)
    several = main.str.contains(";", regex=False)
    again = (items == main.reindex(items.index)).groupby(level=0).any().reindex(case.visits.index, fill_value=False)
    return concat(
        [
            claim_findings(
                "STR-021", case.visits, several, field="MA_BENH_CHINH", observed=main, expected="một mã · one code"
            ),
            claim_findings(
                "STR-021",
                case.visits,
                count > MOST_DIAGNOSES,
                field="MA_BENH_KT",
                observed=count.astype("str"),
                expected=f"≤ {MOST_DIAGNOSES} mã · codes",
            ),
            claim_findings(
                "STR-021",
                case.visits,
                again.astype("bool") & ~several & (main != ""),
                severity=WARN,
                field="MA_BENH_KT",
                observed=main,
                expected="không nhắc lại bệnh chính · not the main code again",
            ),
        ]
    )


@rule(
    "STR-022",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Mã loại khám chữa bệnh có trong danh mục vào ngày ra viện",
    title_en="The kind of care is in its list on the day of discharge",
    message_vi="MA_LOAI_KCB = {observed} không có trong danh mục áp dụng ngày ra viện ({expected}).",
    message_en="MA_LOAI_KCB = {observed} is not in the list of the day of discharge ({expected}).",
    basis="Quyết định 824/QĐ-BYT; Quyết định 1804/QĐ-BYT (16 mã, từ 01/08/2026)",
)
def kind_of_care(case: Case) -> pd.DataFrame:
    """MA_LOAI_KCB by the day of NGAY_RA. Decision 130 has it as a number: 1 is 01 there."""
    visits = case.visits
    pairs = pd.DataFrame({"code": visits["MA_LOAI_KCB"], "day": visits["day_out"]})
    expected = {day: sorted(_valid_kinds(day)) for day in pairs["day"].unique()}
    kinds = pairs.drop_duplicates()
    bad = {
        (code, day)
        for code, day in kinds.itertuples(index=False, name=None)
        if code and expected[day] and code not in expected[day]
    }
    where = pd.Series(pd.MultiIndex.from_frame(pairs).isin(bad), index=visits.index) & (visits["MA_LOAI_KCB"] != "")
    return claim_findings(
        "STR-022",
        visits,
        where,
        field="MA_LOAI_KCB",
        observed=visits["MA_LOAI_KCB"],
        expected=lambda hit: pairs.loc[hit, "day"].map(lambda day: ", ".join(expected[day])),
    )


def _valid_kinds(day: str) -> frozenset[str]:
    """Kinds of care in force on a day; empty where the text is no day (another rule says so)."""
    try:
        return code_list("MA_LOAI_KCB").valid(datetime.strptime(day, "%Y%m%d").date())
    except ValueError:
        return frozenset()


@rule(
    "STR-023",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Mã đối tượng đến khám chữa bệnh có trong danh mục",
    title_en="The visit entitlement is in its list",
    message_vi="MA_DOITUONG_KCB = {observed} không có trong danh mục của Quyết định 3276/QĐ-BYT.",
    message_en="MA_DOITUONG_KCB = {observed} is not in the list of Decision 3276/QD-BYT.",
    basis="Quyết định 3276/QĐ-BYT; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm b",
)
def visit_entitlement(case: Case) -> pd.DataFrame:
    """MA_DOITUONG_KCB of visits that ended from 2025-07-01 on; the codes that Decision 3276 dropped hold to 2025-12-31.

    Earlier a code that no list ever had only warns, and the claim is referred to an officer (no route factor).
    """
    codes = code_list("MA_DOITUONG_KCB").codes
    kept = {code.code for code in codes if code.valid_to is None}
    dropped = {code.code for code in codes if code.valid_to is not None}
    value = case.visits["MA_DOITUONG_KCB"]
    fine = value.isin(kept) | (value.isin(dropped) & (case.visits["day_out"] <= OLD_ROUTES_UNTIL))
    wrong = (value != "") & ~fine
    new = case.visits["day_out"] >= NEW_ROUTES
    return concat(
        [
            claim_findings("STR-023", case.visits, wrong & new, field="MA_DOITUONG_KCB", observed=value),
            claim_findings(
                "STR-023", case.visits, wrong & ~new, severity=WARN, field="MA_DOITUONG_KCB", observed=value
            ),
        ]
    )


@rule(
    "STR-030",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Kỳ quyết toán không sau tháng gửi, không trước tháng ra viện",
    title_en="The settlement month is not after sending nor before discharge",
    message_vi="Kỳ quyết toán {observed} không hợp lệ: phải từ {expected}.",
    message_en="Settlement month {observed} is not possible: it must lie in {expected}.",
    basis="Thông tư 48/2017/TT-BYT Điều 7; Thông tư 12/2026/TT-BTC Điều 9, Điều 15",
)
def settlement_month(case: Case) -> pd.DataFrame:
    """NAM_QT and THANG_QT later than the month of receipt, or earlier than the month of NGAY_RA.

    rules.csv allows the month to be earlier "by more than the late rule", which no source states: a visit cannot be
    settled before it ended (law/submission.yaml, months_before_discharge). Whether the month is settled already is
    judged where claims are stored (SUB-003). A month that is no number is DICT-003.
    """
    visits = case.visits
    readable = visits["NAM_QT"].str.fullmatch("[0-9]{4}") & visits["THANG_QT"].str.fullmatch("[0-9]{1,2}")
    year = pd.to_numeric(visits["NAM_QT"].where(readable, "0")).astype("int64")
    month = pd.to_numeric(visits["THANG_QT"].where(readable, "1")).astype("int64")
    left = _days(visits["NGAY_RA"])
    ended = (left.dt.year * 12 + left.dt.month).fillna(0).astype("int64")
    first = ended - int(law.load("submission")["months_before_discharge"])
    period = year * 12 + month
    where = readable & ((period < first) & (ended > 0))
    received = case.received_day
    last = int(received[:4]) * 12 + int(received[4:6]) if received else None
    if last is not None:
        where |= readable & (period > last)
    until = "" if last is None else _month_text(last)
    return claim_findings(
        "STR-030",
        visits,
        where,
        field="THANG_QT",
        observed=visits["THANG_QT"] + "/" + visits["NAM_QT"],
        expected=lambda hit: first.loc[hit].map(_month_text) + "–" + until,
    )


def _month_text(number: int) -> str:
    return f"{(number - 1) % 12 + 1:02d}/{(number - 1) // 12}"


@rule(
    "STR-031",
    stage=STRUCTURE,
    level="claim",
    severity=WARN,
    title_vi="Giới tính, ngày sinh, cân nặng hợp lý",
    title_en="Sex, date of birth and weight make sense",
    message_vi="{field} = {observed} không hợp lý ({expected}).",
    message_en="{field} = {observed} makes no sense ({expected}).",
    basis=f"{FORMAT}, bảng XML1",
)
def person_data(case: Case) -> pd.DataFrame:
    """GIOI_TINH not 1, 2, 3; NGAY_SINH after NGAY_VAO; CAN_NANG above 200 or not above 0, or empty under 12 months.

    Of a birth without month, day or time only what is known is compared.
    """
    visits = case.visits
    sex, birth, arrival, weight = (visits[name] for name in ("GIOI_TINH", "NGAY_SINH", "NGAY_VAO", "CAN_NANG"))
    limits = law.load("body_weight")
    unborn = birth.str.fullmatch(_MINUTE) & arrival.str.fullmatch(_MINUTE) & (_known(birth) > _cut(arrival, birth))
    number = pd.to_numeric(weight.where(weight.str.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")), errors="coerce")
    unlikely = number.notna() & ((number <= limits["above"]) | (number > limits["highest"]))
    infant = _under(birth, arrival, limits["months"])
    told: list[tuple[pd.Series, str, pd.Series, str]] = [
        ((sex != "") & ~sex.isin(sorted(code_list("GIOI_TINH").valid())), "GIOI_TINH", sex, "1, 2, 3"),
        (unborn, "NGAY_SINH", birth, "≤ NGAY_VAO"),
        (unlikely, "CAN_NANG", weight, f"> {limits['above']}, ≤ {limits['highest']} kg"),
        ((weight == "") & infant, "CAN_NANG", weight, f"< {limits['months']} tháng tuổi · months old"),
    ]
    return concat(
        claim_findings("STR-031", visits, where, field=name, observed=value, expected=expected)
        for where, name, value, expected in told
    )


def _known_length(birth: pd.Series) -> pd.Series:
    """How much of yyyymmddHHMM is known: 4, 8 or 12 characters."""
    return (
        pd.Series(12, index=birth.index)
        .mask(birth.str[8:] == "0000", 8)
        .mask((birth.str[4:8] == "0000") | (birth.str.len() == 4), 4)
    )


def _known(birth: pd.Series) -> pd.Series:
    length = _known_length(birth)
    return birth.where(length == 12, birth.str[:8]).where(length > 4, birth.str[:4])


def _cut(moment: pd.Series, birth: pd.Series) -> pd.Series:
    """A moment to the same length as what is known of the birth."""
    length = _known_length(birth)
    return moment.where(length == 12, moment.str[:8]).where(length > 4, moment.str[:4])


def _under(birth: pd.Series, arrival: pd.Series, months: int) -> pd.Series:
    """Whether somebody is certainly younger than so many months on the day of arrival."""
    # of an unknown day the first one counts: older, so nobody is called an infant by chance
    day = birth.str[:8].where(birth.str[4:8] != "0000", birth.str[:4] + "0101")
    born, came = _days(day), _days(arrival)
    age = (came.dt.year - born.dt.year) * 12 + came.dt.month - born.dt.month - (came.dt.day < born.dt.day)
    young: pd.Series = (born <= came) & (age < months)
    return young


@rule(
    "STR-033",
    stage=STRUCTURE,
    level="claim",
    severity=WARN,
    since="20260801",
    title_vi="Loại khám chữa bệnh phù hợp nội dung hồ sơ",
    title_en="The kind of care fits what was done",
    message_vi="MA_LOAI_KCB = {observed} không phù hợp.",
    message_en="MA_LOAI_KCB = {observed} does not fit the claim.",
    basis="Quyết định 1804/QĐ-BYT (ghi chú danh mục loại khám chữa bệnh)",
)
def kind_against_content(case: Case) -> pd.DataFrame:
    """05 with a service that is no examination; 07 with an examination; an inpatient stay of under 4 hours that is
    not 09, from NGAY_VAO_NOI_TRU to NGAY_RA."""
    visits, lines = case.visits, case.lines
    kind = visits["MA_LOAI_KCB"]
    kinds = law.load("kinds_of_care")
    service = (lines["table"] == "XML3") & (lines["MA_VAT_TU"] == "") & (lines["MA_DICH_VU"] != "")
    exam = lines["MA_NHOM"].isin(law.load("line_groups")["exam"])
    others = visits.index.isin(lines.loc[service & ~exam, "claim"])
    exams = visits.index.isin(lines.loc[service & exam, "claim"])
    stay = _minutes(visits["NGAY_RA"]) - _minutes(visits["NGAY_VAO_NOI_TRU"])
    short = visits["inpatient"] & ~kind.isin(kinds["under_four_hours"])
    short &= (stay >= pd.Timedelta(0)) & (stay < pd.Timedelta(hours=4))
    pickup = law.load("inpatient")["pickup_codes"]
    told = [
        (
            kind.isin(kinds["days_of_drugs"]) & others,
            "Loại 05 chỉ gồm khám bệnh và thuốc, nhưng có dịch vụ khác.",
            "Kind 05 is examination and drugs alone, yet there is another service.",
        ),
        (
            kind.isin(pickup) & exams,
            "Loại 07 là nhận thuốc theo hẹn, không khám, nhưng có tiền khám.",
            "Kind 07 is a drug pick-up without examination, yet one is claimed.",
        ),
        (
            short,
            "Nằm viện dưới 4 giờ phải ghi loại 09.",
            "A stay of under 4 hours is kind 09.",
        ),
    ]
    return concat(
        claim_findings("STR-033", visits, where, field="MA_LOAI_KCB", observed=kind, detail_vi=vi, detail_en=en)
        for where, vi, en in told
    )


@rule(
    "STR-034",
    stage=STRUCTURE,
    level="claim",
    severity=WARN,
    title_vi="Số ngày điều trị đúng cách tính theo loại khám chữa bệnh",
    title_en="The days of treatment are counted as the kind of care asks",
    message_vi="SO_NGAY_DTRI = {observed}, theo loại khám chữa bệnh phải là {expected}.",
    message_en="SO_NGAY_DTRI = {observed}, by the kind of care it must be {expected}.",
    basis=f"{FORMAT}, bảng XML1 trường SO_NGAY_DTRI; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm k",
)
def days_of_treatment(case: Case) -> pd.DataFrame:
    """01, 07, 09: 0; 02, 03, 04, 06: days from NGAY_VAO to NGAY_RA, both counted; 08: days with a line (NGAY_YL);
    05: days of drugs, which only LIEU_DUNG tells ("… * 28 ngày"): the longest, if every drug line can be read.

    Other kinds, and values that are no number, are not judged.
    """
    visits, kinds = case.visits, law.load("kinds_of_care")
    kind = visits["MA_LOAI_KCB"]
    calendar = (_days(visits["NGAY_RA"]) - _days(visits["NGAY_VAO"])).dt.days + 1
    served = case.lines.loc[case.lines["day"].str.fullmatch(_DAY), ["claim", "day"]].drop_duplicates()
    due = pd.Series(pd.NA, index=visits.index, dtype="Int64")
    due = due.mask(kind.isin(kinds["no_days"]), 0)
    due = due.mask(kind.isin(kinds["calendar_days"]), calendar.astype("Int64"))
    due = due.mask(kind.isin(kinds["days_of_service"]), served.groupby("claim").size().astype("Int64"))
    due = due.mask(kind.isin(kinds["days_of_drugs"]), _days_of_drugs(case))
    text = visits["SO_NGAY_DTRI"]
    number = pd.to_numeric(text.where(text.str.fullmatch("[0-9]{1,4}")), errors="coerce").astype("Int64")
    where = ((number != due) & (due >= 0)).fillna(False).astype("bool")
    return claim_findings(
        "STR-034", visits, where, field="SO_NGAY_DTRI", observed=text, expected=due.astype("str").astype("str")
    )


def _days_of_drugs(case: Case) -> pd.Series:
    """The longest course that LIEU_DUNG names in each claim of that kind (Int64; NA where a line is unreadable)."""
    kind = case.visits["MA_LOAI_KCB"]
    claims = case.visits.index[kind.isin(law.load("kinds_of_care")["days_of_drugs"])]
    doses = texts(case.tables, "XML2", ("LIEU_DUNG",), claims)
    days = pd.to_numeric(doses["LIEU_DUNG"].str.extract(r"(?i)([0-9]{1,3})\s*ngày", expand=False), errors="coerce")
    longest = days.groupby(doses["claim"]).max()
    unread = days.isna().groupby(doses["claim"]).any()
    return longest.where(~unread).reindex(case.visits.index).astype("Int64")


@rule(
    "STR-037",
    stage=STRUCTURE,
    level="claim",
    severity=WARN,
    title_vi="Mã khu vực là K1, K2 hoặc K3",
    title_en="The living-area code is K1, K2 or K3",
    message_vi="MA_KHUVUC = {observed}, phải để trống hoặc là {expected}.",
    message_en="MA_KHUVUC = {observed}, it must be blank or one of {expected}.",
    basis=f"{FORMAT}, bảng XML1 trường MA_KHUVUC; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm b",
)
def living_area(case: Case) -> pd.DataFrame:
    """MA_KHUVUC that is none of K1, K2, K3; the benefit law takes it as blank."""
    codes = sorted(code_list("MA_KHUVUC").valid())
    value = case.visits["MA_KHUVUC"]
    where = (value != "") & ~value.isin(codes)
    return claim_findings("STR-037", case.visits, where, field="MA_KHUVUC", observed=value, expected=", ".join(codes))
