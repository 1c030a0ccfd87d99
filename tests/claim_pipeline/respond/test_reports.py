"""What people see in the page, the workbook and the terminal."""

from __future__ import annotations

import copy
import re

import openpyxl
import pytest
from lxml import html

from claim_pipeline import respond
from claim_pipeline.respond import page, view


def having(element, name: str) -> list:
    """Elements below that have this class."""
    return element.xpath(f".//*[contains(concat(' ', normalize-space(@class), ' '), ' {name} ')]")


def words(element) -> str:
    return re.sub(r"\s+", " ", element.text_content()).strip()


@pytest.fixture
def shown(appraised):
    return html.document_fromstring(respond.render_html(appraised))


# --- page


def test_the_page_says_what_when_how_many_and_how_much(shown):
    text = words(shown)
    assert "tháng 7 <b>.zip" in text
    assert "15/07/2026 23:59" in text
    tiles = {words(tile.xpath(".//span[@lang='vi'] | ./span")[0]): words(tile.xpath("./b")[0])
             for tile in having(shown, "tile")}  # fmt: skip
    assert tiles["Hồ sơClaims"] == "5"
    assert (tiles["Chấp nhận"], tiles["Điều chỉnh"], tiles["Từ chối"], tiles["Chờ quyết định"]) == ("1", "1", "2", "1")
    assert tiles["Số tiền đề nghị"] == "2.499.600,50 đ"
    assert tiles["Số tiền chấp nhận"] == "2.310.480,40 đ"
    assert tiles["Số tiền từ chối"] == "189.120,10 đ"
    paperless, undecided = (words(note) for note in having(shown, "note")[:2])
    assert "0 / 5 hồ sơ" in paperless
    assert "chưa ký số" in paperless
    assert "700.000 đ" in undecided


def test_findings_are_grouped_by_what_to_correct_worst_first(shown):
    groups = shown.xpath("//details")
    assert [re.search(r"[A-Z]+-\d+", words(group.find("summary"))).group() for group in groups] == [
        "CARD-008", "STR-002", "BEN-001", "DICT-004", "STR-003",
    ]  # fmt: skip
    ben = groups[2]
    assert "Mức hưởng không cao hơn quy định" in words(ben)
    assert "XML2.MUC_HUONG" in words(ben.find("summary"))
    assert "Cách sửa: Sửa MUC_HUONG như ở cột" in re.sub(r"How to fix:", "", words(ben.find("summary")))
    assert "2 lỗi" in words(ben.find("summary"))
    assert "1 hồ sơ" in words(ben.find("summary"))
    assert "Thông tư 12/2026/TT-BTC Điều 10" in words(ben.find("summary"))
    assert "90.120,10 đ" in words(ben.find("summary"))
    rows = [[words(cell) for cell in row] for row in ben.xpath(".//tbody/tr")]
    assert rows[1][0] == "27001-2607-0002"
    assert "XML2, dòng 2" in rows[1][1]
    assert rows[1][2].endswith("MUC_HUONG")
    assert rows[1][3:6] == ["100", "80", "10.120,10"]
    assert "Lời giải thích BEN-001" in rows[1][6]
    assert "Hồ sơ thứ 4" in words(groups[1].xpath(".//tbody//td")[0])
    assert "Cả lô gửi" in words(groups[4].xpath(".//tbody//td")[0])


def test_one_rule_on_two_fields_makes_two_groups(appraised):
    findings = appraised["claims"][1]["findings"]
    findings.append(findings[2] | {"field": "MA_DANTOC", "message_vi": "Dân tộc"})
    groups = html.document_fromstring(respond.render_html(appraised)).xpath("//details")
    fields = [group.xpath("./summary//code")[0].text for group in groups if "DICT-004" in words(group)]
    assert fields == ["XML1.GIOI_TINH", "XML1.MA_DANTOC"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("STR-013", ("dạng 0.00", "the form 0.00")),
        ("DICT-002", ("tối đa 0.00 ký tự", "at most 0.00 characters")),
        ("TIME-001", ("sau 0.00", "later than 0.00")),
        ("BEN-001", ("0.00", "0.00")),
    ],
)
def test_what_is_expected_is_not_shown_as_the_value_to_write_where_it_is_none(rule, said):
    found = view.expected({"rule": rule, "expected": "0.00"})
    assert (found.vi, found.en) == said
    assert view.expected({"rule": rule, "expected": None}).vi == "—"


def test_a_finding_of_a_whole_claim_names_its_field_without_a_table(appraised):
    appraised["claims"][1]["findings"].append(
        appraised["claims"][1]["findings"][0] | {"rule": "STR-004", "table": None, "line": None, "field": "LOAIHOSO"}
    )
    page = respond.render_html(appraised)
    assert "<code>LOAIHOSO</code>" in page
    assert "None" not in page


