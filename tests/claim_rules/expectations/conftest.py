"""Claims that follow the dictionary, to be corrupted by the tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from claim_rules import dictionary
from claim_rules.dictionary import CLAIM_TABLES, Field
from claim_rules.frames import ClaimTables

ROWS = {"XML2": 3, "XML3": 2, "XML4": 2, "XML5": 1}
DAY = {"4210": "20240315", "130": "20240315", "4750": "20240915", "3176": "20260715"}


def good_value(field: Field, decision: str, row: int) -> str:
    """A value that the dictionary allows."""
    day = DAY[decision]
    if field.name == "MA_LK":
        return "LK"
    if field.name == "STT":
        return str(row)
    if field.name.startswith("NGAY_SINH"):
        return "198503120000"[: field.max_length or 12]
    if field.code_list:
        on = pd.Timestamp(day).date()
        return min(dictionary.code_list(field.code_list).valid(on))
    content = field.item_type or field.type
    if content.startswith("date8"):
        return day
    if content == "datetime12":
        return f"{day}0800"
    if content == "decimal":
        return "12.5" if field.name == "CAN_NANG" else "80" if field.name == "MUC_HUONG" else "1000.00"
    if content == "integer":
        return "1"
    return "A1"[: field.max_length]


def claim_tables(decision: str, claims: int, tables: tuple[str, ...]) -> ClaimTables:
    frames: dict[str, pd.DataFrame] = {}
    for name in dict.fromkeys(tables):
        layout = dictionary.tables(decision)
        if name not in layout:
            continue
        rows = ROWS.get(name, 1)
        values: dict[str, object] = {
            "claim": np.repeat(np.arange(claims, dtype="int64"), rows),
            "row": np.tile(np.arange(1, rows + 1, dtype="int64"), claims),
        }
        for field in layout[name].fields:
            column = [good_value(field, decision, row) for row in range(1, rows + 1)] * claims
            values[field.name] = pd.Series(column, dtype="str")
        frame = pd.DataFrame(values)
        frame["MA_LK"] = "LK" + frame["claim"].astype("str")
        frames[name] = frame
    summary = pd.DataFrame(
        {
            "claim": np.arange(claims, dtype="int64"),
            "MA_LK": pd.Series([f"LK{n}" for n in range(claims)], dtype="str"),
            "MA_CSKCB": pd.Series(["27001"] * claims, dtype="str"),
            "decision": pd.Series([decision] * claims, dtype="str"),
            "readable": pd.Series([True] * claims, dtype="bool"),
        }
    )
    return ClaimTables(summary, frames)


@pytest.fixture
def good_claims() -> Callable[..., ClaimTables]:
    """(decision, number of claims, tables) -> claims without a fault."""

    def make(decision: str = "3176", claims: int = 1, tables: tuple[str, ...] = CLAIM_TABLES) -> ClaimTables:
        return claim_tables(decision, claims, tables)

    return make
