"""JSON and NDJSON of record systems: an object of sheets, encounters with their lists, one encounter a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from claim_pipeline.errors import Quarantined

Read = Callable[..., Any]

A = {"MA_LK": "A", "HO_TEN": "Nguyễn Văn Ấm", "MA_CSKCB": "27001", "NGAY_RA": 202507020900, "MA_DOITUONG_KCB": 1.1}
B = {"MA_LK": "B", "HO_TEN": None, "MA_CSKCB": "27001"}
DRUGS = [{"MA_THUOC": "40.10", "SO_LUONG": 1.50}, {"MA_THUOC": "40.2", "SO_LUONG": 2}]
NESTED_A: dict[str, Any] = A | {"prescriptions": DRUGS, "orders": []}
NESTED_B: dict[str, Any] = B | {"orders": [{"MA_DICH_VU": "02.1", "MA_PTTT_QT": ["1", "2"], "VET_THUONG_TP": True}]}

FORMS: dict[str, str] = {
    "object of sheets": json.dumps(
        {
            "exported_at": "2025-07-03",
            "encounters": [A, B],
            "prescriptions": [{"MA_LK": "A"} | drug for drug in DRUGS],
            "orders": [{"MA_LK": "B"} | order for order in NESTED_B["orders"]],
        },
        indent=1,
    ),
    "list of encounters": json.dumps([NESTED_A, NESTED_B], ensure_ascii=False),
    "list in an object": json.dumps({"data": [NESTED_A, NESTED_B]}),
    "one a line": "\n".join(json.dumps(row) for row in (NESTED_A, NESTED_B)),
    "one a line, blank lines between": "\r\n\r\n".join(json.dumps(row) for row in (NESTED_A, NESTED_B)) + "\r\n",
}


def check(result: Any) -> None:
    assert result.format == "emr-json"
    assert result.tables.claims["MA_LK"].tolist() == ["A", "B"]
    first = result.tables["XML1"].loc[0]
    assert (first["HO_TEN"], first["NGAY_RA"], first["MA_DOITUONG_KCB"]) == ("Nguyễn Văn Ấm", "202507020900", "1.1")
    assert result.tables["XML1"]["HO_TEN"].tolist()[1] == ""
    drugs = result.tables["XML2"]
    assert drugs[["claim", "MA_LK", "MA_THUOC"]].to_numpy().tolist() == [[0, "A", "40.10"], [0, "A", "40.2"]]
    order = result.tables["XML3"].loc[0]
    assert (order["MA_LK"], order["MA_PTTT_QT"], order["VET_THUONG_TP"]) == ("B", "1;2", "1")


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_claims(build: SimpleNamespace, read: Read, text: str) -> None:
    check(read(text.encode()))
    check(read(text.encode("utf-16")))
    check(read(b"\xef\xbb\xbf" + text.encode()))
    check(read(build.zip({"export/du-lieu.json": text})))


def test_numbers_keep_the_digits_that_were_written(read: Read) -> None:
    text = json.dumps(NESTED_A).replace('"40.10"', "40.10").replace('"40.2"', "123456789012345678901234567890")
    assert read(text.encode()).tables["XML2"]["MA_THUOC"].tolist() == ["40.10", "123456789012345678901234567890"]


def test_sheets_of_a_zip_may_be_of_different_kinds(build: SimpleNamespace, read: Read) -> None:
    rows = "\n".join(json.dumps({"MA_LK": "A"} | drug) for drug in DRUGS)
    csv = "MA_LK,MA_CSKCB\nA,27001\n"
    result = read(build.zip({"encounters.csv": csv, "prescriptions.ndjson": rows}))
    assert result.tables["XML2"]["MA_THUOC"].tolist() == ["40.10", "40.2"]
    assert result.format == "emr-json"


def test_an_object_in_a_row_gives_columns_with_dotted_names(read: Read) -> None:
    result = read(json.dumps([NESTED_A | {"patient": {"phone": "1"}}]).encode())
    assert result.unknown_columns == ["encounters.patient.phone"]


@pytest.mark.parametrize(
    "text",
    [
        '{"encounters": [1, 2]}',
        '[{"MA_LK": "A"',
        '[{"MA_LK": "A", "MA_LK": "B"}]',
        '[{"MA_LK": NaN}]',
        '{"MA_LK": "A"}\n{"MA_LK": \n',
        '[{"MA_LK": "A", "orders": [{"deep": [{"x": [{}]}]}]}]',
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
    ids=["rows", "cut off", "repeated name", "not a number", "broken line", "deep", "brackets", "braces"],
)
def test_json_that_is_none_is_quarantined(read: Read, text: str) -> None:
    with pytest.raises(Quarantined) as caught:
        read(text.encode())
    assert caught.value.code == "unreadable-sheet"


@pytest.mark.parametrize("text", ["{}", "[]", '{"x": 1}', '{"a": [{"b": 1}]}'])
def test_json_of_something_else_is_no_delivery(read: Read, text: str) -> None:
    with pytest.raises(Quarantined) as caught:
        read(text.encode())
    assert caught.value.code == "not-a-delivery"
