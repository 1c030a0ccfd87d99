"""Looking things up in reference data: which row held for a code on a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from claim_rules import law, money
from claim_rules.frames import stripped

Reference = Mapping[str, pd.DataFrame]
"""File stem of the contract ("drugs", "cards", ...) -> frame of text columns. A missing file is an absent key."""

OPEN_END = "99999999"

SAME_ITEM: dict[str, tuple[str, ...]] = {
    "drugs": ("MA_CSKCB", "MA_THUOC", "SO_DANG_KY", "HAM_LUONG", "MA_DUONG_DUNG", "TT_THAU"),
    "supplies": ("MA_CSKCB", "MA_VAT_TU", "TT_THAU"),
    "services": ("MA_CSKCB", "MA_TUONG_DUONG"),
    "departments": ("MA_CSKCB", "MA_KHOA"),
    "staff": ("MA_CSKCB", "MA_BAC_SI", "MA_KHOA"),
    "machines": ("MA_CSKCB", "MA_MAY"),
    "facilities": ("MA_CSKCB",),
    "icd10": ("MA",),
}
"""What makes two rows of a table the same item, so that they should not hold on the same day."""

PRICES = ("DON_GIA_BH", "DON_GIA")
"""Columns of prices, the one that counts first."""

LOOKED_UP = {
    "cards": "MA_THE_BHYT", "copayments": "MA_THE_BHYT",
    "drugs": "MA_CSKCB", "services": "MA_CSKCB", "supplies": "MA_CSKCB",
    "card_lookups": "MA_LK",
}  # fmt: skip
"""Large tables, and the column by which rules look rows up: of the rows of other cards, facilities or visits than a
claim's own no rule may make anything, so that these need not be read."""


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
    own, theirs = list(keys), list(keys.values())
    # of a long listing only what is asked for is looked at further
    place = np.flatnonzero(stripped(entries[theirs[0]]).isin(wanted[own[0]].unique()).to_numpy(dtype="bool"))
    near = entries.iloc[place]
    codes = {column: stripped(near[column]) for column in theirs}
    group = np.zeros(len(wanted) + len(near), dtype="int64")
    for name, column in keys.items():
        code, known = pd.factorize(pd.concat([wanted[name], codes[column]]))
        # numbered anew after each key, so that no product of many keys grows beyond an int64
        group, _ = pd.factorize(group * (len(known) + 1) + code + 1)
    until = stripped(near["DEN_NGAY"]).replace("", OPEN_END)
    days, _ = pd.factorize(pd.concat([wanted[day], stripped(near["TU_NGAY"]), until]), sort=True)
    on, first, last = np.split(days, [len(wanted), len(wanted) + len(near)])
    asked, listed = np.split(group, [len(wanted)])
    order = np.argsort(listed, kind="stable")
    start = np.searchsorted(listed[order], asked, side="left")
    many = np.searchsorted(listed[order], asked, side="right") - start
    owner = np.repeat(np.arange(len(wanted)), many)
    entry = order[np.arange(len(owner)) + np.repeat(start - (np.cumsum(many) - many), many)]
    valid = (first[entry] <= on[owner]) & (on[owner] <= last[entry])
    owner, entry = owner[valid], entry[valid]
    out: pd.DataFrame = near.iloc[entry].reset_index(drop=True)
    for column in theirs:
        out[column] = codes[column].iloc[entry].array
    out.insert(0, "index", wanted.index[owner])
    return out


def listed_price(entries: pd.DataFrame) -> pd.Series:
    """What a row of a catalogue allows: DON_GIA_BH, where that is empty or absent DON_GIA (Int64, 1/1000 đồng)."""
    price = pd.Series(pd.NA, index=entries.index, dtype="Int64")
    for column in PRICES:
        if column in entries:
            price = price.fillna(money.parse(entries[column].fillna("").str.strip(), money.PRICE_DECIMALS))
    return price


def overlaps(entries: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Neighbours in time among the rows of the same key (bounds inclusive) that hold on the same day, or leave days
    between them that no row of the key covers.

    entries: text columns `keys`, TU_NGAY, DEN_NGAY (blank: open), and prices. Returns a frame of row and before (the
    index of each), kind: "price" (they overlap and their `listed_price` differs by more than the tolerance of unit
    prices), "overlap" or "gap", and for those that overlap TU_NGAY and DEN_NGAY of the days on which both hold. Rows
    that end before they start are passed over; `before` is the row that lasts longest of those that start earlier.
    """
    frame = pd.DataFrame({"key": entries.groupby(list(keys), dropna=False).ngroup()}, index=entries.index)
    frame["first"] = stripped(entries["TU_NGAY"])
    frame["last"] = stripped(entries["DEN_NGAY"]).replace("", OPEN_END)
    price = listed_price(entries)
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
    mine, theirs = (price.loc[rows].fillna(-1).to_numpy("int64") for rows in (pairs["row"], pairs["before"]))
    differ = np.abs(mine - theirs) > int(law.load("tolerance")["unit_price"]["value"])
    ended = pd.to_datetime(pd.Series(before_last, index=pairs.index), format="%Y%m%d", errors="coerce")
    starts = pd.to_datetime(pairs["first"], format="%Y%m%d", errors="coerce")
    gap = (starts - ended).dt.days.gt(1).to_numpy()
    kind = pd.Series("", index=pairs.index, dtype="str")
    kind[gap & ~together] = "gap"
    kind[together] = "overlap"
    kind[together & differ] = "price"
    until = pd.Series(np.minimum(pairs["end"].to_numpy(), other["end"].to_numpy()), index=pairs.index).astype("str")
    days = {"TU_NGAY": pairs["first"].where(together, ""), "DEN_NGAY": until.replace(OPEN_END, "").where(together, "")}
    columns = ["row", "before", "kind", *days]
    return pairs.assign(kind=kind, **days).loc[kind != "", columns].reset_index(drop=True)
