"""Reference data as people drop it: csv and xlsx, well and badly formed."""

from __future__ import annotations

import datetime as dt
import hashlib
import tempfile
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_pipeline import extract, transform
from claim_pipeline import reference_layouts as layouts
from claim_pipeline.errors import ReferenceDataError
from claim_pipeline.reference import Report, read_folder, source_hashes
from claim_pipeline.respond.reference import TABLES
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules import engine
from claim_simulator import simulate

DRUGS = "MA_THUOC,TEN_THUOC,DON_GIA,MA_CSKCB,TU_NGAY,DEN_NGAY\n"


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> None:
    (folder / name).write_bytes(text.encode(encoding))


def test_every_table_has_its_columns_and_a_name_for_people():
    assert set(layouts.KEYS) == set(layouts.COLUMNS) == set(TABLES)
    assert all(set(keys) <= set(layouts.COLUMNS[name]) for name, keys in layouts.KEYS.items())


def test_text_stays_text_and_blanks_are_empty(tmp_path):
    write(tmp_path, "drugs.csv", DRUGS + '40.1,"Thuốc ""A"", viên",050.10,01001,20250101,\n,,,,,\n40.2, B ,1,01001,,\n')
    (drugs,) = read_folder(tmp_path).values()
    assert list(drugs.columns) == ["MA_THUOC", "TEN_THUOC", "DON_GIA", "MA_CSKCB", "TU_NGAY", "DEN_NGAY"]
    assert drugs.to_numpy().tolist() == [
        ["40.1", 'Thuốc "A", viên', "050.10", "01001", "20250101", ""],
        ["40.2", "B", "1", "01001", "", ""],
    ]
    assert set(drugs.dtypes.astype(str)) == {"str"}


def test_portal_headers_byte_order_mark_and_semicolons_are_understood(tmp_path):
    write(tmp_path, "services.csv", "ma_tuong_duong;TUNGAY;DenNgay\r\n02.1.1;20250101;20251231\r\n", "utf-8-sig")
    services = read_folder(tmp_path)["services"]
    assert services.to_dict("records") == [{"MA_TUONG_DUONG": "02.1.1", "TU_NGAY": "20250101", "DEN_NGAY": "20251231"}]


def test_a_spreadsheet_reads_like_the_csv(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "drugs.xlsx", {"default_date_format": "dd/mm/yyyy"}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["MA_THUOC", "DON_GIA", "MA_CSKCB", "TU_NGAY", "DEN_NGAY"])
        sheet.write_row(1, 0, ["40.1", 500.125, 27001])
        sheet.write_datetime(1, 3, dt.datetime(2025, 1, 31))
        sheet.write_row(2, 0, ["40.2", 7, "01001", 20250201, None])
    assert read_folder(tmp_path)["drugs"].to_numpy().tolist() == [
        ["40.1", "500.125", "27001", "20250131", ""],
        ["40.2", "7", "01001", "20250201", ""],
    ]


def test_missing_files_are_absent_and_other_files_are_left_alone(tmp_path):
    write(tmp_path, "truth.csv", "a,b\n1\n")
    write(tmp_path, ".drugs.csv.part", DRUGS)
    assert read_folder(tmp_path) == {}
    assert read_folder(tmp_path / "nowhere") == {}


def test_a_file_with_a_header_alone_is_an_empty_table(tmp_path):
    write(tmp_path, "drugs.csv", DRUGS)
    drugs = read_folder(tmp_path)["drugs"]
    assert drugs.empty
    assert "DON_GIA" in drugs.columns


