"""What an appraisal again changes, for people: a page and a workbook in the look of the reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from claim_pipeline.respond import page, words
from claim_pipeline.respond.sheets import Book
from claim_pipeline.respond.words import Words, known
from claim_rules import law

CLAIMS = 2_000
"""What a browser shows without pain; the workbook holds everything."""

_RULES = (
    ("Quy tắc\nRule", 11), ("Nội dung\nWhat", 50), ("What", 50), ("Lỗi trước\nFindings before", 11),
    ("Lỗi sau\nFindings after", 11), ("Thêm\nGained", 9), ("Bớt\nLost", 9), ("Hồ sơ thêm lỗi\nClaims gaining", 11),
    ("Hồ sơ bớt lỗi\nClaims losing", 11), ("Số tiền trước\nAmount before", 18), ("Số tiền sau\nAmount after", 18),
    ("Chênh lệch\nDifference", 18),
)  # fmt: skip
_FACILITIES = (
    ("Cơ sở\nFacility", 12), ("Lô\nDeliveries", 10), ("Hồ sơ\nClaims", 10), ("Hồ sơ đổi\nChanged", 10),
    ("Chấp nhận trước\nApproved before", 20), ("Chấp nhận sau\nApproved after", 20), ("Chênh lệch\nDifference", 18),
)  # fmt: skip
_CLAIMS = (
    ("Cơ sở\nFacility", 12), ("Lô\nDelivery", 9), ("STT hồ sơ\nClaim no.", 9), ("Mã liên kết\nMA_LK", 24),
    ("Kết quả trước\nOutcome before", 18), ("Kết quả sau\nOutcome after", 18), ("Đề nghị\nRequested", 18),
    ("Chấp nhận trước\nApproved before", 18), ("Chấp nhận sau\nApproved after", 18), ("Chênh lệch\nDifference", 18),
    ("Thêm lỗi\nRules gained", 40), ("Bớt lỗi\nRules lost", 40),
)  # fmt: skip


def render_html(report: dict[str, Any]) -> str:
    """The difference report as one page without anything from outside: Vietnamese, with a switch to English."""
    made = report.get("made_at")
    return page.template("changes.html.j2").render(
        report=report,
        totals=report["totals"],
        made=datetime.fromisoformat(made) if made else None,
        claims_shown=CLAIMS,
        words=words,
        facts=list(_facts(report)),
    )


def _facts(report: dict[str, Any]) -> Iterator[tuple[Words, Words]]:
    """What was asked, and on what it rests."""

    def same(value: str) -> Words:
        return Words(value, value)

    if report.get("month"):
        month = report["month"]
        yield Words("Tháng ra viện", "Month of discharge"), same(f"{month[4:]}/{month[:4]}")
    facility = report.get("facility")
    yield Words("Cơ sở", "Facility"), same(facility) if facility else Words("mọi cơ sở", "all")
    yield Words("Lô gửi", "Deliveries"), same(str(report.get("deliveries", "—")))
    yield Words("Bộ quy tắc", "Rule book"), same(str(report.get("rule_book") or "—"))
    supposed = report.get("what_if") or {}
    if supposed.get("law"):
        yield Words("Giả định về luật", "Supposed of the law"), _of_law(json.loads(supposed["law"]))
    if supposed.get("reference"):
        tables = ", ".join(f"{name} ({sha256[:8]})" for name, sha256 in sorted(supposed["reference"].items()))
        yield Words("Danh mục giả định", "Reference data supposed"), same(tables)


def _of_law(changes: dict[str, dict[str, Any]]) -> Words:
    """Values of the law that are supposed, in words: the first part of what the file says it is about."""
    told_vi, told_en = [], []
    for name, values in sorted(changes.items()):
        about = law.load(name)
        for day, entry in sorted(values.items()):
            on = datetime.fromisoformat(day)
            value = entry.get("value") if isinstance(entry, dict) else entry
            vi = f"không đổi từ {on:%d/%m/%Y}" if entry is None else f"{value} từ {on:%d/%m/%Y}"
            en = f"unchanged on {on:%Y-%m-%d}" if entry is None else f"{value} from {on:%Y-%m-%d}"
            told_vi.append(f"{about.get('description_vi', name).split(',')[0]}: {vi} ({name})")
            told_en.append(f"{about.get('description', name).split(',')[0]}: {en} ({name})")
    return Words("; ".join(told_vi), "; ".join(told_en))


def render_xlsx(report: dict[str, Any], path: Path) -> None:
    """The difference report as a workbook: summary, rules, facilities, claims. The same report gives the same bytes."""
    out = Book(path)
    made = report.get("made_at")
    out.book.set_properties(
        {
            "title": "Báo cáo chênh lệch giám định lại",
            "author": "Giamdinh",
            "created": datetime.fromisoformat(made).replace(tzinfo=None) if made else datetime(2000, 1, 1),
        }
    )
    _summary(out, report)
    out.table("Quy tắc", _RULES, (_rule(row) for row in report["rules"]))
    out.table(
        "Cơ sở",
        _FACILITIES,
        (
            (
                row["MA_CSKCB"], row["deliveries"], row["claims"], row["changed"], Decimal(row["approved_before"]),
                Decimal(row["approved_after"]), Decimal(row["difference"]),
            )
            for row in report["facilities"]
        ),
    )  # fmt: skip
    out.table("Hồ sơ thay đổi", _CLAIMS, (_claim(row) for row in report["claims"]))
    out.book.close()


def _rule(row: dict[str, Any]) -> tuple[Any, ...]:
    title = words.rule_title(row["rule"])
    counts = (row[name] for name in ("before", "after", "gained", "lost", "claims_gained", "claims_lost"))
    amounts = (Decimal(row[name]) for name in ("amount_before", "amount_after", "difference"))
    return (row["rule"], title.vi, title.en, *counts, *amounts)


def _claim(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        row["MA_CSKCB"],
        row["delivery"],
        row["position"],
        row["MA_LK"],
        known(words.OUTCOMES, row["before"]["outcome"]).vi,
        known(words.OUTCOMES, row["after"]["outcome"]).vi,
        Decimal(row["after"]["requested"]),
        Decimal(row["before"]["approved"]),
        Decimal(row["after"]["approved"]),
        Decimal(row["difference"]),
        "; ".join(row["gained"]),
        "; ".join(row["lost"]),
    )


def _summary(out: Book, report: dict[str, Any]) -> None:
    sheet = out.book.add_worksheet("Tổng hợp")
    sheet.set_column(0, 0, 46)
    sheet.set_column(1, 3, 24)
    sheet.write_string(0, 0, "Chênh lệch khi giám định lại / What appraising again changes", out.title)
    row = 2

    def line(title: str, *values: Any) -> None:
        nonlocal row
        sheet.write_string(row, 0, title, out.bold)
        for column, value in enumerate(values, start=1):
            out.write(sheet, row, column, value)
        row += 1

    if report.get("dry_run"):
        line("CHƯA GHI GÌ / Nothing was written", "Chạy thử / Dry run")
    for title, value in _facts(report):
        line(f"{title.vi} / {title.en}", " / ".join(dict.fromkeys(value)))
    totals = report["totals"]
    line("Hồ sơ / Claims", totals["claims"])
    line("Hồ sơ thay đổi / Claims that change", totals["changed"])
    row += 1
    if report.get("what_if"):
        line("", "Đang có hiệu lực / Stands", "Theo giả định / As supposed")
    else:
        line("", "Trước / Before", "Sau / After")
    for name, title in words.OUTCOMES.items():
        line(f"{title.vi} / {title.en}", totals["before"][name], totals["after"][name])
    for name, title in words.MONEY.items():
        line(f"{title.vi} / {title.en} (đ)", Decimal(totals["before"][name]), Decimal(totals["after"][name]))
    line("Chênh lệch chấp nhận / Difference approved (đ)", Decimal(totals["difference"]))
    for problem in report.get("problems", ()):
        line(f"Lô {problem['delivery']} / delivery", " / ".join(known(words.PROBLEMS, problem["problem"])))
