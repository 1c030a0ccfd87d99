"""Claims of Decision 4210 from the file to the report. All people are invented."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from claim_pipeline import steps
from claim_rules import dictionary

HEAD = {
    "MA_LK": "A1", "STT": "1", "MA_BN": "1", "HO_TEN": "Trần Thị Thử", "NGAY_SINH": "19800101", "GIOI_TINH": "2",
    "DIA_CHI": "Thôn 1", "MA_THE": "GD4270000000001", "MA_DKBD": "27001", "GT_THE_TU": "20240101",
    "GT_THE_DEN": "20241231", "TEN_BENH": "Viêm họng", "MA_BENH": "J02", "MA_LYDO_VVIEN": "1",
    "NGAY_VAO": "202403040800", "NGAY_RA": "202403041000", "SO_NGAY_DTRI": "1", "KET_QUA_DTRI": "1",
    "TINH_TRANG_RV": "1", "NGAY_TTOAN": "202403041000", "T_THUOC": "30000.00", "T_VTYT": "0.00",
    "T_TONGCHI": "30000.00", "T_BNTT": "0.00", "T_BNCCT": "6000.00", "T_BHTT": "24000.00", "T_NGUONKHAC": "0.00",
    "T_NGOAIDS": "0.00", "NAM_QT": "2024", "THANG_QT": "3", "MA_LOAI_KCB": "1", "MA_KHOA": "K01", "MA_CSKCB": "27001",
}  # fmt: skip
LINE = {
    "MA_LK": "A1", "STT": "1", "MA_THUOC": "40.30", "MA_NHOM": "4", "TEN_THUOC": "Thuốc", "DON_VI_TINH": "Viên",
    "PHAM_VI": "1", "TYLE_TT": "100", "SO_LUONG": "10.000", "DON_GIA": "3000.000", "THANH_TIEN": "30000.00",
    "MUC_HUONG": "80", "T_NGUON_KHAC": "0.00", "T_BNTT": "0.00", "T_BHTT": "24000.00", "T_BNCCT": "6000.00",
    "T_NGOAIDS": "0.00", "MA_KHOA": "K01", "MA_BAC_SI": "001/BN", "MA_BENH": "J02", "NGAY_YL": "202403040830",
    "MA_PTTT": "0",
}  # fmt: skip


def document(name: str, row: dict[str, str]) -> str:
    table = dictionary.table(name, "4210")
    order = {field: row.get(field, "") for field in table.names} | row
    fields = "".join(f"<{field}>{value}</{field}>" for field, value in order.items())
    if table.row_element:
        fields = f"<{table.row_element}>{fields}</{table.row_element}>"
    return base64.b64encode(f"<{table.root}>{fields}</{table.root}>".encode()).decode()


def old_file(path: Path, head: dict[str, str], line: dict[str, str]) -> Path:
    files = "".join(
        f"<FILEHOSO><LOAIHOSO>{name}</LOAIHOSO><NOIDUNGFILE>{document(name, row)}</NOIDUNGFILE></FILEHOSO>"
        for name, row in (("XML1", head), ("XML2", line))
    )
    path.write_text(
        "<GIAMDINHHS><THONGTINDONVI><MACSKCB>27001</MACSKCB></THONGTINDONVI><THONGTINHOSO><NGAYLAP>20240305</NGAYLAP>"
        f"<SOLUONGHOSO>1</SOLUONGHOSO><DANHSACHHOSO><HOSO>{files}</HOSO></DANHSACHHOSO></THONGTINHOSO><CHUKYDONVI/>"
        "</GIAMDINHHS>"
    )
    return path


def report_of(path: Path) -> dict[str, Any]:
    with steps.check(path, {}, None) as checked:
        found: dict[str, Any] = json.loads(checked.ws.report.read_text("utf-8"))
    return found


def test_a_sound_claim_is_appraised_by_the_rules_that_it_has_fields_for(tmp_path: Path) -> None:
    report = report_of(old_file(tmp_path / "cu.xml", HEAD, LINE))
    assert report["delivery"]["format"] == "xml-4210"
    assert [(f["rule"], f["field"], f["observed"]) for f in report["claims"][0]["findings"]] == []
    assert report["claims"][0]["outcome"] == "accepted"
    assert (report["totals"]["requested"], report["totals"]["approved"]) == ("24000.00", "24000.00")
    assert {"CARD-001", "CARD-008", "TIME-001", "TIME-002", "DUP-001"} <= set(report["rules_run"])
    skipped = {rule["rule"]: rule["needs"] for rule in report["skipped_rules"]}
    assert skipped["BEN-001"] == "Decision 130, 4750, 3176"
    assert not {rule for rule, needs in skipped.items() if needs.startswith("Decision")} & set(report["rules_run"])


@pytest.mark.parametrize(
    ("head", "line", "expected"),
    [
        ({"GT_THE_DEN": "20240303"}, {}, ("CARD-008", "XML1", "GT_THE_DEN", "rejected")),
        ({"MA_THE": "GD42700"}, {}, ("CARD-001", "XML1", "MA_THE_BHYT", "rejected")),
        ({"NGAY_RA": "202403040700", "NGAY_TTOAN": ""}, {}, ("TIME-001", "XML1", "NGAY_RA", "rejected")),
        ({}, {"NGAY_YL": "202403050830"}, ("TIME-002", "XML2", "NGAY_YL", "adjusted")),
        ({"MA_LOAI_KCB": "9"}, {}, ("DICT-004", "XML1", "MA_LOAI_KCB", "accepted")),
        ({}, {"MA_PTTT": "9"}, ("DICT-004", "XML2", "MA_PTTT", "accepted")),
        ({"MA_BENH": ""}, {}, ("DICT-001", "XML1", "MA_BENH", "accepted")),
        ({"T_TONGCHI": "30,000"}, {}, ("STR-013", "XML1", "T_TONGCHI", "rejected")),
    ],
)
def test_a_fault_is_found_by_the_dictionary_of_4210_or_by_a_rule(
    tmp_path: Path, head: dict[str, str], line: dict[str, str], expected: tuple[str, ...]
) -> None:
    claim = report_of(old_file(tmp_path / "cu.xml", HEAD | head, LINE | line))["claims"][0]
    assert expected in [(f["rule"], f["table"], f["field"], claim["outcome"]) for f in claim["findings"]]


def test_the_card_of_an_old_claim_is_masked(tmp_path: Path) -> None:
    long = "GD4270000000001" * 20
    claim = report_of(old_file(tmp_path / "cu.xml", HEAD | {"MA_THE": long}, LINE))["claims"][0]
    assert "270000000001" not in json.dumps(claim)


def test_an_old_claim_of_a_visit_after_its_time_is_a_warning(tmp_path: Path) -> None:
    dates = {"NGAY_VAO": "202503040800", "NGAY_RA": "202503041000", "GT_THE_DEN": "20251231"}
    claim = report_of(old_file(tmp_path / "cu.xml", HEAD | dates, LINE | {"NGAY_YL": "202503040830"}))["claims"][0]
    assert [(f["rule"], f["severity"]) for f in claim["findings"]] == [("DICT-005", "warn")]