@pytest.mark.parametrize(
    ("name", "text", "place_vi", "place_en"),
    [
        ("drugs.csv", DRUGS + "1,a,1,27001,20250101,\n2,b,1,27001,20250230,\n3,c,1,27001,x,\n",
         "Tệp drugs.csv, dòng 3, cột TU_NGAY: ngày phải có dạng yyyymmdd và có thật (và 1 dòng khác)",
         "file drugs.csv, row 3, column TU_NGAY"),
        ("drugs.csv", DRUGS + "1,a,1,1001,,\n", "dòng 2, cột MA_CSKCB", "row 2, column MA_CSKCB"),
        ("drugs.csv", DRUGS + "\n\n1,a,1\n", "dòng 4: chỉ có 3 ô", "row 4: only 3 cells"),
        ("drugs.csv", DRUGS + "1,a,1,27001,,,9\n", "dòng 2: có 7 ô", "row 2: 7 cells"),
        # a file without a header: what would be the name of a column is of a person
        ("cards.csv", "HC401,Lê Văn Mẫu,27001,27001\n", "dòng 1, cột 4: tên cột bị lặp", "row 1, column 4"),
        ("drugs.csv", "A,,B\n1,2,3\n", "dòng 1, cột 2: cột không có tên", "row 1, column 2"),
        ("drugs.csv", "", "Tệp drugs.csv: tệp rỗng", "file drugs.csv: the file is empty"),
        ("drugs.csv", 'A,B\n1,"2\n', "dòng 2: dấu ngoặc kép", "row 2: a broken quote"),
        ("drugs.xlsx", "not a spreadsheet", "Tệp drugs.xlsx: không đọc được bảng tính", "unreadable"),
    ],
)  # fmt: skip
def test_a_bad_file_is_named_with_row_and_column(tmp_path, name, text, place_vi, place_en):
    write(tmp_path, name, text)
    with pytest.raises(ReferenceDataError) as raised:
        read_folder(tmp_path)
    assert place_vi in raised.value.message_vi
    assert place_en in raised.value.message_en


def test_text_in_another_encoding_is_named_by_its_row(tmp_path):
    write(tmp_path, "drugs.csv", DRUGS + "1,a,1,27001,,\n2,é,1,27001,,\n", "latin-1")
    with pytest.raises(ReferenceDataError, match="row 3: not UTF-8"):
        read_folder(tmp_path)


def test_a_bad_file_does_not_keep_the_others_out(tmp_path):
    write(tmp_path, "drugs.csv", DRUGS + "1,a,1,27001,never,\n")
    write(tmp_path, "cards.csv", "MA_THE_BHYT,GT_THE_TU\nHC4010000000000,20250101\n")
    write(tmp_path, "holidays.csv", "NGAY,TEN\n20250101,Tết\n")
    with xlsxwriter.Workbook(tmp_path / "holidays.xlsx") as book:
        book.add_worksheet()
    errors: list[ReferenceDataError] = []
    assert list(read_folder(tmp_path, errors)) == ["cards"]
    assert [error.message_vi.split(":")[0] for error in errors] == [
        "Tệp drugs.csv, dòng 2, cột TU_NGAY", "Tệp holidays.csv, holidays.xlsx",
    ]  # fmt: skip
    assert "never" not in str(errors[0])


def test_hashes_are_of_the_bytes(tmp_path):
    write(tmp_path, "cards.csv", "MA_THE_BHYT\n")
    assert source_hashes(tmp_path) == {"cards": hashlib.sha256(b"MA_THE_BHYT\n").hexdigest()}


def test_a_large_file_is_read(tmp_path):
    frame = pd.DataFrame({"MA_THE_BHYT": [f"GD401{n:010d}" for n in range(50_000)], "GT_THE_TU": "20250101"})
    frame.to_csv(tmp_path / "cards.csv", index=False)
    pd.testing.assert_frame_equal(read_folder(tmp_path)["cards"], frame.astype("str"))


