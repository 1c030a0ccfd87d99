"""Working days: weekends, the public holidays of Vietnam with their days in lieu, and holidays.csv."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from claim_rules.reference import Reference


@cache
def _public(first: int, last: int) -> tuple[str, ...]:
    from holidays import country_holidays

    return tuple(str(day) for day in country_holidays("VN", years=range(first, last + 1)))


def days_off(days: pd.Series, reference: Reference) -> npt.NDArray[np.datetime64]:
    """The holidays of the years that `days` (datetime64, NaT is passed over) lie in, one year around them included."""
    known = days.dropna()
    years = known.dt.year
    listed = list(_public(int(years.min()) - 1, int(years.max()) + 1)) if len(known) else []
    own = reference.get("holidays")
    if own is not None and "NGAY" in own.columns:
        text = own["NGAY"].fillna("").str.strip()
        listed += [f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in text[text.str.fullmatch("[0-9]{8}")]]
    return np.array(listed, dtype="datetime64[D]")


def to_days(texts: pd.Series) -> pd.Series:
    """Days (yyyymmdd or longer texts) as datetime64; NaT where there is no day."""
    return pd.to_datetime(texts.str[:8], format="%Y%m%d", errors="coerce")


def working_days(first: pd.Series, last: pd.Series, reference: Reference) -> pd.Series:
    """Working days after `first` up to and including `last` (both yyyymmdd texts; Int64, NA where one is no day)."""
    start, end = to_days(first), to_days(last)
    known = start.notna() & end.notna()
    out = pd.Series(pd.NA, index=first.index, dtype="Int64")
    if known.any():
        off = days_off(pd.concat([start[known], end[known]]), reference)
        begin, until = (side[known].to_numpy(dtype="datetime64[D]") + np.timedelta64(1, "D") for side in (start, end))
        out[known] = np.busday_count(begin, until, holidays=off)
    return out
