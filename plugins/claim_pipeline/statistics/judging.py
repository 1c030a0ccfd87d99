"""From the stored statistics to the warnings of a facility-month."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from claim_pipeline import contracts
from claim_rules import catalogue
from claim_rules.reference import OPEN_END, Reference
from claim_rules.statistics import drift, indicators, words
from claim_rules.statistics.drift import Drift, Judgement

if TYPE_CHECKING:
    from claim_pipeline.store.store import Store

_CLASS = ("CAP_CMKT", "TUYEN_CU", "HANG", "MA_TINH")
CAPACITY = "CONG_SUAT_NGAY"
_KEPT = 8  # price levels of so many groups of facilities are held at once


class Month:
    """One month of all facilities, looked up once however many of them are judged."""

    def __init__(self, store: Store, month: str, reference: Reference) -> None:
        self._store = store
        self.month = month
        self.day = f"{month}31"  # no rule and no row of reference data tells the 30th from the 31st of a short month
        self._reference = reference
        self.terms = indicators.limits(self.day)
        self.first = indicators.month_before(month, self.terms["past_months"])
        self._price_levels: dict[frozenset[str], pd.DataFrame] = {}

    @cached_property
    def figures(self) -> pd.DataFrame:
        """indicators.FIGURES of every facility, prices apart, this month and those before."""
        moments = self._store.moments(indicators.MEASURES, self.first, self.month)
        return indicators.figures(moments, self.terms)

    @cached_property
    def classes(self) -> pd.DataFrame | None:
        """Classes of the facilities by facilities.csv; None where there is none."""
        register = self._reference.get("facilities")
        if register is None or "MA_CSKCB" not in register or "CAP_CMKT" not in register:
            return None
        rows = self._valid(register)
        known = pd.DataFrame({name: _column(rows, name) for name in ("MA_CSKCB", *_CLASS)})
        return known.drop_duplicates("MA_CSKCB", keep="last").set_index("MA_CSKCB")

    def capacity(self, facility: str) -> pd.Series | None:
        """Lines a day of the machines of which machines.csv says so."""
        machines = self._reference.get("machines")
        if machines is None or CAPACITY not in machines:
            return None
        rows = self._valid(machines)
        rows = rows[_column(rows, "MA_CSKCB") == facility]
        a_day = pd.to_numeric(_column(rows, CAPACITY), errors="coerce")
        known = pd.Series(a_day.to_numpy(), index=_column(rows, "MA_MAY").to_numpy())
        known = known[known > 0].astype("float64")
        return known.groupby(level=0).max()

    def _valid(self, rows: pd.DataFrame) -> pd.DataFrame:
        begins, ends = _column(rows, "TU_NGAY"), _column(rows, "DEN_NGAY").replace("", OPEN_END)
        return rows[(begins <= self.day) & (ends >= f"{self.month}01")]

    def _prices(self, facility: str) -> pd.DataFrame:
        """FIGURES of the price level of a facility and of those by which the common movement is told: of its level
        first, the largest first; a tariff moves the others too."""
        now = self.figures[(self.figures["month"] == self.month) & (self.figures["indicator"] == "admission")]
        now = now[now["n"] >= self.terms["visits"]].sort_values(["n", "facility"], ascending=[False, True])
        groups = drift.peer_groups(self.classes, facility) or []
        near = now["facility"].isin(groups[-1][1] if groups else ())
        ordered = pd.concat([now[near], now[~near]])["facility"]
        movers = frozenset(ordered.head(self.terms["most_price_peers"] + 1))
        own = () if facility in movers else (self._levels(frozenset({facility})),)
        levels: pd.DataFrame = pd.concat([self._levels(movers), *own], ignore_index=True)
        return levels

    def _levels(self, facilities: frozenset[str]) -> pd.DataFrame:
        if facilities not in self._price_levels:
            measures = (indicators.PRICE, indicators.QUANTITY)
            moments = self._store.moments(measures, self.first, self.month, facilities)
            self._price_levels[facilities] = indicators.price_levels(moments, self.month, self.terms)
            while len(self._price_levels) > _KEPT:
                del self._price_levels[next(iter(self._price_levels))]
        return self._price_levels[facilities]

    def judge(self, facility: str) -> Judgement:
        """Compares one facility-month; rules that are not in force then, or off by contract, say nothing."""
        figures = pd.concat([self.figures, self._prices(facility)], ignore_index=True)
        loads = self._store.loads(facility, self.month, self.first)
        found = drift.judge(facility, self.month, figures, self.classes, loads, self.capacity(facility), self.terms)
        book = catalogue.book()
        off = contracts.terms(facility).off
        running = {rule for rule in book if rule not in off and (not book[rule].since or book[rule].since <= self.day)}
        return Judgement(
            facility,
            self.month,
            [one for one in found.drifts if one.rule in running],
            [one for one in found.tests if one.rule in running],
            [one for one in found.not_judged if one.rule in running],
        )


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame.columns:
        return pd.Series("", index=frame.index, dtype="str")
    return frame[name].fillna("").str.strip()


def as_row(one: Drift) -> dict[str, Any]:
    """A warning as the store keeps it."""
    vi, en = words.message(one)
    return {
        "rule": one.rule,
        "indicator": one.indicator,
        "key": one.key,
        "against": one.against,
        "grade": one.grade,
        "value": one.value,
        "baseline": one.baseline,
        "ratio": one.ratio,
        "chance": one.chance,
        "message_vi": vi,
        "message_en": en,
        "detail": {
            "field": one.field,
            "n": one.n,
            "movement": one.movement,
            "peer_class": one.peer_class,
            "past": [list(pair) for pair in one.past],
            "others": list(one.others),
            "days": [list(pair) for pair in one.days],
            "hour": one.hour,
        },
    }


def as_drift(row: Mapping[str, Any]) -> Drift:
    """A warning that the store kept, as `as_row` gave it."""
    detail = row["detail"]
    return Drift(
        **{name: row[name] for name in ("rule", "indicator", "key", "against", "grade")},
        **{name: row[name] for name in ("value", "baseline", "ratio", "chance")},
        **{name: detail[name] for name in ("field", "n", "movement", "peer_class", "hour")},
        past=tuple((month, value) for month, value in detail["past"]),
        others=tuple(detail["others"]),
        days=tuple((day, lines) for day, lines in detail["days"]),
    )
