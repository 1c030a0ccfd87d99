"""Claim XML judged by the XML Schemas: what we write always passes, also by the judgement of xmllint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pybase64
import pytest
from lxml import etree

from claim_pipeline import extract, schema, transform, validate
from claim_pipeline.transform.submission import table_documents, write_submission
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules import cases, dictionary, engine, schemas
from claim_rules.dictionary import DECISIONS
from claim_rules.expectations import Expectation, expectation
from claim_rules.frames import CLAIM_COLUMNS, ClaimTables
from claim_simulator import simulate

ROOT = Path(__file__).parents[2]
XSD = Path(schemas.__file__).parent / "xsd"


def table_files(submission: Path) -> Iterator[tuple[str, bytes]]:
    """(table, document) of every FILEHOSO, by a plain reading."""
    for file in etree.parse(str(submission)).getroot().iter("FILEHOSO"):
        yield str(file.findtext("LOAIHOSO")), pybase64.b64decode(str(file.findtext("NOIDUNGFILE")))


def xmllint(name: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = ["xmllint", "--noout", "--nonet", "--huge", "--schema", str(XSD / f"{name}.xsd"), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> list[Workspace]:
    """Every delivery of simulated hospitals without faults, read and written as the pipeline does."""
    return prepared(tmp_path_factory.mktemp("good"), fault_rate=0)


def prepared(folder: Path, *, fault_rate: float) -> list[Workspace]:
    simulate(facilities=6, claims=25, month="202607", fault_rate=fault_rate, seed=11, out=folder / "stage")
    found = []
    for number, path in enumerate(sorted((folder / "stage" / "inbox").glob("*/*"))):
        ws = Workspace(folder / f"ws-{number}")
        ws.source.write_bytes(path.read_bytes())
        ws.delivery = Delivery(
            path.name,
            "0" * 64,
            path.parent.name,
            received_at="2026-08-05T10:00:00+07:00",
            inbox_facility=path.parent.name,
        )
        extract.run(ws)
        transform.run(ws)
        found.append(ws)
    return found


def decisions_of(ws: Workspace) -> list[str]:
    return [str(decision) for decision in ws.read_frame("claims")["decision"]]


def test_every_simulated_delivery_is_written_as_the_schemas_want_it(workspaces: list[Workspace]) -> None:
    formats, tables = set(), set()
    for ws in workspaces:
        assert list(schema.judge_submission(ws.submission, decisions_of(ws))) == []
        assert list(schema.judge_workspace(ws)) == []
        assert list(schema.judge_tables(ws.read_tables())) == []
        formats.add(ws.delivery.format)
        tables |= {name for name, _ in table_files(ws.submission)}
    assert len(formats) > 1
    assert {"XML1", "XML2", "XML3", "XML4", "XML5", "XML7", "XML8"} <= tables


def test_xmllint_accepts_every_simulated_delivery(workspaces: list[Workspace], tmp_path: Path) -> None:
    done = xmllint("GIAMDINHHS", *(ws.submission for ws in workspaces))
    assert done.returncode == 0, done.stderr
    written: dict[str, list[Path]] = {}
    for ws in workspaces:
        assert set(decisions_of(ws)) == {"3176"}
        for name, document in table_files(ws.submission):
            path = tmp_path / f"{name}-{len(written.get(name, []))}.xml"
            path.write_bytes(document)
            written.setdefault(name, []).append(path)
    for name, paths in written.items():
        done = xmllint(f"3176/{name}", *paths)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(" validates\n") == len(paths)


@pytest.mark.parametrize("decision", ["own", "130", "4750", "3176"])
def test_the_worked_base_claim_is_accepted_in_every_layout(decision: str, tmp_path: Path) -> None:
    tables = cases.base_claim()
    own = str(tables.claims["decision"].iloc[0])
    path = tmp_path / "submission.xml"
    write_submission(path, tables, "27001", "20260715", None if decision == "own" else decision)
    layout = own if decision == "own" else decision
    faults = [
        fault
        for fault in schema.judge_submission(path, layout)
        # What a layout calls otherwise or has besides is for the conversion to fill, not for the writer.
        if decision == "own" or fault.field in tables[fault.table].columns
    ]
    assert faults == []
    assert xmllint("GIAMDINHHS", path).returncode == 0
    if decision == "own":
        for name, document in table_files(path):
            (tmp_path / f"{name}.xml").write_bytes(document)
            done = xmllint(f"{own}/{name}", tmp_path / f"{name}.xml")
            assert done.returncode == 0, done.stderr


def good(expected: Expectation, length: int | None) -> str:
    if expected.codes:
        return expected.codes[0]
    day = {"date8": "20260715", "date8|datetime12": "20260715", "birth8": "1985"}
    values = day | {"datetime12": "202607150830", "birth": "198500000000", "number": "1", "integer": "1"}
    return values.get(expected.form, "Tê")[:length]


def full_table(name: str, decision: str, rows: int) -> pd.DataFrame:
    """A table with a good value in every field."""
    layout = dictionary.table(name, decision)
    frame = pd.DataFrame({"claim": [0] * rows, "row": range(1, rows + 1)})
    for field in layout.fields:
        frame[field.name] = pd.Series([good(expectation(name, decision, field), field.max_length)] * rows, dtype="str")
    return frame


@pytest.mark.parametrize("decision", DECISIONS)
def test_every_table_of_every_decision_is_written_as_its_schema_wants_it(decision: str, tmp_path: Path) -> None:
    for name, layout in dictionary.tables(decision).items():
        frame = full_table(name, decision, 3 if layout.row_element else 1)
        ((_, text),) = table_documents(frame, layout)
        assert schema.judge(text.encode(), name, decision) == []
        assert schema.judge(etree.fromstring(text), name, decision) == []
        path = tmp_path / f"{name}.xml"
        path.write_text(text, "utf-8")
        done = xmllint(f"{decision}/{name}", path)
        assert done.returncode == 0, done.stderr
        # An empty list, as it is sent for a table without rows, is allowed too; so is nothing else.
        bare = etree.Element(layout.root)
        if layout.row_element:
            if layout.list_element:
                etree.SubElement(bare, layout.list_element)
            assert schema.judge(bare, name, decision) == []
        else:
            assert schema.judge(bare, name, decision)


def document(name: str, rows: int = 2) -> etree._Element:
    layout = dictionary.table(name)
    ((_, text),) = table_documents(full_table(name, "3176", rows), layout)
    return etree.fromstring(text)


def test_a_fault_says_where_what_and_what_is_allowed() -> None:
    root = document("XML2")
    (row,) = root.xpath("//CHI_TIET_THUOC[2]")
    row.find("SO_LUONG").text = "1,5"
    row.find("PHAM_VI").text = "9"
    row.find("MA_THUOC").text = ""
    thuoc, pham_vi, so_luong = schema.judge(root, "XML2", "3176", claim=4)
    assert (so_luong.schema, so_luong.claim, so_luong.table) == ("3176/XML2", 4, "XML2")
    assert (so_luong.row, so_luong.field, so_luong.value) == (2, "SO_LUONG", "1,5")
    assert "tối đa 3 số lẻ" in so_luong.allowed_vi
    assert "at most 3 decimals" in so_luong.allowed_en
    assert (pham_vi.field, pham_vi.value) == ("PHAM_VI", "9")
    assert pham_vi.allowed_en.endswith("one of 1, 2, 3")
    assert (thuoc.field, thuoc.value) == ("MA_THUOC", "")
    assert "bắt buộc" in thuoc.allowed_vi


def test_what_identifies_a_person_is_masked_and_what_is_long_is_cut() -> None:
    root = document("XML1", 1)
    root.find("HO_TEN").text = "Trần Văn Thử " * 40
    root.find("MA_THE_BHYT").text = "DN4" + "0" * 3000
    root.find("CHAN_DOAN_VAO").text = "ho " * 4000
    layout = dictionary.table("XML1")
    for fault in schema.judge(root, "XML1", "3176"):
        assert fault.field in ("HO_TEN", "MA_THE_BHYT", "CHAN_DOAN_VAO")
        assert "Thử" not in fault.value
        assert "000" not in fault.value
        assert len(fault.value) <= 101
    assert schema.judge(root, "XML1", "3176")[0].field == "HO_TEN"
    root = etree.fromstring(schema_text("4210"))
    root.find("HO_TEN").text = "Trần Văn Thử " * 40
    (fault,) = schema.judge(root, "XML1", "4210")
    assert (fault.field, fault.value) == ("HO_TEN", "********")
    assert layout.field("HO_TEN").personal


def schema_text(decision: str) -> str:
    ((_, text),) = table_documents(full_table("XML1", decision, 1), dictionary.table("XML1", decision))
    return text


def test_the_shape_is_told_and_the_values_are_judged_all_the_same() -> None:
    root = document("XML2")
    (row,) = root.xpath("//CHI_TIET_THUOC[1]")
    row.remove(row.find("MA_NHOM"))
    row.append(row.find("TEN_THUOC"))
    etree.SubElement(row, "MOI").text = "x"
    etree.SubElement(row, "STT").text = "7"
    row.find("NGAY_YL").text = "202602300800"
    found = {(fault.row, fault.field): fault.allowed_en for fault in schema.judge(root, "XML2", "3176")}
    assert found.keys() == {(1, "MA_NHOM"), (1, "TEN_THUOC"), (1, "MOI"), (1, "STT"), (1, "NGAY_YL")}
    assert found[1, "MA_NHOM"] == "the element must stand, empty without a value"
    assert found[1, "TEN_THUOC"] == "the element stands out of order"
    assert found[1, "MOI"] == "the table has no such element"
    assert found[1, "STT"] == "the element stands once in a row"
    assert "form yyyymmddHHMM" in found[1, "NGAY_YL"]


@pytest.mark.parametrize("content", [b"<TONG_HOP>", b"", b"<KHAC/>", "<TONG_HOP/>".encode("utf-16")])
def test_a_document_of_another_kind_is_a_fault_not_an_error(content: bytes) -> None:
    assert schema.judge(content, "XML1", "3176")


def test_an_envelope_of_another_shape_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "submission.xml"
    write_submission(path, cases.base_claim(), "27001", "20260715")
    whole = path.read_bytes()
    for old, new, field in (
        (b"<LOAIHOSO>XML3<", b"<LOAIHOSO>XML33<", "LOAIHOSO"),
        (b"<NGAYLAP>20260715<", b"<NGAYLAP>15/07/2026<", "NGAYLAP"),
        (b"<HOSO>", b"<HOSO><THEM/>", "THEM"),
    ):
        path.write_bytes(whole.replace(old, new, 1))
        (fault,) = schema.judge_submission(path, "3176")
        assert (fault.schema, fault.claim, fault.field) == ("GIAMDINHHS", None, field)
        assert xmllint("GIAMDINHHS", path).returncode != 0
    for cut in (whole[:-20], whole[:3000], whole.replace(b"</HOSO>", b"</HOS>"), b"<KHAC/>", b""):
        path.write_bytes(cut)
        assert "XML well-formed to its end, with the root GIAMDINHHS" in {
            fault.allowed_en for fault in schema.judge_submission(path, "3176")
        }


def places_of_rules(ws: Workspace) -> set[tuple[int, str, int, str]]:
    """Places that the rules name: some faults of a field are theirs to tell."""
    given = ws.read_frame("findings-validate")
    found = engine.run(ws.read_tables(), {}, given=given).findings
    found = found[found["claim"].notna() & found["field"].notna()]
    rows = found["row"].fillna(1)
    return set(zip(found["claim"], found["table"], rows, found["field"], strict=True))


def test_faults_of_received_claims_are_those_that_the_everyday_check_finds(tmp_path: Path) -> None:
    """On hospitals' files with planted faults, both name the same places; what depends on the day is the check's."""
    rules = ("STR-006", "STR-012", "STR-013", "DICT-001", "DICT-002", "DICT-003", "DICT-004")
    total = 0
    for ws in prepared(tmp_path, fault_rate=0.5):
        validate.run(ws)
        found = ws.read_frame("findings-validate")
        found = found[found["rule"].isin(rules)]
        checked = set(found[["claim", "table", "row", "field"]].itertuples(index=False, name=None))
        judged = {(fault.claim, fault.table, fault.row, fault.field) for fault in schema.judge_tables(ws.read_tables())}
        readable = set(ws.read_frame("claims").query("readable")["claim"])
        judged = {place for place in judged if place[0] in readable}
        assert judged <= checked | places_of_rules(ws)
        for claim, table, row, field in checked - judged:
            assert dated(table, field), (claim, table, row, field)
        total += len(judged)
    assert total > 0


def dated(table: str, field: str) -> bool:
    """Whether what is allowed there depends on the day; or on other fields, as the birth of a newborn."""
    known = dictionary.table(table).field(field)
    codes = dictionary.code_list(known.code_list).codes if known.code_list else ()
    return any(c.valid_from or c.valid_to for c in codes) or field in ("MUC_HUONG", "NGAY_SINH")


def test_each_schema_is_compiled_once_whoever_asks_first() -> None:
    names = ["3176/XML1", "3176/XML2", "4210/XML1"] * 8
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(schema.schema, names))
    assert len({id(one) for one in found}) == 3
    with pytest.raises(KeyError):
        schema.schema("130/XML15")


def test_threads_do_not_take_each_others_faults() -> None:
    texts = []
    for number in range(24):
        root = document("XML2", 1)
        if number % 2:
            root.find(".//SO_LUONG").text = f"x{number}"
        texts.append(etree.tostring(root))
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda text: schema.judge(text, "XML2", "3176"), texts))
    for number, faults in enumerate(found):
        assert [fault.value for fault in faults] == ([f"x{number}"] if number % 2 else [])


# --- on request -------------------------------------------------------------------------------------------------------


def giamdinh(*words: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    command = [sys.executable, "-m", "giamdinh", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A claim file with a code of no list, and without an element that may be empty."""
    tables = cases.base_claim()
    tables["XML1"]["MA_TAI_NAN"] = pd.Series(["77"], dtype="str")
    path = tmp_path / "sai.xml"
    write_submission(path, tables, "27001", "20260715")
    content = path.read_bytes()
    for name, text in table_files(path):
        if name == "XML1":
            less = text.replace(b"<DU_PHONG></DU_PHONG>", b"")
            assert less != text
            content = content.replace(pybase64.b64encode(text), pybase64.b64encode(less))
    path.write_bytes(content)
    return path


