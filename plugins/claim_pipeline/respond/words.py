"""The words of the report's own terms, in Vietnamese as hospital and insurance staff use them and in English."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import NamedTuple

from claim_rules import dictionary


class Words(NamedTuple):
    """The same in both languages."""

    vi: str
    en: str


SEVERITIES = {
    "reject_claim": Words("Từ chối cả hồ sơ", "Whole claim refused"),
    "reject_line": Words("Từ chối dòng chi phí", "Line refused"),
    "adjust_amount": Words("Điều chỉnh số tiền", "Amount adjusted"),
    "warn": Words("Cảnh báo", "Warning"),
}
"""In the order in which findings are shown."""

OUTCOMES = {
    "accepted": Words("Chấp nhận", "Accepted"),
    "adjusted": Words("Điều chỉnh", "Adjusted"),
    "rejected": Words("Từ chối", "Rejected"),
    "referred": Words("Chờ quyết định", "Referred"),
}

MONEY = {
    "requested": Words("Số tiền đề nghị", "Requested"),
    "approved": Words("Số tiền chấp nhận", "Approved"),
    "refused": Words("Số tiền từ chối", "Refused"),
}

STATUSES = {
    "appraised": Words("Đã giám định", "Appraised"),
    "quarantined": Words("Không tiếp nhận", "Not taken"),
}

FORMATS = {
    "xml-3176": Words("XML theo Quyết định 3176/QĐ-BYT", "XML of Decision 3176"),
    "xml-4750": Words("XML theo Quyết định 4750/QĐ-BYT", "XML of Decision 4750"),
    "xml-130": Words("XML theo Quyết định 130/QĐ-BYT", "XML of Decision 130"),
    "xml-4210": Words("XML theo Quyết định 4210/QĐ-BYT", "XML of Decision 4210"),
    "emr-csv": Words("Dữ liệu bệnh án điện tử (CSV)", "Record-system export (CSV)"),
    "emr-xlsx": Words("Dữ liệu bệnh án điện tử (Excel)", "Record-system export (Excel)"),
    "emr-json": Words("Dữ liệu bệnh án điện tử (JSON)", "Record-system export (JSON)"),
    "fhir-r4": Words("FHIR R4", "FHIR R4"),
}

PAPERLESS_REASONS = {
    "unsigned": Words("chưa ký số", "not signed"),
    "signature-invalid": Words("chữ ký số không hợp lệ", "signature not valid"),
    "signature-untrusted": Words("chữ ký số chưa được xác thực", "signature not yet trusted"),
    "certificate-not-registered": Words("chứng thư số chưa đăng ký", "certificate not registered"),
    "mandatory-table-missing": Words("thiếu bảng bắt buộc", "a mandatory table is missing"),
    "content-differs": Words("nội dung khác bản đã ký", "content differs from what was signed"),
    "not-accepted": Words("hồ sơ chưa được chấp nhận", "claim not accepted"),
}

CAUSES = {
    "reappraisal": Words("theo bộ quy tắc hoặc danh mục mới", "by a new rule book or new reference data"),
    "history": Words(
        "vì hồ sơ khác của cùng người bệnh đã đến hoặc thay đổi", "another claim of the same person came or changed"
    ),
}
"""Why a delivery was appraised again."""

PROBLEMS = {
    "not-compared": Words("chưa so sánh được", "not compared"),
    "claims-differ": Words("đọc lại được số hồ sơ khác", "read again, it has another number of claims"),
}

NEEDS = {
    "trust anchors": Words("chứng thư gốc tin cậy", "trust anchors"),
    "history": Words("các hồ sơ đã nhận trước đây", "claims received before"),
    "statistics of the facility-month": Words(
        "thống kê cả tháng của cơ sở (không xét theo từng lô gửi)", "statistics of a whole month, not of one delivery"
    ),
}
"""What a rule needs beside reference files, which go by their names."""


def known(words: dict[str, Words], code: str | None) -> Words:
    """Words of a code; the code itself where we have none (a newer report)."""
    return words.get(code or "") or Words(code or "—", code or "—")


def referral_reason(code: str) -> Words:
    """Why a person must look at a claim; a rule that could not run is named by its id."""
    from claim_rules.benefit import REFERRAL_REASONS

    if code in REFERRAL_REASONS:
        return Words(*REFERRAL_REASONS[code])
    kind, _, rule = code.partition(":")
    if kind == "rule-error" and rule:
        return Words(f"Quy tắc {rule} chưa chạy được trên hồ sơ này", f"rule {rule} could not run on this claim")
    return Words(code, code)


@cache
def rule_title(rule: str) -> Words:
    """What the rule book calls a rule; its id for one that this rule book lacks."""
    from claim_rules import catalogue

    entry = catalogue.book().get(rule)
    return Words(entry.title_vi, entry.title_en) if entry else Words(rule, rule)


@cache
def how_to_fix(rule: str) -> Words | None:
    """What a hospital does about what the rule found."""
    from claim_rules.fixes import fix

    words = fix(rule)
    return Words(*words) if words else None


@cache
def field_label(table: str | None, name: str | None) -> Words:
    """What hospital staff call an element."""
    if not name:
        return Words("", "")
    return Words(dictionary.label_vi(name, table or ""), dictionary.label_en(name, table or ""))


def money_vi(amount: str | Decimal | None) -> str:
    """An amount as Vietnamese readers write it: 1.234.567 or 1.234.567,50; a missing one is a dash."""
    if amount is None:
        return "—"
    text = f"{Decimal(amount):,.2f}".removesuffix(".00")
    return text.translate(str.maketrans(",.", ".,"))
