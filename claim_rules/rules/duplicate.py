"""DUP, within a delivery and a claim: is the same thing claimed twice?"""

from __future__ import annotations

import pandas as pd

from claim_rules import law, money
from claim_rules.catalogue import CLINICAL, CROSS, rule
from claim_rules.dictionary import DECISIONS
from claim_rules.engine import Case, claim_findings, line_findings
from claim_rules.episodes import repeated
from claim_rules.findings import REJECT_CLAIM, REJECT_LINE, WARN
from claim_rules.reference import missing, rows_on

REPEATABLE = {"services": ("MA_TUONG_DUONG", "MA_CSKCB", "SO_LAN_NGAY_TOI_DA", "TU_NGAY", "DEN_NGAY")}


@rule(
    "DUP-001",
    stage=CROSS,
    level="cross-claim",
    severity=REJECT_CLAIM,
    title_vi="Hồ sơ không trùng trong cùng lô gửi",
    title_en="A claim stands only once in a delivery",
    message_vi="MA_LK {observed} đã có ở hồ sơ trước trong cùng tệp; chỉ hồ sơ đầu tiên được xét.",
    message_en="MA_LK {observed} already stands earlier in this file; only the first is appraised for payment.",
    basis="Quyết định 130/QĐ-BYT (khóa MA_LK); Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm h",
    decisions=DECISIONS,
)
def repeated_claim(case: Case) -> pd.DataFrame:
    """A second HOSO with the same MA_CSKCB and MA_LK; a later delivery with other content is a new version instead."""
    return claim_findings("DUP-001", case.visits, repeated(case.visits), field="MA_LK", observed=case.visits["MA_LK"])


def _of_table(case: Case, table: str, names: tuple[str, ...]) -> pd.DataFrame:
    """Lines of one table that the fund is asked to pay, with more of their elements as text; index as case.lines."""
    lines = case.lines[(case.lines["table"] == table) & (case.lines["T_BHTT"] > 0)]
    if lines.empty or table not in case.tables:
        return lines.assign(**dict.fromkeys(names, ""))
    sent = case.tables[table]
    more = sent[["claim", "row", *names]].rename(columns={name: f"{name} sent" for name in names})
    joined = lines[["claim", "row"]].merge(more, on=["claim", "row"], how="left")
    return lines.assign(**{name: joined[f"{name} sent"].fillna("").str.strip().to_numpy() for name in names})


def _again(lines: pd.DataFrame, key: list[str], needed: list[str]) -> pd.Series:
    """Lines that an earlier line of the same claim equals in `key`, none of `needed` blank."""
    whole = (lines[needed] != "").all(axis=1)
    return whole & lines.where(whole).duplicated(["claim", *key])


@rule(
    "DUP-006",
    stage=CLINICAL,
    level="claim",
    severity=REJECT_LINE,
    title_vi="Dòng dịch vụ, vật tư không trùng nhau",
    title_en="No service or supply line stands twice",
    message_vi="Dòng trùng với dòng trước: cùng mã {observed}, giờ y lệnh, người thực hiện và máy.",
    message_en="The line equals an earlier one: same code {observed}, order time, performer and machine.",
    basis="Quyết định 4210/QĐ-BYT, Quyết định 130/QĐ-BYT Bảng 3; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm k",
)
def identical_service(case: Case) -> pd.DataFrame:
    """Two XML3 lines with the same code, minute of NGAY_YL, NGUOI_THUC_HIEN and MA_MAY, that both ask for money.

    Supplies of different tenders or prices are different things, and bed lines are counted by other rules. A service
    that the facility's list allows more than once a day (SO_LAN_NGAY_TOI_DA) may be done on both sides at once.
    """
    names = ("NGUOI_THUC_HIEN", "MA_MAY", "TT_THAU", "MA_GIUONG")
    lines = _of_table(case, "XML3", names)
    lines = lines[lines["MA_GIUONG"] == ""]
    code = lines["MA_VAT_TU"].where(lines["MA_VAT_TU"] != "", lines["MA_DICH_VU"])
    kind = lines["MA_VAT_TU"].ne("").astype("str")
    lines = lines.assign(code=code, kind=kind, price=lines["DON_GIA_BH"].where(lines["MA_VAT_TU"] != "", 0))
    where = _again(
        lines, ["code", "kind", "NGAY_YL", "NGUOI_THUC_HIEN", "MA_MAY", "TT_THAU", "price"], ["code", "NGAY_YL"]
    )
    where &= ~(_times_a_day(case, lines) > 1).fillna(False).astype("bool")
    found = where.reindex(case.lines.index, fill_value=False)
    name = pd.Series("MA_DICH_VU", index=lines.index).where(lines["MA_VAT_TU"] == "", "MA_VAT_TU")
    return line_findings("DUP-006", case.lines, found, field=name, observed=code)


