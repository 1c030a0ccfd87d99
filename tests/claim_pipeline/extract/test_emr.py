"""What becomes of exports of record systems: CSV in a zip, workbooks, sound and defective."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import profile
from claim_pipeline.extract.workbooks import cell_text
from claim_rules import dictionary
from claim_rules.frames import CLAIM_COLUMNS

Read = Callable[..., Any]

ENCOUNTERS = "MA_LK,HO_TEN,NGAY_RA,MA_CSKCB\nA,Nguyễn An,202507020900,27001\nB,Trần Bình,202411020900,27001\n"
LINES = "MA_LK,STT,MA_THUOC\nA,1,40.1\nB,1,40.2\nA,2,40.3\n"


def seen(result: Any) -> list[tuple[object, ...]]:
    frame = result.findings[["claim", "rule", "severity", "table"]].astype(object)
    return [tuple(row) for row in frame.where(frame.notna(), None).to_numpy().tolist()]


def stopped(read: Read, content: bytes, **kwargs: Any) -> Quarantined:
    with pytest.raises(Quarantined) as caught:
        read(content, **kwargs)
    error = caught.value
    assert error.message_vi
    assert error.next_vi
    assert error.next_en
    return error


def test_csv_sheets_become_claim_tables(build: SimpleNamespace, read: Read) -> None:
    result = read(build.zip({"encounters.csv": ENCOUNTERS, "prescriptions.csv": LINES}), "27001")
    claims = result.tables.claims
    assert {name: str(dtype) for name, dtype in claims.dtypes.items()} == CLAIM_COLUMNS
    assert claims.to_numpy().tolist() == [[0, "A", "27001", "3176", True], [1, "B", "27001", "4750", True]]
    assert (result.format, result.MA_CSKCB, result.declared_claims) == ("emr-csv", "27001", None)
    assert (result.unknown_columns, seen(result)) == ([], [])
    lines = result.tables["XML2"]
    assert list(lines.columns) == ["claim", "row", *dictionary.table("XML2").names]
    assert lines[["claim", "row", "MA_THUOC"]].to_numpy().tolist() == [[0, 1, "40.1"], [0, 2, "40.3"], [1, 1, "40.2"]]
    assert lines["SO_LUONG"].isna().all()


def test_every_sheet_of_the_profile_has_its_table(build: SimpleNamespace, read: Read) -> None:
    sheets = {
        "prescriptions": "XML2",
        "orders": "XML3",
        "results": "XML4",
        "notes": "XML5",
        "discharge": "XML7",
        "summary": "XML8",
        "birth": "XML9",
        "referral": "XML13",
        "followup": "XML14",
    }
    result = read(build.zip({"encounters.csv": ENCOUNTERS} | {f"{name}.csv": "MA_LK\nB\n" for name in sheets}))
    assert list(result.tables.tables) == ["XML1", *sheets.values()]
    assert all(result.tables[table]["claim"].tolist() == [1] for table in sheets.values())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_usual_kinds_of_csv(build: SimpleNamespace, read: Read, delimiter: str, mark: str, end: str) -> None:
    rows = [
        ['"MA_LK"', "ho_ten", " Ngay_Ra ", "MA_CSKCB", "LY_DO_VV"],
        ["A", f'"Lê ""Tí"" {delimiter} Tèo"', "202507020900", "27001", f'"hai{end}dòng; một, hai"'],
    ]
    blank = delimiter * 4
    content = mark + end.join([*(delimiter.join(row) for row in rows), "", blank, ""])
    result = read(build.zip({"X/Encounters.CSV": content, "x/ORDERS.csv": "MA_LK\nA\n"}))
    (row,) = result.tables["XML1"].to_dict("records")
    assert (row["MA_LK"], row["HO_TEN"], row["NGAY_RA"]) == ("A", f'Lê "Tí" {delimiter} Tèo', "202507020900")
    assert row["LY_DO_VV"] == f"hai{end}dòng; một, hai"
    assert result.unknown_columns == []


def test_left_out_columns_are_absent_and_blank_cells_empty(build: SimpleNamespace, read: Read) -> None:
    lines = "MA_LK,T_BHTT,MA_THUOC\nA,,0040\nA,100,\n"
    result = read(build.zip({"encounters.csv": ENCOUNTERS, "prescriptions.csv": lines}))
    frame = result.tables["XML2"]
    assert frame["T_BHTT"].tolist() == ["", "100"]
    assert frame["MA_THUOC"].tolist() == ["0040", ""]
    assert frame["MUC_HUONG"].isna().all()


def test_unknown_sheets_and_columns_are_named(build: SimpleNamespace, read: Read) -> None:
    result = read(
        build.zip(
            {
                "export/encounters.csv": "MA_LK,TEN_PHONG,MA_CSKCB\nA,P1,27001\n",
                "export/orders.csv": "MA_LK,Người nhập,\nA,x,\n",
                "export/patients.csv": "a\n1\n",
                "export/readme.txt": "x",
                "export/~$encounters.xlsx": "x",
                "__MACOSX/export/._encounters.csv": "x",
                ".DS_Store": "x",
            }
        )
    )  # fmt: skip
    assert sorted(result.unknown_columns) == ["encounters.TEN_PHONG", "orders.Người nhập", "patients.*", "readme.txt"]


def test_a_repeated_claim_key_gives_both_claims_all_lines(build: SimpleNamespace, read: Read) -> None:
    encounters = "MA_LK,MA_CSKCB\nA,27001\nA,27001\nB,27001\n"
    result = read(build.zip({"encounters.csv": encounters, "prescriptions.csv": LINES}))
    lines = result.tables["XML2"]
    assert lines[["claim", "row", "MA_THUOC"]].to_numpy().tolist() == [
        [0, 1, "40.1"],
        [0, 2, "40.3"],
        [1, 1, "40.1"],
        [1, 2, "40.3"],
        [2, 1, "40.2"],
    ]
    assert result.tables.claims["readable"].all()


def test_a_key_repeated_beyond_reason_does_not_fill_the_memory(build: SimpleNamespace, read: Read) -> None:
    encounters = "MA_LK,MA_CSKCB\n" + "0,27001\n" * 2_000
    error = stopped(read, build.zip({"encounters.csv": encounters, "orders.csv": "MA_LK\n" + "0\n" * 2_000}))
    assert error.code == "not-a-delivery"


def test_lines_of_no_claim_are_counted_not_lost_silently(build: SimpleNamespace, read: Read) -> None:
    result = read(build.zip({"encounters.csv": ENCOUNTERS, "prescriptions.csv": LINES + "C,1,x\n,2,y\nD,1,z\n"}))
    assert seen(result) == [(None, "STR-005", "warn", "XML2")]
    (finding,) = result.findings.to_dict("records")
    assert finding["observed"] == "3"
    assert "prescriptions" in finding["detail_en"]


def test_a_claim_without_lines_or_with_two_records_is_refused(build: SimpleNamespace, read: Read) -> None:
    encounters = ENCOUNTERS + "C,Võ Cầu,202507020900,27001\n,Không Mã,202507020900,27001\n"
    result = read(
        build.zip({"encounters.csv": encounters, "prescriptions.csv": LINES, "discharge.csv": "MA_LK\nB\nB\nA\n"})
    )
    assert seen(result) == [
        (2, "STR-004", "reject_claim", None),
        (3, "STR-004", "reject_claim", None),
        (1, "STR-004", "reject_claim", "XML7"),
    ]
    assert result.tables.claims["readable"].tolist() == [True, False, False, False]
    assert result.tables.claims["MA_LK"].fillna("–").tolist() == ["A", "B", "C", "–"]


def test_the_facility_is_the_inbox_or_that_of_most_rows(build: SimpleNamespace, read: Read) -> None:
    encounters = "MA_LK,MA_CSKCB\nA,27001\nB,27002\nC,\nD,27002\n"
    content = build.zip({"encounters.csv": encounters, "orders.csv": "MA_LK\nA\nB\nC\nD\n"})
    result = read(content)
    assert result.MA_CSKCB == "27002"
    assert seen(result) == [(0, "STR-015", "reject_claim", "XML1")]
    assert result.tables.claims["readable"].all()
    result = read(content, "27001")
    assert result.tables.claims["MA_CSKCB"].unique().tolist() == ["27001"]
    assert seen(result) == [(1, "STR-015", "reject_claim", "XML1"), (3, "STR-015", "reject_claim", "XML1")]
    unknown = build.zip({"encounters.csv": "MA_LK\nA\n", "orders.csv": "MA_LK\nA\n"})
    assert stopped(read, unknown).code == "STR-001"
    assert seen(read(unknown, "27001")) == []


def test_the_decision_of_a_claim_goes_by_the_end_of_the_visit(build: SimpleNamespace, read: Read) -> None:
    days = ["202501010000", "202412312359", "202407010000", "202406302359", ""]
    encounters = "MA_LK,MA_CSKCB,NGAY_RA\n" + "".join(f"{n},27001,{day}\n" for n, day in enumerate(days))
    result = read(build.zip({"encounters.csv": encounters, "orders.csv": "MA_LK\n0\n1\n2\n3\n4\n"}))
    assert result.tables.claims["decision"].tolist() == ["3176", "4750", "4750", "130", "3176"]


def test_text_is_normalised_and_can_go_into_xml(build: SimpleNamespace, read: Read) -> None:
    encounters = "MA_LK,MA_CSKCB,HO_TEN\nA,27001,Nguye\u0302\u0303n\x0b\x00 Va\u0306n\uffff\n"
    result = read(build.zip({"encounters.csv": encounters, "orders.csv": "MA_LK\nA\n"}))
    assert result.tables["XML1"]["HO_TEN"].tolist() == ["Nguyễn Văn"]


# --- workbooks ----------------------------------------------------------------------------------------------------


def book(build: SimpleNamespace, **sheets: list[list[Any]]) -> bytes:
    content: bytes = build.workbook(
        {
            "encounters": [["MA_LK", "MA_CSKCB", "NGAY_RA"], ["A", "27001", "202507020900"]],
            "orders": [["MA_LK", "MA_DICH_VU"], ["A", "02.1"]],
        }
        | sheets
    )
    return content


def test_a_workbook_is_a_delivery(build: SimpleNamespace, read: Read) -> None:
    result = read(book(build, Ghi_chu=[["x"]]))
    assert result.format == "emr-xlsx"
    assert result.unknown_columns == ["Ghi_chu"]
    assert result.tables["XML3"]["MA_DICH_VU"].tolist() == ["02.1"]


def test_cells_of_excel_become_the_text_of_their_fields(build: SimpleNamespace, read: Read) -> None:
    headers = ["MA_LK", "MA_CSKCB", "NGAY_RA", "NGAY_VAO", "GT_THE_TU", "T_BHTT", "NAM_QT", "MA_DKBD", "LY_DO_VV"]
    rows = [
        ["A", 27001, dt.datetime(2025, 7, 2, 8), 202507010805, dt.datetime(2025, 1, 1), 12345.67, 2025, "01001", True],
        ["B", "27001", dt.date(2025, 7, 2), "202507010805", dt.datetime(2025, 1, 1, 13), 0.1 + 0.2, 2025.0, 1001, None],
        [None] * 9,
    ]  # fmt: skip
    content = book(build, encounters=[[None], headers, *rows], orders=[["MA_LK", "SO_LUONG"], ["A", 1.5], ["B", 3]])
    result = read(content)
    assert result.tables["XML1"][headers].to_numpy().tolist() == [
        ["A", "27001", "202507020800", "202507010805", "20250101", "12345.67", "2025", "01001", "1"],
        ["B", "27001", "202507020000", "202507010805", "20250101", "0.3", "2025", "01001", ""],
    ]
    assert result.tables["XML3"]["SO_LUONG"].tolist() == ["1.5", "3"]


@pytest.mark.parametrize(
    ("value", "table", "element", "text"),
    [
        (1e15, "XML2", "T_BHTT", "1000000000000000"),
        (0.001, "XML2", "SO_LUONG", "0.001"),
        (-2.50, "XML2", "SO_LUONG", "-2.5"),
        (dt.date(2025, 7, 1), "XML1", "NGAY_VAO", "202507010000"),
        (dt.datetime(2025, 7, 1, 7, 59, 59, 999999), "XML1", "NGAY_VAO", "202507010800"),
        (dt.datetime(2025, 12, 31, 23, 59, 59, 999999), "XML1", "NGAY_VAO", "202601010000"),
        (dt.datetime(2025, 7, 1), "XML1", "NGAY_TAI_KHAM", "20250701"),
        (dt.datetime(2025, 7, 1, 8, 30), "XML1", "LY_DO_VV", "202507010830"),
        (dt.time(8, 30), "XML1", "LY_DO_VV", "0830"),
    ],
)
def test_one_cell(value: object, table: str, element: str, text: str) -> None:
    assert cell_text(value, dictionary.table(table).field(element)) == text


def test_workbooks_in_a_zip_go_by_their_sheets_or_by_their_name(build: SimpleNamespace, read: Read) -> None:
    orders = build.workbook({"Sheet1": [["MA_LK"], ["A"]], "Sheet2": [["x"]]})
    whole = book(build, orders=[["MA_LK"]])
    result = read(build.zip({"t7/data.xlsx": whole.replace(b"\0\0\0\0", b"\0\0\0\0"), "t7/prescriptions.xlsx": orders}))
    assert result.format == "emr-xlsx"
    assert sorted(result.tables.tables) == ["XML1", "XML2"]
    assert result.unknown_columns == ["Sheet2"]


def test_a_worksheet_whose_cells_lie_far_apart_is_refused(build: SimpleNamespace, read: Read) -> None:
    memory = io.BytesIO()
    import xlsxwriter

    workbook = xlsxwriter.Workbook(memory, {"in_memory": True})
    sheet = workbook.add_worksheet("encounters")
    sheet.write(0, 0, "MA_LK")
    sheet.write(1_048_575, 16_383, "x")
    workbook.close()
    assert stopped(read, memory.getvalue()).code == "unreadable-sheet"


# --- what cannot be taken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"{}", b"%PDF-1.7", b"\xff\xd8\xff", b"MA_LK,STT\n1,2\n", "chữ".encode()]
)
def test_what_is_no_delivery(read: Read, content: bytes) -> None:
    assert stopped(read, content).code == "not-a-delivery"


def test_missing_sheets_are_named(build: SimpleNamespace, read: Read) -> None:
    error = stopped(read, build.zip({"prescriptions.csv": LINES, "hoso.xml": "<x/>"}))
    assert error.code == "not-a-delivery"
    assert "encounters" in error.message_en
    assert "prescriptions" in error.message_en
    assert "XML" in error.next_en
    assert stopped(read, build.zip({})).code == "not-a-delivery"


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"encounters.csv": "MA_LK,MA_CSKCB\n"}, "no rows"),
        ({"encounters.csv": ""}, "MA_LK"),
        ({"encounters.csv": "MA_CSKCB\n27001\n"}, "MA_LK"),
        ({"encounters.csv": ENCOUNTERS, "orders.csv": "STT\n1\n"}, "orders"),
        ({"encounters.csv": ENCOUNTERS, "a/Encounters.csv": ENCOUNTERS}, "twice"),
        ({"encounters.csv": ENCOUNTERS, "orders.csv": "MA_LK,STT,stt\nA,1,1\n"}, "STT"),
        ({"encounters.csv": ENCOUNTERS, "orders.csv": "MA_LK,STT\nA,1\nA,1,2\nA\n"}, "2 rows"),
        ({"encounters.csv": ENCOUNTERS, "orders.csv": 'MA_LK,STT\nA,"1\nA,2\nB,3\n'}, "quote"),
        ({"encounters.csv": ENCOUNTERS, "orders.csv": "MA_LK,TEN\nA,Đ\n".encode("cp1258")}, "UTF-8"),
    ],
)
def test_sheets_that_cannot_be_read_are_named(
    build: SimpleNamespace, read: Read, files: dict[str, str | bytes], what: str
) -> None:
    error = stopped(read, build.zip(files))
    assert error.code in ("not-a-delivery", "unreadable-sheet")
    assert what in error.message_en


def test_limits(build: SimpleNamespace, read: Read) -> None:
    content = build.zip({"encounters.csv": ENCOUNTERS, "orders.csv": "MA_LK\nA\n"})
    assert stopped(read, content, max_claims=1).code == "too-large"
    bomb = build.zip({"encounters.csv": b"0" * (3 << 20)})
    assert len(bomb) < 1 << 20
    assert stopped(read, bomb, max_unpacked_mib=2).code == "too-large"
    assert stopped(read, build.zip({f"{n}": b"" for n in range(10_001)})).code == "too-large"
    inner = build.workbook({"encounters": [["x" * 30_000]] * 40})
    assert stopped(read, build.zip({"encounters.xlsx": inner}), max_unpacked_mib=0).code == "too-large"


def test_a_password_is_told_from_damage(build: SimpleNamespace, read: Read) -> None:
    content = bytearray(build.zip({"encounters.csv": ENCOUNTERS}))
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= 1
    assert stopped(read, bytes(content)).code == "encrypted"
    compound = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)
    locked = compound + "EncryptedPackage".encode("utf-16-le")
    assert stopped(read, locked).code == "encrypted"
    assert stopped(read, build.zip({"encounters.xlsx": locked})).code == "encrypted"
    assert stopped(read, compound).code == "not-a-delivery"


def test_names_in_a_zip_are_never_places_to_write_to(build: SimpleNamespace, read: Read, tmp_path: Path) -> None:
    outside = {
        "../../encounters.csv": ENCOUNTERS,
        "/tmp/orders.csv": "MA_LK\nA\nB\n",
        "..\\..\\notes.csv": "MA_LK\nA\n",
    }
    before = set(tmp_path.rglob("*"))
    assert stopped(read, build.zip(outside)).code == "unsafe-archive"
    assert {p.name for p in set(tmp_path.rglob("*")) - before} == {"source"}


def test_a_damaged_zip_is_noticed(build: SimpleNamespace, read: Read) -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("encounters.csv", ENCOUNTERS)
        archive.writestr("orders.csv", "MA_LK\nA\nB\n")
    content = memory.getvalue()
    assert read(content).tables.claims["readable"].all()
    changed = content.replace(b"27001\nB", b"27002\nB")
    assert stopped(read, changed).code == "not-a-delivery"
    assert stopped(read, content[:-30]).code == "not-a-delivery"
    assert stopped(read, content[:60]).code == "not-a-delivery"


@given(st.data())
@settings(deadline=None)
def test_damaged_bytes_never_end_in_another_error(
    build: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    from claim_pipeline.extract import source
    from claim_pipeline.settings import Settings

    sound = [build.zip({"encounters.csv": ENCOUNTERS, "orders.csv": LINES}), book(build)]
    content = bytearray(data.draw(st.sampled_from(sound)))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.mktemp("damaged") / "source"
    path.write_bytes(bytes(content))
    try:
        found = source.read(path, inbox_facility=None, limits=Settings())
    except Quarantined:
        return
    assert found.tables.claims["claim"].is_unique


# --- profiles -----------------------------------------------------------------------------------------------------


def test_the_built_in_profile_is_the_one_of_the_contract() -> None:
    (built_in,) = [p for p in profile.profiles() if p.name == "giamdinh-v1"]
    assert {name: sheet.table for name, sheet in built_in.sheets.items()} == {
        "encounters": "XML1",
        "prescriptions": "XML2",
        "orders": "XML3",
        "results": "XML4",
        "notes": "XML5",
        "discharge": "XML7",
        "summary": "XML8",
        "birth": "XML9",
        "referral": "XML13",
        "followup": "XML14",
        "cards": "cards",
    }


HEAD = "name: x\ndescription_vi: x\ndescription_en: x\nsheets:\n"


def test_a_profile_maps_other_headers() -> None:
    found = profile.parse(
        HEAD + "  KhamBenh: {table: XML1, required: true, columns: {MA_LK: Mã hồ sơ}, official_names: false}"
    )
    sheet = found.sheets["KhamBenh"]
    assert found.claim_sheet == "KhamBenh"
    assert found.sheet("khambenh") == "KhamBenh"
    assert sheet.element(" mã hồ sơ") == "MA_LK"
    assert sheet.element("MA_LK") is None


@pytest.mark.parametrize(
    "sheets",
    [
        "  a: {table: XML2, required: true}",
        "  a: {table: XML1}",
        "  a: {table: XML1, required: true}\n  b: {table: XML99}",
        "  a: {table: XML1, required: true, columns: {NO_SUCH: x}}",
        "  a: {table: XML1, required: true, colour: red}",
        "  a: {table: XML1, required: true}\n  b: {table: XML2}\n  c: {table: XML2}",
        "  a: {table: XML1, required: true}\n  A: {table: XML2}",
    ],
)
def test_a_profile_with_a_mistake_is_refused(sheets: str) -> None:
    with pytest.raises(profile.ProfileError):
        profile.parse(HEAD + sheets)


def test_frames_hold_pandas_text(build: SimpleNamespace, read: Read) -> None:
    result = read(book(build))
    assert all(str(dtype) == "str" for dtype in result.tables["XML1"].dtypes[2:])
    assert isinstance(result.tables.unknown, pd.DataFrame)
