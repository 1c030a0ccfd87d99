"""Faults between claims (CARD-017, CARD-018, BEN, RATE-007, DUP): a visit sent twice, one person at two places, one
device used twice, two patients in one bed, papers used twice or long ago.

They are found among claims without another fault. Either a claim becomes a copy of another one (COPIES), or all stay
what they are and the last is given what makes the fault, mostly the person of the first (PAIRS, of one facility;
ELSEWHERE, with a person of another facility). Each kind has a name: the rule, a variant of it ("BEN-015 used"), or a
pair that just misses it ("near DUP-011").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from claim_rules.days_off import working_days
from claim_rules.frames import ClaimTables
from claim_simulator.faults.claim import Claim, Truth
from claim_simulator.moments import later, text8, text12

NEAR = "near "
"""What the name of a near miss begins with."""


def rule_of(kind: str) -> str:
    """The rule that a kind of fault breaks or just does not break."""
    return kind.removeprefix(NEAR).split(" ")[0]


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
TRANSFER = 60  # minutes by which two stays of one person may overlap
HANDOVER = 240  # minutes for which two patients may have one bed
SLIP_DAYS = 10  # working days for which a slip is good, before and after the day of an appointment
JUST_BEFORE = 14  # days after a visit without a slip in which a transfer from there is known to have none
_MOMENT = "20[0-9]{10}"
_DAYS = ("NGAY_TAI_KHAM", "NGAY_HEN_KL", "NGAY_CT")
"""Days that go with a visit."""


@dataclass(frozen=True)
class Copy:
    """The second claim is an earlier one again under its own MA_LK. possible: which claims; how: from what is known
    of the claim by how many minutes all times are later, and elements that are otherwise (wherever they stand); found:
    the rules that the copy then breaks besides its devices. same_day: the place of a claim that ends on the same day as
    the copy is taken; else a later one in the delivery, or in the next."""

    possible: Callable[[pd.DataFrame], pd.Series]
    how: Callable[[dict[str, Any]], tuple[int, dict[str, str]]]
    found: Callable[[dict[str, Any]], list[str]]
    same_day: bool = False
    devices: bool = True


@dataclass(frozen=True)
class Pair:
    """Claims of which the last is changed. candidates: frame (first, second and maybe third) of claims that fit, in
    order of receipt; plant: changes them, returns the findings of each; refill: computed cells of the first are emptied
    and filled again."""

    candidates: Callable[[pd.DataFrame], pd.DataFrame]
    plant: Callable[..., list[list[Truth]]]
    refill: bool = False


def become(claim: Claim, person: dict[str, str], *, but: tuple[str, ...] = ()) -> None:
    """Gives a claim the person (PERSON) of another one."""
    for name in PERSON:
        if name not in but:
            claim.everywhere(name, person[name])


def person_of(claim: Claim) -> dict[str, str]:
    """Who came (PERSON)."""
    return {name: claim.get("XML1", name) for name in PERSON}


def _exchangeable(known: pd.DataFrame) -> pd.Series:
    return (
        known["registered_card"]
        & ~known["child_card"]
        & ~known["infant"]
        & ~known["waived"]
        & known["plain_route"]
        & (known["citizen"] != "")
    )


def joinable(known: pd.DataFrame) -> pd.Series:
    """Visits whose person can be exchanged for another of the same card group without another finding."""
    return _exchangeable(known) & ~known["route"].isin(["1.1", "1.2", "1.3", "1.5", "3.6"])


def _on(known: pd.DataFrame, route: str) -> pd.Series:
    """The same for outpatients who came on a slip."""
    return _exchangeable(known) & ~known["inpatient"] & (known["route"] == route)


def _holder(known: pd.DataFrame) -> pd.Series:
    """Visits whose person another visit can take over."""
    return _exchangeable(known) & ~known["route"].isin(["1.3", "1.5"])


def paired(
    known: pd.DataFrame, firsts: pd.Series, seconds: pd.Series, on: list[str], *, any_card: bool = False
) -> pd.DataFrame:
    """Pairs of visits that agree in card group, sex and `on`, the card of the first covering the second: columns of
    both with _first and _second, and first, second. any_card: the group may differ."""
    keys = [*on, "sex"] if any_card else [*on, "prefix", "sex"]
    mine = known.assign(claim=known.index)
    first, second = mine[firsts].add_suffix("_first"), mine[seconds].add_suffix("_second")
    out = first.merge(second, left_on=[f"{key}_first" for key in keys], right_on=[f"{key}_second" for key in keys])
    covered = (out["card_from_first"] <= out["day_in_second"]) & (out["day_out_second"] <= out["card_to_first"])
    out = out[covered & (out["claim_first"] != out["claim_second"])]
    return out.rename(columns={"claim_first": "first", "claim_second": "second"})


# -- one facility ----------------------------------------------------------------------------------------------------


def _beside_a_stay(known: pd.DataFrame, *, inside: bool) -> pd.DataFrame:
    outside = joinable(known) & ~known["inpatient"] & (known["drugs"] > 0) & (known["loai"] == "01")
    pairs = paired(known, joinable(known) & known["inpatient"] & (known["days_in"] > 1), outside, ["part"])
    if inside:
        between = (pairs["day_in_first"] < pairs["day_in_second"]) & (pairs["day_in_second"] < pairs["day_out_first"])
        return pairs[between]
    same_day = pairs["day_in_second"] == pairs["day_out_first"]
    return pairs[same_day | ((pairs["day_in_second"] == pairs["day_in_first"]) & pairs["stays_first"])]


def _outpatient_inside(first: Claim, second: Claim) -> list[list[Truth]]:
    become(second, person_of(first))
    return [[], [("XML1", None, "DUP-004")]]


def _the_same_person(first: Claim, second: Claim) -> list[list[Truth]]:
    become(second, person_of(first))
    return [[], []]


def _small_visits(known: pd.DataFrame, *, reach: bool) -> pd.DataFrame:
    """Two small visits of a day that together reach the threshold, or nearly do."""
    small = joinable(known) & ~known["inpatient"] & known["small"]
    # what is small is paid in full, whatever the card
    pairs = paired(known, small, small, ["part", "day_in"], any_card=True)
    together = pairs["in_scope_first"] + pairs["in_scope_second"]
    threshold = pairs["threshold_first"]
    wanted = together >= threshold if reach else (together < threshold) & (together * 2 > threshold)
    return pairs[wanted & (pairs["first"] < pairs["second"]) & (pairs["arrival_first"] != pairs["arrival_second"])]


def _split_visit(first: Claim, second: Claim) -> list[list[Truth]]:
    become(second, person_of(first))
    return [[("XML1", None, "DUP-010")], [("XML1", None, "DUP-010")]]


def _outpatients_apart(known: pd.DataFrame) -> pd.DataFrame:
    visits = joinable(known) & ~known["inpatient"] & (known["loai"] == "01")
    pairs = paired(known, visits, visits, ["part"])
    return pairs[(pairs["first"] < pairs["second"]) & (pairs["day_in_first"] != pairs["day_in_second"])]


def _shared_card(first: Claim, second: Claim) -> list[list[Truth]]:
    become(second, person_of(first), but=("SO_CCCD",))
    return [[("XML1", None, "CARD-017")], [("XML1", None, "CARD-017")]]


def _after_a_death(known: pd.DataFrame) -> pd.DataFrame:
    # in different deliveries: only the store knows both
    first = joinable(known) & (known["loai"] == "01") & ~known["XML13"] & ~known["XML14"]
    pairs = paired(known, first, joinable(known) & ~known["inpatient"], [])
    return pairs[(pairs["part_first"] < pairs["part_second"]) & (pairs["day_out_first"] < pairs["day_in_second"])]


def _dies(first: Claim, second: Claim) -> list[list[Truth]]:
    first.put("XML1", "KET_QUA_DTRI", "5")
    become(second, person_of(first))
    return [[], [("XML1", None, "CARD-018")]]


def _devices(known: pd.DataFrame) -> pd.DataFrame:
    mine = known[known["device"] != ""][["device"]].reset_index(names="claim")
    pairs = mine.merge(mine, on="device", suffixes=("_first", "_second"))
    pairs = pairs.rename(columns={"claim_first": "first", "claim_second": "second"})
    return pairs[pairs["first"] < pairs["second"]]


def _device_again(first: Claim, second: Claim, *, near: bool) -> list[list[Truth]]:
    def place(claim: Claim) -> int:
        return next(row for row in claim.rows("XML3") if claim.get("XML3", "MA_HIEU_SP", row))

    row = place(second)
    serial = first.get("XML3", "MA_HIEU_SP", place(first))
    # one character is otherwise: no other device of the simulation has that
    second.put("XML3", "MA_HIEU_SP", f"LOU{serial[3:]}" if near else serial, row)
    return [[], [] if near else [("XML3", row + 1, "DUP-013")]]


def _bed_neighbours(known: pd.DataFrame) -> pd.DataFrame:
    """Stays in one ward that overlap for longer than a handover takes."""
    mine = known[known["bed_ward"] != ""][["bed_ward", "bed_from", "bed_to"]].reset_index(names="claim")
    pairs = mine.merge(mine, on="bed_ward", suffixes=("_first", "_second"))
    pairs = pairs.rename(columns={"claim_first": "first", "claim_second": "second"})
    pairs = pairs[(pairs["first"] != pairs["second"]) & (pairs["bed_from_first"] < pairs["bed_from_second"])]
    common = pairs[["bed_to_first", "bed_to_second"]].min(axis=1) - pairs["bed_from_second"]
    return pairs[common > HANDOVER + 1]


def _one_bed(first: Claim, second: Claim, *, near: bool) -> list[list[Truth]]:
    """Two patients are put into one bed that nobody else has, which the first leaves at the limit or stays in."""
    mine, other = (
        next(row for row in claim.rows("XML3") if claim.get("XML3", "MA_NHOM", row) in ("14", "15", "16"))
        for claim in (first, second)
    )
    for claim, row in ((first, mine), (second, other)):
        claim.put("XML3", "MA_GIUONG", f"C{first.number % 1000:03d}", row)
    start = second.get("XML3", "NGAY_YL", other)
    if near or first.edge:
        first.put("XML3", "NGAY_KQ", later(start, HANDOVER if near else HANDOVER + 1), mine)
    if near:
        return [[], []]
    return [[("XML3", mine + 1, "RATE-007")], [("XML3", other + 1, "RATE-007")]]


def _on_appointment(known: pd.DataFrame) -> pd.DataFrame:
    pairs = paired(known, joinable(known) & known["XML14"], _on(known, "1.5"), [])
    return pairs[pairs["day_out_first"] < pairs["day_in_second"]]


def _far_from_appointment(first: Claim, second: Claim, *, near: bool) -> list[list[Truth]]:
    """The slip says a day that lies so many working days after the visit, or before it."""
    become(second, person_of(first))
    days = SLIP_DAYS if near else SLIP_DAYS + (1 if first.edge else 4)
    came, left = (claim.get("XML1", name)[:8] for claim, name in ((second, "NGAY_VAO"), (first, "NGAY_RA")))
    possible = [day for day in (_working_day(came, days), _working_day(came, -days)) if day >= left]
    _appoint(first, first.pick(possible))
    return [[], [] if near else [("XML1", None, "BEN-015")]]


def _appoint(claim: Claim, day: str) -> None:
    claim.put("XML1", "NGAY_TAI_KHAM", day)
    claim.put("XML14", "NGAY_HEN_KL", day)


def _working_day(day: str, count: int) -> str:
    """The day that lies so many working days after (before: negative) a day."""
    start = pd.Timestamp(day)
    span = 4 * abs(count) + 20
    around = pd.Series([start + pd.Timedelta(days=more if count > 0 else -more) for more in range(1, span)])
    texts = around.dt.strftime("%Y%m%d").astype("str")
    fixed = pd.Series(day, index=texts.index, dtype="str")
    apart = working_days(fixed, texts, {}) if count > 0 else working_days(texts, fixed, {})
    return str(texts[apart == abs(count)].iloc[0])


def _twice_on_appointment(known: pd.DataFrame) -> pd.DataFrame:
    """A stay with a slip, and two outpatients who come on one on different days soon after it."""
    acute = _on(known, "1.5") & (known["loai"] == "01") & ~known["XML14"]
    visits = paired(known, acute, acute, [])
    visits = visits[(visits["first"] < visits["second"]) & (visits["day_in_first"] < visits["day_in_second"])]
    visits = visits[["first", "second", "day_in_first", "day_in_second", "day_out_second", "prefix_first", "sex_first"]]
    visits = visits.rename(columns={"first": "came", "second": "again", "prefix_first": "prefix", "sex_first": "sex"})
    names = ["claim", "prefix", "sex", "day_out", "card_from", "card_to"]
    slips = known.assign(claim=known.index)[joinable(known) & known["XML14"] & known["inpatient"]][names]
    out = slips.merge(visits, on=["prefix", "sex"])
    out = out[(out["day_out"] < out["day_in_first"]) & (out["day_out_second"] <= out["card_to"])]
    out = out[out["card_from"] <= out["day_in_first"]]
    # the slip says the day of the second visit: the first is not far from it
    came, again = (pd.to_datetime(out[name]) for name in ("day_in_first", "day_in_second"))
    out = out[(again - came).dt.days <= SLIP_DAYS]
    return out.rename(columns={"claim": "first", "came": "second", "again": "third"})


def _slip_used_twice(first: Claim, second: Claim, third: Claim) -> list[list[Truth]]:
    for claim in (second, third):
        become(claim, person_of(first))
    _appoint(first, third.get("XML1", "NGAY_VAO")[:8])
    return [[], [], [("XML1", None, "BEN-015")]]


def _mothers(known: pd.DataFrame) -> pd.DataFrame:
    """A woman and a newborn who lay in the house on the same days."""
    columns = ["part", "arrival", "left"]
    women = known["grown_woman"] & known["inpatient"] & _exchangeable(known) & ~known["small"] & ~known["forces"]
    women &= (known["paid_drugs"] > 1) & (known["least_rate"] > 0) & known["one_rate"]
    children = known["newborn"] & known["XML7"] & (known["paid_drugs"] > 0)
    mine = known.assign(claim=known.index)[["claim", *columns]]
    pairs = mine[women].merge(mine[children], on="part", suffixes=("_first", "_second"))
    pairs = pairs.rename(columns={"claim_first": "first", "claim_second": "second"})
    start = pairs[["arrival_first", "arrival_second"]].max(axis=1)
    return pairs[pairs[["left_first", "left_second"]].min(axis=1) - start > 2 * DAY]


def _newborn_twice(mother: Claim, child: Claim) -> list[list[Truth]]:
    """A drug of the child stands on the mother's claim too."""
    first, last = (mother.get("XML1", name) for name in ("NGAY_VAO", "NGAY_RA"))
    mine, given = (
        [
            row
            for row in claim.rows("XML2")
            if claim.amount("XML2", "T_BHTT", row) > 0 and not claim.amount("XML2", "T_NGUONKHAC", row)
        ]
        for claim in (mother, child)
    )
    given = [row for row in given if first < child.get("XML2", "NGAY_YL", row) < last]
    if not given or not mine:
        return [[], []]
    child.put("XML7", "MA_ME", mother.get("XML1", "MA_THE_BHYT")[-10:])
    mother.take_row("XML2", child, given[0], mine[-1])
    mother.blank_computed()
    return [[], [("XML1", None, "DUP-012")]]


