"""Simulated hospitals: deliveries, reference data that fits them, and the truth about every planted fault."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from claim_pipeline.errors import OperatorError
from claim_pipeline.steps import TIME_ZONE
from claim_rules.frames import ClaimTables
from claim_simulator.catalogue import Catalogue, catalogue, data, price_text
from claim_simulator.deliveries import TOO_FEW, UNDECLARED, file_name, write_delivery
from claim_simulator.facilities import XML, Drift, Facility, facilities, signing
from claim_simulator.faults import NEAR, TRUTH_COLUMNS, Plan, Planted, plant, rule_of
from claim_simulator.faults.contract import without_contract
from claim_simulator.moments import DAY, Ints, day_of_text, month_days, text8
from claim_simulator.orders import orders
from claim_simulator.reference import card_register, co_payments, common_lists, look_ups, other_cards, write_csv
from claim_simulator.signers import (
    ALTERED,
    EARLY,
    FORGED,
    GOOD_TIMED,
    LATE,
    UNSIGNED,
    UNTRUSTED,
    WAYS,
    Signers,
    latest,
)
from claim_simulator.tables import claim_tables
from claim_simulator.visits import Visits, visits

FIRST_MONTH = "202501"
MOST_FACILITIES = 700
WITHOUT_CONTRACT = 4
"""Which facility's contract ends in the month, where faults beyond single claims are wanted."""
KNOWN_FOR_A_YEAR = 3
"""Which facility's claims of the year before are there too, so that an appointment without a slip is seen."""
SIGNED_FROM = "20260101"
"""From then on what is sent unsigned, or with a signature that does not hold, is told."""
ENVELOPES = (UNDECLARED, TOO_FEW, "")
DELIVERIES_COLUMNS = ["MA_CSKCB", "file", "received_at", "signature", "rules"]
_DAYS_OF_A_DELIVERY = 8
_CORRECTED_AFTER = 2  # days
_CORRECTED = 5  # claims of a delivery that are sent again
_LEFT_LATER = 8  # patients who leave after a delivery is said to be signed
_TWO_PRICES = (0, 1, 6, 7)
"""Facilities whose list has two prices of a drug (CAT-024)."""
_TWICE_LISTED = "para500"
_MONTHS_BEFORE = 14
_CLAIMS_BEFORE = 60


@dataclass(frozen=True)
class Summary:
    """What was written. faults: planted faults by rule; findings: rows of truth.csv, consequences included."""

    facilities: int
    deliveries: int
    claims: int
    lines: int
    faults: dict[str, int]
    findings: int


def simulate(
    *,
    facilities: int,
    claims: int,
    month: str,
    fault_rate: float,
    seed: int,
    out: Path,
    drift: Mapping[str, Drift] | None = None,
    across: bool = False,
) -> Summary:
    """Writes inbox/<MA_CSKCB>/…, reference/*.csv and truth.csv under `out`; the same arguments give the same bytes.

    claims: per facility. month: yyyymm of NGAY_RA, 202501 or later. fault_rate: share of claims with one planted fault
    each, 0 to 0.5 (a few less where too few claims fit a rule). With three facilities or more every form of delivery
    is there. drift: facility -> in what its month is unusual. across: also faults that a file alone does not show or
    that no claim has: one person, bed or device in several claims, claims sent again, signatures (of keys made for this
    simulation, trust/), whole deliveries, a facility whose contract has ended; and near misses, which nothing may find.
    Then there are also deliveries.csv (when each is received and what is wrong with it as a whole), near_misses.csv and
    in_store.csv (rows of truth.csv that need other claims though their rule also looks at one alone).
    Raises OperatorError for arguments that make no sense and for a folder that already holds a simulation.
    """
    _check(facilities, claims, month, fault_rate, seed, out)
    _check_drift(facilities, drift or {})
    return _Simulation(facilities, claims, month, fault_rate, seed, Path(out), drift or {}, across).run()