LINES = st.lists(
    st.lists(st.sampled_from(["", "a", " b ", "Lê", "e\u0302", "20250101", "\u00a0", "x;y"]), min_size=3, max_size=3),
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_a_file_reads_the_same_whether_or_not_a_cell_of_it_is_quoted(lines, end, mark, last):
    rows = [["MA_THE_BHYT", "HO_TEN", "GT_THE_TU"], ["0", "0", "20250101"], *lines]
    with tempfile.TemporaryDirectory() as folder:
        read = []
        for first in ("MA_THE_BHYT", '"MA_THE_BHYT"'):
            text = end.join(",".join([first, *row[1:]] if row is rows[0] else row) for row in rows) + end * last
            path = Path(folder) / "cards.csv"
            path.write_bytes(text.encode("utf-8-sig" if mark else "utf-8"))
            reports: dict[str, Report] = {}
            read.append((read_folder(folder, [], reports=reports), reports))
    assert read[0][1] == read[1][1]
    for tables in zip(*(one[0].values() for one in read), strict=True):
        pd.testing.assert_frame_equal(*tables)


# --- what portals and ministries export


def workbook(path: Path, *sheets: tuple[str, list[list[object]]]) -> None:
    with xlsxwriter.Workbook(path) as book:
        for name, rows in sheets:
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)


def test_an_export_of_drugs_is_told_by_its_headers_below_its_titles(tmp_path):
    header = ["STT", "MA_THUOC", "TEN_THUOC", "DUONG_DUNG", "DON_GIA", "TT_THAU", "TUNGAY", "DENNGAY", "MA_CSKCB"]
    workbook(
        tmp_path / "Xuat ngay 01-07.xlsx",
        ("Sheet1", [
            ["DANH MỤC THUỐC"], [], header, list(range(1, 10)),
            [1, "40.1", "Thuốc A", "1.01", "1.234.567,5", "1;G1;N1;2026", "31/01/2026", 46387, "01001"],
            [2, "40.2", "Thuốc B", "1.01", "1.500", "1;G1;N1;2026", "1/2/2026 00:00:00", "", "01001"],
        ]),
    )  # fmt: skip
    reports: dict[str, Report] = {}
    drugs = read_folder(tmp_path, reports=reports)["drugs"]
    names = ["MA_THUOC", "MA_DUONG_DUNG", "DON_GIA", "TU_NGAY", "DEN_NGAY", "MA_CSKCB"]
    assert drugs[names].to_numpy().tolist() == [
        ["40.1", "1.01", "1234567.5", "20260131", "20261231", "01001"],
        ["40.2", "1.01", "1500", "20260201", "", "01001"],
    ]
    assert (reports["drugs"].layout, reports["drugs"].loaded_rows, reports["drugs"].refused_rows) == ("portal", 2, 0)


@pytest.mark.parametrize(
    ("name", "header", "stem", "has"),
    [
        ("khoa", ["STT", "MA_KHOA", "TEN_KHOA", "BAN_KHAM", "GIUONG_PD", "TU_NGAY", "DEN_NGAY", "MA_CSKCB"],
         "departments", "SO_GIUONG"),
        ("nhan vien", ["STT", "MA_KHOA", "HO_TEN", "CHUCDANH_NN", "MACCHN", "PHAMVI_CM", "TU_NGAY", "MA_CSKCB"],
         "staff", "MA_BAC_SI"),
        ("vat tu", ["STT", "MA_VAT_TU", "NHOM_VAT_TU", "TEN_VAT_TU", "DON_GIA", "TU_NGAY_HD", "MA_CSKCB"],
         "supplies", "MA_VAT_TU"),
        ("dich vu", ["STT", "MA_DICH_VU", "TEN_DICH_VU", "TEN_DVKT_GIA", "DON_GIA", "QD_DVKT", "MA_CSKCB"],
         "services", "MA_TUONG_DUONG"),
        ("may", ["STT", "TEN_TB", "KY_HIEU", "MA_MAY", "SO_LUU_HANH", "HD_TU", "MA_CSKCB"], "machines", "MA_MAY"),
        ("Mau so 06", ["MA_MAY", "SERI", "MA_CSKCB"], "machines", "MA_MAY"),
    ],
)  # fmt: skip
def test_each_export_of_the_portal_is_told(tmp_path, name, header, stem, has):
    write(tmp_path, f"{name}.csv", ",".join(header) + "\n")
    tables = read_folder(tmp_path)
    assert list(tables) == [stem]
    assert has in tables[stem].columns


