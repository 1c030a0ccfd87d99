"""Is a facility-month unusual beside the facility's own past and its peers? (STAT-001 to STAT-005)

How it is decided, since the sources name no method:
- Everything is a ratio (logarithms). The own past is the median of the months before (up to twelve, at least three),
  the peers are the median of the facilities of the same class in the same month (at least five).
- What moves everybody is no drift: the median movement of the other facilities (a new tariff, a new base salary, the
  season) is taken off before a month is compared with the facility's own past.
- How far a month may lie from the median is estimated robustly (1.4826 × MAD), held down and up by what is usual
  (law/statistics: counted as so many months seen), and by the sampling error of the mean itself: 60 visits prove less
  than 6,000. The tail is that of Student's t.
- All comparisons of a facility-month are one family: Holm's procedure holds the chance of any false warning at alpha.
- Sure is not enough: the ratio must reach the lowest grade as well. Only rises are told.
- STAT-002 and STAT-003 are limits and no comparisons; they are told whenever they are passed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from claim_rules.statistics.indicators import month_before

GRADES = ("low", "high", "very_high")
PAST, YEAR, PEERS, LIMIT = "past", "year", "peers", "limit"
DOCTOR, HOUR, MACHINE = "doctor", "hour", "machine"
EVERYBODY = "all"
MAD = 1.4826
_MEDIAN = math.pi / 2  # variance of a median over that of a mean


@dataclass(frozen=True)
class Drift:
    """One warning about a facility-month, or one comparison that was made.

    against: past (own months before), year (own month a year before), peers, limit. value, baseline: đồng, days,
    share of 1, price ratio or lines per day; ratio: value over baseline, the common movement taken off; movement: that
    of the other facilities (1: none known); chance: of so high a value if nothing were unusual (p, of one comparison);
    grade: "" where it is no warning. past: (month, value); others: values of the peers; days: (yyyymmdd, lines).
    """

    rule: str
    indicator: str
    key: str
    field: str
    against: str
    n: int
    value: float
    baseline: float
    ratio: float
    movement: float = 1.0
    chance: float | None = None
    grade: str = ""
    peer_class: str = ""
    past: tuple[tuple[str, float], ...] = ()
    others: tuple[float, ...] = ()
    days: tuple[tuple[str, int], ...] = ()
    hour: int | None = None

    @property
    def name(self) -> str:
        """What it is about, in one word for files and pictures."""
        return "-".join(part for part in (self.rule, self.indicator, self.key, self.against) if part)


@dataclass(frozen=True)
class NotJudged:
    """A comparison that could not be made. reason: few-visits, few-months, few-peers, no-class, no-capacity."""

    rule: str
    indicator: str
    key: str
    against: str
    reason: str
    seen: int = 0
    needed: int = 0


@dataclass(frozen=True)
class Judgement:
    """All that was compared for one facility-month. drifts: the warnings, gravest first; tests: every comparison with
    its chance, the warnings among them."""

    facility: str
    month: str
    drifts: list[Drift] = field(default_factory=list)
    tests: list[Drift] = field(default_factory=list)
    not_judged: list[NotJudged] = field(default_factory=list)


def tail(t: float, freedom: int) -> float:
    """Chance that Student's t with so many whole degrees of freedom is larger than t (Abramowitz and Stegun 26.7)."""
    theta = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(theta), math.cos(theta)
    if freedom % 2:
        total, term = 0.0, cosine
        for place in range(1, freedom - 1, 2):
            total += term
            term *= cosine * cosine * (place + 1) / (place + 2)
        inside = 2 / math.pi * (theta + sine * total)
    else:
        total, term = 0.0, 1.0
        for place in range(0, freedom - 1, 2):
            total += term
            term *= cosine * cosine * (place + 1) / (place + 2)
        inside = sine * total
    return min(max((1 - inside) / 2, 0.0), 1.0)


def holm(chances: list[float], alpha: float) -> list[bool]:
    """Which of several tests hold together so that the chance of any false one is at most alpha (Holm 1979)."""
    out = [False] * len(chances)
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda at: chances[at])):
        if chances[place] > alpha / (len(chances) - rank):
            break
        out[place] = True
    return out


def _spread(levels: np.ndarray, errors: np.ndarray, usual: float, prior: int) -> float:
    """Variance between months (or facilities) beyond their sampling, `usual` counted as so many of them."""
    scale = MAD * float(np.median(np.abs(levels - np.median(levels))))
    beyond = max(scale**2 - float(np.median(errors**2)), 0.0)
    return (prior * usual**2 + (len(levels) - 1) * beyond) / (prior + len(levels) - 1)


