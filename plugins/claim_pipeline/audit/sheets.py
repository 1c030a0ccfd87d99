"""The auditor's report as a workbook that holds every finding, for people who sort and filter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from claim_pipeline.audit.page import KINDS, MOVES, reference
from claim_pipeline.respond import words
from claim_pipeline.respond.sheets import Book
from claim_pipeline.respond.words import known

_DELIVERIES = (
    ("Lô\nDelivery", 8), ("Tệp\nFile", 34), ("SHA-256 của tệp\nof the file", 66), ("Nhận lúc\nReceived", 26),
    ("Trạng thái\nStatus", 14), ("Lý do\nReason", 18), ("Định dạng\nFormat", 12), ("Hồ sơ khai báo\nDeclared", 10),
    ("Hồ sơ đọc được\nRead", 10), ("Hồ sơ trong báo cáo\nIn this report", 10), ("Người kiểm tra\nChecked by", 24),
    ("Kiểm tra lúc\nChecked at", 26), ("Bộ máy kiểm tra\nEngine", 24), ("Kỳ vọng\nExpectations", 11),
    ("Không đạt\nNot met", 10), ("Giá trị đã xem\nValues", 12), ("Giá trị sai\nWrong", 10),
    ("SHA-256 của kết quả kiểm tra\nof validation.json", 66), ("SHA-256 của XML hồ sơ\nof submission.xml", 66),
    ("Lần giám định\nAppraisal", 9), ("Người giám định\nAppraised by", 24), ("Giám định lúc\nAppraised at", 26),
    ("Bộ quy tắc\nRule book", 16), ("SHA-256 của báo cáo\nof report.json", 66),
)  # fmt: skip
_SUITES = (
    ("Bộ kiểm tra\nSuite", 24), ("Bảng\nTable", 9), ("Quyết định\nDecision", 11), ("Áp dụng từ\nValid from", 12),
    ("Phiên bản\nVersion", 16), ("Lô\nDeliveries", 9), ("Số dòng\nRows", 11), ("Kỳ vọng\nExpectations", 12),
    ("Đã kiểm tra\nChecked", 11), ("Không đạt\nNot met", 10), ("Giá trị đã xem\nValues", 13),
    ("Giá trị sai\nWrong", 11), ("Giây\nSeconds", 10),
)  # fmt: skip
_NOT_MET = (
    ("Bảng\nTable", 9), ("Trường\nField", 22), ("Tên trường\nField name", 32), ("Kỳ vọng\nExpectation", 26),
    ("Phải như thế nào", 50), ("What is expected", 50), ("Bộ kiểm tra\nSuite", 22), ("Quy tắc\nRule", 11),
    ("Giá trị đã xem\nValues", 13), ("Giá trị sai\nWrong", 11), ("Loại sai\nKinds", 34),
    ("Lô có lỗi\nDeliveries failing", 10), ("Lô\nDeliveries", 10),
)  # fmt: skip
_CAUSES = (
    ("Hạng\nRank", 7), ("Quy tắc\nRule", 11), ("Nội dung\nWhat", 46), ("What", 46), ("Xử lý\nEffect", 20),
    ("Bảng\nTable", 8), ("Trường\nField", 20), ("Số lỗi\nFindings", 10), ("Số hồ sơ\nClaims", 10),
    ("Số lô\nDeliveries", 9), ("Số tiền liên quan\nAt stake", 18), ("Căn cứ pháp lý\nLegal basis", 60),
    ("Cách sửa", 60), ("How to fix", 60),
)  # fmt: skip
_FINDINGS = (
    ("Hạng\nRank", 7), ("Lô\nDelivery", 8), ("STT hồ sơ\nClaim no.", 9), ("Mã liên kết\nMA_LK", 24),
    ("Quy tắc\nRule", 11), ("Xử lý\nEffect", 20), ("Bảng\nTable", 8), ("Dòng\nLine", 7), ("Trường\nField", 20),
    ("Giá trị đã gửi\nSent", 24), ("Giá trị cần có\nExpected", 24), ("Số tiền từ chối\nAmount refused", 17),
    ("Giải thích\nMessage (vi)", 60), ("Message (en)", 60), ("Căn cứ pháp lý\nLegal basis", 48),
)  # fmt: skip
_TREND = (
    ("Tháng\nMonth", 9), ("Lô\nDeliveries", 10), ("Hồ sơ\nClaims", 10), ("Kỳ vọng đã kiểm tra\nChecked", 14),
    ("Không đạt\nNot met", 12), ("Giá trị đã xem\nValues", 14), ("Giá trị sai\nWrong", 12),
)  # fmt: skip
_WARNINGS = (
    ("Quy tắc\nRule", 11), ("Cảnh báo", 40), ("Warning", 40), ("Mức\nGrade", 10), ("Giá trị\nValue", 14),
    ("So với\nAgainst", 14), ("Giải thích\nMessage (vi)", 60), ("Message (en)", 60),
    ("Căn cứ pháp lý\nLegal basis", 48),
)  # fmt: skip
_MOVES = (
    ("Lô\nDelivery", 8), ("Lúc\nAt", 26), ("Trạng thái\nStatus", 14), ("Ai\nWho", 40), ("SHA-256 đầu vào\nInput", 66),
    ("SHA-256 đầu ra\nOutput", 66),
)  # fmt: skip


def render(report: dict[str, Any], findings: Iterable[dict[str, Any]], path: Path) -> None:
    """Writes the workbook: summary, deliveries with their hashes, suites, expectations not met, causes, every finding,
    trend, warnings of the month, moves."""
    out = Book(path)
    made = datetime.fromisoformat(report["made_at"]).replace(tzinfo=None)
    out.book.set_properties({"title": "Báo cáo kiểm toán", "author": "Giamdinh", "created": made})
    _summary(out, report)
    out.table("Nguyên nhân", _CAUSES, map(_cause, report["causes"]), wrap=True)
    out.table("Lỗi", _FINDINGS, map(_finding, findings))
    out.table("Kỳ vọng không đạt", _NOT_MET, map(_expectation, report["not_met"]), wrap=True)
    out.table("Bộ kiểm tra", _SUITES, map(_suite, report["suites"]))
    trend = ("month", "deliveries", "claims", "checked", "failing", "evaluated", "unexpected")
    out.table("Xu hướng", _TREND, (tuple(one[name] for name in trend) for one in report["trend"]))
    shown = ("rule", "title_vi", "title_en", "grade", "value", "baseline", "message_vi", "message_en", "basis")
    out.table(
        "Cảnh báo thống kê", _WARNINGS, (tuple(one[name] for name in shown) for one in report["warnings"]), wrap=True
    )
    out.table("Lô gửi", _DELIVERIES, map(_delivery, report["deliveries"]))
    out.table("Diễn biến", _MOVES, _moves(report))
    out.table(
        "Danh mục đã dùng",
        (("Danh mục\nReference table", 24), ("SHA-256", 66), ("Lô\nDeliveries", 60)),
        ((name, sha256, ", ".join(map(str, deliveries))) for name, sha256, deliveries in reference(report)),
    )
    out.book.close()


def _cause(one: dict[str, Any]) -> tuple[Any, ...]:
    title, fix = words.rule_title(one["rule"]), words.how_to_fix(one["rule"])
    return (
        one["number"], one["rule"], title.vi, title.en, known(words.SEVERITIES, one["severity"]).vi, one["table"],
        one["field"], one["findings"], one["claims"], one["deliveries"], Decimal(one["amount"]),
        "; ".join(one["bases"]), fix and fix.vi, fix and fix.en,
    )  # fmt: skip


def _finding(one: dict[str, Any]) -> tuple[Any, ...]:
    amount = one["amount_refused"]
    return (
        one["cause"], one["delivery"], one["claim"], one["MA_LK"], one["rule"],
        known(words.SEVERITIES, one["severity"]).vi, one["table"], one["line"], one["field"], one["observed"],
        one["expected"], None if amount is None else Decimal(amount), one["message_vi"], one["message_en"],
        one["basis"],
    )  # fmt: skip


def _expectation(one: dict[str, Any]) -> tuple[Any, ...]:
    kinds = ", ".join(f"{known(KINDS, kind).vi}: {count}" for kind, count in one["by_kind"].items())
    return (
        one["table"], one["field"], words.field_label(one["table"], one["field"]).vi, one["name"], one["text_vi"],
        one["text_en"], one["suite"], one["rule"], one["evaluated"], one["unexpected"], kinds,
        one["failing_deliveries"], one["deliveries"],
    )  # fmt: skip


def _suite(one: dict[str, Any]) -> tuple[Any, ...]:
    return (
        one["name"], one["table"], one["decision"], one["valid_from"], one["version"], one["deliveries"], one["rows"],
        one["expectations"], one["checked"], one["failing"], one["evaluated"], one["unexpected"],
        Decimal(str(one["seconds"])),
    )  # fmt: skip


def _delivery(one: dict[str, Any]) -> tuple[Any, ...]:
    checked, appraised = one["validation"] or {}, one["appraisal"] or {}
    return (
        one["delivery"], one["file"], one["sha256"], one["received_at"], known(MOVES, one["status"]).vi,
        (one["reason"] or {}).get("code"), one["format"], one["declared_claims"], one["read_claims"], one["claims"],
        *(checked.get(name) for name in ("ran_by", "ran_at", "engine", "expectations", "failing", "evaluated",
                                         "unexpected", "record_sha256")),
        one["submission_sha256"],
        *(appraised.get(name) for name in ("number", "actor", "at", "rule_book", "report_sha256")),
    )  # fmt: skip


def _moves(report: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for one in report["deliveries"]:
        for move in one["moves"]:
            status = known(MOVES, move["status"]).vi
            yield (one["delivery"], move["at"], status, move["actor"], move["inputs"], move["outputs"])


def _summary(out: Book, report: dict[str, Any]) -> None:
    sheet = out.book.add_worksheet("Tổng hợp")
    sheet.set_column(0, 0, 52)
    sheet.set_column(1, 1, 40)
    sheet.write_string(0, 0, "Báo cáo kiểm toán / Audit report", out.title)
    row = 2

    def line(title: str, value: Any = None) -> None:
        nonlocal row
        sheet.write_string(row, 0, title, out.bold)
        out.write(sheet, row, 1, value)
        row += 1

    scope, totals = report["scope"], report["totals"]
    line("Cơ sở KCB / Facility", scope["MA_CSKCB"])
    line("Tháng ra viện / Month of discharge", scope["month"])
    line("Lô gửi / Delivery", scope["delivery"])
    line("Lập lúc / Made at", report["made_at"])
    line("Người lập / Made by", report["made_by"])
    line(
        "Dữ liệu cá nhân / Personal data",
        "đã che / masked" if report["masked"] else "KHÔNG CHE, việc xem đã được ghi lại / NOT masked, this was logged",
    )
    row += 1
    line("Số lô gửi / Deliveries", len(report["deliveries"]))
    line("Số hồ sơ / Claims", totals["claims"])
    line("Số dòng chi phí / Lines", totals["lines"])
    line("Số lỗi và cảnh báo / Findings", totals["findings"])
    for name, title in words.OUTCOMES.items():
        line(f"{title.vi} / {title.en}", totals[name])
    for name, title in words.MONEY.items():
        line(f"{title.vi} / {title.en} (đ)", Decimal(totals[name]))
    line("Hồ sơ không cần giấy / Paperless claims", totals["paperless"])
    row += 1
    for heading, name in (
        ("Kỳ vọng / Expectations", "expectations"), ("Đã kiểm tra / Checked", "checked"),
        ("Không đạt / Not met", "failing"), ("Giá trị đã xem / Values looked at", "evaluated"),
        ("Giá trị sai / Wrong values", "unexpected"),
    ):  # fmt: skip
        line(heading, sum(one[name] for one in report["suites"]))