def test_groups_are_folded_when_there_is_much_to_read(appraised):
    def open_groups() -> list[bool]:
        shown = html.document_fromstring(respond.render_html(appraised))
        return ["open" in group.attrib for group in shown.xpath("//details")]

    assert open_groups() == [True] * 5
    appraised["claims"][1]["findings"] *= 20
    assert open_groups() == [False] * 5


def test_every_claim_is_listed_with_its_outcome_and_amounts(shown):
    rows = [[words(cell) for cell in row] for row in having(shown, "card")[1].xpath(".//tbody/tr")]
    assert [row[1] for row in rows] == [
        "27001-2607-0001", "27001-2607-0002", "=1+1", "(không rõ)(unknown)", "27001-2607-0005",
    ]  # fmt: skip
    assert rows[1][2:7] == ["Điều chỉnhAdjusted", "450.600,50", "360.480,40", "90.120,10", "3"]
    assert "Quy tắc SUM-005 chưa chạy được" in rows[4][2]
    assert "chưa ký số" in rows[0][7]


def chosen(report: dict) -> dict:
    """The report made with one option of the contract, and two claims that another choice would change."""
    first, second = report["claims"][:2]
    first["what_if"] = [{"option": "exemption_crossing", "choice": "B", "approved": "1250100.50"}]
    second["what_if"] = [
        {"option": "exemption_crossing", "choice": "B", "approved": "400480.40"},
        {"option": "retest_after_refusal", "choice": "yes", "approved": "300000.00"},
    ]
    defaults = {"exemption_crossing": "A", "retest_after_refusal": "no", "of_a_newer_version": "x"}
    return report | {"options": defaults | {"small_visit_day": "NGAY_RA"}}


def test_the_page_says_how_open_points_of_the_law_were_read_and_what_else_would_change(appraised):
    table = having(html.document_fromstring(respond.render_html(chosen(appraised))), "choices")[0]
    rows = [[words(cell) for cell in row.xpath("./td")] for row in table.xpath(".//tbody/tr")]
    assert [code.text for code in table.xpath(".//td/code")] == [
        "exemption_crossing", "retest_after_refusal", "small_visit_day", "of_a_newer_version",
    ]  # fmt: skip
    assert rows[0][1].startswith("dòng vượt ngưỡng vẫn cùng chi trả")
    assert rows[0][2].startswith("người bệnh trả đúng phần còn lại")
    assert "2 hồ sơ" in rows[0][2]
    assert rows[0][2].endswith("+40.100,50 đ")  # 100,50 + 40.000
    assert rows[1][2].endswith("-60.480,40 đ")  # without the cut that was made: 360.480,40 approved
    assert "theo hợp đồng" in rows[2][1]
    assert (rows[2][2][:10], rows[3][1]) == ("không tính", "x")
    quiet = appraised | {"options": {"exemption_crossing": "A", "retest_after_refusal": "yes"}}
    for one in quiet["claims"]:
        one.pop("what_if", None)
    table = having(html.document_fromstring(respond.render_html(quiet)), "choices")[0]
    assert [words(row.xpath("./td[3]/span[@lang='vi']")[0]) for row in table.xpath(".//tbody/tr")] == [
        "không tính", "không hồ sơ nào",
    ]  # fmt: skip
    assert not having(html.document_fromstring(respond.render_html(appraised)), "choices")