def test_the_icd_10_annex_and_its_appendices_become_the_flags_of_the_contract(tmp_path):
    header = ["STT", "MÃ BỆNH", "MÃ BỆNH KHÔNG DẤU", "DISEASE NAME", "TÊN BỆNH",
              "MÃ KHÔNG ĐƯỢC KHUYẾN KHÍCH DÙNG LÀ BỆNH CHÍNH"]  # fmt: skip
    codes = ["A00", "A00.0", "B95", "G01*", "O95", "N40", "U13/9"]
    rows: list[list[object]] = [[n, code, "", "name", "tên", ""] for n, code in enumerate(codes)]
    rows[1][5] = "A00.0"
    workbook(
        tmp_path / "4469.xlsx",
        ("ICD10", [["PHỤ LỤC"], [], header, *rows]),
        ("A1", [["Các mã không được dùng làm bệnh chính"], ["STT", "Mã"], [1, "B95"], [2, "G01*"], [3, "Z99.9"]]),
        ("A2", [["Mã có mã 4 ký tự cụ thể hơn"], ["Mã"], ["A00"]]),
        ("A3", [["Chỉ dùng mã hóa nguyên nhân tử vong"], ["O95"]]),
        ("A4", [["Mã bệnh chỉ có ở nam giới"], ["N40"]]),
        ("khac", [["Ghi chú"], ["A00"]]),
    )
    reports: dict[str, Report] = {}
    icd = read_folder(tmp_path, reports=reports)["icd10"].set_index("MA")
    flags = ["LA_BENH_CHINH", "CO_MA_CHI_TIET", "CHI_TU_VONG", "GIOI_TINH"]
    assert {code: "".join(row) for code, row in zip(icd.index, icd[flags].to_numpy(), strict=True)} == {
        "A00": "110", "A00.0": "200", "B95": "000", "G01*": "000", "O95": "101", "N40": "1001",
    }  # fmt: skip
    report = reports["icd10"]
    assert [(note["row"], note["vi"]) for note in report.refused] == [(10, "không phải mã ICD-10")]
    assert [note["en"] for note in report.warnings] == [
        "Sheet A1: 1 codes that are not in the list", "Sheet khac not understood: left out",
    ]  # fmt: skip


# --- what is said of a file


def test_rows_that_cannot_be_used_are_named_and_the_others_kept(tmp_path):
    write(
        tmp_path, "drugs.csv",
        DRUGS + "1,a,10,27001,20250101,20250630\n1,a,12,27001,20250601,20251231\n1,a,12,27001,20260301,\n"
        "2,b,tối-mật,27001,20250101,\n3,c,5,27001,20250230,\n,d,5,27001,20250101,\n4,e,\"1,234\",27001,,\n5,f,5,27001,,\n"
        "5,f,5,27001,,\n",
    )  # fmt: skip
    reports: dict[str, Report] = {}
    drugs = read_folder(tmp_path, reports=reports)["drugs"]
    report = reports["drugs"]
    assert list(drugs["MA_THUOC"]) == ["1", "1", "1", "5", "5"]
    assert [(note["row"], note["column"]) for note in report.refused] == [
        (5, "DON_GIA"), (8, "DON_GIA"), (6, "TU_NGAY"), (7, "MA_THUOC"),
    ]  # fmt: skip
    assert [(note["row"], note["en"]) for note in report.warnings] == [
        (10, "the row is there twice"),
        (3, "CAT-024: holds on the same days as row 2, with another price"),
        (4, "days without a row after row 3"),
    ]
    assert "tối-mật" not in report.as_text()
    assert "Đọc 9 dòng, nạp 5, từ chối 4" in report.as_text()