PAIRS: dict[str, Pair] = {
    "DUP-012": Pair(_mothers, _newborn_twice, refill=True),
    "CARD-017": Pair(_outpatients_apart, _shared_card),
    "CARD-018 claim": Pair(_after_a_death, _dies),
    "BEN-015 used": Pair(_twice_on_appointment, _slip_used_twice),
    "BEN-015 far": Pair(_on_appointment, partial(_far_from_appointment, near=False)),
    "near BEN-015": Pair(_on_appointment, partial(_far_from_appointment, near=True)),
    "RATE-007": Pair(_bed_neighbours, partial(_one_bed, near=False)),
    "near RATE-007": Pair(_bed_neighbours, partial(_one_bed, near=True)),
    "DUP-004": Pair(partial(_beside_a_stay, inside=True), _outpatient_inside),
    "near DUP-004": Pair(partial(_beside_a_stay, inside=False), _the_same_person),
    "DUP-010": Pair(partial(_small_visits, reach=True), _split_visit),
    "near DUP-010": Pair(partial(_small_visits, reach=False), _the_same_person),
    "DUP-013": Pair(_devices, partial(_device_again, near=False)),
    "near DUP-013": Pair(_devices, partial(_device_again, near=True)),
}


# -- copies ----------------------------------------------------------------------------------------------------------


