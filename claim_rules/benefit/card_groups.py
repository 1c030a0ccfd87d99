"""Which object codes (the first two letters of a card) the cards of a visit have."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def holds_group(visits: pd.DataFrame, codes: Iterable[str]) -> pd.Series:
    """Visits any of whose cards (the `;` list MA_THE_BHYT) is of one of the groups (bool, index of visits).

    The order of the cards says nothing: of several the highest entitlement counts (benefit law, step 1).
    """
    any_of = "|".join(codes)
    if not any_of:
        return pd.Series(False, index=visits.index)
    return visits["MA_THE_BHYT"].str.contains(rf"(?:^|;)\s*(?:{any_of})", regex=True)
