"""The rows of claim tables in batches that are checked by the same expectations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from claim_rules import dictionary
from claim_rules.expectations.check import DECISION, PARENT_KEY
from claim_rules.expectations.fields import VERSION_EXPECTATION, VERSION_FIELD, Expectation, Layout, expectations
from claim_rules.expectations.relations import ONE_CLAIM, Relation, relations
from claim_rules.expectations.texts import as_number, days_of, text_array
from claim_rules.frames import KEY_COLUMNS

CLAIMS = "claims"
"""Name of the pseudo table of one row per claim, on which the version is checked."""

SUMMARY_COLUMNS = ("claim", "MA_LK", "NGAY_RA", "NGAY_VAO")
"""What must be known of XML1 to check any table."""


def suite_name(table: str, layout: Layout | None) -> str:
    """Name of the suite of a table in a layout; of CLAIMS without one."""
    return table if layout is None else f"{table}-{layout.name}"


def expectations_of(table: str, layout: Layout | None) -> tuple[Expectation, ...]:
    """What is expected of the fields of a table; without a layout: of CLAIMS."""
    return (VERSION_EXPECTATION,) if layout is None else expectations(table, layout)


def relations_of(table: str, layout: Layout | None) -> tuple[Relation, ...]:
    """What is expected of fields beside each other; without a layout: of CLAIMS."""
    return (ONE_CLAIM,) if layout is None else relations(table, layout.decision)


@dataclass(frozen=True)
class Batch:
    """Rows of one claim table that are checked by the same expectations.

    table: "XML1" ... or CLAIMS (one row per claim: DECISION, NGAY_RA and MA_LK). frame: claim, row, the elements, and
    PARENT_KEY for tables other than XML1.
    """

    table: str
    layout: Layout | None
    frame: pd.DataFrame

    @property
    def name(self) -> str:
        """Name of the suite that holds its expectations."""
        return suite_name(self.table, self.layout)

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        return expectations_of(self.table, self.layout)

    @property
    def relations(self) -> tuple[Relation, ...]:
        return relations_of(self.table, self.layout)


def columns_of(frame: pd.DataFrame) -> dict[str, pa.Array]:
    """The text columns of a claim table as Arrow arrays, without a copy."""
    return {name: text_array(frame[name]) for name in frame.columns if name not in KEY_COLUMNS}


def claim_layouts(claims: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """The claims that can be checked: readable and of a known decision.

    claims: ClaimTables.claims; summary: XML1. Returns a frame (claim, decision, period, MA_LK, NGAY_RA), MA_LK and
    NGAY_RA of XML1; period: see Layout, by NGAY_RA, by NGAY_VAO where NGAY_RA cannot be read.
    """
    able = claims.loc[claims["readable"] & claims["decision"].isin(dictionary.DECISIONS), ["claim", "decision"]]
    one = summary.drop_duplicates("claim")
    one = one[[name for name in SUMMARY_COLUMNS if name in one.columns]]
    able = able.merge(one, on="claim", how="left").reindex(
        columns=["claim", "decision", "MA_LK", "NGAY_RA", "NGAY_VAO"]
    )
    ends, arrivals = (days_of(text_array(able[name])) for name in ("NGAY_RA", "NGAY_VAO"))
    days = np.where(ends != 0, ends, arrivals)
    starts = np.array([as_number(date) for date in dictionary.change_dates()], np.int64)
    able["period"] = np.where(days == 0, -1, np.searchsorted(starts, days, side="right"))
    return able.drop(columns="NGAY_VAO")


def batches(
    claims: pd.DataFrame, summary: pd.DataFrame, portions: Iterable[tuple[str, pd.DataFrame]]
) -> Iterator[Batch]:
    """The batches of a delivery, in the order of its portions; what cannot be checked is left out.

    claims: ClaimTables.claims; summary: XML1, of which SUMMARY_COLUMNS are needed; portions: (table, any rows of it),
    as many at once as memory should hold.
    """
    layouts = claim_layouts(claims, summary)
    if layouts.empty:
        return
    head = layouts.rename(columns={"decision": DECISION}).assign(row=np.int64(1))
    yield Batch(CLAIMS, None, head[["claim", "row", DECISION, VERSION_FIELD, "MA_LK"]])
    names_of = layouts["decision"] + " " + layouts["period"].astype("str")
    groups, group = np.unique(names_of.to_numpy(dtype=object), return_inverse=True)
    place = np.full(int(claims["claim"].max()) + 1, -1, np.int64)  # claim position -> row of layouts
    place[layouts["claim"].to_numpy()] = np.arange(len(layouts))
    parents = text_array(layouts["MA_LK"])
    for name, rows in portions:
        at = place[rows["claim"].to_numpy()]
        frame = rows
        if name != "XML1":
            keys = parents.take(pa.array(at, mask=at < 0))
            frame = rows.assign(**{PARENT_KEY: pd.array(keys, dtype="str")})
        slot = np.where(at < 0, -1, group[at])
        for number in np.unique(slot[slot >= 0]):
            decision, period = str(groups[number]).split(" ")
            layout = Layout(decision, int(period))
            if expectations(name, layout):
                wanted = slot == number
                yield Batch(name, layout, frame if wanted.all() else frame[wanted])
