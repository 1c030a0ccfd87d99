"""What was ordered and done in each visit: drugs, examinations, tests with results, procedures, beds and supplies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from claim_rules.statistics.indicators import is_antibiotic
from claim_simulator.arrays import numbered
from claim_simulator.catalogue import Catalogue, data
from claim_simulator.facilities import Facility
from claim_simulator.moments import DAY, Ints
from claim_simulator.visits import Visits

Mask = npt.NDArray[np.bool_]

MORNING = 8 * 60
EXAM_SHARES = np.array([100, 30, 30, 30, 10])
"""TYLE_TT_DV of the first, second, ... examination of a visit."""
BEDS = {"K02": "bed_hscc", "K03": "bed_noi", "K18": "bed_nhi", "K19": "bed_ngoai2", "K27": "bed_san", "K30": "bed_ngay"}
AFTER_SURGERY = {"K19": "bed_ngoai1"}


@dataclass(frozen=True)
class Orders:
    """Lines of all visits, ordered by visit and time of order.

    drugs: visit, item (position in the catalogue), ordered, done (minutes), quantity (1/1000), days, selfpaid, other
    (1/100 đồng from another source), source (which one).
    services: visit, kind ("exam", "test", "proc", "surgery", "bed", "supply"), item (position in services, or in
    supplies), ordered, done, finished (minutes; -1: none), quantity (1/1000), share (TYLE_TT_DV), own_extra (1/1000
    đồng by which the hospital's price is above the insured one), selfpaid, linked (service in which a supply was
    used, -1), ward, price, tyle, other, source. drugs have price and tyle too.
    """

    drugs: pd.DataFrame
    services: pd.DataFrame


def orders(facility: Facility, lists: Catalogue, who: Visits, rng: np.random.Generator) -> Orders:
    """Draws the lines of the visits of a facility."""
    drawer = _Drawer(facility, lists, who.frame, rng)
    return drawer.draw()


class _Drawer:
    def __init__(self, facility: Facility, lists: Catalogue, frame: pd.DataFrame, rng: np.random.Generator) -> None:
        self.facility = facility
        self.lists = lists
        self.rng = rng
        self.size = len(frame)
        self.setting = frame["setting"].to_numpy(dtype="U12")
        self.loai = frame["loai"].to_numpy(dtype="U2")
        self.ward = frame["ward"].to_numpy(dtype="U3")
        self.emergency = frame["emergency"].to_numpy()
        self.condition = frame["condition"].to_numpy()
        self.arrival = frame["arrival"].to_numpy()
        self.admitted = frame["admitted"].to_numpy()
        self.discharge = frame["discharge"].to_numpy()
        self.supply = frame["supply"].to_numpy()
        self.stay = frame["stay"].to_numpy()
        self.worse = (frame["result"] == "4").to_numpy() & (frame["leaving"] == "2").to_numpy()
        self.inside = self.admitted >= 0
        self.overnight = np.isin(self.setting, ["inpatient", "surgical", "newborn"])
        # when the patient leaves the house for the day: a chronic visit ends weeks later, with the last drug
        self.left = np.where(
            np.isin(self.setting, ["chronic", "rehab"]),
            self.arrival + rng.integers(80, 240, self.size),
            self.discharge,
        )
        # full days in the ward; the day of discharge brings no orders
        self.days = np.where(self.overnight, self.discharge // DAY - np.maximum(self.admitted, 0) // DAY, 1)
        self.services: list[pd.DataFrame] = []
        self.drugs: list[pd.DataFrame] = []
        self.exam_at = self.arrival + rng.integers(3, 12, self.size)
        self.surgery_at = np.full(self.size, -1)
        self.surgery_item = np.full(self.size, -1)
        self.surgery_end = np.full(self.size, -1)

    def draw(self) -> Orders:
        self._exams()
        for kind, chosen in self._chosen().items():
            getattr(self, f"_{kind}")(chosen)
        self._beds()
        self._self_paid()
        return self._priced()

    # -- what each condition asks for --------------------------------------------------------------------------

    def _chosen(self) -> dict[str, pd.DataFrame]:
        """Items of the visits' conditions that were drawn, by kind; surgery first, since others hang on its time."""
        items = data("items")
        conditions = {name: place for place, name in enumerate(data("conditions")["id"])}
        source = {"drug": "drugs", "once": "drugs", "supply": "supplies"}
        frames = {"drugs": self.lists.drugs, "supplies": self.lists.supplies, "services": self.lists.services}
        places = {name: {key: at for at, key in enumerate(frame["id"])} for name, frame in frames.items()}
        levels = {name: frame["level"].astype("int64").to_numpy() for name, frame in frames.items()}
        owner = [source.get(kind, "services") for kind in items["kind"]]
        item = np.array([places[table][name] for table, name in zip(owner, items["item"], strict=True)])
        level = np.array([levels[table][at] for table, at in zip(owner, item, strict=True)])
        wanted = items["condition"].map(conditions).to_numpy()
        order = np.argsort(wanted, kind="stable")
        share = items["share"].astype("float64").to_numpy() * (level <= self.facility.level)
        drug = np.isin(items["kind"].to_numpy(dtype="U8"), ["drug", "once"])
        more = self.facility.drift.antibiotics
        share = np.where(drug & self._antibiotic()[np.where(drug, item, 0)], np.minimum(share * more, 1.0), share)
        counts = np.bincount(wanted, minlength=len(conditions))
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        visit = np.repeat(np.arange(self.size), counts[self.condition])
        row = order[starts[self.condition][visit] + numbered(counts[self.condition])]
        kind = items["kind"].to_numpy(dtype="U8")[row]
        drawn = self.rng.random(len(row)) < share[row]
        # kind of care 05 is examination and drugs alone
        drawn &= ~((self.loai[visit] == "05") & ~np.isin(kind, ["drug", "once"]))
        amount = items["amount"].astype("int64").to_numpy()[row]
        frame = pd.DataFrame({"visit": visit, "item": item[row], "amount": amount})[drawn].reset_index(drop=True)
        kind = kind[drawn]
        return {name: frame[kind == name] for name in ("surgery", "test", "proc", "supply", "drug", "once")}

    def _antibiotic(self) -> Mask:
        """Which drugs of the list are antibiotics."""
        return self.lists.drugs["MA_THUOC"].map(is_antibiotic).to_numpy(dtype="bool")

    def _between(self, low: int, high: int, size: int) -> Ints:
        return self.rng.integers(low, high, size)

    def _service(
        self, kind: str, visit: Ints, item: Ints, ordered: Ints, done: Ints, finished: Ints, **more: object
    ) -> None:
        limit = self.discharge[visit] - 2
        ordered = np.minimum(ordered, limit - 4)
        done = np.clip(done, ordered, limit - 2)
        finished = np.where(finished < 0, -1, np.clip(finished, done, limit))
        base: dict[str, object] = {
            "visit": visit,
            "kind": kind,
            "item": item,
            "ordered": ordered,
            "done": done,
            "finished": finished,
            "quantity": 1000,
            "share": 100,
            "own_extra": 0,
            "selfpaid": False,
            "linked": -1,
            "ward": self.ward[visit],
        }
        self.services.append(pd.DataFrame(base | more))

    def _exams(self) -> None:
        everybody = np.arange(self.size)
        ids = {name: at for at, name in enumerate(self.lists.services["id"])}
        main = np.array([ids[name] for name in data("conditions")["exam"]])[self.condition]
        ward = np.where(self.emergency & (self.facility.level > 0), "K02", "K01")
        outside = ~self.inside
        # at the large hospitals some patients choose a dearer examination; the fund pays the listed price
        dearer = outside & (self.facility.level == 2) & (self.rng.random(self.size) < 0.1)
        extra = np.where(dearer, self.rng.choice([50_000_000, 100_000_000, 150_000_000], self.size), 0)
        self._service(
            "exam", everybody, main, self.exam_at, self.exam_at, self.exam_at + 10, ward=ward, own_extra=extra
        )
        if self.facility.level == 0:
            return
        luck = self.rng.random(self.size)
        further = np.where(
            outside & (self.setting != "rehab"), np.select([luck < 0.006, luck < 0.03, luck < 0.11], [4, 2, 1], 0), 0
        )
        levels = self.lists.services["level"].astype("int64").to_numpy()
        others = np.array(
            [at for name, at in ids.items() if name.startswith("exam_") and levels[at] <= self.facility.level]
        )
        visit = np.repeat(everybody, further)
        rank = numbered(further) + 1
        # each further examination is of another kind than the first and than each other
        start = self._between(0, len(others), self.size)[visit]
        choice = others[(start + rank) % len(others)]
        choice = np.where(choice == main[visit], others[start], choice)
        at = self.exam_at[visit] + 12 * rank + self._between(0, 4, len(visit))
        self._service("exam", visit, choice, at, at, at + 10, ward="K01", share=EXAM_SHARES[rank])

    def _test(self, chosen: pd.DataFrame) -> None:
        visit, item, number = self._repeated(chosen)
        minutes = self.lists.services["minutes"].astype("int64").to_numpy()[item]
        ordered = np.where(
            self.inside[visit],
            self._ward_time(visit, number, 15, 7 * 60),
            self.exam_at[visit] + 12 + self._between(0, 10, len(visit)),
        )
        done = ordered + self._between(6, 16, len(visit))
        finished = np.minimum(
            done + minutes, np.where(self.inside[visit], self.discharge[visit] - 5, self.left[visit] - 12)
        )
        self._service("test", visit, item, ordered, done, finished, ward=self._order_ward(visit))

    def _proc(self, chosen: pd.DataFrame) -> None:
        chosen = chosen.assign(amount=np.where(chosen["amount"] == 0, self.stay[chosen["visit"]], chosen["amount"]))
        rehab = self.setting[chosen["visit"]] == "rehab"
        minutes = self.lists.services["minutes"].astype("int64").to_numpy()
        daily = chosen[rehab]
        visit = np.repeat(daily["visit"].to_numpy(), daily["amount"])
        item = np.repeat(daily["item"].to_numpy(), daily["amount"])
        day = numbered(daily["amount"].to_numpy())
        rank: Ints = np.repeat(daily.groupby("visit").cumcount().to_numpy(dtype="int64"), daily["amount"])
        at: Ints = self.exam_at[visit] + 15 + day * DAY + rank * 32
        self._service("proc", visit, item, at, at + 2, at + 2 + minutes[item])
        visit, item, number = self._repeated(chosen[~rehab])
        at = np.where(
            self.inside[visit],
            self._ward_time(visit, number, 45, 9 * 60),
            self.exam_at[visit] + 22 + self._between(0, 10, len(visit)),
        )
        # what would fall into an operation is done after it
        begin, end = self.surgery_at[visit], self.surgery_end[visit]
        at = np.where((begin >= 0) & (at + 4 < end) & (at + 4 + minutes[item] > begin), end + 10, at)
        self._service("proc", visit, item, at, at + 4, at + 4 + minutes[item])

    def _surgery(self, chosen: pd.DataFrame) -> None:
        visit, item = chosen["visit"].to_numpy(), chosen["item"].to_numpy()
        next_day = self.overnight[visit] & (self.days[visit] >= 3)
        at = np.where(
            next_day,
            (self.admitted[visit] // DAY + 1) * DAY + 8 * 60 + 30 + self._between(0, 150, len(visit)),
            self.admitted[visit] + 60 + self._between(0, 40, len(visit)),
        )
        end = at + 30 + self.lists.services["minutes"].astype("int64").to_numpy()[item]
        self.surgery_at[visit], self.surgery_item[visit], self.surgery_end[visit] = at, item, end
        self._service("surgery", visit, item, at, at + 30, end)

    def _supply(self, chosen: pd.DataFrame) -> None:
        visit = chosen["visit"].to_numpy()
        operated = self.surgery_at[visit] >= 0
        at = np.where(
            operated,
            self.surgery_at[visit],
            np.where(self.inside[visit], self.admitted[visit] + 20, self.exam_at[visit] + 24),
        )
        self._service(
            "supply",
            visit,
            chosen["item"].to_numpy(),
            at,
            at,
            np.full(len(visit), -1),
            quantity=chosen["amount"].to_numpy() * 1000,
            linked=np.where(operated, self.surgery_item[visit], -1),
        )

    def _repeated(self, chosen: pd.DataFrame) -> tuple[Ints, Ints, Ints]:
        """(visit, item, day in the ward) of items that are done on several days."""
        visit = chosen["visit"].to_numpy()
        times = np.where(self.inside[visit], np.minimum(chosen["amount"], self.days[visit]), 1)
        at = np.repeat(np.arange(len(visit)), times)
        number = numbered(times)
        spaced = number * self.days[visit][at] // np.maximum(times[at], 1)
        return visit[at], chosen["item"].to_numpy()[at], spaced

    def _ward_time(self, visit: Ints, day: Ints, after: int, clock: int) -> Ints:
        """A moment on a day in the ward: on the first soon after admission, later at about the given time."""
        jitter = self._between(0, 45, len(visit))
        return np.where(
            day == 0, self.admitted[visit] + after + jitter, (self.admitted[visit] // DAY + day) * DAY + clock + jitter
        )

    def _order_ward(self, visit: Ints) -> npt.NDArray[np.str_]:
        return np.where(self.inside[visit], self.ward[visit], np.where(self.ward[visit] == "K02", "K02", "K01"))

    # -- drugs -------------------------------------------------------------------------------------------------

    def _drug_rows(self, visit: Ints, item: Ints, at: Ints, quantity: Ints, days: Ints, selfpaid: bool = False) -> None:
        at = np.minimum(at, self.discharge[visit] - 3)
        done = np.minimum(at + self._between(0, 30, len(visit)), self.discharge[visit] - 1)
        self.drugs.append(
            pd.DataFrame(
                {
                    "visit": visit,
                    "item": item,
                    "ordered": at,
                    "done": done,
                    "quantity": quantity,
                    "days": days,
                    "selfpaid": selfpaid,
                    "ward": self._order_ward(visit),
                }
            )
        )

    def _quantity(self, item: Ints, days: Ints) -> Ints:
        """1/1000 units for so many days; what is not split is handed out whole."""
        daily = self.lists.drugs["per_day"].astype("float64").to_numpy()[item]
        exact = np.rint(daily * days * 1000).astype(np.int64)
        whole: Ints = (exact + 999) // 1000 * 1000
        return np.where(exact >= 1000, whole, exact)

    def _drug(self, chosen: pd.DataFrame) -> None:
        everyone = chosen["visit"].to_numpy()
        ward = chosen[self.overnight[everyone]]
        visit = np.repeat(ward["visit"].to_numpy(), self.days[ward["visit"]])
        item = np.repeat(ward["item"].to_numpy(), self.days[ward["visit"]])
        length = self.days[ward["visit"]]
        day = numbered(length)
        one = np.ones(len(visit), dtype="int64")
        self._drug_rows(visit, item, self._ward_time(visit, day, 12, MORNING), self._quantity(item, one), one)
        other = chosen[~self.overnight[everyone]]
        visit, item = other["visit"].to_numpy(), other["item"].to_numpy()
        days = other["amount"].to_numpy()
        days = np.where((days >= 28) & (self.supply[visit] > 0), self.supply[visit], days)
        days = np.where(days == 0, self.stay[visit], days)
        whole = -(-self._quantity(item, days) // 1000) * 1000
        self._drug_rows(visit, item, self.left[visit] - 4, whole, days)

    def _once(self, chosen: pd.DataFrame) -> None:
        visit, item = chosen["visit"].to_numpy(), chosen["item"].to_numpy()
        one = np.ones(len(visit), dtype="int64")
        self._drug_rows(visit, item, self.surgery_at[visit], self._quantity(item, one), one)

    # -- beds and what the patient pays alone ------------------------------------------------------------------

    def _beds(self) -> None:
        ids = {name: at for at, name in enumerate(self.lists.services["id"])}
        visit = np.flatnonzero(self.overnight | (self.setting == "daycare"))
        if not len(visit):
            return
        nights = bed_days(self.admitted[visit], self.discharge[visit], self.worse[visit])
        ward = self.ward[visit]
        first = np.array([ids[BEDS.get(name, "bed_noi")] for name in ward])
        later = np.array([ids[AFTER_SURGERY[name]] if name in AFTER_SURGERY else -1 for name in ward])
        before = np.maximum(self.surgery_at[visit] // DAY - self.admitted[visit] // DAY, 0)
        moved = (later >= 0) & (self.surgery_at[visit] >= 0) & (before > 0) & (before < nights)
        first = np.where((later >= 0) & (self.surgery_at[visit] >= 0) & ~moved, later, first)
        shared = np.where(self.rng.random(len(visit)) < 0.03, 50, 100)
        stays = nights > 0
        self._service(
            "bed",
            visit[stays],
            first[stays],
            self.admitted[visit][stays],
            self.admitted[visit][stays],
            self.discharge[visit][stays],
            quantity=np.where(moved, before, nights)[stays] * 1000,
            share=shared[stays],
        )
        at = self.surgery_end[visit][moved]
        self._service(
            "bed",
            visit[moved],
            later[moved],
            at,
            at,
            self.discharge[visit][moved],
            quantity=(nights - before)[moved] * 1000,
        )

    def _self_paid(self) -> None:
        if self.facility.level == 0:
            return
        luck = self.rng.random(self.size)
        drugs = {name: at for at, name in enumerate(self.lists.drugs["id"])}
        visit = np.flatnonzero(luck < 0.04)
        item = self.rng.choice([drugs["omega3"], drugs["ginkgo"]], len(visit))
        days = np.full(len(visit), 15)
        at = np.where(self.overnight[visit], self.admitted[visit] + 40, self.left[visit] - 4)
        self._drug_rows(visit, item, at, self._quantity(item, days), days, selfpaid=True)
        services = {name: at for at, name in enumerate(self.lists.services["id"])}
        visit = np.flatnonzero(self.overnight & (luck > 0.93))
        at = self.admitted[visit] + 50
        self._service("proc", visit, np.full(len(visit), services["goiyc"]), at, at + 5, at + 35, selfpaid=True)

    # -- prices ------------------------------------------------------------------------------------------------

    def _priced(self) -> Orders:
        drugs = pd.concat(self.drugs, ignore_index=True)
        drugs = drugs.sort_values(["visit", "ordered", "item"], kind="stable", ignore_index=True)
        item, day = drugs["item"].to_numpy(), drugs["ordered"].to_numpy() // DAY
        drugs["price"] = self.lists.drug_price(item, day)
        drugs["tender"] = self.lists.drug_tender(item, day)
        drugs["tyle"] = self.lists.drugs["TYLE_TT_BH"].astype("int64").to_numpy()[item]
        services = pd.concat(self.services, ignore_index=True)
        services = services.sort_values(["visit", "ordered", "kind", "item"], kind="stable", ignore_index=True)
        item, day = services["item"].to_numpy(), services["ordered"].to_numpy() // DAY
        supply = (services["kind"] == "supply").to_numpy()
        service_item, supply_item = np.where(supply, 0, item), np.where(supply, item, 0)
        services["price"] = np.where(
            supply, self.lists.supplies["price"].to_numpy()[supply_item], self.lists.service_price(service_item, day)
        )
        services["tyle"] = np.where(
            supply,
            self.lists.supplies["TYLE_TT_BH"].astype("int64").to_numpy()[supply_item],
            self.lists.services["TYLE_TT_BH"].astype("int64").to_numpy()[service_item],
        )
        # a dearer price goes with the full examination only: with a lower share two readings of it would differ
        services["own_extra"] = services["own_extra"].where(services["share"] == 100, 0)
        self._other_sources(drugs, services)
        return Orders(drugs, services)

    def _other_sources(self, drugs: pd.DataFrame, services: pd.DataFrame) -> None:
        """Support for a few patients: half of what they would pay themselves for one line, in whole thousands."""
        for frame in (drugs, services):
            share = frame.get("share", 100)
            unpaid = frame["quantity"] * frame["price"] * share // 100 * (100 - frame["tyle"]) // 100_000_000  # đồng
            possible = (unpaid >= 40_000).to_numpy() & (self.rng.random(len(frame)) < 0.06)
            possible &= ~frame["visit"].where(pd.Series(possible, index=frame.index)).duplicated().to_numpy()
            frame["other"] = np.where(possible, unpaid // 2_000 * 1000 * 100, 0)
            frame["source"] = self.rng.choice(["NSNN", "VTTN", "CL"], len(frame))


def bed_days(admitted: Ints, discharge: Ints, longer: Mask) -> Ints:
    """Bed days: none up to 4 hours, one under 24 hours, else the difference of days; one more where `longer` (worse
    and transferred). Source: Circular 39/2018, benefit law step 8."""
    minutes = discharge - admitted
    days = discharge // DAY - admitted // DAY + longer
    return np.select([minutes <= 240, minutes < DAY], [0, 1], days)