def test_check_adds_the_faults_under_a_key_of_their_own(faulty: Path) -> None:
    plain = giamdinh("check", faulty, "--format", "json")
    done = giamdinh("check", faulty, "--format", "json", "--schema")
    assert done.returncode == plain.returncode, done.stderr
    report = json.loads(done.stdout)
    told = {name: report.pop(name) for name in ("schema_fault_count", "schema_faults")}
    assert report == json.loads(plain.stdout)
    assert [f["field"] for f in report["claims"][0]["findings"] if f["rule"] == "DICT-004"] == ["MA_TAI_NAN"]
    assert told["schema_fault_count"] == 2
    code, missing = told["schema_faults"]
    assert code["MA_LK"] == report["claims"][0]["MA_LK"]
    assert (code["schema"].split("/")[1], code["table"], code["row"]) == ("XML1", "XML1", 1)
    assert (code["field"], code["value"]) == ("MA_TAI_NAN", "77")
    assert code["allowed_vi"].endswith("một trong 1, 2, 3, 4, 5, 6, 7, 8")
    assert code["allowed_en"].endswith("one of 1, 2, 3, 4, 5, 6, 7, 8")
    assert missing["field"] == "DU_PHONG"


def test_check_tells_people_the_number_and_the_first_ones(faulty: Path, tmp_path: Path) -> None:
    done = giamdinh("check", faulty, "--schema")
    assert "Lỗi so với lược đồ XSD / Faults against the XML Schema: 2" in done.stdout
    assert "MA_TAI_NAN: '77'" in done.stdout
    page = giamdinh("check", faulty, "--schema", "--format", "html", "--out", tmp_path / "r.html")
    assert "Faults against the XML Schemas: 2." in page.stderr


