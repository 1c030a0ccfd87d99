"""Reference data as people drop it: csv and xlsx, well and badly formed."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pandas as pd
import pytest
import xlsxwriter

from claim_pipeline.errors import ReferenceDataError
from claim_pipeline.reference import read_folder, source_hashes

DRUGS = "MA_THUOC,TEN_THUOC,DON_GIA,MA_CSKCB,TU_NGAY,DEN_NGAY\n"


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> None:
    (folder / name).write_bytes(text.encode(encoding))


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
        ("drugs.csv", "A,B,a\n1,2,3\n", "dòng 1, cột A: tên cột bị lặp", "row 1, column A"),
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
