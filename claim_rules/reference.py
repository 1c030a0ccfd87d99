"""Looking things up in reference data: which row held for a code on a day."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

Reference = Mapping[str, pd.DataFrame]
"""File stem of the contract ("drugs", "cards", ...) -> frame of text columns. A missing file is an absent key."""

OPEN_END = "99999999"


def missing(reference: Reference, needs: Mapping[str, tuple[str, ...]]) -> str | None:
    """What of `needs` (file -> columns) the reference data lacks: "cards.csv", "drugs.csv: DON_GIA", or None."""
    for file, columns in needs.items():
        if file not in reference:
            return f"{file}.csv"
        absent = [column for column in columns if column not in reference[file].columns]
        if absent:
            return f"{file}.csv: {', '.join(absent)}"
    return None


def rows_on(wanted: pd.DataFrame, entries: pd.DataFrame, keys: Mapping[str, str], day: str = "day") -> pd.DataFrame:
    """Pairs every wanted row with the entries of the same key that are valid on its day (bounds inclusive).

    wanted: columns `keys` (its own names) and `day` (yyyymmdd text). entries: text columns `keys.values()`, TU_NGAY,
    DEN_NGAY (blank = open). Returns a frame with `index` (of wanted) and the columns of entries; a wanted row without
    a valid entry is absent, one with several appears several times.
    """
    left = wanted[[*keys, day]].rename(columns={day: "_day"}).reset_index(names="index")
    left = left.rename(columns=dict(keys))
    right = entries.copy()
    for column in keys.values():
        right[column] = right[column].fillna("").str.strip()
    right["_from"] = right["TU_NGAY"].fillna("").str.strip()
    right["_to"] = right["DEN_NGAY"].fillna("").str.strip().replace("", OPEN_END)
    pairs = left.merge(right, on=list(keys.values()), how="inner")
    valid = (pairs["_from"] <= pairs["_day"]) & (pairs["_day"] <= pairs["_to"])
    return pairs[valid].drop(columns=["_day", "_from", "_to"]).reset_index(drop=True)