def test_a_file_of_another_table_under_a_name_of_the_contract_is_refused(tmp_path):
    write(tmp_path, "drugs.csv", "MA_VAT_TU,TEN_VAT_TU,MA_CSKCB\n")
    with pytest.raises(ReferenceDataError, match="headers are those of supplies"):
        read_folder(tmp_path)


# --- odd files


def test_utf_16_is_read_and_an_older_encoding_or_a_spreadsheet_named_csv_is_refused_in_words(tmp_path):
    write(tmp_path, "drugs.csv", DRUGS.replace(",", "\t") + "1\tThuốc\t5\t27001\t20250101\t\n", "utf-16")
    assert read_folder(tmp_path)["drugs"]["TEN_THUOC"].tolist() == ["Thuốc"]
    (tmp_path / "drugs.csv").write_bytes(DRUGS.encode() + "1,Thu\xb8c,5,27001,,\n".encode("latin-1"))  # TCVN3
    with pytest.raises(ReferenceDataError) as raised:
        read_folder(tmp_path)
    assert "dòng 2: không phải mã UTF-8 (có thể là TCVN3" in raised.value.message_vi
    workbook(tmp_path / "a.xlsx", ("x", [["MA_THUOC"]]))
    (tmp_path / "a.xlsx").rename(tmp_path / "drugs.csv")
    with pytest.raises(ReferenceDataError, match="not CSV text"):
        read_folder(tmp_path)


def test_letters_and_marks_one_by_one_are_the_same_words(tmp_path):
    header, name = (unicodedata.normalize("NFD", text) for text in ("MÃ BỆNH,TÊN BỆNH", "Tả"))
    write(tmp_path, "icd10.csv", f"{header}\nA00,{name}\n")
    icd = read_folder(tmp_path)["icd10"]
    assert icd[["MA", "TEN"]].to_numpy().tolist() == [["A00", "Tả"]]


