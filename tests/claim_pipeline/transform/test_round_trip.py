"""Claim tables → XML → claim tables is the identity, for every table in every layout; all people are invented."""

from __future__ import annotations

from unicodedata import normalize

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import claim_xml
from claim_pipeline.transform.submission import write_document, write_submission
from claim_rules import dictionary
from claim_rules.frames import CLAIM_COLUMNS, ClaimTables

TEXT = st.text(
    st.one_of(
        st.sampled_from("<>&'\"];: \t\r\n%"),
        st.sampled_from("ăâđêôơưẠệọửỹ"),
        st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"),
    ),
    max_size=12,
) | st.sampled_from(["]]>", "<![CDATA[x]]>", "&amp;", "DN427;HC327", "Nguyễn Thị Lành", "e\u0302\u0309", "dài " * 5000])

VISIT_ENDS = {"130": "202406300900", "4750": "202412310900", "3176": "202507010900"}


def table_of(draw: st.DrawFn, name: str, decision: str, fixed: dict[str, str]) -> pd.DataFrame:
    layout = dictionary.table(name, decision)
    rows = draw(st.integers(1, 3 if layout.row_element else 1))
    filled = st.dictionaries(st.sampled_from(layout.names), TEXT, max_size=8)
    texts = [dict.fromkeys(layout.names, "") | draw(filled) | fixed for _ in range(rows)]
    keys = pd.DataFrame({"claim": [0] * rows, "row": range(1, rows + 1)}, dtype="int64")
    return pd.concat([keys, pd.DataFrame(texts, dtype="str")[list(layout.names)]], axis=1)


def normal(frame: pd.DataFrame) -> list[list[str]]:
    return [[normalize("NFC", text) for text in row] for row in frame.to_numpy().tolist()]


@pytest.mark.parametrize("decision", VISIT_ENDS)
@given(data=st.data())
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
def test_every_table_survives_in_every_layout(
    tmp_path_factory: pytest.TempPathFactory, decision: str, data: st.DataObject
) -> None:
    fixed = {"XML1": {"MA_LK": "L", "MA_CSKCB": "27001", "NGAY_RA": VISIT_ENDS[decision]}}
    names = [name for name in dictionary.CLAIM_TABLES if name in dictionary.tables(decision)]

    @st.composite
    def drawn(draw: st.DrawFn) -> dict[str, pd.DataFrame]:
        return {name: table_of(draw, name, decision, fixed.get(name, {})) for name in names}

    tables = data.draw(drawn())
    claims = pd.DataFrame(
        {"claim": [0], "MA_LK": ["L"], "MA_CSKCB": ["27001"], "decision": [decision], "readable": [True]}
    ).astype(CLAIM_COLUMNS)
    path = tmp_path_factory.mktemp("round") / "one.xml"
    write_submission(path, ClaimTables(claims, tables), "27001", "20250703")
    result = claim_xml.read(path, inbox_facility="27001")
    assert len(result.findings) == 0
    assert result.tables.claims.equals(claims)
    assert list(result.tables.tables) == names
    for name, frame in tables.items():
        columns = list(dictionary.table(name, decision).names)
        assert result.tables[name][columns].to_numpy().tolist() == normal(frame[columns])
        assert result.tables[name]["row"].tolist() == frame["row"].tolist()


@pytest.mark.parametrize("name", ["XML0", "XML12"])
@given(data=st.data())
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
def test_documents_of_their_own_survive(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    @st.composite
    def drawn(draw: st.DrawFn) -> pd.DataFrame:
        return table_of(draw, name, "3176", {})

    rows = data.draw(drawn())
    path = tmp_path_factory.mktemp("round") / "one.xml"
    write_document(path, name, rows)
    assert path.read_text("utf-8").endswith(f"<CHUKYDONVI/></{dictionary.table(name).root}>")
    found, again, unknown = claim_xml.read_document(path)
    columns = list(dictionary.table(name).names)
    assert (found, len(unknown)) == (name, 0)
    assert again[columns].to_numpy().tolist() == normal(rows[columns])


@pytest.mark.parametrize(
    "content", [b"", b"<x/>", b"<GIAMDINHHS/>", b"<CHI_TIEU_TRANG_THAI_KCB>x</CHI_TIEU_TRANG_THAI_KCB>"]
)
def test_what_is_no_such_document_is_told(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("x") / "x.xml"
    path.write_bytes(content)
    with pytest.raises(Quarantined):
        claim_xml.read_document(path)
