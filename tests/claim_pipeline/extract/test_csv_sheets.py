"""CSV as hospitals write it: encodings, delimiters, decimal comma, line breaks in notes."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import legacy_text
from tests.claim_pipeline.extract.test_legacy_text import in_1258, written

Read = Callable[..., Any]

NAME = "Nguyễn Thị Ước"
REASON = "Đau bụng vùng thượng vị, ợ hơi; sốt 38°C từ hôm qua"
NOTE = 'Người bệnh tỉnh, tiếp xúc tốt.\nBụng mềm, ấn đau "nhẹ" vùng thượng vị; phổi trong.'
ENCOUNTERS = f'MA_LK,HO_TEN,LY_DO_VV,MA_CSKCB,NGAY_RA\nA,{NAME},"{REASON}",27001,202507020900\n'
QUOTED = NOTE.replace('"', '""')
NOTES = f'MA_LK,DIEN_BIEN_LS\nA,"{QUOTED}"\n'
ORDERS = "MA_LK,TEN_DICH_VU\nA,Khám nội tổng quát\n"


def western(text: str, scheme: str) -> bytes:
    # TCVN3 has no capitals with tone marks
    text = text.replace("Ước", "ước") if scheme == legacy_text.TCVN3 else text
    return written(text, scheme).encode("latin-1")


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "utf-8 with mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf-16 little with mark": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "utf-16 big with mark": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-16 little": lambda text: text.encode("utf-16-le"),
    "utf-16 big": lambda text: text.encode("utf-16-be"),
    "windows-1258": in_1258,
    "tcvn3": lambda text: western(text, legacy_text.TCVN3),
    "vni": lambda text: western(text, legacy_text.VNI),
    "tcvn3 in utf-8": lambda text: western(text, legacy_text.TCVN3).decode("latin-1").encode(),
    "vni in utf-16": lambda text: western(text, legacy_text.VNI).decode("latin-1").encode("utf-16"),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_every_encoding_is_read(build: SimpleNamespace, read: Read, encode: Callable[[str], bytes]) -> None:
    files = {"encounters.csv": ENCOUNTERS, "notes.csv": NOTES, "orders.csv": ORDERS}
    result = read(build.zip({name: encode(text) for name, text in files.items()}))
    tables = result.tables
    name, reason = tables["XML1"].loc[0, ["HO_TEN", "LY_DO_VV"]]
    assert name.lower() == NAME.lower()
    assert reason == REASON
    assert tables["XML5"]["DIEN_BIEN_LS"].tolist() == [NOTE]
    assert tables["XML3"]["TEN_DICH_VU"].tolist() == ["Khám nội tổng quát"]
    assert len(result.findings) == 0


def test_the_report_says_which_encoding_it_was(build: SimpleNamespace, read: Read) -> None:
    files = {"encounters.csv": western(ENCOUNTERS, legacy_text.TCVN3), "orders.csv": ORDERS.encode("utf-16")}
    sheets = read(build.zip(files)).reading["sheets"]
    assert [(sheet["sheet"], sheet["encoding"]) for sheet in sheets] == [
        ("encounters", "tcvn3"),
        ("orders", "utf-16-le"),
    ]


def test_headers_are_converted_too(build: SimpleNamespace, read: Read) -> None:
    text = (
        "Mã lượt khám,Họ và tên,Ngày vào viện,Ngày ra viện,Loại KCB,Mã cơ sở\n"
        "A,Trần Văn Bình,01/07/2025 08:00,02/07/2025 9:05,Nội trú,27001\n"
    )
    lines = (
        'Mã lượt khám,Mã thuốc,Số lượng,Đơn giá,Ngày y lệnh,Tên thuốc\nA,40.1,"1,5","1.000,25",01/07/2025,Thuốc bổ\n'
    )
    files = {"luot_kham.csv": text, "don_thuoc.csv": lines}
    result = read(build.zip({name: western(content, legacy_text.VNI) for name, content in files.items()}))
    assert result.reading["profile"] == "benh-vien-tieng-viet"
    row = result.tables["XML1"].loc[0]
    assert (row["HO_TEN"], row["NGAY_VAO"], row["NGAY_RA"], row["MA_LOAI_KCB"]) == (
        "Trần Văn Bình",
        "202507010800",
        "202507020905",
        "03",
    )
    line = result.tables["XML2"].loc[0]
    assert (line["SO_LUONG"], line["DON_GIA"], line["NGAY_YL"]) == ("1.5", "1000.25", "202507010000")
    assert result.unknown_columns == []


def test_an_encoding_that_shows_late_in_the_file(build: SimpleNamespace, read: Read) -> None:
    filler = "".join(f"{n},X,,27001,202507020900\n" for n in range(60_000))
    text = f"MA_LK,HO_TEN,LY_DO_VV,MA_CSKCB,NGAY_RA\n{filler}A,{NAME},,27001,202507020900\n"
    result = read(build.zip({"encounters.csv": in_1258(text), "orders.csv": ORDERS}))
    assert result.tables["XML1"]["HO_TEN"].iloc[-1] == NAME


@pytest.mark.parametrize(
    "content",
    [
        ENCOUNTERS.encode().replace("ễ".encode(), b"\xe1\xbb"),  # a broken character among sound ones
        ENCOUNTERS.encode("utf-16")[:-1],
        "MA_LK,HO_TEN,MA_CSKCB\nA,Müller Ä,27001\n".encode("latin-1"),
        b"MA_LK,HO_TEN\n" + bytes(range(256)),
    ],
    ids=["broken utf-8", "half a character", "another language", "bytes"],
)
def test_text_that_is_in_no_known_encoding_is_not_guessed(build: SimpleNamespace, read: Read, content: bytes) -> None:
    with pytest.raises(Quarantined) as caught:
        read(build.zip({"encounters.csv": content, "orders.csv": ORDERS}))
    assert caught.value.code == "unreadable-sheet"
    assert "encounters" in caught.value.message_vi


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first", ["", "sep={}\r\n"])
def test_delimiters(build: SimpleNamespace, read: Read, delimiter: str, first: str) -> None:
    rows = [["MA_LK", "MA_CSKCB", "LY_DO_VV"], ["A", "27001", f'"a{delimiter}b\n, ; c"']]
    text = first.format(delimiter) + "\r\n".join(delimiter.join(row) for row in rows)
    result = read(build.zip({"encounters.csv": text, "orders.csv": ORDERS}))
    assert result.tables["XML1"]["LY_DO_VV"].tolist() == [f"a{delimiter}b\n, ; c"]


LINES = "MA_LK;SO_LUONG;DON_GIA_BH;TYLE_TT_BH\nA;{};{};100\nA;2;{};100\n"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("1,5", "50.600", "1.250.000,25"), ["1.5", "50600", "1250000.25"]),
        (("0,125", "50600", "7"), ["0.125", "50600", "7"]),
        (("1,5", "50600.5", "7"), ["1,5", "50600.5", "7"]),  # two styles in one file prove neither
        (("1,500", "50.600", "7"), ["1,500", "50.600", "7"]),  # thousand five hundred or one and a half?
        (("1.5", "50600", "7"), ["1.5", "50600", "7"]),
    ],
)
def test_a_decimal_comma_is_read_where_the_file_proves_it(
    build: SimpleNamespace, read: Read, cells: tuple[str, ...], expected: list[str]
) -> None:
    result = read(build.zip({"encounters.csv": ENCOUNTERS, "orders.csv": LINES.format(*cells)}))
    frame = result.tables["XML3"]
    assert [frame.loc[0, "SO_LUONG"], *frame["DON_GIA_BH"]] == expected


def test_one_wrong_number_or_day_in_a_sound_column_stays_for_the_report(build: SimpleNamespace, read: Read) -> None:
    encounters = "MA_LK,MA_CSKCB,NGAY_RA\nA,27001,202507020900\nB,27001,03/07/2025\nC,27001,202507020900\n"
    orders = 'MA_LK,SO_LUONG\nA,1.5\nB,"1,5"\nC,2\n'
    tables = read(build.zip({"encounters.csv": encounters, "orders.csv": orders})).tables
    assert tables["XML1"]["NGAY_RA"].tolist()[1] == "03/07/2025"
    assert tables["XML3"]["SO_LUONG"].tolist() == ["1.5", "1,5", "2"]


def test_days_of_people_are_read_where_the_column_has_them(build: SimpleNamespace, read: Read) -> None:
    encounters = (
        "MA_LK,MA_CSKCB,NGAY_RA,GT_THE_TU,NGAY_TAI_KHAM,NGAY_MIEN_CCT\n"
        "A,27001,2/7/2025 9:05,01/01/2025,05/08/2025;06/09/2025,01/07/2025\n"
        "B,27001,12/07/2025 19:05:59,,,\n"
    )
    frame = read(build.zip({"encounters.csv": encounters, "orders.csv": "MA_LK\nA\nB\n"})).tables["XML1"]
    assert frame["NGAY_RA"].tolist() == ["202507020905", "202507121905"]
    assert frame.loc[0, ["GT_THE_TU", "NGAY_TAI_KHAM", "NGAY_MIEN_CCT"]].tolist() == [
        "20250101",
        "20250805;20250906",
        "20250701",
    ]