def test_the_workbook_says_the_same_of_open_points(appraised, tmp_path):
    respond.render_xlsx(chosen(appraised), tmp_path / "report.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "report.xlsx")["Cách hiểu luật"]
    rows = list(sheet.iter_rows(min_row=2, values_only=True))
    assert [(row[0], row[5], row[8], row[9]) for row in rows] == [
        ("exemption_crossing", None, 2, 40100.5),
        ("retest_after_refusal", None, 1, -60480.4),
        ("small_visit_day", "x", None, None),
        ("of_a_newer_version", None, None, None),
    ]


def test_rules_that_did_not_run_are_named_with_what_they_need(shown):
    assert "cards.csv: CARD-002, CARD-012" in words(shown)


def test_what_a_rule_needs_is_said_in_words(appraised):
    appraised["skipped_rules"] = [{"rule": "SIG-002", "needs": "trust anchors"}]
    assert "chứng thư gốc tin cậytrust anchors: SIG-002" in words(
        html.document_fromstring(respond.render_html(appraised))
    )


def test_nothing_that_was_sent_becomes_markup_and_nothing_is_fetched(appraised):
    text = respond.render_html(appraised)
    assert "<img" not in text
    assert "&lt;img src=x" in text
    assert "<b>.zip" not in text
    assert not re.search(r"""(src|href|action)\s*=\s*["']?(?!#)""", text.split("<body>")[0])
    assert "http" not in text.replace("http-equiv", "")
    assert not html.document_fromstring(text).xpath("//link | //img | //iframe | //script[@src]")


def test_both_languages_are_in_the_page_and_marked(shown):
    assert shown.get("lang") == "vi"
    headings = {lang: [words(e) for e in shown.xpath(f"//h1/span[@lang='{lang}']")] for lang in ("vi", "en")}
    assert headings == {"vi": ["Kết quả giám định lô gửi"], "en": ["Appraisal of a delivery"]}


def test_a_quarantined_delivery_says_why_and_what_next(quarantined):
    shown = html.document_fromstring(respond.render_html(quarantined))
    text = words(shown)
    assert "Lô gửi không được tiếp nhận" in text
    assert "Tệp khai báo 120 hồ sơ nhưng chỉ đọc được 118" in text
    assert "STR-003" in text
    assert "120 / 118" in text
    assert "Cần làm gì tiếp theo" in text
    assert "Kiểm tra tệp có bị cắt khi xuất hoặc khi gửi không" in text
    assert not shown.xpath("//table | //details") + having(shown, "tile")


def test_a_reason_that_is_no_rule_has_steps_of_its_own(quarantined):
    quarantined["delivery"]["reason"]["code"] = "wrong-facility"
    text = words(html.document_fromstring(respond.render_html(quarantined)))
    assert "Sửa hoặc xuất lại tệp theo lý do nêu trên" in text


def test_a_delivery_without_findings_says_so(appraised):
    appraised["findings"] = []
    for claim in appraised["claims"]:
        claim["findings"] = []
    assert "Không có lỗi nào" in respond.render_html(appraised)


def test_a_very_large_report_is_cut_with_a_pointer_to_the_workbook(appraised, monkeypatch):
    monkeypatch.setattr(page, "ROWS_PER_GROUP", 3)
    monkeypatch.setattr(page, "CLAIMS", 4)
    claim = appraised["claims"][1]
    appraised["claims"] = [copy.deepcopy(claim) for _ in range(10)]
    text = words(html.document_fromstring(respond.render_html(appraised)))
    assert "Còn 17 lỗi nữa: xem bảng Lỗi trong report.xlsx" in text
    assert "Còn 6 hồ sơ nữa: xem bảng Hồ sơ trong report.xlsx" in text


# --- workbook


@pytest.fixture
def book(appraised, tmp_path):
    respond.render_xlsx(appraised, tmp_path / "r.xlsx")
    return openpyxl.load_workbook(tmp_path / "r.xlsx")


def test_the_workbook_has_summary_groups_findings_claims_and_lines(book):
    assert book.sheetnames == ["Tổng hợp", "Cần sửa", "Lỗi", "Hồ sơ", "Dòng"]
    summary = {row[0]: row[1] for row in book["Tổng hợp"].iter_rows(values_only=True) if row[0]}
    assert summary["Số hồ sơ / Claims"] == 5
    assert summary["Điều chỉnh / Adjusted"] == 1
    assert summary["Số tiền đề nghị / Requested (đ)"] == 2499600.5
    assert summary["Hồ sơ không cần giấy / Paperless claims"] == 0
    assert summary["   chưa ký số / not signed"] == 5
    groups = list(book["Cần sửa"].iter_rows(values_only=True, min_row=2))
    assert [row[2] for row in groups] == ["CARD-008", "STR-002", "BEN-001", "DICT-004", "STR-003"]
    assert groups[2][:10] == (
        3, "Điều chỉnh số tiền", "BEN-001", "Mức hưởng không cao hơn quy định", "XML2", "MUC_HUONG", "Mức hưởng (%)",
        2, 1, 90120.1,
    )  # fmt: skip
    assert groups[2][10].startswith("Sửa MUC_HUONG")
    assert groups[2][11].startswith("Set MUC_HUONG")
    assert groups[2][12] == "Thông tư 12/2026/TT-BTC Điều 10"
    claims = list(book["Hồ sơ"].iter_rows(values_only=True, min_row=2))
    assert claims[1][:7] == (2, "27001-2607-0002", "Điều chỉnh", 450600.5, 360480.4, 90120.1, 3)
    assert [row[:4] for row in book["Dòng"].iter_rows(values_only=True, min_row=3, max_row=4)] == [
        (2, "27001-2607-0002", "XML2", 1), (2, "27001-2607-0002", "XML2", 2),
    ]  # fmt: skip


def test_each_finding_says_where_what_was_and_should_be_how_to_fix_it_and_why(book):
    titles, *findings = book["Lỗi"].iter_rows(values_only=True)
    assert len(findings) == 6
    found = dict(zip([title.split("\n")[0] for title in titles], findings[2], strict=True))
    assert found == {
        "Nhóm": 3, "STT hồ sơ": 2, "Mã liên kết": "27001-2607-0002", "Quy tắc": "BEN-001",
        "Nội dung": "Mức hưởng không cao hơn quy định", "Xử lý": "Điều chỉnh số tiền", "Bảng": "XML2", "Dòng": 1,
        "Trường": "MUC_HUONG", "Tên trường": "Mức hưởng (%)", "Giá trị đã gửi": "100", "Giá trị cần có": "80",
        "Số tiền từ chối": 80000, "Giải thích": "Lời giải thích BEN-001", "Message (en)": "Explanation BEN-001",
        "Căn cứ pháp lý": "Thông tư 12/2026/TT-BTC Điều 10", "Cách sửa": found["Cách sửa"],
        "How to fix": found["How to fix"],
    }  # fmt: skip
    assert found["Cách sửa"].startswith("Sửa MUC_HUONG")


def test_no_cell_is_a_formula_or_a_link(book):
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert not [cell for cell in cells if cell.data_type == "f" or cell.hyperlink]
    texts = {cell.value: cell.data_type for cell in cells}
    assert texts["=1+1"] == "s"
    assert texts['=HYPERLINK("x")'] == "s"


def test_tables_have_a_frozen_header_filters_and_widths(book):
    for name in ("Cần sửa", "Lỗi", "Hồ sơ", "Dòng"):
        sheet = book[name]
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref.startswith("A1:")
        assert max(column.width for column in sheet.column_dimensions.values()) > 20 or name == "Dòng"


def test_a_quarantined_delivery_has_a_workbook_too(quarantined, tmp_path):
    respond.render_xlsx(quarantined, tmp_path / "q.xlsx")
    book = openpyxl.load_workbook(tmp_path / "q.xlsx")
    assert book["Lỗi"].max_row == 1
    values = [cell for row in book["Tổng hợp"].iter_rows(values_only=True) for cell in row]
    assert "STR-003" in values


def test_a_full_sheet_goes_on_in_the_next(appraised, tmp_path, monkeypatch):
    from claim_pipeline.respond import sheets

    monkeypatch.setattr(sheets, "_ROWS_PER_SHEET", 2)
    respond.render_xlsx(appraised, tmp_path / "r.xlsx")
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    assert book.sheetnames == ["Tổng hợp", "Cần sửa", "Cần sửa 2", "Cần sửa 3", "Lỗi", "Lỗi 2", "Lỗi 3", "Hồ sơ",
                               "Hồ sơ 2", "Hồ sơ 3", "Dòng", "Dòng 2", "Dòng 3"]  # fmt: skip
    assert book["Hồ sơ 3"].max_row == 2


# --- terminal


def test_the_terminal_shows_totals_findings_and_rules_not_run(appraised):
    text = respond.render_text(appraised)
    assert "5 hồ sơ: 1 chấp nhận, 1 điều chỉnh, 2 từ chối, 1 chờ quyết định" in text
    assert "Số tiền từ chối: 189.120,10 đ" in text
    assert "[Điều chỉnh số tiền] BEN-001 Mức hưởng không cao hơn quy định" in text
    assert "  Cách sửa: Sửa MUC_HUONG" in text
    assert "  27001-2607-0002 · XML2, dòng 1: Lời giải thích BEN-001" in text
    assert "cards.csv: CARD-002, CARD-012" in text
    assert text.endswith("\n")


def test_the_terminal_shows_the_first_findings_of_a_rule_and_counts_the_rest(appraised):
    claim = appraised["claims"][1]
    claim["findings"] = claim["findings"][:1] * 25
    assert "… và 5 dòng khác / and 5 more" in respond.render_text(appraised)


def test_nothing_that_was_sent_steers_the_terminal(appraised):
    appraised["delivery"]["file"] = "\x1b[2Jgone\r\n.zip"
    assert "\x1b" not in respond.render_text(appraised)


def test_the_terminal_says_why_a_delivery_is_quarantined(quarantined):
    text = respond.render_text(quarantined)
    assert "KHÔNG TIẾP NHẬN / NOT TAKEN: STR-003" in text
    assert "Kiểm tra lại việc xuất tệp" in text
