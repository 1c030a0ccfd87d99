"""The report as a workbook, for people who sort and filter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import xlsxwriter

from claim_pipeline.respond import view, words
from claim_pipeline.respond.words import known

_ROWS_PER_SHEET = 1_000_000  # a worksheet holds 1,048,576
_CELL_LENGTH = 32_767

_GROUPS = (
    ("Nhóm\nGroup", 7), ("Xử lý\nEffect", 20), ("Quy tắc\nRule", 11), ("Nội dung\nWhat", 44), ("Bảng\nTable", 8),
    ("Trường\nField", 18), ("Tên trường\nField name", 30), ("Số lỗi\nFindings", 9), ("Số hồ sơ\nClaims", 9),
    ("Số tiền liên quan\nAt stake", 17), ("Cách sửa", 60), ("How to fix", 60), ("Căn cứ pháp lý\nLegal basis", 48),
)  # fmt: skip
_FINDINGS = (
    ("Nhóm\nGroup", 7), ("STT hồ sơ\nClaim no.", 9), ("Mã liên kết\nMA_LK", 24), ("Quy tắc\nRule", 11),
    ("Nội dung\nWhat", 44), ("Xử lý\nEffect", 20), ("Bảng\nTable", 8), ("Dòng\nLine", 7), ("Trường\nField", 18),
    ("Tên trường\nField name", 30), ("Giá trị đã gửi\nSent", 22), ("Giá trị cần có\nExpected", 22),
    ("Số tiền từ chối\nAmount refused", 17), ("Giải thích\nMessage (vi)", 60), ("Cách sửa", 60), ("Message (en)", 60),
    ("How to fix", 60), ("Căn cứ pháp lý\nLegal basis", 48),
)  # fmt: skip
_CLAIMS = (
    ("STT hồ sơ\nClaim no.", 9), ("Mã liên kết\nMA_LK", 24), ("Kết quả\nOutcome", 18),
    ("Số tiền đề nghị\nRequested", 18), ("Số tiền chấp nhận\nApproved", 18), ("Số tiền từ chối\nRefused", 18),
    ("Số lỗi\nFindings", 9), ("Thanh toán không giấy\nPaperless", 14), ("Lý do chưa thể không giấy\nWhy not", 36),
    ("Lý do chờ quyết định\nWhy referred", 48),
)  # fmt: skip
_LINES = (
    ("STT hồ sơ\nClaim no.", 9), ("Mã liên kết\nMA_LK", 24), ("Bảng\nTable", 8), ("Dòng\nLine", 7),
    ("Số tiền đề nghị\nRequested", 18), ("Số tiền chấp nhận\nApproved", 18), ("Số tiền từ chối\nRefused", 18),
)  # fmt: skip
_CHOICES = (
    ("Tên\nOption", 22), ("Điểm chưa thống nhất", 44), ("Open point", 44), ("Cách hiểu đã dùng", 44),
    ("Reading used", 44), ("Theo hợp đồng\nOf the contract", 13), ("Cách hiểu khác", 44), ("Another reading", 44),
    ("Số hồ sơ thay đổi\nClaims changed", 13), ("Chênh lệch số tiền chấp nhận\nDifference approved", 18),
    ("Trả lại người bệnh\nDue back to patients", 18),
)  # fmt: skip


class Book:
    """A workbook in which text stays text: nothing that a hospital sent may become a formula or a link."""

    def __init__(self, path: Path | IO[bytes]) -> None:
        options = {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        }
        self.book = xlsxwriter.Workbook(str(path) if isinstance(path, Path) else path, options)
        self.plain = self.book.add_format({"valign": "top"})
        self.wrapped = self.book.add_format({"valign": "top", "text_wrap": True})
        self.money = self.book.add_format({"valign": "top", "num_format": "#,##0.00"})
        self.bold = self.book.add_format({"bold": True, "valign": "top"})
        self.title = self.book.add_format({"bold": True, "font_size": 16, "font_color": "#0B4F4A"})
        self.head = self.book.add_format(
            {"bold": True, "text_wrap": True, "valign": "top", "bg_color": "#DCEFEA", "bottom": 1}
        )

    def write(self, sheet: Any, row: int, column: int, value: Any, style: Any = None) -> None:
        """Text as text, int as a number, Decimal as an amount, None as nothing."""
        if value is None or value == "":
            return
        if isinstance(value, Decimal):
            sheet.write_number(row, column, float(value), style or self.money)
        elif isinstance(value, int):
            sheet.write_number(row, column, value, style or self.plain)
        else:
            sheet.write_string(row, column, str(value)[:_CELL_LENGTH], style or self.plain)

    def table(
        self, name: str, columns: Sequence[tuple[str, int]], rows: Iterable[Sequence[Any]], *, wrap: bool = False
    ) -> None:
        """A sheet of rows under a frozen header with filters; a further sheet where one is full. wrap: long texts go
        over several lines, for sheets that are read and not only filtered."""
        number, used, sheet = 0, 0, None
        for values in rows:
            if sheet is None or used == _ROWS_PER_SHEET:
                self._finish(sheet, used, columns)
                number += 1
                used, sheet = 0, self._begin(name if number == 1 else f"{name} {number}", columns)
            used += 1
            for column, value in enumerate(values):
                self.write(sheet, used, column, value, self.wrapped if wrap and isinstance(value, str) else None)
        self._finish(sheet or self._begin(name, columns), used, columns)

    def _begin(self, name: str, columns: Sequence[tuple[str, int]]) -> Any:
        sheet = self.book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        for column, (_, width) in enumerate(columns):
            sheet.set_column(column, column, width)
        sheet.set_row(0, 32)
        for column, (title, _) in enumerate(columns):
            sheet.write_string(0, column, title, self.head)
        return sheet

    @staticmethod
    def _finish(sheet: Any, used: int, columns: Sequence[tuple[str, int]]) -> None:
        if sheet is not None:
            sheet.autofilter(0, 0, used, len(columns) - 1)


def render(report: dict[str, Any], path: Path) -> None:
    """Writes the workbook. The same report gives the same bytes."""
    out = Book(path)
    received = report["delivery"].get("received_at")
    out.book.set_properties(
        {
            "title": "Kết quả giám định",
            "author": "Giamdinh",
            "created": datetime.fromisoformat(received).replace(tzinfo=None) if received else datetime(2000, 1, 1),
        }
    )
    _summary(out, report)
    groups = view.groups(report)
    out.table("Cần sửa", _GROUPS, (_group(number, group) for number, group in enumerate(groups, start=1)), wrap=True)
    numbered = ((number, group, row) for number, group in enumerate(groups, start=1) for row in group.rows)
    out.table("Lỗi", _FINDINGS, (_finding(number, group, row) for number, group, row in numbered))
    out.table("Hồ sơ", _CLAIMS, (_claim(number, claim) for number, claim in enumerate(report["claims"], start=1)))
    out.table(
        "Dòng",
        _LINES,
        (
            (number, claim["MA_LK"], line["table"], line["line"], *(Decimal(line[name]) for name in words.MONEY))
            for number, claim in enumerate(report["claims"], start=1)
            for line in claim["lines"]
        ),
    )
    if report.get("options"):
        read = (row for choice in view.choices(report) for row in _choice(choice))
        out.table("Cách hiểu luật", _CHOICES, read, wrap=True)
    out.book.close()


def _choice(choice: view.Choice) -> Iterator[tuple[Any, ...]]:
    named = (choice.option, *choice.about, *choice.used, None if choice.is_default else "x")
    if not choice.others:
        yield (*named, None, None, 0 if choice.told else None, None, None)
    for other in choice.others:
        yield (*named, *other.choice, other.claims, other.difference, other.due_back)


def _group(number: int, group: view.Group) -> tuple[Any, ...]:
    return (
        number,
        known(words.SEVERITIES, group.severity).vi,
        group.rule,
        group.title.vi,
        group.table,
        group.field_name,
        group.label.vi,
        len(group.rows),
        group.claims,
        group.amount,
        group.fix and group.fix.vi,
        group.fix and group.fix.en,
        "; ".join(group.bases),
    )


def _finding(number: int, group: view.Group, row: view.Row) -> tuple[Any, ...]:
    found = row.finding
    return (
        number,
        row.number,
        row.ma_lk,
        group.rule,
        group.title.vi,
        known(words.SEVERITIES, group.severity).vi,
        group.table,
        found.get("line"),
        group.field_name,
        group.label.vi,
        found.get("observed"),
        view.expected(found).vi if found.get("expected") else None,
        Decimal(found["amount_refused"]) if found.get("amount_refused") is not None else None,
        found.get("message_vi"),
        group.fix and group.fix.vi,
        found.get("message_en"),
        group.fix and group.fix.en,
        found.get("basis"),
    )


def _claim(number: int, claim: dict[str, Any]) -> tuple[Any, ...]:
    return (
        number,
        claim["MA_LK"],
        known(words.OUTCOMES, claim["outcome"]).vi,
        *(Decimal(claim[name]) for name in words.MONEY),
        len(claim["findings"]),
        "Có" if claim["paperless"] else "Chưa",
        "; ".join(known(words.PAPERLESS_REASONS, code).vi for code in claim["paperless_reasons"]),
        "; ".join(words.referral_reason(code).vi for code in claim["referral_reasons"]),
    )


def _summary(out: Book, report: dict[str, Any]) -> None:
    sheet = out.book.add_worksheet("Tổng hợp")
    sheet.set_column(0, 0, 46)
    sheet.set_column(1, 1, 30)
    sheet.set_column(2, 4, 20)
    delivery, totals = report["delivery"], report["totals"]
    sheet.write_string(0, 0, "Kết quả giám định lô gửi / Appraisal of a delivery", out.title)
    row = 2

    def line(title: str, *values: Any, style: Any = None) -> None:
        nonlocal row
        sheet.write_string(row, 0, title, style or out.bold)
        for column, value in enumerate(values, start=1):
            out.write(sheet, row, column, value, style)
        row += 1

    line("Trạng thái / Status", " / ".join(known(words.STATUSES, delivery["status"])))
    if delivery.get("reason"):
        line("Lý do / Reason", delivery["reason"]["code"])
        line("", delivery["reason"].get("message_vi"))
        line("", delivery["reason"].get("message_en"))
    line("Tệp / File", delivery["file"])
    line("Cơ sở KCB / Facility", delivery["MA_CSKCB"])
    line("Thời điểm nhận / Received", delivery["received_at"])
    line("Định dạng / Format", " / ".join(dict.fromkeys(known(words.FORMATS, delivery["format"]))))
    line("Số hồ sơ khai báo / Declared claims", delivery["declared_claims"])
    line("Số hồ sơ đọc được / Claims read", delivery["read_claims"])
    line("SHA-256", delivery["sha256"])
    line("Bộ quy tắc / Rule book", report["rule_book"])
    row += 1
    line("Số hồ sơ / Claims", totals["claims"])
    for name, title in words.OUTCOMES.items():
        line(f"{title.vi} / {title.en}", totals[name])
    for name, title in words.MONEY.items():
        line(f"{title.vi} / {title.en} (đ)", Decimal(totals[name]))
    able = view.paperless(report)
    line("Hồ sơ không cần giấy / Paperless claims", able.claims)
    for code, count in able.reasons:
        reason = known(words.PAPERLESS_REASONS, code)
        line(f"   {reason.vi} / {reason.en}", count, style=out.plain)
    if report["skipped_rules"]:
        row += 1
        line("Quy tắc chưa chạy vì thiếu dữ liệu / Rules not run", "Cần có / Needs", style=out.head)
        for skipped in report["skipped_rules"]:
            line(f"{skipped['rule']} — {words.rule_title(skipped['rule']).vi}", known(words.NEEDS, skipped["needs"]).vi)
