"""Claim tables written as claim XML say the same when they are read again."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from claim_pipeline.extract import claim_xml
from claim_pipeline.extract.columns import column_names
from claim_pipeline.transform.submission import write_submission
from claim_rules import dictionary
from claim_rules.frames import CLAIM_COLUMNS, ClaimTables

Rows = dict[str, list[tuple[int, dict[str, str]]]]


def tables(rows: Rows, decisions: list[str]) -> ClaimTables:
    """Claim tables of claims 0, 1, ... with these decisions, from (claim, elements) of each table."""
    claims = pd.DataFrame(
        {
            "claim": range(len(decisions)),
            "MA_LK": [f"LK{n}" for n in range(len(decisions))],
            "MA_CSKCB": "27001",
            "decision": decisions,
            "readable": True,
        }
    ).astype(CLAIM_COLUMNS)
    frames = {}
    for name, listed in rows.items():
        frame = pd.DataFrame([row for _, row in listed], columns=list(column_names(name))).astype("str")
        frame.insert(0, "claim", pd.Series([claim for claim, _ in listed], dtype="int64"))
        frame.insert(1, "row", frame.groupby("claim").cumcount() + 1)
        frames[name] = frame.sort_values(["claim", "row"], ignore_index=True)
    return ClaimTables(claims, frames)


def documents(path: Path) -> list[dict[str, etree._Element]]:
    """Per claim, the table documents, by a plain reading of the envelope."""
    root = etree.parse(str(path)).getroot()
    return [
        {
            str(file.findtext("LOAIHOSO")): etree.fromstring(base64.b64decode(str(file.findtext("NOIDUNGFILE"))))
            for file in claim.iterfind("FILEHOSO")
        }
        for claim in root.iterfind("THONGTINHOSO/DANHSACHHOSO/HOSO")
    ]


def test_the_envelope_is_the_prescribed_one(tmp_path: Path) -> None:
    path = tmp_path / "submission.xml"
    write_submission(path, tables({"XML1": [(0, {"MA_LK": "A"})]}, ["3176"]), "27001", "20250703")
    content = path.read_bytes()
    assert content.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n<GIAMDINHHS xmlns:")
    assert content.endswith(b"<CHUKYDONVI/></GIAMDINHHS>")
    root = etree.fromstring(content)
    assert [child.tag for child in root] == ["THONGTINDONVI", "THONGTINHOSO", "CHUKYDONVI"]
    assert root.findtext("THONGTINDONVI/MACSKCB") == "27001"
    assert [child.tag for child in root[1]] == ["NGAYLAP", "SOLUONGHOSO", "DANHSACHHOSO"]
    assert (root.findtext("THONGTINHOSO/NGAYLAP"), root.findtext("THONGTINHOSO/SOLUONGHOSO")) == ("20250703", "1")
    assert [p.name for p in tmp_path.iterdir()] == ["submission.xml"]


def test_every_element_is_sent_in_order_also_the_empty_ones(tmp_path: Path) -> None:
    rows: Rows = {name: [(0, {"MA_LK": "A"})] for name in dictionary.CLAIM_TABLES}
    write_submission(tmp_path / "x", tables(rows, ["3176"]), "27001", "20250703")
    (claim,) = documents(tmp_path / "x")
    assert list(claim) == list(dictionary.CLAIM_TABLES)
    for name, root in claim.items():
        table = dictionary.table(name)
        assert root.tag == table.root
        row = root
        if table.row_element is not None:
            assert [child.tag for child in root] == [table.list_element]
            assert [child.tag for child in root[0]] == [table.row_element]
            row = root[0][0]
        assert [child.tag for child in row] == list(table.names)
        assert [child.text for child in row if child.text] == ["A"]


def test_a_claim_is_written_in_its_own_layout_or_the_one_asked_for(tmp_path: Path) -> None:
    rows: Rows = {
        "XML1": [(0, {"MA_LK": "A"}), (1, {"MA_LK": "B"})],
        "XML13": [(0, {"MA_CSKCB_DI": "1"}), (1, {"MA_NOI_DI": "2"})],
    }
    claims = tables(rows, ["3176", "4750"])
    write_submission(tmp_path / "own", claims, "27001", "20250703")
    for claim, decision in zip(documents(tmp_path / "own"), ("3176", "4750"), strict=True):
        for name, root in claim.items():
            assert [child.tag for child in root] == list(dictionary.table(name, decision).names)
    write_submission(tmp_path / "old", claims, "27001", "20250703", "130")
    for claim in documents(tmp_path / "old"):
        assert set(claim) == {name for name in rows if name in dictionary.tables("130")}
        assert [child.tag for child in claim["XML1"]] == list(dictionary.table("XML1", "130").names)


def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    rows: Rows = {
        "XML1": [(n, {"MA_LK": str(n)}) for n in range(700)],
        "XML3": [(n, {"STT": "1"}) for n in (0, 499, 500, 699)],
    }
    for name in ("one", "two"):
        write_submission(tmp_path / name, tables(rows, ["3176"] * 700), "27001", "20250703")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read = claim_xml.read(tmp_path / "one").tables
    assert read.claims["MA_LK"].tolist() == [str(n) for n in range(700)]
    assert read["XML3"]["claim"].tolist() == [0, 499, 500, 699]


def test_what_xml_cannot_hold_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="HO_TEN"):
        write_submission(tmp_path / "x", tables({"XML1": [(0, {"HO_TEN": "a\x0bb"})]}, ["3176"]), "27001", "20250703")
    assert not (tmp_path / "x").exists()


TEXT = st.text(
    st.one_of(
        st.sampled_from("<>&'\"];: \t\r\n%"),
        st.sampled_from("ăâđêôơưẠệọửỹ"),
        st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"),
    ),
    max_size=12,
) | st.sampled_from(["]]>", "<![CDATA[x]]>", "&amp;", "<TONG_HOP>", "Nguyễn Thị Lành", "e\u0302\u0309"])
SOME = ("XML1", "XML2", "XML3", "XML5", "XML9", "XML13")


@st.composite
def some_tables(draw: st.DrawFn) -> ClaimTables:
    count = draw(st.integers(1, 4))
    rows: Rows = {"XML1": [], "XML2": []}
    for claim in range(count):
        for name in SOME:
            least = 1 if name in ("XML1", "XML2") else 0
            most = 3 if dictionary.table(name).row_element else 1
            for _ in range(draw(st.integers(least, max(least, most)))):
                names = st.sampled_from([n for n in dictionary.table(name).names if n != "MA_CSKCB"])
                rows.setdefault(name, []).append((claim, draw(st.dictionaries(names, TEXT, min_size=1, max_size=6))))
    return tables({name: listed for name, listed in rows.items() if listed}, ["3176"] * count)


@given(some_tables())
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_tables_survive_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, given_tables: ClaimTables
) -> None:
    folder = tmp_path_factory.mktemp("round")
    write_submission(folder / "one.xml", given_tables, "27001", "20250703")
    result = claim_xml.read(folder / "one.xml", inbox_facility="27001")
    assert len(result.findings) == 0
    assert len(result.tables.claims) == len(given_tables.claims)
    assert set(result.tables.tables) == set(given_tables.tables)
    for name, frame in given_tables.items():
        names = list(dictionary.table(name).names)
        sent = [[normalize("NFC", text) for text in row] for row in frame[names].fillna("").to_numpy().tolist()]
        assert result.tables[name][names].to_numpy().tolist() == sent
        assert result.tables[name][["claim", "row"]].equals(frame[["claim", "row"]])
    write_submission(folder / "two.xml", result.tables, "27001", "20250703", "3176")
    again: Any = claim_xml.read(folder / "two.xml").tables
    for name, frame in result.tables.items():
        assert again[name].equals(frame)
