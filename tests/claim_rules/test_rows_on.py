"""Looking up reference data is the same as going through it row by row."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from claim_rules.reference import OPEN_END, rows_on

CODES = st.sampled_from(["A", "B", "C", ""])
DAYS = st.sampled_from(["", "20251231", "20260101", "20260102", "20260630", "2026x"])
WANTED = st.lists(st.tuples(CODES, CODES, DAYS), max_size=8)
SPACED = st.sampled_from(["A", " A", "B ", "", None])
ENTRIES = st.lists(st.tuples(SPACED, SPACED, DAYS, DAYS | st.none()), max_size=8)


@given(WANTED, ENTRIES)
def test_as_row_by_row(wanted: list[tuple[str, ...]], entries: list[tuple[str | None, ...]]) -> None:
    left = pd.DataFrame(wanted, columns=["code", "facility", "day"], dtype="str")
    left.index = left.index * 3 + 5
    right = pd.DataFrame(entries, columns=["MA", "MA_CSKCB", "TU_NGAY", "DEN_NGAY"], dtype="str")
    right["place"] = range(len(right))
    got = rows_on(left, right, {"code": "MA", "facility": "MA_CSKCB"})
    expected = [
        (index, place, code, facility)
        for index, (code, facility, day) in zip(left.index, wanted, strict=True)
        for place, (own, at, first, last) in enumerate(entries)
        if (code, facility) == ((own or "").strip(), (at or "").strip()) and first <= day <= (last or OPEN_END)
    ]
    assert list(got[["index", "place", "MA", "MA_CSKCB"]].itertuples(index=False, name=None)) == expected