def _copyable(known: pd.DataFrame) -> pd.Series:
    # an appointment or a transfer slip would be used twice, and two small visits of a day are one that was split
    small = known["small"] & ~known["inpatient"]
    return known["registered_card"] & ~small & ~known["route"].isin(["1.3", "1.5"])


def _movable(known: pd.DataFrame) -> pd.Series:
    """Stays that can follow themselves in the same month, of whom the card still holds."""
    inside = known["stays"] & (known["days_in"] > 0) & (known["day_in"].str[:6] == known["day_out"].str[:6])
    midnight = known["arrival"] // DAY == known["admitted"] // DAY
    return _copyable(known) & joinable(known) & known["inpatient"] & inside & midnight


def _whole_days(one: dict[str, Any], days: int) -> int:
    """Minutes by which a stay must move to begin so many days after the day of its discharge."""
    return int((one["left"] // DAY + days - one["arrival"] // DAY) * DAY)


def _text(minutes: float) -> str:
    """Minutes of the facts as a moment."""
    return str(text12(np.array([int(minutes) + _EPOCH]))[0])


_EPOCH = 10957 * DAY  # 2000-01-01


def _back_after(minutes: int) -> Copy:
    """Back so many minutes after discharge, about a day: a stay that began later in the day than it ended."""

    def how(one: dict[str, Any]) -> tuple[int, dict[str, str]]:
        return _whole_days(one, 1), {"NGAY_VAO": _text(one["left"] + minutes)}

    return Copy(
        lambda known: _movable(known) & (known["arrival"] % DAY > known["left"] % DAY),
        how,
        lambda one: ["DUP-011"] if minutes < DAY else [],
        same_day=True,
    )


def _overlapping(minutes: int) -> Copy:
    """Admitted again so many minutes before the discharge."""

    def how(one: dict[str, Any]) -> tuple[int, dict[str, str]]:
        moment = _text(one["left"] - minutes)
        return _whole_days(one, 0), {"NGAY_VAO": moment, "NGAY_VAO_NOI_TRU": moment}

    return Copy(
        lambda known: _movable(known) & (known["arrival"] % DAY > known["left"] % DAY - TRANSFER),
        how,
        lambda one: ["DUP-003"] if minutes > TRANSFER else [],
        same_day=True,
    )


def _inpatient(one: dict[str, Any]) -> list[str]:
    return ["DUP-003"] if one["inpatient"] else []


COPIES: dict[str, Copy] = {
    "DUP-002": Copy(_copyable, lambda one: (0, {}), lambda one: ["DUP-002", *_inpatient(one)]),
    "DUP-002 lines": Copy(
        _copyable,
        lambda one: (0, {"NGAY_VAO": _text(one["arrival"] - SHIFT)}),
        lambda one: ["DUP-002", *_inpatient(one)],
    ),
    "DUP-003": Copy(
        lambda known: _copyable(known) & known["inpatient"], lambda one: (SHIFT, {}), lambda one: ["DUP-003"]
    ),
    "DUP-003 hour": _overlapping(TRANSFER + 1),
    "near DUP-003": _overlapping(TRANSFER),
    "DUP-011": _back_after(DAY - 1),
    "near DUP-011": _back_after(DAY),
    "BEN-022": Copy(
        lambda known: _copyable(known) & ~known["forces"] & (known["day_out"] == known["last_of_part"]),
        lambda one: (0, {"MA_DOITUONG_KCB": "8"}),
        lambda one: ["BEN-022"],
        devices=False,
    ),
}


# -- several facilities ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Meeting:
    """A visit of a person who came to another facility. possible: which visits; fits: (what is known of the visit, of
    the other one) whether they go together; found: the findings of the visit; sent_from_there: MA_NOI_DI is the other
    facility; same_day: both are on one day."""

    possible: Callable[[pd.DataFrame], pd.Series]
    fits: Callable[[dict[str, Any], dict[str, Any]], bool]
    found: list[Truth]
    sent_from_there: bool = False
    same_day: bool = False


def _acute(known: pd.DataFrame) -> pd.Series:
    return joinable(known) & ~known["inpatient"] & (known["loai"] == "01")


def _apart(one: dict[str, Any], other: dict[str, Any]) -> int:
    """Days from the other visit to this one."""
    return (pd.Timestamp(one["day_in"]) - pd.Timestamp(other["day_out"])).days


def _slip_age(one: dict[str, Any], other: dict[str, Any]) -> int:
    """Working days from the discharge there to the arrival here; -1 where no slip was issued."""
    if not other["XML13"] or other["day_out"] >= one["day_in"]:
        return -1
    first, last = (pd.Series([day], dtype="str") for day in (other["day_out"], one["day_in"]))
    return int(working_days(first, last, {})[0])


def _for_a_year(one: dict[str, Any]) -> bool:
    return str(one["main"]).startswith(("E10", "I21", "N18"))


IN_STORE = ("CARD-018 claim", "BEN-014 none", "BEN-014 old")
"""Kinds that only a store of other claims shows, of rules that look at the single claim too."""

ELSEWHERE: dict[str, Meeting] = {
    "DUP-005": Meeting(
        _acute,
        lambda one, other: other["acute"] and one["day_in"] == other["day_in"],
        [("XML1", None, "DUP-005")],
        same_day=True,
    ),
    "near DUP-005": Meeting(
        _acute, lambda one, other: other["acute"] and abs(_apart(one, other)) == 1 and not other["XML13"], []
    ),
    "BEN-014 none": Meeting(
        lambda known: _on(known, "1.3"),
        lambda one, other: not other["XML13"] and 1 <= _apart(one, other) <= JUST_BEFORE - 1,
        [("XML1", None, "BEN-014")],
        sent_from_there=True,
    ),
    "BEN-014 old": Meeting(
        lambda known: _on(known, "1.3"),
        lambda one, other: not _for_a_year(one) and _slip_age(one, other) > SLIP_DAYS,
        [("XML1", None, "BEN-014")],
        sent_from_there=True,
    ),
    "near BEN-014": Meeting(
        lambda known: _on(known, "1.3"),
        lambda one, other: 0 <= _slip_age(one, other) <= SLIP_DAYS,
        [],
        sent_from_there=True,
    ),
}


class Donors:
    """Visits of earlier facilities, whose person a visit of a later facility may take over."""

    def __init__(self) -> None:
        # by sex and card group, or by sex and day
        self._people: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def offer(self, known: pd.DataFrame, people: pd.DataFrame, facility: str) -> None:
        """known: facts of claims without a fault; people: MA_LK and PERSON of them, both by claim."""
        acute = _acute(known)
        names = ["day_in", "day_out", "XML13", "prefix", "sex"]
        for claim in known.index[_holder(known)].tolist():
            row = known.loc[claim, names].to_dict() | people.loc[claim].to_dict()
            row |= {"acute": bool(acute[claim]), "facility": facility, "free": True}
            for key in (row["prefix"], row["day_in"]):
                self._people.setdefault((row["sex"], key), []).append(row)

    def withdraw(self, facility: str, names: set[str]) -> None:
        """Nobody may take over the persons of these claims (MA_LK) any more."""
        for rows in self._people.values():
            for row in rows:
                row["free"] &= row["facility"] != facility or row["MA_LK"] not in names

    def wanted(self, kind: str, known: pd.DataFrame) -> pd.Series:
        """Visits for which somebody is there."""
        out = pd.Series(False, index=known.index)
        for claim in known.index[ELSEWHERE[kind].possible(known)].tolist():
            out[claim] = self._find(kind, known.loc[claim].to_dict()) is not None
        return out

    def take(self, kind: str, one: dict[str, Any]) -> dict[str, Any] | None:
        """A person for a visit, whose card covers it, with `facility`; None if there is none left."""
        found = self._find(kind, one)
        if found is not None:
            found["free"] = False
        return found

    def _find(self, kind: str, one: dict[str, Any]) -> dict[str, Any] | None:
        meeting = ELSEWHERE[kind]
        # what is small is paid in full, whatever the card
        key = one["day_in"] if meeting.same_day and one["small"] else one["prefix"]
        for other in self._people.get((one["sex"], key), []):
            covered = other["GT_THE_TU"] <= one["day_in"] and one["day_out"] <= other["GT_THE_DEN"]
            if other["free"] and covered and meeting.fits(one, other):
                return other
        return None


# -- how a copy is made ----------------------------------------------------------------------------------------------


def again(
    tables: ClaimTables, original: int, place: int, ma_lk: str, minutes: int, changes: dict[str, str], bed: str
) -> ClaimTables:
    """A claim once more at another place of the delivery, under another MA_LK, in another bed, with all times some
    minutes later; what `changes` names is so in every table."""
    copy = tables.only({original})
    copy.claims["claim"] = place
    copy.claims["MA_LK"] = ma_lk
    for name, frame in copy.tables.items():
        frame["claim"] = place
        frame["MA_LK"] = ma_lk
        if minutes:
            for element in frame.columns[3:]:
                moment = frame[element].fillna("").str.fullmatch(_MOMENT)
                if moment.any() and element != "NGAY_SINH":
                    frame.loc[moment, element] = _later(frame.loc[moment, element], minutes)
        if minutes >= DAY:
            for element in set(_DAYS) & set(frame.columns):
                frame[element] = _days_later(frame[element], minutes // DAY)
        for element in set(changes) & set(frame.columns):
            frame[element] = changes[element]
        if name == "XML3":
            frame["MA_GIUONG"] = frame["MA_GIUONG"].where(frame["MA_GIUONG"].fillna("") == "", bed)
        copy.tables[name] = frame
    return copy


def day_after(one: dict[str, Any], minutes: int) -> str:
    """On which day a visit ends that is so many minutes later."""
    return _text(one["left"] + minutes)[:8]


def _later(moments: pd.Series, minutes: int) -> pd.Series:
    times = pd.to_datetime(moments, format="%Y%m%d%H%M").to_numpy().astype("datetime64[m]").astype("int64") + minutes
    return pd.Series(text12(np.asarray(times)), index=moments.index, dtype="str")


def _days_later(days: pd.Series, count: int) -> pd.Series:
    given = days.fillna("").str.fullmatch("[0-9]{8}")
    if not given.any():
        return days
    numbers = pd.to_datetime(days[given], format="%Y%m%d").to_numpy().astype("datetime64[D]").astype("int64") + count
    out = days.copy()
    out[given] = text8(np.asarray(numbers))
    return out