def _against(level: float, error: float, levels: np.ndarray, errors: np.ndarray, usual: float, prior: int) -> float:
    """Chance of a level so far above the median of others."""
    variance = _spread(levels, errors, usual, prior)
    own = float(np.median(errors**2)) + variance
    scale = math.sqrt(error**2 + variance + _MEDIAN * own / len(levels))
    return tail((level - float(np.median(levels))) / scale, prior + len(levels) - 1)


def peer_groups(classes: pd.DataFrame | None, facility: str) -> list[tuple[str, set[str]]] | None:
    """Groups of facilities with which one is compared, the nearest first; None: it is not in the register.

    classes: index MA_CSKCB; CAP_CMKT, TUYEN_CU, HANG, MA_TINH as text, or None where there is no register: then all
    facilities are peers. The first group with enough of them counts: same level, former tier and hospital class in the
    province, in the nation, same level in the province, in the nation.
    """
    if classes is None:
        return [(EVERYBODY, set())]
    if facility not in classes.index:
        return None
    mine = classes.loc[facility]
    level = classes["CAP_CMKT"] == mine["CAP_CMKT"]
    alike = level & (classes["TUYEN_CU"] == mine["TUYEN_CU"]) & (classes["HANG"] == mine["HANG"])
    near = classes["MA_TINH"] == mine["MA_TINH"]
    masks = {"class-province": alike & near, "class": alike, "level-province": level & near, "level": level}
    return [(name, set(classes.index[mask])) for name, mask in masks.items()]


