"""What is compared between facility-months: cost, prices, length of stay, antibiotics, admissions, routes.

Each indicator is a positive figure with its sampling error, both on the scale of logarithms, where a difference is a
ratio: a rise of 20 % is as large for a commune station as for a central hospital.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from claim_rules import law

FIGURES = {
    "facility": "str",
    "month": "str",  # yyyymm
    "indicator": "str",
    "key": "str",  # MA_LOAI_KCB, MA_DOITUONG_KCB or ""
    "n": "int64",  # visits (price: lines) on which it rests
    "value": "float64",  # đồng, days, share of 1; price: ratio to the mean price of the past months
    "level": "float64",  # natural logarithm of the value (of a share: of (k + 1/2) / (n + 1))
    "error": "float64",  # standard error of the level by sampling alone
}
"""Columns of figures; key: facility, month, indicator, key."""

VISITS, COST, STAY, ROUTE, TREATED = "visits", "cost", "stay", "route", "treated"
MEASURES = (VISITS, COST, STAY, ROUTE, TREATED)
"""Measures of a profile on which the figures rest; prices come from PRICE and QUANTITY (see `price_levels`)."""
PRICE, QUANTITY = "price", "quantity"
DRUGS, ANTIBIOTIC = "drugs", "antibiotic"
_BY = ["facility", "month"]


def limits(day: str) -> dict[str, Any]:
    """What law/statistics says on a day (yyyymmdd); before its first day as on it."""
    known = law.parameter("statistics")
    found: dict[str, Any] = known.at(max(day, known.starts[0]))
    return found


@cache
def is_antibiotic(code: str) -> bool:
    """Whether MA_THUOC is one of the antibiotics of law/statistics (by its number in the list of Circular 20/2022)."""
    known = limits("99999999")["antibiotics"]
    group, first = known["from"].split(".")
    found = re.match(r"([0-9]+)\.([0-9]{1,6})(?![0-9])", code)
    return bool(found and found[1] == group and int(first) <= int(found[2]) <= int(known["to"].split(".")[1]))


def month_before(month: str, count: int) -> str:
    """The month (yyyymm) so many months before another."""
    number = int(month[:4]) * 12 + int(month[4:]) - 1 - count
    return f"{number // 12:04d}{number % 12 + 1:02d}"


def figures(moments: pd.DataFrame, terms: Mapping[str, Any]) -> pd.DataFrame:
    """FIGURES of every facility-month, prices apart.

    moments: facility, month and cells.MOMENT_COLUMNS, for MEASURES. terms: `limits`.
    """
    inpatient = law.load("inpatient")["codes"]
    parts = [
        _means(moments, COST, "cost", None, 100.0),
        _means(moments, STAY, "stay", terms["stay_kinds"], 1.0),
        _shares(moments, VISITS, "admission", {"": inpatient}, None),
        _shares(moments, ROUTE, "route", {code: [code] for code in terms["routes"]}, None),
        _shares(moments, TREATED, "antibiotic", {"": [ANTIBIOTIC]}, [DRUGS]),
    ]
    return pd.concat(parts, ignore_index=True).astype(FIGURES)


def _means(moments: pd.DataFrame, measure: str, name: str, keys: list[str] | None, unit: float) -> pd.DataFrame:
    mine = moments[(moments["measure"] == measure) & (moments["n"] > 1) & (moments["total"] > 0)]
    if keys is not None:
        mine = mine[mine["key"].isin(keys)]
    mean = mine["total"] / mine["n"]
    variance = (mine["squares"] / mine["n"] - mean * mean).clip(lower=0.0)
    return mine[[*_BY, "key", "n"]].assign(
        indicator=name, value=mean / unit, level=np.log(mean / unit), error=np.sqrt(variance / mine["n"]) / mean
    )


def _shares(
    moments: pd.DataFrame, measure: str, name: str, parts: Mapping[str, list[str]], whole: list[str] | None
) -> pd.DataFrame:
    mine = moments[moments["measure"] == measure]
    of_all = mine if whole is None else mine[mine["key"].isin(whole)]
    size = of_all.groupby(_BY)["n"].sum()
    size = size[size > 0]
    out = []
    for key, codes in parts.items():
        count = mine[mine["key"].isin(codes)].groupby(_BY)["n"].sum().reindex(size.index, fill_value=0)
        one = pd.DataFrame({"n": size, "value": count / size, "level": np.log((count + 0.5) / (size + 1.0))})
        one["error"] = np.sqrt(1.0 / (count + 0.5) - 1.0 / (size + 1.0))
        out.append(one.reset_index().assign(indicator=name, key=key))
    return pd.concat(out, ignore_index=True)


def price_levels(moments: pd.DataFrame, month: str, terms: Mapping[str, Any]) -> pd.DataFrame:
    """FIGURES of the price level of each facility in `month` and in the months before it that are in `moments`.

    moments: facility, month and MOMENT_COLUMNS for PRICE (1/1000 đồng, one value per line) and QUANTITY (1/1000).
    A code is a drug product (MA_THUOC and SO_DANG_KY), a service or a supply. The level is what the quantities of a
    month cost at its own mean prices, over what they would cost at the mean prices of all months before `month`; of
    the codes with `price_lines` lines both in `month` and before. Its error is that of the codes' price ratios.
    """
    inside = moments[moments["measure"].isin([PRICE, QUANTITY]) & (moments["month"] <= month)]
    of_price = inside[inside["measure"] == PRICE][[*_BY, "key", "n", "total"]].rename(columns={"total": "prices"})
    of_quantity = inside[inside["measure"] == QUANTITY][[*_BY, "key", "total"]].rename(columns={"total": "quantity"})
    rows = of_price.merge(of_quantity, on=[*_BY, "key"])
    if rows.empty:
        return _no_figures()
    past = rows[rows["month"] < month].groupby(["facility", "key"], as_index=False)[["n", "prices"]].sum()
    past = past[past["n"] >= terms["price_lines"]]
    now = rows[(rows["month"] == month) & (rows["n"] >= terms["price_lines"])]
    usual = past.merge(now[["facility", "key"]], on=["facility", "key"])
    usual["usual"] = usual["prices"] / usual["n"]
    rows = rows[rows["n"] > 0].merge(usual[["facility", "key", "usual"]], on=["facility", "key"])
    rows = rows[(rows["usual"] > 0) & (rows["prices"] > 0) & (rows["quantity"] > 0)]
    rows["weight"] = rows["quantity"] * rows["usual"]
    rows["ratio"] = rows["prices"] / rows["n"] / rows["usual"]
    rows["worth"] = rows["weight"] * rows["ratio"]
    rows["codes"] = 1
    sums = rows.groupby(_BY, as_index=False)[["n", "weight", "worth", "codes"]].sum()
    sums["value"] = sums["worth"] / sums["weight"]
    apart = rows.merge(sums[[*_BY, "value"]], on=_BY)
    apart["spread"] = (apart["weight"] * (apart["ratio"] - apart["value"])) ** 2
    spread = apart.groupby(_BY, as_index=False)["spread"].sum()
    sums = sums.merge(spread, on=_BY)
    sums = sums[sums["codes"] >= terms["price_codes"]]
    sums["error"] = np.sqrt(sums["spread"]) / sums["weight"] / sums["value"]
    sums = sums.assign(indicator="price", key="", level=np.log(sums["value"]))
    out: pd.DataFrame = sums[list(FIGURES)].astype(FIGURES)
    return out


def _no_figures() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in FIGURES.items()})
