"""Reference data as an appraisal uses them: of the large tables (claim_rules.reference.LOOKED_UP) only the rows of the
cards, facilities and visits of the claims at hand are read."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import pandas as pd

from claim_rules.reference import LOOKED_UP, Reference

if TYPE_CHECKING:
    from claim_pipeline.store.store import Store
    from claim_rules.frames import ClaimTables

_CARD, _FACILITY, _VISIT = "MA_THE_BHYT", "MA_CSKCB", "MA_LK"


class ReferenceUsed:
    """Tables as certain loads brought them, and in their place those `beside` (of a folder, whole).

    Raises KeyError, with the names of the tables, for loads that are not there or whose rows are no longer kept.
    """

    def __init__(self, store: Store, loads: Collection[int], beside: Reference | None = None) -> None:
        self._store = store
        self._loads = list(loads)
        self._beside = dict(beside or {})
        names = set(store.reference_names(self._loads))
        self._large = sorted(names & set(LOOKED_UP) - set(self._beside))
        self._small = store.reference(loads=self._loads, names=names - set(LOOKED_UP) - set(self._beside))
        self._of_facilities: tuple[set[str], dict[str, pd.DataFrame]] = (set(), {})

    def beside(self, tables: Reference) -> ReferenceUsed:
        """The same with these tables in place of those stored."""
        return ReferenceUsed(self._store, self._loads, {**self._beside, **tables})

    def table(self, name: str) -> pd.DataFrame | None:
        """A small table; None where there is none."""
        return {**self._small, **self._beside}.get(name)

    def of(self, tables: ClaimTables) -> Reference:
        """The reference data for these claims: what rules make of them is the same as of the whole."""
        facilities = _items(tables.claims, _FACILITY) | _items(tables.tables.get("XML1"), _FACILITY) | {""}
        cards = {card for frame in tables.tables.values() for card in _items(frame, _CARD)}
        visits = _items(tables.claims, _VISIT) | _items(tables.tables.get("XML1"), _VISIT)
        if self._of_facilities[0] != facilities:  # those of the delivery before, mostly
            self._of_facilities = (facilities, self._read(_FACILITY, facilities))
        read = {**self._of_facilities[1], **self._read(_CARD, cards), **self._read(_VISIT, visits)}
        return {**self._small, **read, **self._beside}

    def _read(self, column: str, keys: Collection[str]) -> dict[str, pd.DataFrame]:
        names = [name for name in self._large if LOOKED_UP[name] == column]
        if not names:
            return {}
        return self._store.reference(loads=self._loads, names=names, only=dict.fromkeys(names, keys))


def _items(frame: pd.DataFrame | None, column: str) -> set[str]:
    """What stands in a column, whole and (of `;` lists) item by item."""
    if frame is None or column not in frame:
        return set()
    sent = frame[column].dropna().astype("str").drop_duplicates().str.strip()
    return {*sent, *sent.str.split(";").explode().str.strip()} - {""}