def test_a_sheet_with_titles_merged_cells_text_numbers_and_empty_rows_at_its_end(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "MAU_05 thang 7.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.merge_range(0, 0, 0, 5, "DANH MỤC DỊCH VỤ KỸ THUẬT")
        sheet.merge_range(1, 0, 1, 5, "Đơn vị: Bệnh viện mẫu")
        header = ["STT", "MA_TUONG_DUONG", "TEN_DVKT_PHEDUYET", "DON_GIA", "MA_CSKCB", "TUNGAY", "DENNGAY"]
        sheet.write_row(3, 0, header)
        sheet.write_row(4, 0, ["1", "02.1896", "Khám", "50600", "01001", "1/7/2026", ""])
        sheet.write_datetime(5, 5, dt.datetime(2026, 7, 1), book.add_format({"num_format": "dd/mm/yyyy"}))
        sheet.write_row(5, 0, ["2", "22.0120.1370", "Xét nghiệm", 70000, "01001"])
        for row in range(6, 12):
            sheet.write_blank(row, 0, None, book.add_format({"border": 1}))
    reports: dict[str, Report] = {}
    services = read_folder(tmp_path, reports=reports)["services"]
    names = ["MA_TUONG_DUONG", "DON_GIA", "MA_CSKCB", "TU_NGAY", "DEN_NGAY"]
    assert services[names].to_numpy().tolist() == [
        ["02.1896", "50600", "01001", "20260701", ""], ["22.0120.1370", "70000", "01001", "20260701", ""],
    ]  # fmt: skip
    assert (reports["services"].read_rows, reports["services"].refused_rows) == (2, 0)


@pytest.mark.parametrize(
    ("prices", "read"),
    [
        # fifty thousand six hundred, or fifty and six tenths? the other prices tell, or nobody does
        (["50.600", "70000", "1"], ["70000", "1"]),
        (["50.600", "1.234.567", "1"], ["50600", "1234567", "1"]),
        (["50.600", "1234.5", "1"], ["50.600", "1234.5", "1"]),
    ],
)
def test_a_point_in_the_prices_of_an_export_is_read_as_the_others_tell(tmp_path, prices, read):
    rows = [f"{price},a,b,t,27001" for price in prices]
    write(tmp_path, "thuoc.csv", "\n".join(["DON_GIA,MA_THUOC,TEN_THUOC,TT_THAU,MA_CSKCB", *rows]) + "\n")
    reports: dict[str, Report] = {}
    assert read_folder(tmp_path, reports=reports)["drugs"]["DON_GIA"].tolist() == read
    assert reports["drugs"].refused_rows == 3 - len(read)


@pytest.mark.parametrize(
    ("file", "prices", "read", "refused", "told"),
    [
        # what can be read one way only is read that way, whatever stands above and below it
        ("drugs.csv", ["1234.50", '"1.234,56"', "15.75"], ["1234.50", "1234.56", "15.75"], [], 0),
        ("drugs.csv", ['"1,234.50"', '"12,5"', '"1.234,567"'], ["1234.50", "12.5", "1234.567"], [], 0),
        ("drugs.csv", ["850.500", "12.250", "7"], ["850.500", "12.250", "7"], [], 0),  # the contract's point
        ("drugs.csv", ["850.500", '"1.250,75"', "1500", "7"], ["1250.75", "1500", "7"], [2], 0),
        ("drugs.csv", ['"1,234"', '"1,234,567"', "12.5"], ["1234", "1234567", "12.5"], [], 1),
        ("thuoc.csv", ["50.600", "15.75", '"1.250,75"'], ["15.75", "1250.75"], [2], 0),
        ("thuoc.csv", ["50.600", '"1.250,75"', "7"], ["50600", "1250.75", "7"], [], 1),
    ],
)
def test_a_price_written_another_way_does_not_change_the_others(tmp_path, file, prices, read, refused, told):
    rows = [f"{price},a{number},b,t,27001" for number, price in enumerate(prices)]
    write(tmp_path, file, "\n".join(["DON_GIA,MA_THUOC,TEN_THUOC,TT_THAU,MA_CSKCB", *rows]) + "\n")
    reports: dict[str, Report] = {}
    assert read_folder(tmp_path, reports=reports)["drugs"]["DON_GIA"].tolist() == read
    notes = reports["drugs"].refused
    assert [(note["row"], note["code"]) for note in notes] == [(row, "number") for row in refused]
    warned = [note["en"].split()[0] for note in reports["drugs"].warnings if note["code"] == "separators"]
    assert warned == [str(told)] * (told > 0)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**10), st.sampled_from("pcgb")), max_size=6), st.sampled_from(["drugs", "x"])
)
def test_a_price_of_two_decimals_is_read_as_it_was_written(prices, stem):
    def written(hundredths: int, way: str) -> str:
        grouped = f"{hundredths / 100:,.2f}"  # exact: fifteen digits
        if way in "pb":
            return grouped.replace(",", "") if way == "p" else grouped
        return (grouped.replace(",", "") if way == "c" else grouped).translate(str.maketrans(",.", ".,"))

    with tempfile.TemporaryDirectory() as folder:
        head = "MA_THUOC,TEN_THUOC,TT_THAU,DON_GIA\n"
        write(Path(folder), f"{stem}.csv", head + "".join(f'a,b,t,"{written(*price)}"\n' for price in prices))
        read = read_folder(folder)["drugs"]["DON_GIA"]
    assert [Decimal(cell) for cell in read] == [Decimal(hundredths) / 100 for hundredths, _ in prices]


def test_a_number_of_a_spreadsheet_is_exact_whatever_the_text_beside_it(tmp_path):
    rows = [["40.1", 850.5], ["40.2", "1.250,75"], ["40.3", 1500], ["40.4", 12.125], ["40.5", "7,5"]]
    workbook(tmp_path / "drugs.xlsx", ("x", [["MA_THUOC", "DON_GIA"], *rows]))
    assert read_folder(tmp_path)["drugs"]["DON_GIA"].tolist() == ["850.5", "1250.75", "1500", "12.125", "7.5"]