def _check(count: int, claims: int, month: str, fault_rate: float, seed: int, out: Path) -> None:
    def refuse(vi: str, en: str) -> OperatorError:
        return OperatorError("bad-simulation", vi, en)

    try:
        month_days(month)
    except ValueError:
        raise refuse(f"Tháng {month} không đúng dạng yyyymm.", f"Month {month} is not yyyymm.") from None
    if len(month) != 6 or month < FIRST_MONTH:
        raise refuse(f"Tháng phải từ {FIRST_MONTH}.", f"The month must be {FIRST_MONTH} or later.")
    if not 1 <= count <= MOST_FACILITIES or not 1 <= claims <= 999_999 or count * claims > 50_000_000:
        raise refuse("Số cơ sở hoặc số hồ sơ không hợp lệ.", "The number of facilities or claims is out of range.")
    if not 0 <= fault_rate <= 0.5 or seed < 0:
        raise refuse(
            "Tỷ lệ lỗi phải từ 0 đến 0,5 và hạt giống không âm.",
            "The fault rate must be 0 to 0.5 and the seed not negative.",
        )
    if any((out / name).exists() for name in ("inbox", "truth.csv")):
        raise refuse(
            f"Thư mục {out} đã có dữ liệu mô phỏng; hãy chọn thư mục khác.",
            f"Folder {out} already holds a simulation; choose another one.",
        )


def _check_drift(count: int, drift: Mapping[str, Drift]) -> None:
    unknown = sorted(set(drift) - {house.code for house in facilities(count)})
    if unknown or any(not 0 < factor < 100 for one in drift.values() for factor in astuple(one)):
        named = ", ".join(unknown) or "price, stay, antibiotics, emergency"
        raise OperatorError(
            "bad-simulation",
            f"Không có cơ sở này, hoặc hệ số không nằm giữa 0 và 100: {named}",
            f"there is no such facility, or a factor is not between 0 and 100: {named}",
        )


