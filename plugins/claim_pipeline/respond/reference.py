"""What became of a file of reference data, for people: a page and a workbook in the look of the reports."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from claim_pipeline.respond import page, words
from claim_pipeline.respond.sheets import Book
from claim_pipeline.respond.words import Words, known

SHOWN = 500
"""Rows that the page shows; the workbook holds all that were noted."""

TABLES = {
    "facilities": Words("Cơ sở khám chữa bệnh", "Facilities"),
    "cards": Words("Thẻ BHYT", "Insurance cards"),
    "copayments": Words("Cùng chi trả đã lũy kế", "Co-payments so far"),
    "departments": Words("Khoa, bàn khám (01/DM)", "Departments (01/DM)"),
    "staff": Words("Nhân viên y tế (02/DM)", "Staff (02/DM)"),
    "drugs": Words("Thuốc (03/DM)", "Drugs (03/DM)"),
    "supplies": Words("Vật tư y tế (04/DM)", "Supplies (04/DM)"),
    "services": Words("Dịch vụ kỹ thuật (05/DM)", "Services (05/DM)"),
    "machines": Words("Trang thiết bị (06/DM)", "Machines (06/DM)"),
    "icd10": Words("Mã bệnh ICD-10", "ICD-10 codes"),
    "bundles": Words("Dịch vụ đã gồm trong dịch vụ khác", "Services included in others"),
    "icd_lists": Words("Danh sách bệnh", "Lists of diseases"),
    "holidays": Words("Ngày nghỉ lễ", "Public holidays"),
    "certificates": Words("Chứng thư ký số", "Signing certificates"),
    "drug_conditions": Words("Điều kiện thanh toán thuốc", "Conditions of drugs"),
    "administrative_units": Words("Đơn vị hành chính", "Administrative units"),
    "card_lookups": Words("Nhật ký tra cứu thẻ", "Card look-ups"),
}
LAYOUTS = {
    "contract": Words("hợp đồng dữ liệu", "the contract's"),
    "portal": Words("tệp xuất của Cổng giám định", "export of the portal"),
    "icd10-annex": Words("phụ lục ICD-10", "ICD-10 annex"),
}
WHAT_TO_DO = {
    "file": Words("Sửa tệp rồi đặt lại vào thư mục danh mục", "Correct the file and drop it again"),
    "width": Words(
        "Xem dấu ngăn cột và dấu ngoặc kép trong dòng; xuất lại tệp",
        "Look at the separators and quotes in the row; export the file again",
    ),
    "date": Words(
        "Ghi yyyymmdd hoặc dd/mm/yyyy; ngày mở để trống", "Write yyyymmdd or dd/mm/yyyy; leave an open end blank"
    ),
    "facility": Words("Đặt cột là văn bản rồi nhập đủ 5 ký tự", "Make the column text and write all 5 characters"),
    "number": Words("Ghi số không có dấu ngăn hàng nghìn: 1234567.5", "Write the number without separators: 1234567.5"),
    "separators": Words(
        "Xem lại các giá này; nên ghi số không có dấu ngăn hàng nghìn",
        "Look these prices over; better write numbers without separators",
    ),
    "time": Words("Ghi yyyymmddHHMM hoặc dd/mm/yyyy HH:MM", "Write yyyymmddHHMM or dd/mm/yyyy HH:MM"),
    "unit": Words(
        "Đặt cột là văn bản rồi nhập đủ chữ số: tỉnh 2, xã 5",
        "Make the column text and write all digits: 2 of a province, 5 of a commune",
    ),
    "icd": Words("Mỗi dòng một mã, ví dụ A00.0", "One code a row, such as A00.0"),
    "key": Words("Điền mã, hoặc xóa dòng", "Fill in the code, or delete the row"),
    "twice": Words("Không cần làm gì; nên xóa dòng thừa", "Nothing needs doing; better delete the row"),
    "backwards": Words(
        "Sửa ngày: dòng này không bao giờ có hiệu lực", "Correct the days: as it is the row never holds"
    ),
    "price": Words(
        "Chốt ngày kết thúc của giá cũ; khi còn trùng thì giá cao hơn được dùng",
        "End the old price; as long as both hold, the dearer one counts",
    ),
    "overlap": Words("Chốt ngày kết thúc của dòng trước", "End the row before"),
    "gap": Words(
        "Nếu vẫn được dùng trong các ngày trống, nối ngày hiệu lực", "If it was in use on those days, close the gap"
    ),
    "unknown-facility": Words(
        "Thêm cơ sở vào facilities.csv hoặc sửa mã", "Add the facility to facilities.csv, or correct the code"
    ),
    "columns": Words(
        "Thêm cột nếu có dữ liệu; quy tắc cần cột này sẽ không chạy",
        "Add the column if there are data; its rules do not run",
    ),
    "empty": Words("Kiểm tra tệp xuất có bị cụt không", "See whether the export broke off"),
    "ended": Words(
        "Nếu tệp xuất bị cụt: nạp lại tệp đủ ngay; nếu đúng thì không cần làm gì",
        "If the export broke off, load the whole file at once; if it is right, nothing needs doing",
    ),
    "sheet": Words("Đặt tên trang theo phụ lục A1–A4", "Name the sheet after the appendix A1–A4"),
    "words": Words("Ghi mã thay cho chữ", "Write the code in place of words"),
    "dates": Words(
        "Nạp bằng giamdinh reference load TỆP --valid-from NGÀY",
        "Load it by giamdinh reference load FILE --valid-from DAY",
    ),
}
_COUNTS = (
    ("read_rows", Words("Dòng đã đọc", "Rows read"), ""),
    ("loaded_rows", Words("Dòng đã nạp", "Rows loaded"), "accepted"),
    ("refused_rows", Words("Dòng bị từ chối", "Rows refused"), "rejected"),
    ("added_rows", Words("Dòng mới", "Rows added"), ""),
    ("changed_items", Words("Mục thay đổi", "Items changed"), ""),
    ("ended_rows", Words("Dòng hết hiệu lực", "Rows ended"), ""),
    (
        "price_overlaps",
        Words("Trùng thời gian, khác giá (CAT-024)", "Overlaps with another price (CAT-024)"),
        "adjusted",
    ),
    ("overlaps", Words("Trùng thời gian", "Overlaps"), ""),
    ("gaps", Words("Khoảng trống", "Gaps"), ""),
    ("warned", Words("Cảnh báo", "Warnings"), "referred"),
)
_NOTES = (
    ("Dòng\nRow", 8), ("Cột\nColumn", 18), ("Nội dung", 60), ("What", 60), ("Việc cần làm", 60), ("What to do", 60),
)  # fmt: skip


def render_html(report: dict[str, Any]) -> str:
    """The report of a file as one page without anything from outside: Vietnamese, with a switch to English."""
    return page.template("reference.html.j2").render(
        report=report,
        title=known(TABLES, report["table"]),
        facts=list(_facts(report)),
        counts=[
            (report["counts"].get(name), title, look)
            for name, title, look in _COUNTS
            if report["counts"].get(name) or report["status"] == "loaded"
        ],
        what_to_do=WHAT_TO_DO,
        refused_file=report["status"] == "refused",
        shown=SHOWN,
        words=words,
    )


def _facts(report: dict[str, Any]) -> Iterator[tuple[Words, Words]]:
    def same(value: str) -> Words:
        return Words(value, value)

    yield Words("Bố cục", "Layout"), known(LAYOUTS, report["layout"])
    yield Words("Thời điểm", "When"), same(datetime.fromisoformat(report["at"]).strftime("%d/%m/%Y %H:%M:%S"))
    yield Words("Người nạp", "Loaded by"), same(report["actor"])
    if report["load"] is not None:
        yield Words("Lần nạp số", "Load number"), same(str(report["load"]))
    yield Words("SHA-256 của tệp", "SHA-256 of the file"), same(report["sha256"] or "—")


def render_xlsx(report: dict[str, Any], path: Path) -> None:
    """The same as a workbook: summary, rows refused, warnings. The same report gives the same bytes."""
    out = Book(path)
    at = datetime.fromisoformat(report["at"])
    title = known(TABLES, report["table"])
    out.book.set_properties(
        {"title": f"Báo cáo nạp danh mục: {title.vi}", "author": "Giamdinh", "created": at.replace(tzinfo=None)}
    )
    sheet = out.book.add_worksheet("Tổng hợp")
    sheet.set_column(0, 0, 46)
    sheet.set_column(1, 1, 80)
    sheet.write_string(0, 0, f"{title.vi} / {title.en}", out.title)
    lines: list[tuple[str, Any]] = []
    if report["status"] == "refused":
        lines += [
            ("TỆP KHÔNG ĐƯỢC NHẬN", report["error"]["vi"]),
            ("The file was not taken", report["error"]["en"]),
            ("Danh mục đang dùng vẫn giữ nguyên / The data in force stay as they are", None),
        ]
    lines.append(("Tệp / File", report["file"]))
    lines += [(f"{name.vi} / {name.en}", " / ".join(dict.fromkeys(value))) for name, value in _facts(report)]
    lines += [(f"{name.vi} / {name.en}", report["counts"].get(key)) for key, name, _ in _COUNTS]
    for row, (name, value) in enumerate(lines, start=2):
        sheet.write_string(row, 0, name, out.bold)
        out.write(sheet, row, 1, value, out.wrapped if isinstance(value, str) else None)
    for name, notes in (("Dòng bị từ chối", report["refused"]), ("Cảnh báo", report["warnings"])):
        out.table(name, _NOTES, map(_note, notes), wrap=True)
    out.book.close()


def _note(note: dict[str, Any]) -> tuple[Any, ...]:
    to_do = WHAT_TO_DO.get(note["code"], Words("", ""))
    return (note["row"], note["column"], note["vi"], note["en"], to_do.vi, to_do.en)