@rule(
    "DUP-007",
    stage=CLINICAL,
    level="claim",
    severity=REJECT_LINE,
    title_vi="Dòng thuốc không trùng nhau",
    title_en="No drug line stands twice",
    message_vi="Dòng trùng với dòng trước: cùng thuốc {observed}, số đăng ký, giờ y lệnh, bác sĩ và số lượng.",
    message_en="The line equals an earlier one: same drug {observed}, registration, order time, doctor and quantity.",
    basis="Quyết định 130/QĐ-BYT Bảng 2; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm k",
)
def identical_drug(case: Case) -> pd.DataFrame:
    """Two XML2 lines with the same MA_THUOC, SO_DANG_KY, minute of NGAY_YL, MA_BAC_SI and quantity, both paid for."""
    lines = _of_table(case, "XML2", ("SO_DANG_KY", "MA_BAC_SI"))
    key = ["MA_THUOC", "SO_DANG_KY", "NGAY_YL", "MA_BAC_SI", "SO_LUONG"]
    where = _again(lines, key, ["MA_THUOC", "NGAY_YL"]).reindex(case.lines.index, fill_value=False)
    return line_findings("DUP-007", case.lines, where, field="MA_THUOC", observed=case.lines["MA_THUOC"])


@rule(
    "DUP-008",
    stage=CLINICAL,
    level="claim",
    severity=WARN,
    title_vi="Xét nghiệm, chẩn đoán hình ảnh không lặp quá số lần trong ngày",
    title_en="No test is repeated more often than a day allows",
    message_vi="Dịch vụ {observed} được thực hiện nhiều hơn {expected} lần trong ngày.",
    message_en="Service {observed} is done more than {expected} times in a day.",
    basis="Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm i; danh mục dịch vụ của cơ sở (SO_LAN_NGAY_TOI_DA)",
    needs=REPEATABLE,
)
def repeated_test(case: Case) -> pd.DataFrame:
    """Lines of laboratory, imaging and functional tests beyond the facility's number a day (by quantity), once for
    the line that goes beyond. How soon a test may be repeated stands in no list that facilities send."""
    lines = case.lines[case.lines["MA_NHOM"].isin(law.load("repeats")["test_groups"]) & (case.lines["table"] == "XML3")]
    limit = _times_a_day(case, lines)
    done = lines.groupby(["claim", "MA_DICH_VU", "day"])["SO_LUONG"].cumsum()
    most = limit.fillna(0).astype("int64") * 10**money.PRICE_DECIMALS
    over = limit.notna() & (done > most) & (done - lines["SO_LUONG"] <= most)
    where = over.reindex(case.lines.index, fill_value=False)
    return line_findings(
        "DUP-008",
        case.lines,
        where,
        field="MA_DICH_VU",
        observed=case.lines["MA_DICH_VU"],
        expected=lambda hit: limit.loc[hit].astype("int64").astype("str"),
    )


def _times_a_day(case: Case, lines: pd.DataFrame) -> pd.Series:
    """The most that the facility's list allows a day (SO_LAN_NGAY_TOI_DA) for each line; Int64, NA where it is open."""
    unknown = pd.Series(pd.NA, index=lines.index, dtype="Int64")
    listed = case.reference.get("services")
    if missing(case.reference, REPEATABLE) or listed is None or lines.empty:
        return unknown
    wanted = lines[["MA_DICH_VU", "day"]].assign(facility=lines["claim"].map(case.visits["MA_CSKCB"]).astype("str"))
    rows = rows_on(wanted, listed, {"MA_DICH_VU": "MA_TUONG_DUONG", "facility": "MA_CSKCB"})
    most = pd.to_numeric(rows["SO_LAN_NGAY_TOI_DA"], errors="coerce").groupby(rows["index"]).max()
    return most.where(most > 0).round().reindex(lines.index).astype("Int64")
