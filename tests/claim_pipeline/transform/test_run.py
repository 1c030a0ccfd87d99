"""Extract and transform as steps on a working folder."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from claim_pipeline import extract, transform
from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import claim_xml
from claim_pipeline.workspace import Delivery, Workspace

ENCOUNTERS = {
    "MA_LK": "A",
    "MA_CSKCB": "27001",
    "MA_THE_BHYT": "DN4270000000001",
    "MA_DKBD": "27001",
    "MA_DOITUONG_KCB": "1.1",
    "MA_LOAI_KCB": "01",
    "NGAY_VAO": "202507020800",
    "NGAY_RA": "202507020900",
}
DRUG = {
    "MA_LK": "A",
    "MA_THUOC": "40.1",
    "SO_LUONG": "10",
    "DON_GIA": "1000",
    "TYLE_TT_BH": "100",
    "PHAM_VI": "1",
    "NGAY_YL": "202507020810",
}


def export(*drugs: dict[str, str]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, rows in {"encounters": (ENCOUNTERS,), "prescriptions": drugs}.items():
            lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
            archive.writestr(f"{name}.csv", "\n".join(lines))
    return memory.getvalue()


def workspace(folder: Path, content: bytes, inbox: str | None = "27001") -> Workspace:
    ws = Workspace(folder)
    ws.source.write_bytes(content)
    ws.delivery = Delivery(
        "tháng 7.bin", "0" * 64, inbox, received_at="2025-07-02T18:30:00+00:00", inbox_facility=inbox
    )
    return ws


def test_an_export_is_completed_and_written_as_claim_xml(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "ws", export(DRUG | {"STT": "7", "T_BHTT": ""}, DRUG | {"STT": " ", "T_BHTT": "1.00"}))
    extract.run(ws)
    assert (ws.delivery.status, ws.delivery.format, ws.delivery.MA_CSKCB) == ("extracted", "emr-csv", "27001")
    assert (ws.delivery.read_claims, ws.delivery.declared_claims) == (1, None)
    assert len(ws.read_frame("findings-extract")) == 0
    transform.run(ws)
    assert ws.delivery.status == "transformed"
    tables = ws.read_tables()
    assert tables["XML2"]["STT"].tolist() == ["7", "2"]
    assert tables["XML1"]["STT"].tolist() == ["1"]
    paid, left = tables["XML2"]["T_BHTT"].tolist()
    assert float(paid) > 0
    assert left == "1.00"
    written = claim_xml.read(ws.submission, inbox_facility="27001")
    assert written.created_on == "20250703"  # the day in Viet Nam
    assert len(written.findings) == 0
    for name in ("XML1", "XML2"):
        sent = tables[name].fillna("").drop(columns=["claim", "row"])
        assert written.tables[name][list(sent.columns)].fillna("").equals(sent)


def test_steps_may_run_twice(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "ws", export(DRUG))
    for _ in range(2):
        extract.run(ws)
        transform.run(ws)
    first = ws.submission.read_bytes()
    transform.run(ws)
    assert ws.submission.read_bytes() == first


def test_claim_xml_stands_for_itself(tmp_path: Path) -> None:
    made = workspace(tmp_path / "made", export(DRUG))
    extract.run(made)
    transform.run(made)
    content = made.submission.read_bytes().replace(b"'utf-8'", b'"UTF-8"')
    ws = workspace(tmp_path / "ws", content, inbox=None)
    extract.run(ws)
    assert (ws.delivery.MA_CSKCB, ws.delivery.format, ws.delivery.declared_claims) == ("27001", "xml-3176", 1)
    assert (ws.delivery.created_on, ws.delivery.signed) == ("20250703", False)
    transform.run(ws)
    assert ws.submission.read_bytes() == content
    assert ws.delivery.status == "transformed"


def test_what_cannot_be_taken_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "ws", b"no delivery")
    before = {path.name: path.read_bytes() for path in ws.folder.iterdir()}
    with pytest.raises(Quarantined):
        extract.run(ws)
    assert {path.name: path.read_bytes() for path in ws.folder.iterdir()} == before


def test_the_inbox_decides_the_facility_of_an_export(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "ws", export(DRUG), inbox="27002")
    extract.run(ws)
    assert ws.delivery.MA_CSKCB == "27002"
    assert ws.read_frame("findings-extract")["rule"].tolist() == ["STR-015"]
    ws.delivery = replace(ws.delivery, received_at="2025-07-02T01:00:00+07:00")
    transform.run(ws)
    assert claim_xml.read(ws.submission).created_on == "20250702"
    assert claim_xml.read(ws.submission).MA_CSKCB == "27002"
