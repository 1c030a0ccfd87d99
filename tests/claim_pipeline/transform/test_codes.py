"""Codes of an export that reference data tell: the facility's own, and those that a spreadsheet made numbers of."""

from __future__ import annotations

import pandas as pd
import pytest

from claim_pipeline.extract.rows import LOCAL, NUMBER
from claim_pipeline.transform.codes import find_out
from claim_rules.frames import ClaimTables

DRUGS = pd.DataFrame(
    {
        "MA_THUOC": ["40.10", "40.11", "40.2", "40.20", "40.99", "40.98"],
        "MA_NOI_BO": ["T1", "T1", "T2", "T2", "T3", "T4"],
        "MA_CSKCB": ["27001", "27001", "27001", "27001", "27001", "27002"],
        "TU_NGAY": ["20250101", "20250701", "20250101", "20250101", "20250101", "20250101"],
        "DEN_NGAY": ["20250630", "", "", "", "20250131", ""],
    },
    dtype="str",
)


def told(kind: str, values: list[str], days: list[str], drugs: pd.DataFrame | None) -> tuple[list[str], pd.DataFrame]:
    rows = range(1, len(values) + 1)
    frame = pd.DataFrame({"claim": 0, "row": rows, "MA_THUOC": values, "NGAY_YL": days})
    claims = pd.DataFrame({"claim": [0], "MA_LK": ["A"], "MA_CSKCB": ["27001"]})
    where = {"file": "drugs", "column": "MA_NOI_BO"} if kind == LOCAL else {"file": "", "column": ""}
    waiting = pd.DataFrame(
        {"table": "XML2", "claim": 0, "row": rows, "field": "MA_THUOC", "value": values, "kind": kind}
    )
    tables = ClaimTables(claims, {"XML2": frame})
    reference = {} if drugs is None else {"drugs": drugs}
    once, found = find_out(tables, waiting.assign(**where), reference)
    twice, again = find_out(once, waiting.assign(**where), reference)  # a step may run twice
    assert twice["XML2"].equals(once["XML2"])
    assert again.equals(found)
    return once["XML2"]["MA_THUOC"].tolist(), found


def test_own_codes_are_told_by_the_catalogue_on_the_day_of_the_line() -> None:
    days = ["202506300800", "202507010800", "202507010800", "202507010800", "202507010800", ""]
    codes, found = told(LOCAL, ["T1", "T1", "T2", "T3", "T4", "T1"], days, DRUGS)
    # T2 may be two drugs, T3 is no longer in force, T4 is another facility's, the last line has no day
    assert codes == ["40.10", "40.11", "T2", "T3", "T4", "T1"]
    assert found[["rule", "severity", "table", "field", "observed"]].to_numpy().tolist() == [
        ["DICT-004", "warn", "XML2", "MA_THUOC", "4"]
    ]


def test_numbers_are_told_where_one_code_alone_gives_them() -> None:
    codes, found = told(NUMBER, ["40.1", "40.2", "40.11", "7"], ["202507010800"] * 4, DRUGS)
    # 40.2 may be 40.2 or 40.20
    assert codes == ["40.10", "40.2", "40.11", "7"]
    assert found["observed"].tolist() == ["2"]


@pytest.mark.parametrize(("drugs", "what"), [(None, "drugs.csv"), (DRUGS[["MA_THUOC"]], "MA_NOI_BO")])
def test_what_is_missing_is_said(drugs: pd.DataFrame | None, what: str) -> None:
    codes, found = told(LOCAL, ["T1"], ["202507010800"], drugs)
    assert codes == ["T1"]
    assert what in found["detail_vi"].iloc[0]
