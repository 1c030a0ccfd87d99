"""Lines that come late, for claims that an earlier delivery brought: with what was sent then they are a new version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from claim_pipeline.extract.result import Extracted
from claim_rules import dictionary
from claim_rules.frames import KEY_COLUMNS
from claim_rules.lines import CLAIM_NUMBERS

Earlier = Callable[[list[str]], dict[str, tuple[Extracted, int]]]
"""From some MA_LK to the newest earlier delivery that has each, as it was read, and the claim's position in it; those
that none has are absent."""

_NOT_COMPARED = ("STT", "MUC_HUONG", *CLAIM_NUMBERS, "THANH_TIEN_BV", "THANH_TIEN_BH")


@dataclass
class Late:
    """Earlier claims that late lines belong to, at new positions. tables: of all of them; the totals of XML1 are blank,
    for they are no longer true. open_codes: as `Extracted.open_codes`."""

    tables: dict[str, pd.DataFrame]
    open_codes: pd.DataFrame | None

    @property
    def count(self) -> int:
        return len(self.tables["XML1"])


def earlier_claims(names: list[str], earlier: Earlier, first: int) -> Late | None:
    """The earlier claims of these MA_LK, from position `first` on in the order of their MA_LK; None if there is none.
    One of Decision 4210 cannot be completed by the tables of the newer ones."""
    found = earlier(names)
    sources: dict[int, Extracted] = {}
    places: dict[int, dict[int, int]] = {}
    at = first
    for name in sorted(found):
        source, claim = found[name]
        decision = source.tables.claims.set_index("claim")["decision"].get(claim)
        if decision == "4210":
            continue
        sources[id(source)] = source
        places.setdefault(id(source), {})[claim] = at
        at += 1
    if not sources:
        return None
    tables: dict[str, list[pd.DataFrame]] = {}
    codes = []
    for key, source in sources.items():
        place = places[key]
        for table, frame in source.tables.only(set(place)).items():
            tables.setdefault(table, []).append(frame.assign(claim=frame["claim"].map(place).astype("int64")))
        if source.open_codes is not None:
            waiting = source.open_codes[source.open_codes["claim"].isin(place)]
            codes.append(waiting.assign(claim=waiting["claim"].map(place).astype("int64")))
    joined = {table: _sorted(frames) for table, frames in tables.items()}
    totals = [name for name in CLAIM_NUMBERS if name in joined["XML1"].columns]
    joined["XML1"] = joined["XML1"].assign(**dict.fromkeys(totals, ""))
    return Late(joined, pd.concat(codes, ignore_index=True) if codes else None)


def completed(table: str, sent: pd.DataFrame | None, late: pd.DataFrame) -> pd.DataFrame:
    """Rows of one table: those sent now behind those of the earlier claims that they belong to. A row that says the
    same as one sent earlier is that row and not another; a STT that the claim has already is blank, to be given anew.
    Of a table with one record for a claim the newer one counts."""
    if sent is None or sent.empty:
        return late
    if dictionary.table(table).row_element is None:
        late = late[~late["claim"].isin(sent["claim"])]
    elements = [name for name in late.columns if name not in (*KEY_COLUMNS, *_NOT_COMPARED)]
    known = late[["claim"]].assign(said=_said(late, elements)).drop_duplicates()
    mine = sent["claim"].isin(late["claim"])
    said = sent[["claim"]].assign(said=_said(sent, elements))
    repeated = said.merge(known, how="left", indicator=True)["_merge"].to_numpy() == "both"
    kept = sent[~(repeated & mine.to_numpy())].copy()
    if "STT" in kept.columns:
        numbers = late[["claim", "STT"]].dropna().drop_duplicates()
        taken = kept[["claim", "STT"]].merge(numbers, how="left", indicator=True)["_merge"].to_numpy() == "both"
        kept["STT"] = kept["STT"].mask(taken, "")
    out = _sorted([late.assign(late=0), kept.assign(late=1)], "late").drop(columns="late")
    marks = [name for name in out.columns if name not in late.columns]
    return out.assign(**{name: out[name].fillna(False).astype(bool) for name in marks})


def _said(rows: pd.DataFrame, elements: list[str]) -> pd.Series:
    texts = [rows[name].fillna("").astype("str").str.strip() for name in elements]
    return pd.Series(["\0".join(row) for row in zip(*texts, strict=True)], index=rows.index, dtype="str")


def _sorted(frames: list[pd.DataFrame], *then: str) -> pd.DataFrame:
    """All rows by claim, numbered anew within each."""
    rows = pd.concat(frames, ignore_index=True).sort_values(["claim", *then, "row"], kind="stable", ignore_index=True)
    return rows.assign(row=rows.groupby("claim").cumcount().to_numpy(dtype=np.int64) + 1)
