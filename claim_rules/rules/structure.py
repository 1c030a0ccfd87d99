"""STR: can the file and the claim be read as the format prescribes? A claim refused here goes no further."""

from __future__ import annotations

import pandas as pd

from claim_rules import law
from claim_rules.catalogue import STRUCTURE, declare, rule
from claim_rules.dictionary import DECISIONS
from claim_rules.engine import Case, claim_findings
from claim_rules.findings import REJECT_CLAIM, REJECT_LINE, concat
from claim_rules.reference import missing, rows_on

FORMAT = "Quyết định 130/QĐ-BYT, 4750/QĐ-BYT, 3176/QĐ-BYT"
FACILITIES = {"facilities": ("MA_CSKCB", "TU_NGAY", "DEN_NGAY")}
ENVELOPE = f"{FORMAT}; công văn 3190/BHXH-CNTT, 1245/BHXH-CNTT"
_DAY = "([0-9]{4})([0-9]{2})([0-9]{2})"

declare(
    "STR-001",
    stage=STRUCTURE,
    level="delivery",
    severity=REJECT_CLAIM,
    found_by="extract",
    title_vi="Cấu trúc tệp GIAMDINHHS",
    title_en="Structure of the GIAMDINHHS file",
    message_vi="Tệp không đúng cấu trúc GIAMDINHHS.",
    message_en="The file does not have the GIAMDINHHS structure.",
    basis=ENVELOPE,
)
declare(
    "STR-002",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    found_by="extract",
    title_vi="Nội dung bảng đọc được (base64, XML)",
    title_en="The content of a table can be read (base64, XML)",
    message_vi="Không đọc được nội dung bảng {table} (NOIDUNGFILE).",
    message_en="The content of table {table} (NOIDUNGFILE) cannot be read.",
    basis=ENVELOPE,
)
declare(
    "STR-003",
    stage=STRUCTURE,
    level="delivery",
    severity=REJECT_CLAIM,
    found_by="extract",
    title_vi="Số lượng hồ sơ khai báo khớp số hồ sơ trong tệp",
    title_en="The declared number of claims equals the number in the file",
    message_vi="SOLUONGHOSO khai {expected}, trong tệp có {observed} hồ sơ.",
    message_en="SOLUONGHOSO declares {expected}, the file holds {observed} claims.",
    basis=f"{ENVELOPE}; Thông tư 48/2017/TT-BYT Điều 4",
)
declare(
    "STR-004",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    found_by="extract",
    title_vi="Các bảng trong một hồ sơ",
    title_en="The tables inside one claim",
    message_vi="Các bảng (LOAIHOSO) trong hồ sơ không hợp lệ.",
    message_en="The tables (LOAIHOSO) of the claim are not valid.",
    basis=ENVELOPE,
)
declare(
    "STR-005",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    found_by="validate",
    title_vi="MA_LK thống nhất giữa các bảng",
    title_en="MA_LK is the same in all tables",
    message_vi="{field} của dòng là {observed}, khác MA_LK của XML1 ({expected}).",
    message_en="{field} of the row is {observed}, not the MA_LK of XML1 ({expected}).",
    basis=FORMAT,
)
declare(
    "STR-006",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    found_by="validate",
    title_vi="Trường bắt buộc của XML1",
    title_en="Mandatory fields of XML1",
    message_vi="Thiếu {field} là trường bắt buộc của XML1.",
    message_en="{field}, mandatory in XML1, is empty.",
    basis=f"{FORMAT}; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm k",
)
declare(
    "STR-009",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    found_by="validate",
    title_vi="Thông tin điều trị nội trú của XML1",
    title_en="The inpatient block of XML1",
    message_vi="Thiếu {field} của đợt điều trị nội trú.",
    message_en="{field} of an inpatient stay is empty.",
    basis=f"{FORMAT}, bảng XML1 trường 22, 35, 39",
)
declare(
    "STR-010",
    stage=STRUCTURE,
    level="line",
    severity=REJECT_LINE,
    found_by="validate",
    title_vi="Trường bắt buộc của XML2",
    title_en="Mandatory fields of XML2",
    message_vi="Thiếu {field} là trường bắt buộc của XML2.",
    message_en="{field}, mandatory in XML2, is empty.",
    basis=f"{FORMAT}, bảng XML2; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm k",
)
declare(
    "STR-011",
    stage=STRUCTURE,
    level="line",
    severity=REJECT_LINE,
    found_by="validate",
    title_vi="Trường bắt buộc của XML3",
    title_en="Mandatory fields of XML3",
    message_vi="Thiếu {field} là trường bắt buộc của XML3.",
    message_en="{field}, mandatory in XML3, is empty.",
    basis=f"{FORMAT}, bảng XML3; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm k",
)
declare(
    "STR-012",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    found_by="validate",
    title_vi="Ngày giờ đúng định dạng và có thật",
    title_en="Dates have the right form and exist",
    message_vi="{field} = {observed} không phải ngày giờ hợp lệ; viết theo dạng {expected}.",
    message_en="{field} = {observed} is not a valid date; write it in the form {expected}.",
    basis=FORMAT,
)
declare(
    "STR-013",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    found_by="validate",
    title_vi="Số đúng định dạng và số chữ số thập phân",
    title_en="Numbers have the right form and number of decimals",
    message_vi="{field} = {observed} không phải số hợp lệ; viết theo dạng {expected}.",
    message_en="{field} = {observed} is not a valid number; write it in the form {expected}.",
    basis=FORMAT,
)
declare(
    "STR-014",
    stage=STRUCTURE,
    level="line",
    severity=REJECT_LINE,
    found_by="validate",
    title_vi="Mức hưởng trong khoảng 0–100, đúng độ dài",
    title_en="The benefit rate is from 0 to 100 and not too long",
    message_vi="{field} = {observed} ngoài khoảng hoặc quá dài; cho phép {expected}.",
    message_en="{field} = {observed} is out of range or too long; allowed: {expected}.",
    basis=f"{FORMAT}; Quyết định 1931/QĐ-BYT",
)