def test_a_column_that_is_there_twice_is_refused_where_it_says_two_things(tmp_path):
    head = "STT,MA_THUOC,TEN_THUOC,TT_THAU,DON_GIA,DON_GIA,MA_CSKCB\n"
    write(tmp_path, "03_DM.csv", head + "1,a,b,t,5,5,27001\n")
    assert read_folder(tmp_path)["drugs"]["DON_GIA"].tolist() == ["5"]
    write(tmp_path, "03_DM.csv", head + "1,a,b,t,5,6,27001\n")
    with pytest.raises(ReferenceDataError, match="row 1, column DON_GIA: a column twice, not the same"):
        read_folder(tmp_path)
    write(tmp_path, "03_DM.csv", "MA_THUOC,TU_NGAY,TUNGAY\n")  # under its name alone
    (tmp_path / "03_DM.csv").rename(tmp_path / "drugs.csv")
    with pytest.raises(ReferenceDataError, match="row 1, column TU_NGAY: the column name is repeated"):
        read_folder(tmp_path)


LOOK_UPS = "MA_CSKCB,MA_LK,THOI_DIEM,KET_QUA\n"


def test_the_time_of_a_look_up_is_told_in_its_usual_forms_and_else_refused(tmp_path):
    good = ["202607151001", "20260715100159", "15/07/2026 10:01", "15/7/2026 10:01:59", "2026-07-15 10:01",
            "2026-07-15T10:01:59.5+07:00"]  # fmt: skip
    bad = ["", "15/07/2026", "2026-07-15T03:01:00Z", "202607152401", "31/06/2026 10:01"]
    write(tmp_path, "card_lookups.csv", LOOK_UPS + "".join(f"27001,v,{when},000\n" for when in good + bad))
    reports: dict[str, Report] = {}
    assert set(read_folder(tmp_path, reports=reports)["card_lookups"]["THOI_DIEM"]) == {"202607151001"}
    assert [(note["code"], note["row"], note["column"]) for note in reports["card_lookups"].refused] == [
        ("time", row, "THOI_DIEM") for row in range(8, 13)
    ]


def test_a_time_in_a_spreadsheet_keeps_its_hour_where_one_is_meant_and_nowhere_else(tmp_path):
    at = dt.datetime(2026, 7, 15, 23, 59, 59)
    for stem, header in (("card_lookups", LOOK_UPS), ("cards", "MA_THE_BHYT,NGAY_SINH,GT_THE_TU,THOI_DIEM")):
        with xlsxwriter.Workbook(tmp_path / f"{stem}.xlsx", {"default_date_format": "dd/mm/yyyy hh:mm"}) as book:
            sheet = book.add_worksheet()
            sheet.write_row(0, 0, header.strip().split(","))
            sheet.write_row(1, 0, ["27001", at, at, at] if stem == "cards" else ["27001", "v", at, "000"])
    tables = read_folder(tmp_path)
    assert tables["card_lookups"].to_numpy().tolist() == [["27001", "v", "202607152359", "000"]]
    assert tables["cards"].to_numpy().tolist() == [["27001", "20260715", "20260715", "20260715"]]


def test_codes_of_provinces_and_communes_that_lost_their_zeros_are_refused(tmp_path):
    head = "MA_TINH,TEN_TINH,MA_XA,TEN_XA,TU_NGAY,DEN_NGAY\n"
    rows = ["01,a,00004,b,20250701,", "01,a,,,20250701,", "27,a,09163,b,20250701,", "1,a,00004,b,,", "27,a,9163,b,,"]
    write(tmp_path, "administrative_units.csv", head + "\n".join(rows) + "\n")
    reports: dict[str, Report] = {}
    assert read_folder(tmp_path, reports=reports)["administrative_units"]["MA_XA"].tolist() == ["00004", "", "09163"]
    assert [(note["row"], note["column"]) for note in reports["administrative_units"].refused] == [
        (5, "MA_TINH"), (6, "MA_XA"),
    ]  # fmt: skip


