"""Lines that come late for claims sent before, and what belongs to nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import emr
from claim_pipeline.extract.result import Extracted
from claim_pipeline.transform import number_rows
from claim_rules.benefit import fill_amounts

ENCOUNTERS = (
    "MA_LK,MA_CSKCB,NGAY_VAO,NGAY_RA,MA_THE_BHYT,MA_DKBD,GT_THE_TU,GT_THE_DEN,MA_DOITUONG_KCB,MA_LOAI_KCB,T_BHTT\n"
    "A,27001,202507010800,202507030900,DN4270000000001,27001,20250101,20251231,1.1,01,40000\n"
    "B,27001,202507010800,202507030900,DN4270000000001,27001,20250101,20251231,1.1,01,\n"
)
HEAD = "MA_LK,STT,MA_DICH_VU,SO_LUONG,DON_GIA_BV,DON_GIA_BH,TYLE_TT_DV,TYLE_TT_BH,PHAM_VI,NGAY_YL\n"
FIRST = "A,1,02.1,1,50000,50000,100,100,1,202507010810\nB,1,02.1,1,50000,50000,100,100,1,202507010810\n"
LATE = "A,1,23.1,1,400000,400000,100,100,1,202507020810\n"


@pytest.fixture
def taken(tmp_path: Path) -> Any:
    def reader(content: bytes, earlier: Any = None) -> Extracted:
        path = tmp_path / "source"
        path.write_bytes(content)
        return emr.read(path, inbox_facility="27001", earlier=earlier)

    return reader


def finder(*before: Extracted) -> Any:
    def find(names: list[str]) -> dict[str, tuple[Extracted, int]]:
        found = {}
        for source in before:
            known = dict(zip(source.tables.claims["MA_LK"], source.tables.claims["claim"], strict=True))
            found |= {name: (source, known[name]) for name in names if name in known}
        return found

    return find


def test_late_lines_make_the_whole_claim_anew(build: SimpleNamespace, taken: Any) -> None:
    before = taken(build.zip({"encounters.csv": ENCOUNTERS, "orders.csv": HEAD + FIRST}))
    late = taken(build.zip({"orders.csv": HEAD + FIRST.splitlines()[0] + "\n" + LATE}), finder(before))
    assert late.tables.claims["MA_LK"].tolist() == ["A"]
    assert late.reading["claims_completed"] == 1
    assert len(late.findings) == 0
    lines = late.tables["XML3"]
    assert lines[["claim", "row", "MA_DICH_VU"]].to_numpy().tolist() == [[0, 1, "02.1"], [0, 2, "23.1"]]
    whole = fill_amounts(number_rows(late.tables))
    assert whole["XML3"]["STT"].tolist() == ["1", "2"]
    # 450,000 is above the limit of a small visit: the line sent first is paid at the card's rate too
    assert whole["XML3"]["T_BHTT"].tolist() == ["40000.00", "320000.00"]
    assert whole["XML1"][["T_TONGCHI_BH", "T_BHTT"]].to_numpy().tolist() == [["450000.00", "360000.00"]]


def test_late_lines_beside_new_claims(build: SimpleNamespace, taken: Any) -> None:
    before = taken(build.zip({"encounters.csv": ENCOUNTERS, "orders.csv": HEAD + FIRST}))
    encounters = ENCOUNTERS.splitlines()[0] + "\n" + ENCOUNTERS.splitlines()[2].replace("B,", "C,", 1) + "\n"
    lines = HEAD + LATE + LATE.replace("A,", "C,", 1) + LATE.replace("A,", "X,", 1)
    late = taken(build.zip({"encounters.csv": encounters, "orders.csv": lines}), finder(before))
    assert late.tables.claims["MA_LK"].tolist() == ["C", "A"]
    counts = late.tables["XML3"].groupby("claim").size()
    assert counts.to_dict() == {0: 1, 1: 2}
    assert late.findings[["rule", "severity", "observed"]].to_numpy().tolist() == [["STR-005", "warn", "1"]]


def test_an_encounter_in_the_file_is_the_whole_claim(build: SimpleNamespace, taken: Any) -> None:
    before = taken(build.zip({"encounters.csv": ENCOUNTERS, "orders.csv": HEAD + FIRST}))
    again = taken(build.zip({"encounters.csv": ENCOUNTERS, "orders.csv": HEAD + LATE}), finder(before))
    assert again.tables["XML3"]["MA_DICH_VU"].tolist() == ["23.1"]


def test_late_lines_of_no_claim_at_all(build: SimpleNamespace, taken: Any) -> None:
    content = build.zip({"orders.csv": HEAD + LATE})
    for earlier in (None, finder()):
        with pytest.raises(Quarantined) as caught:
            taken(content, earlier)
        assert caught.value.code == "not-a-delivery"
        assert "encounters" in caught.value.message_vi


def test_results_without_an_order_are_told(build: SimpleNamespace, taken: Any) -> None:
    results = "MA_LK,MA_DICH_VU,TEN_CHI_SO\nA,02.1,x\nA,99.9,y\nB,,z\n"
    found = taken(
        build.zip({"encounters.csv": ENCOUNTERS, "orders.csv": HEAD + FIRST, "results.csv": results})
    ).findings
    assert found[["rule", "severity", "table", "field", "observed"]].to_numpy().tolist() == [
        ["STR-005", "warn", "XML4", "MA_DICH_VU", "1"]
    ]


def test_cards_are_listed_by_their_days(build: SimpleNamespace, taken: Any) -> None:
    cards = "MA_LK,MA_THE_BHYT,MA_DKBD,GT_THE_TU,GT_THE_DEN\nA,HN2270000000001,27001,20250702,\n"
    files = {"encounters.csv": ENCOUNTERS, "orders.csv": HEAD + FIRST + LATE, "cards.csv": cards}
    result = taken(build.zip(files))
    visit = result.tables["XML1"].loc[0, ["MA_THE_BHYT", "MA_DKBD", "GT_THE_TU", "GT_THE_DEN"]]
    assert visit.tolist() == [
        "DN4270000000001;HN2270000000001",
        "27001;27001",
        "20250101;20250702",
        "20251231;",
    ]
    assert result.tables["XML1"].loc[1, "MA_THE_BHYT"] == "DN4270000000001"
    # lists that come in another order are put in it, with all that belongs to them
    listed = ENCOUNTERS.replace("DN4270000000001,27001,20250101,20251231", "HN2;DN4,2;4,20250702;20250101,9;1", 1)
    visit = taken(build.zip({"encounters.csv": listed, "orders.csv": HEAD + FIRST})).tables["XML1"].loc[0]
    assert [visit[name] for name in ("MA_THE_BHYT", "MA_DKBD", "GT_THE_TU", "GT_THE_DEN")] == [
        "DN4;HN2",
        "4;2",
        "20250101;20250702",
        "1;9",
    ]
