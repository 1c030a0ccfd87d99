"""The visits of one facility in one month: who came with what, by which route, from when to when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from claim_simulator.catalogue import data
from claim_simulator.facilities import HIGHER, NEIGHBOURS, Facility
from claim_simulator.moments import DAY, Ints, Texts, day_of_text, month_days, weekday
from claim_simulator.people import People, people

SETTINGS = {
    0: {"acute": 0.66, "chronic": 0.32, "rehab": 0.02},
    1: {
        "acute": 0.45,
        "chronic": 0.27,
        "inpatient": 0.16,
        "surgical": 0.05,
        "daycare": 0.015,
        "short": 0.01,
        "rehab": 0.03,
        "newborn": 0.015,
    },
    2: {
        "acute": 0.38,
        "chronic": 0.27,
        "inpatient": 0.19,
        "surgical": 0.09,
        "daycare": 0.02,
        "short": 0.01,
        "rehab": 0.025,
        "newborn": 0.015,
    },
}
"""Share of each kind of visit by level of the facility."""

ROUTES_FROM_2025_10_17 = ("1.11", "1.12", "1.13", "1.14", "1.15", "1.18")
HALF_ROUTES = ("1.13", "1.14", "1.18")
"""Self-referred outpatients whom the fund pays half from HALF_FROM on and nothing before."""
NEW_ROUTES = "20251017"
HALF_FROM = "20260701"
NO_DISTRICTS = "20250701"

INPATIENT = ("inpatient", "surgical", "daycare", "short", "newborn")
"""Kinds of visit with an admission."""


@dataclass(frozen=True)
class Visits:
    """Visits in order of discharge. frame has one row per visit:

    condition (position in conditions.csv), setting, loai (MA_LOAI_KCB), sex, age_days, arrival, admitted (-1 if not),
    discharge (minutes), supply (days of drugs of a chronic visit), stay (calendar days from admission), ward
    (department of treatment), emergency, route, registered (MA_DKBD), referred_from, paper, result, leaving,
    transfer_to, birth (minutes), birth_year_only, waived (co-payment waived), card_start, card_end, card_change
    (days; -1: one card all the time).
    """

    frame: pd.DataFrame
    people: People


def visits(facility: Facility, count: int, month: str, rng: np.random.Generator, first_number: int) -> Visits:
    """Draws the visits of a facility that end in the month (yyyymm)."""
    conditions = data("conditions")
    frame = pd.DataFrame({"condition": _conditions(facility, count, conditions, rng)})
    for name in ("setting", "khoa", "accident"):
        frame[name] = conditions[name].to_numpy()[frame["condition"]]
    _who(frame, conditions, rng)
    _when(frame, conditions, month, rng, facility.drift.stay)
    frame = frame.sort_values(["discharge", "arrival"], kind="stable", ignore_index=True)
    _born(frame, rng)
    folk = people(rng, frame["sex"].to_numpy(), frame["age_days"].to_numpy(), first_number)
    _route(frame, facility, rng)
    _leaving(frame, rng)
    _cards(frame, folk, rng)
    return Visits(frame, folk)


def _conditions(facility: Facility, count: int, conditions: pd.DataFrame, rng: np.random.Generator) -> Ints:
    possible = conditions["level"].astype("int64").to_numpy() <= facility.level
    weight = conditions["weight"].astype("float64").to_numpy() * possible
    share = SETTINGS[facility.level]
    total = np.zeros(len(conditions))
    for setting, part in share.items():
        mine = (conditions["setting"] == setting).to_numpy()
        total[mine] = part * weight[mine] / weight[mine].sum()
    return rng.choice(len(conditions), size=count, p=total / total.sum())


def _who(frame: pd.DataFrame, conditions: pd.DataFrame, rng: np.random.Generator) -> None:
    size = len(frame)
    place = frame["condition"].to_numpy()
    first = conditions["age_from"].astype("int64").to_numpy()[place]
    last = conditions["age_to"].astype("int64").to_numpy()[place]
    days = (first + (last + 1 - first) * rng.random(size)) * 365.25
    youngest = np.where(frame["setting"] == "newborn", 2, 90)
    oldest = np.where(frame["setting"] == "newborn", 20, days)
    frame["age_days"] = np.where(
        frame["setting"] == "newborn", rng.integers(2, 20, size), np.clip(days, youngest, np.maximum(oldest, 90))
    ).astype("int64")
    given = conditions["sex"].astype("int64").to_numpy()[place]
    frame["sex"] = np.where(given == 0, rng.integers(1, 3, size), given)


def _when(frame: pd.DataFrame, conditions: pd.DataFrame, month: str, rng: np.random.Generator, longer: float) -> None:
    first, last = month_days(month)
    size = len(frame)
    setting = frame["setting"].to_numpy(dtype="U12")
    place = frame["condition"].to_numpy()
    shortest = conditions["stay_from"].astype("int64").to_numpy()[place]
    longest = conditions["stay_to"].astype("int64").to_numpy()[place]
    stay = rng.integers(shortest, longest + 1)
    stay = np.where(np.isin(setting, ["inpatient", "surgical"]), np.rint(stay * longer), stay).astype("int64")
    supply = np.where(setting == "chronic", rng.choice([28, 30], size, p=[0.7, 0.3]), 0)
    nights = np.select(
        [np.isin(setting, ["inpatient", "surgical", "newborn"]), setting == "rehab"], [stay, stay - 1], 0
    )
    back = np.where(setting == "chronic", supply - 1, nights)
    out_day = rng.integers(first, last + 1, size)
    outpatient = np.isin(setting, ["acute", "chronic", "rehab", "daycare"])
    # clinics are closed on Saturday and Sunday; the day of arrival is moved, and that of discharge with it
    closed = outpatient & (weekday(out_day - back) >= 5)
    shift = np.where(weekday(out_day - back) == 5, 2, 1)
    earlier = np.where(weekday(out_day - back) == 5, -1, -2)
    shift = np.where(out_day + shift > last, earlier, shift)
    out_day = out_day + np.where(closed, shift, 0)
    in_day = out_day - back
    arrival = in_day * DAY + np.where(outpatient, 7 * 60 + rng.integers(0, 540, size), rng.integers(30, 22 * 60, size))
    arrival = np.where(setting == "daycare", in_day * DAY + 7 * 60 + rng.integers(0, 60, size), arrival)
    admitted = arrival + rng.integers(30, 150, size)
    discharge = np.select(
        [
            np.isin(setting, ["chronic", "rehab"]),
            np.isin(setting, ["inpatient", "surgical", "newborn"]),
            setting == "daycare",
            setting == "short",
        ],
        [
            out_day * DAY + DAY - 1,
            out_day * DAY + 8 * 60 + rng.integers(0, 480, size),
            out_day * DAY + 15 * 60 + rng.integers(0, 150, size),
            arrival + rng.integers(130, 225, size),
        ],
        arrival + rng.integers(75, 300, size),
    )
    # a short stay ends where it is counted: not in the night after the month
    late = discharge // DAY > last
    for column in (arrival, admitted, discharge):
        column[late] -= 6 * 60
    admitted = np.where(setting == "short", arrival + 10, admitted)
    frame["supply"] = supply
    frame["arrival"] = arrival
    frame["admitted"] = np.where(np.isin(setting, INPATIENT), admitted, -1)
    frame["discharge"] = discharge
    frame["stay"] = np.where(setting == "rehab", stay, nights)
    with_tests = rng.random(size) < 0.5
    frame["loai"] = np.select(
        [
            setting == "acute",
            (setting == "chronic") & with_tests,
            setting == "chronic",
            setting == "rehab",
            setting == "daycare",
            setting == "short",
        ],
        ["01", "08", "05", "02", "04", "09"],
        "03",
    )


def _born(frame: pd.DataFrame, rng: np.random.Generator) -> None:
    size = len(frame)
    day = frame["arrival"].to_numpy() // DAY - frame["age_days"].to_numpy()
    timed = frame["age_days"].to_numpy() <= 28
    frame["birth"] = day * DAY + np.where(timed, rng.integers(1, DAY, size), 0)
    frame["birth_year_only"] = (frame["age_days"].to_numpy() > 60 * 366) & (rng.random(size) < 0.12)


def _draw(rng: np.random.Generator, size: int, shares: dict[str, float]) -> Texts:
    weights = np.array(list(shares.values()))
    return rng.choice(list(shares), size=size, p=weights / weights.sum())


def _shares(facility: Facility) -> tuple[dict[str, float], dict[str, float]]:
    """Visit entitlement codes of outpatients and of inpatients and their shares, the dated ones included."""
    kind = facility.kind
    if kind.level == 0:
        return {"1.1": 0.2, "1.2": 0.6, "1.4": 0.02, "1.5": 0.06, "1.11": 0.12}, {"1.1": 1.0}
    if kind.level == 1 and kind.former == "district":
        own = {"1.13": 0.09} if (kind.points or 0) >= 50 else {"1.12": 0.09}
        out = {"1.1": 0.5, "1.3": 0.18, "1.4": 0.03, "1.5": 0.12, "2": 0.06} | own
        return out, {"1.1": 0.38, "1.3": 0.25, "2": 0.2, "self": 0.17}
    if kind.level == 1:
        return {"1.1": 0.3, "1.3": 0.33, "1.4": 0.03, "1.5": 0.18, "2": 0.06, "1.14": 0.1}, {
            "1.1": 0.25,
            "1.3": 0.35,
            "2": 0.25,
            "self": 0.15,
        }
    out = {"1.3": 0.48, "1.5": 0.34, "2": 0.09}
    if kind.former == "provincial":
        return out | {"1.18": 0.09}, {"1.3": 0.5, "2": 0.3, "3.2": 0.2}
    if kind.former == "district":
        return {"1.1": 0.3} | out, {"1.1": 0.2, "1.3": 0.35, "2": 0.25, "3.3": 0.2}
    return out, {"1.3": 0.55, "2": 0.25, "3.1": 0.2}


def _route(frame: pd.DataFrame, facility: Facility, rng: np.random.Generator) -> None:
    size = len(frame)
    out_day = frame["discharge"].to_numpy() // DAY
    inside = frame["loai"].isin(["03", "04", "09"]).to_numpy()
    outpatients, inpatients = (
        {code: share * (facility.drift.emergency if code == "2" else 1.0) for code, share in shares.items()}
        for shares in _shares(facility)
    )
    route = np.where(inside, _draw(rng, size, inpatients), _draw(rng, size, outpatients))
    fallback = "1.2" if facility.level == 0 else "1.3"
    new = out_day >= day_of_text(NEW_ROUTES)
    half = out_day >= day_of_text(HALF_FROM)
    former_district = facility.kind.former == "district"
    self_referred = np.where(new, "1.15", "3.3" if former_district else fallback)
    route = np.where(route == "self", self_referred, route)
    route = np.where(np.isin(route, ROUTES_FROM_2025_10_17) & ~new, fallback, route)
    route = np.where(np.isin(route, HALF_ROUTES) & ~half, fallback, route)
    setting = frame["setting"].to_numpy(dtype="U12")
    route = np.where(setting == "newborn", "1.7", route)
    route = np.where(setting == "short", "2", route)
    chronic = (setting == "chronic") | (setting == "rehab")
    route = np.where(chronic & (route == "2"), "1.5" if facility.level else "1.2", route)
    frame["route"] = route
    frame["emergency"] = route == "2"
    neighbour = rng.choice(NEIGHBOURS, size)
    frame["registered"] = np.where(route == "1.1", facility.code, neighbour)
    paper = np.char.add(
        np.where(route == "1.3", "GCT", "GHK"), np.char.zfill(rng.integers(1, 100_000, size).astype(str), 6)
    )
    frame["paper"] = np.where(np.isin(route, ["1.3", "1.5"]), paper, "")
    frame["referred_from"] = np.select([route == "1.3", route == "1.5"], [neighbour, facility.code], "")
    ward = frame["khoa"].to_numpy(dtype="U3")
    if facility.level == 0:
        ward = np.where(ward == "K16", "K16", "K01")
    frame["ward"] = ward


def _leaving(frame: pd.DataFrame, rng: np.random.Generator) -> None:
    size = len(frame)
    setting = frame["setting"].to_numpy(dtype="U12")
    chance = np.select([np.isin(setting, ["inpatient", "short"]), setting == "acute"], [0.05, 0.015], 0.0)
    transferred = rng.random(size) < chance
    home = np.isin(setting, ["inpatient", "surgical"]) & (rng.random(size) < 0.03) & ~transferred
    frame["leaving"] = np.select([transferred, home], ["2", "4"], "1")
    frame["result"] = np.select(
        [transferred & (rng.random(size) < 0.5), transferred, np.isin(setting, ["chronic", "rehab"])],
        ["4", "3", "2"],
        rng.choice(["1", "2"], size, p=[0.45, 0.55]),
    )
    frame["transfer_to"] = np.where(transferred, HIGHER, "")


def _cards(frame: pd.DataFrame, folk: People, rng: np.random.Generator) -> None:
    size = len(frame)
    day_in = frame["arrival"].to_numpy() // DAY
    day_out = frame["discharge"].to_numpy() // DAY
    age = frame["age_days"].to_numpy()
    start = day_in - np.minimum(rng.integers(40, 330, size), np.maximum(age, 0))
    child = np.char.startswith(folk.card, "TE1")
    start = np.where(child, day_in - age, start)
    end = np.where(child, day_in - age + 2191, start + 365 + rng.integers(0, 2, size) * 365)
    end = np.maximum(end, day_out + rng.integers(1, 30, size))
    # a card that ends during the stay and is followed by the next one
    length = day_out - day_in
    changes = (length >= 3) & (frame["admitted"].to_numpy() >= 0) & ~child & (rng.random(size) < 0.02)
    frame["card_start"] = start
    frame["card_end"] = np.where(changes, day_in + length // 2 + 365, end)
    frame["card_change"] = np.where(changes, day_in + length // 2, -1)
    lower = pd.Series(folk.card).str[2].isin(["3", "4"]).to_numpy()
    full_routes = np.isin(frame["route"].to_numpy(dtype="U4"), ["1.1", "1.3", "1.5"])
    waivable = lower & full_routes & (frame["setting"].to_numpy(dtype="U12") == "chronic") & ~changes
    # nobody has paid six base salaries in the first weeks of a year
    month = day_in.astype("datetime64[D]").astype("datetime64[M]").astype("int64") % 12 + 1
    frame["waived"] = waivable & (month >= 3) & (rng.random(size) < 0.02)