def test_hidden_sheets_and_charts_are_no_data(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "holidays.xlsx") as book:
        hidden, chart, shown = book.add_worksheet(), book.add_chartsheet(), book.add_worksheet()
        lines = book.add_chart({"type": "line"})
        lines.add_series({"values": "=Sheet2!$A$1:$A$2"})
        chart.set_chart(lines)
        hidden.write_column(0, 0, ["NGAY", "20250101"])
        shown.write_column(0, 0, ["NGAY", "20260101"])
        shown.activate()
        shown.set_first_sheet()
        hidden.hide()
    assert read_folder(tmp_path)["holidays"]["NGAY"].tolist() == ["20260101"]


def test_a_header_below_titles_is_found_though_a_column_is_missing(tmp_path):
    write(tmp_path, "drugs.csv", "DANH MỤC THUỐC,,\n,,\nMA_THUOC,DON_GIA,TUNGAY\n40.1,5,01/02/2026\n")
    drugs = read_folder(tmp_path)["drugs"]
    assert drugs.to_dict("records") == [{"MA_THUOC": "40.1", "DON_GIA": "5", "TU_NGAY": "20260201"}]
    write(tmp_path, "drugs.csv", "DANH MỤC THUỐC,,\nTEN_THUOC,DON_GIA,TUNGAY\nb,5,01/02/2026\n")
    with pytest.raises(ReferenceDataError, match="column MA_THUOC: the column is missing"):
        read_folder(tmp_path)


# --- what is missing


@pytest.fixture(scope="module")
def appraised(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., engine.Appraisal]:
    """Appraises a few simulated claims with some columns of the contract's files left out."""
    out = tmp_path_factory.mktemp("hospital")
    simulate(facilities=1, claims=8, month="202607", fault_rate=0.5, seed=3, out=out)
    whole = read_folder(out / "reference")
    assert all(set(columns) <= set(whole[name]) for name, columns in layouts.COLUMNS.items())
    assert layouts.COLUMNS.keys() == layouts.KEYS.keys()
    ws = Workspace(out / "work")
    ws.source.symlink_to(next((out / "inbox").glob("*/*")))
    ws.delivery = Delivery(file="a.xml", sha256="0" * 64)
    extract.run(ws)
    transform.run(ws)
    tables = ws.read_tables()

    def run(files: set[str] | None = None, columns: set[tuple[str, str]] | None = None) -> engine.Appraisal:
        left = {
            name: frame.drop(columns=[column for table, column in columns or () if table == name])
            for name, frame in whole.items()
            if name not in (files or ())
        }
        return engine.run(tables, left, received_day="20260810", receipt=True)

    return run


def test_without_a_file_or_a_column_rules_say_what_they_need_and_no_other_changes(appraised):
    complete = appraised()
    assert complete.failed == []
    before = complete.findings.groupby("rule").size()
    # one column of every file at a time: as many runs as the widest file has columns
    width = max(map(len, layouts.COLUMNS.values()))
    without: list[tuple[set[str], set[tuple[str, str]]]] = [({name}, set()) for name in layouts.COLUMNS]
    without += [
        (set(), {(name, columns[place]) for name, columns in layouts.COLUMNS.items() if place < len(columns)})
        for place in range(width)
    ]
    for files, columns in without:
        found = appraised(files, columns)
        assert found.failed == [], (files, columns)
        told = {entry["rule"]: entry["needs"] for entry in found.skipped if entry not in complete.skipped}
        assert set(complete.rules_run) - set(found.rules_run) <= set(told)
        for needs in told.values():
            file, _, lacking = needs.partition(".csv")
            assert file in files or {(file, name.strip()) for name in lacking.strip(": ").split(",")} <= columns
        after = found.findings.groupby("rule").size()
        changed = {rule for rule in {*before.index, *after.index} if before.get(rule, 0) != after.get(rule, 0)}
        # without a list of diseases that one built in is used, and only warns
        assert changed - {"CLIN-001"} <= set(told), (files, columns)
