"""STR, what goes with a claim: are the results, notes and papers there that the visit asks for?"""

from __future__ import annotations

import pandas as pd

from claim_rules import dictionary, law
from claim_rules.catalogue import STRUCTURE, rule
from claim_rules.engine import Case, claim_findings
from claim_rules.findings import WARN, concat, findings
from claim_rules.frames import claims_with, texts

FORMAT = "Quyết định 130/QĐ-BYT, 4750/QĐ-BYT, 3176/QĐ-BYT"
DONE_ELSEWHERE = r"\.K\.\w+"
SUFFIX = rf"(?:_(?:GT|TB|TT)|{DONE_ELSEWHERE})+$"
ABORTED = "_TB"


def _kinds(name: str) -> list[str]:
    codes: list[str] = law.load("kinds_of_care")[name]
    return codes


def _lacks(case: Case, table: str) -> pd.Series:
    """Visits without rows of a table; never where the claim's layout has no such table."""
    has = claims_with(case.tables, table)
    known = [decision for decision in dictionary.DECISIONS if table in dictionary.tables(decision)]
    return case.visits["decision"].isin(known) & ~case.visits.index.isin(has)


@rule(
    "STR-016",
    stage=STRUCTURE,
    demands=("XML4",),
    level="claim",
    severity=WARN,
    title_vi="Xét nghiệm, chẩn đoán hình ảnh, thăm dò chức năng có kết quả (XML4)",
    title_en="Tests that are claimed have a result (XML4)",
    message_vi="Dịch vụ {observed} đề nghị thanh toán nhưng XML4 không có kết quả.",
    message_en="Services {observed} are claimed, XML4 has no result of them.",
    basis=f"{FORMAT}, bảng XML4; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm i",
)
def tests_without_result(case: Case) -> pd.DataFrame:
    """A paid line of MA_NHOM 1, 2, 3 whose MA_DICH_VU no XML4 row has: once per claim, with the codes.

    Codes are compared without _GT, _TB, _TT and .K.WWWWW (done elsewhere); an aborted service (_TB) has no result.
    """
    lines = case.lines
    tests = lines["MA_NHOM"].isin(law.load("line_groups")["tests"]) & (lines["T_BHTT"] > 0)
    tests &= (lines["MA_DICH_VU"] != "") & (lines["MA_VAT_TU"] == "") & ~lines["MA_DICH_VU"].str.contains(ABORTED)
    mine = lines.loc[tests, ["claim", "MA_DICH_VU"]]
    results = texts(case.tables, "XML4", ("MA_DICH_VU",), case.visits.index)
    have = pd.MultiIndex.from_arrays([results["claim"], _plain(results["MA_DICH_VU"])])
    asked = pd.MultiIndex.from_arrays([mine["claim"], _plain(mine["MA_DICH_VU"])])
    missing = mine[~asked.isin(have)].drop_duplicates()
    codes = missing.groupby("claim")["MA_DICH_VU"].agg("; ".join).reindex(case.visits.index)
    return claim_findings(
        "STR-016", case.visits, codes.notna(), table="XML4", field="MA_DICH_VU", observed=codes.astype("str")
    )


def _plain(code: pd.Series) -> pd.Series:
    distinct = pd.Series(code.unique(), dtype="str")
    return code.map(dict(zip(distinct, distinct.str.replace(SUFFIX, "", regex=True), strict=True)))


@rule(
    "STR-017",
    stage=STRUCTURE,
    demands=("XML5",),
    level="claim",
    severity=WARN,
    title_vi="Có diễn biến lâm sàng (XML5)",
    title_en="The clinical notes are there (XML5)",
    message_vi="Loại khám chữa bệnh {observed} phải có diễn biến lâm sàng (XML5).",
    message_en="Kind of care {observed} needs clinical notes (XML5).",
    basis=f"{FORMAT}, bảng XML5; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm i",
)
def without_notes(case: Case) -> pd.DataFrame:
    """MA_LOAI_KCB 02, 03, 04, 06, 08, 09 without any XML5 row. 05 stands with a question mark in the sources: no."""
    kind = case.visits["MA_LOAI_KCB"]
    where = kind.isin(_kinds("progress_notes")) & _lacks(case, "XML5")
    return claim_findings("STR-017", case.visits, where, table="XML5", field="MA_LOAI_KCB", observed=kind)


@rule(
    "STR-018",
    stage=STRUCTURE,
    demands=(
        "XML7",
        "XML8",
    ),
    level="claim",
    severity=WARN,
    title_vi="Người bệnh nội trú có giấy ra viện và tóm tắt hồ sơ bệnh án (XML7, XML8)",
    title_en="An inpatient has a discharge paper and a summary (XML7, XML8)",
    message_vi="Người bệnh nội trú (loại {observed}) nhưng hồ sơ không có bảng {table}.",
    message_en="An inpatient visit (kind {observed}) without table {table}.",
    basis=f"{FORMAT}, bảng XML7, XML8",
)
def without_discharge_papers(case: Case) -> pd.DataFrame:
    """MA_LOAI_KCB 03, 04, 09, not absconded (MA_LOAI_RV 3), without XML7 or without XML8: one finding for each."""
    kind = case.visits["MA_LOAI_KCB"]
    due = kind.isin(_kinds("discharge_papers")) & ~case.visits["MA_LOAI_RV"].isin(_kinds("absconded"))
    return concat(
        claim_findings(
            "STR-018", case.visits, due & _lacks(case, table), table=table, field="MA_LOAI_KCB", observed=kind
        )
        for table in ("XML7", "XML8")
    )


