"""Faults between two claims (CARD-017, DUP): a visit sent twice, one person at two places, one device used twice.

A pair is found among claims without another fault. Either the second claim becomes a copy of the first (COPIES), or
both stay what they are and the second is given what makes the fault (PAIRS), mostly the person of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from claim_rules.frames import ClaimTables
from claim_simulator.faults.claim import Claim, Truth
from claim_simulator.moments import text12

PERSON = (
    "MA_THE_BHYT",
    "HO_TEN",
    "NGAY_SINH",
    "GIOI_TINH",
    "SO_CCCD",
    "MA_DKBD",
    "GT_THE_TU",
    "GT_THE_DEN",
    "NAM_NAM_LIEN_TUC",
    "MA_KHUVUC",
)
"""What a claim takes over to be one of another person's."""

DAY = 24 * 60
SHIFT = 2  # minutes by which a copy's times differ where they must not be the same


@dataclass(frozen=True)
class Copy:
    """The second claim is the first one again under its own MA_LK. possible: which claims; minutes: all its times
    later by so much; found: the rules that the copy then breaks besides its devices."""

    possible: Callable[[pd.DataFrame], pd.Series]
    minutes: int
    found: Callable[[dict[str, Any]], list[str]]


@dataclass(frozen=True)
class Pair:
    """Two claims of which the second is changed. candidates: frame (first, second) of claims that fit; one_delivery:
    both must come together; plant: changes the second, returns the findings of the first and of the second."""

    candidates: Callable[[pd.DataFrame], pd.DataFrame]
    plant: Callable[[Claim, Claim], tuple[list[Truth], list[Truth]]]
    one_delivery: bool = False


def become(claim: Claim, person: dict[str, str], *, but: tuple[str, ...] = ()) -> None:
    """Gives a claim the person (PERSON) of another one."""
    for name in PERSON:
        if name not in but:
            claim.everywhere(name, person[name])


def person_of(claim: Claim) -> dict[str, str]:
    """Who came (PERSON)."""
    return {name: claim.get("XML1", name) for name in PERSON}


def joinable(known: pd.DataFrame) -> pd.Series:
    """Visits whose person can be exchanged for another of the same card group without another finding."""
    return (
        known["registered_card"]
        & ~known["child_card"]
        & ~known["infant"]
        & ~known["waived"]
        & known["plain_route"]
        & ~known["route"].isin(["1.1", "1.2", "1.5", "3.6"])
        & (known["citizen"] != "")
    )


def paired(known: pd.DataFrame, firsts: pd.Series, seconds: pd.Series, on: list[str]) -> pd.DataFrame:
    """Pairs of visits that agree in card group, sex and `on`, the card of the first covering the second: columns of
    both with _first and _second, and first, second."""
    keys = [*on, "prefix", "sex"]
    mine = known.assign(claim=known.index)
    first, second = mine[firsts].add_suffix("_first"), mine[seconds].add_suffix("_second")
    out = first.merge(second, left_on=[f"{key}_first" for key in keys], right_on=[f"{key}_second" for key in keys])
    covered = (out["card_from_first"] <= out["day_in_second"]) & (out["day_out_second"] <= out["card_to_first"])
    out = out[covered & (out["claim_first"] != out["claim_second"])]
    return out.rename(columns={"claim_first": "first", "claim_second": "second"})


def _inside_a_stay(known: pd.DataFrame) -> pd.DataFrame:
    outside = joinable(known) & ~known["inpatient"] & (known["drugs"] > 0) & (known["loai"] == "01")
    pairs = paired(known, joinable(known) & known["inpatient"] & (known["days_in"] > 1), outside, ["part"])
    inside = (pairs["day_in_first"] < pairs["day_in_second"]) & (pairs["day_in_second"] < pairs["day_out_first"])
    return pairs[inside]


def _outpatient_inside(first: Claim, second: Claim) -> tuple[list[Truth], list[Truth]]:
    become(second, person_of(first))
    return [], [("XML1", None, "DUP-004")]


def _split_visits(known: pd.DataFrame) -> pd.DataFrame:
    small = joinable(known) & ~known["inpatient"] & known["small"]
    pairs = paired(known, small, small, ["part", "day_in"])
    together = pairs["in_scope_first"] + pairs["in_scope_second"] >= pairs["threshold_first"]
    return pairs[together & (pairs["first"] < pairs["second"]) & (pairs["arrival_first"] != pairs["arrival_second"])]


def _split_visit(first: Claim, second: Claim) -> tuple[list[Truth], list[Truth]]:
    become(second, person_of(first))
    return [("XML1", None, "DUP-010")], [("XML1", None, "DUP-010")]


def _readmissions(known: pd.DataFrame) -> pd.DataFrame:
    stays = joinable(known) & known["inpatient"]
    pairs = paired(known.assign(block=known["main"].str[:3]), stays, stays, ["block"])
    gap = pairs["arrival_second"] - pairs["left_first"]
    return pairs[(gap >= 0) & (gap < DAY)]


def _readmitted(first: Claim, second: Claim) -> tuple[list[Truth], list[Truth]]:
    become(second, person_of(first))
    return [], [("XML1", None, "DUP-011")]


