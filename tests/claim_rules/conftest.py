"""Small claims for the tests of the benefit law and the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import pytest

from claim_rules import dictionary
from claim_rules.frames import ClaimTables

Rows = Sequence[Mapping[str, Any]]


def table_frame(name: str, claims: Sequence[Rows], decision: str = "3176") -> pd.DataFrame:
    """One claim table from rows per claim."""
    names = dictionary.table(name, decision).names
    flat = [(claim, row, values) for claim, rows in enumerate(claims) for row, values in enumerate(rows, start=1)]
    columns: dict[str, pd.Series] = {
        "claim": pd.Series([claim for claim, _, _ in flat], dtype="int64"),
        "row": pd.Series([row for _, row, _ in flat], dtype="int64"),
    }
    for item in names:
        columns[item] = pd.Series(
            [None if values.get(item) is None else str(values[item]) for *_, values in flat], dtype="str"
        )
    return pd.DataFrame(columns)


@pytest.fixture
def make_claims() -> Callable[..., ClaimTables]:
    """make_claims([{"XML1": {...}, "XML2": [...], "XML3": [...]}, ...]) -> claim tables."""

    def make(claims: Sequence[Mapping[str, Any]], decision: str = "3176") -> ClaimTables:
        heads = [claim["XML1"] for claim in claims]
        tables = {"XML1": table_frame("XML1", [[head] for head in heads], decision)}
        for name in ("XML2", "XML3"):
            if any(claim.get(name) for claim in claims):
                tables[name] = table_frame(name, [claim.get(name, ()) for claim in claims], decision)
        return ClaimTables(
            pd.DataFrame(
                {
                    "claim": range(len(claims)),
                    "MA_LK": pd.Series([head.get("MA_LK", f"L{i}") for i, head in enumerate(heads)], dtype="str"),
                    "MA_CSKCB": pd.Series([head.get("MA_CSKCB", "27001") for head in heads], dtype="str"),
                    "decision": pd.Series([decision] * len(claims), dtype="str"),
                    "readable": True,
                }
            ),
            tables,
        )

    return make