@rule(
    "STR-015",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    decisions=DECISIONS,
    wants=FACILITIES,
    title_vi="Mã cơ sở KCB của hồ sơ khớp cơ sở gửi, còn hiệu lực ngày ra viện",
    title_en="The facility of the claim is the facility that sends, and is in force on the day of discharge",
    message_vi="{field} = {observed}: hồ sơ không thanh toán được theo mã cơ sở này.",
    message_en="{field} = {observed}: the claim cannot be settled for this facility.",
    basis=f"{ENVELOPE}; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm e",
)
def facility_in_force(case: Case) -> pd.DataFrame:
    """facilities.csv has rows of MA_CSKCB and none is valid on NGAY_RA.

    The reader compares XML1.MA_CSKCB with the envelope's facility; the detail tells which of the two it is. A facility
    that the register does not have at all is told to the operator and not refused: a register that was never loaded for
    it says nothing of the claim.
    """
    visits = case.visits
    where = pd.Series(False, index=visits.index)
    if not missing(case.reference, FACILITIES):
        register = case.reference["facilities"]
        known = visits["MA_CSKCB"].isin(register["MA_CSKCB"].fillna("").str.strip())
        asked = visits.loc[known, ["MA_CSKCB"]].assign(day=visits["day_out"])
        valid = rows_on(asked, register, {"MA_CSKCB": "MA_CSKCB"})["index"]
        where = known & ~visits.index.isin(valid) & visits["day_out"].str.fullmatch("[0-9]{8}")
    day = visits["day_out"]
    return claim_findings(
        "STR-015",
        visits,
        where,
        field="MA_CSKCB",
        observed=visits["MA_CSKCB"],
        detail_vi="theo danh mục, cơ sở không có hiệu lực vào ngày ra viện "
        + day.str.replace(_DAY, r"\3/\2/\1", regex=True),
        detail_en="by the register the facility is not in force on the day of discharge, "
        + day.str.replace(_DAY, r"\1-\2-\3", regex=True),
    )


@rule(
    "STR-007",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Thông tin thẻ BHYT đầy đủ",
    title_en="The card block is complete",
    message_vi="Thiếu {field} trong khi hồ sơ đề nghị quỹ BHYT thanh toán.",
    message_en="{field} is empty although the claim asks the fund to pay.",
    basis=f"{FORMAT}, bảng XML1 trường 16-19",
)
def card_block(case: Case) -> pd.DataFrame:
    """A paid claim names its card; a card comes with registration facility and validity."""
    visits = case.visits
    card = visits["MA_THE_BHYT"]
    asks = (visits["T_BHTT#"] > 0).fillna(False).astype("bool")
    on_paper = tuple(law.load("card_rates")["paper_validity_groups"]["codes"])
    paper_only = card.str.split(";").map(lambda parts: all(part.strip().startswith(on_paper) for part in parts))
    empty = {
        "MA_THE_BHYT": (card == "") & asks,
        "MA_DKBD": (card != "") & (visits["MA_DKBD"] == ""),
        "GT_THE_TU": (card != "") & (visits["GT_THE_TU"] == ""),
        "GT_THE_DEN": (card != "") & (visits["GT_THE_DEN"] == "") & ~paper_only.astype("bool"),
    }
    return concat(claim_findings("STR-007", visits, where, field=name) for name, where in empty.items())


@rule(
    "STR-008",
    stage=STRUCTURE,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Số phần tử của danh sách thẻ bằng nhau",
    title_en="The lists of the card block have equal length",
    message_vi="{field} có {observed} phần tử, MA_THE_BHYT có {expected}.",
    message_en="{field} has {observed} items, MA_THE_BHYT has {expected}.",
    basis=f"{FORMAT}, bảng XML1 trường 16-19",
)
def card_lists(case: Case) -> pd.DataFrame:
    """MA_THE_BHYT, MA_DKBD, GT_THE_TU, GT_THE_DEN are parallel `;` lists (empty ones are STR-007)."""
    visits = case.visits
    count = visits["MA_THE_BHYT"].str.count(";") + 1
    out = []
    for name in ("MA_DKBD", "GT_THE_TU", "GT_THE_DEN"):
        mine = visits[name].str.count(";") + 1
        where = (visits["MA_THE_BHYT"] != "") & (visits[name] != "") & (mine != count)
        out.append(
            claim_findings(
                "STR-008", visits, where, field=name, observed=mine.astype("str"), expected=count.astype("str")
            )
        )
    return concat(out)
