"""Claim tables as frames: the one shape in which claims travel between reading, checking, appraising and writing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_TEXT: Any = pd.StringDtype(na_value=np.nan)

CLAIM_COLUMNS = {
    "claim": "int64",  # position of the HOSO in the delivery, from 0
    "MA_LK": "str",  # of XML1; of the first table that has one when XML1 cannot be read; NA when unknown
    "MA_CSKCB": "str",  # the envelope's facility
    "decision": "str",  # "4210", "130", "4750" or "3176"; NA when no table could be read
    "readable": "bool",  # False: nothing of this claim may be appraised (its STR finding says why)
}
"""Columns of `ClaimTables.claims`, one row per HOSO read, in order of position."""

KEY_COLUMNS = ("claim", "row")
"""Columns that every claim table has besides the official elements: `claim` as above, `row` the row's
position from 1 within this claim's table (both int64)."""


def as_text(cells: pa.Array | pa.ChunkedArray, index: pd.Index) -> pd.Series:
    """Texts of Arrow as a column (dtype `str`)."""
    return pd.Series(_TEXT.__from_arrow__(cells.cast(pa.large_string())), index=index)


def stripped(cells: pd.Series) -> pd.Series:
    """The texts of a column without spaces around them, "" where there is none (dtype `str`)."""
    return as_text(pc.utf8_trim_whitespace(pc.fill_null(pa.array(cells, type=pa.large_string()), "")), cells.index)


def empty_claims() -> pd.DataFrame:
    """A claims frame without rows."""
    return pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in CLAIM_COLUMNS.items()})


@dataclass
class ClaimTables:
    """All claims of one delivery.

    claims: frame of CLAIM_COLUMNS, one row per HOSO.
    tables: official table name ("XML1" ...) -> frame of KEY_COLUMNS and the official elements of
        that table as text (dtype `str`): exactly what was sent; an absent element is NA, an empty
        one "". Every element of the dictionary is a column, in its order; a table that no claim
        has is absent from the mapping. Rows are ordered by (claim, row).
    unknown: frame (claim, table, row, element, value) of elements that the dictionary lacks.
    """

    claims: pd.DataFrame
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    unknown: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            {
                "claim": pd.Series([], dtype="int64"),
                "table": pd.Series([], dtype="str"),
                "row": pd.Series([], dtype="int64"),
                "element": pd.Series([], dtype="str"),
                "value": pd.Series([], dtype="str"),
            }
        )
    )

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name]

    def __contains__(self, name: object) -> bool:
        return name in self.tables

    def items(self) -> Iterator[tuple[str, pd.DataFrame]]:
        return iter(self.tables.items())

    def only(self, claims: pd.Series | Mapping[int, object] | set[int]) -> ClaimTables:
        """The same tables, restricted to the claim positions given."""
        wanted = np.fromiter(set(claims), dtype="int64")

        def inside(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[np.isin(frame["claim"].to_numpy(), wanted)].reset_index(drop=True)

        tables = {name: inside(frame) for name, frame in self.tables.items()}
        return ClaimTables(inside(self.claims), tables, inside(self.unknown))


def line_numbers(frame: pd.DataFrame) -> pd.Series:
    """Number by which a report names each row of one claim table (int64, aligned with `frame`).

    The row's STT as an integer; where STT is missing, not a positive integer or repeated within the
    claim, the row's position from 1. If that would give two rows of a claim the same number, all
    rows of that claim's table are numbered by position. Source: contracts, report, "line".
    """
    position = frame["row"].astype("int64")
    if "STT" not in frame.columns or frame.empty:
        return position
    text = stripped(frame["STT"])
    usable = text.str.fullmatch(r"[0-9]{1,9}")
    number = pd.to_numeric(text.where(usable, "0")).astype("int64")
    usable &= number > 0
    repeated = pd.DataFrame({"claim": frame["claim"], "number": number.where(usable, -position)}).duplicated(keep=False)
    line = number.where(usable & ~repeated, position)
    clash = pd.DataFrame({"claim": frame["claim"], "line": line}).duplicated(keep=False)
    if clash.any():
        line = line.where(~frame["claim"].isin(frame.loc[clash, "claim"]), position)
    return line.astype("int64")


def texts(tables: ClaimTables, name: str, names: Sequence[str], claims: pd.Index) -> pd.DataFrame:
    """Rows of one claim table as a rule reads them: claim, table, row and the elements `names`, stripped, "" for none.

    claims: positions whose rows are wanted. A table that nobody sent has no rows.
    """
    if name not in tables:
        frame = pd.DataFrame({"claim": pd.Series([], dtype="int64"), "row": pd.Series([], dtype="int64")})
    else:
        frame = tables[name]
        inside = frame["claim"].isin(claims)
        frame = frame if inside.all() else frame[inside]
    out = frame[list(KEY_COLUMNS)].copy()
    out.insert(1, "table", pd.Series(name, index=out.index, dtype="str"))
    for element in names:
        own = frame[element] if element in frame.columns else pd.Series("", index=out.index, dtype="str")
        out[element] = stripped(own)
    return out


def claims_with(tables: ClaimTables, name: str) -> set[int]:
    """Positions of the claims that have rows of a table."""
    return set(tables[name]["claim"]) if name in tables else set()
