"""Workbooks of every age, days as numbers, and codes that a spreadsheet made numbers of."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.codes import as_number

Read = Callable[..., Any]
Rows = list[list[Any]]

ENCOUNTERS: Rows = [
    ["MA_LK", "HO_TEN", "MA_CSKCB", "MA_LOAI_KCB", "NGAY_VAO", "NGAY_RA"],
    ["A", "Nguyễn Thị Ước", 27001, 1, 45839.333333333336, 45840.375],
]
ORDERS = "MA_LK,MA_DICH_VU\nA,02.1\n"
EXPECTED = ["A", "Nguyễn Thị Ước", "27001", "01", "202507010800", "202507020900"]


def xls(rows: Rows, name: str = "encounters") -> bytes:
    """A workbook of Excel 97: one stream of BIFF8 records in a compound file."""

    def record(kind: int, body: bytes = b"") -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    sheet = record(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 6))
    sheet += record(0x200, struct.pack("<IIHHH", 0, len(rows), 0, len(rows[0]), 0))
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            if isinstance(cell, str):
                text = struct.pack("<HB", len(cell), 1) + cell.encode("utf-16-le")
                sheet += record(0x204, struct.pack("<HHH", r, c, 0) + text)
            else:
                sheet += record(0x203, struct.pack("<HHHd", r, c, 0, cell))
    sheet += record(0x0A)
    head = record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 6)) + record(0x42, struct.pack("<H", 1200))
    label = struct.pack("<BB", len(name), 0) + name.encode()
    start = len(head) + 4 + 6 + len(label) + 4
    stream = head + record(0x85, struct.pack("<IH", start, 0) + label) + record(0x0A) + sheet
    sectors = max(8, -(-len(stream) // 512))
    stream = stream.ljust(sectors * 512, b"\0")
    chain = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, 2 + sectors), 0xFFFFFFFE]
    chain += [0xFFFFFFFF] * (128 - len(chain))

    def entry(title: str, kind: int, first: int, size: int, child: int) -> bytes:
        raw = (title + "\0").encode("utf-16-le")
        links = struct.pack("<HBBIII", len(raw), kind, 1, 0xFFFFFFFF, 0xFFFFFFFF, child)
        return raw.ljust(64, b"\0") + links + bytes(36) + struct.pack("<IQ", first, size)

    directory = entry("Root Entry", 5, 0xFFFFFFFE, 0, 1) + entry("Workbook", 2, 2, len(stream), 0xFFFFFFFF)
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<HHHHH6x9I", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    return header + struct.pack("<128I", *chain) + directory.ljust(512, b"\0") + stream


def xlsb(rows: Rows, name: str = "encounters") -> bytes:
    """A binary workbook: records of an id, a size and a body, in a zip."""

    def record(kind: int, body: bytes = b"") -> bytes:
        size, rest = b"", len(body)
        while rest >> 7:
            size, rest = size + bytes([rest & 0x7F | 0x80]), rest >> 7
        return (bytes([kind]) if kind < 128 else bytes([kind, 1])) + size + bytes([rest]) + body

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value)) + value.encode("utf-16-le")

    book = record(0x83) + record(0x8F) + record(0x9C, struct.pack("<II", 0, 1) + text("rId1") + text(name))
    sheet = record(0x81) + record(0x94, struct.pack("<4I", 0, len(rows) - 1, 0, len(rows[0]) - 1)) + record(0x91)
    for r, row in enumerate(rows):
        sheet += record(0, struct.pack("<II", r, 0) + bytes(17))
        for c, cell in enumerate(row):
            if isinstance(cell, str):
                sheet += record(6, struct.pack("<II", c, 0) + text(cell))
            elif cell is not None:
                sheet += record(5, struct.pack("<IId", c, 0, cell))
    types = "http://schemas.openxmlformats.org"
    relation = f'<Relationship Id="rId1" Type="{types}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.bin"/>'  # noqa: E501
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.bin", book + record(0x90) + record(0x84))
        archive.writestr(
            "xl/_rels/workbook.bin.rels",
            f'<Relationships xmlns="{types}/package/2006/relationships">{relation}</Relationships>',
        )
        archive.writestr("xl/worksheets/sheet1.bin", sheet + record(0x92) + record(0x82))
    return memory.getvalue()


def xlsx(build: SimpleNamespace, rows: Rows) -> bytes:
    content: bytes = build.workbook({"encounters": rows})
    return content


@pytest.mark.parametrize("kind", ["xls", "xlsb", "xlsx"])
def test_workbooks_of_every_age(build: SimpleNamespace, read: Read, kind: str) -> None:
    content = {"xls": xls, "xlsb": xlsb, "xlsx": lambda rows: xlsx(build, rows)}[kind](ENCOUNTERS)
    result = read(build.zip({f"thang7/Du lieu.{kind}": content, "orders.csv": ORDERS}))
    assert result.format == "emr-xlsx"
    assert result.tables["XML1"].loc[0, ENCOUNTERS[0]].tolist() == EXPECTED
    alone = read(content)  # a delivery is told by its bytes
    assert alone.tables["XML1"].loc[0, ENCOUNTERS[0]].tolist() == EXPECTED


@pytest.mark.parametrize("make", [xls, xlsb])
def test_damaged_ones_are_quarantined(read: Read, make: Callable[[Rows], bytes]) -> None:
    content = make([*ENCOUNTERS, *([f"B{n}", *ENCOUNTERS[1][1:]] for n in range(100))])
    for cut in (700, len(content) // 2, len(content) - 1000):
        with pytest.raises(Quarantined):
            read(content[:cut] + bytes(64))


def test_cells_far_apart_in_a_binary_workbook(read: Read) -> None:
    rows = [["MA_LK", "MA_CSKCB"], ["A", "27001"]]
    content = xlsb(rows)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.bin")
    far = sheet.replace(struct.pack("<II", 1, 0) + bytes(17), struct.pack("<II", 1_048_575, 0) + bytes(17))
    far = far.replace(
        struct.pack("<II", 1, 0) + struct.pack("<I", 5), struct.pack("<II", 16_383, 0) + struct.pack("<I", 5)
    )
    assert far != sheet
    memory = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(memory, "w") as target:
        for name in source.namelist():
            target.writestr(name, far if name.endswith("sheet1.bin") else source.read(name))
    with pytest.raises(Quarantined) as caught:
        read(memory.getvalue())
    assert caught.value.code == "unreadable-sheet"


def test_days_of_people_in_a_workbook(build: SimpleNamespace, read: Read) -> None:
    rows = [["MA_LK", "MA_CSKCB", "NGAY_VAO", "NGAY_RA"], ["A", "27001", "01/07/2025", "02/07/2025 09:30"]]
    content = build.workbook({"encounters": rows, "orders": [["MA_LK"], ["A"]]})
    assert read(content).tables["XML1"].loc[0, ["NGAY_VAO", "NGAY_RA"]].tolist() == ["202507010000", "202507020930"]


# --- codes that became numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "number"),
    [("01", "1"), ("40.10", "40.1"), ("1E05", "100000"), ("2E-1", "0.2"), ("007.50", "7.5"), ("A1", None), ("", None)],
)
def test_what_a_spreadsheet_makes_of_a_code(code: str, number: str | None) -> None:
    assert as_number(code) == number


def codes(build: SimpleNamespace, read: Read, day: str = "202512010900", **cells: Any) -> Any:
    headers = ["MA_LK", "MA_CSKCB", "NGAY_RA", *cells]
    content = build.workbook(
        {"encounters": [headers, ["A", "27001", day, *cells.values()]], "orders": [["MA_LK"], ["A"]]}
    )
    return read(content)


def test_codes_are_put_right_where_one_reading_is_possible(build: SimpleNamespace, read: Read) -> None:
    result = codes(build, read, MA_LOAI_KCB=3, MA_DOITUONG_KCB=1.1, MA_DKBD=1004, MATINH_CU_TRU=1, MA_QUOCTICH=0)
    row = result.tables["XML1"].loc[0]
    assert row["MA_LOAI_KCB"] == "03"
    assert row["MA_DOITUONG_KCB"] == "1.1"  # 1.10 is no longer in force
    assert (row["MA_DKBD"], row["MATINH_CU_TRU"], row["MA_QUOCTICH"]) == ("01004", "01", "000")
    assert result.reading["codes_repaired"] == {
        "XML1.MA_LOAI_KCB": 1,
        "XML1.MA_DOITUONG_KCB": 0,
        "XML1.MA_DKBD": 1,
        "XML1.MATINH_CU_TRU": 1,
        "XML1.MA_QUOCTICH": 1,
    }
    assert len(result.open_codes) == 0


def test_where_two_readings_are_possible_the_number_stays_and_is_told(build: SimpleNamespace, read: Read) -> None:
    result = codes(build, read, "202503010900", MA_DOITUONG_KCB=1.1)
    assert result.tables["XML1"]["MA_DOITUONG_KCB"].tolist() == ["1.1"]
    assert result.open_codes[["table", "field", "value"]].to_numpy().tolist() == [["XML1", "MA_DOITUONG_KCB", "1.1"]]


def test_codes_of_text_are_never_touched(build: SimpleNamespace, read: Read) -> None:
    result = codes(build, read, MA_LOAI_KCB="1", MA_DKBD="1004", MA_QUOCTICH="0")
    assert result.tables["XML1"].loc[0, ["MA_LOAI_KCB", "MA_DKBD", "MA_QUOCTICH"]].tolist() == ["1", "1004", "0"]
    csv = "MA_LK,MA_CSKCB,MA_LOAI_KCB\nA,27001,1\n"
    assert read(build.zip({"encounters.csv": csv, "orders.csv": ORDERS})).tables["XML1"]["MA_LOAI_KCB"].tolist() == [
        "1"
    ]