class _Simulation:
    def __init__(
        self,
        count: int,
        claims: int,
        month: str,
        fault_rate: float,
        seed: int,
        out: Path,
        drift: Mapping[str, Drift],
        across: bool,
    ) -> None:
        self.across = across
        self.contract_ends: dict[str, str] = {}
        self.houses = facilities(count, drift)
        self.claims = claims
        self.month = month
        self.seed = seed
        self.out = out
        special = (WITHOUT_CONTRACT, KNOWN_FOR_A_YEAR) if across else ()
        able = [house for house in self.houses if house.position not in special]
        self.plan = Plan(able, claims, fault_rate, np.random.default_rng([seed, 0]), across=across)
        self.first_day, self.last_day = month_days(month)
        self.signers = Signers(seed, _date(self.first_day)) if across else None
        self.signed = 0
        self.deliveries = 0
        self.lines = 0
        self.faults: dict[str, int] = {}
        self.truth: list[pd.DataFrame] = []
        self.in_store: list[pd.DataFrame] = []
        self.near: list[tuple[str, str, str]] = []
        self.sent: list[tuple[str, str, str, str, str]] = []
        self.cards: list[pd.DataFrame] = []
        self.co_payments: list[pd.DataFrame] = []
        self.look_ups: list[pd.DataFrame] = []

    def run(self) -> Summary:
        self.out.mkdir(parents=True, exist_ok=True)
        for house in self.houses:
            self._facility(house)
        truth = pd.concat(self.truth, ignore_index=True) if self.truth else pd.DataFrame(columns=TRUTH_COLUMNS)
        truth = truth.drop_duplicates().sort_values(TRUTH_COLUMNS, na_position="first", ignore_index=True)
        self._reference()
        write_csv(truth, self.out / "truth.csv")
        if self.signers is not None:
            self.signers.write_trust(self.out / "trust", signing(self.houses))
            self._beside()
        faults = dict(sorted(self.faults.items()))
        return Summary(
            len(self.houses), self.deliveries, len(self.houses) * self.claims, self.lines, faults, len(truth)
        )

    def _facility(self, house: Facility) -> None:
        rng = np.random.default_rng([self.seed, 1, house.position])
        lists = catalogue(house)
        who, tables = drawn(house, lists, self.claims, self.month, rng)
        continuous = tables["XML1"]["NAM_NAM_LIEN_TUC"]
        left = who.frame["discharge"].to_numpy() // DAY
        parts, sent = self._parts(left)
        share = self.plan.share(house)
        if self.across and house.position == WITHOUT_CONTRACT:
            share = {}
            self._end_contract(house, tables)
        if self.across and house.position == KNOWN_FOR_A_YEAR:
            share = {}
            self._year_before(house, lists)
            self._without_slips(house, tables)
        planted = plant(house, lists, tables, parts, share, rng, self.plan.donors)
        self.plan.done(planted.counts)
        for kind, count in planted.counts.items():
            if not kind.startswith(NEAR):
                self.faults[rule_of(kind)] = self.faults.get(rule_of(kind), 0) + count
        if len(planted.truth):
            self.truth.append(planted.truth)
        if len(planted.in_store):
            self.in_store.append(planted.in_store)
        self.near += [(house.code, *row) for row in planted.near]
        self.cards.append(
            card_register(
                who,
                continuous,
                unknown=planted.unknown,
                ends=planted.ends,
                changes=planted.register,
                more=planted.more_cards,
            )
        )
        self.co_payments.append(co_payments(who, planted.paid, rng))
        self.look_ups.append(look_ups(house, planted.tables, planted.faulty, planted.look_ups))
        for number, part in enumerate(parts, start=1):
            late = sorted(planted.late) if number == len(parts) else []
            claims = [claim for claim in part if claim not in planted.late] + late
            if not claims:
                continue
            self._deliver(house, file_name(house, self.month, number), planted, claims, sent[number - 1], rng)
            # exports of record systems once in the month
            if self.across and house.position != WITHOUT_CONTRACT and (house.form == XML or number == 1):
                self._correct(house, number, planted, [one for one in part if one not in planted.faulty], sent, rng)
        self.lines += sum(len(planted.tables[name]) for name in ("XML2", "XML3") if name in planted.tables)

    def _deliver(
        self,
        house: Facility,
        name: str,
        planted: Planted,
        claims: list[int],
        day: str,
        rng: np.random.Generator,
        envelope: str | None = None,
    ) -> None:
        """Writes a delivery of some claims, sent on a day. envelope: None, the next in turn, and signed in turn too."""
        folder = self.out / "inbox" / house.code
        folder.mkdir(parents=True, exist_ok=True)
        place = {claim: at for at, claim in enumerate(claims)}
        in_turn = self.across and house.form == XML and envelope is None
        if envelope is None:
            envelope = ENVELOPES[self.signed % len(ENVELOPES)] if in_turn else ""
        write_delivery(
            folder / name,
            house,
            _renumbered(planted.tables, place),
            day,
            damage={place[claim]: what for claim, what in planted.damage.items() if claim in place},
            copies={place[claim] for claim in planted.copies if claim in place},
            faulty={place[claim] for claim in planted.faulty if claim in place},
            rng=rng,
            envelope=envelope,
        )
        self.deliveries += 1
        if self.across:
            told = {UNDECLARED: ["STR-001"], TOO_FEW: ["STR-003"]}.get(envelope, [])
            told += self._two_prices(house, planted, claims)
            received = _moment(day) + dt.timedelta(minutes=house.position)
            way = ""
            if house.form == XML:
                way = WAYS[self.signed % len(WAYS)] if in_turn else UNSIGNED
                self.signed += in_turn
                told += self._sign(folder / name, house, way, received, planted, claims)
            self._tell(house, name, received, way, told)

    def _two_prices(self, house: Facility, planted: Planted, claims: list[int]) -> list[str]:
        """CAT-024, where a claim of the delivery asks for the drug of which the list has two prices."""
        if house.position not in _TWO_PRICES or "XML2" not in planted.tables:
            return []
        lines = planted.tables["XML2"]
        lines = lines[lines["claim"].isin(set(claims) - planted.stopped) & (lines["MA_THUOC"] == _twice_listed())]
        paid = pd.to_numeric(lines["T_BHTT"], errors="coerce") > 0
        return ["CAT-024"] if paid.any() else []

    def _sign(
        self, path: Path, house: Facility, way: str, received: dt.datetime, planted: Planted, claims: list[int]
    ) -> list[str]:
        """Signs a delivery; returns what is to be found of it as a whole."""
        assert self.signers is not None
        left = planted.tables["XML1"].set_index("claim")["NGAY_RA"].loc[claims]
        left = left[left.str.fullmatch("[0-9]{12}")].sort_values()
        early = received.strftime("%Y%m%d%H%M")
        if len(left) > 1:
            last = left.iloc[-min(_LEFT_LATER, len(left) - 1) :]
            early = max(left[left < last.iloc[0]], default=left.iloc[0])
        moments = {
            EARLY: dt.datetime.strptime(early, "%Y%m%d%H%M").replace(tzinfo=TIME_ZONE),
            LATE: latest(received) + dt.timedelta(seconds=1),
            GOOD_TIMED: latest(received),
        }
        if way != UNSIGNED:
            self.signers.sign(path, house, way, moments.get(way, received))
        if way == EARLY:
            names = planted.tables["XML1"].set_index("claim")["MA_LK"]
            later = [claim for claim in left.index[left > early] if claim not in planted.stopped]
            self._more_truth([(house.code, names[claim], "XML1", None, "SIG-003") for claim in later])
        if way in UNTRUSTED:
            return ["SIG-002"]
        if way in (UNSIGNED, ALTERED, FORGED):
            return ["SIG-001"] if received.strftime("%Y%m%d") >= SIGNED_FROM else []
        return ["SIG-003"] if way == LATE else []

    def _tell(self, house: Facility, name: str, received: dt.datetime, way: str, told: list[str]) -> None:
        """What is wrong with a delivery as a whole: in the truth without a claim, and in deliveries.csv."""
        self.sent.append((house.code, name, received.isoformat(timespec="seconds"), way, ";".join(told)))
        self._more_truth([(house.code, "", "", None, rule) for rule in told])

    def _more_truth(self, rows: list[tuple[str, str, str, int | None, str]]) -> None:
        self.truth.append(pd.DataFrame(rows, columns=TRUTH_COLUMNS).astype({"line": "Int64"}))
        for *_, rule in rows:
            self.faults[rule] = self.faults.get(rule, 0) + 1

    def _correct(
        self,
        house: Facility,
        number: int,
        planted: Planted,
        sound: list[int],
        sent: list[str],
        rng: np.random.Generator,
    ) -> None:
        """Some sound claims of a delivery are sent again: with other content (SIG-004), as a recall of themselves
        (BEN-022 too), and, in claim XML, one that is just the same."""
        known = {name for frame in self.truth for name in frame.loc[frame["MA_CSKCB"] == house.code, "MA_LK"]}
        summary = planted.tables["XML1"].set_index("claim")
        routes, names = summary["MA_DOITUONG_KCB"], summary["MA_LK"]
        # the last of the delivery: they are still in time
        free = [one for one in sound if names[one] not in known and routes[one] not in ("1.3", "1.5")][-_CORRECTED:]
        if len(free) < _CORRECTED:
            return
        recalled, same, *changed = free
        if self.plan.donors is not None:
            self.plan.donors.withdraw(house.code, set(names[free]))
        again = Planted(planted.tables.only(set(free)))
        frame = again.tables["XML1"]
        frame["GHI_CHU"] = frame["GHI_CHU"].where(~frame["claim"].isin(changed), "Đã đính chính")
        for table in again.tables.tables.values():
            if "MA_DOITUONG_KCB" in table:
                table["MA_DOITUONG_KCB"] = table["MA_DOITUONG_KCB"].where(table["claim"] != recalled, "8")
        if house.form == XML:
            self.near.append((house.code, names[same], "SIG-004"))
        else:
            free.remove(same)
        rows = [(house.code, names[claim], "XML1", None, "SIG-004") for claim in (*changed, recalled)]
        self._more_truth([*rows, (house.code, names[recalled], "XML1", None, "BEN-022")])
        day = str(text8(np.array([day_of_text(sent[number - 1]) + _CORRECTED_AFTER]))[0])
        again.faulty = set(free)
        self._deliver(house, file_name(house, self.month, number, "dinhchinh"), again, free, day, rng)

    def _year_before(self, house: Facility, lists: Catalogue) -> None:
        """A sound delivery of long ago."""
        first, _ = month_days(self.month)
        month = (np.datetime64(_date(first), "M") - _MONTHS_BEFORE).astype("str").replace("-", "")
        if month < FIRST_MONTH:
            return
        rng = np.random.default_rng([self.seed, 3])
        start = 1 + len(self.houses) * self.claims + self._others
        who = visits(house, _CLAIMS_BEFORE, month, rng, start)
        tables = claim_tables(house, lists, who, orders(house, lists, who, rng), month, rng)
        first, last = month_days(month)
        left = who.frame["discharge"].to_numpy() // DAY
        claims = [int(claim) for claim in np.flatnonzero(left > last - _DAYS_OF_A_DELIVERY)]
        self.cards.append(
            card_register(who, tables["XML1"]["NAM_NAM_LIEN_TUC"], unknown=set(), ends={}, changes={}, more={})
        )
        self.co_payments.append(co_payments(who, {}, rng))
        day = str(text8(np.array([last + 1]))[0])
        self._deliver(house, file_name(house, month, 4), Planted(tables), claims, day, rng, envelope="")

    def _without_slips(self, house: Facility, tables: ClaimTables) -> None:
        summary = tables["XML1"]
        names = summary.loc[summary["MA_DOITUONG_KCB"] == "1.5", "MA_LK"]
        self._more_truth([(house.code, name, "XML1", None, "BEN-015") for name in names])

    @property
    def _others(self) -> int:
        """People of the card register who did not come."""
        return len(self.houses) * self.claims // 20 + 20

    def _beside(self) -> None:
        """Files that go with the truth where faults beyond single claims are planted."""
        sent = pd.DataFrame(self.sent, columns=DELIVERIES_COLUMNS).sort_values(["received_at", "file"])
        write_csv(sent, self.out / "deliveries.csv")
        near = pd.DataFrame(self.near, columns=["MA_CSKCB", "MA_LK", "rule"])
        write_csv(near.drop_duplicates().sort_values(list(near.columns)), self.out / "near_misses.csv")
        in_store = pd.concat([pd.DataFrame(columns=TRUTH_COLUMNS), *self.in_store])
        write_csv(in_store.sort_values(TRUTH_COLUMNS, na_position="first"), self.out / "in_store.csv")

    def _end_contract(self, house: Facility, tables: ClaimTables) -> None:
        """The contract ends in the middle: who came afterwards (no emergency) is not covered but by direct payment."""
        end = sorted(tables["XML1"]["NGAY_VAO"].str[:8])[len(tables.claims) // 2]
        self.contract_ends[house.code] = end
        truth = without_contract(house, tables, end)
        for rule in truth["rule"].tolist():
            self.faults[rule] = self.faults.get(rule, 0) + 1
        self.truth.append(truth)

    def _parts(self, left: Ints) -> tuple[list[range], list[str]]:
        """The claims of each delivery and the day it is sent: eight days of discharges, sent on the next day.

        That is early enough for each of them (7 working days). left: day of discharge of each claim, ascending.
        """
        parts, sent = [], []
        for start in range(self.first_day, self.last_day + 1, _DAYS_OF_A_DELIVERY):
            end = min(start + _DAYS_OF_A_DELIVERY - 1, self.last_day)
            part = range(int(np.searchsorted(left, start)), int(np.searchsorted(left, end, side="right")))
            if len(part):
                parts.append(part)
                sent.append(str(text8(np.array([end + 1]))[0]))
        return parts, sent

    def _reference(self) -> None:
        rng = np.random.default_rng([self.seed, 2])
        used = len(self.houses) * self.claims
        cards = [*self.cards, other_cards(self._others, 1 + used, self.first_day, rng)]
        files = common_lists(self.houses, int(self.month[:4]), self.contract_ends, self.signers)
        if self.across:
            codes = [house.code for house in self.houses if house.position in _TWO_PRICES]
            files["drugs"] = _with_two_prices(files["drugs"], codes)
        files["cards"] = pd.concat(cards, ignore_index=True)
        files["copayments"] = pd.concat(self.co_payments, ignore_index=True)
        files["card_lookups"] = pd.concat(self.look_ups, ignore_index=True)
        folder = self.out / "reference"
        folder.mkdir(exist_ok=True)
        for name, frame in files.items():
            write_csv(frame, folder / f"{name}.csv")


def _twice_listed() -> str:
    """MA_THUOC of the drug of which a list has two prices."""
    drugs = data("drugs")
    return str(drugs.loc[drugs["id"] == _TWICE_LISTED, "MA_THUOC"].iloc[0])


def _with_two_prices(drugs: pd.DataFrame, codes: list[str]) -> pd.DataFrame:
    """The drugs' list with a second, lower price of one drug at some facilities, in force with the first."""
    twin = drugs[(drugs["MA_THUOC"] == _twice_listed()) & drugs["MA_CSKCB"].isin(codes)].copy()
    for name in ("DON_GIA", "DON_GIA_BH"):
        twin[name] = price_text((twin[name].astype("float64") * 900).astype("int64"))
    return pd.concat([drugs, twin], ignore_index=True)


def _date(day: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=day)


def _moment(day: str) -> dt.datetime:
    """When a delivery that is sent on a day comes in."""
    return dt.datetime.strptime(day, "%Y%m%d").replace(hour=8, tzinfo=TIME_ZONE)


def drawn(
    house: Facility, lists: Catalogue, claims: int, month: str, rng: np.random.Generator
) -> tuple[Visits, ClaimTables]:
    """The visits of a facility that end in a month, and their sound claims in order of discharge."""
    who = visits(house, claims, month, rng, 1 + house.position * claims)
    return who, claim_tables(house, lists, who, orders(house, lists, who, rng), month, rng)


def _renumbered(tables: ClaimTables, place: dict[int, int]) -> ClaimTables:
    """The claims of one delivery under their numbers in it."""
    some = tables.only(set(place))
    some.claims["claim"] = some.claims["claim"].map(place)
    some.claims = some.claims.sort_values("claim", ignore_index=True)
    for name, frame in some.tables.items():
        frame["claim"] = frame["claim"].map(place)
        some.tables[name] = frame.sort_values(["claim", "row"], kind="stable", ignore_index=True)
    return some
