"""The statistics of one facility-month as a document (`giamdinh.statistics/1`); page and workbook are made of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from claim_pipeline.statistics import extract
from claim_rules import catalogue
from claim_rules.money import amount_text
from claim_rules.statistics import cells, indicators, words
from claim_rules.statistics.drift import Drift, Judgement

if TYPE_CHECKING:
    from claim_pipeline.store.store import Store

SCHEMA = "giamdinh.statistics/1"
SHARES = (0.1, 0.5, 0.9)
_QUANTILES = {0.1: "p10", 0.5: "p50", 0.9: "p90"}


def build(store: Store, judgement: Judgement) -> dict[str, Any]:
    """The document: findings, comparisons, what was not judged, and the profile (no personal data).

    Amounts and prices are đồng as text with two and three decimals, quantities text with three; shares, days and
    ratios are numbers. A quantile is that of the histogram (claim_rules.statistics.cells).
    """
    facility, month = judgement.facility, judgement.month
    profile = store.profile(facility, month)
    first = indicators.month_before(month, indicators.limits(f"{month}31")["past_months"])
    before = store.moments([extract.BLANK, extract.ROWS], first, indicators.month_before(month, 1), [facility])
    book = catalogue.book()
    return {
        "schema": SCHEMA,
        "rule_book": catalogue.version(),
        "MA_CSKCB": facility,
        "month": month,
        "visits": int(profile.loc[profile["measure"] == indicators.VISITS, "n"].sum()),
        "past_months": sorted({str(one) for one in before["month"]}),
        "findings": [finding(one) | {"basis": book[one.rule].basis} for one in judgement.drifts],
        "comparisons": [finding(one) for one in judgement.tests],
        "not_judged": [_not_judged(one) for one in judgement.not_judged],
        "profile": {
            "kinds": _kinds(profile),
            "routes": _shares(profile, indicators.ROUTE, "MA_DOITUONG_KCB"),
            "diagnoses": _shares(profile, extract.ICD, "MA_BENH_CHINH"),
            "groups": _groups(profile),
            "items": _items(profile),
            "treated": _counts(profile, indicators.TREATED),
            "tables": _tables(profile),
            "fields": _fields(profile, before),
            "unreadable": _counts(profile, extract.UNREADABLE),
        },
    }


def finding(one: Drift) -> dict[str, Any]:
    """A warning or a comparison as the document writes it."""
    vi, en = words.message(one)
    return {
        "rule": one.rule,
        "severity": "warn",
        "indicator": one.indicator,
        "key": one.key,
        "field": one.field,
        "against": one.against,
        "grade": one.grade or None,
        "n": one.n,
        "value": one.value,
        "baseline": one.baseline,
        "ratio": one.ratio,
        "movement": one.movement,
        "chance": one.chance,
        "peer_class": one.peer_class or None,
        "past": [{"month": month, "value": value} for month, value in one.past],
        "peers": list(one.others),
        "days": [{"day": day, "lines": lines} for day, lines in one.days],
        "message_vi": vi,
        "message_en": en,
    }


def _not_judged(one: Any) -> dict[str, Any]:
    vi, en = words.why_not(one)
    about_vi, about_en = words.about(one.indicator, one.key)
    return asdict(one) | {"message_vi": f"{about_vi}: {vi}", "message_en": f"{about_en}: {en}"}


def _of(profile: pd.DataFrame, measure: str) -> pd.DataFrame:
    return profile[profile["measure"] == measure]


def _counts(profile: pd.DataFrame, measure: str) -> dict[str, int]:
    return {str(key): int(n) for key, n in _of(profile, measure).groupby("key")["n"].sum().items()}


def _summary(profile: pd.DataFrame, measure: str) -> dict[str, dict[str, float]]:
    """n, total, mean and quantiles of each key."""
    mine = _of(profile, measure)
    out = cells.quantiles(mine, SHARES).rename(columns=_QUANTILES)
    out["total"] = mine.groupby("key")["total"].sum()
    out["mean"] = out["total"] / out["n"]
    return {
        str(key): {str(name): float(value) for name, value in row.items()} for key, row in out.to_dict("index").items()
    }


def _amount(value: float) -> str:
    return amount_text(round(value))


def _price(value: float) -> str:
    whole, rest = divmod(round(value), 1000)
    return f"{whole}.{rest:03d}"


def _kinds(profile: pd.DataFrame) -> list[dict[str, Any]]:
    visits = _counts(profile, indicators.VISITS)
    whole = max(sum(visits.values()), 1)
    cost, stay, lines = (_summary(profile, name) for name in (indicators.COST, indicators.STAY, extract.LINES))
    out = []
    for kind, count in sorted(visits.items()):
        one: dict[str, Any] = {"MA_LOAI_KCB": kind, "visits": count, "share": count / whole}
        if kind in cost:
            one["cost"] = {name: _amount(cost[kind][name]) for name in ("total", "mean", *_QUANTILES.values())}
        if kind in stay:
            one["nights"] = {name: stay[kind][name] for name in ("mean", *_QUANTILES.values())}
        if kind in lines:
            one["lines"] = {name: lines[kind][name] for name in ("mean", *_QUANTILES.values())}
        out.append(one)
    return out


def _shares(profile: pd.DataFrame, measure: str, name: str) -> list[dict[str, Any]]:
    found = _of(profile, measure).groupby("key")["n"].sum().sort_values(ascending=False, kind="stable")
    whole = max(int(found.sum()), 1)
    return [{name: str(key), "visits": int(n), "share": int(n) / whole} for key, n in found.items()]


def _groups(profile: pd.DataFrame) -> list[dict[str, Any]]:
    found = _of(profile, extract.GROUP).groupby("key")[["n", "total"]].sum()
    whole = max(int(found["total"].sum()), 1)
    found = found.sort_values("total", ascending=False, kind="stable")
    rows = found.itertuples(name=None)
    return [
        {"MA_NHOM": str(key), "lines": int(n), "T_BHTT": amount_text(int(total)), "share": int(total) / whole}
        for key, n, total in rows
    ]


def _items(profile: pd.DataFrame) -> list[dict[str, Any]]:
    price, quantity = _summary(profile, indicators.PRICE), _summary(profile, indicators.QUANTITY)
    spent = _of(profile, extract.SPENT).groupby("key")["total"].sum().sort_values(ascending=False, kind="stable")
    out = []
    for key, total in zip(map(str, spent.index), spent, strict=True):
        table, _, code = key.partition(" ")
        one: dict[str, Any] = {"table": table, "code": code, "THANH_TIEN_BH": amount_text(int(total))}
        if key in price:
            one["lines"] = int(price[key]["n"])
            one["price"] = {name: _price(price[key][name]) for name in _QUANTILES.values()}
        if key in quantity:
            one["quantity"] = {name: _price(quantity[key][name]) for name in ("total", *_QUANTILES.values())}
        out.append(one)
    return out


def _tables(profile: pd.DataFrame) -> list[dict[str, Any]]:
    rows = _counts(profile, extract.ROWS)
    visits = max(sum(_counts(profile, indicators.VISITS).values()), 1)
    order = sorted(rows, key=lambda name: int(name[3:]))
    return [{"table": name, "rows": rows[name], "per_claim": rows[name] / visits} for name in order]


def _fields(profile: pd.DataFrame, before: pd.DataFrame) -> list[dict[str, Any]]:
    """Fields that are empty somewhere, those first whose rate moved most. before: median rate of the months before,
    None where the facility had no such table."""
    rows, blank = _counts(profile, extract.ROWS), _counts(profile, extract.BLANK)
    past, known = _past_rates(before)
    out: list[dict[str, Any]] = []
    for name in sorted({*blank, *past}):
        table = name.partition(".")[0]
        if table in rows:
            count = blank.get(name, 0)
            usual = past.get(name, 0.0) if table in known else None
            out.append({
                "field": name, "rows": rows[table], "blank": count, "rate": count / rows[table], "before": usual,
            })  # fmt: skip
    out.sort(key=lambda one: -abs(one["rate"] - one["before"]) if one["before"] is not None else 0.0)
    return out


def _past_rates(before: pd.DataFrame) -> tuple[dict[str, float], set[str]]:
    """Median over the months before of the share of rows in which a field is empty, by TABLE.FIELD; and the tables."""
    rows = before[before["measure"] == extract.ROWS].rename(columns={"key": "table"})[["month", "table", "n"]]
    blank = before[before["measure"] == extract.BLANK][["month", "key", "n"]]
    fields = blank[["key"]].drop_duplicates()
    fields["table"] = fields["key"].str.split(".").str[0]
    # a month in which a field was never empty has no cell of it, and counts as 0
    every = rows.merge(fields, on="table").merge(blank, on=["month", "key"], how="left", suffixes=("", "_blank"))
    rate = (every["n_blank"].fillna(0) / every["n"]).groupby(every["key"]).median()
    return {str(name): float(value) for name, value in rate.items()}, set(rows["table"])
