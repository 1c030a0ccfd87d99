"""`giamdinh convert`: claims in the layout of another decision, and what it cannot hold."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from claim_pipeline import schema
from claim_pipeline.convert import convert
from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import claim_xml
from claim_pipeline.transform.submission import write_submission
from claim_pipeline.workspace import Workspace
from claim_rules import cases, dictionary
from claim_rules.frames import ClaimTables


def base(**more: dict[str, str]) -> ClaimTables:
    """The base claim, with other texts in some tables (one row each)."""
    one = cases.base_claim()
    tables = dict(one.tables)
    for name, texts in more.items():
        names = list(dict.fromkeys((*dictionary.table(name).names, *texts)))
        row = {"claim": 0, "row": 1} | {n: texts.get(n, "") for n in names}
        given = tables.get(name)
        tables[name] = given.assign(**texts) if given is not None else pd.DataFrame([row])
    return ClaimTables(one.claims, tables)


def written(path: Path, tables: ClaimTables, decision: str = "3176") -> Path:
    write_submission(path, tables, "27001", "20250901", decision)
    return path


def test_the_referral_letter_changes_its_names_both_ways(tmp_path: Path) -> None:
    letter = {"MA_LK": "L1", "MA_CSKCB_DI": "27001", "MA_CSKCB_DEN": "01001", "TINH_TRANG_CT": "nặng"}
    new = written(tmp_path / "new.xml", base(XML13=letter))
    lost = convert(new, "4750", tmp_path / "old.xml")
    assert ["TINH_TRANG_CT" in english for _, english in lost] == [True]
    old = claim_xml.read(tmp_path / "old.xml").tables
    assert old["XML13"][["MA_NOI_DI", "MA_NOI_DEN"]].to_numpy().tolist() == [["27001", "01001"]]
    assert old.claims["decision"].tolist() == ["4750"]
    assert convert(tmp_path / "old.xml", "3176", tmp_path / "again.xml") == []
    again = claim_xml.read(tmp_path / "again.xml").tables
    assert again["XML13"][["MA_CSKCB_DI", "MA_CSKCB_DEN"]].to_numpy().tolist() == [["27001", "01001"]]


def test_what_130_lacks_is_listed_in_both_languages(tmp_path: Path) -> None:
    new = written(tmp_path / "new.xml", base(XML1={"NHOM_MAU": "O"}, XML14={"MA_LK": "L1"}))
    lost = convert(new, "130", tmp_path / "old.xml")
    assert any("NHOM_MAU" in vi and "130" in vi for vi, _ in lost)
    assert any(english.startswith("XML14: Decision 130") for _, english in lost)
    old = claim_xml.read(tmp_path / "old.xml").tables
    assert "XML14" not in old
    assert old["XML1"]["NHOM_MAU"].isna().all()


def test_an_appointment_keeps_its_day(tmp_path: Path) -> None:
    old = written(tmp_path / "old.xml", base(XML14={"MA_LK": "L1", "NGAY_HEN_KL": "202509150800"}), "4750")
    lost = convert(old, "3176", tmp_path / "new.xml")
    assert any("NGAY_HEN_KL" in english and "time" in english for _, english in lost)
    assert claim_xml.read(tmp_path / "new.xml").tables["XML14"]["NGAY_HEN_KL"].tolist() == ["20250915"]


def test_the_same_layout_loses_nothing(tmp_path: Path) -> None:
    one = written(tmp_path / "one.xml", base())
    assert convert(one, "3176", tmp_path / "two.xml") == []
    assert (tmp_path / "two.xml").read_bytes() == one.read_bytes()


def test_claims_of_4210_get_the_newer_elements_and_codes(tmp_path: Path) -> None:
    head = (
        "<TONG_HOP><MA_LK>A</MA_LK><MA_THE>GD4270000000001</MA_THE><MA_LOAI_KCB>1</MA_LOAI_KCB><T_TONGCHI>30.00"
        "</T_TONGCHI><MA_LYDO_VVIEN>3</MA_LYDO_VVIEN><MA_CSKCB>27001</MA_CSKCB></TONG_HOP>"
    )
    lines = (
        "<DSACH_CHI_TIET_DVKT><CHI_TIET_DVKT><MA_LK>A</MA_LK><SO_LUONG>3</SO_LUONG><DON_GIA>10</DON_GIA><TYLE_TT>50"
        "</TYLE_TT><THANH_TIEN>30.00</THANH_TIEN><T_NGOAIDS>1</T_NGOAIDS><MA_PTTT>0</MA_PTTT></CHI_TIET_DVKT>"
        "</DSACH_CHI_TIET_DVKT>"
    )
    files = "".join(
        f"<FILEHOSO><LOAIHOSO>{n}</LOAIHOSO><NOIDUNGFILE>{base64.b64encode(t.encode()).decode()}</NOIDUNGFILE></FILEHOSO>"
        for n, t in (("XML1", head), ("XML3", lines))
    )
    (tmp_path / "old.xml").write_text(
        f"<GIAMDINHHS><THONGTINDONVI><MACSKCB>27001</MACSKCB></THONGTINDONVI><THONGTINHOSO><SOLUONGHOSO>1</SOLUONGHOSO>"
        f"<DANHSACHHOSO><HOSO>{files}</HOSO></DANHSACHHOSO></THONGTINHOSO></GIAMDINHHS>"
    )
    lost = convert(tmp_path / "old.xml", "3176", tmp_path / "new.xml")
    named = {english.split(":")[0].split(" ")[0] for _, english in lost}
    assert named >= {"XML1.MA_LYDO_VVIEN", "XML3.T_NGOAIDS"}
    new = claim_xml.read(tmp_path / "new.xml").tables
    one = new["XML1"].iloc[0]
    assert (one["MA_THE_BHYT"], one["MA_LOAI_KCB"], one["T_TONGCHI_BV"], one["MA_DOITUONG_KCB"]) == (
        "GD4270000000001",
        "01",
        "30.00",
        "",
    )
    line = new["XML3"].iloc[0]
    wanted = {"DON_GIA_BV": "10", "DON_GIA_BH": "10", "TYLE_TT_BH": "50", "THANH_TIEN_BV": "30.00", "MA_PTTT": "1"}
    assert {name: line[name] for name in wanted} == wanted
    assert line["THANH_TIEN_BH"] == "15.00"


@pytest.mark.parametrize("size", [1, 2_000])
def test_many_claims_go_into_one_file_or_one_into_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    one = base(XML1={"NHOM_MAU": "O"})
    tables = {
        name: pd.concat([frame.assign(claim=at, MA_LK=f"L{at}") for at in range(3)], ignore_index=True)
        for name, frame in one.items()
    }
    claims = pd.concat([one.claims.assign(claim=at, MA_LK=f"L{at}") for at in range(3)], ignore_index=True)
    source = written(tmp_path / "three.xml", ClaimTables(claims, tables))
    chunks = Workspace.chunks
    monkeypatch.setattr(Workspace, "chunks", lambda ws, **more: chunks(ws, size, **more))
    lost = convert(source, "130", tmp_path / "all.xml")
    assert [english for _, english in lost if "NHOM_MAU" in english and ": Decision 130" in english]
    assert sum("3 values" in english for _, english in lost if "NHOM_MAU" in english) == 1
    assert claim_xml.read(tmp_path / "all.xml").tables.claims["MA_LK"].tolist() == ["L0", "L1", "L2"]
    assert convert(source, "130", tmp_path / "each", one_per_file=True) == lost
    files = sorted((tmp_path / "each").iterdir())
    assert [file.name for file in files] == ["hoso-000001.xml", "hoso-000002.xml", "hoso-000003.xml"]
    for number, file in enumerate(files):
        found = claim_xml.read(file)
        assert (found.declared_claims, found.tables.claims["MA_LK"].tolist()) == (1, [f"L{number}"])
        assert list(schema.judge_submission(file, "130")) == []


def test_a_file_without_a_readable_claim_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello")
    with pytest.raises(Quarantined):
        convert(tmp_path / "x", "3176", tmp_path / "y")
    assert not (tmp_path / "y").exists()


def test_the_command_writes_and_tells(tmp_path: Path) -> None:
    new = written(tmp_path / "new.xml", base(XML1={"NHOM_MAU": "O"}))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "giamdinh", "convert", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run(str(new), "--to", "130", "--out", str(tmp_path / "old.xml"))
    assert (done.returncode, done.stdout) == (0, "")
    assert "NHOM_MAU" in done.stderr
    assert claim_xml.read(tmp_path / "old.xml").tables.claims["readable"].all()
    assert run(str(tmp_path / "none.xml"), "--to", "130", "--out", str(tmp_path / "z.xml")).returncode == 2
    (tmp_path / "bad").write_bytes(b"hello")
    assert run(str(tmp_path / "bad"), "--to", "130", "--out", str(tmp_path / "z.xml")).returncode == 2