class _Judge:
    def __init__(
        self, facility: str, month: str, figures: pd.DataFrame, classes: pd.DataFrame | None, terms: Mapping[str, Any]
    ) -> None:
        self.facility, self.month, self.terms = facility, month, terms
        self.first = month_before(month, terms["past_months"])
        enough = figures[figures["n"] >= terms["visits"]]
        self.figures = enough[(enough["month"] >= self.first) & (enough["month"] <= month)]
        self.few = figures[
            (figures["facility"] == facility) & (figures["month"] == month) & (figures["n"] < terms["visits"])
        ]
        self.groups = peer_groups(classes, facility)
        self.tests: list[Drift] = []
        self.not_judged: list[NotJudged] = []

    def all_figures(self) -> None:
        now = self.figures[(self.figures["facility"] == self.facility) & (self.figures["month"] == self.month)]
        for indicator, key, n, value, level, error in now[
            ["indicator", "key", "n", "value", "level", "error"]
        ].itertuples(index=False, name=None):
            same = self.figures[(self.figures["indicator"] == indicator) & (self.figures["key"] == key)]
            known = self.terms["indicators"][indicator]
            base: dict[str, Any] = {
                "rule": known["rule"], "indicator": indicator, "key": key, "field": known["field"],
                "n": int(n), "value": float(value),
            }  # fmt: skip
            group, peers = self._peers(same)
            base["others"] = tuple(sorted(peers["value"].astype("float64")))
            base["peer_class"] = group
            self._past(same, known, base, float(level), float(error))
            if known.get("year"):
                self._year(same, known, base, float(level), float(error))
            if known["peers"] is not None:
                self._beside_peers(same, peers, known, base, float(level), float(error))
        for indicator, key, n in self.few[["indicator", "key", "n"]].itertuples(index=False, name=None):
            rule = self.terms["indicators"][indicator]["rule"]
            self._cannot(rule, indicator, key, PAST, "few-visits", int(n), self.terms["visits"])

    def _cannot(
        self, rule: str, indicator: str, key: str, against: str, reason: str, seen: int = 0, needed: int = 0
    ) -> None:
        self.not_judged.append(NotJudged(rule, indicator, key, against, reason, seen, needed))

    def _movement(self, same: pd.DataFrame, months: set[str], least: int) -> tuple[float, float]:
        """Median movement of the other facilities from those months to this one, and its variance; 0 if unknown."""
        others = same[same["facility"] != self.facility]
        before = others[others["month"].isin(months)].groupby("facility")["level"].agg(["median", "size"])
        now = others[others["month"] == self.month].set_index("facility")
        both = now.join(before[before["size"] >= least], how="inner")
        if len(both) < self.terms["least_movers"]:
            return 0.0, 0.0
        moved = (both["level"] - both["median"]).to_numpy()
        scale = MAD * float(np.median(np.abs(moved - np.median(moved))))
        error = max(scale**2, float(np.median(both["error"] ** 2)))
        return float(np.median(moved)), _MEDIAN * error / len(moved)

    def _past(
        self, same: pd.DataFrame, known: Mapping[str, Any], base: dict[str, Any], level: float, error: float
    ) -> None:
        own = same[(same["facility"] == self.facility) & (same["month"] < self.month)].sort_values("month")
        least = self.terms["least_past"]
        if len(own) < least:
            self._cannot(base["rule"], base["indicator"], base["key"], PAST, "few-months", len(own), least)
            return
        moved, unsure = self._movement(same, set(own["month"]), least)
        levels = own["level"].to_numpy()
        chance = _against(
            level - moved, math.hypot(error, math.sqrt(unsure)), levels, own["error"].to_numpy(), known["month"],
            self.terms["prior_months"],
        )  # fmt: skip
        self._told(base, PAST, level - moved - float(np.median(levels)), chance, moved, own, "past_grades", known)

    def _year(
        self, same: pd.DataFrame, known: Mapping[str, Any], base: dict[str, Any], level: float, error: float
    ) -> None:
        own = same[(same["facility"] == self.facility) & (same["month"] == month_before(self.month, 12))]
        if own.empty:
            return
        moved, unsure = self._movement(same, set(own["month"]), 1)
        before = float(own["level"].iloc[0])
        scale = math.sqrt(error**2 + float(own["error"].iloc[0]) ** 2 + unsure + known["year"] ** 2)
        chance = tail((level - moved - before) / scale, self.terms["prior_months"])
        self._told(base, YEAR, level - moved - before, chance, moved, own, "past_grades", known)

    def _told(
        self, base: dict[str, Any], against: str, difference: float, chance: float, moved: float, own: pd.DataFrame,
        grades: str, known: Mapping[str, Any],
    ) -> None:  # fmt: skip
        ratio = math.exp(difference)
        self.tests.append(
            Drift(
                **base,
                against=against,
                baseline=float(own["value"].median()),
                ratio=ratio,
                movement=math.exp(moved),
                chance=chance,
                grade=_grade(ratio, known[grades]),
                past=tuple(zip(own["month"], own["value"].astype("float64"), strict=True)),
            )
        )

    def _peers(self, same: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        """The nearest group with enough facilities in this month, else the widest: its name and rows."""
        now = same[(same["month"] == self.month) & (same["facility"] != self.facility)]
        name, peers = "", now.head(0)
        for name, group in self.groups or []:
            peers = now if name == EVERYBODY else now[now["facility"].isin(group)]
            if len(peers) >= self.terms["least_peers"]:
                break
        return name, peers

    def _beside_peers(
        self, same: pd.DataFrame, peers: pd.DataFrame, known: Mapping[str, Any], base: dict[str, Any], level: float,
        error: float,
    ) -> None:  # fmt: skip
        about = (base["rule"], base["indicator"], base["key"], PEERS)
        if self.groups is None:
            self._cannot(*about, "no-class")
            return
        if len(peers) < self.terms["least_peers"]:
            self._cannot(*about, "few-peers", len(peers), self.terms["least_peers"])
            return
        levels = peers["level"].to_numpy()
        errors = peers["error"].to_numpy()
        chance = _against(level, error, levels, errors, known["peers"], self.terms["prior_peers"])
        ratio = math.exp(level - float(np.median(levels)))
        own = same[(same["facility"] == self.facility) & (same["month"] < self.month)].sort_values("month")
        self.tests.append(
            Drift(
                **base,
                against=PEERS,
                baseline=float(peers["value"].median()),
                ratio=ratio,
                chance=chance,
                grade=_grade(ratio, known["peer_grades"]),
                past=tuple(zip(own["month"], own["value"].astype("float64"), strict=True)),
            )
        )


def _grade(ratio: float, grades: list[float]) -> str:
    reached = [name for name, limit in zip(GRADES, grades, strict=True) if ratio >= limit - 1e-9]
    return reached[-1] if reached else ""


def judge(
    facility: str,
    month: str,
    figures: pd.DataFrame,
    classes: pd.DataFrame | None,
    loads: pd.DataFrame,
    capacity: pd.Series | None,
    terms: Mapping[str, Any],
) -> Judgement:
    """All warnings of one facility-month.

    figures: indicators.FIGURES of this facility and others. classes: see peer_groups. loads: month, measure (DOCTOR,
    MACHINE), key ("<code> <yyyymmdd>"), bucket (hour of the day, -1: not known), n (lines) of this facility, months
    before included. capacity: MA_MAY -> lines a day, where known. terms: indicators.limits.
    """
    judge = _Judge(facility, month, figures, classes, terms)
    judge.all_figures()
    sure = holm([test.chance or 0.0 for test in judge.tests], terms["alpha"])
    tests = [
        test if keep else Drift(**{**test.__dict__, "grade": ""}) for test, keep in zip(judge.tests, sure, strict=True)
    ]
    drifts = [test for test in tests if test.grade]
    drifts.sort(key=lambda one: (-GRADES.index(one.grade), one.rule, one.indicator, one.key, one.against))
    limits = [*doctor_loads(loads, month, terms)]
    machines, unknown = machine_loads(loads, month, capacity, terms)
    not_judged = judge.not_judged
    if unknown:
        not_judged.append(
            NotJudged("STAT-003", MACHINE, "", LIMIT, "no-capacity", unknown, terms["machine_days"])
        )  # fmt: skip
    return Judgement(facility, month, [*drifts, *limits, *machines], [*tests, *limits, *machines], not_judged)


def _per_day(loads: pd.DataFrame, measure: str) -> pd.DataFrame:
    """month, code, day, hour, n of one kind of load."""
    mine = loads[loads["measure"] == measure]
    code, day = mine["key"].str.slice(0, -9), mine["key"].str.slice(-8)
    return pd.DataFrame({"month": mine["month"], "code": code, "day": day, "hour": mine["bucket"], "n": mine["n"]})


def doctor_loads(loads: pd.DataFrame, month: str, terms: Mapping[str, Any]) -> list[Drift]:
    """STAT-002: examination lines (MA_NHOM 13, consultations apart) of one MA_BAC_SI on one day above the limit, or in
    one hour more than there is room for at `exam_minutes` each: an hour without a gap of that length between two.

    One warning for each doctor and limit, about the worst day. Of several doctors on a line the first counts. A day is
    that of NGAY_TH_YL, else NGAY_YL; a time of 00:00 says nothing about the hour.
    """
    rows = _per_day(loads[loads["month"] == month], DOCTOR)
    rows = rows[rows["code"] != "?"]
    days: pd.DataFrame = rows.groupby(["code", "day"], as_index=False).agg(n=("n", "sum"))
    out = _worst("STAT-002", DOCTOR, "MA_BAC_SI", days, days["n"] > terms["exams_per_day"], terms["exams_per_day"])
    room = 60 // terms["exam_minutes"]
    timed = rows[rows["hour"] >= 0]
    out += _worst("STAT-002", HOUR, "NGAY_YL", timed, timed["n"] > room, room)
    return out


def machine_loads(
    loads: pd.DataFrame, month: str, capacity: pd.Series | None, terms: Mapping[str, Any]
) -> tuple[list[Drift], int]:
    """STAT-003: lines of one MA_MAY on one day above its capacity, one warning for each machine.

    No source says what a machine can do. The capacity is CONG_SUAT_NGAY of machines.csv (lines a day), where a
    facility gives it; else what the machine showed: `machine_ratio` times the most lines of any of at least
    `machine_days` days before this month. Second value: machines of which neither is known.
    """
    rows = _per_day(loads, MACHINE)
    rows = rows[rows["code"] != "?"]
    days = rows.groupby(["month", "code", "day"], as_index=False)["n"].sum()
    before = days[days["month"] < month].groupby("code")["n"].agg(["max", "size"])
    shown = before.loc[before["size"] >= terms["machine_days"], "max"] * terms["machine_ratio"]
    now = days[days["month"] == month]
    limit = shown.reindex(now["code"]).astype("float64").set_axis(now.index)
    if capacity is not None:
        limit = capacity.reindex(now["code"]).astype("float64").set_axis(now.index).fillna(limit)
    over = (now["n"] > limit) & (now["n"] >= terms["machine_lines"])
    out = _worst("STAT-003", MACHINE, "MA_MAY", now, over, limit)
    return out, int(now.loc[limit.isna(), "code"].nunique())


def _worst(
    rule: str, indicator: str, name: str, days: pd.DataFrame, over: pd.Series, limit: float | pd.Series
) -> list[Drift]:
    hit = days[over].assign(limit=limit if not isinstance(limit, pd.Series) else limit[over])
    worst = hit.sort_values(["n", "day"], ascending=[False, True]).drop_duplicates("code").sort_values("code")
    out = []
    for code, day, n, most in worst[["code", "day", "n", "limit"]].itertuples(index=False, name=None):
        mine = days[days["code"] == code].groupby("day")["n"].max()
        hour = int(worst.loc[(worst["code"] == code), "hour"].iloc[0]) if indicator == HOUR else None
        out.append(
            Drift(
                rule, indicator, f"{code} {day}", name, LIMIT, int(hit.loc[hit["code"] == code, "day"].nunique()),
                float(n), float(most), float(n) / float(most), grade=GRADES[0], hour=hour,
                days=tuple(zip(mine.index, mine.astype(int), strict=True)),
            )
        )  # fmt: skip
    return out
