"""Encounters of an export: one row per visit out of many, and its cards in the order of their days."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from claim_pipeline.extract.assemble import orphans
from claim_pipeline.extract.columns import TEXT
from claim_pipeline.extract.profile import CARD_ELEMENTS, KEY
from claim_rules.findings import findings

CARD = "MA_THE_BHYT"


def once_per_visit(rows: pa.Table) -> tuple[pa.Array, pd.DataFrame, int]:
    """Rows in which the encounter is repeated: the place of the first row of each visit (MA_LK; a blank one is a visit
    of its own), the cards that any of its rows names, and how many visits have rows that differ in anything else."""
    key = rows[KEY].to_pandas().str.strip()
    own = key.where(key != "", [f"\0{at}" for at in range(len(key))])
    codes, _ = pd.factorize(own)
    first = np.flatnonzero(~pd.Series(codes).duplicated().to_numpy())
    same = np.ones(rows.num_rows, bool)
    for name in rows.column_names:
        if name not in (*CARD_ELEMENTS, "STT"):
            column = rows[name].combine_chunks()
            same &= pc.fill_null(pc.equal(column, column.take(pa.array(first[codes]))), True).to_numpy(
                zero_copy_only=False
            )
    cards = rows.select([KEY, *CARD_ELEMENTS]).to_pandas()
    return pa.array(first), cards, len(set(codes[~same]))


def with_cards(visits: pa.Table, cards: pd.DataFrame | None) -> pa.Table:
    """Visits with their cards as `;` lists in the order in which they begin: those of `cards` (columns MA_LK and
    CARD_ELEMENTS) beside the visit's own, each once; lists that came in another order are put in it."""
    own = visits.select([KEY, *CARD_ELEMENTS]).to_pandas()
    lists = own[CARD].fillna("").str.contains(";")
    if cards is None and not lists.any():
        return visits
    places = own[[KEY]].assign(key=own[KEY].str.strip(), visit=np.arange(len(own)))
    every = [own.assign(visit=np.arange(len(own)))]
    if cards is not None:
        more = cards.assign(key=cards[KEY].str.strip()).drop(columns=KEY)
        every.append(more[more["key"] != ""].merge(places[["key", "visit"]], on="key").drop(columns="key"))
    held = pd.concat(every, ignore_index=True)[["visit", *CARD_ELEMENTS]]
    held[list(CARD_ELEMENTS)] = held[list(CARD_ELEMENTS)].fillna("")
    held = held[held[CARD].str.strip() != ""]
    several = set(held.drop_duplicates()["visit"][held.drop_duplicates()["visit"].duplicated()])
    several |= set(np.flatnonzero(lists))
    several |= set(held.loc[held["visit"].isin(np.flatnonzero(own[CARD].fillna("").str.strip() == "")), "visit"])
    if not several:
        return visits
    columns = {name: own[name].astype(object).to_numpy().copy() for name in CARD_ELEMENTS}
    for visit, rows in held[held["visit"].isin(several)].groupby("visit"):
        ordered = _in_order(rows[list(CARD_ELEMENTS)].to_numpy().tolist())
        if ordered is not None:
            for name, texts in zip(CARD_ELEMENTS, zip(*ordered, strict=True), strict=True):
                columns[name][visit] = ";".join(texts) if any(texts) else texts[0]
    out = visits
    for name, texts in columns.items():
        out = out.set_column(out.column_names.index(name), name, pa.array(texts, TEXT, from_pandas=True))
    return out


def _in_order(rows: list[list[str]]) -> list[tuple[str, ...]] | None:
    """Single cards of rows that may hold lists, by their first day; None where the lists of a row do not correspond."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in rows:
        lists = [text.split(";") for text in row]
        count = len(lists[0])
        lists = [items * count if len(items) == 1 and not items[0].strip() else items for items in lists]
        if any(len(items) != count for items in lists):
            return None
        for card in zip(*lists, strict=True):
            single = tuple(text.strip() for text in card)
            found.setdefault((single[0], single[2]), single)
    return sorted(found.values(), key=lambda card: card[2])


def differing(count: int, sheet: str) -> pd.DataFrame:
    """The finding that visits are described differently in their own rows."""
    return orphans(
        "XML1",
        count,
        f"bảng {sheet}: {count} lượt khám có thông tin chung khác nhau giữa các dòng; lấy theo dòng đầu tiên",
        f"sheet {sheet}: {count} visits are described differently in their rows; what the first row says is taken",
    )


def results_without_order(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The finding that rows of XML4 name a service which the claim's XML3 does not have."""
    if "XML4" not in tables:
        return findings()
    results = tables["XML4"][["claim", "MA_DICH_VU"]].copy()
    results["MA_DICH_VU"] = results["MA_DICH_VU"].fillna("").str.strip()
    orders = tables["XML3"][["claim", "MA_DICH_VU"]] if "XML3" in tables else results[:0]
    orders = orders.assign(MA_DICH_VU=orders["MA_DICH_VU"].fillna("").str.strip()).drop_duplicates()
    named = results[results["MA_DICH_VU"] != ""]
    count = int((named.merge(orders, how="left", indicator=True)["_merge"] == "left_only").sum())
    if not count:
        return findings()
    return orphans(
        "XML4",
        count,
        f"XML4: {count} kết quả có MA_DICH_VU không có trong XML3 của cùng hồ sơ",
        f"XML4: {count} results whose MA_DICH_VU is not in XML3 of their claim",
    ).assign(field="MA_DICH_VU")
