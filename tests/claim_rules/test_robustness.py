"""Whatever a field holds, every rule runs, every claim has an outcome and amounts add up."""

from __future__ import annotations

from typing import Any

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claim_rules import cases, catalogue, engine, expectations, outcome
from claim_rules.frames import ClaimTables

BASE = cases.base_claim()
REFERENCE = {
    "cards": pd.DataFrame({"MA_THE_BHYT": ["GD4272700000001", ""], "GT_THE_DEN": ["", "x"]}, dtype="str"),
    "drugs": pd.DataFrame(
        {
            "MA_THUOC": ["40.154", ""],
            "MA_CSKCB": ["27001", ""],
            "DON_GIA": ["5500", "?"],
            "DON_GIA_BH": ["", "-1"],
            "TU_NGAY": ["20240101", ""],
            "DEN_NGAY": ["", ""],
        },
        dtype="str",
    ),
    "services": pd.DataFrame(
        {
            "MA_TUONG_DUONG": ["02.1896", "22.0120.1370"],
            "MA_CSKCB": ["27001", "27001"],
            "DON_GIA": ["50600", "70000"],
            "TU_NGAY": ["", "20240101"],
            "DEN_NGAY": ["", "20241231"],
        },
        dtype="str",
    ),
    "icd10": pd.DataFrame({"MA": ["J20.9", ""], "TU_NGAY": ["", ""], "DEN_NGAY": ["", ""]}, dtype="str"),
}
FIELDS = [(name, field) for name, frame in BASE.items() for field in frame.columns if field not in ("claim", "row")]
VALUES = st.one_of(
    st.none(),
    st.sampled_from(
        [
            "",
            " ",
            "0",
            "-1",
            "-0.00",
            "999999999999999",
            "9999999999999999999999",
            "0.001",
            "1,5",
            "1e9",
            ";",
            ";;",
            "a;b",
            "202513010000",
            "99999999",
            "00000000",
            "20250811",
            "202508110800",
            "GD4272700000001;",
            "QN5970000000001",
            "3.1",
            "9",
            "03",
            "\u0000",
            "[",
            "(",
            "\\",
            "{observed}",
            "%s",
            "ệ" * 300,
        ]
    ),
    st.text(max_size=20),
)


def corrupted(changes: list[tuple[tuple[str, str], int, Any]]) -> ClaimTables:
    tables = {name: frame.copy() for name, frame in BASE.items()}
    for (name, field), row, value in changes:
        frame = tables[name]
        frame.loc[row % len(frame), field] = value
    return ClaimTables(BASE.claims, tables)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(FIELDS), st.integers(0, 1), VALUES), min_size=1, max_size=6), st.booleans())
def test_any_value_in_any_field(changes: list[tuple[tuple[str, str], int, Any]], checked: bool) -> None:
    tables = corrupted(changes)
    given_findings = expectations.check(tables) if checked else None
    appraisal = engine.run(tables, REFERENCE, given=given_findings)
    assert appraisal.failed == []
    done = catalogue.complete(appraisal.findings, tables)
    result = outcome.fold(tables, appraisal, done, signature_reasons=["unsigned"])
    for frame in (result.lines, result.claims):
        assert (frame["requested"] == frame["approved"] + frame["refused"]).all()
        assert (frame[["requested", "approved", "refused"]] >= 0).all().all()
    assert result.claims["outcome"].isin(outcome.OUTCOMES).all()
    line_level = done["severity"].isin(["reject_line"])
    assert done.loc[line_level, ["table", "line"]].notna().all().all()


def test_a_delivery_without_a_single_readable_claim() -> None:
    claims = BASE.claims.assign(readable=False, MA_LK=pd.Series([None], dtype="str"))
    for tables in (ClaimTables(claims), ClaimTables(claims, dict(BASE.tables)), ClaimTables(claims.iloc[:0])):
        appraisal = engine.run(tables, REFERENCE)
        result = outcome.fold(tables, appraisal, catalogue.complete(appraisal.findings, tables), signature_reasons=[])
        assert result.claims["outcome"].tolist() == ["rejected"] * len(tables.claims)
        assert appraisal.failed == []


def test_a_register_of_cards_whose_labels_repeat() -> None:
    """Of loads put one under the other: a row is found by its place, not by its label."""
    numbers = ["XX4000000000000", "GD4272700000001"]
    cards = pd.DataFrame({"MA_THE_BHYT": numbers, "GT_THE_TU": "20250101", "GT_THE_DEN": "20251231"}, index=[0, 0])
    appraisal = engine.run(BASE, {"cards": cards.astype("str")})
    assert appraisal.failed == []
    assert not appraisal.findings["rule"].str.startswith("CARD").any()


def test_what_is_told_of_a_facility_that_is_not_in_force() -> None:
    listed = {"MA_CSKCB": ["27001"], "TU_NGAY": ["20240101"], "DEN_NGAY": ["20250810"]}
    appraisal = engine.run(BASE, {"facilities": pd.DataFrame(listed, dtype="str")})
    told = catalogue.complete(appraisal.findings, BASE).set_index("rule").loc["STR-015"]
    assert told["expected"] == ""
    assert told["message_vi"].endswith("Theo danh mục, cơ sở không có hiệu lực vào ngày ra viện 11/08/2025.")
    assert told["message_en"].endswith(
        "By the register the facility is not in force on the day of discharge, 2025-08-11."
    )
