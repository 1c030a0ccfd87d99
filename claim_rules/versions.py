"""Carries claim tables from the layout of one decision into that of another, and says what gets lost on the way."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd

from claim_rules import dictionary, money
from claim_rules.expectations import Layout, check_table, columns_of, expectations
from claim_rules.expectations.fields import CODE, LENGTH
from claim_rules.frames import KEY_COLUMNS, ClaimTables

OLDEST = "4210"
"""Decision whose elements have names and codes of their own."""

TARGETS = ("130", "4750", "3176")
"""Decisions in whose layout claims can be written."""

_FULL = 10_000  # 100 % in 1/100 percent
_PRODUCT = 10_000  # (1/1000 × 1/1000) -> 1/100


@dataclass(frozen=True)
class Loss:
    """Something that the target cannot hold as it was.

    kind: "claim" (could not be read), "table" or "element" (the target has none of that name), "unknown" (no decision
    has it), "code" (no code of the target says the same), "time" (the target has only the day); these are not in the
    result. "not-allowed" (not in the target's code list) and "too-long" values stay as they are. values: how many.
    """

    kind: str
    table: str
    element: str
    values: int


@dataclass(frozen=True)
class _Renamed:
    table: str
    older: str
    newer: str
    until_decision: str


@cache
def _renamed() -> tuple[_Renamed, ...]:
    return tuple(_Renamed(r["table"], r["older"], r["newer"], r["until_decision"]) for r in _rows("renamed.csv"))


@cache
def _recoded(until_decision: str) -> dict[tuple[str, str], dict[str, str]]:
    """(table, newer name of the field) -> older code -> newer code, "" where there is none."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in _rows("recoded.csv"):
        if row["until_decision"] == until_decision:
            found.setdefault((row["table"], row["field"]), {})[row["older"]] = row["newer"]
    return found


def _rows(name: str) -> list[dict[str, str]]:
    text = files("claim_rules.dictionary").joinpath("data", name).read_text("utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def in_newer_terms(tables: ClaimTables, *, throughout: bool = False) -> ClaimTables:
    """The same claims with the elements and codes of the newer decisions where they are of Decision 4210.

    Elements that only 4210 has are gone from the frames afterwards. A code without a counterpart becomes "", and so
    does what 4210 does not say. THANH_TIEN_BH is computed where THANH_TIEN is quantity × price. `decision` of a claim
    stays; tables without such a claim come back as they are, unless `throughout` says that they are part of a delivery
    that has some: then they lose these elements too.
    """
    if not throughout and not tables.claims["decision"].eq(OLDEST).any():
        return tables
    old = tables.claims.loc[tables.claims["decision"].eq(OLDEST), "claim"]
    changed = {}
    for name, frame in tables.items():
        if name in dictionary.tables(OLDEST):
            mine = frame["claim"].isin(old)
            frame = _renewed(name, frame, mine)
            if name in ("XML2", "XML3"):
                frame = _with_in_scope_amount(name, frame, mine)
            gone = [e for e in dictionary.table(name, OLDEST).names if not _in_newer(name, e)]
            frame = frame.drop(columns=gone, errors="ignore")
        changed[name] = frame
    return replace(tables, tables=changed)


def _in_newer(table: str, element: str) -> bool:
    return any(table in dictionary.tables(d) and dictionary.table(table, d).has(element) for d in TARGETS)


def _blank(texts: pd.Series) -> pd.Series:
    return texts.isna() | (texts.str.strip() == "")


def _renewed(name: str, frame: pd.DataFrame, mine: pd.Series) -> pd.DataFrame:
    frame = frame.copy()
    for entry in _renamed():
        if entry.table == name and entry.until_decision == OLDEST and entry.older in frame.columns:
            take = mine & _blank(frame[entry.newer]) & frame[entry.older].notna()
            frame[entry.newer] = frame[entry.newer].mask(take, frame[entry.older])
    for (table, field), codes in _recoded(OLDEST).items():
        if table == name:
            sent = frame[field].str.strip()
            known = mine & sent.isin(list(codes))
            frame[field] = frame[field].mask(known, sent.map(codes)).astype("str")
    return frame


def _with_in_scope_amount(name: str, frame: pd.DataFrame, mine: pd.Series) -> pd.DataFrame:
    price = "DON_GIA" if name == "XML2" else "DON_GIA_BH"
    whole = money.parse(frame["THANH_TIEN_BV"].fillna(""), money.AMOUNT_DECIMALS)
    quantity = money.parse(frame["SO_LUONG"].fillna(""), money.PRICE_DECIMALS)
    unit = money.parse(frame[price].fillna(""), money.PRICE_DECIMALS)
    rate = money.parse(frame["TYLE_TT_BH"].fillna(""), money.RATE_DECIMALS)
    known = mine & whole.notna() & quantity.notna() & unit.notna() & rate.between(0, _FULL)
    known &= _blank(frame["THANH_TIEN_BH"])
    at = frame.index[known.to_numpy(dtype="bool", na_value=False)]
    if not len(at):
        return frame
    total = whole.loc[at].astype("int64")
    product = money.product(quantity.loc[at].astype("int64"), unit.loc[at].astype("int64"), divisor=_PRODUCT)
    follows = ((total - product).abs() <= 1).to_numpy()
    share = money.product(total, rate.loc[at].astype("int64"), divisor=_FULL)
    frame.loc[at[follows], "THANH_TIEN_BH"] = money.text(share[follows], money.AMOUNT_DECIMALS).to_numpy()
    return frame


def convert(tables: ClaimTables, to: str) -> tuple[ClaimTables, list[Loss]]:
    """All readable claims in the layout of a decision of TARGETS, and what it cannot hold.

    tables: as read, claims of any decision; their numbers stay. The decision of every claim becomes `to`.
    """
    if to not in TARGETS:
        raise ValueError(f"claims cannot be written in the layout of Decision {to}")
    losses: list[Loss] = []
    unreadable = int((~tables.claims["readable"]).sum())
    if unreadable:
        losses.append(Loss("claim", "", "", unreadable))
        tables = tables.only(set(tables.claims.loc[tables.claims["readable"], "claim"]))
    losses += _lost_of_oldest(tables)
    strangers = tables.unknown.groupby(["table", "element"], as_index=False).size()
    for table, element, count in strangers.itertuples(index=False, name=None):
        losses.append(Loss("unknown", table, element, int(count)))
    target = dictionary.tables(to)
    found: dict[str, pd.DataFrame] = {}
    for name, frame in in_newer_terms(tables).items():
        if name not in target:
            losses.append(Loss("table", name, "", len(frame)))
            continue
        frame, lost_times = _renamed_for(name, frame, to)
        losses += lost_times
        wanted = target[name].names
        for element in frame.columns.difference([*wanted, *KEY_COLUMNS], sort=False):
            count = int((~_blank(frame[element])).sum())
            if count:
                losses.append(Loss("element", name, element, count))
        absent = pd.Series(pd.NA, index=frame.index, dtype="str")
        found[name] = pd.DataFrame(
            {**{k: frame[k] for k in KEY_COLUMNS}, **{n: frame[n] if n in frame.columns else absent for n in wanted}}
        )
        losses += _not_allowed(name, found[name], to)
    claims = tables.claims.assign(decision=pd.Series(to, index=tables.claims.index, dtype="str"))
    return ClaimTables(claims, found), losses


def _lost_of_oldest(tables: ClaimTables) -> Iterator[Loss]:
    """Elements and codes of 4210 claims without a counterpart."""
    old = tables.claims.loc[tables.claims["decision"].eq(OLDEST), "claim"]
    if old.empty:
        return
    moved = {(r.table, r.older): r.newer for r in _renamed() if r.until_decision == OLDEST}
    for name, frame in tables.items():
        if name not in dictionary.tables(OLDEST):
            continue
        rows = frame[frame["claim"].isin(old)]
        for element in dictionary.table(name, OLDEST).names:
            filled = rows.loc[~_blank(rows[element]), element].str.strip()
            newer = moved.get((name, element), element)
            codes = _recoded(OLDEST).get((name, newer), {})
            if (name, element) not in moved and not _in_newer(name, element):
                if len(filled):
                    yield Loss("element", name, element, len(filled))
            elif nowhere := int(filled.isin([code for code, now in codes.items() if not now]).sum()):
                yield Loss("code", name, element, nowhere)


def _renamed_for(name: str, frame: pd.DataFrame, to: str) -> tuple[pd.DataFrame, list[Loss]]:
    """Elements that were renamed inside the 130 family under the name of the target; dates in its form."""
    frame = frame.copy()
    losses = []
    for entry in _renamed():
        if entry.table != name or entry.until_decision == OLDEST:
            continue
        older_wanted = dictionary.DECISIONS.index(to) <= dictionary.DECISIONS.index(entry.until_decision)
        source, place = (entry.newer, entry.older) if older_wanted else (entry.older, entry.newer)
        if source in frame.columns:
            given = frame.pop(source)
            own = frame[place] if place in frame.columns else pd.Series(pd.NA, index=frame.index, dtype="str")
            frame[place] = own.mask(_blank(own) & given.notna(), given)
            both = int((~_blank(own) & ~_blank(given) & (own != given)).sum())
            if both:
                losses.append(Loss("element", name, source, both))
    for field in dictionary.table(name, to).fields:
        if field.type == "date8" and not field.is_list and field.name in frame.columns:
            long = frame[field.name].str.strip().str.fullmatch(r"[0-9]{12}").fillna(False).astype("bool")
            if long.any():
                frame[field.name] = frame[field.name].mask(long, frame[field.name].str.strip().str[:8])
                losses.append(Loss("time", name, field.name, int(long.sum())))
    return frame, losses


def _not_allowed(name: str, frame: pd.DataFrame, to: str) -> Iterator[Loss]:
    wanted = [e for e in expectations(name, Layout(to, -1)) if not e.key]
    for element, faults in check_table(columns_of(frame), wanted).items():
        for kind, word in ((CODE, "not-allowed"), (LENGTH, "too-long")):
            count = int(np.count_nonzero(faults.kinds == kind))
            if count:
                yield Loss(word, name, element, count)