def test_an_export_is_judged_as_it_would_be_sent_and_what_is_not_taken_is_not_judged(
    workspaces: list[Workspace], tmp_path: Path
) -> None:
    export = next(ws for ws in workspaces if ws.delivery.format == "emr-csv")
    path = tmp_path / "thang7.zip"
    path.write_bytes(export.source.read_bytes())
    report = json.loads(giamdinh("check", path, "--schema", "--format", "json").stdout)
    assert (report["schema_fault_count"], report["schema_faults"]) == (0, [])
    broken = tmp_path / "hong.xml"
    broken.write_text("<GIAMDINHHS><HOSO>", "utf-8")
    done = giamdinh("check", broken, "--schema", "--format", "json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["schema_faults"] is None


def test_documents_as_they_are_met_are_judged_too(tmp_path: Path) -> None:
    """Table XML that stands open in NOIDUNGFILE, in CDATA, or in base64 with line breaks."""
    path = tmp_path / "submission.xml"
    write_submission(path, cases.base_claim(), "27001", "20260715")
    content = path.read_bytes()
    (text,) = [document for name, document in table_files(path) if name == "XML1"]
    code = pybase64.b64encode(text)
    assert code in content
    faulty = text.replace(b"<MA_TAI_NAN></MA_TAI_NAN>", b"<MA_TAI_NAN>77</MA_TAI_NAN>")
    assert faulty != text
    for inside in (
        faulty,
        b"<![CDATA[" + faulty + b"]]>",
        b"\n".join(pybase64.b64encode(faulty)[at : at + 76] for at in range(0, len(code) + 99, 76)),
        pybase64.b64encode(b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-16'?>" + faulty),
    ):
        path.write_bytes(content.replace(code, inside))
        found = [fault.field for fault in schema.judge_submission(path, "3176") if fault.table == "XML1"]
        assert found == ["MA_TAI_NAN"]


def test_a_delivery_in_base64_once_more_is_judged_as_what_it_holds(faulty: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    ws.source.write_bytes(pybase64.encodebytes(faulty.read_bytes()))
    ws.write_tables(cases.base_claim())
    ws.delivery = Delivery("sai.txt", "0" * 64, "27001", format="xml-3176")
    assert [fault.field for fault in schema.judge_workspace(ws)] == ["MA_TAI_NAN", "DU_PHONG"]


def test_claims_of_several_decisions_are_each_judged_by_their_own(tmp_path: Path) -> None:
    claims = pd.DataFrame(
        {
            "claim": [0, 1],
            "MA_LK": ["A", "B"],
            "MA_CSKCB": "27001",
            "decision": ["4750", "3176"],
            "readable": True,
        }
    ).astype(CLAIM_COLUMNS)
    frame = pd.concat([full_table("XML4", "4750", 1), full_table("XML4", "3176", 1).assign(claim=1)], ignore_index=True)
    frame["MA_DICH_VU"] = "x" * 30  # 15 characters until 3176
    tables = ClaimTables(claims, {"XML4": frame})
    (fault,) = schema.judge_tables(tables)
    assert (fault.claim, fault.schema, fault.field) == (0, "4750/XML4", "MA_DICH_VU")
    write_submission(tmp_path / "x.xml", tables, "27001", "20260715")
    assert list(schema.judge_submission(tmp_path / "x.xml", ["4750", "3176"])) == [fault]