def _outpatients_apart(known: pd.DataFrame) -> pd.DataFrame:
    visits = joinable(known) & ~known["inpatient"] & (known["loai"] == "01")
    pairs = paired(known, visits, visits, ["part"])
    return pairs[(pairs["first"] < pairs["second"]) & (pairs["day_in_first"] != pairs["day_in_second"])]


def _shared_card(first: Claim, second: Claim) -> tuple[list[Truth], list[Truth]]:
    become(second, person_of(first), but=("SO_CCCD",))
    return [("XML1", None, "CARD-017")], [("XML1", None, "CARD-017")]


def _devices(known: pd.DataFrame) -> pd.DataFrame:
    mine = known[known["device"] != ""][["device"]].reset_index(names="claim")
    pairs = mine.merge(mine, on="device", suffixes=("_first", "_second"))
    pairs = pairs.rename(columns={"claim_first": "first", "claim_second": "second"})
    return pairs[pairs["first"] < pairs["second"]]


def _device_again(first: Claim, second: Claim) -> tuple[list[Truth], list[Truth]]:
    def place(claim: Claim) -> int:
        return next(row for row in claim.rows("XML3") if claim.get("XML3", "MA_HIEU_SP", row))

    row = place(second)
    second.put("XML3", "MA_HIEU_SP", first.get("XML3", "MA_HIEU_SP", place(first)), row)
    return [], [("XML3", row + 1, "DUP-013")]


def _copyable(known: pd.DataFrame) -> pd.Series:
    # an appointment or a transfer slip would be used twice, and two small visits of a day are one that was split
    small = known["small"] & ~known["inpatient"]
    return known["registered_card"] & ~small & ~known["route"].isin(["1.3", "1.5"])


PAIRS: dict[str, Pair] = {
    "CARD-017": Pair(_outpatients_apart, _shared_card, one_delivery=True),
    "DUP-004": Pair(_inside_a_stay, _outpatient_inside, one_delivery=True),
    "DUP-010": Pair(_split_visits, _split_visit, one_delivery=True),
    "DUP-011": Pair(_readmissions, _readmitted),
    "DUP-013": Pair(_devices, _device_again),
}

COPIES: dict[str, Copy] = {
    "DUP-002": Copy(_copyable, 0, lambda one: ["DUP-002", *(["DUP-003"] if one["inpatient"] else [])]),
    "DUP-003": Copy(lambda known: _copyable(known) & known["inpatient"], SHIFT, lambda one: ["DUP-003"]),
}

ELSEWHERE = "DUP-005"
"""An outpatient visit of a person who came to another facility on the same day (Donors)."""


class Donors:
    """Outpatients of earlier facilities, whose person a visit of a later facility may take over."""

    def __init__(self) -> None:
        self._people: dict[tuple[str, str, str], list[dict[str, str]]] = {}

    @staticmethod
    def possible(known: pd.DataFrame) -> pd.Series:
        """Visits that can be one of the two."""
        return joinable(known) & ~known["inpatient"] & (known["loai"] == "01")

    def offer(self, known: pd.DataFrame, people: pd.DataFrame) -> None:
        """known: facts of claims without a fault; people: PERSON of them, both by claim."""
        for claim in known.index[self.possible(known)].tolist():
            key = tuple(known.loc[claim, ["day_in", "prefix", "sex"]])
            self._people.setdefault(key, []).append(people.loc[claim, list(PERSON)].to_dict())

    def wanted(self, known: pd.DataFrame) -> pd.Series:
        """Visits for which somebody is there."""
        keys = zip(known["day_in"], known["prefix"], known["sex"], strict=True)
        there = pd.Series([bool(self._people.get(key)) for key in keys], index=known.index, dtype="bool")
        return there & self.possible(known)

    def take(self, one: dict[str, Any]) -> dict[str, str] | None:
        """A person for a visit, whose card covers it; None if there is none left."""
        waiting = self._people.get((one["day_in"], one["prefix"], one["sex"]), [])
        for at, person in enumerate(waiting):
            if person["GT_THE_TU"] <= one["day_in"] and one["day_out"] <= person["GT_THE_DEN"]:
                return waiting.pop(at)
        return None


def again(tables: ClaimTables, original: int, place: int, ma_lk: str, minutes: int) -> ClaimTables:
    """A claim once more at another place of the delivery, under another MA_LK and with all times some minutes later."""
    copy = tables.only({original})
    copy.claims["claim"] = place
    copy.claims["MA_LK"] = ma_lk
    for name, frame in copy.tables.items():
        frame["claim"] = place
        frame["MA_LK"] = ma_lk
        if minutes:
            for element in frame.columns[3:]:
                moment = frame[element].fillna("").str.fullmatch("20[0-9]{10}")
                if moment.any() and element != "NGAY_SINH":
                    frame.loc[moment, element] = _later(frame.loc[moment, element], minutes)
        copy.tables[name] = frame
    return copy


def _later(moments: pd.Series, minutes: int) -> pd.Series:
    times = pd.to_datetime(moments, format="%Y%m%d%H%M").to_numpy().astype("datetime64[m]").astype("int64") + minutes
    return pd.Series(text12(np.asarray(times)), index=moments.index, dtype="str")
