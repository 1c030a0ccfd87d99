"""Looking things up in reference data: which row held for a code on a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def overlaps(entries: pd.DataFrame, keys: Sequence[str], prices: Sequence[str]) -> pd.DataFrame:
    """Neighbours in time among the rows of the same key (bounds inclusive) that hold on the same day, or leave days
    between them that no row of the key covers.

    entries: text columns `keys`, `prices`, TU_NGAY, DEN_NGAY (blank: open). Returns a frame of row and before (the
    index of each), kind: "price" (they overlap and differ in a price), "overlap" or "gap". Rows that end before they
    start are passed over; `before` is the row that lasts longest of those that start earlier.
    """
    frame = pd.DataFrame({"key": entries.groupby(list(keys), dropna=False).ngroup()}, index=entries.index)
    frame["first"] = entries["TU_NGAY"].fillna("").str.strip()
    frame["last"] = entries["DEN_NGAY"].fillna("").str.strip().replace("", OPEN_END)
    frame["price"] = entries.groupby(list(prices), dropna=False).ngroup() if len(prices) else 0
    frame = frame[frame["first"] <= frame["last"]].sort_values(["key", "first", "last"], kind="stable")
    frame["row"] = frame.index
    # of the rows before, the one that lasts longest: where the greatest last day so far was first reached
    frame["end"] = pd.to_numeric(frame["last"])
    reached = frame.groupby("key")["end"].cummax()
    leads = (reached != reached.groupby(frame["key"]).shift()).to_numpy()
    lead = frame["row"].where(leads).groupby(frame["key"]).ffill()
    frame["before"] = lead.groupby(frame["key"]).shift()
    pairs = frame.dropna(subset=["before"]).astype({"before": "int64"})
    other = frame.loc[pairs["before"]]
    before_last = other["last"].to_numpy()
    together = pairs["first"].to_numpy() <= before_last
    differ = pairs["price"].to_numpy() != other["price"].to_numpy()
    ended = pd.to_datetime(pd.Series(before_last, index=pairs.index), format="%Y%m%d", errors="coerce")
    starts = pd.to_datetime(pairs["first"], format="%Y%m%d", errors="coerce")
    gap = (starts - ended).dt.days.gt(1).to_numpy()
    kind = pd.Series("", index=pairs.index, dtype="str")
    kind[gap & ~together] = "gap"
    kind[together] = "overlap"
    kind[together & differ] = "price"
    return pairs.assign(kind=kind).loc[kind != "", ["row", "before", "kind"]].reset_index(drop=True)
