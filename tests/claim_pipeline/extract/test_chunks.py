"""Claim XML read chunk by chunk gives what reading it in one piece gives."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from claim_pipeline import extract
from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import claim_xml
from claim_pipeline.workspace import Delivery, Workspace


def wild(build: SimpleNamespace) -> bytes:
    """Claims of three decisions, of another facility, with unknown elements, broken and complete; MACSKCB last."""
    old = build.file("XML1", "<TONG_HOP><MA_LK>OLD</MA_LK><MA_THE>X</MA_THE><MA_CSKCB>27001</MA_CSKCB></TONG_HOP>")
    strange = build.file("XML3", build.table("XML3", {"MA_LK": "D", "LA": "1"}, {"LA": "2"}))
    away = build.file("XML1", build.table("XML1", build.general("E", MA_CSKCB="01001", LA="3")))
    claims = (
        build.hoso("A"),
        f"<HOSO>{old}{build.file('XML2', build.table('XML2', {'MA_LK': 'OLD'}))}</HOSO>",
        build.hoso("C", build.file("XML4", "<CHITIEU>")),
        build.hoso("D", strange),
        f"<HOSO>{away}{strange}</HOSO>",
        build.hoso("F", build.file("XML99", "")),
    )
    told = "<THONGTINDONVI><MACSKCB>27001</MACSKCB></THONGTINDONVI>"
    content: bytes = build.envelope(*claims, declared=5)
    return content.replace(told.encode(), b"").replace(b"<CHUKYDONVI", told.encode() + b"<CHUKYDONVI")


def extracted(folder: Path, content: bytes) -> Workspace:
    ws = Workspace(folder)
    ws.source.write_bytes(content)
    ws.delivery = Delivery(file="f.xml", sha256="0" * 64)
    extract.run(ws)
    return ws


@pytest.mark.parametrize("packed", [False, True])
def test_the_size_of_a_chunk_changes_nothing(
    build: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    content = wild(build)
    assert content.count(b"MACSKCB>") == 2
    if packed:
        content = build.zip({"1.xml": content, "2.xml": wild(build)})
    whole = extracted(tmp_path / "whole", content)
    monkeypatch.setattr(claim_xml, "CHUNK_CLAIMS", 1)
    one = extracted(tmp_path / "one", content)
    assert one.delivery == whole.delivery
    assert whole.delivery.read_claims == (12 if packed else 6)
    assert whole.delivery.unknown_columns == ["XML1.LA", "XML3.LA"]
    names = sorted(path.name for path in whole.folder.glob("*.parquet"))
    assert sorted(path.name for path in one.folder.glob("*.parquet")) == names
    assert {"XML1.parquet", "XML3.parquet", "claims.parquet", "findings-extract.parquet", "unknown.parquet"} < set(
        names
    )
    for name in names:
        pd.testing.assert_frame_equal(pd.read_parquet(one.folder / name), pd.read_parquet(whole.folder / name))
    assert one.read_frame("claims")["MA_CSKCB"].unique().tolist() == ["27001"]
    assert one.read_frame("claims")["decision"].tolist()[:2] == ["3176", "4210"]
    assert one.read_frame("findings-extract")["rule"].tolist()[-1] == "STR-015"


def test_nothing_stays_of_a_file_that_is_quarantined_at_its_end(
    build: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_xml, "CHUNK_CLAIMS", 1)
    with pytest.raises(Quarantined):
        extracted(tmp_path / "cut", build.envelope(build.hoso("A"), build.hoso("B"), declared=3))
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {"source", "delivery.json"}