@rule(
    "STR-019",
    stage=STRUCTURE,
    demands=("XML13",),
    level="claim",
    severity=WARN,
    title_vi="Người bệnh chuyển tuyến có nơi đến và giấy chuyển tuyến (XML13)",
    title_en="A transferred patient has a destination and a referral paper (XML13)",
    message_vi="Người bệnh chuyển tuyến nhưng thiếu {field} hoặc bảng giấy chuyển tuyến XML13.",
    message_en="The patient was transferred, yet {field} or the referral paper XML13 is missing.",
    basis=f"{FORMAT}, bảng XML1 trường 32, 41; bảng XML13",
)
def transfer_without_paper(case: Case) -> pd.DataFrame:
    """MA_LOAI_RV 2 or 5, and MA_NOI_DEN is empty or there is no XML13: one finding for each that is missing."""
    visits = case.visits
    moved = visits["MA_LOAI_RV"].isin(_kinds("transferred"))
    return concat(
        [
            claim_findings("STR-019", visits, moved & (visits["MA_NOI_DEN"] == ""), field="MA_NOI_DEN"),
            claim_findings("STR-019", visits, moved & _lacks(case, "XML13"), table="XML13", field="MA_NOI_DEN"),
        ]
    )


@rule(
    "STR-035",
    stage=STRUCTURE,
    demands=("XML14",),
    level="claim",
    severity=WARN,
    title_vi="Ngày hẹn tái khám khớp giấy hẹn (XML14)",
    title_en="The day of return stands on an appointment paper (XML14)",
    message_vi="Ngày hẹn tái khám {observed} không phải ngày có thật hoặc không có trong giấy hẹn XML14.",
    message_en="The day of return {observed} does not exist or stands on no appointment paper XML14.",
    basis=f"{FORMAT}, bảng XML1 NGAY_TAI_KHAM, bảng XML14 NGAY_HEN_KL",
)
def return_without_paper(case: Case) -> pd.DataFrame:
    """An item of NGAY_TAI_KHAM that is no yyyymmdd, or no XML14 row of the claim has it as its NGAY_HEN_KL.

    NGAY_HEN_KL has a time in Decision 4750: its day counts. Decision 130 has no XML14: only the day is judged there.
    """
    visits = case.visits
    if (visits["NGAY_TAI_KHAM"] == "").all():
        return findings()
    days = visits.loc[visits["NGAY_TAI_KHAM"] != "", "NGAY_TAI_KHAM"].str.split(";").explode().str.strip()
    days = days[days != ""].astype("str")
    real = pd.to_datetime(days.where(days.str.fullmatch("[0-9]{8}")), format="%Y%m%d", errors="coerce").notna()
    paper = texts(case.tables, "XML14", ("NGAY_HEN_KL",), visits.index)
    named = pd.MultiIndex.from_arrays([paper["claim"], paper["NGAY_HEN_KL"].str[:8]])
    on_paper = pd.MultiIndex.from_arrays([days.index, days]).isin(named)
    has_table = (
        visits["decision"]
        .reindex(days.index)
        .isin([decision for decision in dictionary.DECISIONS if "XML14" in dictionary.tables(decision)])
    )
    wrong = days[~(real.to_numpy() & (on_paper | ~has_table))]
    told = wrong.groupby(level=0).agg("; ".join).reindex(visits.index)
    return claim_findings("STR-035", visits, told.notna(), field="NGAY_TAI_KHAM", observed=told.astype("str"))


@rule(
    "STR-036",
    stage=STRUCTURE,
    demands=("XML9",),
    level="claim",
    severity=WARN,
    title_vi="Có cân nặng con thì có giấy chứng sinh (XML9)",
    title_en="A newborn's weight goes with a birth certificate (XML9)",
    message_vi="Có {field} nhưng hồ sơ không có giấy chứng sinh XML9.",
    message_en="{field} is given, yet there is no birth certificate XML9.",
    basis=f"{FORMAT}, bảng XML1 CAN_NANG_CON, bảng XML9",
)
def birth_without_certificate(case: Case) -> pd.DataFrame:
    """CAN_NANG_CON (a `;` list: twins) is given and there is no XML9 row."""
    weight = case.visits["CAN_NANG_CON"]
    where = (weight != "") & _lacks(case, "XML9")
    return claim_findings("STR-036", case.visits, where, field="CAN_NANG_CON", observed=weight)
